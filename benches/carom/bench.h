/* What every program in this directory needs.
 *
 * A program prints lines `peer metric value unit` on stdout. It checks every answer: a wrong one is a message on stderr
 * and exit code 2, because a fast wrong answer is not a measurement.
 *
 * The limits that carom's goals name (raw fork, bare futex, pidfd) are measured in the same process as carom, turn by
 * turn: on a shared machine two programs run seconds apart differ by more than the 10 % that some goals allow. */
#ifndef BENCH_H
#define BENCH_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <carom.h>
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DIE(...) (fprintf(stderr, "%s:%d: ", __FILE__, __LINE__), fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), exit(2))
#define CHECK(condition) ((condition) ? (void)0 : DIE("%s: %s", #condition, strerror(errno)))
#define OK(call) check_status((call), #call, __LINE__)

static inline void check_status(carom_status status, const char *call, int line) {
    if (status == CAROM_OK) return;
    fprintf(stderr, "line %d: %s: %s: %s\n", line, call, carom_status_name(status), carom_error_message());
    exit(2);
}

static inline int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A page that every process started later sees, whoever forks it. Call it before the first carom object. */
static inline void *shared_memory(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    memset(memory, 0, size);
    return memory;
}

static inline void futex_wait(_Atomic uint32_t *word, uint32_t value) {
    syscall(SYS_futex, (uint32_t *)word, FUTEX_WAIT, value, NULL, NULL, 0);
}
static inline void futex_wake(_Atomic uint32_t *word) {
    syscall(SYS_futex, (uint32_t *)word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* A bare child, for the limits. It must not outlive a benchmark that died. */
static inline pid_t raw_fork(void (*child)(void)) {
    fflush(NULL);
    pid_t parent = getpid(), pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent) child();
        _exit(0);
    }
    return pid;
}
static inline void reap(pid_t pid) {
    CHECK(waitpid(pid, NULL, 0) == pid);
}

/* The CPUs that the program was started with: a child of a pinned parent may leave the parent's. */
static cpu_set_t cpus;
static inline void remember_cpus(void) {
    CHECK(sched_getaffinity(0, sizeof cpus, &cpus) == 0);
}
static inline void unpin(void) {
    CHECK(sched_setaffinity(0, sizeof cpus, &cpus) == 0);
}
static inline void pin(int nth) {
    int left = nth % CPU_COUNT(&cpus), cpu = 0;
    while (!CPU_ISSET(cpu, &cpus) || left-- > 0) cpu++;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
}

/* One turn does some work and returns one measure of it, in the unit of the row. */
typedef struct { const char *peer; double (*turn)(void); } contestant;
enum { MAX_CONTESTANTS = 4 };

static inline int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline void emit(const char *peer, const char *metric, double value, const char *unit) {
    printf("%s %s %.6g %s\n", peer, metric, value, unit);
    fflush(stdout);
}

/* Everybody takes turns, so that a slow moment of the machine hits all; the row is the median turn. The first is warm-up. */
static inline void race(const char *metric, const char *unit, int turns, const contestant *contestants, int count) {
    double *measures[MAX_CONTESTANTS];
    if (count > MAX_CONTESTANTS) DIE("too many contestants");
    for (int i = 0; i < count; i++) CHECK((measures[i] = calloc((size_t)turns, sizeof(double))) != NULL);
    for (int turn = -1; turn < turns; turn++)
        for (int i = 0; i < count; i++) {
            double measure = contestants[i].turn();
            if (turn >= 0) measures[i][turn] = measure;
        }
    for (int i = 0; i < count; i++) {
        qsort(measures[i], (size_t)turns, sizeof(double), compare_doubles);
        emit(contestants[i].peer, metric, measures[i][turns / 2], unit);
        free(measures[i]);
    }
}
#define RACE(metric, unit, turns, ...) \
    race(metric, unit, turns, (const contestant[]){__VA_ARGS__}, (int)(sizeof((const contestant[]){__VA_ARGS__}) / sizeof(contestant)))
#endif
