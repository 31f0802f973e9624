/* What locks, semaphores, conditions, events and barriers have in common: their end while one waits, and as arguments. */
#include "sync.h"

static carom_lock *lock;
static carom_semaphore *semaphore;
static carom_condition *condition;
static carom_event *event;
static carom_barrier *barrier;

/* ----------------------------------------------------------------------------------------------- the end of an object */

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

/* ------------------------------------------------------------------------------------------------------- as arguments */

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

int main(void) {
    RUN(freed_while_one_waits);
    RUN(as_arguments_and_globals);
    return 0;
}
