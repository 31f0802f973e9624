/* What can be asked of a task, and done about it: cancel, terminate, retries, expiry, priority, memory and CPU limits. */
#include "pool_limit.h"

static carom_result *submit_with(carom_pool *pool, carom_function function, int64_t number, const carom_task_options *options) {
    carom_argument argument = CAROM_INTEGER(number);
    carom_result *result = NULL;
    CHECK_OK(carom_pool_apply_async(pool, function, &argument, 1, options, &result));
    return result;
}

/* A task that keeps its worker busy until `open_gate`. */
static long *gate;
static int32_t waits_at_gate(carom_call *call) {
    while (!load(gate)) usleep(200);
    return reply_number(call, argument_of(call));
}
static carom_result *at_gate(carom_pool *pool, int32_t priority) {
    carom_task_options options = {.size = sizeof options, .priority = priority};
    store(gate, 0);
    return submit_with(pool, waits_at_gate, 60, &options);
}
static void open_gate(carom_result *first) {
    store(gate, 1);
    CHECK_EQ(number_of(first), 60);
    carom_result_free(first);
}

static void begun(carom_result *result) { UNTIL(carom_result_accepted(result) == 1); }

static int32_t listens(carom_call *call) {
    while (!carom_call_should_stop(call)) {
    }
    return reply_number(call, 5);
}
static int32_t survives_term(carom_call *call) {
    signal(SIGTERM, SIG_IGN);
    return for_ever(call);
}

/* The next worker that ended did so for this. */
static void ended_for(carom_pool *pool, uint32_t reason) {
    carom_pool_event event;
    CHECK_OK(next_event(pool, &event, PATIENCE_MS));
    CHECK_EQ(event.kind, CAROM_POOL_WORKER_DOWN);
    CHECK_EQ(event.reason, reason);
}

static void cancel(void) {
    carom_pool *pool = pool_of(1, CAROM_POOL_WORKER_DOWN, 0);
    carom_result *running = submit(pool, for_ever, 0), *waiting = submit(pool, plus_one, 1);
    begun(running);
    CHECK_EQ(carom_result_accepted(waiting), 0);
    CHECK_EQ(carom_result_pid(waiting), 0);
    int32_t pid = carom_result_pid(running);
    CHECK(pid > 0);
    CHECK_OK(carom_result_cancel(waiting, 0)); /* guaranteed, and at once */
    CHECK_EQ(carom_result_ready(waiting), 1);
    CHECK_EQ(verdict_of(waiting).status, CAROM_ECANCELED);
    CHECK_EQ(carom_result_accepted(waiting), 0);
    CHECK_OK(carom_result_cancel(running, 10));
    carom_verdict verdict = verdict_of(running);
    CHECK_EQ(verdict.status, CAROM_ECANCELED);
    CHECK_EQ(verdict.signal, SIGKILL);
    CHECK_EQ(verdict.pid, pid);
    ended_for(pool, CAROM_REASON_CANCELLED);
    CHECK_OK(carom_result_cancel(running, 0)); /* too late is nothing */
    carom_result_free(running);
    carom_result_free(waiting);
    /* Who listens, and is quick enough, has done what it has done. */
    running = submit(pool, listens, 0);
    begun(running);
    CHECK_OK(carom_result_cancel(running, CAROM_NONE));
    CHECK_EQ(number_of(running), 5);
    CHECK_OK(carom_result_cancel(running, CAROM_NONE));
    CHECK_EQ(number_of(running), 5);
    carom_result_free(running);
    /* In the queue behind the lanes. */
    enum { MANY = 300 };
    carom_result *many[MANY];
    for (int i = 0; i < MANY; i++) many[i] = submit(pool, i ? plus_one : for_ever, i);
    for (int i = MANY - 1; i >= 0; i--) CHECK_OK(carom_result_cancel(many[i], 0));
    for (int i = 0; i < MANY; i++) {
        CHECK_EQ(verdict_of(many[i]).status, CAROM_ECANCELED);
        carom_result_free(many[i]);
    }
    works(pool);
    finish(pool);
}

