/* Tasks that end about at their time limit, thousands of times. */
#include "pool_limit.h"

static void succeeds(carom_result *result, int64_t reply) {
    CHECK_EQ(number_of(result), reply);
    carom_result_free(result);
}

/* Tasks that end about at their limit. Whoever wins, it is this task and no other that is charged. */
static void a_race_at_the_limit(void) {
    /* For two seconds, or CAROM_TEST_RACES=10000 times. */
    const char *text = getenv("CAROM_TEST_RACES");
    int rounds = text ? atoi(text) : 0, good = 0, expired = 0;
    int64_t until = now_ms() + 2000;
    carom_pool *pool = pool_of(2, 0, CAROM_NONE);
    for (int i = 0; i < rounds || (!rounds && now_ms() < until); i++) {
        /* The limit is 1 ms; 900 to 1400 us. Between them tasks without a limit. */
        int64_t us = 900 + i * 7 % 500;
        carom_result *raced = submit_limited(pool, run_for, us, 1), *others[4];
        for (int k = 0; k < 4; k++) others[k] = submit(pool, plus_one, k);
        carom_verdict verdict = verdict_of(raced);
        if (verdict.status == CAROM_OK) {
            CHECK_EQ(number_of(raced), us);
            good++;
        } else {
            CHECK_STATUS(verdict.status, CAROM_ETIMELIMIT);
            CHECK(verdict.elapsed_ns >= 1000000);
            expired++;
        }
        carom_result_free(raced);
        for (int k = 0; k < 4; k++) succeeds(others[k], k + 1);
    }
    fprintf(stderr, "in time %d, out of time %d\n", good, expired);
    CHECK(expired > 0);
    finish(pool);
}

int main(int argc, char **argv) {
    CASE(a_race_at_the_limit);
    return 0;
}
