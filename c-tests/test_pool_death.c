/* Workers that die: what each death costs, and what it does not. */
#include "pool.h"

static int *volatile nowhere;
static void raise_fault(void) { *nowhere = 1; }
static int32_t die(carom_call *call) {
    static char *const arguments[] = {(char *)"true", NULL};
    switch (argument_of(call)) {
    case 0: kill(getpid(), SIGKILL); break;
    case 1: raise_fault(); break;
    case 2: abort();
    case 3: exit(0);
    case 4: exit(3);
    case 5: _exit(255);
    case 6: execv("/bin/true", arguments); break;
    case 7: execv("/bin/false", arguments); break;
    case 8: raise(SIGTERM); break;
    case 9: raise(SIGINT); return 9; /* ignored in workers */
    }
    for (;;) pause();
}

static void by_their_own_hand(void) {
    static const int ends[][2] = {{SIGKILL, 0}, {SIGSEGV, 0}, {SIGABRT, 0}, {0, 0}, {0, 3},
                                  {0, 255},     {0, 0},       {0, 1},       {SIGTERM, 0}};
    carom_pool *pool = pool_of(2, 0, 0);
    carom_result *results[90];
    for (int i = 0; i < 90; i++) results[i] = submit(pool, die, i % 9);
    for (int i = 0; i < 90; i++) {
        carom_verdict verdict = verdict_of(results[i]);
        CHECK_STATUS(verdict.status, CAROM_EWORKERLOST);
        CHECK_EQ(verdict.signal, ends[i % 9][0]);
        CHECK_EQ(verdict.exitcode, ends[i % 9][1]);
        CHECK(verdict.pid > 0 && verdict.elapsed_ns > 0 && *verdict.message);
        CHECK_EQ(verdict.code, 0);
        CHECK_STATUS(carom_result_get(results[i], NULL, 0, NULL, 0), CAROM_EWORKERLOST);
        carom_result_free(results[i]);
    }
    carom_result *result = submit(pool, die, 9);
    CHECK_EQ(verdict_of(result).code, 9);
    carom_result_free(result);
    finish(pool);
}

static void events_of_deaths(void) {
    enum { TASKS = 100 };
    carom_pool *pool = pool_of(2, CAROM_POOL_WORKER_UP | CAROM_POOL_WORKER_DOWN | CAROM_POOL_DONE, 0);
    carom_result *results[TASKS];
    int32_t pids[TASKS], alive[TASKS + 4];
    int ups = 0, downs = 0, done = 0, living_now = 0;
    for (int i = 0; i < TASKS; i++) {
        carom_task_options options = {.size = sizeof options, .ctx = &results[i]};
        carom_argument argument = CAROM_INTEGER(i % 2 ? 0 : 4);
        CHECK_OK(carom_pool_apply_async(pool, die, &argument, 1, &options, &results[i]));
        pids[i] = 0;
    }
    carom_pool_event event;
    while (done < TASKS || downs < TASKS || ups < TASKS + 2) {
        CHECK_OK(next_event(pool, &event, PATIENCE_MS));
        if (event.kind == CAROM_POOL_WORKER_UP) {
            CHECK(event.pid > 0 && !event.result);
            alive[living_now++] = event.pid;
            CHECK(living_now <= 2);
            ups++;
        } else if (event.kind == CAROM_POOL_WORKER_DOWN) {
            int found = 0;
            for (int i = 0; i < living_now; i++)
                if (alive[i] == event.pid) alive[i] = alive[--living_now], found = 1;
            CHECK(found);
            CHECK_EQ(event.reason, CAROM_REASON_DIED);
            CHECK(event.exitcode == 3 || event.exitcode == -SIGKILL);
            downs++;
        } else {
            carom_verdict verdict = {.size = sizeof verdict};
            CHECK_EQ(event.kind, CAROM_POOL_DONE);
            int i = (int)((carom_result **)event.ctx - results);
            CHECK(i >= 0 && i < TASKS && pids[i] == 0);
            CHECK_OK(carom_result_verdict(event.result, &verdict));
            CHECK_EQ(verdict.pid, event.pid);
            CHECK_EQ(verdict.job.low, event.job.low);
            CHECK_EQ(verdict.job.high, event.job.high);
            pids[i] = verdict.pid;
            done++;
        }
    }
    CHECK_STATUS(next_event(pool, &event, 0), CAROM_ETIMEDOUT);
    for (int i = 0; i < TASKS; i++) {
        carom_verdict verdict = verdict_of(results[i]);
        CHECK_EQ(verdict.pid, pids[i]);
        carom_result_free(results[i]);
    }
    /* The two that are left leave by themselves. */
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    for (int i = 0; i < 2; i++) {
        CHECK_OK(next_event(pool, &event, PATIENCE_MS));
        CHECK_EQ(event.kind, CAROM_POOL_WORKER_DOWN);
        CHECK_EQ(event.exitcode, 0);
        CHECK_EQ(event.reason, CAROM_REASON_LEFT);
    }
    carom_pool_free(pool);
}

