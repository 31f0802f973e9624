/* Requests to a manager: the client is killed at each instruction of one, or its server is. */
#ifndef STEP_REQUESTS_H
#define STEP_REQUESTS_H

#include "locks.h"

static carom_manager *manager;
static carom_dict *asked_dict;
static carom_lock *served_lock;
static int64_t round_number; /* what the next request sets, or makes of the two numbers */

static carom_argument key_of(const char *text) { return (carom_argument){.kind = CAROM_ARGUMENT_STRING, .data = text, .len = strlen(text)}; }
static carom_argument number_of(int64_t number) { return (carom_argument){.kind = CAROM_ARGUMENT_INTEGER, .integer = number}; }

static carom_status set_number(const char *name, int64_t number) {
    carom_argument key = key_of(name), value = number_of(number);
    return carom_dict_set(asked_dict, &key, &value);
}
static carom_status get_number(const char *name, int64_t *number) {
    carom_argument key = key_of(name), value;
    carom_status status = carom_dict_get(asked_dict, &key, &value, NULL, 0, NULL);
    if (status == CAROM_OK) *number = value.integer;
    return status;
}
static int64_t number_at(const char *name) {
    int64_t number = -1;
    CHECK_OK(get_number(name, &number));
    return number;
}
/* Two numbers in one step. */
static carom_status add_to_both(void) {
    _Alignas(16) char data[256];
    carom_argument one[] = {key_of("increment"), key_of("a"), number_of(1)}, two[] = {key_of("increment"), key_of("b"), number_of(1)}, results;
    carom_argument calls[] = {{.kind = CAROM_ARGUMENT_LIST, .data = one, .len = 3}, {.kind = CAROM_ARGUMENT_LIST, .data = two, .len = 3}};
    return carom_dict_apply(asked_dict, calls, 2, &results, data, sizeof data, NULL);
}

