/*
 * What the tests of pools have in common: cases that are programs of their own, memory that workers share with the
 * test, and ways to find and to wait for processes.
 */
#ifndef POOL_H
#define POOL_H

#include "common.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

static inline long load(long *it) { return __atomic_load_n(it, __ATOMIC_SEQ_CST); }
static inline void store(long *it, long value) { __atomic_store_n(it, value, __ATOMIC_SEQ_CST); }
static inline long add(long *it, long by) { return __atomic_add_fetch(it, by, __ATOMIC_SEQ_CST); }

/* Looks again and again, politely, until it holds. For what no descriptor and no call of carom tells. */
#define UNTIL(condition)                                                                              \
    do {                                                                                              \
        int64_t until_ = now_ms() + PATIENCE_MS;                                                      \
        while (!(condition)) {                                                                        \
            if (now_ms() > until_) check_fail_(__FILE__, __LINE__, "UNTIL(" #condition ")", "", "", ""); \
            usleep(200);                                                                              \
        }                                                                                             \
    } while (0)

/* Whether what a case repeats is done once more, after `done` times since `begun`: `most` times, where there is time for it; on a
 * machine that others keep busy, where each takes a hundred times as long, at least `least` times. */
static inline int once_more(int done, int least, int most, int64_t begun) {
    return done < least || (done < most && now_ms() < begun + 4000);
}

static inline int pidfd_of(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

static inline int is_readable(int fd, int timeout_ms) {
    struct pollfd item = {fd, POLLIN, 0};
    int ready;
    do ready = poll(&item, 1, timeout_ms);
    while (ready < 0 && errno == EINTR);
    return ready == 1;
}

/* Command name and state of a process; 0 if there is none. */
static inline char name_of(pid_t pid, char *name, size_t size) {
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    text[len < 0 ? 0 : len] = 0;
    char *from = strchr(text, '('), *to = strrchr(text, ')');
    if (!from || !to) return 0;
    snprintf(name, size, "%.*s", (int)(to - from - 1), from + 1);
    return to[2];
}

/* Living processes of this session with this name; NULL: every one but the caller. */
static inline int living(const char *name, pid_t *pids, int max) {
    int count = 0;
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    while (proc && (entry = readdir(proc))) {
        char found[64];
        pid_t pid = atoi(entry->d_name);
        if (pid <= 0 || pid == getpid() || getsid(pid) != getsid(0)) continue;
        char state = name_of(pid, found, sizeof found);
        if (!state || state == 'Z' || state == 'X' || (name && strcmp(found, name) != 0)) continue;
        if (count < max) pids[count] = pid;
        count++;
    }
    if (proc) closedir(proc);
    return count;
}

#define WORKERS "carom-worker"
#define KEEPERS "carom-keeper"

static inline int count_of(const char *name) {
    pid_t pids[1];
    return living(name, pids, 1);
}

/* The only keeper of this session; the template of its only pool. A pool whose template is gone gets one when the host
 * looks after it. */
static inline pid_t template_of(carom_pool *pool) {
    pid_t pids[8];
    UNTIL(carom_pool_dispatch(pool, 0) >= 0 && living(KEEPERS, pids, 8) == 1);
    return pids[0];
}

/* Kills a process that is nobody's child, and waits until it is dead. */
static inline void end(pid_t pid) {
    int fd = pidfd_of(pid);
    if (fd < 0) return;
    kill(pid, SIGKILL);
    CHECK(is_readable(fd, PATIENCE_MS));
    close(fd);
}

static inline carom_pool *pool_of(int workers, uint32_t events, int64_t limit_ms) {
    carom_pool_options options;
    carom_pool *pool = NULL;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.workers = workers;
    options.events = events;
    options.time_limit_ms = limit_ms;
    CHECK_OK(carom_pool_new(&options, &pool));
    CHECK(pool != NULL);
    return pool;
}

static inline void finish(carom_pool *pool) {
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
}

static inline carom_result *submit(carom_pool *pool, carom_function function, int64_t number) {
    carom_argument argument = CAROM_INTEGER(number);
    carom_result *result = NULL;
    CHECK_OK(carom_pool_apply_async(pool, function, &argument, 1, NULL, &result));
    CHECK(result != NULL);
    return result;
}

static inline carom_verdict verdict_of(carom_result *result) {
    carom_verdict verdict;
    memset(&verdict, 0, sizeof verdict);
    verdict.size = sizeof verdict;
    CHECK_OK(carom_result_wait(result, PATIENCE_MS));
    CHECK_OK(carom_result_verdict(result, &verdict));
    return verdict;
}

/* The number that a task replied; the task succeeded. */
static inline int64_t number_of(carom_result *result) {
    int64_t number = 0;
    size_t len = 0;
    CHECK_OK(carom_result_get(result, &number, sizeof number, &len, PATIENCE_MS));
    CHECK_EQ(len, sizeof number);
    return number;
}

static inline int64_t argument_of(carom_call *call) {
    int64_t number = -1;
    if (carom_call_read(call, 0, &number, sizeof number) != CAROM_OK) _exit(CHECK_FAILED);
    return number;
}

/* Tasks. */
static inline int32_t reply_number(carom_call *call, int64_t number) {
    return carom_call_reply(call, &number, sizeof number) == CAROM_OK ? 0 : 1;
}
__attribute__((unused)) static int32_t plus_one(carom_call *call) { return reply_number(call, argument_of(call) + 1); }
__attribute__((unused)) static int32_t own_pid(carom_call *call) { return reply_number(call, getpid()); }
__attribute__((unused)) static int32_t for_ever(carom_call *call) {
    (void)call;
    for (;;) pause();
    return 0;
}
__attribute__((unused)) static int32_t kill_self(carom_call *call) {
    kill(getpid(), (int)argument_of(call));
    for (;;) pause();
    return 0;
}

/* The pool answers: a task goes through. */
static inline void works(carom_pool *pool) {
    int64_t number = 41, reply = 0;
    carom_argument argument = CAROM_INTEGER(number);
    CHECK_OK(carom_pool_apply(pool, plus_one, &argument, 1, NULL, &reply, sizeof reply, NULL, PATIENCE_MS));
    CHECK_EQ(reply, 42);
}

static inline carom_status next_event(carom_pool *pool, carom_pool_event *event, int64_t timeout_ms) {
    memset(event, 0, sizeof *event);
    event->size = sizeof *event;
    return carom_pool_next_event(pool, event, timeout_ms);
}

/* A main calls no function of carom: each case is a fresh process, and so the first of a family of its own. */
#define CASE(body)                                                               \
    do {                                                                         \
        if (argc < 2 || strcmp(argv[1], #body) == 0) run_case_(#body, body);     \
    } while (0)

#endif
