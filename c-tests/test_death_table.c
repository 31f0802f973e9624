/*
 * The table of deaths in the header, row by row: what others see when a process dies that holds, waits, wakes, meets.
 * The rows are read from the header, and each has its case here; the same under load, and at every instruction:
 * test_death, test_sync_death, torture_step.
 */
#include "support.h"

static struct shared {
    flag up, passed;
    int64_t number;
} *shared;
static carom_lock *lock;
static carom_value *value;
static carom_array *array;
static carom_semaphore *semaphore;
static carom_condition *condition;
static carom_event *event;
static carom_barrier *barrier;
static carom_connection *ends[2];
static carom_queue *queue;

/* A child that does something and is then killed: before it does it again and again, or while it rests. */
static void (*act)(void);
static int32_t acts_and_rests(carom_call *call) {
    (void)call;
    act();
    flag_add(&shared->up, 1);
    for (;;) pause();
    return 0;
}
static int32_t acts_all_the_time(carom_call *call) {
    (void)call;
    flag_add(&shared->up, 1);
    for (;;) act();
    return 0;
}
static int32_t acts_once(carom_call *call) {
    (void)call;
    flag_add(&shared->up, 1);
    act();
    flag_add(&shared->passed, 1);
    return 0;
}
static int32_t acts_once_and_rests(carom_call *call) {
    acts_once(call);
    for (;;) pause();
    return 0;
}

static carom_process *started(carom_function function, void (*what)(void)) {
    carom_process *process = NULL;
    uint32_t up = atomic_load(&shared->up);
    act = what;
    CHECK_OK(carom_process_start(function, NULL, 0, NULL, &process));
    flag_await(&shared->up, up + 1);
    return process;
}
static void killed(carom_process *process) {
    CHECK_OK(carom_process_kill(process));
    CHECK_EQ(ended(process), -SIGKILL);
}
/* Dies with the act behind it. */
static void dies_after(void (*what)(void)) { killed(started(acts_and_rests, what)); }
/* Dies somewhere in the act, or between two. */
static void dies_at(void (*what)(void)) {
    static unsigned seed = 1;
    carom_process *process = started(acts_all_the_time, what);
    for (volatile int n = rand_r(&seed) % 50000; n > 0; n = n - 1) {}
    killed(process);
}
/* Two wait; one of them dies. The other. */
static carom_process *one_of_two_dies(void (*waits)(void)) {
    carom_process *two[2];
    for (int i = 0; i < 2; i++) two[i] = started(acts_once, waits);
    for (int i = 0; i < 2; i++) asleep_on_futex(carom_process_pid(two[i]));
    killed(two[0]);
    return two[1];
}

/* ------------------------------------------------------------------------------------------------------------ locks */

static void acquire(void) { CHECK_OK(carom_lock_acquire(lock, PATIENCE_MS)); }
static void use(void) {
    acquire();
    CHECK_OK(carom_lock_release(lock));
}
static void new_lock(int recursive, int ignores) {
    carom_lock_options options = {.size = sizeof options, .ignore_owner_death = (uint32_t)ignores};
    CHECK_OK((recursive ? carom_rlock_new : carom_lock_new)(&options, &lock));
}

