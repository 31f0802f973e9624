/* The workers of a pool: their beginning and end, how many tasks they do, how many there are, and when it is enough. */
#include "pool.h"

static carom_pool *make(const carom_pool_options *options) {
    carom_pool *pool = NULL;
    CHECK_OK(carom_pool_new(options, &pool));
    return pool;
}

static carom_value *counter(int64_t from) {
    carom_value *value = NULL;
    CHECK_OK(carom_value_new(CAROM_I64, &from, sizeof from, NULL, &value));
    return value;
}
static int64_t count_in(carom_value *value) {
    int64_t number = 0;
    CHECK_OK(carom_value_get(value, &number, sizeof number, PATIENCE_MS));
    return number;
}

/* A worker is replaced after so many tasks, none more, and the pool does not notice. */
static void max_tasks(void) {
    enum { EACH = 3, N = 12 };
    carom_pool_options options = {.size = sizeof options, .workers = 1, .max_tasks = EACH, .events = CAROM_POOL_WORKER_DOWN};
    carom_pool *pool = make(&options);
    int64_t pids[N];
    for (int i = 0; i < N; i++) CHECK_OK(carom_pool_apply(pool, own_pid, NULL, 0, NULL, &pids[i], 8, NULL, PATIENCE_MS));
    for (int i = 1; i < N; i++) CHECK_EQ(pids[i] == pids[i - 1], i % EACH != 0);
    for (int i = 0; i < N / EACH; i++) {
        carom_pool_event event;
        CHECK_OK(next_event(pool, &event, PATIENCE_MS));
        CHECK_EQ(event.pid, pids[EACH * i]);
        CHECK_EQ(event.exitcode, 0);
        CHECK_EQ(event.reason, CAROM_REASON_RECYCLED);
    }
    CHECK_EQ(carom_pool_did_start_ok(pool), 1);
    finish(pool);
}

/* An item of a map is a task: a chunk is left in its midst. */
static int32_t tells_pid(carom_call *call) {
    int64_t number = argument_of(call), reply[2] = {number, getpid()};
    return carom_call_reply(call, reply, sizeof reply) ? 1 : number % 5 == 4 ? carom_call_fail(call, 9, "five") : 0;
}
static void max_tasks_of_a_map(void) {
    enum { EACH = 3, N = 40 };
    carom_pool_options options = {.size = sizeof options, .workers = 2, .max_tasks = EACH};
    carom_pool *pool = make(&options);
    int64_t in[N], out[N][2];
    carom_status statuses[N];
    for (int chunk = 1; chunk <= N; chunk += 13) {
        carom_task_options task = {.size = sizeof task, .chunk_size = (uint64_t)chunk, .statuses = statuses};
        for (int i = 0; i < N; i++) in[i] = i, out[i][0] = out[i][1] = -1;
        CHECK_STATUS(carom_pool_map(pool, tells_pid, in, 8, N, &task, out, 16, PATIENCE_MS), CAROM_ETASKFAILED);
        for (int i = 0; i < N; i++) {
            int same = 0;
            CHECK_EQ(statuses[i], i % 5 == 4 ? CAROM_ETASKFAILED : CAROM_OK);
            CHECK_EQ(out[i][0], i % 5 == 4 ? -1 : i);
            for (int j = 0; j < N; j++) same += out[j][1] == out[i][1];
            CHECK(i % 5 == 4 || same <= EACH);
        }
    }
    finish(pool);
}

static carom_value *kept;
static int64_t begun_with;
static int32_t begins(carom_call *call) {
    begun_with = argument_of(call);
    if (carom_call_value(call, 1, &kept)) return 2;
    return carom_value_add(kept, 1, NULL) ? 3 : 0;
}
static int32_t adds_hundred(carom_call *call) {
    carom_value *value = NULL;
    return carom_call_value(call, 0, &value) || carom_value_add(value, 100, NULL) ? 1 : 0;
}
static int32_t uses_kept(carom_call *call) {
    int64_t number = 0;
    return carom_value_get(kept, &number, 8, PATIENCE_MS) ? 1 : reply_number(call, begun_with);
}

