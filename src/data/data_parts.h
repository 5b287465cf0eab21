// SPDX-License-Identifier: Apache-2.0
// How samples are kept. Every input of the model has a column of pieces; a piece is what one file (or a generator)
// gives: the rows of an array, one whole input, or a file that is decoded when its sample is asked for. Sample number s
// is row s of every column.
#ifndef FP_DATA_PARTS_H
#define FP_DATA_PARTS_H

#include "base/arena.h"
#include <stdio.h>

#include "base/stamp.h"
#include "data/data.h"
#include "data/data_view.h"
#include "onnx/graph.h"

// What the model wants at one input, with --shape applied.
struct fp_input {
    const char *name;
    enum fp_type type; // FP_NONE: not declared, the first array tells
    int rank;          // -1: not declared
    int64_t dims[FP_MAX_RANK];
    const char *symbols[FP_MAX_RANK]; // names of symbolic dims or NULL
    int batch_axis;                   // of the samples in arrays of as many axes: 0, or what names and use say
    bool moved;                       // there was such an array, of another axis than 0
    const char *foreign;              // what it is when samples cannot give it: "a sequence", "an optional"; else NULL
};

enum fp_piece_mode {
    FP_ROWS,     // samples lie along axis 0, their batch axis
    FP_WHOLE,    // every sample is a whole input, batch axis included
    FP_CONSTANT, // one value for all samples, of whatever number
};

struct fp_far;
struct fp_npz;
struct fp_piece;
struct fp_piece_kind {
    // Shape of sample `index` (counted within the piece), without the batch axis of FP_ROWS.
    int (*shape)(const struct fp_piece *piece, size_t index, int *rank, int64_t *dims, fineprune_error *err);
    // Fills dst, which has the input's type, that shape, and memory.
    int (*load)(const struct fp_piece *piece, size_t index, struct fp_tensor *dst, fineprune_error *err);
    // Of files that become numbers (else NULL): what they are, how they do, after a comma each, and what can be seen or
    // heard of one again.
    const char *what;
    void (*tell)(const struct fp_piece *piece, FILE *out);
    void (*view)(const struct fp_piece *piece, struct fp_view *view);
};

#define FP_ENDLESS SIZE_MAX

struct fp_piece {
    const struct fp_piece_kind *kind;
    enum fp_piece_mode mode;
    const struct fineprune_data *data;
    const struct fp_input *input;
    size_t first, n;        // numbers of its samples; n is FP_ENDLESS for a generator and a constant
    char *path;             // of a file that is read late
    struct fp_stamp stamp;  // of that file when it was added
    char *name;             // for messages
    char *class_folder;     // of a file below a folder that is a source: the first folder on the way, or NULL
    char *file;             // its path as it was opened, or NULL
    size_t below;           // where in it the part below the folder begins that is the source
    bool huge;              // it may have values beyond FP_HUGE
    struct fp_tensor array; // of one that is in memory; or type and dims of
    struct fp_far *far;     // one that stays in its file
    uint64_t seed;          // of a generator
    int64_t extent[2];      // of a file that is read late: width and height, or frames and channels
    int rate;
    bool windows;             // its samples are windows of a recording
    struct fp_image *decoded; // of a picture: its pixels once it has been read, as long as there is room for them
};

struct fp_column {
    struct fp_piece *pieces;
    size_t n, capacity, samples;
    bool endless; // its one piece serves any number of samples
};

enum {
    FP_OPTION_PREPROCESS,
    FP_OPTION_RESIZE,
    FP_OPTION_CROP,
    FP_OPTION_MEAN,
    FP_OPTION_STD,
    FP_OPTION_LAYOUT,
    FP_OPTION_RATE,
    FP_OPTION_RESAMPLE,
    FP_OPTION_COLOR,
    FP_OPTION_WINDOW,
    FP_OPTION_HOP,
    FP_OPTIONS
};

// What becomes of a file that cannot be used.
enum fp_on_bad_file {
    FP_BAD_STOP, // the source is refused, with all such files
    FP_BAD_SKIP, // it is left out and counted
    FP_BAD_LIST, // likewise, for who asks for obstacles
};