static void lock_holds_it(void) {
    for (int recursive = 0; recursive < 2; recursive++) {
        new_lock(recursive, 0);
        dies_after(acquire);
        for (int i = 0; i < 3; i++) CHECK_STATUS(carom_lock_acquire(lock, CAROM_FOREVER), CAROM_EOWNERDEAD);
        CHECK_STATUS(carom_lock_release(lock), CAROM_EPERM); /* not holding it */
        CHECK_OK(carom_lock_recover(lock, 0));
        CHECK_OK(carom_lock_release(lock));
        use();
        carom_lock_free(lock);
        new_lock(recursive, 1);
        dies_after(acquire);
        use();
        carom_lock_free(lock);
    }
}
static void lock_waits(void) {
    for (int recursive = 0; recursive < 2; recursive++) {
        new_lock(recursive, 0);
        acquire();
        carom_process *other = one_of_two_dies(use);
        CHECK_OK(carom_lock_release(lock));
        CHECK_EQ(ended(other), 0);
        carom_lock_free(lock);
    }
}
static void lock_releases_it(void) {
    for (int round = 0; round < 40; round++) {
        new_lock(round % 2, 0);
        dies_at(use);
        carom_status status = carom_lock_acquire(lock, CAROM_FOREVER);
        CHECK(status == CAROM_OK || status == CAROM_EOWNERDEAD);
        if (status == CAROM_EOWNERDEAD) CHECK_OK(carom_lock_recover(lock, 0));
        CHECK_OK(carom_lock_release(lock));
        carom_lock_free(lock);
    }
}

/* --------------------------------------------------------------------------------------------------- values, arrays */

static void half_changes(void) {
    CHECK_OK(carom_value_lock(value, 0));
    CHECK_OK(carom_array_lock(array, 0));
    ((int64_t *)carom_value_data(value))[0] = 7;
    ((int64_t *)carom_array_data(array))[0] = 7;
}
static void value_holds_the_lock(void) {
    int64_t two[2] = {0, 0};
    carom_value *copy = NULL;
    CHECK_OK(carom_value_new(CAROM_RAW, two, sizeof two, NULL, &value));
    CHECK_OK(carom_array_new(CAROM_I64, 0, 2, two, NULL, &array));
    dies_after(half_changes);
    CHECK_STATUS(carom_value_lock(value, CAROM_FOREVER), CAROM_EOWNERDEAD);
    CHECK_STATUS(carom_value_get(value, two, sizeof two, 0), CAROM_EOWNERDEAD);
    CHECK_STATUS(carom_value_set(value, two, sizeof two, 0), CAROM_EOWNERDEAD);
    CHECK_STATUS(carom_value_copy(value, &copy, 0), CAROM_EOWNERDEAD);
    CHECK_STATUS(carom_array_lock(array, CAROM_FOREVER), CAROM_EOWNERDEAD);
    CHECK_STATUS(carom_array_get(array, 0, 2, two, sizeof two, 0), CAROM_EOWNERDEAD);
    CHECK_STATUS(carom_array_set(array, 0, two, sizeof two, 0), CAROM_EOWNERDEAD);
    CHECK_OK(carom_value_recover(value, 0));
    CHECK_OK(carom_value_get(value, two, sizeof two, 0));
    CHECK(two[0] == 7 && two[1] == 0); /* as it left them */
    CHECK_OK(carom_value_unlock(value));
    CHECK_OK(carom_array_recover(array, 0));
    CHECK_OK(carom_array_get(array, 0, 2, two, sizeof two, 0));
    CHECK(two[0] == 7 && two[1] == 0);
    CHECK_OK(carom_array_unlock(array));
}
static void changes(void) { /* always the same number in both halves */
    int64_t before = 0, seen = 0;
    CHECK_OK(carom_value_add(value, 0x100000001, &before));
    CHECK_OK(carom_value_swap(value, before + 0x100000001, before, &seen));
    CHECK_OK(carom_value_store(value, before + 0x300000003));
}
static void value_adds(void) {
    for (int round = 0; round < 40; round++) {
        int64_t number;
        CHECK_OK(carom_value_new(CAROM_I64, NULL, 0, NULL, &value));
        dies_at(changes);
        CHECK_OK(carom_value_load(value, &number));
        CHECK_EQ(number >> 32, number & 0xffffffff);
        CHECK_OK(carom_value_lock(value, 0)); /* nobody has the lock */
        carom_value_free(value);
    }
}

/* ------------------------------------------------------------------------------------------------------- semaphores */