static void terminate(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    carom_result *result = submit(pool, for_ever, 0);
    begun(result);
    CHECK_OK(carom_result_terminate(result, 0));
    carom_verdict verdict = verdict_of(result);
    CHECK_EQ(verdict.status, CAROM_ECANCELED);
    CHECK_EQ(verdict.signal, SIGTERM);
    carom_result_free(result);
    result = submit(pool, survives_term, 0);
    begun(result);
    usleep(20000); /* the task ignores it by then, most likely; if not, it dies of it */
    CHECK_OK(carom_pool_terminate_job(pool, carom_result_pid(result), SIGTERM));
    verdict = verdict_of(result);
    CHECK_EQ(verdict.status, CAROM_ECANCELED);
    CHECK(verdict.signal == SIGKILL || verdict.signal == SIGTERM);
    carom_result_free(result);
    works(pool);
    CHECK_STATUS(carom_pool_terminate_job(pool, getpid(), 0), CAROM_ENOENT);
    finish(pool);
}

/* A completion races with its cancellation: one of the two, and the next task is never hit. */
static void races(void) {
    enum { ROUNDS = 200 };
    carom_pool *pool = pool_of(1, 0, 0);
    int cancelled = 0;
    for (int i = 0; i < ROUNDS; i++) {
        carom_result *result = submit(pool, run_for, i % 2 ? 50 : 5 * i), *next = submit(pool, plus_one, i);
        if (i % 3) begun(result);
        CHECK_OK(i % 2 ? carom_result_cancel(result, 0) : carom_result_terminate(result, SIGKILL));
        carom_status status = verdict_of(result).status;
        CHECK(status == CAROM_OK || status == CAROM_ECANCELED);
        cancelled += status != CAROM_OK;
        CHECK_EQ(number_of(next), i + 1);
        carom_result_free(result);
        carom_result_free(next);
    }
    CHECK(cancelled > 0);
    finish(pool);
}

static void wait_any(void) {
    gate = share(sizeof *gate);
    carom_pool *pool = pool_of(2, 0, 0), *other = pool_of(1, 0, 0);
    carom_result *results[3] = {submit(pool, for_ever, 0), at_gate(pool, 0), submit(other, for_ever, 0)};
    CHECK_EQ(carom_result_wait_any(results, 2, 0), CAROM_ETIMEDOUT);
    store(gate, 1);
    CHECK_EQ(carom_result_wait_any(results, 2, PATIENCE_MS), 1);
    CHECK_EQ(carom_result_wait_any(results, 2, 0), 1);
    carom_result *two[2] = {results[0], results[2]};
    CHECK_EQ(carom_result_wait_any(two, 2, 20), CAROM_ETIMEDOUT);
    CHECK_OK(carom_result_cancel(results[2], 0));
    CHECK_EQ(carom_result_wait_any(two, 2, PATIENCE_MS), 1);
    CHECK_EQ(carom_result_wait_any(results, 0, 0), CAROM_EINVAL);
    carom_pool_free(pool);
    CHECK_EQ(carom_result_wait_any(results, 1, PATIENCE_MS), 0);
    for (int i = 0; i < 3; i++) carom_result_free(results[i]);
    finish(other);
}

/* Again, for the reasons that were named, as often as was said. */
static int32_t dies_until(carom_call *call) {
    int64_t good = argument_of(call);
    if (carom_call_attempt(call) < good) raise(SIGKILL);
    return reply_number(call, carom_call_attempt(call));
}
static int32_t sleeps_until(carom_call *call) {
    if (carom_call_attempt(call) < argument_of(call)) for_ever(call);
    return reply_number(call, carom_call_attempt(call));
}
static void retries(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    carom_task_options options = {.size = sizeof options, .max_attempts = 3};
    carom_result *result = submit_with(pool, dies_until, 3, &options);
    CHECK_EQ(number_of(result), 3);
    CHECK_EQ(verdict_of(result).attempt, 3);
    carom_result_free(result);
    result = submit_with(pool, dies_until, 4, &options);
    carom_verdict verdict = verdict_of(result);
    CHECK_EQ(verdict.status, CAROM_EWORKERLOST);
    CHECK_EQ(verdict.attempt, 3);
    carom_result_free(result);
    options.retry_on = CAROM_RETRY_TIME;
    options.time_limit_ms = PATIENCE_MS;
    result = submit_with(pool, dies_until, 2, &options);
    CHECK_EQ(verdict_of(result).status, CAROM_EWORKERLOST);
    carom_result_free(result);
    options.time_limit_ms = 30; /* too short now and then, where others want the processor */
    options.max_attempts = 100;
    result = submit_with(pool, sleeps_until, 2, &options);
    CHECK(number_of(result) >= 2);
    carom_result_free(result);
    /* A map: each item for itself, and the others once. */
    enum { N = 40 };
    int64_t in[N], out[N];
    for (int i = 0; i < N; i++) in[i] = i % 7 == 3 ? 2 : i % 7 == 5 ? 9 : 1;
    carom_status statuses[N];
    carom_task_options map = {.size = sizeof map, .max_attempts = 2, .chunk_size = 5, .statuses = statuses};
    CHECK_STATUS(carom_pool_map(pool, dies_until, in, 8, N, &map, out, 8, PATIENCE_MS), CAROM_EWORKERLOST);
    for (int i = 0; i < N; i++) {
        CHECK_EQ(statuses[i], in[i] == 9 ? CAROM_EWORKERLOST : CAROM_OK);
        CHECK(in[i] == 9 || out[i] == in[i]);
    }
    finish(pool);
}

