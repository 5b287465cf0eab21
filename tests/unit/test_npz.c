// SPDX-License-Identifier: Apache-2.0
// NumPy's files: what is written is read back, what NumPy may write is read, and what is broken is refused with its
// name.
#include "tensor/npz.h"

#include "scratch_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <zip.h>

// A .npy of version 1 with the given dict text and elements.
static size_t make_npy(uint8_t *dst, const char *dict, const void *elements, size_t bytes) {
    const size_t length = strlen(dict);
    memcpy(dst, "\x93NUMPY\x01\x00", 8);
    dst[8] = (uint8_t)length;
    dst[9] = (uint8_t)(length >> 8);
    memcpy(dst + 10, dict, length);
    if (bytes) memcpy(dst + 10 + length, elements, bytes);
    return 10 + length + bytes;
}

static int read_npy(void **state, const char *dict, const void *elements, size_t bytes, struct fp_tensor *t,
                    fineprune_error *err) {
    uint8_t file[4096];
    const char *path = scratch_path(state, "a.npy");
    scratch_write(path, file, make_npy(file, dict, elements, bytes));
    memset(t, 0, sizeof(*t));
    fp_error_clear(err);
    return fp_npy_read(t, path, NULL, err);
}

static void test_plain(void **state) {
    fineprune_error err;
    struct fp_tensor t;
    const float x[6] = {1, 2, 3, 4, 5, 6};
    assert_int_equal(
        read_npy(state, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", x, sizeof(x), &t, &err), 0);
    assert_int_equal(t.type, FP_FLOAT);
    assert_int_equal(t.rank, 2);
    assert_int_equal(t.dims[0], 2);
    assert_int_equal(t.dims[1], 3);
    assert_memory_equal(t.data, x, sizeof(x));
    fp_tensor_done(&t);
    // other ways to write the same dict
    assert_int_equal(
        read_npy(state, "{\"shape\":(6,),\"fortran_order\":False,\"descr\":\"<f4\"}", x, sizeof(x), &t, &err), 0);
    assert_int_equal(t.rank, 1);
    fp_tensor_done(&t);
    assert_int_equal(read_npy(state, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }", x, 4, &t, &err), 0);
    assert_int_equal(t.rank, 0);
    assert_int_equal(t.count, 1);
    fp_tensor_done(&t);
    assert_int_equal(read_npy(state, "{'descr': '<f4', 'fortran_order': False, 'shape': (0L, 3L), }", x, 0, &t, &err),
                     0);
    assert_int_equal(t.count, 0);
    fp_tensor_done(&t);
}

static void test_orders(void **state) {
    fineprune_error err;
    struct fp_tensor t;
    const int16_t columns[6] = {1, 4, 2, 5, 3, 6}, rows[6] = {1, 2, 3, 4, 5, 6};
    assert_int_equal(
        read_npy(state, "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }", columns, 12, &t, &err), 0);
    assert_int_equal(t.type, FP_INT16);
    assert_memory_equal(t.data, rows, sizeof(rows));
    fp_tensor_done(&t);
    const uint8_t big[8] = {0x3f, 0x80, 0, 0, 0x40, 0, 0, 0};
    const float want[2] = {1, 2};
    assert_int_equal(read_npy(state, "{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", big, 8, &t, &err), 0);
    assert_memory_equal(t.data, want, 8);
    fp_tensor_done(&t);
    assert_int_equal(read_npy(state, "{'descr': '>c8', 'fortran_order': False, 'shape': (1,), }", big, 8, &t, &err), 0);
    assert_int_equal(t.type, FP_COMPLEX64);
    assert_memory_equal(t.data, want, 8);
    fp_tensor_done(&t);
}

static void test_broken(void **state) {
    static const struct {
        const char *dict, *message;
        size_t bytes;
    } cases[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", "holds 20 bytes", 20},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", "holds 28 bytes", 28},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "negative size", 4},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", "impossible shape", 4},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", "damaged header", 4},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1), }", "damaged header", 4},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1 1), }", "damaged header", 4},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)", "damaged header", 4},
        {"{'descr': '<f4', 'fortran_order': False, }", "damaged header", 4},
        {"{'descr': '<f4', 'shape': (1,), }", "damaged header", 4},
        {"{'descr': '<f4, 'fortran_order': False, 'shape': (1,), }", "not a plain number", 4},
        {"", "damaged header", 4},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "'|O', which is not a plain number", 4},
        {"{'descr': '<U3', 'fortran_order': False, 'shape': (1,), }", "'<U3', which is not a plain number", 12},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "not a plain number", 4},
        {"{'descr': '<f3', 'fortran_order': False, 'shape': (1,), }", "'<f3'", 3},
        {"{'descr': '', 'fortran_order': False, 'shape': (1,), }", "not a plain number", 3},
    };
    const char zeros[64] = {0};
    for (size_t i = 0; i < FP_COUNT(cases); i++) {
        fineprune_error err;
        struct fp_tensor t;
        assert_int_equal(read_npy(state, cases[i].dict, zeros, cases[i].bytes, &t, &err), FINEPRUNE_DATA);
        if (!strstr(err.message, cases[i].message)) fail_msg("case %zu: %s", i, err.message);
        assert_non_null(strstr(err.message, "a.npy"));
        assert_null(t.data);
    }
}

