/* Semaphores: what they promise while everybody lives. */
#include "sync.h"

#define WAITERS 6

static carom_semaphore *semaphore, *other_semaphore;

static void new_semaphore(int64_t units, int bounded, int owned) {
    carom_semaphore_options options = {.size = sizeof options, .owned = (uint32_t)owned};
    CHECK_OK(bounded ? carom_bounded_semaphore_new(units, &options, &semaphore)
                     : carom_semaphore_new(units, &options, &semaphore));
    CHECK_EQ(carom_semaphore_value(semaphore), units);
}

static void semaphore_counts(void) {
    for (int kind = 0; kind < 4; kind++) {
        int bounded = kind & 1, owned = kind >> 1;
        new_semaphore(3, bounded, owned);
        for (int left = 2; left >= 0; left--) {
            CHECK_OK(carom_semaphore_acquire(semaphore, left == 2 ? 0 : left == 1 ? 1000 : CAROM_FOREVER));
            CHECK_EQ(carom_semaphore_value(semaphore), left);
        }
        CHECK_STATUS(carom_semaphore_acquire(semaphore, 0), CAROM_ETIMEDOUT);
        CHECK_STATUS(carom_semaphore_acquire(semaphore, 5), CAROM_ETIMEDOUT);
        CHECK_EQ(carom_semaphore_value(semaphore), 0);
        for (int units = 1; units <= 3; units++) {
            CHECK_OK(carom_semaphore_release(semaphore));
            CHECK_EQ(carom_semaphore_value(semaphore), units);
        }
        if (bounded || owned) {
            CHECK_STATUS(carom_semaphore_release(semaphore), CAROM_EPERM);
            CHECK_EQ(carom_semaphore_value(semaphore), 3);
        } else {
            for (int units = 4; units <= 10; units++) CHECK_OK(carom_semaphore_release(semaphore));
            CHECK_EQ(carom_semaphore_value(semaphore), 10);
        }
        carom_semaphore_free(semaphore);
    }
    carom_semaphore_options owned = {.size = sizeof owned, .owned = 1};
    CHECK_OK(carom_semaphore_new(4096, &owned, &semaphore));
    for (int i = 0; i < 4096; i++) CHECK_OK(carom_semaphore_acquire(semaphore, 0));
    CHECK_STATUS(carom_semaphore_acquire(semaphore, 0), CAROM_ETIMEDOUT);
    for (int i = 0; i < 4096; i++) CHECK_OK(carom_semaphore_release(semaphore));
    CHECK_STATUS(carom_semaphore_release(semaphore), CAROM_EPERM);
    carom_semaphore_free(semaphore);
}

static int32_t limited(carom_call *call) {
    (void)call;
    for (int i = 0; i < 300; i++) {
        CHECK_OK(carom_semaphore_acquire(semaphore, CAROM_FOREVER));
        int64_t inside = atomic_fetch_add(&shared->inside, 1) + 1, most = atomic_load(&shared->most);
        while (inside > most && !atomic_compare_exchange_weak(&shared->most, &most, inside)) {}
        if (i % 16 == 0) sched_yield();
        atomic_fetch_add(&shared->total, 1);
        atomic_fetch_sub(&shared->inside, 1);
        CHECK_OK(carom_semaphore_release(semaphore));
    }
    return 0;
}

static void semaphore_limits(void) {
    for (int kind = 0; kind < 4; kind++) {
        carom_process *processes[8];
        atomic_store(&shared->total, 0);
        new_semaphore(3, kind & 1, kind >> 1);
        for (int i = 0; i < 8; i++) processes[i] = start(limited);
        for (int i = 0; i < 8; i++) CHECK_EQ(ended(processes[i]), 0);
        CHECK_EQ(atomic_load(&shared->total), 8 * 300);
        CHECK(atomic_load(&shared->most) <= 3);
        CHECK_EQ(carom_semaphore_value(semaphore), 3);
        carom_semaphore_free(semaphore);
    }
}

static int32_t takes_one(carom_call *call) {
    (void)call;
    CHECK_OK(carom_semaphore_acquire(semaphore, CAROM_FOREVER));
    flag_add(&shared->woken, 1);
    return 0;
}

/* One unit, one waiter; the others sleep on. */
static void semaphore_wakes_one_for_each_unit(void) {
    carom_process *waiters[WAITERS];
    new_semaphore(0, 0, 0);
    for (int i = 0; i < WAITERS; i++) waiters[i] = start(takes_one);
    for (int i = 0; i < WAITERS; i++) asleep_on_futex(carom_process_pid(waiters[i]));
    for (int units = 1; units <= WAITERS; units++) {
        CHECK_OK(carom_semaphore_release(semaphore));
        flag_await(&shared->woken, (uint32_t)units);
        usleep(2000);
        CHECK_EQ(atomic_load(&shared->woken), units);
        CHECK_EQ(carom_semaphore_value(semaphore), 0);
    }
    for (int i = 0; i < WAITERS; i++) CHECK_EQ(ended(waiters[i]), 0);
    carom_semaphore_free(semaphore);
}

static int32_t returns_the_ball(carom_call *call) {
    (void)call;
    for (int i = 0; i < 5000; i++) {
        CHECK_OK(carom_semaphore_acquire(semaphore, CAROM_FOREVER));
        CHECK_OK(carom_semaphore_release(other_semaphore));
    }
    return 0;
}

static void semaphore_ping_pong(void) {
    new_semaphore(0, 0, 0);
    CHECK_OK(carom_semaphore_new(0, NULL, &other_semaphore));
    carom_process *process = start(returns_the_ball);
    for (int i = 0; i < 5000; i++) {
        CHECK_OK(carom_semaphore_release(semaphore));
        CHECK_OK(carom_semaphore_acquire(other_semaphore, PATIENCE_MS));
    }
    CHECK_EQ(ended(process), 0);
    CHECK_EQ(carom_semaphore_value(semaphore) + carom_semaphore_value(other_semaphore), 0);
    carom_semaphore_free(semaphore);
    carom_semaphore_free(other_semaphore);
}

static int32_t owns_none(carom_call *call) {
    (void)call;
    CHECK_STATUS(carom_semaphore_release(semaphore), CAROM_EPERM);
    CHECK_OK(carom_semaphore_acquire(semaphore, 0));
    CHECK_OK(carom_semaphore_release(semaphore));
    CHECK_STATUS(carom_semaphore_release(semaphore), CAROM_EPERM);
    CHECK_OK(carom_semaphore_acquire(semaphore, 0)); /* comes back when this process leaves */
    return 0;
}
static void releases_a_unit(void) { CHECK_OK(carom_semaphore_release(semaphore)); }

static void owned_units_are_the_process_s(void) {
    new_semaphore(2, 0, 1);
    CHECK_OK(carom_semaphore_acquire(semaphore, 0));
    in_a_process(owns_none);
    CHECK_EQ(carom_semaphore_value(semaphore), 1);
    on_a_thread(releases_a_unit);
    CHECK_EQ(carom_semaphore_value(semaphore), 2);
    carom_semaphore_free(semaphore);
}

int main(void) {
    RUN(semaphore_counts);
    RUN(semaphore_limits);
    RUN(semaphore_wakes_one_for_each_unit);
    RUN(semaphore_ping_pong);
    RUN(owned_units_are_the_process_s);
    return 0;
}
