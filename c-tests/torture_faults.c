/*
 * System calls that fail: each call that a function of the API makes, at each of its occurrences, in the calling process and in
 * the processes that it makes, with each errno that may come. The function gives a status with a message, or does without; the
 * same function works right after; nothing is left, neither descriptors nor objects nor processes.
 *
 *     torture_faults [FUNCTION]
 *
 * A line per function: faults, and how many of them it told its caller.
 */
#include "fault/local.h"
#include "fault/messages.h"
#include "fault/servers.h"

#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/user.h>

#if defined __x86_64__
#define NUMBER(registers) (registers).orig_rax
#define RETURNED(registers) (registers).rax

enum { CALLS = 512, MOST_OF_ONE = 12, MOST_OBJECTS = 4 };

/* What may fail, and how. Calls that never do, or of which nobody can tell (close), are not here. */
static const struct failing {
    long number;
    int errnos[4];
} failing[] = {
    {SYS_memfd_create, {EMFILE, ENOMEM}},
    {SYS_ftruncate, {EINTR, ENOSPC}},
    {SYS_fallocate, {EINTR, ENOSPC}},
    {SYS_mmap, {ENOMEM, EAGAIN}},
    {SYS_madvise, {ENOMEM, EAGAIN}},
    {SYS_eventfd2, {EMFILE, ENOMEM}},
    {SYS_pipe2, {EMFILE}},
    {SYS_socketpair, {EMFILE, ENOMEM}},
    {SYS_pidfd_open, {EMFILE, ENOMEM}},
    {SYS_clone, {EAGAIN, ENOMEM}},
    {SYS_clone3, {EAGAIN, ENOMEM}},
    {SYS_vfork, {EAGAIN, ENOMEM}},
    {SYS_execve, {ENOMEM, EAGAIN}},
    {SYS_epoll_create1, {EMFILE, ENOMEM}},
    {SYS_epoll_ctl, {ENOMEM, ENOSPC}},
    {SYS_epoll_wait, {EINTR}},
    {SYS_epoll_pwait, {EINTR}},
    {SYS_futex, {EINTR, EAGAIN}},
    {SYS_futex_waitv, {EINTR, EAGAIN, ENOMEM}},
    {SYS_poll, {EINTR, ENOMEM}},
    {SYS_ppoll, {EINTR, ENOMEM}},
    {SYS_wait4, {EINTR}},
    {SYS_waitid, {EINTR}},
    {SYS_read, {EINTR}},
    {SYS_write, {EINTR, EAGAIN, ENOSPC}},
    {SYS_openat, {EMFILE, ENOMEM, EINTR}},
    {SYS_linkat, {ENOSPC}},
    {SYS_fcntl, {EMFILE}},
    {SYS_dup, {EMFILE}},
    {SYS_dup2, {EINTR}},
    {SYS_dup3, {EINTR}},
    {SYS_sendmsg, {EAGAIN, ENOMEM}}, /* the library's do not wait, so no EINTR */
    {SYS_recvmsg, {ENOMEM}},
    {SYS_getrandom, {EINTR}},
    {SYS_socket, {EMFILE, ENOMEM}},
    {SYS_bind, {ENOMEM}},
    {SYS_listen, {ENOMEM}},
    {SYS_connect, {EINTR, EAGAIN, ENOMEM}},
    {SYS_accept4, {EMFILE, ENOMEM, EINTR, EAGAIN}},
    {SYS_sendto, {EAGAIN, ENOMEM}},
    {SYS_recvfrom, {EINTR, EAGAIN, ENOMEM}},
    {SYS_writev, {EINTR, EAGAIN}},
    {SYS_readv, {EINTR}},
    {SYS_setsockopt, {ENOMEM}},
    {SYS_getsockopt, {ENOMEM}},
    {SYS_signalfd4, {EMFILE, ENOMEM}},
    {SYS_timerfd_create, {EMFILE, ENOMEM}},
    {SYS_mremap, {ENOMEM}},
    {SYS_mprotect, {ENOMEM}},
};

