/* CAROM_INLINE: the same calls, and no other process. */
#include "pool.h"

static carom_pool *pool;
static int begun, ended;

static int32_t begins(carom_call *call) {
    begun += (int)argument_of(call);
    return 0;
}
static int32_t fails(carom_call *call) { return carom_call_fail(call, 9, "no"); }
static int32_t ends(carom_call *call) {
    (void)call;
    ended++;
    return 0;
}
static carom_pool *make(void) {
    static carom_argument one = CAROM_INTEGER(1);
    carom_pool_options options = {.size = sizeof options, .workers = CAROM_INLINE, .events = CAROM_POOL_DONE | CAROM_POOL_DRAINED,
                                  .initializer = begins, .initializer_arguments = &one, .initializer_count = 1, .finalizer = ends,
                                  .max_tasks = 2, .time_limit_ms = 1};
    carom_pool *made = NULL;
    CHECK_OK(carom_pool_new(&options, &made));
    return made;
}

/* n! by tasks that wait for each other. */
static int32_t factorial(carom_call *call) {
    int64_t n = argument_of(call), below = 1;
    carom_argument less = CAROM_INTEGER(n - 1);
    if (n > 1 && carom_pool_apply(pool, factorial, &less, 1, NULL, &below, 8, NULL, PATIENCE_MS)) return 1;
    return reply_number(call, n * below);
}

static int heard;
static void on_result(carom_result *result, void *ctx) {
    (void)ctx;
    heard += (int)number_of(result);
}

static void forms(void) {
    enum { N = 300 };
    pool = make();
    CHECK_EQ(begun, 1);
    CHECK_EQ(count_of(KEEPERS) + count_of(WORKERS), 0);
    works(pool);
    carom_result *result = submit(pool, own_pid, 0);
    CHECK_EQ(carom_result_ready(result), 1);
    CHECK_EQ(number_of(result), getpid());
    carom_result_free(result);
    result = submit(pool, fails, 0);
    CHECK_EQ(verdict_of(result).code, 9);
    carom_result_free(result);
    int64_t in[N], out[N], product = 0;
    for (int i = 0; i < N; i++) in[i] = i;
    CHECK_OK(carom_pool_map(pool, plus_one, in, 8, N, NULL, out, 8, PATIENCE_MS));
    for (int i = 0; i < N; i++) CHECK_EQ(out[i], i + 1);
    carom_task_options options = {.size = sizeof options, .on_result = on_result};
    carom_argument twelve = CAROM_INTEGER(12);
    CHECK_OK(carom_pool_apply_async(pool, plus_one, &twelve, 1, &options, NULL));
    CHECK(carom_pool_dispatch(pool, 0) >= 0);
    CHECK_EQ(heard, 13);
    CHECK_OK(carom_pool_apply(pool, factorial, &twelve, 1, NULL, &product, 8, NULL, PATIENCE_MS));
    CHECK_EQ(product, 479001600);
    CHECK_OK(carom_pool_map_async(pool, plus_one, in, 8, N, NULL, &result));
    CHECK_OK(carom_result_get(result, out, sizeof out, NULL, PATIENCE_MS));
    carom_result_free(result);
    carom_items items = {.size = sizeof items, .data = in, .item_size = 8, .count = N};
    carom_iterator *iterator = NULL;
    CHECK_OK(carom_pool_imap(pool, plus_one, &items, NULL, &iterator));
    for (int i = 0; i < N; i++) {
        CHECK_OK(carom_iterator_next(iterator, &result, PATIENCE_MS));
        CHECK_EQ(number_of(result), i + 1);
        carom_result_free(result);
    }
    CHECK_STATUS(carom_iterator_next(iterator, &result, 0), CAROM_EEND);
    carom_iterator_free(iterator);
    CHECK_STATUS(carom_pool_grow(pool, 1), CAROM_ENOTSUP);
    CHECK_STATUS(carom_pool_shrink(pool, 1), CAROM_ENOTSUP);
    CHECK(carom_pool_fd(pool) >= 0);
    finish(pool);
    CHECK_EQ(ended, 1);
}

static void endings(void) {
    pool = make();
    CHECK_OK(carom_pool_terminate(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
    carom_pool_free(make()); /* not joined */
    CHECK_EQ(ended, 0);
    carom_pool_options options = {.size = sizeof options, .workers = CAROM_INLINE, .initializer = fails};
    CHECK_STATUS(carom_pool_new(&options, &pool), CAROM_ETASKFAILED);
}

static void *many(void *ctx) {
    for (int i = 0; i < 200; i++) {
        carom_result *result = submit(pool, plus_one, i);
        CHECK_EQ(number_of(result), i + 1);
        carom_result_free(result);
    }
    return ctx;
}
static void threads(void) {
    pthread_t threads[4];
    pool = make();
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_create(&threads[i], NULL, many, NULL), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    finish(pool);
}

int main(int argc, char **argv) {
    CASE(forms);
    CASE(endings);
    CASE(threads);
    check_no_leaks(0);
    return 0;
}
