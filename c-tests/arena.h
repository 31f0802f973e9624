/* Where things lie in the arena, for tests that damage it: what src/shm/arena.rs, member.rs, cell.rs and heap.rs say. */
#ifndef ARENA_H
#define ARENA_H

#include "check.h"

#include <stdatomic.h>
#include <stdint.h>

/* The arena of this process: its address and bytes. */
static inline unsigned char *arena_at(uint64_t *size) {
    FILE *file = fopen("/proc/self/maps", "re");
    char line[512];
    unsigned long from = 0, to = 0;
    while (file && fgets(line, sizeof line, file))
        if (strstr(line, "memfd:carom") && sscanf(line, "%lx-%lx ", &from, &to) == 2) break;
    if (file) fclose(file);
    CHECK(from != 0);
    if (size) *size = to - from;
    return (unsigned char *)from;
}

static inline _Atomic uint64_t *arena_word(uint64_t at) { return (_Atomic uint64_t *)(void *)(arena_at(NULL) + at); }

/* Lock words of the table of functions, and of the heap. */
static inline uint64_t arena_function_lock(void) { return 264; }
static inline uint64_t arena_heap_lock(void) { return 320; }
static inline uint64_t arena_members(void) { return 4096; }
static inline uint64_t arena_bells(void) { return arena_members() + 4096 * 64 + 1024 * 512; }
static inline uint64_t arena_cells(void) { return arena_bells() + 4096 * 16; }

#endif
