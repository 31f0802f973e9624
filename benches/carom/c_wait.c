/* C. There and back: this process changes something and waits until another one has answered. Awake: both on CPUs of their own,
 * at once again. Asleep: after a pause in which both fell asleep. On one CPU: one runs only if the other one lets it. */
#include "bench.h"

enum { AWAKE = 5000, ASLEEP = 40, ONE_CPU = 1000 };
enum kind { EVENT, CONDITION, SEMAPHORE, SPIN, FUTEX };

typedef struct {
    _Alignas(128) _Atomic uint32_t there;
    _Alignas(128) _Atomic uint32_t back;
    _Alignas(128) volatile uint32_t turn; /* guarded by the condition's lock */
    _Alignas(128) _Atomic uint32_t ready;
} shared_state;

static shared_state *shared;
static carom_event *there, *back;
static carom_condition *condition;
static carom_semaphore *out, *in;

static void spin_until(_Atomic uint32_t *word, uint32_t value) {
    while (atomic_load_explicit(word, memory_order_acquire) != value) {}
}
static void futex_until(_Atomic uint32_t *word, uint32_t value) {
    for (uint32_t seen; (seen = atomic_load(word)) != value;) futex_wait(word, seen);
}
static void turn_to(uint32_t other) {
    shared->turn = other;
    OK(carom_condition_notify(condition, 1));
}
static void await_turn(uint32_t mine) {
    while (shared->turn != mine) OK(carom_condition_wait(condition, CAROM_FOREVER));
}

/* One answer of the other process. */
static void answer(enum kind kind, uint32_t n) {
    switch (kind) {
    case EVENT:
        OK(carom_event_wait(there, CAROM_FOREVER));
        OK(carom_event_clear(there));
        OK(carom_event_set(back));
        break;
    case SEMAPHORE:
        OK(carom_semaphore_acquire(out, CAROM_FOREVER));
        OK(carom_semaphore_release(in));
        break;
    case CONDITION:
        OK(carom_condition_acquire(condition, CAROM_FOREVER));
        await_turn(1);
        turn_to(0);
        OK(carom_condition_release(condition));
        break;
    case SPIN:
        spin_until(&shared->there, n);
        atomic_store_explicit(&shared->back, n, memory_order_release);
        break;
    case FUTEX:
        futex_until(&shared->there, n);
        atomic_store(&shared->back, n);
        futex_wake(&shared->back);
        break;
    }
}

static void ask(enum kind kind, uint32_t n) {
    switch (kind) {
    case EVENT:
        OK(carom_event_set(there));
        OK(carom_event_wait(back, CAROM_FOREVER));
        OK(carom_event_clear(back));
        break;
    case SEMAPHORE:
        OK(carom_semaphore_release(out));
        OK(carom_semaphore_acquire(in, CAROM_FOREVER));
        break;
    case CONDITION:
        OK(carom_condition_acquire(condition, CAROM_FOREVER));
        turn_to(1);
        await_turn(0);
        OK(carom_condition_release(condition));
        break;
    case SPIN:
        atomic_store_explicit(&shared->there, n, memory_order_release);
        spin_until(&shared->back, n);
        break;
    case FUTEX:
        atomic_store(&shared->there, n);
        futex_wake(&shared->there);
        futex_until(&shared->back, n);
        break;
    }
}

static int32_t answers(carom_call *call) {
    int32_t order[3];
    if (carom_call_read(call, 0, order, sizeof order) != CAROM_OK) return 1;
    pin(order[1]);
    atomic_store(&shared->ready, 1);
    for (uint32_t n = 1; n <= (uint32_t)order[2]; n++) answer((enum kind)order[0], n);
    return 0;
}

