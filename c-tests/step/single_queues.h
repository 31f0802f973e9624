/* Operations of queues to which one thread only puts, and of which one only gets. The victim has one of the roles, this process
 * or its partner has the other; when the victim is dead, its role is for whoever comes. A message is its number, all over. */
#ifndef STEP_SINGLE_QUEUES_H
#define STEP_SINGLE_QUEUES_H

#include "queues.h"

enum { SHORT = 1500, LIMIT = 3, VICTIMS = 8, OTHERS = 16 }; /* numbers below VICTIMS are the victim's messages */
static carom_queue *single;
static uint32_t seen; /* which messages somebody of this process got */

static void single_make_of(uint64_t limit) {
    carom_queue_options options = {.size = sizeof options, .max_items = limit, .single_producer = 1, .single_consumer = 1};
    seen = 0;
    CHECK_OK(carom_queue_new(&options, &single));
}
static void single_make(void) { single_make_of(0); }
static void single_make_small(void) { single_make_of(LIMIT); }
static void single_unmake(void) { carom_queue_free(single); }

/* A second victim has no role while the first one lives; whoever waits for more hears of the end. */
static int is_refused(carom_status status) {
    if (status == CAROM_EPERM) return point.script == SECOND_KILL;
    return status == CAROM_ETIMEDOUT || status == CAROM_ECLOSED;
}
static int single_put(int number, int64_t timeout_ms) {
    char text[SHORT];
    memset(text, number, sizeof text);
    carom_status status = carom_queue_put(single, text, sizeof text, timeout_ms);
    if (!is_refused(status)) CHECK_OK(status);
    return status == CAROM_OK;
}
/* Each once; what was never leased in the order in which it was put. */
static void is_noted(const char *text, size_t len, int in_order) {
    CHECK_EQ(len, SHORT);
    uint32_t number = (uint32_t)text[0];
    CHECK(number < 32 && text[len - 1] == text[0]);
    if (point.script == SECOND_KILL) return;
    CHECK(!(seen >> number & 1));
    if (in_order && number < VICTIMS) CHECK((seen & (VICTIMS - 1)) >> number == 0);
    seen |= 1u << number;
}
static int is_leasing(void);
static int single_get(int64_t timeout_ms) {
    size_t len = 0;
    carom_status status = carom_queue_get(single, message, sizeof message, &len, timeout_ms);
    if (is_refused(status)) return 0;
    CHECK_OK(status);
    is_noted(message, len, !is_leasing());
    return 1;
}
static void single_reserve(int number) {
    carom_message it = {.size = sizeof it};
    carom_status status = carom_queue_reserve(single, SHORT, &it);
    if (is_refused(status)) return;
    CHECK_OK(status);
    memset(it.data, number, SHORT);
    status = carom_queue_commit(single, &it, SHORT, PATIENCE_MS);
    if (!is_refused(status)) CHECK_OK(status);
}
static void closes(void) { CHECK_OK(carom_queue_close(single)); }

/* ---- what the victim has done before: it has its role then ---- */

static void single_puts(int count) {
    for (int i = 0; i < count; i++) single_put(i, PATIENCE_MS);
}
static void two_put(void) { single_puts(2); } /* the next put takes a new segment */
static void full_put(void) { single_puts(LIMIT); }
/* The next get leaves a segment; and whoever likes is the producer. */
static void one_left(void) {
    single_puts(3);
    for (int i = 0; i < 2; i++) single_get(PATIENCE_MS);
    closes();
}
static void three_left(void) {
    single_puts(BATCH);
    closes();
}
static void both_roles(void) {
    single_puts(2);
    single_get(PATIENCE_MS);
}
static void two_to_lease(void) {
    single_reserve(0);
    single_put(1, PATIENCE_MS);
    closes();
}

/* ---- what it does ---- */