/* Those that take longest first: see `run_functions`. */
static const struct function functions[] = {
    {"process_start, a forkserver", family_before_a_server, process_fork_server, process_over, 2},
    {"pool, template", lock_held, pool_all, NULL, 2},
    {"manager, used", family_up, manager_all, NULL, 0},
    {"manager, its server", family_up, manager_serves, NULL, 1},
    {"process_start, a spawned child", family_up, process_spawn, process_over, 1},
    {"process_start, its child", family_before_a_server, process_fork_server, process_over, 3},
    {"lock_new, the first call", NULL, lock_new, lock_free, 0},
    {"lock_acquire", lock_held, lock_acquire, NULL, 0},
    {"value_new", lock_held, value_new, value_free, 0},
    {"event_wait", event_made, event_wait, NULL, 0},
    {"semaphore_acquire", semaphore_made, semaphore_acquire, NULL, 0},
    {"condition_wait", condition_made, condition_wait, NULL, 0},
    {"barrier_wait", barrier_made, barrier_wait, NULL, 0},
    {"process_start", lock_held, process_start, process_ends, 0},
    {"process_start, half a keeper", lock_held, process_start, process_ends, 1},
    {"process_start, the keeper", lock_held, process_start, process_ends, 2},
    {"process_start, spawn", lock_held, process_spawn, process_ends, 0},
    {"process_start, forkserver", fork_server_up, process_fork_server, process_ends, 0},
    {"process_join", process_started, process_join, NULL, 0},
    {"pool_new", lock_held, pool_new, pool_ends, 0},
    {"pool, host", lock_held, pool_all, NULL, 0},
    {"pool, half a template", lock_held, pool_all, NULL, 1},
    {"pool, worker", lock_held, pool_all, NULL, 3},
    {"pool_apply", pool_made, pool_apply, NULL, 0},
    {"pool_map", pool_made, pool_map, NULL, 0},
    {"pool_fd", pool_made, pool_fd, NULL, 0},
    {"shared_memory_new", NULL, memory_new, memory_ends, 0},
    {"shared_memory_open", memory_made, memory_open, NULL, 0},
    {"shareable_list_new", NULL, list_new, list_ends, 0},
    {"queue_new", lock_held, queue_new, queue_free, 0},
    {"queue, short", queue_made, queue_short, NULL, 0},
    {"queue, long", queue_made, queue_long, NULL, 0},
    {"queue, waits", queue_made, queue_waits, NULL, 0},
    {"queue, in place", queue_made, queue_in_place, NULL, 0},
    {"queue, handle", queue_made, queue_handle, NULL, 0},
    {"queue, polled", lock_held, queue_polled, NULL, 0},
    {"queue, given", queue_made, queue_given, NULL, 0},
    {"pipe_new", lock_held, pipe_new, pipe_free, 0},
    {"pipe, short", pipe_made, message_short, NULL, 0},
    {"pipe, long", pipe_made, message_long, NULL, 0},
    {"pipe, waits", pipe_made, message_waits, NULL, 0},
    {"pipe, polled", lock_held, pipe_polled, NULL, 0},
    {"pipe, handle", pipe_and_event_made, pipe_handle, NULL, 0},
    {"connection_open", NULL, sockets_new, pipe_free, 0},
    {"connection, short", sockets_made, message_short, NULL, 0},
    {"connection, long", sockets_made, message_pieces, NULL, 0},
    {"connection, waits", sockets_made, message_waits, NULL, 0},
    {"connection, descriptor", NULL, socket_fd, NULL, 0},
    {"connection, given", sockets_made, socket_given, NULL, 0},
    {"listener_accept", visitors, listener_accepts, NULL, 0},
    {"client_open", host_up, client_calls, NULL, 0},
    {"manager_new", family_up, manager_new, manager_ends, 0},
    {"manager_open", manager_made, manager_opened, NULL, 0},
};

/* ---- whoever calls, in a process of its own ---- */

static void gives_a_status(carom_status status) {
    shared->status = status;
    if (status == CAROM_OK) return;
    if (status > 0 || strcmp(carom_status_name(status), "unknown status") == 0) CHECK(status < 0 && status > -4096);
    CHECK(carom_error_message()[0] != 0);
}