// How a source is coming along.
struct fp_adding {
    size_t *before_file;      // pieces of each input
    size_t tried, bad;        // files
    bool out_of_step;         // one of them was for one of several inputs
    const char *class_folder; // of the file that is being added, up to a slash, or NULL
    bool in_folder;           // that file was found in a folder
    const char *file;         // that one, or NULL
    size_t below;             // bytes of it that are the source's own path and the slash
    bool whole;               // an array had no room that would with a limit, which takes less than all of it
    fineprune_error first;
};

// Texts, of which the first are kept; with how often each came in tallies of kinds.
struct fp_tally {
    struct fp_tally_item {
        char *text;
        size_t n;
    } *items;
    size_t n, capacity, total;
};

struct fineprune_data {
    const struct fineprune_model *model;
    struct fp_memory *memory; // the model's: there is one budget
    size_t limit;
    size_t far; // arrays that stay in files that are kept open
    bool alone; // samples never share a run
    size_t n_inputs;
    struct fp_input *inputs;
    struct fp_column *columns;
    size_t bare; // samples of a model without inputs
    char **sources;
    size_t n_sources, capacity;
    struct fp_stamp *reads; // files that were looked at, also in vain
    size_t n_reads, reads_capacity;
    uint64_t *hashes;                 // of samples, 0 where not computed yet; NULL before the first
    struct fp_preprocess *preprocess; // made at the first image or sound
    size_t *decoded;                  // bytes of pictures that are kept decoded; made at the first one
    struct fp_sound_count *sounds;    // made at the first one
    char *options[FP_OPTIONS];        // copies of fineprune_data_options
    enum fp_on_bad_file on_bad_file;
    bool no_exif;
    int threads;                       // that decode pictures; 0: as many as there are cores
    struct fp_ahead *ahead;            // pictures of files that are to be added, while a folder is
    bool asked_for_bytes, reads_bytes; // the latter once the former
    struct fp_adding *adding;          // while a source is added
    struct fp_tally bad;               // why files could not be used
    struct fp_tally left_out;          // paths of these files
    struct fp_tally passed;            // what in folders is no data, by kind
};

// ---- data_add.c

// Adds a source by that name: what `add` puts into the columns, or nothing of it when that fails.
// fp_data_in_memory stands once for all arrays that follow each other.
typedef int fp_data_adder(struct fineprune_data *data, const void *user, fineprune_error *err);
extern const char fp_data_in_memory[];
int fp_data_add_as(struct fineprune_data *data, const char *source, fp_data_adder *add, const void *user,
                   fineprune_error *err);

// ---- data_fit.c: does it fit?

// "'x' float32 [batch,3,224,224]" into dst; returns dst.
char *fp_input_text(char *dst, size_t size, const struct fp_input *input);
// All inputs, with commas.
char *fp_inputs_text(char *dst, size_t size, const struct fp_input *inputs, size_t n);
// Whether dims fit the input's from its axis `skip` on.
bool fp_input_fits(const struct fp_input *input, int skip, int rank, const int64_t *dims);
// Checks the array against the input by rank and dims and says how it holds samples: as many axes as the input: axis 0;
// one more: whole inputs along axis 0; none for an input without axes: a constant. `name` names file and array.
int fp_fit_array(const struct fp_input *input, const struct fp_tensor *array, const char *name,
                 enum fp_piece_mode *mode, fineprune_error *err);
// Checks the elements: none is NaN or infinite, all can be held by the input's type (a fraction or a number out of
// range is not cut to an integer, bool takes 0 and 1). For the message: `first` elements come before these, and the
// samples take turns, `run` elements each. *huge is set where a value is beyond FP_HUGE.
struct fp_turns {
    size_t n, run; // n 0: there is one sample
};
int fp_fit_elements(const struct fp_input *input, const struct fp_tensor *array, size_t first, struct fp_turns turns,
                    const char *name, bool *huge, fineprune_error *err);
