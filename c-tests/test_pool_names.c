/* Tasks that the host calls by a name, and those that are done once however often they are submitted; what nobody wants
 * to know any more; what a pool can do. */
#include "pool.h"

static long *ran;

static int32_t counts(carom_call *call) {
    add(ran, 1);
    return reply_number(call, argument_of(call));
}
static int32_t fails(carom_call *call) {
    add(ran, 1);
    return carom_call_fail(call, 4, "as it should");
}
/* Until the test raises what is at this address. */
static long *go;
static int32_t waits(carom_call *call) {
    add(ran, 1);
    while (!load(go)) usleep(1000);
    return reply_number(call, argument_of(call));
}

static carom_result *with_key(carom_pool *pool, carom_function function, int64_t number, const char *key) {
    carom_task_options options = {.size = sizeof options, .idempotency_key = key};
    carom_argument argument = CAROM_INTEGER(number);
    carom_result *result = NULL;
    CHECK_OK(carom_pool_apply_async(pool, function, &argument, 1, &options, &result));
    return result;
}
static uint64_t job_of(carom_result *result) { return verdict_of(result).job.low; }

static void once(void) {
    ran = share(sizeof *ran), go = share(sizeof *go);
    carom_pool *pool = pool_of(2, 0, 0);
    char key[] = "order 4711";
    carom_result *first = with_key(pool, waits, 1, key), *again = with_key(pool, waits, 2, "order 4711");
    key[0] = 'x'; /* it was copied */
    carom_result *other = with_key(pool, counts, 3, "order 4712");
    CHECK_EQ(number_of(other), 3);
    store(go, 1);
    CHECK_EQ(number_of(first), 1);
    CHECK_EQ(number_of(again), 1); /* what the first one had */
    CHECK_EQ(job_of(first), job_of(again));
    CHECK(job_of(first) != job_of(other));
    CHECK_EQ(load(ran), 2);
    /* Each handle is its own; while there is one, the key is known. */
    carom_result_free(first);
    first = with_key(pool, waits, 5, "order 4711");
    CHECK_EQ(number_of(first), 1);
    carom_result_free(first);
    carom_result_free(again);
    first = with_key(pool, counts, 5, "order 4711");
    CHECK_EQ(number_of(first), 5);
    CHECK_EQ(load(ran), 3);
    int64_t reply = 0;
    carom_argument argument = CAROM_INTEGER(6);
    carom_task_options options = {.size = sizeof options, .idempotency_key = "order 4711"};
    CHECK_OK(carom_pool_apply(pool, counts, &argument, 1, &options, &reply, 8, NULL, PATIENCE_MS));
    CHECK_EQ(reply, 5);
    carom_result_free(first);
    carom_result_free(other);
    finish(pool);
}

/* A failure frees the key, also that of a submission. */
static void not_if_it_failed(void) {
    ran = share(sizeof *ran);
    carom_pool *pool = pool_of(1, 0, 0);
    carom_result *failed = with_key(pool, fails, 0, "k");
    CHECK_EQ(verdict_of(failed).status, CAROM_ETASKFAILED);
    carom_result *second = with_key(pool, counts, 2, "k");
    CHECK_EQ(number_of(second), 2);
    carom_result *third = with_key(pool, counts, 3, "k");
    CHECK_EQ(number_of(third), 2);
    carom_result_free(failed);
    carom_result_free(second);
    carom_result_free(third);
    CHECK_OK(carom_pool_close(pool));
    carom_task_options options = {.size = sizeof options, .idempotency_key = "l"};
    for (int i = 0; i < 2; i++)
        CHECK_STATUS(carom_pool_apply_async(pool, counts, NULL, 0, &options, &third), CAROM_ECLOSED);
    finish(pool);
}

/* Many keys that come and go leave nothing. */
static void many(void) {
    ran = share(sizeof *ran);
    carom_pool *pool = pool_of(1, 0, 0);
    for (int i = 0; i < 3000; i++) {
        char key[32];
        snprintf(key, sizeof key, "%d", i);
        carom_result *result = with_key(pool, counts, i, key);
        if (i % 100 == 0) CHECK_EQ(number_of(result), i);
        carom_result_free(result);
    }
    finish(pool);
    CHECK_EQ(load(ran), 3000);
}

