/* The template, the process that makes a pool's workers, dies or stands still. */
#include "pool.h"

static long *shared; /* [0]: go; [1]: begun */

static int32_t begin_and_wait(carom_call *call) {
    add(&shared[1], 1);
    while (!load(&shared[0])) usleep(200);
    return reply_number(call, argument_of(call));
}

static void while_it_is_idle(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    for (int i = 0; i < 20; i++) {
        works(pool);
        end(template_of(pool));
        works(pool);
    }
    finish(pool);
}

static void while_tasks_run(void) {
    shared = share(2 * sizeof *shared);
    carom_pool *pool = pool_of(3, CAROM_POOL_WORKER_UP | CAROM_POOL_WORKER_DOWN, 0);
    for (int round = 0; round < 10; round++) {
        carom_result *running[3], *queued[300];
        store(&shared[0], 0);
        store(&shared[1], 0);
        for (int i = 0; i < 3; i++) running[i] = submit(pool, begin_and_wait, i);
        UNTIL(load(&shared[1]) == 3);
        for (int i = 0; i < 300; i++) queued[i] = submit(pool, plus_one, i);
        end(template_of(pool));
        for (int i = 0; i < 3; i++) {
            carom_verdict verdict = verdict_of(running[i]);
            CHECK_STATUS(verdict.status, CAROM_EWORKERLOST);
            CHECK(verdict.pid > 0 && verdict.code == 0);
            carom_result_free(running[i]);
        }
        /* Exactly those that were running are lost. */
        for (int i = 0; i < 300; i++) {
            CHECK_EQ(number_of(queued[i]), i + 1);
            carom_result_free(queued[i]);
        }
    }
    /* A worker up and down for each death, as far as anybody can tell. */
    carom_pool_event event;
    int up = 0, down = 0;
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    while (next_event(pool, &event, 0) == CAROM_OK) {
        *(event.kind == CAROM_POOL_WORKER_UP ? &up : &down) += 1;
        if (event.kind == CAROM_POOL_WORKER_DOWN && event.reason != CAROM_REASON_LEFT)
            CHECK(event.exitcode == -256 || event.exitcode == -SIGKILL);
    }
    CHECK_EQ(up, 33);
    CHECK_EQ(down, 33);
    carom_pool_free(pool);
}

static int32_t two_never_end(carom_call *call) {
    return add(&shared[1], 1) <= 2 ? for_ever(call) : reply_number(call, argument_of(call));
}

static void in_a_map(void) {
    shared = share(2 * sizeof *shared);
    carom_pool *pool = pool_of(2, 0, 0);
    int64_t in[50], out[50];
    carom_status statuses[50];
    for (int i = 0; i < 50; i++) in[i] = i, out[i] = -1;
    pid_t helper, template = template_of(pool);
    fflush(NULL);
    if ((helper = fork()) == 0) { /* kills it once both workers are at an item */
        while (load(&shared[1]) < 2) usleep(200);
        kill(template, SIGKILL);
        _exit(0);
    }
    carom_task_options options = {.size = sizeof options, .statuses = statuses, .chunk_size = 25};
    CHECK_STATUS(carom_pool_map(pool, two_never_end, in, 8, 50, &options, out, 8, PATIENCE_MS), CAROM_EWORKERLOST);
    int lost = 0;
    for (int i = 0; i < 50; i++) {
        lost += statuses[i] == CAROM_EWORKERLOST;
        CHECK_EQ(out[i], statuses[i] ? -1 : i);
    }
    CHECK_EQ(lost, 2);
    CHECK_EQ(waitpid(helper, NULL, 0), helper);
    finish(pool);
}

static int32_t nothing(carom_call *call) { return (int32_t)carom_call_count(call); }

/* Workers of a template that was killed a moment ago may each take a task with them; then the pool answers. */
static void comes_back(carom_pool *pool, int workers) {
    int64_t reply = 0;
    carom_argument argument = CAROM_INTEGER(41);
    carom_status status;
    do status = carom_pool_apply(pool, plus_one, &argument, 1, NULL, &reply, sizeof reply, NULL, PATIENCE_MS);
    while (status == CAROM_EWORKERLOST && workers-- > 0);
    CHECK_OK(status);
    CHECK_EQ(reply, 42);
}

/* At whatever moment of its making. */
static void while_it_is_made(void) {
    long *stop = share(sizeof *stop);
    pid_t killer;
    fflush(NULL);
    if ((killer = fork()) == 0) {
        pid_t pids[32];
        while (!load(stop)) {
            int count = living(KEEPERS, pids, 32);
            for (int i = 0; i < count && i < 32; i++) kill(pids[i], SIGKILL);
        }
        _exit(0);
    }
    for (int i = 0; i < 8; i++) {
        carom_pool *pool = pool_of(1, 0, 0);
        carom_result *result = NULL;
        CHECK_OK(carom_pool_apply_async(pool, nothing, NULL, 0, NULL, &result));
        carom_status status = carom_result_wait(result, 30);
        CHECK(status == CAROM_OK || status == CAROM_ETIMEDOUT);
        carom_result_free(result);
        carom_pool_free(pool);
    }
    carom_pool *pool = pool_of(2, 0, 0);
    carom_pool *other = pool_of(2, 0, 0);
    store(stop, 1);
    CHECK_EQ(waitpid(killer, NULL, 0), killer);
    comes_back(pool, 2);
    comes_back(other, 2);
    finish(pool);
    finish(other);
}

/* Before it has taken its place, if the moment is hit. */
static void before_it_has_begun(void) {
    pid_t killer;
    fflush(NULL);
    if ((killer = fork()) == 0) {
        pid_t pids[8];
        while (!living(KEEPERS, pids, 8)) continue;
        kill(pids[0], SIGKILL);
        _exit(0);
    }
    carom_pool *pool = pool_of(1, 0, 0);
    comes_back(pool, 1);
    CHECK_EQ(waitpid(killer, NULL, 0), killer);
    comes_back(pool, 1);
    finish(pool);
}

