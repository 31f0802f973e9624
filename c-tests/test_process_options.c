/* What a process can be given besides a function: by every start method, and what happens if it cannot be. */
#include "starts.h"

static carom_process *start(carom_function function, const carom_argument *arguments, size_t count, carom_process_options *options) {
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(function, arguments, count, options, &process));
    carom_context_free(options->context);
    return process;
}

static int32_t outcome(carom_function function, const carom_argument *arguments, size_t count, carom_process_options *options) {
    return ended(start(function, arguments, count, options));
}

static int32_t in_root(carom_call *call) {
    (void)call;
    char path[PATH_MAX];
    return getcwd(path, sizeof path) && strcmp(path, "/") == 0 ? 5 : 1;
}

static void directory(void) {
    carom_process_options options = some();
    options.directory = "/";
    CHECK_EQ(outcome(in_root, NULL, 0, &options), 5);
    char path[PATH_MAX];
    CHECK(getcwd(path, sizeof path) && strcmp(path, "/") != 0);
}

static int32_t has_environment(carom_call *call) {
    (void)call;
    CHECK(getenv("PATH") == NULL);
    CHECK_STR_EQ(getenv("COLOUR"), "red");
    CHECK_EQ(setenv("COLOUR", "blue", 1), 0);
    CHECK_STR_EQ(getenv("COLOUR"), "blue");
    return 6;
}

static void environment(void) {
    const char *const variables[] = {"COLOUR=red", "EMPTY=", NULL};
    carom_process_options options = some();
    options.environment = variables;
    CHECK_EQ(outcome(has_environment, NULL, 0, &options), 6);
    CHECK(getenv("PATH") && !getenv("COLOUR"));
}

static int32_t copies(carom_call *call) {
    (void)call;
    char text[64];
    ssize_t len = read(0, text, sizeof text);
    fwrite(text, 1, len > 0 ? (size_t)len : 0, stdout);
    fputs("an error", stderr);
    return 7;
}

static void streams(void) {
    int in[2], out[2], err[2];
    char text[64] = "";
    CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0);
    CHECK_EQ(write(in[1], "some input", 10), 10);
    carom_process_options options = some();
    options.stdin_fd = in[0], options.stdout_fd = out[1], options.stderr_fd = err[1];
    CHECK_EQ(outcome(copies, NULL, 0, &options), 7);
    CHECK_EQ(read(out[0], text, sizeof text), 10);
    CHECK(memcmp(text, "some input", 10) == 0);
    CHECK_EQ(read(err[0], text, sizeof text), 8);
    /* Crossed, and nowhere. */
    options = some();
    options.stdin_fd = CAROM_NONE, options.stdout_fd = 2, options.stderr_fd = out[1];
    int old = dup(2);
    CHECK_EQ(dup2(err[1], 2), 2);
    carom_process *process = start(copies, NULL, 0, &options);
    CHECK_EQ(dup2(old, 2), 2);
    close(old);
    CHECK_EQ(ended(process), 7);
    CHECK_EQ(read(out[0], text, sizeof text), 8);
    options = some();
    options.stdout_fd = CAROM_NONE, options.stderr_fd = CAROM_NONE;
    CHECK_EQ(outcome(copies, NULL, 0, &options), 7);
    close(out[1]);
    close(err[1]);
    CHECK_EQ(read(out[0], text, sizeof text), 0);
    CHECK_EQ(read(err[0], text, sizeof text), 0);
    for (int i = 0; i < 2; i++) close(in[i]);
    close(out[0]);
    close(err[0]);
}

static int32_t is_in_group(carom_call *call) {
    int64_t group, session;
    CHECK_OK(carom_call_read(call, 0, &group, sizeof group));
    CHECK_OK(carom_call_read(call, 1, &session, sizeof session));
    CHECK_EQ(getpgrp(), group ? group : getpid());
    CHECK_EQ(getsid(0), session ? session : getpid());
    return 8;
}

