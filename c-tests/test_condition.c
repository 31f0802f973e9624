/* Conditions: what they promise while everybody lives. */
#include <stdbool.h>

#include "sync.h"

#define WAITERS 6

static carom_lock *lock;
static carom_condition *condition;

static void new_condition(int kind) { /* 0: over its own, 1: over a plain one, 2: over a recursive one */
    lock = NULL;
    if (kind == 1) CHECK_OK(carom_lock_new(NULL, &lock));
    if (kind == 2) CHECK_OK(carom_rlock_new(NULL, &lock));
    CHECK_OK(carom_condition_new(lock, &condition));
    carom_lock_free(lock); /* the condition keeps it */
}

static int32_t waits_once(carom_call *call) {
    (void)call;
    CHECK_OK(carom_condition_acquire(condition, CAROM_FOREVER));
    flag_add(&shared->up, 1);
    CHECK_OK(carom_condition_wait(condition, CAROM_FOREVER));
    flag_add(&shared->woken, 1);
    CHECK_OK(carom_condition_release(condition));
    flag_await(&shared->go, 1); /* for the end of a process wakes whoever waits for anything */
    return 0;
}

static void notify(int64_t count) {
    CHECK_OK(carom_condition_acquire(condition, PATIENCE_MS));
    CHECK_OK(count < 0 ? carom_condition_notify_all(condition) : carom_condition_notify(condition, count));
    CHECK_OK(carom_condition_release(condition));
}

/* Whether each notify woke as many as it names. Fewer is an error; more may happen when some process ends at that moment,
 * the keeper's unlucky rival for one, for then whoever waits for anything looks again. */
static bool notify_wakes_exactly(carom_process *waiters[WAITERS]) {
    static const struct { int64_t notify; uint32_t wakes; } steps[] = {{0, 0}, {1, 1}, {2, 2}, {1, 1}, {100, 2}};
    uint32_t woken = 0;
    bool exactly = true;
    atomic_store(&shared->up, 0), atomic_store(&shared->woken, 0), atomic_store(&shared->go, 0);
    for (int i = 0; i < WAITERS; i++) waiters[i] = start(waits_once);
    flag_await(&shared->up, WAITERS);
    for (int i = 0; i < WAITERS; i++) asleep_on_futex(carom_process_pid(waiters[i]));
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        notify(steps[i].notify);
        flag_await(&shared->woken, woken += steps[i].wakes);
        usleep(2000); /* time for more than that to wake */
        exactly &= atomic_load(&shared->woken) == woken;
    }
    flag_add(&shared->go, 1);
    for (int i = 0; i < WAITERS; i++) CHECK_EQ(ended(waiters[i]), 0);
    return exactly;
}

static void notify_wakes(int kind) {
    carom_process *waiters[WAITERS];
    new_condition(kind);
    notify(5); /* nobody waits, and nobody hears of it later */
    if (!notify_wakes_exactly(waiters)) CHECK(notify_wakes_exactly(waiters));
    for (int i = 0; i < WAITERS; i++) waiters[i] = start(waits_once);
    flag_await(&shared->up, 2 * WAITERS);
    notify(-1); /* whoever said so holds the lock until it waits */
    for (int i = 0; i < WAITERS; i++) CHECK_EQ(ended(waiters[i]), 0);
    carom_condition_free(condition);
}
static void notify_wakes_own(void) { notify_wakes(0); }
static void notify_wakes_plain(void) { notify_wakes(1); }
static void notify_wakes_recursive(void) { notify_wakes(2); }

