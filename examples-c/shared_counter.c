/* A shared counter: three processes count to 15 under its lock, then atomically, and then with neither.
 *
 * A value has a lock of its own, so that reading, working and writing can be one step. Where the step is a mere addition,
 * carom_value_add needs no lock. Without either, increments get lost; the last part arranges for that to happen every
 * time: all three read before any of them writes. */
/* test: */
#define _DEFAULT_SOURCE
#include "example.h"
#include <time.h>

enum { WORKERS = 3, ITERATIONS = 5 };

static int32_t count_locked(carom_call *call) {
    carom_value *counter;
    MUST(carom_call_value(call, 0, &counter));
    int32_t *number = carom_value_data(counter);
    for (int i = 0; i < ITERATIONS; i++) {
        MUST(carom_value_lock(counter, PATIENCE_MS));
        int32_t before = *number;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);    /* works */
        printf("  worker %" PRId64 " counts from %" PRId32 " to %" PRId32 "\n", integer(call, 1), before, before + 1);
        *number = before + 1;
        MUST(carom_value_unlock(counter));
    }
    return 0;
}

static int32_t count_atomically(carom_call *call) {
    carom_value *counter;
    MUST(carom_call_value(call, 0, &counter));
    for (int i = 0; i < ITERATIONS; i++) MUST(carom_value_add(counter, 1, NULL));
    return 0;
}

/* What `++number` is: a read, and later a write. The barrier is where bad luck would let the others in. */
static int32_t count_raw(carom_call *call) {
    carom_value *counter;
    carom_barrier *bad_luck;
    MUST(carom_call_value(call, 0, &counter));
    MUST(carom_call_barrier(call, 2, &bad_luck));
    for (int i = 0; i < ITERATIONS; i++) {
        int64_t number;
        MUST(carom_value_load(counter, &number));
        MUST(carom_barrier_wait(bad_luck, PATIENCE_MS));
        MUST(carom_value_store(counter, number + 1));
        MUST(carom_barrier_wait(bad_luck, PATIENCE_MS));
    }
    return 0;
}

static int64_t count(const char *how, carom_function function, carom_value *counter) {
    carom_barrier *bad_luck;
    carom_process *workers[WORKERS];
    int64_t total;
    MUST(carom_barrier_new(WORKERS, NULL, &bad_luck));
    MUST(carom_value_store(counter, 0));
    for (int i = 0; i < WORKERS; i++)
        workers[i] = start(function, CAROM_HANDLE(counter), CAROM_INTEGER(i), CAROM_HANDLE(bad_luck));
    finish(workers, WORKERS);
    MUST(carom_value_load(counter, &total));
    printf("%s: %" PRId64 "\n", how, total);
    carom_barrier_free(bad_luck);
    return total;
}

int main(int argc, char **argv) {
    carom_value *counter;
    carom_init(argc, argv);
    MUST(carom_value_new(CAROM_I32, NULL, 0, NULL, &counter));
    EXPECT(count("locked", count_locked, counter) == WORKERS * ITERATIONS);
    EXPECT(count("atomic", count_atomically, counter) == WORKERS * ITERATIONS);
    EXPECT(count("raw, with bad luck", count_raw, counter) == ITERATIONS);
    carom_value_free(counter);
    return 0;
}