static void test_not_npy(void **state) {
    fineprune_error err = {0};
    struct fp_tensor t = {0};
    const char *path = scratch_path(state, "a.npy");
    assert_int_equal(fp_npy_read(&t, path, NULL, &err), FINEPRUNE_IO);
    fp_error_clear(&err);
    scratch_write(path, "", 0);
    assert_int_equal(fp_npy_read(&t, path, NULL, &err), FINEPRUNE_DATA);
    fp_error_clear(&err);
    scratch_write(path, "version https://git-lfs", 23);
    assert_int_equal(fp_npy_read(&t, path, NULL, &err), FINEPRUNE_DATA);
    assert_non_null(strstr(err.message, "not in NumPy's format"));
    fp_error_clear(&err);
    scratch_write(path, "\x93NUMPY\x02\x00\xff\xff\xff\xff", 12);
    assert_int_equal(fp_npy_read(&t, path, NULL, &err), FINEPRUNE_DATA);
    assert_non_null(strstr(err.message, "header of 4294967295 bytes"));
    fp_error_clear(&err);
    assert_int_equal(fp_npy_read(&t, *state, NULL, &err), FINEPRUNE_DATA); // a folder
}

static void fill(struct fp_tensor *t, enum fp_type type, int64_t rows, int64_t columns) {
    const int64_t dims[2] = {rows, columns};
    fineprune_error err = {0};
    memset(t, 0, sizeof(*t));
    assert_int_equal(fp_tensor_new(t, NULL, type, 2, dims, &err), 0);
    uint64_t seed = (uint64_t)type;
    uint8_t *bytes = t->data;
    for (size_t i = 0; i < fp_tensor_bytes(t); i++)
        bytes[i] = type == FP_BOOL ? fp_random(&seed) & 1 : (uint8_t)fp_random(&seed);
}

static const enum fp_type TYPES[] = {FP_FLOAT, FP_DOUBLE, FP_FLOAT16, FP_UINT8,  FP_INT8, FP_UINT16,    FP_INT16,
                                     FP_INT32, FP_INT64,  FP_UINT32,  FP_UINT64, FP_BOOL, FP_COMPLEX64, FP_COMPLEX128};

static void write_all(const char *path) {
    fineprune_error err = {0};
    struct fp_npz_writer *writer;
    assert_int_equal(fp_npz_create(&writer, path, true, &err), 0);
    for (size_t i = 0; i < FP_COUNT(TYPES); i++) {
        struct fp_tensor t;
        fill(&t, TYPES[i], 7, 1300);
        assert_int_equal(fp_npz_add(writer, fp_type_name(TYPES[i]), &t, &err), 0);
        fp_tensor_done(&t);
    }
    assert_int_equal(fp_npz_finish(writer, &err), 0);
}

static void test_round_trip(void **state) {
    fineprune_error err = {0};
    const char *path = scratch_path(state, "a.npz");
    write_all(path);
    struct fp_npz *npz;
    assert_int_equal(fp_npz_open(&npz, path, NULL, &err), 0);
    assert_int_equal(fp_npz_count(npz), FP_COUNT(TYPES));
    for (size_t i = 0; i < FP_COUNT(TYPES); i++) {
        struct fp_tensor t = {0}, want;
        fill(&want, TYPES[i], 7, 1300);
        assert_string_equal(fp_npz_name(npz, i), fp_type_name(TYPES[i]));
        assert_int_equal(fp_npz_read(npz, fp_type_name(TYPES[i]), &t, NULL, &err), 0);
        assert_int_equal(t.type, TYPES[i]);
        assert_true(fp_same_shape(&t, &want));
        assert_memory_equal(t.data, want.data, fp_tensor_bytes(&t));
        fp_tensor_done(&t);
        fp_tensor_done(&want);
    }
    assert_null(fp_npz_name(npz, FP_COUNT(TYPES)));
    struct fp_tensor t = {0};
    assert_int_equal(fp_npz_read(npz, "absent", &t, NULL, &err), FINEPRUNE_DATA);
    assert_non_null(strstr(err.message, "array 'absent' is not there"));
    fp_npz_free(npz);
    fp_npz_free(NULL);
}

