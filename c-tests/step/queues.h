/* Operations of queues. Messages are so long that two fill a segment that has grown: so each third one needs another. */
#ifndef STEP_QUEUES_H
#define STEP_QUEUES_H

#include "locks.h"

enum { MESSAGE = 6000 };
static carom_queue *queue;
static char message[MESSAGE], sent[MESSAGE];

static void queue_put(void) {
    memset(sent, 'm', sizeof sent);
    CHECK_OK(carom_queue_put(queue, sent, sizeof sent, PATIENCE_MS));
}
static void is_sent(size_t len) {
    CHECK_EQ(len, sizeof message);
    CHECK(memcmp(message, sent, len) == 0);
}
static void queue_get(void) {
    size_t len = 0;
    CHECK_OK(carom_queue_get(queue, message, sizeof message, &len, PATIENCE_MS));
    is_sent(len);
}
/* With one segment in use and one kept, as it is whenever somebody looks what is left. (They may have grown.) */
static void queue_settle(void) {
    while (carom_queue_size(queue) > 0) queue_get();
    for (int i = 0; i < 60; i++) {
        queue_put();
        queue_get();
    }
}
static void queue_make(void) {
    CHECK_OK(carom_queue_new(NULL, &queue));
    queue_settle();
}
static void queue_unmake(void) { carom_queue_free(queue); }

static void queue_begin(int puts, int gets) {
    for (int i = 0; i < puts; i++) queue_put();
    for (int i = 0; i < gets; i++) queue_get();
}
static void put_before(void) { queue_begin(2, 0); }      /* the next put takes a new segment */
static void put_kept_before(void) { queue_begin(4, 4); } /* ... or the one that is kept */
static void get_before(void) { queue_begin(3, 2); }      /* the next get leaves a segment */
static void wait_before(void) { queue_begin(0, 0); }

static void put_victim(void) {
    stage(ACQUIRING);
    queue_put();
    stage(DONE);
}
static void get_victim(void) {
    size_t len = 0;
    stage(ACQUIRING);
    carom_status status = carom_queue_get(queue, message, sizeof message, &len, PATIENCE_MS);
    /* Who only gets does not hold a queue open. */
    if (status == CAROM_ECLOSED && point.script == FREED) return;
    CHECK_STATUS(status, CAROM_OK);
    is_sent(len);
    stage(DONE);
}

/* The same in place. */
static void is_in_place(const carom_message *it) {
    CHECK_EQ(it->len, sizeof message);
    CHECK(((char *)it->data)[0] == 'm' && ((char *)it->data)[it->len - 1] == 'm');
}
static void commit_victim(void) {
    carom_message it = {.size = sizeof it};
    stage(ACQUIRING);
    CHECK_OK(carom_queue_reserve(queue, sizeof message, &it));
    memset(it.data, 'm', sizeof message);
    CHECK_OK(carom_queue_commit(queue, &it, sizeof message, PATIENCE_MS));
    stage(DONE);
}
static void lease_victim(carom_status (*end)(carom_queue *, const carom_message *)) {
    carom_message it = {.size = sizeof it};
    stage(ACQUIRING);
    carom_status status = carom_queue_peek(queue, &it, PATIENCE_MS);
    if (status == CAROM_ECLOSED && point.script == FREED) return;
    CHECK_STATUS(status, CAROM_OK);
    is_in_place(&it);
    stage(HOLDS);
    CHECK_OK(end(queue, &it));
    stage(DONE);
}
static void consume_victim(void) { lease_victim(carom_queue_consume); }
static void return_victim(void) { lease_victim(carom_queue_return); }
/* Takes nothing, and wants nothing of the heap, whose lock the victim may hold. */
static void lease_timed(void) {
    carom_status status = carom_queue_get(queue, NULL, 0, NULL, 1);
    if (status != CAROM_EMSGSIZE) CHECK_STATUS(status, CAROM_ETIMEDOUT);
}
/* One of the two in the queue lies in place. */
static void lease_before(void) {
    carom_message it = {.size = sizeof it};
    CHECK_OK(carom_queue_reserve(queue, sizeof message, &it));
    memset(it.data, 'm', sizeof message);
    CHECK_OK(carom_queue_commit(queue, &it, sizeof message, PATIENCE_MS));
    queue_put();
}
static void copy_before(void) {
    queue_put();
    queue_put();
}
static void leased_wait(void) {
    carom_message it = {.size = sizeof it};
    CHECK_OK(carom_queue_peek(queue, &it, PATIENCE_MS));
    is_in_place(&it);
    CHECK_OK(carom_queue_consume(queue, &it));
}
/* All of it or nothing: `before` messages, and one more or less. */
static void queue_holds(int64_t before, int64_t by) {
    int64_t size = carom_queue_size(queue);
    if (point.script == ALONE && (reached() == DONE || reached() == BEFORE)) CHECK_EQ(size, reached() == DONE ? before + by : before);
    if (point.script == ALONE && reached() == ACQUIRING) CHECK(size == before || size == before + by);
    if (needs_partner(point.operation, point.script)) {
        /* One at a time: else the segments grow, and more is to be settled. */
        while (!partner_is_through()) {
            if (carom_queue_size(queue) == 0) queue_put();
            sched_yield();
        }
    }
    queue_settle();
}
static void put_after(void) { queue_holds(2, 1); }
static void put_kept_after(void) { queue_holds(0, 1); }
static void get_after(void) { queue_holds(1, -1); }
static void commit_after(void) { queue_holds(0, 1); }
/* What was leased and not consumed comes again, once the death is found. */
static void lease_late(void) {
    if (carom_queue_size(queue) > 0) queue_settle();
}
static void lease_after(int64_t by) {
    if (point.script == ALONE) {
        int64_t least = reached() == BEFORE || reached() == ACQUIRING || by == 0 ? 2 : 1;
        for (int64_t i = 0; i < least; i++) leased_wait();
        int64_t size = carom_queue_size(queue);
        CHECK(size == 0 || (size == 1 && reached() == HOLDS));
        queue_settle();
        return;
    }
    queue_holds(2, by);
}
static void consume_after(void) { lease_after(-1); }
static void return_after(void) { lease_after(0); }
static void wait_after(void) { queue_settle(); }

