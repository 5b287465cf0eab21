// SPDX-License-Identifier: Apache-2.0
// Samples from every kind of source: what fits is handed out unchanged and in order, what does not is refused by name.
#include "data/data.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_model.h"
#include "tensor/npz.h"
#include "scratch_folder.h"

static void make(struct fp_tensor *t, enum fp_type type, int rank, const int64_t *dims) {
    fineprune_error err = {0};
    memset(t, 0, sizeof(*t));
    assert_int_equal(fp_tensor_new(t, NULL, type, rank, dims, &err), 0);
    for (size_t i = 0; i < t->count; i++) {
        const double value = (double)(i % 100);
        fp_convert((char *)t->data + i * fp_type_size(type), type, &value, FP_DOUBLE, 1);
    }
}

static void write_npz(const char *path, const char *const *names, const struct fp_tensor *arrays, size_t n) {
    fineprune_error err = {0};
    struct fp_npz_writer *w;
    assert_int_equal(fp_npz_create(&w, path, true, &err), 0);
    for (size_t i = 0; i < n; i++) assert_int_equal(fp_npz_add(w, names[i], &arrays[i], &err), 0);
    assert_int_equal(fp_npz_finish(w, &err), 0);
}

static void save(const char *path, const char *name, enum fp_type type, int rank, const int64_t *dims) {
    struct fp_tensor t;
    make(&t, type, rank, dims);
    write_npz(path, &name, &t, 1);
    fp_tensor_done(&t);
}

static void save_npy(const char *path, const struct fp_tensor *t) {
    char header[4096];
    const char *type = t->type == FP_FLOAT ? "<f4" : t->type == FP_INT64 ? "<i8" : t->type == FP_DOUBLE ? "<f8" : "|u1";
    char shape[200];
    fp_shape_text(shape, sizeof(shape), t->rank, t->dims);
    shape[strlen(shape) - 1] = '\0';
    const int n = snprintf(header + 10, sizeof(header) - 10,
                           "{'descr': '%s', 'fortran_order': False, 'shape': (%s%s), }", type, shape + 1,
                           t->rank == 1 ? "," : "");
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char)n;
    header[9] = 0;
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fwrite(header, 1, (size_t)n + 10, f);
    fwrite(t->data, 1, fp_tensor_bytes(t), f);
    fclose(f);
}

static void test_rows(void **state) {
    struct fake f = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, 3));
    const char *path = scratch_path(state, "a.npz");
    save(path, "x", FP_DOUBLE, DIMS(5, 3));
    fineprune_data *data = open_data(&f, NULL);
    add(data, path);
    add(data, path); // whole sources append
    assert_int_equal(fineprune_data_samples(data), 10);
    assert_true(fp_data_max_batch(data) == SIZE_MAX);
    assert_false(fp_data_whole(data));
    struct fp_tensor t;
    batch(data, &t, 3, 4, 0, 6);
    assert_int_equal(t.type, FP_FLOAT);
    assert_int_equal(t.rank, 2);
    assert_int_equal(t.dims[0], 3);
    const float want[9] = {12, 13, 14, 0, 1, 2, 3, 4, 5};
    assert_memory_equal(t.data, want, sizeof(want));
    fp_tensor_done(&t);
    assert_string_equal(fp_data_source(data, 1), path);
    assert_null(fp_data_source(data, 2));
    uint64_t a, b, c;
    assert_int_equal(fp_data_hash(data, 1, &a, NULL), 0);
    assert_int_equal(fp_data_hash(data, 6, &b, NULL), 0);
    assert_int_equal(fp_data_hash(data, 2, &c, NULL), 0);
    assert_true(a == b);
    assert_true(a != c);
    fineprune_data_free(data);
    assert_int_equal(f.model.memory.used, 0);
}

// Of a matrix [3, 10] in memory: its rows; its transpose's first three columns, backwards; one row four times.
static void test_arrays(void **state) {
    (void)state;
    struct fake f = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, 3));
    double m[3][10];
    for (int i = 0; i < 30; i++) m[i / 10][i % 10] = i;
    const int64_t rows[] = {3, 3}, turned[] = {10, 3}, again[] = {4, 3}, whole[] = {80, 8}, columns[] = {-8, 80},
                  same[] = {0, 8};
    const fineprune_array arrays[] = {{"x", FP_DOUBLE, 2, rows, whole, m},
                                      {NULL, FP_DOUBLE, 2, turned, columns, &m[0][9]}};
    const fineprune_array last = {"x", FP_DOUBLE, 2, again, same, m[1]};
    fineprune_error err = {0};
    fineprune_data *data = open_data(&f, NULL);
    assert_int_equal(fineprune_data_add_arrays(data, arrays, 2, &err), 0);
    assert_int_equal(fineprune_data_add_arrays(data, &last, 1, &err), 0);
    memset(m, 0xff, sizeof(m)); // nothing of it is used after the call
    assert_int_equal(fineprune_data_samples(data), 17);
    for (size_t s = 0; s < 17; s++) {
        struct fp_tensor t;
        batch(data, &t, 1, s);
        for (size_t j = 0; j < 3; j++) {
            const size_t want = s < 3 ? s * 10 + j : s < 13 ? j * 10 + (12 - s) : 10 + j;
            assert_true(((float *)t.data)[j] == (float)want);
        }
        fp_tensor_done(&t);
    }
    assert_string_equal(fp_data_source(data, 0), "arrays in memory");
    assert_null(fp_data_source(data, 1)); // once for both calls
    fineprune_data_free(data);
    assert_int_equal(f.model.memory.used, 0);
}

static void refuse_arrays(fineprune_data *data, const fineprune_array *arrays, size_t n, int status, const char *say) {
    fineprune_error err = {0};
    assert_int_equal(fineprune_data_add_arrays(data, arrays, n, &err), status);
    if (!strstr(err.message, say)) fail_msg("'%s' has no '%s'", err.message, say);
    assert_int_equal(fineprune_data_samples(data), 0);
    assert_null(fp_data_source(data, 0));
}

