/* test_misuse.c: values. */

ROW(carom_value_new) {
    int64_t eight = 8;
    REFUSED(carom_value_new(CAROM_I64, &eight, 8, NULL, NULL), CAROM_EINVAL);
    REFUSED(carom_value_new(CAROM_I64, &eight, 8, NULL, (carom_value **)(uintptr_t)5), CAROM_EINVAL);
    const uint32_t types[] = {1, 'z', 'A', 255, 256 + 'i', 0x80000000u, UINT32_MAX};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        REFUSED_HANDLE(carom_value, out, carom_value_new(types[i], NULL, 8, NULL, out), CAROM_EINVAL);
    const size_t lengths[] = {1, 7, 9, 16, SIZE_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        REFUSED_HANDLE(carom_value, out, carom_value_new(CAROM_I64, &eight, lengths[i], NULL, out), CAROM_EMSGSIZE);
    REFUSED_HANDLE(carom_value, out, carom_value_new(CAROM_RAW, NULL, 0, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_value, out, carom_value_new(CAROM_RAW, NULL, SIZE_MAX, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_value, out, carom_value_new(CAROM_RAW, NULL, (size_t)1 << 63, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_value, out, carom_value_new(CAROM_RAW, NULL, SIZE_MAX / 2, NULL, out), CAROM_ENOMEM);
    REFUSED_HANDLE(carom_value, out, carom_value_new(CAROM_RAW, NULL, (size_t)1 << 45, NULL, out), CAROM_ENOMEM);
    EACH_BAD_SIZE(carom_shared_options, options, status, 0,
                  REFUSED_HANDLE(carom_value, out, carom_value_new(CAROM_I64, NULL, 8, options, out), status));
    const uint32_t alignments[] = {3, 24, 4097, 8192, 0x80000000u, UINT32_MAX};
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++) {
        carom_shared_options options = {.size = sizeof options, .alignment = alignments[i]};
        REFUSED_HANDLE(carom_value, out, carom_value_new(CAROM_I64, NULL, 8, &options, out), CAROM_EINVAL);
    }
    EACH_BAD(carom_lock, LOCK, h, {
        carom_shared_options options = {.size = sizeof options, .lock = h};
        if (h) REFUSED_HANDLE(carom_value, out, carom_value_new(CAROM_I64, NULL, 8, &options, out), CAROM_EBADHANDLE);
    });
    carom_shared_options both = {.size = sizeof both, .lock = lock, .no_lock = 1};
    REFUSED_HANDLE(carom_value, out, carom_value_new(CAROM_I64, NULL, 8, &both, out), CAROM_EINVAL);
}
ROW(carom_value_data) {
    EACH_BAD(carom_value, VALUE, h, REFUSED(carom_value_data(h) == NULL ? CAROM_EBADHANDLE : 0, CAROM_EBADHANDLE));
}
ROW(carom_value_size) { EACH_BAD(carom_value, VALUE, h, REFUSED(carom_value_size(h), CAROM_EBADHANDLE)); }
ROW(carom_value_type) { EACH_BAD(carom_value, VALUE, h, REFUSED(carom_value_type(h), CAROM_EBADHANDLE)); }
ROW(carom_value_lock) {
    EACH_BAD(carom_value, VALUE, h, REFUSED(carom_value_lock(h, 0), CAROM_EBADHANDLE));
    EACH_BAD(carom_value, VALUE, h, REFUSED(carom_value_lock(h, CAROM_FOREVER), CAROM_EBADHANDLE));
    REFUSED(carom_value_lock(bare, 0), CAROM_EINVAL);
}
ROW(carom_value_recover) {
    EACH_BAD(carom_value, VALUE, h, REFUSED(carom_value_recover(h, 0), CAROM_EBADHANDLE));
    REFUSED(carom_value_recover(bare, 0), CAROM_EINVAL);
}
ROW(carom_value_unlock) {
    EACH_BAD(carom_value, VALUE, h, REFUSED(carom_value_unlock(h), CAROM_EBADHANDLE));
    REFUSED(carom_value_unlock(bare), CAROM_EINVAL);
    REFUSED(carom_value_unlock(value), CAROM_EPERM);
}
ROW(carom_value_get_lock) {
    EACH_BAD(carom_value, VALUE, h, REFUSED_HANDLE(carom_lock, out, carom_value_get_lock(h, out), CAROM_EBADHANDLE));
    REFUSED_HANDLE(carom_lock, out, carom_value_get_lock(bare, out), CAROM_EINVAL);
    REFUSED(carom_value_get_lock(value, NULL), CAROM_EINVAL);
}
ROW(carom_value_get) {
    EACH_BAD(carom_value, VALUE, h, EACH_TIMEOUT(t, UNTOUCHED(int64_t, out, carom_value_get(h, out, 8, t), CAROM_EBADHANDLE)));
    const size_t lengths[] = {0, 1, 7, 9};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        UNTOUCHED(int64_t, out, carom_value_get(value, out, lengths[i], 0), CAROM_EMSGSIZE);
    UNTOUCHED(int64_t, out, carom_value_get(value, out, SIZE_MAX, 0), CAROM_EINVAL);
    REFUSED(carom_value_get(value, NULL, 8, 0), CAROM_EINVAL);
    REFUSED(carom_value_get(value, NULL, 0, 0), CAROM_EMSGSIZE);
    REFUSED(carom_value_unlock(value), CAROM_EPERM); /* and the lock is not left held */
}
ROW(carom_value_set) {
    int64_t nine[2] = {9, 9}, five = 0;
    EACH_BAD(carom_value, VALUE, h, EACH_TIMEOUT(t, REFUSED(carom_value_set(h, nine, 8, t), CAROM_EBADHANDLE)));
    const size_t lengths[] = {0, 1, 7, 9, 16};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        REFUSED(carom_value_set(value, nine, lengths[i], 0), CAROM_EMSGSIZE);
    REFUSED(carom_value_set(value, nine, SIZE_MAX, 0), CAROM_EINVAL);
    REFUSED(carom_value_set(value, NULL, 8, 0), CAROM_EINVAL);
    REFUSED(carom_value_unlock(value), CAROM_EPERM);
    CHECK_OK(carom_value_get(value, &five, 8, 0));
    CHECK_EQ(five, 5);
}

/* What is no integer: for atomic operations. */
static void not_an_integer(carom_status (*operation)(carom_value *)) {
    const struct {
        uint32_t type;
        size_t len;
    } types[] = {{CAROM_F32, 4}, {CAROM_F64, 8}, {CAROM_WCHAR, 4}, {CAROM_RAW, 8}, {CAROM_RAW, 3}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        carom_value *other = NULL;
        char data[8], zero[8] = {0};
        CHECK_OK(carom_value_new(types[i].type, NULL, types[i].len, NULL, &other));
        REFUSED(operation(other), CAROM_EINVAL);
        CHECK_OK(carom_value_get(other, data, types[i].len, 0));
        CHECK(memcmp(data, zero, types[i].len) == 0);
        carom_value_free(other);
    }
}
static carom_status load_it(carom_value *it) {
    int64_t number = 4711;
    carom_status status = carom_value_load(it, &number);
    CHECK_EQ(number, 4711);
    return status;
}
static carom_status store_it(carom_value *it) { return carom_value_store(it, -1); }
static carom_status add_it(carom_value *it) { return carom_value_add(it, -1, NULL); }
static carom_status swap_it(carom_value *it) {
    int64_t before = 4711;
    carom_status status = carom_value_swap(it, 0, -1, &before);
    CHECK_EQ(before, 4711);
    return status;
}
#define STILL_FIVE()                                                                                                   \
    do {                                                                                                               \
        int64_t five_ = 0;                                                                                             \
        CHECK_OK(carom_value_load(value, &five_));                                                                     \
        CHECK_EQ(five_, 5);                                                                                            \
    } while (0)

ROW(carom_value_load) {
    EACH_BAD(carom_value, VALUE, h, UNTOUCHED(int64_t, out, carom_value_load(h, out), CAROM_EBADHANDLE));
    REFUSED(carom_value_load(value, NULL), CAROM_EINVAL);
    REFUSED(carom_value_load(value, (int64_t *)(uintptr_t)0x1001), CAROM_EINVAL);
    not_an_integer(load_it);
}
ROW(carom_value_store) {
    EACH_BAD(carom_value, VALUE, h, REFUSED(carom_value_store(h, 1), CAROM_EBADHANDLE));
    not_an_integer(store_it);
    STILL_FIVE();
}
ROW(carom_value_add) {
    EACH_BAD(carom_value, VALUE, h, UNTOUCHED(int64_t, out, carom_value_add(h, 1, out), CAROM_EBADHANDLE));
    REFUSED(carom_value_add(value, 1, (int64_t *)(uintptr_t)0x1001), CAROM_EINVAL);
    not_an_integer(add_it);
    STILL_FIVE();
}
ROW(carom_value_swap) {
    EACH_BAD(carom_value, VALUE, h, UNTOUCHED(int64_t, out, carom_value_swap(h, 5, 6, out), CAROM_EBADHANDLE));
    REFUSED(carom_value_swap(value, 5, 6, (int64_t *)(uintptr_t)0x1001), CAROM_EINVAL);
    REFUSED(carom_value_swap(value, 5, 6, NULL), CAROM_EINVAL); /* nobody would know */
    not_an_integer(swap_it);
    STILL_FIVE();
}
ROW(carom_value_copy) {
    EACH_BAD(carom_value, VALUE, h, REFUSED_HANDLE(carom_value, out, carom_value_copy(h, out, 0), CAROM_EBADHANDLE));
    REFUSED(carom_value_copy(value, NULL, 0), CAROM_EINVAL);
    REFUSED(carom_value_copy(value, (carom_value **)(uintptr_t)3, 0), CAROM_EINVAL);
    carom_shared_options options = {.size = sizeof options, .lock = held};
    carom_value *guarded = NULL;
    CHECK_OK(carom_value_new(CAROM_I64, NULL, 0, &options, &guarded));
    REFUSED_HANDLE(carom_value, out, carom_value_copy(guarded, out, 0), CAROM_ETIMEDOUT);
    REFUSED(carom_value_set(guarded, &options, 8, 1), CAROM_ETIMEDOUT);
    UNTOUCHED(int64_t, out, carom_value_get(guarded, out, 8, 1), CAROM_ETIMEDOUT);
    carom_value_free(guarded);
}
ROW(carom_value_synchronize) {
    EACH_BAD(carom_value, VALUE, h, REFUSED(carom_value_synchronize(h, NULL), CAROM_EBADHANDLE));
    REFUSED(carom_value_synchronize(value, NULL), CAROM_EEXIST);
    REFUSED(carom_value_synchronize(value, lock), CAROM_EEXIST);
    EACH_BAD(carom_lock, LOCK, h, if (h) REFUSED(carom_value_synchronize(bare, h), CAROM_EBADHANDLE));
    REFUSED(carom_value_lock(bare, 0), CAROM_EINVAL); /* it still has none */
}
ROW(carom_value_free) { EACH_BAD(carom_value, VALUE, h, carom_value_free(h)); }
