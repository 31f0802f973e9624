/* Three processes wait for an event, a fourth sets it after a while, and all three go on.
 *
 * A flag in memory would have to be looked at again and again; an event lets them sleep. Who comes later finds it set and
 * does not wait, until somebody clears it. */
/* test: */
#define _DEFAULT_SOURCE
#include "example.h"
#include <time.h>

enum { WAITERS = 3, DELAY_MS = 100 };

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int32_t wait_for_it(carom_call *call) {
    carom_event *event;
    MUST(carom_call_event(call, 0, &event));
    int64_t waiter = integer(call, 1), begun = integer(call, 2);
    EXPECT(carom_event_wait(event, 0) == CAROM_ETIMEDOUT || now_ms() - begun >= DELAY_MS);
    MUST(carom_event_wait(event, PATIENCE_MS));
    int64_t waited = now_ms() - begun;
    printf("waiter %" PRId64 ": the event came after %" PRId64 " ms\n", waiter, waited);
    EXPECT(waited >= DELAY_MS);
    return 0;
}

static int32_t set_later(carom_call *call) {
    carom_event *event;
    MUST(carom_call_event(call, 0, &event));
    while (now_ms() - integer(call, 1) < DELAY_MS) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    printf("setter: now\n");
    fflush(stdout);
    MUST(carom_event_set(event));
    return 0;
}

int main(int argc, char **argv) {
    carom_event *event;
    carom_process *processes[WAITERS + 1];
    carom_init(argc, argv);
    MUST(carom_event_new(&event));
    int64_t begun = now_ms();
    for (int i = 0; i < WAITERS; i++)
        processes[i] = start(wait_for_it, CAROM_HANDLE(event), CAROM_INTEGER(i), CAROM_INTEGER(begun));
    processes[WAITERS] = start(set_later, CAROM_HANDLE(event), CAROM_INTEGER(begun));
    finish(processes, WAITERS + 1);

    printf("set: %d", carom_event_is_set(event));
    EXPECT(carom_event_is_set(event) == 1);
    MUST(carom_event_wait(event, 0));
    MUST(carom_event_clear(event));
    printf(", after clear: %d\n", carom_event_is_set(event));
    EXPECT(carom_event_is_set(event) == 0);
    EXPECT(carom_event_wait(event, 0) == CAROM_ETIMEDOUT);
    carom_event_free(event);
    return 0;
}
