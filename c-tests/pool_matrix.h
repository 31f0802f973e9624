/* A worker ends in each way, at each point of a task's life: the task alone has a verdict, the pool goes on, nobody waits for
 * ever. After CPython's ExecutorDeadlockTest. By a start method, NULL for the default one. */
#ifndef POOL_MATRIX_H
#define POOL_MATRIX_H

#include "pool.h"

enum { CRASH, EXIT, FAIL, ABORT, WAYS };
enum { RECEIVING, RUNNING, REPLYING, AT_SHUTDOWN, GROWING, SHRINKING, POINTS };

static int32_t end_by(carom_call *call, int64_t way) {
    switch (way) {
    case CRASH: raise(SIGKILL); break;
    case EXIT: exit(7);
    case ABORT: abort();
    }
    return carom_call_fail(call, 42, "as it was told");
}
static int32_t ends(carom_call *call) {
    int64_t what[2];
    if (carom_call_read(call, 0, what, sizeof what)) return 1;
    void *place;
    switch (what[1]) {
    case RECEIVING: return end_by(call, what[0]);
    case REPLYING: /* half of a reply that needs a block of its own */
        if (carom_call_reserve(call, 100000, &place)) return 2;
        memset(place, 1, 50000);
        if (carom_call_commit(call, 100000)) return 3;
        return end_by(call, what[0]);
    }
    usleep(2000);
    return end_by(call, what[0]);
}

static void check(carom_result *result, int way) {
    carom_verdict verdict = verdict_of(result);
    CHECK_EQ(verdict.status, way == FAIL ? CAROM_ETASKFAILED : CAROM_EWORKERLOST);
    if (way == CRASH) CHECK_EQ(verdict.signal, SIGKILL);
    if (way == ABORT) CHECK_EQ(verdict.signal, SIGABRT);
    if (way == EXIT) CHECK_EQ(verdict.exitcode, 7);
    if (way == FAIL) CHECK_EQ(verdict.code, 42);
    carom_result_free(result);
}

static carom_pool *pool_by(const char *method) {
    carom_pool_options options = {.size = sizeof options, .workers = 2};
    carom_pool *pool = NULL;
    if (method) CHECK_OK(carom_context_new(method, &options.context));
    CHECK_OK(carom_pool_new(&options, &pool));
    carom_context_free(options.context);
    return pool;
}

static void matrix(const char *method, int way) {
    for (int point = 0; point < POINTS; point++) {
        carom_pool *pool = pool_by(method);
        int64_t what[2] = {way, point};
        carom_argument argument = CAROM_BYTES(what, sizeof what);
        carom_result *bad = NULL, *good[20];
        for (int i = 0; i < 20; i++) {
            if (i == 7) CHECK_OK(carom_pool_apply_async(pool, ends, &argument, 1, NULL, &bad));
            if (i == 8 && point == GROWING) CHECK_OK(carom_pool_grow(pool, 2));
            good[i] = submit(pool, plus_one, i);
        }
        if (point == AT_SHUTDOWN) CHECK_OK(carom_pool_close(pool));
        if (point == SHRINKING) UNTIL(carom_pool_shrink(pool, 1) == CAROM_OK);
        check(bad, way);
        for (int i = 0; i < 20; i++) CHECK_EQ(number_of(good[i]), i + 1), carom_result_free(good[i]);
        if (point != AT_SHUTDOWN) works(pool);
        int workers = point == GROWING ? 4 : point == SHRINKING ? 1 : 2;
        UNTIL(carom_pool_dispatch(pool, 0) >= 0 && count_of(WORKERS) == workers); /* none less, none more */
        finish(pool);
    }
}

#endif
