/* Start methods other than fork: what reaches the new process, what does not, and how it goes wrong. */
#include "ends.h"

static int initialised_in_main;
static int variable = 1;

static const char *method = "spawn";

static carom_context *the_context(void) {
    carom_context *context = NULL;
    CHECK_OK(carom_context_new(method, &context));
    return context;
}

static int32_t outcome(carom_function function, const carom_argument *arguments, size_t count) {
    carom_context *context = the_context();
    carom_process_options options = {.size = sizeof options, .context = context};
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(function, arguments, count, &options, &process));
    carom_context_free(context);
    return ended(process);
}

/* ------------------------------------------------------------------------------------------------------ what arrives */

static void codes_and_signals(void) {
    const int codes[] = {0, 1, 7, 255};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        carom_argument argument = CAROM_INTEGER(codes[i]);
        CHECK_EQ(outcome(returns, &argument, 1), codes[i]);
    }
    carom_argument beyond = CAROM_INTEGER(1000), five = CAROM_INTEGER(5), kill = CAROM_INTEGER(SIGKILL), segv = CAROM_INTEGER(SIGSEGV);
    CHECK_EQ(outcome(returns, &beyond, 1), 255);
    CHECK_EQ(outcome(exits, &five, 1), 5);
    CHECK_EQ(outcome(raises, &kill, 1), -SIGKILL);
    CHECK_EQ(outcome(raises, &segv, 1), -SIGSEGV);
}

static int32_t statics(carom_call *call) {
    (void)call;
    /* main of the new program did not get beyond carom_init, and what this program's main and case did is not there. */
    CHECK_EQ(initialised_in_main, 0);
    CHECK_EQ(variable, 1);
    return 0;
}

static void statics_are_fresh(void) {
    CHECK_EQ(initialised_in_main, 1);
    variable = 2;
    CHECK_EQ(outcome(statics, NULL, 0), 0);
    CHECK_EQ(variable, 2);
}

static int32_t arguments_of_all_kinds(carom_call *call) {
    CHECK_EQ(carom_call_count(call), 7);
    carom_argument argument;
    CHECK_OK(carom_call_argument(call, 0, &argument));
    CHECK_EQ(argument.len, 300000);
    for (size_t i = 0; i < argument.len; i++) CHECK_EQ(((const unsigned char *)argument.data)[i], i % 251);
    CHECK_OK(carom_call_argument(call, 1, &argument));
    CHECK(argument.len == 5 && memcmp(argument.data, "carom", 5) == 0);
    double real;
    CHECK_OK(carom_call_read(call, 2, &real, sizeof real));
    CHECK(real == 0.25);
    carom_lock *lock = NULL;
    carom_value *value = NULL;
    int64_t number;
    CHECK_OK(carom_call_lock(call, 3, &lock));
    CHECK_STATUS(carom_lock_acquire(lock, 0), CAROM_ETIMEDOUT); /* the parent holds it */
    CHECK_OK(carom_call_value(call, 4, &value));
    CHECK_OK(carom_value_get(value, &number, sizeof number, CAROM_FOREVER));
    CHECK_EQ(number, 41);
    number = 42;
    CHECK_OK(carom_value_set(value, &number, sizeof number, CAROM_FOREVER));
    CHECK_OK(carom_call_argument(call, 5, &argument));
    CHECK_EQ(argument.kind, CAROM_ARGUMENT_LIST);
    const char *name = NULL;
    int32_t parent = 0, alive = 0;
    CHECK_OK(carom_process_current(NULL, &name));
    CHECK_STR_EQ(name, "the spawned one");
    CHECK_OK(carom_process_parent(&parent, &alive));
    int64_t host;
    CHECK_OK(carom_call_read(call, 6, &host, sizeof host));
    CHECK(parent == host && alive == 1);
    return 0;
}

static void arguments(void) {
    static unsigned char bytes[300000];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i % 251);
    carom_lock *lock = NULL;
    carom_value *value = NULL;
    int64_t number = 41;
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_OK(carom_lock_acquire(lock, 0));
    CHECK_OK(carom_value_new(CAROM_I64, &number, sizeof number, NULL, &value));
    carom_argument list[] = {CAROM_INTEGER(1), CAROM_NIL};
    carom_argument all[] = {CAROM_BYTES(bytes, sizeof bytes), CAROM_STRING("carom", 5), CAROM_REAL(0.25), CAROM_HANDLE(lock),
                            CAROM_HANDLE(value), {.kind = CAROM_ARGUMENT_LIST, .data = list, .len = 2}, CAROM_INTEGER(getpid())};
    carom_context *context = the_context();
    carom_process_options options = {.size = sizeof options, .context = context, .name = "the spawned one"};
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(arguments_of_all_kinds, all, 7, &options, &process));
    CHECK_EQ(ended(process), 0);
    CHECK_OK(carom_value_get(value, &number, sizeof number, CAROM_FOREVER));
    CHECK_EQ(number, 42);
    carom_context_free(context);
    carom_value_free(value);
    carom_lock_free(lock);
}

