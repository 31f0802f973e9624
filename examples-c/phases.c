/* Four processes work in phases: nobody begins the next before all have ended this one. A monitor looks on.
 *
 * The barrier's action runs once per phase, in the last to arrive, while the others still wait: there it may look at what
 * all of them did. In the end the monitor shows what becomes of a barrier at which somebody is missing. */
/* test: */
#define _DEFAULT_SOURCE
#include "example.h"
#include <time.h>

enum { WORKERS = 4, PHASES = 3 };

static carom_value *done, *phases;                                  /* globals: an action has no arguments */

static int32_t all_are_there(carom_call *call) {
    int64_t works, before;
    (void)call;
    MUST(carom_value_load(done, &works));
    MUST(carom_value_add(phases, 1, &before));
    printf("*** phase %" PRId64 ": %" PRId64 " pieces of work done ***\n", before, works);
    fflush(stdout);
    EXPECT(works == WORKERS * (before + 1));
    return 0;
}

static int32_t work(carom_call *call) {
    carom_barrier *barrier;
    MUST(carom_call_barrier(call, 0, &barrier));
    int64_t worker = integer(call, 1), phase, works;
    for (phase = 0; phase < PHASES; phase++) {
        nanosleep(&(struct timespec){.tv_nsec = (1 + worker * 5) * 1000000}, NULL);                   /* the work */
        MUST(carom_value_add(done, 1, NULL));
        int64_t index = MUST(carom_barrier_wait(barrier, CAROM_DEFAULT));
        EXPECT(index >= 0 && index < WORKERS);
        MUST(carom_value_load(done, &works));
        EXPECT(works >= WORKERS * (phase + 1));                     /* everybody's, not only ours */
    }
    return 0;
}

static int32_t wait_in_vain(carom_call *call) {
    carom_barrier *barrier;
    MUST(carom_call_barrier(call, 0, &barrier));
    EXPECT(carom_barrier_wait(barrier, PATIENCE_MS) == CAROM_EBROKEN);
    return 0;
}

static void look(carom_barrier *barrier) {
    printf("monitor: %" PRId64 " of %" PRId64 " wait, broken: %d\n", carom_barrier_waiting(barrier),
           carom_barrier_parties(barrier), carom_barrier_broken(barrier));
    fflush(stdout);
}

int main(int argc, char **argv) {
    carom_barrier *barrier;
    carom_process *workers[WORKERS], *lonely;
    carom_barrier_options options = {.size = sizeof options, .action = all_are_there, .timeout_ms = PATIENCE_MS};
    int64_t passed = 0;
    carom_init(argc, argv);
    MUST(carom_value_new(CAROM_I32, NULL, 0, NULL, &done));
    MUST(carom_value_new(CAROM_I32, NULL, 0, NULL, &phases));
    MUST(carom_barrier_new(WORKERS, &options, &barrier));

    for (int i = 0; i < WORKERS; i++) workers[i] = start(work, CAROM_HANDLE(barrier), CAROM_INTEGER(i));
    for (; passed < PHASES; MUST(carom_value_load(phases, &passed))) {
        EXPECT(!carom_barrier_broken(barrier) && carom_barrier_waiting(barrier) <= WORKERS);
        look(barrier);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);   /* a monitor looks every now and then */
    }
    finish(workers, WORKERS);

    lonely = start(wait_in_vain, CAROM_HANDLE(barrier));
    while (carom_barrier_waiting(barrier) == 0) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    EXPECT(carom_barrier_waiting(barrier) == 1);
    look(barrier);
    MUST(carom_barrier_abort(barrier));                             /* the others will not come */
    finish(&lonely, 1);
    look(barrier);
    EXPECT(carom_barrier_broken(barrier) && carom_barrier_wait(barrier, PATIENCE_MS) == CAROM_EBROKEN);
    MUST(carom_barrier_reset(barrier));                             /* as new */
    EXPECT(!carom_barrier_broken(barrier));
    carom_barrier_free(barrier);
    carom_value_free(phases);
    carom_value_free(done);
    return 0;
}
