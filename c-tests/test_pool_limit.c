/* Hard time limits: whoever is out of time is killed, and nobody else. */
#include "pool_limit.h"

static long *shared;

static void expires(carom_result *result, int64_t limit_ms) {
    carom_verdict verdict = verdict_of(result);
    CHECK_STATUS(verdict.status, CAROM_ETIMELIMIT);
    CHECK(verdict.elapsed_ns >= limit_ms * 1000000);
    CHECK_EQ(verdict.signal, SIGKILL);
    CHECK(verdict.pid > 0 && *verdict.message);
    carom_result_free(result);
}

static void succeeds(carom_result *result, int64_t reply) {
    CHECK_EQ(number_of(result), reply);
    carom_result_free(result);
}

static void of_pool_and_task(void) {
    carom_pool *pool = pool_of(2, CAROM_POOL_WORKER_DOWN, 100);
    carom_pool_event event;
    expires(submit(pool, run_for, -1), 100);
    CHECK_OK(next_event(pool, &event, PATIENCE_MS));
    CHECK_EQ(event.kind, CAROM_POOL_WORKER_DOWN);
    CHECK_EQ(event.reason, CAROM_REASON_TIME_LIMIT);
    CHECK_EQ(event.exitcode, -SIGKILL);
    expires(submit_limited(pool, run_for, -1, 20), 20);
    expires(submit_limited(pool, run_for, -1, 300), 300);
    expires(submit_limited(pool, run_for, -1, 0), 100);
    succeeds(submit_limited(pool, run_for, 250000, CAROM_NONE), 250000);
    succeeds(submit_limited(pool, run_for, 250000, 5000), 250000);
    succeeds(submit(pool, run_for, 10), 10);
    finish(pool);
    /* A pool without. */
    pool = pool_of(2, 0, CAROM_NONE);
    carom_result *none = submit(pool, run_for, -1);
    expires(submit_limited(pool, run_for, -1, 50), 50);
    succeeds(submit(pool, run_for, 100000), 100000);
    CHECK_EQ(carom_result_ready(none), 0);
    carom_task_options options = {.size = sizeof options, .time_limit_ms = -2};
    CHECK_STATUS(carom_pool_apply_async(pool, run_for, NULL, 0, &options, NULL), CAROM_EINVAL);
    carom_pool_free(pool);
    CHECK_STATUS(verdict_of(none).status, CAROM_ECANCELED);
    carom_result_free(none);
}

/* A shorter limit than any before, while the template sleeps as long as the longer one allows. */
static void a_shorter_one_later(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    carom_result *slow = submit_limited(pool, run_for, -1, 100000);
    CHECK_STATUS(carom_result_wait(slow, 50), CAROM_ETIMEDOUT);
    expires(submit_limited(pool, run_for, -1, 50), 50);
    carom_pool_free(pool);
    carom_result_free(slow);
}

static int32_t count_one(carom_call *call) { return (int32_t)argument_of(call) * 0 + (add(shared, 1) < 0); }

/* More than a lane holds: what comes to it later has its limit too, though the template went to sleep meanwhile. */
static void behind_a_full_lane(void) {
    shared = share(sizeof *shared);
    carom_pool *pool = pool_of(1, 0, 150);
    carom_result *results[70];
    for (int i = 0; i < 69; i++) results[i] = submit(pool, count_one, i);
    results[69] = submit(pool, run_for, -1);
    UNTIL(load(shared) >= 64); /* more if the host was slow to submit */
    usleep(400000); /* the template finds nothing to do, which nobody can see */
    for (int i = 0; i < 69; i++) {
        CHECK_OK(carom_result_get(results[i], NULL, 0, NULL, PATIENCE_MS));
        carom_result_free(results[i]);
    }
    expires(results[69], 150);
    works(pool);
    finish(pool);
}

/* A limit of a task whose template dies between decision and signal, or before. */
static void with_templates_that_die(void) {
    carom_pool *pool = pool_of(1, 0, 100);
    for (int i = 0; i < 5; i++) {
        carom_result *result = submit(pool, run_for, -1);
        CHECK_EQ(carom_result_ready(result), 0);
        if (i % 4 == 1) usleep(99500);
        end(template_of(pool));
        carom_verdict verdict = verdict_of(result);
        CHECK(verdict.status == CAROM_EWORKERLOST || verdict.status == CAROM_ETIMELIMIT);
        carom_result_free(result);
        succeeds(submit(pool, plus_one, 1), 2);
        expires(submit(pool, run_for, -1), 100);
    }
    finish(pool);
}

int main(int argc, char **argv) {
    CASE(of_pool_and_task);
    CASE(a_shorter_one_later);
    CASE(behind_a_full_lane);
    CASE(with_templates_that_die);
    return 0;
}