static int32_t notes(carom_call *call) {
    carom_value *value = NULL;
    int64_t before = 0;
    if (carom_call_value(call, 0, &value) || carom_value_add(value, 1, &before)) return 1;
    return reply_number(call, before);
}
static void expiry_and_priority(void) {
    gate = share(sizeof *gate);
    carom_pool *pool = pool_of(1, 0, 0);
    carom_task_options options = {.size = sizeof options, .expires_ms = 20};
    carom_result *first = at_gate(pool, 0), *late = submit_with(pool, plus_one, 1, &options);
    usleep(30000);
    open_gate(first);
    carom_verdict verdict = verdict_of(late);
    CHECK_EQ(verdict.status, CAROM_ETIMEDOUT);
    carom_result_free(late);
    options.expires_ms = PATIENCE_MS;
    CHECK_EQ(number_of(late = submit_with(pool, plus_one, 1, &options)), 2);
    carom_result_free(late);
    int64_t in[10] = {0}, out[10];
    carom_status statuses[10];
    carom_task_options map = {.size = sizeof map, .expires_ms = 20, .chunk_size = 5, .statuses = statuses};
    first = submit(pool, run_for, 300000); /* until the map has waited too long */
    CHECK_STATUS(carom_pool_map(pool, plus_one, in, 8, 10, &map, out, 8, PATIENCE_MS), CAROM_ETIMEDOUT);
    for (int i = 0; i < 10; i++) CHECK_EQ(statuses[i], CAROM_ETIMEDOUT);
    carom_result_free(first);
    finish(pool);

    enum { N = 20 };
    carom_value *value = NULL;
    int64_t zero = 0;
    carom_result *results[N];
    CHECK_OK(carom_value_new(CAROM_I64, &zero, sizeof zero, NULL, &value));
    pool = pool_of(1, 0, 0);
    carom_argument argument = CAROM_HANDLE(value);
    first = at_gate(pool, 100);
    begun(first);
    for (int i = 0; i < N; i++) {
        carom_task_options task = {.size = sizeof task, .priority = i / 2 - 5};
        CHECK_OK(carom_pool_apply_async(pool, notes, &argument, 1, &task, &results[i]));
    }
    open_gate(first);
    /* One of them was in the lane before the others came. */
    int64_t place[N];
    for (int i = 0; i < N; i++) place[i] = number_of(results[i]), carom_result_free(results[i]);
    CHECK_EQ(place[0], 0);
    for (int i = 3; i < N; i++) CHECK(i % 2 ? place[i] == place[i - 1] + 1 : place[i] < place[i - 1]);
    finish(pool);
    carom_value_free(value);
}