static void while_it_is_joined(void) {
    shared = share(2 * sizeof *shared);
    for (int round = 0; round < 4; round++) {
        carom_pool *pool = pool_of(2, 0, 0);
        store(&shared[0], 0);
        store(&shared[1], 0);
        carom_result *running = submit(pool, begin_and_wait, 1);
        UNTIL(load(&shared[1]) == 1);
        CHECK_OK(carom_pool_close(pool));
        CHECK_STATUS(carom_pool_join(pool, 10), CAROM_ETIMEDOUT);
        pid_t template = 0, pids[16];
        int count = living(KEEPERS, pids, 16);
        for (int i = 0; i < count; i++) template = pids[i], kill(template, SIGKILL);
        CHECK(template != 0);
        if (round % 2) CHECK_OK(carom_pool_terminate(pool));
        CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
        CHECK_STATUS(verdict_of(running).status, round % 2 ? CAROM_ECANCELED : CAROM_EWORKERLOST);
        carom_result_free(running);
        carom_pool_free(pool);
    }
}

/* Nobody waits in the library: an event loop hears of it by the descriptor, a loop of looks by looking. */
static void nobody_waits(void) {
    shared = share(2 * sizeof *shared);
    carom_pool *pool = pool_of(1, CAROM_POOL_DONE, 0);
    int fd = carom_pool_fd(pool);
    CHECK(fd >= 0);
    for (int round = 0; round < 5; round++) {
        carom_pool_event event;
        carom_result *result = submit(pool, for_ever, 0);
        CHECK_STATUS(next_event(pool, &event, 20), CAROM_ETIMEDOUT);
        end(template_of(pool));
        int64_t until = now_ms() + PATIENCE_MS;
        for (;;) {
            CHECK(now_ms() < until);
            CHECK(is_readable(fd, PATIENCE_MS));
            int64_t waiting = carom_pool_dispatch(pool, 0);
            CHECK(waiting >= 0);
            if (waiting) break;
        }
        CHECK_OK(next_event(pool, &event, 0));
        CHECK_EQ(event.kind, CAROM_POOL_DONE);
        CHECK_STATUS(verdict_of(result).status, CAROM_EWORKERLOST);
        carom_result_free(result);
        works(pool);
        while (next_event(pool, &event, 0) == CAROM_OK) continue;
    }
    carom_result *result = submit(pool, plus_one, 1);
    end(template_of(pool));
    UNTIL(carom_result_ready(result) == 1);
    carom_result_free(result);
    finish(pool);
}

static void stopped_and_continued(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    works(pool);
    pid_t template = template_of(pool);
    kill(template, SIGSTOP);
    works(pool); /* workers need it for nothing */
    carom_result *result = submit(pool, kill_self, SIGKILL);
    for (int i = 0; i < 10; i++) works(pool);
    CHECK_STATUS(carom_result_wait(result, 20), CAROM_ETIMEDOUT); /* nobody is proof of the death */
    kill(template, SIGCONT);
    CHECK_STATUS(verdict_of(result).status, CAROM_EWORKERLOST);
    carom_result_free(result);
    works(pool);
    /* Killed while it stands still. */
    result = submit(pool, kill_self, SIGKILL);
    kill(template, SIGSTOP);
    kill(template, SIGKILL);
    CHECK_STATUS(verdict_of(result).status, CAROM_EWORKERLOST);
    carom_result_free(result);
    works(pool);
    finish(pool);
}

/* Under a time limit, and with many sleepers. */
static void *wait_in_thread(void *result) {
    CHECK_STATUS(verdict_of(result).status, CAROM_EWORKERLOST);
    return NULL;
}
static void with_many_waiters(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    pthread_t threads[8];
    carom_result *results[2];
    for (int i = 0; i < 2; i++) results[i] = submit(pool, for_ever, i);
    for (int i = 0; i < 8; i++) CHECK_EQ(pthread_create(&threads[i], NULL, wait_in_thread, results[i % 2]), 0);
    CHECK_STATUS(carom_result_wait(results[0], 20), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_result_wait(results[1], 20), CAROM_ETIMEDOUT);
    end(template_of(pool));
    for (int i = 0; i < 8; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 2; i++) carom_result_free(results[i]);
    works(pool);
    finish(pool);
}

/* What its workers' tasks forked ends as well. */
static int32_t leave_a_child(carom_call *call) {
    pid_t pid = fork();
    if (pid == 0)
        for (;;) pause();
    store(&shared[0], pid);
    return for_ever(call);
}
static void grandchildren(void) {
    shared = share(2 * sizeof *shared);
    carom_pool *pool = pool_of(1, 0, 0);
    carom_result *result = submit(pool, leave_a_child, 0);
    UNTIL(load(&shared[0]));
    end(template_of(pool));
    CHECK_STATUS(verdict_of(result).status, CAROM_EWORKERLOST);
    carom_result_free(result);
    works(pool);
    char name[64], state;
    UNTIL((state = name_of((pid_t)load(&shared[0]), name, sizeof name)) == 0 || state == 'Z');
    finish(pool);
}

int main(int argc, char **argv) {
    CASE(while_it_is_idle);
    CASE(while_tasks_run);
    CASE(in_a_map);
    CASE(while_it_is_made);
    CASE(before_it_has_begun);
    CASE(while_it_is_joined);
    CASE(nobody_waits);
    CASE(stopped_and_continued);
    CASE(with_many_waiters);
    CASE(grandchildren);
    return 0;
}
