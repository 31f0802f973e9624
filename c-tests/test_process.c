/* Processes: how they end, what they are given, what one can ask of them. */
#include "ends.h"

struct shared {
    flag go, up, done;
    _Atomic int32_t pid, other, number;
};
static struct shared *shared;

/* --------------------------------------------------------------------------------------------------- how they end */

static int32_t fails(carom_call *call) {
    int64_t code;
    CHECK_OK(carom_call_read(call, 0, &code, sizeof code));
    return carom_call_fail(call, (int32_t)code, "for a reason");
}

static int32_t *dangling;
static int32_t crashes(carom_call *call) {
    (void)call;
    *(volatile int32_t *)dangling = 1;
    return 0;
}

static void *exit_in_thread(void *code) { exit((int)(intptr_t)code); }

static int32_t exits_in_a_thread(carom_call *call) {
    (void)call;
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, exit_in_thread, (void *)(intptr_t)9), 0);
    pthread_join(thread, NULL);
    pause();
    return 0;
}

static int32_t with_number(carom_function function, int64_t number) {
    carom_argument argument = CAROM_INTEGER(number);
    return outcome_of(function, &argument, 1);
}

static void exit_codes(void) {
    for (int code = 0; code < 256; code++) CHECK_EQ(with_number(returns, code), code);
    const int32_t beyond[] = {256, 257, 1000, -1, -255, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) CHECK_EQ(with_number(returns, beyond[i]), 255);
    CHECK_EQ(with_number(exits, 0), 0);
    CHECK_EQ(with_number(exits, 5), 5);
    CHECK_EQ(with_number(exits, 255), 255);
    CHECK_EQ(with_number(exits, 256 + 7), 7); /* exit() itself does that */
    CHECK_EQ(with_number(exits, -1), 255);
    CHECK_EQ(with_number(exits_at_once, 6), 6);
    CHECK_EQ(with_number(fails, 3), 3);
    CHECK_EQ(with_number(fails, 0), 1);
    CHECK_EQ(outcome_of(exits_in_a_thread, NULL, 0), 9);
}

static void signals(void) {
    const int ending[] = {SIGTERM, SIGKILL, SIGSEGV, SIGABRT, SIGINT, SIGHUP, SIGUSR1, SIGPIPE, SIGALRM, SIGXFSZ, SIGRTMIN, SIGRTMAX};
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) CHECK_EQ(with_number(raises, ending[i]), -ending[i]);
    CHECK_EQ(with_number(raises, SIGCHLD), 0);
    CHECK_EQ(outcome_of(crashes, NULL, 0), -SIGSEGV);
}

/* -------------------------------------------------------------------------------------------- waiting and stopping */

static int32_t waits(carom_call *call) {
    (void)call;
    atomic_store(&shared->pid, getpid());
    flag_add(&shared->up, 1);
    flag_await(&shared->go, 1);
    return 17;
}

static int32_t waits_for_ever(carom_call *call) {
    (void)call;
    flag_add(&shared->up, 1);
    for (;;) pause();
    return 0;
}

static void joining(void) {
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(waits, NULL, 0, NULL, &process));
    flag_await(&shared->up, 1);
    CHECK_EQ(carom_process_pid(process), atomic_load(&shared->pid));
    CHECK_EQ(carom_process_is_alive(process), 1);
    CHECK_STATUS(carom_process_join(process, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_process_join(process, 1), CAROM_ETIMEDOUT);
    int32_t code = 4711;
    CHECK_STATUS(carom_process_exitcode(process, &code), CAROM_EAGAIN);
    CHECK_EQ(code, 4711);
    int fd = carom_process_fd(process);
    CHECK(fd > 2);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK(!is_readable(fd));
    CHECK_EQ(carom_process_fd(process), fd);
    flag_add(&shared->go, 1);
    readable(fd);
    CHECK_EQ(carom_process_is_alive(process), 0);
    /* As often as one likes, and the longest time is no problem. */
    CHECK_OK(carom_process_join(process, 0));
    CHECK_OK(carom_process_join(process, CAROM_FOREVER));
    CHECK_OK(carom_process_join(process, INT64_MAX));
    CHECK_OK(carom_process_join(process, INT64_MIN));
    for (int i = 0; i < 2; i++) {
        CHECK_OK(carom_process_exitcode(process, &code));
        CHECK_EQ(code, 17);
    }
    CHECK(is_readable(fd));
    CHECK_OK(carom_process_terminate(process));
    CHECK_OK(carom_process_kill(process));
    CHECK_EQ(carom_process_pid(process), atomic_load(&shared->pid));
    carom_process_free(process);
    CHECK_EQ(carom_process_is_alive(process), CAROM_EBADHANDLE);
}