static void new_semaphore(int64_t units, int owned) {
    carom_semaphore_options options = {.size = sizeof options, .owned = (uint32_t)owned};
    CHECK_OK(carom_semaphore_new(units, &options, &semaphore));
}
static void take(void) { CHECK_OK(carom_semaphore_acquire(semaphore, PATIENCE_MS)); }
static void take_and_give(void) {
    take();
    CHECK_OK(carom_semaphore_release(semaphore));
}
static void semaphore_plain(void) {
    new_semaphore(3, 0);
    dies_after(take);
    CHECK_EQ(carom_semaphore_value(semaphore), 2);
}
static void semaphore_owned(void) {
    new_semaphore(1, 1);
    carom_process *holder = started(acts_and_rests, take), *waiter = started(acts_once, take_and_give);
    asleep_on_futex(carom_process_pid(waiter));
    killed(holder);
    CHECK_EQ(ended(waiter), 0);
    CHECK_EQ(carom_semaphore_value(semaphore), 1);
}
static void semaphore_waits(void) {
    for (int owned = 0; owned < 2; owned++) {
        new_semaphore(1, owned);
        take();
        carom_process *other = one_of_two_dies(take_and_give);
        CHECK_OK(carom_semaphore_release(semaphore));
        CHECK_EQ(ended(other), 0);
        CHECK_EQ(carom_semaphore_value(semaphore), 1);
        carom_semaphore_free(semaphore);
    }
}
static void semaphore_releases(void) {
    for (int round = 0; round < 40; round++) {
        new_semaphore(1, round % 2);
        dies_at(take_and_give);
        int64_t left = carom_semaphore_value(semaphore);
        CHECK(round % 2 ? left == 1 : left == 0 || left == 1); /* as if it had it: owned, it is back */
        if (left == 1) take_and_give();
        carom_semaphore_free(semaphore);
    }
}

/* ------------------------------------------------------------------------------------------------------- conditions */

static void new_condition(int given) {
    lock = NULL;
    if (given) CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_OK(carom_condition_new(lock, &condition));
    shared->number = 0;
}
static void hold(void) { CHECK_OK(carom_condition_acquire(condition, PATIENCE_MS)); }
static void hold_and_notify(void) {
    hold();
    CHECK_OK(carom_condition_notify(condition, 1));
}
/* Waits until it is told of the death, or of the number; the lock is held in either case. */
static void await_number(void) {
    carom_status status = CAROM_OK;
    hold();
    while (status == CAROM_OK && shared->number == 0) status = carom_condition_wait(condition, PATIENCE_MS);
    if (status == CAROM_EOWNERDEAD) shared->number++;
    else CHECK_OK(status);
    CHECK_OK(carom_condition_notify_all(condition)); /* it is held */
    CHECK_OK(carom_condition_release(condition));
}
static void holder_dies(void (*what)(void)) {
    for (int given = 0; given < 2; given++) {
        carom_process *waiters[3];
        new_condition(given);
        for (int i = 0; i < 3; i++) waiters[i] = started(acts_once, await_number);
        for (int i = 0; i < 3; i++) asleep_on_futex(carom_process_pid(waiters[i]));
        dies_after(what);
        for (int i = 0; i < 3; i++) CHECK_EQ(ended(waiters[i]), 0);
        CHECK_EQ(shared->number, 1); /* one of them got the status, and recovered it for all */
        CHECK_OK(carom_condition_acquire(condition, 0));
        CHECK_OK(carom_condition_release(condition));
        dies_after(hold); /* nobody waits: as a lock */
        CHECK_STATUS(carom_condition_acquire(condition, CAROM_FOREVER), CAROM_EOWNERDEAD);
        CHECK_OK(carom_condition_recover(condition, 0));
        carom_condition_free(condition);
    }
}
static void condition_holds(void) { holder_dies(hold); }
static void condition_notifies(void) { holder_dies(hold_and_notify); }
static void condition_waits(void) {
    for (int given = 0; given < 2; given++) {
        new_condition(given);
        carom_process *other = one_of_two_dies(await_number);
        hold();
        shared->number = 1;
        CHECK_OK(carom_condition_notify(condition, 1));
        CHECK_OK(carom_condition_release(condition));
        CHECK_EQ(ended(other), 0);
        carom_condition_free(condition);
    }
}

