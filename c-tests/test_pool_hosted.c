/* Pools whose workers the host itself forks. */
#include "pool.h"

static long *shared;

static pid_t fork_prepared(carom_process *worker) {
    pid_t pid = fork();
    if (pid == 0) {
        carom_fork_child(worker);
        _exit(CHECK_FAILED);
    }
    CHECK_OK(carom_fork_parent(worker, pid));
    CHECK_EQ(carom_process_pid(worker), pid);
    CHECK_EQ(carom_process_daemon(worker), 1);
    carom_process_free(worker);
    return pid;
}

static pid_t fork_worker(carom_pool *pool) {
    carom_process *worker = NULL;
    CHECK_OK(carom_pool_prepare(pool, &worker));
    return fork_prepared(worker);
}

static carom_pool *hosted(carom_pool_options options) {
    carom_pool *pool = NULL;
    options.size = sizeof options;
    options.host_forks = 1;
    CHECK_OK(carom_pool_new(&options, &pool));
    return pool;
}

/* The next event of this kind. */
static carom_pool_event event_of(carom_pool *pool, uint32_t kind) {
    carom_pool_event event;
    do CHECK_OK(next_event(pool, &event, PATIENCE_MS));
    while (event.kind != kind);
    return event;
}

/* Forks as many workers as this, when they are asked for. */
static pid_t fork_wanted(carom_pool *pool, int count) {
    pid_t pid = 0;
    for (int i = 0; i < count; i++) {
        event_of(pool, CAROM_POOL_WORKER_WANTED);
        pid = fork_worker(pool);
    }
    return pid;
}

static void on_event(const carom_pool_event *event, void *ctx) {
    carom_pool **pool = ctx;
    if (event->kind == CAROM_POOL_WORKER_WANTED) {
        fork_worker(*pool);
        ++*shared;
    }
}

static void by_events(void) {
    carom_pool *pool = hosted((carom_pool_options){.workers = 3});
    carom_process *none = NULL;
    int64_t in[100], out[100];
    fork_wanted(pool, 3);
    CHECK_STATUS(carom_pool_prepare(pool, &none), CAROM_EAGAIN);
    works(pool);
    for (int i = 0; i < 100; i++) in[i] = i;
    CHECK_OK(carom_pool_map(pool, plus_one, in, sizeof *in, 100, NULL, out, sizeof *out, PATIENCE_MS));
    for (int i = 0; i < 100; i++) CHECK_EQ(out[i], i + 1);
    UNTIL(count_of(WORKERS) == 3);
    CHECK_EQ(carom_process_children(NULL, 0), 3);
    finish(pool);
    CHECK_EQ(carom_process_children(NULL, 0), 0);
}

/* Its memory is the host's at the fork, and not what it was when the pool was made. */
static int64_t memory = 1;
static int32_t tells_memory(carom_call *call) { return reply_number(call, memory); }

static void has_memory(void) {
    int64_t seen = 0;
    carom_pool *pool = hosted((carom_pool_options){.workers = 1});
    memory = 2;
    fork_wanted(pool, 1);
    CHECK_OK(carom_pool_apply(pool, tells_memory, NULL, 0, NULL, &seen, sizeof seen, NULL, PATIENCE_MS));
    CHECK_EQ(seen, 2);
    finish(pool);
}

static void workers_die(void) {
    carom_pool *pool = hosted((carom_pool_options){.workers = 1, .events = CAROM_POOL_WORKER_UP | CAROM_POOL_WORKER_DOWN});
    const int signals[] = {SIGKILL, SIGSEGV, SIGTERM};
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork_wanted(pool, 1);
        CHECK_EQ(event_of(pool, CAROM_POOL_WORKER_UP).pid, pid);
        works(pool);
        carom_result *result = submit(pool, kill_self, signals[i]);
        carom_pool_event down = event_of(pool, CAROM_POOL_WORKER_DOWN);
        CHECK_EQ(down.pid, pid);
        CHECK_EQ(down.exitcode, -signals[i]);
        CHECK_EQ(down.reason, CAROM_REASON_DIED);
        carom_verdict verdict = verdict_of(result);
        CHECK_EQ(verdict.status, CAROM_EWORKERLOST);
        CHECK_EQ(verdict.signal, signals[i]);
        CHECK_EQ(verdict.pid, pid);
        carom_result_free(result);
    }
    fork_wanted(pool, 1);
    works(pool);
    finish(pool);
}

