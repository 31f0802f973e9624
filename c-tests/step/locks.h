/* Operations of locks. */
#ifndef STEP_LOCKS_H
#define STEP_LOCKS_H

#include "harness.h"

static carom_lock *lock;

static void lock_make(void) { CHECK_OK(carom_lock_new(NULL, &lock)); }
static void rlock_make(void) { CHECK_OK(carom_rlock_new(NULL, &lock)); }
static void lock_unmake(void) { carom_lock_free(lock); }

static int lock_taken(void) {
    carom_status status = carom_lock_acquire(lock, PATIENCE_MS);
    /* Everybody is told until somebody recovers it. */
    if (status == CAROM_EOWNERDEAD && point.script != WAITER) CHECK_STATUS(carom_lock_acquire(lock, 0), CAROM_EOWNERDEAD);
    return acquired_(status, status == CAROM_EOWNERDEAD ? carom_lock_recover(lock, PATIENCE_MS) : CAROM_OK);
}

static void lock_victim(void) {
    stage(ACQUIRING);
    int recovered = lock_taken();
    stage(HOLDS);
    enter(recovered);
    leave();
    stage(RELEASING);
    CHECK_OK(carom_lock_release(lock));
    stage(DONE);
}
static void lock_use(void) {
    enter(lock_taken());
    leave();
    CHECK_OK(carom_lock_release(lock));
}
static void lock_after(void) {
    lock_use();
    lock_use();
    if (needs_partner(point.operation, point.script)) partner_ends();
    deaths_are_right();
}
static int lock_barge(void) {
    carom_status status = carom_lock_acquire(lock, 0);
    if (status != CAROM_OK) CHECK_STATUS(status, CAROM_ETIMEDOUT);
    return status == CAROM_OK;
}
static void lock_unbarge(void) { CHECK_OK(carom_lock_release(lock)); }
static void lock_timed(void) {
    carom_status status = carom_lock_acquire(lock, 1);
    if (status == CAROM_OK) CHECK_OK(carom_lock_release(lock));
    else CHECK_STATUS(status, CAROM_ETIMEDOUT);
}

/* It waits for this process. */
static void lock_hold(void) { CHECK_OK(carom_lock_acquire(lock, 0)); }
static void lock_let_go(void) { CHECK_OK(carom_lock_release(lock)); }

static void lock_times_out(void) {
    stage(ACQUIRING);
    CHECK_STATUS(carom_lock_acquire(lock, 2), CAROM_ETIMEDOUT);
    stage(DONE);
}
static void lock_after_time_out(void) {
    CHECK_EQ(carom_lock_locked(lock), 1);
    CHECK_OK(carom_lock_release(lock));
    lock_use();
    CHECK_EQ(atomic_load(&shared->owner_died), 0);
}

static int32_t dies_with_it(carom_call *call) {
    (void)call;
    CHECK_OK(carom_lock_acquire(lock, 0));
    raise(SIGKILL);
    return 0;
}
static void lock_orphan(void) { CHECK_EQ(outcome_of(dies_with_it, NULL, 0), -SIGKILL); }
static void lock_recovers(void) {
    stage(ACQUIRING);
    CHECK_STATUS(carom_lock_acquire(lock, 0), CAROM_EOWNERDEAD);
    CHECK_OK(carom_lock_recover(lock, 0));
    stage(HOLDS);
    CHECK_OK(carom_lock_release(lock));
    stage(DONE);
}
static void lock_after_recovery(void) {
    /* Not recovered, or recovered and dead over it: told once. Else free. */
    uint32_t before = atomic_load(&shared->owner_died);
    lock_use();
    CHECK(atomic_load(&shared->owner_died) - before == (reached() != DONE) || reached() == HOLDS);
    before = atomic_load(&shared->owner_died);
    lock_use();
    CHECK_EQ(atomic_load(&shared->owner_died), before);
}

static void rlock_victim(void) {
    stage(ACQUIRING);
    int recovered = lock_taken();
    CHECK_OK(carom_lock_acquire(lock, 0));
    stage(HOLDS);
    enter(recovered);
    leave();
    CHECK_OK(carom_lock_release(lock));
    stage(RELEASING);
    CHECK_OK(carom_lock_release(lock));
    stage(DONE);
}

static void lock_make_and_free(void) {
    carom_lock *fresh = NULL;
    CHECK_OK(carom_lock_new(NULL, &fresh));
    CHECK_OK(carom_lock_acquire(fresh, 0));
    carom_lock_free(fresh);
}
static void nothing_after(void) {}

#define LOCK_OPERATIONS                                                                                                    \
    {.name = "lock", .make = lock_make, .unmake = lock_unmake, .victim = lock_victim, .after = lock_after,                 \
     .barge = lock_barge, .unbarge = lock_unbarge, .wait = lock_use, .timed = lock_timed},                                 \
    {.name = "lock, woken", .make = lock_make, .unmake = lock_unmake, .before = lock_hold, .victim = lock_victim,          \
     .wake = lock_let_go, .after = lock_after, .barge = lock_barge, .unbarge = lock_unbarge, .wait = lock_use,             \
     .timed = lock_timed},                                                                                                 \
    {.name = "lock, timed out", .make = lock_make, .unmake = lock_unmake, .before = lock_hold, .victim = lock_times_out,   \
     .after = lock_after_time_out, .timed = lock_timed, .single = 1},                                                                   \
    {.name = "lock, recovered", .make = lock_make, .unmake = lock_unmake, .before = lock_orphan, .victim = lock_recovers,  \
     .after = lock_after_recovery, .single = 1},                                                                                        \
    {.name = "rlock", .make = rlock_make, .unmake = lock_unmake, .victim = rlock_victim, .after = lock_after,              \
     .barge = lock_barge, .unbarge = lock_unbarge, .wait = lock_use, .timed = lock_timed},                                 \
    {.name = "lock, made and freed", .victim = lock_make_and_free, .after = nothing_after}
#endif