static void test_same_bytes(void **state) {
    const char *a = scratch_path(state, "a.npz"), *b = scratch_path(state, "b.npz");
    write_all(a);
    write_all(b);
    size_t n, m;
    uint8_t *x = scratch_read(a, &n), *y = scratch_read(b, &m);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    // masks are an eighth
    assert_true(n < 7 * 1300 * (4 + 8 + 2 + 1 + 1 + 2 + 2 + 4 + 8 + 4 + 8 + 8 + 16 + .25) + FP_COUNT(TYPES) * 300);
    free(x);
    free(y);
}

static void test_rows(void **state) {
    fineprune_error err = {0};
    const char *path = scratch_path(state, "a.npz");
    struct fp_tensor rows[2], t = {0};
    fill(&rows[0], FP_FLOAT, 2, 5);
    fill(&rows[1], FP_FLOAT, 1, 5);
    struct fp_npz_writer *writer;
    assert_int_equal(fp_npz_create(&writer, path, false, &err), 0);
    assert_int_equal(fp_npz_add_rows(writer, "a/b: c", 2, (int64_t[]){3, 5}, rows, 2, &err), 0);
    assert_int_equal(fp_npz_add_rows(writer, "none", 2, (int64_t[]){0, 5}, NULL, 0, &err), 0);
    assert_int_equal(fp_npz_add_rows(writer, "wrong", 2, (int64_t[]){4, 5}, rows, 2, &err), FINEPRUNE_INTERNAL);
    assert_int_equal(fp_npz_finish(writer, NULL), 0);
    struct fp_npz *npz;
    fp_error_clear(&err);
    assert_int_equal(fp_npz_open(&npz, path, NULL, &err), 0);
    assert_int_equal(fp_npz_read(npz, "a/b: c", &t, NULL, &err), 0);
    assert_int_equal(t.dims[0], 3);
    assert_memory_equal(t.data, rows[0].data, 40);
    assert_memory_equal((char *)t.data + 40, rows[1].data, 20);
    fp_tensor_done(&t);
    fp_tensor_done(&rows[0]);
    fp_tensor_done(&rows[1]);
    fp_npz_free(npz);
}

static void test_damaged_archive(void **state) {
    const char *path = scratch_path(state, "a.npz");
    write_all(path);
    size_t n;
    uint8_t *file = scratch_read(path, &n);
    // Cut anywhere, or with a flipped bit: an error or an intact array, never a crash.
    uint64_t seed = 1;
    for (int i = 0; i < 300; i++) {
        const size_t at = fp_random(&seed) % n;
        const uint8_t old = file[at];
        file[at] ^= (uint8_t)(1 << (i % 8));
        scratch_write(path, file, i % 3 == 0 ? at : n);
        file[at] = old;
        fineprune_error err = {0};
        struct fp_npz *npz;
        struct fp_memory memory = {.limit = 1 << 22};
        if (fp_npz_open(&npz, path, NULL, &err)) {
            assert_true(err.status == FINEPRUNE_DATA || err.status == FINEPRUNE_IO);
            assert_non_null(strstr(err.message, "a.npz"));
            continue;
        }
        assert_int_not_equal(i % 3, 0);
        for (size_t k = 0; k < fp_npz_count(npz); k++) {
            struct fp_tensor t = {0};
            fp_npz_read(npz, fp_npz_name(npz, k), &t, &memory, NULL);
            fp_tensor_done(&t);
        }
        assert_int_equal(memory.used, 0);
        fp_npz_free(npz);
    }
    free(file);
}

static void test_check_sum(void **state) {
    const char *path = scratch_path(state, "a.npz");
    write_all(path);
    size_t n;
    uint8_t *file = scratch_read(path, &n);
    file[400] ^= 1; // an element of the first array
    scratch_write(path, file, n);
    free(file);
    fineprune_error err = {0};
    struct fp_npz *npz;
    struct fp_tensor t = {0};
    assert_int_equal(fp_npz_open(&npz, path, NULL, &err), 0);
    assert_int_equal(fp_npz_read(npz, "float32", &t, NULL, &err), FINEPRUNE_DATA);
    assert_null(t.data);
    assert_non_null(strstr(err.message, "CRC"));
    fp_npz_free(npz);
}