/* The exit code is there without a join, once the descriptor says so. */
static void exitcode_without_join(void) {
    carom_argument argument = CAROM_INTEGER(33);
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(returns, &argument, 1, NULL, &process));
    readable(carom_process_fd(process));
    int32_t code = 0;
    CHECK_OK(carom_process_exitcode(process, &code));
    CHECK_EQ(code, 33);
    carom_process_free(process);
}

static void on_term(int signal) {
    (void)signal;
    flag_add(&shared->done, 1);
}

static int32_t survives_term(carom_call *call) {
    (void)call;
    signal(SIGTERM, on_term);
    flag_add(&shared->up, 1);
    for (;;) pause();
    return 0;
}

static void stopping(void) {
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(waits_for_ever, NULL, 0, NULL, &process));
    CHECK_OK(carom_process_terminate(process)); /* at whatever moment of its life */
    CHECK_EQ(ended(process), -SIGTERM);
    CHECK_OK(carom_process_start(waits_for_ever, NULL, 0, NULL, &process));
    CHECK_OK(carom_process_kill(process));
    CHECK_EQ(ended(process), -SIGKILL);

    uint32_t up = atomic_load(&shared->up);
    CHECK_OK(carom_process_start(survives_term, NULL, 0, NULL, &process));
    flag_await(&shared->up, up + 1);
    CHECK_OK(carom_process_terminate(process));
    flag_await(&shared->done, 1);
    CHECK_EQ(carom_process_is_alive(process), 1);
    CHECK_STATUS(carom_process_join(process, 0), CAROM_ETIMEDOUT);
    CHECK_OK(carom_process_kill(process));
    CHECK_EQ(ended(process), -SIGKILL);

    /* Ended, but not reaped: there is nothing to stop, and nothing else is hit. */
    carom_argument argument = CAROM_INTEGER(1);
    CHECK_OK(carom_process_start(returns, &argument, 1, NULL, &process));
    readable(carom_process_fd(process));
    CHECK_OK(carom_process_terminate(process));
    CHECK_OK(carom_process_kill(process));
    CHECK_EQ(ended(process), 1);
}

#define THREADS 8
static carom_process *watched;

static void *joins(void *unused) {
    (void)unused;
    int32_t code = 0;
    flag_add(&shared->up, 1);
    CHECK_OK(carom_process_join(watched, CAROM_FOREVER));
    CHECK_EQ(carom_process_is_alive(watched), 0);
    CHECK_OK(carom_process_exitcode(watched, &code));
    CHECK_EQ(code, 17);
    return NULL;
}

static void joins_at_once(void) {
    pthread_t threads[THREADS];
    CHECK_OK(carom_process_start(waits, NULL, 0, NULL, &watched));
    for (int i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&threads[i], NULL, joins, NULL), 0);
    flag_await(&shared->up, 1 + THREADS);
    flag_add(&shared->go, 1);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    carom_process_free(watched);
}

static void *joins_what_is_freed(void *tid) {
    atomic_store((_Atomic pid_t *)tid, (pid_t)syscall(SYS_gettid));
    carom_status status = carom_process_join(watched, CAROM_FOREVER);
    CHECK(status == CAROM_OK || status == CAROM_EBADHANDLE);
    return NULL;
}