static void test_arrays_refused(void **state) {
    (void)state;
    struct fake f = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, 3));
    fake_input(&f, "ids", FP_INT64, DIMS(-1));
    const float x[8] = {0};
    const int64_t two[] = {2, 3}, four[] = {2, 4}, less[] = {-1, 3}, most[] = {INT64_MAX, 3}, one[] = {2};
    const fineprune_array good = {"x", FP_FLOAT, 2, two, NULL, x};
    fineprune_data *data = open_data(&f, NULL);
    refuse_arrays(data, (fineprune_array[]){good, {"y", FP_FLOAT, 2, two, NULL, x}}, 2, FINEPRUNE_DATA,
                  "the model has no input 'y'; it has 'x'");
    refuse_arrays(data, &(fineprune_array){NULL, FP_FLOAT, 2, two, NULL, x}, 1, FINEPRUNE_USAGE, "names no input");
    refuse_arrays(data, (fineprune_array[]){good, {"ids", FP_FLOAT, 1, one, NULL, (float[]){1.5F, 2}}}, 2,
                  FINEPRUNE_DATA, "the array for 'ids'");
    refuse_arrays(data, &(fineprune_array){"x", FP_FLOAT, 2, four, NULL, x}, 1, FINEPRUNE_DATA, "the array for 'x'");
    refuse_arrays(data, &(fineprune_array){"x", FP_STRING, 2, two, NULL, x}, 1, FINEPRUNE_USAGE, "type 8 is none");
    refuse_arrays(data, &(fineprune_array){"x", FP_INT4, 2, two, NULL, x}, 1, FINEPRUNE_USAGE, "type 22 is none");
    refuse_arrays(data, &(fineprune_array){"x", -1, 2, two, NULL, x}, 1, FINEPRUNE_USAGE, "type -1 is none");
    refuse_arrays(data, &(fineprune_array){"x", FP_FLOAT, 99, two, NULL, x}, 1, FINEPRUNE_USAGE, "99 axes");
    refuse_arrays(data, &(fineprune_array){"x", FP_FLOAT, 2, less, NULL, x}, 1, FINEPRUNE_USAGE, "negative");
    refuse_arrays(data, &(fineprune_array){"x", FP_FLOAT, 2, most, NULL, x}, 1, FINEPRUNE_USAGE, "too much");
    refuse_arrays(data, &(fineprune_array){"x", FP_FLOAT, 2, two, NULL, NULL}, 1, FINEPRUNE_USAGE, "has no elements");
    f.model.memory.limit = f.model.memory.used + 16;
    refuse_arrays(data, &good, 1, FINEPRUNE_LIMIT, "not enough memory");
    fineprune_data_free(data);
}

static void test_fixed_batch(void **state) {
    struct fake one = {0}, four = {0};
    fake_input(&one, "x", FP_FLOAT, DIMS(1, 3));
    fake_input(&four, "x", FP_FLOAT, DIMS(4, 3));
    const char *path = scratch_path(state, "a.npz");
    save(path, "x", FP_FLOAT, DIMS(6, 3));
    fineprune_data *data = open_data(&one, NULL);
    add(data, path);
    assert_int_equal(fp_data_max_batch(data), 1);
    fineprune_data_free(data);
    data = open_data(&four, NULL);
    add(data, path);
    assert_int_equal(fp_data_max_batch(data), 4);
    struct fp_tensor t;
    batch(data, &t, 2, 4, 5);
    assert_int_equal(t.dims[0], 4);
    const float want[12] = {12, 13, 14, 15, 16, 17, 15, 16, 17, 15, 16, 17}; // filled with the last
    assert_memory_equal(t.data, want, sizeof(want));
    fp_tensor_done(&t);
    const size_t all[6] = {0, 1, 2, 3, 4, 5};
    assert_int_equal(fp_data_next(data, all, 6, 1), 4);
    assert_int_equal(fp_data_next(data, all + 4, 2, 0), 2);
    fineprune_data_free(data);
}

static void test_whole(void **state) {
    struct fake f = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, 3));
    const char *path = scratch_path(state, "a.npz");
    save(path, "x", FP_FLOAT, DIMS(2, 5, 3));
    fineprune_data *data = open_data(&f, NULL);
    add(data, path);
    assert_int_equal(fineprune_data_samples(data), 2);
    assert_int_equal(fp_data_max_batch(data), 1);
    assert_true(fp_data_whole(data));
    struct fp_tensor t;
    batch(data, &t, 1, 1);
    assert_int_equal(t.rank, 2);
    assert_int_equal(t.dims[0], 5);
    assert_true(((float *)t.data)[0] == 15);
    fp_tensor_done(&t);
    fineprune_data_free(data);
}

static void test_several_inputs(void **state) {
    struct fake f = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, 3));
    fake_input(&f, "a=b", FP_INT64, DIMS(-1, 2));
    fake_input(&f, "rate", FP_INT64, 0, NULL);
    const char *x = scratch_path(state, "x.npz"), *y = scratch_path(state, "y.npz"), *r = scratch_path(state, "r.npz");
    save(x, "x", FP_FLOAT, DIMS(4, 3));
    save(y, "other", FP_UINT8, DIMS(4, 2));
    save(r, "rate", FP_INT32, 0, NULL);
    char source[400];
    fineprune_data *data = open_data(&f, NULL);
    snprintf(source, sizeof(source), "x=%s", x);
    add(data, source);
    fineprune_error err = {0};
    assert_int_equal(fp_data_ready(data, &err), FINEPRUNE_DATA);
    assert_non_null(strstr(err.message, "no data for the model's input 'a=b'"));
    snprintf(source, sizeof(source), "a=b=%s", y);
    add(data, source);
    snprintf(source, sizeof(source), "rate=%s", r);
    add(data, source);
    assert_int_equal(fp_data_ready(data, NULL), 0);
    assert_int_equal(fineprune_data_samples(data), 4);
    struct fp_tensor t[3];
    batch(data, t, 2, 3, 0);
    assert_int_equal(t[1].type, FP_INT64);
    assert_int_equal(((int64_t *)t[1].data)[0], 6);
    assert_int_equal(t[2].rank, 0);
    for (int i = 0; i < 3; i++) fp_tensor_done(&t[i]);
    add(data, (snprintf(source, sizeof(source), "x=%s", x), source));
    fp_error_clear(&err);
    assert_int_equal(fp_data_ready(data, &err), FINEPRUNE_DATA);
    assert_non_null(strstr(err.message, "input 'x' has 8 samples, but input 'a=b' has 4"));
    refuse(data, "y=random", FINEPRUNE_DATA, "'y' is not an input of the model");
    refuse(data, x, FINEPRUNE_DATA, "has no array for the model's input 'a=b'");
    fineprune_data_free(data);
}

