// SPDX-License-Identifier: Apache-2.0
// fineprune: personalise an ONNX model by pruning it with a user's own unlabelled data.
//
// The whole job, in the order of a program:
//
//     fineprune_model *model = NULL;
//     fineprune_data *data = NULL;
//     fineprune_report *report = NULL;
//     fineprune_error err = {0};
//     fineprune_prune_options options = FINEPRUNE_PRUNE_OPTIONS_INIT;
//     int status = fineprune_model_open(&model, "model.onnx", NULL, &err);
//     if (!status) status = fineprune_data_open(&data, model, NULL, &err);
//     if (!status) status = fineprune_data_add(data, "recordings.npz", &err);
//     if (!status) status = fineprune_prune(model, data, &options, &report, &err);
//     if (!status) status = fineprune_model_save(model, "pruned.onnx", NULL, &err);
//
// Conventions. A function that can fail returns FINEPRUNE_OK or another fineprune_status, puts its message into `err`
// (which may be NULL) and sets its `out` parameters only on success. `free` functions accept NULL. Strings are UTF-8. A
// handle may be used by one thread at a time; different handles are independent. The library never prints, exits, or
// opens a connection, and it writes no file but those that a function names.
//
// Structs of options grow: new members are put at the end, and make the struct larger. `size`, the first member, is
// the sizeof that the program was compiled with; FINEPRUNE_..._OPTIONS_INIT sets it and every default, so start from
// it. Members that an older program's struct does not reach have their defaults. A newer program's larger struct is
// taken when all bytes that this library does not know are zero, which for members to come means the default;
// otherwise it asks for something that this library cannot do, and is refused. A size of 0 (a struct that was only
// zeroed) or any other that cannot be right is refused too, with FINEPRUNE_USAGE. Where options may be NULL, NULL
// means the defaults.
#ifndef FINEPRUNE_H
#define FINEPRUNE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define FINEPRUNE_API __attribute__((visibility("default")))
#else
#define FINEPRUNE_API
#endif

// ---------------------------------------------------------------------------------------------------------------------
// Status. The program's exit codes are the same numbers.

enum fineprune_status {
    FINEPRUNE_OK = 0,
    FINEPRUNE_INTERNAL = 1, // a mistake of ours
    FINEPRUNE_USAGE = 2,    // an option or argument that makes no sense
    FINEPRUNE_MODEL = 3,    // the model is unreadable, invalid or uses something that is not supported
    FINEPRUNE_DATA = 4,     // data are missing or do not fit the model
    FINEPRUNE_GATE = 5,  // the result is whole, but a promise (min_agreement, min_taught_agreement) is not kept, or it
                         // is ruined with any zeros
    FINEPRUNE_IO = 6,    // reading or writing failed
    FINEPRUNE_LIMIT = 7, // memory, time or another limit
    FINEPRUNE_CANCELLED = 8 // the progress callback asked to stop
};

// One line of what went wrong, and (when not empty) one line of how to mend it. Zero it before first use.
typedef struct fineprune_error {
    int status;
    char message[1000];
    char hint[500];
} fineprune_error;

// "1.0.0". The second form names the libraries too: "fineprune 1.0.0 (oneDNN 3.2.0, protobuf-c 1.4.1, ...)". Static
// memory.
FINEPRUNE_API const char *fineprune_version(void);
FINEPRUNE_API const char *fineprune_version_long(void);

// Called now and then from within a long call, always on the calling thread. `stage` is a static word ("forward",
// "repair", ...); done and total count samples or weights. A non-zero return cancels the call with FINEPRUNE_CANCELLED.
typedef int (*fineprune_progress)(void *user, const char *stage, size_t done, size_t total);