/* What is there goes down to what was there before, at the latest when somebody waits for something. */
static void nothing_is_left(const carom_arena_info *before) {
    carom_semaphore *never = NULL;
    CHECK_OK(carom_semaphore_new(0, NULL, &never));
    for (int64_t until = now_ms() + PATIENCE_MS;;) {
        carom_arena_info now = census();
        if (now.objects <= before->objects + 1 && now.blocks <= before->blocks + blocks_of_servers) break;
        if (now_ms() > until) check_eq_(__FILE__, __LINE__, "objects or blocks are left", (long long)now.objects, (long long)before->objects);
        CHECK_STATUS(carom_semaphore_acquire(never, 1), CAROM_ETIMEDOUT);
    }
    carom_semaphore_free(never);
}

static void calls(const struct function *it) {
    CHECK(setsid() > 0);
    snprintf(name, sizeof name, "carom_fault_%d", (int)getpid());
    carom_arena_info before = {.size = sizeof before};
    if (it->before) {
        it->before();
        before = census();
    }
    flag_add(&shared->ready, 1);
    flag_await(&shared->go, 1);
    atomic_store(&shared->phase, 1);
    carom_status status = it->call();
    gives_a_status(status);
    if (!it->descends) atomic_store(&shared->phase, 2);
    if (status == CAROM_OK && it->after) it->after();
    atomic_store(&shared->phase, 2);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(it->call());
        if (it->after) it->after();
    }
    shared->fds = fd_count();
    nothing_is_left(&before);
    if (it->before == pool_made) pool_ends();
    if (it->before == memory_made) memory_ends();
    if (it->before == manager_made) manager_ends();
    CHECK_OK(carom_shutdown(PATIENCE_MS));
    _exit(0);
}

/* ---- whoever makes calls fail ---- */

struct fault {
    long number; /* -1: none */
    int nth, error;
    int for_good; /* from the nth on */
};

static int seen[CALLS]; /* calls of the last run */
static int is_loaded;   /* not: a program that is begun anew makes calls of the loader, which are no concern of ours */
static const char *now_at = "";
static int64_t patient_until;

static void tick(int signal) {
    (void)signal;
    if (patient_until && now_ms() > patient_until) {
        patient_until = 0;
        check_fail_(__FILE__, __LINE__, "hangs", now_at, "", "");
    }
}

static pid_t any_stop(pid_t pid, int *status) {
    pid_t stopped;
    do stopped = waitpid(pid, status, __WALL);
    while (stopped < 0 && errno == EINTR);
    return stopped;
}

enum { OPTIONS = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE };

/* At the entry or the exit of a call. */
static void at_call(pid_t pid, const struct fault *fault, int *failed) {
    struct __ptrace_syscall_info info;
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0) return;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY && atomic_load(&shared->phase) == 1) {
        long number = (long)info.entry.nr;
        /* Only a wait can fail so. */
        if (number == SYS_futex && (info.entry.args[1] & 0x7f) != FUTEX_WAIT && (info.entry.args[1] & 0x7f) != FUTEX_WAIT_BITSET)
            return;
        /* Nor does any other of these take a descriptor. */
        if (number == SYS_fcntl && info.entry.args[1] != F_DUPFD && info.entry.args[1] != F_DUPFD_CLOEXEC) return;
        /* carom_init looks for what the program is to do. */
        is_loaded |= number == SYS_getsockopt;
        if (number < 0 || number >= CALLS || !is_loaded) return;
        int nth = ++seen[number];
        int fails = number == fault->number && nth >= fault->nth && (nth == fault->nth || fault->for_good);
        if (!fails) {
            if (number == SYS_execve) is_loaded = 0;
            return;
        }
        if (ptrace(PTRACE_GETREGS, pid, 0, &registers) != 0) return;
        NUMBER(registers) = (unsigned long long)-1;
        if (ptrace(PTRACE_SETREGS, pid, 0, &registers) == 0) *failed = 1;
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && *failed == 1) {
        if (ptrace(PTRACE_GETREGS, pid, 0, &registers) != 0) return;
        RETURNED(registers) = (unsigned long long)-fault->error;
        if (ptrace(PTRACE_SETREGS, pid, 0, &registers) == 0) *failed = 2;
    }
}

