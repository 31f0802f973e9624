/* F. A shared counter, alone and against one other process, and what it costs to make and free one. */
#include "bench.h"

enum { ALONE = 300000, CONTENDED = 200000, MADE = 10000, PARTIES = 2 };

typedef struct {
    _Alignas(128) _Atomic uint32_t mutex;
    volatile int64_t count; /* beside its lock, as a value's */
    _Alignas(128) _Atomic int64_t number;
    _Alignas(128) _Atomic uint32_t ready;
    _Atomic uint32_t go;
    _Atomic int64_t finished_ns[PARTIES];
} shared_state;

static shared_state *shared;
static carom_value *counter;

/* The least that a lock which sleeps can cost, inlined. */
static inline void mutex_lock(_Atomic uint32_t *word) {
    uint32_t expected = 0;
    if (atomic_compare_exchange_strong_explicit(word, &expected, 1, memory_order_acquire, memory_order_relaxed)) return;
    while (atomic_exchange_explicit(word, 2, memory_order_acquire) != 0) futex_wait(word, 2);
}
static inline void mutex_unlock(_Atomic uint32_t *word) {
    if (atomic_exchange_explicit(word, 0, memory_order_release) == 2) futex_wake(word);
}

/* Each counts on from what is there; `data` is the value's, taken once. */
#define LOOP(name, step)                                                                \
    static int loop_##name(uint64_t rounds, int64_t *data) {                            \
        (void)data;                                                                     \
        for (uint64_t i = 0; i < rounds; i++) { step; }                                 \
        return 0;                                                                       \
    }
LOOP(locked, if (carom_value_lock(counter, CAROM_FOREVER) != CAROM_OK) return 1; *(volatile int64_t *)data += 1;
     if (carom_value_unlock(counter) != CAROM_OK) return 1)
LOOP(limit, mutex_lock(&shared->mutex); shared->count = shared->count + 1; mutex_unlock(&shared->mutex))
LOOP(pointer, atomic_fetch_add((_Atomic int64_t *)data, 1))
LOOP(call, if (carom_value_add(counter, 1, NULL) != CAROM_OK) return 1)
LOOP(bare, atomic_fetch_add(&shared->number, 1))

enum { LOCKED, LIMIT, POINTER, CALL, BARE };
static int (*const loops[])(uint64_t, int64_t *) = {loop_locked, loop_limit, loop_pointer, loop_call, loop_bare};

static int64_t counted(int which) {
    if (which == LIMIT) return shared->count;
    return which == BARE ? atomic_load(&shared->number) : *(volatile int64_t *)carom_value_data(counter);
}

static double alone(int which) {
    int64_t before = counted(which), start = now_ns();
    if (loops[which](ALONE, carom_value_data(counter)) != 0) DIE("counter %d failed", which);
    double seconds = (double)(now_ns() - start) / 1e9;
    if (counted(which) - before != ALONE) DIE("counter %d: %lld", which, (long long)(counted(which) - before));
    return ALONE / seconds;
}

static int32_t contend(carom_call *call) {
    int party[2];
    if (carom_call_read(call, 0, party, sizeof party) != CAROM_OK) return 1;
    pin(party[1]);
    atomic_fetch_add(&shared->ready, 1);
    while (atomic_load(&shared->go) == 0) sched_yield();
    if (loops[party[0]](CONTENDED, carom_value_data(counter)) != 0) return 2;
    atomic_store(&shared->finished_ns[party[1]], now_ns());
    return 0;
}

static double contended(int which) {
    carom_process *processes[PARTIES];
    int64_t before = counted(which);
    atomic_store(&shared->ready, 0), atomic_store(&shared->go, 0);
    for (int i = 0; i < PARTIES; i++) {
        int party[2] = {which, i};
        carom_argument argument = CAROM_BYTES(party, sizeof party);
        OK(carom_process_start(contend, &argument, 1, NULL, &processes[i]));
    }
    for (int64_t deadline = now_ns() + 5000000000; atomic_load(&shared->ready) < PARTIES; sched_yield())
        if (now_ns() > deadline) DIE("counter %d: a contender did not come", which);
    int64_t start = now_ns(), end = start;
    atomic_store(&shared->go, 1);
    for (int i = 0; i < PARTIES; i++) {
        int32_t code = -1;
        OK(carom_process_join(processes[i], CAROM_FOREVER));
        OK(carom_process_exitcode(processes[i], &code));
        if (code != 0) DIE("counter %d: contender %d exited with %d", which, i, code);
        carom_process_free(processes[i]);
        int64_t finished = atomic_load(&shared->finished_ns[i]);
        if (finished > end) end = finished;
    }
    if (counted(which) - before != (int64_t)CONTENDED * PARTIES) DIE("counter %d: wrong", which);
    return (double)CONTENDED * PARTIES / ((double)(end - start) / 1e9);
}

static double locked_alone(void) { return alone(LOCKED); }
static double limit_alone(void) { return alone(LIMIT); }
static double pointer_alone(void) { return alone(POINTER); }
static double call_alone(void) { return alone(CALL); }
static double bare_alone(void) { return alone(BARE); }
static double locked_contended(void) { return contended(LOCKED); }
static double limit_contended(void) { return contended(LIMIT); }

/* As many at a time as a program may have. */
static double make_and_free(void) {
    static carom_value *values[MADE];
    int64_t zero = 0, start = now_ns();
    for (int i = 0; i < MADE; i++) OK(carom_value_new(CAROM_I64, &zero, sizeof zero, NULL, &values[i]));
    for (int i = 0; i < MADE; i++) carom_value_free(values[i]);
    return (double)(now_ns() - start) / MADE;
}
static double make_and_free_each(void) {
    int64_t zero = 0, start = now_ns();
    for (int i = 0; i < MADE; i++) {
        carom_value *value = NULL;
        OK(carom_value_new(CAROM_I64, &zero, sizeof zero, NULL, &value));
        carom_value_free(value);
    }
    return (double)(now_ns() - start) / MADE;
}

int main(int argc, char **argv) {
    OK(carom_init(argc, argv));
    remember_cpus();
    shared = shared_memory(sizeof *shared);
    OK(carom_value_new(CAROM_I64, NULL, 0, NULL, &counter));
    pin(0);
    RACE("F.counter_locked_1p", "ops/s", 21, {"carom.Value", locked_alone}, {"futex-mutex+inc", limit_alone});
    RACE("F.counter_locked_2p", "ops/s", 9, {"carom.Value", locked_contended}, {"futex-mutex+inc", limit_contended});
    RACE("F.counter_atomic_1p", "ops/s", 21, {"carom.Value(pointer)", pointer_alone}, {"atomic-fetch_add", bare_alone},
         {"by-call(carom_value_add)", call_alone});
    RACE("F.make_and_free_value", "ns", 9, {"carom.Value", make_and_free});
    RACE("F.make_and_free_value_each", "ns", 9, {"carom.Value", make_and_free_each});
    carom_value_free(counter);
    return 0;
}
