/* What thumbs.c does to a file, in a plain loop and in a pool alike. */
#ifndef DECODER_H
#define DECODER_H
#include "images.h"
#include <carom.h>

/* The input: STRING is a path, BYTES the file itself. The call: that of a task, or NULL. False: it was asked to stop, and did. */
bool thumbnail_of(const carom_argument *input, carom_call *call, uint8_t pixels[THUMB_BYTES]);
void decoder_hush(void);                         /* for a child: its stderr, where the libraries print, to /dev/null */
#endif
