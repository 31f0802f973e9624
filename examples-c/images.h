/* Pictures for thumbs.c: scaling, drawing, encoding, and the contact sheet. The careful half of the example: what can
 * fail here is checked; the careless one, which is the point of the example, is decoder.c. */
#ifndef IMAGES_H
#define IMAGES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define THUMB_SIDE 64
#define THUMB_BYTES (THUMB_SIDE * THUMB_SIDE * 4)

/* RGBA, 8 bits a channel, alpha not multiplied in, rows without padding. */
typedef struct image { uint32_t width, height; uint8_t *pixels; } image;
typedef struct bytes { void *data; size_t len; } bytes;

/* What became of a file. Zero is "nobody said", so that a forgotten file is counted as lost. */
typedef enum fate { FATE_LOST, FATE_OK, FATE_CRASHED, FATE_EXITED, FATE_TIMED_OUT, FATE_STOPPED, FATE_TOO_BIG, FATES } fate;
typedef struct thumb { fate fate; char verdict[20]; uint8_t pixels[THUMB_BYTES]; } thumb;

void image_fit(const image *picture, uint8_t pixels[THUMB_BYTES]);   /* into the middle of the square */
bool image_load(const char *path, image *picture);                   /* a PNG; false if it is none */
image image_draw(uint64_t seed);                                     /* discs on a gradient: for those who have no pictures */
bytes image_png(const image *picture);
bytes image_jpeg(const image *picture, uint64_t seed);               /* the seed chooses the backdrop: JPEG knows no alpha */
bytes image_forged(void);                                            /* a PNG with a header that lies */
bytes image_bomb(void);                                              /* a PNG of 600 KB that unpacks to 4 GB */
bytes image_endless(void);                                           /* a JPEG of 250 KB that takes many seconds */

/* All thumbs in rows; a red cross for the crashed, an amber arrow for the exited, a blue clock for the timed out, green bars for
 * the stopped, a violet plus for the too big. */
bool sheet_write(const char *path, const thumb *thumbs, size_t count);

void *must_alloc(void *memory);                                      /* the same, or the end of the program */
uint64_t random_mix(uint64_t seed);                                  /* splitmix64's finish: the same on every machine */
#endif