/* Follows the caller, or a descendant, through its calls until the caller has ended; its exit code. */
static int follow(pid_t caller, int descends, const struct fault *fault, int *failed) {
    pid_t at = caller, early = 0; /* a child may stop before its parent tells of it */
    int status, code = -1;
    for (;;) {
        pid_t pid = any_stop(-1, &status);
        if (pid < 0) return code;
        if (!WIFSTOPPED(status)) {
            if (pid != caller) continue;
            code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
            if (at == caller) return code;
            /* Still there: let go. */
            if (ptrace(PTRACE_INTERRUPT, at, 0, 0) != 0) return code;
            continue;
        }
        int event = status >> 16, signal = WSTOPSIG(status);
        if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
            unsigned long child = 0;
            ptrace(PTRACE_GETEVENTMSG, pid, 0, &child);
            if (pid == at && descends > 0 && atomic_load(&shared->phase) == 1) {
                descends--;
                at = (pid_t)child;
                ptrace(PTRACE_DETACH, pid, 0, 0);
                if (at == early) ptrace(PTRACE_SYSCALL, at, 0, 0);
                continue;
            }
            signal = 0;
        } else if (signal == (SIGTRAP | 0x80)) {
            if (pid == at && descends == 0) at_call(pid, fault, failed);
            signal = 0;
        } else if (event) {
            signal = 0;
        }
        if (pid != at && event == PTRACE_EVENT_STOP && descends > 0 && code < 0) {
            early = pid;
        } else if (pid != at || code >= 0) {
            ptrace(PTRACE_DETACH, pid, 0, signal);
            if (code >= 0 && pid == at) return code;
        } else {
            ptrace(PTRACE_SYSCALL, pid, 0, signal);
        }
    }
}

/* Whatever is left became our child, and ends by itself. */
static void all_end(void) {
    int status;
    while (any_stop(-1, &status) > 0)
        if (WIFEXITED(status)) CHECK(WEXITSTATUS(status) != CHECK_FAILED);
}

static int run(const struct function *it, const struct fault *fault) {
    int failed = 0, status;
    memset(shared, 0, sizeof *shared);
    shared->lasts = fault->for_good;
    shared->descends = it->descends;
    memset(seen, 0, sizeof seen);
    is_loaded = 1;
    patient_until = now_ms() + 2 * PATIENCE_MS;
    fflush(NULL);
    pid_t caller = fork();
    if (caller == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        calls(it);
    }
    /* What it does before is no part of it. */
    flag_await(&shared->ready, 1);
    CHECK_EQ(ptrace(PTRACE_SEIZE, caller, 0, OPTIONS), 0);
    CHECK_EQ(ptrace(PTRACE_INTERRUPT, caller, 0, 0), 0);
    while (any_stop(caller, &status) == caller && WIFSTOPPED(status) && status >> 16 != PTRACE_EVENT_STOP)
        ptrace(PTRACE_CONT, caller, 0, 0);
    CHECK(WIFSTOPPED(status));
    ptrace(PTRACE_SYSCALL, caller, 0, 0);
    flag_add(&shared->go, 1);
    int code = follow(caller, it->descends, fault, &failed);
    if (code != 0) check_eq_(__FILE__, __LINE__, now_at, code, 0);
    all_end();
    patient_until = 0;
    return failed;
}

static const char *call_name(long number) {
    static const struct { long number; const char *name; } names[] = {
        {SYS_memfd_create, "memfd_create"}, {SYS_ftruncate, "ftruncate"}, {SYS_mmap, "mmap"}, {SYS_madvise, "madvise"},
        {SYS_eventfd2, "eventfd2"}, {SYS_pidfd_open, "pidfd_open"}, {SYS_clone, "clone"}, {SYS_futex, "futex"},
        {SYS_futex_waitv, "futex_waitv"}, {SYS_openat, "openat"}, {SYS_write, "write"}, {SYS_read, "read"},
        {SYS_epoll_create1, "epoll_create1"}, {SYS_epoll_ctl, "epoll_ctl"}, {SYS_fcntl, "fcntl"}, {SYS_wait4, "wait4"},
        {SYS_waitid, "waitid"}, {SYS_poll, "poll"}, {SYS_socket, "socket"}, {SYS_bind, "bind"}, {SYS_connect, "connect"},
        {SYS_accept4, "accept4"}, {SYS_sendmsg, "sendmsg"}, {SYS_recvmsg, "recvmsg"}, {SYS_dup3, "dup3"}, {SYS_execve, "execve"},
        {SYS_epoll_wait, "epoll_wait"}, {SYS_vfork, "vfork"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].number == number) return names[i].name;
    return "call";
}

