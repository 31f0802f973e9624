/* Semaphores, recursive locks, conditions, events and barriers: what each promises while everybody lives. */
#include <stdbool.h>

#include "support.h"

#define WAITERS 6

struct shared {
    flag go, up, woken, done;
    _Atomic int64_t inside, most, total, order[8];
    _Atomic uint32_t seen[4];
    int64_t plain; /* guarded by the lock at hand */
};
static struct shared *shared;
static carom_lock *lock;
static carom_semaphore *semaphore, *other_semaphore;
static carom_condition *condition;
static carom_event *event;
static carom_barrier *barrier;

static carom_process *start(carom_function function) {
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(function, NULL, 0, NULL, &process));
    return process;
}

static carom_process *start_with(carom_function function, int64_t number) {
    carom_process *process = NULL;
    carom_argument argument = CAROM_INTEGER(number);
    CHECK_OK(carom_process_start(function, &argument, 1, NULL, &process));
    return process;
}

static int64_t number_of(carom_call *call) {
    int64_t number = 0;
    CHECK_OK(carom_call_read(call, 0, &number, sizeof number));
    return number;
}

/* Runs a body on a thread of its own. */
static void *run_body(void *body) {
    void (*it)(void);
    memcpy(&it, &body, sizeof it);
    it();
    return NULL;
}
static void on_a_thread(void (*body)(void)) {
    pthread_t thread;
    void *it;
    memcpy(&it, &body, sizeof it);
    CHECK_EQ(pthread_create(&thread, NULL, run_body, it), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}
static void in_a_process(carom_function function) { CHECK_EQ(outcome_of(function, NULL, 0), 0); }

/* -------------------------------------------------------------------------------------------------------- semaphores */

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

/* ---------------------------------------------------------------------------------------------------- recursive locks */

static void cannot_have_it(void) {
    CHECK_STATUS(carom_lock_acquire(lock, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_lock_acquire(lock, 2), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_lock_recover(lock, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_lock_release(lock), CAROM_EPERM);
}
static int32_t cannot_have_it_either(carom_call *call) {
    (void)call;
    cannot_have_it();
    return 0;
}
static void can_have_it(void) {
    CHECK_OK(carom_lock_acquire(lock, 0));
    CHECK_OK(carom_lock_acquire(lock, CAROM_FOREVER));
    CHECK_OK(carom_lock_release(lock));
    CHECK_OK(carom_lock_release(lock));
}
static int32_t can_have_it_too(carom_call *call) {
    (void)call;
    can_have_it();
    return 0;
}

static void rlock_levels(void) {
    CHECK_OK(carom_rlock_new(NULL, &lock));
    CHECK_STATUS(carom_lock_release(lock), CAROM_EPERM);
    for (int i = 0; i < 1000; i++) CHECK_OK(carom_lock_acquire(lock, i % 2 ? 0 : CAROM_FOREVER));
    CHECK_OK(carom_lock_recover(lock, 0)); /* one level more */
    for (int i = 0; i < 1001; i++) {
        CHECK_EQ(carom_lock_locked(lock), 1);
        if (i % 250 == 0 || i == 1000) {
            on_a_thread(cannot_have_it);
            in_a_process(cannot_have_it_either);
        }
        CHECK_OK(carom_lock_release(lock));
    }
    CHECK_EQ(carom_lock_locked(lock), 0);
    CHECK_STATUS(carom_lock_release(lock), CAROM_EPERM);
    on_a_thread(can_have_it);
    in_a_process(can_have_it_too);
    carom_lock_free(lock);
}

static int32_t counts_twice(carom_call *call) {
    (void)call;
    for (int i = 0; i < 2000; i++) {
        CHECK_OK(carom_lock_acquire(lock, CAROM_FOREVER));
        int64_t seen = shared->plain;
        CHECK_OK(carom_lock_acquire(lock, 0));
        CHECK_OK(carom_lock_release(lock));
        if (i % 100 == 0) sched_yield();
        shared->plain = seen + 1;
        CHECK_OK(carom_lock_release(lock));
    }
    return 0;
}

static void rlock_excludes(void) {
    carom_process *processes[4];
    CHECK_OK(carom_rlock_new(NULL, &lock));
    for (int i = 0; i < 4; i++) processes[i] = start(counts_twice);
    for (int i = 0; i < 4; i++) CHECK_EQ(ended(processes[i]), 0);
    CHECK_EQ(shared->plain, 8000);
    carom_lock_free(lock);
}

/* --------------------------------------------------------------------------------------------------------- conditions */

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

/* ------------------------------------------------------------------------------------------------------------- events */

static int32_t waits_for_event(carom_call *call) {
    (void)call;
    CHECK_OK(carom_event_wait(event, CAROM_FOREVER));
    flag_add(&shared->woken, 1);
    return 0;
}

static void event_sets_and_clears(void) {
    carom_process *waiters[WAITERS];
    CHECK_OK(carom_event_new(&event));
    for (int round = 0; round < 3; round++) {
        CHECK_EQ(carom_event_is_set(event), 0);
        CHECK_STATUS(carom_event_wait(event, 0), CAROM_ETIMEDOUT);
        CHECK_STATUS(carom_event_wait(event, 3), CAROM_ETIMEDOUT);
        for (int i = 0; i < WAITERS; i++) waiters[i] = start(waits_for_event);
        for (int i = 0; i < WAITERS; i++) asleep_on_futex(carom_process_pid(waiters[i]));
        CHECK_OK(carom_event_set(event));
        CHECK_OK(carom_event_set(event));
        CHECK_EQ(carom_event_is_set(event), 1);
        for (int i = 0; i < WAITERS; i++) CHECK_EQ(ended(waiters[i]), 0);
        CHECK_OK(carom_event_wait(event, 0));
        CHECK_OK(carom_event_wait(event, CAROM_FOREVER));
        CHECK_OK(carom_event_clear(event));
        CHECK_OK(carom_event_clear(event));
    }
    carom_event_free(event);
}

static int32_t waits_for_pulses(carom_call *call) {
    int64_t rounds = number_of(call);
    for (int i = 0; i < rounds; i++) {
        flag_await(&shared->go, (uint32_t)i + 1);
        flag_add(&shared->up, 1);
        CHECK_OK(carom_event_wait(event, CAROM_FOREVER));
        flag_add(&shared->woken, 1);
    }
    return 0;
}

/* Cleared at once: whoever waited goes on all the same. */
static void event_pulse_wakes_all(void) {
    enum { ROUNDS = 100 };
    carom_process *waiters[WAITERS];
    CHECK_OK(carom_event_new(&event));
    for (int i = 0; i < WAITERS; i++) waiters[i] = start_with(waits_for_pulses, ROUNDS);
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        flag_add(&shared->go, 1);
        flag_await(&shared->up, round * WAITERS);
        for (int i = 0; i < WAITERS; i++) asleep_on_futex(carom_process_pid(waiters[i]));
        CHECK_OK(carom_event_set(event));
        CHECK_OK(carom_event_clear(event));
        CHECK_EQ(carom_event_is_set(event), 0);
        flag_await(&shared->woken, round * WAITERS);
    }
    for (int i = 0; i < WAITERS; i++) CHECK_EQ(ended(waiters[i]), 0);
    carom_event_free(event);
}

static void sets_event(int signal) {
    int saved = errno;
    (void)signal;
    if (carom_event_set(event) != CAROM_OK) _exit(CHECK_FAILED);
    errno = saved;
}

static int32_t has_a_handler(carom_call *call) {
    (void)call;
    struct sigaction action = {.sa_handler = sets_event};
    sigaction(SIGUSR1, &action, NULL);
    flag_add(&shared->up, 1);
    CHECK_OK(carom_event_wait(event, CAROM_FOREVER)); /* its own handler ends that */
    flag_add(&shared->woken, 1);
    /* In the middle of whatever the library does. */
    for (uint32_t i = 0; !atomic_load(&shared->go); i++) {
        CHECK_OK(carom_event_set(event));
        CHECK_OK(carom_event_clear(event));
        carom_status status = carom_event_wait(event, 0);
        CHECK(status == CAROM_OK || status == CAROM_ETIMEDOUT);
        carom_lock *made = NULL;
        CHECK_OK(carom_lock_new(NULL, &made));
        carom_lock_free(made);
        free(malloc(i % 5000));
    }
    return 0;
}

static void event_set_by_a_signal_handler(void) {
    CHECK_OK(carom_event_new(&event));
    carom_process *process = start(has_a_handler);
    flag_await(&shared->up, 1);
    asleep_on_futex(carom_process_pid(process));
    CHECK_EQ(kill(carom_process_pid(process), SIGUSR1), 0);
    CHECK_OK(carom_event_wait(event, PATIENCE_MS));
    flag_await(&shared->woken, 1);
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(kill(carom_process_pid(process), SIGUSR1), 0);
        if (i % 10 == 0) sched_yield();
    }
    flag_add(&shared->go, 1);
    CHECK_EQ(ended(process), 0);
    carom_event_free(event);
}

/* ----------------------------------------------------------------------------------------------------------- barriers */

static int32_t acts(carom_call *call) {
    CHECK_EQ(carom_call_count(call), 0);
    shared->plain++; /* the others wait */
    return 0;
}
static int32_t fails_once(carom_call *call) { return atomic_exchange(&shared->inside, 1) ? 0 : carom_call_fail(call, 7, "no"); }
static int32_t acts_at_length(carom_call *call) {
    (void)call;
    flag_add(&shared->up, 1);
    flag_await(&shared->go, 1);
    return 0;
}

static void new_barrier(int64_t parties, carom_function action, int64_t timeout_ms) {
    carom_barrier_options options = {.size = sizeof options, .action = action, .timeout_ms = timeout_ms};
    CHECK_OK(carom_barrier_new(parties, &options, &barrier));
    CHECK_EQ(carom_barrier_parties(barrier), parties);
    CHECK_EQ(carom_barrier_waiting(barrier), 0);
    CHECK_EQ(carom_barrier_broken(barrier), 0);
}

#define PARTIES 3
static int32_t meets(carom_call *call) {
    int64_t rounds = number_of(call);
    for (int64_t round = 0; round < rounds; round++) {
        if (round % 4000 == 1) sched_yield();
        int64_t index = carom_barrier_wait(barrier, CAROM_FOREVER);
        if (index < 0) CHECK_STATUS((carom_status)index, CAROM_OK);
        CHECK(index < PARTIES);
        CHECK_EQ(shared->plain, round + 1); /* the action ran, once, before anybody left */
        uint32_t bit = 1u << index, was = atomic_fetch_or(&shared->seen[round % 4], bit);
        CHECK((was & bit) == 0);
        /* All of a meeting before this one have said so. */
        if (round > 0) CHECK_EQ(atomic_load(&shared->seen[(round - 1) % 4]), (1u << PARTIES) - 1);
        if (was == (1u << PARTIES) - 1 - bit) atomic_store(&shared->seen[(round + 2) % 4], 0);
    }
    return 0;
}

static void barrier_meets_10_000_times(void) {
    carom_process *parties[PARTIES];
    new_barrier(PARTIES, acts, 0);
    for (int i = 0; i < PARTIES; i++) parties[i] = start_with(meets, 10000);
    for (int i = 0; i < PARTIES; i++) CHECK_EQ(ended(parties[i]), 0);
    CHECK_EQ(shared->plain, 10000);
    CHECK_EQ(carom_barrier_waiting(barrier), 0);
    CHECK_EQ(carom_barrier_broken(barrier), 0);
    carom_barrier_free(barrier);
}

/* Exits with 100 plus the index, or with minus the status. */
static int32_t meets_once(carom_call *call) {
    int64_t timeout_ms = number_of(call), answer = carom_barrier_wait(barrier, timeout_ms);
    return answer >= 0 ? 100 + (int32_t)answer
         : answer == CAROM_EBROKEN ? 1
         : answer == CAROM_ETIMEDOUT ? 2
         : answer == CAROM_ETASKFAILED ? 3
                                     : 4;
}

static void barrier_alone(void) {
    new_barrier(1, acts, 0);
    for (int i = 1; i <= 100; i++) {
        CHECK_EQ(carom_barrier_wait(barrier, i % 2 ? 0 : CAROM_FOREVER), 0);
        CHECK_EQ(shared->plain, i);
    }
    carom_barrier_free(barrier);
}

static void barrier_indices_and_waiting(void) {
    carom_process *parties[7];
    new_barrier(8, NULL, 0);
    for (int i = 0; i < 7; i++) {
        parties[i] = start_with(meets_once, CAROM_FOREVER);
        asleep_on_futex(carom_process_pid(parties[i]));
        CHECK_EQ(carom_barrier_waiting(barrier), i + 1);
    }
    CHECK_EQ(carom_barrier_wait(barrier, 0), 7);
    CHECK_EQ(carom_barrier_waiting(barrier), 0);
    for (int i = 0; i < 7; i++) CHECK_EQ(ended(parties[i]), 100 + i);
    carom_barrier_free(barrier);
}

static void barrier_times_out(void) {
    new_barrier(3, NULL, 5);
    carom_process *endless = start_with(meets_once, CAROM_FOREVER);
    asleep_on_futex(carom_process_pid(endless));
    CHECK_STATUS((carom_status)carom_barrier_wait(barrier, CAROM_DEFAULT), CAROM_ETIMEDOUT);
    CHECK_EQ(ended(endless), 1);
    CHECK_EQ(carom_barrier_broken(barrier), 1);
    CHECK_EQ(carom_barrier_waiting(barrier), 0);
    CHECK_STATUS((carom_status)carom_barrier_wait(barrier, CAROM_FOREVER), CAROM_EBROKEN);
    CHECK_OK(carom_barrier_reset(barrier));
    CHECK_EQ(carom_barrier_broken(barrier), 0);
    CHECK_STATUS((carom_status)carom_barrier_wait(barrier, 0), CAROM_ETIMEDOUT);
    CHECK_OK(carom_barrier_reset(barrier));
    /* Whole again. The default is only for who asks for it. */
    carom_process *parties[2];
    for (int i = 0; i < 2; i++) parties[i] = start_with(meets_once, PATIENCE_MS);
    for (int i = 0; i < 2; i++) asleep_on_futex(carom_process_pid(parties[i]));
    CHECK_EQ(carom_barrier_wait(barrier, CAROM_DEFAULT), 2);
    int sum = 0;
    for (int i = 0; i < 2; i++) sum += ended(parties[i]);
    CHECK_EQ(sum, 201);
    carom_barrier_free(barrier);
    /* No default: for ever. */
    for (int none = 0; none < 2; none++) {
        new_barrier(2, NULL, none ? CAROM_NONE : 0);
        endless = start_with(meets_once, CAROM_DEFAULT);
        asleep_on_futex(carom_process_pid(endless));
        CHECK_EQ(carom_barrier_wait(barrier, CAROM_FOREVER), 1);
        CHECK_EQ(ended(endless), 100);
        carom_barrier_free(barrier);
    }
}

static void barrier_reset_and_abort(void) {
    for (int abort = 0; abort < 2; abort++) {
        carom_process *parties[3];
        new_barrier(4, NULL, 0);
        CHECK_OK(carom_barrier_reset(barrier)); /* nobody there */
        for (int i = 0; i < 3; i++) parties[i] = start_with(meets_once, CAROM_FOREVER);
        for (int i = 0; i < 3; i++) asleep_on_futex(carom_process_pid(parties[i]));
        CHECK_OK(abort ? carom_barrier_abort(barrier) : carom_barrier_reset(barrier));
        for (int i = 0; i < 3; i++) CHECK_EQ(ended(parties[i]), 1);
        CHECK_EQ(carom_barrier_broken(barrier), abort);
        CHECK_EQ(carom_barrier_waiting(barrier), 0);
        if (abort) {
            CHECK_STATUS((carom_status)carom_barrier_wait(barrier, CAROM_FOREVER), CAROM_EBROKEN);
            CHECK_OK(carom_barrier_abort(barrier));
            CHECK_OK(carom_barrier_reset(barrier));
        }
        for (int i = 0; i < 3; i++) parties[i] = start_with(meets_once, CAROM_FOREVER);
        for (int i = 0; i < 3; i++) asleep_on_futex(carom_process_pid(parties[i]));
        CHECK_EQ(carom_barrier_wait(barrier, 0), 3);
        for (int i = 0; i < 3; i++) CHECK(ended(parties[i]) >= 100);
        carom_barrier_free(barrier);
    }
}

static void barrier_action_fails(void) {
    carom_process *parties[2];
    new_barrier(3, fails_once, 0);
    for (int i = 0; i < 2; i++) parties[i] = start_with(meets_once, CAROM_FOREVER);
    for (int i = 0; i < 2; i++) asleep_on_futex(carom_process_pid(parties[i]));
    CHECK_STATUS((carom_status)carom_barrier_wait(barrier, CAROM_FOREVER), CAROM_ETASKFAILED);
    CHECK(strstr(carom_error_message(), "7") != NULL);
    for (int i = 0; i < 2; i++) CHECK_EQ(ended(parties[i]), 1);
    CHECK_EQ(carom_barrier_broken(barrier), 1);
    CHECK_OK(carom_barrier_reset(barrier));
    for (int i = 0; i < 2; i++) parties[i] = start_with(meets_once, CAROM_FOREVER);
    for (int i = 0; i < 2; i++) asleep_on_futex(carom_process_pid(parties[i]));
    CHECK_EQ(carom_barrier_wait(barrier, CAROM_FOREVER), 2);
    for (int i = 0; i < 2; i++) CHECK(ended(parties[i]) >= 100);
    carom_barrier_free(barrier);
}

/* Whoever is out of time while the action runs breaks the barrier, for whoever runs it too. */
static void barrier_times_out_in_the_action(void) {
    new_barrier(2, acts_at_length, 0);
    carom_process *first = start_with(meets_once, 200);
    asleep_on_futex(carom_process_pid(first));
    carom_process *last = start_with(meets_once, CAROM_FOREVER);
    flag_await(&shared->up, 1);
    CHECK_EQ(ended(first), 2);
    CHECK_EQ(carom_barrier_broken(barrier), 1);
    flag_add(&shared->go, 1);
    CHECK_EQ(ended(last), 1);
    carom_barrier_free(barrier);
}

/* One too many, while the action runs: it waits for the next meeting, in its time, and breaks nothing. */
static void barrier_full_while_it_acts(void) {
    new_barrier(1, acts_at_length, 0);
    carom_process *first = start_with(meets_once, CAROM_FOREVER);
    flag_await(&shared->up, 1);
    CHECK_EQ(carom_barrier_waiting(barrier), 1);
    CHECK_STATUS((carom_status)carom_barrier_wait(barrier, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS((carom_status)carom_barrier_wait(barrier, 10), CAROM_ETIMEDOUT);
    CHECK_EQ(carom_barrier_broken(barrier), 0);
    carom_process *next = start_with(meets_once, CAROM_FOREVER);
    asleep_on_futex(carom_process_pid(next));
    flag_add(&shared->go, 1);
    CHECK_EQ(ended(first), 100);
    CHECK_EQ(ended(next), 100);
    carom_barrier_free(barrier);
}

static int32_t calls_in(carom_call *call) {
    (void)call;
    while (atomic_fetch_add(&shared->total, 1) < 2400) {
        int64_t index = carom_barrier_wait(barrier, CAROM_FOREVER);
        if (index < 0) CHECK_STATUS((carom_status)index, CAROM_OK);
        CHECK(index < PARTIES);
        atomic_fetch_add(&shared->order[index], 1);
    }
    return 0;
}

static void barrier_more_callers_than_parties(void) {
    carom_process *callers[8];
    new_barrier(PARTIES, NULL, 0);
    for (int i = 0; i < 8; i++) callers[i] = start(calls_in);
    for (int i = 0; i < 8; i++) CHECK_EQ(ended(callers[i]), 0);
    for (int i = 0; i < PARTIES; i++) CHECK_EQ(atomic_load(&shared->order[i]), 2400 / PARTIES);
    carom_barrier_free(barrier);
}

/* A party that was asleep, or stopped, for many meetings still hears how its own ended. */
static void barrier_late_riser(void) {
    for (int complete = 0; complete < 2; complete++) {
        new_barrier(2, NULL, 0);
        carom_process *sleeper = start_with(meets_once, CAROM_FOREVER);
        asleep_on_futex(carom_process_pid(sleeper));
        CHECK_EQ(kill(carom_process_pid(sleeper), SIGSTOP), 0);
        while (state_of(carom_process_pid(sleeper), carom_process_pid(sleeper)) != 'T') sched_yield();
        if (complete) CHECK_EQ(carom_barrier_wait(barrier, CAROM_FOREVER), 1);
        else CHECK_OK(carom_barrier_reset(barrier));
        for (int i = 0; i < 40; i++) {
            carom_process *other = start_with(meets_once, CAROM_FOREVER);
            CHECK(carom_barrier_wait(barrier, CAROM_FOREVER) >= 0);
            CHECK(ended(other) >= 100);
        }
        CHECK_EQ(kill(carom_process_pid(sleeper), SIGCONT), 0);
        CHECK_EQ(ended(sleeper), complete ? 100 : 1);
        carom_barrier_free(barrier);
    }
}

/* Arrivals, time-outs, resets and aborts at random: nobody hangs, and nobody passes alone. */
static int32_t comes_and_goes(carom_call *call) {
    unsigned seed = (unsigned)number_of(call);
    for (int i = 0; i < 400; i++) {
        int64_t answer = carom_barrier_wait(barrier, rand_r(&seed) % 3);
        CHECK(answer >= 0 || answer == CAROM_EBROKEN || answer == CAROM_ETIMEDOUT);
        if (answer >= 0) atomic_fetch_add(&shared->order[answer], 1);
        if (answer < 0 || rand_r(&seed) % 8 == 0) CHECK_OK(carom_barrier_reset(barrier));
        if (rand_r(&seed) % 64 == 0) CHECK_OK(carom_barrier_abort(barrier));
    }
    return 0;
}
static void barrier_in_disorder(void) {
    carom_process *callers[6];
    new_barrier(PARTIES, NULL, 0);
    for (int i = 0; i < 6; i++) callers[i] = start_with(comes_and_goes, i + 1);
    for (int i = 0; i < 6; i++) CHECK_EQ(ended(callers[i]), 0);
    carom_barrier_free(barrier);
}

/* ------------------------------------------------------------------------------------------------ the end of an object */

static _Atomic pid_t waiter_tid;
static int32_t never(void *ctx) { return (void)ctx, 0; }
static void *waits_for_the_end(void *kind) {
    atomic_store(&waiter_tid, (pid_t)syscall(SYS_gettid));
    switch (*(int *)kind) {
    case 0: CHECK_STATUS(carom_semaphore_acquire(semaphore, CAROM_FOREVER), CAROM_EBADHANDLE); break;
    case 1: CHECK_STATUS(carom_event_wait(event, CAROM_FOREVER), CAROM_EBADHANDLE); break;
    case 2: CHECK_STATUS((carom_status)carom_barrier_wait(barrier, CAROM_FOREVER), CAROM_EBADHANDLE); break;
    case 3:
        CHECK_OK(carom_condition_acquire(condition, 0));
        CHECK_STATUS(carom_condition_wait_for(condition, never, NULL, CAROM_FOREVER), CAROM_EBADHANDLE);
        break;
    }
    return NULL;
}

static void freed_while_one_waits(void) {
    for (int round = 0; round < 4 * 300; round++) {
        int kind = round % 4;
        pthread_t thread;
        CHECK_OK(carom_semaphore_new(0, NULL, &semaphore));
        CHECK_OK(carom_event_new(&event));
        CHECK_OK(carom_barrier_new(2, NULL, &barrier));
        CHECK_OK(carom_condition_new(NULL, &condition));
        atomic_store(&waiter_tid, 0);
        CHECK_EQ(pthread_create(&thread, NULL, waits_for_the_end, &kind), 0);
        while (!atomic_load(&waiter_tid)) sched_yield();
        asleep_in_(__FILE__, __LINE__, getpid(), atomic_load(&waiter_tid), SYS_futex, SYS_futex_waitv);
        carom_semaphore_free(semaphore);
        carom_event_free(event);
        carom_barrier_free(barrier);
        carom_condition_free(condition);
        CHECK_EQ(pthread_join(thread, NULL), 0);
    }
}

/* ------------------------------------------------------------------------------------------------------ as arguments */

static int32_t uses_arguments(carom_call *call) {
    carom_lock *a_lock = NULL;
    carom_semaphore *a_semaphore = NULL;
    carom_condition *a_condition = NULL;
    carom_event *an_event = NULL;
    carom_barrier *a_barrier = NULL;
    CHECK_OK(carom_call_lock(call, 0, &a_lock));
    CHECK_OK(carom_call_semaphore(call, 1, &a_semaphore));
    CHECK_OK(carom_call_condition(call, 2, &a_condition));
    CHECK_OK(carom_call_event(call, 3, &an_event));
    CHECK_OK(carom_call_barrier(call, 4, &a_barrier));
    CHECK_STATUS(carom_lock_acquire(a_lock, 0), CAROM_ETIMEDOUT);
    CHECK_OK(carom_semaphore_release(a_semaphore));
    CHECK_OK(carom_condition_acquire(a_condition, CAROM_FOREVER)); /* free once the other waits */
    CHECK_OK(carom_condition_notify_all(a_condition));
    CHECK_OK(carom_condition_release(a_condition));
    CHECK(carom_barrier_wait(a_barrier, PATIENCE_MS) >= 0);
    CHECK_OK(carom_event_set(an_event));
    return 0;
}

static void the_other_side(void) {
    CHECK_OK(carom_condition_wait(condition, PATIENCE_MS));
    CHECK_OK(carom_condition_release(condition));
    CHECK(carom_barrier_wait(barrier, PATIENCE_MS) >= 0);
    CHECK_OK(carom_event_wait(event, PATIENCE_MS));
    CHECK_OK(carom_event_clear(event));
    CHECK_OK(carom_semaphore_acquire(semaphore, 0));
    CHECK_OK(carom_condition_acquire(condition, 0));
}

static int32_t uses_globals(carom_call *call) {
    (void)call;
    CHECK_STATUS(carom_lock_acquire(lock, 0), CAROM_ETIMEDOUT);
    CHECK_OK(carom_semaphore_release(semaphore));
    CHECK_OK(carom_condition_acquire(condition, CAROM_FOREVER));
    CHECK_OK(carom_condition_notify_all(condition));
    CHECK_OK(carom_condition_release(condition));
    CHECK(carom_barrier_wait(barrier, PATIENCE_MS) >= 0);
    CHECK_OK(carom_event_set(event));
    return 0;
}

static void as_arguments_and_globals(void) {
    carom_pool_options options = {.size = sizeof options, .workers = 1};
    carom_pool *pool = NULL;
    CHECK_OK(carom_pool_new(&options, &pool)); /* its worker is there before the objects are */
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_OK(carom_lock_acquire(lock, 0));
    CHECK_OK(carom_semaphore_new(0, NULL, &semaphore));
    CHECK_OK(carom_condition_new(NULL, &condition));
    CHECK_OK(carom_event_new(&event));
    CHECK_OK(carom_barrier_new(2, NULL, &barrier));
    CHECK_OK(carom_condition_acquire(condition, 0));
    carom_argument arguments[] = {CAROM_HANDLE(lock), CAROM_HANDLE(semaphore), CAROM_HANDLE(condition),
                                  CAROM_HANDLE(event), CAROM_HANDLE(barrier)};
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(uses_arguments, arguments, 5, NULL, &process));
    the_other_side();
    CHECK_EQ(ended(process), 0);
    process = start(uses_globals);
    the_other_side();
    CHECK_EQ(ended(process), 0);
    for (int i = 0; i < 20; i++) {
        carom_result *result = NULL;
        CHECK_OK(carom_pool_apply_async(pool, uses_arguments, arguments, 5, NULL, &result));
        the_other_side();
        CHECK_OK(carom_result_wait(result, PATIENCE_MS));
        CHECK_EQ(carom_result_successful(result), 1);
        carom_result_free(result);
    }
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
    carom_lock_free(lock);
    carom_semaphore_free(semaphore);
    carom_condition_free(condition);
    carom_event_free(event);
    carom_barrier_free(barrier);
}

#define RUN(body) (shared = share(sizeof *shared), CASE(body))

int main(void) {
    RUN(semaphore_counts);
    RUN(semaphore_limits);
    RUN(semaphore_wakes_one_for_each_unit);
    RUN(semaphore_ping_pong);
    RUN(owned_units_are_the_process_s);
    RUN(rlock_levels);
    RUN(rlock_excludes);
    RUN(notify_wakes_own);
    RUN(notify_wakes_plain);
    RUN(notify_wakes_recursive);
    RUN(wait_unwinds);
    RUN(wait_for_a_predicate);
    RUN(producers_and_consumers);
    RUN(event_sets_and_clears);
    RUN(event_pulse_wakes_all);
    RUN(event_set_by_a_signal_handler);
    RUN(barrier_alone);
    RUN(barrier_indices_and_waiting);
    RUN(barrier_meets_10_000_times);
    RUN(barrier_times_out);
    RUN(barrier_reset_and_abort);
    RUN(barrier_action_fails);
    RUN(barrier_times_out_in_the_action);
    RUN(barrier_full_while_it_acts);
    RUN(barrier_more_callers_than_parties);
    RUN(barrier_late_riser);
    RUN(barrier_in_disorder);
    RUN(freed_while_one_waits);
    RUN(as_arguments_and_globals);
    return 0;
}
