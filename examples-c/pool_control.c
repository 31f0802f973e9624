/* A pool whose size changes while it works, one of whose tasks is stopped, and whose workers are replaced. */
/* test: */
#define _DEFAULT_SOURCE
#include "example.h"
#include <signal.h>
#include <unistd.h>

/* Ends when it is told to, and says so. */
static int32_t long_running_task(carom_call *call) {
    int64_t rounds = 0;
    while (!carom_call_should_stop(call)) usleep(1000), rounds++;
    return carom_call_reply(call, &rounds, sizeof rounds);
}

static int workers_of(carom_pool *pool) {
    carom_worker_info worker = {.size = sizeof worker};
    int count = 0;
    while (carom_pool_worker(pool, (size_t)count, &worker) == CAROM_OK) {
        printf("  worker %d is %s\n", worker.pid, worker.busy ? "busy" : "idle");
        count++;
    }
    return count;
}

int main(void) {
    enum { COUNT = 8 };
    carom_pool_options options = {.size = sizeof options, .workers = 4, .restartable = 1};
    carom_pool *pool;
    carom_result *results[COUNT];
    MUST(carom_pool_new(&options, &pool));
    for (int i = 0; i < COUNT; i++) MUST(carom_pool_apply_async(pool, long_running_task, NULL, 0, NULL, &results[i]));

    printf("Growing pool...\n");
    MUST(carom_pool_grow(pool, 2));
    for (carom_pool_statistics now = {.size = sizeof now}; now.busy < 6; usleep(1000)) MUST(carom_pool_info(pool, &now));
    EXPECT(workers_of(pool) == 6);
    printf("Shrinking pool...\n");
    EXPECT(carom_pool_shrink(pool, 1) == CAROM_EAGAIN); /* every worker has something to do */

    /* One task by force, by the pid of its worker; the others by asking. */
    carom_verdict verdict = {.size = sizeof verdict};
    while (!carom_result_accepted(results[0])) usleep(1000);
    MUST(carom_pool_terminate_job(pool, carom_result_pid(results[0]), SIGTERM));
    MUST(carom_result_wait(results[0], PATIENCE_MS));
    MUST(carom_result_verdict(results[0], &verdict));
    EXPECT(verdict.status == CAROM_ECANCELED && verdict.signal == SIGTERM);
    for (int i = 1; i < COUNT; i++) MUST(carom_result_cancel(results[i], CAROM_NONE));
    for (int i = 1; i < COUNT; i++) {
        int64_t rounds;
        carom_status status = carom_result_get(results[i], &rounds, sizeof rounds, NULL, PATIENCE_MS);
        EXPECT(status == CAROM_OK || status == CAROM_ECANCELED); /* that one had not begun */
    }
    for (int i = 0; i < COUNT; i++) carom_result_free(results[i]);

    MUST(carom_pool_shrink(pool, 1));
    EXPECT(workers_of(pool) == 5);
    MUST(carom_pool_restart(pool)); /* new workers for old, now that they are idle */
    MUST(carom_pool_close(pool));
    MUST(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
    return 0;
}
