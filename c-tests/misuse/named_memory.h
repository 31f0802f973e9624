/* test_misuse.c: named memory and lists. */

static carom_shared_memory *memory; /* both without a name by now */
static carom_shareable_list *list;

static const char *const strange_names[] = {"", "/", ".", "..", "/..", "a/b", "/a/b", "a/", "\xff\xfe"};
#define EACH_STRANGE_NAME(n, ...)                                                                                      \
    for (size_t i_ = 0; i_ < sizeof strange_names / sizeof *strange_names; i_++) {                                     \
        const char *n = strange_names[i_];                                                                             \
        __VA_ARGS__;                                                                                                   \
    }
static char long_name[10001];
__attribute__((constructor)) static void fill_long_name(void) { memset(long_name, 'n', sizeof long_name - 1); }
#define NOBODY "carom_test_misuse_nobody"

ROW(carom_shared_memory_new) {
    EACH_STRANGE_NAME(n, REFUSED_HANDLE(carom_shared_memory, out, carom_shared_memory_new(n, 8, NULL, out), CAROM_EINVAL));
    REFUSED_HANDLE(carom_shared_memory, out, carom_shared_memory_new(long_name, 8, NULL, out), -ENAMETOOLONG);
    REFUSED_HANDLE(carom_shared_memory, out, carom_shared_memory_new(NULL, 0, NULL, out), CAROM_EINVAL);
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX / 2 + 1, SIZE_MAX / 2, (size_t)1 << 45};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        REFUSED_HANDLE(carom_shared_memory, out, carom_shared_memory_new(NULL, sizes[i], NULL, out), CAROM_ENOMEM);
    REFUSED(carom_shared_memory_new(NOBODY, 8, NULL, NULL), CAROM_EINVAL);
    REFUSED(carom_shared_memory_new(NOBODY, 8, NULL, (carom_shared_memory **)(uintptr_t)5), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_shared_memory_options, options, status, 0,
                  REFUSED_HANDLE(carom_shared_memory, out, carom_shared_memory_new(NOBODY, 8, options, out), status));
    carom_shared_memory_options options = {.size = sizeof options, .mode = 01000};
    REFUSED_HANDLE(carom_shared_memory, out, carom_shared_memory_new(NOBODY, 8, &options, out), CAROM_EINVAL);
    options = (carom_shared_memory_options){.size = sizeof options, .read_only = 1};
    REFUSED_HANDLE(carom_shared_memory, out, carom_shared_memory_new(NOBODY, 8, &options, out), CAROM_EINVAL);
    REFUSED(carom_shared_memory_unlink_name(NOBODY), CAROM_ENOENT);
}
ROW(carom_shared_memory_open) {
    REFUSED_HANDLE(carom_shared_memory, out, carom_shared_memory_open(NULL, NULL, out), CAROM_EINVAL);
    EACH_STRANGE_NAME(n, REFUSED_HANDLE(carom_shared_memory, out, carom_shared_memory_open(n, NULL, out), CAROM_EINVAL));
    REFUSED_HANDLE(carom_shared_memory, out, carom_shared_memory_open(long_name, NULL, out), -ENAMETOOLONG);
    REFUSED_HANDLE(carom_shared_memory, out, carom_shared_memory_open(NOBODY, NULL, out), CAROM_ENOENT);
    REFUSED(carom_shared_memory_open(NOBODY, NULL, NULL), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_shared_memory_options, options, status, 0,
                  REFUSED_HANDLE(carom_shared_memory, out, carom_shared_memory_open(NOBODY, options, out), status));
    carom_shared_memory_options options = {.size = sizeof options, .mode = 0600};
    REFUSED_HANDLE(carom_shared_memory, out, carom_shared_memory_open(NOBODY, &options, out), CAROM_EINVAL);
}
ROW(carom_shared_memory_data) {
    EACH_BAD(carom_shared_memory, MEMORY, h, REFUSED(carom_shared_memory_data(h) == NULL ? CAROM_EBADHANDLE : 0, CAROM_EBADHANDLE));
}
ROW(carom_shared_memory_size) { EACH_BAD(carom_shared_memory, MEMORY, h, REFUSED(carom_shared_memory_size(h), CAROM_EBADHANDLE)); }
ROW(carom_shared_memory_name) {
    EACH_BAD(carom_shared_memory, MEMORY, h, REFUSED(*carom_shared_memory_name(h) == 0 ? CAROM_EBADHANDLE : 0, CAROM_EBADHANDLE));
}
ROW(carom_shared_memory_close) {
    EACH_BAD(carom_shared_memory, MEMORY, h, REFUSED(carom_shared_memory_close(h), CAROM_EBADHANDLE));
    carom_shared_memory *closed = NULL;
    CHECK_OK(carom_shared_memory_new(NULL, 8, NULL, &closed));
    CHECK_OK(carom_shared_memory_unlink(closed));
    CHECK_OK(carom_shared_memory_close(closed));
    REFUSED(carom_shared_memory_size(closed), CAROM_ECLOSED);
    REFUSED(carom_shared_memory_data(closed) == NULL ? CAROM_ECLOSED : 0, CAROM_ECLOSED);
    carom_shared_memory_free(closed);
}
ROW(carom_shared_memory_unlink) {
    EACH_BAD(carom_shared_memory, MEMORY, h, REFUSED(carom_shared_memory_unlink(h), CAROM_EBADHANDLE));
    REFUSED(carom_shared_memory_unlink(memory), CAROM_ENOENT);
}
ROW(carom_shared_memory_unlink_name) {
    REFUSED(carom_shared_memory_unlink_name(NULL), CAROM_EINVAL);
    EACH_STRANGE_NAME(n, REFUSED(carom_shared_memory_unlink_name(n), CAROM_EINVAL));
    REFUSED(carom_shared_memory_unlink_name(long_name), -ENAMETOOLONG);
    REFUSED(carom_shared_memory_unlink_name(NOBODY), CAROM_ENOENT);
}
ROW(carom_shared_memory_free) { EACH_BAD(carom_shared_memory, MEMORY, h, carom_shared_memory_free(h)); }

