/* Soft time limits: a task is told, in each way in which it may listen, and no other task ever is. */
#include "pool_limit.h"

#define SOFT_MS 20

static carom_task_options soft(int64_t soft_ms, int64_t hard_ms) {
    carom_task_options options = {.size = sizeof options, .soft_time_limit_ms = soft_ms, .time_limit_ms = hard_ms};
    return options;
}

static carom_result *submit_with(carom_pool *pool, carom_function function, const carom_argument *arguments, size_t count,
                                 const carom_task_options *options) {
    carom_result *result = NULL;
    CHECK_OK(carom_pool_apply_async(pool, function, arguments, count, options, &result));
    return result;
}

/* Its number, from a task that got SOFT_MS and noticed. */
static int64_t told(carom_pool *pool, carom_function function, const carom_argument *arguments, size_t count) {
    carom_task_options options = soft(SOFT_MS, 0);
    carom_result *result = submit_with(pool, function, arguments, count, &options);
    int64_t number = number_of(result);
    CHECK(verdict_of(result).elapsed_ns >= SOFT_MS * 1000000ll);
    carom_result_free(result);
    return number;
}

static int32_t spins(carom_call *call) {
    while (!carom_call_should_stop(call)) {
    }
    return reply_number(call, carom_call_should_stop(call));
}

/* The word does not come by the signal, which this task does not let in. */
static int32_t spins_deaf(carom_call *call) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGURG);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return spins(call);
}

static int32_t blocks(carom_call *call) {
    int fds[2];
    char byte;
    if (pipe(fds)) return 2;
    ssize_t got = read(fds[0], &byte, 1);
    return reply_number(call, got < 0 ? errno : -1);
}

static volatile sig_atomic_t hooked;
static void hook(void *ctx) {
    (void)ctx;
    hooked++;
}
static int32_t hooks(carom_call *call) {
    hooked = 0;
    int mark = 7;
    if (carom_call_on_stop(call, hook, &mark)) return 2;
    while (!hooked) pause();
    usleep(50000); /* not called a second time */
    if (hooked != 1) return 3;
    if (carom_call_on_stop(call, hook, &mark) || hooked != 2) return 4; /* at once, for it is known */
    return reply_number(call, hooked);
}
static int32_t takes_back(carom_call *call) {
    hooked = 0;
    if (carom_call_on_stop(call, hook, NULL) || carom_call_on_stop(call, NULL, NULL)) return 2;
    while (!carom_call_should_stop(call)) pause();
    return reply_number(call, hooked);
}

static void ways(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    CHECK_EQ(told(pool, spins, NULL, 0), 1);
    CHECK_EQ(told(pool, spins_deaf, NULL, 0), 1);
    CHECK_EQ(told(pool, blocks, NULL, 0), EINTR);
    CHECK_EQ(told(pool, hooks, NULL, 0), 2);
    CHECK_EQ(told(pool, takes_back, NULL, 0), 0);
    finish(pool);
}