static void test_shapes_refused(void **state) {
    struct fake f = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, 3, 8));
    static const char *symbols[] = {"batch", NULL, NULL};
    f.values[0].symbols = symbols;
    const char *path = scratch_path(state, "a.npz");
    fineprune_data *data = open_data(&f, NULL);
    save(path, "x", FP_FLOAT, DIMS(5, 3, 7));
    refuse(data, path, FINEPRUNE_DATA,
           "array 'x' is float32 [5,3,7], but the model's input 'x' float32 [batch,3,8] is wanted");
    save(path, "x", FP_FLOAT, DIMS(3, 8));
    refuse(data, path, FINEPRUNE_DATA, "float32 [3,8]");
    fineprune_error err = {0};
    assert_int_equal(fineprune_data_add(data, path, &err), FINEPRUNE_DATA);
    assert_non_null(strstr(err.hint, "numpy.newaxis"));
    save(path, "x", FP_FLOAT, DIMS(0, 3, 8));
    refuse(data, path, FINEPRUNE_DATA, "holds no samples");
    save(path, "z", FP_FLOAT, DIMS(2, 3, 8));
    refuse(data, path, FINEPRUNE_DATA, "its arrays are 'z'");
    save(path, "arr_0", FP_FLOAT, DIMS(2, 3, 8));
    add(data, path);
    refuse(data, "/tmp/fineprune-none.npz", FINEPRUNE_DATA, "cannot read the data");
    fineprune_data_free(data);
}

static void put_value(const char *path, enum fp_type type, double value) {
    struct fp_tensor t;
    make(&t, type, DIMS(4, 3));
    fp_convert((char *)t.data + 7 * fp_type_size(type), type, &value, FP_DOUBLE, 1); // in sample 2
    save_npy(path, &t);
    fp_tensor_done(&t);
}

static void test_elements(void **state) {
    struct fake floats = {0}, bytes = {0}, halves = {0};
    fake_input(&floats, "x", FP_FLOAT, DIMS(-1, 3));
    fake_input(&bytes, "x", FP_INT8, DIMS(-1, 3));
    fake_input(&halves, "x", FP_FLOAT16, DIMS(-1, 3));
    const char *path = scratch_path(state, "a.npy");
    fineprune_data *a = open_data(&floats, NULL), *b = open_data(&bytes, NULL), *c = open_data(&halves, NULL);
    put_value(path, FP_FLOAT, NAN);
    refuse(a, path, FINEPRUNE_DATA, "a.npy' has NaN in sample 2");
    refuse(b, path, FINEPRUNE_DATA, "NaN");
    put_value(path, FP_FLOAT, -INFINITY);
    refuse(a, path, FINEPRUNE_DATA, "a.npy' has an infinite value in sample 2");
    put_value(path, FP_DOUBLE, 1e300);
    refuse(a, path, FINEPRUNE_DATA, "in sample 2, which the model's input 'x' of float32 cannot hold");
    put_value(path, FP_FLOAT, 65536);
    refuse(c, path, FINEPRUNE_DATA, "float16 cannot hold");
    put_value(path, FP_INT64, 128);
    refuse(b, path, FINEPRUNE_DATA, "has 128 in sample 2, which the model's input 'x' of int8 cannot hold");
    put_value(path, FP_FLOAT, 1.5);
    refuse(b, path, FINEPRUNE_DATA, "has 1.5 in sample 2");
    put_value(path, FP_DOUBLE, -128);
    add(b, path);
    put_value(path, FP_INT64, 1 << 20);
    add(a, path);
    struct fp_tensor t;
    batch(b, &t, 1, 2);
    assert_int_equal(((int8_t *)t.data)[1], -128);
    fp_tensor_done(&t);
    fineprune_data_free(a);
    fineprune_data_free(b);
    fineprune_data_free(c);
}

static void test_folders(void **state) {
    struct fake one = {0}, two = {0};
    fake_input(&one, "x", FP_FLOAT, DIMS(-1, -1));
    fake_input(&two, "x", FP_FLOAT, DIMS(-1, 3));
    fake_input(&two, "y", FP_FLOAT, DIMS(-1, 2));
    struct fp_tensor t;
    make(&t, FP_FLOAT, DIMS(2, 3));
    save_npy(scratch_path(state, "x.npy"), &t);
    fp_tensor_done(&t);
    make(&t, FP_FLOAT, DIMS(2, 2));
    save_npy(scratch_path(state, "y.npy"), &t);
    fp_tensor_done(&t);
    scratch_write(scratch_path(state, "README"), "notes", 5);
    fineprune_data *a = open_data(&one, NULL), *b = open_data(&two, NULL);
    add(a, *state);
    assert_int_equal(fineprune_data_samples(a), 4);
    const size_t all[4] = {0, 1, 2, 3};
    assert_int_equal(fp_data_same_shape(a, all, 4), 2); // of two widths
    assert_int_equal(fp_data_next(a, all, 4, 0), 2);
    fineprune_error err = {0};
    struct fp_tensor none[1];
    assert_int_equal(fp_data_batch(a, all, 4, none, &err), FINEPRUNE_DATA);
    assert_non_null(strstr(err.message, "different shapes"));
    add(b, *state); // x.npy and y.npy are the inputs x and y
    assert_int_equal(fineprune_data_samples(b), 2);
    save(scratch_path(state, "z.npz"), "x", FP_FLOAT, DIMS(2, 3));
    refuse(a, *state, FINEPRUNE_DATA, "holds files of two kinds: 2 .npy ('x.npy') and 1 .npz ('z.npz')");
    char list[300], text[300];
    snprintf(list, sizeof(list), "@%s", scratch_path(state, "list.txt"));
    snprintf(text, sizeof(text), "# two\r\n x.npy \n\n%s/z.npz\n", (const char *)*state);
    scratch_write(list + 1, text, strlen(text));
    add(a, list);
    assert_int_equal(fineprune_data_samples(a), 8);
    snprintf(text, sizeof(text), "x.npy\nabsent.npy\n");
    scratch_write(list + 1, text, strlen(text));
    refuse(a, list, FINEPRUNE_DATA, "absent.npy");
    scratch_write(list + 1, "@list.txt", 9);
    refuse(a, list, FINEPRUNE_DATA, "only one level");
    scratch_write(list + 1, "", 0);
    refuse(a, list, FINEPRUNE_DATA, "names no files");
    assert_int_equal(mkdir(scratch_path(state, "empty"), 0700), 0);
    refuse(a, scratch_path(state, "empty"), FINEPRUNE_DATA, "holds no data");
    refuse(a, scratch_path(state, "README"), FINEPRUNE_DATA, "not a kind of file");
    fineprune_data_free(a);
    fineprune_data_free(b);
}