/* Workers that sit idle are killed, one after the other, while tasks flow. */
static void a_thousand_kills_of_idle_workers(void) {
    carom_pool *pool = pool_of(2, CAROM_POOL_WORKER_UP | CAROM_POOL_WORKER_DOWN, 0);
    carom_pool_event event;
    int kills = 0, lost = 0, downs = 0;
    int64_t begun = now_ms();
    while (once_more(kills, 200, 1000, begun)) {
        CHECK_OK(next_event(pool, &event, PATIENCE_MS));
        if (event.kind == CAROM_POOL_WORKER_DOWN) {
            CHECK_EQ(event.exitcode, -SIGKILL);
            downs++;
            continue;
        }
        /* A worker that has just come up; whatever it does at this moment. */
        carom_result *results[4];
        for (int i = 0; i < 4; i++) results[i] = submit(pool, plus_one, i);
        CHECK_EQ(kill(event.pid, SIGKILL), 0);
        kills++;
        for (int i = 0; i < 4; i++) {
            carom_verdict verdict = verdict_of(results[i]);
            if (verdict.status == CAROM_EWORKERLOST) {
                CHECK_EQ(verdict.signal, SIGKILL);
                lost++;
            } else {
                CHECK_EQ(number_of(results[i]), i + 1);
            }
            carom_result_free(results[i]);
        }
        CHECK(lost <= kills);
    }
    while (downs < kills) {
        CHECK_OK(next_event(pool, &event, PATIENCE_MS));
        downs += event.kind == CAROM_POOL_WORKER_DOWN;
    }
    works(pool);
    finish(pool);
}

static void all_workers_at_once(void) {
    carom_pool *pool = pool_of(4, 0, 0);
    pid_t pids[16];
    int64_t begun = now_ms();
    for (int round = 0; once_more(round, 20, 50, begun); round++) {
        carom_result *results[100];
        int lost = 0, count = 0;
        for (int i = 0; i < 100; i++) results[i] = submit(pool, plus_one, i);
        count = living(WORKERS, pids, 16);
        for (int i = 0; i < count && i < 16; i++) kill(pids[i], SIGKILL);
        for (int i = 0; i < 100; i++) {
            carom_verdict verdict = verdict_of(results[i]);
            if (verdict.status) CHECK_STATUS(verdict.status, CAROM_EWORKERLOST), lost++;
            else CHECK_EQ(number_of(results[i]), i + 1);
            carom_result_free(results[i]);
        }
        CHECK(lost <= count);
    }
    works(pool);
    finish(pool);
}

static void stopped_and_continued(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    pid_t pids[8];
    carom_result *results[200];
    UNTIL(living(WORKERS, pids, 8) == 2);
    char name[64];
    for (int i = 0; i < 2; i++) {
        kill(pids[i], SIGSTOP);
        UNTIL(name_of(pids[i], name, sizeof name) == 'T');
    }
    for (int i = 0; i < 200; i++) results[i] = submit(pool, plus_one, i);
    CHECK_STATUS(carom_result_wait(results[199], 20), CAROM_ETIMEDOUT);
    kill(pids[0], SIGCONT);
    /* One is enough, but for what the other one has begun: nothing, most likely. */
    kill(pids[1], SIGCONT);
    for (int i = 0; i < 200; i++) {
        CHECK_EQ(number_of(results[i]), i + 1);
        carom_result_free(results[i]);
    }
    finish(pool);
}

/* What stands behind a task that never ends goes to a worker that is free. */
static void nothing_waits_behind_a_long_task(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    carom_result *stuck = submit(pool, for_ever, 0), *results[500];
    for (int i = 0; i < 500; i++) results[i] = submit(pool, plus_one, i);
    for (int i = 0; i < 500; i++) {
        CHECK_EQ(number_of(results[i]), i + 1);
        carom_result_free(results[i]);
    }
    CHECK_EQ(carom_result_ready(stuck), 0);
    CHECK_OK(carom_pool_terminate(pool));
    CHECK_STATUS(verdict_of(stuck).status, CAROM_ECANCELED);
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_result_free(stuck);
    carom_pool_free(pool);
}

