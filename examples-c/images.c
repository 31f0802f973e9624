#include "images.h"
#include <math.h>
#include <stdio.h>                                                   /* before jpeglib.h, which needs it */
#include <jpeglib.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

void *must_alloc(void *memory) {
    if (memory) return memory;
    fputs("thumbs: out of memory\n", stderr);
    exit(2);
}

uint64_t random_mix(uint64_t seed) {
    seed += 0x9e3779b97f4a7c15;
    seed = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9;
    seed = (seed ^ seed >> 27) * 0x94d049bb133111eb;
    return seed ^ seed >> 31;
}

/* ---- scaling ---- */

/* The mean of a box of pixels, each weighted with its alpha: else the colour of the invisible ones would bleed into edges. */
static void box_mean(const image *picture, size_t x0, size_t x1, size_t y0, size_t y1, uint8_t *out) {
    uint64_t red = 0, green = 0, blue = 0, alpha = 0, count = (x1 - x0) * (y1 - y0);
    for (size_t y = y0; y < y1; y++) {
        const uint8_t *from = picture->pixels + (y * picture->width + x0) * 4;
        for (size_t x = x0; x < x1; x++, from += 4) {
            red += from[0] * from[3];
            green += from[1] * from[3];
            blue += from[2] * from[3];
            alpha += from[3];
        }
    }
    if (alpha == 0) return;
    out[0] = (uint8_t)((red + alpha / 2) / alpha);
    out[1] = (uint8_t)((green + alpha / 2) / alpha);
    out[2] = (uint8_t)((blue + alpha / 2) / alpha);
    out[3] = (uint8_t)((alpha + count / 2) / count);
}

void image_fit(const image *picture, uint8_t pixels[THUMB_BYTES]) {
    size_t width = picture->width, height = picture->height, longest = width > height ? width : height;
    size_t zoom = longest < THUMB_SIDE ? THUMB_SIDE / longest : 1;  /* small ones by whole factors, so that they stay crisp */
    size_t across = width * zoom, down = height * zoom;
    if (longest > THUMB_SIDE) {
        across = (width * THUMB_SIDE + longest - 1) / longest;
        down = (height * THUMB_SIDE + longest - 1) / longest;
    }
    size_t left = (THUMB_SIDE - across) / 2, top = (THUMB_SIDE - down) / 2;
    memset(pixels, 0, THUMB_BYTES);
    for (size_t y = 0; y < down; y++)
        for (size_t x = 0; x < across; x++) {
            size_t x0 = x * width / across, x1 = (x + 1) * width / across;
            size_t y0 = y * height / down, y1 = (y + 1) * height / down;
            uint8_t *to = pixels + ((top + y) * THUMB_SIDE + left + x) * 4;
            box_mean(picture, x0, x1 > x0 ? x1 : x0 + 1, y0, y1 > y0 ? y1 : y0 + 1, to);
        }
}

/* ---- drawing ---- */

typedef struct colour { uint8_t red, green, blue; } colour;

/* How much of a pixel a shape covers, when the shape's edge is `distance` away from the pixel's middle (inside: negative). */
static double coverage(double distance) {
    return distance <= -0.5 ? 1 : distance >= 0.5 ? 0 : 0.5 - distance;
}

static void blend(uint8_t *rgb, colour over, double amount) {
    rgb[0] = (uint8_t)lround(rgb[0] + (over.red - rgb[0]) * amount);
    rgb[1] = (uint8_t)lround(rgb[1] + (over.green - rgb[1]) * amount);
    rgb[2] = (uint8_t)lround(rgb[2] + (over.blue - rgb[2]) * amount);
}

/* One of 360 bright colours. */
static colour hue(uint64_t seed, double saturation) {
    double third = 2 * 3.14159265358979 / 3, angle = (double)(seed % 360) * third / 120;
    return (colour){ (uint8_t)(255 * (1 - saturation * (1 - cos(angle)) / 2)),
                     (uint8_t)(255 * (1 - saturation * (1 - cos(angle - third)) / 2)),
                     (uint8_t)(255 * (1 - saturation * (1 - cos(angle + third)) / 2)) };
}