// 64 MB of zeros in some 64 KB: allowed when memory allows.
static void test_bomb_meets_budget(void **state) {
    fineprune_error err = {0};
    const char *path = scratch_path(state, "a.npz");
    struct fp_tensor t = {0};
    const int64_t dims[1] = {64 << 20};
    assert_int_equal(fp_tensor_new(&t, NULL, FP_BOOL, 1, dims, &err), 0);
    memset(t.data, 0, t.count);
    struct fp_npz_writer *writer;
    assert_int_equal(fp_npz_create(&writer, path, false, &err), 0);
    assert_int_equal(fp_npz_add(writer, "zeros", &t, &err), 0);
    assert_int_equal(fp_npz_finish(writer, &err), 0);
    fp_tensor_done(&t);
    struct fp_npz *npz;
    struct fp_memory memory = {.limit = 1 << 20};
    assert_int_equal(fp_npz_open(&npz, path, NULL, &err), 0);
    assert_int_equal(fp_npz_read(npz, "zeros", &t, &memory, &err), FINEPRUNE_LIMIT);
    assert_int_equal(memory.peak, 0);
    memory.limit = 0;
    assert_int_equal(fp_npz_read(npz, "zeros", &t, &memory, NULL), 0);
    assert_int_equal(((char *)t.data)[dims[0] - 1], 0);
    fp_tensor_done(&t);
    fp_npz_free(npz);
}

// The bytes of the archive's only entry.
static size_t unpack(const char *path, uint8_t *dst, size_t size) {
    zip_t *zip = zip_open(path, ZIP_RDONLY, NULL);
    assert_non_null(zip);
    assert_int_equal(zip_get_num_entries(zip, 0), 1);
    zip_file_t *file = zip_fopen_index(zip, 0, 0);
    const zip_int64_t n = zip_fread(file, dst, size);
    assert_in_range(n, 1, size - 1);
    zip_fclose(file);
    zip_discard(zip);
    return (size_t)n;
}

// Text becomes NumPy's characters of four bytes; bytes that are no UTF-8, or no character, stand for themselves.
static void test_strings(void **state) {
    const char *path = scratch_path(state, "a.npz");
    char *text[4] = {"cat", "", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x88", "\xff\xe2\x82\xf7\xbf\xbf\xbf"};
    const uint32_t want[4][7] = {
        {'c', 'a', 't'}, {0}, {0xe9, 0x20ac, 0x1f408}, {0xff, 0xe2, 0x82, 0xf7, 0xbf, 0xbf, 0xbf}};
    const struct fp_tensor t = {.type = FP_STRING, .rank = 2, .dims = {2, 2}, .count = 4, .data = text};
    fineprune_error err = {0};
    struct fp_npz_writer *writer;
    assert_int_equal(fp_npz_create(&writer, path, false, &err), 0);
    assert_int_equal(fp_npz_add(writer, "names", &t, &err), 0);
    assert_int_equal(fp_npz_finish(writer, &err), 0);
    uint8_t bytes[1024];
    const size_t n = unpack(path, bytes, sizeof(bytes));
    bytes[n] = 0;
    assert_non_null(strstr((char *)bytes + 10, "'descr': '<U7', 'fortran_order': False, 'shape': (2, 2)"));
    assert_int_equal(n, 10 + (bytes[8] | bytes[9] << 8) + sizeof(want));
    assert_memory_equal(bytes + n - sizeof(want), want, sizeof(want));
}

static void test_not_written(void **state) {
    fineprune_error err = {0};
    struct fp_npz_writer *writer;
    uint16_t half = 0x3f80;
    struct fp_tensor t = {.type = FP_BFLOAT16, .count = 1, .data = &half};
    char name[60002];
    memset(name, 'n', sizeof(name) - 1), name[sizeof(name) - 1] = 0;
    assert_int_equal(fp_npz_create(&writer, scratch_path(state, "a.npz"), false, &err), 0);
    assert_int_equal(fp_npz_add(writer, "x", &t, &err), FINEPRUNE_DATA);
    assert_string_equal(err.message, "'x' is bfloat16, which NumPy's format cannot hold");
    fp_error_clear(&err);
    t.type = FP_FLOAT16;
    assert_int_equal(fp_npz_add(writer, name, &t, &err), FINEPRUNE_DATA);
    assert_non_null(strstr(err.message, "nnn...' is too long for a .npz"));
    fp_npz_abandon(writer);
}

// More entries than the end record has numbers for; their directories are too long for arrays to stay in the file.
static void test_many(void **state) {
    enum { N = 66000 };
    const char *path = scratch_path(state, "a.npz");
    fineprune_error err = {0};
    struct fp_npz_writer *writer;
    uint8_t number;
    struct fp_tensor t = {.type = FP_UINT8, .count = 1, .data = &number}, shape = {0};
    char name[16];
    assert_int_equal(fp_npz_create(&writer, path, false, &err), 0);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof(name), "%d", i);
        number = (uint8_t)i;
        assert_int_equal(fp_npz_add(writer, name, &t, &err), 0);
    }
    assert_int_equal(fp_npz_finish(writer, &err), 0);
    struct fp_npz *npz;
    struct fp_npz_far *far;
    assert_int_equal(fp_npz_open(&npz, path, NULL, &err), 0);
    assert_int_equal(fp_npz_count(npz), N);
    assert_string_equal(fp_npz_name(npz, N - 1), name);
    t = (struct fp_tensor){0};
    assert_int_equal(fp_npz_read(npz, name, &t, NULL, &err), 0);
    assert_int_equal(*(uint8_t *)t.data, (uint8_t)(N - 1));
    fp_tensor_done(&t);
    assert_int_equal(fp_npz_far_open(&far, npz, name, 1, false, &shape, &err), 0);
    assert_null(far);
    fp_npz_free(npz);
}

