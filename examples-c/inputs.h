/* What thumbs.c works on: the pictures under a directory and, on request, their damaged copies, in a fixed order. Files are
 * named by path and opened by whoever decodes them; all else lives in memory, so there is no temporary file to leave behind. */
#ifndef INPUTS_H
#define INPUTS_H
#include <carom.h>
#include <stdbool.h>
#include <stddef.h>

/* The argument: STRING for a path, with its NUL; BYTES for the file itself. */
typedef struct input { char *name; bool damaged; carom_argument argument; } input;
typedef struct input_list { input *items; size_t count, capacity; } input_list;

/* directory NULL: the Adwaita icon theme and JPEGs made from its larger pictures; without it, pictures of our own. */
input_list inputs_gather(const char *directory, bool damage);
void inputs_free(input_list *list);
#endif