// What every long call obeys. Zero values are the defaults. It has no `size` and does not grow, as it is a part of
// fineprune_prune_options.
typedef struct fineprune_run_options {
    int threads; // 0: all cores. The result is the same with any number, whatever the host or the environment has set
                 // for OpenMP and OpenBLAS. A call leaves the host's settings as they were; while it runs, OpenBLAS has
                 // one thread in the whole process
    size_t max_memory; // bytes of tensors, statistics and model; 0: no limit
    size_t batch;      // the most samples run at once; 0: chosen
    fineprune_progress progress;
    void *progress_user;
    const char *scratch; // folder for the changed weights of a model over 1 GiB (an unnamed file, gone with the model);
                         // NULL: they stay in memory
} fineprune_run_options;

// ---------------------------------------------------------------------------------------------------------------------
// Models

typedef struct fineprune_model fineprune_model;

// Reads an ONNX file ("-": standard input), checks it and keeps it in memory; external data are found beneath the
// file's own folder only (of standard input, the working folder). On
// success *out is the caller's, freed with fineprune_model_free. options may be NULL. Errors: IO (cannot be read),
// MODEL (not ONNX, damaged, over a limit of nesting or size).
FINEPRUNE_API int fineprune_model_open(fineprune_model **out, const char *path, const fineprune_run_options *options,
                                       fineprune_error *err);
// The same of a model of `size` bytes in memory, which are copied. path is where it would lie: what belongs to a model
// is looked for beside it (external data, preparations, names of classes), and messages name it. NULL: nothing lies
// beside it, and external data are IO when they are asked for. Errors: USAGE (no bytes), MODEL, LIMIT.
FINEPRUNE_API int fineprune_model_read(fineprune_model **out, const void *bytes, size_t size, const char *path,
                                       const fineprune_run_options *options, fineprune_error *err);
FINEPRUNE_API void fineprune_model_free(fineprune_model *model);
// The name of an input that data are for, in order from 0; NULL past the last. It is the model's.
FINEPRUNE_API const char *fineprune_model_input(const fineprune_model *model, size_t index);
// Whether `path` is a file that is read with the model: its own, one of external data, or one beside it that tells of
// its classes or of how inputs were prepared (labels.txt, config.json, preprocessor_config.json, ...). Links are
// followed.
FINEPRUNE_API bool fineprune_model_reads(const fineprune_model *model, const char *path);

// Files that appear together or not at all. What is saved with a group is written and synced under temporary names,
// until fineprune_group_finish renames them all, in reverse order of saving. After finish the group takes no more
// files; free it in any case, which removes what was not finished.
typedef struct fineprune_group fineprune_group;
FINEPRUNE_API int fineprune_group_new(fineprune_group **out, fineprune_error *err);
FINEPRUNE_API int fineprune_group_finish(fineprune_group *group, fineprune_error *err);
FINEPRUNE_API void fineprune_group_free(fineprune_group *group); // accepts NULL

// What was written as sparse_initializer.
typedef struct fineprune_sparse_count {
    size_t tensors;
    size_t bytes, dense_bytes; // of these tensors as they were written, and what they would take as dense ones
} fineprune_sparse_count;

typedef struct fineprune_save_options {
    size_t size;              // sizeof(fineprune_save_options), set by the initialiser
    bool force;               // overwrite path when it exists
    bool sparse_initializers; // initializers of the main graph become sparse_initializer where that takes fewer bytes
                              // (of float32 from some 67 % zeros on), with the same elements. ONNX Runtime reads them;
                              // OpenVINO, TensorRT, XNNPACK, Core ML and many others do not
    int external_data;        // -1 never, 0 automatic (when the file would pass 1 GiB), 1 always
    fineprune_group *group;   // NULL: the file appears at once
    fineprune_sparse_count *sparse_count; // set to what sparse_initializers did; NULL: not wanted
} fineprune_save_options;

#ifdef __cplusplus
inline fineprune_save_options fineprune_save_options_init() {
    fineprune_save_options options = fineprune_save_options();
    options.size = sizeof(options);
    return options;
}
#define FINEPRUNE_SAVE_OPTIONS_INIT fineprune_save_options_init()
#else
#define FINEPRUNE_SAVE_OPTIONS_INIT {.size = sizeof(fineprune_save_options)}
#endif