static int open_stdin(const char *path, struct fp_npz **npz, fineprune_error *err) {
    fp_error_clear(err);
    assert_non_null(freopen(path, "rb", stdin));
    return fp_npz_open(npz, "-", NULL, err);
}

// What is read of it counts until the archive is closed, and no more is read than the budget has.
static void test_standard_input_in_a_budget(void **state) {
    const char *path = scratch_path(state, "a.npz");
    fineprune_error err = {0};
    struct fp_memory memory = {.limit = (size_t)1 << 20};
    struct fp_npz *npz = NULL;
    write_all(path);
    assert_non_null(freopen(path, "rb", stdin));
    assert_int_equal(fp_npz_open(&npz, "-", &memory, &err), 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(memory.used, st.st_size);
    fp_npz_free(npz);
    assert_int_equal(memory.used, 0);
    assert_non_null(freopen("/dev/zero", "rb", stdin));
    assert_int_equal(fp_npz_open(&npz, "-", &memory, &err), FINEPRUNE_LIMIT);
    assert_non_null(strstr(err.hint, "--max-memory"));
    assert_int_equal(memory.used, 0);
    assert_true(memory.peak <= memory.limit);
}

static void test_standard_input(void **state) {
    const char *path = scratch_path(state, "a.npz"), *empty = scratch_path(state, "empty");
    fineprune_error err = {0};
    struct fp_npz *npz = NULL;
    struct fp_npz_far *far;
    struct fp_tensor t = {0}, want, shape = {0};
    write_all(path);
    assert_int_equal(open_stdin(path, &npz, &err), 0);
    assert_int_equal(fp_npz_count(npz), FP_COUNT(TYPES));
    fill(&want, FP_DOUBLE, 7, 1300);
    assert_int_equal(fp_npz_far_open(&far, npz, "float64", 1, false, &shape, &err), 0);
    assert_null(far); // nothing to stay in
    assert_int_equal(fp_npz_read(npz, "float64", &t, NULL, &err), 0);
    assert_memory_equal(t.data, want.data, fp_tensor_bytes(&want));
    fp_tensor_done(&t), fp_tensor_done(&want);
    assert_int_equal(fp_npz_read(npz, "absent", &t, NULL, &err), FINEPRUNE_DATA);
    assert_string_equal(err.message, "'standard input': array 'absent' is not there");
    fp_npz_free(npz);
    scratch_write(empty, "", 0);
    assert_int_equal(open_stdin(empty, &npz, &err), FINEPRUNE_DATA);
    assert_string_equal(err.message, "standard input is empty; a .npz is expected");
    assert_int_equal(open_stdin(*state, &npz, &err), FINEPRUNE_IO);
    assert_string_equal(err.message, "cannot read 'standard input': Is a directory");
}

// Puts `value` at `offset` of the central header of the first entry.
static void patch(const char *path, size_t offset, uint32_t value, size_t bytes) {
    size_t n;
    uint8_t *file = scratch_read(path, &n), *at = memmem(file, n, "PK\1\2", 4);
    assert_non_null(at);
    memcpy(at + offset, &value, bytes);
    scratch_write(path, file, n);
    free(file);
}

static void test_entries(void **state) {
    static const struct {
        size_t offset, bytes;
        uint32_t value;
        const char *message;
    } cases[] = {{10, 2, 12, "array 'float32' is compressed by a method (12) that NumPy does not use"},
                 {24, 4, 2000000000, "array 'float32' claims 2000000000 bytes in "}};
    const char *path = scratch_path(state, "a.npz");
    for (size_t i = 0; i < FP_COUNT(cases); i++) {
        fineprune_error err = {0};
        struct fp_npz *npz;
        struct fp_tensor t = {0};
        write_all(path);
        patch(path, cases[i].offset, cases[i].value, cases[i].bytes);
        assert_int_equal(fp_npz_open(&npz, path, NULL, &err), 0);
        assert_int_equal(fp_npz_read(npz, "float32", &t, NULL, &err), FINEPRUNE_DATA);
        if (!strstr(err.message, cases[i].message)) fail_msg("case %zu: %s", i, err.message);
        assert_null(t.data);
        fp_npz_free(npz);
    }
}

static void test_far(void **state) {
    const char *path = scratch_path(state, "a.npz"), *npy = scratch_path(state, "a.npy");
    fineprune_error err = {0};
    struct fp_npz *npz;
    struct fp_npz_far *far = NULL;
    struct fp_tensor shape = {0}, want;
    uint8_t bytes[64], file[4096];
    write_all(path);
    assert_int_equal(fp_npz_open(&npz, path, NULL, &err), 0);
    fill(&want, FP_FLOAT, 7, 1300);
    const size_t size = fp_tensor_bytes(&want);
    assert_int_equal(fp_npz_far_open(&far, npz, "bool", 1, false, &shape, &err), 0);
    assert_null(far); // deflated
    assert_int_equal(fp_npz_far_open(&far, npz, "float32", size * 2, false, &shape, &err), 0);
    assert_null(far); // small
    assert_int_equal(fp_npz_far_open(&far, npz, "float32", size, false, &shape, &err), 0);
    assert_non_null(far);
    assert_true(fp_same_shape(&shape, &want));
    const size_t places[] = {0, size - 64, 128, 64};
    for (size_t i = 0; i < FP_COUNT(places); i++) {
        assert_int_equal(fp_npz_far_read(far, places[i], bytes, 64, &err), 0);
        assert_memory_equal(bytes, (char *)want.data + places[i], 64);
    }
    assert_int_equal(fp_npz_far_read(far, size - 63, bytes, 64, &err), FINEPRUNE_INTERNAL);
    assert_non_null(strstr(err.message, "array 'float32' is read behind its end"));
    fp_npz_far_free(far);
    fp_tensor_done(&want);
    fp_npz_free(npz);
    const float x[4] = {1, 2, 3, 4}; // columns first: it must be turned, so it is loaded
    scratch_write(npy, file, make_npy(file, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }", x, 16));
    assert_int_equal(fp_npy_far_open(&far, npy, 1, false, &shape, &err), 0);
    assert_null(far);
    assert_int_equal(fp_npy_far_open(&far, *state, 1, false, &shape, &err), 0);
    assert_null(far); // a folder
    fp_error_clear(&err);
    struct fp_tensor t = {0};
    assert_int_equal(fp_npy_read(&t, "/dev/null", NULL, &err), FINEPRUNE_IO);
    assert_string_equal(err.message, "cannot read '/dev/null': not a regular file");
}

// Writes one byte at the end of the file, in place, and sees to it that the file's time tells.
static void overwrite(const char *path) {
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1}};
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, -1, SEEK_END), 0);
    putc(1, f);
    fclose(f);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

