/* A resource of which there are three, and eight processes that want one: a semaphore.
 *
 * Its units are owned: one of the eight dies with a unit in its hand, and the unit comes back by itself. With a plain
 * semaphore the others would have to share two from then on. */
/* test: */
#define _DEFAULT_SOURCE
#include "example.h"
#include <signal.h>
#include <time.h>

enum { UNITS = 3, WORKERS = 8, UNLUCKY = 4 };

static int32_t use(carom_call *call) {
    carom_semaphore *resource;
    carom_value *users, *most;
    int64_t before, seen, worker = integer(call, 3);
    MUST(carom_call_semaphore(call, 0, &resource));
    MUST(carom_call_value(call, 1, &users));
    MUST(carom_call_value(call, 2, &most));

    MUST(carom_semaphore_acquire(resource, PATIENCE_MS));
    if (worker == UNLUCKY) raise(SIGKILL);
    MUST(carom_value_add(users, 1, &before));
    for (MUST(carom_value_load(most, &seen)); seen < before + 1;) {              /* most = max(most, users) */
        int64_t expected = seen;
        MUST(carom_value_swap(most, expected, before + 1, &seen));
        if (seen == expected) break;
    }
    printf("worker %" PRId64 " uses one of %d\n", worker, UNITS);
    nanosleep(&(struct timespec){.tv_nsec = (3 + worker) * 1000000}, NULL);     /* the work */
    MUST(carom_value_add(users, -1, NULL));
    MUST(carom_semaphore_release(resource));
    return 0;
}

int main(int argc, char **argv) {
    carom_semaphore *resource;
    carom_value *users, *most;
    carom_process *workers[WORKERS];
    carom_semaphore_options owned = {.size = sizeof owned, .owned = 1};
    int64_t peak;
    int32_t code;
    carom_init(argc, argv);
    MUST(carom_semaphore_new(UNITS, &owned, &resource));
    MUST(carom_value_new(CAROM_I32, NULL, 0, NULL, &users));
    MUST(carom_value_new(CAROM_I32, NULL, 0, NULL, &most));

    for (int i = 0; i < WORKERS; i++)
        workers[i] = start(use, CAROM_HANDLE(resource), CAROM_HANDLE(users), CAROM_HANDLE(most), CAROM_INTEGER(i));
    MUST(carom_process_join(workers[UNLUCKY], PATIENCE_MS));
    MUST(carom_process_exitcode(workers[UNLUCKY], &code));
    EXPECT(code == -SIGKILL);
    carom_process_free(workers[UNLUCKY]);
    finish(workers, UNLUCKY);
    finish(workers + UNLUCKY + 1, WORKERS - UNLUCKY - 1);

    MUST(carom_value_load(most, &peak));
    printf("at most %" PRId64 " at a time; worker %d died, and %" PRId64 " units are left\n", peak, UNLUCKY,
           carom_semaphore_value(resource));
    EXPECT(peak >= 1 && peak <= UNITS && carom_semaphore_value(resource) == UNITS);
    carom_value_free(most);
    carom_value_free(users);
    carom_semaphore_free(resource);
    return 0;
}