static void of_many(void) {
    ran = share(sizeof *ran);
    carom_pool *pool = pool_of(2, 0, 0);
    int64_t in[4] = {1, 2, 3, 4};
    carom_task_options options = {.size = sizeof options, .idempotency_key = "all", .correlation_id = "batch 7"};
    carom_result *first = NULL, *second = NULL, *item = NULL;
    CHECK_OK(carom_pool_map_async(pool, counts, in, 8, 4, &options, &first));
    CHECK_OK(carom_pool_map_async(pool, counts, in, 8, 2, &options, &second));
    CHECK_OK(carom_result_wait(second, PATIENCE_MS));
    CHECK_EQ(carom_result_count(second), 4);
    CHECK_EQ(load(ran), 4);
    CHECK_OK(carom_result_item(first, 3, &item));
    CHECK_STR_EQ(carom_result_correlation_id(first), "batch 7");
    CHECK_STR_EQ(carom_result_correlation_id(item), "batch 7");
    carom_result_free(item);
    carom_result_free(first);
    carom_result_free(second);
    carom_items items = {.size = sizeof items, .data = in, .item_size = 8, .count = 4};
    carom_iterator *iterator = NULL;
    CHECK_STATUS(carom_pool_imap(pool, counts, &items, &options, &iterator), CAROM_EINVAL);
    CHECK_STATUS(carom_pool_map(pool, counts, in, 8, 4, &options, in, 8, PATIENCE_MS), CAROM_EINVAL);
    CHECK_STATUS(carom_pool_starmap(pool, counts, NULL, 1, 0, &options, in, 8, PATIENCE_MS), CAROM_EINVAL);
    CHECK_STATUS(carom_pool_map_range(pool, counts, 0, 4, NULL, 0, &options, PATIENCE_MS), CAROM_EINVAL);
    options.idempotency_key = NULL;
    CHECK_OK(carom_pool_imap(pool, counts, &items, &options, &iterator));
    CHECK_OK(carom_iterator_next(iterator, &item, PATIENCE_MS));
    CHECK_STR_EQ(carom_result_correlation_id(item), "batch 7");
    carom_result_free(item);
    carom_iterator_free(iterator);
    finish(pool);
}

static void names(void) {
    carom_pool *pool = pool_of(1, CAROM_POOL_DONE, 0);
    char name[] = "2f7e-41";
    carom_task_options options = {.size = sizeof options, .correlation_id = name};
    carom_argument number = CAROM_INTEGER(1);
    carom_result *named = NULL, *plain = submit(pool, plus_one, 1);
    carom_pool_event event;
    CHECK_OK(next_event(pool, &event, PATIENCE_MS));
    CHECK_STR_EQ(carom_result_correlation_id(event.result), "");
    CHECK_OK(carom_pool_apply_async(pool, plus_one, &number, 1, &options, &named));
    memset(name, 0, sizeof name);
    CHECK_STR_EQ(carom_result_correlation_id(named), "2f7e-41");
    CHECK_OK(next_event(pool, &event, PATIENCE_MS));
    CHECK_STR_EQ(carom_result_correlation_id(event.result), "2f7e-41");
    carom_result_free(plain);
    finish(pool);
    CHECK_STR_EQ(carom_result_correlation_id(named), "2f7e-41"); /* as long as the result */
    carom_result_free(named);
    CHECK_STR_EQ(carom_result_correlation_id(NULL), "");
}

/* What a task knows of itself is what its host knows of it. */
struct known {
    carom_job_id job;
    int64_t attempt, argument;
    char name[600];
};
static int32_t knows(carom_call *call) {
    struct known known = {.attempt = carom_call_attempt(call)};
    if (carom_call_job_id(call, &known.job) != CAROM_OK) return 2;
    snprintf(known.name, sizeof known.name, "%s", carom_call_correlation_id(call));
    carom_argument first;
    if (carom_call_argument(call, 0, &first) != CAROM_OK || first.len < 8) return 3;
    memcpy(&known.argument, first.data, 8);
    for (size_t i = 8; i < first.len; i++)
        if (((const char *)first.data)[i] != 'a') return 4; /* the name is beside the arguments */
    return carom_call_reply(call, &known, sizeof known);
}
static int32_t knows_twice(carom_call *call) {
    if (carom_call_attempt(call) < 2) raise(SIGKILL);
    return knows(call);
}
static int same(carom_job_id one, carom_job_id other) { return one.high == other.high && one.low == other.low; }

