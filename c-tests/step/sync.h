/* Operations of semaphores, conditions, events and barriers. */
#ifndef STEP_SYNC_H
#define STEP_SYNC_H

#include "harness.h"

static carom_semaphore *semaphore;
static carom_condition *condition;
static carom_event *event;
static carom_barrier *barrier;

/* ---- semaphores ---- */

static void plain_make(void) { CHECK_OK(carom_semaphore_new(1, NULL, &semaphore)); }
static void owned_make(void) {
    carom_semaphore_options options = {.size = sizeof options, .owned = 1};
    CHECK_OK(carom_bounded_semaphore_new(1, &options, &semaphore));
}
static void semaphore_unmake(void) { carom_semaphore_free(semaphore); }
static void semaphore_victim(void) {
    stage(ACQUIRING);
    CHECK_OK(carom_semaphore_acquire(semaphore, PATIENCE_MS));
    stage(HOLDS);
    enter(0);
    leave();
    stage(RELEASING);
    CHECK_OK(carom_semaphore_release(semaphore));
    stage(DONE);
}
static void semaphore_use(void) {
    CHECK_OK(carom_semaphore_acquire(semaphore, PATIENCE_MS));
    CHECK_OK(carom_semaphore_release(semaphore));
}
/* The units of the dead come back. */
static void owned_after(void) {
    semaphore_use();
    CHECK_OK(carom_semaphore_acquire(semaphore, PATIENCE_MS));
    CHECK_STATUS(carom_semaphore_acquire(semaphore, 0), CAROM_ETIMEDOUT);
    CHECK_OK(carom_semaphore_release(semaphore));
}
/* A plain unit dies with who holds it, and nothing else does. */
static void plain_after(void) {
    int64_t left = carom_semaphore_value(semaphore);
    if (point.script != SECOND_KILL && !needs_partner(point.operation, point.script)) {
        int64_t least = !point.killed || reached() == BEFORE || reached() == DONE, most = !(point.killed && reached() == HOLDS);
        CHECK(left >= least && left <= most);
    }
    if (left == 0) CHECK_OK(carom_semaphore_release(semaphore));
    if (needs_partner(point.operation, point.script)) partner_ends();
    semaphore_use();
    while (carom_semaphore_value(semaphore) > 1) CHECK_OK(carom_semaphore_acquire(semaphore, 0));
}
static int semaphore_barge(void) {
    carom_status status = carom_semaphore_acquire(semaphore, 0);
    if (status != CAROM_OK) CHECK_STATUS(status, CAROM_ETIMEDOUT);
    return status == CAROM_OK;
}
static void semaphore_let_go(void) { CHECK_OK(carom_semaphore_release(semaphore)); }
static void semaphore_hold(void) { CHECK_OK(carom_semaphore_acquire(semaphore, 0)); }
static void semaphore_timed(void) {
    carom_status status = carom_semaphore_acquire(semaphore, 1);
    if (status == CAROM_OK) CHECK_OK(carom_semaphore_release(semaphore));
    else CHECK_STATUS(status, CAROM_ETIMEDOUT);
}

/* ---- events ---- */

static void event_make(void) { CHECK_OK(carom_event_new(&event)); }
static void event_unmake(void) { carom_event_free(event); }
static void event_clear(void) { CHECK_OK(carom_event_clear(event)); }
static void event_set(void) { CHECK_OK(carom_event_set(event)); }
static void event_await(void) { CHECK_OK(carom_event_wait(event, PATIENCE_MS)); }
static void event_victim(void) {
    stage(ACQUIRING);
    CHECK_OK(carom_event_set(event));
    stage(DONE);
}
static void event_after(void) {
    if (reached() == DONE) CHECK_EQ(carom_event_is_set(event), 1);
    if (reached() == BEFORE && point.script != SECOND_KILL) CHECK_EQ(carom_event_is_set(event), 0);
    event_set();
    event_await();
}
static void event_timed(void) {
    carom_status status = carom_event_wait(event, 1);
    if (status != CAROM_OK) CHECK_STATUS(status, CAROM_ETIMEDOUT);
}

static void event_clears(void) {
    stage(ACQUIRING);
    CHECK_OK(carom_event_clear(event));
    stage(DONE);
}
static void event_after_clear(void) {
    if (reached() == DONE) CHECK_EQ(carom_event_is_set(event), 0);
    if (reached() == BEFORE && point.script != SECOND_KILL) CHECK_EQ(carom_event_is_set(event), 1);
}

/* ---- conditions ---- */