/* Nobody is told how its children end: the library finds out, as far as the kernel says. */
static void nobody_is_told(void) {
    signal(SIGCHLD, SIG_IGN);
    carom_pool *pool = hosted((carom_pool_options){.workers = 1, .events = CAROM_POOL_WORKER_DOWN});
    pid_t pid = fork_wanted(pool, 1);
    works(pool);
    CHECK_EQ(kill(pid, SIGKILL), 0);
    carom_pool_event down = event_of(pool, CAROM_POOL_WORKER_DOWN);
    CHECK_EQ(down.pid, pid);
    CHECK(down.exitcode == -SIGKILL || down.exitcode == -256);
    fork_wanted(pool, 1);
    works(pool);
    finish(pool);
}

/* Who waits, and nothing else: the callback forks. */
static void by_callback(void) {
    carom_pool *pool = NULL;
    pool = hosted((carom_pool_options){.workers = 2, .on_event = on_event, .ctx = &pool});
    works(pool);
    for (int i = 0; i < 5; i++) {
        carom_result *result = submit(pool, kill_self, SIGKILL);
        CHECK_EQ(verdict_of(result).status, CAROM_EWORKERLOST);
        carom_result_free(result);
    }
    works(pool);
    CHECK(*shared >= 5);
    carom_result *last = submit(pool, plus_one, 1);
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    CHECK_EQ(number_of(last), 2);
    carom_result_free(last);
    carom_pool_free(pool);
}

/* A call that nobody could ever answer returns. */
static void nobody_forks(void) {
    int64_t in = 41, out = 0;
    carom_argument argument = CAROM_INTEGER(in);
    carom_pool *pool = hosted((carom_pool_options){.workers = 2});
    CHECK_STATUS(carom_pool_apply(pool, plus_one, &argument, 1, NULL, &out, sizeof out, NULL, PATIENCE_MS), CAROM_EAGAIN);
    CHECK_STATUS(carom_pool_map(pool, plus_one, &in, sizeof in, 1, NULL, &out, sizeof out, PATIENCE_MS), CAROM_EAGAIN);
    carom_result *result = submit(pool, plus_one, 41);
    CHECK_STATUS(carom_result_wait(result, PATIENCE_MS), CAROM_EAGAIN);
    CHECK_OK(carom_pool_close(pool));
    CHECK_STATUS(carom_pool_join(pool, PATIENCE_MS), CAROM_EAGAIN);
    fork_worker(pool); /* one is enough */
    CHECK_EQ(number_of(result), 42);
    carom_result_free(result);
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_process *none = NULL;
    CHECK_STATUS(carom_pool_prepare(pool, &none), CAROM_ECLOSED);
    carom_pool_free(pool);
}

static void limits(void) {
    carom_pool *pool = hosted((carom_pool_options){.workers = 1, .time_limit_ms = 50, .events = CAROM_POOL_WORKER_DOWN});
    pid_t pid = fork_wanted(pool, 1);
    carom_result *result = submit(pool, for_ever, 0);
    carom_verdict verdict = verdict_of(result);
    CHECK_EQ(verdict.status, CAROM_ETIMELIMIT);
    CHECK_EQ(verdict.pid, pid);
    CHECK_EQ(event_of(pool, CAROM_POOL_WORKER_DOWN).reason, CAROM_REASON_TIME_LIMIT);
    carom_result_free(result);
    fork_wanted(pool, 1);
    works(pool);
    finish(pool);
}

static void come_and_go(void) {
    carom_pool *pool = hosted((carom_pool_options){.workers = CAROM_NONE, .max_tasks = 2, .restartable = 1,
                                                   .events = CAROM_POOL_WORKER_DOWN});
    CHECK_OK(carom_pool_grow(pool, 1));
    fork_wanted(pool, 1);
    works(pool);
    works(pool); /* and leaves */
    CHECK_EQ(event_of(pool, CAROM_POOL_WORKER_DOWN).reason, CAROM_REASON_RECYCLED);
    fork_wanted(pool, 1);
    works(pool);
    CHECK_OK(carom_pool_restart(pool));
    CHECK_EQ(event_of(pool, CAROM_POOL_WORKER_DOWN).reason, CAROM_REASON_RECYCLED);
    event_of(pool, CAROM_POOL_WORKER_WANTED);
    /* A position that is given up wants nobody, and somebody if it is used again. */
    CHECK_OK(carom_pool_shrink(pool, 1));
    carom_process *worker = NULL;
    CHECK_STATUS(carom_pool_prepare(pool, &worker), CAROM_EAGAIN);
    CHECK_OK(carom_pool_grow(pool, 1));
    for (int i = 0; i < 3; i++) {
        UNTIL(carom_pool_prepare(pool, &worker) == CAROM_OK);
        if (i < 2) carom_process_free(worker); /* not forked: asked for again */
    }
    fork_prepared(worker);
    works(pool);
    finish(pool);
}

