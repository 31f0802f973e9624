/* test_misuse.c: calls, from outside and from inside. */

/* ------------------------------------------------------------------------------------------------- calls, from outside */

static void *const strange_calls[] = {NULL, (void *)(uintptr_t)1, (void *)(uintptr_t)0xa5a5a5a5a5a5a5a5, &row_count};
#define EACH_STRANGE_CALL(call, ...)                                                                             \
    for (size_t i_ = 0; i_ <= sizeof strange_calls / sizeof *strange_calls; i_++) {                                    \
        carom_call *call = (carom_call *)(i_ == 4 ? (void *)lock : strange_calls[i_]);                                 \
        __VA_ARGS__;                                                                                                     \
    }

ROW(carom_call_count) { EACH_STRANGE_CALL(call, REFUSED(carom_call_count(call), CAROM_EBADHANDLE)); }
ROW(carom_call_read) { EACH_STRANGE_CALL(call, UNTOUCHED(int64_t, out, carom_call_read(call, 0, out, 8), CAROM_EBADHANDLE)); }
ROW(carom_call_argument) {
    EACH_STRANGE_CALL(call, UNTOUCHED(carom_argument, out, carom_call_argument(call, 0, out), CAROM_EBADHANDLE));
}
ROW(carom_call_lock) { EACH_STRANGE_CALL(call, REFUSED_HANDLE(carom_lock, out, carom_call_lock(call, 0, out), CAROM_EBADHANDLE)); }
ROW(carom_call_value) { EACH_STRANGE_CALL(call, REFUSED_HANDLE(carom_value, out, carom_call_value(call, 0, out), CAROM_EBADHANDLE)); }
#define CALL_ROW(noun)                                                                                                 \
    ROW(carom_call_##noun) {                                                                                           \
        EACH_STRANGE_CALL(call, REFUSED_HANDLE(carom_##noun, out, carom_call_##noun(call, 0, out), CAROM_EBADHANDLE)); \
    }
CALL_ROW(array)
CALL_ROW(semaphore)
CALL_ROW(condition)
CALL_ROW(event)
CALL_ROW(barrier)
CALL_ROW(connection)
CALL_ROW(queue)
CALL_ROW(listener)
CALL_ROW(dict)
CALL_ROW(list)
CALL_ROW(proxy)
CALL_ROW(manager)
CALL_ROW(pool)
ROW(carom_handle_keep) {
    EACH_STRANGE_CALL(call, REFUSED(carom_handle_keep(call, lock), CAROM_EBADHANDLE));
    EACH_STRANGE_CALL(call, REFUSED(carom_handle_keep(call, value), CAROM_EBADHANDLE));
    EACH_STRANGE_CALL(call, REFUSED(carom_handle_keep(call, NULL), CAROM_EBADHANDLE));
}
ROW(carom_call_reply) { EACH_STRANGE_CALL(call, REFUSED(carom_call_reply(call, "x", 1), CAROM_EBADHANDLE)); }
ROW(carom_call_reply_value) {
    carom_argument it = CAROM_NIL;
    EACH_STRANGE_CALL(call, REFUSED(carom_call_reply_value(call, &it), CAROM_EBADHANDLE));
}
ROW(carom_call_object) { EACH_STRANGE_CALL(call, CHECK(carom_call_object(call) == NULL)); }
ROW(carom_call_set_object) { EACH_STRANGE_CALL(call, REFUSED(carom_call_set_object(call, NULL), CAROM_EBADHANDLE)); }
ROW(carom_call_reserve) { EACH_STRANGE_CALL(call, REFUSED_HANDLE(void, out, carom_call_reserve(call, 8, out), CAROM_EBADHANDLE)); }
ROW(carom_call_commit) { EACH_STRANGE_CALL(call, REFUSED(carom_call_commit(call, 0), CAROM_EBADHANDLE)); }
ROW(carom_call_should_stop) { EACH_STRANGE_CALL(call, REFUSED(carom_call_should_stop(call), CAROM_EBADHANDLE)); }
ROW(carom_call_attempt) { EACH_STRANGE_CALL(call, REFUSED(carom_call_attempt(call), CAROM_EBADHANDLE)); }
ROW(carom_call_job_id) { EACH_STRANGE_CALL(call, UNTOUCHED(carom_job_id, out, carom_call_job_id(call, out), CAROM_EBADHANDLE)); }
ROW(carom_call_correlation_id) { EACH_STRANGE_CALL(call, CHECK_STR_EQ(carom_call_correlation_id(call), "")); }
ROW(carom_call_on_stop) { EACH_STRANGE_CALL(call, REFUSED(carom_call_on_stop(call, NULL, NULL), CAROM_EBADHANDLE)); }
ROW(carom_call_fail) {
    EACH_STRANGE_CALL(call, CHECK_EQ(carom_call_fail(call, 3, "x"), 3));
    EACH_STRANGE_CALL(call, CHECK_EQ(carom_call_fail(call, 0, NULL), 1));
    CHECK_EQ(carom_call_fail(NULL, INT32_MIN, "x"), INT32_MIN);
}

/* ----------------------------------------------------------------------------------------------- calls, from inside */

/* 0: eight bytes, 1: lock, 2: value, 3: nil, 4: a list, 5: array, 6: semaphore, 7: condition, 8: event, 9: barrier,
 * 10: queue. */
static void misuse_call(carom_call *call) {
    UNTOUCHED(int64_t, out, carom_call_read(call, 0, out, 7), CAROM_EMSGSIZE);
    UNTOUCHED(int64_t, out, carom_call_read(call, 0, out, 9), CAROM_EMSGSIZE);
    UNTOUCHED(int64_t, out, carom_call_read(call, 0, out, 0), CAROM_EMSGSIZE);
    UNTOUCHED(int64_t, out, carom_call_read(call, 0, out, SIZE_MAX), CAROM_EINVAL);
    REFUSED(carom_call_read(call, 0, NULL, 8), CAROM_EINVAL);
    for (size_t index = 1; index < 11; index++) UNTOUCHED(int64_t, out, carom_call_read(call, index, out, 8), CAROM_EINVAL);
    UNTOUCHED(int64_t, out, carom_call_read(call, 11, out, 8), CAROM_EINVAL);
    UNTOUCHED(int64_t, out, carom_call_read(call, SIZE_MAX, out, 8), CAROM_EINVAL);

    UNTOUCHED(carom_argument, out, carom_call_argument(call, 11, out), CAROM_EINVAL);
    UNTOUCHED(carom_argument, out, carom_call_argument(call, SIZE_MAX, out), CAROM_EINVAL);
    for (size_t index = 0; index < 11; index++) REFUSED(carom_call_argument(call, index, NULL), CAROM_EINVAL);
    carom_argument crooked[2];
    REFUSED(carom_call_argument(call, 0, (carom_argument *)(void *)((char *)crooked + 1)), CAROM_EINVAL);

    REFUSED_HANDLE(carom_lock, out, carom_call_lock(call, 0, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_connection, out, carom_call_connection(call, 0, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_connection, out, carom_call_connection(call, 1, out), CAROM_EBADHANDLE);
    REFUSED_HANDLE(carom_lock, out, carom_call_lock(call, 2, out), CAROM_EBADHANDLE);
    REFUSED_HANDLE(carom_lock, out, carom_call_lock(call, 3, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_lock, out, carom_call_lock(call, 11, out), CAROM_EINVAL);
    REFUSED(carom_call_lock(call, 1, NULL), CAROM_EINVAL);
    REFUSED_HANDLE(carom_value, out, carom_call_value(call, 0, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_value, out, carom_call_value(call, 1, out), CAROM_EBADHANDLE);
    REFUSED_HANDLE(carom_value, out, carom_call_value(call, 4, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_value, out, carom_call_value(call, 11, out), CAROM_EINVAL);
    REFUSED(carom_call_value(call, 2, NULL), CAROM_EINVAL);
#define MISUSE_CALL(noun, place)                                                                                       \
    for (size_t index = 0; index < 13; index++)                                                                        \
        if (index != place)                                                                                            \
            REFUSED_HANDLE(carom_##noun, out, carom_call_##noun(call, index, out),                                     \
                           index == 1 || index == 2 || (index > 4 && index < 11) ? CAROM_EBADHANDLE : CAROM_EINVAL);   \
    REFUSED_HANDLE(carom_##noun, out, carom_call_##noun(call, SIZE_MAX, out), CAROM_EINVAL);                           \
    REFUSED(carom_call_##noun(call, place, NULL), CAROM_EINVAL);                                                       \
    REFUSED(carom_call_##noun(call, place, (carom_##noun **)(uintptr_t)1), CAROM_EINVAL)
    MISUSE_CALL(array, 5);
    MISUSE_CALL(semaphore, 6);
    MISUSE_CALL(condition, 7);
    MISUSE_CALL(event, 8);
    MISUSE_CALL(barrier, 9);
    MISUSE_CALL(queue, 10);
    MISUSE_CALL(listener, 99);
    MISUSE_CALL(dict, 99);
    MISUSE_CALL(list, 99);
    MISUSE_CALL(proxy, 99);
    MISUSE_CALL(manager, 99);
#undef MISUSE_CALL

    /* Kept is what was lent, once; what is the function's own is not. */
    carom_lock *lent = NULL, *own = NULL;
    CHECK_OK(carom_lock_new(NULL, &own));
    REFUSED(carom_handle_keep(call, own), CAROM_EBADHANDLE);
    REFUSED(carom_handle_keep(call, NULL), CAROM_EBADHANDLE);
    REFUSED(carom_handle_keep(call, &lent), CAROM_EBADHANDLE);
    CHECK_OK(carom_call_lock(call, 1, &lent));
    CHECK_OK(carom_handle_keep(call, lent));
    REFUSED(carom_handle_keep(call, lent), CAROM_EBADHANDLE);
    carom_lock_free(lent);
    REFUSED(carom_handle_keep(call, lent), CAROM_EBADHANDLE);
    carom_lock_free(own);
    /* A lent handle that is freed all the same is freed, and not once more afterwards. */
    CHECK_OK(carom_call_lock(call, 1, &lent));
    carom_lock_free(lent);
    CHECK_EQ(carom_lock_locked(lent), CAROM_EBADHANDLE);

    /* There is no object, and nobody who takes a value. */
    carom_argument it = CAROM_NIL;
    REFUSED(carom_call_reply_value(call, &it), CAROM_EPERM);
    REFUSED(carom_call_reply_value(call, NULL), CAROM_EINVAL);
    REFUSED(carom_call_set_object(call, call), CAROM_EPERM);
    CHECK(carom_call_object(call) == NULL);

    REFUSED(carom_call_job_id(call, NULL), CAROM_EINVAL);
    REFUSED(carom_call_job_id(call, (carom_job_id *)(uintptr_t)1), CAROM_EINVAL);
    CHECK_STR_EQ(carom_call_correlation_id(call), "");
    CHECK_EQ(carom_call_should_stop(call), 0);
    CHECK_OK(carom_call_on_stop(call, NULL, call));

    CHECK_EQ(carom_call_fail(call, 0, NULL), 1);
    char *text = calloc(1, 100001);
    memset(text, 't', 100000);
    CHECK_EQ(carom_call_fail(call, 7, text), 7);
    CHECK_EQ(carom_call_fail(call, 7, "\xff\xfe"), 7);
    free(text);
}

static int32_t misuses_call(carom_call *call) {
    misuse_call(call);
    return 18;
}

static int32_t misuses_reply(carom_call *call) {
    void *place = NULL;
    misuse_call(call);
    REFUSED(carom_call_commit(call, 0), CAROM_EPERM);
    REFUSED(carom_call_reply(call, NULL, 1), CAROM_EINVAL);
    REFUSED(carom_call_reply(call, "x", SIZE_MAX), CAROM_EINVAL);
    REFUSED(carom_call_reserve(call, 8, NULL), CAROM_EINVAL);
    REFUSED_HANDLE(void, out, carom_call_reserve(call, SIZE_MAX, out), CAROM_ENOMEM);
    REFUSED_HANDLE(void, out, carom_call_reserve(call, SIZE_MAX / 2, out), CAROM_ENOMEM);
    REFUSED_HANDLE(void, out, carom_call_reserve(call, (size_t)1 << 45, out), CAROM_ENOMEM);
    CHECK_OK(carom_call_reserve(call, 100, &place));
    CHECK(place != NULL);
    CHECK_EQ((uintptr_t)place % 16, 0);
    memset(place, 7, 100);
    REFUSED(carom_call_commit(call, 101), CAROM_EMSGSIZE);
    REFUSED(carom_call_commit(call, SIZE_MAX), CAROM_EMSGSIZE);
    CHECK_OK(carom_call_commit(call, 100));
    CHECK_OK(carom_call_reply(call, "the last counts", 15));
    return 0;
}

static void calls_from_inside(void) {
    int64_t eight = 8;
    carom_argument element = CAROM_NIL;
    carom_argument arguments[] = {
        CAROM_BYTES(&eight, 8), CAROM_HANDLE(lock), CAROM_HANDLE(value), CAROM_NIL,
        CAROM_ARGUMENT_(CAROM_ARGUMENT_LIST, &element, 1, 0, 0, NULL),
        CAROM_HANDLE(array), CAROM_HANDLE(semaphore), CAROM_HANDLE(condition), CAROM_HANDLE(event), CAROM_HANDLE(barrier),
        CAROM_HANDLE(queue),
    };
    CHECK_EQ(outcome_of(misuses_call, arguments, 11), 18);
    char reply[64];
    size_t len = 0;
    CHECK_OK(carom_pool_apply(pool, misuses_reply, arguments, 11, NULL, reply, sizeof reply, &len, PATIENCE_MS));
    CHECK_EQ(len, 15);
    CHECK(memcmp(reply, "the last counts", 15) == 0);
}