/* ----------------------------------------------------------------------------------------------------------- events */

static void await(void) { CHECK_OK(carom_event_wait(event, PATIENCE_MS)); }
static void set(void) { CHECK_OK(carom_event_set(event)); }
static void event_sets(void) {
    for (int round = 0; round < 40; round++) {
        CHECK_OK(carom_event_new(&event));
        carom_process *waiter = started(acts_once, await);
        if (round % 2) asleep_on_futex(carom_process_pid(waiter));
        dies_at(set);
        if (carom_event_is_set(event) == 0) set();
        CHECK_EQ(ended(waiter), 0);
        carom_event_free(event);
    }
}
static void event_waits(void) {
    CHECK_OK(carom_event_new(&event));
    carom_process *other = one_of_two_dies(await);
    set();
    CHECK_EQ(ended(other), 0);
}

/* --------------------------------------------------------------------------------------------------------- barriers */

static void meet(void) { CHECK(carom_barrier_wait(barrier, PATIENCE_MS) >= 0); }
static void come_to_a_broken_one(void) { CHECK_STATUS((carom_status)carom_barrier_wait(barrier, PATIENCE_MS), CAROM_EBROKEN); }
static int32_t dies(carom_call *call) { return (void)call, raise(SIGKILL); }
static void is_broken_until_reset(carom_process *waiter) {
    CHECK_EQ(ended(waiter), 0);
    come_to_a_broken_one();
    CHECK_EQ(carom_barrier_broken(barrier), 1);
    CHECK_OK(carom_barrier_reset(barrier));
    CHECK_EQ(carom_barrier_broken(barrier), 0);
    carom_barrier_free(barrier);
}
static void barrier_is_there(void) {
    CHECK_OK(carom_barrier_new(3, NULL, &barrier));
    is_broken_until_reset(one_of_two_dies(come_to_a_broken_one));
    carom_barrier_options options = {.size = sizeof options, .action = dies};
    CHECK_OK(carom_barrier_new(2, &options, &barrier));
    carom_process *waiter = started(acts_once, come_to_a_broken_one);
    asleep_on_futex(carom_process_pid(waiter));
    CHECK_EQ(ended(started(acts_once, meet)), -SIGKILL); /* of the action */
    is_broken_until_reset(waiter);
}
static void knows_it(void) { CHECK_EQ(carom_barrier_parties(barrier), 2); }
static void barrier_not_come(void) {
    CHECK_OK(carom_barrier_new(2, NULL, &barrier));
    carom_process *waiter = started(acts_once, meet);
    asleep_on_futex(carom_process_pid(waiter));
    dies_after(knows_it);
    CHECK_EQ(carom_barrier_broken(barrier), 0);
    CHECK_EQ(carom_barrier_waiting(barrier), 1);
    meet();
    CHECK_EQ(ended(waiter), 0);
}
static void barrier_has_left(void) {
    CHECK_OK(carom_barrier_new(2, NULL, &barrier));
    for (uint32_t round = 0; round < 3; round++) {
        carom_process *leaver = started(acts_once_and_rests, meet);
        meet();
        flag_await(&shared->passed, round + 1);
        killed(leaver);
        CHECK_EQ(carom_barrier_broken(barrier), 0);
    }
}

/* ---------------------------------------------------------------------------------------------------- pipes, queues */

