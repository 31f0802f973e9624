/* What a child inherits of its host, and what not: standard streams, atexit handlers, signals. */
#include "support.h"

struct shared {
    flag go, up, handlers, foreign;
};
static struct shared *shared;
static pid_t host;

static int32_t nothing(carom_call *call) {
    (void)call;
    return 0;
}

/* ------------------------------------------------------------------------------------------------ atexit handlers */

static void handler(void) { flag_add(getpid() == host ? &shared->handlers : &shared->foreign, 1); }
static void handler_with_code(int code, void *ctx) {
    (void)code, (void)ctx;
    handler();
}
static void childs_own(void) { flag_add(&shared->up, 1); }

static int32_t exits(carom_call *call) {
    (void)call;
    exit(5);
}
static int32_t exits_with_a_handler_of_its_own(carom_call *call) {
    (void)call;
    atexit(childs_own);
    exit(6);
}
static int32_t exits_at_once(carom_call *call) {
    (void)call;
    _exit(7);
}
static int32_t aborts(carom_call *call) {
    (void)call;
    abort();
}
static int32_t exits_in_its_child(carom_call *call) {
    (void)call;
    CHECK_EQ(outcome_of(exits, NULL, 0), 5);
    exit(8);
}

/* The case ends by exit(); main looks at the counts afterwards. */
static void handlers_run_once(void) {
    host = getpid();
    CHECK_EQ(atexit(handler), 0);
    CHECK_EQ(outcome_of(nothing, NULL, 0), 0);
    CHECK_EQ(on_exit(handler_with_code, NULL), 0); /* also one that comes later than the library */
    CHECK_EQ(outcome_of(nothing, NULL, 0), 0);
    CHECK_EQ(outcome_of(exits, NULL, 0), 5);
    CHECK_EQ(outcome_of(exits_with_a_handler_of_its_own, NULL, 0), 6);
    CHECK_EQ(atomic_load(&shared->up), 1);
    CHECK_EQ(outcome_of(exits_at_once, NULL, 0), 7);
    CHECK_EQ(outcome_of(aborts, NULL, 0), -SIGABRT);
    CHECK_EQ(outcome_of(exits_in_its_child, NULL, 0), 8);
    CHECK_EQ(atomic_load(&shared->handlers), 0);
    CHECK_EQ(atomic_load(&shared->foreign), 0);
}

/* ------------------------------------------------------------------------------------- nothing is written twice */

static int output; /* where the streams of `writes` go */
static FILE *other;

static int32_t speaks(carom_call *call) {
    (void)call;
    printf("child ");
    fprintf(stderr, "child-err ");
    return 0; /* what it wrote goes out */
}
static int32_t speaks_and_exits(carom_call *call) {
    (void)call;
    printf("child ");
    fprintf(stderr, "child-err ");
    exit(0);
}
static int32_t is_silent(carom_call *call) {
    (void)call;
    _exit(0); /* what it wrote would be lost; what the host wrote is not its to write */
}

static void writes_with(carom_function function) {
    static char out[4096], err[4096];
    dup2(output, 1);
    dup2(output, 2);
    setvbuf(stdout, out, _IOFBF, sizeof out);
    setvbuf(stderr, err, _IOFBF, sizeof err);
    printf("before ");
    fprintf(stderr, "before-err ");
    fprintf(other, "other");
    CHECK_EQ(outcome_of(function, NULL, 0), 0);
    printf("after ");
    fprintf(stderr, "after-err ");
}
static void writes_returning(void) { writes_with(speaks); }
static void writes_exiting(void) { writes_with(speaks_and_exits); }
static void writes_silent(void) { writes_with(is_silent); }

static int count_of(const char *text, const char *word) {
    int count = 0;
    for (const char *at = text; (at = strstr(at, word)); at += strlen(word)) count++;
    return count;
}

static void check_written(const char *text, int childs) {
    const char *const words[] = {"before ", "before-err ", "after ", "after-err "};
    for (int i = 0; i < 4; i++) check_eq_(__FILE__, __LINE__, words[i], count_of(text, words[i]), 1);
    CHECK_EQ(count_of(text, "child "), childs);
    CHECK_EQ(count_of(text, "child-err "), childs);
    if (childs) CHECK(strstr(text, "before ") < strstr(text, "child ") && strstr(text, "child ") < strstr(text, "after "));
}

static void check_other(void) {
    char text[64] = "";
    ssize_t len = pread(fileno(other), text, sizeof text - 1, 0);
    CHECK_EQ(len, 5);
    CHECK_STR_EQ(text, "other");
    fclose(other);
}

