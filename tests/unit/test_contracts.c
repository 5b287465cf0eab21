// SPDX-License-Identifier: Apache-2.0
// Each member of the public structs of options has the effect that its comment in fineprune.h names. A member that is
// new in the header and has no row here fails the test.
#include "sample_model.h"
#include "data/data.h"

#include <dirent.h>
#include <jansson.h>
#include <png.h>
#include <sndfile.h>
#include <sys/stat.h>
#include <zlib.h>

enum { N = 120 };

// What a program asks for.
struct call {
    const char *model, *source, *out;
    bool looks;    // only at the first sample
    bool compares; // the model with itself
    fineprune_run_options run;
    fineprune_data_options data;
    fineprune_prune_options prune;
    fineprune_save_options save;
    fineprune_compare_options compare;
    fineprune_sparse_count count;
};

// What it gets. Fingerprints are 0 where there is nothing.
struct outcome {
    int status;
    uint64_t first, saved; // of the first sample, of the file
    size_t samples, size;  // of the file
    bool apart;            // a file of external data is there
    json_t *report;
    size_t calls; // of progress
    int threads;  // of the process in the last of them, or after the data were added
    void *user;
    fineprune_sparse_count count;
};

// ---- what the members are tried on

static const char *folder;

static const char *in_folder(const char *name) {
    void *state = (void *)folder;
    return scratch_path(&state, name);
}

static void write_identity(const char *path, int rank, const int64_t *dims) {
    Onnx__ModelProto *m = made_new();
    made_input(m->graph, "x", rank, dims);
    made_node(m->graph, "Relu", "x", "y");
    MADE_ADD(m->graph, output, made_value("y", FP_FLOAT, rank, dims));
    made_write(m, path);
    onnx__model_proto__free_unpacked(m, NULL);
}

// With layers wide enough that channels can be spared.
static void write_wide(const char *path) {
    Onnx__ModelProto *m = made_new();
    made_input(m->graph, "x", SHAPE(-1, 3, SIDE, SIDE));
    made_random(m->graph, "w1", SHAPE(160, 3 * SIDE * SIDE), 1), made_random(m->graph, "w2", SHAPE(5, 160), 2);
    made_node(m->graph, "Flatten", "x", "f");
    made_int(made_node(m->graph, "Gemm", "f,w1", "h"), "transB", 1);
    made_node(m->graph, "Relu", "h", "r");
    made_int(made_node(m->graph, "Gemm", "r,w2", "y"), "transB", 1);
    MADE_ADD(m->graph, output, made_value("y", FP_FLOAT, SHAPE(-1, 5)));
    made_write(m, path);
    onnx__model_proto__free_unpacked(m, NULL);
}

// a.png again: with an EXIF chunk behind its header that says it lies on its side; and beside a file that is cut short.
static void write_photos(void) {
    uint8_t bytes[2000], exif[] = {0, 0, 0, 26, 'e', 'X', 'I', 'f', 'I', 'I', '*', 0, 8, 0, 0, 0, 1, 0, 0x12,
                                   1, 3, 0, 1,  0,   0,   0,   6,   0,   0,   0,   0, 0, 0, 0, 0, 0, 0, 0};
    enum { HEAD = 33 };
    FILE *f = fopen(in_folder("a.png"), "rb");
    assert_non_null(f);
    const size_t n = fread(bytes, 1, sizeof(bytes), f);
    fclose(f);
    const uint32_t check = (uint32_t)crc32(0, exif + 4, sizeof(exif) - 8);
    for (int i = 0; i < 4; i++) exif[sizeof(exif) - 4 + (size_t)i] = (uint8_t)(check >> (24 - 8 * i));
    f = fopen(in_folder("turned.png"), "wb");
    assert_non_null(f);
    fwrite(bytes, 1, HEAD, f), fwrite(exif, 1, sizeof(exif), f), fwrite(bytes + HEAD, 1, n - HEAD, f);
    fclose(f);
    assert_int_equal(mkdir(in_folder("photos"), 0700), 0);
    scratch_write(in_folder("photos/a.png"), bytes, n);
    scratch_write(in_folder("photos/cut.png"), bytes, n / 2);
    assert_int_equal(mkdir(in_folder("many"), 0700), 0);
    for (int i = 0; i < 6; i++) {
        char name[40];
        snprintf(name, sizeof(name), "many/%d.png", i);
        scratch_write(in_folder(name), bytes, n);
    }
}