/* Numbers in a row, from whatever takes them: `shared->number` is the last one of the child. */
static void send_next(void) {
    int64_t next = shared->number + 1;
    CHECK_OK(carom_connection_send(ends[0], &next, sizeof next, CAROM_FOREVER));
    shared->number = next;
}
static carom_status received(int which, int64_t *number, int64_t timeout_ms) {
    size_t len = 0;
    carom_status status = carom_connection_recv(ends[which], number, sizeof *number, &len, timeout_ms);
    if (status == CAROM_OK) CHECK_EQ(len, sizeof *number);
    return status;
}
static void receive_next(void) {
    int64_t number;
    CHECK_OK(received(1, &number, CAROM_FOREVER));
    CHECK_EQ(number, shared->number + 1);
    shared->number = number;
}
static int32_t sends_three(carom_call *call) {
    CHECK_OK(carom_call_connection(call, 0, &ends[0]));
    for (int i = 0; i < 3; i++) send_next();
    flag_add(&shared->up, 1);
    for (;;) pause();
    return 0;
}
static void given(carom_function function, void *handle) {
    carom_argument argument = CAROM_HANDLE(handle);
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(function, &argument, 1, NULL, &process));
    if (handle == queue) CHECK_OK(carom_queue_close(queue));
    else carom_connection_free(handle);
    flag_await(&shared->up, 1);
    killed(process);
}
static void pipe_sends(void) {
    for (int round = 0; round < 20; round++) {
        int64_t number, count = 0;
        shared->number = 0;
        CHECK_OK(carom_pipe_new(NULL, &ends[0], &ends[1]));
        dies_at(send_next);
        while (received(1, &number, 0) == CAROM_OK) CHECK_EQ(number, ++count);
        CHECK(count == shared->number || count == shared->number + 1);
        for (int i = 0; i < 2; i++) carom_connection_free(ends[i]);
    }
}
static void pipe_receives(void) {
    for (int round = 0; round < 20; round++) {
        int64_t number, count = 0;
        shared->number = 0;
        CHECK_OK(carom_pipe_new(NULL, &ends[0], &ends[1]));
        do number = count + 1;
        while (carom_connection_send(ends[0], &number, sizeof number, 0) == CAROM_OK && ++count);
        dies_at(receive_next);
        int64_t next = shared->number + 1;
        carom_status status = received(1, &number, 0);
        if (status == CAROM_OK) CHECK(number == next || number == next + 1);
        else CHECK(next >= count);
        for (int i = 0; i < 2; i++) carom_connection_free(ends[i]);
    }
}
static void pipe_last_one(void) {
    int64_t number;
    CHECK_OK(carom_pipe_new(NULL, &ends[0], &ends[1]));
    given(sends_three, ends[0]);
    for (int i = 1; i <= 3; i++) {
        CHECK_OK(received(1, &number, 0));
        CHECK_EQ(number, i);
    }
    CHECK_STATUS(received(1, &number, CAROM_FOREVER), CAROM_ECLOSED);
    CHECK_STATUS(carom_connection_send(ends[1], "x", 1, CAROM_FOREVER), CAROM_ECLOSED);
    carom_connection_free(ends[1]);
}