static void many_arguments(void) {
    static carom_argument many[10000];
    for (int i = 0; i < 10000; i++) many[i] = (carom_argument)CAROM_INTEGER(i == 0 ? 9 : i);
    CHECK_EQ(outcome(returns, many, 10000), 9);
}

/* ------------------------------------------------------------------------------------- descriptors, signals, lifetimes */

static void note_fd(int fd, void *count) {
    char path[64], target[256];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(path, target, sizeof target - 1);
    target[len < 0 ? 0 : len] = 0;
    if (fd < 3 || strstr(target, "memfd:carom") || strstr(target, "[eventfd]")) return;
    fprintf(stderr, "descriptor %d reached the child: %s\n", fd, target);
    ++*(int *)count;
}

static int32_t looks_around(carom_call *call) {
    (void)call;
    int strangers = 0;
    check_each_fd_(note_fd, &strangers);
    CHECK_EQ(strangers, 0);
    CHECK_EQ(read(0, &strangers, 1), 0);
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    for (int signal = 1; signal < 65; signal++) {
        struct sigaction action;
        CHECK_EQ(sigismember(&mask, signal) > 0, 0);
        if (signal != 32 && signal != 33 && sigaction(signal, NULL, &action) == 0) CHECK(action.sa_handler == SIG_DFL);
    }
    return 0;
}

static void surroundings(void) {
    int pipes[2];
    CHECK_EQ(pipe(pipes), 0); /* not close-on-exec */
    CHECK(dup2(pipes[0], 40) == 40);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    sigset_t some;
    sigemptyset(&some);
    sigaddset(&some, SIGTERM);
    sigprocmask(SIG_BLOCK, &some, NULL);
    CHECK_EQ(outcome(looks_around, NULL, 0), 0);
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    CHECK_EQ(sigismember(&now, SIGTERM), 1);
    CHECK_EQ(sigismember(&now, SIGINT), 0);
    close(40);
    close(pipes[0]);
    close(pipes[1]);
}

static int32_t waits(carom_call *call) {
    carom_event *event = NULL;
    CHECK_OK(carom_call_event(call, 0, &event));
    CHECK_OK(carom_event_set(event));
    for (;;) pause();
    return 0;
}

static carom_process *one_that_waits(carom_event **event) {
    carom_context *context = the_context();
    carom_process_options options = {.size = sizeof options, .context = context};
    carom_process *process = NULL;
    CHECK_OK(carom_event_new(event));
    carom_argument argument = CAROM_HANDLE(*event);
    CHECK_OK(carom_process_start(waits, &argument, 1, &options, &process));
    CHECK_EQ(carom_event_wait(*event, PATIENCE_MS), 0);
    carom_context_free(context);
    return process;
}

static void waiting_and_stopping(void) {
    carom_event *event = NULL;
    carom_process *process = one_that_waits(&event), *children[2];
    CHECK_STATUS(carom_process_join(process, 0), CAROM_ETIMEDOUT);
    CHECK_EQ(carom_process_children(children, 2), 1);
    carom_process_free(children[0]);
    CHECK_EQ(kill(carom_process_pid(process), 0), 0);
    CHECK_OK(carom_process_terminate(process));
    CHECK_EQ(ended(process), -SIGTERM);
    carom_event_free(event);
}

static int32_t starts_another(carom_call *call) {
    (void)call;
    carom_argument argument = CAROM_INTEGER(33);
    return outcome(returns, &argument, 1) == 33 && outcome_of(returns, &argument, 1) == 33 ? 44 : 1;
}

static void children_have_children(void) { CHECK_EQ(outcome(starts_another, NULL, 0), 44); }

/* The host is killed: what it spawned goes too. */
static void host_killed(void) {
    int *pid = share(sizeof *pid);
    pid_t host = fork();
    if (host == 0) {
        carom_event *event = NULL;
        CHECK_OK(carom_attach());
        *pid = carom_process_pid(one_that_waits(&event));
        raise(SIGKILL);
    }
    CHECK_EQ(wait_for(host), -SIGKILL);
    int fd = (int)syscall(SYS_pidfd_open, *pid, 0);
    if (fd >= 0) readable(fd);
    if (fd >= 0) close(fd);
}

/* ----------------------------------------------------------------------------------------------------- how it fails */