static void write_files(void) {
    enum { WIDE = 8, HIGH = 6, FRAMES = 800 };
    sample_write(in_folder("m.onnx"));
    sample_data(in_folder("x.npy"), N);
    write_wide(in_folder("wide.onnx"));
    write_identity(in_folder("image.onnx"), SHAPE(-1, 3, -1, -1));
    write_identity(in_folder("square.onnx"), SHAPE(-1, 3, 3, 3));
    write_identity(in_folder("sound.onnx"), SHAPE(-1, -1));
    uint8_t pixels[3 * WIDE * HIGH];
    for (size_t i = 0; i < sizeof(pixels); i++) pixels[i] = (uint8_t)(i * i * 7 + 13 * i);
    png_image png = {.version = PNG_IMAGE_VERSION, .width = WIDE, .height = HIGH, .format = PNG_FORMAT_RGB};
    assert_true(png_image_write_to_file(&png, in_folder("a.png"), 0, pixels, 0, NULL));
    write_photos();
    SF_INFO info = {.channels = 1, .samplerate = 8000, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16};
    SNDFILE *sound = sf_open(in_folder("a.wav"), SFM_WRITE, &info);
    assert_non_null(sound);
    for (int i = 0; i < FRAMES; i++) {
        const double frame = (i * i % 97) / 100.0;
        assert_int_equal(sf_writef_double(sound, &frame, 1), 1);
    }
    sf_close(sound);
    const char preparation[] = "{\"image_mean\": [0.5, 0.5, 0.5], \"image_std\": [1, 1, 1]}";
    scratch_write(in_folder("p.json"), preparation, strlen(preparation));
    scratch_write(in_folder("there.onnx"), "precious", 8);
}

// ---- a call

// Of this process: teams and what watches over them.
static int count_threads(void) {
    DIR *tasks = opendir("/proc/self/task");
    int n = 0;
    while (tasks && readdir(tasks)) n++;
    if (tasks) closedir(tasks);
    return n;
}

static struct outcome *progressed; // what progress tells of

static int see_progress(void *user, const char *stage, size_t done, size_t total) {
    assert_true(stage[0] && done <= total);
    progressed->calls++;
    progressed->threads = count_threads();
    progressed->user = user;
    return 0;
}

static int cancel(void *user, const char *stage, size_t done, size_t total) {
    return (void)user, (void)stage, (void)done, (void)total, 1;
}

static void defaults(struct call *c) {
    *c = (struct call){.model = "m.onnx",
                       .source = "x.npy",
                       .out = "out.onnx",
                       .data = FINEPRUNE_DATA_OPTIONS_INIT,
                       .prune = FINEPRUNE_PRUNE_OPTIONS_INIT,
                       .save = FINEPRUNE_SAVE_OPTIONS_INIT,
                       .compare = FINEPRUNE_COMPARE_OPTIONS_INIT};
    c->prune.method = "magnitude";
    c->run.threads = 1; // so many small calls are slower with more beside other work
}

// The first sample's shape and elements.
static int look(struct outcome *o, fineprune_data *data) {
    struct fp_tensor t = {0};
    const size_t first = 0;
    int status = fp_data_batch(data, &first, 1, &t, NULL);
    if (!status) o->first = fp_hash(t.dims, (size_t)t.rank * sizeof(t.dims[0]), 1);
    if (!status) o->first = fp_hash(t.data, fp_tensor_bytes(&t), o->first);
    fp_tensor_done(&t);
    return status;
}

static void read_saved(struct outcome *o, const struct call *c) {
    struct stat st;
    char beside[100];
    snprintf(beside, sizeof(beside), "%s.data", c->out);
    o->apart = !stat(in_folder(beside), &st);
    if (o->apart) remove(in_folder(beside));
    if (stat(in_folder(c->out), &st)) return;
    uint8_t *bytes = scratch_read(in_folder(c->out), &o->size);
    o->saved = fp_hash(bytes, o->size, 1);
    free(bytes);
    if (strcmp(c->out, "there.onnx")) remove(in_folder(c->out));
}

static void keep_report(struct outcome *o, fineprune_report *report) {
    char *json = report ? fineprune_report_json(report) : NULL;
    o->report = json ? json_loads(json, 0, NULL) : NULL;
    free(json);
    fineprune_report_free(report);
}

