// SPDX-License-Identifier: Apache-2.0
// The user's samples, from whatever files they come, as input tensors of the model.
#ifndef FP_DATA_H
#define FP_DATA_H

#include "base/arena.h"
#include "onnx/model.h"

// How many samples may share one run: 1 when an input's first dim is fixed to 1, when samples are whole inputs
// (test_data_set folders, arrays with one axis more than the input), or when the model quantizes by what it gets; the
// fixed first dim B when it is greater (the last run is filled by repeating its last sample); SIZE_MAX when every
// input's first dim is symbolic.
size_t fp_data_max_batch(const struct fineprune_data *data);
// Whether samples are whole inputs, so that axis 0 of an output need not be samples either.
bool fp_data_whole(const struct fineprune_data *data);
// How many samples there are without the limit, and which of them `sample` of those within it is. A limit takes one out
// of every stretch of the samples of all sources, at a place that changes from stretch to stretch: neither data sorted
// by class nor data in a cycle of classes lose one.
size_t fp_data_all(const struct fineprune_data *data);
size_t fp_data_row(const struct fineprune_data *data, size_t sample);
// Every input has data, and all have the same number of samples. Errors: DATA. fp_data_batch asks too.
int fp_data_ready(const struct fineprune_data *data, fineprune_error *err);
// Decodes the pictures of the first `soon` of these n samples by several threads, and some more where that leaves
// threads idle; they are asked for next. What fails is told by who asks.
void fp_data_ahead(struct fineprune_data *data, const size_t *samples, size_t n, size_t soon);
// For who learns or measures: no sample is without a single element, over all inputs. Errors: DATA.
int fp_data_check_elements(const struct fineprune_data *data, fineprune_error *err);
// Whether the memory limit has room for a list of all samples, before one is made. Errors: LIMIT.
int fp_data_check_list(const struct fineprune_data *data, fineprune_error *err);
// How many of the first `n` samples to run together: at most `batch` (0: chosen by size), what fp_data_max_batch
// allows, and of one shape. The loop of every caller: for (at = 0; at < n; at += step) { step = fp_data_next(data,
// samples + at, n - at, batch); fp_data_batch(...); }
size_t fp_data_next(const struct fineprune_data *data, const size_t *samples, size_t n, size_t batch);
// How many of the first `n` samples have the same shapes.
size_t fp_data_same_shape(const struct fineprune_data *data, const size_t *samples, size_t n);
// One tensor per graph input, in order, holding the samples of the given numbers along axis 0 (or the one sample as it
// is, when samples are whole inputs). Converted to the inputs' types. The caller drops each with fp_tensor_done.
// Errors: DATA, IO, LIMIT.
int fp_data_batch(struct fineprune_data *data, const size_t *samples, size_t n, struct fp_tensor *inputs,
                  fineprune_error *err);
// How many of the leading ones of the given samples have the same shapes and so can share a batch; at least 1 when n
// is.
size_t fp_data_same_shape(const struct fineprune_data *data, const size_t *samples, size_t n);
// Beyond it, float32 cannot hold the square.
#define FP_HUGE 0x1p64
// Those samples of which an input has values beyond FP_HUGE, NaN or infinities: a mask may, and what it means only a
// run can tell. *out is to be freed.
int fp_data_huge(struct fineprune_data *data, size_t **out, size_t *n, fineprune_error *err);
// "sample 17 ('user.npz': array 'x', number 3)", for messages, into dst; returns dst.
const char *fp_data_where(const struct fineprune_data *data, size_t sample, char *dst, size_t size);
// Names of the folders right below the sources that files lie in, sorted by bytes, each once. They are lent by the
// data.
int fp_data_classes(const struct fineprune_data *data, struct fp_arena *room, const char ***names, size_t *n,
                    fineprune_error *err);
// The one of a sample; NULL where there is none.
const char *fp_data_class(const struct fineprune_data *data, size_t sample);
// Where samples are windows of recordings: how many recordings there are, else 0; and the number of a sample's.
size_t fp_data_recordings(const struct fineprune_data *data);
size_t fp_data_recording(const struct fineprune_data *data, size_t sample);
// How files became samples, in a line to be freed; NULL where there are none, or no memory.
char *fp_data_preparation(const struct fineprune_data *data);
// The files that the samples come from, also those beyond the limit: how many; the path of one as it was opened, NULL
// where it is none (what lies in memory or comes from standard input), and where in it the part below the source's
// folder begins; the file of a sample; the path of one that was left out, NULL past those that are kept.
size_t fp_data_files(const struct fineprune_data *data);
const char *fp_data_file(const struct fineprune_data *data, size_t file, size_t *below);
size_t fp_data_file_of(const struct fineprune_data *data, size_t sample);
const char *fp_data_left_out(const struct fineprune_data *data, size_t index);
// The name of input number `index` whose samples are not along axis 0 (see fp_input), with the axis; NULL past the end
// or when they are.
const char *fp_data_moved(const struct fineprune_data *data, size_t index, int *axis);
// A hash of all inputs of one sample, equal for equal content.
int fp_data_hash(struct fineprune_data *data, size_t sample, uint64_t *hash, fineprune_error *err);
// The sources as given, for the report; NULL past the end.
const char *fp_data_source(const struct fineprune_data *data, size_t index);
// How many files were left out because they cannot be used; *text is why the one of that number was, NULL past those
// that are kept.
size_t fp_data_bad(const struct fineprune_data *data, size_t index, const char **text);
// Whether they stand in the way of pruning.
bool fp_data_bad_is_obstacle(const struct fineprune_data *data);
// What lies in the folders that is no data: how many of the kind of that number (".txt"), 0 past the last.
size_t fp_data_passed(const struct fineprune_data *data, size_t index, const char **kind);
// Of sounds that were looked at: how many, silent ones, and clipped ones, which stay at their loudest.
struct fp_sound_count {
    size_t n, silent, clipped;
};
void fp_sound_look(struct fp_sound_count *count, const float *wave, size_t n);
// Of those that were decoded so far, each as often as it was.
struct fp_sound_count fp_data_sounds(const struct fineprune_data *data);
// The preparation file that wants sound at another rate than an option has said, NULL: there is none.
const char *fp_data_other_rate(const struct fineprune_data *data, int64_t *wanted, int64_t *said);
// No source was added: the error that lists the model's inputs and the accepted forms.
int fp_data_missing(const struct fineprune_model *model, fineprune_error *err);

#endif
