// SPDX-License-Identifier: Apache-2.0
// Samples that go through a graph together.
#include "stats/stream.h"

#include <stdlib.h>

#include "base/arena.h"
#include "stats/tuning.h"

struct fp_stream {
    struct fp_exec *exec;
    const struct fineprune_model *model;
    struct fineprune_data *data;
    const fineprune_run_options *options;
    struct fp_batch *batches;
    struct fp_exec_state *states; // of the batches, before node `at`
    size_t n, budget;
    int at;
};

static struct fp_batch next_batch(const struct fineprune_data *data, const size_t *samples, size_t left,
                                  const fineprune_run_options *options) {
    const size_t most = fp_data_max_batch(data);
    size_t asked = FP_TUNED_STREAM_BATCH;
    if (options && options->batch) asked = fp_least(asked, options->batch);
    struct fp_batch b = {.samples = samples, .n = fp_data_next(data, samples, left, most == SIZE_MAX ? asked : 0)};
    b.size = most > 1 && most < SIZE_MAX ? most : b.n;
    return b;
}

int fp_stream_sizes(size_t **out, const struct fineprune_data *data, const size_t *samples, size_t n,
                    const fineprune_run_options *options, fineprune_error *err) {
    size_t *sizes = fp_calloc(n, sizeof(*sizes));
    if (!sizes) return fp_fail_memory(err, "a run", n * sizeof(*sizes));
    for (size_t done = 0, k = 0; done < n; done += sizes[k++])
        sizes[k] = next_batch(data, samples + done, n - done, options).n;
    *out = sizes;
    return FINEPRUNE_OK;
}

int fp_stream_new(struct fp_stream **out, struct fp_exec *exec, const struct fineprune_model *model,
                  struct fineprune_data *data, const size_t *samples, size_t n, size_t budget,
                  const fineprune_run_options *options, fineprune_error *err) {
    struct fp_stream *s = calloc(1, sizeof(*s));
    if (!s) return fp_fail_memory(err, "a run", sizeof(*s));
    *s = (struct fp_stream){.exec = exec, .model = model, .data = data, .options = options, .budget = budget};
    s->batches = fp_calloc(n, sizeof(*s->batches));
    s->states = fp_calloc(n, sizeof(*s->states));
    if (!s->batches || !s->states) {
        fp_stream_free(s);
        return fp_fail_memory(err, "a run", n * sizeof(*s->states));
    }
    for (size_t done = 0; done < n; done += s->batches[s->n++].n)
        s->batches[s->n] = next_batch(data, samples + done, n - done, options);
    *out = s;
    return FINEPRUNE_OK;
}

void fp_stream_free(struct fp_stream *s) {
    if (!s) return;
    for (size_t i = 0; s->states && i < s->n; i++) fp_exec_state_done(&s->states[i]);
    free(s->states);
    free(s->batches);
    free(s);
}

static int run_batch(struct fp_stream *s, size_t i, int last, const struct fp_batch_visitor *visitor,
                     struct fp_exec_state *keep, fineprune_error *err) {
    const int n = s->model->graph->n_inputs;
    FP_STAGE(room, "a batch");
    struct fp_tensor *inputs = fp_arena_take(&room, (size_t)n, sizeof(*inputs));
    int status = fp_arena_check(&room, err);
    if (!status && !s->at) fp_data_ahead(s->data, s->batches[i].samples, s->batches[i].n, s->batches[i].n);
    if (!status && !s->at) status = fp_data_batch(s->data, s->batches[i].samples, s->batches[i].n, inputs, err);
    if (!status && visitor->begin) status = visitor->begin(visitor->user, &s->batches[i], err);
    if (!status)
        status = fp_exec_part(s->exec, s->at ? &s->states[i] : NULL, inputs, s->at, last, visitor->observer, keep, err);
    for (int k = 0; inputs && k < n; k++) fp_tensor_done(&inputs[k]);
    return status;
}

int fp_stream_run(struct fp_stream *s, const struct fp_node *node, const struct fp_batch_visitor *visitor,
                  fineprune_error *err) {
    struct fp_exec_state *states = fp_calloc(s->n, sizeof(*states));
    if (!states) return fp_fail_memory(err, "a run", s->n * sizeof(*states));
    bool keeps = node->id > s->at; // what is kept costs nothing but memory
    int status = FINEPRUNE_OK;
    for (size_t i = 0; i < s->n && !status; i++) {
        status = run_batch(s, i, node->id, visitor, keeps ? &states[i] : NULL, err);
        if (keeps && !status && states[i].bytes > s->budget / s->n) { // too much: the old place stays
            for (size_t k = 0; k <= i; k++) fp_exec_state_done(&states[k]);
            keeps = false;
        }
        if (!status && s->options && s->options->progress &&
            s->options->progress(s->options->progress_user, "refit", i + 1, s->n))
            status = fp_fail(err, FINEPRUNE_CANCELLED, "stopped in the refit of '%s'", node->name);
    }
    if (keeps && !status) {
        struct fp_exec_state *old = s->states;
        s->states = states;
        s->at = node->id;
        states = old;
    }
    for (size_t i = 0; i < s->n; i++) fp_exec_state_done(&states[i]);
    free(states);
    return status;
}
