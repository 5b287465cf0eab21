// SPDX-License-Identifier: Apache-2.0
// Members of a report and the words for their numbers.
#include "report/report_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *fp_member_text(const json_t *object, const char *name) {
    return json_string_value(json_object_get(object, name));
}

double fp_member_number(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    if (!json_is_number(value)) return NAN;
    return json_number_value(value);
}

size_t fp_member_count(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    if (json_is_array(value)) return json_array_size(value);
    const double number = json_number_value(value); // 0 for what is none
    if (!(number > 0) || !(number < 1e15)) return 0;
    return (size_t)number;
}

static char *scaled(fp_words dst, double value, double from, const char *const *units) {
    size_t unit = 0;
    if (fabs(value) < from) return snprintf(dst, FP_WORDS, "%.0f%s%s", value, *units[0] ? " " : "", units[0]), dst;
    while (fabs(value) >= 999.95 && units[unit + 1]) {
        value /= 1000;
        unit++;
    }
    snprintf(dst, FP_WORDS, "%.1f %s", value, units[unit]);
    return dst;
}

char *fp_say_count(fp_words dst, double count) {
    static const char *const units[] = {"", "k", "M", "G", "T", NULL};
    if (!isfinite(count)) return strcpy(dst, "-");
    return scaled(dst, count, 1e4, units);
}

char *fp_say_bytes(fp_words dst, double bytes) {
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", NULL};
    if (!isfinite(bytes)) return strcpy(dst, "-");
    return scaled(dst, bytes, 1e3, units);
}

char *fp_say_number(fp_words dst, const char *format, double number) {
    if (!isfinite(number)) return strcpy(dst, "-");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(dst, FP_WORDS, format, number);
#pragma GCC diagnostic pop
    return dst;
}

char *fp_say_share(fp_words dst, double share) { return fp_say_number(dst, "%.1f%%", 100 * share); }

char *fp_say_seconds(fp_words dst, double seconds) {
    if (isfinite(seconds) && seconds >= 120) {
        snprintf(dst, FP_WORDS, "%.0f min %02.0f s", floor(seconds / 60), floor(fmod(seconds, 60)));
        return dst;
    }
    return fp_say_number(dst, seconds < 10 ? "%.2f s" : "%.1f s", seconds);
}

char *fp_say_shape(const json_t *shape) {
    if (json_is_string(shape)) return strdup(json_string_value(shape));
    char *text = NULL;
    size_t size, i;
    FILE *file = open_memstream(&text, &size);
    if (!file) return NULL;
    json_t *dim;
    json_array_foreach(shape, i, dim) {
        if (i) fputc('x', file);
        if (json_is_number(dim)) fprintf(file, "%.0f", json_number_value(dim));
        else if (json_is_string(dim) && *json_string_value(dim)) fputs(json_string_value(dim), file);
        else fputc('?', file);
    }
    if (!i) fputs(json_is_array(shape) ? "scalar" : "?", file);
    if (fclose(file) == 0) return text;
    free(text);
    return NULL;
}

char *fp_say_weight(const json_t *entry) {
    const char *name = fp_member_text(entry, "name"), *part = fp_member_text(entry, "part");
    const json_t *tensors = json_object_get(entry, "tensors");
    char *text = fp_format("%s%s", fp_named(name), part ? part : "");
    for (size_t i = 1; text && i < json_array_size(tensors); i++) {
        char *longer = fp_format("%s + %s", text, fp_named(json_string_value(json_array_get(tensors, i))));
        free(text);
        text = longer;
    }
    return text;
}

char *fp_say_outputs(const struct fineprune_report *report) {
    const json_t *outputs = json_object_get(report->root, "outputs");
    const char *reason = fp_member_text(outputs, "reason");
    size_t classes = fp_member_count(outputs, "classes"), seen = fp_member_count(outputs, "seen"),
           gone = fp_member_count(outputs, "pruned");
    double bias = fp_member_number(outputs, "unseen_bias");
    fp_words times;
    if (reason) return fp_format("all stay as they are: %s", reason);
    if (!isfinite(bias)) return NULL;
    if (gone) return fp_format("your data show %zu of %zu classes; rows removed: %zu", seen, classes, gone);
    if (seen >= classes) return fp_format("your data show all %zu classes; rows removed: 0", classes);
    return fp_format(
        "your data show %zu of %zu classes; the %zu that you never showed answer only when they are %s times as "
        "likely; rows removed: 0",
        seen, classes, classes - seen, fp_say_number(times, "%.3g", exp(-bias)));
}

char *fp_say_sparse(const struct fineprune_report *report) {
    const json_t *sparse = json_object_get(report->root, "sparse_initializers");
    const char *readers = fp_member_text(sparse, "readers"), *before = "; ";
    size_t tensors = fp_member_count(sparse, "tensors");
    fp_words bytes, dense;
    if (!sparse) return NULL;
    if (!tensors) return fp_format("no tensor is smaller as sparse_initializer: all stay dense");
    if (!readers) before = readers = "";
    return fp_format("%zu tensor%s as sparse_initializer: %s instead of %s%s%s", tensors, fp_plural(tensors),
                     fp_say_bytes(bytes, fp_member_number(sparse, "bytes")),
                     fp_say_bytes(dense, fp_member_number(sparse, "dense_bytes")), before, readers);
}