/* Its workers go with it, and the next template asks for others. */
static void template_dies(void) {
    carom_pool *pool = hosted((carom_pool_options){.workers = 2});
    fork_wanted(pool, 2);
    works(pool);
    for (int i = 0; i < 3; i++) {
        pid_t old[2];
        UNTIL(living(WORKERS, old, 2) == 2);
        int fds[] = {pidfd_of(old[0]), pidfd_of(old[1])};
        carom_result *result = submit(pool, for_ever, 0);
        end(template_of(pool));
        fork_wanted(pool, 2);
        CHECK(is_readable(fds[0], PATIENCE_MS) && is_readable(fds[1], PATIENCE_MS));
        close(fds[0]);
        close(fds[1]);
        works(pool);
        (void)carom_result_cancel(result, CAROM_FOREVER);
        carom_result_free(result);
        CHECK_OK(carom_arena_check(NULL));
    }
    CHECK_OK(carom_pool_terminate(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
}

static void host_dies(void) {
    int pipes[2];
    CHECK_EQ(pipe2(pipes, O_CLOEXEC), 0);
    pid_t host = fork();
    if (host == 0) {
        CHECK_OK(carom_attach());
        carom_pool *pool = hosted((carom_pool_options){.workers = 2});
        fork_wanted(pool, 2);
        works(pool);
        raise(SIGKILL);
    }
    close(pipes[1]);
    CHECK_EQ(wait_for(host), -SIGKILL);
    char byte;
    CHECK_EQ(read(pipes[0], &byte, 1), 0); /* nobody has it any more */
    close(pipes[0]);
}

/* Between prepare and fork everything may have gone. */
static void freed_in_between(void) {
    carom_pool *pool = hosted((carom_pool_options){.workers = 2});
    carom_process *unforked = NULL, *forked = NULL;
    event_of(pool, CAROM_POOL_WORKER_WANTED);
    CHECK_OK(carom_pool_prepare(pool, &forked));
    event_of(pool, CAROM_POOL_WORKER_WANTED);
    CHECK_OK(carom_pool_prepare(pool, &unforked));
    CHECK_OK(carom_pool_terminate(pool));
    carom_pool_free(pool);
    pid_t pid = fork();
    if (pid == 0) carom_fork_child(forked);
    CHECK_OK(carom_fork_parent(forked, pid));
    CHECK_OK(carom_process_join(forked, PATIENCE_MS)); /* finds its pool gone, and leaves */
    carom_process_free(forked);
    carom_process_free(unforked);
    CHECK_OK(carom_arena_check(NULL));
}

static void freed_at_work(void) {
    carom_pool *pool = hosted((carom_pool_options){.workers = 2});
    fork_wanted(pool, 2);
    carom_result *result = submit(pool, for_ever, 0);
    carom_pool_free(pool);
    CHECK_EQ(verdict_of(result).status, CAROM_ECANCELED);
    carom_result_free(result);
    UNTIL(carom_process_children(NULL, 0) == 0);
}

static void refused(void) {
    carom_pool *pool = NULL;
    carom_pool_options options = {.size = sizeof options, .workers = 1, .host_forks = 2};
    CHECK_STATUS(carom_pool_new(&options, &pool), CAROM_EINVAL);
    options.host_forks = 1;
    options.capture_stderr = 1;
    CHECK_STATUS(carom_pool_new(&options, &pool), CAROM_EINVAL);
    options.capture_stderr = 0;
    CHECK_OK(carom_context_new("spawn", &options.context));
    CHECK_STATUS(carom_pool_new(&options, &pool), CAROM_EINVAL);
    carom_context_free(options.context);
    carom_process *worker = NULL;
    pool = pool_of(1, 0, 0);
    CHECK_STATUS(carom_pool_prepare(pool, &worker), CAROM_EPERM);
    finish(pool);
}

int main(int argc, char **argv) {
    shared = share(sizeof *shared);
    CASE(by_events);
    CASE(has_memory);
    CASE(workers_die);
    CASE(nobody_is_told);
    CASE(by_callback);
    CASE(nobody_forks);
    CASE(limits);
    CASE(come_and_go);
    CASE(template_dies);
    CASE(host_dies);
    CASE(freed_in_between);
    CASE(freed_at_work);
    CASE(refused);
    return 0;
}
