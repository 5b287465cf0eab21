// SPDX-License-Identifier: Apache-2.0
// Pictures: decoded, resized, cut and scaled to the model's input as the preparation says; broken ones are refused by
// name.
#include "data/image_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <math.h>

#include "fake_model.h"
#include "scratch_folder.h"

#include <jpeglib.h>
#include <png.h>

static uint8_t level(int64_t x, int64_t y, int c) {
    return (uint8_t)lround(127 + 90 * sin((double)x / (7 + c) + (double)y / 11) + (double)((x * 7 + y * 3) % 20));
}

static void fill(struct fp_image *image, int64_t width, int64_t height, int channels) {
    assert_int_equal(fp_image_new(image, width, height, channels, NULL, NULL), 0);
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++)
            for (int c = 0; c < channels; c++) image->pixels[(y * width + x) * channels + c] = level(x, y, c);
}

static void write_png(const char *path, int64_t width, int64_t height, int channels) {
    struct fp_image image;
    fill(&image, width, height, channels);
    png_image png = {.version = PNG_IMAGE_VERSION,
                     .width = (png_uint_32)width,
                     .height = (png_uint_32)height,
                     .format = channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY};
    assert_true(png_image_write_to_file(&png, path, 0, image.pixels, 0, NULL));
    fp_image_done(&image);
}

static void write_jpeg(const char *path, int64_t width, int64_t height) {
    struct fp_image image;
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fill(&image, width, height, 3);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, f);
    jpeg.image_width = (JDIMENSION)width;
    jpeg.image_height = (JDIMENSION)height;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 100, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    for (int64_t y = 0; y < height; y++) {
        JSAMPROW row = image.pixels + y * width * 3;
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    fclose(f);
    fp_image_done(&image);
}

static void put_little(uint8_t *at, int64_t number, int bytes) {
    for (int i = 0; i < bytes; i++) at[i] = (uint8_t)((uint64_t)number >> 8 * i);
}

// 24 bits, rows from the bottom.
static void write_bmp(const char *path, int64_t width, int64_t height) {
    static uint8_t file[1 << 14];
    const int64_t stride = (width * 3 + 3) / 4 * 4;
    memset(file, 0, sizeof(file));
    memcpy(file, "BM", 2);
    put_little(file + 10, 54, 4);
    put_little(file + 14, 40, 4);
    put_little(file + 18, width, 4);
    put_little(file + 22, height, 4);
    put_little(file + 26, 1, 2);
    put_little(file + 28, 24, 2);
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++)
            for (int c = 0; c < 3; c++) file[54 + (height - 1 - y) * stride + x * 3 + 2 - c] = level(x, y, c);
    scratch_write(path, file, (size_t)(54 + height * stride));
}

// ---- resizing against a plain reference in double

static double kernel(enum fp_filter filter, double x) {
    x = fabs(x);
    if (filter == FP_BILINEAR) return x < 1 ? 1 - x : 0;
    if (filter == FP_BICUBIC)
        return x < 1 ? 1.5 * x * x * x - 2.5 * x * x + 1 : x < 2 ? -.5 * x * x * x + 2.5 * x * x - 4 * x + 2 : 0;
    return x == 0 ? 1 : x < 3 ? 3 * sin(M_PI * x) * sin(M_PI * x / 3) / (M_PI * M_PI * x * x) : 0;
}

// One output level: all input pixels weighted by distance, along one axis, clipped to 0..255 and rounded, as in 8-bit
// pixels.
static double sample(const double *src, int64_t n, int64_t stride, int64_t at, int64_t to, enum fp_filter filter) {
    const double scale = (double)n / (double)to, wide = scale > 1 ? scale : 1, centre = ((double)at + .5) * scale;
    double sum = 0, total = 0;
    for (int64_t i = 0; i < n; i++) {
        const double w = kernel(filter, ((double)i + .5 - centre) / wide);
        sum += w * src[i * stride];
        total += w;
    }
    return fmin(255, fmax(0, floor(sum / total + .5)));
}