char *fp_say_macs(const struct fineprune_report *report) {
    const json_t *macs = json_object_get(report->root, "macs");
    const double dense = fp_member_number(macs, "dense"), nonzero = fp_member_number(macs, "nonzero"),
                 compact = fp_member_number(macs, "compact");
    fp_words words, left, share;
    char *pruned = NULL, *small = NULL, *text = NULL;
    if (!(dense > 0)) return NULL;
    if (nonzero < dense && !(nonzero >= compact))
        pruned = fp_format(", %s of them by what is not zero", fp_say_count(left, nonzero));
    else pruned = fp_format("%s", "");
    if (!isfinite(compact)) small = fp_format("%s", "");
    else
        small = fp_format("; %s in smaller shapes, %s", fp_say_count(left, compact),
                          fp_say_share(share, compact / dense));
    if (pruned && small) text = fp_format("%s multiply-adds a sample%s%s", fp_say_count(words, dense), pruned, small);
    free(pruned);
    free(small);
    return text;
}

char *fp_say_compact(const struct fineprune_report *report) {
    const json_t *compact = json_object_get(report->root, "compact");
    if (!compact) return NULL;
    const size_t removed = fp_member_count(compact, "removed"), channels = fp_member_count(compact, "channels"),
                 stay = fp_member_count(compact, "stay");
    const char *reason = fp_member_text(compact, "reason");
    fp_words before, after;
    char *left = NULL, *text = NULL;
    if (!stay) left = fp_format("%s", "");
    else if (reason) left = fp_format("; %zu that nothing reads stay: %s", stay, reason);
    else
        left = fp_format("; %zu that nothing reads stay, for multiples of %zu", stay,
                         fp_member_count(compact, "multiple"));
    if (left)
        text = fp_format("%zu of %zu hidden channels are out of the shapes: %s -> %s parameters%s", removed, channels,
                         fp_say_count(before, fp_member_number(compact, "parameters_before")),
                         fp_say_count(after, fp_member_number(compact, "parameters")), left);
    free(left);
    return text;
}

// What speaks against the lesson; "" where it is trusted.
static char *say_distrust(const json_t *readout, const char *before, const char *after) {
    fp_words all, sure;
    if (!json_is_false(json_object_get(readout, "trusted"))) return fp_format("%s", "");
    return fp_format("%sit would change %zu answers (%zu of the confident half), the model expects %s (%s) mistakes%s",
                     before, fp_member_count(readout, "changes"), fp_member_count(readout, "changes_confident"),
                     fp_say_number(all, "%.1f", fp_member_number(readout, "expected")),
                     fp_say_number(sure, "%.1f", fp_member_number(readout, "expected_confident")), after);
}

static char *say_used(const json_t *readout, double same) {
    fp_words a, b, c = "";
    const char *before = "";
    if (isfinite(same)) {
        before = "; same answer as the dense model that learned so too: ";
        fp_say_share(c, same);
    }
    char *distrust = say_distrust(readout, "; not more, for at full strength ", ""), *words = NULL;
    if (distrust)
        words = fp_format(
            "lesson used at strength %s: corrects %zu of %zu answers; the model expects %s mistakes%s%s%s",
            fp_say_number(a, "%.2g", fp_member_number(readout, "strength")), fp_member_count(readout, "corrects"),
            fp_member_count(readout, "samples"), fp_say_number(b, "%.1f", fp_member_number(readout, "expected")),
            distrust, before, c);
    free(distrust);
    return words;
}

char *fp_say_lesson(const struct fineprune_report *report) {
    const json_t *readout = json_object_get(report->root, "readout");
    if (!readout) return NULL;
    if (fp_member_number(readout, "strength") > 0)
        return say_used(readout, fp_member_number(json_object_get(report->root, "agreement"), "pruning"));
    char *distrust = say_distrust(readout, "", ": "), *words = NULL;
    if (distrust) words = fp_format("lesson left out: %s%s", distrust, fp_named(fp_member_text(readout, "reason")));
    free(distrust);
    return words;
}

const char *fp_say_about(const json_t *size) {
    if (!json_is_true(json_object_get(size, "estimated"))) return "";
    return "about ";
}

const char *fp_plural(size_t n) {
    if (n == 1) return "";
    return "s";
}

const char *fp_named(const char *text) {
    if (!text) return "?";
    return text;
}

const char *fp_base_name(const char *path) {
    if (!path) return NULL;
    const char *slash = strrchr(path, '/');
    if (!slash || !slash[1]) return path;
    return slash + 1;
}

const char *fp_speed_truth(const struct fineprune_report *report) {
    const char *pattern = fp_member_text(json_object_get(report->root, "config"), "pattern");
    const json_t *channels = json_object_get(report->root, "channels");
    if (fp_member_count(json_object_get(report->root, "compact"), "removed"))
        return "what left the shapes makes every runtime faster";
    if ((pattern && strcmp(pattern, "channel") == 0) || fp_member_count(channels, "removed"))
        return "scattered zeros do not make a dense runtime faster, whole channels do with --compact";
    if (pattern && strcmp(pattern, "2:4") == 0)
        return "a dense runtime gets no faster; TensorRT, which knows 2:4, does";
    if (pattern && strcmp(pattern, "unstructured"))
        return "these zeros do not make a dense runtime faster; those of --pattern 2:4 do in TensorRT";
    return "scattered zeros do not make a dense runtime faster; those of --pattern 2:4 do in TensorRT";
}

const json_t *fp_worst_drift(const struct fineprune_report *report) {
    const json_t *drift = json_object_get(report->root, "drift"), *worst = NULL;
    for (size_t i = 0; i < json_array_size(drift); i++) {
        const json_t *one = json_array_get(drift, i);
        double cosine = fp_member_number(one, "cosine");
        if (!worst || !(cosine >= fp_member_number(worst, "cosine"))) worst = one;
    }
    return worst;
}