// Writes the model to `path` ("-" is standard output): a temporary file in the same folder, fsync, rename. Nothing is
// left behind on failure. options may be NULL. Errors: USAGE (path exists without force, or is the file the model came
// from), IO, LIMIT.
FINEPRUNE_API int fineprune_model_save(const fineprune_model *model, const char *path,
                                       const fineprune_save_options *options, fineprune_error *err);
// The same bytes in memory: on success *bytes is malloc'ed and the caller's, freed with free(). Of the options only
// sparse_initializers and sparse_count count. Errors: USAGE (the model has external data, which need a file), LIMIT.
FINEPRUNE_API int fineprune_model_write(const fineprune_model *model, void **bytes, size_t *size,
                                        const fineprune_save_options *options, fineprune_error *err);

// ---------------------------------------------------------------------------------------------------------------------
// Data

typedef struct fineprune_data fineprune_data;

typedef struct fineprune_data_options {
    size_t size;               // sizeof(fineprune_data_options), set by the initialiser
    size_t limit;              // at most so many samples, spread evenly over all of them; 0: all
    const char *preprocess;    // preparation file for images, sound and files; NULL: looked for beside the model
    const char *resize;        // "224" or "256x192"; these override the file; NULL: not given
    const char *crop;          // "224" or "none"
    const char *mean;          // "0.485,0.456,0.406"
    const char *std;           // "0.229,0.224,0.225"
    const char *layout;        // "nchw" or "nhwc"
    const char *rate;          // "16000"
    const char *const *shapes; // "NAME:1,3,224,224", n_shapes of them: fixes symbolic dims of inputs
    size_t n_shapes;
    const char *on_bad_file; // what becomes of a file in a folder or list that cannot be used: NULL or "stop": the
                             // source is refused, naming all of them; "skip": it is left out, which the report counts;
                             // "list": likewise, and fineprune_check tells each as an obstacle
    const char *resample;    // "nearest", "bilinear", "bicubic" or "lanczos"; overrides the file; NULL: not given
    const char *color;       // "rgb" or "bgr"; the same
    bool no_exif;            // pictures stay as their rows are stored, whatever their EXIF orientation says
    const char *window;      // "1s", "500ms" or a number of samples at the model's rate: each sound file gives as many
                             // samples of that length as fit into it whole, one at least; NULL: it is one sample
    const char *hop;         // from where one window begins to where the next does; NULL: as long as a window
    int threads;             // that decode pictures; 0: all cores. No result depends on it
} fineprune_data_options;

#ifdef __cplusplus
inline fineprune_data_options fineprune_data_options_init() {
    fineprune_data_options options = fineprune_data_options();
    options.size = sizeof(options);
    return options;
}
#define FINEPRUNE_DATA_OPTIONS_INIT fineprune_data_options_init()
#else
#define FINEPRUNE_DATA_OPTIONS_INIT {.size = sizeof(fineprune_data_options)}
#endif

// An empty collection of samples for the inputs of `model`, which must not be freed before the collection. options may
// be NULL; its strings are copied. On success *out is the caller's, freed with fineprune_data_free.
FINEPRUNE_API int fineprune_data_open(fineprune_data **out, const fineprune_model *model,
                                      const fineprune_data_options *options, fineprune_error *err);
FINEPRUNE_API void fineprune_data_free(fineprune_data *data);

// Adds a source, "[NAME=]SRC": a .npz (keys are input names, axis 0 the samples), a .npy (models of one input), a
// folder of either, of test_data_set_* , of images or of sound files, with all folders below it, @list.txt, "-" for a
// .npz on standard input, or random[:SEED]; of files of any kind, where the preparation says that the model reads
// bytes. Shapes and types are checked against the model's inputs. Images and sound
// are decoded once here, unless there is a limit and no file may be skipped: then when they are used. After an error
// nothing of the source is there. Errors: DATA, IO, LIMIT.
FINEPRUNE_API int fineprune_data_add(fineprune_data *data, const char *source, fineprune_error *err);