static void test_resize(void **state) {
    (void)state;
    static const int64_t sizes[][4] = {{40, 30, 13, 17}, {13, 17, 40, 30}, {31, 20, 31, 9},
                                       {16, 16, 5, 16},  {1, 1, 4, 3},     {50, 3, 1, 1}};
    const enum fp_filter filters[] = {FP_BILINEAR, FP_BICUBIC, FP_LANCZOS};
    for (size_t f = 0; f < FP_COUNT(filters); f++)
        for (size_t i = 0; i < FP_COUNT(sizes); i++) {
            const int64_t w = sizes[i][0], h = sizes[i][1], to_w = sizes[i][2], to_h = sizes[i][3];
            struct fp_image image;
            fill(&image, w, h, 1);
            double src[2000], middle[2000];
            for (int64_t k = 0; k < w * h; k++) src[k] = image.pixels[k];
            for (int64_t y = 0; y < h; y++)
                for (int64_t x = 0; x < to_w; x++)
                    middle[y * to_w + x] = w == to_w ? src[y * w + x] : sample(src + y * w, w, 1, x, to_w, filters[f]);
            assert_int_equal(
                fp_image_resize(&image, to_w, to_h, filters[f], &(struct fp_window){0, 0, to_w, to_h}, NULL), 0);
            assert_int_equal(image.width, to_w);
            assert_int_equal(image.height, to_h);
            for (int64_t y = 0; y < to_h; y++)
                for (int64_t x = 0; x < to_w; x++) {
                    const double want = h == to_h ? middle[y * to_w + x]
                                                  : sample(middle + x, h, to_w, y, to_h, filters[f]);
                    if (fabs(want - image.pixels[y * to_w + x]) > 1)
                        fail_msg("filter %d size %zu at %d,%d: %g, not %d", filters[f], i, (int)x, (int)y, want,
                                 image.pixels[y * to_w + x]);
                }
            fp_image_done(&image);
        }
}

// A window has the pixels that the whole has there, whatever the filter, size and number of rows.
static void test_window(void **state) {
    (void)state;
    static const int64_t sizes[][2] = {{29, 23}, {80, 50}, {40, 30}, {17, 30}, {40, 9}};
    const enum fp_filter filters[] = {FP_NEAREST, FP_BILINEAR, FP_BICUBIC, FP_LANCZOS};
    for (size_t f = 0; f < FP_COUNT(filters); f++)
        for (size_t i = 0; i < FP_COUNT(sizes); i++) {
            struct fp_image whole, part;
            const int64_t w = sizes[i][0], h = sizes[i][1];
            const struct fp_window all = {0, 0, w, h}, window = {5, 2, w - 8, h - 4};
            fill(&whole, 40, 30, 3);
            fill(&part, 40, 30, 3);
            assert_int_equal(fp_image_resize(&whole, w, h, filters[f], &all, NULL), 0);
            assert_int_equal(fp_image_resize(&part, w, h, filters[f], &window, NULL), 0);
            assert_int_equal(part.width, w - 8);
            assert_int_equal(part.height, h - 4);
            for (int64_t y = 0; y < h - 4; y++)
                assert_memory_equal(part.pixels + y * (w - 8) * 3, whole.pixels + ((y + 2) * w + 5) * 3,
                                    (size_t)(w - 8) * 3);
            fp_image_done(&whole);
            fp_image_done(&part);
        }
}

static void test_nearest(void **state) {
    (void)state;
    struct fp_image image;
    fill(&image, 4, 2, 1);
    assert_int_equal(fp_image_resize(&image, 2, 4, FP_NEAREST, &(struct fp_window){0, 0, 2, 4}, NULL), 0);
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 2; x++) assert_int_equal(image.pixels[y * 2 + x], level(2 * x + 1, y / 2, 0));
    fp_image_done(&image);
}

// ---- decoding