static int compare_both(struct outcome *o, const struct call *c, fineprune_model *model, fineprune_data *data) {
    fineprune_model *second = NULL;
    fineprune_report *report = NULL;
    int status = fineprune_model_open(&second, in_folder(c->model), NULL, NULL);
    if (!status) status = fineprune_compare_with(model, second, data, &c->compare, &report, NULL);
    keep_report(o, report);
    fineprune_model_free(second);
    return status;
}

static int prune_and_save(struct outcome *o, struct call *c, fineprune_model *model, fineprune_data *data) {
    fineprune_report *report = NULL;
    if (!c->prune.run.progress && !c->prune.run.batch) c->prune.run = c->run;
    int status = fineprune_prune(model, data, &c->prune, &report, NULL);
    keep_report(o, report);
    return status ? status : fineprune_model_save(model, in_folder(c->out), &c->save, NULL);
}

static void make(struct outcome *o, struct call *c) {
    fineprune_model *model = NULL;
    fineprune_data *data = NULL;
    char source[300];
    *o = (struct outcome){0};
    progressed = o;
    snprintf(source, sizeof(source), "%s", strchr(c->source, ':') ? c->source : in_folder(c->source));
    o->status = fineprune_model_open(&model, in_folder(c->model), &c->run, NULL);
    if (!o->status) o->status = fineprune_data_open(&data, model, &c->data, NULL);
    if (!o->status) o->status = fineprune_data_add(data, source, NULL);
    if (!o->status) o->samples = fineprune_data_samples(data);
    if (!o->status && c->looks) o->threads = count_threads();
    if (!o->status && c->compares) o->status = compare_both(o, c, model, data);
    else if (!o->status) o->status = c->looks ? look(o, data) : prune_and_save(o, c, model, data);
    read_saved(o, c);
    if (c->save.sparse_count) o->count = *c->save.sparse_count;
    fineprune_group_free(c->save.group);
    fineprune_data_free(data), fineprune_model_free(model);
}

// ---- what can be seen of an outcome

static const json_t *member(const struct outcome *o, const char *object, const char *name) {
    return json_object_get(json_object_get(o->report, object), name);
}

static double number(const struct outcome *o, const char *object, const char *name) {
    return json_number_value(member(o, object, name));
}

// Whether the list has an entry of that name.
static bool lists(const struct outcome *o, const char *list, const char *name) {
    const json_t *all = json_object_get(o->report, list);
    for (size_t i = 0; i < json_array_size(all); i++)
        if (!strcmp(json_string_value(json_object_get(json_array_get(all, i), "name")), name)) return true;
    return false;
}

static bool gate(const struct outcome *o, const char *name) { return lists(o, "gates", name); }
static bool pruned(const struct outcome *o, const char *weight) { return lists(o, "layers", weight); }

static bool task_is(const struct outcome *o, const char *kind) {
    char *text = json_dumps(json_object_get(o->report, "task"), 0);
    const bool is = text && strstr(text, kind);
    free(text);
    return is;
}

static bool other_model(const struct outcome *a, const struct outcome *b) {
    return !a->status && !b->status && a->saved && b->saved && a->saved != b->saved;
}

static bool other_sample(const struct outcome *a, const struct outcome *b) {
    return !a->status && !b->status && a->first && b->first && a->first != b->first;
}

// ---- the members: struct, member, what both calls have, what the second changes, what is then true of a and b.
// Threads come first: a team stays after its call

static const char *const c1[] = {"c1", NULL};
static const char *const wide[] = {"x:1,3,5,9"}, *const high[] = {"x:1,3,9,5"};

static void of_image(struct call *c, const char *model) {
    c->model = model, c->source = "a.png", c->looks = true;
    c->data.mean = "0", c->data.std = "1";
}

static void grouped(struct call *c) { assert_int_equal(fineprune_group_new(&c->save.group, NULL), 0); }

