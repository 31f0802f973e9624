/* What every test in C or C++ needs that starts processes: patience, shared memory, and what this process holds. */
#ifndef COMMON_H
#define COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "check.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

/* Nothing is waited for longer than this: less than the runner's patience, so that a failure says where it is. */
#define PATIENCE_MS 20000

/* carom keeps this many descriptors (its arena, its keeper's doorbell) for as long as the process lives. */
#define OWN_FDS 2
/* And these in the next cases: 1 where they use a forkserver. */
static int more_fds __attribute__((unused));

static inline int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Memory that this process and all that it forks from now on share. Zero. */
static inline void *share(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    return memory;
}

static inline int fd_count(void) {
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (directory && readdir(directory)) count++;
    if (directory) closedir(directory);
    return count;
}

/* Kilobytes of the arena that this process has touched. */
static inline long arena_kb(void) {
    FILE *file = fopen("/proc/self/smaps", "re");
    char line[512];
    long sum = 0, kb;
    int ours = 0;
    while (file && fgets(line, sizeof line, file)) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2) ours = strstr(line, "memfd:carom") != NULL;
        else if (ours && sscanf(line, "Rss: %ld kB", &kb) == 1) sum += kb;
    }
    if (file) fclose(file);
    return sum;
}

/* Waits for a child of a plain fork, and says how it ended as carom would. */
static inline int wait_for(pid_t pid) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) CHECK_EQ(errno, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static inline void begin_case_(void) {
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    memset(check_fds_at_start_, 0, sizeof check_fds_at_start_);
    check_remember_fds_();
}

static inline void run_case_(const char *name, void (*body)(void)) {
    fprintf(stderr, "%s\n", name);
    fflush(NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t pid = fork();
    if (pid == 0) {
        begin_case_();
        body();
        check_no_leaks(OWN_FDS + more_fds);
        exit(0);
    }
    CHECK(pid > 0);
    int end = wait_for(pid);
    /* Under an old valgrind (CAROM_TEST_ALONE) a case goes as far as one process can. */
    if (end == CHECK_ALONE && getenv("CAROM_TEST_ALONE")) fprintf(stderr, "  as far as one process can\n");
    else check_eq_(__FILE__, __LINE__, name, end, 0);
    /* Whatever is left became our child. If it does not end, the runner says what it is. */
    int status;
    while (waitpid(-1, &status, 0) > 0)
        if (WIFEXITED(status)) CHECK(WEXITSTATUS(status) != CHECK_FAILED);
}

#endif