static void test_decode(void **state) {
    struct fp_image image;
    int64_t w, h;
    const char *png = scratch_path(state, "a.png"), *grey = scratch_path(state, "g.png"),
               *jpg = scratch_path(state, "a.jpg"), *bmp = scratch_path(state, "a.bmp");
    write_png(png, 33, 20, 3);
    write_bmp(bmp, 33, 20);
    write_png(grey, 9, 8, 1);
    write_jpeg(jpg, 40, 24);
    assert_int_equal(fp_image_probe(png, false, &w, &h, NULL), 0);
    assert_true(w == 33 && h == 20);
    assert_int_equal(fp_image_probe(jpg, false, &w, &h, NULL), 0);
    assert_true(w == 40 && h == 24);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(fp_image_read(&image, k ? bmp : png, false, NULL, NULL), 0);
        for (int64_t i = 0; i < 33 * 20 * 3; i++)
            assert_int_equal(image.pixels[i], level(i / 3 % 33, i / 99, (int)(i % 3)));
        fp_image_done(&image);
    }
    assert_int_equal(fp_image_read(&image, grey, false, NULL, NULL), 0);
    fp_image_to_grey(&image);
    for (int64_t i = 0; i < 72; i++) assert_int_equal(image.pixels[i], level(i % 9, i / 9, 0));
    fp_image_done(&image);
    assert_int_equal(fp_image_read(&image, jpg, false, NULL, NULL), 0);
    double apart = 0;
    for (int64_t i = 0; i < 40 * 24 * 3; i++)
        apart += fabs((double)image.pixels[i] - level(i / 3 % 40, i / 120, (int)(i % 3)));
    assert_true(apart / (40 * 24 * 3) < 8); // colours are stored at half the size
    fp_image_done(&image);
}

static void expect_broken(const char *path, const uint8_t *data, size_t n) {
    struct fp_image image = {0};
    fineprune_error err = {0};
    struct fp_memory memory = {.limit = 1 << 24};
    scratch_write(path, data, n);
    const int status = fp_image_read(&image, path, false, &memory, &err);
    if (!status) fp_image_done(&image);
    else assert_true(strstr(err.message, path) != NULL);
    assert_int_equal(memory.used, 0);
}

static void test_damaged(void **state) {
    const char *names[] = {scratch_path(state, "a.png"), scratch_path(state, "a.jpg"), scratch_path(state, "a.bmp")},
               *broken = scratch_path(state, "broken");
    write_png(names[0], 33, 20, 3);
    write_jpeg(names[1], 40, 24);
    write_bmp(names[2], 33, 20);
    uint64_t seed = 5;
    for (int k = 0; k < 3; k++) {
        size_t n;
        uint8_t *file = scratch_read(names[k], &n);
        fineprune_error err = {0};
        struct fp_image image;
        scratch_write(broken, file, n / 2);
        assert_int_equal(fp_image_read(&image, broken, false, NULL, &err), FINEPRUNE_DATA);
        assert_non_null(strstr(err.message, "broken'"));
        for (int i = 0; i < 200; i++) {
            const size_t at = fp_random(&seed) % (k < 2 ? n : 60); // a BMP's pixels may be anything
            const uint8_t old = file[at];
            file[at] = (uint8_t)fp_random(&seed);
            expect_broken(broken, file, i % 4 ? n : at);
            file[at] = old;
        }
        if (k == 0) { // a header of 2^31 - 1 x 2^31 - 1 pixels
            memset(file + 16, 0x7f, 8);
            expect_broken(broken, file, n);
        }
        free(file);
    }
    expect_broken(broken, (const uint8_t *)"", 0);
    expect_broken(broken, (const uint8_t *)"GIF89a........", 14);
}

