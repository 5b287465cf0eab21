// SPDX-License-Identifier: Apache-2.0
// The masks of the last pruning and their .npz file.
#include "onnx/masks.h"

#include <stdlib.h>

#include "onnx/model.h"
#include "tensor/npz.h"

struct fp_mask *fp_masks_add(struct fp_masks *masks, const char *name, const struct fp_tensor *t,
                             fineprune_error *err) {
    struct fp_mask *items = fp_grow(masks->items, &masks->capacity, masks->n + 1, sizeof(*items));
    if (items) masks->items = items;
    struct fp_mask mask = {.name = items ? strdup(name) : NULL,
                           .rank = t->rank,
                           .count = t->count,
                           .bits = fp_calloc(t->count / 8 + 1, 1)};
    if (!mask.name || !mask.bits) {
        free(mask.name);
        free(mask.bits);
        fp_fail_memory(err, "a mask", t->count / 8);
        return NULL;
    }
    memcpy(mask.dims, t->dims, sizeof(mask.dims));
    masks->items[masks->n] = mask;
    return &masks->items[masks->n++];
}

void fp_masks_free(struct fp_masks *masks) {
    if (!masks) return;
    for (size_t i = 0; i < masks->n; i++) {
        free(masks->items[i].name);
        free(masks->items[i].bits);
    }
    free(masks->items);
    free(masks);
}

static int add_mask(struct fp_npz_writer *writer, const struct fp_mask *mask, fineprune_error *err) {
    struct fp_tensor kept = {0};
    int status = fp_tensor_new(&kept, NULL, FP_BOOL, mask->rank, mask->dims, err);
    for (size_t i = 0; i < mask->count && !status; i++) ((uint8_t *)kept.data)[i] = mask->bits[i / 8] >> i % 8 & 1;
    if (!status) status = fp_npz_add(writer, mask->name, &kept, err);
    fp_tensor_done(&kept);
    return status;
}

int fineprune_masks_save(const fineprune_model *model, const char *path, bool force, fineprune_group *group,
                         fineprune_error *err) {
    if (!model->masks) return fp_fail(err, FINEPRUNE_USAGE, "there are no masks: the model has not been pruned");
    struct fp_npz_writer *writer = NULL;
    int status = fp_npz_create(&writer, path, force, err);
    for (size_t i = 0; !status && i < model->masks->n; i++) status = add_mask(writer, &model->masks->items[i], err);
    if (!status) return fp_npz_hold(writer, group, err);
    fp_npz_abandon(writer);
    return status;
}