static carom_process *partner(enum kind kind, int cpu, int count) {
    carom_process *process = NULL;
    int32_t order[3] = {(int32_t)kind, cpu, count};
    carom_argument argument = CAROM_BYTES(order, sizeof order);
    atomic_store(&shared->there, 0), atomic_store(&shared->back, 0), atomic_store(&shared->ready, 0);
    shared->turn = 0;
    OK(carom_process_start(answers, &argument, 1, NULL, &process));
    while (!atomic_load(&shared->ready)) sched_yield();
    return process;
}

static void joined(carom_process *process) {
    int32_t code = -1;
    OK(carom_process_join(process, CAROM_FOREVER));
    OK(carom_process_exitcode(process, &code));
    if (code != 0) DIE("the partner exited with %d", code);
    carom_process_free(process);
}

/* The mean of many at once. */
static double at_once(enum kind kind, int cpu, int count) {
    carom_process *process = partner(kind, cpu, count);
    uint32_t n = 1;
    for (; n <= (uint32_t)count / 10; n++) ask(kind, n);
    int64_t start = now_ns();
    for (; n <= (uint32_t)count; n++) ask(kind, n);
    double ns = (double)(now_ns() - start) / (count - count / 10);
    joined(process);
    return ns;
}

/* The median of some, each after a pause. */
static double after_a_pause(enum kind kind) {
    double times[ASLEEP];
    carom_process *process = partner(kind, 1, ASLEEP);
    for (uint32_t n = 1; n <= ASLEEP; n++) {
        usleep(300);
        int64_t start = now_ns();
        ask(kind, n);
        times[n - 1] = (double)(now_ns() - start);
    }
    joined(process);
    qsort(times, ASLEEP, sizeof times[0], compare_doubles);
    return times[ASLEEP / 2];
}

#define TURNS(name, kind)                                                          \
    static double name##_awake(void) { return at_once(kind, 1, AWAKE); }           \
    static double name##_one_cpu(void) { return at_once(kind, 0, ONE_CPU); }       \
    static double name##_asleep(void) { return after_a_pause(kind); }
TURNS(event, EVENT)
TURNS(condition, CONDITION)
TURNS(semaphore, SEMAPHORE)
static double futex_one_cpu(void) { return at_once(FUTEX, 0, ONE_CPU); }
static double futex_asleep(void) { return after_a_pause(FUTEX); }
static double spin_awake(void) { return at_once(SPIN, 1, AWAKE); }

int main(int argc, char **argv) {
    OK(carom_init(argc, argv));
    remember_cpus();
    shared = shared_memory(sizeof *shared);
    OK(carom_event_new(&there));
    OK(carom_event_new(&back));
    OK(carom_condition_new(NULL, &condition));
    OK(carom_semaphore_new(0, NULL, &out));
    OK(carom_semaphore_new(0, NULL, &in));
    pin(0);
    const contestant spin = {"shm-spin", spin_awake}, one_cpu = {"futex", futex_one_cpu}, asleep = {"futex", futex_asleep};
    RACE("C.event_awake", "ns", 21, {"carom.event", event_awake}, spin);
    RACE("C.condition_awake", "ns", 21, {"carom.condition", condition_awake}, spin);
    RACE("C.semaphore_awake", "ns", 21, {"carom.semaphore", semaphore_awake}, spin);
    RACE("C.event_asleep", "ns", 21, {"carom.event", event_asleep}, asleep);
    RACE("C.condition_asleep", "ns", 21, {"carom.condition", condition_asleep}, asleep);
    RACE("C.semaphore_asleep", "ns", 21, {"carom.semaphore", semaphore_asleep}, asleep);
    RACE("C.event_one_cpu", "ns", 21, {"carom.event", event_one_cpu}, one_cpu);
    RACE("C.condition_one_cpu", "ns", 21, {"carom.condition", condition_one_cpu}, one_cpu);
    RACE("C.semaphore_one_cpu", "ns", 21, {"carom.semaphore", semaphore_one_cpu}, one_cpu);
    carom_event_free(there);
    carom_event_free(back);
    carom_condition_free(condition);
    carom_semaphore_free(out);
    carom_semaphore_free(in);
    return 0;
}
