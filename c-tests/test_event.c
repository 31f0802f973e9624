/* Events: what they promise while everybody lives. */
#include "sync.h"

#define WAITERS 6

static carom_event *event;

static int32_t waits_for_event(carom_call *call) {
    (void)call;
    CHECK_OK(carom_event_wait(event, CAROM_FOREVER));
    flag_add(&shared->woken, 1);
    return 0;
}

static void event_sets_and_clears(void) {
    carom_process *waiters[WAITERS];
    CHECK_OK(carom_event_new(&event));
    for (int round = 0; round < 3; round++) {
        CHECK_EQ(carom_event_is_set(event), 0);
        CHECK_STATUS(carom_event_wait(event, 0), CAROM_ETIMEDOUT);
        CHECK_STATUS(carom_event_wait(event, 3), CAROM_ETIMEDOUT);
        for (int i = 0; i < WAITERS; i++) waiters[i] = start(waits_for_event);
        for (int i = 0; i < WAITERS; i++) asleep_on_futex(carom_process_pid(waiters[i]));
        CHECK_OK(carom_event_set(event));
        CHECK_OK(carom_event_set(event));
        CHECK_EQ(carom_event_is_set(event), 1);
        for (int i = 0; i < WAITERS; i++) CHECK_EQ(ended(waiters[i]), 0);
        CHECK_OK(carom_event_wait(event, 0));
        CHECK_OK(carom_event_wait(event, CAROM_FOREVER));
        CHECK_OK(carom_event_clear(event));
        CHECK_OK(carom_event_clear(event));
    }
    carom_event_free(event);
}

static int32_t waits_for_pulses(carom_call *call) {
    int64_t rounds = number_of(call);
    for (int i = 0; i < rounds; i++) {
        flag_await(&shared->go, (uint32_t)i + 1);
        flag_add(&shared->up, 1);
        CHECK_OK(carom_event_wait(event, CAROM_FOREVER));
        flag_add(&shared->woken, 1);
    }
    return 0;
}

/* Cleared at once: whoever waited goes on all the same. */
static void event_pulse_wakes_all(void) {
    enum { ROUNDS = 100 };
    carom_process *waiters[WAITERS];
    CHECK_OK(carom_event_new(&event));
    for (int i = 0; i < WAITERS; i++) waiters[i] = start_with(waits_for_pulses, ROUNDS);
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        flag_add(&shared->go, 1);
        flag_await(&shared->up, round * WAITERS);
        for (int i = 0; i < WAITERS; i++) asleep_on_futex(carom_process_pid(waiters[i]));
        CHECK_OK(carom_event_set(event));
        CHECK_OK(carom_event_clear(event));
        CHECK_EQ(carom_event_is_set(event), 0);
        flag_await(&shared->woken, round * WAITERS);
    }
    for (int i = 0; i < WAITERS; i++) CHECK_EQ(ended(waiters[i]), 0);
    carom_event_free(event);
}

static void sets_event(int signal) {
    int saved = errno;
    (void)signal;
    if (carom_event_set(event) != CAROM_OK) _exit(CHECK_FAILED);
    errno = saved;
}

static int32_t has_a_handler(carom_call *call) {
    (void)call;
    struct sigaction action = {.sa_handler = sets_event};
    sigaction(SIGUSR1, &action, NULL);
    flag_add(&shared->up, 1);
    CHECK_OK(carom_event_wait(event, CAROM_FOREVER)); /* its own handler ends that */
    flag_add(&shared->woken, 1);
    /* In the middle of whatever the library does. */
    for (uint32_t i = 0; !atomic_load(&shared->go); i++) {
        CHECK_OK(carom_event_set(event));
        CHECK_OK(carom_event_clear(event));
        carom_status status = carom_event_wait(event, 0);
        CHECK(status == CAROM_OK || status == CAROM_ETIMEDOUT);
        carom_lock *made = NULL;
        CHECK_OK(carom_lock_new(NULL, &made));
        carom_lock_free(made);
        free(malloc(i % 5000));
    }
    return 0;
}

static void event_set_by_a_signal_handler(void) {
    CHECK_OK(carom_event_new(&event));
    carom_process *process = start(has_a_handler);
    flag_await(&shared->up, 1);
    asleep_on_futex(carom_process_pid(process));
    CHECK_EQ(kill(carom_process_pid(process), SIGUSR1), 0);
    CHECK_OK(carom_event_wait(event, PATIENCE_MS));
    flag_await(&shared->woken, 1);
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(kill(carom_process_pid(process), SIGUSR1), 0);
        if (i % 10 == 0) sched_yield();
    }
    flag_add(&shared->go, 1);
    CHECK_EQ(ended(process), 0);
    carom_event_free(event);
}

int main(void) {
    RUN(event_sets_and_clears);
    RUN(event_pulse_wakes_all);
    RUN(event_set_by_a_signal_handler);
    return 0;
}
