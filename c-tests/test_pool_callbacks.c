/* Callbacks and events: each once, on a thread that asked, in an order that makes sense; and what they may do. */
#include "pool_limit.h"

typedef struct {
    int results, errors, accepted, soft, hard;
    int64_t last;
    pthread_t thread;
} heard;

static void same_thread(heard *it) { CHECK(pthread_equal(it->thread, pthread_self())); }
static void on_result(carom_result *result, void *ctx) {
    heard *it = ctx;
    same_thread(it);
    CHECK_EQ(carom_result_successful(result), 1);
    if (carom_result_get(result, &it->last, 8, NULL, 0) != CAROM_OK) it->last = -1;
    it->results++;
}
static void on_error(carom_result *result, void *ctx) {
    heard *it = ctx;
    same_thread(it);
    it->last = verdict_of(result).status;
    it->errors++;
}
static void on_accepted(carom_result *result, void *ctx) {
    heard *it = ctx;
    same_thread(it);
    CHECK(it->results + it->errors == 0);
    CHECK(carom_result_pid(result) > 0);
    it->accepted++;
}
static void on_timeout(const carom_pool_event *event, void *ctx) {
    heard *it = ctx;
    same_thread(it);
    CHECK(event->pid > 0 && event->ctx == ctx && event->result);
    CHECK_EQ(event->soft_ms, 10);
    if (event->kind == CAROM_POOL_SOFT_LIMIT) it->soft++;
    if (event->kind == CAROM_POOL_HARD_LIMIT) it->hard++;
}
static carom_task_options all(heard *it) {
    memset(it, 0, sizeof *it);
    it->thread = pthread_self();
    carom_task_options options = {.size = sizeof options, .on_result = on_result, .on_error = on_error,
                                  .on_accepted = on_accepted, .on_timeout = on_timeout, .ctx = it};
    return options;
}

static void by_wait_dispatch_and_join(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    heard it;
    carom_task_options options = all(&it);
    carom_argument one = CAROM_INTEGER(1), sig = CAROM_INTEGER(SIGKILL);
    carom_result *result = NULL;
    CHECK_OK(carom_pool_apply_async(pool, plus_one, &one, 1, &options, &result));
    CHECK_EQ(number_of(result), 2); /* by then its callbacks have been called */
    CHECK_EQ(it.results, 1);
    CHECK_EQ(it.accepted, 1);
    CHECK_EQ(it.last, 2);
    CHECK(carom_pool_dispatch(pool, 0) >= 0);
    CHECK_EQ(number_of(result), 2);
    CHECK_EQ(it.results, 1);
    carom_result_free(result);

    all(&it);
    CHECK_OK(carom_pool_apply_async(pool, kill_self, &sig, 1, &options, NULL));
    int fd = carom_pool_fd(pool);
    while (!it.errors) {
        CHECK(is_readable(fd, PATIENCE_MS));
        CHECK(carom_pool_dispatch(pool, 0) >= 0);
    }
    CHECK_EQ(it.errors, 1);
    CHECK_EQ(it.accepted, 1);
    CHECK_EQ(it.results, 0);
    CHECK_EQ(it.last, CAROM_EWORKERLOST);

    /* One at a time, and what is left over is not forgotten; a wait for another result calls none of them. */
    all(&it);
    options.on_accepted = NULL;
    for (int i = 0; i < 5; i++) CHECK_OK(carom_pool_apply_async(pool, plus_one, &one, 1, &options, NULL));
    for (int i = 0; i < 5; i++) works(pool);
    CHECK_EQ(it.results, 0);
    for (int i = 1; i <= 5; i++) {
        UNTIL(is_readable(fd, 0) && carom_pool_dispatch(pool, 1) >= 0 && it.results >= i);
        CHECK_EQ(it.results, i);
    }
    for (int i = 0; i < 3; i++) CHECK_OK(carom_pool_apply_async(pool, plus_one, &one, 1, &options, NULL));
    finish(pool); /* its join calls the rest */
    CHECK_EQ(it.results, 8);
}

static void limits(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    heard it;
    carom_task_options options = all(&it);
    options.soft_time_limit_ms = 10;
    options.time_limit_ms = 500; /* long enough for a template on a busy machine to tell first */
    carom_argument never = CAROM_INTEGER(-1);
    carom_result *result = NULL;
    CHECK_OK(carom_pool_apply_async(pool, run_for, &never, 1, &options, &result));
    CHECK_EQ(verdict_of(result).status, CAROM_ETIMELIMIT);
    CHECK_EQ(it.soft, 1);
    CHECK_EQ(it.hard, 1);
    CHECK_EQ(it.errors, 1);
    carom_result_free(result);
    finish(pool);
}

/* For the whole of many. */
static void of_many(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    heard it;
    carom_task_options options = all(&it);
    options.on_accepted = NULL;
    int64_t in[50];
    for (int i = 0; i < 50; i++) in[i] = i;
    CHECK_OK(carom_pool_map_async(pool, plus_one, in, 8, 50, &options, NULL));
    UNTIL(carom_pool_dispatch(pool, 0) >= 0 && it.results);
    in[7] = SIGKILL;
    CHECK_OK(carom_pool_map_async(pool, kill_self, in + 7, 8, 1, &options, NULL));
    UNTIL(carom_pool_dispatch(pool, 0) >= 0 && it.errors);
    CHECK_EQ(it.results, 1);
    CHECK_EQ(it.errors, 1);
    finish(pool);
    CHECK_EQ(it.results + it.errors, 2);
}

