/*
 * Misuse of every function of the header: each is a status with a message, changes no output, loses nothing and leaves
 * the library as good as it was. A function without a row here fails the test.
 */
#include "support.h"

enum kind { NONE, LOCK, VALUE, PROCESS, POOL, RESULT, ITERATOR, SEMAPHORE, CONDITION, EVENT, BARRIER, ARRAY, MEMORY, LIST };

static carom_lock *lock, *held;
static carom_value *value, *bare;
static carom_array *array, *bare_array;
static carom_semaphore *semaphore, *owned;
static carom_condition *condition;
static carom_event *event;
static carom_barrier *barrier;
static carom_process *process;
static carom_pool *pool;
static carom_result *result;
static carom_iterator *iterator;

/* Whatever somebody may take for a handle. */
static struct {
    void *handle;
    enum kind kind;
    int is_good;
} handles[96];
static size_t handle_count;

static flag *go, *ran;

/* ------------------------------------------------------------------------------------------------ expecting refusals */

static const char *const PRIMED = "argc is negative";

/* Leaves an error that the next one must replace. */
static void prime(void) { CHECK_STATUS(carom_init(-1, NULL), CAROM_EINVAL); }

static void refused_(const char *file, int line, const char *what, int64_t got, int64_t wanted) {
    carom_error error = {.size = sizeof error};
    char left[64];
    const char *problem = NULL;
    if (got != wanted) {
        snprintf(left, sizeof left, "%s (%lld)", carom_status_name((carom_status)got), (long long)got);
        check_fail_(file, line, what, left, carom_status_name((carom_status)wanted), got < 0 ? carom_error_message() : "");
    }
    if (carom_last_error(&error) != CAROM_OK || error.status != wanted) problem = "last_error has another status";
    else if (!error.message || !*error.message) problem = "there is no message";
    else if (strcmp(error.message, PRIMED) == 0 && !strstr(what, "carom_init")) problem = "the message is of another error";
    else if (strcmp(error.message, carom_error_message()) != 0) problem = "there are two messages";
    else if (strcmp(carom_status_name((carom_status)wanted), "unknown status") == 0 && wanted < -4095) problem = "no such status";
    if (problem) check_fail_(file, line, what, "", "", problem);
}
#define REFUSED(call, status) (prime(), refused_(__FILE__, __LINE__, #call, (call), (status)))

