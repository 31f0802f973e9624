/* What is known of a worker that crashed: signal, code, address, and where it was. */
#include "pool.h"

#include <dlfcn.h>

#define CRASHES __attribute__((noinline, noclone, no_sanitize("undefined")))

enum crash { READ, CODE, OVERFLOW, ABORT, DIVISION, ILLEGAL, TRAP, SENT, CALL, IN_LIBC, BUS, DEEP, LOST_STACK, CRASHES_COUNT };

static volatile int zero, sink;
static int *volatile nowhere;

/* Static ones and others. None is inlined, and none ends with a call, which would leave no frame. */
static CRASHES void read_nowhere(void) { sink = *nowhere; }
CRASHES void write_to_code(void) { *(volatile char *)(uintptr_t)&read_nowhere = 1; }
CRASHES int overflow(int depth) {
    volatile char room[1000];
    room[depth % 1000] = (char)depth;
    return depth == -1 ? 0 : overflow(depth + 1) + room[depth % 999];
}
static CRASHES void give_up(void) {
    abort();
    sink = 1;
}
static CRASHES void divide(void) { sink = 7 / zero; }
static CRASHES void do_what_is_illegal(void) { __builtin_trap(); }
static CRASHES void stop_here(void) {
    raise(SIGTRAP);
    sink = 1;
}
static CRASHES void be_told(void) {
    kill(getpid(), SIGSEGV);
    sink = 1;
}
static CRASHES void call_nowhere(void) {
    void (*volatile function)(void) = (void (*)(void))0;
    function();
    sink = 1;
}
static CRASHES int compare(const void *a, const void *b) {
    read_nowhere();
    return a < b;
}
static CRASHES void sort(void) {
    int numbers[4] = {2, 1, 3, 0};
    qsort(numbers, 4, sizeof *numbers, compare);
    sink = numbers[0];
}
static CRASHES void read_behind_a_file(void) {
    int fd = memfd_create("test", MFD_CLOEXEC);
    volatile char *page = (volatile char *)mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    sink = page[5];
}
static CRASHES int deep(int depth) {
    if (depth == 0) read_nowhere();
    else sink = deep(depth - 1);
    return sink + 1;
}
/* The frames above are overwritten, then it is said that this is so, as a stack protector does. */
static CRASHES void lose_stack(void) {
    volatile uintptr_t *word = (volatile uintptr_t *)__builtin_frame_address(0);
    for (int i = 0; i < 8; i++) word[i] = (uintptr_t)0x4141414141414141;
    abort();
    sink = 1;
}

static int32_t crash(carom_call *call) {
    switch (argument_of(call)) {
    case READ: read_nowhere(); break;
    case CODE: write_to_code(); break;
    case OVERFLOW: sink = overflow(0); break;
    case ABORT: give_up(); break;
    case DIVISION: divide(); break;
    case ILLEGAL: do_what_is_illegal(); break;
    case TRAP: stop_here(); break;
    case SENT: be_told(); break;
    case CALL: call_nowhere(); break;
    case IN_LIBC: sort(); break;
    case BUS: read_behind_a_file(); break;
    case DEEP: sink = deep(1000); break;
    case LOST_STACK: lose_stack(); break;
    }
    return 7;
}

static void has(const carom_verdict *verdict, const char *text) {
    if (text && !strstr(verdict->backtrace, text)) check_fail_(__FILE__, __LINE__, "backtrace", verdict->backtrace, text, "");
}

/* Every line is `#number name+0xoffset (module)` or `#number 0xaddress`, maybe with a module, and ` at file:line`; or of a function
 * that is inlined. */
static void check_form(const char *text) {
    for (int i = 0; *text; i++) {
        char start[16];
        int len = snprintf(start, sizeof start, "#%d ", i);
        const char *end = strchr(text, '\n');
        CHECK(end != NULL && strncmp(text, start, (size_t)len) == 0);
        CHECK(memmem(text, (size_t)(end - text), "0x", 2) != NULL || (end - text > 9 && memcmp(end - 9, ", inlined", 9) == 0));
        text = end + 1;
    }
}

static void check_nothing(const carom_verdict *verdict) {
    CHECK_EQ(verdict->signal_code, 0);
    CHECK_EQ(verdict->fault_address, 0);
    CHECK_STR_EQ(verdict->backtrace, "");
    CHECK_STR_EQ(verdict->stderr_tail, "");
}