static void condition_make(void) { CHECK_OK(carom_condition_new(NULL, &condition)); }
static void condition_unmake(void) { carom_condition_free(condition); }
static void condition_make_over_a_lock(void) {
    carom_lock *given = NULL;
    CHECK_OK(carom_lock_new(NULL, &given));
    CHECK_OK(carom_condition_new(given, &condition));
    carom_lock_free(given);
}
static int condition_taken(void) {
    return ACQUIRED(carom_condition_acquire(condition, PATIENCE_MS), carom_condition_recover(condition, PATIENCE_MS));
}
static void condition_notify(void) {
    condition_taken();
    CHECK_OK(carom_condition_notify_all(condition));
    CHECK_OK(carom_condition_release(condition));
}
static void condition_notify_one(void) {
    condition_taken();
    CHECK_OK(carom_condition_notify(condition, 1));
    CHECK_OK(carom_condition_release(condition));
}
/* A wake for nothing is legal; that it ends is what counts. */
static void condition_await(void) {
    condition_taken();
    carom_status status = carom_condition_wait(condition, PATIENCE_MS);
    if (status != CAROM_EOWNERDEAD) CHECK_STATUS(status, CAROM_OK);
    CHECK_OK(carom_condition_release(condition));
}
static void condition_await_briefly(void) {
    condition_taken();
    carom_status status = carom_condition_wait(condition, 2);
    if (status != CAROM_EOWNERDEAD && status != CAROM_ETIMEDOUT) CHECK_STATUS(status, CAROM_OK);
    CHECK_OK(carom_condition_release(condition));
}
static void condition_timed(void) {
    carom_status status = carom_condition_acquire(condition, 1);
    if (status == CAROM_OK) CHECK_OK(carom_condition_release(condition));
    else CHECK_STATUS(status, CAROM_ETIMEDOUT);
}
static int condition_barge(void) {
    carom_status status = carom_condition_acquire(condition, 0);
    if (status != CAROM_OK) CHECK_STATUS(status, CAROM_ETIMEDOUT);
    return status == CAROM_OK;
}
static void condition_unbarge(void) { CHECK_OK(carom_condition_release(condition)); }
/* Whoever still waits, or comes to wait, hears a notification. */
static void condition_after(void) {
    condition_notify();
    int64_t until = now_ms() + PATIENCE_MS;
    while (needs_partner(point.operation, point.script) && !partner_is_through()) {
        condition_notify();
        CHECK(now_ms() < until);
    }
}

/* ---- barriers ---- */

static void barrier_make(void) { CHECK_OK(carom_barrier_new(2, NULL, &barrier)); }
static void barrier_unmake(void) { carom_barrier_free(barrier); }
static void barrier_victim(void) {
    stage(ACQUIRING);
    int64_t index = carom_barrier_wait(barrier, PATIENCE_MS);
    CHECK((index & ~1) == 0 || index == CAROM_EBROKEN);
    stage(DONE);
}
static void barrier_meet(void) {
    int64_t index = carom_barrier_wait(barrier, PATIENCE_MS);
    CHECK((index & ~1) == 0 || index == CAROM_EBROKEN);
}
/* The partner may be alone by now: this process is as good as the victim. Then two who live meet. */
static void barrier_after(void) {
    int64_t until = now_ms() + PATIENCE_MS;
    while (partner_process && !partner_is_through()) {
        carom_barrier_wait(barrier, 1);
        CHECK(now_ms() < until);
    }
    CHECK_OK(carom_barrier_reset(barrier));
    CHECK_EQ(carom_barrier_waiting(barrier), 0);
    CHECK_STATUS(carom_barrier_wait(barrier, 0), CAROM_ETIMEDOUT);
    CHECK_OK(carom_barrier_reset(barrier));
}
/* Of three, for two places: whoever is too many waits until the others have met. */
static int32_t barrier_party(carom_call *call) {
    (void)call;
    barrier_meet();
    return 0;
}
static void barrier_second(void) {
    carom_process *process = started(barrier_party);
    CHECK_OK(carom_process_kill(process));
    ended(process);
}
static void barrier_timed(void) {
    int64_t index = carom_barrier_wait(barrier, 1);
    if (index != CAROM_ETIMEDOUT && index != CAROM_EBROKEN) CHECK_EQ(index & ~1, 0);
}

static void barrier_resets(void) { CHECK_OK(carom_barrier_reset(barrier)); }
static void barrier_aborts(void) { CHECK_OK(carom_barrier_abort(barrier)); }

/* ---- all of them: made, used, freed ---- */

static void sync_make_and_free(void) {
    carom_semaphore_options owned = {.size = sizeof owned, .owned = 1};
    carom_semaphore *a_semaphore = NULL;
    carom_condition *a_condition = NULL;
    carom_event *an_event = NULL;
    carom_barrier *a_barrier = NULL;
    CHECK_OK(carom_semaphore_new(100, &owned, &a_semaphore));
    CHECK_OK(carom_semaphore_acquire(a_semaphore, 0));
    carom_semaphore_free(a_semaphore);
    CHECK_OK(carom_condition_new(NULL, &a_condition));
    carom_condition_free(a_condition);
    CHECK_OK(carom_event_new(&an_event));
    carom_event_free(an_event);
    CHECK_OK(carom_barrier_new(100, NULL, &a_barrier));
    carom_barrier_free(a_barrier);
}

