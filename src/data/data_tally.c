// SPDX-License-Identifier: Apache-2.0
// What is noted of files that give no samples.
#include <stdlib.h>

#include "data/data_parts.h"

#define KEPT_TEXTS ((size_t)1000)

static int tally(struct fp_tally *t, const char *text, bool kinds, fineprune_error *err) {
    t->total++;
    for (size_t i = 0; i < t->n && kinds; i++)
        if (strcmp(t->items[i].text, text) == 0) {
            t->items[i].n++;
            return FINEPRUNE_OK;
        }
    if (t->n == KEPT_TEXTS) return FINEPRUNE_OK;
    struct fp_tally_item *grown = fp_grow(t->items, &t->capacity, t->n + 1, sizeof(*grown));
    if (grown) t->items = grown;
    char *copy = NULL;
    if (grown) copy = strdup(text);
    if (!copy) return fp_fail_memory(err, text, strlen(text));
    t->items[t->n++] = (struct fp_tally_item){copy, 1};
    return FINEPRUNE_OK;
}

int fp_data_bad_file(struct fineprune_data *data, const fineprune_error *why, fineprune_error *err) {
    data->adding->tried++;
    if (!data->adding->bad++) data->adding->first = *why;
    int status = tally(&data->bad, why->message, false, err);
    if (!status && data->adding->file) status = tally(&data->left_out, data->adding->file, false, err);
    return status;
}

int fp_data_pass_over(struct fineprune_data *data, const char *kind, fineprune_error *err) {
    return tally(&data->passed, kind, true, err);
}

void fp_data_tally_shrink(struct fp_tally *t, size_t n, size_t total) {
    while (t->n > n) free(t->items[--t->n].text);
    t->total = total;
}

void fp_data_tally_done(struct fp_tally *t) {
    fp_data_tally_shrink(t, 0, 0);
    free(t->items);
}