// Whether a float has values beyond FP_HUGE, NaN or infinities.
bool fp_has_huge(const struct fp_tensor *array);
// The axis along which samples lie by the names of the input's axes: another than 0 when that one is named as the batch
// and axis 0 is not. Without such names: axis 1 of what goes into a recurrent layer as it is.
int fp_fit_batch_axis(const struct fp_graph *graph, int value);
// Type and dims of an array of the input's rank, samples along the input's batch axis, with an axis of samples in
// front instead, where the other has length 1. Errors: DATA.
int fp_fit_moved(const struct fp_input *input, const struct fp_tensor *array, const char *name, struct fp_tensor *moved,
                 fineprune_error *err);
// Makes the array that. Errors: DATA, LIMIT.
int fp_fit_move(const struct fp_input *input, struct fp_tensor *array, const char *name, struct fp_memory *memory,
                fineprune_error *err);
// Applies "NAME:1,3,224,224" to the inputs, and to other inputs' symbols of the same names.
int fp_fit_shape(struct fp_input *inputs, size_t n, const char *text, fineprune_error *err);

// ---- data.c

// Adds a piece to the input's column. Takes piece->path and piece->array over in any case.
int fp_data_put(struct fineprune_data *data, size_t input, struct fp_piece *piece, const char *name,
                fineprune_error *err);
// The same for an array that is in memory; it is checked here.
int fp_data_put_array(struct fineprune_data *data, size_t input, struct fp_tensor *array, const char *name,
                      fineprune_error *err);
// One sample that is a whole input. With a limit it is let go, and read again when it is asked for.
struct fp_source_file {
    const char *path;
    struct fp_stamp stamp; // of before it was read
};
int fp_data_put_whole(struct fineprune_data *data, size_t input, struct fp_tensor *array,
                      const struct fp_source_file *file, const char *name, fineprune_error *err);
// DATA when samples cannot give the input.
int fp_data_takes(const struct fineprune_data *data, size_t input, const char *name, fineprune_error *err);
// Index of the input of that name, n_inputs when there is none.
size_t fp_data_input(const struct fineprune_data *data, const char *name, size_t length);
// The input NAME of "NAME=SRC", and *source moved behind the '='; n_inputs when no input has that name. Names may hold
// '=' themselves.
size_t fp_data_split(const struct fineprune_data *data, const char **source);

// The piece that gives a sample, of those within the limit.
const struct fp_piece *fp_data_piece(const struct fineprune_data *data, size_t input, size_t sample);

// Makes data->preprocess when it is not there yet.
int fp_data_preprocess(struct fineprune_data *data, fineprune_error *err);
// What is wrong with the one that was given, where nothing else can be made of a source.
int fp_data_check_preprocess(struct fineprune_data *data, fineprune_error *err);

// ---- data_far.c: arrays that stay in their files

// Adds the array at the path as a piece when it is to stay in its file: a large one, and with a limit any, as few of
// its samples may be taken. *stays is false, without an error, when it is to be loaded. npz NULL: the path is a .npy.
int fp_data_put_far(struct fineprune_data *data, size_t input, struct fp_npz *npz, const char *key, const char *path,
                    const char *name, bool *stays, fineprune_error *err);
void fp_far_free(struct fp_far *far); // accepts NULL
// Whether its file is kept open.
bool fp_far_is_open(const struct fp_far *far);
// Forgets which samples a limit takes, as they become others.
void fp_data_far_again(struct fineprune_data *data);

// ---- data_source.c: what a name stands for. input is n_inputs when the source was not given for one input.

// The input that a source without a NAME is for: the model's only one, else an error.
int fp_data_only_input(const struct fineprune_data *data, size_t *input, const char *path, fineprune_error *err);
int fp_data_add_source(struct fineprune_data *data, size_t input, const char *source, int depth, fineprune_error *err);

#define FP_DATA_ACCEPTED                                                                                               \
    ".npz, .npy, images (.png, .jpg, .webp, .gif, .tif, .bmp), sound (.wav, .flac, .ogg, .mp3, .aiff, .au) or "        \
    "test_data_set_* with input_*.pb"

