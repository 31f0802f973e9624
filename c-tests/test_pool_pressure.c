/* Back-pressure: a pool that is full says so, or lets wait; and what it says of itself. */
#include "pool.h"

static carom_pool *full_at(uint64_t most) {
    carom_pool_options options = {.size = sizeof options, .workers = 1, .max_waiting = most};
    carom_pool *pool = NULL;
    CHECK_OK(carom_pool_new(&options, &pool));
    return pool;
}
static carom_pool_statistics statistics_of(carom_pool *pool) {
    carom_pool_statistics statistics = {.size = sizeof statistics};
    CHECK_OK(carom_pool_info(pool, &statistics));
    return statistics;
}

static void full(void) {
    carom_pool *pool = full_at(3);
    carom_argument number = CAROM_INTEGER(1);
    carom_result *results[3], *more = NULL;
    for (int i = 0; i < 3; i++) results[i] = submit(pool, i ? plus_one : for_ever, 1);
    carom_task_options options = {.size = sizeof options, .submit_ms = CAROM_NONE};
    CHECK_STATUS(carom_pool_apply_async(pool, plus_one, &number, 1, &options, &more), CAROM_EAGAIN);
    options.submit_ms = 20;
    CHECK_STATUS(carom_pool_apply_async(pool, plus_one, &number, 1, &options, &more), CAROM_ETIMEDOUT);
    UNTIL(statistics_of(pool).busy == 1);
    CHECK_EQ(statistics_of(pool).waiting, 2);
    CHECK_OK(carom_result_cancel(results[0], 0));
    options.submit_ms = PATIENCE_MS;
    CHECK_OK(carom_pool_apply_async(pool, plus_one, &number, 1, &options, &more));
    CHECK_EQ(number_of(more), 2);
    carom_result_free(more);
    for (int i = 0; i < 3; i++) carom_result_free(results[i]);
    finish(pool);
}

/* Never more at once than there is room for, in whatever form they come. */
static carom_pool *watched;
static int64_t gives(void *ctx, carom_argument *arguments, size_t max) {
    (void)max;
    if (++*(int64_t *)ctx > 100) return 0;
    arguments[0] = (carom_argument)CAROM_INTEGER(1);
    CHECK(statistics_of(watched).waiting <= 4);
    return 1;
}
static void forms(void) {
    watched = full_at(4);
    int64_t in[100] = {0};
    carom_result *result = NULL;
    carom_task_options at_once = {.size = sizeof at_once, .submit_ms = CAROM_NONE};
    CHECK_STATUS(carom_pool_map_async(watched, plus_one, in, 8, 100, &at_once, &result), CAROM_EAGAIN);
    CHECK_OK(carom_pool_map_async(watched, plus_one, in, 8, 100, NULL, &result));
    CHECK(statistics_of(watched).waiting <= 4);
    CHECK_EQ(verdict_of(result).status, CAROM_OK);
    carom_result_free(result);
    for (int i = 0; i < 100; i++) carom_result_free(submit(watched, plus_one, i));
    CHECK(statistics_of(watched).waiting <= 4);
    int64_t given = 0, got = 0;
    carom_items items = {.size = sizeof items, .source = gives, .ctx = &given};
    carom_iterator *iterator = NULL;
    CHECK_OK(carom_pool_imap_unordered(watched, plus_one, &items, NULL, &iterator));
    while (carom_iterator_next(iterator, &result, PATIENCE_MS) == CAROM_OK) carom_result_free(result), got++;
    CHECK_EQ(got, 100);
    carom_iterator_free(iterator);
    finish(watched);
}