/* A message that was delivered once too often goes to the dead letters, by whoever looks for the next one. */
static carom_queue *letters;
static void letter_make(void) {
    CHECK_OK(carom_queue_new(NULL, &letters));
    carom_queue_options options = {.size = sizeof options, .max_deliveries = 1, .dead_letters = letters};
    CHECK_OK(carom_queue_new(&options, &queue));
    queue_settle();
}
static void letter_unmake(void) {
    carom_queue_free(queue);
    carom_queue_free(letters);
}
static void letter_before(void) {
    carom_message it = {.size = sizeof it};
    queue_put();
    CHECK_OK(carom_queue_peek(queue, &it, PATIENCE_MS));
    CHECK_OK(carom_queue_return(queue, &it));
}
static void nothing_to_get(int64_t timeout_ms) {
    CHECK_STATUS(carom_queue_get(queue, message, sizeof message, NULL, timeout_ms), CAROM_ETIMEDOUT);
}
static void letter_victim(void) {
    stage(ACQUIRING);
    nothing_to_get(0);
    stage(DONE);
}
static void letter_timed(void) { nothing_to_get(1); }
static void letter_wait(void) {
    carom_message it = {.size = sizeof it};
    CHECK_OK(carom_queue_peek(letters, &it, PATIENCE_MS));
    is_in_place(&it);
    CHECK_EQ(it.deliveries, 2);
    CHECK_OK(carom_queue_consume(letters, &it));
}
static void letter_after(void) {
    if (point.script == ALONE && reached() == DONE) CHECK_EQ(carom_queue_size(letters), 1);
    int has_partner = needs_partner(point.operation, point.script) && atomic_load(&shared->asked) > 0;
    int64_t until = now_ms() + PATIENCE_MS;
    /* Whose bringer is dead comes again once the death is found. */
    while (has_partner ? !partner_is_through() : carom_queue_size(letters) == 0) {
        nothing_to_get(1);
        if (now_ms() > until) hangs("a letter does not come");
    }
    if (!has_partner) letter_wait();
    CHECK_EQ(carom_queue_size(letters), 0);
    queue_settle();
}
static int queue_barge(void) {
    carom_status status = carom_queue_get(queue, message, sizeof message, NULL, 0);
    if (status != CAROM_OK) CHECK_STATUS(status, CAROM_ETIMEDOUT);
    return status == CAROM_OK;
}
static void queue_timed(void) {
    carom_status status = carom_queue_get(queue, message, sizeof message, NULL, 1);
    if (status != CAROM_OK) CHECK_STATUS(status, CAROM_ETIMEDOUT);
}