#define SYNC_OPERATIONS                                                                                                \
    {.name = "semaphore, plain", .make = plain_make, .unmake = semaphore_unmake, .victim = semaphore_victim,           \
     .after = plain_after, .barge = semaphore_barge, .unbarge = semaphore_let_go, .wait = semaphore_use,               \
     .timed = semaphore_timed},                                                                                        \
    {.name = "semaphore, owned", .make = owned_make, .unmake = semaphore_unmake, .victim = semaphore_victim,           \
     .after = owned_after, .barge = semaphore_barge, .unbarge = semaphore_let_go, .wait = semaphore_use,               \
     .timed = semaphore_timed},                                                                                        \
    {.name = "semaphore, woken", .make = owned_make, .unmake = semaphore_unmake, .before = semaphore_hold,             \
     .victim = semaphore_victim, .wake = semaphore_let_go, .after = owned_after, .barge = semaphore_barge,             \
     .unbarge = semaphore_let_go, .wait = semaphore_use, .timed = semaphore_timed},                                    \
    {.name = "event, set", .make = event_make, .unmake = event_unmake, .before = event_clear, .victim = event_victim,  \
     .after = event_after, .wait = event_await, .timed = event_timed},                                                 \
    {.name = "event, wait", .make = event_make, .unmake = event_unmake, .before = event_clear, .victim = event_await,  \
     .wake = event_set, .after = event_set, .wait = event_await, .timed = event_timed},                                \
    {.name = "condition, notify", .make = condition_make, .unmake = condition_unmake, .victim = condition_notify,      \
     .after = condition_after, .wait = condition_await, .timed = condition_timed,                                      \
     .barge = condition_barge, .unbarge = condition_unbarge},                                                          \
    {.name = "condition, notify one", .make = condition_make, .unmake = condition_unmake,                              \
     .victim = condition_notify_one, .after = condition_after, .wait = condition_await, .timed = condition_timed,      \
     .barge = condition_barge, .unbarge = condition_unbarge},                                                          \
    {.name = "condition, wait", .make = condition_make, .unmake = condition_unmake, .victim = condition_await,         \
     .wake = condition_notify, .wake_often = 1, .after = condition_after, .wait = condition_await,                     \
     .timed = condition_timed,                                                                                         \
     .barge = condition_barge, .unbarge = condition_unbarge},                                                          \
    {.name = "condition, timed out", .make = condition_make, .unmake = condition_unmake,                               \
     .victim = condition_await_briefly, .after = condition_after, .wait = condition_await, .timed = condition_timed,   \
     .barge = condition_barge, .unbarge = condition_unbarge},                                                          \
    {.name = "barrier, first", .make = barrier_make, .unmake = barrier_unmake, .victim = barrier_victim,               \
     .wake = partner_begins, .accompanied = 1, .after = barrier_after, .wait = barrier_meet, .timed = barrier_timed},  \
    {.name = "barrier, last", .make = barrier_make, .unmake = barrier_unmake, .before = partner_begins,                \
     .accompanied = 1, .victim = barrier_victim, .after = barrier_after, .wait = barrier_meet,                         \
     .second = barrier_second},                                                                                        \
    {.name = "barrier, reset", .make = barrier_make, .unmake = barrier_unmake, .before = partner_begins,               \
     .accompanied = 1, .victim = barrier_resets, .after = barrier_after, .wait = barrier_meet,                         \
     .timed = barrier_timed, .second = barrier_second},                                                                \
    {.name = "barrier, abort", .make = barrier_make, .unmake = barrier_unmake, .before = partner_begins,               \
     .accompanied = 1, .victim = barrier_aborts, .after = barrier_after, .wait = barrier_meet,                         \
     .timed = barrier_timed, .second = barrier_second},                                                                \
    {.name = "event, clear", .make = event_make, .unmake = event_unmake, .before = event_set, .victim = event_clears,  \
     .after = event_after_clear},                                                                                      \
    {.name = "condition given, notify", .make = condition_make_over_a_lock, .unmake = condition_unmake,                \
     .victim = condition_notify, .after = condition_after, .wait = condition_await, .timed = condition_timed,          \
     .barge = condition_barge, .unbarge = condition_unbarge},                                                          \
    {.name = "condition given, wait", .make = condition_make_over_a_lock, .unmake = condition_unmake,                  \
     .victim = condition_await, .wake = condition_notify, .wake_often = 1, .after = condition_after,                   \
     .wait = condition_await, .timed = condition_timed,                                                                \
     .barge = condition_barge, .unbarge = condition_unbarge},                                                          \
    {.name = "sync, made and freed", .victim = sync_make_and_free, .after = nothing_after,                             \
     .wait = sync_make_and_free}
#endif
