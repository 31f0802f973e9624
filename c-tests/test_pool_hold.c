/* Pools with `acknowledge`: no task begins before the host has accepted it, and what it cancels until then never does. */
#include "pool.h"

static long *begun; /* tasks that ran */

static int32_t counts(carom_call *call) {
    add(begun, 1);
    return reply_number(call, argument_of(call));
}

static carom_pool *holding(int workers, uint32_t events) {
    carom_pool_options options = {.size = sizeof options, .workers = workers, .events = events, .acknowledge = 1, .restartable = 1};
    carom_pool *pool = NULL;
    begun = share(sizeof *begun);
    CHECK_OK(carom_pool_new(&options, &pool));
    return pool;
}

/* Waits until a worker has come to the task. */
static pid_t offered(carom_result *result) {
    UNTIL(carom_result_accepted(result) == 1);
    CHECK(carom_result_pid(result) > 0);
    CHECK_EQ(carom_result_ready(result), 0);
    return carom_result_pid(result);
}

static void accepted(void) {
    carom_pool *pool = holding(1, CAROM_POOL_ACCEPTED);
    carom_pool_event event;
    carom_result *one = submit(pool, counts, 1), *two = submit(pool, counts, 2);
    pid_t pid = offered(one);
    CHECK_OK(next_event(pool, &event, PATIENCE_MS));
    CHECK_EQ(event.kind, CAROM_POOL_ACCEPTED);
    CHECK_EQ(event.pid, pid);
    CHECK_STATUS(carom_result_wait(one, 20), CAROM_ETIMEDOUT);
    CHECK_EQ(load(begun), 0);
    CHECK_EQ(carom_result_accepted(two), 0);
    CHECK_OK(carom_result_accept(one));
    CHECK_OK(carom_result_accept(one)); /* once more is nothing */
    CHECK_EQ(number_of(one), 1);
    offered(two);
    CHECK_OK(carom_result_accept(two));
    CHECK_EQ(number_of(two), 2);
    CHECK_OK(carom_result_accept(two)); /* settled */
    CHECK_EQ(load(begun), 2);
    carom_result_free(one);
    carom_result_free(two);
    finish(pool);
}

static void accepted_before(void) {
    carom_pool *pool = holding(1, 0);
    carom_result *first = submit(pool, counts, 1), *second = submit(pool, counts, 2), *results[200];
    CHECK_OK(carom_result_accept(second)); /* before a worker has come to it */
    offered(first);
    CHECK_EQ(load(begun), 0);
    CHECK_OK(carom_result_accept(first));
    CHECK_EQ(number_of(second), 2);
    for (int i = 0; i < 200; i++) { /* more than a lane holds */
        results[i] = submit(pool, counts, i);
        if (i % 2) CHECK_OK(carom_result_accept(results[i]));
    }
    for (int i = 0; i < 200; i += 2) CHECK_OK(carom_result_accept(results[i]));
    for (int i = 0; i < 200; i++) {
        CHECK_EQ(number_of(results[i]), i);
        carom_result_free(results[i]);
    }
    carom_result_free(first);
    carom_result_free(second);
    finish(pool);
}

static void cancelled(void) {
    carom_pool *pool = holding(1, 0);
    for (int i = 0; i < 50; i++) {
        carom_result *result = submit(pool, counts, 1);
        if (i % 2) offered(result);
        CHECK_OK(carom_result_cancel(result, CAROM_NONE));
        CHECK_EQ(verdict_of(result).status, CAROM_ECANCELED);
        carom_result_free(result);
    }
    CHECK_EQ(load(begun), 0);
    carom_result *last = submit(pool, counts, 7); /* the worker waits with none of those */
    CHECK_OK(carom_result_accept(last));
    CHECK_EQ(number_of(last), 7);
    CHECK_EQ(load(begun), 1);
    carom_result_free(last);
    finish(pool);
}

/* A worker that dies while it waits has begun nothing: the next one offers the task again. */
static void a_worker_dies(void) {
    carom_pool *pool = holding(1, 0);
    carom_result *result = submit(pool, counts, 3);
    pid_t pid = offered(result);
    end(pid);
    UNTIL(carom_result_pid(result) > 0 && carom_result_pid(result) != pid);
    CHECK_OK(carom_pool_restart(pool)); /* and so does one that is replaced */
    pid = carom_result_pid(result);
    UNTIL(carom_result_pid(result) > 0 && carom_result_pid(result) != pid);
    CHECK_EQ(load(begun), 0);
    CHECK_OK(carom_result_accept(result));
    CHECK_EQ(number_of(result), 3);
    CHECK_EQ(load(begun), 1);
    carom_result_free(result);
    finish(pool);
}

