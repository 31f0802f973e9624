/* What the tests of locks, semaphores, conditions, events and barriers have in common. */
#ifndef SYNC_H
#define SYNC_H

#include "support.h"

struct shared {
    flag go, up, woken, done;
    _Atomic int64_t inside, most, total, order[8];
    _Atomic uint32_t seen[4];
    int64_t plain; /* guarded by the lock at hand */
};
static struct shared *shared;

static inline carom_process *start(carom_function function) {
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(function, NULL, 0, NULL, &process));
    return process;
}

static inline carom_process *start_with(carom_function function, int64_t number) {
    carom_process *process = NULL;
    carom_argument argument = CAROM_INTEGER(number);
    CHECK_OK(carom_process_start(function, &argument, 1, NULL, &process));
    return process;
}

static inline int64_t number_of(carom_call *call) {
    int64_t number = 0;
    CHECK_OK(carom_call_read(call, 0, &number, sizeof number));
    return number;
}

/* Runs a body on a thread of its own. */
static inline void *run_body(void *body) {
    void (*it)(void);
    memcpy(&it, &body, sizeof it);
    it();
    return NULL;
}
static inline void on_a_thread(void (*body)(void)) {
    pthread_t thread;
    void *it;
    memcpy(&it, &body, sizeof it);
    CHECK_EQ(pthread_create(&thread, NULL, run_body, it), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}
static inline void in_a_process(carom_function function) { CHECK_EQ(outcome_of(function, NULL, 0), 0); }

#define RUN(body) (shared = share(sizeof *shared), CASE(body))

#endif