// Samples of one input that lie in memory. The struct does not grow.
typedef struct fineprune_array {
    const char *input; // its name; NULL: the model's only one
    int type;          // as TensorProto.DataType of onnx.proto counts: 1 float, 2 uint8, 3 int8, 6 int32, 7 int64, 9
                       // bool, 10 float16, 11 double, 16 bfloat16, ...; no strings, nothing narrower than a byte
    int rank;
    const int64_t *dims;    // rank of them; axis 0 the samples, as in a .npz
    const int64_t *strides; // rank of them, in bytes, 0 and negative ones too; NULL: row-major without gaps
    const void *data;       // of element (0, 0, ...)
} fineprune_array;

// Adds n arrays as fineprune_data_add adds a .npz: all of them, or none after an error. The elements are copied, once;
// nothing of *arrays is used after the call. Errors: USAGE (no such type, rank or shape), DATA (no such input, or it
// does not fit), LIMIT.
FINEPRUNE_API int fineprune_data_add_arrays(fineprune_data *data, const fineprune_array *arrays, size_t n,
                                            fineprune_error *err);

// How many samples there are.
FINEPRUNE_API size_t fineprune_data_samples(const fineprune_data *data);
// Whether a file of the sources (of folders and lists too), or what they are prepared by, is read from that path, so
// that no output may be written there. "-" is standard output.
FINEPRUNE_API bool fineprune_data_reads(const fineprune_data *data, const char *path);

// ---------------------------------------------------------------------------------------------------------------------
// Reports: what a call found, as JSON, as text for people, as a page

typedef struct fineprune_report fineprune_report;

FINEPRUNE_API void fineprune_report_free(fineprune_report *report);
// malloc'ed text that the caller frees with free(); NULL when out of memory. json: one object, `schema` first. summary:
// the few lines for standard error. table: one row per weight. html: one page that stands alone. summary and table
// are plain text.
FINEPRUNE_API char *fineprune_report_json(const fineprune_report *report);
// What such an object may have, as JSON Schema (draft 2020-12): the types of all members, and which are always there.
FINEPRUNE_API char *fineprune_report_schema(void);
FINEPRUNE_API char *fineprune_report_summary(const fineprune_report *report);
FINEPRUNE_API char *fineprune_report_table(const fineprune_report *report);
FINEPRUNE_API char *fineprune_report_html(const fineprune_report *report);
// Adds a string or a number to an object of the report, as a program does that knows more than the library (where a
// file went, how long writing it took, ...). section NULL: the report itself. Errors: LIMIT.
FINEPRUNE_API int fineprune_report_note(fineprune_report *report, const char *section, const char *key,
                                        const char *value);
FINEPRUNE_API int fineprune_report_number(fineprune_report *report, const char *section, const char *key, double value);

// ---------------------------------------------------------------------------------------------------------------------
// Pruning

