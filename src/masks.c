// SPDX-License-Identifier: Apache-2.0
// The masks of the last pruning and their .npz file.
#include "masks.h"

#include <stdlib.h>

#include "model.h"
#include "npz.h"

int fp_masks_add(struct fp_masks *masks, const char *name, struct fp_tensor *kept, fineprune_error *err) {
    struct fp_mask *items = fp_grow(masks->items, &masks->capacity, masks->n + 1, sizeof(*items));
    if (items) masks->items = items;
    char *copy = items ? strdup(name) : NULL;
    if (!copy) return fp_fail_memory(err, "a mask", kept->count);
    masks->items[masks->n++] = (struct fp_mask){.name = copy, .kept = *kept};
    *kept = (struct fp_tensor){0};
    return FINEPRUNE_OK;
}

void fp_masks_free(struct fp_masks *masks) {
    if (!masks) return;
    for (size_t i = 0; i < masks->n; i++) {
        free(masks->items[i].name);
        fp_tensor_done(&masks->items[i].kept);
    }
    free(masks->items);
    free(masks);
}

int fineprune_masks_save(const fineprune_model *model, const char *path, bool force, fineprune_group *group, fineprune_error *err) {
    if (!model->masks) return fp_fail(err, FINEPRUNE_USAGE, "there are no masks: the model has not been pruned");
    struct fp_npz_writer *writer = NULL;
    int status = fp_npz_create(&writer, path, force, err);
    for (size_t i = 0; !status && i < model->masks->n; i++)
        status = fp_npz_add(writer, model->masks->items[i].name, &model->masks->items[i].kept, err);
    if (!status) return fp_npz_hold(writer, group, err);
    fp_npz_abandon(writer);
    return status;
}
