/* Completion against the hard limit: torture_race [RACES], some thousand a second.
 *
 * Each race is a task under a limit of 1 ms that sleeps about as long as the template takes to end it; how long that is follows
 * from who won. Between them are tasks without a limit. Whoever wins: a task that is done has its reply, one that is not is out of
 * time; never lost, never begun twice; and the tasks between are done, whoever was killed beside them. */
#include "pool.h"

enum { WORKERS_AT_ONCE = 24, RACES = 240 };

static long *begun, *pause_ns;

static int32_t races(carom_call *call) {
    int64_t which = argument_of(call);
    add(&begun[which], 1);
    struct timespec t = {0, load(pause_ns) + which % 16 * 4000};
    nanosleep(&t, NULL);
    return reply_number(call, which * 3);
}

static carom_result *races_by(carom_pool *pool, int64_t which) {
    carom_task_options options = {.size = sizeof options, .time_limit_ms = 1};
    carom_argument argument = CAROM_INTEGER(which);
    carom_result *result = NULL;
    CHECK_OK(carom_pool_apply_async(pool, races, &argument, 1, &options, &result));
    return result;
}

int main(int argc, char **argv) {
    long wanted = argc > 1 ? atol(argv[1]) : 10000;
    long done = 0, expired = 0, between = 0;
    begun = share(RACES * sizeof *begun), pause_ns = share(sizeof *pause_ns);
    store(pause_ns, 1050000);
    carom_pool *pool = pool_of(WORKERS_AT_ONCE, 0, 0);
    while (done + expired < wanted) {
        carom_result *raced[RACES], *other[RACES / 4];
        memset(begun, 0, RACES * sizeof *begun);
        long won = 0;
        for (int i = 0; i < RACES; i++) {
            raced[i] = races_by(pool, i);
            if (i % 4 == 0) other[i / 4] = submit(pool, plus_one, i);
        }
        for (int i = 0; i < RACES; i++) {
            carom_verdict verdict = verdict_of(raced[i]);
            if (verdict.status == CAROM_OK) {
                CHECK_EQ(number_of(raced[i]), i * 3);
                won++;
            } else {
                CHECK_STATUS(verdict.status, CAROM_ETIMELIMIT);
                CHECK(verdict.elapsed_ns >= 1000000);
            }
            CHECK(load(&begun[i]) <= 1); /* one that was killed at its begin may not have counted itself */
            CHECK(load(&begun[i]) == 1 || verdict.status != CAROM_OK);
            carom_result_free(raced[i]);
        }
        for (int i = 0; i < RACES / 4; i++) {
            CHECK_EQ(number_of(other[i]), 4 * i + 1);
            carom_result_free(other[i]);
            between++;
        }
        done += won, expired += RACES - won;
        /* Towards as many of the one as of the other. */
        long pause = load(pause_ns) + (2 * won > RACES ? 20000 : -20000);
        store(pause_ns, pause < 100000 ? 100000 : pause > 5000000 ? 5000000 : pause);
    }
    finish(pool);
    printf("races at the limit: %ld, of which %ld were done and %ld out of time; %ld tasks between them\n", done + expired, done, expired, between);
    CHECK(done > 0 && expired > 0);
    return 0;
}