static void accepts(carom_result *result, void *ctx) {
    ++*(int *)ctx;
    CHECK_OK(carom_result_accept(result));
}
static void forms(void) {
    enum { N = 20 };
    carom_pool *pool = holding(2, 0);
    int64_t in[N], out[N], reply = 0;
    int heard = 0;
    carom_result *result = NULL;
    carom_argument number = CAROM_INTEGER(5);
    for (int i = 0; i < N; i++) in[i] = i;
    /* Who waits for his task has accepted it. */
    CHECK_OK(carom_pool_apply(pool, counts, &number, 1, NULL, &reply, 8, NULL, PATIENCE_MS));
    CHECK_OK(carom_pool_map(pool, counts, in, 8, N, NULL, out, 8, PATIENCE_MS));
    carom_argument lists[] = {CAROM_INTEGER(1), CAROM_INTEGER(2)};
    CHECK_OK(carom_pool_starmap(pool, counts, lists, 1, 2, NULL, out, 8, PATIENCE_MS));
    CHECK_OK(carom_pool_map_async(pool, counts, in, 8, N, NULL, &result));
    CHECK_STATUS(carom_result_wait(result, 20), CAROM_ETIMEDOUT);
    CHECK_OK(carom_result_accept(result));
    CHECK_OK(carom_result_get(result, out, sizeof out, NULL, PATIENCE_MS));
    for (int i = 0; i < N; i++) CHECK_EQ(out[i], i);
    carom_result_free(result);
    /* In the callback, which the wait for the result calls. */
    carom_task_options options = {.size = sizeof options, .on_accepted = accepts, .ctx = &heard};
    CHECK_OK(carom_pool_apply_async(pool, counts, &number, 1, &options, &result));
    CHECK_EQ(number_of(result), 5);
    CHECK_EQ(heard, 1);
    carom_result_free(result);
    finish(pool);
}

/* Where the tasks of many go, as nobody takes one from the other here: one after the other to each worker in turn, or so
 * many at once. */
static void chunks(void) {
    enum { N = 20, CHUNK = 10 };
    carom_pool *pool = holding(2, 0);
    int64_t in[N], out[N];
    carom_worker_info one = {.size = sizeof one}, two = {.size = sizeof two};
    for (int i = 0; i < N; i++) in[i] = i;
    UNTIL(carom_pool_worker(pool, 0, &one) == CAROM_OK && carom_pool_worker(pool, 1, &two) == CAROM_OK && one.pid && two.pid);
    for (int chunked = 0; chunked < 2; chunked++) {
        carom_task_options options = {.size = sizeof options, .chunk_size = chunked ? CHUNK : 0};
        carom_result *all = NULL, *items[N];
        CHECK_OK(carom_pool_map_async(pool, counts, in, 8, N, &options, &all));
        for (int i = 0; i < N; i++) CHECK_OK(carom_result_item(all, (size_t)i, &items[i]));
        int second = chunked ? CHUNK : 1;
        offered(items[0]);
        offered(items[second]);
        for (int i = 0; i < N; i++) CHECK_EQ(carom_result_accepted(items[i]), i == 0 || i == second);
        CHECK_OK(carom_result_accept(all));
        CHECK_OK(carom_result_get(all, out, sizeof out, NULL, PATIENCE_MS));
        for (int i = 0; i < N; i++) CHECK_EQ(out[i], i), carom_result_free(items[i]);
        carom_result_free(all);
    }
    carom_task_options options = {.size = sizeof options, .chunk_size = CHUNK};
    carom_items items = {.size = sizeof items, .data = in, .item_size = 8, .count = N};
    carom_iterator *iterator = NULL;
    carom_result *result = NULL;
    CHECK_OK(carom_pool_imap(pool, counts, &items, &options, &iterator));
    CHECK_STATUS(carom_iterator_next(iterator, &result, 20), CAROM_ETIMEDOUT);
    carom_iterator_free(iterator);
    CHECK_OK(carom_pool_terminate(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
}

static void ended(void) {
    carom_pool *pool = holding(2, 0);
    carom_result *results[4];
    for (int i = 0; i < 4; i++) results[i] = submit(pool, counts, i);
    offered(results[0]);
    CHECK_OK(carom_pool_terminate(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(verdict_of(results[i]).status, CAROM_ECANCELED);
        carom_result_free(results[i]);
    }
    CHECK_EQ(load(begun), 0);
    carom_pool_free(pool);
    carom_pool_options inlined = {.size = sizeof inlined, .workers = CAROM_INLINE, .acknowledge = 1};
    CHECK_STATUS(carom_pool_new(&inlined, &pool), CAROM_EINVAL);
}

int main(int argc, char **argv) {
    CASE(accepted);
    CASE(accepted_before);
    CASE(cancelled);
    CASE(a_worker_dies);
    CASE(forms);
    CASE(chunks);
    CASE(ended);
    check_no_leaks(0);
    return 0;
}