// clang-format off
#define MEMBERS(X) \
    X(run_options, threads, c->run.progress = see_progress; c->run.threads = 1, c->run.threads = 2, \
      b->threads > a->threads && a->saved == b->saved) \
    X(data_options, threads, of_image(c, "image.onnx"); c->source = "many"; c->data.threads = 1, c->data.threads = 4, \
      b->threads > a->threads && a->first == b->first) \
    X(run_options, max_memory, , c->run.max_memory = 2000, !a->status && b->status == FINEPRUNE_LIMIT) \
    X(run_options, batch, c->run.progress = see_progress; c->prune.method = "wanda", c->run.batch = 1, \
      b->calls > a->calls && b->calls >= N / 2 && a->saved == b->saved) \
    X(run_options, progress, , c->run.progress = cancel, !a->status && b->status == FINEPRUNE_CANCELLED) \
    X(run_options, progress_user, c->run.progress = see_progress, c->run.progress_user = c, !a->user && b->user) \
    X(save_options, size, , c->save.size = 0, !a->status && b->status == FINEPRUNE_USAGE) \
    X(save_options, force, c->out = "there.onnx", c->save.force = true, \
      a->status == FINEPRUNE_USAGE && a->size == 8 && !b->status && b->size > 8) \
    X(save_options, sparse_initializers, c->prune.sparsity = 0.9, c->save.sparse_initializers = true, \
      other_model(a, b) && b->size < a->size) \
    X(save_options, external_data, , c->save.external_data = 1, !a->apart && b->apart && b->size < a->size) \
    X(save_options, group, , grouped(c), a->saved && !b->status && !b->saved) \
    X(save_options, sparse_count, c->prune.sparsity = 0.9; c->save.sparse_initializers = true, \
      c->save.sparse_count = &c->count, \
      !a->count.tensors && b->count.tensors && b->count.bytes < b->count.dense_bytes) \
    X(data_options, size, , c->data.size = 0, !a->status && b->status == FINEPRUNE_USAGE) \
    X(data_options, limit, , c->data.limit = 30, a->samples == N && b->samples == 30) \
    X(data_options, preprocess, of_image(c, "image.onnx"); c->data.mean = c->data.std = NULL, \
      c->data.preprocess = in_folder("p.json"), b->first && b->first != a->first) \
    X(data_options, resize, of_image(c, "image.onnx"), c->data.resize = "4", other_sample(a, b)) \
    X(data_options, crop, of_image(c, "image.onnx"), c->data.crop = "4", other_sample(a, b)) \
    X(data_options, mean, of_image(c, "image.onnx"), c->data.mean = "0.5,0.4,0.3", other_sample(a, b)) \
    X(data_options, std, of_image(c, "image.onnx"), c->data.std = "0.5,0.4,0.3", other_sample(a, b)) \
    X(data_options, layout, of_image(c, "square.onnx"); c->data.resize = "3x3", c->data.layout = "nhwc", \
      other_sample(a, b)) \
    X(data_options, rate, c->model = "sound.onnx"; c->source = "a.wav"; c->looks = true, c->data.rate = "4000", \
      b->first && b->first != a->first) \
    X(data_options, window, c->model = "sound.onnx"; c->source = "a.wav"; c->looks = true; c->data.rate = "8000", \
      c->data.window = "50ms", b->first && b->first != a->first && b->samples > a->samples) \
    X(data_options, hop, c->model = "sound.onnx"; c->source = "a.wav"; c->looks = true; c->data.rate = "8000"; \
      c->data.window = "50ms", c->data.hop = "10", a->first == b->first && b->samples > a->samples) \
    X(data_options, on_bad_file, of_image(c, "image.onnx"); c->source = "photos", c->data.on_bad_file = "skip", \
      a->status == FINEPRUNE_DATA && !b->status && b->samples == 1) \
    X(data_options, resample, of_image(c, "image.onnx"); c->data.resize = "4", c->data.resample = "nearest", \
      other_sample(a, b)) \
    X(data_options, color, of_image(c, "image.onnx"), c->data.color = "bgr", other_sample(a, b)) \
    X(data_options, no_exif, of_image(c, "image.onnx"); c->source = "turned.png", c->data.no_exif = true, \
      other_sample(a, b)) \
    X(data_options, shapes, c->model = "image.onnx"; c->source = "random:1"; c->looks = true; c->data.n_shapes = 1; \
      c->data.shapes = wide, c->data.shapes = high, other_sample(a, b)) \
    X(data_options, n_shapes, c->model = "image.onnx"; c->source = "random:1"; c->looks = true; \
      c->data.shapes = wide, c->data.n_shapes = 1, b->first && b->first != a->first) \
    X(prune_options, size, , c->prune.size = 0, !a->status && b->status == FINEPRUNE_USAGE) \
    X(prune_options, sparsity, , c->prune.sparsity = 0.5, \
      other_model(a, b) && number(b, "pruned", "sparsity") < 0.51 && number(a, "pruned", "sparsity") > 0.6) \
    X(prune_options, method, , c->prune.method = "wanda", other_model(a, b)) \
    X(prune_options, score, , c->prune.score = "wanda", other_model(a, b)) \
    X(prune_options, allocation, , c->prune.allocation = "uniform", other_model(a, b)) \
    X(prune_options, pattern, , c->prune.pattern = "2:4", other_model(a, b)) \
    X(prune_options, repair, , c->prune.repair = "bias", other_model(a, b)) \
    X(prune_options, outputs, c->prune.method = NULL; c->prune.task = "classes"; c->prune.outputs = "keep", \
      c->prune.outputs = "prune", other_model(a, b)) \
    X(prune_options, readout, c->prune.method = NULL; c->prune.task = "classes"; c->prune.readout = "keep", \
      c->prune.readout = "hebbian", other_model(a, b)) \
    X(prune_options, rounds, c->prune.method = NULL; c->prune.rounds = 1, c->prune.rounds = 3, other_model(a, b)) \
    X(prune_options, min_agreement, c->prune.task = "classes", c->prune.min_agreement = 1e-6, \
      !gate(a, "min_agreement") && gate(b, "min_agreement")) \
    X(prune_options, reserve, , c->prune.reserve = 0.5, \
      number(a, "data", "reserve") == 20 && number(b, "data", "reserve") == N / 2) \
    X(prune_options, include, , c->prune.include = c1, pruned(a, "c2") && pruned(b, "c1") && !pruned(b, "c2")) \
    X(prune_options, exclude, , c->prune.exclude = c1, pruned(a, "c1") && !pruned(b, "c1") && pruned(b, "c2")) \
    X(prune_options, keep_first, , c->prune.keep_first = true, pruned(a, "c1") && !pruned(b, "c1")) \
    X(prune_options, keep_last, , c->prune.keep_last = true, pruned(a, "fc") && !pruned(b, "fc")) \
    X(prune_options, no_metadata, , c->prune.no_metadata = true, other_model(a, b) && b->size < a->size) \
    X(prune_options, run, , c->prune.run.progress = see_progress, !a->calls && b->calls) \
    X(prune_options, channels, c->model = "wide.onnx"; c->prune.method = NULL; c->prune.task = "other"; \
      c->prune.sparsity = 0.8; c->prune.strict_sparsity = true, c->prune.channels = "none", \
      other_model(a, b)) \
    X(prune_options, swaps, c->prune.method = NULL, c->prune.swaps = "none", other_model(a, b)) \
    X(prune_options, refit, c->prune.method = NULL, c->prune.refit = "none", other_model(a, b)) \
    X(prune_options, task, c->prune.method = NULL; c->prune.task = "other", c->prune.task = "classes", \
      task_is(a, "\"other\"") && task_is(b, "\"classes\"")) \
    X(prune_options, min_taught_agreement, c->prune.task = "classes", c->prune.min_taught_agreement = 1e-6, \
      !gate(a, "min_taught_agreement") && gate(b, "min_taught_agreement")) \
    X(prune_options, strict_sparsity, c->prune.method = NULL; c->prune.sparsity = 0.97; c->data.limit = 30, \
      c->prune.strict_sparsity = true, number(a, "pruned", "sparsity") < number(b, "pruned", "sparsity")) \
    X(prune_options, target, c->model = "wide.onnx"; c->prune.method = NULL; c->prune.task = "other"; \
      c->prune.strict_sparsity = true; c->prune.sparsity = 0, c->prune.target = "macs=50%", \
      !number(a, "target", "reached") && number(b, "target", "reached") <= 0.5) \
    X(prune_options, shrink_outputs, , c->prune.shrink_outputs = true, !a->status && b->status == FINEPRUNE_USAGE) \
    X(prune_options, runtime_profile, , c->prune.runtime_profile = "tensorrt", \
      other_model(a, b) && number(b, "runtime", "faster") > 0) \
    X(prune_options, multiple, c->model = "wide.onnx"; c->prune.method = NULL; c->prune.task = "other"; \
      c->prune.strict_sparsity = true; c->prune.sparsity = 0; c->prune.target = "macs=45%", c->prune.multiple = 1, \
      number(a, "channels", "removed") != number(b, "channels", "removed")) \
    X(compare_options, size, c->compares = true, c->compare.size = 0, !a->status && b->status == FINEPRUNE_USAGE) \
    X(compare_options, task, c->compares = true; c->compare.task = "other", c->compare.task = "classes", \
      task_is(a, "\"other\"") && task_is(b, "\"classes\"")) \
    X(compare_options, labels, c->compares = true, c->compare.labels = "folders", \
      !a->status && b->status == FINEPRUNE_DATA) \
    X(compare_options, run, c->compares = true, c->compare.run.progress = see_progress, !a->calls && b->calls) \
    X(compare_options, layers, c->compares = true, c->compare.layers = true, \
      !member(a, "layer_errors", "said") && member(b, "layer_errors", "said"))
