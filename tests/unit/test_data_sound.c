// SPDX-License-Identifier: Apache-2.0
// Sound: decoded, mixed, brought to the model's rate and length.
#include "fake_model.h"
#include "scratch_folder.h"

#include <math.h>
#include <sndfile.h>

static double tone(int64_t i, int rate) { return .5 * sin(2 * M_PI * 440 * (double)i / rate); }

static void write_sound(const char *path, int64_t frames, int channels, int rate, int format) {
    SF_INFO info = {.channels = channels, .samplerate = rate, .format = format};
    SNDFILE *f = sf_open(path, SFM_WRITE, &info);
    assert_non_null(f);
    for (int64_t i = 0; i < frames; i++) {
        double frame[2] = {tone(i, rate), tone(i, rate) / 2};
        assert_int_equal(sf_writef_double(f, frame, 1), 1);
    }
    sf_close(f);
}

#define WAV (SF_FORMAT_WAV | SF_FORMAT_PCM_16)
#define FLAC (SF_FORMAT_FLAC | SF_FORMAT_PCM_16)

static void test_rows(void **state) {
    struct fake f = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, -1));
    write_sound(scratch_path(state, "a.wav"), 1600, 1, 16000, WAV);
    write_sound(scratch_path(state, "b.flac"), 1600, 2, 16000, FLAC);
    write_sound(scratch_path(state, "c.wav"), 4410, 1, 44100, WAV);
    fineprune_data *data = open_data(&f, &(fineprune_data_options){.rate = "16000"});
    add(data, *state);
    assert_int_equal(fineprune_data_samples(data), 3);
    const size_t all[3] = {0, 1, 2};
    assert_int_equal(fp_data_next(data, all, 3, 0), 3); // all have 1600 frames at 16 kHz
    struct fp_tensor t;
    batch(data, &t, 3, 0, 1, 2);
    assert_int_equal(t.dims[1], 1600);
    const float *x = t.data;
    for (int i = 0; i < 1600; i++) {
        assert_true(fabs((double)x[i] - tone(i, 16000)) < 1e-4);
        assert_true(fabs((double)x[1600 + i] - .75 * tone(i, 16000)) < 1e-4); // mixed
        if (i > 200 && i < 1400) assert_true(fabs((double)x[3200 + i] - tone(i, 16000)) < 1e-3);
    }
    fp_tensor_done(&t);
    fineprune_data_free(data);
    assert_int_equal(f.model.memory.used, 0);
}

static void test_shapes(void **state) {
    struct fake fixed = {0}, stereo = {0}, whole = {0};
    fake_input(&fixed, "x", FP_INT16, DIMS(-1, 1, 1000));
    fake_input(&stereo, "x", FP_FLOAT, DIMS(-1, -1, 2));
    fake_input(&whole, "x", FP_FLOAT, DIMS(-1));
    const char *one = scratch_path(state, "a.wav"), *two = scratch_path(state, "b.wav");
    write_sound(one, 800, 1, 8000, WAV);
    write_sound(two, 1200, 2, 8000, WAV);
    const fineprune_data_options options = {.rate = "8000"};
    struct fp_tensor t;
    fineprune_data *data = open_data(&fixed, &options);
    add(data, *state);
    batch(data, &t, 2, 0, 1);
    assert_int_equal(t.dims[2], 1000);
    const int16_t *x = t.data;
    assert_true(fabs(x[5] - 32768 * tone(5, 8000)) < 2);
    assert_int_equal(x[800], 0); // silence
    assert_true(x[1999] != 0);   // cut
    fp_tensor_done(&t);
    fineprune_data_free(data);
    data = open_data(&stereo, &options);
    add(data, two);
    refuse(data, one, FINEPRUNE_DATA, "has 1 channels, but the model's input takes 2");
    batch(data, &t, 1, 0);
    assert_int_equal(t.dims[1], 1200);
    assert_true(fabs((double)((float *)t.data)[11] - tone(5, 8000) / 2) < 1e-4);
    fp_tensor_done(&t);
    fineprune_data_free(data);
    data = open_data(&whole, &options);
    add(data, *state);
    assert_int_equal(fp_data_max_batch(data), 1);
    batch(data, &t, 1, 1);
    assert_int_equal(t.rank, 1);
    assert_int_equal(t.dims[0], 1200);
    fp_tensor_done(&t);
    fineprune_data_free(data);
}