static void groups(void) {
    carom_argument arguments[] = {CAROM_INTEGER(getpgrp()), CAROM_INTEGER(getsid(0))};
    carom_process_options options = some();
    CHECK_EQ(outcome(is_in_group, arguments, 2, &options), 8);
    options = some();
    options.process_group = CAROM_NONE;
    arguments[0].integer = 0;
    CHECK_EQ(outcome(is_in_group, arguments, 2, &options), 8);
    options = some();
    options.new_session = 1;
    arguments[1].integer = 0;
    CHECK_EQ(outcome(is_in_group, arguments, 2, &options), 8);
}

static int32_t is_limited(carom_call *call) {
    int64_t nice_value;
    CHECK_OK(carom_call_read(call, 0, &nice_value, sizeof nice_value));
    struct rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK(limit.rlim_cur == 40 && limit.rlim_max == 50);
    CHECK_EQ(getrlimit(RLIMIT_CORE, &limit), 0);
    CHECK_EQ(limit.rlim_cur, 0);
    CHECK_EQ(getpriority(PRIO_PROCESS, 0), nice_value);
    return 9;
}

static void limits(void) {
    const carom_process_limit two[] = {{RLIMIT_NOFILE, 0, 40, 50}, {RLIMIT_CORE, 0, 0, 0}};
    carom_process_options options = some();
    options.limits = two, options.limit_count = 2, options.nice = 3;
    int nice_value = getpriority(PRIO_PROCESS, 0) + 3;
    carom_argument argument = CAROM_INTEGER(nice_value > 19 ? 19 : nice_value);
    CHECK_EQ(outcome(is_limited, &argument, 1, &options), 9);
}

/* ----------------------------------------------------------------------------------------------------- descriptors */

static int32_t writes_to_fds(carom_call *call) {
    carom_argument argument, list;
    CHECK_OK(carom_call_argument(call, 1, &argument));
    CHECK_EQ(argument.kind, CAROM_ARGUMENT_FD);
    CHECK_EQ(write((int)argument.integer, "one ", 4), 4);
    CHECK_OK(carom_call_argument(call, 2, &list));
    int fd = (int)((const carom_argument *)list.data)[0].integer;
    CHECK(fd > 2 && fd != argument.integer);
    CHECK_EQ(write(fd, "two", 3), 3);
    CHECK_EQ(close(fd), 0);
    int64_t is_fork;
    CHECK_OK(carom_call_read(call, 0, &is_fork, sizeof is_fork));
    return is_fork || (fcntl((int)argument.integer, F_GETFD) & FD_CLOEXEC) ? 10 : 1;
}

static void descriptors(void) {
    int pipes[2];
    char text[64] = "";
    CHECK_EQ(pipe2(pipes, O_CLOEXEC), 0);
    int other = fcntl(pipes[1], F_DUPFD_CLOEXEC, 200);
    carom_argument nested = {.kind = CAROM_ARGUMENT_FD, .integer = other};
    carom_argument arguments[] = {CAROM_INTEGER(strcmp(method, "fork") == 0), {.kind = CAROM_ARGUMENT_FD, .integer = pipes[1]},
                                  {.kind = CAROM_ARGUMENT_LIST, .data = &nested, .len = 1}};
    carom_process_options options = some();
    CHECK_EQ(outcome(writes_to_fds, arguments, 3, &options), 10);
    CHECK_EQ(write(other, "!", 1), 1); /* ours is still there */
    close(other);
    close(pipes[1]);
    CHECK_EQ(read(pipes[0], text, sizeof text), 8);
    CHECK_STR_EQ(text, "one two!");
    CHECK_EQ(read(pipes[0], text, sizeof text), 0);
    close(pipes[0]);
    carom_process *process = NULL;
    arguments[1].integer = pipes[0];
    CHECK_STATUS(carom_process_start(writes_to_fds, arguments, 3, NULL, &process), CAROM_EINVAL);
}

/* ------------------------------------------------------------------------------------------------------- failures */

static int32_t never(carom_call *call) {
    (void)call;
    fputs("this must not run\n", stderr);
    return 1;
}