static const struct {
    int signal, code;
    uint64_t address;
    const char *first, *later;
} expected[CRASHES_COUNT] = {
    [READ] = {SIGSEGV, SEGV_MAPERR, 0, "#0 read_nowhere+0x", " crash"},
    [CODE] = {SIGSEGV, SEGV_ACCERR, 1, "#0 write_to_code+0x", "#1 crash"},
    [OVERFLOW] = {SIGSEGV, SEGV_MAPERR, 1, " overflow+0x", "#30 overflow+0x"},
    [ABORT] = {SIGABRT, SI_TKILL, 0, " give_up", "abort+0x"},
#ifdef __x86_64__
    [DIVISION] = {SIGFPE, FPE_INTDIV, 1, "#0 divide+0x", "#1 crash"},
    [ILLEGAL] = {SIGILL, ILL_ILLOPN, 1, "#0 do_what_is_illegal", "#1 crash"},
#else
    [DIVISION] = {0, 0, 0, NULL, NULL}, /* is no fault there */
    [ILLEGAL] = {SIGTRAP, TRAP_BRKPT, 1, "#0 do_what_is_illegal", "#1 crash"},
#endif
    [TRAP] = {SIGTRAP, SI_TKILL, 0, " stop_here+0x", " crash"},
    [SENT] = {SIGSEGV, SI_USER, 0, "kill+0x", " be_told+0x"},
    [CALL] = {SIGSEGV, SEGV_MAPERR, 0, "#0 0x0\n#1 call_nowhere+0x", "#2 crash"},
    [IN_LIBC] = {SIGSEGV, SEGV_MAPERR, 0, "#1 compare+0x", " sort+0x"},
    [BUS] = {SIGBUS, BUS_ADRERR, 1, "#0 read_behind_a_file+0x", "#1 crash"},
    [DEEP] = {SIGSEGV, SEGV_MAPERR, 0, "#0 read_nowhere+0x", "#40 deep+0x"},
    [LOST_STACK] = {SIGABRT, SI_TKILL, 0, "abort+0x", " lose_stack"},
};

static void check_crash(int which, const carom_verdict *verdict) {
    if (!expected[which].signal) return;
    CHECK_STATUS(verdict->status, CAROM_EWORKERLOST);
    CHECK_EQ(verdict->signal, expected[which].signal);
    CHECK_EQ(verdict->exitcode, 0);
    CHECK_EQ(verdict->signal_code, expected[which].code);
    if (expected[which].address == 0) CHECK_EQ(verdict->fault_address, 0);
    else CHECK(verdict->fault_address > 4096);
    if (which == CODE) CHECK_EQ(verdict->fault_address, (uintptr_t)&read_nowhere);
    check_form(verdict->backtrace);
    has(verdict, expected[which].first);
    has(verdict, expected[which].later);
    has(verdict, "(test_evidence)");
    has(verdict, "c-tests/test_evidence.c:");
    CHECK(!strstr(verdict->backtrace, "restore_rt") && !strstr(verdict->backtrace, "5carom") && !strstr(verdict->backtrace, "main+"));
}

static void every_crash(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    for (int i = 0; i < CRASHES_COUNT; i++) {
        carom_result *result = submit(pool, crash, i);
        carom_verdict verdict = verdict_of(result);
        fprintf(stderr, "signal %d code %d address %llx\n%s", verdict.signal, verdict.signal_code,
                (unsigned long long)verdict.fault_address, verdict.backtrace);
        check_crash(i, &verdict);
        CHECK(verdict_of(result).backtrace == verdict.backtrace); /* made once */
        carom_result_free(result);
        works(pool);
    }
    finish(pool);
}

/* All of one lane's tasks crash before anybody looks: each has its own evidence. Freed results show nothing less. */
static void many_at_once(void) {
    enum { TASKS = 150 };
    carom_pool *pool = pool_of(2, 0, 0);
    carom_result *results[TASKS];
    for (int i = 0; i < TASKS; i++) results[i] = submit(pool, crash, i % CRASHES_COUNT);
    for (int i = 0; i < TASKS; i++) CHECK_OK(carom_result_wait(results[i], PATIENCE_MS));
    finish(pool);
    for (int i = 0; i < TASKS; i++) {
        carom_verdict verdict = verdict_of(results[i]);
        check_crash(i % CRASHES_COUNT, &verdict);
        carom_result_free(results[i]);
    }
}

static void a_pool_that_is_not_asked_leaks_nothing(void) {
    for (int round = 0; round < 4; round++) {
        carom_pool *pool = pool_of(2, 0, 0);
        for (int i = 0; i < 50; i++) carom_result_free(submit(pool, crash, READ));
        CHECK_OK(carom_pool_terminate(pool));
        CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
        carom_pool_free(pool);
    }
}

