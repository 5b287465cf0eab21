// SPDX-License-Identifier: Apache-2.0
// Preparation files of all three kinds, what options do to them, and files that make no sense.
#include "data/data_parts.h"
#include "data/preprocess.h"

#include "scratch_folder.h"

static struct fp_preprocess *read_it(void **state, const char *name, const char *text, char *const *options) {
    static char *const none[FP_OPTIONS];
    struct fp_preprocess *p = NULL;
    fineprune_error err = {0};
    scratch_write(scratch_path(state, name), text, strlen(text));
    if (fp_preprocess_new(&p, *state, options ? options : none, &err)) fail_msg("%s", err.message);
    assert_int_equal(unlink(scratch_path(state, name)), 0);
    return p;
}

static void test_hugging_face(void **state) {
    struct fp_preprocess *p = read_it(
        state, "preprocessor_config.json",
        "{\"do_resize\": true, \"size\": {\"shortest_edge\": 256}, \"resample\": 3, \"do_center_crop\": true,"
        "\"crop_size\": {\"height\": 224, \"width\": 192}, \"do_normalize\": true, \"rescale_factor\": 0.5,"
        "\"image_mean\": [0.1, 0.2, 0.3], \"image_std\": [1, 2, 3]}",
        NULL);
    assert_true(p->resize_height == 256 && p->resize_width == 0 && p->crop_height == 224 && p->crop_width == 192);
    assert_int_equal(p->filter, FP_BICUBIC);
    assert_true(p->have_mean && p->n_mean == 3 && p->mean[1] == 0.2 && p->have_std && p->std[2] == 3 &&
                p->scale == 0.5);
    assert_non_null(strstr(p->path, "preprocessor_config.json"));
    fp_preprocess_free(p);
    // an older one: both edges, no crop, no normalizing
    p = read_it(state, "preprocessor_config.json", "{\"do_resize\": true, \"size\": 224, \"do_normalize\": false}",
                NULL);
    assert_true(p->resize_height == 224 && p->resize_width == 224 && p->no_crop && p->have_mean && p->mean[0] == 0 &&
                p->std[0] == 1);
    fp_preprocess_free(p);
    // ConvNeXt
    p = read_it(state, "preprocessor_config.json",
                "{\"size\": {\"shortest_edge\": 224}, \"crop_pct\": 0.875, \"image_mean\": [0], \"image_std\": [1]}",
                NULL);
    assert_true(p->resize_height == 256 && p->resize_width == 0 && p->crop_height == 224 && p->crop_width == 224);
    fp_preprocess_free(p);
    p = read_it(
        state, "preprocessor_config.json",
        "{\"feature_extractor_type\": \"Wav2Vec2FeatureExtractor\", \"feature_size\": 1, \"do_normalize\": true, "
        "\"sampling_rate\": 16000}",
        NULL);
    assert_true(p->rate == 16000 && p->normalize_sound);
    fp_preprocess_free(p);
}

// What single families have, and steps that are not done.
static void test_families(void **state) {
    const char *const name = "preprocessor_config.json";
    struct fp_preprocess *p = read_it(state, name,
                                      "{\"size\": {\"shortest_edge\": 384}, \"crop_pct\": 0.875, "
                                      "\"image_mean\": [0], \"image_std\": [1]}",
                                      NULL);
    assert_true(p->resize_height == 384 && p->resize_width == 384 && p->no_crop); // ConvNeXt from 384 on
    fp_preprocess_free(p);
    p = read_it(state, name,
                "{\"do_resize\": true, \"size\": {\"shortest_edge\": 288}, \"do_center_crop\": true, "
                "\"crop_size\": 256, \"do_flip_channel_order\": true}",
                NULL);
    assert_true(p->color == FP_BGR && p->have_mean && p->mean[0] == 0 && p->std[0] == 1); // MobileViT
    fp_preprocess_free(p);
    p = read_it(state, name,
                "{\"do_resize\": true, \"size\": 224, \"rescale_factor\": 0.0078125, \"rescale_offset\": "
                "true, \"image_mean\": [0.5], \"image_std\": [0.5], \"include_top\": true}",
                NULL);
    assert_true(p->scale == 0.0078125 && p->mean[0] == 1.5 && p->std[0] == 0.25); // EfficientNet
    fp_preprocess_free(p);
    p = read_it(state, name,
                "{\"image_processor_type\": \"LevitImageProcessor\", \"size\": {\"shortest_edge\": 224}, "
                "\"do_center_crop\": true, \"crop_size\": 224}",
                NULL);
    assert_int_equal(p->resize_height, 256);
    fp_preprocess_free(p);
    p = read_it(state, name, "{\"image_mean\": [123.675, 116.28, 103.53], \"image_std\": [58.4, 57.1, 57.4]}", NULL);
    assert_true(p->scale == 1); // of 0..255
    fp_preprocess_free(p);
    p = read_it(state, name, "{\"image_mean\": [0], \"image_std\": [255]}", NULL);
    assert_true(p->scale == 1);
    fp_preprocess_free(p);
    p = read_it(state, name, "{\"sampling_rate\": 16000, \"do_normalize\": true, \"return_attention_mask\": true}",
                NULL);
    assert_true(p->normalize_sound && !p->normalize_padding);
    fp_preprocess_free(p);
    p = read_it(state, "config.json",
                "{\"pretrained_cfg\": {\"input_size\": [3, 224, 288], \"crop_pct\": 0.5, \"crop_mode\": \"squash\", "
                "\"mean\": [0], \"std\": [1]}}",
                NULL);
    assert_true(p->resize_height == 448 && p->resize_width == 576 && p->crop_height == 224 && p->crop_width == 288 &&
                p->crop_rounds);
    fp_preprocess_free(p);
}