static void cannot_use_condition(void) {
    CHECK_STATUS(carom_condition_acquire(condition, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_condition_wait(condition, 0), CAROM_EPERM);
    CHECK_STATUS(carom_condition_wait(condition, CAROM_FOREVER), CAROM_EPERM);
    CHECK_STATUS(carom_condition_notify(condition, 1), CAROM_EPERM);
    CHECK_STATUS(carom_condition_notify_all(condition), CAROM_EPERM);
}
static void cannot_release_condition(void) { CHECK_STATUS(carom_condition_release(condition), CAROM_EPERM); }
static int32_t cannot_use_condition_either(carom_call *call) {
    (void)call;
    cannot_use_condition();
    return 0;
}

static int32_t notifies_once(carom_call *call) {
    (void)call;
    CHECK_OK(carom_condition_acquire(condition, CAROM_FOREVER)); /* free while the other waits */
    flag_add(&shared->up, 1);
    CHECK_OK(carom_condition_notify(condition, 1));
    flag_await(&shared->go, 1);
    flag_add(&shared->done, 1);
    CHECK_OK(carom_condition_release(condition));
    return 0;
}

static void *lets_go(void *unused) {
    (void)unused;
    flag_await(&shared->up, 1);
    CHECK_EQ(atomic_load(&shared->done), 0);
    flag_add(&shared->go, 1);
    return NULL;
}

/* The end of a process may wake whoever waits. */
static void runs_out_of_time(int64_t timeout_ms) {
    carom_status status = carom_condition_wait(condition, timeout_ms);
    for (int i = 0; i < 10 && status == CAROM_OK; i++) status = carom_condition_wait(condition, timeout_ms);
    CHECK_STATUS(status, CAROM_ETIMEDOUT);
}

/* All levels go, and come back; and not before the notifier has released. */
static void wait_unwinds(void) {
    for (int kind = 0; kind < 3; kind++) {
        int levels = kind == 1 ? 1 : 5;
        pthread_t thread;
        atomic_store(&shared->up, 0), atomic_store(&shared->go, 0), atomic_store(&shared->done, 0);
        new_condition(kind);
        for (int i = 0; i < levels; i++) CHECK_OK(carom_condition_acquire(condition, 0));
        in_a_process(cannot_use_condition_either);
        if (kind != 1) {
            on_a_thread(cannot_use_condition);
            on_a_thread(cannot_release_condition);
        }
        carom_process *notifier = start(notifies_once);
        CHECK_EQ(pthread_create(&thread, NULL, lets_go, NULL), 0);
        do CHECK_OK(carom_condition_wait(condition, PATIENCE_MS));
        while (!atomic_load(&shared->up)); /* a death somewhere may wake it too */
        CHECK_EQ(atomic_load(&shared->done), 1);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        in_a_process(cannot_use_condition_either);
        runs_out_of_time(0);
        runs_out_of_time(5);
        for (int i = 0; i < levels; i++) {
            in_a_process(cannot_use_condition_either);
            CHECK_OK(carom_condition_release(condition));
        }
        CHECK_STATUS(carom_condition_release(condition), CAROM_EPERM);
        CHECK_EQ(ended(notifier), 0);
        carom_condition_free(condition);
    }
}

static int32_t at_least(void *ctx) { return shared->plain >= *(int64_t *)ctx; }

static int32_t raises(carom_call *call) {
    int64_t upto = number_of(call);
    for (int64_t i = 1; i <= upto; i++) {
        CHECK_OK(carom_condition_acquire(condition, CAROM_FOREVER));
        shared->plain = i;
        CHECK_OK(carom_condition_notify_all(condition));
        CHECK_OK(carom_condition_release(condition));
        if (i % 10 == 0) sched_yield();
    }
    return 0;
}

static void wait_for_a_predicate(void) {
    for (int kind = 0; kind < 3; kind++) {
        int64_t wanted[] = {0, 1, 5, 300};
        shared->plain = 0;
        new_condition(kind);
        CHECK_OK(carom_condition_acquire(condition, 0));
        CHECK_OK(carom_condition_wait_for(condition, at_least, &wanted[0], 0));
        CHECK_STATUS(carom_condition_wait_for(condition, at_least, &wanted[1], 0), CAROM_ETIMEDOUT);
        CHECK_STATUS(carom_condition_wait_for(condition, at_least, &wanted[1], 10), CAROM_ETIMEDOUT);
        carom_process *process = start_with(raises, 300);
        for (int i = 1; i < 4; i++) {
            CHECK_OK(carom_condition_wait_for(condition, at_least, &wanted[i], i == 2 ? CAROM_FOREVER : PATIENCE_MS));
            CHECK(shared->plain >= wanted[i]);
        }
        CHECK_OK(carom_condition_release(condition));
        CHECK_STATUS(carom_condition_release(condition), CAROM_EPERM);
        CHECK_EQ(ended(process), 0);
        carom_condition_free(condition);
    }
}

/* Producers and consumers over one condition: nothing is lost, nothing comes twice. */
#define ITEMS 1000
static int32_t has_items(void *ctx) { return (void)ctx, shared->plain > 0; }
static int32_t produces(carom_call *call) {
    (void)call;
    for (int i = 0; i < ITEMS; i++) {
        CHECK_OK(carom_condition_acquire(condition, CAROM_FOREVER));
        shared->plain++;
        CHECK_OK(carom_condition_notify(condition, 1));
        CHECK_OK(carom_condition_release(condition));
    }
    return 0;
}
static int32_t consumes(carom_call *call) {
    (void)call;
    for (int i = 0; i < ITEMS; i++) {
        CHECK_OK(carom_condition_acquire(condition, CAROM_FOREVER));
        CHECK_OK(carom_condition_wait_for(condition, has_items, NULL, CAROM_FOREVER));
        shared->plain--;
        CHECK_OK(carom_condition_release(condition));
    }
    return 0;
}
static void producers_and_consumers(void) {
    for (int kind = 0; kind < 3; kind++) {
        carom_process *processes[6];
        new_condition(kind);
        for (int i = 0; i < 6; i++) processes[i] = start(i % 2 ? produces : consumes);
        for (int i = 0; i < 6; i++) CHECK_EQ(ended(processes[i]), 0);
        CHECK_EQ(shared->plain, 0);
        carom_condition_free(condition);
    }
}

int main(void) {
    RUN(notify_wakes_own);
    RUN(notify_wakes_plain);
    RUN(notify_wakes_recursive);
    RUN(wait_unwinds);
    RUN(wait_for_a_predicate);
    RUN(producers_and_consumers);
    return 0;
}