/* A handle freed under a waiting join neither crashes it nor ends the process, and the join still ends. */
static void freed_while_joined(void) {
    pthread_t thread;
    static _Atomic pid_t tid;
    CHECK_OK(carom_process_start(waits, NULL, 0, NULL, &watched));
    CHECK_EQ(pthread_create(&thread, NULL, joins_what_is_freed, (void *)&tid), 0);
    while (!atomic_load(&tid)) sched_yield();
    asleep_in(getpid(), atomic_load(&tid), SYS_ppoll);
    carom_process_free(watched);
    CHECK_STATUS(carom_process_join(watched, 0), CAROM_EBADHANDLE);
    CHECK_EQ(carom_process_children(NULL, 0), 1);
    flag_add(&shared->go, 1);
    pthread_join(thread, NULL);
    CHECK_EQ(carom_process_children(NULL, 0), 0);
}

/* A freed process runs on, is still a child, and leaves no zombie. */
static void freed_while_it_runs(void) {
    carom_process *process = NULL, *again[2] = {NULL, NULL};
    CHECK_OK(carom_process_start(waits, NULL, 0, NULL, &process));
    flag_await(&shared->up, 1);
    int pid = carom_process_pid(process), fd = pidfd_of(pid);
    carom_process_free(process);
    CHECK(!is_readable(fd));
    CHECK_EQ(carom_process_children(again, 2), 1);
    CHECK_EQ(carom_process_pid(again[0]), pid);
    CHECK(again[1] == NULL);
    carom_process_free(again[0]);
    flag_add(&shared->go, 1);
    readable(fd);
    close(fd);
    siginfo_t info;
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT), 0); /* a zombie still: nothing ran here */
    CHECK_EQ(info.si_pid, pid);
    CHECK_EQ(carom_process_children(NULL, 0), 0);
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT), -1);
    CHECK_EQ(errno, ECHILD);
    /* Starting is such a call too. */
    CHECK_OK(carom_process_start(waits, NULL, 0, NULL, &process));
    pid = carom_process_pid(process);
    fd = pidfd_of(pid);
    carom_process_free(process);
    readable(fd);
    close(fd);
    CHECK_EQ(outcome_of(waits, NULL, 0), 17);
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT), -1);
}

/* ----------------------------------------------------------------------------------------------------- arguments */

static carom_lock *lock;
static carom_value *value;

static void shown(carom_call *call, size_t index, carom_argument *argument, uint32_t kind) {
    memset(argument, 0xa5, sizeof *argument);
    CHECK_OK(carom_call_argument(call, index, argument));
    CHECK_EQ(argument->kind, kind);
    CHECK_EQ(argument->reserved, 0);
}

