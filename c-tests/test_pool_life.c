/* How pools begin and end: closed, joined, terminated, freed; many of them. */
#include "pool.h"

static int32_t wait_for_go(carom_call *call) {
    carom_value *value = NULL;
    if (carom_call_value(call, 0, &value) != CAROM_OK) return 1;
    while (!load((long *)carom_value_data(value))) usleep(100);
    return 0;
}
static int32_t nothing(carom_call *call) { return carom_call_count(call) == 0 ? 0 : 1; }

static void closed_and_joined(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    carom_value *go = NULL;
    carom_result *results[400];
    CHECK_OK(carom_value_new(CAROM_I64, NULL, 0, NULL, &go));
    carom_argument argument = CAROM_HANDLE(go);
    for (int i = 0; i < 400; i++) CHECK_OK(carom_pool_apply_async(pool, wait_for_go, &argument, 1, NULL, &results[i]));
    CHECK_STATUS(carom_pool_join(pool, CAROM_FOREVER), CAROM_EPERM);
    CHECK_OK(carom_pool_close(pool));
    CHECK_STATUS(carom_pool_join(pool, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_pool_join(pool, 20), CAROM_ETIMEDOUT);
    store((long *)carom_value_data(go), 1);
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    /* Every task is settled and every worker gone. */
    for (int i = 0; i < 400; i++) {
        CHECK_EQ(carom_result_successful(results[i]), 1);
        carom_result_free(results[i]);
    }
    UNTIL(count_of(WORKERS) == 0);
    CHECK_OK(carom_pool_join(pool, 0));
    CHECK_OK(carom_pool_terminate(pool));
    CHECK_OK(carom_pool_join(pool, 0));
    carom_pool_free(pool);
    carom_value_free(go);
}

static void terminated(void) {
    for (int round = 0; round < 10; round++) {
        carom_pool *pool = pool_of(2, 0, 0);
        carom_result *done[50], *running[2], *queued[300];
        for (int i = 0; i < 50; i++) done[i] = submit(pool, plus_one, i);
        for (int i = 0; i < 50; i++) CHECK_OK(carom_result_wait(done[i], PATIENCE_MS));
        for (int i = 0; i < 2; i++) running[i] = submit(pool, for_ever, i);
        for (int i = 0; i < 300; i++) queued[i] = submit(pool, plus_one, i);
        if (round % 2) CHECK_STATUS(carom_result_wait(running[0], 5), CAROM_ETIMEDOUT);
        CHECK_OK(carom_pool_terminate(pool));
        CHECK_OK(carom_pool_terminate(pool));
        carom_result *late = NULL;
        CHECK_STATUS(carom_pool_apply_async(pool, nothing, NULL, 0, NULL, &late), CAROM_ECLOSED);
        for (int i = 0; i < 2; i++) {
            CHECK_EQ(carom_result_ready(running[i]), 1);
            CHECK_STATUS(carom_result_get(running[i], NULL, 0, NULL, 0), CAROM_ECANCELED);
            carom_result_free(running[i]);
        }
        for (int i = 0; i < 50; i++) {
            CHECK_EQ(number_of(done[i]), i + 1);
            carom_result_free(done[i]);
        }
        for (int i = 0; i < 300; i++) {
            carom_verdict verdict = verdict_of(queued[i]);
            CHECK(verdict.status == CAROM_ECANCELED || verdict.status == CAROM_OK);
            carom_result_free(queued[i]);
        }
        if (round % 3) CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
        carom_pool_free(pool);
    }
}

static void freed_without_a_join(void) {
    for (int i = 0; i < 20; i++) {
        carom_pool *pool = pool_of(3, 0, 0);
        if (i % 2) works(pool);
        if (i % 3 == 1) carom_result_free(submit(pool, for_ever, 0));
        if (i % 5 == 1) CHECK_OK(carom_pool_close(pool));
        carom_pool_free(pool);
    }
    UNTIL(count_of(WORKERS) == 0);
    UNTIL(count_of(KEEPERS) <= 1);
}

static void ten_at_once(void) {
    carom_pool *pools[10];
    carom_result *results[10][20];
    for (int i = 0; i < 10; i++) pools[i] = pool_of(1 + i % 3, 0, 0);
    for (int k = 0; k < 20; k++)
        for (int i = 0; i < 10; i++)
            results[i][k] = k == 5 ? submit(pools[i], kill_self, SIGSEGV) : submit(pools[i], plus_one, 100 * i + k);
    for (int i = 9; i >= 0; i--) {
        for (int k = 0; k < 20; k++) {
            if (k == 5) CHECK_EQ(verdict_of(results[i][k]).signal, SIGSEGV);
            else CHECK_EQ(number_of(results[i][k]), 100 * i + k + 1);
            carom_result_free(results[i][k]);
        }
    }
    /* One ends, by whatever way; the others go on. */
    for (int i = 0; i < 10; i++) {
        if (i % 2) finish(pools[i]);
        else carom_pool_free(pools[i]);
        for (int k = i + 1; k < 10; k++) works(pools[k]);
    }
}

/* The keeper of the first pool stays, without a part in the pools that come after it. */
static void a_second_pool_has_its_own_workers(void) {
    carom_pool *first = pool_of(2, 0, 0);
    works(first);
    finish(first);
    int64_t begun = now_ms();
    for (int round = 0; once_more(round, 3, 10, begun); round++) {
        carom_pool *pool = pool_of(2, CAROM_POOL_WORKER_UP | CAROM_POOL_WORKER_DOWN, 0);
        carom_pool_event event;
        int up = 0, down = 0;
        for (int i = 0; i < 20; i++) {
            carom_result *result = submit(pool, kill_self, SIGKILL);
            CHECK_STATUS(verdict_of(result).status, CAROM_EWORKERLOST);
            carom_result_free(result);
        }
        UNTIL(count_of(WORKERS) == 2);
        CHECK_OK(carom_pool_close(pool));
        CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
        while (next_event(pool, &event, 0) == CAROM_OK) *(event.kind == CAROM_POOL_WORKER_UP ? &up : &down) += 1;
        CHECK_EQ(up, 22);
        CHECK_EQ(down, 22);
        carom_pool_free(pool);
        UNTIL(count_of(WORKERS) == 0);
    }
}

static void many_in_a_row(void) {
    long memory = 0;
    int fds = 0;
    int64_t begun = now_ms();
    for (int i = 0; once_more(i, 60, 200, begun); i++) {
        carom_pool *pool = pool_of(2, i % 2 ? CAROM_POOL_DONE : 0, i % 3 ? 0 : 1000);
        works(pool);
        if (i % 4 == 3) CHECK(carom_pool_fd(pool) >= 0);
        if (i % 2) {
            finish(pool);
        } else {
            carom_pool_free(pool);
            UNTIL(count_of(WORKERS) == 0); /* its plan can be used again */
        }
        if (i == 20) memory = arena_kb(), fds = fd_count();
    }
    CHECK_EQ(fd_count(), fds);
    fprintf(stderr, "arena after 20: %ld kB, at the end: %ld kB\n", memory, arena_kb());
    CHECK(arena_kb() <= memory + 256);
    UNTIL(count_of(KEEPERS) <= 1);
}

static void odd_numbers_of_workers(void) {
    carom_pool_options options = {.size = sizeof options};
    carom_pool *pool = (carom_pool *)&pool;
    int32_t bad[] = {-3, INT32_MIN, 1025, INT32_MAX};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        options.workers = bad[i];
        CHECK_STATUS(carom_pool_new(&options, &pool), CAROM_EINVAL);
        CHECK(pool == NULL);
    }
    options.workers = CAROM_NONE;
    CHECK_OK(carom_pool_new(&options, &pool));
    CHECK_EQ(count_of(WORKERS), 0);
    finish(pool);
    options.workers = CAROM_INLINE;
    CHECK_OK(carom_pool_new(&options, &pool));
    CHECK_EQ(count_of(WORKERS), 0);
    works(pool);
    finish(pool);
    options.workers = 0;
    CHECK_OK(carom_pool_new(&options, &pool));
    UNTIL(count_of(WORKERS) == carom_cpu_count());
    works(pool);
    finish(pool);
    CHECK_OK(carom_pool_new(NULL, &pool));
    works(pool);
    finish(pool);
    CHECK_STATUS(carom_pool_new(NULL, NULL), CAROM_EINVAL);
}

/* Descriptors run out in the template: fewer workers, each of them watched, and none lost. */
static void few_descriptors(void) {
    struct rlimit limit = {40, 40};
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    carom_pool *pool = pool_of(60, 0, 0);
    int64_t begun = now_ms();
    for (int i = 0; once_more(i, 100, 300, begun); i++) works(pool);
    carom_result *results[60];
    for (int i = 0; i < 60; i++) results[i] = submit(pool, i % 3 ? plus_one : kill_self, SIGKILL);
    for (int i = 0; i < 60; i++) {
        CHECK_STATUS(verdict_of(results[i]).status, i % 3 ? CAROM_OK : CAROM_EWORKERLOST);
        carom_result_free(results[i]);
    }
    CHECK(count_of(WORKERS) < 40);
    finish(pool);
}

int main(int argc, char **argv) {
    CASE(closed_and_joined);
    CASE(terminated);
    CASE(freed_without_a_join);
    CASE(ten_at_once);
    CASE(a_second_pool_has_its_own_workers);
    CASE(many_in_a_row);
    CASE(odd_numbers_of_workers);
    CASE(few_descriptors);
    return 0;
}
