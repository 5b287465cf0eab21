// SPDX-License-Identifier: Apache-2.0
// Files appear whole or not at all.
#include "base/output.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

struct place {
    char folder[64], path[96];
};

static int set_up(void **state) {
    struct place *place = calloc(1, sizeof(*place));
    assert_non_null(place);
    strcpy(place->folder, "/tmp/fineprune-output-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof(place->path), "%s/out.bin", place->folder);
    *state = place;
    return 0;
}

static int count_files(const char *folder) {
    int n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    closedir(dir);
    return n;
}

static int tear_down(void **state) {
    struct place *place = *state;
    DIR *dir = opendir(place->folder);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
    rmdir(place->folder);
    free(place);
    return 0;
}

static void expect_content(const char *path, const char *content) {
    char text[100] = "";
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    assert_int_equal(n, strlen(content));
    assert_string_equal(text, content);
}

static int write_text(const char *path, bool force, const char *text, fineprune_error *err) {
    struct fp_output *output;
    int status = fp_output_open(&output, path, force, err);
    if (status) return status;
    assert_int_equal(fp_output_write(output, text, strlen(text), err), 0);
    return fp_output_commit(output, err);
}

static void test_writes(void **state) {
    struct place *place = *state;
    fineprune_error err = {0};
    struct fp_output *output;
    assert_int_equal(fp_output_open(&output, place->path, false, &err), 0);
    assert_int_equal(fp_output_write(output, "one ", 4, &err), 0);
    fprintf(fp_output_stream(output), "two");
    assert_int_equal(access(place->path, F_OK), -1);
    assert_int_equal(fp_output_commit(output, &err), 0);
    expect_content(place->path, "one two");
    assert_int_equal(count_files(place->folder), 1);
}

static void test_refuses_existing(void **state) {
    struct place *place = *state;
    fineprune_error err = {0};
    assert_int_equal(write_text(place->path, false, "old", &err), 0);
    assert_int_equal(write_text(place->path, false, "new", &err), FINEPRUNE_USAGE);
    assert_non_null(strstr(err.message, "exists"));
    expect_content(place->path, "old");
    fp_error_clear(&err);
    assert_int_equal(chmod(place->path, 0640), 0);
    assert_int_equal(write_text(place->path, true, "new", &err), 0);
    expect_content(place->path, "new");
    struct stat st;
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
}

static void test_made_meanwhile(void **state) {
    struct place *place = *state;
    fineprune_error err = {0};
    struct fp_output *output;
    assert_int_equal(fp_output_open(&output, place->path, false, &err), 0);
    assert_int_equal(write_text(place->path, false, "theirs", &err), 0);
    assert_int_equal(fp_output_commit(output, &err), FINEPRUNE_USAGE);
    expect_content(place->path, "theirs");
    assert_int_equal(count_files(place->folder), 1);
}

static void hold_text(fineprune_group *group, const char *path, bool force, const char *text) {
    struct fp_output *output;
    assert_int_equal(fp_output_open(&output, path, force, NULL), 0);
    assert_int_equal(fp_output_write(output, text, strlen(text), NULL), 0);
    assert_int_equal(fp_output_hold(output, group, NULL), 0);
}

// Nothing appears before the end, and nothing when one of them cannot.
static void test_group(void **state) {
    struct place *place = *state;
    fineprune_error err = {0};
    fineprune_group *group;
    char other[400];
    snprintf(other, sizeof(other), "%s/other", place->folder);
    for (int round = 0; round < 4; round++) {
        assert_int_equal(fineprune_group_new(&group, &err), 0);
        hold_text(group, place->path, false, "one");
        hold_text(group, other, false, "two");
        assert_true(access(place->path, F_OK) && access(other, F_OK));
        if (round == 0) { // given up
            fineprune_group_free(group);
            assert_int_equal(count_files(place->folder), 0);
        } else if (round < 3) { // someone else makes the file that is renamed last, or first
            const char *taken = round == 1 ? place->path : other;
            assert_int_equal(write_text(taken, false, "theirs", NULL), 0);
            assert_int_equal(fineprune_group_finish(group, NULL), FINEPRUNE_USAGE);
            expect_content(taken, "theirs");
            assert_int_equal(count_files(place->folder), 1);
            assert_int_equal(remove(taken), 0);
        } else {
            assert_int_equal(fineprune_group_finish(group, NULL), 0);
            expect_content(place->path, "one");
            expect_content(other, "two");
            assert_int_equal(count_files(place->folder), 2);
        }
    }
    fineprune_group_free(NULL);
}

static void test_abandon(void **state) {
    struct place *place = *state;
    fineprune_error err = {0};
    struct fp_output *output;
    assert_int_equal(fp_output_open(&output, place->path, false, &err), 0);
    assert_int_equal(fp_output_write(output, "half", 4, &err), 0);
    fp_output_abandon(output);
    fp_output_abandon(NULL);
    assert_int_equal(count_files(place->folder), 0);
}

static void test_emergency(void **state) {
    struct place *place = *state;
    fineprune_error err = {0};
    struct fp_output *output;
    assert_int_equal(fp_output_open(&output, place->path, false, &err), 0);
    assert_int_equal(count_files(place->folder), 1);
    fp_output_emergency();
    assert_int_equal(count_files(place->folder), 0);
    // In the program the process ends here; a caller that lives on gets an error.
    assert_int_equal(fp_output_commit(output, &err), FINEPRUNE_IO);
    assert_int_equal(count_files(place->folder), 0);
}

static void test_impossible(void **state) {
    struct place *place = *state;
    fineprune_error err = {0};
    struct fp_output *output = NULL;
    assert_int_equal(fp_output_open(&output, place->folder, true, &err), FINEPRUNE_USAGE);
    fp_error_clear(&err);
    assert_int_equal(fp_output_open(&output, "/tmp/fineprune-none/none/out", true, &err), FINEPRUNE_IO);
    assert_non_null(strstr(err.message, "/tmp/fineprune-none/none"));
    fp_error_clear(&err);
    assert_int_equal(symlink("nothing-here", place->path), 0);
    assert_int_equal(fp_output_open(&output, place->path, true, &err), FINEPRUNE_USAGE);
    assert_null(output);
    assert_int_equal(count_files(place->folder), 1);
}

static void test_full_disk(void **state) {
    (void)state;
    fineprune_error err = {0};
    struct fp_output *output;
    assert_int_equal(fp_output_open(&output, "/dev/full", false, &err), 0);
    fprintf(fp_output_stream(output), "lost");
    assert_int_equal(fp_output_commit(output, &err), FINEPRUNE_IO);
    assert_non_null(strstr(err.message, "No space left"));
    assert_int_equal(access("/dev/full", F_OK), 0);
    char *text = malloc(3 << 20); // more than the stream's buffer holds
    assert_non_null(text);
    memset(text, 'x', 3 << 20), text[(3 << 20) - 1] = 0;
    fp_error_clear(&err);
    assert_int_equal(fineprune_text_save("/dev/full", text, false, NULL, &err), FINEPRUNE_IO);
    assert_string_equal(err.message, "cannot write '/dev/full': No space left on device");
    free(text);
}

static void test_links(void **state) {
    struct place *place = *state;
    fineprune_error err = {0};
    char link_path[128], other[128];
    snprintf(link_path, sizeof(link_path), "%s/link", place->folder);
    snprintf(other, sizeof(other), "%s/../%s/out.bin", place->folder, place->folder + 5);
    assert_true(fp_same_file(place->path, other)); // neither exists
    assert_int_equal(write_text(place->path, false, "old", &err), 0);
    assert_int_equal(symlink("out.bin", link_path), 0);
    assert_true(fp_same_file(place->path, link_path));
    assert_true(fp_same_file(place->path, other));
    assert_false(fp_same_file(place->path, "-"));
    assert_false(fp_same_file(place->path, "/dev/null"));
    assert_int_equal(write_text(link_path, true, "new", &err), 0);
    expect_content(place->path, "new");
    struct stat st;
    assert_int_equal(lstat(link_path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
}

// What a run that was killed has left goes with the next of the same output; what is still written stays.
static void test_left_behind(void **state) {
    struct place *place = *state;
    char left[128], others[128];
    struct fp_output *output;
    const char name[] = ".out.bin.123-4";
    const unsigned long signature = crc32(0, (const Bytef *)"fineprune.out.bin.123-4", 23);
    snprintf(left, sizeof(left), "%s/%s-%08lx.part", place->folder, name, signature);
    snprintf(others, sizeof(others), "%s/%s-%08lx.part", place->folder, name, signature ^ 1); // somebody else's
    assert_int_equal(write_text(left, false, "half", NULL), 0);
    assert_int_equal(write_text(others, false, "whole", NULL), 0);
    assert_int_equal(fp_output_open(&output, place->path, false, NULL), 0);
    assert_int_equal(access(left, F_OK), -1);
    assert_int_equal(count_files(place->folder), 2);
    assert_int_equal(write_text(place->path, false, "text", NULL), 0);
    expect_content(place->path, "text");
    assert_int_equal(count_files(place->folder), 3); // the one that is open is there still
    fp_output_abandon(output);
    expect_content(others, "whole");
}

// No folder in the path is the one where the process is.
static void test_here(void **state) {
    struct place *place = *state;
    char before[4096];
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(place->folder), 0);
    assert_int_equal(fineprune_text_save("out.bin", "here", false, NULL, NULL), 0);
    assert_int_equal(chdir(before), 0);
    expect_content(place->path, "here");
    struct stat st;
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(st.st_mode & 077, 0); // its owner's alone
}

static void test_too_many(void **state) {
    struct place *place = *state;
    fineprune_error err = {0};
    fineprune_group *group;
    char path[128];
    assert_int_equal(fineprune_group_new(&group, NULL), 0);
    for (int i = 0; i < 9; i++) {
        snprintf(path, sizeof(path), "%s/%d", place->folder, i);
        assert_int_equal(fineprune_text_save(path, "text", false, group, &err), i < 8 ? FINEPRUNE_OK : FINEPRUNE_LIMIT);
    }
    assert_string_equal(err.message, "over 8 outputs at once");
    assert_int_equal(count_files(place->folder), 8);
    fineprune_group_free(group);
    assert_int_equal(count_files(place->folder), 0);
    struct fp_output *outputs[17];
    fp_error_clear(&err);
    for (int i = 0; i < 17; i++)
        assert_int_equal(fp_output_open(&outputs[i], place->path, false, &err),
                         i < 16 ? FINEPRUNE_OK : FINEPRUNE_LIMIT);
    assert_non_null(strstr(err.message, "out.bin': 16 outputs are open"));
    assert_int_equal(count_files(place->folder), 16);
    for (int i = 0; i < 16; i++) fp_output_abandon(outputs[i]);
    assert_int_equal(count_files(place->folder), 0);
}

static void test_checked(void **state) {
    struct place *place = *state;
    static const struct {
        const char *path;
        int status;
        const char *message;
    } cases[] = {{"-", FINEPRUNE_OK, ""},
                 {"/dev/null", FINEPRUNE_OK, ""},
                 {"", FINEPRUNE_USAGE, "output '' is a folder"},
                 {"/tmp/", FINEPRUNE_USAGE, "output '/tmp/' is a folder"},
                 {"/tmp/fineprune-none/", FINEPRUNE_USAGE, "output '/tmp/fineprune-none/' is a folder"},
                 {"/dev/null/x", FINEPRUNE_USAGE, "cannot write '/dev/null/x': '/dev/null' is not a folder"},
                 {"/tmp/fineprune-none/x", FINEPRUNE_IO,
                  "cannot write '/tmp/fineprune-none/x': the folder '/tmp/fineprune-none': No such file or directory"}};
    fineprune_error err;
    for (size_t i = 0; i < FP_COUNT(cases); i++) {
        memset(&err, 0, sizeof(err));
        assert_int_equal(fineprune_output_check(cases[i].path, place->path, false, &err), cases[i].status);
        assert_string_equal(err.message, cases[i].message);
    }
    assert_int_equal(fineprune_output_check(place->path, NULL, false, NULL), 0);
    assert_int_equal(write_text(place->path, false, "old", NULL), 0);
    assert_int_equal(fineprune_output_check(place->path, NULL, false, &err), FINEPRUNE_USAGE);
    assert_string_equal(err.hint, "-f overwrites it");
    assert_int_equal(fineprune_output_check(place->path, NULL, true, NULL), 0);
    assert_int_equal(fineprune_output_check(place->path, place->path, true, NULL), FINEPRUNE_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_writes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refuses_existing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_made_meanwhile, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_group, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_abandon, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_emergency, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_impossible, set_up, tear_down),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test_setup_teardown(test_links, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_left_behind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_here, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_checked, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