// ---- folders below a folder, and files that cannot be used

static void write_array(const char *path, int rank, const int64_t *dims) {
    struct fp_tensor t;
    make(&t, FP_FLOAT, rank, dims);
    save_npy(path, &t);
    fp_tensor_done(&t);
}

static fineprune_data *open_with(const struct fake *f, const char *on_bad_file) {
    return open_data(f, &(fineprune_data_options){.on_bad_file = on_bad_file});
}

static void test_tree(void **state) {
    struct fake f = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, 3));
    assert_int_equal(mkdir(scratch_path(state, "b"), 0700), 0);
    assert_int_equal(mkdir(scratch_path(state, "b/below"), 0700), 0);
    write_array(scratch_path(state, "c.npy"), DIMS(1, 3));
    write_array(scratch_path(state, "a.npy"), DIMS(2, 3));
    write_array(scratch_path(state, "b/below/x.npy"), DIMS(3, 3));
    scratch_write(scratch_path(state, "b/notes.TXT"), "no", 2);
    scratch_write(scratch_path(state, "b/.hidden.npy"), "no", 2);
    char link[300];
    snprintf(link, sizeof(link), "%s", scratch_path(state, "b/circle"));
    assert_int_equal(symlink(*state, link), 0);
    fineprune_data *data = open_with(&f, NULL);
    add(data, *state);
    assert_int_equal(fineprune_data_samples(data), 6);
    char text[300];
    assert_non_null(strstr(fp_data_where(data, 2, text, sizeof(text)), "sample 2"));
    const char *kind;
    assert_int_equal(fp_data_passed(data, 0, &kind), 1);
    assert_string_equal(kind, "link to a folder");
    assert_int_equal(fp_data_passed(data, 1, &kind), 1);
    assert_string_equal(kind, ".txt");
    assert_int_equal(fp_data_passed(data, 2, &kind), 0);
    fineprune_data_free(data);
}

static void test_bad_files(void **state) {
    struct fake f = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, 3));
    write_array(scratch_path(state, "a.npy"), DIMS(2, 3));
    scratch_write(scratch_path(state, "b.npy"), "no", 2);
    write_array(scratch_path(state, "c.npy"), DIMS(2, 4));
    fineprune_data *stop = open_with(&f, "stop"), *skip = open_with(&f, "skip");
    refuse(stop, *state, FINEPRUNE_DATA, "2 of 3 files cannot be used");
    refuse(stop, *state, FINEPRUNE_DATA, "b.npy");
    refuse(stop, *state, FINEPRUNE_DATA, "c.npy");
    assert_int_equal(fineprune_data_samples(stop), 0);
    add(skip, *state);
    assert_int_equal(fineprune_data_samples(skip), 2);
    const char *why;
    assert_int_equal(fp_data_bad(skip, 1, &why), 2);
    assert_non_null(strstr(why, "c.npy"));
    assert_int_equal(fp_data_bad(skip, 2, &why), 2);
    assert_null(why);
    refuse(skip, scratch_path(state, "b.npy"), FINEPRUNE_DATA, "b.npy"); // nothing would be left of this source
    assert_int_equal(unlink(scratch_path(state, "a.npy")), 0);
    refuse(skip, *state, FINEPRUNE_DATA, "none of the 2 files can be used; the first: ");
    fineprune_error err = {0};
    fineprune_data_options options = FINEPRUNE_DATA_OPTIONS_INIT;
    options.on_bad_file = "skp";
    fineprune_data *data;
    assert_int_equal(fineprune_data_open(&data, &f.model, &options, &err), FINEPRUNE_USAGE);
    fineprune_data_free(stop);
    fineprune_data_free(skip);
}

// TensorProto: dims (1), data_type (2), float_data (4) or raw_data (9), name (8).
static size_t tensor_proto(uint8_t *dst, const char *name, int rows, int columns, bool raw) {
    size_t n = 0;
    dst[n++] = 0x08, dst[n++] = (uint8_t)rows, dst[n++] = 0x08, dst[n++] = (uint8_t)columns;
    dst[n++] = 0x10, dst[n++] = FP_FLOAT;
    dst[n++] = raw ? 0x4a : 0x22, dst[n++] = (uint8_t)(rows * columns * 4);
    for (int i = 0; i < rows * columns; i++, n += 4) memcpy(dst + n, &(float){(float)i}, 4);
    dst[n++] = 0x42, dst[n++] = (uint8_t)strlen(name);
    memcpy(dst + n, name, strlen(name));
    return n + strlen(name);
}