static void refused(carom_process_options *options, carom_status status, const char *words) {
    carom_process *process = NULL;
    CHECK_STATUS(carom_process_start(never, NULL, 0, options, &process), status);
    CHECK(process == NULL && strstr(carom_error_message(), words));
    CHECK_EQ(carom_process_children(NULL, 0), 0);
    CHECK_OK(carom_arena_check(NULL));
    carom_context_free(options->context);
}

static void failures(void) {
    const carom_process_limit absurd = {4711, 0, 1, 1}, reserved = {RLIMIT_CORE, 1, 0, 0};
    carom_process_options options = some();
    CHECK_EQ(outcome(in_root, NULL, 0, &options), 1); /* a server may be there from now on */
    int fds = fd_count();
    options = some();
    options.directory = "/no/such/directory";
    refused(&options, CAROM_ENOENT, "chdir");
    options = some();
    options.process_group = 999999999;
    refused(&options, CAROM_EPERM, "setpgid");
    options = some();
    options.limits = &absurd, options.limit_count = 1;
    refused(&options, CAROM_EINVAL, "setrlimit");
    options = some();
    options.limits = &reserved, options.limit_count = 1;
    refused(&options, CAROM_E2BIG, "");
    options = some();
    options.stdout_fd = 900;
    refused(&options, CAROM_EINVAL, "stream");
    options = some();
    options.parent_death_signal = 65;
    refused(&options, CAROM_EINVAL, "signal");
    CHECK_EQ(fd_count(), fds);
}

/* ------------------------------------------------------------------------------------------- life and parents' death */

static int32_t waits(carom_call *call) {
    carom_event *ready = NULL;
    CHECK_OK(carom_call_event(call, 0, &ready));
    CHECK_OK(carom_event_set(ready));
    for (;;) pause();
    return 0;
}

static void interrupt_and_close(void) {
    carom_event *ready = NULL;
    CHECK_OK(carom_event_new(&ready));
    carom_argument argument = CAROM_HANDLE(ready);
    carom_process_options options = some();
    carom_process *process = start(waits, &argument, 1, &options);
    CHECK_EQ(carom_event_wait(ready, PATIENCE_MS), 0);
    CHECK_STATUS(carom_process_close(process), CAROM_EAGAIN);
    CHECK_OK(carom_process_interrupt(process));
    CHECK_OK(carom_process_join(process, PATIENCE_MS));
    int32_t code = 0;
    CHECK_OK(carom_process_exitcode(process, &code));
    CHECK_EQ(code, -SIGINT);
    CHECK_OK(carom_process_close(process));
    CHECK_OK(carom_process_close(process));
    CHECK_STATUS(carom_process_exitcode(process, &code), CAROM_ECLOSED);
    CHECK_STATUS(carom_process_join(process, 0), CAROM_ECLOSED);
    CHECK_STATUS(carom_process_is_alive(process), CAROM_ECLOSED);
    CHECK_STATUS(carom_process_kill(process), CAROM_ECLOSED);
    CHECK_EQ(carom_process_fd(process), CAROM_ECLOSED);
    CHECK(*carom_process_name(process) != 0);
    carom_process_free(process);
    carom_event_free(ready);
}

static int32_t outlives(carom_call *call) {
    carom_argument argument;
    CHECK_OK(carom_call_argument(call, 0, &argument));
    int32_t pid = getpid();
    CHECK_EQ(write((int)argument.integer, &pid, sizeof pid), (ssize_t)sizeof pid);
    int32_t parent, alive;
    CHECK_OK(carom_process_parent(&parent, &alive));
    while (alive) CHECK_OK(carom_process_parent(&parent, &alive));
    pid = -1;
    CHECK_EQ(write((int)argument.integer, &pid, sizeof pid), (ssize_t)sizeof pid);
    return 0;
}

static int32_t catches(carom_call *call) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    carom_argument argument;
    CHECK_OK(carom_call_argument(call, 0, &argument));
    int32_t pid = getpid();
    CHECK_EQ(write((int)argument.integer, &pid, sizeof pid), (ssize_t)sizeof pid);
    CHECK_EQ(sigwaitinfo(&set, NULL), SIGHUP);
    pid = -1;
    CHECK_EQ(write((int)argument.integer, &pid, sizeof pid), (ssize_t)sizeof pid);
    return 0;
}

