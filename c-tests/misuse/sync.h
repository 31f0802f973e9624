/* test_misuse.c: semaphores, conditions, events, barriers. */

/* Timeouts that a wait must survive when there is nothing to wait for, or the handle is bad. */
static const int64_t timeouts[] = {0, 1, CAROM_FOREVER, -3, INT64_MIN, INT64_MAX};
#define EACH_TIMEOUT(t, ...)                                                                                     \
    for (size_t t_ = 0; t_ < sizeof timeouts / sizeof *timeouts; t_++) {                                               \
        int64_t t = timeouts[t_];                                                                                      \
        __VA_ARGS__;                                                                                                     \
    }

typedef carom_status (*new_semaphore)(int64_t, const carom_semaphore_options *, carom_semaphore **);

static void bad_semaphore_options(new_semaphore new) {
    carom_semaphore_options options = {.size = sizeof options};
    REFUSED_HANDLE(carom_semaphore, out, new(-1, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_semaphore, out, new(INT64_MIN, &options, out), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_semaphore_options, bad, status, 0, REFUSED_HANDLE(carom_semaphore, out, new(1, bad, out), status));
    options.owned = 1;
    REFUSED_HANDLE(carom_semaphore, out, new(4097, &options, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_semaphore, out, new(INT64_MAX, &options, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_semaphore, out, new(-1, &options, out), CAROM_EINVAL);
    options.reserved = 1;
    REFUSED_HANDLE(carom_semaphore, out, new(1, &options, out), CAROM_E2BIG);
    REFUSED(new(1, NULL, NULL), CAROM_EINVAL);
    REFUSED(new(1, NULL, (carom_semaphore **)(uintptr_t)3), CAROM_EINVAL);
}
ROW(carom_semaphore_new) { bad_semaphore_options(carom_semaphore_new); }
ROW(carom_bounded_semaphore_new) { bad_semaphore_options(carom_bounded_semaphore_new); }
ROW(carom_semaphore_acquire) {
    EACH_BAD(carom_semaphore, SEMAPHORE, h, EACH_TIMEOUT(t, REFUSED(carom_semaphore_acquire(h, t), CAROM_EBADHANDLE)));
    carom_semaphore *empty = NULL;
    CHECK_OK(carom_semaphore_new(0, NULL, &empty));
    REFUSED(carom_semaphore_acquire(empty, 0), CAROM_ETIMEDOUT);
    REFUSED(carom_semaphore_acquire(empty, 1), CAROM_ETIMEDOUT);
    CHECK_EQ(carom_semaphore_value(empty), 0);
    carom_semaphore_free(empty);
}
ROW(carom_semaphore_release) {
    EACH_BAD(carom_semaphore, SEMAPHORE, h, REFUSED(carom_semaphore_release(h), CAROM_EBADHANDLE));
    REFUSED(carom_semaphore_release(semaphore), CAROM_EPERM); /* bounded, and full */
    CHECK_EQ(carom_semaphore_value(semaphore), 2);
    REFUSED(carom_semaphore_release(owned), CAROM_EPERM); /* this process has none */
    CHECK_EQ(carom_semaphore_value(owned), 2);
    /* More than there can be. */
    carom_semaphore *full = NULL;
    CHECK_OK(carom_semaphore_new(INT64_MAX, NULL, &full));
    REFUSED(carom_semaphore_release(full), CAROM_EPERM);
    CHECK_EQ(carom_semaphore_value(full), INT64_MAX);
    carom_semaphore_free(full);
    CHECK_OK(carom_bounded_semaphore_new(0, NULL, &full));
    REFUSED(carom_semaphore_release(full), CAROM_EPERM);
    carom_semaphore_free(full);
}
ROW(carom_semaphore_value) { EACH_BAD(carom_semaphore, SEMAPHORE, h, REFUSED(carom_semaphore_value(h), CAROM_EBADHANDLE)); }
ROW(carom_semaphore_free) { EACH_BAD(carom_semaphore, SEMAPHORE, h, carom_semaphore_free(h)); }

static int32_t never(void *ctx) {
    ++*(int *)ctx;
    return 0;
}
static int32_t at_once(void *ctx) {
    ++*(int *)ctx;
    return 1;
}

ROW(carom_condition_new) {
    EACH_BAD(carom_lock, LOCK, h,
             if (h) REFUSED_HANDLE(carom_condition, out, carom_condition_new(h, out), CAROM_EBADHANDLE));
    REFUSED(carom_condition_new(NULL, NULL), CAROM_EINVAL);
    REFUSED(carom_condition_new(lock, (carom_condition **)(uintptr_t)3), CAROM_EINVAL);
}
ROW(carom_condition_acquire) {
    EACH_BAD(carom_condition, CONDITION, h, EACH_TIMEOUT(t, REFUSED(carom_condition_acquire(h, t), CAROM_EBADHANDLE)));
    carom_condition *over_held = NULL;
    CHECK_OK(carom_condition_new(held, &over_held));
    REFUSED(carom_condition_acquire(over_held, 0), CAROM_ETIMEDOUT);
    REFUSED(carom_condition_acquire(over_held, 1), CAROM_ETIMEDOUT);
    REFUSED(carom_condition_recover(over_held, 0), CAROM_ETIMEDOUT);
    carom_condition_free(over_held);
}
ROW(carom_condition_recover) {
    EACH_BAD(carom_condition, CONDITION, h, EACH_TIMEOUT(t, REFUSED(carom_condition_recover(h, t), CAROM_EBADHANDLE)));
}
ROW(carom_condition_release) {
    EACH_BAD(carom_condition, CONDITION, h, REFUSED(carom_condition_release(h), CAROM_EBADHANDLE));
    REFUSED(carom_condition_release(condition), CAROM_EPERM);
}
ROW(carom_condition_wait) {
    EACH_BAD(carom_condition, CONDITION, h, EACH_TIMEOUT(t, REFUSED(carom_condition_wait(h, t), CAROM_EBADHANDLE)));
    EACH_TIMEOUT(t, REFUSED(carom_condition_wait(condition, t), CAROM_EPERM));
    /* Not even over a lock that nobody holds, of either kind. */
    carom_condition *plain = NULL;
    CHECK_OK(carom_condition_new(lock, &plain));
    EACH_TIMEOUT(t, REFUSED(carom_condition_wait(plain, t), CAROM_EPERM));
    REFUSED(carom_condition_notify(plain, 1), CAROM_EPERM);
    CHECK_EQ(carom_lock_locked(lock), 0);
    carom_condition_free(plain);
}
ROW(carom_condition_wait_for) {
    int asked = 0;
    EACH_BAD(carom_condition, CONDITION, h, {
        EACH_TIMEOUT(t, REFUSED(carom_condition_wait_for(h, never, &asked, t), CAROM_EBADHANDLE));
        REFUSED(carom_condition_wait_for(h, at_once, &asked, 0), CAROM_EBADHANDLE);
    });
    EACH_TIMEOUT(t, REFUSED(carom_condition_wait_for(condition, never, &asked, t), CAROM_EPERM));
    REFUSED(carom_condition_wait_for(condition, at_once, &asked, 0), CAROM_EPERM);
    CHECK_EQ(asked, 0); /* it is asked with the lock held, or not at all */
    CHECK_OK(carom_condition_acquire(condition, 0));
    EACH_TIMEOUT(t, REFUSED(carom_condition_wait_for(condition, NULL, NULL, t), CAROM_EINVAL));
    REFUSED(carom_condition_wait_for(condition, never, &asked, 0), CAROM_ETIMEDOUT);
    CHECK(asked > 0);
    CHECK_OK(carom_condition_release(condition));
    REFUSED(carom_condition_release(condition), CAROM_EPERM);
}
ROW(carom_condition_notify) {
    EACH_BAD(carom_condition, CONDITION, h, REFUSED(carom_condition_notify(h, 1), CAROM_EBADHANDLE));
    REFUSED(carom_condition_notify(condition, 1), CAROM_EPERM);
    REFUSED(carom_condition_notify(condition, 0), CAROM_EPERM);
    CHECK_OK(carom_condition_acquire(condition, 0));
    REFUSED(carom_condition_notify(condition, -1), CAROM_EINVAL);
    REFUSED(carom_condition_notify(condition, INT64_MIN), CAROM_EINVAL);
    CHECK_OK(carom_condition_notify(condition, 0));
    CHECK_OK(carom_condition_notify(condition, INT64_MAX));
    CHECK_OK(carom_condition_release(condition));
}
ROW(carom_condition_notify_all) {
    EACH_BAD(carom_condition, CONDITION, h, REFUSED(carom_condition_notify_all(h), CAROM_EBADHANDLE));
    REFUSED(carom_condition_notify_all(condition), CAROM_EPERM);
}
ROW(carom_condition_free) { EACH_BAD(carom_condition, CONDITION, h, carom_condition_free(h)); }

ROW(carom_event_new) {
    REFUSED(carom_event_new(NULL), CAROM_EINVAL);
    REFUSED(carom_event_new((carom_event **)(uintptr_t)3), CAROM_EINVAL);
}
ROW(carom_event_set) { EACH_BAD(carom_event, EVENT, h, REFUSED(carom_event_set(h), CAROM_EBADHANDLE)); }
ROW(carom_event_clear) { EACH_BAD(carom_event, EVENT, h, REFUSED(carom_event_clear(h), CAROM_EBADHANDLE)); }
ROW(carom_event_is_set) { EACH_BAD(carom_event, EVENT, h, REFUSED(carom_event_is_set(h), CAROM_EBADHANDLE)); }
ROW(carom_event_wait) {
    EACH_BAD(carom_event, EVENT, h, EACH_TIMEOUT(t, REFUSED(carom_event_wait(h, t), CAROM_EBADHANDLE)));
    REFUSED(carom_event_wait(event, 0), CAROM_ETIMEDOUT);
    REFUSED(carom_event_wait(event, 1), CAROM_ETIMEDOUT);
}
ROW(carom_event_free) { EACH_BAD(carom_event, EVENT, h, carom_event_free(h)); }

ROW(carom_barrier_new) {
    carom_barrier_options options = {.size = sizeof options};
    const int64_t parties[] = {0, -1, 4097, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < sizeof parties / sizeof *parties; i++) {
        REFUSED_HANDLE(carom_barrier, out, carom_barrier_new(parties[i], NULL, out), CAROM_EINVAL);
        REFUSED_HANDLE(carom_barrier, out, carom_barrier_new(parties[i], &options, out), CAROM_EINVAL);
    }
    EACH_BAD_SIZE(carom_barrier_options, bad, status, 0,
                  REFUSED_HANDLE(carom_barrier, out, carom_barrier_new(2, bad, out), status));
    EACH_STRANGE(f, {
        options.action = f;
        if (f) REFUSED_HANDLE(carom_barrier, out, carom_barrier_new(2, &options, out), CAROM_EFUNCTION);
    });
    options.action = NULL;
    const int64_t strange[] = {-2, CAROM_DEFAULT, INT64_MIN};
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        options.timeout_ms = strange[i];
        REFUSED_HANDLE(carom_barrier, out, carom_barrier_new(2, &options, out), CAROM_EINVAL);
    }
    REFUSED(carom_barrier_new(2, NULL, NULL), CAROM_EINVAL);
    REFUSED(carom_barrier_new(2, NULL, (carom_barrier **)(uintptr_t)3), CAROM_EINVAL);
}
ROW(carom_barrier_wait) {
    EACH_BAD(carom_barrier, BARRIER, h, EACH_TIMEOUT(t, REFUSED(carom_barrier_wait(h, t), CAROM_EBADHANDLE)));
    REFUSED(carom_barrier_wait(barrier, 0), CAROM_ETIMEDOUT);
    EACH_TIMEOUT(t, REFUSED(carom_barrier_wait(barrier, t), CAROM_EBROKEN));
    CHECK_EQ(carom_barrier_broken(barrier), 1);
    CHECK_EQ(carom_barrier_waiting(barrier), 0);
    CHECK_OK(carom_barrier_reset(barrier));
}
ROW(carom_barrier_reset) { EACH_BAD(carom_barrier, BARRIER, h, REFUSED(carom_barrier_reset(h), CAROM_EBADHANDLE)); }
ROW(carom_barrier_abort) { EACH_BAD(carom_barrier, BARRIER, h, REFUSED(carom_barrier_abort(h), CAROM_EBADHANDLE)); }
ROW(carom_barrier_parties) { EACH_BAD(carom_barrier, BARRIER, h, REFUSED(carom_barrier_parties(h), CAROM_EBADHANDLE)); }
ROW(carom_barrier_waiting) { EACH_BAD(carom_barrier, BARRIER, h, REFUSED(carom_barrier_waiting(h), CAROM_EBADHANDLE)); }
ROW(carom_barrier_broken) { EACH_BAD(carom_barrier, BARRIER, h, REFUSED(carom_barrier_broken(h), CAROM_EBADHANDLE)); }
ROW(carom_barrier_free) { EACH_BAD(carom_barrier, BARRIER, h, carom_barrier_free(h)); }
