/* test_misuse.c: arrays. */

ROW(carom_array_new) {
    int64_t items[4] = {0};
    REFUSED(carom_array_new(CAROM_I64, 8, 4, items, NULL, NULL), CAROM_EINVAL);
    REFUSED(carom_array_new(CAROM_I64, 8, 4, items, NULL, (carom_array **)(uintptr_t)5), CAROM_EINVAL);
    const uint32_t types[] = {1, 'z', 'A', 255, 256 + 'i', 0x80000000u, UINT32_MAX};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        REFUSED_HANDLE(carom_array, out, carom_array_new(types[i], 8, 4, NULL, NULL, out), CAROM_EINVAL);
    const size_t sizes[] = {1, 7, 9, 16, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        REFUSED_HANDLE(carom_array, out, carom_array_new(CAROM_I64, sizes[i], 4, items, NULL, out), CAROM_EMSGSIZE);
    REFUSED_HANDLE(carom_array, out, carom_array_new(CAROM_RAW, 0, 4, NULL, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_array, out, carom_array_new(CAROM_RAW, SIZE_MAX, 1, NULL, NULL, out), CAROM_EINVAL);
    const struct {
        uint32_t type;
        size_t size, count;
    } huge[] = {{CAROM_I64, 8, SIZE_MAX},      {CAROM_I64, 8, SIZE_MAX / 8},          {CAROM_I64, 8, SIZE_MAX / 8 + 2},
                {CAROM_I8, 1, SIZE_MAX},       {CAROM_I8, 1, (size_t)1 << 45},        {CAROM_I64, 8, (size_t)1 << 61},
                {CAROM_RAW, SIZE_MAX / 2, 3},  {CAROM_RAW, (size_t)1 << 32, (size_t)1 << 32},
                {CAROM_RAW, SIZE_MAX / 2, 1}};
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++) {
        REFUSED_HANDLE(carom_array, out, carom_array_new(huge[i].type, huge[i].size, huge[i].count, NULL, NULL, out),
                       CAROM_ENOMEM);
    }
    REFUSED_HANDLE(carom_array, out, carom_array_new(CAROM_I64, 8, SIZE_MAX, items, NULL, out), CAROM_ENOMEM);
    EACH_BAD_SIZE(carom_shared_options, options, status, 0,
                  REFUSED_HANDLE(carom_array, out, carom_array_new(CAROM_I64, 8, 4, NULL, options, out), status));
    const uint32_t alignments[] = {3, 24, 4097, 8192, 0x80000000u, UINT32_MAX};
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++) {
        carom_shared_options options = {.size = sizeof options, .alignment = alignments[i]};
        REFUSED_HANDLE(carom_array, out, carom_array_new(CAROM_I64, 8, 4, NULL, &options, out), CAROM_EINVAL);
    }
    EACH_BAD(carom_lock, LOCK, h, {
        carom_shared_options options = {.size = sizeof options, .lock = h};
        if (h) REFUSED_HANDLE(carom_array, out, carom_array_new(CAROM_I64, 8, 4, NULL, &options, out), CAROM_EBADHANDLE);
    });
    carom_shared_options both = {.size = sizeof both, .lock = lock, .no_lock = 1};
    REFUSED_HANDLE(carom_array, out, carom_array_new(CAROM_I64, 8, 4, NULL, &both, out), CAROM_EINVAL);
}
ROW(carom_array_data) {
    EACH_BAD(carom_array, ARRAY, h, REFUSED(carom_array_data(h) == NULL ? CAROM_EBADHANDLE : 0, CAROM_EBADHANDLE));
}
ROW(carom_array_count) { EACH_BAD(carom_array, ARRAY, h, REFUSED(carom_array_count(h), CAROM_EBADHANDLE)); }
ROW(carom_array_type) { EACH_BAD(carom_array, ARRAY, h, REFUSED(carom_array_type(h), CAROM_EBADHANDLE)); }

/* Slices of an array of four that are not in it. */
static const struct {
    size_t first, count;
} beyond[] = {{0, 5}, {1, 4}, {4, 1}, {5, 0}, {5, 1}, {SIZE_MAX, 1}, {1, SIZE_MAX}, {SIZE_MAX, SIZE_MAX}, {SIZE_MAX / 8, 8},
              {(size_t)1 << 61, 0}, {(size_t)1 << 61, 1}, {0, (size_t)1 << 61}, {SIZE_MAX / 8 + 1, 1}};