static void single_put_victim(void) {
    stage(ACQUIRING);
    single_put(2, PATIENCE_MS);
    stage(DONE);
}
static void single_put_last_victim(void) {
    stage(ACQUIRING);
    single_put(LIMIT, PATIENCE_MS);
    stage(DONE);
}
static void single_batch_victim(void) {
    static char many[BATCH][SHORT];
    for (int i = 0; i < BATCH; i++) memset(many[i], 2 + i, SHORT);
    stage(ACQUIRING);
    carom_status status = carom_queue_put_many(single, many, SHORT, BATCH, PATIENCE_MS);
    if (!is_refused(status)) CHECK_OK(status);
    stage(DONE);
}
static void single_commit_victim(void) {
    stage(ACQUIRING);
    single_reserve(2);
    stage(DONE);
}
static void single_get_victim(void) {
    stage(ACQUIRING);
    single_get(PATIENCE_MS);
    stage(DONE);
}
static void single_get_many_victim(void) {
    static char many[BATCH][SHORT];
    stage(ACQUIRING);
    int64_t count = carom_queue_get_many(single, many, SHORT, BATCH, NULL, PATIENCE_MS);
    if (!is_refused((carom_status)count)) CHECK(count == BATCH || (point.script == SECOND_KILL && count > 0));
    stage(DONE);
}
static void single_lease_victim(carom_status (*end)(carom_queue *, const carom_message *)) {
    carom_message it = {.size = sizeof it};
    stage(ACQUIRING);
    carom_status status = carom_queue_peek(single, &it, PATIENCE_MS);
    if (is_refused(status)) return;
    CHECK_OK(status);
    stage(HOLDS);
    is_noted(it.data, it.len, 0);
    CHECK_OK(end(single, &it));
    stage(DONE);
}
static void single_consume_victim(void) { single_lease_victim(carom_queue_consume); }
static void single_return_victim(void) { single_lease_victim(carom_queue_return); }
static int is_leasing(void) {
    return point.operation->victim == single_consume_victim || point.operation->victim == single_return_victim;
}
static void single_close_victim(void) {
    stage(ACQUIRING);
    closes();
    stage(DONE);
}
static void single_shutdown_victim(void) {
    stage(ACQUIRING);
    CHECK_OK(carom_queue_shutdown(single));
    stage(DONE);
}
static void single_life_victim(void) {
    single_make();
    both_roles();
    single_reserve(2);
    single_unmake();
}

/* ---- a role whose owner died ---- */

static int32_t dies_as_producer(carom_call *call) {
    (void)call;
    single_puts(1);
    raise(SIGKILL);
    return 0;
}
static int32_t dies_as_consumer(carom_call *call) {
    (void)call;
    both_roles();
    raise(SIGKILL);
    return 0;
}
static void producer_dies(void) { CHECK_EQ(outcome_of(dies_as_producer, NULL, 0), -SIGKILL); }
static void consumer_dies(void) { CHECK_EQ(outcome_of(dies_as_consumer, NULL, 0), -SIGKILL); }

/* ---- third parties: of a producer the consumer, of a consumer the producer ---- */

static void single_wake_consumer(void) { CHECK(single_put(0, PATIENCE_MS)); }
static void single_make_room(void) { CHECK(single_get(PATIENCE_MS)); }
static int single_barge(void) {
    single_get(0);
    return 0;
}
static void single_timed_get(void) { single_get(1); }
static void single_timed_put(void) { single_put(OTHERS, 1); }
static void gets_to_the_end(void) {
    while (single_get(PATIENCE_MS)) {}
}
/* More than there is room for; when the victim is dead, and this process has not got anything yet, it says that nobody will. */
static void puts_too_many(void) {
    int64_t until = now_ms() + PATIENCE_MS;
    for (int i = 0; i < LIMIT && single_put(OTHERS + i, PATIENCE_MS); i++) {}
    CHECK(now_ms() < until);
    closes();
}

/* ---- what must be: all of it or nothing, each message once, and the dead one's role is free ---- */

