// SPDX-License-Identifier: Apache-2.0
// The members of every section, in the order in which JSON has them, and what puts a section into a report.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "data/data.h"
#include "onnx/model.h"
#include "report/report.h"
#include "report/report_fields.h"

// ---- tables: T is the struct, a member's name its key, and its type its kind where no other is given

#define KIND(member)                                                                                                   \
    _Generic(((T *)0)->member,                                                                                         \
        const char *: FP_TEXT,                                                                                         \
        bool: FP_FLAG,                                                                                                 \
        size_t: FP_COUNT_OF,                                                                                           \
        int64_t: FP_WHOLE,                                                                                             \
        double: FP_REAL,                                                                                               \
        struct fp_report_shape: FP_SHAPE,                                                                              \
        struct fp_texts: FP_TEXTS,                                                                                     \
        struct fp_counts: FP_COUNTS)
#define FIELD(member, kind, shown, inside) {#member, kind, offsetof(T, member), shown, inside}
#define ROW(member) FIELD(member, KIND(member), NULL, NULL)
#define AS(kind, member) FIELD(member, kind, NULL, NULL)
#define IN(kind, member, fields) FIELD(member, kind, NULL, &(fields))
#define WHEN(shown, member) FIELD(member, KIND(member), shown, NULL)
#define TABLE(storage, name, empty, ...)                                                                               \
    static const struct fp_field name##_rows[] = {__VA_ARGS__};                                                        \
    storage const struct fp_fields name = {name##_rows, FP_COUNT(name##_rows), sizeof(T), empty}

#define T struct fp_report_tool
TABLE(static, tool, NULL, ROW(name), ROW(version), ROW(libraries));
#undef T

#define T struct fp_report_measures
static bool measured(const void *m) { return ((const T *)m)->relative_error >= 0; }
static bool measured_others(const void *m) { return ((const T *)m)->relative_error_of_other_outputs >= 0; }
static bool has_classes(const void *m) { return ((const T *)m)->classes; }
static bool has_more(const void *m) { return ((const T *)m)->all_samples > 0; }
static bool is_sure(const void *m) { return has_classes(m) && ((const T *)m)->mean_confidence_before > 0; }
TABLE(static, measures, NULL, ROW(samples), ROW(measured_on), FIELD(relative_error, FP_REAL_OR_NULL, measured, NULL),
      FIELD(relative_error_of_other_outputs, FP_REAL_OR_NULL, measured_others, NULL), ROW(worst_output),
      WHEN(has_classes, as_came), WHEN(has_classes, as_without_zeros), WHEN(is_sure, changed_by_lesson),
      WHEN(is_sure, sure), WHEN(is_sure, sure_as_without_zeros), WHEN(is_sure, different_answers_before),
      WHEN(is_sure, different_answers), WHEN(is_sure, of_lost_classes),
      FIELD(expected_mistakes, FP_REAL_OR_NULL, is_sure, NULL),
      FIELD(mean_confidence_before, FP_REAL_OR_NULL, is_sure, NULL),
      FIELD(mean_confidence, FP_REAL_OR_NULL, is_sure, NULL), WHEN(has_more, all_samples), WHEN(has_more, all_as_came),
      WHEN(has_more, all_as_without_zeros), WHEN(has_more, all_changed_by_lesson),
      FIELD(all_expected_mistakes, FP_REAL_OR_NULL, has_more, NULL));
#undef T

#define T struct fp_report_verdict
TABLE(static, verdict, NULL, ROW(kind), ROW(text), ROW(ruined), IN(FP_PART, measures, measures));
#undef T

#define T struct fp_report_model
TABLE(static, model, NULL, ROW(path), ROW(sha256), ROW(opset), ROW(ir), ROW(producer), ROW(file_size), ROW(parameters));
#undef T

#define T struct fp_report_value
TABLE(static, value, NULL, ROW(name), ROW(type), ROW(shape));
#undef T

#define T struct fp_report_operator
TABLE(static, operator, NULL, ROW(type), ROW(domain), ROW(count), ROW(supported));
#undef T

#define T struct fp_report_warning
TABLE(static, warning, NULL, ROW(cause), ROW(text), ROW(evidence));
#undef T

#define T struct fp_report_data
static bool splits(const void *data) { return ((const T *)data)->splits; }
static bool left_out(const void *data) { return ((const T *)data)->unusable_files > 0; }
static bool has_windows(const void *data) { return ((const T *)data)->recordings > 0; }
TABLE(static, data, NULL, ROW(sources), ROW(samples), WHEN(has_windows, recordings), WHEN(splits, reserve),
      ROW(preparation), WHEN(left_out, unusable_files), ROW(unusable), ROW(passed_over));
#undef T

#define T struct fp_report_config
TABLE(, fp_config_fields, NULL, AS(FP_REAL_OR_AUTO, sparsity), ROW(strict_sparsity), ROW(method), ROW(score),
      ROW(allocation), ROW(pattern), ROW(repair), ROW(channels), ROW(swaps), ROW(refit), ROW(outputs), ROW(readout),
      ROW(rounds), ROW(min_agreement), ROW(min_taught_agreement), ROW(task), AS(FP_REAL_OR_AUTO, reserve), ROW(target));
#undef T

#define T struct fp_report_layer
static bool is_whole(const void *layer) { return ((const T *)layer)->whole; }
static bool multiplies(const void *layer) { return ((const T *)layer)->macs; }
TABLE(static, layer, NULL, ROW(name), ROW(part), ROW(tensors), ROW(op), ROW(node), ROW(shape), ROW(params), ROW(zeros),
      ROW(sparsity), WHEN(is_whole, zero_rows), WHEN(is_whole, zero_columns), WHEN(is_whole, whole_zeros), ROW(pattern),
      WHEN(multiplies, macs), ROW(error_before_repair), ROW(bias_left), ROW(error_after_repair), ROW(not_repaired));
#undef T

#define T struct fp_report_skipped
TABLE(static, skipped, NULL, ROW(name), ROW(part), ROW(reason), ROW(params));
#undef T

#define T struct fp_report_pruned
TABLE(static, pruned, NULL, ROW(params), ROW(zeros), ROW(sparsity), ROW(asked));
#undef T

#define T struct fp_report_evidence
TABLE(static, evidence, NULL, ROW(name), ROW(found), ROW(says), ROW(points));
#undef T

#define T struct fp_report_task
TABLE(static, task, NULL, ROW(decided), ROW(by), ROW(output), ROW(reason), ROW(points),
      IN(FP_ITEMS, evidence, evidence), ROW(said));
#undef T

// A lesson that was taken back names the reason first, one that was never given last.
#define T struct fp_report_outputs
static bool none_held(const void *outputs) { return ((const T *)outputs)->lesson == FP_LESSON_NONE; }
static bool taken_back(const void *outputs) { return ((const T *)outputs)->lesson == FP_LESSON_TAKEN_BACK; }
static bool held(const void *outputs) { return ((const T *)outputs)->lesson >= FP_LESSON_TAUGHT; }
static bool shrank_too(const void *outputs) { return ((const T *)outputs)->shrunk; }
TABLE(static, outputs, NULL, ROW(kept), WHEN(taken_back, reason), ROW(pruned), WHEN(none_held, reason),
      WHEN(held, zeros), WHEN(held, classes), WHEN(held, seen), WHEN(held, held_back), WHEN(held, sharpness),
      WHEN(held, unseen_bias), WHEN(held, unseen_share), WHEN(shrank_too, shrunk));
#undef T

#define T struct fp_report_readout
static bool none_given(const void *readout) { return ((const T *)readout)->lesson == FP_LESSON_NONE; }
static bool given(const void *readout) { return !none_given(readout); }
static bool taught(const void *readout) { return ((const T *)readout)->lesson >= FP_LESSON_TAUGHT; }
static bool untaught(const void *readout) { return !taught(readout); }
static bool learned(const void *readout) { return ((const T *)readout)->lesson == FP_LESSON_LEARNED; }
TABLE(static, readout, NULL, WHEN(given, reason), WHEN(untaught, applied), WHEN(none_given, reason),
      WHEN(taught, strength), WHEN(taught, samples), WHEN(taught, corrects), WHEN(taught, expected),
      WHEN(taught, changes), WHEN(taught, changes_confident), WHEN(taught, expected_confident), WHEN(taught, trusted),
      WHEN(learned, applied));
#undef T

#define T struct fp_report_dense
TABLE(static, dense, NULL, ROW(weight), ROW(reason));
#undef T

#define T struct fp_report_pattern
TABLE(static, pattern, NULL, ROW(name), ROW(weights), ROW(params), ROW(zeros), ROW(sparsity),
      IN(FP_ITEMS, dense, dense));
#undef T

#define T struct fp_report_channels
TABLE(static, channels, NULL, ROW(groups), ROW(in_groups), ROW(removed), ROW(zeros));
#undef T

#define T struct fp_report_compact
static bool foretells(const void *compact) { return ((const T *)compact)->bytes; }
TABLE(static, compact, NULL, ROW(groups), ROW(channels), ROW(removed), ROW(stay), ROW(multiple), ROW(parameters_before),
      ROW(parameters), WHEN(foretells, bytes_before), WHEN(foretells, bytes), ROW(reason));
#undef T

#define T struct fp_report_drift
TABLE(static, drift, NULL, ROW(output), AS(FP_REAL_OR_NULL, cosine), AS(FP_REAL_OR_NULL, sqnr_db),
      AS(FP_REAL_OR_NULL, max_abs), ROW(top1_agreement));
#undef T

#define T struct fp_report_agreement
TABLE(static, agreement, NULL, ROW(pruning), ROW(with_dense));
#undef T

#define T struct fp_report_accuracy
TABLE(static, accuracy, NULL, ROW(a), ROW(b), ROW(samples), ROW(a_top5), ROW(b_top5));
#undef T

#define T struct fp_report_layer_error
TABLE(static, layer_error, NULL, ROW(output), ROW(node), ROW(op), ROW(weight), AS(FP_REAL_OR_NULL, error),
      AS(FP_REAL_OR_NULL, of_inputs), ROW(stands_out));
#undef T

#define T struct fp_report_layer_errors
TABLE(static, layer_errors, NULL, ROW(said), ROW(measure), ROW(other_shape), ROW(without_partner),
      IN(FP_ITEMS, layers, layer_error));
#undef T

#define T struct fp_report_bytes
static bool is_estimated(const void *bytes) { return ((const T *)bytes)->estimated; }
TABLE(static, bytes, NULL, ROW(raw), ROW(deflated), WHEN(is_estimated, estimated));
#undef T

#define T struct fp_report_size
TABLE(static, size, NULL, IN(FP_SECTION, before, bytes), IN(FP_SECTION, after, bytes));
#undef T

#define T struct fp_report_sparse
static const T no_sparse = {.tensors = NAN, .bytes = NAN, .dense_bytes = NAN};
TABLE(static, sparse, &no_sparse, AS(FP_NUMBER, tensors), AS(FP_NUMBER, bytes), AS(FP_NUMBER, dense_bytes),
      ROW(readers));
#undef T

#define T struct fp_report_gate
TABLE(static, gate, NULL, ROW(name), ROW(asked), AS(FP_REAL_OR_NULL, measured), ROW(met));
#undef T

#define T struct fp_report_timing
static const T no_timing = {FP_REPORT_UNTIMED};
TABLE(static, timing, &no_timing, AS(FP_NUMBER, load), ROW(prepare), ROW(forward), ROW(statistics), ROW(solve),
      AS(FP_NUMBER, write), AS(FP_NUMBER, seconds), AS(FP_NUMBER, samples_per_second));
#undef T

#define T struct fp_report_obstacle
TABLE(static, obstacle, NULL, ROW(weight), ROW(channels), ROW(reason), ROW(reader));
#undef T

#define T struct fp_report_target
TABLE(static, target, NULL, ROW(kind), ROW(asked), ROW(reached), ROW(met), IN(FP_ITEMS, in_the_way, obstacle));
#undef T

#define T struct fp_report_gain
TABLE(static, gain, NULL, ROW(weight), ROW(part), ROW(becomes), ROW(why));
#undef T

#define T struct fp_report_runtime
TABLE(static, runtime, NULL, ROW(profile), ROW(set), ROW(multiple), ROW(faster), ROW(smaller), ROW(neither),
      ROW(condition), ROW(source), IN(FP_ITEMS, weights, gain));
#undef T

#define T struct fp_report_macs
static bool counted(const void *macs) { return !((const T *)macs)->reason; }
static bool shrank(const void *macs) { return ((const T *)macs)->compact; }
static bool kept_parameters(const void *macs) { return ((const T *)macs)->compact_parameters; }
TABLE(static, macs, NULL, ROW(reason), WHEN(counted, dense), WHEN(counted, computed), WHEN(counted, nonzero),
      WHEN(shrank, compact), WHEN(kept_parameters, compact_parameters));
#undef T

#define T struct fineprune_report
TABLE(, fp_report_fields, NULL, ROW(schema), IN(FP_PART, tool, tool), ROW(command), IN(FP_SECTION, verdict, verdict),
      IN(FP_SECTION, model, model), IN(FP_SECTION, second_model, model), IN(FP_ITEMS, inputs, value),
      IN(FP_ITEMS, outputs_of_model, value), IN(FP_ITEMS, operators, operator), ROW(obstacles),
      IN(FP_SECTION, data, data), IN(FP_SECTION, config, fp_config_fields), IN(FP_ITEMS, layers, layer),
      IN(FP_ITEMS, skipped, skipped), IN(FP_SECTION, pruned, pruned), IN(FP_SECTION, task, task),
      IN(FP_SECTION, outputs, outputs), IN(FP_SECTION, readout, readout), IN(FP_SECTION, pattern, pattern),
      IN(FP_SECTION, channels, channels), IN(FP_SECTION, compact, compact), IN(FP_SECTION, target, target),
      IN(FP_SECTION, runtime, runtime), IN(FP_SECTION, macs, macs), IN(FP_ITEMS, warnings, warning), ROW(notes),
      IN(FP_ITEMS, drift, drift), IN(FP_SECTION, agreement, agreement), IN(FP_SECTION, accuracy, accuracy),
      IN(FP_SECTION, layer_errors, layer_errors), IN(FP_SECTION, size, size),
      IN(FP_SECTION, sparse_initializers, sparse), IN(FP_ITEMS, gates, gate), ROW(wrote),
      IN(FP_SECTION, timing, timing), AS(FP_NUMBER, peak_rss_bytes));
#undef T

// ---- sections that are more than what is given

double fp_report_sparsity(size_t zeros, size_t params) {
    if (!params) return 0;
    return (double)zeros / (double)params;
}

void fp_report_put_data(struct fineprune_report *report, const struct fineprune_data *sources,
                        const struct fp_report_data *given) {
    struct fp_report_data whole = *given;
    whole.sources = (struct fp_texts){.there = true};
    for (size_t i = 0; fp_data_source(sources, i); i++) {
        const char *source = fp_data_source(sources, i);
        fp_report_add_text(report, &whole.sources, whole.splits ? fp_report_plain(source) : source);
    }
    const char *why, *kind;
    size_t n;
    char *prepared = fp_data_preparation(sources);
    whole.recordings = fp_data_recordings(sources);
    whole.preparation = prepared;
    whole.unusable_files = fp_data_bad(sources, 0, &why);
    for (size_t i = 0; (fp_data_bad(sources, i, &why), why); i++) fp_report_add_text(report, &whole.unusable, why);
    for (size_t i = 0; (n = fp_data_passed(sources, i, &kind)); i++) {
        char text[100];
        snprintf(text, sizeof(text), "%zu %s", n, kind);
        fp_report_add_text(report, &whole.passed_over, text);
    }
    whole.unusable.there = whole.unusable.n > 0;
    whole.passed_over.there = whole.passed_over.n > 0;
    FP_PUT(report, data, &whole);
    free(prepared);
}

void fp_report_put_outputs(struct fineprune_report *report, const struct fp_report_outputs *given,
                           const uint8_t *kept) {
    struct fp_report_outputs whole = *given;
    size_t *items = NULL;
    if (kept) items = fp_arena_take(&report->arena, whole.classes, sizeof(*items));
    whole.kept = (struct fp_counts){.items = items, .there = kept};
    for (size_t k = 0; items && k < whole.classes; k++)
        if (kept[k]) items[whole.kept.n++] = k;
    FP_PUT(report, outputs, &whole);
}

void fp_report_put_size(struct fineprune_report *report, bool after, const struct fp_model_size *given) {
    struct fp_report_size whole = {0};
    if (report->size) whole = *report->size;
    struct fp_report_bytes *one = fp_arena_take(&report->arena, 1, sizeof(*one));
    if (!one) return;
    *one = (struct fp_report_bytes){given->raw, given->deflated, given->estimated};
    *(after ? &whole.after : &whole.before) = one;
    FP_PUT(report, size, &whole);
}

void fp_report_add_evidence(struct fineprune_report *report, struct fp_report_task *to,
                            const struct fp_report_evidence *given) {
    fp_report_append(report, &to->evidence, &evidence, given);
}

void fp_report_add_dense(struct fineprune_report *report, struct fp_report_pattern *to,
                         const struct fp_report_dense *given) {
    fp_report_append(report, &to->dense, &dense, given);
}

void fp_report_add_obstacle(struct fineprune_report *report, struct fp_report_target *to,
                            const struct fp_report_obstacle *given) {
    fp_report_append(report, &to->in_the_way, &obstacle, given);
}

void fp_report_add_gain(struct fineprune_report *report, struct fp_report_runtime *to,
                        const struct fp_report_gain *given) {
    fp_report_append(report, &to->weights, &gain, given);
}

void fp_report_add_layer_error(struct fineprune_report *report, struct fp_report_layer_errors *to,
                               const struct fp_report_layer_error *given) {
    fp_report_append(report, &to->layers, &layer_error, given);
}

void fp_report_put_macs_compact(struct fineprune_report *report, size_t count, size_t parameters) {
    struct fp_report_macs whole = {0};
    if (report->macs) whole = *report->macs;
    whole.compact = count;
    whole.compact_parameters = parameters;
    FP_PUT(report, macs, &whole);
}