static void test_refused(void **state) {
    struct fake f = {0}, picture = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, -1));
    fake_input(&picture, "x", FP_FLOAT, DIMS(-1, 3, 8, 8));
    const char *path = scratch_path(state, "a.wav");
    write_sound(path, 800, 1, 8000, WAV);
    fineprune_data *data = open_data(&f, NULL);
    refuse(data, path, FINEPRUNE_DATA, "which rate the model wants");
    fineprune_data_free(data);
    data = open_data(&picture, &(fineprune_data_options){.rate = "8000"});
    refuse(data, path, FINEPRUNE_DATA, "is sound, but the model's input 'x' float32 [?,3,8,8]");
    fineprune_data_free(data);
    data = open_data(&f, &(fineprune_data_options){.rate = "fast"});
    refuse(data, path, FINEPRUNE_USAGE, "--rate");
    fineprune_data_free(data);
    data = open_data(&f, &(fineprune_data_options){.rate = "8000"});
    scratch_write(path, "RIFFxxxx", 8);
    refuse(data, path, FINEPRUNE_DATA, "a.wav' is not sound that can be decoded");
    // NaN in a file of floats is found when the file is added, or with a limit when the sample is read
    SF_INFO info = {.channels = 1, .samplerate = 8000, .format = SF_FORMAT_WAV | SF_FORMAT_FLOAT};
    SNDFILE *file = sf_open(path, SFM_WRITE, &info);
    sf_writef_float(file, (float[]){0, NAN, 0}, 3);
    sf_close(file);
    refuse(data, path, FINEPRUNE_DATA, "a.wav' has NaN at frame 1");
    fineprune_data_free(data);
    data = open_data(&f, &(fineprune_data_options){.rate = "8000", .limit = 1});
    add(data, path);
    struct fp_tensor t;
    fineprune_error err = {0};
    assert_int_equal(fp_data_batch(data, (size_t[]){0}, 1, &t, &err), FINEPRUNE_DATA);
    assert_non_null(strstr(err.message, "a.wav' has NaN at frame 1"));
    fineprune_data_free(data);
    assert_int_equal(f.model.memory.used, 0);
}

static void test_damaged(void **state) {
    struct fake f = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, -1));
    f.model.memory.limit = 1 << 24;
    const char *names[] = {scratch_path(state, "a.wav"), scratch_path(state, "a.flac")};
    write_sound(names[0], 500, 1, 8000, WAV);
    write_sound(names[1], 500, 2, 8000, FLAC);
    uint64_t seed = 9;
    for (int k = 0; k < 2; k++) {
        size_t n;
        uint8_t *sound = scratch_read(names[k], &n);
        for (int i = 0; i < 100; i++) {
            const size_t at = fp_random(&seed) % (i % 2 ? n : 60);
            const uint8_t old = sound[at];
            sound[at] = (uint8_t)fp_random(&seed);
            scratch_write(names[k], sound, i % 5 ? n : at);
            sound[at] = old;
            fineprune_data *data = open_data(&f, &(fineprune_data_options){.rate = "8000"});
            struct fp_tensor t = {0};
            if (!fineprune_data_add(data, names[k], NULL) && !fp_data_batch(data, (size_t[]){0}, 1, &t, NULL))
                fp_tensor_done(&t);
            fineprune_data_free(data);
            assert_int_equal(f.model.memory.used, 0);
        }
        free(sound);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {scratch_test(test_rows), scratch_test(test_shapes), scratch_test(test_refused),
                                       scratch_test(test_damaged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