/* A task that dies with a lock, one that dies in the middle of a reply, and one that leaves processes behind. */
static int32_t die_with_lock(carom_call *call) {
    carom_lock *lock = NULL;
    if (carom_call_lock(call, 0, &lock) != CAROM_OK || carom_lock_acquire(lock, PATIENCE_MS) != CAROM_OK) return 1;
    _exit(4);
}
static int32_t die_over_big_reply(carom_call *call) {
    void *room = NULL;
    if (carom_call_reserve(call, 1 << 20, &room) != CAROM_OK) return 1;
    memset(room, 1, 1 << 20);
    _exit(4);
}
static long *grandchild;
static int32_t leave_a_child(carom_call *call) {
    pid_t pid = fork();
    if (pid == 0)
        for (;;) pause();
    store(grandchild, pid);
    if (argument_of(call)) _exit(4);
    return 0;
}
static int32_t sleep_process(carom_call *call) { return for_ever(call); }
static int32_t start_processes(carom_call *call) {
    carom_process *process = NULL;
    carom_lock *lock = NULL;
    for (int i = 0; i < 3; i++)
        if (carom_process_start(sleep_process, NULL, 0, NULL, &process) != CAROM_OK) return 1;
    if (carom_lock_new(NULL, &lock) != CAROM_OK || carom_lock_acquire(lock, 0) != CAROM_OK) return 2;
    carom_pool *inner = pool_of(2, 0, 0);
    works(inner);
    submit(inner, for_ever, 0);
    store(grandchild, 1);
    if (argument_of(call)) _exit(4);
    for (;;) pause();
}

static void what_the_dead_leave(void) {
    grandchild = share(sizeof *grandchild);
    carom_pool *pool = pool_of(1, 0, 0);
    carom_lock *lock = NULL;
    CHECK_OK(carom_lock_new(NULL, &lock));
    carom_argument argument = CAROM_HANDLE(lock), one = CAROM_INTEGER(1);
    CHECK_STATUS(carom_pool_apply(pool, die_with_lock, &argument, 1, NULL, NULL, 0, NULL, PATIENCE_MS),
                 CAROM_EWORKERLOST);
    CHECK_STATUS(carom_lock_acquire(lock, PATIENCE_MS), CAROM_EOWNERDEAD);
    CHECK_OK(carom_lock_recover(lock, PATIENCE_MS));
    CHECK_OK(carom_lock_release(lock));
    carom_lock_free(lock);
    /* Its memory comes back. */
    long before = 0;
    for (int i = 0; i < 60; i++) {
        CHECK_STATUS(carom_pool_apply(pool, die_over_big_reply, NULL, 0, NULL, NULL, 0, NULL, PATIENCE_MS),
                     CAROM_EWORKERLOST);
        works(pool);
        if (i == 20) before = arena_kb();
    }
    CHECK(arena_kb() <= before + 1024);
    /* Its process group ends with it. */
    CHECK_STATUS(carom_pool_apply(pool, leave_a_child, &one, 1, NULL, NULL, 0, NULL, PATIENCE_MS), CAROM_EWORKERLOST);
    pid_t pid = (pid_t)load(grandchild);
    char name[64];
    UNTIL(!name_of(pid, name, sizeof name) || name_of(pid, name, sizeof name) == 'Z');
    /* And so does what it started by carom, and its own pool. */
    CHECK_STATUS(carom_pool_apply(pool, start_processes, &one, 1, NULL, NULL, 0, NULL, PATIENCE_MS),
                 CAROM_EWORKERLOST);
    works(pool);
    UNTIL(count_of(WORKERS) == 1);
    UNTIL(living(NULL, &pid, 1) <= 2); /* the worker and its template */
    finish(pool);
}

static void nested_pools_end_with_their_pool(void) {
    grandchild = share(sizeof *grandchild);
    carom_pool *pool = pool_of(1, 0, 0);
    carom_result *result = submit(pool, start_processes, 0);
    pid_t pid;
    UNTIL(load(grandchild) == 1);
    UNTIL(count_of(WORKERS) == 6); /* three are processes of the outer one */
    carom_pool_free(pool);
    UNTIL(living(NULL, &pid, 1) <= 1); /* a keeper */
    CHECK_STATUS(verdict_of(result).status, CAROM_ECANCELED);
    carom_result_free(result);
}

int main(int argc, char **argv) {
    CASE(by_their_own_hand);
    CASE(events_of_deaths);
    CASE(a_thousand_kills_of_idle_workers);
    CASE(all_workers_at_once);
    CASE(stopped_and_continued);
    CASE(nothing_waits_behind_a_long_task);
    CASE(what_the_dead_leave);
    CASE(nested_pools_end_with_their_pool);
    return 0;
}
