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
    CASE(figures);
    check_no_leaks(0);
    return 0;
}