/* The host dies at once; the process has said who it is, and says another word when it has noticed. */
static void with_dying_host(carom_function function, int signal) {
    int pipes[2];
    int32_t word = 0;
    CHECK_EQ(pipe2(pipes, O_CLOEXEC), 0);
    pid_t host = fork();
    if (host == 0) {
        close(pipes[0]);
        CHECK_OK(carom_attach());
        carom_argument argument = {.kind = CAROM_ARGUMENT_FD, .integer = pipes[1]};
        carom_process_options options = some();
        options.parent_death_signal = signal;
        start(function, &argument, 1, &options);
        close(pipes[1]);
        pause();
    }
    close(pipes[1]);
    CHECK_EQ(read(pipes[0], &word, sizeof word), (ssize_t)sizeof word);
    int fd = pidfd_of(word);
    CHECK_EQ(kill(host, SIGKILL), 0);
    CHECK_EQ(wait_for(host), -SIGKILL);
    CHECK_EQ(read(pipes[0], &word, sizeof word), (ssize_t)sizeof word);
    CHECK_EQ(word, -1);
    readable(fd);
    close(fd);
    close(pipes[0]);
}

static void parents_death(void) {
    with_dying_host(outlives, CAROM_NONE);
    with_dying_host(catches, SIGHUP);
}

/* ------------------------------------------------------------------------------------------------------ exit hooks */

static int hook_fd;

static void hook(void *ctx) { CHECK_EQ(write(hook_fd, ctx, 1), 1); }

static void hook_that_adds(void *ctx) {
    hook(ctx);
    CHECK_OK(carom_exit_register(hook, "d"));
}

static int32_t has_hooks(carom_call *call) {
    carom_argument argument;
    int64_t how;
    CHECK_OK(carom_call_argument(call, 0, &argument));
    CHECK_OK(carom_call_read(call, 1, &how, sizeof how));
    hook_fd = (int)argument.integer;
    CHECK_OK(carom_exit_register(hook, "a"));
    CHECK_OK(carom_exit_register(hook_that_adds, "b"));
    CHECK_OK(carom_exit_register(hook, "c"));
    if (how == 1) exit(3);
    if (how == 2) _exit(3);
    if (how == 3) raise(SIGKILL);
    return 3;
}

static void exit_hooks(void) {
    const char *const expected[] = {"cbad", "cbad", "", ""};
    for (int how = 0; how < 4; how++) {
        int pipes[2];
        char text[16] = "";
        CHECK_EQ(pipe2(pipes, O_CLOEXEC), 0);
        carom_argument arguments[] = {{.kind = CAROM_ARGUMENT_FD, .integer = pipes[1]}, CAROM_INTEGER(how)};
        carom_process_options options = some();
        CHECK_OK(carom_exit_register(hook, "of the host")); /* not the child's */
        CHECK_EQ(outcome(has_hooks, arguments, 2, &options), how == 3 ? -SIGKILL : 3);
        close(pipes[1]);
        CHECK(read(pipes[0], text, sizeof text) >= 0);
        CHECK_STR_EQ(text, expected[how]);
        close(pipes[0]);
    }
    hook_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    CHECK_OK(carom_shutdown(PATIENCE_MS));
    close(hook_fd);
}

static void hooks_of_the_host(void) {
    int pipes[2];
    char text[16] = "";
    CHECK_EQ(pipe2(pipes, O_CLOEXEC), 0);
    hook_fd = pipes[1];
    CHECK_OK(carom_exit_register(hook, "x"));
    CHECK_OK(carom_exit_register(hook, "y"));
    for (int i = 0; i < 2; i++) CHECK_OK(carom_shutdown(PATIENCE_MS));
    CHECK_EQ(read(pipes[0], text, sizeof text), 2);
    CHECK_STR_EQ(text, "yx");
    close(pipes[0]);
    close(pipes[1]);
}

/* ----------------------------------------------------------------------------------------------------------- names */