/* Arguments that are no items: whatever they hold is not looked at. */
static const uint32_t no_items[] = {CAROM_ARGUMENT_HANDLE, CAROM_ARGUMENT_FD, CAROM_ARGUMENT_LIST, CAROM_ARGUMENT_MAP, 10, UINT32_MAX};
#define EACH_NO_ITEM(a, ...)                                                                                           \
    for (size_t k_ = 0; k_ < sizeof no_items / sizeof *no_items + 5; k_++) {                                           \
        carom_argument all_[] = {CAROM_BYTES(NULL, 1), CAROM_STRING(NULL, 5), CAROM_BYTES("x", UINT64_MAX),            \
                                 CAROM_STRING("\xff", 1), {.kind = CAROM_ARGUMENT_INTEGER, .reserved = 1},             \
                                 {.kind = k_ < 5 ? 0 : no_items[k_ - 5], .data = (void *)(uintptr_t)16, .len = 1}};    \
        const carom_argument *a = &all_[k_ < 5 ? k_ : 5];                                                              \
        __VA_ARGS__;                                                                                                   \
    }

ROW(carom_shareable_list_new) {
    carom_argument one = CAROM_INTEGER(1);
    REFUSED(carom_shareable_list_new(&one, 1, NOBODY, NULL), CAROM_EINVAL);
    REFUSED_HANDLE(carom_shareable_list, out, carom_shareable_list_new(NULL, 1, NOBODY, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_shareable_list, out, carom_shareable_list_new(&one, SIZE_MAX, NOBODY, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_shareable_list, out, carom_shareable_list_new((carom_argument *)(void *)((char *)&one + 1), 1, NOBODY, out),
                   CAROM_EINVAL);
    EACH_NO_ITEM(a, REFUSED_HANDLE(carom_shareable_list, out, carom_shareable_list_new(a, 1, NOBODY, out), CAROM_EINVAL));
    EACH_STRANGE_NAME(n, REFUSED_HANDLE(carom_shareable_list, out, carom_shareable_list_new(&one, 1, n, out), CAROM_EINVAL));
    REFUSED_HANDLE(carom_shareable_list, out, carom_shareable_list_new(&one, 1, long_name, out), -ENAMETOOLONG);
    REFUSED(carom_shared_memory_unlink_name(NOBODY), CAROM_ENOENT);
}
ROW(carom_shareable_list_open) {
    REFUSED_HANDLE(carom_shareable_list, out, carom_shareable_list_open(NULL, out), CAROM_EINVAL);
    EACH_STRANGE_NAME(n, REFUSED_HANDLE(carom_shareable_list, out, carom_shareable_list_open(n, out), CAROM_EINVAL));
    REFUSED_HANDLE(carom_shareable_list, out, carom_shareable_list_open(long_name, out), -ENAMETOOLONG);
    REFUSED_HANDLE(carom_shareable_list, out, carom_shareable_list_open(NOBODY, out), CAROM_ENOENT);
    REFUSED(carom_shareable_list_open(NOBODY, NULL), CAROM_EINVAL);
    carom_shared_memory *none = NULL;
    CHECK_OK(carom_shared_memory_new(NULL, 100, NULL, &none));
    memset(carom_shared_memory_data(none), 0xff, 100);
    const char *name = carom_shared_memory_name(none);
    REFUSED_HANDLE(carom_shareable_list, out, carom_shareable_list_open(name, out), CAROM_EBROKEN);
    CHECK_OK(carom_shared_memory_unlink(none));
    carom_shared_memory_free(none);
}
ROW(carom_shareable_list_get) {
    char data[8];
    size_t len = 4711;
    EACH_BAD(carom_shareable_list, LIST, h,
             UNTOUCHED(carom_argument, out, carom_shareable_list_get(h, 0, out, data, 8, &len), CAROM_EBADHANDLE));
    UNTOUCHED(carom_argument, out, carom_shareable_list_get(list, 2, out, data, 8, &len), CAROM_EINVAL);
    UNTOUCHED(carom_argument, out, carom_shareable_list_get(list, SIZE_MAX, out, data, 8, &len), CAROM_EINVAL);
    UNTOUCHED(carom_argument, out, carom_shareable_list_get(list, 1, out, NULL, 8, &len), CAROM_EINVAL);
    UNTOUCHED(carom_argument, out, carom_shareable_list_get(list, 1, out, data, SIZE_MAX, &len), CAROM_EINVAL);
    REFUSED(carom_shareable_list_get(list, 0, NULL, data, 8, &len), CAROM_EINVAL);
    CHECK_EQ(len, 4711);
    UNTOUCHED(carom_argument, out, carom_shareable_list_get(list, 1, out, data, 4, &len), CAROM_EMSGSIZE);
    CHECK_EQ(len, 5);
}
ROW(carom_shareable_list_set) {
    carom_argument one = CAROM_INTEGER(1), longer = CAROM_STRING("nine byte", 9);
    EACH_BAD(carom_shareable_list, LIST, h, REFUSED(carom_shareable_list_set(h, 0, &one), CAROM_EBADHANDLE));
    REFUSED(carom_shareable_list_set(list, 0, NULL), CAROM_EINVAL);
    REFUSED(carom_shareable_list_set(list, 2, &one), CAROM_EINVAL);
    REFUSED(carom_shareable_list_set(list, SIZE_MAX, &one), CAROM_EINVAL);
    REFUSED(carom_shareable_list_set(list, 1, &longer), CAROM_EMSGSIZE);
    EACH_NO_ITEM(a, REFUSED(carom_shareable_list_set(list, 1, a), CAROM_EINVAL));
}
ROW(carom_shareable_list_count) { EACH_BAD(carom_shareable_list, LIST, h, REFUSED(carom_shareable_list_count(h), CAROM_EBADHANDLE)); }
static void bad_search(int64_t (*search)(carom_shareable_list *, const carom_argument *), int64_t none) {
    carom_argument one = CAROM_INTEGER(1);
    EACH_BAD(carom_shareable_list, LIST, h, REFUSED(search(h, &one), CAROM_EBADHANDLE));
    REFUSED(search(list, NULL), CAROM_EINVAL);
    EACH_NO_ITEM(a, if (k_ != 3) REFUSED(search(list, a), CAROM_EINVAL)); /* what is no text is not found */
    if (none) REFUSED(search(list, &one), none);
    else CHECK_EQ(search(list, &one), 0);
}
ROW(carom_shareable_list_index_of) { bad_search(carom_shareable_list_index_of, CAROM_ENOENT); }
ROW(carom_shareable_list_count_of) { bad_search(carom_shareable_list_count_of, 0); }
ROW(carom_shareable_list_name) {
    EACH_BAD(carom_shareable_list, LIST, h, REFUSED(*carom_shareable_list_name(h) == 0 ? CAROM_EBADHANDLE : 0, CAROM_EBADHANDLE));
}
ROW(carom_shareable_list_close) { EACH_BAD(carom_shareable_list, LIST, h, REFUSED(carom_shareable_list_close(h), CAROM_EBADHANDLE)); }
ROW(carom_shareable_list_unlink) {
    EACH_BAD(carom_shareable_list, LIST, h, REFUSED(carom_shareable_list_unlink(h), CAROM_EBADHANDLE));
    REFUSED(carom_shareable_list_unlink(list), CAROM_ENOENT);
}
ROW(carom_shareable_list_free) { EACH_BAD(carom_shareable_list, LIST, h, carom_shareable_list_free(h)); }

static void make_named(void) {
    const carom_argument items[] = {CAROM_INTEGER(8), CAROM_STRING("bytes", 5)};
    CHECK_OK(carom_shared_memory_new(NULL, 8, NULL, &memory));
    CHECK_OK(carom_shareable_list_new(items, 2, NULL, &list));
    CHECK_OK(carom_shared_memory_unlink(memory));
    CHECK_OK(carom_shareable_list_unlink(list));
    memcpy(carom_shared_memory_data(memory), "misuse", 7);
}

static void named_still_works(void) {
    carom_argument shown;
    CHECK_STR_EQ((char *)carom_shared_memory_data(memory), "misuse");
    CHECK_EQ(carom_shareable_list_count(list), 2);
    CHECK_OK(carom_shareable_list_get(list, 0, &shown, NULL, 0, NULL));
    CHECK_EQ(shown.integer, 8);
}
