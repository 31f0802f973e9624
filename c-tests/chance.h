/* What happens by chance in a torture_*.c, and is the same for the same seed: splitmix64. */
#ifndef CHANCE_H
#define CHANCE_H

#include <stdint.h>

static uint64_t state; /* the seed, to begin with */

static inline uint64_t random_number(void) {
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
static inline uint64_t below(uint64_t most) { return random_number() % most; }

#endif