static int32_t tells_names(carom_call *call) {
    carom_argument expected;
    CHECK_OK(carom_call_argument(call, 0, &expected));
    const char *name = NULL;
    CHECK_OK(carom_process_current(NULL, &name));
    if (strlen(name) != expected.len || memcmp(name, expected.data, expected.len) != 0) {
        fprintf(stderr, "%s, not %.*s\n", name, (int)expected.len, (const char *)expected.data);
        return 1;
    }
    if (!strchr(name, ':')) {
        char child[64];
        snprintf(child, sizeof child, "Process-%s:1", strchr(name, '-') + 1);
        carom_argument argument = CAROM_STRING(child, strlen(child));
        CHECK_OK(carom_start_method_set("fork", 1));
        return outcome_of(tells_names, &argument, 1);
    }
    return 11;
}

static void names(void) {
    const char *kind = strcmp(method, "fork") == 0 ? "Fork" : strcmp(method, "spawn") == 0 ? "Spawn" : "ForkServer";
    for (int i = 1; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "%sProcess-%d", kind, i);
        carom_argument argument = CAROM_STRING(name, strlen(name));
        carom_process_options options = some();
        CHECK_EQ(outcome(tells_names, &argument, 1, &options), 11);
    }
}

/* ------------------------------------------------------------------------------------------------ what is inherited */

static int32_t child_is_daemon(carom_call *call) {
    carom_argument code = CAROM_INTEGER(0);
    carom_process_options options = {.size = sizeof options, .no_daemon = (uint32_t)number_given(call)};
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(returns, &code, 1, &options, &process));
    int32_t is_daemon = carom_process_daemon(process);
    CHECK_EQ(ended(process), 0);
    return is_daemon;
}

static void daemons(void) {
    carom_argument inherits = CAROM_INTEGER(0), does_not = CAROM_INTEGER(1);
    carom_process_options options = some();
    carom_process *plain = start(returns, &inherits, 1, &options);
    CHECK_EQ(carom_process_daemon(plain), 0);
    CHECK_EQ(ended(plain), 0);
    for (uint32_t daemon = 0; daemon < 2; daemon++) {
        options = some();
        options.daemon = daemon;
        CHECK_EQ(outcome(child_is_daemon, &inherits, 1, &options), daemon);
        options = some();
        options.daemon = daemon;
        CHECK_EQ(outcome(child_is_daemon, &does_not, 1, &options), 0);
    }
    options = some();
    options.daemon = options.no_daemon = 1;
    refused(&options, CAROM_EINVAL, "daemon");
}

/* Whether it has the key that it is given. */
static int32_t has_key(carom_call *call) {
    unsigned char mine[32], given[32];
    CHECK_OK(carom_authkey_get(mine, sizeof mine, NULL));
    CHECK_OK(carom_call_read(call, 0, given, sizeof given));
    return memcmp(mine, given, sizeof mine) == 0 ? 12 : 1;
}

static void the_key(void) {
    unsigned char key[33], again[32], zeros[32] = {0};
    size_t len = 0;
    CHECK_STATUS(carom_authkey_get(key, 31, &len), CAROM_EMSGSIZE);
    CHECK_EQ(len, 32);
    CHECK_OK(carom_authkey_get(key, sizeof key, &len));
    CHECK_EQ(len, 32);
    CHECK_OK(carom_authkey_get(again, sizeof again, NULL));
    CHECK(memcmp(key, again, 32) == 0 && memcmp(key, zeros, 32) != 0);
    carom_argument argument = CAROM_BYTES(key, 32);
    carom_process_options options = some();
    CHECK_EQ(outcome(has_key, &argument, 1, &options), 12);
}

/* What the kernel shows of a process, to whom it may concern. */
static int shows(const char *file, const char *secret) {
    char text[65536];
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    ssize_t len = read(fd, text, sizeof text);
    close(fd);
    CHECK(len >= 0);
    return memmem(text, (size_t)len, secret, strlen(secret)) != NULL;
}

static void key_is(const char *wanted) {
    char key[64];
    size_t len = 0;
    CHECK_OK(carom_authkey_get(key, sizeof key, &len));
    CHECK(len == strlen(wanted) && memcmp(key, wanted, len) == 0);
}