static int32_t crash_at(carom_call *call) {
    int64_t number = argument_of(call);
    if (number == 70) read_nowhere();
    return reply_number(call, number);
}

/* Synchronous calls show it too, and maps. */
static void in_synchronous_calls(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    carom_verdict verdict = {.size = sizeof verdict};
    carom_task_options options = {.size = sizeof options, .verdict = &verdict};
    carom_argument argument = CAROM_INTEGER(CODE);
    CHECK_STATUS(carom_pool_apply(pool, crash, &argument, 1, &options, NULL, 0, NULL, PATIENCE_MS), CAROM_EWORKERLOST);
    check_crash(CODE, &verdict);
    int64_t items[100], replies[100];
    for (int i = 0; i < 100; i++) items[i] = i;
    CHECK_STATUS(carom_pool_map(pool, crash_at, items, 8, 100, &options, replies, 8, PATIENCE_MS), CAROM_EWORKERLOST);
    CHECK_EQ(verdict.item, 70);
    has(&verdict, "#0 read_nowhere+0x");
    has(&verdict, "#1 crash_at+0x");
    works(pool);
    finish(pool);
}

/* What is no crash has no evidence, also right behind one in the same lane. */
static int32_t end_otherwise(carom_call *call) {
    switch (argument_of(call)) {
    case 0: kill(getpid(), SIGKILL); break;
    case 1: exit(3);
    case 2: _exit(0);
    case 3: kill(getpid(), SIGTERM); break;
    case 4: return 5;
    case 5: signal(SIGSEGV, SIG_DFL); read_nowhere(); break;
    }
    return reply_number(call, 1);
}

static void no_crash_no_evidence(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    for (int i = 0; i <= 6; i++) {
        carom_result *before = submit(pool, crash, READ), *result = submit(pool, end_otherwise, i);
        carom_verdict verdict = verdict_of(result);
        check_nothing(&verdict);
        CHECK_STATUS(verdict.status, i == 6 ? CAROM_OK : i == 4 ? CAROM_ETASKFAILED : CAROM_EWORKERLOST);
        carom_result_free(result);
        verdict = verdict_of(before);
        check_crash(READ, &verdict);
        carom_result_free(before);
    }
    finish(pool);
}

static void killed_from_outside(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    pid_t pids[4];
    UNTIL(living(WORKERS, pids, 4) == 1);
    carom_result *result = submit(pool, for_ever, 0);
    UNTIL(carom_result_accepted(result) == 1);
    kill(pids[0], SIGKILL);
    carom_verdict verdict = verdict_of(result);
    CHECK_EQ(verdict.signal, SIGKILL);
    check_nothing(&verdict);
    carom_result_free(result);
    finish(pool);
}

/* A handler of the task's own runs, and ours does not. */
static volatile sig_atomic_t handled;
static void leave(int signal) { _exit(40 + signal); }
static int32_t handle_it(carom_call *call) {
    (void)call;
    signal(SIGSEGV, leave);
    read_nowhere();
    return 0;
}
/* One that hands on what it does not want, as faulthandler does. */
static struct sigaction before;
static void hand_on(int signal) {
    handled = 1;
    sigaction(signal, &before, NULL);
}
static int32_t hand_it_on(carom_call *call) {
    struct sigaction action = {.sa_handler = hand_on};
    (void)call;
    sigaction(SIGSEGV, &action, &before);
    read_nowhere();
    return 0;
}
static void handlers_of_the_task(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    carom_result *result = submit(pool, handle_it, 0);
    carom_verdict verdict = verdict_of(result);
    CHECK_EQ(verdict.signal, 0);
    CHECK_EQ(verdict.exitcode, 40 + SIGSEGV);
    check_nothing(&verdict);
    carom_result_free(result);
    result = submit(pool, hand_it_on, 0);
    verdict = verdict_of(result);
    CHECK_EQ(verdict.signal, SIGSEGV);
    CHECK_EQ(verdict.signal_code, SEGV_MAPERR);
    has(&verdict, "#0 read_nowhere+0x");
    carom_result_free(result);
    finish(pool);
}