static void put_next(void) {
    int64_t next = shared->number + 1;
    CHECK_OK(carom_queue_put(queue, &next, sizeof next, CAROM_FOREVER));
    shared->number = next;
}
static carom_status got(int64_t *number, int64_t timeout_ms) {
    return carom_queue_get(queue, number, sizeof *number, NULL, timeout_ms);
}
static void get_next(void) {
    int64_t number;
    CHECK_OK(got(&number, CAROM_FOREVER));
    CHECK_EQ(number, shared->number + 1);
    shared->number = number;
}
static void get_any(void) {
    int64_t number;
    CHECK_OK(got(&number, CAROM_FOREVER));
}
static int32_t puts_three(carom_call *call) {
    CHECK_OK(carom_call_queue(call, 0, &queue));
    for (int i = 0; i < 3; i++) put_next();
    flag_add(&shared->up, 1);
    for (;;) pause();
    return 0;
}
static void queue_puts(void) {
    for (int round = 0; round < 20; round++) {
        int64_t number, count = 0;
        shared->number = 0;
        CHECK_OK(carom_queue_new(NULL, &queue));
        dies_at(put_next);
        while (got(&number, 0) == CAROM_OK) CHECK_EQ(number, ++count);
        CHECK(count == shared->number || count == shared->number + 1);
        carom_queue_free(queue);
    }
}
static void queue_gets(void) {
    for (int round = 0; round < 20; round++) {
        enum { COUNT = 200000 };
        int64_t number = 0;
        shared->number = 0;
        CHECK_OK(carom_queue_new(NULL, &queue));
        while (number++ < COUNT) CHECK_OK(carom_queue_put(queue, &number, sizeof number, 0));
        dies_at(get_next);
        int64_t next = shared->number + 1;
        carom_status status = got(&number, 0);
        if (status == CAROM_OK) CHECK(number == next || number == next + 1);
        else CHECK(next >= COUNT);
        carom_queue_free(queue);
    }
}
static void queue_waits(void) {
    int64_t number = 1;
    CHECK_OK(carom_queue_new(NULL, &queue));
    carom_process *other = one_of_two_dies(get_any);
    CHECK_OK(carom_queue_put(queue, &number, sizeof number, 0));
    CHECK_EQ(ended(other), 0);
    carom_queue_free(queue);
}
static void queue_reserves(void) {
    carom_message message = {.size = sizeof message};
    CHECK_OK(carom_queue_reserve(queue, 1000, &message));
}
static void queue_reserved(void) {
    CHECK_OK(carom_queue_new(NULL, &queue));
    carom_arena_info before = {.size = sizeof before}, after = before;
    CHECK_OK(carom_arena_check(&before));
    killed(started(acts_and_rests, queue_reserves));
    CHECK_EQ(carom_queue_size(queue), 0);
    for (int64_t until = now_ms() + PATIENCE_MS;;) {
        CHECK_OK(carom_arena_check(&after));
        if (after.objects <= before.objects && after.blocks <= before.blocks) break;
        CHECK(now_ms() < until);
        sched_yield();
    }
    carom_queue_free(queue);
}
static void queue_leases(void) {
    carom_message message = {.size = sizeof message};
    CHECK_OK(carom_queue_peek(queue, &message, PATIENCE_MS));
}
static void queue_leased(void) {
    carom_message message = {.size = sizeof message};
    CHECK_OK(carom_queue_new(NULL, &queue));
    CHECK_OK(carom_queue_put(queue, "1", 1, 0));
    CHECK_OK(carom_queue_put(queue, "2", 1, 0));
    killed(started(acts_and_rests, queue_leases));
    CHECK_OK(carom_queue_peek(queue, &message, PATIENCE_MS));
    CHECK_EQ(*(char *)message.data, '1');
    CHECK_EQ(message.deliveries, 2);
    CHECK_OK(carom_queue_consume(queue, &message));
    CHECK_EQ(carom_queue_size(queue), 1);
    carom_queue_free(queue);
}
static void queue_last_one(void) {
    int64_t number;
    CHECK_OK(carom_queue_new(NULL, &queue));
    given(puts_three, queue);
    for (int i = 1; i <= 3; i++) {
        CHECK_OK(got(&number, 0));
        CHECK_EQ(number, i);
    }
    CHECK_STATUS(got(&number, CAROM_FOREVER), CAROM_ECLOSED);
    carom_queue_free(queue);
}
static void queue_not_done(void) {
    int64_t number = 1;
    CHECK_OK(carom_joinable_queue_new(NULL, &queue));
    CHECK_OK(carom_queue_put(queue, &number, sizeof number, 0));
    dies_after(get_any);
    CHECK_STATUS(carom_queue_join(queue, CAROM_FOREVER), CAROM_EWORKERLOST);
    CHECK_OK(carom_queue_task_done(queue));
    CHECK_OK(carom_queue_join(queue, CAROM_FOREVER));
    carom_queue_free(queue);
}

/* -------------------------------------------------------------------------------------------------------- the table */