static int32_t checks_scalars(carom_call *call) {
    carom_argument a;
    char bytes[5];
    int64_t integer;
    double real;
    CHECK_EQ(carom_call_count(call), 10);
    shown(call, 0, &a, CAROM_ARGUMENT_BYTES);
    CHECK_EQ(a.len, 5);
    CHECK_EQ((uintptr_t)a.data % 16, 0);
    CHECK(memcmp(a.data, "ab\0cd", 5) == 0);
    CHECK_OK(carom_call_read(call, 0, bytes, 5));
    CHECK(memcmp(bytes, "ab\0cd", 5) == 0);
    CHECK_STATUS(carom_call_read(call, 0, bytes, 4), CAROM_EMSGSIZE);
    shown(call, 1, &a, CAROM_ARGUMENT_BYTES);
    CHECK_EQ(a.len, 0);
    CHECK_OK(carom_call_read(call, 1, NULL, 0));
    shown(call, 2, &a, CAROM_ARGUMENT_INTEGER);
    CHECK(a.integer == INT64_MIN);
    CHECK_OK(carom_call_read(call, 2, &integer, sizeof integer));
    CHECK(integer == INT64_MIN);
    CHECK_STATUS(carom_call_read(call, 2, &integer, 4), CAROM_EMSGSIZE);
    shown(call, 3, &a, CAROM_ARGUMENT_INTEGER);
    CHECK(a.integer == INT64_MAX);
    shown(call, 4, &a, CAROM_ARGUMENT_REAL);
    CHECK(a.real == 2.5e-300);
    CHECK_OK(carom_call_read(call, 4, &real, sizeof real));
    CHECK(real == 2.5e-300);
    shown(call, 5, &a, CAROM_ARGUMENT_STRING);
    CHECK_EQ(a.len, 6);
    CHECK(memcmp(a.data, "h\xc3\xa9llo", 6) == 0);
    shown(call, 6, &a, CAROM_ARGUMENT_NIL);
    CHECK_STATUS(carom_call_read(call, 6, bytes, 0), CAROM_EINVAL);
    shown(call, 7, &a, CAROM_ARGUMENT_BOOL);
    CHECK_EQ(a.integer, 1);
    shown(call, 8, &a, CAROM_ARGUMENT_BOOL);
    CHECK_EQ(a.integer, 0);
    shown(call, 9, &a, CAROM_ARGUMENT_STRING);
    CHECK_EQ(a.len, 0);
    memset(&a, 0xa5, sizeof a);
    carom_argument before = a;
    CHECK_STATUS(carom_call_argument(call, 10, &a), CAROM_EINVAL);
    CHECK_STATUS(carom_call_argument(call, SIZE_MAX, &a), CAROM_EINVAL);
    CHECK(memcmp(&a, &before, sizeof a) == 0);
    return 41;
}

static void scalars(void) {
    char text[] = "h\xc3\xa9llo";
    carom_argument arguments[] = {
        CAROM_BYTES("ab\0cd", 5), CAROM_BYTES(NULL, 0),     CAROM_INTEGER(INT64_MIN), CAROM_INTEGER(INT64_MAX),
        CAROM_REAL(2.5e-300),     CAROM_STRING(text, 6),    CAROM_NIL,                CAROM_BOOL(7),
        CAROM_BOOL(0),            CAROM_STRING(NULL, 0),
    };
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(checks_scalars, arguments, 10, NULL, &process));
    memset(text, 'x', sizeof text); /* copied before the call returned */
    memset(arguments, 0xa5, sizeof arguments);
    CHECK_EQ(ended(process), 41);
}

static int32_t checks_nothing(carom_call *call) {
    carom_argument a;
    CHECK_EQ(carom_call_count(call), 0);
    CHECK_STATUS(carom_call_argument(call, 0, &a), CAROM_EINVAL);
    return 42;
}

static int32_t checks_large(carom_call *call) {
    carom_argument a;
    shown(call, 0, &a, CAROM_ARGUMENT_BYTES);
    for (uint64_t i = 0; i < a.len; i++) CHECK_EQ(((const unsigned char *)a.data)[i], i * 7 % 251);
    return a.len == 20000000 ? 43 : 1;
}

static void sizes(void) {
    CHECK_EQ(outcome_of(checks_nothing, NULL, 0), 42);
    unsigned char *large = malloc(20000000);
    for (size_t i = 0; i < 20000000; i++) large[i] = (unsigned char)(i * 7 % 251);
    carom_argument argument = CAROM_BYTES(large, 20000000);
    CHECK_EQ(outcome_of(checks_large, &argument, 1), 43);
    free(large);
}

static int is_text(const carom_argument *argument, const char *text) {
    return argument->kind == CAROM_ARGUMENT_STRING && argument->len == strlen(text) && memcmp(argument->data, text, argument->len) == 0;
}