// Forth and back through every type, deflated or not, awake and from rest, from a file and from standard input.
static void test_far_any(void **state) {
    const char *path = scratch_path(state, "a.npz");
    fineprune_error err = {0};
    struct fp_npz *npz;
    write_all(path);
    for (int way = 0; way < 2; way++) {
        if (way) assert_int_equal(open_stdin(path, &npz, &err), 0);
        else assert_int_equal(fp_npz_open(&npz, path, NULL, &err), 0);
        struct fp_npz_far *far[FP_COUNT(TYPES)];
        struct fp_tensor shape, want;
        for (size_t i = 0; i < FP_COUNT(TYPES); i++) {
            assert_int_equal(fp_npz_far_open(&far[i], npz, fp_type_name(TYPES[i]), 0, true, &shape, &err), 0);
            assert_non_null(far[i]);
            assert_true(shape.type == TYPES[i] && shape.count == 7 * 1300 && !shape.data);
            assert_int_equal(fp_npz_far_packed(far[i]), TYPES[i] == FP_BOOL);
            assert_false(fp_npz_far_by_columns(far[i]));
        }
        fp_npz_free(npz); // they keep what they need
        for (size_t i = 0; i < FP_COUNT(TYPES); i++) {
            fill(&want, TYPES[i], 7, 1300);
            const size_t row = 1300 * fp_type_size(TYPES[i]), rows[] = {0, 1, 5, 2, 6, 3, 0};
            char got[1300 * 16];
            for (size_t k = 0; k < FP_COUNT(rows); k++) {
                assert_int_equal(fp_npz_far_read(far[i], rows[k] * row, got, row, &err), 0);
                assert_memory_equal(got, (char *)want.data + rows[k] * row, row);
                if (k % 2) fp_npz_far_rest(far[i]);
            }
            fp_tensor_done(&want);
            fp_npz_far_rest(far[i]), fp_npz_far_rest(far[i]);
        }
        for (size_t i = 0; i < FP_COUNT(TYPES); i++) fp_npz_far_free(far[i]);
    }
}

