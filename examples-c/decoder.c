/* A decoder as one writes it on a Friday. Every mistake in it is one that somebody shipped, and none is ever caught:
 * libpng ends the process at the first error with abort(), libjpeg with exit(), and the rest is up to the processor. It does one
 * thing right: it asks whether it should stop, in the one loop whose length nobody knows. */
#include "decoder.h"
#include <stdio.h>
#include <jpeglib.h>
#include <png.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static image canvas(uint32_t width, uint32_t height) {
    return (image){ width, height, malloc(width * height * 4) };     /* 32 bits: 524288 x 8192 x 4 is 0. And malloc never fails */
}

/* Once true, it stays true. */
static bool should_stop(carom_call *call) {
    return call && carom_call_should_stop(call) == 1;
}

static image decode_png(FILE *file) {
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_init_io(png, file);                                          /* no setjmp: the first error is an abort() */
    png_read_info(png, info);
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_gray_to_rgb(png);
    png_set_add_alpha(png, 255, PNG_FILLER_AFTER);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    image picture = canvas(png_get_image_width(png, info), png_get_image_height(png, info));
    while (passes-- > 0)
        for (size_t y = 0; y < picture.height; y++) png_read_row(png, picture.pixels + y * picture.width * 4, NULL);
    png_read_end(png, NULL);
    png_destroy_read_struct(&png, &info, NULL);
    return picture;
}

static image decode_jpeg(FILE *file, carom_call *call) {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    jpeg.err = jpeg_std_error(&errors);                              /* the first error is an exit(EXIT_FAILURE) */
    jpeg_create_decompress(&jpeg);
    jpeg_stdio_src(&jpeg, file);
    jpeg_read_header(&jpeg, TRUE);
    jpeg.out_color_space = JCS_EXT_RGBA;
    jpeg.buffered_image = jpeg_has_multiple_scans(&jpeg);           /* progressive: all scans first, and there is no end of them */
    jpeg_start_decompress(&jpeg);
    image picture = canvas(jpeg.output_width, jpeg.output_height);
    while (jpeg.buffered_image && jpeg_consume_input(&jpeg) != JPEG_REACHED_EOI)
        if (should_stop(call)) {
            jpeg_destroy_decompress(&jpeg);
            return picture;
        }
    if (jpeg.buffered_image) jpeg_start_output(&jpeg, jpeg.input_scan_number);
    while (jpeg.output_scanline < jpeg.output_height) {
        JSAMPROW row = picture.pixels + (size_t)jpeg.output_scanline * picture.width * 4;
        jpeg_read_scanlines(&jpeg, &row, 1);
    }
    if (jpeg.buffered_image) jpeg_finish_output(&jpeg);
    jpeg_finish_decompress(&jpeg);
    jpeg_destroy_decompress(&jpeg);
    return picture;
}

bool thumbnail_of(const carom_argument *input, carom_call *call, uint8_t pixels[THUMB_BYTES]) {
    bool named = input->kind == CAROM_ARGUMENT_STRING;
    FILE *file = named ? fopen(input->data, "rb") : fmemopen((void *)input->data, input->len, "rb");
    int first = fgetc(file);
    while (first != 0x89 && first != 0xff) first = fgetc(file);      /* mailers leave lines above a picture. EOF is neither */
    ungetc(first, file);
    image picture = first == 0xff ? decode_jpeg(file, call) : decode_png(file);
    fclose(file);
    bool whole = !should_stop(call);
    if (whole) image_fit(&picture, pixels);
    free(picture.pixels);
    return whole;
}

void decoder_hush(void) {
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere >= 0) dup2(nowhere, STDERR_FILENO);
}