/* The host's own handler stays, and nothing of ours is installed in the host. */
static void of_the_host(int signal) { (void)signal; }
static int32_t is_of_the_host(carom_call *call) {
    struct sigaction action;
    sigaction(SIGBUS, NULL, &action);
    return reply_number(call, action.sa_handler == of_the_host);
}
static void the_host_is_left_alone(void) {
    struct sigaction action = {.sa_handler = of_the_host}, found;
    stack_t before, stack;
    sigaltstack(NULL, &before); /* ASan has one */
    sigaction(SIGBUS, &action, NULL);
    carom_pool *pool = pool_of(1, 0, 0);
    carom_result *result = submit(pool, is_of_the_host, 0);
    CHECK_EQ(number_of(result), 0);
    carom_result_free(result);
    works(pool);
    sigaction(SIGBUS, NULL, &found);
    CHECK(found.sa_handler == of_the_host);
    sigaction(SIGSEGV, NULL, &found);
    CHECK(found.sa_handler == SIG_DFL);
    sigaltstack(NULL, &stack);
    CHECK(stack.ss_flags == before.ss_flags && stack.ss_sp == before.ss_sp);
    result = submit(pool, crash, BUS);
    carom_verdict verdict = verdict_of(result);
    check_crash(BUS, &verdict);
    carom_result_free(result);
    finish(pool);
}

