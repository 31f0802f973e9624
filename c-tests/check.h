/*
 * Checks for tests in C and C++. They stay in release builds, print both sides, and end the process: by _exit, because
 * a check may fail in a child, where atexit handlers of the test program must not run.
 *
 *     #include "check.h"
 *     int main(void) {
 *         CHECK_OK(carom_lock_new(NULL, &lock));
 *         CHECK_STATUS(carom_lock_acquire(lock, 0), CAROM_ETIMEDOUT);
 *         ...
 *         check_no_leaks(0);
 *         return 0;
 *     }
 */
#ifndef CHECK_H
#define CHECK_H

#include <carom.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK_FAILED 99 /* exit code of a process in which a check failed */
#define CHECK_ALONE 98  /* ... of a case that wanted another process where there are none: see run_case_ */

#define CHECK(condition) \
    ((condition) ? (void)0 : check_fail_(__FILE__, __LINE__, "CHECK(" #condition ")", "", "", ""))

/* Integers of any type and sign. */
#define CHECK_EQ(a, b) check_eq_(__FILE__, __LINE__, "CHECK_EQ(" #a ", " #b ")", (long long)(a), (long long)(b))

#define CHECK_STR_EQ(a, b) check_str_eq_(__FILE__, __LINE__, "CHECK_STR_EQ(" #a ", " #b ")", (a), (b))

/* Statuses, printed by name and with the message of this thread's last error. */
#define CHECK_STATUS(call, status) \
    check_status_(__FILE__, __LINE__, "CHECK_STATUS(" #call ", " #status ")", (call), (status))
#define CHECK_OK(call) check_status_(__FILE__, __LINE__, "CHECK_OK(" #call ")", (call), CAROM_OK)

static inline void check_fail_(const char *file, int line, const char *what, const char *left, const char *right,
                               const char *detail) {
    fflush(stdout);
    fprintf(stderr, "%s:%d: pid %d: %s", file, line, (int)getpid(), what);
    if (*left || *right) fprintf(stderr, ": %s, not %s", left, right);
    fprintf(stderr, "%s%s\n", *detail ? ": " : "", detail);
    _exit(CHECK_FAILED);
}

static inline void check_eq_(const char *file, int line, const char *what, long long a, long long b) {
    char left[32], right[32];
    if (a == b) return;
    snprintf(left, sizeof left, "%lld", a);
    snprintf(right, sizeof right, "%lld", b);
    check_fail_(file, line, what, left, right, "");
}

static inline void check_str_eq_(const char *file, int line, const char *what, const char *a, const char *b) {
    if (a && b && strcmp(a, b) == 0) return;
    check_fail_(file, line, what, a ? a : "(NULL)", b ? b : "(NULL)", "");
}

/* Weak, so that these checks also serve a library without it. */
#ifdef __cplusplus
extern "C"
#endif
__attribute__((weak)) const char *carom_error_message(void);

static inline void check_status_(const char *file, int line, const char *what, carom_status status,
                                 carom_status wanted) {
    char left[64];
    if (status == wanted) return;
    if (status == CAROM_ENOTSUP && wanted == CAROM_OK && getenv("CAROM_TEST_ALONE")) _exit(CHECK_ALONE);
    snprintf(left, sizeof left, "%s (%d)", carom_status_name(status), (int)status);
    check_fail_(file, line, what, left, carom_status_name(wanted), carom_error_message ? carom_error_message() : "");
}

#define CHECK_MAX_FDS 4096
static unsigned char check_fds_at_start_[CHECK_MAX_FDS];

/* Calls `visit` with every open descriptor but the one used for looking. */
static inline void check_each_fd_(void (*visit)(int fd, void *ctx), void *ctx) {
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;
    if (!directory) return;
    while ((entry = readdir(directory))) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && fd != dirfd(directory) && fd < CHECK_MAX_FDS) visit(fd, ctx);
    }
    closedir(directory);
}

static inline void check_mark_fd_(int fd, void *ctx) {
    (void)ctx;
    check_fds_at_start_[fd] = 1;
}

__attribute__((constructor)) static void check_remember_fds_(void) { check_each_fd_(check_mark_fd_, NULL); }

static inline void check_new_fd_(int fd, void *count) {
    char path[64], target[256];
    if (check_fds_at_start_[fd]) return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(path, target, sizeof target - 1);
    fprintf(stderr, "new descriptor %d: %.*s\n", fd, (int)(len < 0 ? 0 : len), target);
    ++*(int *)count;
}

/* At the end of a test: no child of this process is left, dead or alive, and not more than `allowed` descriptors are
 * open that were not open before main. */
static inline void check_no_leaks(int allowed) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
        check_fail_("check_no_leaks", 0, info.si_pid ? "a zombie is left" : "a child is left", "", "", "");
    int count = 0;
    check_each_fd_(check_new_fd_, &count);
    if (count > allowed) check_fail_("check_no_leaks", 0, "descriptors are left", "", "", "");
}

#endif
