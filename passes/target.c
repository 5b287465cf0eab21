// SPDX-License-Identifier: Apache-2.0
// "macs=0.5", "size=10M": what a model may cost once whole channels have left it.
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "parameter.h"

// A number that starts with a digit or a point; *end behind it.
static bool decimal(const char *text, double *value, char **end) {
    if (!isdigit((unsigned char)*text) && *text != '.') return false;
    if (text[strspn(text, "0123456789.")] == 'x') return false; // hexadecimal
    *value = strtod(text, end);
    return isfinite(*value) && *value > 0;
}

static bool read_share(const char *text, double *value) {
    char *end;
    if (!decimal(text, value, &end)) return false;
    if (!strcmp(end, "%")) *value /= 100;
    else if (*end) return false;
    return *value > 0 && *value <= 1;
}

static bool read_bytes(const char *text, double *value) {
    static const char units[] = "KMGT";
    char *end;
    if (!decimal(text, value, &end)) return false;
    if (!*end) return *value >= 1;
    const char *unit = strchr(units, toupper((unsigned char)*end));
    if (!unit || end[1]) return false;
    *value = ldexp(*value, 10 * (int)(unit - units + 1));
    return *value >= 1 && *value < 0x1p62;
}

int fp_target_read(struct fp_target *target, const char *text, fineprune_error *err) {
    *target = (struct fp_target){.text = text};
    if (!text) return FINEPRUNE_OK;
    if (!strncmp(text, "macs=", 5) && read_share(text + 5, &target->value)) target->kind = FP_TARGET_MACS;
    if (!strncmp(text, "size=", 5) && read_bytes(text + 5, &target->value)) target->kind = FP_TARGET_SIZE;
    if (!strncmp(text, "latency=", 8) && read_share(text + 8, &target->value)) target->kind = FP_TARGET_LATENCY;
    if (!strcmp(text, "auto")) *target = (struct fp_target){FP_TARGET_MACS, 1, text, .automatic = true};
    if (target->kind) return FINEPRUNE_OK;
    fp_fail(err, FINEPRUNE_USAGE, "target cannot be '%s'", text);
    fp_hint(err, "macs=0.5 or macs=50%%: the share of the multiply-adds that may stay; size=10M: bytes of the file; "
                 "latency=0.6: the share of the time; auto: the fewest multiply-adds that keep --min-agreement");
    return FINEPRUNE_USAGE;
}
