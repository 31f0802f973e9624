/* What the tests of queues have in common. */
#ifndef QUEUE_H
#define QUEUE_H

#include "support.h"

static inline carom_queue *queue_with(uint64_t max_items, uint64_t max_bytes) {
    carom_queue_options options = {.size = sizeof options, .max_items = max_items, .max_bytes = max_bytes};
    carom_queue *made = NULL;
    CHECK_OK(carom_queue_new(&options, &made));
    return made;
}

static inline carom_process *start_with(carom_function function, carom_queue *argument) {
    carom_process *process = NULL;
    carom_argument arguments[] = {CAROM_HANDLE(argument)};
    CHECK_OK(carom_process_start(function, arguments, argument ? 1 : 0, NULL, &process));
    return process;
}

static inline carom_queue *queue_of(carom_call *call) {
    carom_queue *given = NULL;
    CHECK_OK(carom_call_queue(call, 0, &given));
    return given;
}

static inline void put_number(carom_queue *to, int64_t number) { CHECK_OK(carom_queue_put(to, &number, sizeof number, PATIENCE_MS)); }
static inline int64_t get_number(carom_queue *from) {
    int64_t number = -1;
    size_t len = 0;
    CHECK_OK(carom_queue_get(from, &number, sizeof number, &len, PATIENCE_MS));
    CHECK_EQ(len, sizeof number);
    return number;
}
static inline carom_status try_get(carom_queue *from) {
    int64_t number;
    return carom_queue_get(from, &number, sizeof number, NULL, 0);
}
static inline void arena_is_well(void) { CHECK_OK(carom_arena_check(NULL)); }

/* As many objects and blocks as before: what the dead had is given back, soon. */
static inline void nothing_more_than(carom_arena_info before) {
    int64_t until = now_ms() + PATIENCE_MS;
    carom_arena_info now;
    while ((now = census()).objects > before.objects || now.blocks > before.blocks) {
        CHECK(now_ms() < until);
        sched_yield();
    }
}

/* A thread that is about to sleep in `body`. */
static inline void asleep(void *(*body)(void *), carom_status *status, pthread_t *thread) {
    *status = 1;
    CHECK_EQ(pthread_create(thread, NULL, body, status), 0);
    usleep(50000);
}

#endif