static void test_test_data_sets(void **state) {
    struct fake f = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, 3));
    fake_input(&f, "y", FP_FLOAT, DIMS(2, 2));
    uint8_t file[300];
    for (int i = 0; i < 3; i++) {
        const int number = i == 2 ? 10 : i;
        char folder[100], name[160];
        snprintf(folder, sizeof(folder), "test_data_set_%d", number);
        assert_int_equal(mkdir(scratch_path(state, folder), 0700), 0);
        // named tensors in the other order for the second set
        snprintf(name, sizeof(name), "%s/input_%d.pb", folder, i == 1);
        scratch_write(scratch_path(state, name), file, tensor_proto(file, i == 1 ? "x" : "", i + 1, 3, i == 1));
        snprintf(name, sizeof(name), "%s/input_%d.pb", folder, i != 1);
        scratch_write(scratch_path(state, name), file, tensor_proto(file, i == 1 ? "y" : "", 2, 2, true));
    }
    fineprune_data *data = open_data(&f, NULL);
    add(data, *state);
    assert_int_equal(fineprune_data_samples(data), 3);
    assert_int_equal(fp_data_max_batch(data), 1);
    struct fp_tensor t[2];
    for (int i = 0; i < 3; i++) {
        batch(data, t, 1, i);
        assert_int_equal(t[0].dims[0], i + 1);
        assert_int_equal(t[1].count, 4);
        fp_tensor_done(&t[0]);
        fp_tensor_done(&t[1]);
    }
    char single[200];
    snprintf(single, sizeof(single), "%s/", scratch_path(state, "test_data_set_10"));
    add(data, single);
    assert_int_equal(fineprune_data_samples(data), 4);
    char named[220];
    snprintf(named, sizeof(named), "x=%s", single);
    refuse(data, named, FINEPRUNE_USAGE, "test_data_set_10' has all inputs; give it without a name");
    const char *broken = scratch_path(state, "test_data_set_1/input_0.pb");
    scratch_write(broken, file, 20);
    refuse(data, *state, FINEPRUNE_DATA, "test_data_set_1/input_0.pb'");
    scratch_write(broken, file, tensor_proto(file, "x", 1, 4, true));
    refuse(data, *state, FINEPRUNE_DATA, "is float32 [1,4], but the model's input 'x'");
    scratch_write(broken, file, tensor_proto(file, "x", 1, 3, true));
    refuse(data, *state, FINEPRUNE_DATA, "second tensor for the input 'x'");
    unlink(broken);
    refuse(data, *state, FINEPRUNE_DATA, "has no tensor for the model's input 'y'");
    fineprune_data_free(data);
    assert_int_equal(f.model.memory.used, 0);
}

static void test_random(void **state) {
    (void)state;
    struct fake f = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, 3, -1));
    fake_input(&f, "ids", FP_INT64, DIMS(-1, 5));
    fineprune_data *data = open_data(&f, NULL);
    refuse(data, "random", FINEPRUNE_DATA, "axis 2");
    refuse(data, "random:x", FINEPRUNE_USAGE, "not a number");
    fineprune_data_free(data);
    const char *shapes[] = {"x:?,3,400"};
    const fineprune_data_options options = {.shapes = shapes, .n_shapes = 1, .limit = 7};
    data = open_data(&f, &options);
    add(data, "random:3");
    assert_int_equal(fineprune_data_samples(data), 7);
    struct fp_tensor t[2], u[2];
    batch(data, t, 2, 1, 2);
    batch(data, u, 1, 2);
    assert_int_equal(t[0].count, 2400);
    assert_memory_equal((float *)t[0].data + 1200, u[0].data, 4800);
    double sum = 0, squares = 0;
    for (int i = 0; i < 2400; i++) {
        const double x = (double)((float *)t[0].data)[i];
        sum += x, squares += x * x;
    }
    assert_true(fabs(sum / 2400) < 0.1 && fabs(squares / 2400 - 1) < 0.1);
    for (size_t i = 0; i < t[1].count; i++) assert_in_range(((int64_t *)t[1].data)[i], 0, 1);
    for (int i = 0; i < 2; i++) fp_tensor_done(&t[i]), fp_tensor_done(&u[i]);
    refuse(data, "random", FINEPRUNE_DATA, "has data already");
    fineprune_data_free(data);
}

static void test_shape_option(void **state) {
    (void)state;
    struct fake f = {0};
    fake_input(&f, "in:0", FP_FLOAT, DIMS(-1, 3, -1));
    fake_input(&f, "mask", FP_FLOAT, DIMS(-1, -1));
    static const char *first[] = {"n", NULL, "time"}, *second[] = {"n", "time"};
    f.values[0].symbols = first;
    f.values[1].symbols = second;
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"x:1,3,4", "names no input"},  {"in:0:1,4,4", "contradicts the model's input 'in:0' float32 [n,3,time]"},
        {"in:0:1,3", "contradicts"},    {"in:0:1,3,", "is not NAME:"},
        {"in:0:a,3,4", "is not NAME:"}, {"in:0:1,3,-4", "is not NAME:"},
        {"in:0", "names no input"}};
    for (size_t i = 0; i < FP_COUNT(bad); i++) {
        fineprune_error err = {0};
        fineprune_data *data = NULL;
        const fineprune_data_options options = {.size = sizeof(options), .shapes = &bad[i].text, .n_shapes = 1};
        assert_int_equal(fineprune_data_open(&data, &f.model, &options, &err), FINEPRUNE_USAGE);
        if (!strstr(err.message, bad[i].message)) fail_msg("%s", err.message);
        assert_null(data);
    }
    const char *text = "in:0:2,3,4";
    const fineprune_data_options options = {.size = sizeof(options), .shapes = &text, .n_shapes = 1};
    fineprune_data *data = open_data(&f, &options);
    add(data, "random");
    assert_int_equal(fp_data_max_batch(data), 2);
    struct fp_tensor t[2];
    batch(data, t, 1, 0);
    assert_int_equal(t[1].dims[0], 2);
    assert_int_equal(t[1].dims[1], 4); // the same symbols
    fp_tensor_done(&t[0]);
    fp_tensor_done(&t[1]);
    fineprune_data_free(data);
}