/* The last argument is what keyword arguments are: {"width": 640, "tags": ["a", {"deep": nil}], "lock": <lock>}. */
static int32_t checks_map(carom_call *call) {
    carom_argument map;
    CHECK_EQ(carom_call_count(call), 2);
    shown(call, 1, &map, CAROM_ARGUMENT_MAP);
    CHECK_EQ(map.len, 3);
    const carom_argument *pair = map.data;
    CHECK(is_text(&pair[0], "width"));
    CHECK_EQ(pair[1].kind, CAROM_ARGUMENT_INTEGER);
    CHECK_EQ(pair[1].integer, 640);
    CHECK(is_text(&pair[2], "tags"));
    CHECK_EQ(pair[3].kind, CAROM_ARGUMENT_LIST);
    CHECK_EQ(pair[3].len, 2);
    const carom_argument *list = pair[3].data;
    CHECK(is_text(&list[0], "a"));
    CHECK_EQ(list[1].kind, CAROM_ARGUMENT_MAP);
    CHECK_EQ(list[1].len, 1);
    const carom_argument *deep = list[1].data;
    CHECK(is_text(&deep[0], "deep"));
    CHECK_EQ(deep[1].kind, CAROM_ARGUMENT_NIL);
    CHECK(is_text(&pair[4], "lock"));
    CHECK_EQ(pair[5].kind, CAROM_ARGUMENT_HANDLE);
    CHECK_STATUS(carom_lock_acquire(pair[5].handle, 0), CAROM_ETIMEDOUT);
    CHECK_OK(carom_lock_release(pair[5].handle)); /* anybody may */
    carom_lock *none = (carom_lock *)&map;
    CHECK_STATUS(carom_call_lock(call, 1, &none), CAROM_EINVAL);
    CHECK(none == NULL);
    return 44;
}

static void nested(void) {
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_OK(carom_lock_acquire(lock, 0));
    carom_argument deep[] = {CAROM_STRING("deep", 4), CAROM_NIL};
    carom_argument list[] = {CAROM_STRING("a", 1), CAROM_ARGUMENT_(CAROM_ARGUMENT_MAP, deep, 1, 0, 0, NULL)};
    carom_argument pairs[] = {
        CAROM_STRING("width", 5), CAROM_INTEGER(640),
        CAROM_STRING("tags", 4),  CAROM_ARGUMENT_(CAROM_ARGUMENT_LIST, list, 2, 0, 0, NULL),
        CAROM_STRING("lock", 4),  CAROM_HANDLE(lock),
    };
    carom_argument arguments[] = {CAROM_INTEGER(1), CAROM_ARGUMENT_(CAROM_ARGUMENT_MAP, pairs, 3, 0, 0, NULL)};
    CHECK_EQ(outcome_of(checks_map, arguments, 2), 44);
    CHECK_EQ(carom_lock_locked(lock), 0);
    carom_lock_free(lock);

    /* Empty ones, and thirty levels deep. */
    carom_argument empty[] = {CAROM_ARGUMENT_(CAROM_ARGUMENT_LIST, NULL, 0, 0, 0, NULL), CAROM_ARGUMENT_(CAROM_ARGUMENT_MAP, NULL, 0, 0, 0, NULL)};
    CHECK_EQ(outcome_of(returns, (carom_argument[]){CAROM_INTEGER(45), empty[0], empty[1]}, 3), 45);
    carom_argument level[30];
    level[0] = (carom_argument)CAROM_INTEGER(0);
    for (int i = 1; i < 30; i++) level[i] = (carom_argument)CAROM_ARGUMENT_(CAROM_ARGUMENT_LIST, &level[i - 1], 1, 0, 0, NULL);
    CHECK_EQ(outcome_of(returns, (carom_argument[]){CAROM_INTEGER(46), level[29]}, 2), 46);
}