/* It was the victim's, who waits for it. */
static void queue_timed_back(void) {
    carom_status status = carom_queue_get(queue, message, sizeof message, NULL, 1);
    if (status == CAROM_OK) queue_put();
    else CHECK_STATUS(status, CAROM_ETIMEDOUT);
}

/* A batch is there, or taken, as one. */
enum { BATCH = 3 };
static char batch[BATCH][MESSAGE];
static void put_many_victim(void) {
    memset(batch, 'm', sizeof batch);
    stage(ACQUIRING);
    CHECK_OK(carom_queue_put_many(queue, batch, MESSAGE, BATCH, PATIENCE_MS));
    stage(DONE);
}
static void put_many_after(void) { queue_holds(0, BATCH); }
static void get_many_before(void) { queue_begin(BATCH, 0); }
static void get_many_victim(void) {
    size_t lens[BATCH] = {0};
    memset(sent, 'm', sizeof sent);
    stage(ACQUIRING);
    int64_t got = carom_queue_get_many(queue, batch, MESSAGE, BATCH, lens, PATIENCE_MS);
    if (got == CAROM_ECLOSED && point.script == FREED) return;
    CHECK(got > 0 && got <= BATCH);
    for (int64_t i = 0; i < got; i++) CHECK(lens[i] == MESSAGE && memcmp(batch[i], sent, MESSAGE) == 0);
    stage(DONE);
}
static void get_many_after(void) { queue_holds(BATCH, -BATCH); }

/* A task that is got and done. What a dead one had got is done in its place. */
static void task_done(void) {
    queue_get();
    CHECK_OK(carom_queue_task_done(queue));
}
static void task_make(void) {
    CHECK_OK(carom_joinable_queue_new(NULL, &queue));
    for (int i = 0; i < 60; i++) {
        queue_put();
        task_done();
    }
}
static void task_victim(void) {
    size_t len = 0;
    stage(ACQUIRING);
    carom_status status = carom_queue_get(queue, message, sizeof message, &len, PATIENCE_MS);
    if (status == CAROM_ECLOSED && point.script == FREED) return;
    CHECK_STATUS(status, CAROM_OK);
    stage(HOLDS);
    CHECK_OK(carom_queue_task_done(queue));
    stage(DONE);
}
static carom_status joined(int64_t timeout_ms) {
    carom_status status = carom_queue_join(queue, timeout_ms);
    if (status != CAROM_OK && status != CAROM_ETIMEDOUT) CHECK_STATUS(status, CAROM_EWORKERLOST);
    return status;
}
static void task_timed(void) { joined(1); }
static void task_wait(void) { CHECK(joined(PATIENCE_MS) != CAROM_ETIMEDOUT); }
static void task_after(void) {
    if (point.script == ALONE && reached() == DONE) CHECK_OK(carom_queue_join(queue, 0));
    while (carom_queue_size(queue) > 0) task_done();
    carom_status status = joined(PATIENCE_MS);
    CHECK(status == CAROM_OK || reached() != DONE);
    if (needs_partner(point.operation, point.script)) partner_ends(); /* it hears of it before somebody puts it right */
    if (status != CAROM_OK) CHECK_OK(carom_queue_task_done(queue));
    CHECK_OK(carom_queue_join(queue, PATIENCE_MS));
}

/* The end: what had been put is got, then everybody hears of it. A queue for each victim. */
static void end_before(void) {
    carom_queue_free(queue);
    queue_make();
    queue_put();
}
static void shut_victim(void) {
    stage(ACQUIRING);
    CHECK_OK(carom_queue_shutdown(queue));
    stage(DONE);
}
static void shut_after(void) {
    carom_status status = carom_queue_put(queue, sent, sizeof sent, PATIENCE_MS);
    if (reached() == DONE || status != CAROM_OK) CHECK_STATUS(status, CAROM_ECLOSED);
    if (status == CAROM_OK) CHECK_OK(carom_queue_shutdown(queue));
    for (int64_t left = status == CAROM_OK ? 2 : 1; left > 0; left--) queue_get();
    CHECK_STATUS(carom_queue_get(queue, message, sizeof message, NULL, PATIENCE_MS), CAROM_ECLOSED);
    end_before();
    queue_settle();
}
static void last_put_victim(void) {
    stage(ACQUIRING);
    queue_put();
    CHECK_OK(carom_queue_close(queue));
    stage(DONE);
}
static void last_put_after(void) {
    CHECK_OK(carom_queue_close(queue));
    queue_get();
    carom_status status = carom_queue_get(queue, message, sizeof message, NULL, PATIENCE_MS);
    if (status == CAROM_OK) status = carom_queue_get(queue, message, sizeof message, NULL, PATIENCE_MS);
    else CHECK(reached() != DONE);
    CHECK_STATUS(status, CAROM_ECLOSED);
    end_before();
    queue_settle();
}