struct fp_file_kind {
    const char *what;
    const char *endings; // each with a blank after it
    int (*add)(struct fineprune_data *, size_t, const char *, fineprune_error *);
};
// By the ending; NULL: no data.
const struct fp_file_kind *fp_data_file_kind(const char *name);
// Of arrays and tensors.
bool fp_data_holds_arrays(const struct fp_file_kind *kind);
// Adds a file of a source. One that cannot be used is noted, and no error yet.
int fp_data_add_file(struct fineprune_data *data, size_t input, const char *path, const struct fp_file_kind *kind,
                     fineprune_error *err);
// input_N.pb goes to the input that the tensor is named after, else to input number N. seen [n_inputs].
int fp_data_add_set_file(struct fineprune_data *data, const char *path, unsigned long number, bool *seen,
                         fineprune_error *err);

// ---- data_folder.c. path ends in no slash, but for "/".

int fp_data_add_folder(struct fineprune_data *data, size_t input, const char *path, fineprune_error *err);

// ---- data_add.c

// Notes a file that cannot be used, and why; its path, where it was opened. err: of the noting.
int fp_data_bad_file(struct fineprune_data *data, const fineprune_error *why, fineprune_error *err);
// Whether pictures and sound are decoded when they are added. A limit may take a few of very many, which then would
// all be decoded in vain; where some may be left out it must be known which.
static inline bool fp_data_decodes(const struct fineprune_data *data) {
    return !data->limit || data->on_bad_file != FP_BAD_STOP;
}
// Notes that the file is read; "-" is standard input.
int fp_data_note_file(struct fineprune_data *data, const char *path, fineprune_error *err);
// Notes a file that is no data, by its kind.
int fp_data_pass_over(struct fineprune_data *data, const char *kind, fineprune_error *err);

// ---- data_bytes.c

// Whether files of any kind are samples. What is named itself and holds arrays gives these.
bool fp_data_reads_bytes(struct fineprune_data *data);
extern const struct fp_file_kind fp_data_bytes;

// ---- data_random.c, data_image.c, data_sound.c

int fp_data_add_random(struct fineprune_data *data, size_t input, const char *seed, fineprune_error *err);
int fp_data_add_image(struct fineprune_data *data, size_t input, const char *path, fineprune_error *err);
int fp_data_add_sound(struct fineprune_data *data, size_t input, const char *path, fineprune_error *err);

// ---- data_image.c

// A picture as a piece, from its header; piece->path is the caller's, and `decoded` none. data->preprocess is there.
// Errors: DATA, IO.
int fp_data_image_piece(struct fp_piece *piece, const struct fineprune_data *data, size_t input, const char *path,
                        fineprune_error *err);
// Its pixels as they are wanted, before they become numbers. Several threads may do so, each with memory of its own.
// *out is freed with fp_image_done; after a failure there is nothing. Errors: DATA, IO, LIMIT.
int fp_data_image_decode(const struct fp_piece *piece, struct fp_memory *memory, struct fp_image *out,
                         fineprune_error *err);
// Takes pixels over for when the piece is asked for: once, or for good where there is room.
void fp_data_image_keep(const struct fp_piece *piece, struct fp_image *image);

// ---- data_ahead.c

// Decodes the first of n files that are about to be added, which are pictures; returns how many of them it has tried.
// And the pixels of one of them, once, for the caller to free.
size_t fp_data_ahead_files(struct fineprune_data *data, size_t input, char *const *paths, size_t n);
bool fp_data_ahead_take(struct fineprune_data *data, const char *path, struct fp_image *out);
void fp_data_ahead_free(struct fp_ahead *ahead); // accepts NULL

void fp_data_tally_done(struct fp_tally *tally);
void fp_data_tally_shrink(struct fp_tally *tally, size_t n, size_t total);
int fp_data_add_npz(struct fineprune_data *data, size_t input, const char *path, fineprune_error *err);
// Takes back what a source has added before it failed: pieces beyond n_before [n_inputs].
void fp_data_take_back(struct fineprune_data *data, const size_t *n_before, size_t bare);

#endif
