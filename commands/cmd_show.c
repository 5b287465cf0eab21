// SPDX-License-Identifier: Apache-2.0
// fineprune show: what the model gets of each sample, as files that people can look at or listen to. No layer is run.
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/folder.h"
#include "base/numbers.h"
#include "base/output.h"
#include "cmd.h"
#include "data/data_view.h"
#include "report/describe.h"

// What was written of an input, by kind; pictures by the way of their values.
struct shown {
    size_t numbers, sounds, by_inverse, by_range;
    int64_t rate;
};

struct show {
    struct fineprune_model *model;
    struct fineprune_data *data;
    const char *folder;
    bool force;
    struct shown *shown;      // of each input
    struct fp_tensor *inputs; // of one sample
};

static const char *input_name(const struct show *s, size_t input) {
    const struct fp_graph *graph = s->model->graph;
    return graph->values[graph->inputs[input]].name;
}

// FOLDER/STEM_000017.png, with the input's name where there are several. To be freed.
static char *file_name(const struct show *s, size_t input, size_t sample, const char *ending) {
    char stem[120], name[80] = "";
    fp_data_stem(s->data, input, sample, stem, sizeof(stem));
    if (s->model->graph->n_inputs > 1) snprintf(name, sizeof(name), "_%s", input_name(s, input));
    for (char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '-') *c = '_';
    return fp_format("%s/%s_%06zu%s%s", s->folder, stem, sample, name, ending);
}

static int write_view(FILE *file, const struct fp_view *view, const struct fp_tensor *t, struct shown *shown,
                      fineprune_error *err) {
    switch (view->kind) {
    case FP_VIEW_PICTURE:
        if (view->inverse) shown->by_inverse++;
        else shown->by_range++;
        return fp_view_picture(file, view, t, err);
    case FP_VIEW_SOUND:
        shown->sounds++;
        shown->rate = view->rate;
        return fp_view_sound(file, view, t, err);
    case FP_VIEW_NUMBERS:
    default: shown->numbers++; return fp_view_numbers(file, t, err);
    }
}

// What the samples lie in is refused as a whole; files of a list, and of the model, may lie in the folder all the same.
static int check_path(const struct show *s, const char *path, fineprune_error *err) {
    if (!fineprune_model_reads(s->model, path) && !fineprune_data_reads(s->data, path)) return FINEPRUNE_OK;
    return fp_fail(err, FINEPRUNE_USAGE, "output '%s' is a file that the model or the samples are read with", path);
}

static int show_input(struct show *s, size_t input, size_t sample, fineprune_error *err) {
    static const char *const endings[] = {
        [FP_VIEW_NUMBERS] = ".txt", [FP_VIEW_PICTURE] = ".png", [FP_VIEW_SOUND] = ".wav"};
    struct fp_tensor one = {0};
    const size_t most = fp_data_max_batch(s->data);
    struct fp_tensor *t = &s->inputs[input];
    // a model of a fixed batch gets the sample so many times
    if (most > 1 && most < SIZE_MAX && t->rank && t->dims[0] == (int64_t)most) fp_cmd_take_rows(&one, t, 1);
    else fp_tensor_share(&one, t);
    const struct fp_view view = fp_data_view(s->data, input, sample, &one);
    char *path = file_name(s, input, sample, endings[view.kind]);
    struct fp_output *output = NULL;
    int status = path ? check_path(s, path, err) : fp_fail_memory(err, "a path", 200);
    if (!status) status = fp_output_open_private(&output, path, s->force, err);
    if (!status) status = write_view(fp_output_stream(output), &view, &one, &s->shown[input], err);
    if (!status) status = fp_output_commit(output, err);
    else fp_output_abandon(output);
    free(path);
    fp_tensor_done(&one);
    return status;
}

static int show_sample(struct show *s, size_t sample, fineprune_error *err) {
    int status = fp_data_batch(s->data, &sample, 1, s->inputs, err);
    if (status) return status;
    for (int i = 0; i < s->model->graph->n_inputs; i++) {
        if (!status) status = show_input(s, (size_t)i, sample, err);
        fp_tensor_done(&s->inputs[i]);
    }
    return status;
}

// A folder of samples that has pictures of samples in it would be another one the next time.
static int check_sources(const struct show *s, fineprune_error *err) {
    const char *source;
    for (size_t i = 0; (source = fp_data_source(s->data, i)); i++) {
        const char *behind = strchr(source, '=');
        if (fp_folder_within(s->folder, source) || (behind && fp_folder_within(s->folder, behind + 1)))
            return fp_fail(err, FINEPRUNE_USAGE, "the output folder '%s' lies in the data '%s'", s->folder, source);
    }
    return FINEPRUNE_OK;
}

static void tell(const struct show *s, struct fineprune_report *report) {
    for (int i = 0; i < s->model->graph->n_inputs; i++) {
        const struct shown *n = &s->shown[i];
        const char *name = input_name(s, (size_t)i);
        if (n->by_inverse)
            fp_report_say(report, "'%s': %zu PNG, brought back to 0..255 by the inverse of the preparation", name,
                          n->by_inverse);
        if (n->by_range)
            fp_report_say(report, "'%s': %zu PNG, each from its least value as black to its greatest as white", name,
                          n->by_range);
        if (n->sounds)
            fp_report_say(report, "'%s': %zu WAV at %lld Hz, values as they are", name, n->sounds, (long long)n->rate);
        if (n->numbers) fp_report_say(report, "'%s': %zu texts of numbers", name, n->numbers);
    }
}

static int show(struct show *s, const fineprune_run_options *options, struct fineprune_report *report,
                fineprune_error *err) {
    const double began = fp_seconds();
    const size_t n = fineprune_data_samples(s->data), inputs = (size_t)s->model->graph->n_inputs;
    FP_STAGE(room, "the samples");
    s->shown = fp_arena_take(&room, inputs, sizeof(*s->shown));
    s->inputs = fp_arena_take(&room, inputs, sizeof(*s->inputs));
    int status = fp_arena_check(&room, err);
    if (!status) status = fp_folder_make(s->folder, err);
    for (size_t i = 0; i < n && !status; i++) {
        status = show_sample(s, i, err);
        if (!status && options && options->progress && options->progress(options->progress_user, "show", i + 1, n))
            status = fp_fail(err, FINEPRUNE_CANCELLED, "stopped after %zu of %zu samples", i + 1, n);
    }
    if (status) return status;
    tell(s, report);
    fp_describe_model(report, false, s->model, true);
    fp_cmd_report(report, s->data, NAN, 0, fp_seconds() - began);
    return fp_arena_check(&report->arena, err);
}

int fineprune_show(fineprune_model *model, fineprune_data *data, const char *folder, bool force,
                   const fineprune_run_options *options, fineprune_report **report, fineprune_error *err) {
    FP_PLAIN_NUMBERS;
    struct show s = {.model = model, .data = data, .folder = folder, .force = force};
    int status = data ? fp_data_ready(data, err) : fp_data_missing(model, err);
    if (!status) status = fineprune_folder_check(folder, force, err);
    if (!status) status = check_sources(&s, err);
    if (status) return status;
    struct fineprune_report *made = fp_report_new("show");
    status = made ? show(&s, options, made, err) : fp_fail_memory(err, "the report", sizeof(*made));
    if (!status && report) *report = made;
    else fineprune_report_free(made);
    return status;
}