/* It has its parent's key, and gives its own child another; the parent's stays. */
static int32_t inherits_key(carom_call *call) {
    int is_grandchild = (int)number_given(call);
    key_is(is_grandchild ? "another" : "a longer secret than 32 bytes: not too short");
    if (shows("/proc/self/environ", "a longer secret") || shows("/proc/self/cmdline", "a longer secret")) return 1;
    if (is_grandchild) return 15;
    carom_argument yes = CAROM_INTEGER(1);
    carom_process_options options = some();
    CHECK_OK(carom_authkey_set("another", 7));
    return outcome(inherits_key, &yes, 1, &options);
}

static void another_key(void) {
    static const char secret[] = "a longer secret than 32 bytes: not too short";
    unsigned char before[32], after[32];
    carom_argument no = CAROM_INTEGER(0), has = CAROM_BYTES(before, 32);
    carom_process_options options = some();
    CHECK_OK(carom_authkey_get(before, sizeof before, NULL));
    /* A forkserver that is there has the old one: that is not what counts. */
    CHECK_EQ(outcome(has_key, &has, 1, &options), 12);
    CHECK_OK(carom_authkey_set(secret, strlen(secret)));
    key_is(secret);
    options = some();
    CHECK_EQ(outcome(inherits_key, &no, 1, &options), 15);
    key_is(secret);
    CHECK_OK(carom_authkey_set(NULL, 0));
    CHECK_OK(carom_authkey_get(after, sizeof after, NULL));
    CHECK(memcmp(before, after, sizeof before) == 0);
    options = some();
    CHECK_EQ(outcome(has_key, &has, 1, &options), 12);
}

static void handler(int signal) { _exit(100 + signal); }

static int32_t looks_at_signals(carom_call *call) {
    struct sigaction usr1, usr2;
    sigset_t mask;
    CHECK(sigaction(SIGUSR1, NULL, &usr1) == 0 && sigaction(SIGUSR2, NULL, &usr2) == 0 && sigprocmask(SIG_BLOCK, NULL, &mask) == 0);
    int kept = usr2.sa_handler == SIG_IGN && sigismember(&mask, SIGHUP);
    int usual = usr2.sa_handler == SIG_DFL && !sigismember(&mask, SIGHUP);
    if (kept && usr1.sa_handler == handler) {
        if (number_given(call)) raise(SIGUSR1);
        return 13;
    }
    if (usr1.sa_handler != SIG_DFL) return 2;
    return kept ? 15 : usual ? 14 : 1;
}

static void signals(void) {
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGHUP);
    CHECK(signal(SIGUSR1, handler) != SIG_ERR && signal(SIGUSR2, SIG_IGN) != SIG_ERR && sigprocmask(SIG_BLOCK, &mask, NULL) == 0);
    carom_argument looks = CAROM_INTEGER(0), raises_one = CAROM_INTEGER(1);
    carom_process_options options = some();
    CHECK_EQ(outcome(looks_at_signals, &looks, 1, &options), 14);
    options = some();
    options.keep_signals = 1;
    int is_fork = strcmp(method, "fork") == 0;
    CHECK_EQ(outcome(looks_at_signals, &looks, 1, &options), is_fork ? 13 : 15);
    if (!is_fork) return;
    options = some();
    options.keep_signals = 1;
    CHECK_EQ(outcome(looks_at_signals, &raises_one, 1, &options), 100 + SIGUSR1);
}

int main(int argc, char **argv) {
    CHECK_OK(carom_init(argc, argv));
    for (int i = 0; by_method(i); i++) {
        CASE(directory);
        CASE(environment);
        CASE(streams);
        CASE(groups);
        CASE(limits);
        CASE(descriptors);
        CASE(failures);
        CASE(interrupt_and_close);
        CASE(parents_death);
        CASE(exit_hooks);
        CASE(names);
        CASE(daemons);
        CASE(the_key);
        CASE(another_key);
        CASE(signals);
    }
    CASE(hooks_of_the_host);
    return 0;
}