static void test_timm(void **state) {
    struct fp_preprocess *p = read_it(
        state, "config.json",
        "{\"architecture\": \"resnet50\", \"pretrained_cfg\": {\"input_size\": [3, 288, 288], \"crop_pct\": 0.95,"
        "\"interpolation\": \"bicubic\", \"mean\": [0.5, 0.5, 0.5], \"std\": [0.5, 0.5, 0.5]}}",
        NULL);
    assert_true(p->resize_height == 303 && p->resize_width == 0 && p->crop_height == 288 && p->filter == FP_BICUBIC &&
                p->have_mean && p->have_std);
    fp_preprocess_free(p);
    p = read_it(state, "config.json", "{\"model_type\": \"bert\"}", NULL); // not a preparation
    assert_null(p->path);
    assert_true(!p->have_mean && !p->resize_height);
    fp_preprocess_free(p);
}

static void test_ours_and_options(void **state) {
    const char *text =
        "{\"resize\": [256, 192], \"crop\": 128, \"mean\": 0.5, \"std\": 0.25, \"layout\": \"nhwc\", \"color\": "
        "\"bgr\","
        "\"interpolation\": \"nearest\", \"rate\": 8000, \"feature\": \"wave\", \"scale\": 1}";
    struct fp_preprocess *p = read_it(state, "preprocess.json", text, NULL);
    assert_true(p->resize_height == 256 && p->resize_width == 192 && p->crop_height == 128 && p->crop_width == 128);
    assert_true(p->layout == FP_NHWC && p->color == FP_BGR && p->filter == FP_NEAREST && p->rate == 8000 &&
                p->scale == 1 && p->n_mean == 1);
    fp_preprocess_free(p);
    char *options[FP_OPTIONS] = {NULL, (char[]){"64x48"}, (char[]){"none"}, (char[]){"0.1,0.2,0.3"},
                                 NULL, (char[]){"nchw"},  (char[]){"44100"}};
    p = read_it(state, "preprocess.json", text, options);
    assert_true(p->resize_height == 64 && p->resize_width == 48 && p->no_crop && !p->crop_height && p->n_mean == 3 &&
                p->mean[2] == 0.3);
    assert_true(p->std[0] == 0.25 && p->layout == FP_NCHW && p->rate == 44100);
    fp_preprocess_free(p);
}

