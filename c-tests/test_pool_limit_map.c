/* Hard time limits of a map: each of its items has it. */
#include "pool_limit.h"

static void inside_a_map(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    int64_t in[40], out[40];
    carom_status statuses[40];
    uint64_t chunks[] = {1, 40};
    for (size_t c = 0; c < COUNT_OF(chunks); c++) {
        carom_verdict verdict = {.size = sizeof verdict};
        carom_task_options options = {.size = sizeof options, .time_limit_ms = 300, .chunk_size = chunks[c],
                                      .statuses = statuses, .verdict = &verdict};
        /* All together take much longer than the limit, but none does. */
        for (int i = 0; i < 40; i++) in[i] = i % 20 == 7 ? -1 : 8000, out[i] = 77;
        CHECK_STATUS(carom_pool_map(pool, run_for, in, 8, 40, &options, out, 8, PATIENCE_MS), CAROM_ETIMELIMIT);
        for (int i = 0; i < 40; i++) {
            CHECK_STATUS(statuses[i], i % 20 == 7 ? CAROM_ETIMELIMIT : CAROM_OK);
            CHECK_EQ(out[i], statuses[i] ? 77 : 8000);
        }
        CHECK_EQ(verdict.item, 7);
        CHECK_EQ(verdict.signal, SIGKILL);
    }
    finish(pool);
}

/* Every map's item is item 0 of a fresh slot: their words are equal, their times are their own. */
static void of_many_maps_one_after_the_other(void) {
    carom_pool *pool = pool_of(1, 0, 400);
    int64_t in = 20000, out = 0;
    for (int i = 0; i < 25; i++) {
        CHECK_OK(carom_pool_map(pool, run_for, &in, 8, 1, NULL, &out, 8, PATIENCE_MS));
        CHECK_EQ(out, in);
    }
    finish(pool);
}

/* Items of maps that end about at their limit: those before and behind the slow one keep their replies. */
static void a_race_inside_maps(void) {
    carom_pool *pool = pool_of(2, 0, 1);
    int64_t in[8], out[8], until = now_ms() + 700;
    carom_status statuses[8];
    carom_task_options options = {.size = sizeof options, .chunk_size = 4, .statuses = statuses};
    for (int round = 0; now_ms() < until; round++) {
        for (int i = 0; i < 8; i++) in[i] = i == 2 || i == 5 ? 900 + round * 7 % 500 : i, out[i] = -1;
        carom_status status = carom_pool_map(pool, run_for, in, 8, 8, &options, out, 8, PATIENCE_MS);
        CHECK(status == CAROM_OK || status == CAROM_ETIMELIMIT);
        for (int i = 0; i < 8; i++) {
            /* A worker that is not given the processor for a millisecond is out of time at any item. */
            if (statuses[i]) CHECK_STATUS(statuses[i], CAROM_ETIMELIMIT);
            CHECK_EQ(out[i], statuses[i] ? -1 : in[i]);
        }
    }
    finish(pool);
}

int main(int argc, char **argv) {
    CASE(inside_a_map);
    CASE(of_many_maps_one_after_the_other);
    CASE(a_race_inside_maps);
    return 0;
}