static void test_missing(void **state) {
    (void)state;
    struct fake f = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, 3));
    fineprune_data *data = open_data(&f, NULL);
    fineprune_error err = {0};
    assert_int_equal(fp_data_ready(data, &err), FINEPRUNE_DATA);
    assert_string_equal(err.message, "no data; the model's inputs are 'x' float32 [?,3]");
    assert_non_null(strstr(err.hint, "random[:SEED]"));
    assert_int_equal(fineprune_data_samples(data), 0);
    fineprune_data_free(data);
    fineprune_data_free(NULL);
}

// Three sources of 30, 60 and 30 samples: a limit takes some of every stretch, in proportion, whatever the order of
// classes in it.
static void test_limit(void **state) {
    struct fake f = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, 1));
    const char *const paths[] = {scratch_path(state, "a.npz"), scratch_path(state, "b.npz"),
                                 scratch_path(state, "c.npz")},
                      *const name = "x";
    const int64_t sizes[] = {30, 60, 30};
    int value = 0;
    for (int i = 0; i < 3; i++) {
        struct fp_tensor t;
        make(&t, FP_FLOAT, DIMS(sizes[i], 1));
        for (size_t k = 0; k < t.count; k++) ((float *)t.data)[k] = (float)value++;
        write_npz(paths[i], &name, &t, 1);
        fp_tensor_done(&t);
    }
    for (size_t limit = 1; limit <= 130; limit++) {
        const fineprune_data_options options = {.limit = limit};
        fineprune_data *data = open_data(&f, &options);
        for (int i = 0; i < 3; i++) add(data, paths[i]);
        const size_t n = fineprune_data_samples(data);
        assert_int_equal(n, limit < 120 ? limit : 120);
        assert_int_equal(fp_data_all(data), 120);
        size_t of_source[3] = {0}, of_cycle[2] = {0};
        for (size_t s = 0; s < n; s++) {
            struct fp_tensor t;
            batch(data, &t, 1, (int)s);
            const size_t row = (size_t)((float *)t.data)[0];
            fp_tensor_done(&t);
            assert_int_equal(row, fp_data_row(data, s));
            assert_in_range(row, s * 120 / n, (s + 1) * 120 / n); // its stretch
            if (s) assert_true(row > fp_data_row(data, s - 1));
            of_source[row < 30 ? 0 : row < 90 ? 1 : 2]++, of_cycle[row % 2]++;
        }
        for (int i = 0; i < 3 && n >= 12; i++)
            assert_in_range(of_source[i], n * (size_t)sizes[i] / 120 - 2, n * (size_t)sizes[i] / 120 + 2);
        if (n >= 12) assert_true(of_cycle[0] * 5 > n && of_cycle[1] * 5 > n);
        fineprune_data_free(data);
    }
}

static void test_memory_limit(void **state) {
    struct fake f = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, 1000));
    f.model.memory.limit = 100000;
    const char *path = scratch_path(state, "a.npz");
    save(path, "x", FP_FLOAT, DIMS(20, 1000));
    fineprune_data *data = open_data(&f, NULL);
    add(data, path);
    refuse(data, path, FINEPRUNE_LIMIT, "not enough memory");
    size_t samples[20];
    for (size_t i = 0; i < 20; i++) samples[i] = i;
    struct fp_tensor t;
    assert_int_equal(fp_data_batch(data, samples, 20, &t, NULL), FINEPRUNE_LIMIT);
    fineprune_data_free(data);
    assert_int_equal(f.model.memory.used, 0);
}

// 4.8 MB stay in the file: no limit of memory counts them, and what is wrong with them is said before the first sample
// is asked for.
static void test_far(void **state) {
    struct fake f = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, 2000));
    f.model.memory.limit = 100000;
    const char *const paths[] = {scratch_path(state, "a.npz"), scratch_path(state, "a.npy")}, *const name = "x";
    const size_t sample[] = {299, 0, 150};
    for (int kind = 0; kind < 4; kind++) { // as the model has it, and to be converted
        const bool wide = kind % 2;
        const char *path = paths[kind / 2];
        struct fp_tensor t;
        make(&t, wide ? FP_DOUBLE : FP_FLOAT, DIMS(600, 2000));
        t.dims[0] = 300 * (2 - wide), t.count = (size_t)t.dims[0] * 2000;
        if (kind < 2) write_npz(path, &name, &t, 1);
        else save_npy(path, &t);
        fineprune_data *data = open_data(&f, NULL);
        add(data, path);
        assert_int_equal(fineprune_data_samples(data), t.dims[0]);
        struct fp_tensor got;
        for (size_t i = 0; i < FP_COUNT(sample); i++) {
            batch(data, &got, 1, sample[i]);
            for (size_t k = 0; k < 2000; k++)
                assert_true(((float *)got.data)[k] == (float)((sample[i] * 2000 + k) % 100));
            fp_tensor_done(&got);
        }
        fineprune_data_free(data);
        if (wide) ((double *)t.data)[123456] = NAN;
        else ((float *)t.data)[123456] = NAN;
        if (kind < 2) write_npz(path, &name, &t, 1);
        else save_npy(path, &t);
        data = open_data(&f, NULL);
        refuse(data, path, FINEPRUNE_DATA, "has NaN in sample 61");
        fineprune_data_free(data);
        t.count = 600 * 2000; // as it was made
        fp_tensor_done(&t);
    }
    size_t size;
    const char *path = paths[0];
    save(path, "x", FP_FLOAT, DIMS(600, 2000));
    uint8_t *file = scratch_read(path, &size);
    file[size / 2] ^= 1;
    scratch_write(path, file, size);
    fineprune_data *data = open_data(&f, NULL);
    refuse(data, path, FINEPRUNE_DATA, "is damaged");
    file[size / 2] ^= 1;
    scratch_write(path, file, size);
    add(data, path);
    scratch_write(path, file, size / 2); // it becomes shorter while it is open
    struct fp_tensor got;
    const size_t last = 599;
    assert_int_not_equal(fp_data_batch(data, &last, 1, &got, NULL), 0);
    fineprune_data_free(data);
    free(file);
    assert_int_equal(f.model.memory.used, 0);
}