/* Of all runners. */
static struct board {
    _Atomic uint32_t next, total;
} *board;

static int faults_of(const struct function *it) {
    static char text[200];
    const struct fault none = {-1, 0, 0, 0};
    int made[CALLS], count = 0, told = 0;
    now_at = it->name;
    run(it, &none);
    CHECK_OK((carom_status)shared->status);
    memcpy(made, seen, sizeof made);
    if (getenv("FAULTS_VERBOSE")) for (int i = 0; i < CALLS; i++) if (made[i]) printf("  makes %d %d times\n", i, made[i]);
    int fds = shared->fds;
    for (size_t i = 0; i < sizeof failing / sizeof *failing; i++) {
        const struct failing *call = &failing[i];
        for (int nth = 1; nth <= made[call->number] && nth <= MOST_OF_ONE; nth++) {
            for (int e = 0; e < 4 && call->errnos[e]; e++) {
                int lasts = call->errnos[e] != EINTR && call->errnos[e] != EAGAIN;
                for (int for_good = 0; for_good <= lasts; for_good++) {
                    struct fault fault = {call->number, nth, call->errnos[e], for_good};
                    snprintf(text, sizeof text, "%s: %s (%ld), the %d.%s, %s", it->name, call_name(call->number), call->number,
                             nth, for_good ? " and on" : "", strerror(fault.error));
                    now_at = text;
                    if (!run(it, &fault)) continue;
                    count++;
                    told += shared->status != CAROM_OK;
                    if (getenv("FAULTS_VERBOSE")) printf("  %s: %d\n", text, (int)shared->status);
                    check_eq_(__FILE__, __LINE__, text, shared->fds, fds);
                }
            }
        }
    }
    printf("faults: %-30s %4d faults %4d told  0 crashes  0 hangs  0 leaks\n", it->name, count, told);
    fflush(stdout);
    return count;
}

/* One after the other, as far as others have not taken them. */
static void run_functions(const char *only) {
    struct sigaction action = {.sa_handler = tick};
    struct itimerval often = {{0, 100000}, {0, 100000}};
    shared = share(sizeof *shared);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    CHECK_EQ(setitimer(ITIMER_REAL, &often, NULL), 0);
    for (uint32_t i; (i = atomic_fetch_add(&board->next, 1)) < sizeof functions / sizeof *functions;)
        if (!only || strcmp(only, functions[i].name) == 0) atomic_fetch_add(&board->total, (uint32_t)faults_of(&functions[i]));
}

int main(int argc, char **argv) {
    enum { RUNNERS = 2 };
    pid_t runners[RUNNERS];
    int64_t begin = now_ms();
    CHECK_OK(carom_init(argc, argv));
    /* A child that was not told what it is to do. */
    if (getenv("CAROM_FAULTS_BEGUN")) return 1;
    setenv("CAROM_FAULTS_BEGUN", "1", 1);
    board = share(sizeof *board);
    for (int i = 0; i < RUNNERS; i++) {
        if ((runners[i] = fork()) == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            run_functions(argc > 1 ? argv[1] : NULL);
            _exit(0);
        }
    }
    for (int i = 0; i < RUNNERS; i++) CHECK_EQ(wait_for(runners[i]), 0);
    uint32_t total = atomic_load(&board->total);
    printf("faults: %u in all; %lld s\n", total, (long long)(now_ms() - begin + 500) / 1000);
    return total == 0;
}
#else
int main(void) { return 77; }
#endif