static void once_in_a_pipe(const char *name, void (*body)(void), int childs) {
    int ends[2];
    char text[4096] = "";
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    output = ends[1];
    other = tmpfile();
    run_case_(name, body);
    close(ends[1]);
    size_t used = 0;
    ssize_t len;
    while ((len = read(ends[0], text + used, sizeof text - 1 - used)) > 0) used += (size_t)len;
    close(ends[0]);
    check_written(text, childs);
    check_other();
}

static void once_in_a_file(const char *name, void (*body)(void), int childs) {
    char text[4096] = "";
    FILE *file = tmpfile();
    output = fileno(file);
    other = tmpfile();
    run_case_(name, body);
    CHECK(pread(output, text, sizeof text - 1, 0) > 0);
    fclose(file);
    check_written(text, childs);
    check_other();
}

/* ---------------------------------------------------------------------------------- streams that threads are in */

static _Atomic pid_t reader;

static void *reads(void *unused) {
    (void)unused;
    char line[64];
    atomic_store(&reader, (pid_t)syscall(SYS_gettid));
    CHECK_EQ(getchar(), 'x');
    CHECK(fgets(line, sizeof line, stdin) != NULL);
    CHECK_STR_EQ(line, "yz\n");
    return NULL;
}

static int32_t finds_stdin_empty(carom_call *call) {
    (void)call;
    char byte;
    struct stat in, null;
    CHECK_EQ(read(0, &byte, 1), 0);
    CHECK_EQ(fstat(0, &in), 0);
    CHECK_EQ(stat("/dev/null", &null), 0);
    CHECK_EQ(in.st_rdev, null.st_rdev);
    CHECK_EQ(fcntl(0, F_GETFD), 0); /* what it executes has it too */
    CHECK_EQ(getchar(), EOF);
    return 11;
}

static void a_thread_in_getchar(void) {
    int ends[2];
    pthread_t thread;
    CHECK_EQ(pipe(ends), 0);
    dup2(ends[0], 0);
    close(ends[0]);
    CHECK_EQ(pthread_create(&thread, NULL, reads, NULL), 0);
    while (!atomic_load(&reader)) sched_yield();
    asleep_in(getpid(), atomic_load(&reader), SYS_read);
    for (int i = 0; i < 3; i++) CHECK_EQ(outcome_of(finds_stdin_empty, NULL, 0), 11);
    CHECK_EQ(write(ends[1], "xyz\n", 4), 4);
    pthread_join(thread, NULL);
    close(ends[1]);
}

/* What the host has read ahead is the host's. */
static void stdin_read_ahead(void) {
    int ends[2];
    char line[64];
    CHECK_EQ(pipe(ends), 0);
    dup2(ends[0], 0);
    close(ends[0]);
    CHECK_EQ(write(ends[1], "one\ntwo\nthree\n", 14), 14);
    CHECK(fgets(line, sizeof line, stdin) != NULL);
    CHECK_STR_EQ(line, "one\n");
    CHECK_EQ(outcome_of(finds_stdin_empty, NULL, 0), 11);
    CHECK(fgets(line, sizeof line, stdin) != NULL);
    CHECK_STR_EQ(line, "two\n");
    close(ends[1]);
}

static void stdin_closed(void) {
    close(0);
    CHECK_EQ(outcome_of(finds_stdin_empty, NULL, 0), 11);
    CHECK_EQ(fcntl(0, F_GETFD), -1); /* still closed here */
}

static flag holding, let_go;

static void *holds_stdout(void *unused) {
    (void)unused;
    flockfile(stdout);
    fputs_unlocked("held ", stdout);
    flag_add(&holding, 1);
    flag_await(&let_go, 1);
    funlockfile(stdout);
    return NULL;
}

static void a_thread_holds_stdout(void) {
    static char out[4096];
    pthread_t thread;
    dup2(output, 1);
    setvbuf(stdout, out, _IOFBF, sizeof out);
    printf("before ");
    CHECK_EQ(pthread_create(&thread, NULL, holds_stdout, NULL), 0);
    flag_await(&holding, 1);
    CHECK_EQ(outcome_of(speaks, NULL, 0), 0);
    CHECK_EQ(outcome_of(speaks_and_exits, NULL, 0), 0);
    CHECK_EQ(outcome_of(nothing, NULL, 0), 0);
    flag_add(&let_go, 1);
    pthread_join(thread, NULL);
    printf("after ");
}