static void test_broken(void **state) {
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "is not a JSON object"},
        {"[1]", "is not a JSON object"},
        {"{\"mean\": \"grey\"}", "'mean': one number per channel is expected"},
        {"{\"mean\": [1,2,3,4,5]}", "'mean'"},
        {"{\"std\": 0}", "'std': one positive number"},
        {"{\"resize\": -3}", "'resize': a size"},
        {"{\"resize\": {\"height\": 3}}", "'resize': a size"},
        {"{\"crop\": 1e9}", "'crop': a size"},
        {"{\"layout\": \"chw\"}", "'layout': nchw or nhwc is expected"},
        {"{\"interpolation\": 17}", "'interpolation'"},
        {"{\"feature\": \"mfcc\"}", "'feature': wave, mel or bytes is expected"},
        {"{\"feature\": \"bytes\", \"head\": 8}", "the feature 'bytes' needs 'padding'"},
        {"{\"feature\": \"bytes\", \"padding\": 0}", "takes no bytes of a file"},
        {"{\"feature\": \"bytes\", \"padding\": 0, \"head\": -1}", "'head': a number of bytes"},
        {"{\"feature\": \"bytes\", \"padding\": 0, \"head\": 1e3}", "'head': a number of bytes"},
        {"{\"feature\": \"bytes\", \"padding\": -2, \"head\": 8}", "'padding': a whole number"},
        {"{\"feature\": \"bytes\", \"padding\": 0, \"head\": 8, \"block\": 4}", "takes 8 bytes out of a block of 4"},
        {"{\"feature\": \"bytes\", \"padding\": 0, \"head\": 8, \"least\": 9}", "wants 9 bytes left of 8"},
        {"{\"feature\": \"bytes\", \"padding\": 0, \"head\": 8, \"strip\": 1}", "'strip': true or false"},
        {"{\"feature\": \"bytes\", \"padding\": 0, \"head\": 8, \"mels\": 1}", "'mels' is no member of a preparation"},
        {"{\"beg_size\": 8, \"end_size\": 8, \"padding_token\": 256, \"mid_size\": 4}", "asks for 'mid_size'"},
        {"{\"feature\": \"mel\", \"fft\": 400, \"hop\": 160}", "the feature 'mel' needs 'mels'"},
        {"{\"feature\": \"mel\", \"fft\": 401, \"hop\": 160, \"mels\": 8}", "'fft': an even number"},
        {"{\"feature\": \"mel\", \"fft\": 400, \"hop\": 0, \"mels\": 8}", "'hop'"},
        {"{\"feature\": \"mel\", \"fft\": 400, \"hop\": 160, \"mels\": 1e9}", "'mels'"},
        {"{\"feature\": \"mel\", \"fft\": 400, \"hop\": 1, \"mels\": 8, \"range\": [9, 5]}", "'range'"},
        {"{\"feature\": \"mel\", \"fft\": 400, \"hop\": 1, \"mels\": 8, \"log\": \"log2\"}", "'log': whisper, log10"},
        {"{\"feature\": \"mel\", \"fft\": 400, \"hop\": 1, \"mels\": 8, \"norm\": 1}", "'norm': slaney or htk"},
        {"{\"fft\": 400}", "'fft' is no member of a preparation"},
        {"{\"feature_extractor_type\": \"WhisperFeatureExtractor\", \"chunk_length\": 0}", "'chunk_length'"},
        {"{\"rate\": \"x\"}", "'rate'"},
        {"{\"sampling_rate\": 16000, \"num_mel_bins\": 80}", "asks for spectrograms"},
        {"{\"pretrained_cfg\": {\"input_size\": [3]}}", "'input_size'"},
        {"{\"sampling_rate\": {}}", "'sampling_rate'"},
        {"{\"meen\": 0}", "'meen' is no member of a preparation"},
        {"{\"do_resize\": true, \"do_pad\": true}", "asks for 'do_pad', which is not done here"},
        {"{\"do_resize\": true, \"size\": {\"shortest_edge\": 800, \"longest_edge\": 1333}}", "a longest edge"},
        {"{\"pretrained_cfg\": {\"input_size\": [3, 8, 8], \"crop_mode\": \"border\"}}",
         "'crop_mode': center or squash"},
    };
    char *options[FP_OPTIONS] = {strdup(scratch_path(state, "p.json"))};
    for (size_t i = 0; i < FP_COUNT(cases); i++) {
        struct fp_preprocess *p = NULL;
        fineprune_error err = {0};
        scratch_write(options[0], cases[i].text, strlen(cases[i].text));
        assert_int_equal(fp_preprocess_new(&p, *state, options, &err), FINEPRUNE_DATA);
        if (!strstr(err.message, cases[i].message) || !strstr(err.message, "p.json"))
            fail_msg("case %zu: %s", i, err.message);
        assert_null(p);
    }
    static const char *const words[][2] = {{"{\"meen\": 0}", "did you mean 'mean'?"},
                                           {"{\"interpolaton\": 2}", "did you mean 'interpolation'?"},
                                           {"{\"colour\": \"bgr\"}", "did you mean 'color'?"},
                                           {"{\"speed\": 2}", "known are resize, crop"},
                                           {"{\"feature\": \"mel\", \"rnage\": 2}", "did you mean 'range'?"}};
    for (size_t i = 0; i < FP_COUNT(words); i++) {
        struct fp_preprocess *p = NULL;
        fineprune_error err = {0};
        scratch_write(options[0], words[i][0], strlen(words[i][0]));
        assert_int_equal(fp_preprocess_new(&p, *state, options, &err), FINEPRUNE_DATA);
        if (!strstr(err.hint, words[i][1])) fail_msg("%s: %s", words[i][0], err.hint);
    }
    unlink(options[0]);
    fineprune_error err = {0};
    struct fp_preprocess *p = NULL;
    assert_int_equal(fp_preprocess_new(&p, *state, options, &err), FINEPRUNE_IO);
    free(options[0]);
    fp_preprocess_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {scratch_test(test_hugging_face), scratch_test(test_families),
                                       scratch_test(test_timm), scratch_test(test_ours_and_options),
                                       scratch_test(test_broken)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