typedef struct fineprune_prune_options {
    size_t size;        // sizeof(fineprune_prune_options), set by the initialiser
    double sparsity;    // share of zeros over all prunable weights, from 0 to below 1; -1: auto
    const char *method; // a named set of the choices from score to refit; NULL: "fine-pruning"
    const char *score;  // here and in the choices below NULL: the method's. A name, which may have values of its
                        // parameters behind it, as in "obs:ridge=0.1,prior=20" (fineprune_list_parameter); not in
                        // pattern, whose sizes stand there
    const char *allocation;
    const char *pattern;
    const char *repair;
    const char *outputs;  // "keep" or "prune"
    const char *readout;  // "keep" or "hebbian"
    int rounds;           // 0: the method's for that sparsity; 100 at most
    double min_agreement; // share of the reserve's answers that must be those of the model that came in; 0: no gate
    double reserve; // share of the samples kept for measuring, never used for scores; -1: a tenth, 20 samples at least,
                    // a fifth at most
    const char *const *include; // only weights whose names match a glob; NULL-terminated; NULL: all
    const char *const *exclude; // not these; NULL: none
    bool keep_first, keep_last; // leave the first or last weight dense
    bool no_metadata;           // do not add metadata_props
    fineprune_run_options run;
    const char *channels; // "first" or "none"
    const char *swaps;    // "gradient" or "none"
    const char *refit;    // "sequential" or "none"
    const char *task; // what the outputs are: "classes", "labels" (independent), "other", or "auto" (NULL): judged from
                      // evidence
    double min_taught_agreement; // share of the reserve's answers that must be those of the dense model with the same
                                 // lesson; 0: no gate
    bool strict_sparsity; // true: exactly the zeros that were asked; false: fewer where the samples show that they cost
                          // more than the read-out's lesson gains
    const char *target;   // what the model may cost once fineprune_compact has taken whole channels out: "macs=0.5" or
                        // "macs=50%", a share of the multiply-adds that it came with, or "size=10M", bytes of the file,
                        // or "latency=0.6", the share of the time in this library with one thread, measured meanwhile,
                        // or "auto", the fewest multiply-adds that keep min_agreement (0.95 where it is 0);
                        // `sparsity` is then on top, 0 for no other zeros. GATE where not enough channels can go. NULL:
                        // none
    size_t multiple; // of which the channels are that a target keeps, to be given to fineprune_compact too; 0: 16, or
                     // what runtime_profile has
    bool shrink_outputs; // classes that are removed leave the output, which has fewer columns then; where none is, or
                         // where they cannot: GATE
    const char *runtime_profile; // where the result is to run, as fineprune_list names it under "runtime": sets
                                 // pattern, channels and multiple where they are not given (pattern and channels not
                                 // beside a target either), and the report says which weights that runtime computes
                                 // faster. NULL: anywhere
} fineprune_prune_options;

#ifdef __cplusplus
inline fineprune_prune_options fineprune_prune_options_init() {
    fineprune_prune_options options = fineprune_prune_options();
    options.size = sizeof(options);
    options.sparsity = 0.7;
    options.reserve = -1;
    return options;
}
#define FINEPRUNE_PRUNE_OPTIONS_INIT fineprune_prune_options_init()
#else
#define FINEPRUNE_PRUNE_OPTIONS_INIT {.size = sizeof(fineprune_prune_options), .sparsity = 0.7, .reserve = -1}
#endif

// Prunes `model` in place with the samples of `data`. On success *report (may be NULL) is the caller's. When a gate is
// missed the call returns FINEPRUNE_GATE with the model pruned and *report set. On another failure the model may be
// half pruned: free it.
FINEPRUNE_API int fineprune_prune(fineprune_model *model, fineprune_data *data, const fineprune_prune_options *options,
                                  fineprune_report **report, fineprune_error *err);
// Whether only smaller shapes make the runtime of that name faster, so that fineprune_compact belongs behind a pruning
// for it. False for unknown names.
FINEPRUNE_API bool fineprune_runtime_compacts(const char *name);
// The masks of the last fineprune_prune or fineprune_apply on this model, as a .npz of bool arrays keyed by tensor name
// (true: kept). group may be NULL.
FINEPRUNE_API int fineprune_masks_save(const fineprune_model *model, const char *path, bool force,
                                       fineprune_group *group, fineprune_error *err);

// ---------------------------------------------------------------------------------------------------------------------
// Statistics apart from pruning

typedef struct fineprune_stats fineprune_stats;

// Runs the samples and gathers all that any score, repair and read-out needs. The caller owns *out.
FINEPRUNE_API int fineprune_score(fineprune_stats **out, fineprune_model *model, fineprune_data *data,
                                  const fineprune_run_options *options, fineprune_error *err);
FINEPRUNE_API int fineprune_stats_open(fineprune_stats **out, const char *path, fineprune_error *err);
FINEPRUNE_API int fineprune_stats_save(const fineprune_stats *stats, const char *path, bool force,
                                       fineprune_error *err);