static void held_stdout(void) {
    char text[4096] = "";
    FILE *file = tmpfile();
    output = fileno(file);
    CASE(a_thread_holds_stdout);
    CHECK(pread(output, text, sizeof text - 1, 0) > 0);
    fclose(file);
    CHECK_EQ(count_of(text, "before "), 1);
    CHECK_EQ(count_of(text, "held "), 1);
    CHECK_EQ(count_of(text, "after "), 1);
    CHECK_EQ(count_of(text, "child "), 2);
}

/* --------------------------------------------------------------------------------------------- signals and the rest */

static void ignore(int signal) { (void)signal; }

static int32_t finds_signals_default(carom_call *call) {
    (void)call;
    sigset_t mask;
    CHECK_EQ(sigprocmask(SIG_BLOCK, NULL, &mask), 0);
    for (int signal = 1; signal <= 64; signal++) {
        struct sigaction action;
        if (sigaction(signal, NULL, &action) != 0) continue; /* the two of glibc's own */
        check_eq_(__FILE__, __LINE__, strsignal(signal), action.sa_handler == SIG_DFL, 1);
        check_eq_(__FILE__, __LINE__, strsignal(signal), sigismember(&mask, signal), 0);
    }
    return 12;
}

static void signals_are_default(void) {
    sigset_t all, before, after;
    struct sigaction action = {.sa_handler = ignore, .sa_flags = SA_RESTART}, left;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    CHECK_EQ(sigaction(SIGTERM, &action, NULL), 0);
    CHECK_EQ(sigaction(SIGRTMIN + 1, &action, NULL), 0);
    sigfillset(&all);
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, &all, NULL), 0);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, &before), 0);
    CHECK_EQ(outcome_of(finds_signals_default, NULL, 0), 12);
    /* And nothing has changed here. */
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, &after), 0);
    for (int signal = 1; signal <= 64; signal++) CHECK_EQ(sigismember(&before, signal), sigismember(&after, signal));
    CHECK_EQ(sigaction(SIGTERM, NULL, &left), 0);
    CHECK(left.sa_handler == ignore);
    CHECK_EQ(sigaction(SIGPIPE, NULL, &left), 0);
    CHECK(left.sa_handler == SIG_IGN);
}

static int host_fd;
static int32_t has_the_hosts_descriptors(carom_call *call) {
    (void)call;
    char byte = 0;
    CHECK_EQ(read(host_fd, &byte, 1), 1);
    CHECK_EQ(byte, 'd');
    return 13;
}

static void descriptors_are_inherited(void) {
    int ends[2];
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    CHECK_EQ(write(ends[1], "d", 1), 1);
    host_fd = ends[0];
    CHECK_EQ(outcome_of(has_the_hosts_descriptors, NULL, 0), 13);
    close(ends[0]);
    close(ends[1]);
}

/* Nobody but the host and its children holds the host's descriptors: what it closes is closed. */
static void the_keeper_holds_nothing(void) {
    int ends[2], out[2];
    char byte;
    CHECK_EQ(pipe(ends), 0);
    CHECK_EQ(pipe(out), 0);
    dup2(out[1], 1);
    close(out[1]);
    CHECK_EQ(outcome_of(nothing, NULL, 0), 0);
    CHECK(keeper() > 0);
    close(ends[1]);
    readable(ends[0]);
    CHECK_EQ(read(ends[0], &byte, 1), 0);
    close(ends[0]);
    close(1);
    readable(out[0]);
    CHECK_EQ(read(out[0], &byte, 1), 0);
    close(out[0]);
}

int main(void) {
    shared = share(sizeof *shared);
    CASE(handlers_run_once);
    CHECK_EQ(atomic_load(&shared->handlers), 2);
    CHECK_EQ(atomic_load(&shared->foreign), 0);
    once_in_a_pipe("a pipe, returning", writes_returning, 1);
    once_in_a_pipe("a pipe, exiting", writes_exiting, 1);
    once_in_a_pipe("a pipe, silent", writes_silent, 0);
    once_in_a_file("a file, returning", writes_returning, 1);
    once_in_a_file("a file, exiting", writes_exiting, 1);
    once_in_a_file("a file, silent", writes_silent, 0);
    CASE(a_thread_in_getchar);
    CASE(stdin_read_ahead);
    CASE(stdin_closed);
    held_stdout();
    CASE(signals_are_default);
    CASE(descriptors_are_inherited);
    CASE(the_keeper_holds_nothing);
    return 0;
}
