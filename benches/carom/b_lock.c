/* B. Acquire and release, alone and against one other process. The critical section is one increment of a shared counter. */
#include "bench.h"
#include <pthread.h>
#include <semaphore.h>

enum { ALONE = 300000, CONTENDED = 400000, PARTIES = 2 };

/* Every lock and the counter on lines of their own: otherwise the contended rows measure false sharing. */
typedef struct {
    _Alignas(128) _Atomic uint32_t futex_mutex;
    _Alignas(128) pthread_mutex_t robust;
    _Alignas(128) sem_t semaphore;
    _Alignas(128) volatile uint64_t counter;
    _Alignas(128) _Atomic uint32_t ready;
    _Atomic uint32_t go;
    _Atomic int64_t finished_ns[PARTIES];
} shared_state;

static shared_state *shared;
static carom_lock *lock, *rlock;
static carom_semaphore *semaphore;

/* Drepper's third mutex: 0 free, 1 held, 2 held and somebody may sleep. What a lock that sleeps costs at least. */
static inline void futex_mutex_lock(_Atomic uint32_t *word) {
    uint32_t expected = 0;
    if (atomic_compare_exchange_strong_explicit(word, &expected, 1, memory_order_acquire, memory_order_relaxed)) return;
    for (int spin = 0; spin < 100; spin++) {
        expected = 0;
        if (atomic_load_explicit(word, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong_explicit(word, &expected, 1, memory_order_acquire, memory_order_relaxed))
            return;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    while (atomic_exchange_explicit(word, 2, memory_order_acquire) != 0) futex_wait(word, 2);
}
static inline void futex_mutex_unlock(_Atomic uint32_t *word) {
    if (atomic_exchange_explicit(word, 0, memory_order_release) == 2) futex_wake(word);
}

/* One loop per lock, not one loop with a pointer to the lock's functions: an indirect call costs a fifth of a futex mutex. */
#define LOOP(name, taken, given)                                \
    static int loop_##name(uint64_t rounds) {                   \
        for (uint64_t i = 0; i < rounds; i++) {                 \
            if (!(taken)) return 1;                             \
            shared->counter = shared->counter + 1;              \
            if (!(given)) return 1;                             \
        }                                                       \
        return 0;                                               \
    }
LOOP(carom, carom_lock_acquire(lock, CAROM_FOREVER) == CAROM_OK, carom_lock_release(lock) == CAROM_OK)
LOOP(rlock, carom_lock_acquire(rlock, CAROM_FOREVER) == CAROM_OK, carom_lock_release(rlock) == CAROM_OK)
LOOP(units, carom_semaphore_acquire(semaphore, CAROM_FOREVER) == CAROM_OK, carom_semaphore_release(semaphore) == CAROM_OK)
LOOP(robust, pthread_mutex_lock(&shared->robust) == 0, pthread_mutex_unlock(&shared->robust) == 0)
LOOP(posix, sem_wait(&shared->semaphore) == 0, sem_post(&shared->semaphore) == 0)
LOOP(futex, (futex_mutex_lock(&shared->futex_mutex), 1), (futex_mutex_unlock(&shared->futex_mutex), 1))

enum { CAROM, RLOCK, UNITS, ROBUST, POSIX, FUTEX };
static int (*const loops[])(uint64_t) = {loop_carom, loop_rlock, loop_units, loop_robust, loop_posix, loop_futex};

static double alone(int which) {
    shared->counter = 0;
    int64_t start = now_ns();
    if (loops[which](ALONE) != 0) DIE("lock %d failed", which);
    double ns = (double)(now_ns() - start) / ALONE;
    if (shared->counter != ALONE) DIE("lock %d: count %llu", which, (unsigned long long)shared->counter);
    return ns;
}

static int32_t contend(carom_call *call) {
    int party[2];
    if (carom_call_read(call, 0, party, sizeof party) != CAROM_OK) return 1;
    pin(party[1]);
    atomic_fetch_add(&shared->ready, 1);
    while (atomic_load(&shared->go) == 0) sched_yield();
    if (loops[party[0]](CONTENDED) != 0) return 2;
    atomic_store(&shared->finished_ns[party[1]], now_ns());
    return 0;
}

/* The clock stops at the last unlock, not at the join: the end of a process is section A. */
static double contended(int which) {
    carom_process *processes[PARTIES];
    shared->counter = 0;
    atomic_store(&shared->ready, 0);
    atomic_store(&shared->go, 0);
    for (int i = 0; i < PARTIES; i++) {
        int party[2] = {which, i};
        carom_argument arguments[] = {CAROM_BYTES(party, sizeof party)};
        OK(carom_process_start(contend, arguments, 1, NULL, &processes[i]));
    }
    /* A child that fails before the barrier would leave this loop for ever without the deadline. */
    for (int64_t deadline = now_ns() + 5000000000; atomic_load(&shared->ready) < PARTIES; sched_yield())
        if (now_ns() > deadline) DIE("lock %d: a contender did not come", which);
    int64_t start = now_ns(), end = start;
    atomic_store(&shared->go, 1);
    for (int i = 0; i < PARTIES; i++) {
        int32_t code = -1;
        OK(carom_process_join(processes[i], CAROM_FOREVER));
        OK(carom_process_exitcode(processes[i], &code));
        if (code != 0) DIE("lock %d: contender %d exited with %d", which, i, code);
        carom_process_free(processes[i]);
        int64_t finished = atomic_load(&shared->finished_ns[i]);
        if (finished > end) end = finished;
    }
    if (shared->counter != (uint64_t)CONTENDED * PARTIES) DIE("lock %d: count %llu", which, (unsigned long long)shared->counter);
    return (double)CONTENDED * PARTIES / ((double)(end - start) / 1e9);
}

static double carom_alone(void) { return alone(CAROM); }
static double rlock_alone(void) { return alone(RLOCK); }
static double units_alone(void) { return alone(UNITS); }
static double robust_alone(void) { return alone(ROBUST); }
static double posix_alone(void) { return alone(POSIX); }
static double futex_alone(void) { return alone(FUTEX); }
static double carom_contended(void) { return contended(CAROM); }
static double units_contended(void) { return contended(UNITS); }
static double robust_contended(void) { return contended(ROBUST); }
static double posix_contended(void) { return contended(POSIX); }
static double futex_contended(void) { return contended(FUTEX); }

int main(int argc, char **argv) {
    OK(carom_init(argc, argv));
    remember_cpus();
    shared = shared_memory(sizeof *shared);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    CHECK(pthread_mutex_init(&shared->robust, &attributes) == 0);
    CHECK(sem_init(&shared->semaphore, 1, 1) == 0);
    OK(carom_lock_new(NULL, &lock));
    OK(carom_rlock_new(NULL, &rlock));
    OK(carom_bounded_semaphore_new(1, NULL, &semaphore));

    const contestant robust = {"glibc-mutex-pshared-robust", robust_alone}, posix = {"sem_t-pshared", posix_alone};
    pin(0);    /* and the contenders pin themselves, so that they never share a CPU */
    RACE("B.lock_uncontended", "ns", 21, {"carom", carom_alone}, robust, posix, {"futex-mutex", futex_alone});
    RACE("B.rlock_uncontended", "ns", 21, {"carom.rlock", rlock_alone}, posix);
    RACE("B.semaphore_uncontended", "ns", 21, {"carom.semaphore", units_alone}, robust, posix);
    RACE("B.lock_contended_2p", "ops/s", 9, {"carom", carom_contended}, {robust.peer, robust_contended},
         {posix.peer, posix_contended}, {"futex-mutex", futex_contended});
    RACE("B.semaphore_contended_2p", "ops/s", 9, {"carom.semaphore", units_contended}, {posix.peer, posix_contended});
    carom_lock_free(lock);
    carom_lock_free(rlock);
    carom_semaphore_free(semaphore);
    return 0;
}
