/* Calls that do not wait: callbacks, results for later, and results that stream in. */
/* test: */
#define _DEFAULT_SOURCE
#include "example.h"
#include <time.h>

static int32_t slow_task(carom_call *call) {
    int64_t x = integer(call, 0), y = x * x;
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    return carom_call_reply(call, &y, sizeof y);
}

static void success_callback(carom_result *result, void *ctx) {
    int64_t value;
    MUST(carom_result_get(result, &value, sizeof value, NULL, 0));
    printf("Task completed with result: %" PRId64 "\n", value);
    ++*(int *)ctx;
}

static void error_callback(carom_result *result, void *ctx) {
    carom_verdict verdict = {.size = sizeof verdict};
    (void)ctx;
    MUST(carom_result_verdict(result, &verdict));
    printf("Task failed with error: %s\n", verdict.message);
}

int main(void) {
    enum { COUNT = 10 };
    carom_pool_options options = {.size = sizeof options, .workers = 4};
    carom_pool *pool;
    MUST(carom_pool_new(&options, &pool));

    int called = 0;
    carom_task_options task = {.size = sizeof task, .on_result = success_callback, .on_error = error_callback, .ctx = &called};
    carom_argument five = CAROM_INTEGER(5);
    carom_result *result;
    MUST(carom_pool_apply_async(pool, slow_task, &five, 1, &task, &result));
    printf("Task submitted, doing other work...\n");
    int64_t value;
    MUST(carom_result_get(result, &value, sizeof value, NULL, PATIENCE_MS)); /* its callback is called here */
    printf("Got result: %" PRId64 "\n", value);
    EXPECT(value == 25 && called == 1);
    carom_result_free(result);

    int64_t numbers[COUNT], squares[COUNT];
    for (int i = 0; i < COUNT; i++) numbers[i] = i;
    MUST(carom_pool_map_async(pool, slow_task, numbers, sizeof *numbers, COUNT, NULL, &result));

    carom_items items = {.size = sizeof items, .data = numbers, .item_size = sizeof *numbers, .count = 5};
    carom_iterator *iterator;
    carom_result *item;
    MUST(carom_pool_imap(pool, slow_task, &items, NULL, &iterator));
    for (int i = 0; carom_iterator_next(iterator, &item, PATIENCE_MS) == CAROM_OK; i++) {
        MUST(carom_result_get(item, &value, sizeof value, NULL, 0));
        printf("Streaming result %d: %" PRId64 "\n", i, value);
        EXPECT(value == (int64_t)i * i);
        carom_result_free(item);
    }
    carom_iterator_free(iterator);

    MUST(carom_result_get(result, squares, sizeof squares, NULL, PATIENCE_MS)); /* the replies, one behind the other */
    EXPECT(squares[9] == 81);
    carom_result_free(result);
    MUST(carom_pool_close(pool));
    MUST(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
    return 0;
}