// Fifty files of 80 kB with a limit: none is kept, and the samples that are taken are, until others are.
static void test_far_with_a_limit(void **state) {
    enum { FILES = 50, ROWS = 10, WIDTH = 2000 };
    struct fake f = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, WIDTH));
    f.model.memory.limit = 20 * WIDTH * sizeof(float);
    const fineprune_data_options options = {.limit = 12};
    fineprune_data *data = open_data(&f, &options);
    for (int i = 0; i < FILES; i++) {
        char name[32];
        struct fp_tensor t;
        snprintf(name, sizeof(name), "%02d.npy", i);
        make(&t, FP_FLOAT, DIMS(ROWS, WIDTH));
        for (size_t k = 0; k < t.count; k++) ((float *)t.data)[k] = (float)((size_t)i * ROWS + k / WIDTH);
        save_npy(scratch_path(state, name), &t);
        fp_tensor_done(&t);
    }
    for (int half = 0; half < 2; half++) { // a second source changes which are taken
        for (int i = half * FILES / 2; i < (half + 1) * FILES / 2; i++) {
            char name[32];
            snprintf(name, sizeof(name), "%02d.npy", i);
            add(data, scratch_path(state, name));
        }
        assert_int_equal(f.model.memory.used, 0);
        for (int turn = 0; turn < 2; turn++)
            for (size_t s = 12; s--;) {
                struct fp_tensor t;
                batch(data, &t, 1, s);
                for (size_t k = 0; k < WIDTH; k++) assert_true(((float *)t.data)[k] == (float)fp_data_row(data, s));
                fp_tensor_done(&t);
            }
        assert_int_equal(f.model.memory.used, 12 * WIDTH * sizeof(float));
    }
    add(data, scratch_path(state, "00.npy"));
    struct fp_tensor t;
    const size_t first = 0;
    fineprune_error err = {0};
    char name[32];
    snprintf(name, sizeof(name), "%02zu.npy", fp_data_row(data, first) / ROWS);
    scratch_write(scratch_path(state, name), "gone", 4);
    assert_int_equal(fp_data_batch(data, &first, 1, &t, &err), FINEPRUNE_IO);
    assert_non_null(strstr(err.message, "has changed while it was in use"));
    fineprune_data_free(data);
    assert_int_equal(f.model.memory.used, 0);
}

static void test_lists_refused(void **state) {
    struct fake f = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, 3));
    char list[320];
    snprintf(list, sizeof(list), "@%s", scratch_path(state, "list"));
    fineprune_data *data = open_data(&f, NULL);
    refuse(data, list, FINEPRUNE_IO, "cannot read the list '");
    scratch_write(list + 1, "a\0b", 3);
    refuse(data, list, FINEPRUNE_DATA, "list' is not a text file");
    assert_int_equal(remove(list + 1), 0);
    assert_int_equal(mkdir(list + 1, 0700), 0);
    refuse(data, list, FINEPRUNE_IO, "list': not a regular file");
    fineprune_data_free(data);
}

// Where an axis that is named as the batch is not the first, an array of the input's own shape is taken apart along it.
static void test_batch_axis(void **state) {
    struct fake f = {0};
    static const char *symbols[] = {"time", "batch", NULL};
    const char *path = scratch_path(state, "a.npz"), *const name = "x";
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, -1, 2));
    f.values[0].symbols = symbols;
    struct fp_tensor t;
    int axis = 0;
    make(&t, FP_FLOAT, DIMS(3, 4, 2)); // three steps, four samples
    write_npz(path, &name, &t, 1);
    fp_tensor_done(&t);
    fineprune_data *data = open_data(&f, NULL);
    assert_null(fp_data_moved(data, 0, &axis));
    add(data, path);
    assert_int_equal(fineprune_data_samples(data), 4);
    assert_string_equal(fp_data_moved(data, 0, &axis), "x");
    assert_int_equal(axis, 1);
    batch(data, &t, 1, 2);
    assert_true(t.rank == 3 && t.dims[0] == 3 && t.dims[1] == 1 && t.dims[2] == 2);
    assert_memory_equal(t.data, ((float[]){4, 5, 12, 13, 20, 21}), 6 * sizeof(float));
    fp_tensor_done(&t);
    fineprune_error err = {0};
    save(path, "x", FP_FLOAT, DIMS(3, 4, 5));
    assert_int_equal(fineprune_data_add(data, path, &err), FINEPRUNE_DATA);
    assert_non_null(strstr(err.message, "float32 [3,4,5]"));
    assert_string_equal(err.hint, "the input's samples lie along axis 1; the other axes must be the model's");
    fineprune_data_free(data);
    f.dims[0][1] = 4, symbols[1] = "batch"; // a fixed number of them
    data = open_data(&f, NULL);
    save(path, "x", FP_FLOAT, DIMS(3, 4, 2));
    fp_error_clear(&err);
    assert_int_equal(fineprune_data_add(data, path, &err), FINEPRUNE_DATA);
    assert_non_null(strstr(err.message, "lie along its axis 1"));
    assert_string_equal(err.hint, "give an array with one axis more: [samples, ...the input's axes]");
    fineprune_data_free(data);
}

// Inputs that take a fixed number of samples at once take the same.
static void test_fixed_rows_differ(void **state) {
    struct fake f = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(4, 3));
    fake_input(&f, "y", FP_FLOAT, DIMS(6, 3));
    const char *const paths[] = {scratch_path(state, "x.npy"), scratch_path(state, "y.npy")};
    struct fp_tensor t;
    make(&t, FP_FLOAT, DIMS(12, 3));
    for (int i = 0; i < 2; i++) save_npy(paths[i], &t);
    fp_tensor_done(&t);
    fineprune_data *data = open_data(&f, NULL);
    for (int i = 0; i < 2; i++) add(data, paths[i]);
    fineprune_error err = {0};
    assert_int_equal(fp_data_ready(data, &err), FINEPRUNE_DATA);
    assert_string_equal(err.message, "input 'x' takes 4 samples at once, but input 'y' takes 6");
    assert_non_null(strstr(err.hint, "one axis more"));
    fineprune_data_free(data);
}

