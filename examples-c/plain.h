/* The decoder in a plain loop, which is what thumbs.c would be without a pool. It runs in a forked process, so that
 * somebody is left to say where it died. */
#ifndef PLAIN_H
#define PLAIN_H
#include "images.h"
#include "inputs.h"

/* Shared with that process: what it leaves behind. */
typedef struct plain { volatile size_t at; bool noise; thumb thumbs[]; } plain;

plain *plain_new(size_t count, bool noise);
void plain_free(plain *plain, size_t count);
int plain_run(plain *plain, const input_list *inputs, size_t from, bool skip_damaged);   /* as wait() says; it ended at plain->at */
void plain_report(const plain *plain, int status, const input_list *inputs, double seconds);
const char *death_name(int signal_number, int exitcode);                /* until the next call */
#endif
