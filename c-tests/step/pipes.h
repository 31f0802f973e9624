/* Operations of pipes: short messages, long ones whose memory is given back, and handles. */
#ifndef STEP_PIPES_H
#define STEP_PIPES_H

#include "harness.h"

enum { SHORT_MESSAGE = 40, KEPT_MESSAGE = 3000, LONG_MESSAGE = 20000 };
static carom_connection *left_end, *right_end;
static carom_lock *travels;
static char parcel[LONG_MESSAGE], got_parcel[LONG_MESSAGE];
static size_t parcel_len = SHORT_MESSAGE;

/* Freed by the other, and the victim had not been at its point: it hears of that before it is killed. */
static int was_freed(carom_status status) { return status == CAROM_ECLOSED && point.script == FREED; }

static void pipe_send(void) {
    carom_status status = carom_connection_send(left_end, parcel, parcel_len, PATIENCE_MS);
    if (!was_freed(status)) CHECK_OK(status);
}
static int pipe_try_recv(int64_t timeout_ms) {
    size_t len = 0;
    carom_status status = carom_connection_recv(right_end, got_parcel, sizeof got_parcel, &len, timeout_ms);
    if (status == CAROM_ETIMEDOUT) return 0;
    if (was_freed(status)) return 1;
    CHECK_OK(status);
    CHECK_EQ(len, parcel_len);
    CHECK(memcmp(got_parcel, parcel, len) == 0);
    return 1;
}
static void pipe_recv(void) { CHECK(pipe_try_recv(PATIENCE_MS)); }

/* Every slot has been used, so that what is kept in them is the same whenever somebody looks. */
static void pipe_settle(void) {
    while (pipe_try_recv(0)) {}
    if (parcel_len == SHORT_MESSAGE) return;
    for (int i = 0; i < 64; i++) {
        pipe_send();
        pipe_recv();
    }
}
static void pipe_make_of(size_t len) {
    parcel_len = len;
    for (size_t i = 0; i < len; i++) parcel[i] = (char)(i * 7 + 1);
    CHECK_OK(carom_pipe_new(NULL, &left_end, &right_end));
    pipe_settle();
}
static void pipe_make_short(void) { pipe_make_of(SHORT_MESSAGE); }
static void pipe_make_kept(void) { pipe_make_of(KEPT_MESSAGE); }
static void pipe_make_long(void) { pipe_make_of(LONG_MESSAGE); }
static void pipe_unmake(void) {
    carom_connection_free(left_end);
    carom_connection_free(right_end);
}

static void pipe_send_victim(void) {
    stage(ACQUIRING);
    pipe_send();
    stage(DONE);
}
static void pipe_recv_victim(void) {
    stage(ACQUIRING);
    pipe_recv();
    stage(DONE);
}
static void pipe_one_before(void) { pipe_send(); }
/* An end that is used for the first time is this process's from then on. */
static void pipe_greet(void) { CHECK_EQ(carom_connection_poll(right_end, 0), 0); }

/* All of it or nothing: how many messages there are, of `most` at most. */
static void pipe_holds(int most, int when_done) {
    int count = 0;
    if (needs_partner(point.operation, point.script)) {
        while (!partner_is_through()) {
            if (carom_connection_poll(right_end, 0) == 0) pipe_send();
            sched_yield();
        }
    }
    while (pipe_try_recv(0)) count++;
    if (point.script == ALONE) {
        CHECK(count <= most);
        if (reached() == DONE || reached() == BEFORE) CHECK_EQ(count, reached() == DONE ? when_done : most - when_done);
    }
    pipe_settle();
}
static void pipe_send_after(void) { pipe_holds(1, 1); }
static void pipe_recv_after(void) { pipe_holds(1, 0); }
static int pipe_barge(void) { return pipe_try_recv(0); }
static void pipe_timed(void) { pipe_try_recv(1); }
/* It was the victim's, who waits for it. */
static void pipe_timed_back(void) {
    if (pipe_try_recv(1)) pipe_send();
}

/* Who polls has found nothing: a message, and a death too, makes the descriptor readable. */
static int polled_fd;
static void polled_make(void) {
    pipe_make_short();
    polled_fd = carom_connection_fd(right_end);
    CHECK(polled_fd > 2);
}
static void polled_before(void) { CHECK(!pipe_try_recv(0)); }
static void polled_after(void) {
    /* Joined is repaired, and a repair rings: but a victim that was never there has no death. */
    if (point.killed || reached() == DONE) readable(polled_fd);
    pipe_send_after();
}

