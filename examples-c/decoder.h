/* What thumbs.c does to a file, in a plain loop and in a pool alike. */
#ifndef DECODER_H
#define DECODER_H
#include "images.h"
#include <carom.h>

void thumbnail_of(const carom_argument *input, uint8_t pixels[THUMB_BYTES]);   /* STRING: a path; BYTES: the file itself */
void decoder_hush(void);                         /* for a child: its stderr, where the libraries print, to /dev/null */
#endif
