/*
 * How much there may be of everything, measured, and the status beyond it: each is what the table in the header says. Whoever comes
 * up against a limit loses nothing, and has room again once something is freed. Processes: test_limits_family.c.
 */
#include "header_table.h"

static void workers_of_a_pool(void) {
    carom_pool_options options = {.size = sizeof options, .workers = 1};
    carom_pool *pool = NULL;
    more_descriptors();
    while (CAROM_OK == carom_pool_new(&options, &pool) && options.workers < 1 << 20) {
        carom_pool_free(pool);
        options.workers = options.workers < 1024 ? 1024 : options.workers + 1;
    }
    check_row("workers of a pool", options.workers - 1, carom_pool_new(&options, &pool));
}

/* 1100 functions, each at an address of its own. */
#define F(n) static int32_t f##n(carom_call *call) { return reply_number(call, n - 1 + (int64_t)sizeof "" ); }
#define TEN(m, n) m(n##0) m(n##1) m(n##2) m(n##3) m(n##4) m(n##5) m(n##6) m(n##7) m(n##8) m(n##9)
#define HUNDRED(m, n) TEN(m, n##0) TEN(m, n##1) TEN(m, n##2) TEN(m, n##3) TEN(m, n##4) TEN(m, n##5) TEN(m, n##6) TEN(m, n##7) TEN(m, n##8) TEN(m, n##9)
#define ALL(m) HUNDRED(m, 10) HUNDRED(m, 11) HUNDRED(m, 12) HUNDRED(m, 13) HUNDRED(m, 14) HUNDRED(m, 15) HUNDRED(m, 16) \
    HUNDRED(m, 17) HUNDRED(m, 18) HUNDRED(m, 19) HUNDRED(m, 20)
ALL(F)
#define NAME(n) f##n,
static const carom_function functions[] = {ALL(NAME)};

static void functions_of_a_family(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    int count = 0;
    carom_status status;
    carom_result *result = NULL;
    while ((status = carom_pool_apply_async(pool, functions[count], NULL, 0, NULL, &result)) == CAROM_OK) {
        CHECK_EQ(number_of(result), 1000 + count);
        carom_result_free(result);
        count++;
    }
    check_row("functions that the workers of a family run", count, status);
    CHECK_OK(carom_pool_apply_async(pool, functions[5], NULL, 0, NULL, &result));
    CHECK_EQ(number_of(result), 1005);
    carom_result_free(result);
    finish(pool);
}

static void names_of_functions(void) {
    char name[200] = "";
    int count = 0, len = 0;
    carom_status status;
    do snprintf(name, sizeof name, "function %d", count);
    while ((status = carom_function_register(name, functions[0])) == CAROM_OK && ++count);
    check_row("functions that a process registers", count, status);
    do memset(name, 'x', (size_t)++len);
    while ((status = carom_function_register(name, functions[0])) != CAROM_EINVAL);
    check_row("bytes of a function's name", len - 1, status);
}

/* In a small arena, since the largest has room for 16 million. */
static void objects(void) {
#ifdef __SANITIZE_ADDRESS__
    return; /* which needs more address space */
#endif
    enum { MOST = 1 << 19 };
    static carom_lock *locks[MOST];
    int count = 0;
    carom_status status;
    CHECK_EQ(setrlimit(RLIMIT_AS, &(struct rlimit){1 << 30, 1 << 30}), 0);
    while (count < MOST && (status = carom_lock_new(NULL, &locks[count])) == CAROM_OK) count++;
    check_row("objects in an arena of 256 MiB", count, status);
    carom_lock_free(locks[1000]);
    CHECK_OK(carom_lock_new(NULL, &locks[1000]));
    for (int i = 0; i < count; i++) carom_lock_free(locks[i]);
}

/* From above, and not one by one: what was there once is cleared before it is there again. */
static void size_of_an_object(void) {
    carom_value *value = NULL;
    uint64_t size = (uint64_t)1 << 44;
    while (carom_value_new(CAROM_RAW, NULL, size - 16, NULL, &value) == CAROM_ENOMEM) size /= 2;
    carom_status status = carom_value_new(CAROM_RAW, NULL, size - 15, NULL, &value);
    check_row("bytes of an object, of arguments, of a reply", (long long)size - 16, status);
}

