/* What a pool reports: events, and a descriptor for event loops that is never silent. */
#include "pool.h"

static void done_with_context_and_result(void) {
    carom_pool *pool = pool_of(2, CAROM_POOL_DONE, 0);
    enum { TASKS = 500 };
    char seen[TASKS] = {0};
    static char contexts[TASKS];
    for (int i = 0; i < TASKS; i++) {
        carom_task_options options = {.size = sizeof options, .ctx = &contexts[i]};
        carom_argument argument = CAROM_INTEGER(i);
        CHECK_OK(carom_pool_apply_async(pool, plus_one, &argument, 1, &options, NULL));
    }
    carom_result *last = NULL;
    uint64_t low = 0;
    for (int k = 0; k < TASKS; k++) {
        carom_pool_event event;
        CHECK_OK(next_event(pool, &event, PATIENCE_MS));
        CHECK_EQ(event.kind, CAROM_POOL_DONE);
        long i = (char *)event.ctx - contexts;
        CHECK(i >= 0 && i < TASKS && !seen[i]);
        seen[i] = 1;
        CHECK(event.result && event.pid > 0 && event.job.low > 0 && event.job.high > 0);
        CHECK_EQ(number_of(event.result), i + 1);
        /* Borrowed until this thread's next event. */
        if (last && last != event.result) CHECK_STATUS(carom_result_wait(last, 0), CAROM_EBADHANDLE);
        last = event.result;
        low = event.job.low > low ? event.job.low : low;
    }
    CHECK_EQ(low, TASKS);
    carom_pool_event event;
    CHECK_STATUS(next_event(pool, &event, 0), CAROM_ETIMEDOUT);
    CHECK_EQ(carom_pool_dispatch(pool, 0), 0);
    /* Struct too small, or not set: nothing is taken. */
    carom_argument argument = CAROM_INTEGER(1);
    CHECK_OK(carom_pool_apply_async(pool, plus_one, &argument, 1, NULL, NULL));
    memset(&event, 0, sizeof event);
    CHECK_STATUS(carom_pool_next_event(pool, &event, PATIENCE_MS), CAROM_EINVAL);
    CHECK_OK(next_event(pool, &event, PATIENCE_MS));
    CHECK(event.ctx == NULL);
    finish(pool);
    CHECK_STATUS(next_event(pool, &event, 0), CAROM_EBADHANDLE);
    check_no_leaks(OWN_FDS); /* though a result is still shown */
}

static void only_what_was_asked_for(void) {
    uint32_t kinds[] = {0, CAROM_POOL_WORKER_UP, CAROM_POOL_WORKER_DOWN, CAROM_POOL_DONE};
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        carom_pool *pool = pool_of(2, kinds[k], 0);
        carom_pool_event event;
        int count = 0;
        carom_result *result = submit(pool, kill_self, SIGKILL);
        CHECK_STATUS(verdict_of(result).status, CAROM_EWORKERLOST);
        carom_result_free(result);
        works(pool);
        CHECK_OK(carom_pool_close(pool));
        CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
        for (; next_event(pool, &event, 0) == CAROM_OK; count++) CHECK_EQ(event.kind, kinds[k]);
        if (kinds[k] == CAROM_POOL_WORKER_UP) CHECK(count == 2 || count == 3);
        else CHECK_EQ(count, kinds[k] == 0 ? 0 : kinds[k] == CAROM_POOL_DONE ? 2 : count);
        carom_pool_free(pool);
    }
}