// GIF, TIFF and WebP that begin as they must. `shown`: the header is as far as a look at the size goes.
static void test_damaged_others(void **state) {
#define GIF "GIF89a\2\0\2\0\0\0\0"
#define TIFF(tags) "II*\0\10\0\0\0" tags "\0"   // the first page's
#define TAG(side) side "\1\3\0\1\0\0\0\4\0\0\0" // 4 pixels wide, or high
    static const struct {
        const char *data;
        size_t n;
        bool shown;
        const char *message;
    } cases[] = {
        {"GIF8", 4, false, "': not a picture that can be decoded: "},
        {"GIF89a\xff\xff\xff\xff\0\0\0", 13, false, "': a picture of 65535 x 65535 pixels is not supported"},
        {GIF ";", 14, true, "': not a picture that can be decoded: not a GIF"},
        {GIF ",\0\0\0\0\2\0\2\0\0\2", 24, true, "': its first frame has no colours, or does not fit its screen"},
        {GIF ",\0\0\0\0\3\0\2\0\x80\0\0\0\0\0\0\2", 30, true,
         "': its first frame has no colours, or does not fit its screen"},
        {GIF ",\0\0\0", 17, true, "': not a picture that can be decoded: "},
        {GIF "!\xfe\5ab", 18, true, "': not a picture that can be decoded: "},
        {GIF "?", 14, true, "': not a picture that can be decoded: "},
        {GIF ",\0\0\0\0\2\0\2\0\x80\0\0\0\0\0\0\2", 30, true, "': not a picture that can be decoded: "},
        {"II*\0\xff\xff\0\0", 8, false, "': not a picture that can be decoded: "},
        {"II*\0\10\0\0\0\1\0\0\1\3\0\1\0\0\0\4\0\0\0\0\0\0\0", 26, false, "': not a picture that can be decoded: TIFF"},
        {TIFF("\2") TAG("\0") TAG("\1") "\0\0\0", 38, false, "': not a picture that can be decoded: "},
        {TIFF("\6") TAG("\0") TAG("\1") "\2\1\3\0\1\0\0\0\10\0\0\0"
                                        "\6\1\3\0\1\0\0\0\1\0\0\0"
                                        "\x11\1\4\0\1\0\0\0\0\1\0\0"
                                        "\x17\1\4\0\1\0\0\0\x10\0\0\0"
                                        "\0\0\0",
         86, true, "': not a picture that can be decoded: "},
        {"RIFF\0\0\0\0WEBPVP8 ", 16, false, "': not a picture that can be decoded: WebP's header"},
        {"RIFF\22\0\0\0WEBPVP8L\6\0\0\0\x2f\3\xc0\0\0\0", 26, true,
         "': not a picture that can be decoded: damaged, or cut short"},
        {"RIFF\x16\0\0\0WEBPVP8X\12\0\0\0\2\0\0\0\3\0\0\3\0\0", 30, false, "': an animated WebP, which is not read"},
        {"\0\0\0\x18"
         "ftypavif",
         12, false, "': HEIC and AVIF are not read"},
        {"\0\0\0\x18"
         "ftypqt  ",
         12, false, "': neither PNG, JPEG, WebP, GIF, TIFF nor BMP"},
    };
#undef GIF
#undef TIFF
#undef TAG
    const char *path = scratch_path(state, "a");
    for (size_t i = 0; i < FP_COUNT(cases); i++) {
        struct fp_image image = {0};
        struct fp_memory memory = {.limit = 1 << 24};
        fineprune_error err = {0};
        int64_t width = 0, height = 0;
        scratch_write(path, cases[i].data, cases[i].n);
        if (fp_image_read(&image, path, false, &memory, &err) != FINEPRUNE_DATA) fail_msg("case %zu was read", i);
        if (!strstr(err.message, cases[i].message)) fail_msg("case %zu: %s", i, err.message);
        assert_int_equal(memory.used, 0);
        if (fp_image_probe(path, false, &width, &height, NULL) != (cases[i].shown ? FINEPRUNE_OK : FINEPRUNE_DATA))
            fail_msg("case %zu: its size was %lld x %lld", i, (long long)width, (long long)height);
        if (cases[i].shown) assert_true(width == height && (width == 2 || width == 4));
    }
    enum { BLOCKS = 10001 };
    static uint8_t many[13 + 3 * BLOCKS] = "GIF89a\2\0\2";
    for (size_t i = 0; i < BLOCKS; i++) many[13 + 3 * i] = '!', many[14 + 3 * i] = 0xfe;
    struct fp_image image = {0};
    fineprune_error err = {0};
    scratch_write(path, many, sizeof(many));
    assert_int_equal(fp_image_read(&image, path, false, NULL, &err), FINEPRUNE_DATA);
    assert_non_null(strstr(err.message, "it has over 10000 blocks before its first frame"));
}