static void depth_of_lists(void) {
    carom_argument lists[200];
    carom_pool *pool = pool_of(1, 0, 0);
    carom_result *result = NULL;
    int depth = 0;
    carom_status status;
    memset(lists, 0, sizeof lists);
    lists[0].kind = CAROM_ARGUMENT_LIST;
    while ((status = carom_pool_apply_async(pool, functions[0], &lists[depth], 1, NULL, &result)) == CAROM_OK) {
        CHECK_EQ(number_of(result), 1000);
        carom_result_free(result);
        depth++;
        lists[depth] = (carom_argument){.kind = CAROM_ARGUMENT_LIST, .data = &lists[depth - 1], .len = 1};
    }
    check_row("lists and maps in each other", depth, status);
    finish(pool);
}

static void units_and_parties(void) {
    carom_semaphore *semaphore = NULL;
    carom_barrier *barrier = NULL;
    carom_semaphore_options owned = {.size = sizeof owned, .owned = 1};
    const char *labels[] = {"units of a semaphore that are owned", "parties of a barrier"};
    for (int what = 0; what < 2; what++) {
        int64_t least = 1, most = INT64_MAX - 1;
        carom_status status = CAROM_OK;
        for (;;) {
            int64_t middle = least < most ? least + (most - least) / 2 + 1 : least + 1;
            status = what ? carom_barrier_new(middle, NULL, &barrier) : carom_semaphore_new(middle, &owned, &semaphore);
            carom_barrier_free(barrier);
            carom_semaphore_free(semaphore);
            barrier = NULL, semaphore = NULL;
            if (least == most) break;
            if (status == CAROM_OK) least = middle;
            else most = middle - 1;
        }
        check_row(labels[what], (long long)least, status);
    }
}

/* Of threads and of those who wait there may be as many as the system has: none is left behind. */
enum { THREADS = 2000 };
static carom_semaphore *gate;
static carom_lock *turn;
static carom_condition *meeting;
static long passed;
static void *pass(void *nothing) {
    CHECK_OK(carom_semaphore_acquire(gate, CAROM_FOREVER));
    CHECK_OK(carom_lock_acquire(turn, CAROM_FOREVER));
    add(&passed, 1);
    CHECK_OK(carom_lock_release(turn));
    CHECK_OK(carom_condition_acquire(meeting, CAROM_FOREVER));
    while (load(&passed) <= THREADS) CHECK_OK(carom_condition_wait(meeting, CAROM_FOREVER));
    CHECK_OK(carom_condition_release(meeting));
    return nothing;
}
static void threads_and_waiters(void) {
    static pthread_t threads[THREADS];
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 256 << 10);
    CHECK_OK(carom_semaphore_new(0, NULL, &gate));
    CHECK_OK(carom_lock_new(NULL, &turn));
    CHECK_OK(carom_condition_new(NULL, &meeting));
    for (int i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&threads[i], &small, pass, NULL), 0);
    usleep(100000); /* most wait */
    for (int i = 0; i < THREADS; i++) CHECK_OK(carom_semaphore_release(gate));
    UNTIL(load(&passed) == THREADS);
    usleep(100000);
    CHECK_OK(carom_condition_acquire(meeting, CAROM_FOREVER));
    add(&passed, 1);
    CHECK_OK(carom_condition_notify_all(meeting));
    CHECK_OK(carom_condition_release(meeting));
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    carom_condition_free(meeting);
    carom_lock_free(turn);
    carom_semaphore_free(gate);
}

int main(int argc, char **argv) {
    CASE(workers_of_a_pool);
    CASE(functions_of_a_family);
    CASE(names_of_functions);
    CASE(objects);
    CASE(size_of_an_object);
    CASE(depth_of_lists);
    CASE(units_and_parties);
    CASE(threads_and_waiters);
    return 0;
}