// What NumPy may write otherwise: big-endian, bools of other bytes, columns first. A file that has changed at rest is
// told, also one that has become another.
static void test_far_layouts(void **state) {
    const char *path = scratch_path(state, "a.npy");
    fineprune_error err = {0};
    struct fp_npz_far *far;
    struct fp_tensor shape;
    uint8_t file[4096], got[8];
    const uint8_t big[8] = {0x3f, 0x80, 0, 0, 0x40, 0, 0, 0}, bools[4] = {0, 2, 255, 1};
    scratch_write(path, file, make_npy(file, "{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", big, 8));
    assert_int_equal(fp_npy_far_open(&far, path, 0, false, &shape, &err), 0);
    assert_null(far);
    assert_int_equal(fp_npy_far_open(&far, path, 0, true, &shape, &err), 0);
    assert_int_equal(fp_npz_far_read(far, 0, got, 8, &err), 0);
    assert_memory_equal(got, ((float[]){1, 2}), 8);
    assert_int_equal(fp_npz_far_read(far, 4, got, 4, &err), 0);
    assert_memory_equal(got, ((float[]){2}), 4);
    fp_npz_far_rest(far);
    overwrite(path);
    assert_int_equal(fp_npz_far_read(far, 0, got, 8, &err), FINEPRUNE_IO);
    assert_non_null(strstr(err.message, "has changed while it was in use"));
    fp_npz_far_free(far), fp_error_clear(&err);
    scratch_write(path, file, make_npy(file, "{'descr': '|b1', 'fortran_order': True, 'shape': (2, 2), }", bools, 4));
    assert_int_equal(fp_npy_far_open(&far, path, 0, true, &shape, &err), 0);
    assert_true(fp_npz_far_by_columns(far) && !fp_npz_far_packed(far));
    assert_int_equal(fp_npz_far_read(far, 0, got, 4, &err), 0);
    assert_memory_equal(got, ((uint8_t[]){0, 1, 1, 1}), 4);
    fp_npz_far_rest(far);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(fp_npz_far_read(far, 0, got, 4, &err), FINEPRUNE_IO);
    fp_npz_far_free(far);
}

// The same shape of bytes for an archive: a deflated array that does not inflate.
static void test_far_damaged(void **state) {
    const char *path = scratch_path(state, "a.npz");
    size_t n;
    for (int way = 0; way < 2; way++) {
        fineprune_error err = {0};
        struct fp_npz *npz;
        struct fp_npz_far *far;
        struct fp_tensor shape;
        uint8_t got[7 * 1300];
        write_all(path);
        uint8_t *file = scratch_read(path, &n), *name = memmem(file, n, "bool.npy", 8);
        assert_non_null(name);
        memset(name + 8 + 300, way ? 0xff : 0x55, 200);
        scratch_write(path, file, n);
        free(file);
        assert_int_equal(fp_npz_open(&npz, path, NULL, &err), 0);
        assert_int_equal(fp_npz_far_open(&far, npz, "bool", 0, true, &shape, &err), 0);
        assert_int_equal(fp_npz_far_read(far, 0, got, sizeof(got), &err), FINEPRUNE_DATA);
        assert_non_null(strstr(err.message, "array 'bool' "));
        fp_npz_far_free(far);
        fp_npz_free(npz);
    }
}