/* By the bytes of the arguments: what does not fit beside others waits for them, what is too big goes alone. */
static int32_t counts_bytes(carom_call *call) {
    carom_argument argument;
    if (carom_call_argument(call, 0, &argument)) return 2;
    return reply_number(call, (int64_t)argument.len);
}
static void heavy(void) {
    static char data[100000];
    carom_pool_options options = {.size = sizeof options, .workers = 1, .max_waiting_bytes = 50000};
    carom_pool *pool = NULL;
    CHECK_OK(carom_pool_new(&options, &pool));
    carom_result *busy = submit(pool, for_ever, 1), *results[4], *more = NULL;
    carom_task_options at_once = {.size = sizeof at_once, .submit_ms = CAROM_NONE};
    carom_argument some = CAROM_BYTES(data, 20000), small = CAROM_BYTES(data, 100);
    for (int i = 0; i < 2; i++) CHECK_OK(carom_pool_apply_async(pool, counts_bytes, &some, 1, &at_once, &results[i]));
    CHECK_STATUS(carom_pool_apply_async(pool, counts_bytes, &some, 1, &at_once, &more), CAROM_EAGAIN);
    CHECK_OK(carom_pool_apply_async(pool, counts_bytes, &small, 1, &at_once, &results[2]));
    at_once.submit_ms = 20;
    CHECK_STATUS(carom_pool_apply_async(pool, counts_bytes, &some, 1, &at_once, &more), CAROM_ETIMEDOUT);
    CHECK_OK(carom_result_cancel(results[0], 0)); /* what is not begun gives its room back at once */
    at_once.submit_ms = CAROM_NONE;
    CHECK_OK(carom_pool_apply_async(pool, counts_bytes, &some, 1, &at_once, &results[3]));
    CHECK_OK(carom_result_cancel(busy, 0));
    for (int i = 1; i < 4; i++) CHECK_EQ(number_of(results[i]), i == 2 ? 100 : 20000);
    carom_argument big = CAROM_BYTES(data, sizeof data);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(carom_pool_apply_async(pool, counts_bytes, &big, 1, NULL, &more)); /* waits for the one before it */
        CHECK_EQ(number_of(more), sizeof data);
        carom_result_free(more);
    }
    carom_result_free(busy);
    for (int i = 0; i < 4; i++) carom_result_free(results[i]);
    finish(pool);
}

/* By a semaphore of the host's, whose units others take and give too. */
static void *gives_one(void *semaphore) {
    usleep(20000);
    CHECK_OK(carom_semaphore_release(semaphore));
    return NULL;
}
static void by_semaphore(void) {
    carom_semaphore *semaphore = NULL;
    CHECK_OK(carom_semaphore_new(2, NULL, &semaphore));
    carom_pool_options options = {.size = sizeof options, .workers = 1, .semaphore = semaphore};
    carom_pool *pool = NULL;
    CHECK_OK(carom_pool_new(&options, &pool));
    carom_result *busy = submit(pool, for_ever, 1), *next = submit(pool, plus_one, 1), *more = NULL;
    CHECK_EQ(carom_semaphore_value(semaphore), 0);
    carom_task_options at_once = {.size = sizeof at_once, .submit_ms = CAROM_NONE};
    carom_argument number = CAROM_INTEGER(1);
    CHECK_STATUS(carom_pool_apply_async(pool, plus_one, &number, 1, &at_once, &more), CAROM_EAGAIN);
    pthread_t giver;
    CHECK_EQ(pthread_create(&giver, NULL, gives_one, semaphore), 0);
    more = submit(pool, plus_one, 1); /* waits for that unit */
    pthread_join(giver, NULL);
    CHECK_OK(carom_result_cancel(busy, 0));
    CHECK_EQ(number_of(more), 2);
    CHECK_EQ(number_of(next), 2);
    UNTIL(carom_pool_dispatch(pool, 0) >= 0 && carom_semaphore_value(semaphore) == 3);
    int64_t in[10] = {0};
    carom_result_free(more);
    CHECK_OK(carom_pool_map_async(pool, plus_one, in, 8, 10, NULL, &more));
    CHECK_OK(carom_result_wait(more, PATIENCE_MS));
    CHECK_EQ(carom_semaphore_value(semaphore), 3);
    carom_result_free(more);
    more = submit(pool, for_ever, 1);
    CHECK_OK(carom_pool_terminate(pool)); /* what is cancelled gives its unit back */
    CHECK_EQ(carom_semaphore_value(semaphore), 3);
    carom_semaphore_free(semaphore); /* the pool has its own hold */
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_result_free(busy);
    carom_result_free(next);
    carom_result_free(more);
    carom_pool_free(pool);
}

static void figures(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    for (int i = 0; i < 10; i++) {
        carom_result *result = submit(pool, i % 5 == 4 ? kill_self : plus_one, SIGKILL);
        verdict_of(result);
        carom_result_free(result);
    }
    carom_pool_statistics now = statistics_of(pool);
    CHECK_EQ(now.workers, 2);
    CHECK_EQ(now.busy + now.waiting, 0);
    CHECK_EQ(now.submitted, 10);
    CHECK_EQ(now.settled, 10);
    CHECK_EQ(now.failed, 2);
    CHECK_EQ(now.deaths, 2);
    CHECK_EQ(now.closed + now.broken, 0);
    CHECK_OK(carom_pool_close(pool));
    CHECK_EQ(statistics_of(pool).closed, 1);
    finish(pool);
}

int main(int argc, char **argv) {
    CASE(full);
    CASE(forms);
    CASE(heavy);
    CASE(by_semaphore);
    CASE(figures);
    check_no_leaks(0);
    return 0;
}