static void queue_make_and_free(void) {
    carom_queue *fresh = NULL;
    CHECK_OK(carom_queue_new(NULL, &fresh));
    CHECK_OK(carom_queue_put(fresh, sent, sizeof sent, 0));
    carom_queue_free(fresh);
}

#define QUEUE_OPERATIONS                                                                                                    \
    {.name = "queue, put", .make = queue_make, .unmake = queue_unmake, .before = put_before, .victim = put_victim,         \
     .after = put_after, .barge = queue_barge, .unbarge = queue_put, .wait = queue_get, .timed = queue_timed},             \
    {.name = "queue, put, kept", .make = queue_make, .unmake = queue_unmake, .before = put_kept_before,                    \
     .victim = put_victim, .after = put_kept_after, .barge = queue_barge, .unbarge = queue_put, .wait = queue_get,         \
     .timed = queue_timed},                                                                                                \
    {.name = "queue, get", .make = queue_make, .unmake = queue_unmake, .before = get_before, .victim = get_victim,         \
     .after = get_after, .wait = queue_get, .timed = queue_timed_back},                                      \
    {.name = "queue, wait", .make = queue_make, .unmake = queue_unmake, .before = wait_before, .victim = get_victim,       \
     .wake = queue_put, .after = wait_after, .timed = queue_timed_back},                                                   \
    {.name = "queue, made and freed", .victim = queue_make_and_free, .after = nothing_after, .wait = queue_make_and_free}, \
    {.name = "queue, commit", .make = queue_make, .unmake = queue_unmake, .before = wait_before,                           \
     .victim = commit_victim, .after = commit_after, .barge = queue_barge, .unbarge = queue_put, .wait = queue_get,        \
     .timed = queue_timed},                                                                                                \
    {.name = "queue, consume", .make = queue_make, .unmake = queue_unmake, .before = lease_before,                         \
     .victim = consume_victim, .after = consume_after, .late = lease_late, .wait = leased_wait, .timed = lease_timed},      \
    {.name = "queue, consume copy", .make = queue_make, .unmake = queue_unmake, .before = copy_before,                     \
     .victim = consume_victim, .after = consume_after, .late = lease_late, .wait = leased_wait, .timed = lease_timed},      \
    {.name = "queue, return", .make = queue_make, .unmake = queue_unmake, .before = lease_before,                          \
     .victim = return_victim, .after = return_after, .late = lease_late, .wait = leased_wait, .timed = lease_timed},       \
    {.name = "queue, dead letter", .make = letter_make, .unmake = letter_unmake, .before = letter_before,                  \
     .victim = letter_victim, .after = letter_after, .wait = letter_wait, .timed = letter_timed},                          \
    {.name = "queue, put many", .make = queue_make, .unmake = queue_unmake, .before = wait_before,                         \
     .victim = put_many_victim, .after = put_many_after, .barge = queue_barge, .unbarge = queue_put, .wait = queue_get,    \
     .timed = queue_timed},                                                                                                \
    {.name = "queue, get many", .make = queue_make, .unmake = queue_unmake, .before = get_many_before,                     \
     .victim = get_many_victim, .after = get_many_after, .wait = queue_get},                                               \
    {.name = "queue, task done", .make = task_make, .unmake = queue_unmake, .before = queue_put, .victim = task_victim,    \
     .after = task_after, .wait = task_wait, .timed = task_timed, .single = 1},                                            \
    {.name = "queue, shutdown", .make = queue_make, .unmake = queue_unmake, .before = end_before, .victim = shut_victim,   \
     .after = shut_after},                                                                                                 \
    {.name = "queue, close", .make = queue_make, .unmake = queue_unmake, .before = end_before, .victim = last_put_victim,     \
     .after = last_put_after, .single = 1}
#endif