/* Handles. The lock is there as long as somebody has it, or it is on its way. */
static void handle_make(void) {
    CHECK_OK(carom_lock_new(NULL, &travels));
    CHECK_OK(carom_pipe_new(NULL, &left_end, &right_end));
}
static void handle_unmake(void) {
    pipe_unmake();
    carom_lock_free(travels);
}
static void handle_send(void) {
    carom_status status = carom_connection_send_handle(left_end, travels, PATIENCE_MS);
    if (!was_freed(status)) CHECK_OK(status);
}
static int handle_try_recv(int64_t timeout_ms) {
    void *handle = NULL;
    carom_status status = carom_connection_recv_handle(right_end, &handle, timeout_ms);
    if (status == CAROM_ETIMEDOUT) return 0;
    CHECK_OK(status);
    CHECK_OK(carom_lock_acquire(handle, PATIENCE_MS));
    CHECK_OK(carom_lock_release(handle));
    carom_lock_free(handle);
    return 1;
}
static void handle_recv(void) { CHECK(handle_try_recv(PATIENCE_MS)); }
static void handle_send_victim(void) {
    stage(ACQUIRING);
    handle_send();
    stage(DONE);
}
/* Not its use of the lock: whoever is killed at that is another operation. */
static void handle_recv_victim(void) {
    void *handle = NULL;
    stage(ACQUIRING);
    carom_status status = carom_connection_recv_handle(right_end, &handle, PATIENCE_MS);
    if (!was_freed(status)) CHECK_OK(status);
    stage(DONE);
    carom_lock_free(handle);
}
static void handle_holds(int most, int when_done) {
    int count = 0;
    if (needs_partner(point.operation, point.script)) {
        while (!partner_is_through()) {
            if (carom_connection_poll(right_end, 0) == 0) handle_send();
            sched_yield();
        }
    }
    while (handle_try_recv(0)) count++;
    if (point.script != ALONE) return;
    CHECK(count <= most);
    if (reached() == DONE || reached() == BEFORE) CHECK_EQ(count, reached() == DONE ? when_done : most - when_done);
}
static void handle_send_after(void) { handle_holds(1, 1); }
static void handle_recv_after(void) { handle_holds(1, 0); }
static int handle_barge(void) { return handle_try_recv(0); }
static void handle_timed(void) { handle_try_recv(1); }
static void handle_timed_back(void) {
    if (handle_try_recv(1)) handle_send();
}

/* Who closes an end that nobody else has: whoever waits at the other hears of it, whether the victim did it or died. */
static void close_victim(void) {
    carom_connection *mine, *other;
    stage(ACQUIRING);
    CHECK_OK(carom_pipe_new(NULL, &mine, &other));
    CHECK_OK(carom_connection_send(mine, "x", 1, 0));
    CHECK_OK(carom_connection_send_handle(mine, never, 0));
    CHECK_OK(carom_connection_close(mine));
    carom_connection_free(mine);
    carom_connection_free(other);
    stage(DONE);
}
static void close_after(void) {}

#define PIPE_OPERATION(title, made, prepared, does, then, back, waits, heap)                                                     \
    {.name = title, .in_heap = heap, .make = made, .unmake = pipe_unmake, .before = prepared, .victim = does, .after = then, .wait = waits, .greet = pipe_greet,  \
     .timed = back}
#define PIPE_OPERATIONS                                                                                                    \
    {.name = "pipe, send", .make = pipe_make_short, .unmake = pipe_unmake, .victim = pipe_send_victim,                     \
     .after = pipe_send_after, .barge = pipe_barge, .unbarge = pipe_send, .wait = pipe_recv, .greet = pipe_greet, .timed = pipe_timed},         \
    {.name = "pipe, send, kept", .in_heap = 1, .make = pipe_make_kept, .unmake = pipe_unmake, .victim = pipe_send_victim,                \
     .after = pipe_send_after, .barge = pipe_barge, .unbarge = pipe_send, .wait = pipe_recv, .greet = pipe_greet, .timed = pipe_timed},         \
    {.name = "pipe, send, long", .in_heap = 1, .make = pipe_make_long, .unmake = pipe_unmake, .victim = pipe_send_victim,                \
     .after = pipe_send_after, .barge = pipe_barge, .unbarge = pipe_send, .wait = pipe_recv, .greet = pipe_greet, .timed = pipe_timed},         \
    PIPE_OPERATION("pipe, recv", pipe_make_short, pipe_one_before, pipe_recv_victim, pipe_recv_after, pipe_timed_back, pipe_recv, 0), \
    PIPE_OPERATION("pipe, recv, long", pipe_make_long, pipe_one_before, pipe_recv_victim, pipe_recv_after, pipe_timed_back, pipe_recv, 1), \
    {.name = "pipe, wait", .make = pipe_make_short, .unmake = pipe_unmake, .victim = pipe_recv_victim, .wake = pipe_send,  \
     .after = pipe_settle, .timed = pipe_timed_back},                                                                      \
    {.name = "pipe, send, polled", .make = polled_make, .unmake = pipe_unmake, .before = polled_before,                    \
     .victim = pipe_send_victim, .after = polled_after, .barge = pipe_barge, .unbarge = pipe_send, .timed = pipe_timed},   \
    {.name = "pipe, send handle", .make = handle_make, .unmake = handle_unmake, .victim = handle_send_victim,              \
     .after = handle_send_after, .barge = handle_barge, .unbarge = handle_send, .wait = handle_recv, .greet = pipe_greet, .timed = handle_timed}, \
    {.name = "pipe, recv handle", .make = handle_make, .unmake = handle_unmake, .before = handle_send,                     \
     .victim = handle_recv_victim, .after = handle_recv_after, .wait = handle_recv, .greet = pipe_greet, .timed = handle_timed_back},           \
    {.name = "pipe, close", .victim = close_victim, .after = close_after}
#endif