static void test_not_npz(void **state) {
    const char *path = scratch_path(state, "a.npz");
    fineprune_error err = {0};
    struct fp_npz *npz = NULL;
    assert_int_equal(fp_npz_open(&npz, path, NULL, &err), FINEPRUNE_IO);
    fp_error_clear(&err);
    scratch_write(path, "", 0);
    assert_int_equal(fp_npz_open(&npz, path, NULL, &err), FINEPRUNE_DATA);
    fp_error_clear(&err);
    scratch_write(path, "some text", 9);
    assert_int_equal(fp_npz_open(&npz, path, NULL, &err), FINEPRUNE_DATA);
    assert_null(npz);
    fp_error_clear(&err);
    assert_int_equal(fp_npz_open(&npz, *state, NULL, &err), FINEPRUNE_IO);
    assert_non_null(strstr(err.message, "not a regular file"));
    assert_string_equal(err.hint, "a stream goes in by standard input: --data -");
    fp_error_clear(&err);
    struct fp_npz_writer *writer;
    assert_int_equal(fp_npz_create(&writer, path, false, &err), FINEPRUNE_USAGE);
}

static void test_abandon(void **state) {
    const char *path = scratch_path(state, "a.npz");
    fineprune_error err = {0};
    struct fp_npz_writer *writer;
    struct fp_tensor t;
    fill(&t, FP_FLOAT, 3, 3);
    assert_int_equal(fp_npz_create(&writer, path, false, &err), 0);
    assert_int_equal(fp_npz_add(writer, "x", &t, &err), 0);
    fp_npz_abandon(writer);
    fp_npz_abandon(NULL);
    fp_tensor_done(&t);
    assert_int_equal(access(path, F_OK), -1);
}

// An array that stays in its file is all of the old one or an error, never half of each; one that was replaced by
// another file is the old one.
static void test_overwritten(void **state) {
    enum { N = 1000 };
    static float x[N], part[N / 2];
    uint8_t file[4096 + sizeof(x)];
    const char *npy = scratch_path(state, "a.npy"), *npz = scratch_path(state, "a.npz"),
               *other = scratch_path(state, "b");
    const size_t size = make_npy(file, "{'descr': '<f4', 'fortran_order': False, 'shape': (10, 100), }\n", x,
                                 sizeof(x));
    for (int way = 0; way < 4; way++) {
        const bool archive = way & 1, replaced = way & 2;
        const char *path = archive ? npz : npy;
        struct fp_npz_far *far = NULL;
        struct fp_npz *zip = NULL;
        struct fp_tensor shape = {0}, t = {.type = FP_FLOAT, .rank = 2, .dims = {10, 100}, .count = N, .data = x};
        struct fp_npz_writer *writer;
        fineprune_error err = {0};
        if (archive) {
            assert_int_equal(fp_npz_create(&writer, npz, true, &err), 0);
            assert_int_equal(fp_npz_add(writer, "x", &t, &err), 0);
            assert_int_equal(fp_npz_finish(writer, &err), 0);
            assert_int_equal(fp_npz_open(&zip, npz, NULL, &err), 0);
            assert_int_equal(fp_npz_far_open(&far, zip, "x", 1, false, &shape, &err), 0);
        } else {
            scratch_write(npy, file, size);
            assert_int_equal(fp_npy_far_open(&far, npy, 1, false, &shape, &err), 0);
        }
        assert_non_null(far);
        assert_int_equal(fp_npz_far_read(far, 0, part, sizeof(part), &err), 0);
        scratch_write(other, file, size);
        if (replaced) assert_int_equal(rename(other, path), 0);
        else overwrite(path);
        const int status = fp_npz_far_read(far, sizeof(part), part, sizeof(part), &err);
        assert_int_equal(status, replaced ? FINEPRUNE_OK : FINEPRUNE_IO);
        if (!replaced) assert_non_null(strstr(err.message, "has changed while it was in use"));
        fp_npz_far_free(far);
        fp_npz_free(zip);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        scratch_test(test_plain),          scratch_test(test_orders),
        scratch_test(test_broken),         scratch_test(test_not_npy),
        scratch_test(test_round_trip),     scratch_test(test_same_bytes),
        scratch_test(test_rows),           scratch_test(test_damaged_archive),
        scratch_test(test_check_sum),      scratch_test(test_bomb_meets_budget),
        scratch_test(test_not_npz),        scratch_test(test_abandon),
        scratch_test(test_overwritten),    scratch_test(test_strings),
        scratch_test(test_not_written),    scratch_test(test_many),
        scratch_test(test_standard_input), scratch_test(test_standard_input_in_a_budget),
        scratch_test(test_entries),        scratch_test(test_far),
        scratch_test(test_far_any),        scratch_test(test_far_layouts),
        scratch_test(test_far_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