image image_draw(uint64_t seed) {
    uint64_t dice = random_mix(seed);
    image picture = { 24 + (uint32_t)(dice % 232), 24 + (uint32_t)(dice >> 16) % 232, NULL };
    picture.pixels = must_alloc(malloc((size_t)picture.width * picture.height * 4));
    colour above = hue(dice >> 32, 0.3), below = hue((dice >> 32) + 60, 0.6);
    for (uint32_t y = 0; y < picture.height; y++)
        for (uint32_t x = 0; x < picture.width; x++) {
            uint8_t *at = picture.pixels + ((size_t)y * picture.width + x) * 4;
            memcpy(at, (uint8_t[]){ above.red, above.green, above.blue, 255 }, 4);
            blend(at, below, (double)y / picture.height);
            for (uint64_t disc = 1; disc <= 4; disc++) {
                uint64_t roll = random_mix(dice + disc);
                double dx = x - (double)(roll % picture.width), dy = y - (double)((roll >> 16) % picture.height);
                double radius = 8 + (double)((roll >> 32) % 48);
                blend(at, hue(roll >> 40, 0.8), 0.8 * coverage(sqrt(dx * dx + dy * dy) - radius));
            }
        }
    return picture;
}

/* ---- files ---- */

bool image_load(const char *path, image *picture) {
    png_image png = { .version = PNG_IMAGE_VERSION };
    if (!png_image_begin_read_from_file(&png, path)) return false;
    png.format = PNG_FORMAT_RGBA;
    *picture = (image){ png.width, png.height, must_alloc(malloc(PNG_IMAGE_SIZE(png))) };
    if (png_image_finish_read(&png, NULL, picture->pixels, 0, NULL)) return true;
    free(picture->pixels);
    return false;
}

static bytes png_encode(png_image png, const uint8_t *pixels) {
    png_alloc_size_t len = PNG_IMAGE_PNG_SIZE_MAX(png);
    bytes file = { must_alloc(malloc(len)), 0 };
    if (png_image_write_to_memory(&png, file.data, &len, 0, pixels, 0, NULL)) file.len = len;
    return file;
}

bytes image_png(const image *picture) {
    return png_encode((png_image){ .version = PNG_IMAGE_VERSION, .width = picture->width, .height = picture->height,
                                   .format = PNG_FORMAT_RGBA }, picture->pixels);
}

bytes image_jpeg(const image *picture, uint64_t seed) {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *data = NULL;
    unsigned long len = 0;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &data, &len);
    jpeg.image_width = picture->width;
    jpeg.image_height = picture->height;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 88, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    colour above = hue(seed, 0.25), below = hue(seed, 0.6);
    uint8_t *row = must_alloc(malloc((size_t)picture->width * 3));
    while (jpeg.next_scanline < picture->height) {
        const uint8_t *from = picture->pixels + (size_t)jpeg.next_scanline * picture->width * 4;
        for (uint32_t x = 0; x < picture->width; x++, from += 4) {
            memcpy(row + x * 3, &above, 3);
            blend(row + x * 3, below, (double)jpeg.next_scanline / picture->height);
            blend(row + x * 3, (colour){ from[0], from[1], from[2] }, from[3] / 255.0);
        }
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    free(row);
    return (bytes){ data, len };
}