/* What was held, or not there, for ever: a blocking call says so once, and after that it waits as always. */
static int32_t acquires(carom_call *call) {
    carom_lock *lock = NULL;
    if (carom_call_lock(call, 0, &lock)) return 2;
    carom_status first = carom_lock_acquire(lock, CAROM_FOREVER);
    if (carom_lock_acquire(lock, 30) != CAROM_ETIMEDOUT) return 3;
    return carom_call_should_stop(call) == 1 ? reply_number(call, first) : 4;
}
static int32_t takes(carom_call *call) {
    carom_semaphore *semaphore = NULL;
    return carom_call_semaphore(call, 0, &semaphore) ? 2 : reply_number(call, carom_semaphore_acquire(semaphore, CAROM_FOREVER));
}
static int32_t awaits(carom_call *call) {
    carom_event *event = NULL;
    return carom_call_event(call, 0, &event) ? 2 : reply_number(call, carom_event_wait(event, CAROM_FOREVER));
}
static int32_t meets(carom_call *call) {
    carom_barrier *barrier = NULL;
    return carom_call_barrier(call, 0, &barrier) ? 2 : reply_number(call, carom_barrier_wait(barrier, CAROM_FOREVER));
}
static int32_t hears(carom_call *call) {
    carom_condition *condition = NULL;
    if (carom_call_condition(call, 0, &condition)) return 2;
    if (carom_condition_acquire(condition, 0)) return 3;
    carom_status status = carom_condition_wait(condition, CAROM_FOREVER);
    if (carom_condition_release(condition)) return 4; /* it was held again */
    return reply_number(call, status);
}
static int32_t joins(carom_call *call) {
    carom_process *process = NULL;
    if (carom_process_start(for_ever, NULL, 0, NULL, &process)) return 2;
    carom_status status = carom_process_join(process, CAROM_FOREVER);
    carom_process_kill(process);
    if (carom_process_join(process, PATIENCE_MS)) return 3;
    carom_process_free(process);
    return reply_number(call, status);
}

static void blocking_calls(void) {
    carom_lock *lock = NULL;
    carom_semaphore *semaphore = NULL;
    carom_event *event = NULL;
    carom_barrier *barrier = NULL;
    carom_condition *condition = NULL;
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_OK(carom_lock_acquire(lock, 0));
    CHECK_OK(carom_semaphore_new(0, NULL, &semaphore));
    CHECK_OK(carom_event_new(&event));
    CHECK_OK(carom_barrier_new(2, NULL, &barrier));
    CHECK_OK(carom_condition_new(NULL, &condition));
    carom_pool *pool = pool_of(1, 0, 0);
    const struct {
        carom_function function;
        carom_argument argument;
    } calls[] = {{acquires, CAROM_HANDLE(lock)},   {takes, CAROM_HANDLE(semaphore)}, {awaits, CAROM_HANDLE(event)},
                 {meets, CAROM_HANDLE(barrier)}, {hears, CAROM_HANDLE(condition)}};
    for (size_t i = 0; i < COUNT_OF(calls); i++)
        CHECK_EQ(told(pool, calls[i].function, &calls[i].argument, 1), CAROM_ESOFTLIMIT);
    CHECK_EQ(told(pool, joins, NULL, 0), CAROM_ESOFTLIMIT);
    CHECK_EQ(carom_barrier_wait(barrier, PATIENCE_MS), CAROM_EBROKEN); /* a party has left it */
    finish(pool);
    carom_condition_free(condition);
    carom_barrier_free(barrier);
    carom_event_free(event);
    carom_semaphore_free(semaphore);
    CHECK_OK(carom_lock_release(lock));
    carom_lock_free(lock);
}

/* Who does not listen is killed by the hard limit; also if the soft one comes from the pool. */
static int32_t deaf(carom_call *call) {
    (void)call;
    for (;;) {
    }
    return 0;
}
static void then_the_hard_one(void) {
    carom_pool_options options = {.size = sizeof options, .workers = 1, .soft_time_limit_ms = 10, .time_limit_ms = 1000};
    carom_pool *pool = NULL;
    CHECK_OK(carom_pool_new(&options, &pool));
    carom_result *result = submit(pool, deaf, 0);
    carom_verdict verdict = verdict_of(result);
    CHECK_EQ(verdict.status, CAROM_ETIMELIMIT);
    CHECK(verdict.elapsed_ns >= 1000000000);
    carom_result_free(result);
    carom_task_options enough = soft(10, PATIENCE_MS);
    CHECK_EQ(number_of(result = submit_with(pool, spins, NULL, 0, &enough)), 1); /* the successor hears too */
    carom_result_free(result);
    carom_task_options none = soft(CAROM_NONE, CAROM_NONE);
    carom_argument us = CAROM_INTEGER(30000);
    CHECK_EQ(number_of(result = submit_with(pool, run_for, &us, 1, &none)), 30000);
    carom_result_free(result);
    finish(pool);
}