static void single_is_settled(int before, int done, int when_done_open) {
    static uint32_t asked; /* of the partner, at the last point */
    int has_partner = atomic_load(&shared->asked) != asked, is_consumer = point.operation->wait == gets_to_the_end;
    asked = atomic_load(&shared->asked);
    if (has_partner && is_consumer) {
        closes();
        partner_ends();
    }
    while (has_partner && !partner_is_through()) {
        single_get(0);
        sched_yield();
    }
    if (!has_partner || !is_consumer)
        while (single_get(0)) {}
    int there = __builtin_popcount(seen & ((1u << VICTIMS) - 1));
    if (point.script != SECOND_KILL) {
        CHECK(there == before || there == done);
        if (reached() == DONE) CHECK_EQ(there, done);
        if (reached() == BEFORE) CHECK_EQ(there, before);
    }
    if (!has_partner) {
        int is_open = single_put(OTHERS + LIMIT, PATIENCE_MS);
        if (is_open) CHECK(single_get(0) && !single_get(0));
        if (reached() == BEFORE && point.script != SECOND_KILL) CHECK(is_open);
        if (reached() == DONE) CHECK_EQ(is_open, when_done_open);
        if (when_done_open) CHECK(is_open);
    }
    single_unmake();
    point.operation->make();
}
static void single_put_after(void) { single_is_settled(2, 3, 1); }
static void single_first_after(void) { single_is_settled(0, 1, 1); }
static void single_full_after(void) { single_is_settled(LIMIT, LIMIT + 1, 1); }
static void single_batch_after(void) { single_is_settled(2, 2 + BATCH, 1); }
static void single_get_after(void) { single_is_settled(1, 0, 1); }
static void single_get_many_after(void) { single_is_settled(BATCH, 0, 1); }
static void single_consume_after(void) { single_is_settled(2, 1, 1); }
static void single_return_after(void) { single_is_settled(2, 2, 1); }
static void single_close_after(void) { single_is_settled(1, 1, 1); }
static void single_shutdown_after(void) { single_is_settled(2, 2, 0); }
static void single_taken_over_after(void) { single_is_settled(1, 2, 1); }

#define SINGLE_PUTS(title, first, then)                                                                                       \
    .name = title, .make = single_make, .unmake = single_unmake, .prelude = first, .after = then, .barge = single_barge,             \
    .wait = gets_to_the_end, .threaded = 1, .timed = single_timed_get
#define SINGLE_GETS(title, first, then)                                                                                       \
    .name = title, .make = single_make_small, .unmake = single_unmake, .prelude = first, .after = then, .wait = puts_too_many, \
    .threaded = 1, .timed = single_timed_put
#define SINGLE_QUEUE_OPERATIONS                                                                                               \
    {SINGLE_PUTS("single queue, put", two_put, single_put_after), .victim = single_put_victim},                  \
    {SINGLE_PUTS("single queue, first put", NULL, single_first_after), .victim = single_put_victim},             \
    {SINGLE_PUTS("single queue, put many", two_put, single_batch_after), .victim = single_batch_victim},         \
    {.name = "single queue, put, full", .make = single_make_small, .unmake = single_unmake, .prelude = full_put,              \
     .victim = single_put_last_victim, .wake = single_make_room, .after = single_full_after, .timed = single_timed_get},      \
    {SINGLE_PUTS("single queue, commit", two_put, single_put_after), .victim = single_commit_victim},            \
    {SINGLE_PUTS("single queue, taken over", NULL, single_taken_over_after), .before = producer_dies,            \
     .victim = single_put_victim},                                                                                            \
    {SINGLE_PUTS("single queue, shutdown", two_put, single_shutdown_after), .victim = single_shutdown_victim},   \
    {SINGLE_GETS("single queue, get", one_left, single_get_after), .victim = single_get_victim},                              \
    {SINGLE_GETS("single queue, get many", three_left, single_get_many_after), .victim = single_get_many_victim},             \
    {SINGLE_GETS("single queue, consume", two_to_lease, single_consume_after), .victim = single_consume_victim},              \
    {SINGLE_GETS("single queue, return", two_to_lease, single_return_after), .victim = single_return_victim},                 \
    {SINGLE_GETS("single queue, got over", NULL, single_get_after), .before = consumer_dies, .victim = single_get_victim},    \
    {.name = "single queue, wait", .make = single_make, .unmake = single_unmake, .victim = single_get_victim,                 \
     .wake = single_wake_consumer, .after = single_get_after},                                                                \
    {.name = "single queue, close", .make = single_make, .unmake = single_unmake, .prelude = both_roles,                      \
     .victim = single_close_victim, .after = single_close_after},                                                             \
    {.name = "single queue, made and freed", .victim = single_life_victim, .after = nothing_after}
#endif