/* 0: lock, 1: value, 2: lock of the value, 3: value with a given lock. */
static int32_t checks_handles(carom_call *call) {
    carom_lock *a_lock = NULL, *value_lock = NULL;
    carom_value *a_value = NULL, *guarded = NULL;
    carom_argument a;
    CHECK_OK(carom_call_lock(call, 0, &a_lock));
    CHECK_OK(carom_call_value(call, 1, &a_value));
    CHECK_OK(carom_call_lock(call, 2, &value_lock));
    CHECK_OK(carom_call_value(call, 3, &guarded));
    CHECK_EQ(*(int64_t *)carom_value_data(a_value), 77);
    CHECK_EQ(carom_value_type(a_value), CAROM_I64);
    CHECK_OK(carom_value_lock(a_value, 0));
    CHECK_EQ(carom_lock_locked(value_lock), 1);
    CHECK_OK(carom_lock_acquire(value_lock, 0)); /* recursive: it is the same lock */
    CHECK_OK(carom_lock_release(value_lock));
    CHECK_OK(carom_value_unlock(a_value));
    CHECK_OK(carom_lock_acquire(a_lock, 0));
    CHECK_STATUS(carom_value_lock(guarded, 0), CAROM_ETIMEDOUT);
    CHECK_OK(carom_lock_release(a_lock));
    *(int64_t *)carom_value_data(a_value) = 78;
    shown(call, 0, &a, CAROM_ARGUMENT_HANDLE);
    CHECK_EQ(carom_lock_locked(a.handle), 0);
    shown(call, 1, &a, CAROM_ARGUMENT_HANDLE);
    CHECK_EQ(carom_value_size(a.handle), 8);
    shown(call, 2, &a, CAROM_ARGUMENT_HANDLE);
    CHECK_EQ(carom_lock_locked(a.handle), 0);
    return 47;
}

/* An argument is of the kind that it was passed as, and of no other. */
static int32_t checks_kinds(carom_call *call) {
    carom_lock *no_lock = (carom_lock *)&call;
    carom_value *no_value = (carom_value *)&call;
    CHECK_STATUS(carom_call_value(call, 0, &no_value), CAROM_EBADHANDLE);
    CHECK(no_value == NULL);
    CHECK_STATUS(carom_call_lock(call, 1, &no_lock), CAROM_EBADHANDLE);
    CHECK(no_lock == NULL);
    CHECK_STATUS(carom_call_value(call, 2, &no_value), CAROM_EBADHANDLE);
    CHECK_STATUS(carom_call_lock(call, 3, &no_lock), CAROM_EBADHANDLE);
    return 48;
}

static void handles(void) {
    int64_t initial = 77;
    carom_lock *value_lock = NULL;
    carom_value *guarded = NULL;
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_OK(carom_value_new(CAROM_I64, &initial, sizeof initial, NULL, &value));
    CHECK_OK(carom_value_get_lock(value, &value_lock));
    carom_shared_options options = {.size = sizeof options, .lock = lock};
    CHECK_OK(carom_value_new(CAROM_I32, NULL, 0, &options, &guarded));
    carom_argument arguments[] = {CAROM_HANDLE(lock), CAROM_HANDLE(value), CAROM_HANDLE(value_lock), CAROM_HANDLE(guarded)};
    CHECK_EQ(outcome_of(checks_handles, arguments, 4), 47);
    CHECK_EQ(*(int64_t *)carom_value_data(value), 78);
    CHECK_EQ(outcome_of(checks_kinds, arguments, 4), 48);
    carom_value_free(guarded);
    carom_lock_free(value_lock);
    carom_value_free(value);
    carom_lock_free(lock);
}

static int32_t replies(carom_call *call) {
    void *place = (void *)call;
    CHECK_OK(carom_call_reply(call, "abc", 3)); /* to nobody */
    CHECK_OK(carom_call_reserve(call, 100, &place));
    CHECK(place == NULL);
    CHECK_OK(carom_call_commit(call, 50));
    return 49;
}

static void replies_go_nowhere(void) { CHECK_EQ(outcome_of(replies, NULL, 0), 49); }

/* ------------------------------------------------------------------------------------------------ who is who */

static int32_t knows_its_name(carom_call *call) {
    carom_argument wanted;
    int32_t pid = 0;
    const char *name = NULL;
    shown(call, 0, &wanted, CAROM_ARGUMENT_STRING);
    CHECK_OK(carom_process_current(&pid, &name));
    CHECK_EQ(pid, getpid());
    CHECK_EQ(strlen(name), wanted.len);
    CHECK(memcmp(name, wanted.data, wanted.len) == 0);
    return 50;
}