/* Reasons of deaths, and as many of them as of births. */
static void downs_of_a_terminated_pool(void) {
    carom_pool *pool = pool_of(3, CAROM_POOL_WORKER_UP | CAROM_POOL_WORKER_DOWN | CAROM_POOL_DONE, 0);
    carom_result *results[10];
    for (int i = 0; i < 10; i++) results[i] = submit(pool, for_ever, i);
    CHECK_STATUS(carom_result_wait(results[9], 20), CAROM_ETIMEDOUT);
    CHECK_OK(carom_pool_terminate(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    int up = 0, down = 0, done = 0;
    carom_pool_event event;
    while (next_event(pool, &event, 0) == CAROM_OK) {
        up += event.kind == CAROM_POOL_WORKER_UP;
        if (event.kind == CAROM_POOL_WORKER_DOWN) {
            CHECK_EQ(event.reason, CAROM_REASON_STOPPED);
            CHECK_EQ(event.exitcode, -SIGKILL);
            down++;
        }
        if (event.kind == CAROM_POOL_DONE) {
            CHECK_STATUS(verdict_of(event.result).status, CAROM_ECANCELED);
            done++;
        }
    }
    CHECK_EQ(up, 3);
    CHECK_EQ(down, 3);
    CHECK_EQ(done, 10);
    for (int i = 0; i < 10; i++) carom_result_free(results[i]);
    carom_pool_free(pool);
}

/* An event loop over thousands of tasks, each submitted when another one is done. */
static void an_event_loop(int by_dispatch) {
    enum { TASKS = 5000, AT_ONCE = 3 };
    carom_pool *pool = pool_of(2, CAROM_POOL_DONE, 0);
    int fd = carom_pool_fd(pool), submitted = 0, done = 0;
    CHECK(fd >= 0);
    CHECK_EQ(carom_pool_fd(pool), fd);
    carom_pool_event event;
    while (done < TASKS) {
        for (; submitted < TASKS && submitted - done < AT_ONCE; submitted++) {
            carom_argument argument = CAROM_INTEGER(submitted);
            CHECK_OK(carom_pool_apply_async(pool, plus_one, &argument, 1, NULL, NULL));
        }
        CHECK(is_readable(fd, PATIENCE_MS));
        if (by_dispatch) {
            int64_t count = carom_pool_dispatch(pool, 0);
            CHECK(count >= 0);
            for (; count > 0; count--, done++) CHECK_OK(next_event(pool, &event, 0));
        } else {
            while (next_event(pool, &event, 0) == CAROM_OK) done++;
        }
    }
    CHECK_STATUS(next_event(pool, &event, 0), CAROM_ETIMEDOUT);
    finish(pool);
}
static void an_event_loop_by_dispatch(void) { an_event_loop(1); }
static void an_event_loop_by_events(void) { an_event_loop(0); }

/* Only after a call returned ETIMEDOUT; then a completion must show, whatever the call was. */
static void each_call_arms_the_descriptor(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    int fd = carom_pool_fd(pool);
    for (int i = 0; i < 300; i++) {
        carom_result *result = submit(pool, plus_one, i);
        if (carom_result_wait(result, 0) == CAROM_ETIMEDOUT) CHECK(is_readable(fd, PATIENCE_MS));
        CHECK_EQ(number_of(result), i + 1);
        carom_result_free(result);
        carom_pool_dispatch(pool, 0);
    }
    /* Nothing under way: it is quiet, after at most a few needless looks. */
    int looks = 0;
    while (is_readable(fd, 0)) {
        CHECK(carom_pool_dispatch(pool, 0) >= 0);
        CHECK(++looks < 10);
    }
    finish(pool);
}

/* Events of workers come by the descriptor too. */
static void births_and_deaths_ring(void) {
    carom_pool *pool = pool_of(2, CAROM_POOL_WORKER_UP | CAROM_POOL_WORKER_DOWN, 0);
    int fd = carom_pool_fd(pool), up = 0, down = 0;
    carom_pool_event event;
    pid_t pids[2];
    while (up < 2) {
        CHECK(is_readable(fd, PATIENCE_MS));
        while (next_event(pool, &event, 0) == CAROM_OK) pids[up++] = event.pid;
    }
    kill(pids[0], SIGKILL);
    kill(pids[1], SIGTERM);
    while (up < 4 || down < 2) {
        CHECK(is_readable(fd, PATIENCE_MS));
        while (next_event(pool, &event, 0) == CAROM_OK) {
            if (event.kind == CAROM_POOL_WORKER_UP) up++;
            else {
                CHECK_EQ(event.exitcode, event.pid == pids[0] ? -SIGKILL : -SIGTERM);
                CHECK_EQ(event.reason, CAROM_REASON_DIED);
                down++;
            }
        }
    }
    finish(pool);
}

/* As many workers as there may be events before anybody asks, and more. */
static void more_workers_than_events_fit(void) {
    enum { WORKERS_ = 300 };
    carom_pool *pool = pool_of(WORKERS_, CAROM_POOL_WORKER_UP | CAROM_POOL_WORKER_DOWN, 0);
    UNTIL(count_of(WORKERS) == WORKERS_);
    carom_pool_event event;
    int up = 0, down = 0;
    while (up < WORKERS_) {
        CHECK_OK(next_event(pool, &event, PATIENCE_MS));
        CHECK_EQ(event.kind, CAROM_POOL_WORKER_UP);
        up++;
    }
    CHECK_OK(carom_pool_terminate(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    while (next_event(pool, &event, 0) == CAROM_OK) down++;
    CHECK_EQ(down, WORKERS_);
    carom_pool_free(pool);
}

int main(int argc, char **argv) {
    CASE(done_with_context_and_result);
    CASE(only_what_was_asked_for);
    CASE(downs_of_a_terminated_pool);
    CASE(an_event_loop_by_dispatch);
    CASE(an_event_loop_by_events);
    CASE(each_call_arms_the_descriptor);
    CASE(births_and_deaths_ring);
    CASE(more_workers_than_events_fit);
    return 0;
}