ROW(carom_array_get) {
    EACH_BAD(carom_array, ARRAY, h, EACH_TIMEOUT(t, UNTOUCHED(int64_t, out, carom_array_get(h, 0, 1, out, 8, t), CAROM_EBADHANDLE)));
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
        UNTOUCHED(int64_t, out, carom_array_get(array, beyond[i].first, beyond[i].count, out, 16, 0), CAROM_EINVAL);
        UNTOUCHED(int64_t, out, carom_array_get(bare_array, beyond[i].first, beyond[i].count, out, 16, 0), CAROM_EINVAL);
    }
    UNTOUCHED(int64_t, out, carom_array_get(array, 0, 1, out, 7, 0), CAROM_EMSGSIZE);
    UNTOUCHED(int64_t, out, carom_array_get(array, 0, 1, out, 0, 0), CAROM_EMSGSIZE);
    UNTOUCHED(int64_t, out, carom_array_get(array, 0, 3, out, 16, 0), CAROM_EMSGSIZE);
    UNTOUCHED(int64_t, out, carom_array_get(array, 0, 1, out, SIZE_MAX, 0), CAROM_EINVAL);
    REFUSED(carom_array_get(array, 0, 1, NULL, 8, 0), CAROM_EINVAL);
    REFUSED(carom_array_get(array, 0, 1, NULL, 0, 0), CAROM_EMSGSIZE);
    REFUSED(carom_array_unlock(array), CAROM_EPERM);
    CHECK_OK(carom_array_get(array, 4, 0, NULL, 0, 0)); /* none is none */
}
ROW(carom_array_set) {
    int64_t nines[16] = {9, 9, 9, 9, 9, 9, 9, 9}, items[4];
    EACH_BAD(carom_array, ARRAY, h, EACH_TIMEOUT(t, REFUSED(carom_array_set(h, 0, nines, 8, t), CAROM_EBADHANDLE)));
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++)
        if (beyond[i].count <= 8) REFUSED(carom_array_set(array, beyond[i].first, nines, 8 * beyond[i].count, 0), CAROM_EINVAL);
    const size_t lengths[] = {1, 7, 9, 31, 33, 40, 128};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        REFUSED(carom_array_set(array, 0, nines, lengths[i], 0), CAROM_EINVAL);
    REFUSED(carom_array_set(array, 0, nines, SIZE_MAX, 0), CAROM_EINVAL);
    REFUSED(carom_array_set(array, 0, NULL, 8, 0), CAROM_EINVAL);
    REFUSED(carom_array_unlock(array), CAROM_EPERM);
    CHECK_OK(carom_array_set(array, 4, NULL, 0, 0));
    CHECK_OK(carom_array_get(array, 0, 4, items, sizeof items, 0));
    for (int i = 0; i < 4; i++) CHECK_EQ(items[i], 10 + i);
}
ROW(carom_array_lock) {
    EACH_BAD(carom_array, ARRAY, h, EACH_TIMEOUT(t, REFUSED(carom_array_lock(h, t), CAROM_EBADHANDLE)));
    REFUSED(carom_array_lock(bare_array, 0), CAROM_EINVAL);
}
ROW(carom_array_recover) {
    EACH_BAD(carom_array, ARRAY, h, EACH_TIMEOUT(t, REFUSED(carom_array_recover(h, t), CAROM_EBADHANDLE)));
    REFUSED(carom_array_recover(bare_array, 0), CAROM_EINVAL);
}
ROW(carom_array_unlock) {
    EACH_BAD(carom_array, ARRAY, h, REFUSED(carom_array_unlock(h), CAROM_EBADHANDLE));
    REFUSED(carom_array_unlock(bare_array), CAROM_EINVAL);
    REFUSED(carom_array_unlock(array), CAROM_EPERM);
}
ROW(carom_array_get_lock) {
    EACH_BAD(carom_array, ARRAY, h, REFUSED_HANDLE(carom_lock, out, carom_array_get_lock(h, out), CAROM_EBADHANDLE));
    REFUSED_HANDLE(carom_lock, out, carom_array_get_lock(bare_array, out), CAROM_EINVAL);
    REFUSED(carom_array_get_lock(array, NULL), CAROM_EINVAL);
}
ROW(carom_array_synchronize) {
    EACH_BAD(carom_array, ARRAY, h, REFUSED(carom_array_synchronize(h, NULL), CAROM_EBADHANDLE));
    REFUSED(carom_array_synchronize(array, NULL), CAROM_EEXIST);
    REFUSED(carom_array_synchronize(array, lock), CAROM_EEXIST);
    EACH_BAD(carom_lock, LOCK, h, if (h) REFUSED(carom_array_synchronize(bare_array, h), CAROM_EBADHANDLE));
    REFUSED(carom_array_lock(bare_array, 0), CAROM_EINVAL);
}
ROW(carom_array_free) { EACH_BAD(carom_array, ARRAY, h, carom_array_free(h)); }