/* A call that would give a handle: `out` is its output. */
#define REFUSED_HANDLE(type, out, call, status)                                                                        \
    do {                                                                                                               \
        type *out##_ = (type *)(uintptr_t)0xa5a5a5a5a5a5a5a5;                                                          \
        type **out = &out##_;                                                                                          \
        REFUSED(call, status);                                                                                         \
        CHECK(out##_ == NULL);                                                                                         \
    } while (0)

/* A call that would write to `out`, a struct or number of this type. */
#define UNTOUCHED(type, out, call, status)                                                                             \
    do {                                                                                                               \
        type out##_[2], before_[2];                                                                                    \
        type *out = &out##_[0];                                                                                        \
        memset(out##_, 0xa5, sizeof out##_);                                                                           \
        memset(before_, 0xa5, sizeof before_);                                                                         \
        REFUSED(call, status);                                                                                         \
        CHECK(memcmp(out##_, before_, sizeof before_) == 0);                                                           \
    } while (0)

/* Runs a statement with every `h` that is no handle of `wanted`. */
#define EACH_BAD(type, wanted, h, ...)                                                                           \
    for (size_t i_ = 0; i_ < handle_count; i_++)                                                                       \
        if (!handles[i_].is_good || handles[i_].kind != (wanted)) {                                                    \
            type *h = (type *)handles[i_].handle;                                                                      \
            __VA_ARGS__;                                                                                                 \
        }

/* Runs a statement with every badly sized struct of the type, and the status that it deserves. `is_output`: what is
 * behind the known part is not read then. */
#define EACH_BAD_SIZE(type, h, status, is_output, ...)                                                           \
    for (int i_ = 0; i_ < ((is_output) ? 7 : 9); i_++) {                                                               \
        static const size_t sizes_[] = {0, 1, 8, 15, 4097, (size_t)1 << 40, SIZE_MAX, sizeof(type) + 1, 4096};         \
        static union {                                                                                                 \
            type known;                                                                                                \
            unsigned char bytes[8192];                                                                                 \
        } space_;                                                                                                      \
        memset(&space_, 0, sizeof space_);                                                                             \
        memcpy(&space_, &sizes_[i_], sizeof(size_t));                                                                  \
        if (i_ >= 7) space_.bytes[sizes_[i_] - 1] = 1;                                                                 \
        type *h = &space_.known;                                                                                       \
        carom_status status = i_ >= 7 ? CAROM_E2BIG : CAROM_EINVAL;                                                    \
        __VA_ARGS__;                                                                                                     \
        h = (type *)(void *)&space_.bytes[1];                                                                          \
        status = CAROM_EINVAL;                                                                                         \
        if (i_ == 0) __VA_ARGS__;                                                                                        \
    }

/* ------------------------------------------------------------------------------------------------------- functions */

static int32_t works(carom_call *call) {
    (void)call;
    flag_add(ran, 1);
    return 0;
}

static int32_t replies(carom_call *call) {
    flag_add(ran, 1);
    int64_t eight = 8;
    CHECK_OK(carom_call_reply(call, &eight, sizeof eight));
    return 0;
}

static int32_t waits(carom_call *call) {
    (void)call;
    flag_await(go, 1);
    return 17;
}

/* What is no function of a module: data, stack, heap, code made at run time, nothing. */
static carom_function strange_functions[6];

static void make_strange_functions(void) {
    static int data;
    void *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(code != MAP_FAILED);
    memcpy(code, "\x31\xc0\xc3", 3); /* xor eax, eax; ret */
    void *const places[] = {NULL, &data, &code, malloc(100), code, (void *)(uintptr_t)0x10};
    for (int i = 0; i < 6; i++) memcpy(&strange_functions[i], &places[i], sizeof(void *));
}
#define EACH_STRANGE(f, ...)                                                                                     \
    for (int j_ = 0; j_ < 6; j_++) {                                                                                   \
        carom_function f = strange_functions[j_];                                                                      \
        __VA_ARGS__;                                                                                                     \
    }

/* Arguments that make no sense, and what the call says to them. */
static carom_argument cyclic;
static const struct {
    carom_argument argument;
    carom_status status;
} *strange_arguments(size_t *count) {
    static struct {
        carom_argument argument;
        carom_status status;
    } all[24];
    size_t n = 0;
#define ADD(wanted, ...) (all[n].argument = (carom_argument){__VA_ARGS__}, all[n++].status = (wanted))
    cyclic = (carom_argument){.kind = CAROM_ARGUMENT_LIST, .data = &cyclic, .len = 1};
    ADD(CAROM_EINVAL, .kind = CAROM_ARGUMENT_BYTES, .data = NULL, .len = 1);
    ADD(CAROM_EINVAL, .kind = CAROM_ARGUMENT_BYTES, .data = "x", .len = UINT64_MAX);
    ADD(CAROM_EINVAL, .kind = CAROM_ARGUMENT_BYTES, .data = "x", .len = (uint64_t)INT64_MAX + 1);
    ADD(CAROM_EINVAL, .kind = CAROM_ARGUMENT_STRING, .data = NULL, .len = 5);
    ADD(CAROM_EINVAL, .kind = CAROM_ARGUMENT_STRING, .data = "x", .len = UINT64_MAX);
    ADD(CAROM_EINVAL, .kind = CAROM_ARGUMENT_LIST, .data = NULL, .len = 1);
    ADD(CAROM_EINVAL, .kind = CAROM_ARGUMENT_LIST, .data = &cyclic, .len = UINT64_MAX);
    ADD(CAROM_EINVAL, .kind = CAROM_ARGUMENT_LIST, .data = (const char *)&cyclic + 1, .len = 1);
    ADD(CAROM_EINVAL, .kind = CAROM_ARGUMENT_MAP, .data = NULL, .len = 1);
    ADD(CAROM_EINVAL, .kind = CAROM_ARGUMENT_MAP, .data = &cyclic, .len = UINT64_MAX);
    ADD(CAROM_EINVAL, .kind = CAROM_ARGUMENT_MAP, .data = &cyclic, .len = (uint64_t)1 << 63);
    ADD(CAROM_EINVAL, .kind = CAROM_ARGUMENT_LIST, .data = &cyclic, .len = 1); /* a list that holds itself */
    ADD(CAROM_EINVAL, .kind = 10);
    ADD(CAROM_EINVAL, .kind = UINT32_MAX);
    ADD(CAROM_EINVAL, .kind = CAROM_ARGUMENT_INTEGER, .reserved = 1);
    ADD(CAROM_ENOTSUP, .kind = CAROM_ARGUMENT_FD, .integer = 1);
    ADD(CAROM_EBADHANDLE, .kind = CAROM_ARGUMENT_HANDLE, .handle = NULL);
    ADD(CAROM_EBADHANDLE, .kind = CAROM_ARGUMENT_HANDLE, .handle = (void *)(uintptr_t)0x1234);
    ADD(CAROM_EBADHANDLE, .kind = CAROM_ARGUMENT_HANDLE, .handle = process);
    ADD(CAROM_EBADHANDLE, .kind = CAROM_ARGUMENT_HANDLE, .handle = pool);
    ADD(CAROM_EBADHANDLE, .kind = CAROM_ARGUMENT_HANDLE, .handle = result);
#undef ADD
    *count = n;
    return (const void *)all;
}
#define EACH_STRANGE_ARGUMENT(a, status, ...)                                                                    \
    do {                                                                                                               \
        size_t count_;                                                                                                 \
        const struct {                                                                                                 \
            carom_argument argument;                                                                                   \
            carom_status status;                                                                                       \
        } *all_ = (const void *)strange_arguments(&count_);                                                            \
        for (size_t k_ = 0; k_ < count_; k_++) {                                                                       \
            const carom_argument *a = &all_[k_].argument;                                                              \
            carom_status status = all_[k_].status;                                                                     \
            __VA_ARGS__;                                                                                                 \
        }                                                                                                              \
    } while (0)

/* ------------------------------------------------------------------------------------------------------------ rows */

static struct row {
    const char *name;
    void (*body)(void);
} rows[256];
static size_t row_count;

#define ROW(function)                                                                                                  \
    static void row_##function(void);                                                                                  \
    __attribute__((constructor)) static void add_##function(void) {                                                    \
        (void)&function;                                                                                               \
        rows[row_count++] = (struct row){#function, row_##function};                                                   \
    }                                                                                                                  \
    static void row_##function(void)

/* Functions that cannot be misused: they take nothing, or whatever they are given. */
ROW(carom_version) { CHECK(*carom_version() != 0); }
ROW(carom_cpu_count) { CHECK(carom_cpu_count() >= 1); }
ROW(carom_attach) { CHECK_OK(carom_attach()); }
ROW(carom_error_message) {
    prime();
    CHECK_STR_EQ(carom_error_message(), PRIMED);
}
ROW(carom_status_name) {
    CHECK_STR_EQ(carom_status_name(-5010), "CAROM_ESOFTLIMIT");
    const carom_status strange[] = {1, 12345, -4096, -5000, -9999, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) CHECK_STR_EQ(carom_status_name(strange[i]), "unknown status");
}
ROW(carom_status_message) {
    const carom_status all[] = {0, 1, -1, -4096, -5009, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) CHECK(carom_status_message(all[i]) && *carom_status_message(all[i]));
}

ROW(carom_init) {
    REFUSED(carom_init(-1, NULL), CAROM_EINVAL);
    REFUSED(carom_init(INT_MIN, NULL), CAROM_EINVAL);
    CHECK_OK(carom_init(0, NULL));
}
ROW(carom_shutdown) { REFUSED(carom_shutdown(0), CAROM_ETIMEDOUT); /* one waits */ }
ROW(carom_last_error) {
    REFUSED(carom_last_error(NULL), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_error, error, status, 1, REFUSED(carom_last_error(error), status));
    /* As much as there is room for, and no more. */
    struct {
        carom_error error;
        unsigned char tail[64];
    } larger;
    memset(&larger, 0xa5, sizeof larger);
    larger.error.size = sizeof larger;
    CHECK_OK(carom_last_error(&larger.error));
    CHECK_EQ(larger.error.size, sizeof larger);
    for (size_t i = 0; i < sizeof larger.tail; i++) CHECK_EQ(larger.tail[i], 0xa5);
}
ROW(carom_log_set) {
    REFUSED(carom_log_set(NULL, NULL, 5), CAROM_EINVAL);
    REFUSED(carom_log_set(NULL, NULL, UINT32_MAX), CAROM_EINVAL);
    CHECK_OK(carom_log_set(NULL, NULL, CAROM_LOG_OFF));
}

ROW(carom_function_register) {
    char name[80];
    memset(name, 'n', sizeof name);
    name[64] = 0;
    REFUSED(carom_function_register(NULL, works), CAROM_EINVAL);
    REFUSED(carom_function_register("", works), CAROM_EINVAL);
    REFUSED(carom_function_register(name, works), CAROM_EINVAL);
    REFUSED(carom_function_register("a\nb", works), CAROM_EINVAL);
    REFUSED(carom_function_register("\x7f", works), CAROM_EINVAL);
    REFUSED(carom_function_register("\xff\xfe", works), CAROM_EINVAL);
    REFUSED(carom_function_register("null", NULL), CAROM_EFUNCTION);
    CHECK_OK(carom_function_register("works", works));
    CHECK_OK(carom_function_register("works", works));
    REFUSED(carom_function_register("works", replies), CAROM_EEXIST);
}

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
ROW(carom_handle_keep) {
    EACH_STRANGE_CALL(call, REFUSED(carom_handle_keep(call, lock), CAROM_EBADHANDLE));
    EACH_STRANGE_CALL(call, REFUSED(carom_handle_keep(call, value), CAROM_EBADHANDLE));
    EACH_STRANGE_CALL(call, REFUSED(carom_handle_keep(call, NULL), CAROM_EBADHANDLE));
}
ROW(carom_call_reply) { EACH_STRANGE_CALL(call, REFUSED(carom_call_reply(call, "x", 1), CAROM_EBADHANDLE)); }
ROW(carom_call_reserve) { EACH_STRANGE_CALL(call, REFUSED_HANDLE(void, out, carom_call_reserve(call, 8, out), CAROM_EBADHANDLE)); }
ROW(carom_call_commit) { EACH_STRANGE_CALL(call, REFUSED(carom_call_commit(call, 0), CAROM_EBADHANDLE)); }
ROW(carom_call_fail) {
    EACH_STRANGE_CALL(call, CHECK_EQ(carom_call_fail(call, 3, "x"), 3));
    EACH_STRANGE_CALL(call, CHECK_EQ(carom_call_fail(call, 0, NULL), 1));
    CHECK_EQ(carom_call_fail(NULL, INT32_MIN, "x"), INT32_MIN);
}

/* ----------------------------------------------------------------------------------------------- calls, from inside */

/* 0: eight bytes, 1: lock, 2: value, 3: nil, 4: a list, 5: array, 6: semaphore, 7: condition, 8: event, 9: barrier. */
static void misuse_call(carom_call *call) {
    UNTOUCHED(int64_t, out, carom_call_read(call, 0, out, 7), CAROM_EMSGSIZE);
    UNTOUCHED(int64_t, out, carom_call_read(call, 0, out, 9), CAROM_EMSGSIZE);
    UNTOUCHED(int64_t, out, carom_call_read(call, 0, out, 0), CAROM_EMSGSIZE);
    UNTOUCHED(int64_t, out, carom_call_read(call, 0, out, SIZE_MAX), CAROM_EINVAL);
    REFUSED(carom_call_read(call, 0, NULL, 8), CAROM_EINVAL);
    for (size_t index = 1; index < 10; index++) UNTOUCHED(int64_t, out, carom_call_read(call, index, out, 8), CAROM_EINVAL);
    UNTOUCHED(int64_t, out, carom_call_read(call, 10, out, 8), CAROM_EINVAL);
    UNTOUCHED(int64_t, out, carom_call_read(call, SIZE_MAX, out, 8), CAROM_EINVAL);

    UNTOUCHED(carom_argument, out, carom_call_argument(call, 10, out), CAROM_EINVAL);
    UNTOUCHED(carom_argument, out, carom_call_argument(call, SIZE_MAX, out), CAROM_EINVAL);
    for (size_t index = 0; index < 10; index++) REFUSED(carom_call_argument(call, index, NULL), CAROM_EINVAL);
    carom_argument crooked[2];
    REFUSED(carom_call_argument(call, 0, (carom_argument *)(void *)((char *)crooked + 1)), CAROM_EINVAL);

    REFUSED_HANDLE(carom_lock, out, carom_call_lock(call, 0, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_lock, out, carom_call_lock(call, 2, out), CAROM_EBADHANDLE);
    REFUSED_HANDLE(carom_lock, out, carom_call_lock(call, 3, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_lock, out, carom_call_lock(call, 10, out), CAROM_EINVAL);
    REFUSED(carom_call_lock(call, 1, NULL), CAROM_EINVAL);
    REFUSED_HANDLE(carom_value, out, carom_call_value(call, 0, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_value, out, carom_call_value(call, 1, out), CAROM_EBADHANDLE);
    REFUSED_HANDLE(carom_value, out, carom_call_value(call, 4, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_value, out, carom_call_value(call, 10, out), CAROM_EINVAL);
    REFUSED(carom_call_value(call, 2, NULL), CAROM_EINVAL);
#define MISUSE_CALL(noun, place)                                                                                       \
    for (size_t index = 0; index < 12; index++)                                                                        \
        if (index != place)                                                                                            \
            REFUSED_HANDLE(carom_##noun, out, carom_call_##noun(call, index, out),                                     \
                           index == 1 || index == 2 || (index > 4 && index < 10) ? CAROM_EBADHANDLE : CAROM_EINVAL);   \
    REFUSED_HANDLE(carom_##noun, out, carom_call_##noun(call, SIZE_MAX, out), CAROM_EINVAL);                           \
    REFUSED(carom_call_##noun(call, place, NULL), CAROM_EINVAL);                                                       \
    REFUSED(carom_call_##noun(call, place, (carom_##noun **)(uintptr_t)1), CAROM_EINVAL)
    MISUSE_CALL(array, 5);
    MISUSE_CALL(semaphore, 6);
    MISUSE_CALL(condition, 7);
    MISUSE_CALL(event, 8);
    MISUSE_CALL(barrier, 9);
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
    };
    CHECK_EQ(outcome_of(misuses_call, arguments, 10), 18);
    char reply[64];
    size_t len = 0;
    CHECK_OK(carom_pool_apply(pool, misuses_reply, arguments, 10, NULL, reply, sizeof reply, &len, PATIENCE_MS));
    CHECK_EQ(len, 15);
    CHECK(memcmp(reply, "the last counts", 15) == 0);
}

/* --------------------------------------------------------------------------------------------------------- processes */

ROW(carom_process_start) {
    uint32_t before = atomic_load(ran);
    int64_t children = carom_process_children(NULL, 0);
    carom_argument argument = CAROM_INTEGER(1);
    EACH_STRANGE(f, REFUSED_HANDLE(carom_process, out, carom_process_start(f, NULL, 0, NULL, out), CAROM_EFUNCTION));
    REFUSED(carom_process_start(works, NULL, 0, NULL, NULL), CAROM_EINVAL);
    REFUSED(carom_process_start(works, NULL, 0, NULL, (carom_process **)(uintptr_t)5), CAROM_EINVAL);
    REFUSED_HANDLE(carom_process, out, carom_process_start(works, NULL, 1, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_process, out, carom_process_start(works, &argument, SIZE_MAX, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_process, out, carom_process_start(works, &argument, SIZE_MAX / sizeof argument, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_process, out, carom_process_start(works, (carom_argument *)(void *)((char *)&argument + 1), 1, NULL, out),
                   CAROM_EINVAL);
    EACH_STRANGE_ARGUMENT(a, status, REFUSED_HANDLE(carom_process, out, carom_process_start(works, a, 1, NULL, out), status));
    EACH_BAD_SIZE(carom_process_options, options, status, 0,
                  REFUSED_HANDLE(carom_process, out, carom_process_start(works, NULL, 0, options, out), status));
    carom_process_options options = {.size = sizeof options, .name = "\xff"};
    REFUSED_HANDLE(carom_process, out, carom_process_start(works, NULL, 0, &options, out), CAROM_EINVAL);
    options = (carom_process_options){.size = sizeof options, .reserved = 1};
    REFUSED_HANDLE(carom_process, out, carom_process_start(works, NULL, 0, &options, out), CAROM_E2BIG);
    /* Nothing was started. */
    CHECK_EQ(carom_process_children(NULL, 0), children);
    CHECK_EQ(atomic_load(ran), before);
}
ROW(carom_process_join) {
    EACH_BAD(carom_process, PROCESS, h, REFUSED(carom_process_join(h, 0), CAROM_EBADHANDLE));
    EACH_BAD(carom_process, PROCESS, h, REFUSED(carom_process_join(h, CAROM_FOREVER), CAROM_EBADHANDLE));
    REFUSED(carom_process_join(process, 0), CAROM_ETIMEDOUT);
}
ROW(carom_process_is_alive) { EACH_BAD(carom_process, PROCESS, h, REFUSED(carom_process_is_alive(h), CAROM_EBADHANDLE)); }
ROW(carom_process_exitcode) {
    EACH_BAD(carom_process, PROCESS, h, UNTOUCHED(int32_t, out, carom_process_exitcode(h, out), CAROM_EBADHANDLE));
    UNTOUCHED(int32_t, out, carom_process_exitcode(process, out), CAROM_EAGAIN);
    carom_process *over = NULL;
    CHECK_OK(carom_process_start(works, NULL, 0, NULL, &over));
    CHECK_OK(carom_process_join(over, PATIENCE_MS));
    REFUSED(carom_process_exitcode(over, NULL), CAROM_EINVAL);
    carom_process_free(over);
}
ROW(carom_process_terminate) { EACH_BAD(carom_process, PROCESS, h, REFUSED(carom_process_terminate(h), CAROM_EBADHANDLE)); }
ROW(carom_process_kill) { EACH_BAD(carom_process, PROCESS, h, REFUSED(carom_process_kill(h), CAROM_EBADHANDLE)); }
ROW(carom_process_pid) { EACH_BAD(carom_process, PROCESS, h, REFUSED(carom_process_pid(h), CAROM_EBADHANDLE)); }
ROW(carom_process_name) {
    EACH_BAD(carom_process, PROCESS, h, REFUSED(*carom_process_name(h) == 0 ? CAROM_EBADHANDLE : 0, CAROM_EBADHANDLE));
}
ROW(carom_process_daemon) { EACH_BAD(carom_process, PROCESS, h, REFUSED(carom_process_daemon(h), CAROM_EBADHANDLE)); }
ROW(carom_process_fd) { EACH_BAD(carom_process, PROCESS, h, REFUSED(carom_process_fd(h), CAROM_EBADHANDLE)); }
ROW(carom_process_free) { EACH_BAD(carom_process, PROCESS, h, carom_process_free(h)); }
ROW(carom_process_current) { CHECK_OK(carom_process_current(NULL, NULL)); }
ROW(carom_process_parent) {
    UNTOUCHED(int32_t, out, carom_process_parent(out, out + 1), CAROM_ENOENT);
    REFUSED(carom_process_parent(NULL, NULL), CAROM_ENOENT);
}
ROW(carom_process_children) {
    int fds = fd_count();
    REFUSED(carom_process_children(NULL, 1), CAROM_EINVAL); /* there is one */
    REFUSED(carom_process_children(NULL, SIZE_MAX), CAROM_EINVAL);
    REFUSED(carom_process_children((carom_process **)(uintptr_t)1, 1), CAROM_EINVAL);
    CHECK_EQ(fd_count(), fds);
}

/* ------------------------------------------------------------------------------------------------------------- locks */

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

/* --------------------------------------------------------------------------- semaphores, conditions, events, barriers */

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

/* ------------------------------------------------------------------------------------------------------------ values */

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

/* ------------------------------------------------------------------------------------------------------------ arrays */

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

/* ------------------------------------------------------------------------------------------------------------- pools */

ROW(carom_pool_new) {
    REFUSED(carom_pool_new(NULL, NULL), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_pool_options, options, status, 0, REFUSED_HANDLE(carom_pool, out, carom_pool_new(options, out), status));
    const int32_t workers[] = {-3, -4711, INT32_MIN, 1025, INT32_MAX};
    for (size_t i = 0; i < sizeof workers / sizeof *workers; i++) {
        carom_pool_options options = {.size = sizeof options, .workers = workers[i]};
        REFUSED_HANDLE(carom_pool, out, carom_pool_new(&options, out), CAROM_EINVAL);
    }
    carom_pool_options options = {.size = sizeof options, .workers = 1, .events = 4};
    REFUSED_HANDLE(carom_pool, out, carom_pool_new(&options, out), CAROM_EINVAL);
    options = (carom_pool_options){.size = sizeof options, .workers = 1, .events = UINT32_MAX};
    REFUSED_HANDLE(carom_pool, out, carom_pool_new(&options, out), CAROM_EINVAL);
    options = (carom_pool_options){.size = sizeof options, .workers = 1, .time_limit_ms = -2};
    REFUSED_HANDLE(carom_pool, out, carom_pool_new(&options, out), CAROM_EINVAL);
    options.time_limit_ms = INT64_MIN;
    REFUSED_HANDLE(carom_pool, out, carom_pool_new(&options, out), CAROM_EINVAL);
}

ROW(carom_pool_apply) {
    uint32_t before = atomic_load(ran);
    int64_t data[2];
    EACH_BAD(carom_pool, POOL, h, {
        UNTOUCHED(size_t, len, carom_pool_apply(h, works, NULL, 0, NULL, data, 8, len, 0), CAROM_EBADHANDLE);
    });
    EACH_STRANGE(f, UNTOUCHED(size_t, len, carom_pool_apply(pool, f, NULL, 0, NULL, data, 8, len, PATIENCE_MS), CAROM_EFUNCTION));
    EACH_STRANGE_ARGUMENT(a, status, UNTOUCHED(size_t, len, carom_pool_apply(pool, works, a, 1, NULL, data, 8, len, PATIENCE_MS), status));
    REFUSED(carom_pool_apply(pool, works, NULL, 1, NULL, NULL, 0, NULL, PATIENCE_MS), CAROM_EINVAL);
    REFUSED(carom_pool_apply(pool, works, NULL, SIZE_MAX, NULL, NULL, 0, NULL, PATIENCE_MS), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_task_options, options, status, 0,
                  REFUSED(carom_pool_apply(pool, works, NULL, 0, options, NULL, 0, NULL, PATIENCE_MS), status));
    carom_task_options options = {.size = sizeof options, .time_limit_ms = -2};
    REFUSED(carom_pool_apply(pool, works, NULL, 0, &options, NULL, 0, NULL, PATIENCE_MS), CAROM_EINVAL);
    UNTOUCHED(size_t, len, carom_pool_apply(pool, replies, NULL, 0, NULL, NULL, 8, len, PATIENCE_MS), CAROM_EINVAL);
    UNTOUCHED(size_t, len, carom_pool_apply(pool, replies, NULL, 0, NULL, data, SIZE_MAX, len, PATIENCE_MS), CAROM_EINVAL);
    /* A verdict that cannot be shown is noticed before the task runs, not after. */
    EACH_BAD_SIZE(carom_verdict, verdict, status, 1, {
        carom_task_options with = {.size = sizeof with, .verdict = verdict};
        REFUSED(carom_pool_apply(pool, works, NULL, 0, &with, NULL, 0, NULL, PATIENCE_MS), status);
    });
    CHECK_EQ(atomic_load(ran), before);
    UNTOUCHED(int64_t, out, carom_pool_apply(pool, replies, NULL, 0, NULL, out, 7, NULL, PATIENCE_MS), CAROM_EMSGSIZE);
}

ROW(carom_pool_apply_async) {
    uint32_t before = atomic_load(ran);
    EACH_BAD(carom_pool, POOL, h, {
        REFUSED_HANDLE(carom_result, out, carom_pool_apply_async(h, works, NULL, 0, NULL, out), CAROM_EBADHANDLE);
        REFUSED(carom_pool_apply_async(h, works, NULL, 0, NULL, NULL), CAROM_EBADHANDLE);
    });
    EACH_STRANGE(f, REFUSED_HANDLE(carom_result, out, carom_pool_apply_async(pool, f, NULL, 0, NULL, out), CAROM_EFUNCTION));
    EACH_STRANGE_ARGUMENT(a, status, REFUSED_HANDLE(carom_result, out, carom_pool_apply_async(pool, works, a, 1, NULL, out), status));
    REFUSED_HANDLE(carom_result, out, carom_pool_apply_async(pool, works, NULL, 1, NULL, out), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_task_options, options, status, 0,
                  REFUSED_HANDLE(carom_result, out, carom_pool_apply_async(pool, works, NULL, 0, options, out), status));
    REFUSED(carom_pool_apply_async(pool, works, NULL, 0, NULL, (carom_result **)(uintptr_t)7), CAROM_EINVAL);
    CHECK_EQ(atomic_load(ran), before);
}

ROW(carom_pool_map) {
    uint32_t before = atomic_load(ran);
    int64_t in[4] = {1, 2, 3, 4};
    typedef struct {
        int64_t items[4];
    } four;
    EACH_BAD(carom_pool, POOL, h, UNTOUCHED(four, out, carom_pool_map(h, works, in, 8, 4, NULL, out, 8, 0), CAROM_EBADHANDLE));
    EACH_STRANGE(f, UNTOUCHED(four, out, carom_pool_map(pool, f, in, 8, 4, NULL, out, 8, PATIENCE_MS), CAROM_EFUNCTION));
    UNTOUCHED(four, out, carom_pool_map(pool, works, NULL, 8, 4, NULL, out, 8, PATIENCE_MS), CAROM_EINVAL);
    REFUSED(carom_pool_map(pool, works, in, 8, 4, NULL, NULL, 8, PATIENCE_MS), CAROM_EINVAL);
    UNTOUCHED(four, out, carom_pool_map(pool, works, in, 8, SIZE_MAX, NULL, out, 8, PATIENCE_MS), CAROM_EINVAL);
    UNTOUCHED(four, out, carom_pool_map(pool, works, in, SIZE_MAX, 4, NULL, out, 8, PATIENCE_MS), CAROM_EINVAL);
    UNTOUCHED(four, out, carom_pool_map(pool, works, in, SIZE_MAX / 2 + 1, 2, NULL, out, 8, PATIENCE_MS), CAROM_EINVAL);
    UNTOUCHED(four, out, carom_pool_map(pool, works, in, 8, 4, NULL, out, SIZE_MAX, PATIENCE_MS), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_task_options, options, status, 0,
                  UNTOUCHED(four, out, carom_pool_map(pool, works, in, 8, 4, options, out, 8, PATIENCE_MS), status));
    carom_task_options crooked = {.size = sizeof crooked, .statuses = (carom_status *)(uintptr_t)0x1001};
    UNTOUCHED(four, out, carom_pool_map(pool, works, in, 8, 4, &crooked, out, 8, PATIENCE_MS), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_verdict, verdict, status, 1, {
        carom_task_options with = {.size = sizeof with, .verdict = verdict};
        UNTOUCHED(four, out, carom_pool_map(pool, works, in, 8, 4, &with, out, 8, PATIENCE_MS), status);
    });
    CHECK_EQ(atomic_load(ran), before);
    carom_task_options one_by_one = {.size = sizeof one_by_one, .chunk_size = 1};
    REFUSED(carom_pool_map(pool, works, NULL, 0, SIZE_MAX, NULL, NULL, 0, PATIENCE_MS), CAROM_ENOMEM);
    REFUSED(carom_pool_map(pool, works, NULL, 0, (size_t)1 << 45, &one_by_one, NULL, 0, PATIENCE_MS), CAROM_ENOMEM);
    CHECK_OK(carom_pool_map(pool, works, NULL, 8, 0, NULL, NULL, 8, PATIENCE_MS)); /* none is none */
}

static int64_t no_source(void *ctx, carom_argument *arguments, size_t max) {
    (void)arguments, (void)max;
    return *(int64_t *)ctx;
}

ROW(carom_pool_imap_unordered) {
    uint32_t before = atomic_load(ran);
    int64_t in[2] = {1, 2};
    carom_argument argument = CAROM_INTEGER(1);
    carom_items items = {.size = sizeof items, .data = in, .item_size = 8, .count = 2};
    EACH_BAD(carom_pool, POOL, h,
             REFUSED_HANDLE(carom_iterator, out, carom_pool_imap_unordered(h, works, &items, NULL, out), CAROM_EBADHANDLE));
    EACH_STRANGE(f, REFUSED_HANDLE(carom_iterator, out, carom_pool_imap_unordered(pool, f, &items, NULL, out), CAROM_EFUNCTION));
    REFUSED(carom_pool_imap_unordered(pool, works, &items, NULL, NULL), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_items, bad, status, 0,
                  REFUSED_HANDLE(carom_iterator, out, carom_pool_imap_unordered(pool, works, bad, NULL, out), status));
    EACH_BAD_SIZE(carom_task_options, options, status, 0,
                  REFUSED_HANDLE(carom_iterator, out, carom_pool_imap_unordered(pool, works, &items, options, out), status));
    const carom_items strange[] = {
        {.size = sizeof items, .data = in, .item_size = 8, .count = 2, .arguments = &argument, .per_item = 1},
        {.size = sizeof items, .data = in, .item_size = 8, .count = 2, .source = no_source},
        {.size = sizeof items, .arguments = &argument, .per_item = 1, .count = 1, .source = no_source},
        {.size = sizeof items, .count = 2, .item_size = 8},
        {.size = sizeof items, .data = in, .item_size = SIZE_MAX, .count = 2},
        {.size = sizeof items, .data = in, .item_size = 8, .count = SIZE_MAX},
        {.size = sizeof items, .arguments = &argument, .per_item = SIZE_MAX, .count = 2},
        {.size = sizeof items, .arguments = &argument, .per_item = 1, .count = SIZE_MAX / 8},
        {.size = sizeof items, .arguments = &argument, .per_item = 0, .count = SIZE_MAX},
    };
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
        REFUSED_HANDLE(carom_iterator, out, carom_pool_imap_unordered(pool, works, &strange[i], NULL, out), CAROM_EINVAL);
    EACH_STRANGE_ARGUMENT(a, status, {
        carom_items lists = {.size = sizeof lists, .arguments = a, .per_item = 1, .count = 1};
        REFUSED_HANDLE(carom_iterator, out, carom_pool_imap_unordered(pool, works, &lists, NULL, out), status);
    });
    CHECK_EQ(atomic_load(ran), before);
}

ROW(carom_iterator_next) {
    EACH_BAD(carom_iterator, ITERATOR, h, REFUSED_HANDLE(carom_result, out, carom_iterator_next(h, out, 0), CAROM_EBADHANDLE));
    EACH_BAD(carom_iterator, ITERATOR, h, REFUSED_HANDLE(carom_result, out, carom_iterator_next(h, out, CAROM_FOREVER), CAROM_EBADHANDLE));
    /* A source that returns nonsense, or says why it cannot go on. */
    const struct {
        int64_t says;
        carom_status status;
    } sources[] = {{-5, -5}, {65, CAROM_EINVAL}, {INT64_MAX, CAROM_EINVAL}, {INT64_MIN, CAROM_EINVAL}, {-6000, CAROM_EINVAL}};
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        int64_t says = sources[i].says;
        carom_items items = {.size = sizeof items, .source = no_source, .ctx = &says};
        carom_iterator *broken = NULL;
        CHECK_OK(carom_pool_imap_unordered(pool, works, &items, NULL, &broken));
        REFUSED_HANDLE(carom_result, out, carom_iterator_next(broken, out, PATIENCE_MS), sources[i].status);
        carom_iterator_free(broken);
    }
    /* No place for the result: it is not lost by that. */
    int64_t in = 1;
    carom_items items = {.size = sizeof items, .data = &in, .item_size = 8, .count = 1};
    carom_iterator *one = NULL;
    carom_result *it = NULL;
    CHECK_OK(carom_pool_imap_unordered(pool, works, &items, NULL, &one));
    REFUSED(carom_iterator_next(one, NULL, PATIENCE_MS), CAROM_EINVAL);
    CHECK_OK(carom_iterator_next(one, &it, PATIENCE_MS));
    carom_result_free(it);
    REFUSED_HANDLE(carom_result, out, carom_iterator_next(one, out, 0), CAROM_EEND);
    REFUSED_HANDLE(carom_result, out, carom_iterator_next(one, out, CAROM_FOREVER), CAROM_EEND);
    carom_iterator_free(one);
}
ROW(carom_iterator_free) { EACH_BAD(carom_iterator, ITERATOR, h, carom_iterator_free(h)); }
ROW(carom_pool_fd) { EACH_BAD(carom_pool, POOL, h, REFUSED(carom_pool_fd(h), CAROM_EBADHANDLE)); }
ROW(carom_pool_dispatch) { EACH_BAD(carom_pool, POOL, h, REFUSED(carom_pool_dispatch(h, 0), CAROM_EBADHANDLE)); }
ROW(carom_pool_next_event) {
    EACH_BAD(carom_pool, POOL, h, {
        carom_pool_event event = {.size = sizeof event, .kind = 4711};
        REFUSED(carom_pool_next_event(h, &event, 0), CAROM_EBADHANDLE);
        CHECK_EQ(event.kind, 4711);
    });
    REFUSED(carom_pool_next_event(pool, NULL, 0), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_pool_event, event, status, 1, REFUSED(carom_pool_next_event(pool, event, 0), status));
    carom_pool_event event = {.size = sizeof event, .kind = 4711};
    REFUSED(carom_pool_next_event(pool, &event, 0), CAROM_ETIMEDOUT);
    CHECK_EQ(event.kind, 4711);
}
ROW(carom_pool_close) { EACH_BAD(carom_pool, POOL, h, REFUSED(carom_pool_close(h), CAROM_EBADHANDLE)); }
ROW(carom_pool_terminate) { EACH_BAD(carom_pool, POOL, h, REFUSED(carom_pool_terminate(h), CAROM_EBADHANDLE)); }
ROW(carom_pool_join) {
    EACH_BAD(carom_pool, POOL, h, REFUSED(carom_pool_join(h, 0), CAROM_EBADHANDLE));
    REFUSED(carom_pool_join(pool, 0), CAROM_EPERM);
    REFUSED(carom_pool_join(pool, CAROM_FOREVER), CAROM_EPERM);
}
ROW(carom_pool_free) { EACH_BAD(carom_pool, POOL, h, carom_pool_free(h)); }

/* A pool that is closed, or ended, takes nothing. */
static void closed_pools(void) {
    carom_pool_options options = {.size = sizeof options, .workers = 1};
    for (int terminated = 0; terminated < 2; terminated++) {
        carom_pool *over = NULL;
        int64_t in = 1;
        carom_items items = {.size = sizeof items, .data = &in, .item_size = 8, .count = 1};
        CHECK_OK(carom_pool_new(&options, &over));
        CHECK_OK(terminated ? carom_pool_terminate(over) : carom_pool_close(over));
        for (int joined = 0; joined < 2; joined++) {
            REFUSED_HANDLE(carom_result, out, carom_pool_apply_async(over, works, NULL, 0, NULL, out), CAROM_ECLOSED);
            REFUSED(carom_pool_apply(over, works, NULL, 0, NULL, NULL, 0, NULL, PATIENCE_MS), CAROM_ECLOSED);
            REFUSED(carom_pool_map(over, works, &in, 8, 1, NULL, NULL, 0, PATIENCE_MS), CAROM_ECLOSED);
            REFUSED_HANDLE(carom_iterator, out, carom_pool_imap_unordered(over, works, &items, NULL, out), CAROM_ECLOSED);
            CHECK_OK(carom_pool_join(over, PATIENCE_MS));
        }
        carom_pool_free(over);
        REFUSED(carom_pool_join(over, 0), CAROM_EBADHANDLE);
    }
}

ROW(carom_result_wait) { EACH_BAD(carom_result, RESULT, h, REFUSED(carom_result_wait(h, CAROM_FOREVER), CAROM_EBADHANDLE)); }
ROW(carom_result_ready) { EACH_BAD(carom_result, RESULT, h, REFUSED(carom_result_ready(h), CAROM_EBADHANDLE)); }
ROW(carom_result_successful) { EACH_BAD(carom_result, RESULT, h, REFUSED(carom_result_successful(h), CAROM_EBADHANDLE)); }
ROW(carom_result_get) {
    int64_t data = 4711;
    EACH_BAD(carom_result, RESULT, h, UNTOUCHED(size_t, len, carom_result_get(h, &data, 8, len, 0), CAROM_EBADHANDLE));
    size_t len = 0;
    REFUSED(carom_result_get(result, &data, 7, &len, PATIENCE_MS), CAROM_EMSGSIZE);
    CHECK_EQ(len, 8);
    CHECK_EQ(data, 4711);
    REFUSED(carom_result_get(result, NULL, 0, NULL, PATIENCE_MS), CAROM_EMSGSIZE);
    UNTOUCHED(size_t, out, carom_result_get(result, NULL, 8, out, PATIENCE_MS), CAROM_EINVAL);
    CHECK_OK(carom_result_get(result, &data, 8, NULL, PATIENCE_MS)); /* it stayed */
    CHECK_EQ(data, 8);
}
ROW(carom_result_verdict) {
    EACH_BAD(carom_result, RESULT, h, {
        carom_verdict verdict = {.size = sizeof verdict, .code = 4711};
        REFUSED(carom_result_verdict(h, &verdict), CAROM_EBADHANDLE);
        CHECK_EQ(verdict.code, 4711);
    });
    REFUSED(carom_result_verdict(result, NULL), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_verdict, verdict, status, 1, REFUSED(carom_result_verdict(result, verdict), status));
}
ROW(carom_verdict_print) {
    int fds[2];
    char byte;
    CHECK_EQ(pipe(fds), 0);
    REFUSED(carom_verdict_print(NULL, fds[1]), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_verdict, verdict, status, 0, REFUSED(carom_verdict_print(verdict, fds[1]), status));
    carom_verdict verdict = {.size = sizeof verdict}; /* all zero, its texts too */
    REFUSED(carom_verdict_print(&verdict, -1), -EBADF);
    REFUSED(carom_verdict_print(&verdict, fds[0]), -EBADF);
    close(fds[1]);
    CHECK_EQ(read(fds[0], &byte, 1), 0); /* nothing was written */
    close(fds[0]);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    REFUSED(carom_verdict_print(&verdict, full), -ENOSPC);
    CHECK_OK(carom_verdict_print(&verdict, null));
    close(full);
    close(null);
}
ROW(carom_result_free) { EACH_BAD(carom_result, RESULT, h, carom_result_free(h)); }

/* ------------------------------------------------------------------------------------------------------ named memory */

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

/* ---------------------------------------------------------------------------------------------------------- the test */

static void add(void *handle, enum kind kind, int is_good) {
    handles[handle_count].handle = handle;
    handles[handle_count].kind = kind;
    handles[handle_count++].is_good = is_good;
}

static void make_handles(void) {
    static int64_t in = 1;
    const int64_t initial = 5, four[4] = {10, 11, 12, 13};
    carom_pool_options options = {.size = sizeof options, .workers = 1};
    carom_shared_options no_lock = {.size = sizeof no_lock, .no_lock = 1};
    carom_items items = {.size = sizeof items, .data = &in, .item_size = 8, .count = 1};
    for (int round = 0; round < 2; round++) { /* what the first round makes is freed */
        CHECK_OK(carom_lock_new(NULL, &lock));
        CHECK_OK(carom_value_new(CAROM_I64, &initial, 8, NULL, &value));
        CHECK_OK(carom_array_new(CAROM_I64, 8, 4, four, NULL, &array));
        CHECK_OK(carom_bounded_semaphore_new(2, NULL, &semaphore));
        CHECK_OK(carom_condition_new(NULL, &condition));
        CHECK_OK(carom_event_new(&event));
        CHECK_OK(carom_barrier_new(2, NULL, &barrier));
        CHECK_OK(carom_process_start(waits, NULL, 0, NULL, &process));
        CHECK_OK(carom_pool_new(&options, &pool));
        CHECK_OK(carom_pool_apply_async(pool, replies, NULL, 0, NULL, &result));
        CHECK_OK(carom_result_wait(result, PATIENCE_MS));
        CHECK_OK(carom_pool_imap_unordered(pool, works, &items, NULL, &iterator));
        add(lock, LOCK, round);
        add(value, VALUE, round);
        add(array, ARRAY, round);
        add(semaphore, SEMAPHORE, round);
        add(condition, CONDITION, round);
        add(event, EVENT, round);
        add(barrier, BARRIER, round);
        add(process, PROCESS, round);
        add(pool, POOL, round);
        add(result, RESULT, round);
        add(iterator, ITERATOR, round);
        make_named();
        add(memory, MEMORY, round);
        add(list, LIST, round);
        if (round == 0) {
            carom_shareable_list_free(list);
            carom_shared_memory_free(memory);
            carom_iterator_free(iterator);
            carom_result_free(result);
            CHECK_OK(carom_pool_terminate(pool));
            CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
            carom_pool_free(pool);
            CHECK_OK(carom_process_kill(process));
            CHECK_OK(carom_process_join(process, PATIENCE_MS));
            carom_process_free(process);
            carom_barrier_free(barrier);
            carom_event_free(event);
            carom_condition_free(condition);
            carom_semaphore_free(semaphore);
            carom_array_free(array);
            carom_value_free(value);
            carom_lock_free(lock);
        }
    }
    carom_semaphore_options owning = {.size = sizeof owning, .owned = 1};
    CHECK_OK(carom_semaphore_new(2, &owning, &owned));
    CHECK_OK(carom_array_new(CAROM_I64, 8, 4, four, &no_lock, &bare_array));
    CHECK_OK(carom_lock_new(NULL, &held));
    CHECK_OK(carom_lock_acquire(held, 0));
    CHECK_OK(carom_value_new(CAROM_I64, &initial, 8, &no_lock, &bare));
    add(NULL, NONE, 0);
    add((void *)(uintptr_t)1, NONE, 0);
    add((void *)(uintptr_t)0xa5a5a5a5a5a5a5a5, NONE, 0);
    add((void *)UINTPTR_MAX, NONE, 0);
    add((void *)(uintptr_t)0xffffffff, NONE, 0);
    add(&handle_count, NONE, 0);                          /* an address of ours */
    add((void *)((uintptr_t)lock ^ 1), NONE, 0);          /* a neighbour's place */
    add((void *)((uintptr_t)lock + ((uint64_t)1 << 40)), NONE, 0); /* another age */
    for (uint64_t kind = 0; kind < 16; kind++) add((void *)(uintptr_t)(kind << 32 | 0xfffff), NONE, 0);
}

static void everything_still_works(void) {
    int64_t data = 0;
    CHECK_OK(carom_lock_acquire(lock, 0));
    CHECK_EQ(carom_lock_locked(lock), 1);
    CHECK_OK(carom_lock_release(lock));
    CHECK_EQ(carom_lock_locked(held), 1);
    CHECK_OK(carom_value_lock(value, 0));
    CHECK_EQ(*(int64_t *)carom_value_data(value), 5);
    CHECK_OK(carom_value_unlock(value));
    CHECK_OK(carom_array_get(array, 3, 1, &data, 8, 0));
    CHECK_EQ(data, 13);
    CHECK_EQ(carom_array_count(array), 4);
    CHECK_OK(carom_semaphore_acquire(semaphore, 0));
    CHECK_EQ(carom_semaphore_value(semaphore), 1);
    CHECK_OK(carom_semaphore_release(semaphore));
    CHECK_OK(carom_semaphore_acquire(owned, 0));
    CHECK_EQ(carom_semaphore_value(owned), 1);
    CHECK_OK(carom_semaphore_release(owned));
    CHECK_OK(carom_condition_acquire(condition, 0));
    CHECK_OK(carom_condition_notify_all(condition));
    carom_status waited = carom_condition_wait(condition, 0); /* for a death somewhere it may wake */
    CHECK(waited == CAROM_ETIMEDOUT || waited == CAROM_OK);
    CHECK_OK(carom_condition_release(condition));
    CHECK_EQ(carom_event_is_set(event), 0);
    CHECK_OK(carom_event_set(event));
    CHECK_OK(carom_event_wait(event, CAROM_FOREVER));
    CHECK_OK(carom_event_clear(event));
    CHECK_EQ(carom_barrier_parties(barrier), 2);
    CHECK_EQ(carom_barrier_waiting(barrier), 0);
    CHECK_EQ(carom_barrier_broken(barrier), 0);
    CHECK_EQ(carom_process_is_alive(process), 1);
    CHECK_EQ(outcome_of(works, NULL, 0), 0);
    CHECK_OK(carom_pool_apply(pool, replies, NULL, 0, NULL, &data, 8, NULL, PATIENCE_MS));
    CHECK_EQ(data, 8);
    CHECK_EQ(carom_result_ready(result), 1);
    named_still_works();
}

static void misuse_all(void) {
    for (size_t i = 0; i < row_count; i++) {
        if (getenv("CAROM_VERBOSE")) fprintf(stderr, "  %s\n", rows[i].name);
        rows[i].body();
    }
    calls_from_inside();
    closed_pools();
}

static void misuse(void) {
    go = share(sizeof *go);
    ran = share(sizeof *ran);
    make_strange_functions();
    make_handles();
    everything_still_works();
    misuse_all();
    everything_still_works();
    /* And nothing is left of it, however often. */
    for (int i = 0; i < 3; i++) misuse_all();
    int fds = fd_count();
    long arena = arena_kb();
    for (int i = 0; i < 20; i++) misuse_all();
    CHECK_EQ(fd_count(), fds);
    CHECK(arena_kb() <= arena + 64);
    everything_still_works();

    carom_shareable_list_free(list);
    carom_shared_memory_free(memory);
    carom_iterator_free(iterator);
    carom_result_free(result);
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
    flag_add(go, 1);
    CHECK_EQ(ended(process), 17);
    carom_barrier_free(barrier);
    carom_event_free(event);
    carom_condition_free(condition);
    carom_semaphore_free(owned);
    carom_semaphore_free(semaphore);
    carom_array_free(bare_array);
    carom_array_free(array);
    carom_value_free(value);
    carom_value_free(bare);
    carom_lock_free(held);
    carom_lock_free(lock);
}

/* A call that is refused costs nothing: not in the arena, which nobody would ever empty. */
static void refusals_cost_nothing(void) {
    carom_lock *a_lock = NULL, *none = NULL;
    CHECK_OK(carom_lock_new(NULL, &a_lock));
    for (int i = 0; i < 100; i++) CHECK_STATUS(carom_handle_keep(NULL, a_lock), CAROM_EBADHANDLE);
    long before = arena_kb();
    for (int i = 0; i < 20000; i++) {
        CHECK_STATUS(carom_handle_keep(NULL, a_lock), CAROM_EBADHANDLE);
        CHECK_STATUS(carom_value_get_lock(NULL, &none), CAROM_EBADHANDLE);
        carom_value *no_value = NULL;
        CHECK_STATUS(carom_value_new(CAROM_RAW, NULL, (size_t)1 << 45, NULL, &no_value), CAROM_ENOMEM);
    }
    CHECK(arena_kb() <= before + 64);
    carom_lock_free(a_lock);
}

/* Every function that the header declares has a row, and every row is of such a function. */
static void rows_are_complete(void) {
    const char *path = getenv("CAROM_HEADER") ? getenv("CAROM_HEADER") : "include/carom.h";
    static char text[1 << 20];
    FILE *file = fopen(path, "re");
    CHECK(file != NULL);
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = 0;
    int found[256] = {0}, missing = 0, in_comment = 0;
    char *at = strstr(text, "cdef: begin"), *end = strstr(text, "/* cdef: end");
    CHECK(at != NULL && end != NULL);
    at = strstr(at, "*/");
    for (; at < end; at++) {
        if (strncmp(at, "/*", 2) == 0) in_comment = 1;
        if (strncmp(at, "*/", 2) == 0) in_comment = 0;
        if (in_comment || strncmp(at, "carom_", 6) != 0 || at[-1] == '_' || (at[-1] >= 'a' && at[-1] <= 'z')) continue;
        size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789_");
        if (at[length] != '(') continue;
        size_t row = 0;
        while (row < row_count && (strlen(rows[row].name) != length || strncmp(rows[row].name, at, length) != 0)) row++;
        if (row < row_count) found[row]++;
        else missing += fprintf(stderr, "no row for %.*s\n", (int)length, at) > 0;
    }
    for (size_t row = 0; row < row_count; row++) check_eq_(__FILE__, __LINE__, rows[row].name, found[row], 1);
    CHECK_EQ(missing, 0);
    CHECK(row_count > 50);
}

int main(void) {
    rows_are_complete();
    CASE(misuse);
    CASE(refusals_cost_nothing);
    return 0;
}
