/* Tasks that take a given time, and have a limit. */
#ifndef POOL_LIMIT_H
#define POOL_LIMIT_H

#include "pool.h"

static int32_t run_for(carom_call *call) { /* microseconds; negative: for ever */
    int64_t us = argument_of(call);
    if (us < 0) return for_ever(call);
    struct timespec from, t;
    clock_gettime(CLOCK_MONOTONIC, &from);
    do clock_gettime(CLOCK_MONOTONIC, &t);
    while ((t.tv_sec - from.tv_sec) * 1000000 + (t.tv_nsec - from.tv_nsec) / 1000 < us);
    return reply_number(call, us);
}

static inline carom_result *submit_limited(carom_pool *pool, carom_function function, int64_t number, int64_t limit_ms) {
    carom_task_options options = {.size = sizeof options, .time_limit_ms = limit_ms};
    carom_argument argument = CAROM_INTEGER(number);
    carom_result *result = NULL;
    CHECK_OK(carom_pool_apply_async(pool, function, &argument, 1, &options, &result));
    return result;
}

#endif
