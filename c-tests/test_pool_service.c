/* Pools with a thread of their own in the host: they go on while the host does something else. */
#include "pool.h"

static pthread_t host;
static long heard, elsewhere, blocked;
static void hears(carom_result *result, void *ctx) {
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    if (sigismember(&now, SIGTERM)) add(&blocked, 1);
    if (!pthread_equal(pthread_self(), host)) add(&elsewhere, 1);
    CHECK_EQ(carom_result_ready(result), 1);
    if (ctx) add((long *)ctx, 1);
    add(&heard, 1);
}
static int threads(void) {
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;
    while (tasks && (entry = readdir(tasks))) count += entry->d_name[0] != '.';
    if (tasks) closedir(tasks);
    return count;
}
static carom_pool *serving(int workers) {
    carom_pool_options options = {.size = sizeof options, .workers = workers, .service_thread = 1};
    carom_pool *pool = NULL;
    host = pthread_self();
    CHECK_OK(carom_pool_new(&options, &pool));
    return pool;
}
static void submit_to(carom_pool *pool, carom_function function, int64_t number, long *ctx) {
    carom_task_options options = {.size = sizeof options, .on_result = hears, .on_error = hears, .ctx = ctx};
    carom_argument argument = CAROM_INTEGER(number);
    CHECK_OK(carom_pool_apply_async(pool, function, &argument, 1, &options, NULL));
}

/* More tasks than fit into the lanes; nobody calls in. */
static void by_itself(void) {
    enum { N = 1000 };
    CHECK_EQ(threads(), 1);
    carom_pool *pool = serving(2);
    CHECK_EQ(threads(), 2);
    for (int i = 0; i < N; i++) submit_to(pool, plus_one, i, NULL);
    UNTIL(load(&heard) == N);
    CHECK_EQ(load(&elsewhere), N);
    CHECK_EQ(load(&blocked), N);
    works(pool); /* beside it the host may wait as always */
    carom_result *result = submit(pool, plus_one, 6);
    CHECK_EQ(number_of(result), 7);
    carom_result_free(result);
    finish(pool);
    UNTIL(threads() == 1);
}

/* join returns behind the last callback. */
static void joined(void) {
    for (int round = 0; round < 20; round++) {
        carom_pool *pool = serving(1);
        long mine = 0;
        for (int i = 0; i < 10; i++) submit_to(pool, i % 3 ? plus_one : kill_self, SIGKILL, &mine);
        CHECK_OK(carom_pool_close(pool));
        CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
        CHECK_EQ(load(&mine), 10);
        carom_pool_free(pool);
    }
    UNTIL(threads() == 1);
}

/* A callback may use the pool; also to end it. */
static carom_pool *again;
static long left = 50;
static void submits(carom_result *result, void *ctx) {
    carom_task_options options = {.size = sizeof options, .on_result = submits};
    carom_argument argument = CAROM_INTEGER(1);
    (void)result, (void)ctx;
    if (add(&left, -1) > 0) {
        works(again);
        CHECK_OK(carom_pool_apply_async(again, plus_one, &argument, 1, &options, NULL));
    } else {
        CHECK_OK(carom_pool_close(again));
        CHECK_OK(carom_pool_join(again, PATIENCE_MS));
        store(&left, -1);
    }
}
static void used_by_callbacks(void) {
    again = serving(2);
    submits(NULL, NULL);
    UNTIL(load(&left) == -1);
    carom_pool_free(again);
    UNTIL(threads() == 1);
}

/* Workers and templates die; a pool that is freed takes its thread along. */
static void in_spite_of_deaths(void) {
    carom_pool *pool = serving(2);
    long mine = 0;
    pid_t first = template_of(pool), pids[8];
    end(first);
    UNTIL(living(KEEPERS, pids, 8) == 1 && pids[0] != first);
    submit_to(pool, plus_one, 1, &mine);
    UNTIL(load(&mine) == 1);
    submit_to(pool, kill_self, SIGKILL, &mine);
    UNTIL(load(&mine) == 2);
    submit_to(pool, for_ever, 1, &mine);
    carom_pool_free(pool);
    UNTIL(threads() == 1);
}

static void not_inline(void) {
    carom_pool_options options = {.size = sizeof options, .workers = CAROM_INLINE, .service_thread = 1};
    carom_pool *pool = NULL;
    CHECK_STATUS(carom_pool_new(&options, &pool), CAROM_EINVAL);
}

int main(int argc, char **argv) {
    CASE(by_itself);
    CASE(joined);
    CASE(used_by_callbacks);
    CASE(in_spite_of_deaths);
    CASE(not_inline);
    check_no_leaks(0);
    return 0;
}
