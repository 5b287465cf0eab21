// SPDX-License-Identifier: Apache-2.0
// Adding a source: all of it, or nothing when it fails. Files of it that cannot be used are gathered, so that they are
// told all at once, or left out and counted.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/data_parts.h"
#include "base/numbers.h"

#define ROOM_FOR_HINT 120 // bytes of an error

// ---- what becomes of the source

static int fail_first(const struct fp_adding *a, fineprune_error *err) {
    int status;
    if (a->tried > 1)
        status = fp_fail(err, a->first.status, "none of the %zu files can be used; the first: %s", a->tried,
                         a->first.message);
    else status = fp_fail(err, a->first.status, "%s", a->first.message);
    if (a->first.hint[0]) fp_hint(err, "%s", a->first.hint);
    return status;
}

static int fail_all(const struct fineprune_data *data, const struct fp_adding *a, size_t first, fineprune_error *err) {
    char text[sizeof(err->message)];
    size_t n = 0, told = 0;
    for (; first + told < data->bad.n; told++) {
        const char *one = data->bad.items[first + told].text;
        if (n + strlen(one) + 2 > sizeof(text) - ROOM_FOR_HINT) break;
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", fp_between(told, "; "), one);
    }
    if (!told) snprintf(text, sizeof(text), "%.*s", (int)sizeof(text) - ROOM_FOR_HINT, a->first.message);
    if (a->bad > fp_most(told, 1)) snprintf(text + strlen(text), 60, "; and %zu more", a->bad - fp_most(told, 1));
    if (a->bad == 1) return fp_fail(err, a->first.status, "%s", a->first.message);
    return fp_fail(err, a->first.status, "%zu of %zu files cannot be used: %s", a->bad, a->tried, text);
}

static int settle(const struct fineprune_data *data, const struct fp_adding *a, size_t first, fineprune_error *err) {
    if (!a->bad) return FINEPRUNE_OK;
    if (a->bad >= a->tried) return fail_first(a, err);
    if (data->on_bad_file != FP_BAD_STOP && !a->out_of_step) return FINEPRUNE_OK;
    int status = fail_all(data, a, first, err);
    if (a->out_of_step)
        fp_hint(err, "the model has several inputs: take away what belongs to these files for the others too");
    else if (a->first.hint[0] && a->bad == 1) fp_hint(err, "%s; or --on-bad-file skip", a->first.hint);
    else fp_hint(err, "--on-bad-file skip leaves them out and counts them");
    return status;
}

const char fp_data_in_memory[] = "arrays in memory";

static void hint_room(const struct fineprune_data *data, const struct fp_adding *a, fineprune_error *err) {
    fp_memory_hint(data->memory, err);
    if (!err || err->status != FINEPRUNE_LIMIT || !a->whole) return;
    const size_t n = strlen(err->hint);
    snprintf(err->hint + n, sizeof(err->hint) - n, "%s--limit N holds N of the samples, however many there are",
             n ? "; or " : "");
}

int fp_data_add_as(struct fineprune_data *data, const char *source, fp_data_adder *add, const void *user,
                   fineprune_error *err) {
    FP_PLAIN_NUMBERS;
    FP_STAGE(room, source);
    size_t *n_before = fp_arena_take(&room, data->n_inputs, sizeof(*n_before));
    struct fp_adding adding = {.before_file = fp_arena_take(&room, data->n_inputs, sizeof(*n_before))};
    char **grown = fp_grow(data->sources, &data->capacity, data->n_sources + 1, sizeof(*grown));
    if (grown) data->sources = grown;
    char *copy = strdup(source);
    if (!n_before || !adding.before_file || !grown || !copy) {
        free(copy);
        return fp_fail_memory(err, source, strlen(source));
    }
    for (size_t i = 0; i < data->n_inputs; i++) n_before[i] = data->columns[i].n;
    const size_t bare = data->bare, bad = data->bad.n, bad_in_all = data->bad.total, left_out = data->left_out.n;
    data->adding = &adding;
    int status = add(data, user, err);
    data->adding = NULL;
    if (!status) status = settle(data, &adding, bad, err);
    free(data->hashes);
    data->hashes = NULL;
    fp_data_far_again(data);
    if (status) {
        hint_room(data, &adding, err);
        fp_data_take_back(data, n_before, bare);
        fp_data_tally_shrink(&data->bad, bad, bad_in_all);
        fp_data_tally_shrink(&data->left_out, left_out, left_out);
        free(copy);
    } else if (source == fp_data_in_memory && data->n_sources && !strcmp(data->sources[data->n_sources - 1], source)) {
        free(copy); // loaders give arrays by the batch
    } else {
        data->sources[data->n_sources++] = copy;
    }
    return status;
}

static int add_path(struct fineprune_data *data, const void *user, fineprune_error *err) {
    const char *rest = user;
    const size_t input = fp_data_split(data, &rest);
    return fp_data_add_source(data, input, rest, 0, err);
}

int fineprune_data_add(fineprune_data *data, const char *source, fineprune_error *err) {
    return fp_data_add_as(data, source, add_path, source, err);
}