static void named(const char *given, const char *wanted, uint32_t daemon) {
    carom_process_options options = {.size = sizeof options, .name = given, .daemon = daemon};
    carom_argument argument = CAROM_STRING(wanted, strlen(wanted));
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(knows_its_name, &argument, 1, &options, &process));
    CHECK_STR_EQ(carom_process_name(process), wanted);
    CHECK_EQ(carom_process_daemon(process), daemon != 0);
    CHECK_EQ(ended(process), 50);
}

static void names(void) {
    char copied[] = "copied", *very_long = calloc(1, 100001);
    int32_t pid = 0;
    const char *name = NULL;
    CHECK_OK(carom_process_current(&pid, &name));
    CHECK_EQ(pid, getpid());
    CHECK_STR_EQ(name, "MainProcess");
    CHECK_OK(carom_process_current(NULL, NULL));
    named(NULL, "Process-1", 0);
    named("a name", "a name", 1);
    named(NULL, "Process-3", 0x80000000u);
    named("\xe2\x9c\x93", "\xe2\x9c\x93", 0);
    named("", "", 0);
    memset(very_long, 'n', 100000);
    named(very_long, very_long, 0);
    free(very_long);

    carom_process_options options = {.size = sizeof options, .name = copied};
    carom_process *process = NULL;
    carom_argument argument = CAROM_STRING("copied", 6);
    CHECK_OK(carom_process_start(knows_its_name, &argument, 1, &options, &process));
    memset(copied, 'x', sizeof copied - 1);
    CHECK_STR_EQ(carom_process_name(process), "copied");
    CHECK_EQ(ended(process), 50);
}

static int32_t grandchild(carom_call *call) {
    int64_t expected;
    int32_t pid = 0, alive = -1;
    CHECK_OK(carom_call_read(call, 0, &expected, sizeof expected));
    CHECK_OK(carom_process_parent(&pid, &alive));
    CHECK_EQ(pid, expected);
    CHECK_EQ(pid, getppid());
    CHECK_EQ(alive, 1);
    CHECK_EQ(carom_process_children(NULL, 0), 0);
    return 51;
}

static int32_t has_a_child(carom_call *call) {
    (void)call;
    int32_t pid = 0;
    CHECK_EQ(carom_process_children(NULL, 0), 0); /* its parent's children are not its own */
    CHECK_OK(carom_process_parent(&pid, NULL));
    CHECK_EQ(pid, getppid());
    CHECK_OK(carom_process_parent(NULL, NULL));
    carom_argument argument = CAROM_INTEGER(getpid());
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(grandchild, &argument, 1, NULL, &process));
    CHECK_STR_EQ(carom_process_name(process), "Process-4:1");
    return ended(process);
}

static carom_call *outer;

static int32_t nests(carom_call *call) {
    int64_t depth;
    CHECK_OK(carom_call_read(call, 0, &depth, sizeof depth));
    if (outer) CHECK_EQ(carom_call_count(outer), CAROM_EBADHANDLE); /* its starter's */
    outer = call;
    carom_argument argument = CAROM_INTEGER(depth - 1);
    return depth == 0 ? 60 : outcome_of(nests, &argument, 1);
}

static void generations(void) {
    carom_argument argument = CAROM_INTEGER(24);
    CHECK_EQ(outcome_of(nests, &argument, 1), 60);
}

