/* test_misuse.c: managers, and the objects that they serve. */

static carom_manager *manager;
static carom_dict *dict;
static carom_list *shared_list;
static carom_proxy *proxy;
static carom_lock *served_lock;
static carom_argument no_key;

static void make_managers(void) {
    CHECK_OK(carom_manager_new(NULL, &manager));
    CHECK_OK(carom_manager_dict(manager, NULL, &dict));
    CHECK_OK(carom_manager_list(manager, NULL, 0, &shared_list));
    CHECK_OK(carom_manager_lock(manager, &served_lock));
    CHECK_OK(carom_manager_create(manager, "set", NULL, 0, NULL, &proxy));
    carom_argument key = {.kind = CAROM_ARGUMENT_INTEGER, .integer = 1};
    CHECK_OK(carom_dict_set(dict, &key, &key));
    CHECK_OK(carom_list_append(shared_list, &key));
    no_key = (carom_argument){.kind = CAROM_ARGUMENT_LIST};
}

static void free_managers(void) {
    carom_proxy_free(proxy);
    carom_lock_free(served_lock);
    carom_list_free(shared_list);
    carom_dict_free(dict);
    CHECK_OK(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
}

static void managers_still_work(void) {
    carom_argument key = {.kind = CAROM_ARGUMENT_INTEGER, .integer = 1}, found;
    CHECK_EQ(carom_dict_len(dict), 1);
    CHECK_OK(carom_dict_get(dict, &key, &found, NULL, 0, NULL));
    CHECK_EQ(found.integer, 1);
    CHECK_EQ(carom_list_len(shared_list), 1);
    CHECK_OK(carom_proxy_call(proxy, "len", NULL, 0, &found, NULL, 0, NULL, 0));
    CHECK_EQ(found.integer, 0);
    CHECK_EQ(carom_lock_locked(served_lock), 0);
    carom_manager_facts facts = {.size = sizeof facts};
    CHECK_OK(carom_manager_info(manager, &facts));
    CHECK_EQ(facts.objects, 4);
    CHECK_EQ(facts.waiting, 0);
}

/* An argument that makes no sense, or that no manager can take: whatever names what is not the manager's. */
#define EACH_BAD_VALUE(a, ...)                                                                                         \
    do {                                                                                                               \
        EACH_STRANGE_ARGUMENT(a, status_, {                                                                            \
            const carom_status status = status_;                                                                       \
            __VA_ARGS__;                                                                                               \
        });                                                                                                            \
        carom_argument foreign_ = {.kind = CAROM_ARGUMENT_HANDLE, .handle = lock};                                     \
        const carom_argument *a = &foreign_;                                                                           \
        const carom_status status = CAROM_EINVAL;                                                                      \
        __VA_ARGS__;                                                                                                   \
        a = NULL;                                                                                                      \
        __VA_ARGS__;                                                                                                   \
    } while (0)

static const carom_argument good_key = {.kind = CAROM_ARGUMENT_INTEGER, .integer = 7};
static const carom_argument known_key = {.kind = CAROM_ARGUMENT_INTEGER, .integer = 1};

static carom_manager_options bad_manager_options[6];
static void make_bad_manager_options(void) {
    for (int i = 0; i < 6; i++) bad_manager_options[i] = (carom_manager_options){.size = sizeof(carom_manager_options), .address = "@carom-test-nobody", .authkey = "k", .authkey_len = 1};
    bad_manager_options[0].authkey_len = 0;
    bad_manager_options[1].authkey = NULL;
    bad_manager_options[2].authkey_len = SIZE_MAX;
    bad_manager_options[3].address = "x";
    bad_manager_options[4].address = "\xff/";
    bad_manager_options[5].authkey_len = 4097;
}

ROW(carom_manager_new) {
    make_bad_manager_options();
    for (int i = 0; i < 6; i++) REFUSED_HANDLE(carom_manager, out, carom_manager_new(&bad_manager_options[i], out), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_manager_options, options, status, 0, REFUSED_HANDLE(carom_manager, out, carom_manager_new(options, out), status));
    carom_manager_options options = {.size = sizeof options, .serializer = "pickle"};
    REFUSED_HANDLE(carom_manager, out, carom_manager_new(&options, out), CAROM_EINVAL);
    carom_type nameless = {.no_create = 1}, unknown = {.name = "x", .no_create = 1, .reserved = 1};
    options = (carom_manager_options){.size = sizeof options, .types = &nameless, .type_count = 1};
    REFUSED_HANDLE(carom_manager, out, carom_manager_new(&options, out), CAROM_EINVAL);
    options.types = &unknown;
    REFUSED_HANDLE(carom_manager, out, carom_manager_new(&options, out), CAROM_E2BIG);
    options = (carom_manager_options){.size = sizeof options, .initializer_arguments = &no_key, .initializer_count = 1};
    REFUSED_HANDLE(carom_manager, out, carom_manager_new(&options, out), CAROM_EINVAL);
    options = (carom_manager_options){.size = sizeof options, .type_count = SIZE_MAX};
    REFUSED_HANDLE(carom_manager, out, carom_manager_new(&options, out), CAROM_EINVAL);
    options = (carom_manager_options){.size = sizeof options, .address = "/nowhere/at/all"};
    REFUSED_HANDLE(carom_manager, out, carom_manager_new(&options, out), CAROM_ENOENT);
    REFUSED(carom_manager_new(NULL, NULL), CAROM_EINVAL);
}
ROW(carom_manager_open) {
    for (int i = 0; i < 6; i++) REFUSED_HANDLE(carom_manager, out, carom_manager_open(&bad_manager_options[i], out, 0), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_manager_options, options, status, 0, REFUSED_HANDLE(carom_manager, out, carom_manager_open(options, out, 0), status));
    REFUSED_HANDLE(carom_manager, out, carom_manager_open(NULL, out, 0), CAROM_EINVAL);
    carom_manager_options options = {.size = sizeof options, .address = "@carom-test-nobody", .authkey = "k", .authkey_len = 1};
    REFUSED_HANDLE(carom_manager, out, carom_manager_open(&options, out, 0), CAROM_ECONNREFUSED);
}
ROW(carom_manager_serve) {
    for (int i = 0; i < 6; i++) REFUSED(carom_manager_serve(&bad_manager_options[i]), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_manager_options, options, status, 0, REFUSED(carom_manager_serve(options), status));
    REFUSED(carom_manager_serve(NULL), CAROM_EINVAL);
}
ROW(carom_manager_address) {
    char text[200];
    EACH_BAD(carom_manager, MANAGER, h, UNTOUCHED(size_t, len, carom_manager_address(h, text, 200, len), CAROM_EBADHANDLE));
    UNTOUCHED(size_t, len, carom_manager_address(manager, NULL, 200, len), CAROM_EINVAL);
    UNTOUCHED(size_t, len, carom_manager_address(manager, text, SIZE_MAX, len), CAROM_EINVAL);
    REFUSED(carom_manager_address(manager, text, 1, NULL), CAROM_EMSGSIZE);
}
ROW(carom_manager_print) {
    char text[4096];
    EACH_BAD(carom_manager, MANAGER, h, UNTOUCHED(size_t, len, carom_manager_print(h, text, sizeof text, len), CAROM_EBADHANDLE));
    UNTOUCHED(size_t, len, carom_manager_print(manager, NULL, 200, len), CAROM_EINVAL);
    UNTOUCHED(size_t, len, carom_manager_print(manager, text, SIZE_MAX, len), CAROM_EINVAL);
    REFUSED(carom_manager_print(manager, text, 1, NULL), CAROM_EMSGSIZE);
}
ROW(carom_manager_info) {
    carom_manager_facts facts = {.size = sizeof facts};
    EACH_BAD(carom_manager, MANAGER, h, REFUSED(carom_manager_info(h, &facts), CAROM_EBADHANDLE));
    REFUSED(carom_manager_info(manager, NULL), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_manager_facts, out, status, 1, REFUSED(carom_manager_info(manager, out), status));
}
ROW(carom_manager_shutdown) { EACH_BAD(carom_manager, MANAGER, h, REFUSED(carom_manager_shutdown(h, 0), CAROM_EBADHANDLE)); }
ROW(carom_manager_join) {
    EACH_BAD(carom_manager, MANAGER, h, REFUSED(carom_manager_join(h, 0), CAROM_EBADHANDLE));
    REFUSED(carom_manager_join(manager, 0), CAROM_ETIMEDOUT);
}
ROW(carom_manager_free) { EACH_BAD(carom_manager, MANAGER, h, carom_manager_free(h)); }
ROW(carom_manager_create) {
    EACH_BAD(carom_manager, MANAGER, h, REFUSED_HANDLE(carom_proxy, out, carom_manager_create(h, "set", NULL, 0, NULL, out), CAROM_EBADHANDLE));
    static const char *const own[] = {"dict", "list", "Lock", "RLock", "Semaphore", "Condition", "Event", "Barrier"};
    static const char *const unknown[] = {"", "Set", "object", "__class__"};
    for (int i = 0; i < 8; i++) REFUSED_HANDLE(carom_proxy, out, carom_manager_create(manager, own[i], NULL, 0, NULL, out), CAROM_EINVAL);
    for (int i = 0; i < 4; i++) REFUSED_HANDLE(carom_proxy, out, carom_manager_create(manager, unknown[i], NULL, 0, NULL, out), CAROM_ENOENT);
    REFUSED_HANDLE(carom_proxy, out, carom_manager_create(manager, NULL, NULL, 0, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_proxy, out, carom_manager_create(manager, "\xff", NULL, 0, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_proxy, out, carom_manager_create(manager, "Array", NULL, 0, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_proxy, out, carom_manager_create(manager, "set", &good_key, 1, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_proxy, out, carom_manager_create(manager, "set", NULL, 1, NULL, out), CAROM_EINVAL);
    EACH_STRANGE_ARGUMENT(a, status, REFUSED_HANDLE(carom_proxy, out, carom_manager_create(manager, "set", a, 1, NULL, out), status));
    EACH_BAD_SIZE(carom_create_options, options, status, 0, REFUSED_HANDLE(carom_proxy, out, carom_manager_create(manager, "set", NULL, 0, options, out), status));
    REFUSED(carom_manager_create(manager, "set", NULL, 0, NULL, NULL), CAROM_EINVAL);
}
#define MAKER(function, type, ...)                                                                                     \
    ROW(function) {                                                                                                    \
        EACH_BAD(carom_manager, MANAGER, h, REFUSED_HANDLE(type, out, function(h, ##__VA_ARGS__, out), CAROM_EBADHANDLE)); \
        REFUSED(function(manager, ##__VA_ARGS__, NULL), CAROM_EINVAL);                                                 \
    }
MAKER(carom_manager_dict, carom_dict, NULL)
MAKER(carom_manager_list, carom_list, NULL, 0)
MAKER(carom_manager_directory, carom_dict)
MAKER(carom_manager_queue, carom_queue, NULL)
MAKER(carom_manager_lock, carom_lock)
MAKER(carom_manager_rlock, carom_lock)
MAKER(carom_manager_event, carom_event)
MAKER(carom_manager_semaphore, carom_semaphore, 1)
MAKER(carom_manager_bounded_semaphore, carom_semaphore, 1)
ROW(carom_manager_value) {
    int64_t initial = 1;
    EACH_BAD(carom_manager, MANAGER, h, REFUSED_HANDLE(carom_value, out, carom_manager_value(h, CAROM_I64, NULL, 0, out), CAROM_EBADHANDLE));
    REFUSED_HANDLE(carom_value, out, carom_manager_value(manager, CAROM_RAW, &initial, 0, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_value, out, carom_manager_value(manager, CAROM_RAW, NULL, (size_t)1 << 40, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_value, out, carom_manager_value(manager, 'z', &initial, 8, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_value, out, carom_manager_value(manager, 1000, &initial, 8, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_value, out, carom_manager_value(manager, CAROM_I64, &initial, 4, out), CAROM_EMSGSIZE);
    REFUSED(carom_manager_value(manager, CAROM_I64, NULL, 0, NULL), CAROM_EINVAL);
}
ROW(carom_manager_array) {
    EACH_BAD(carom_manager, MANAGER, h, REFUSED_HANDLE(carom_array, out, carom_manager_array(h, CAROM_I64, 8, 1, NULL, out), CAROM_EBADHANDLE));
    REFUSED_HANDLE(carom_array, out, carom_manager_array(manager, CAROM_RAW, 0, 1, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_array, out, carom_manager_array(manager, 'z', 0, 1, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_array, out, carom_manager_array(manager, CAROM_I64, 4, 1, NULL, out), CAROM_EMSGSIZE);
    REFUSED_HANDLE(carom_array, out, carom_manager_array(manager, CAROM_I64, 0, SIZE_MAX, NULL, out), CAROM_ENOMEM);
    REFUSED_HANDLE(carom_array, out, carom_manager_array(manager, CAROM_I8, 0, SIZE_MAX, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_array, out, carom_manager_array(manager, CAROM_I8, 0, (size_t)1 << 30, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_array, out, carom_manager_array(manager, CAROM_RAW, 1 << 20, 1 << 20, NULL, out), CAROM_ENOMEM);
    REFUSED(carom_manager_array(manager, CAROM_I64, 0, 1, NULL, NULL), CAROM_EINVAL);
}
ROW(carom_manager_pool) {
    EACH_BAD(carom_manager, MANAGER, h, REFUSED_HANDLE(carom_pool, out, carom_manager_pool(h, NULL, out), CAROM_EBADHANDLE));
    EACH_BAD_SIZE(carom_pool_options, options, status, 0, REFUSED_HANDLE(carom_pool, out, carom_manager_pool(manager, options, out), status));
    carom_pool_options options = {.size = sizeof options, .workers = -3};
    REFUSED_HANDLE(carom_pool, out, carom_manager_pool(manager, &options, out), CAROM_EINVAL);
    options = (carom_pool_options){.size = sizeof options, .soft_time_limit_ms = 2, .time_limit_ms = 1};
    REFUSED_HANDLE(carom_pool, out, carom_manager_pool(manager, &options, out), CAROM_EINVAL);
    options = (carom_pool_options){.size = sizeof options, .events = CAROM_POOL_DONE};
    REFUSED_HANDLE(carom_pool, out, carom_manager_pool(manager, &options, out), CAROM_ENOTSUP);
    REFUSED(carom_manager_pool(manager, NULL, NULL), CAROM_EINVAL);
}
ROW(carom_manager_barrier) {
    EACH_BAD(carom_manager, MANAGER, h, REFUSED_HANDLE(carom_barrier, out, carom_manager_barrier(h, 1, NULL, out), CAROM_EBADHANDLE));
    REFUSED_HANDLE(carom_barrier, out, carom_manager_barrier(manager, 0, NULL, out), CAROM_EINVAL);
    carom_barrier_options options = {.size = sizeof options, .timeout_ms = 1};
    REFUSED_HANDLE(carom_barrier, out, carom_manager_barrier(manager, 1, &options, out), CAROM_ENOTSUP);
    EACH_BAD_SIZE(carom_barrier_options, bad, status, 0, REFUSED_HANDLE(carom_barrier, out, carom_manager_barrier(manager, 1, bad, out), status));
    REFUSED_HANDLE(carom_semaphore, out, carom_manager_semaphore(manager, -1, out), CAROM_EINVAL);
}
ROW(carom_manager_condition) {
    EACH_BAD(carom_manager, MANAGER, h, REFUSED_HANDLE(carom_condition, out, carom_manager_condition(h, NULL, out), CAROM_EBADHANDLE));
    EACH_BAD(carom_lock, LOCK, h, if (h) REFUSED_HANDLE(carom_condition, out, carom_manager_condition(manager, h, out), CAROM_EBADHANDLE));
    REFUSED_HANDLE(carom_condition, out, carom_manager_condition(manager, lock, out), CAROM_EINVAL);
    /* What belongs to the family's memory cannot be guarded by what does not. */
    REFUSED_HANDLE(carom_condition, out, carom_condition_new(served_lock, out), CAROM_ENOTSUP);
    carom_shared_options options = {.size = sizeof options, .lock = served_lock};
    REFUSED_HANDLE(carom_value, out, carom_value_new(CAROM_I64, NULL, 8, &options, out), CAROM_ENOTSUP);
}

/* ---- dicts */

#define EACH_BAD_DICT(...) EACH_BAD(carom_dict, DICT, h, __VA_ARGS__)
ROW(carom_dict_set) {
    EACH_BAD_DICT(REFUSED(carom_dict_set(h, &good_key, &good_key), CAROM_EBADHANDLE));
    EACH_BAD_VALUE(a, REFUSED(carom_dict_set(dict, a, &good_key), status); REFUSED(carom_dict_set(dict, &good_key, a), status));
    REFUSED(carom_dict_set(dict, &no_key, &good_key), CAROM_EINVAL);
}
#define GETTER(function, ...)                                                                                          \
    ROW(function) {                                                                                                    \
        EACH_BAD_DICT(UNTOUCHED(carom_argument, out, function(h, &known_key, ##__VA_ARGS__, out, NULL, 0, NULL), CAROM_EBADHANDLE)); \
        EACH_BAD_VALUE(a, UNTOUCHED(carom_argument, out, function(dict, a, ##__VA_ARGS__, out, NULL, 0, NULL), status)); \
        REFUSED(function(dict, &known_key, ##__VA_ARGS__, NULL, NULL, 0, NULL), CAROM_EINVAL);                         \
        UNTOUCHED(carom_argument, out, function(dict, &known_key, ##__VA_ARGS__, out, NULL, 1, NULL), CAROM_EINVAL);   \
        UNTOUCHED(carom_argument, out, function(dict, &no_key, ##__VA_ARGS__, out, NULL, 0, NULL), CAROM_EINVAL);      \
    }
GETTER(carom_dict_get)
GETTER(carom_dict_pop)
GETTER(carom_dict_setdefault, &good_key)
#define WHOLE_GETTER(function)                                                                                         \
    ROW(function) {                                                                                                    \
        EACH_BAD_DICT(UNTOUCHED(carom_argument, out, function(h, out, NULL, 0, NULL), CAROM_EBADHANDLE));              \
        UNTOUCHED(carom_argument, out, function(dict, out, NULL, 0, NULL), CAROM_EMSGSIZE);                            \
        UNTOUCHED(carom_argument, out, function(dict, out, NULL, 1, NULL), CAROM_EINVAL);                              \
        REFUSED(function(dict, NULL, NULL, 0, NULL), CAROM_EINVAL);                                                    \
    }
WHOLE_GETTER(carom_dict_popitem)
WHOLE_GETTER(carom_dict_keys)
WHOLE_GETTER(carom_dict_values)
WHOLE_GETTER(carom_dict_copy)
ROW(carom_dict_delete) {
    EACH_BAD_DICT(REFUSED(carom_dict_delete(h, &known_key), CAROM_EBADHANDLE));
    EACH_BAD_VALUE(a, REFUSED(carom_dict_delete(dict, a), status));
    REFUSED(carom_dict_delete(dict, &good_key), CAROM_ENOENT);
}
ROW(carom_dict_contains) {
    EACH_BAD_DICT(REFUSED(carom_dict_contains(h, &known_key), CAROM_EBADHANDLE));
    EACH_BAD_VALUE(a, REFUSED(carom_dict_contains(dict, a), status));
}
ROW(carom_dict_increment) {
    EACH_BAD_DICT(UNTOUCHED(int64_t, out, carom_dict_increment(h, &known_key, 1, out), CAROM_EBADHANDLE));
    EACH_BAD_VALUE(a, UNTOUCHED(int64_t, out, carom_dict_increment(dict, a, 1, out), status));
    UNTOUCHED(int64_t, out, carom_dict_increment(dict, &known_key, INT64_MAX, out), CAROM_EINVAL);
}
ROW(carom_dict_swap) {
    EACH_BAD_DICT(REFUSED(carom_dict_swap(h, &known_key, NULL, &good_key), CAROM_EBADHANDLE));
    EACH_BAD_VALUE(a, REFUSED(carom_dict_swap(dict, a, NULL, &good_key), status); REFUSED(carom_dict_swap(dict, &known_key, NULL, a), status));
    EACH_STRANGE_ARGUMENT(a, status, REFUSED(carom_dict_swap(dict, &known_key, a, &good_key), status));
}
ROW(carom_dict_update) {
    EACH_BAD_DICT(REFUSED(carom_dict_update(h, &known_key), CAROM_EBADHANDLE));
    EACH_BAD_VALUE(a, REFUSED(carom_dict_update(dict, a), status));
    REFUSED(carom_dict_update(dict, &known_key), CAROM_EINVAL);
    /* The second of two keys is none: the first is not set either. */
    carom_argument pairs[] = {good_key, good_key, no_key, good_key}, map = {.kind = CAROM_ARGUMENT_MAP, .data = pairs, .len = 2};
    REFUSED(carom_dict_update(dict, &map), CAROM_EINVAL);
}
ROW(carom_dict_apply) {
    EACH_BAD_DICT(UNTOUCHED(carom_argument, out, carom_dict_apply(h, NULL, 0, out, NULL, 0, NULL), CAROM_EBADHANDLE));
    EACH_BAD_VALUE(a, UNTOUCHED(carom_argument, out, carom_dict_apply(dict, a, 1, out, NULL, 0, NULL), status));
    REFUSED(carom_dict_apply(dict, NULL, 0, NULL, NULL, 0, NULL), CAROM_EINVAL);
    carom_argument clear = {.kind = CAROM_ARGUMENT_STRING, .data = "clear", .len = 5}, call = {.kind = CAROM_ARGUMENT_LIST, .data = &clear, .len = 1};
    UNTOUCHED(carom_argument, out, carom_dict_apply(dict, &call, 1, out, NULL, 0, NULL), CAROM_EINVAL);
    UNTOUCHED(carom_argument, out, carom_dict_apply(dict, &good_key, 1, out, NULL, 0, NULL), CAROM_EINVAL);
}
ROW(carom_dict_len) { EACH_BAD_DICT(REFUSED(carom_dict_len(h), CAROM_EBADHANDLE)); }
ROW(carom_dict_clear) { EACH_BAD_DICT(REFUSED(carom_dict_clear(h), CAROM_EBADHANDLE)); }
#define WALK(function, EACH_BAD_ONE, good)                                                                             \
    ROW(function) {                                                                                                    \
        uint64_t cursor = 0, absurd = UINT64_MAX;                                                                      \
        EACH_BAD_ONE(UNTOUCHED(carom_argument, out, function(h, &cursor, out, 0, NULL, 0, NULL), CAROM_EBADHANDLE));   \
        UNTOUCHED(carom_argument, out, function(good, NULL, out, 0, NULL, 0, NULL), CAROM_EINVAL);                     \
        UNTOUCHED(carom_argument, out, function(good, &absurd, out, 0, NULL, 0, NULL), CAROM_EINVAL);                  \
        UNTOUCHED(carom_argument, out, function(good, &cursor, out, 0, NULL, 0, NULL), CAROM_EMSGSIZE);                \
        REFUSED(function(good, &cursor, NULL, 0, NULL, 0, NULL), CAROM_EINVAL);                                        \
        CHECK_EQ(cursor, 0);                                                                                           \
    }
WALK(carom_dict_items, EACH_BAD_DICT, dict)
ROW(carom_dict_wait) {
    uint64_t version = 0, absurd = UINT64_MAX;
    EACH_BAD_DICT(UNTOUCHED(carom_argument, out, carom_dict_wait(h, &good_key, &version, out, NULL, 0, NULL, 0), CAROM_EBADHANDLE));
    UNTOUCHED(carom_argument, out, carom_dict_wait(dict, &good_key, NULL, out, NULL, 0, NULL, 0), CAROM_EINVAL);
    UNTOUCHED(carom_argument, out, carom_dict_wait(dict, &good_key, &absurd, out, NULL, 0, NULL, 0), CAROM_EINVAL);
    UNTOUCHED(carom_argument, out, carom_dict_wait(dict, &good_key, &version, out, NULL, 0, NULL, 5), CAROM_ETIMEDOUT);
    EACH_BAD_VALUE(a, UNTOUCHED(carom_argument, out, carom_dict_wait(dict, a, &version, out, NULL, 0, NULL, 0), status));
    CHECK_EQ(version, 0);
}
ROW(carom_dict_free) { EACH_BAD_DICT(carom_dict_free(h)); }

/* ---- lists */

#define EACH_BAD_LIST(...) EACH_BAD(carom_list, SERVED_LIST, h, __VA_ARGS__)
ROW(carom_list_append) {
    EACH_BAD_LIST(REFUSED(carom_list_append(h, &good_key), CAROM_EBADHANDLE));
    EACH_BAD_VALUE(a, REFUSED(carom_list_append(shared_list, a), status));
}
ROW(carom_list_extend) {
    EACH_BAD_LIST(REFUSED(carom_list_extend(h, &good_key, 1), CAROM_EBADHANDLE));
    EACH_BAD_VALUE(a, REFUSED(carom_list_extend(shared_list, a, 1), status));
    REFUSED(carom_list_extend(shared_list, &good_key, SIZE_MAX), CAROM_EINVAL);
}
ROW(carom_list_extend_from) {
    EACH_BAD_LIST(REFUSED(carom_list_extend_from(h, shared_list), CAROM_EBADHANDLE));
    EACH_BAD_LIST(REFUSED(carom_list_extend_from(shared_list, h), CAROM_EBADHANDLE));
}
ROW(carom_list_repeat) {
    EACH_BAD_LIST(REFUSED(carom_list_repeat(h, 2), CAROM_EBADHANDLE));
    REFUSED(carom_list_repeat(shared_list, SIZE_MAX), CAROM_ENOMEM);
    REFUSED(carom_list_repeat(shared_list, (size_t)1 << 40), CAROM_ENOMEM);
}
ROW(carom_list_set_slice) {
    EACH_BAD_LIST(REFUSED(carom_list_set_slice(h, 0, 1, &good_key, 1), CAROM_EBADHANDLE));
    EACH_BAD_VALUE(a, REFUSED(carom_list_set_slice(shared_list, 0, 1, a, 1), status));
    REFUSED(carom_list_set_slice(shared_list, 0, 1, &good_key, SIZE_MAX), CAROM_EINVAL);
}
WALK(carom_list_items, EACH_BAD_LIST, shared_list)
WALK(carom_list_reversed, EACH_BAD_LIST, shared_list)
ROW(carom_list_contains) {
    EACH_BAD_LIST(REFUSED(carom_list_contains(h, &good_key), CAROM_EBADHANDLE));
    EACH_BAD_VALUE(a, REFUSED(carom_list_contains(shared_list, a), status));
}
ROW(carom_list_insert) {
    EACH_BAD_LIST(REFUSED(carom_list_insert(h, 0, &good_key), CAROM_EBADHANDLE));
    EACH_BAD_VALUE(a, REFUSED(carom_list_insert(shared_list, 0, a), status));
}
static const int64_t outside[] = {1, -2, INT64_MAX, INT64_MIN};
#define LIST_GETTER(function)                                                                                          \
    ROW(function) {                                                                                                    \
        EACH_BAD_LIST(UNTOUCHED(carom_argument, out, function(h, 0, out, NULL, 0, NULL), CAROM_EBADHANDLE));           \
        for (int i = 0; i < 4; i++) UNTOUCHED(carom_argument, out, function(shared_list, outside[i], out, NULL, 0, NULL), CAROM_ENOENT); \
        REFUSED(function(shared_list, 0, NULL, NULL, 0, NULL), CAROM_EINVAL);                                          \
        UNTOUCHED(carom_argument, out, function(shared_list, 0, out, NULL, 1, NULL), CAROM_EINVAL);                    \
    }
LIST_GETTER(carom_list_get)
LIST_GETTER(carom_list_pop)
ROW(carom_list_slice) {
    EACH_BAD_LIST(UNTOUCHED(carom_argument, out, carom_list_slice(h, 0, 1, out, NULL, 0, NULL), CAROM_EBADHANDLE));
    UNTOUCHED(carom_argument, out, carom_list_slice(shared_list, 0, 1, out, NULL, 0, NULL), CAROM_EMSGSIZE);
    REFUSED(carom_list_slice(shared_list, 0, 1, NULL, NULL, 0, NULL), CAROM_EINVAL);
}
ROW(carom_list_set) {
    EACH_BAD_LIST(REFUSED(carom_list_set(h, 0, &good_key), CAROM_EBADHANDLE));
    EACH_BAD_VALUE(a, REFUSED(carom_list_set(shared_list, 0, a), status));
    for (int i = 0; i < 4; i++) REFUSED(carom_list_set(shared_list, outside[i], &good_key), CAROM_ENOENT);
}
ROW(carom_list_delete) {
    EACH_BAD_LIST(REFUSED(carom_list_delete(h, 0), CAROM_EBADHANDLE));
    for (int i = 0; i < 4; i++) REFUSED(carom_list_delete(shared_list, outside[i]), CAROM_ENOENT);
}
ROW(carom_list_remove) {
    EACH_BAD_LIST(REFUSED(carom_list_remove(h, &good_key), CAROM_EBADHANDLE));
    EACH_BAD_VALUE(a, REFUSED(carom_list_remove(shared_list, a), status));
    REFUSED(carom_list_remove(shared_list, &good_key), CAROM_ENOENT);
}
ROW(carom_list_index) {
    EACH_BAD_LIST(REFUSED(carom_list_index(h, &good_key), CAROM_EBADHANDLE));
    EACH_BAD_VALUE(a, REFUSED(carom_list_index(shared_list, a), status));
    REFUSED(carom_list_index(shared_list, &good_key), CAROM_ENOENT);
}
ROW(carom_list_count) {
    EACH_BAD_LIST(REFUSED(carom_list_count(h, &good_key), CAROM_EBADHANDLE));
    EACH_BAD_VALUE(a, REFUSED(carom_list_count(shared_list, a), status));
}
ROW(carom_list_sort) { EACH_BAD_LIST(REFUSED(carom_list_sort(h, 0), CAROM_EBADHANDLE)); }
ROW(carom_list_reverse) { EACH_BAD_LIST(REFUSED(carom_list_reverse(h), CAROM_EBADHANDLE)); }
ROW(carom_list_len) { EACH_BAD_LIST(REFUSED(carom_list_len(h), CAROM_EBADHANDLE)); }
ROW(carom_list_clear) { EACH_BAD_LIST(REFUSED(carom_list_clear(h), CAROM_EBADHANDLE)); }
ROW(carom_list_free) { EACH_BAD_LIST(carom_list_free(h)); }

/* ---- any object */

ROW(carom_proxy_call) {
    for (size_t i = 0; i < handle_count; i++) {
        enum kind kind = handles[i].kind;
        if (handles[i].is_good && (kind == PROXY || kind == DICT || kind == SERVED_LIST)) continue;
        UNTOUCHED(carom_argument, out, carom_proxy_call(handles[i].handle, "len", NULL, 0, out, NULL, 0, NULL, 0), CAROM_EBADHANDLE);
    }
    EACH_BAD_VALUE(a, UNTOUCHED(carom_argument, out, carom_proxy_call(proxy, "add", a, 1, out, NULL, 0, NULL, 0), status));
    UNTOUCHED(carom_argument, out, carom_proxy_call(proxy, NULL, NULL, 0, out, NULL, 0, NULL, 0), CAROM_EINVAL);
    UNTOUCHED(carom_argument, out, carom_proxy_call(proxy, "\xff", NULL, 0, out, NULL, 0, NULL, 0), CAROM_EINVAL);
    UNTOUCHED(carom_argument, out, carom_proxy_call(proxy, "add", NULL, 0, out, NULL, 0, NULL, 0), CAROM_EINVAL);
    UNTOUCHED(carom_argument, out, carom_proxy_call(proxy, "", NULL, 0, out, NULL, 0, NULL, 0), CAROM_ENOENT);
    UNTOUCHED(carom_argument, out, carom_proxy_call(dict, "append", &good_key, 1, out, NULL, 0, NULL, 0), CAROM_ENOENT);
    UNTOUCHED(carom_argument, out, carom_proxy_call(proxy, "len", NULL, 0, out, NULL, SIZE_MAX, NULL, 0), CAROM_EINVAL);
    REFUSED(carom_proxy_call(proxy, "len", NULL, 0, NULL, NULL, 0, NULL, 0), CAROM_EINVAL);
}
ROW(carom_proxy_free) { EACH_BAD(carom_proxy, PROXY, h, carom_proxy_free(h)); }
