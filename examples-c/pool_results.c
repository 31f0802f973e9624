/* Results of tasks of which one fails: ready or not, successful or not, and why. */
/* test: */
#include "example.h"
#include <string.h>

static int32_t risky_task(carom_call *call) {
    int64_t x = integer(call, 0);
    if (x == 5) return carom_call_fail(call, 5, "Five is not allowed!");
    x *= 2;
    return carom_call_reply(call, &x, sizeof x);
}

int main(void) {
    enum { COUNT = 8 };
    carom_pool_options options = {.size = sizeof options, .workers = 2};
    carom_pool *pool;
    carom_result *results[COUNT];
    int failed = 0;
    MUST(carom_pool_new(&options, &pool));
    for (int i = 0; i < COUNT; i++) {
        carom_argument x = CAROM_INTEGER(i);
        MUST(carom_pool_apply_async(pool, risky_task, &x, 1, NULL, &results[i]));
    }
    for (int i = 0; i < COUNT; i++) {
        int64_t value;
        if (!carom_result_ready(results[i])) printf("Task %d still running...\n", i);
        carom_status status = carom_result_get(results[i], &value, sizeof value, NULL, PATIENCE_MS);
        if (status == CAROM_OK) {
            printf("Task %d completed: %" PRId64 "\n", i, value);
            EXPECT(value == 2 * i);
        } else if (status == CAROM_ETIMEDOUT) {
            printf("Task %d timed out\n", i);
        } else {
            carom_verdict verdict = {.size = sizeof verdict};
            MUST(carom_result_verdict(results[i], &verdict));
            printf("Task %d failed: %s\n", i, verdict.message);
            EXPECT(i == 5 && verdict.code == 5 && strcmp(verdict.message, "Five is not allowed!") == 0);
            failed++;
        }
        EXPECT(carom_result_successful(results[i]) == (i != 5));
        carom_result_free(results[i]);
    }
    EXPECT(failed == 1);
    MUST(carom_pool_close(pool));
    MUST(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
    return 0;
}