// A tensor in a file of its own is one sample, and may hold anything.
static void test_tensor_files(void **state) {
    struct fake f = {0}, two = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, 3));
    fake_input(&two, "x", FP_FLOAT, DIMS(-1, 3)), fake_input(&two, "y", FP_FLOAT, DIMS(-1, 3));
    const char *path = scratch_path(state, "a.pb");
    uint8_t file[300];
    size_t size = tensor_proto(file, "any", 2, 3, true), *huge, n;
    scratch_write(path, file, size);
    fineprune_data *data = open_data(&f, NULL), *other = open_data(&two, NULL);
    struct fp_tensor t;
    add(data, path);
    batch(data, &t, 1, 0);
    assert_true(t.rank == 2 && t.dims[0] == 2 && t.dims[1] == 3 && ((float *)t.data)[5] == 5);
    fp_tensor_done(&t);
    assert_int_equal(fp_data_huge(data, &huge, &n, NULL), 0);
    assert_true(!huge && !n);
    memcpy(file + 8 + 5 * sizeof(float), &(float){INFINITY}, sizeof(float));
    scratch_write(path, file, size);
    add(data, path);
    assert_int_equal(fp_data_huge(data, &huge, &n, NULL), 0);
    assert_true(n == 1 && huge[0] == 1);
    free(huge);
    char where[300], want[300];
    snprintf(want, sizeof(want), "sample 1 ('%s')", path);
    assert_string_equal(fp_data_where(data, 1, where, sizeof(where)), want);
    uint64_t hashes[2], again;
    for (size_t i = 0; i < 2; i++) assert_int_equal(fp_data_hash(data, i, &hashes[i], NULL), 0);
    assert_int_equal(fp_data_hash(data, 1, &again, NULL), 0);
    assert_true(hashes[0] != hashes[1] && again == hashes[1]);
    fineprune_error err = {0};
    assert_int_equal(fp_data_hash(data, 2, &again, &err), FINEPRUNE_INTERNAL);
    assert_string_equal(err.message, "sample 2 of 2");
    fp_error_clear(&err);
    assert_int_equal(fp_data_batch(data, (size_t[]){0, 1}, 2, &t, &err), FINEPRUNE_INTERNAL);
    assert_string_equal(err.message, "2 samples in a batch of at most 1");
    refuse(other, path, FINEPRUNE_DATA, "is data for one input, but the model's inputs are 'x' float32 [?,3], 'y'");
    fp_error_clear(&err);
    assert_int_equal(fineprune_data_add(other, path, &err), FINEPRUNE_DATA);
    assert_non_null(strstr(err.hint, "says which; give the others likewise"));
    scratch_write(path, "", 0);
    refuse(data, path, FINEPRUNE_DATA, "a.pb': the file is empty");
    refuse(data, "x=/tmp/test_data_set_none.pb", FINEPRUNE_DATA, "No such file or directory");
    fineprune_data_free(data);
    fineprune_data_free(other);
    assert_int_equal(f.model.memory.used, 0);
}

// Rows of an array that are too large are known by their number; a run sees what they mean.
static void test_huge_rows(void **state) {
    struct fake f = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, 3));
    const char *path = scratch_path(state, "a.npz"), *const name = "x";
    struct fp_tensor t;
    make(&t, FP_FLOAT, DIMS(4, 3));
    ((float *)t.data)[7] = -1e30f;
    write_npz(path, &name, &t, 1);
    fp_tensor_done(&t);
    fineprune_data *data = open_data(&f, NULL);
    size_t *huge, n;
    add(data, path);
    assert_int_equal(fp_data_huge(data, &huge, &n, NULL), 0);
    assert_true(n == 1 && huge[0] == 2);
    free(huge);
    char where[300], want[300];
    snprintf(want, sizeof(want), "sample 2 ('%s': array 'x', number 2)", path);
    assert_string_equal(fp_data_where(data, 2, where, sizeof(where)), want);
    fineprune_data_free(data);
}

// A value for any number of samples may be given again by the next file, but no other one.
static void test_same_again(void **state) {
    struct fake f = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, 3)), fake_input(&f, "rate", FP_FLOAT, 0, NULL);
    const char *path = scratch_path(state, "a.npz"), *const names[] = {"x", "rate"};
    struct fp_tensor arrays[2];
    make(&arrays[0], FP_FLOAT, DIMS(2, 3)), make(&arrays[1], FP_FLOAT, 0, NULL);
    write_npz(path, names, arrays, 2);
    fineprune_data *data = open_data(&f, NULL);
    add(data, path), add(data, path);
    assert_int_equal(fineprune_data_samples(data), 4);
    *(float *)arrays[1].data = 5;
    write_npz(path, names, arrays, 2);
    refuse(data, path, FINEPRUNE_DATA, "has data already, and one of the two serves any number of samples");
    for (int i = 0; i < 2; i++) fp_tensor_done(&arrays[i]);
    fineprune_data_free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        scratch_test(test_rows),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_arrays_refused),
        scratch_test(test_fixed_batch),
        scratch_test(test_whole),
        scratch_test(test_several_inputs),
        scratch_test(test_shapes_refused),
        scratch_test(test_elements),
        scratch_test(test_folders),
        scratch_test(test_test_data_sets),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_shape_option),
        cmocka_unit_test(test_missing),
        scratch_test(test_memory_limit),
        scratch_test(test_limit),
        scratch_test(test_far),
        scratch_test(test_far_with_a_limit),
        scratch_test(test_lists_refused),
        scratch_test(test_batch_axis),
        scratch_test(test_fixed_rows_differ),
        scratch_test(test_tensor_files),
        scratch_test(test_huge_rows),
        scratch_test(test_same_again),
        scratch_test(test_tree),
        scratch_test(test_bad_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
