// SPDX-License-Identifier: Apache-2.0
// Damaged files of every kind through the public library, in one process: a corpus is replayed, then its files are
// mutated until the time is over.
//     fuzz TARGET SECONDS SEED FOLDER MODEL FILE...
// FOLDER/input.EXT holds the input of the moment, so that it is there after a crash; it starts with no suffix for the
// model. MODEL is a sound one of the input that the target's data fit. What ends badly ends the process: a sanitizer's
// finding, a call of over HANG seconds (SIGALRM), an internal error. The last line is "TARGET: N executions".
#include <fineprune/fineprune.h>

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { HANG = 10, MOST = 1 << 16, PRUNE_SAMPLES = 4 };

// ---- targets: a file, and the fixed model beside it

struct run {
    const char *path, *model;
    fineprune_run_options how;
};

static void checked(int status, const fineprune_error *err) {
    if (status != FINEPRUNE_INTERNAL) return;
    fprintf(stderr, "internal error: %s\n", err->message);
    abort();
}

// Adds the source to a model's data and runs it, so that all samples are read.
static void take_data(const struct run *r, const char *source, const fineprune_data_options *options) {
    fineprune_error err = {0};
    fineprune_model *model = NULL;
    fineprune_data *data = NULL;
    int status = fineprune_model_open(&model, r->model, &r->how, &err);
    if (!status) status = fineprune_data_open(&data, model, options, &err);
    if (!status) status = fineprune_data_add(data, source, &err);
    if (!status) status = fineprune_check(model, data, NULL, &err);
    if (!status && fineprune_data_samples(data) < 64)
        status = fineprune_run(model, data, "/dev/null", true, &r->how, NULL, &err);
    checked(status, &err);
    fineprune_data_free(data);
    fineprune_model_free(model);
}

static void read_array(const struct run *r) { take_data(r, r->path, NULL); }

static void read_picture(const struct run *r) {
    fineprune_data_options options = FINEPRUNE_DATA_OPTIONS_INIT;
    options.mean = "0";
    options.std = "1";
    take_data(r, r->path, &options);
}

static void read_sound(const struct run *r) {
    fineprune_data_options options = FINEPRUNE_DATA_OPTIONS_INIT;
    options.rate = "8000";
    take_data(r, r->path, &options);
}

static void read_preparation(const struct run *r) {
    fineprune_data_options options = FINEPRUNE_DATA_OPTIONS_INIT;
    options.preprocess = r->path;
    char source[4096];
    snprintf(source, sizeof(source), "%s.png", r->model);
    take_data(r, source, &options);
}

static void read_statistics(const struct run *r) {
    fineprune_error err = {0};
    fineprune_model *model = NULL;
    fineprune_stats *stats = NULL;
    fineprune_prune_options options = FINEPRUNE_PRUNE_OPTIONS_INIT;
    options.run = r->how;
    int status = fineprune_stats_open(&stats, r->path, &err);
    if (!status) status = fineprune_model_open(&model, r->model, &r->how, &err);
    if (!status) status = fineprune_apply(model, stats, &options, NULL, &err);
    checked(status, &err);
    fineprune_stats_free(stats);
    fineprune_model_free(model);
}

static void read_model(const struct run *r) {
    fineprune_error err = {0};
    fineprune_model *model = NULL;
    fineprune_report *report = NULL;
    int status = fineprune_model_open(&model, r->path, &r->how, &err);
    if (!status) status = fineprune_inspect(model, &report, &err);
    checked(status, &err);
    fineprune_report_free(report);
    fineprune_model_free(model);
}

static int expired(void *user, const char *stage, size_t done, size_t total) {
    (void)stage, (void)done, (void)total;
    return time(NULL) > *(const time_t *)user;
}

static void prune_model(const struct run *r) {
    fineprune_error err = {0};
    fineprune_model *model = NULL;
    fineprune_data *data = NULL;
    fineprune_report *report = NULL;
    fineprune_data_options few = FINEPRUNE_DATA_OPTIONS_INIT;
    fineprune_prune_options options = FINEPRUNE_PRUNE_OPTIONS_INIT;
    time_t end = time(NULL) + 2;
    few.limit = PRUNE_SAMPLES;
    options.run = r->how;
    options.run.progress = expired;
    options.run.progress_user = &end;
    int status = fineprune_model_open(&model, r->path, &options.run, &err);
    if (!status) status = fineprune_data_open(&data, model, &few, &err);
    if (!status) status = fineprune_data_add(data, "random:1", &err);
    if (!status) status = fineprune_prune(model, data, &options, &report, &err);
    if (!status) free(fineprune_report_json(report));
    if (!status) status = fineprune_compact(model, 1, &options.run, NULL, &err);
    if (!status) status = fineprune_model_save(model, "/dev/null", NULL, &err);
    checked(status, &err);
    fineprune_report_free(report);
    fineprune_data_free(data);
    fineprune_model_free(model);
}

