// SPDX-License-Identifier: Apache-2.0
// Changes to mapped files: small and large ones, with a folder for a temporary file and without, survive that pages are
// dropped; the file stays as it is.
#include "base/mapping.h"
#include "scratch_folder.h"

#define MB ((size_t)1 << 20)
#define LARGE (FP_LARGE_FILES + 3 * MB + 100) // sparse

static struct fp_mapping *open_sparse(void **state, size_t size) {
    const char *path = scratch_path(state, "data");
    scratch_write(path, "begin", 5);
    assert_int_equal(truncate(path, (off_t)size), 0);
    struct fp_mapping *m = NULL;
    assert_int_equal(fp_mapping_open(&m, path, NULL), 0);
    return m;
}

static size_t resident(const struct fp_mapping *m, size_t from, size_t size) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    FILE *file = fopen("/proc/self/pagemap", "rb");
    assert_non_null(file);
    size_t n = 0;
    for (size_t at = from; at < from + size; at += page) {
        uint64_t entry = 0;
        assert_int_equal(fseek(file, (long)((uintptr_t)(m->data + at) / page * sizeof(entry)), SEEK_SET), 0);
        assert_int_equal(fread(&entry, sizeof(entry), 1, file), 1);
        n += entry >> 63;
    }
    fclose(file);
    return n * page;
}

static void check_file(void **state) {
    char start[6] = "", end;
    FILE *file = fopen(scratch_path(state, "data"), "rb");
    assert_int_equal(fread(start, 1, 5, file), 5);
    assert_string_equal(start, "begin");
    for (size_t i = 5; i < 4 * MB; i++)
        if (fgetc(file)) fail_msg("byte %zu has changed", i);
    assert_true(fread(&end, 1, 1, file) == 1 && !end);
    fclose(file);
}

// One large change at an odd place, a small one within a large range, and everything read and dropped.
static void change(void **state, size_t size, bool with_folder) {
    struct fp_mapping *m = open_sparse(state, size);
    const char *folder = with_folder ? (const char *)*state : NULL;
    const bool large = size >= FP_LARGE_FILES;
    uint8_t *src = malloc(2 * MB);
    assert_non_null(src);
    for (int round = 0; round < 2; round++) { // the second one over the first
        for (size_t i = 0; i < 2 * MB; i++) src[i] = (uint8_t)(i * 31 + i / 4096 + (size_t)round);
        assert_int_equal(fp_mapping_write(m, folder, m->data + 1234, src, 2 * MB, NULL), 0);
        assert_int_equal(fp_mapping_write(m, folder, m->data + 3 * MB + 7, src, 10, NULL), 0);
        fp_mapping_drop(m, m->data, 4 * MB);
        assert_memory_equal(m->data, "begin", 5);
        assert_memory_equal(m->data + 1234, src, 2 * MB);
        assert_memory_equal(m->data + 3 * MB + 7, src, 10);
        assert_true(!m->data[1233] && !m->data[2 * MB + 1234] && !m->data[3 * MB + 17]);
    }
    assert_int_equal(m->scratch > 0, large && with_folder);
    fp_mapping_drop(m, m->data, 4 * MB);
    const size_t held = resident(m, 8192, MB);
    assert_true(large && with_folder ? held == 0 : held == MB);
    assert_true(fp_mapping_holds(m, m->data + size - 1) && !fp_mapping_holds(m, m->data + size));
    free(src);
    fp_mapping_free(m);
    check_file(state);
}

static void small_file(void **state) { change(state, 5 * MB, true); }
static void large_file(void **state) { change(state, LARGE, true); }
static void large_file_without_folder(void **state) { change(state, LARGE, false); }

static void no_folder_is_an_error(void **state) {
    struct fp_mapping *m = open_sparse(state, LARGE);
    uint8_t *src = calloc(2, MB);
    fineprune_error err = {0};
    assert_int_equal(fp_mapping_write(m, "/nowhere/at/all", m->data, src, 2 * MB, &err), FINEPRUNE_IO);
    assert_non_null(strstr(err.message, "'/nowhere/at/all'"));
    assert_memory_equal(m->data, "begin", 5);
    free(src);
    fp_mapping_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(small_file, scratch_set_up, scratch_tear_down),
        cmocka_unit_test_setup_teardown(large_file, scratch_set_up, scratch_tear_down),
        cmocka_unit_test_setup_teardown(large_file_without_folder, scratch_set_up, scratch_tear_down),
        cmocka_unit_test_setup_teardown(no_folder_is_an_error, scratch_set_up, scratch_tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