// ---- as samples

static void test_layouts(void **state) {
    struct fake nchw = {0}, nhwc = {0}, grey = {0}, whole = {0};
    fake_input(&nchw, "x", FP_FLOAT, DIMS(-1, 3, 8, 6));
    fake_input(&nhwc, "x", FP_UINT8, DIMS(1, 8, 6, 3));
    fake_input(&grey, "x", FP_FLOAT, DIMS(-1, 8, 6));
    fake_input(&whole, "x", FP_FLOAT16, DIMS(3, -1, -1));
    const char *path = scratch_path(state, "a.png");
    write_png(path, 6, 8, 3);
    const fineprune_data_options options = {.mean = "0,0.5,1", .std = "1,2,4"}, plain = {.mean = "0", .std = "1"};
    struct fp_tensor t;
    fineprune_data *data = open_data(&nchw, &options);
    add(data, *state);
    add(data, path);
    assert_int_equal(fineprune_data_samples(data), 2);
    batch(data, &t, 2, 1, 0);
    const double mean[] = {0, .5, 1}, std[] = {1, 2, 4};
    for (int i = 0; i < 2 * 3 * 48; i++) {
        const int c = i / 48 % 3, y = i / 6 % 8, x = i % 6;
        assert_true(fabs((double)((float *)t.data)[i] - (level(x, y, c) / 255. - mean[c]) / std[c]) < 1e-6);
    }
    fp_tensor_done(&t);
    fineprune_data_free(data);
    data = open_data(&nhwc, NULL); // bytes as they are
    add(data, path);
    assert_int_equal(fp_data_max_batch(data), 1);
    batch(data, &t, 1, 0);
    assert_int_equal(t.rank, 4);
    for (int i = 0; i < 144; i++) assert_int_equal(((uint8_t *)t.data)[i], level(i / 3 % 6, i / 18, i % 3));
    fp_tensor_done(&t);
    fineprune_data_free(data);
    data = open_data(&grey, &plain);
    add(data, path);
    batch(data, &t, 1, 0);
    assert_int_equal(t.count, 48);
    assert_true(fabs((double)((float *)t.data)[0] * 255 -
                     (.299 * level(0, 0, 0) + .587 * level(0, 0, 1) + .114 * level(0, 0, 2))) < 1);
    fp_tensor_done(&t);
    fineprune_data_free(data);
    data = open_data(&whole, &plain);
    add(data, path);
    assert_true(fp_data_whole(data));
    batch(data, &t, 1, 0);
    assert_int_equal(t.rank, 3);
    assert_int_equal(t.dims[1], 8);
    fp_tensor_done(&t);
    fineprune_data_free(data);
}

// What was decoded once is the same the second time, whatever happens to the file; under a memory limit that leaves
// little it is read again.
static void test_decoded_once(void **state) {
    struct fake f = {0};
    fake_input(&f, "x", FP_FLOAT, DIMS(-1, 3, 8, 6));
    const char *path = scratch_path(state, "a.png");
    for (int limited = 0; limited < 2; limited++) {
        struct fp_tensor first, again;
        fineprune_error err = {0};
        write_png(path, 12, 9, 3);
        f.model.memory.limit = limited ? 2048 : 0;
        fineprune_data *data = open_data(&f, &(fineprune_data_options){.mean = "0.5", .std = "2"});
        add(data, path);
        batch(data, &first, 1, 0);
        assert_int_equal(*data->decoded, limited ? 0 : 3 * 48);
        if (limited) { // read again, and no longer what it was
            write_png(path, 12, 9, 3);
            assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[2]){{.tv_sec = 1}, {.tv_sec = 1}}, 0), 0);
            assert_int_equal(fp_data_batch(data, &(size_t){0}, 1, &again, &err), FINEPRUNE_IO);
            assert_non_null(strstr(err.message, "has changed while it was in use"));
            fp_error_clear(&err);
        }
        remove(path);
        if (limited) {
            assert_int_equal(fp_data_batch(data, &(size_t){0}, 1, &again, &err), FINEPRUNE_IO);
        } else {
            batch(data, &again, 1, 0);
            assert_memory_equal(first.data, again.data, 3 * 48 * sizeof(float));
            fp_tensor_done(&again);
        }
        fp_tensor_done(&first);
        fineprune_data_free(data);
        assert_int_equal(f.model.memory.used, 0);
    }
}

