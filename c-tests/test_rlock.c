/* Recursive locks: what they promise while everybody lives. */
#include "sync.h"

static carom_lock *lock;

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

int main(void) {
    RUN(rlock_levels);
    RUN(rlock_excludes);
    return 0;
}
