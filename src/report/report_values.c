// SPDX-License-Identifier: Apache-2.0
// Numbers and decisions in words.
#include "report/report_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

char *fp_say_shape(const struct fp_report_shape *shape) {
    if (shape->rank <= 0) return fp_format("%s", shape->rank < 0 ? "?" : "scalar");
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    if (!file) return NULL;
    for (int i = 0; i < shape->rank; i++) {
        const char *symbol = shape->symbols ? fp_or_empty(shape->symbols[i]) : "";
        if (i) fputc('x', file);
        if (shape->dims[i] >= 0) fprintf(file, "%lld", (long long)shape->dims[i]);
        else fputs(*symbol ? symbol : "?", file);
    }
    if (fclose(file) == 0) return text;
    free(text);
    return NULL;
}

char *fp_say_weight(const char *name, const char *part, const struct fp_texts *tensors) {
    char *text = fp_format("%s%s", fp_named(name), fp_or_empty(part));
    for (size_t i = 1; text && tensors && i < tensors->n; i++) {
        char *longer = fp_format("%s + %s", text, fp_named(tensors->items[i]));
        free(text);
        text = longer;
    }
    return text;
}

char *fp_say_layer(const struct fp_report_layer *layer) {
    return fp_say_weight(layer->name, layer->part, &layer->tensors);
}

#define LIKELIER 1.005 // less is told as nothing

char *fp_say_outputs(const struct fineprune_report *report) {
    const struct fp_report_outputs *o = report->outputs;
    fp_words times;
    if (!o) return NULL;
    if (o->lesson < FP_LESSON_TAUGHT && o->reason) return fp_format("all stay as they are: %s", o->reason);
    if (o->lesson < FP_LESSON_TAUGHT || !isfinite(o->unseen_bias)) return NULL;
    if (o->pruned)
        return fp_format("your data show %zu of %zu classes; rows removed: %zu%s", o->seen, o->classes, o->pruned,
                         o->shrunk ? "; the output has the kept ones only, in their order" : "");
    if (o->seen >= o->classes) return fp_format("your data show all %zu classes; rows removed: 0", o->classes);
    const size_t unseen = o->classes - o->seen;
    const double likelier = exp(-o->unseen_bias);
    char *others = unseen == 1 ? fp_format("the one that you never showed")
                               : fp_format("the %zu that you never showed", unseen);
    char *text = NULL;
    if (others && likelier < LIKELIER)
        text = fp_format("your data show %zu of %zu classes; %s answer%s as before; rows removed: 0", o->seen,
                         o->classes, others, unseen == 1 ? "s" : "");
    else if (others)
        text = fp_format(
            "your data show %zu of %zu classes; %s answer%s only when %s %s times as likely; rows removed: 0", o->seen,
            o->classes, others, unseen == 1 ? "s" : "", unseen == 1 ? "it is" : "they are",
            fp_say_number(times, "%.3g", likelier));
    free(others);
    return text;
}

char *fp_say_sparse(const struct fineprune_report *report) {
    const struct fp_report_sparse *sparse = report->sparse_initializers;
    fp_words bytes, dense;
    if (!sparse) return NULL;
    if (!(sparse->tensors > 0)) return fp_format("no tensor is smaller as sparse_initializer: all stay dense");
    const size_t tensors = (size_t)sparse->tensors;
    return fp_format("%zu tensor%s as sparse_initializer: %s instead of %s%s%s", tensors, fp_plural(tensors),
                     fp_say_bytes(bytes, sparse->bytes), fp_say_bytes(dense, sparse->dense_bytes),
                     sparse->readers ? "; " : "", fp_or_empty(sparse->readers));
}

char *fp_say_macs(const struct fineprune_report *report) {
    const struct fp_report_macs *macs = report->macs;
    fp_words words, left, share;
    char *pruned = NULL, *small = NULL, *text = NULL;
    if (!macs || macs->reason || !macs->dense) return NULL;
    if (macs->nonzero < macs->dense && (!macs->compact || macs->nonzero < macs->compact))
        pruned = fp_format(", %s of them by what is not zero", fp_say_count(left, (double)macs->nonzero));
    else pruned = fp_format("%s", "");
    if (!macs->compact) small = fp_format("%s", "");
    else
        small = fp_format("; %s in smaller shapes, %s", fp_say_count(left, (double)macs->compact),
                          fp_say_share(share, (double)macs->compact / (double)macs->dense));
    if (pruned && small)
        text = fp_format("%s multiply-adds a sample%s%s", fp_say_count(words, (double)macs->dense), pruned, small);
    free(pruned);
    free(small);
    return text;
}