static void expect_shape(const struct fake *f, const fineprune_data_options *options, const char *path, int64_t height,
                         int64_t width) {
    fineprune_data *data = open_data(f, options);
    struct fp_tensor t;
    add(data, path);
    batch(data, &t, 1, 0);
    assert_int_equal(t.dims[2], height);
    assert_int_equal(t.dims[3], width);
    fp_tensor_done(&t);
    fineprune_data_free(data);
}

static void test_sizes(void **state) {
    struct fake open = {0}, fixed = {0};
    fake_input(&open, "x", FP_UINT8, DIMS(-1, 3, -1, -1));
    fake_input(&fixed, "x", FP_UINT8, DIMS(-1, 3, 10, 10));
    const char *path = scratch_path(state, "a.png");
    write_png(path, 40, 20, 3);
    expect_shape(&open, NULL, path, 20, 40);
    expect_shape(&fixed, NULL, path, 10, 10);
    expect_shape(&open, &(fineprune_data_options){.resize = "10"}, path, 10, 20);
    expect_shape(&open, &(fineprune_data_options){.resize = "12x18"}, path, 12, 18);
    expect_shape(&open, &(fineprune_data_options){.resize = "16", .crop = "8"}, path, 8, 8);
    expect_shape(&open, &(fineprune_data_options){.crop = "8x9"}, path, 8, 9);
    expect_shape(&fixed, &(fineprune_data_options){.resize = "12"}, path, 10, 10); // the input's size is cut out
    expect_shape(&fixed, &(fineprune_data_options){.resize = "none", .crop = "10"}, path, 10, 10);
    fineprune_data *data = open_data(&fixed, &(fineprune_data_options){.resize = "12x18"});
    refuse(data, path, FINEPRUNE_DATA, "becomes 18 x 12 pixels, but the model's input is 'x' uint8 [?,3,10,10]");
    fineprune_data_free(data);
    data = open_data(&open, &(fineprune_data_options){.crop = "21"});
    refuse(data, path, FINEPRUNE_DATA, "21 x 21 pixels cannot be cut out of 40 x 20");
    fineprune_data_free(data);
    data = open_data(&open, &(fineprune_data_options){.crop = "big"});
    refuse(data, path, FINEPRUNE_USAGE, "--crop");
    fineprune_data_free(data);
}