static const struct target {
    const char *name;
    void (*run)(const struct run *);
} targets[] = {
    {"model", read_model},   {"prune", prune_model}, {"array", read_array},           {"tensor", read_array},
    {"image", read_picture}, {"sound", read_sound},  {"statistics", read_statistics}, {"preparation", read_preparation},
};

// ---- mutation

struct input {
    uint8_t *bytes;
    size_t n;
    const char *ending; // of its file's name
};

static uint64_t state;

static uint64_t draw(uint64_t below) { // splitmix64 (Steele et al. 2014)
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return below ? z % below : 0;
}

static void change_byte(struct input *in, const struct input *other) {
    static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff, '\n', '"', '{'};
    (void)other;
    uint8_t *b = &in->bytes[draw(in->n)];
    switch (draw(3)) {
    case 0: *b ^= (uint8_t)(1 << draw(8)); break;
    case 1: *b = edges[draw(sizeof(edges))]; break;
    default: *b = (uint8_t)draw(256); break;
    }
}

static void change_number(struct input *in, const struct input *other) {
    static const int64_t edges[] = {0, -1, 1, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, 1 << 20, 65535};
    (void)other;
    const size_t size = (size_t)1 << draw(4);
    if (in->n < size) return;
    const int64_t value = edges[draw(sizeof(edges) / sizeof(*edges))];
    memcpy(in->bytes + draw(in->n - size + 1), &value, size);
}

static void cut(struct input *in, const struct input *other) {
    (void)other;
    const size_t from = draw(in->n), n = 1 + draw(in->n - from);
    memmove(in->bytes + from, in->bytes + from + n, in->n - from - n);
    in->n -= n;
}

static void end_early(struct input *in, const struct input *other) {
    (void)other;
    in->n = draw(in->n);
}

static void repeat(struct input *in, const struct input *other) {
    (void)other;
    const size_t from = draw(in->n), n = 1 + draw(in->n - from < 64 ? in->n - from : 64);
    if (n > in->n - from || in->n + n > MOST) return;
    memmove(in->bytes + from + n, in->bytes + from, in->n - from);
    in->n += n;
}

static void splice(struct input *in, const struct input *other) {
    const size_t from = draw(other->n), n = 1 + draw(other->n - from), to = draw(in->n);
    if (!other->n || from + n > other->n || to + n > MOST) return;
    memcpy(in->bytes + to, other->bytes + from, n);
    if (to + n > in->n) in->n = to + n;
}

static void mutate(struct input *in, const struct input *other) {
    static void (*const changes[])(struct input *, const struct input *) = {
        change_byte, change_byte, change_byte, change_number, change_number, cut, end_early, repeat, splice};
    for (uint64_t k = 1 + draw(6); k && in->n; k--) changes[draw(sizeof(changes) / sizeof(*changes))](in, other);
}

// ---- the loop

static void put(const char *path, const struct input *in) {
    FILE *file = fopen(path, "w");
    if (!file || fwrite(in->bytes, 1, in->n, file) != in->n || fclose(file)) {
        perror(path);
        exit(2);
    }
}

static void once(const struct target *t, struct run *r, const char *folder, const struct input *in) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/input%s", folder, in->ending);
    put(path, in);
    r->path = path;
    alarm(HANG);
    t->run(r);
    alarm(0);
}

static struct input get(const char *path) {
    struct input in = {.bytes = malloc(MOST), .ending = strrchr(path, '.')};
    FILE *file = fopen(path, "r");
    if (!file || !in.bytes || !in.ending) {
        perror(path);
        exit(2);
    }
    in.n = fread(in.bytes, 1, MOST, file);
    fclose(file);
    return in;
}

int main(int argc, char **argv) {
    const struct target *t = NULL;
    for (size_t i = 0; argc > 6 && i < sizeof(targets) / sizeof(*targets); i++)
        if (!strcmp(argv[1], targets[i].name)) t = &targets[i];
    if (!t) {
        fprintf(stderr, "usage: %s TARGET SECONDS SEED FOLDER MODEL FILE...\n", argv[0]);
        return 2;
    }
    const int n = argc - 6;
    struct input *corpus = calloc((size_t)n, sizeof(*corpus)), in = {.bytes = malloc(MOST)};
    struct run r = {.model = argv[5], .how = {.threads = 1, .max_memory = (size_t)256 << 20}};
    if (!corpus || !in.bytes) return 2;
    unsigned long executions = 0;
    for (int i = 0; i < n; i++, executions++) {
        corpus[i] = get(argv[6 + i]);
        once(t, &r, argv[4], &corpus[i]);
    }
    state = strtoull(argv[3], NULL, 10);
    for (const time_t end = time(NULL) + atol(argv[2]); time(NULL) < end; executions++) {
        const struct input *from = &corpus[draw((uint64_t)n)];
        memcpy(in.bytes, from->bytes, in.n = from->n);
        in.ending = from->ending;
        mutate(&in, &corpus[draw((uint64_t)n)]);
        once(t, &r, argv[4], &in);
    }
    printf("%s: %lu executions\n", t->name, executions);
    for (int i = 0; i < n; i++) free(corpus[i].bytes);
    free(corpus);
    free(in.bytes);
    return 0;
}
