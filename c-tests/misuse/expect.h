/* test_misuse.c: how a refusal is checked; whatever somebody may take for a handle, a function or an argument; the rows. */
#include "../support.h"

enum kind { NONE, LOCK, VALUE, PROCESS, POOL, RESULT, ITERATOR, SEMAPHORE, CONDITION, EVENT, BARRIER, ARRAY, QUEUE, MEMORY, LIST, CONNECTION, LISTENER, CONTEXT, CAPSULE, MANAGER, DICT, SERVED_LIST, PROXY };

static carom_lock *lock, *held;
static carom_value *value, *bare;
static carom_array *array, *bare_array;
static carom_semaphore *semaphore, *owned;
static carom_condition *condition;
static carom_event *event;
static carom_barrier *barrier;
static carom_queue *queue;
static carom_process *process;
static carom_pool *pool;
static carom_result *result;
static carom_iterator *iterator;
static carom_context *context;

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

static int32_t fails(carom_call *call) {
    (void)call;
    return 3;
}

static int32_t replies(carom_call *call) {
    flag_add(ran, 1);
    int64_t eight = 8;
    CHECK_OK(carom_call_reply(call, &eight, sizeof eight));
    return 0;
}

/* However long the rows take: it ends with the process that started it. */
static int32_t waits(carom_call *call) {
    (void)call;
    while (!atomic_load(go)) syscall(SYS_futex, go, FUTEX_WAIT, 0, NULL, NULL, 0);
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
} rows[512];
static size_t row_count;

#define ROW(function)                                                                                                  \
    static void row_##function(void);                                                                                  \
    __attribute__((constructor)) static void add_##function(void) {                                                    \
        (void)&function;                                                                                               \
        rows[row_count++] = (struct row){#function, row_##function};                                                   \
    }                                                                                                                  \
    static void row_##function(void)