// Pixels go into bytes as they are, and a preparation that would make other numbers of them is refused.
static void test_bytes(void **state) {
    struct fake f = {0};
    fake_input(&f, "x", FP_UINT8, DIMS(-1, 3, 8, 6));
    const char *path = scratch_path(state, "a.png"), *file = scratch_path(state, "p.json");
    write_png(path, 6, 8, 3);
    static const char *const good[] = {
        "{}",
        "{\"scale\": 1}",
        "{\"mean\": 0, \"std\": 1, \"scale\": 1}",
        "{\"mean\": 0, \"std\": [0.00392156862745098, 0.00392156862745098, 0.00392156862745098]}",
        "{\"do_resize\": true, \"size\": {\"height\": 8, \"width\": 6}, \"do_normalize\": false}",
        "{\"do_resize\": true, \"size\": {\"height\": 8, \"width\": 6}, \"do_normalize\": false, "
        "\"do_rescale\": false}"};
    for (size_t i = 0; i < FP_COUNT(good); i++) {
        scratch_write(file, good[i], strlen(good[i]));
        fineprune_data *data = open_data(&f, &(fineprune_data_options){.preprocess = file});
        struct fp_tensor t;
        add(data, path);
        batch(data, &t, 1, 0);
        for (int k = 0; k < 144; k++) assert_int_equal(((uint8_t *)t.data)[k], level(k % 6, k / 6 % 8, k / 48));
        fp_tensor_done(&t);
        fineprune_data_free(data);
    }
    static const char *const bad[][2] = {
        {"{\"scale\": 2}", "[?,3,8,6] takes pixels as they are, but 'scale' of"},
        {"{\"mean\": 0, \"std\": 1}", "but 'std' of"},
        {"{\"std\": 0.5}", "but 'std' of"},
        {"{\"mean\": 0.5}", "but 'mean' of"},
        {"{\"image_mean\": [0.5, 0.5, 0.5], \"image_std\": [0.5, 0.5, 0.5]}", "but 'image_std' of"},
        {"{\"image_mean\": [104, 117, 123], \"do_rescale\": false, \"image_std\": [1, 1, 1]}", "but 'image_std' of"},
        {"{\"do_resize\": true, \"do_normalize\": false, \"rescale_factor\": 0.00392}", "but 'rescale_factor' of"},
        {"{\"pretrained_cfg\": {\"mean\": [0.485, 0.456, 0.406], \"std\": [0.2, 0.2, 0.2]}}", "but 'std' of"}};
    for (size_t i = 0; i < FP_COUNT(bad); i++) {
        scratch_write(file, bad[i][0], strlen(bad[i][0]));
        fineprune_data *data = open_data(&f, &(fineprune_data_options){.preprocess = file});
        refuse(data, path, FINEPRUNE_DATA, bad[i][1]);
        fineprune_data_free(data);
    }
    fineprune_data *data = open_data(&f, &(fineprune_data_options){.mean = "0.5", .std = "0.5"});
    refuse(data, path, FINEPRUNE_DATA, "but --std asks for a normalization");
    fineprune_data_free(data);
}

static void test_refused(void **state) {
    struct fake floats = {0}, vector = {0}, many = {0};
    fake_input(&floats, "x", FP_FLOAT, DIMS(-1, 3, 8, 8));
    fake_input(&vector, "x", FP_FLOAT, DIMS(-1, 30));
    fake_input(&many, "x", FP_FLOAT, DIMS(-1, 4, 8, 8));
    const char *path = scratch_path(state, "a.png");
    write_png(path, 8, 8, 3);
    fineprune_data *data = open_data(&floats, NULL);
    refuse(data, path, FINEPRUNE_DATA, "no mean and std for the model's input 'x'");
    fineprune_data_free(data);
    data = open_data(&floats, &(fineprune_data_options){.mean = "0,1", .std = "1"});
    refuse(data, path, FINEPRUNE_DATA, "given for 2 and 1 channels");
    fineprune_data_free(data);
    data = open_data(&vector, NULL);
    refuse(data, path, FINEPRUNE_DATA, "is a picture, but the model's input 'x' float32 [?,30]");
    fineprune_data_free(data);
    data = open_data(&many, NULL);
    refuse(data, path, FINEPRUNE_DATA, "1 or 3 channels");
    fineprune_data_free(data);
    data = open_data(&floats, &(fineprune_data_options){.mean = "0", .std = "0"});
    refuse(data, path, FINEPRUNE_USAGE, "--std");
    fineprune_data_free(data);
    scratch_write(path, "\x89PNG\r\n\x1a\nrest", 12);
    data = open_data(&floats, &(fineprune_data_options){.mean = "0", .std = "1"});
    refuse(data, path, FINEPRUNE_DATA, "a.png': not a picture that can be decoded");
    refuse(data, *state, FINEPRUNE_DATA, "a.png'");
    fineprune_data_free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resize),     cmocka_unit_test(test_window), cmocka_unit_test(test_nearest),
        scratch_test(test_decode),         scratch_test(test_damaged),    scratch_test(test_layouts),
        scratch_test(test_sizes),          scratch_test(test_refused),    scratch_test(test_decoded_once),
        scratch_test(test_damaged_others), scratch_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