/* Every form, item by item. */
static int32_t odd_spins(carom_call *call) {
    int64_t number = argument_of(call);
    if (number % 2) return spins(call);
    return carom_call_should_stop(call) ? 5 : reply_number(call, 10 * number);
}
static void forms(void) {
    enum { N = 6 };
    carom_pool *pool = pool_of(2, 0, 0);
    int64_t in[N], out[N], reply = 0;
    for (int i = 0; i < N; i++) in[i] = i;
    carom_task_options options = soft(50, 0);
    options.chunk_size = 3;
    CHECK_OK(carom_pool_map(pool, odd_spins, in, 8, N, &options, out, 8, PATIENCE_MS));
    for (int i = 0; i < N; i++) CHECK_EQ(out[i], i % 2 ? 1 : 10 * i);
    carom_argument one = CAROM_INTEGER(1);
    CHECK_OK(carom_pool_apply(pool, odd_spins, &one, 1, &options, &reply, 8, NULL, PATIENCE_MS));
    CHECK_EQ(reply, 1);
    carom_items items = {.size = sizeof items, .data = in, .item_size = 8, .count = N};
    carom_iterator *iterator = NULL;
    carom_result *result = NULL;
    CHECK_OK(carom_pool_imap_unordered(pool, odd_spins, &items, &options, &iterator));
    for (int i = 0; i < N; i++) {
        CHECK_OK(carom_iterator_next(iterator, &result, PATIENCE_MS));
        uint64_t item = verdict_of(result).item;
        CHECK_EQ(number_of(result), item % 2 ? 1 : 10 * (int64_t)item);
        carom_result_free(result);
    }
    carom_iterator_free(iterator);
    finish(pool);
}

/* Tasks that end when their limit comes, each followed by one that no signal may interrupt. */
static int32_t sleeps_soundly(carom_call *call) {
    struct timespec a_little = {0, 300000};
    if (nanosleep(&a_little, NULL)) return 7;
    return carom_call_should_stop(call) ? 8 : reply_number(call, 0);
}
static int32_t blocks_the_signal(carom_call *call) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGURG);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return run_for(call);
}
static void never_the_next(void) {
    enum { ROUNDS = 150 };
    carom_pool *pool = pool_of(1, 0, 0);
    carom_result *results[2 * ROUNDS];
    carom_task_options options = soft(1, 0);
    for (int i = 0; i < ROUNDS; i++) {
        carom_argument us = CAROM_INTEGER(900 + 20 * (i % 15));
        results[2 * i] = submit_with(pool, i % 3 ? run_for : blocks_the_signal, &us, 1, &options);
        results[2 * i + 1] = submit(pool, sleeps_soundly, 0);
    }
    for (int i = 0; i < 2 * ROUNDS; i++) {
        carom_verdict verdict = verdict_of(results[i]);
        CHECK_OK(verdict.status);
        carom_result_free(results[i]);
    }
    finish(pool);
}

static int32_t stops(carom_call *call) {
    if (carom_call_should_stop(call) || carom_call_on_stop(call, hook, NULL)) return 6;
    return 0;
}
static void in_a_process(void) {
    carom_process *process = NULL;
    int32_t code = -1;
    CHECK_OK(carom_process_start(stops, NULL, 0, NULL, &process));
    CHECK_OK(carom_process_join(process, PATIENCE_MS));
    CHECK_OK(carom_process_exitcode(process, &code));
    CHECK_EQ(code, 0);
    carom_process_free(process);
}

int main(int argc, char **argv) {
    CASE(ways);
    CASE(blocking_calls);
    CASE(then_the_hard_one);
    CASE(forms);
    CASE(never_the_next);
    CASE(in_a_process);
    check_no_leaks(0);
    return 0;
}
