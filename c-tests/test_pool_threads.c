/* Many threads of the host at one pool, and one that frees it under the others. */
#include "pool.h"

static carom_pool *pool;
static long ended;

static void *submit_and_wait(void *seed) {
    unsigned random = (unsigned)(uintptr_t)seed;
    for (int round = 0; round < 150; round++) {
        carom_result *results[16];
        int64_t in[40], out[40];
        int count = 1 + rand_r(&random) % 16;
        for (int i = 0; i < count; i++)
            results[i] = rand_r(&random) % 50 ? submit(pool, plus_one, i) : submit(pool, kill_self, SIGKILL);
        if (round % 8 == 0) {
            for (int i = 0; i < 40; i++) in[i] = i;
            CHECK_OK(carom_pool_map(pool, plus_one, in, 8, 40, NULL, out, 8, PATIENCE_MS));
            for (int i = 0; i < 40; i++) CHECK_EQ(out[i], i + 1);
        }
        for (int i = 0; i < count; i++) {
            if (rand_r(&random) % 8 != 0) {
                carom_verdict verdict = verdict_of(results[i]);
                CHECK(verdict.status == CAROM_OK || verdict.status == CAROM_EWORKERLOST);
                if (!verdict.status) CHECK_EQ(number_of(results[i]), i + 1);
            }
            carom_result_free(results[i]);
        }
    }
    return NULL;
}

static void *take_events(void *kinds) {
    carom_pool_event event;
    carom_status status;
    while ((status = next_event(pool, &event, CAROM_FOREVER)) == CAROM_OK) add((long *)kinds + (event.kind & 3), 1);
    CHECK(status == CAROM_ECLOSED || status == CAROM_EBADHANDLE);
    add(&ended, 1);
    return NULL;
}

static void eight_threads(void) {
    pthread_t threads[8], listener;
    long kinds[4] = {0};
    pool = pool_of(2, CAROM_POOL_WORKER_UP | CAROM_POOL_WORKER_DOWN, 0);
    CHECK_EQ(pthread_create(&listener, NULL, take_events, kinds), 0);
    for (uintptr_t i = 0; i < 8; i++) CHECK_EQ(pthread_create(&threads[i], NULL, submit_and_wait, (void *)(i + 1)), 0);
    for (int i = 0; i < 8; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    works(pool);
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    UNTIL(load(&kinds[1]) == load(&kinds[2])); /* as many went up as down */
    CHECK(load(&kinds[1]) > 2);
    CHECK_EQ(load(&ended), 0);
    carom_pool_free(pool);
    CHECK_EQ(pthread_join(listener, NULL), 0);
}

static void *wait_for_result(void *result) {
    CHECK_STATUS(verdict_of(result).status, CAROM_ECANCELED);
    add(&ended, 1);
    return NULL;
}
static void *wait_in_map(void *arg) {
    int64_t in[10] = {0}, out[10];
    (void)arg;
    carom_status status = carom_pool_map(pool, for_ever, in, 8, 10, NULL, out, 8, CAROM_FOREVER);
    CHECK(status == CAROM_ECANCELED || status == CAROM_ECLOSED || status == CAROM_EBADHANDLE);
    add(&ended, 1);
    return NULL;
}
static void *wait_in_apply(void *arg) {
    (void)arg;
    carom_status status = carom_pool_apply(pool, for_ever, NULL, 0, NULL, NULL, 0, NULL, CAROM_FOREVER);
    CHECK(status == CAROM_ECANCELED || status == CAROM_ECLOSED || status == CAROM_EBADHANDLE);
    add(&ended, 1);
    return NULL;
}
static void *wait_in_iterator(void *iterator) {
    carom_result *result = NULL;
    CHECK_OK(carom_iterator_next(iterator, &result, CAROM_FOREVER));
    CHECK_STATUS(verdict_of(result).status, CAROM_ECANCELED);
    carom_result_free(result);
    carom_iterator_free(iterator);
    add(&ended, 1);
    return NULL;
}
static void *wait_in_join(void *arg) {
    (void)arg;
    carom_status status = carom_pool_join(pool, CAROM_FOREVER);
    CHECK(status == CAROM_OK || status == CAROM_ECLOSED || status == CAROM_EBADHANDLE);
    add(&ended, 1);
    return NULL;
}

static void freed_under_others(void) {
    for (int round = 0; round < 20; round++) {
        pthread_t threads[6];
        long kinds[4] = {0};
        int64_t in = 0;
        carom_items items = {.size = sizeof items, .data = &in, .item_size = 8, .count = 1};
        carom_iterator *iterator = NULL;
        store(&ended, 0);
        pool = pool_of(2, CAROM_POOL_WORKER_UP, 0);
        carom_result *result = submit(pool, for_ever, 0);
        CHECK_OK(carom_pool_imap_unordered(pool, for_ever, &items, NULL, &iterator));
        CHECK_EQ(pthread_create(&threads[0], NULL, take_events, kinds), 0);
        CHECK_EQ(pthread_create(&threads[1], NULL, wait_for_result, result), 0);
        CHECK_EQ(pthread_create(&threads[2], NULL, wait_in_iterator, iterator), 0);
        CHECK_EQ(pthread_create(&threads[3], NULL, wait_in_map, NULL), 0);
        CHECK_EQ(pthread_create(&threads[4], NULL, wait_in_apply, NULL), 0);
        if (round % 2) CHECK_STATUS(carom_result_wait(result, 1 + round), CAROM_ETIMEDOUT);
        CHECK_OK(carom_pool_close(pool));
        CHECK_EQ(pthread_create(&threads[5], NULL, wait_in_join, NULL), 0);
        if (round % 4 == 3) CHECK_STATUS(carom_result_wait(result, 5), CAROM_ETIMEDOUT);
        if (round % 3) CHECK_EQ(load(&ended) <= 3, 1);
        carom_pool_free(pool);
        for (int i = 0; i < 6; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
        CHECK_EQ(load(&ended), 6);
        carom_result_free(result);
    }
    check_no_leaks(OWN_FDS);
}

/* Threads that make, use and free pools of their own, all at once. */
static void *own_pool(void *seed) {
    unsigned random = (unsigned)(uintptr_t)seed;
    for (int i = 0; i < 8; i++) {
        carom_pool *own = pool_of(1, 0, 0);
        works(own);
        carom_result *result = submit(own, kill_self, SIGKILL);
        if (rand_r(&random) % 2) CHECK_EQ(verdict_of(result).signal, SIGKILL);
        if (rand_r(&random) % 2) finish(own);
        else carom_pool_free(own);
        carom_result_free(result);
    }
    return NULL;
}
static void pools_of_threads(void) {
    pthread_t threads[8];
    for (uintptr_t i = 0; i < 8; i++) CHECK_EQ(pthread_create(&threads[i], NULL, own_pool, (void *)(i + 1)), 0);
    for (int i = 0; i < 8; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    UNTIL(count_of(WORKERS) == 0);
}

int main(int argc, char **argv) {
    CASE(eight_threads);
    CASE(freed_under_others);
    CASE(pools_of_threads);
    return 0;
}