/* By socket, then by lane, until that has all the memory that it ever gets: a block for each of its slots. */
static void warm_up(void) {
    carom_manager_facts facts = {.size = sizeof facts};
    for (int i = 0; i < 100; i++) {
        CHECK_OK(add_to_both());
        CHECK_OK(carom_manager_info(manager, &facts));
        CHECK_EQ(carom_lock_locked(served_lock), 0);
    }
}
static void manager_make_cold(void) {
    CHECK_OK(carom_manager_new(NULL, &manager));
    CHECK_OK(carom_manager_dict(manager, NULL, &asked_dict));
    CHECK_OK(carom_manager_lock(manager, &served_lock));
    CHECK_OK(set_number("a", 0));
    CHECK_OK(set_number("b", 0));
    round_number = 0;
}
static void manager_make(void) {
    manager_make_cold();
    warm_up();
}
static void manager_unmake(void) {
    carom_lock_free(served_lock);
    carom_dict_free(asked_dict);
    CHECK_OK(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
}

/* ---- the client is killed ---- */

static void by_socket(void) { number_at("a"); }
static void by_lane(void) {
    for (int i = 0; i < 20; i++) number_at("a");
}
/* The dead one's session is over: what it had sent whole was done before. */
static void session_is_over(void) {
    carom_manager_facts facts = {.size = sizeof facts};
    int64_t until = now_ms() + PATIENCE_MS;
    if (needs_partner(point.operation, point.script)) partner_ends();
    do {
        CHECK_OK(carom_manager_info(manager, &facts));
        if (now_ms() > until) hangs("a dead client's session does not end");
    } while (facts.clients != 1 + (partner_process != NULL));
    CHECK_EQ(facts.waiting, 0);
}

static void set_before(void) { CHECK_OK(set_number("a", 2 * ++round_number)); }
static void set_victim(void) {
    stage(ACQUIRING);
    CHECK_OK(set_number("a", 2 * round_number + 1));
    stage(DONE);
}
static void set_after(void) {
    session_is_over();
    int64_t now = number_at("a") - 2 * round_number;
    CHECK(now == 0 || now == 1);
    if (reached() == DONE) CHECK_EQ(now, 1);
    if (reached() == BEFORE && point.script != SECOND_KILL) CHECK_EQ(now, 0);
}
static void get_victim_of_dict(void) {
    stage(ACQUIRING);
    CHECK_EQ(number_at("a"), 2 * round_number);
    stage(DONE);
}
static void get_after_of_dict(void) {
    session_is_over();
    CHECK_EQ(number_at("a"), 2 * round_number);
}
static void batch_before(void) {
    round_number = number_at("a");
    CHECK_EQ(number_at("b"), round_number);
}
static void batch_victim(void) {
    stage(ACQUIRING);
    CHECK_OK(add_to_both());
    stage(DONE);
}
static void batch_after(void) {
    session_is_over();
    int64_t now = number_at("a"), least = round_number + (reached() == DONE);
    CHECK_EQ(number_at("b"), now);
    CHECK(now >= least && now <= round_number + (point.script == SECOND_KILL || point.script == WAITER ? 2 : 1));
}
static void batch_by_other(void) { CHECK_OK(add_to_both()); }
static void look_at_dict(void) { number_at("a"); }
static void look_in_time(void) { number_at("b"); }
static int look_barge(void) {
    number_at("a");
    return 0;
}

static int served_lock_taken(void) {
    carom_status status = carom_lock_acquire(served_lock, PATIENCE_MS);
    return acquired_(status, status == CAROM_EOWNERDEAD ? carom_lock_recover(served_lock, PATIENCE_MS) : CAROM_OK);
}
static void served_lock_victim(void) {
    stage(ACQUIRING);
    int recovered = served_lock_taken();
    stage(HOLDS);
    enter(recovered);
    leave();
    stage(RELEASING);
    CHECK_OK(carom_lock_release(served_lock));
    stage(DONE);
}
static void served_lock_use(void) {
    enter(served_lock_taken());
    leave();
    CHECK_OK(carom_lock_release(served_lock));
}
static void served_lock_after(void) {
    served_lock_use();
    session_is_over();
    served_lock_use();
    deaths_are_right();
}
static void served_lock_timed(void) {
    carom_status status = carom_lock_acquire(served_lock, 1);
    if (status == CAROM_OK) CHECK_OK(carom_lock_release(served_lock));
    else CHECK_STATUS(status, CAROM_ETIMEDOUT);
}
static int served_lock_barge(void) {
    carom_status status = carom_lock_acquire(served_lock, 0);
    if (status != CAROM_OK) CHECK_STATUS(status, CAROM_ETIMEDOUT);
    return status == CAROM_OK;
}
static void served_lock_unbarge(void) { CHECK_OK(carom_lock_release(served_lock)); }

/* ---- the server is killed ---- */

static carom_status asked_status;
static carom_queue *served_queue;

/* With one message in its queue. */
static void manager_make_far(void) {
    manager_make_cold();
    CHECK_OK(carom_manager_queue(manager, NULL, &served_queue));
    CHECK_OK(carom_queue_put(served_queue, "m", 1, 0));
}
/* Asked often enough to be reached by a lane. */
static void manager_make_near(void) {
    manager_make_far();
    by_lane();
}
static void served_free(void) {
    carom_queue_free(served_queue);
    carom_lock_free(served_lock);
    carom_dict_free(asked_dict);
}

/* The partner is a thread: the manager is made anew for each point, after it has begun. */
static void partner_asks(void) { flag_add(&shared->asked, 1); }
static void partner_looks(void) {
    int64_t number = -1;
    asked_status = get_number("a", &number);
    if (asked_status == CAROM_OK) CHECK_EQ(number, 0);
}
static void partner_sets(void) { asked_status = set_number("a", 7); }
static void partner_adds(void) { asked_status = add_to_both(); }
static void partner_puts(void) { asked_status = carom_queue_put(served_queue, "m", 1, PATIENCE_MS); }
static void partner_takes(void) {
    char text[8];
    size_t len = 0;
    asked_status = carom_queue_get(served_queue, text, sizeof text, &len, PATIENCE_MS);
    if (asked_status == CAROM_OK) CHECK(len == 1 && text[0] == 'm');
}
static void partner_locks(void) {
    asked_status = carom_lock_acquire(served_lock, PATIENCE_MS);
    if (asked_status == CAROM_OK) asked_status = carom_lock_release(served_lock);
}
static pid_t manager_server(void) {
    carom_manager_facts facts = {.size = sizeof facts};
    CHECK_OK(carom_manager_info(manager, &facts));
    asleep_in_(__FILE__, __LINE__, facts.pid, facts.pid, SYS_epoll_wait, SYS_epoll_pwait);
    return facts.pid;
}
/* It went on after a while, and did what it was asked to, once. */
static void request_is_done(void) {
    void (*asked)(void) = point.operation->wait;
    CHECK_OK(asked_status);
    CHECK_EQ(number_at("a"), asked == partner_sets ? 7 : asked == partner_adds);
    CHECK_EQ(number_at("b"), asked == partner_adds);
    CHECK_EQ(carom_queue_size(served_queue), 1 + (asked == partner_puts) - (asked == partner_takes));
    CHECK_EQ(carom_lock_locked(served_lock), 0);
}
/* Whoever asked was told, and so is everybody who asks now; nothing of the server is left. */
static void server_is_gone(void) {
    partner_ends();
    if (point.killed) {
        CHECK(asked_status == CAROM_OK || asked_status == CAROM_EBROKEN || asked_status == CAROM_ECLOSED);
        int64_t number;
        carom_status status = get_number("a", &number);
        CHECK(status == CAROM_EBROKEN || status == CAROM_ECLOSED);
        CHECK_OK(carom_manager_join(manager, PATIENCE_MS));
    } else {
        request_is_done();
        CHECK_OK(carom_manager_shutdown(manager, PATIENCE_MS));
    }
    served_free();
    carom_manager_free(manager);
}

#define SERVER_OPERATION(title, made, asks)                                                                                 \
    {.name = title, .before = made, .target = manager_server, .begin = partner_asks, .after = server_is_gone,               \
     .wait = asks, .accompanied = 1, .threaded = 1}
#define SERVER_OPERATIONS(what, asks)                                                                                       \
    SERVER_OPERATION("server, " what, manager_make_far, asks), SERVER_OPERATION("server, " what " by lane", manager_make_near, asks)
#define REQUEST_OPERATIONS                                                                                                  \
    {.name = "manager, get", .make = manager_make, .unmake = manager_unmake, .greet = warm_up, .before = set_before, .prelude = by_socket,   \
     .victim = get_victim_of_dict, .after = get_after_of_dict, .barge = look_barge, .wait = look_at_dict,                   \
     .timed = look_in_time, .single = 1},                                                                                   \
    {.name = "manager, set", .make = manager_make, .unmake = manager_unmake, .greet = warm_up, .before = set_before, .prelude = by_socket,   \
     .victim = set_victim, .after = set_after, .barge = look_barge, .wait = look_at_dict, .timed = look_in_time},           \
    {.name = "manager, set by lane", .make = manager_make, .unmake = manager_unmake, .greet = warm_up, .before = set_before,                 \
     .prelude = by_lane, .victim = set_victim, .after = set_after, .barge = look_barge, .wait = look_at_dict,               \
     .timed = look_in_time},                                                                                                \
    {.name = "manager, batch", .make = manager_make, .unmake = manager_unmake, .greet = warm_up, .before = batch_before,                     \
     .prelude = by_socket, .victim = batch_victim, .after = batch_after, .barge = look_barge, .wait = batch_by_other,       \
     .timed = look_in_time},                                                                                                \
    {.name = "manager, lock", .make = manager_make, .unmake = manager_unmake, .greet = warm_up, .prelude = by_socket,                        \
     .victim = served_lock_victim, .after = served_lock_after, .barge = served_lock_barge, .unbarge = served_lock_unbarge,  \
     .wait = served_lock_use, .timed = served_lock_timed},                                                                  \
    SERVER_OPERATIONS("get", partner_looks), SERVER_OPERATIONS("set", partner_sets),                                        \
    SERVER_OPERATIONS("batch", partner_adds), SERVER_OPERATIONS("put", partner_puts),                                       \
    SERVER_OPERATIONS("take", partner_takes), SERVER_OPERATIONS("lock", partner_locks)
#endif