// Adds `other` (disjoint data, same model) to `stats`. Errors: DATA when they belong to different models.
FINEPRUNE_API int fineprune_stats_merge(fineprune_stats *stats, const fineprune_stats *other, fineprune_error *err);
FINEPRUNE_API void fineprune_stats_free(fineprune_stats *stats);
// As fineprune_prune, from statistics alone: one round, no measuring on a reserve.
FINEPRUNE_API int fineprune_apply(fineprune_model *model, const fineprune_stats *stats,
                                  const fineprune_prune_options *options, fineprune_report **report,
                                  fineprune_error *err);

// ---------------------------------------------------------------------------------------------------------------------
// Smaller shapes

// Takes hidden channels that no layer reads (all their columns are zero, whoever pruned them) out of the model's
// tensors, with what makes them and all that goes with them; the outputs are as before. Where some leave a group of
// channels, as many stay as are a multiple of `multiple` (0: 16, which kernels of runtimes like, or that of the given
// report's runtime; 1: none is kept for that). What cannot be cut stays, and the report says why. report may be NULL;
// *report: NULL, then a new one is put there; or that of fineprune_prune, which the section "compact" is added to. The
// masks of a pruning are of the shapes as they were. Statistics of the model before fit it no more. After an error
// other than a wrong argument the model is not to be used.
FINEPRUNE_API int fineprune_compact(fineprune_model *model, size_t multiple, const fineprune_run_options *options,
                                    fineprune_report **report, fineprune_error *err);

// ---------------------------------------------------------------------------------------------------------------------
// Looking and measuring. report may be NULL in all of them; *report is the caller's otherwise.

// Inputs, outputs, operators, weights, sparsity, the pattern that zeros follow and multiply-adds of a model (the latter
// where its inputs have fixed sizes), and what compact would leave of it. No data, no product is computed. The report
// leaves out the model's SHA-256, which would take longer than all the rest.
FINEPRUNE_API int fineprune_inspect(const fineprune_model *model, fineprune_report **report, fineprune_error *err);
// Every obstacle to running and pruning at once. data may be NULL. Returns MODEL or DATA when there is an obstacle;
// *report is set in that case too.
FINEPRUNE_API int fineprune_check(fineprune_model *model, fineprune_data *data, fineprune_report **report,
                                  fineprune_error *err);
// Runs the model over the samples and writes a .npz keyed by output name, axis 0 the samples.
FINEPRUNE_API int fineprune_run(fineprune_model *model, fineprune_data *data, const char *path, bool force,
                                const fineprune_run_options *options, fineprune_report **report, fineprune_error *err);
// Writes what the model gets of each sample into `folder`, one file for each input: STEM_000017.png of what is laid out
// as a picture, .wav of waves from sound files, .txt of all else. STEM is that of the sample's file. Pictures from
// files are brought back to 0..255 by the inverse of their preparation; other values go from the least as black to the
// greatest as white, unless they are uint8. The folder is made for its owner alone where it is not there. Each file
// appears whole; after an error those before it stay. Errors: USAGE (as fineprune_folder_check, or it lies in the
// data), DATA, IO, LIMIT.
FINEPRUNE_API int fineprune_show(fineprune_model *model, fineprune_data *data, const char *folder, bool force,
                                 const fineprune_run_options *options, fineprune_report **report, fineprune_error *err);
typedef struct fineprune_compare_options {
    size_t size;        // sizeof(fineprune_compare_options), set by the initialiser
    const char *task;   // as in fineprune_prune_options: what the outputs of model a are
    const char *labels; // a .npy of class indices; a .csv of lines "file,label", the label a class index or name;
                        // "folders" for the names of the folders right below the sources: adds the accuracy of both,
                        // and among the five best of ten classes or more. NULL: none
    fineprune_run_options run;
    bool layers; // adds the error of what each layer of b gives, by the same name or at the same weight, against a's
} fineprune_compare_options;