static char *eaten(carom_call *call) {
    size_t size = (size_t)argument_of(call) << 20;
    char *memory = malloc(size);
    if (!memory) _exit(2);
    for (size_t at = 0; at < size; at += 4096) memory[at] = 1;
    return memory;
}
static int32_t eats(carom_call *call) {
    char *memory = eaten(call);
    usleep(30000);
    free(memory);
    return reply_number(call, getpid());
}
static int32_t eats_on(carom_call *call) {
    eaten(call);
    return for_ever(call);
}
static void memory(void) {
    carom_pool_options options = {.size = sizeof options, .workers = 1, .memory_limit = 64 << 20, .max_memory = 24 << 20,
                                  .events = CAROM_POOL_WORKER_DOWN};
    carom_pool *pool = NULL;
    /* What the program has itself does not count. */
    size_t mine = 96 << 20;
    char *held = malloc(mine);
    memset(held, 1, mine);
    CHECK_OK(carom_pool_new(&options, &pool));
    carom_result *result = submit(pool, eats_on, 200);
    carom_verdict verdict = verdict_of(result);
    CHECK_EQ(verdict.status, CAROM_EMEMORYLIMIT);
    CHECK_EQ(verdict.limit, CAROM_LIMIT_MEMORY);
    CHECK(verdict.max_rss_bytes > 64 << 20);
    ended_for(pool, CAROM_REASON_MEMORY_LIMIT);
    carom_result_free(result);
    result = submit(pool, eats, 16);
    int64_t pid = number_of(result);
    carom_result_free(result);
    CHECK_EQ(number_of(result = submit(pool, own_pid, 0)), pid); /* not too fat */
    carom_result_free(result);
    carom_task_options own = {.size = sizeof own, .memory_limit = 8 << 20};
    CHECK_EQ(verdict_of(result = submit_with(pool, eats_on, 16, &own)).status, CAROM_EMEMORYLIMIT);
    carom_result_free(result);
    own.memory_limit = CAROM_NONE;
    CHECK_EQ(verdict_of(result = submit_with(pool, eats, 100, &own)).status, CAROM_OK);
    carom_result_free(result);
    finish(pool);
    free(held);
}
static int32_t grows_fat(carom_call *call) {
    char *memory = malloc(40 << 20);
    for (size_t at = 0; at < 40 << 20; at += 4096) memory[at] = 1;
    usleep(5000);
    return reply_number(call, getpid());
}
static void recycled_by_memory(void) {
    carom_pool_options options = {.size = sizeof options, .workers = 1, .max_memory = 16 << 20, .events = CAROM_POOL_WORKER_DOWN};
    carom_pool *pool = NULL;
    CHECK_OK(carom_pool_new(&options, &pool));
    carom_result *fat = submit(pool, grows_fat, 0), *next = submit(pool, own_pid, 0);
    CHECK(number_of(fat) != number_of(next));
    ended_for(pool, CAROM_REASON_RECYCLED);
    carom_result_free(fat);
    carom_result_free(next);
    finish(pool);
}

static int32_t burns(carom_call *call) {
    (void)call;
    for (;;) {
    }
    return 0;
}
static void processor_time(void) {
    carom_pool *pool = pool_of(1, CAROM_POOL_WORKER_DOWN, 0);
    carom_task_options options = {.size = sizeof options, .cpu_time_limit_ms = 30};
    carom_result *burning = submit_with(pool, burns, 0, &options);
    carom_verdict verdict = verdict_of(burning);
    CHECK_EQ(verdict.status, CAROM_ETIMELIMIT);
    CHECK_EQ(verdict.limit, CAROM_LIMIT_CPU);
    CHECK(verdict.cpu_ns >= 30000000);
    ended_for(pool, CAROM_REASON_TIME_LIMIT);
    carom_result_free(burning);
    carom_result *sleeping = submit_with(pool, eats, 1, &options); /* sleeps as long as that */
    CHECK_EQ(verdict_of(sleeping).status, CAROM_OK);
    carom_result_free(sleeping);
    finish(pool);
}

static void names(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    carom_result *result = submit(pool, plus_one, 1);
    carom_verdict verdict = verdict_of(result);
    char text[33], wanted[33];
    snprintf(wanted, sizeof wanted, "%016llx%016llx", (unsigned long long)verdict.job.high, (unsigned long long)verdict.job.low);
    CHECK_OK(carom_job_id_text(&verdict.job, text, sizeof text));
    CHECK_STR_EQ(text, wanted);
    carom_result_free(result);
    finish(pool);
}

int main(int argc, char **argv) {
    CASE(cancel);
    CASE(terminate);
    CASE(races);
    CASE(wait_any);
    CASE(retries);
    CASE(expiry_and_priority);
    CASE(memory);
    CASE(recycled_by_memory);
    CASE(processor_time);
    CASE(names);
    check_no_leaks(0);
    return 0;
}