char *fp_say_compact(const struct fineprune_report *report) {
    const struct fp_report_compact *c = report->compact;
    fp_words before, after, a, b;
    char *left = NULL, *text = NULL, bytes[2 * FP_WORDS + 10] = "";
    if (!c) return NULL;
    if (c->bytes)
        snprintf(bytes, sizeof(bytes), ", %s -> %s", fp_say_bytes(a, (double)c->bytes_before),
                 fp_say_bytes(b, (double)c->bytes));
    if (!c->stay) left = fp_format("%s", "");
    else if (c->reason) left = fp_format("; %zu that nothing reads stay: %s", c->stay, c->reason);
    else left = fp_format("; %zu that nothing reads stay, for multiples of %zu", c->stay, c->multiple);
    if (left)
        text = fp_format("%zu of %zu hidden channels %s of the shapes: %s -> %s parameters%s%s", c->removed,
                         c->channels, c->bytes ? "can be taken out" : "are out",
                         fp_say_count(before, (double)c->parameters_before), fp_say_count(after, (double)c->parameters),
                         bytes, left);
    free(left);
    return text;
}

char *fp_say_runtime(const struct fineprune_report *report) {
    const struct fp_report_runtime *r = report->runtime;
    if (!r) return NULL;
    const size_t n = r->faster + r->smaller + r->neither;
    return fp_format("%s: %zu of %zu weight%s become faster, %zu only smaller, %zu neither%s%s%s%s",
                     fp_named(r->profile), r->faster, n, fp_plural(n), r->smaller, r->neither,
                     r->set ? "; the profile has set " : "", fp_or_empty(r->set), r->condition && r->faster ? "; " : "",
                     r->faster ? fp_or_empty(r->condition) : "");
}

// What speaks against the lesson; "" where it is trusted.
static char *say_distrust(const struct fp_report_readout *readout, const char *before, const char *after) {
    fp_words all, sure;
    if (readout->lesson < FP_LESSON_TAUGHT || readout->trusted) return fp_format("%s", "");
    return fp_format("%sit would change %zu answer%s (%zu of the confident half), the model expects %s (%s) mistakes%s",
                     before, readout->changes, fp_plural(readout->changes), readout->changes_confident,
                     fp_say_number(all, "%.1f", readout->expected),
                     fp_say_number(sure, "%.1f", readout->expected_confident), after);
}

static char *say_used(const struct fp_report_readout *readout, const struct fp_report_agreement *agreement) {
    fp_words a, b, c = "";
    const char *before = "";
    if (agreement && isfinite(agreement->pruning)) {
        before = "; same answer as the dense model that learned so too: ";
        fp_say_share(c, agreement->pruning);
    }
    char *distrust = say_distrust(readout, "; not more, for at full strength ", ""), *words = NULL;
    if (distrust)
        words = fp_format(
            "by the last layer from your data, at strength %s: corrects %zu of %zu answers; the model expects %s "
            "mistakes%s%s%s",
            fp_say_number(a, "%.2g", readout->strength), readout->corrects, readout->samples,
            fp_say_number(b, "%.1f", readout->expected), distrust, before, c);
    free(distrust);
    return words;
}

char *fp_say_lesson(const struct fineprune_report *report) {
    const struct fp_report_readout *readout = report->readout;
    if (!readout) return NULL;
    if (readout->lesson >= FP_LESSON_TAUGHT && readout->strength > 0) return say_used(readout, report->agreement);
    char *distrust = say_distrust(readout, "", ": "), *words = NULL;
    if (distrust) words = fp_format("nothing from your data: %s%s", distrust, fp_named(readout->reason));
    free(distrust);
    return words;
}

const char *fp_say_about(const struct fp_report_size *size) {
    if (!size->after || !size->after->estimated) return "";
    return "about ";
}

double fp_raw_bytes(const struct fp_report_bytes *bytes) {
    if (!bytes) return NAN;
    return (double)bytes->raw;
}

double fp_deflated_bytes(const struct fp_report_bytes *bytes) {
    if (!bytes) return NAN;
    return (double)bytes->deflated;
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
    const char *pattern = report->config ? fp_or_empty(report->config->pattern) : "";
    if (report->compact && report->compact->removed) return "what left the shapes makes every runtime faster";
    // the runtime has a line of its own; without pruning nothing is known of zeros
    if (report->runtime || !report->pruned || !report->pruned->zeros) return NULL;
    if (!strcmp(pattern, "channel") || (report->channels && report->channels->removed))
        return "scattered zeros do not make a dense runtime faster, whole channels do with --compact";
    if (!strcmp(pattern, "2:4")) return "a dense runtime gets no faster; TensorRT, which knows 2:4, does";
    if (*pattern && strcmp(pattern, "unstructured"))
        return "these zeros do not make a dense runtime faster; those of --pattern 2:4 do in TensorRT";
    return "scattered zeros do not make a dense runtime faster; those of --pattern 2:4 do in TensorRT";
}

const struct fp_report_drift *fp_worst_drift(const struct fineprune_report *report) {
    const struct fp_report_drift *worst = NULL;
    for (size_t i = 0; i < report->drift.n; i++) {
        const struct fp_report_drift *one = &report->drift.items[i];
        if (!worst || !(one->cosine >= worst->cosine)) worst = one;
    }
    return worst;
}

size_t fp_samples_of(const struct fineprune_report *report) {
    if (!report->data) return 0;
    return report->data->samples;
}

size_t fp_reserve_of(const struct fineprune_report *report) {
    if (!report->data) return 0;
    return report->data->reserve;
}