/* A PNG of white pixels with so many rows as it says, or fewer. All its checksums are right. */
static bytes png_white(uint32_t width, uint32_t height, int depth, int colours, uint32_t rows) {
    char *data = NULL;
    size_t len = 0;
    FILE *file = must_alloc(open_memstream(&data, &len));
    png_structp png = must_alloc(png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL));
    png_infop info = must_alloc(png_create_info_struct(png));
    png_init_io(png, file);
    png_set_IHDR(png, info, width, height, depth, colours, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_FILTER_NONE);
    png_set_compression_level(png, 1);
    png_write_info(png, info);
    size_t row_len = png_get_rowbytes(png, info);
    uint8_t *row = memset(must_alloc(malloc(row_len)), 255, row_len);
    for (uint32_t y = 0; y < rows; y++) png_write_row(png, row);
    if (rows == height) png_write_end(png, info);
    else png_write_flush(png);
    png_destroy_write_struct(&png, &info);
    fclose(file);
    free(row);
    return (bytes){ data, len };
}

/* 524288 x 8192 pixels of four bytes are 2^34 bytes, which is 0 to those who multiply in 32 bits. A few rows are all that it
 * takes to run off the end of a heap. */
bytes image_forged(void) {
    return png_white(524288, 8192, 8, PNG_COLOR_TYPE_RGBA, 8);
}

/* Nothing in it is wrong: a bit for each pixel, which a decoder makes four bytes of. */
bytes image_bomb(void) {
    return png_white(32000, 32000, 1, PNG_COLOR_TYPE_GRAY, 32000);
}

/* Progressive: it comes in scans, each of which refines the whole picture. This one's last scan, of few bytes, comes again and
 * again. */
bytes image_endless(void) {
    enum { SIDE = 1024, TIMES = 20000, END_BYTES = 2 };
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *once = NULL, row[SIDE] = { 0 };
    unsigned long len = 0;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &once, &len);
    jpeg.image_width = jpeg.image_height = SIDE;
    jpeg.input_components = 1;
    jpeg.in_color_space = JCS_GRAYSCALE;
    jpeg_set_defaults(&jpeg);
    jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < SIDE) jpeg_write_scanlines(&jpeg, (JSAMPROW[]){ row }, 1);
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);

    size_t before = len - END_BYTES;
    while (memcmp(once + before, "\xff\xda", 2) != 0) before--;      /* where the last scan begins */
    size_t scan = len - END_BYTES - before;
    uint8_t *data = must_alloc(malloc(len + TIMES * scan)), *end = data + before;
    memcpy(data, once, before);
    for (size_t i = 0; i < TIMES; i++, end += scan) memcpy(end, once + before, scan);
    memcpy(end, once + before, scan + END_BYTES);
    free(once);
    return (bytes){ data, len + TIMES * scan };
}

/* ---- the contact sheet ---- */

enum { CARD = THUMB_SIDE + 8, CELL = CARD + 6, MARGIN = 24 };
static const colour PAPER = { 0xe6, 0xe4, 0xe1 };
static const struct { colour card, ink; } LOOKS[FATES] = {
    [FATE_LOST] = { { 0xc0, 0xbf, 0xbc }, { 0x5e, 0x5c, 0x64 } },   [FATE_OK] = { { 0xff, 0xff, 0xff }, { 0, 0, 0 } },
    [FATE_CRASHED] = { { 0xfb, 0xd5, 0xd3 }, { 0xc0, 0x1c, 0x28 } }, [FATE_EXITED] = { { 0xfd, 0xea, 0xc4 }, { 0xc6, 0x6a, 0x00 } },
    [FATE_TIMED_OUT] = { { 0xcf, 0xe2, 0xf8 }, { 0x1a, 0x5f, 0xb4 } },
    [FATE_STOPPED] = { { 0xcd, 0xee, 0xd6 }, { 0x1f, 0x87, 0x4f } },
    [FATE_TOO_BIG] = { { 0xe6, 0xd3, 0xee }, { 0x81, 0x3d, 0x9c } },
};