static void first_and_last(void) {
    carom_value *value = counter(0);
    carom_argument first[] = {CAROM_INTEGER(77), CAROM_HANDLE(value)}, last[] = {CAROM_HANDLE(value)};
    carom_pool_options options = {.size = sizeof options, .workers = 1, .max_tasks = 1, .initializer = begins,
                                  .initializer_arguments = first, .initializer_count = 2, .finalizer = adds_hundred,
                                  .finalizer_arguments = last, .finalizer_count = 1};
    carom_pool *pool = make(&options);
    for (int i = 0; i < 3; i++) {
        carom_result *result = submit(pool, uses_kept, 0);
        CHECK_EQ(number_of(result), 77);
        carom_result_free(result);
    }
    UNTIL(count_in(value) == 304); /* three have come and gone, the fourth has come */
    finish(pool);
    CHECK_EQ(count_in(value), 404);
    pool = make(&options);
    UNTIL(count_in(value) == 405);
    CHECK_OK(carom_pool_terminate(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    CHECK_EQ(count_in(value), 405); /* killed, without a last word */
    carom_pool_free(pool);
    carom_value_free(value);
}

/* Who never begins: the pool says so, with the deaths, and everything is settled. */
static int32_t fails(carom_call *call) { return carom_call_fail(call, 42, "no"); }
static int32_t crashes(carom_call *call) {
    (void)call;
    abort();
}
static void never_begins(void) {
    const carom_function functions[] = {fails, crashes};
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        carom_pool_options options = {.size = sizeof options, .workers = 1, .initializer = functions[i],
                                      .events = CAROM_POOL_BROKEN | CAROM_POOL_DONE};
        carom_pool *pool = make(&options);
        carom_result *result = submit(pool, plus_one, 1);
        carom_verdict verdict = verdict_of(result);
        CHECK_EQ(verdict.status, CAROM_EBROKEN);
        CHECK(strstr(verdict.message, i ? "signal 6" : "exit code 42"));
        carom_pool_event event;
        CHECK_OK(next_event(pool, &event, PATIENCE_MS));
        CHECK_EQ(event.kind, CAROM_POOL_BROKEN);
        CHECK_OK(next_event(pool, &event, PATIENCE_MS));
        CHECK_EQ(event.kind, CAROM_POOL_DONE);
        carom_result *none = NULL;
        CHECK_STATUS(carom_pool_apply_async(pool, plus_one, NULL, 0, NULL, &none), CAROM_EBROKEN);
        CHECK_STATUS(carom_pool_grow(pool, 1), CAROM_EBROKEN);
        CHECK_EQ(carom_pool_did_start_ok(pool), 0);
        CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
        carom_pool_free(pool);
        carom_result_free(result);
    }
}

/* Deaths that tasks bring about break a pool only where somebody said how many may be. */
static void how_many_deaths(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    for (int i = 0; i < 40; i++) {
        carom_result *result = submit(pool, kill_self, SIGKILL);
        CHECK_EQ(verdict_of(result).status, CAROM_EWORKERLOST);
        carom_result_free(result);
    }
    works(pool);
    finish(pool);
    for (int32_t most = CAROM_NONE; most < 3; most += most < 0 ? 3 : 1) {
        carom_pool_options options = {.size = sizeof options, .workers = 1, .max_restarts = most, .max_restart_freq_s = 3600};
        pool = make(&options);
        for (int i = 0; i < (most < 0 ? 0 : most); i++) {
            carom_result *result = submit(pool, kill_self, SIGKILL);
            CHECK_EQ(verdict_of(result).status, CAROM_EWORKERLOST);
            carom_result_free(result);
            works(pool);
        }
        carom_result *last = submit(pool, kill_self, SIGKILL), *waits = submit(pool, plus_one, 1);
        CHECK_EQ(verdict_of(waits).status, CAROM_EBROKEN);
        CHECK_EQ(verdict_of(last).status, CAROM_EWORKERLOST); /* what is known stays so */
        carom_result_free(last);
        carom_result_free(waits);
        CHECK_OK(carom_pool_terminate(pool));
        CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
        carom_pool_free(pool);
    }
}

static int32_t meets(carom_call *call) {
    carom_barrier *barrier = NULL;
    return carom_call_barrier(call, 0, &barrier) || carom_barrier_wait(barrier, PATIENCE_MS) < 0 ? 1 : reply_number(call, getpid());
}

/* From none to some and back. */
static void grow_and_shrink(void) {
    carom_pool *pool = pool_of(CAROM_NONE, CAROM_POOL_WORKER_DOWN, 0);
    carom_worker_info info = {.size = sizeof info};
    carom_barrier *barrier = NULL;
    carom_result *results[5];
    CHECK_STATUS(carom_pool_worker(pool, 0, &info), CAROM_ENOENT);
    CHECK_STATUS(carom_pool_shrink(pool, 1), CAROM_EINVAL);
    carom_result *first = submit(pool, plus_one, 1);
    CHECK_STATUS(carom_result_wait(first, 20), CAROM_ETIMEDOUT);
    CHECK_OK(carom_pool_grow(pool, 1));
    CHECK_EQ(number_of(first), 2);
    carom_result_free(first);
    CHECK_OK(carom_pool_grow(pool, 4));
    for (int round = 0; round < 3; round++) {
        CHECK_OK(carom_barrier_new(5, NULL, &barrier));
        carom_argument argument = CAROM_HANDLE(barrier);
        for (int i = 0; i < 5; i++) CHECK_OK(carom_pool_apply_async(pool, meets, &argument, 1, NULL, &results[i]));
        if (round == 0) { /* all of them are at work, for they meet only when the last one is there */
            UNTIL(carom_pool_worker(pool, 4, &info) == CAROM_OK && (info.busy || carom_result_ready(results[4])));
            CHECK_STATUS(carom_pool_worker(pool, 5, &info), CAROM_ENOENT);
        }
        for (int i = 0; i < 5; i++) number_of(results[i]), carom_result_free(results[i]);
        carom_barrier_free(barrier);
        CHECK_OK(carom_pool_shrink(pool, 3));
        for (int i = 0; i < 3; i++) {
            carom_pool_event event;
            CHECK_OK(next_event(pool, &event, PATIENCE_MS));
            CHECK_EQ(event.reason, CAROM_REASON_SHRUNK);
        }
        UNTIL(count_of(WORKERS) == 2);
        works(pool);
        CHECK_OK(carom_pool_grow(pool, 3));
    }
    CHECK_STATUS(carom_pool_grow(pool, 60), CAROM_ENOMEM);
    CHECK_OK(carom_pool_grow(pool, 0));
    CHECK_OK(carom_pool_shrink(pool, 5));
    CHECK_STATUS(carom_pool_worker(pool, 0, &info), CAROM_ENOENT);
    finish(pool);
}

static void all_busy(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    carom_worker_info info = {.size = sizeof info};
    carom_result *a = submit(pool, for_ever, 0), *b = submit(pool, for_ever, 0);
    CHECK_STATUS(carom_pool_shrink(pool, 1), CAROM_EAGAIN);
    UNTIL(carom_pool_worker(pool, 1, &info) == CAROM_OK && info.busy);
    CHECK(info.elapsed_ns >= 0 && info.age_ns > 0 && info.rss_bytes > 0 && info.pid > 0);
    CHECK_EQ(info.tasks, 1);
    CHECK(info.job.low != 0);
    int fd = carom_pool_sentinel(pool, info.pid);
    CHECK(fd >= 0 && !is_readable(fd, 0));
    CHECK_OK(carom_pool_terminate(pool));
    CHECK(is_readable(fd, PATIENCE_MS));
    close(fd);
    CHECK_EQ(carom_pool_sentinel(pool, getpid()), CAROM_ENOENT);
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
    carom_result_free(a);
    carom_result_free(b);
}

/* New workers for old, while tasks run; none is lost. */
static long *go_on;
static int32_t takes_a_while(carom_call *call) {
    for (int i = 0; i < (int)argument_of(call) || !load(go_on); i++) usleep(100);
    return reply_number(call, getpid());
}
static void restart(void) {
    enum { N = 40 };
    go_on = share(sizeof *go_on);
    carom_pool_options options = {.size = sizeof options, .workers = 2, .restartable = 1};
    carom_pool *pool = make(&options), *other = pool_of(1, 0, 0);
    CHECK_STATUS(carom_pool_restart(other), CAROM_EPERM);
    finish(other);
    carom_result *results[N];
    pid_t before[2], after[2];
    works(pool);
    UNTIL(living(WORKERS, before, 2) == 2);
    for (int i = 0; i < N; i++) results[i] = submit(pool, takes_a_while, 10);
    CHECK_OK(carom_pool_restart(pool));
    store(go_on, 1);
    for (int i = 0; i < N; i++) {
        int64_t pid = number_of(results[i]);
        CHECK(i < N - 2 || (pid != before[0] && pid != before[1]));
        carom_result_free(results[i]);
    }
    /* Idle ones too, at once. */
    UNTIL(living(WORKERS, before, 2) == 2);
    CHECK_OK(carom_pool_restart(pool));
    UNTIL(living(WORKERS, after, 2) == 2 && after[0] != before[0] && after[0] != before[1] && after[1] != before[0] &&
          after[1] != before[1]);
    CHECK_EQ(carom_pool_did_start_ok(pool), 1);
    CHECK_OK(carom_pool_close(pool));
    CHECK_STATUS(carom_pool_restart(pool), CAROM_ECLOSED);
    finish(pool);
}

int main(int argc, char **argv) {
    CASE(max_tasks);
    CASE(max_tasks_of_a_map);
    CASE(first_and_last);
    CASE(never_begins);
    CASE(how_many_deaths);
    CASE(grow_and_shrink);
    CASE(all_busy);
    CASE(restart);
    check_no_leaks(0);
    return 0;
}