static void refused(const char *path, const char *const *argv, carom_status status, const char *words) {
    carom_context *context = the_context();
    carom_process_options options = {.size = sizeof options, .context = context};
    carom_process *process = NULL;
    int fds = fd_count();
    CHECK_OK(carom_set_executable(path, argv));
    CHECK_STATUS(carom_process_start(looks_around, NULL, 0, &options, &process), status);
    CHECK(process == NULL);
    if (!strstr(carom_error_message(), words)) check_fail_(__FILE__, __LINE__, path, words, carom_error_message(), "");
    CHECK_EQ(carom_process_children(NULL, 0), 0);
    CHECK_EQ(fd_count(), fds);
    carom_context_free(context);
}

/* There is a family, so that descriptors can be counted, but no server yet. */
static void begin_family(void) {
    carom_argument three = CAROM_INTEGER(3);
    CHECK_EQ(outcome_of(returns, &three, 1), 3);
}

static void executables_that_are_not_good(void) {
    begin_family();
    const char *const exits[] = {"sh", "-c", "exit 3", NULL}, *const dies[] = {"sh", "-c", "kill -9 $$", NULL};
    refused("/no/such/program", NULL, CAROM_ENOENT, "execve");
    refused("/", NULL, -EACCES, "execve");
    refused("/bin/true", NULL, CAROM_EBROKEN, "carom_init");
    /* (A server is not this process's child: how it ended may be unknown.) */
    refused("/bin/sh", exits, CAROM_EBROKEN, strcmp(method, "spawn") == 0 ? "ended with 3" : "ended");
    refused("/bin/sh", dies, CAROM_EBROKEN, strcmp(method, "spawn") == 0 ? "signal 9" : "ended");
    char self[PATH_MAX] = "";
    CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    /* A script that does not exec: the program is not the process that was started. */
    const char *const forks[] = {"sh", "-c", "\"$0\"; exit 0", self, NULL}, *const wraps[] = {"sh", "-c", "exec \"$0\"", self, NULL};
    refused("/bin/sh", forks, CAROM_EBROKEN, "exec");
    CHECK_OK(carom_set_executable("/bin/sh", wraps));
    CHECK_EQ(outcome(looks_around, NULL, 0), 0);
    CHECK_STATUS(carom_set_executable("", NULL), CAROM_EINVAL);
}

/* A program that forgets carom_init: this one, called with an argument that main looks at first. */
static void programs_without_init(void) {
    begin_family();
    const char *const forgets[] = {"test_start", "forgets", NULL}, *const leaves[] = {"test_start", "leaves", NULL};
    refused("/proc/self/exe", forgets, CAROM_EBROKEN, "before carom_init");
    refused("/proc/self/exe", leaves, CAROM_EBROKEN, "before it called carom_init");
}

static void the_worker(void) {
    CHECK_OK(carom_set_executable(NULL, NULL));
    carom_context *context = the_context();
    carom_process_options options = {.size = sizeof options, .context = context};
    carom_process *process = NULL;
    /* A function of a shared library, of sorts: it is called with a call, which it takes for a pid. */
    CHECK_STATUS(carom_process_start(returns, NULL, 0, &options, &process), CAROM_EFUNCTION);
    CHECK_OK(carom_process_start((carom_function)(void (*)(void))getpid, NULL, 0, &options, &process));
    int32_t pid = carom_process_pid(process), code = ended(process);
    CHECK_EQ(code, pid <= 255 ? pid : 255);
    carom_context_free(context);
}

static int32_t named(carom_call *call) {
    (void)call;
    return 21;
}

static void registered_names(void) { CHECK_EQ(outcome(named, NULL, 0), 21); }

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "leaves") == 0) return 0;
    if (argc > 1 && strcmp(argv[1], "forgets") == 0) {
        carom_process *process = NULL;
        CHECK_STATUS(carom_process_start(named, NULL, 0, NULL, &process), CAROM_EPERM);
        for (;;) pause();
    }
    CHECK_OK(carom_function_register("a name", named));
    CHECK_OK(carom_init(argc, argv));
    initialised_in_main = 1;
    const char *const methods[] = {"spawn", "forkserver"};
    for (int i = 0; i < 2; i++) {
        method = methods[i];
        more_fds = i;
        fprintf(stderr, "by %s:\n", method);
        CASE(codes_and_signals);
        CASE(statics_are_fresh);
        CASE(arguments);
        CASE(many_arguments);
        CASE(surroundings);
        CASE(waiting_and_stopping);
        CASE(children_have_children);
        CASE(host_killed);
        CASE(registered_names);
        CASE(executables_that_are_not_good);
        CASE(programs_without_init);
        CASE(the_worker);
    }
    return 0;
}