// clang-format on

#define FUNCTIONS(type, name, base, change, effect)                                                                    \
    static void type##_##name##_base(struct call *c) {                                                                 \
        (void)c;                                                                                                       \
        base;                                                                                                          \
    }                                                                                                                  \
    static void type##_##name##_change(struct call *c) { change; }                                                     \
    static bool type##_##name##_effect(const struct outcome *a, const struct outcome *b) {                             \
        (void)a;                                                                                                       \
        return effect;                                                                                                 \
    }
MEMBERS(FUNCTIONS)

static const struct {
    const char *name;
    void (*base)(struct call *), (*change)(struct call *);
    bool (*effect)(const struct outcome *, const struct outcome *);
} members[] = {
#define ROW(type, name, base, change, effect)                                                                          \
    {"fineprune_" #type "." #name, type##_##name##_base, type##_##name##_change, type##_##name##_effect},
    MEMBERS(ROW)};

// Shown elsewhere.
static const char *const elsewhere[] = {
    "fineprune_run_options.scratch", // needs a model over 1 GiB: test_mapping.c
};

static void test_effects(void **state) {
    folder = *state;
    write_files();
    int failed = 0;
    for (size_t i = 0; i < FP_COUNT(members); i++) {
        struct call c;
        struct outcome a, b;
        defaults(&c), members[i].base(&c), make(&a, &c);
        defaults(&c), members[i].base(&c), members[i].change(&c), make(&b, &c);
        if (!members[i].effect(&a, &b)) {
            failed++;
            print_error("%s: not what its comment says (statuses %d, %d)\n", members[i].name, a.status, b.status);
        }
        json_decref(a.report), json_decref(b.report);
    }
    assert_int_equal(failed, 0);
}

// ---- the header

static bool has_row(const char *name) {
    for (size_t i = 0; i < FP_COUNT(members); i++)
        if (!strcmp(members[i].name, name)) return true;
    for (size_t i = 0; i < FP_COUNT(elsewhere); i++)
        if (!strcmp(elsewhere[i], name)) return true;
    return false;
}

static void drop_comments(char *text) {
    for (char *at; (at = strstr(text, "//"));) {
        const size_t n = strcspn(at, "\n");
        memset(at, ' ', n);
    }
}

// The members of one struct, `body` up to its brace: names are what stands before each ',' and ';'.
static size_t check_members(const char *type, const char *body) {
    size_t n = 0;
    for (const char *at = body; *at != '}'; at++) {
        char name[400];
        if (*at != ',' && *at != ';') continue;
        const char *end = at, *start;
        while (end > body && strchr(" \n*", end[-1])) end--;
        for (start = end; start > body && !strchr(" \n*", start[-1]);) start--;
        snprintf(name, sizeof(name), "%s.%.*s", type, (int)(end - start) % 200, start);
        if (!has_row(name)) fail_msg("%s of fineprune.h has no row in the test of its effect", name);
        n++;
    }
    return n;
}

static void test_header(void **state) {
    (void)state;
    size_t size, structs = 0, n = 0;
    const char *path = getenv("FINEPRUNE_HEADER"), intro[] = "typedef struct ";
    if (!path) skip();
    char *text = (char *)scratch_read(path, &size);
    drop_comments(text);
    for (char *at = text; (at = strstr(at, intro));) {
        char type[100];
        at += strlen(intro);
        const size_t length = strcspn(at, " ;");
        snprintf(type, sizeof(type), "%.*s", (int)length, at);
        at += length;
        if (!strstr(type, "_options") || strncmp(at, " {", 2)) continue;
        n += check_members(type, at + 2);
        structs++;
    }
    free(text);
    assert_int_equal(structs, 5);
    assert_int_equal(n, FP_COUNT(members) + FP_COUNT(elsewhere));
}

int main(void) {
    const struct CMUnitTest tests[] = {scratch_test(test_effects), cmocka_unit_test(test_header)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