static void known_by(carom_pool *pool, carom_function function, size_t len, size_t name_len, uint32_t attempt) {
    char argument[400], name[600];
    memset(argument, 'a', sizeof argument), memset(name, 'n', sizeof name);
    memcpy(argument, &(int64_t){4711}, 8), name[name_len] = 0;
    carom_task_options options = {.size = sizeof options, .correlation_id = name, .max_attempts = attempt};
    carom_argument it = CAROM_BYTES(argument, len);
    carom_result *result = NULL;
    struct known known = {0};
    CHECK_OK(carom_pool_apply_async(pool, function, &it, 1, &options, &result));
    CHECK_OK(carom_result_get(result, &known, sizeof known, NULL, PATIENCE_MS));
    CHECK_STR_EQ(known.name, name);
    CHECK_EQ(known.argument, 4711);
    CHECK_EQ(known.attempt, attempt);
    CHECK(same(known.job, verdict_of(result).job));
    carom_result_free(result);
}

static void each_knows(carom_pool *pool) {
    for (size_t len = 8; len <= 400; len += 28)
        for (size_t name_len = 0; name_len < 600; name_len += name_len < 130 ? 26 : 150) known_by(pool, knows, len, name_len, 1);
}

static void what_tasks_know(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    each_knows(pool);
    known_by(pool, knows_twice, 8, 20, 2);
    known_by(pool, knows_twice, 300, 200, 2);
    /* Of many: each part has its own job, or a chunk that of the map. */
    int64_t in[40];
    for (int i = 0; i < 40; i++) in[i] = i;
    struct known known[40] = {0};
    char name[300];
    memset(name, 'm', sizeof name), name[299] = 0;
    carom_task_options options = {.size = sizeof options, .correlation_id = name, .chunk_size = 3};
    carom_result *whole = NULL, *item = NULL;
    CHECK_OK(carom_pool_map_async(pool, knows, in, 8, 40, &options, &whole));
    CHECK_OK(carom_result_get(whole, known, sizeof known, NULL, PATIENCE_MS));
    for (int i = 0; i < 40; i++) {
        CHECK_OK(carom_result_item(whole, i, &item));
        CHECK(same(known[i].job, verdict_of(item).job));
        CHECK_STR_EQ(known[i].name, name);
        CHECK_EQ(known[i].argument, i);
        carom_result_free(item);
    }
    carom_result_free(whole);
    memset(known, 0, sizeof known);
    CHECK_OK(carom_pool_map(pool, knows, in, 8, 40, &options, known, sizeof *known, PATIENCE_MS));
    for (int i = 0; i < 40; i++) {
        CHECK(same(known[i].job, known[0].job) && known[i].job.low != 0);
        CHECK_STR_EQ(known[i].name, name);
        CHECK_EQ(known[i].argument, i);
        CHECK_EQ(known[i].attempt, 1);
    }
    finish(pool);
    pool = pool_of(CAROM_INLINE, 0, 0);
    each_knows(pool);
    finish(pool);
}

/* A process has no job. */
static int32_t knows_nothing(carom_call *call) {
    carom_job_id job = {1, 1};
    if (carom_call_job_id(call, &job) != CAROM_OK || job.high || job.low) return 2;
    return carom_call_attempt(call) != 0 || strcmp(carom_call_correlation_id(call), "") != 0;
}
static void no_task(void) {
    carom_process *process = NULL;
    int32_t code = -1;
    CHECK_OK(carom_process_start(knows_nothing, NULL, 0, NULL, &process));
    CHECK_OK(carom_process_join(process, PATIENCE_MS));
    CHECK_OK(carom_process_exitcode(process, &code));
    CHECK_EQ(code, 0);
    carom_process_free(process);
}