/* A child that the task forks crashes: that is its own affair. So is one by vfork. */
static int32_t fork_and_crash(carom_call *call) {
    int status = 0;
    pid_t pid = argument_of(call) ? vfork() : fork();
    if (pid == 0) {
        read_nowhere();
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return reply_number(call, WIFSIGNALED(status) ? WTERMSIG(status) : -1);
}
static void children_of_tasks(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    for (int i = 0; i < 2; i++) {
        carom_result *result = submit(pool, fork_and_crash, i), *next = submit(pool, end_otherwise, 0);
        CHECK_EQ(number_of(result), SIGSEGV);
        carom_verdict verdict = verdict_of(next);
        check_nothing(&verdict);
        carom_result_free(result);
        carom_result_free(next);
    }
    carom_result *result = submit(pool, crash, READ);
    carom_verdict verdict = verdict_of(result);
    check_crash(READ, &verdict);
    carom_result_free(result);
    finish(pool);
}

/* A thread of the task, and several at once. */
static void *crash_in_thread(void *barrier) {
    pthread_barrier_wait((pthread_barrier_t *)barrier);
    read_nowhere();
    return NULL;
}
static int32_t crash_in_threads(carom_call *call) {
    pthread_barrier_t barrier;
    pthread_t thread;
    int count = (int)argument_of(call);
    pthread_barrier_init(&barrier, NULL, (unsigned)count);
    for (int i = 0; i < count; i++) pthread_create(&thread, NULL, crash_in_thread, &barrier);
    for (;;) pause();
    return 0;
}
static void threads_of_tasks(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    for (int i = 0; i < 40; i++) {
        carom_result *result = submit(pool, crash_in_threads, i % 8 + 1);
        carom_verdict verdict = verdict_of(result);
        CHECK_EQ(verdict.signal, SIGSEGV);
        CHECK_EQ(verdict.signal_code, SEGV_MAPERR);
        has(&verdict, "#0 read_nowhere+0x");
        has(&verdict, "#1 crash_in_thread+0x");
        carom_result_free(result);
    }
    finish(pool);
}

/* A library that the worker loads, and the host has never seen. */
static char library[64];
static int32_t crash_in_library(carom_call *call) {
    void *module = dlopen(library, RTLD_NOW);
    void (*function)(int) = (void (*)(int))(module ? dlsym(module, "exported") : NULL);
    if (!function) return 1;
    function((int)argument_of(call));
    return 2;
}
static void in_a_library_of_the_worker(void) {
    char command[256];
    snprintf(library, sizeof library, "/tmp/carom-evidence-%d.so", (int)getpid());
    snprintf(command, sizeof command, "cc -shared -fPIC -O1 -Wl,-soname,libevidence.so.1 -x c - -o %s", library);
    FILE *cc = popen(command, "we");
    CHECK(cc != NULL);
    fputs("static volatile int sink;\n"
          "static __attribute__((noinline, noclone)) void hidden(int n) { sink = *(volatile int *)(long)n; }\n"
          "void exported(int n) { hidden(n); sink = n; }\n", cc);
    CHECK_EQ(pclose(cc), 0);
    carom_pool *pool = pool_of(1, 0, 0);
    carom_result *result = submit(pool, crash_in_library, 16), *other = submit(pool, crash_in_library, 32);
    carom_verdict verdict = verdict_of(result);
    CHECK_EQ(verdict.signal, SIGSEGV);
    CHECK_EQ(verdict.fault_address, 16);
    has(&verdict, "#0 hidden+0x");
    has(&verdict, " (libevidence.so.1)\n#1 exported+0x");
    has(&verdict, "#2 crash_in_library+0x");
    /* The file is another one when it is asked for: no names then, for they might be wrong. */
    CHECK_OK(carom_result_wait(other, PATIENCE_MS));
    snprintf(command, sizeof command, "cp --remove-destination /bin/true %s", library);
    CHECK_EQ(system(command), 0);
    verdict = verdict_of(other);
    CHECK_EQ(verdict.fault_address, 32);
    CHECK(!strstr(verdict.backtrace, "hidden") && !strstr(verdict.backtrace, "exported"));
    has(&verdict, "#2 crash_in_library+0x");
    char name[80];
    snprintf(name, sizeof name, " (%s+0x", strrchr(library, '/') + 1);
    has(&verdict, name);
    unlink(library);
    carom_result_free(result);
    carom_result_free(other);
    finish(pool);
}

/* The template dies while the worker is at its crash, or after: no verdict is lost, and no evidence is another's. */
static void a_template_that_dies_too(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    for (int round = 0; round < 20; round++) {
        carom_result *results[20];
        for (int i = 0; i < 20; i++) results[i] = submit(pool, crash, i % 2 ? READ : CODE);
        end(template_of(pool));
        for (int i = 0; i < 20; i++) {
            carom_verdict verdict = verdict_of(results[i]);
            CHECK_STATUS(verdict.status, CAROM_EWORKERLOST);
            /* It may be incomplete: a worker dies with its template. */
            if (verdict.signal == SIGSEGV) CHECK_EQ(verdict.signal_code, i % 2 ? SEGV_MAPERR : SEGV_ACCERR);
            CHECK(!strstr(verdict.backtrace, i % 2 ? "#0 write_to_code" : "#0 read_nowhere"));
            carom_result_free(results[i]);
        }
    }
    finish(pool);
}

static char *printed(const carom_verdict *verdict) {
    static char text[8192];
    int fds[2];
    CHECK_EQ(pipe(fds), 0);
    CHECK_OK(carom_verdict_print(verdict, fds[1]));
    close(fds[1]);
    ssize_t len = read(fds[0], text, sizeof text - 1);
    CHECK(len > 0);
    text[len] = 0;
    close(fds[0]);
    fputs(text, stderr);
    return text;
}
static void a_verdict_in_words(void) {
    static const char *const words[] = {
        "CAROM_EWORKERLOST: ", "\n  task      item 0 of job ", ", SIGSEGV (SEGV_MAPERR) at 0x0\n", "\n  time      ",
        "\n  memory    ", " KiB at most\n", "\n  backtrace\n    #0 read_nowhere+0x", "\n    #1 crash+0x",
    };
    carom_pool *pool = pool_of(1, 0, 0);
    carom_result *result = submit(pool, crash, READ);
    carom_verdict verdict = verdict_of(result);
    char *text = printed(&verdict);
    for (size_t i = 0; i < COUNT_OF(words); i++) CHECK(strstr(text, words[i]) != NULL);
    CHECK_EQ(text[strlen(text) - 1], '\n');
    for (char *line = strchr(text, '\n'); line[1]; line = strchr(line + 1, '\n')) CHECK_EQ(line[1], ' ');
    carom_result_free(result);
    result = submit(pool, end_otherwise, 1);
    verdict = verdict_of(result);
    text = printed(&verdict);
    CHECK(strstr(text, ", left with 3\n") && !strstr(text, "backtrace") && !strstr(text, "SIG"));
    carom_result_free(result);
    result = submit(pool, end_otherwise, 6);
    verdict = verdict_of(result);
    text = printed(&verdict);
    CHECK(strncmp(text, "CAROM_OK\n  task ", 15) == 0 && !strstr(text, "memory"));
    carom_result_free(result);
    finish(pool);
}

int main(int argc, char **argv) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    CASE(every_crash);
    CASE(many_at_once);
    CASE(a_pool_that_is_not_asked_leaks_nothing);
    CASE(in_synchronous_calls);
    CASE(no_crash_no_evidence);
    CASE(killed_from_outside);
    CASE(handlers_of_the_task);
    CASE(the_host_is_left_alone);
    CASE(children_of_tasks);
    CASE(threads_of_tasks);
    CASE(in_a_library_of_the_worker);
    CASE(a_template_that_dies_too);
    CASE(a_verdict_in_words);
    return 0;
}
