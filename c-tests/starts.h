/* What the tests of starting have in common: the method, and a process that ends at once. */
#ifndef STARTS_H
#define STARTS_H

#include "ends.h"

static const char *method;

static inline carom_process_options some(void) {
    carom_process_options options = {.size = sizeof options};
    CHECK_OK(carom_context_new(method, &options.context));
    return options;
}

#endif
