/* What every test in C or C++ needs that starts processes: patience, shared memory, and what this process holds. */
#ifndef COMMON_H
#define COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "check.h"

#include <sys/mman.h>
#include <time.h>

/* Nothing is waited for longer than this: less than the runner's patience, so that a failure says where it is. */
#define PATIENCE_MS 8000

/* carom keeps this many descriptors for as long as the process lives. */
#define OWN_FDS 1

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

#endif
