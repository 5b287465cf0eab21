// SPDX-License-Identifier: Apache-2.0
// lamp(u) = s_u^2 / sum of s_v^2 over the v of the same weight with s_v >= s_u, then one threshold for the whole model:
// each score relative to what is left of its own weight. (Lee et al. 2021, "Layer-adaptive sparsity for the
// magnitude-based pruning")
#include <stdlib.h>

#include "maths/allocate.h"
#include "maths/select.h"

static bool lamp_of_layer(const struct fp_layer *layer, float *lamp) {
    size_t n = layer->w->count;
    uint32_t *order = fp_calloc(n, sizeof(*order)), *room = fp_calloc(n, sizeof(*room));
    bool done = order && room;
    if (done) {
        fp_sort_scores(layer->score, order, room, n);
        double left = 0; // from the greatest down
        for (size_t i = n; i-- > 0;) {
            double square = (double)layer->score[order[i]] * (double)layer->score[order[i]];
            left += square;
            lamp[order[i]] = left > 0 ? (float)(square / left) : 0;
        }
    }
    free(order);
    free(room);
    return done;
}

static int run(struct fp_job *job, double sparsity, size_t zeros) {
    (void)sparsity;
    float **lamp = fp_calloc((size_t)job->layers.n, sizeof(*lamp));
    if (!lamp) return fp_fail_memory(job->err, "scores", sizeof(*lamp));
    bool failed = false;
#pragma omp parallel for num_threads(job->threads) schedule(dynamic)
    for (int i = 0; i < job->layers.n; i++) {
        lamp[i] = fp_calloc(job->layers.items[i].w->count, sizeof(float));
        if (!lamp[i] || !lamp_of_layer(&job->layers.items[i], lamp[i])) {
#pragma omp atomic write
            failed = true;
        }
    }
    int status = failed ? fp_fail_memory(job->err, "scores", job->layers.total * sizeof(float))
                        : fp_allocate_together(job, lamp, zeros);
    for (int i = 0; i < job->layers.n; i++) free(lamp[i]);
    free(lamp);
    return status;
}

const struct fp_allocation fp_allocation_lamp = {"lamp", "one threshold on scores relative to the rest of their weight",
                                                 run, false, true};
