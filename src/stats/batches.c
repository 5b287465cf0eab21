// SPDX-License-Identifier: Apache-2.0
// Running many samples: batches of equal shapes, no larger than the model and the options allow.
#include "stats/batches.h"

#include "base/arena.h"
#include "base/threads.h"
#include "stats/tuning.h"

static int run_batch(struct fp_exec *exec, const struct fp_graph *graph, struct fineprune_data *data,
                     struct fp_batch *batch, const struct fp_batch_visitor *v, fineprune_error *err) {
    FP_STAGE(room, "a batch");
    struct fp_tensor *inputs = fp_arena_take(&room, (size_t)graph->n_inputs, sizeof(*inputs));
    struct fp_tensor *outputs = fp_arena_take(&room, (size_t)graph->n_outputs, sizeof(*outputs));
    int status = fp_arena_check(&room, err);
    if (status) return status;
    status = fp_data_batch(data, batch->samples, batch->n, inputs, err);
    size_t most = fp_data_max_batch(data);
    batch->size = most > 1 && most < SIZE_MAX ? most : batch->n; // a fixed batch is filled up
    if (!status && v->begin) status = v->begin(v->user, batch, err);
    if (!status) status = fp_exec_run(exec, inputs, outputs, v->observer, err);
    if (!status && v->end) status = v->end(v->user, batch, outputs, err);
    for (int i = 0; i < graph->n_inputs; i++) fp_tensor_done(&inputs[i]);
    for (int i = 0; i < graph->n_outputs; i++) fp_tensor_done(&outputs[i]);
    return status;
}

// ---- how many samples at once

// Two samples run alone; the second tells what a sample's values take (in the first run weights that are packed on the
// way hide it). Small batches keep the values in the cache; large ones read the weights less often: a batch's values
// may take as much as the model does. What is asked for is the most: more than fits costs time and memory and changes
// no result. Samples that go to threads one by one keep all of them busy.
static size_t fitting_batch(const struct fineprune_model *model, const struct fp_memory *memory, size_t sample_bytes,
                            size_t asked, size_t threads) {
    size_t room = fp_least(fp_most(model->file_size, FP_TUNED_BATCH_LEAST), FP_TUNED_BATCH_MOST), left = SIZE_MAX;
    if (memory->limit > memory->used) left = (memory->limit - memory->used) / 2;
    if (room < FP_TUNED_BATCH_PAIR && sample_bytes <= FP_TUNED_BATCH_PAIR / 2 && room < 2 * sample_bytes)
        room = 2 * sample_bytes;
    if (left < room) room = left;
    size_t n = sample_bytes ? room / sample_bytes : SIZE_MAX;
    if (asked && n > asked) n = asked;
    if (n > threads) n -= n % threads;
    return fp_most(n, 1);
}

int fp_batches_run(struct fp_exec *exec, const struct fineprune_model *model, struct fineprune_data *data,
                   const size_t *samples, size_t n, const fineprune_run_options *options, const char *stage,
                   const struct fp_batch_visitor *visitor, fineprune_error *err) {
    struct fp_memory *memory = fp_exec_memory(exec);
    size_t asked = options ? options->batch : 0;
    const size_t threads = (size_t)fp_threads_wanted(options);
    int trials = visitor->sizes || asked == 1 ? 0 : 2;
    size_t most = trials ? 1 : asked;
    for (size_t done = 0, k = 0; done < n; k++) {
        struct fp_batch batch = {.samples = samples + done};
        size_t free_choice = fp_data_next(data, batch.samples, n - done, asked), peak = memory->peak;
        bool trial = trials > 0;
        batch.n = free_choice;
        if (fp_data_max_batch(data) == SIZE_MAX && free_choice > most)
            batch.n = fp_data_next(data, batch.samples, n - done, most);
        if (visitor->sizes) batch.n = visitor->sizes[k];
        fp_data_ahead(data, batch.samples, n - done, batch.n);
        if (trial) memory->peak = memory->used;
        int status = run_batch(exec, model->graph, data, &batch, visitor, err);
        if (trial) {
            if (--trials == 0)
                most = fitting_batch(model, memory, (memory->peak - memory->used) / batch.n, asked, threads);
            if (peak > memory->peak) memory->peak = peak;
        }
        if (status) {
            fp_memory_hint(memory, err);
            return status;
        }
        done += batch.n;
        if (options && options->progress && options->progress(options->progress_user, stage, done, n))
            return fp_fail(err, FINEPRUNE_CANCELLED, "stopped after %zu of %zu samples", done, n);
    }
    return FINEPRUNE_OK;
}