/* Strokes of a sign in a unit square, from (x0, y0) to (x1, y1). */
typedef struct stroke { fate fate; double x0, y0, x1, y1; } stroke;
static const stroke STROKES[] = {
    { FATE_CRASHED, .3, .3, .7, .7 }, { FATE_CRASHED, .3, .7, .7, .3 },
    { FATE_EXITED, .26, .5, .72, .5 }, { FATE_EXITED, .54, .32, .74, .5 }, { FATE_EXITED, .54, .68, .74, .5 },
    { FATE_TIMED_OUT, .5, .5, .5, .34 }, { FATE_TIMED_OUT, .5, .5, .61, .57 }, { FATE_LOST, .35, .5, .65, .5 },
    { FATE_STOPPED, .41, .34, .41, .66 }, { FATE_STOPPED, .59, .34, .59, .66 },
    { FATE_TOO_BIG, .5, .28, .5, .72 }, { FATE_TOO_BIG, .28, .5, .72, .5 },
};

static double sign_distance(fate fate, double x, double y) {
    double nearest = fate == FATE_TIMED_OUT ? fabs(hypot(x - .5, y - .5) - .26) : 1;
    for (size_t i = 0; i < sizeof STROKES / sizeof *STROKES; i++) {
        const stroke *s = &STROKES[i];
        if (s->fate != fate) continue;
        double dx = s->x1 - s->x0, dy = s->y1 - s->y0;
        double along = fmax(0, fmin(1, ((x - s->x0) * dx + (y - s->y0) * dy) / (dx * dx + dy * dy)));
        nearest = fmin(nearest, hypot(x - s->x0 - along * dx, y - s->y0 - along * dy));
    }
    return nearest * CARD - 2.4;                                     /* half a stroke's width, in pixels */
}

static void card_draw(const thumb *thumb, uint8_t *corner, size_t stride) {
    const int inset = (CARD - THUMB_SIDE) / 2, radius = 7;
    for (int y = 0; y < CARD; y++)
        for (int x = 0; x < CARD; x++) {
            uint8_t *rgb = corner + (size_t)y * stride + (size_t)x * 3;
            double dx = fmax(0, fabs(x + .5 - CARD / 2.0) - (CARD / 2.0 - radius));
            double dy = fmax(0, fabs(y + .5 - CARD / 2.0) - (CARD / 2.0 - radius));
            blend(rgb, LOOKS[thumb->fate].card, coverage(hypot(dx, dy) - radius));
            if (thumb->fate != FATE_OK) {
                blend(rgb, LOOKS[thumb->fate].ink, coverage(sign_distance(thumb->fate, (x + .5) / CARD, (y + .5) / CARD)));
            } else if (x >= inset && y >= inset && x < inset + THUMB_SIDE && y < inset + THUMB_SIDE) {
                const uint8_t *from = thumb->pixels + ((y - inset) * THUMB_SIDE + x - inset) * 4;
                blend(rgb, (colour){ from[0], from[1], from[2] }, from[3] / 255.0);
            }
        }
}

bool sheet_write(const char *path, const thumb *thumbs, size_t count) {
    size_t columns = (size_t)ceil(sqrt((double)count * 1.5)), rows = (count + columns - 1) / columns;
    size_t gap = CELL - CARD, width = columns * CELL - gap + 2 * MARGIN, height = rows * CELL - gap + 2 * MARGIN;
    uint8_t *pixels = must_alloc(malloc(width * height * 3));
    for (size_t i = 0; i < width * height; i++) memcpy(pixels + i * 3, &PAPER, 3);
    for (size_t i = 0; i < count; i++)
        card_draw(&thumbs[i], pixels + ((MARGIN + i / columns * CELL) * width + MARGIN + i % columns * CELL) * 3, width * 3);
    bytes sheet = png_encode((png_image){ .version = PNG_IMAGE_VERSION, .width = (uint32_t)width, .height = (uint32_t)height,
                                          .format = PNG_FORMAT_RGB, .flags = PNG_IMAGE_FLAG_FAST }, pixels);
    free(pixels);
    FILE *file = fopen(path, "wb");                                  /* only now: Ctrl-C during all of that leaves no half a file */
    bool written = file && sheet.len > 0 && fwrite(sheet.data, sheet.len, 1, file) == 1;
    if (file && fclose(file) != 0) written = false;
    free(sheet.data);
    return written;
}