static const struct row {
    const char *noun, *death;
    void (*body)(void);
} rows[] = {
    {"lock, recursive", "holds it", lock_holds_it},
    {"lock, recursive", "waits", lock_waits},
    {"lock, recursive", "releases it", lock_releases_it},
    {"value, array", "holds the lock", value_holds_the_lock},
    {"value, array", "adds, swaps, stores", value_adds},
    {"semaphore", "has units, plain", semaphore_plain},
    {"semaphore", "has units, owned", semaphore_owned},
    {"semaphore", "waits", semaphore_waits},
    {"semaphore", "releases a unit", semaphore_releases},
    {"condition", "holds the lock", condition_holds},
    {"condition", "notifies", condition_notifies},
    {"condition", "waits", condition_waits},
    {"event", "sets it", event_sets},
    {"event", "waits", event_waits},
    {"barrier", "is there, or runs the action", barrier_is_there},
    {"barrier", "has not come yet", barrier_not_come},
    {"barrier", "has left", barrier_has_left},
    {"pipe", "sends", pipe_sends},
    {"pipe", "receives", pipe_receives},
    {"pipe", "was the last one at its end", pipe_last_one},
    {"queue", "puts", queue_puts},
    {"queue", "gets", queue_gets},
    {"queue", "waits", queue_waits},
    {"queue", "reserved a message", queue_reserved},
    {"queue", "leased a message", queue_leased},
    {"queue", "was the last one who could put", queue_last_one},
    {"queue", "got a task that is not done", queue_not_done},
};
enum { ROWS = sizeof rows / sizeof *rows };

static void append(char *to, size_t size, const char *text, size_t len) {
    while (len > 0 && text[len - 1] == ' ') len--;
    if (len == 0) return;
    size_t at = strlen(to);
    CHECK(at + len + 2 < size);
    if (at > 0) to[at++] = ' ';
    memcpy(to + at, text, len);
    to[at + len] = 0;
}

/* The table's cells go on in the next line where the text of the third does not begin anew: a row begins with its death. */
static void the_header_says_so(void) {
    const char *path = getenv("CAROM_HEADER") ? getenv("CAROM_HEADER") : "include/carom.h";
    char line[512], noun[64] = "", death[64] = "";
    int found = 0, in_table = 0;
    FILE *file = fopen(path, "re");
    CHECK(file != NULL);
    while (fgets(line, sizeof line, file) && found <= ROWS) {
        char *first = strchr(line, '|'), *second = first ? strchr(first + 1, '|') : NULL;
        char *third = second ? strchr(second + 1, '|') : NULL;
        if (strstr(line, "what the dead one did")) in_table = 1;
        else if (in_table && !third) break;
        if (!in_table || strstr(line, "what the dead one did") || strstr(line, "|--")) continue;
        size_t noun_len = (size_t)(second - first) - 2, death_len = (size_t)(third - second) - 2;
        int begins_noun = strspn(first + 2, " ") < noun_len, begins = strspn(second + 2, " ") < death_len;
        int goes_on = found > 0 && begins && strcmp(rows[found - 1].noun, noun) == 0 && strcmp(rows[found - 1].death, death) != 0;
        if (begins_noun && !(found > 0 && noun[strlen(noun) - 1] == ',')) noun[0] = 0;
        if (begins_noun) append(noun, sizeof noun, first + 2, noun_len);
        if (!begins) continue;
        if (!goes_on) death[0] = 0, found++;
        append(death, sizeof death, second + 2, death_len);
        CHECK(found <= ROWS);
        CHECK(strncmp(rows[found - 1].noun, noun, strlen(noun)) == 0);
        CHECK(strncmp(rows[found - 1].death, death, strlen(death)) == 0);
    }
    fclose(file);
    CHECK_EQ(found, ROWS);
    CHECK(strcmp(rows[ROWS - 1].death, death) == 0);
}

int main(void) {
    the_header_says_so();
    for (int i = 0; i < ROWS; i++) {
        shared = share(sizeof *shared);
        run_case_(rows[i].death, rows[i].body);
    }
    return 0;
}
