/* test_misuse.c: locks. */

static void bad_lock_options(carom_status (*new)(const carom_lock_options *, carom_lock **)) {
    EACH_BAD_SIZE(carom_lock_options, options, status, 0, REFUSED_HANDLE(carom_lock, out, new(options, out), status));
    carom_lock_options options = {.size = sizeof options, .reserved = 1};
    REFUSED_HANDLE(carom_lock, out, new(&options, out), CAROM_E2BIG);
    REFUSED(new(NULL, NULL), CAROM_EINVAL);
    REFUSED(new(NULL, (carom_lock **)(uintptr_t)3), CAROM_EINVAL);
}
ROW(carom_lock_new) { bad_lock_options(carom_lock_new); }
ROW(carom_rlock_new) { bad_lock_options(carom_rlock_new); }
ROW(carom_lock_acquire) {
    EACH_BAD(carom_lock, LOCK, h, REFUSED(carom_lock_acquire(h, 0), CAROM_EBADHANDLE));
    EACH_BAD(carom_lock, LOCK, h, REFUSED(carom_lock_acquire(h, CAROM_FOREVER), CAROM_EBADHANDLE));
    REFUSED(carom_lock_acquire(held, 0), CAROM_ETIMEDOUT);
    REFUSED(carom_lock_acquire(held, 1), CAROM_ETIMEDOUT);
}
ROW(carom_lock_recover) {
    EACH_BAD(carom_lock, LOCK, h, REFUSED(carom_lock_recover(h, 0), CAROM_EBADHANDLE));
    REFUSED(carom_lock_recover(held, 0), CAROM_ETIMEDOUT);
}
ROW(carom_lock_release) {
    EACH_BAD(carom_lock, LOCK, h, REFUSED(carom_lock_release(h), CAROM_EBADHANDLE));
    REFUSED(carom_lock_release(lock), CAROM_EPERM);
}
ROW(carom_lock_locked) { EACH_BAD(carom_lock, LOCK, h, REFUSED(carom_lock_locked(h), CAROM_EBADHANDLE)); }
ROW(carom_lock_free) { EACH_BAD(carom_lock, LOCK, h, carom_lock_free(h)); }