static void families(void) {
    int32_t pid = 4711, alive = 4711;
    CHECK_STATUS(carom_process_parent(&pid, &alive), CAROM_ENOENT);
    CHECK_EQ(pid, 4711);
    CHECK_EQ(alive, 4711);
    CHECK_EQ(carom_process_children(NULL, 0), 0);
    carom_process *two[3] = {NULL, NULL, NULL}, *found[4] = {NULL, NULL, NULL, NULL};
    for (int i = 0; i < 3; i++) CHECK_OK(carom_process_start(waits, NULL, 0, NULL, &two[i]));
    CHECK_EQ(carom_process_children(NULL, 0), 3);
    CHECK_EQ(carom_process_children(found, 2), 3); /* there are more than fit */
    CHECK(found[0] != NULL && found[1] != NULL && found[2] == NULL);
    CHECK(found[0] != two[0] && found[0] != two[1] && found[0] != two[2]); /* handles of their own */
    CHECK(carom_process_pid(found[0]) != carom_process_pid(found[1]));
    for (int i = 0; i < 2; i++) {
        int known = 0;
        for (int j = 0; j < 3; j++) known += carom_process_pid(found[i]) == carom_process_pid(two[j]);
        CHECK_EQ(known, 1);
        carom_process_free(found[i]);
    }
    CHECK_EQ(outcome_of(has_a_child, NULL, 0), 51);
    flag_add(&shared->go, 1);
    for (int i = 0; i < 3; i++) CHECK_EQ(ended(two[i]), 17);
    CHECK_EQ(carom_process_children(found, 4), 0);
}

static int32_t is_not_its_starter(carom_call *call) {
    (void)call;
    int32_t code = 4711;
    CHECK_STATUS(carom_process_join(watched, 0), CAROM_EPERM);
    CHECK_STATUS(carom_process_join(watched, CAROM_FOREVER), CAROM_EPERM);
    CHECK_EQ(carom_process_is_alive(watched), CAROM_EPERM);
    CHECK_STATUS(carom_process_exitcode(watched, &code), CAROM_EPERM);
    CHECK_EQ(code, 4711);
    CHECK_STATUS(carom_process_terminate(watched), CAROM_EPERM);
    CHECK_STATUS(carom_process_kill(watched), CAROM_EPERM);
    CHECK_EQ(carom_process_pid(watched), atomic_load(&shared->pid));
    CHECK_STR_EQ(carom_process_name(watched), "Process-1");
    carom_process_free(watched); /* this process's view */
    CHECK_STATUS(carom_process_join(watched, 0), CAROM_EBADHANDLE);
    return 52;
}

static void of_another_process(void) {
    CHECK_OK(carom_process_start(waits, NULL, 0, NULL, &watched));
    flag_await(&shared->up, 1);
    CHECK_EQ(outcome_of(is_not_its_starter, NULL, 0), 52);
    CHECK_EQ(carom_process_is_alive(watched), 1);
    flag_add(&shared->go, 1);
    CHECK_EQ(ended(watched), 17);
}

/* ---------------------------------------------------------------------------------------------------- many */

static void many(void) {
    enum { MANY = 300 };
    static carom_process *processes[MANY];
    for (int i = 0; i < MANY; i++) {
        carom_argument argument = CAROM_INTEGER(i % 256);
        CHECK_OK(carom_process_start(returns, &argument, 1, NULL, &processes[i]));
    }
    for (int i = MANY; i-- > 0;) CHECK_EQ(ended(processes[i]), i % 256);
}

static void *starts_many(void *unused) {
    (void)unused;
    for (int i = 0; i < 50; i++) CHECK_EQ(with_number(returns, i), i);
    return NULL;
}

static void from_several_threads(void) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_create(&threads[i], NULL, starts_many, NULL), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

#define RUN(body) (shared = share(sizeof *shared), CASE(body))

int main(void) {
    RUN(exit_codes);
    RUN(signals);
    RUN(joining);
    RUN(exitcode_without_join);
    RUN(stopping);
    RUN(joins_at_once);
    RUN(freed_while_joined);
    RUN(freed_while_it_runs);
    RUN(scalars);
    RUN(sizes);
    RUN(nested);
    RUN(handles);
    RUN(replies_go_nowhere);
    RUN(names);
    RUN(families);
    RUN(generations);
    RUN(of_another_process);
    RUN(many);
    RUN(from_several_threads);
    return 0;
}