static void discarded(void) {
    ran = share(sizeof *ran), go = share(sizeof *go);
    carom_pool *pool = pool_of(1, CAROM_POOL_DONE, 0);
    carom_pool_event event;
    carom_result *runs = submit(pool, waits, 1), *next = submit(pool, counts, 2), *last = submit(pool, counts, 3);
    UNTIL(carom_result_accepted(runs) == 1 && load(ran) == 1);
    CHECK_OK(carom_result_discard(runs));
    CHECK_EQ(carom_result_ready(runs), 1);
    CHECK_EQ(verdict_of(runs).status, CAROM_ECANCELED);
    CHECK_OK(carom_result_discard(next));
    CHECK_EQ(verdict_of(next).status, CAROM_ECANCELED);
    store(go, 1);
    CHECK_EQ(number_of(last), 3);
    CHECK_OK(carom_result_discard(last)); /* it stays as it is */
    CHECK_EQ(number_of(last), 3);
    CHECK_EQ(load(ran), 2); /* the one that ran was left alone, the next was never begun */
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    int done = 0;
    while (next_event(pool, &event, 0) == CAROM_OK) done += event.kind == CAROM_POOL_DONE;
    CHECK_EQ(done, 3); /* each once */
    carom_result_free(runs);
    carom_result_free(next);
    carom_result_free(last);
    carom_pool_free(pool);
    pool = pool_of(1, 0, 0);
    runs = submit(pool, for_ever, 1);
    UNTIL(carom_result_accepted(runs) == 1);
    CHECK_OK(carom_result_discard(runs)); /* and a pool that ends meanwhile tells it no second time */
    CHECK_OK(carom_pool_terminate(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    CHECK_EQ(verdict_of(runs).status, CAROM_ECANCELED);
    carom_result_free(runs);
    carom_pool_free(pool);
}

/* maintain does what dispatch does, and calls nobody. */
static void counts_calls(carom_result *result, void *ctx) {
    (void)result;
    ++*(int *)ctx;
}
static void maintained(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    int heard = 0;
    carom_task_options options = {.size = sizeof options, .on_result = counts_calls, .ctx = &heard};
    carom_argument number = CAROM_INTEGER(1);
    for (int i = 0; i < 300; i++) CHECK_OK(carom_pool_apply_async(pool, plus_one, &number, 1, &options, NULL));
    carom_pool_statistics now = {.size = sizeof now};
    UNTIL(carom_pool_maintain(pool) == CAROM_OK && carom_pool_info(pool, &now) == CAROM_OK && now.settled == 300);
    CHECK_EQ(heard, 0);
    CHECK(carom_pool_dispatch(pool, 0) >= 0);
    CHECK_EQ(heard, 300);
    pid_t pids[8], first = template_of(pool);
    end(first);
    UNTIL(carom_pool_maintain(pool) == CAROM_OK && living(KEEPERS, pids, 8) == 1 && pids[0] != first);
    works(pool);
    finish(pool);
}

static void capable(void) {
    carom_pool_options options = {.size = sizeof options, .workers = 1};
    carom_pool *pool = NULL;
    CHECK_OK(carom_pool_new(&options, &pool));
    CHECK_EQ(carom_pool_capabilities(pool) & ~CAROM_CAN_MEASURE, CAROM_CAN_ISOLATE | CAROM_CAN_SHARE | CAROM_CAN_GROW);
    finish(pool);
    options.restartable = options.acknowledge = 1;
    CHECK_OK(carom_pool_new(&options, &pool));
    CHECK_EQ(carom_pool_capabilities(pool) & (CAROM_CAN_RESTART | CAROM_CAN_HOLD), CAROM_CAN_RESTART | CAROM_CAN_HOLD);
    finish(pool);
    options = (carom_pool_options){.size = sizeof options, .workers = CAROM_INLINE, .restartable = 1};
    CHECK_OK(carom_pool_new(&options, &pool));
    CHECK_EQ(carom_pool_capabilities(pool), CAROM_CAN_SHARE);
    CHECK_STATUS(carom_pool_grow(pool, 1), CAROM_ENOTSUP);
    finish(pool);
}

int main(int argc, char **argv) {
    CASE(once);
    CASE(not_if_it_failed);
    CASE(many);
    CASE(of_many);
    CASE(names);
    CASE(what_tasks_know);
    CASE(no_task);
    CASE(discarded);
    CASE(maintained);
    CASE(capable);
    check_no_leaks(0);
    return 0;
}
