// SPDX-License-Identifier: Apache-2.0
// lamp(u) = s_u^2 / sum of s_v^2 over the v of the same weight with s_v >= s_u, then one threshold for the whole model:
// each score relative to what is left of its own weight. (Lee et al. 2021, "Layer-adaptive sparsity for the
// magnitude-based pruning")

#include "maths/allocate.h"
#include "maths/select.h"

static bool lamp_of_layer(const struct fp_layer *layer, float *lamp) {
    size_t n = layer->w->count;
    FP_STAGE(stage, "scores");
    uint32_t *order = fp_arena_take(&stage, n, sizeof(*order)), *room = fp_arena_take(&stage, n, sizeof(*room));
    if (stage.failed) return false;
    fp_sort_scores(layer->score, order, room, n);
    double left = 0; // from the greatest down
    for (size_t i = n; i-- > 0;) {
        double square = (double)layer->score[order[i]] * (double)layer->score[order[i]];
        left += square;
        lamp[order[i]] = left > 0 ? (float)(square / left) : 0;
    }
    return true;
}

static int run(struct fp_job *job, double sparsity, size_t zeros) {
    (void)sparsity;
    FP_STAGE(room, "scores");
    float **lamp = fp_arena_take(&room, (size_t)job->layers.n, sizeof(*lamp));
    for (int i = 0; lamp && i < job->layers.n; i++)
        lamp[i] = fp_arena_take(&room, job->layers.items[i].w->count, sizeof(float));
    if (room.failed) return fp_arena_check(&room, job->err);
    bool failed = false;
#pragma omp parallel for num_threads(job->threads) schedule(dynamic)
    for (int i = 0; i < job->layers.n; i++) {
        if (!lamp_of_layer(&job->layers.items[i], lamp[i])) {
#pragma omp atomic write
            failed = true;
        }
    }
    if (failed) return fp_fail_memory(job->err, "scores", job->layers.total * sizeof(float));
    return fp_allocate_together(job, lamp, zeros);
}

const struct fp_allocation fp_allocation_lamp = {"lamp", "one threshold on scores relative to the rest of their weight",
                                                 run, false, true};