#ifdef __cplusplus
inline fineprune_compare_options fineprune_compare_options_init() {
    fineprune_compare_options options = fineprune_compare_options();
    options.size = sizeof(options);
    return options;
}
#define FINEPRUNE_COMPARE_OPTIONS_INIT fineprune_compare_options_init()
#else
#define FINEPRUNE_COMPARE_OPTIONS_INIT {.size = sizeof(fineprune_compare_options)}
#endif

// Drift of b's outputs against a's over the same samples. Outputs are compared by answers only where they are judged to
// be classes, or labels are given. options may be NULL.
FINEPRUNE_API int fineprune_compare_with(fineprune_model *a, fineprune_model *b, fineprune_data *data,
                                         const fineprune_compare_options *options, fineprune_report **report,
                                         fineprune_error *err);
// The same with labels as above (or NULL).
FINEPRUNE_API int fineprune_compare(fineprune_model *a, fineprune_model *b, fineprune_data *data, const char *labels,
                                    const fineprune_run_options *options, fineprune_report **report,
                                    fineprune_error *err);
// The same, where `task` (as in fineprune_prune_options) says whether the outputs of model a are classes.
FINEPRUNE_API int fineprune_compare_as(const char *task, fineprune_model *a, fineprune_model *b, fineprune_data *data,
                                       const char *labels, const fineprune_run_options *options,
                                       fineprune_report **report, fineprune_error *err);

// ---------------------------------------------------------------------------------------------------------------------
// Files, for programs that promise the same of theirs

// Whether `path` may be written, asked before any work is done: refuses (USAGE) what exists without force, is a folder,
// lies in a folder that is not there, or is the same file as `input` (by path, link or inode; NULL: no input) or would
// remove it, as it is named like what a killed run leaves of `path`; IO when the folder cannot be written to. "-" is
// standard output, as an input standard input; it is well where it is no regular file that is the input. Writes
// nothing.
FINEPRUNE_API int fineprune_output_check(const char *path, const char *input, bool force, fineprune_error *err);
// The same for a folder that files are to be put into: it must be empty, or not be there while the one around it is;
// with force it may hold files. Writes nothing. Errors: USAGE, IO.
FINEPRUNE_API int fineprune_folder_check(const char *path, bool force, fineprune_error *err);
// Writes text to a file as fineprune_model_save does: whole or not at all; "-" is standard output. group may be NULL.
// Errors: USAGE (exists without force), IO.
FINEPRUNE_API int fineprune_text_save(const char *path, const char *text, bool force, fineprune_group *group,
                                      fineprune_error *err);
// Removes the temporary files of every output that is being written. Async-signal-safe: for a signal handler that ends
// the process.
FINEPRUNE_API void fineprune_emergency(void);

// ---------------------------------------------------------------------------------------------------------------------
// Lists: what can be named in the options

// kind: "method", "score", "allocation", "pattern", "repair", "channels", "swaps", "refit", "outputs", "readout",
// "runtime", "operator". Sets *name and *summary (static memory) for index 0, 1, ...; false past the end or for an
// unknown kind. The summary of an operator is its domain.
FINEPRUNE_API bool fineprune_list(const char *kind, size_t index, const char **name, const char **summary);

// A number of an idea that can be set in the text that names it: "obs:ridge=0.1". The struct does not grow.
typedef struct fineprune_parameter {
    const char *name, *why; // static memory
    double initial, lowest, highest;
    bool whole; // whole numbers only
} fineprune_parameter;

// The parameter `number` (0, 1, ...) of what fineprune_list has at that index; false past the last one.
FINEPRUNE_API bool fineprune_list_parameter(const char *kind, size_t index, size_t number, fineprune_parameter *out);
// Whether a text of fineprune_prune_options names something of that kind (as in fineprune_list, but for "operator", and
// "target"),
// with parameters that it has and values in
// their ranges, asked before any work is done. Errors: USAGE.
FINEPRUNE_API int fineprune_choice_check(const char *kind, const char *text, fineprune_error *err);

#ifdef __cplusplus
}
#endif
#endif
