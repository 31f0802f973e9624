/*
 * What tests in C have in common: cases that are programs of their own, flags in shared memory, and ways to wait for
 * something that happens in another process.
 *
 * A test's main calls no function of carom. Each CASE is a fresh process, and so the first of a family of its own, in a
 * session of its own; when it has ended, nothing of its family may be left.
 */
#ifndef SUPPORT_H
#define SUPPORT_H

#include "common.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Begins a case that limits the address space, of which ASan needs more than any limit leaves. */
#ifdef __SANITIZE_ADDRESS__
#define NOT_UNDER_ASAN return
#else
#define NOT_UNDER_ASAN (void)0
#endif
/* Begins a case that cannot leave off at the first process that it wants: see CHECK_ALONE. */
#define NOT_ALONE (getenv("CAROM_TEST_ALONE") ? _exit(CHECK_ALONE) : (void)0)

/* A number that other processes can wait for. */
typedef _Atomic uint32_t flag;

static inline void flag_add(flag *it, uint32_t by) {
    atomic_fetch_add(it, by);
    syscall(SYS_futex, it, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static inline void flag_await_(const char *file, int line, flag *it, uint32_t least) {
    int64_t until = now_ms() + PATIENCE_MS;
    uint32_t seen;
    while ((seen = atomic_load(it)) < least) {
        int64_t left = until - now_ms();
        if (left <= 0) check_fail_(file, line, "a flag is not set in time", "", "", "");
        struct timespec t = {left / 1000, left % 1000 * 1000000};
        syscall(SYS_futex, it, FUTEX_WAIT, seen, &t, NULL, 0);
    }
}
#define flag_await(it, least) flag_await_(__FILE__, __LINE__, it, least)

/* Waits until a descriptor is readable. */
static inline void readable_(const char *file, int line, int fd) {
    struct pollfd item = {fd, POLLIN, 0};
    int ready;
    do ready = poll(&item, 1, PATIENCE_MS);
    while (ready < 0 && errno == EINTR);
    if (ready != 1) check_fail_(file, line, "a descriptor is not readable in time", "", "", "");
}
#define readable(fd) readable_(__FILE__, __LINE__, fd)

static inline int is_readable(int fd) {
    struct pollfd item = {fd, POLLIN, 0};
    return poll(&item, 1, 0) == 1;
}

static inline int pidfd_of(pid_t pid) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    CHECK(fd >= 0);
    return fd;
}

static inline char state_of(pid_t pid, pid_t thread) {
    char path[64], text[512], *at;
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)pid, (int)thread);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    text[len < 0 ? 0 : len] = 0;
    at = strrchr(text, ')');
    return at ? at[2] : 0;
}

/* Whether a thread sleeps in a system call of this number, or one of the two. `text`, of 256 bytes: in which. */
static inline int is_asleep_in(pid_t pid, pid_t thread, long one, long other, char *text) {
    char path[64], *end;
    snprintf(path, sizeof path, "/proc/%d/task/%d/syscall", (int)pid, (int)thread);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? 0 : read(fd, text, 255);
    if (fd >= 0) close(fd);
    text[len < 0 ? 0 : len] = 0;
    long number = strtol(text, &end, 10);
    return end != text && (number == one || number == other) && state_of(pid, thread) == 'S';
}
/* Waits until it does. */
static inline void asleep_in_(const char *file, int line, pid_t pid, pid_t thread, long one, long other) {
    char text[256];
    int64_t until = now_ms() + PATIENCE_MS;
    while (!is_asleep_in(pid, thread, one, other, text)) {
        if (now_ms() > until) check_fail_(file, line, "a thread does not fall asleep in time", text, "", "");
        sched_yield();
    }
}
#define asleep_in(pid, thread, number) asleep_in_(__FILE__, __LINE__, pid, thread, number, number)
/* Waits until the only thread of a process sleeps on a futex, as whoever waits for a lock of carom does. */
#define asleep_on_futex(pid) asleep_in_(__FILE__, __LINE__, pid, pid, SYS_futex, SYS_futex_waitv)

/* The living processes of this session that ps calls so: at most `max`. */
static inline int called(const char *wanted, pid_t *pids, int max) {
    int count = 0;
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    while (proc && (entry = readdir(proc))) {
        char path[300], name[32] = "";
        pid_t pid = atoi(entry->d_name);
        if (pid <= 0 || getsid(pid) != getsid(0)) continue;
        snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) continue;
        ssize_t len = read(fd, name, sizeof name - 1);
        close(fd);
        if (len > 0 && name[len - 1] == '\n') name[len - 1] = 0;
        char state = state_of(pid, pid);
        if (strcmp(name, wanted) == 0 && state && state != 'Z' && state != 'X' && count < max) pids[count++] = pid;
    }
    if (proc) closedir(proc);
    return count;
}
static inline int keepers(pid_t *pids, int max) { return called("carom-keeper", pids, max); }

/* The keeper of this session's only family. */
static inline pid_t keeper(void) {
    pid_t pids[8];
    int64_t until = now_ms() + PATIENCE_MS;
    for (;;) {
        int count = keepers(pids, 8);
        if (count == 1) return pids[0];
        if (now_ms() > until) check_eq_(__FILE__, __LINE__, "keepers", count, 1);
        sched_yield();
    }
}

/* Starts a process, joins it, and says how it ended. */
static inline int32_t outcome_of(carom_function function, const carom_argument *arguments, size_t count) {
    carom_process *process = NULL;
    int32_t code = INT32_MIN;
    CHECK_OK(carom_process_start(function, arguments, count, NULL, &process));
    CHECK_OK(carom_process_join(process, PATIENCE_MS));
    CHECK_OK(carom_process_exitcode(process, &code));
    carom_process_free(process);
    return code;
}

static inline int32_t ended(carom_process *process) {
    int32_t code = INT32_MIN;
    CHECK_OK(carom_process_join(process, PATIENCE_MS));
    CHECK_OK(carom_process_exitcode(process, &code));
    carom_process_free(process);
    return code;
}

/* What there is in the arena, which is well. */
static inline carom_arena_info census(void) {
    carom_arena_info info = {.size = sizeof info};
    CHECK_OK(carom_arena_check(&info));
    return info;
}

#define CASE(body) run_case_(#body, body)

#endif