/* A callback may do whatever it likes. */
static carom_pool *busy_pool;
static int again;
static void submits_more(carom_result *result, void *ctx) {
    (void)result;
    carom_task_options options = {.size = sizeof options, .on_result = submits_more, .ctx = ctx};
    carom_argument one = CAROM_INTEGER(1);
    if (++again < 20) CHECK_OK(carom_pool_apply_async(busy_pool, plus_one, &one, 1, &options, NULL));
    else CHECK_OK(carom_pool_close(busy_pool));
    if (again == 10) {
        works(busy_pool);
        CHECK(carom_pool_dispatch(busy_pool, 0) >= 0);
        CHECK_OK(carom_pool_grow(busy_pool, 1));
        CHECK_STATUS(carom_pool_join(busy_pool, 0), CAROM_EPERM);
    }
}
static void from_inside(void) {
    busy_pool = pool_of(1, 0, 0);
    carom_task_options options = {.size = sizeof options, .on_result = submits_more};
    carom_argument one = CAROM_INTEGER(1);
    CHECK_OK(carom_pool_apply_async(busy_pool, plus_one, &one, 1, &options, NULL));
    UNTIL(carom_pool_dispatch(busy_pool, 0) >= 0 && again == 20);
    CHECK_OK(carom_pool_join(busy_pool, PATIENCE_MS));
    carom_pool_free(busy_pool);
    CHECK_EQ(again, 20);
}

#define EVERYTHING                                                                                                        \
    (CAROM_POOL_WORKER_UP | CAROM_POOL_WORKER_DOWN | CAROM_POOL_ACCEPTED | CAROM_POOL_DONE | CAROM_POOL_SOFT_LIMIT |      \
     CAROM_POOL_HARD_LIMIT | CAROM_POOL_DRAINED | CAROM_POOL_BROKEN | CAROM_POOL_LIMIT_SET | CAROM_POOL_LIMIT_CANCELLED)

static void in_order(void) {
    carom_pool *pool = pool_of(1, EVERYTHING & ~CAROM_POOL_WORKER_UP & ~CAROM_POOL_WORKER_DOWN, 0);
    int mark;
    carom_task_options options = {.size = sizeof options, .soft_time_limit_ms = 10, .time_limit_ms = 500, .ctx = &mark};
    carom_argument number = CAROM_INTEGER(-1);
    CHECK_OK(carom_pool_apply_async(pool, run_for, &number, 1, &options, NULL));
    const uint32_t late[] = {CAROM_POOL_ACCEPTED, CAROM_POOL_LIMIT_SET, CAROM_POOL_SOFT_LIMIT, CAROM_POOL_LIMIT_CANCELLED,
                             CAROM_POOL_HARD_LIMIT, CAROM_POOL_DONE};
    carom_pool_event event;
    for (size_t i = 0; i < COUNT_OF(late); i++) {
        CHECK_OK(next_event(pool, &event, PATIENCE_MS));
        CHECK_EQ(event.kind, late[i]);
        CHECK(event.ctx == &mark && event.result);
        if (event.kind == CAROM_POOL_LIMIT_SET) CHECK_EQ(event.soft_ms * 1000 + event.hard_ms, 10500);
    }
    CHECK_OK(carom_pool_apply_async(pool, plus_one, &number, 1, NULL, NULL));
    CHECK_OK(carom_pool_close(pool));
    const uint32_t well[] = {CAROM_POOL_ACCEPTED, CAROM_POOL_DONE, CAROM_POOL_DRAINED};
    for (size_t i = 0; i < COUNT_OF(well); i++) {
        CHECK_OK(next_event(pool, &event, PATIENCE_MS));
        CHECK_EQ(event.kind, well[i]);
    }
    CHECK_STATUS(next_event(pool, &event, 0), CAROM_ETIMEDOUT);
    CHECK_EQ(carom_pool_next_deadline(pool), CAROM_FOREVER);
    finish(pool);
}

/* The same as a callback of the pool. */
static uint32_t kinds;
static int ups, downs;
static void on_event(const carom_pool_event *event, void *ctx) {
    CHECK(ctx == &kinds);
    kinds |= event->kind;
    ups += event->kind == CAROM_POOL_WORKER_UP;
    downs += event->kind == CAROM_POOL_WORKER_DOWN;
    if (event->kind == CAROM_POOL_WORKER_DOWN) CHECK_EQ(event->exitcode, 0);
}
static void of_the_pool(void) {
    carom_pool_options options = {.size = sizeof options, .workers = 2, .max_tasks = 1, .events = EVERYTHING, .on_event = on_event,
                                  .ctx = &kinds};
    carom_pool *pool = NULL;
    CHECK_OK(carom_pool_new(&options, &pool));
    carom_result *results[4];
    for (int i = 0; i < 4; i++) results[i] = submit(pool, plus_one, i);
    for (int i = 0; i < 4; i++) number_of(results[i]), carom_result_free(results[i]);
    CHECK_EQ(kinds, 0); /* nobody asked */
    UNTIL(carom_pool_dispatch(pool, 0) >= 0 && downs == 4);
    CHECK(ups >= 4);
    finish(pool);
    CHECK_EQ(downs, ups);
    CHECK_EQ(kinds, CAROM_POOL_WORKER_UP | CAROM_POOL_WORKER_DOWN | CAROM_POOL_ACCEPTED | CAROM_POOL_DONE | CAROM_POOL_DRAINED);
}

int main(int argc, char **argv) {
    CASE(by_wait_dispatch_and_join);
    CASE(limits);
    CASE(of_many);
    CASE(from_inside);
    CASE(in_order);
    CASE(of_the_pool);
    check_no_leaks(0);
    return 0;
}
