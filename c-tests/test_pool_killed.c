/* Pools whose workers die all the time, or race with their limits. */
#include "pool_limit.h"

/* Workers are killed all the time during a long map, a hundred times a second where a hundredth of a second is enough for a worker to
 * be born and to do some items. With retries it is complete and correct; without, exactly what they were at is lost. */
enum { SOME = 16 };
static long *stop, *did;
static void *kills(void *pool) {
    for (long seen = 0; !load(stop); usleep(10000)) {
        if (load(did) < seen + SOME) continue;
        seen = load(did);
        pid_t pids[4];
        int count = living(WORKERS, pids, 4);
        if (count > 0) kill(pids[rand() % (count < 4 ? count : 4)], SIGKILL);
    }
    return pool;
}
static int32_t doubles(carom_call *call) {
    int64_t n = argument_of(call);
    struct timespec a_little = {0, 50000};
    nanosleep(&a_little, NULL);
    add(did, 1);
    return reply_number(call, 2 * n);
}
static void killed_all_the_time(void) {
    enum { N = 6000 };
    stop = share(sizeof *stop), did = share(sizeof *did);
    carom_pool *pool = pool_of(2, CAROM_POOL_WORKER_DOWN, 0);
    int64_t *in = calloc(N, 8), *out = calloc(N, 8);
    carom_status *statuses = calloc(N, sizeof *statuses);
    for (int i = 0; i < N; i++) in[i] = i + 1;
    for (int retry = 0; retry < 2; retry++) {
        pthread_t killer;
        int lost = 0;
        store(stop, 0), store(did, 0);
        carom_task_options options = {.size = sizeof options, .statuses = statuses, .max_attempts = retry ? 1000 : 1};
        CHECK_EQ(pthread_create(&killer, NULL, kills, NULL), 0);
        memset(out, 0, N * 8);
        carom_status status = carom_pool_map(pool, doubles, in, 8, N, &options, out, 8, 60000);
        store(stop, 1);
        pthread_join(killer, NULL);
        for (int i = 0; i < N; i++) {
            CHECK(statuses[i] == CAROM_OK ? out[i] == 2 * in[i] : statuses[i] == CAROM_EWORKERLOST && out[i] == 0);
            lost += statuses[i] != CAROM_OK;
        }
        carom_pool_event event;
        int deaths = 0;
        works(pool);
        while (next_event(pool, &event, 0) == CAROM_OK) deaths += event.kind == CAROM_POOL_WORKER_DOWN;
        CHECK_EQ(status, retry || !lost ? CAROM_OK : CAROM_EWORKERLOST);
        CHECK(deaths > 0);
        CHECK(retry ? lost == 0 : lost <= deaths);
    }
    free(in), free(out), free(statuses);
    finish(pool);
}

/* Tasks that end when their time does: each is done or out of time, never lost, and the next one is never hit. */
static void completion_and_limit(void) {
    enum { ROUNDS = 50 }; /* each takes as long as the machine is busy; torture_race has a million */
    carom_pool *pool = pool_of(2, 0, 0);
    int counts[2] = {0, 0};
    for (int i = 0; i < ROUNDS; i++) {
        carom_result *racing = submit_limited(pool, run_for, 1900 + i % 10 * 40, 2), *next = submit(pool, plus_one, i);
        carom_status status = verdict_of(racing).status;
        CHECK(status == CAROM_OK || status == CAROM_ETIMELIMIT);
        counts[status != CAROM_OK]++;
        CHECK_EQ(number_of(next), i + 1);
        carom_result_free(racing);
        carom_result_free(next);
    }
    CHECK(counts[0] + counts[1] == ROUNDS);
    finish(pool);
}

int main(int argc, char **argv) {
    CASE(killed_all_the_time);
    CASE(completion_and_limit);
    check_no_leaks(0);
    return 0;
}
