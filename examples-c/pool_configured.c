/* A pool with everything set: limits, recycling, an initializer, and what becomes of its workers. */
/* test: */
#define _DEFAULT_SOURCE
#include "example.h"
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Once in each worker, before its first task. */
static int32_t init_worker(carom_call *call) {
    (void)call;
    return signal(SIGINT, SIG_IGN) == SIG_ERR;
}

static int32_t long_task(carom_call *call) {
    int64_t x = integer(call, 0), square = x * x;
    nanosleep(&(struct timespec){.tv_nsec = x * 1000000}, NULL);
    return carom_call_reply(call, &square, sizeof square);
}

static void on_event(const carom_pool_event *event, void *ctx) {
    int *workers = ctx;
    if (event->kind == CAROM_POOL_WORKER_UP) printf("Worker %d started\n", event->pid), ++*workers;
    if (event->kind == CAROM_POOL_WORKER_DOWN) printf("Worker %d stopped with exit code %d\n", event->pid, event->exitcode), --*workers;
}

int main(void) {
    enum { COUNT = 20 };
    int workers = 0;
    carom_pool_options options = {
        .size = sizeof options, .workers = 4,
        .initializer = init_worker,
        .soft_time_limit_ms = 25000, .time_limit_ms = 30000,
        .max_tasks = 100,           /* a worker is replaced after so many */
        .max_restarts = 5,          /* so many may die within a second */
        .events = CAROM_POOL_WORKER_UP | CAROM_POOL_WORKER_DOWN, .on_event = on_event, .ctx = &workers,
        .restartable = 1,
    };
    carom_pool *pool;
    int64_t numbers[COUNT], squares[COUNT];
    MUST(carom_pool_new(&options, &pool));
    for (int i = 0; i < COUNT; i++) numbers[i] = i;
    MUST(carom_pool_map(pool, long_task, numbers, sizeof *numbers, COUNT, NULL, squares, sizeof *squares, PATIENCE_MS));
    printf("Results:");
    for (int i = 0; i < COUNT; i++) {
        printf(" %" PRId64, squares[i]);
        EXPECT(squares[i] == numbers[i] * numbers[i]);
    }
    printf("\n");
    MUST(carom_pool_close(pool));
    MUST(carom_pool_join(pool, PATIENCE_MS)); /* on_event is called here, and in carom_pool_dispatch */
    EXPECT(workers == 0);
    carom_pool_free(pool);
    return 0;
}
