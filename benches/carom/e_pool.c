/* E. A pool of two workers: made and unmade, many small tasks, one task at a time, a map. */
#include "bench.h"

enum { POOLS = 5, TASKS = 20000, AWAKE_CALLS = 2000, ITEMS = 1000000 };

static const carom_pool_options options = {.size = sizeof options, .workers = 2};
static carom_pool *pool;

static void end(carom_pool *ended) {
    OK(carom_pool_terminate(ended));
    OK(carom_pool_join(ended, CAROM_FOREVER));
    carom_pool_free(ended);
}

/* ---- create and terminate ---- */
static double pool_life(void) {
    int64_t start = now_ns();
    for (int i = 0; i < POOLS; i++) {
        carom_pool *one = NULL;
        OK(carom_pool_new(&options, &one));
        end(one);
    }
    return (double)(now_ns() - start) / 1e3 / POOLS;
}

static double two_forks(void) {
    int64_t start = now_ns();
    for (int i = 0; i < 2 * POOLS; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) _exit(0);
        reap(pid);
    }
    return (double)(now_ns() - start) / 1e3 / POOLS;
}

/* ---- many tasks in flight, a result handle for each ---- */
static int32_t increment(carom_call *call) {
    uint64_t number;
    if (carom_call_read(call, 0, &number, sizeof number) != CAROM_OK) return 1;
    number++;
    carom_call_reply(call, &number, sizeof number);
    return 0;
}

static double tasks_per_second(void) {
    static carom_result *results[TASKS];
    int64_t start = now_ns();
    for (uint64_t i = 0; i < TASKS; i++) {
        carom_argument number = CAROM_BYTES(&i, sizeof i);
        OK(carom_pool_apply_async(pool, increment, &number, 1, NULL, &results[i]));
    }
    for (uint64_t i = 0; i < TASKS; i++) {
        uint64_t answer = 0;
        OK(carom_result_get(results[i], &answer, sizeof answer, NULL, CAROM_FOREVER));
        if (answer != i + 1) DIE("task %llu: %llu", (unsigned long long)i, (unsigned long long)answer);
        carom_result_free(results[i]);
    }
    return TASKS / ((double)(now_ns() - start) / 1e9);
}

/* ---- one task at a time ---- */
static uint64_t sent;

static void apply_once(void) {
    uint64_t question = ++sent, answer = 0;
    carom_argument number = CAROM_BYTES(&question, sizeof question);
    OK(carom_pool_apply(pool, increment, &number, 1, NULL, &answer, sizeof answer, NULL, CAROM_FOREVER));
    if (answer != question + 1) DIE("apply: %llu instead of %llu", (unsigned long long)answer, (unsigned long long)question + 1);
}

/* The limit: wake a sleeping process, sleep, be woken by it. */
typedef struct { _Alignas(128) _Atomic uint32_t question; _Alignas(128) _Atomic uint32_t answer; } two_words;
static two_words *words;

static void wait_for(_Atomic uint32_t *word, uint32_t value) {
    for (uint32_t seen; (seen = atomic_load(word)) != value;) futex_wait(word, seen);
}
static void answer_for_ever(void) {
    for (uint32_t number = 1;; number++) {
        wait_for(&words->question, number);
        atomic_store(&words->answer, number);
        futex_wake(&words->answer);
    }
}
static void two_wakes_once(void) {
    uint32_t number = atomic_load(&words->question) + 1;
    atomic_store(&words->question, number);
    futex_wake(&words->question);
    wait_for(&words->answer, number);
}

/* The pause lets everybody spin out and fall asleep; it is not measured. */
static double asleep(void (*once)(void)) {
    usleep(300);
    int64_t start = now_ns();
    once();
    return (double)(now_ns() - start);
}
static double awake(void (*once)(void)) {
    int64_t start = now_ns();
    for (int i = 0; i < AWAKE_CALLS; i++) once();
    return (double)(now_ns() - start) / AWAKE_CALLS;
}
static double apply_asleep(void) { return asleep(apply_once); }
static double apply_awake(void) { return awake(apply_once); }
static double wakes_asleep(void) { return asleep(two_wakes_once); }
static double wakes_awake(void) { return awake(two_wakes_once); }

/* ---- map ---- */
static double *items, *squares;

static int32_t square(carom_call *call) {
    double x;
    if (carom_call_read(call, 0, &x, sizeof x) != CAROM_OK) return 1;
    x *= x;
    carom_call_reply(call, &x, sizeof x);
    return 0;
}

static double map_items_per_second(void) {
    for (int i = 0; i < ITEMS; i++) squares[i] = -1;
    int64_t start = now_ns();
    OK(carom_pool_map(pool, square, items, sizeof items[0], ITEMS, NULL, squares, sizeof squares[0], CAROM_FOREVER));
    double rate = ITEMS / ((double)(now_ns() - start) / 1e9);
    for (int i = 0; i < ITEMS; i++)
        if (squares[i] != items[i] * items[i]) DIE("map: item %d is %g", i, squares[i]);
    return rate;
}

int main(int argc, char **argv) {
    OK(carom_init(argc, argv));
    words = shared_memory(sizeof *words);

    /* First, while this process is small: a fork costs what its parent has touched. */
    RACE("E.pool_create_terminate", "us", 11, {"carom", pool_life}, {"2x(fork+_exit+waitpid)", two_forks});

    /* The caller on one CPU, all who answer on the other, where they inherit their place. Left alone, the scheduler puts some pairs on
     * one CPU, where a wake costs a sixth: the rows would compare placements. */
    remember_cpus();
    pin(1);
    pid_t answerer = raw_fork(answer_for_ever);
    OK(carom_pool_new(&options, &pool));
    pin(0);
    RACE("E.pool_apply_roundtrip_asleep", "ns", 1000, {"carom", apply_asleep}, {"futex-two-wakes", wakes_asleep});
    RACE("E.pool_apply_roundtrip_awake", "ns", 5, {"carom", apply_awake}, {"futex-two-wakes", wakes_awake});
    end(pool);
    kill(answerer, SIGKILL);
    reap(answerer);
    unpin();

    OK(carom_pool_new(&options, &pool));
    RACE("E.pool_apply_async", "tasks/s", 9, {"carom", tasks_per_second});

    CHECK((items = malloc(ITEMS * sizeof *items)) != NULL && (squares = malloc(ITEMS * sizeof *squares)) != NULL);
    for (int i = 0; i < ITEMS; i++) items[i] = i;
    RACE("E.pool_map_1e6", "tasks/s", 9, {"carom", map_items_per_second});
    end(pool);
    return 0;
}
