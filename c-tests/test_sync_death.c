/* Deaths at semaphores, conditions, events and barriers: of waiters, holders, notifiers, setters, parties, keepers. */
#include "support.h"

#define WAITERS 6
#define ACTORS 4
#define ROUNDS 250 /* of each of four primitives */

struct shared {
    flag go, up, woken, dead_owner, stop, progress[ACTORS];
    int64_t plain;
};
static struct shared *shared;
static carom_lock *lock;
static carom_semaphore *semaphore;
static carom_condition *condition;
static carom_event *event;
static carom_barrier *barrier;

static carom_process *start_with(carom_function function, int64_t number) {
    carom_process *process = NULL;
    carom_argument argument = CAROM_INTEGER(number);
    CHECK_OK(carom_process_start(function, &argument, 1, NULL, &process));
    return process;
}
static carom_process *start(carom_function function) { return start_with(function, 0); }

static int64_t number_of(carom_call *call) {
    int64_t number = 0;
    CHECK_OK(carom_call_read(call, 0, &number, sizeof number));
    return number;
}

static void start_waiters(carom_function function, carom_process **waiters, int count) {
    for (int i = 0; i < count; i++) waiters[i] = start(function);
    for (int i = 0; i < count; i++) asleep_on_futex(carom_process_pid(waiters[i]));
}

static void killed(carom_process *process) {
    CHECK_OK(carom_process_kill(process));
    CHECK_EQ(ended(process), -SIGKILL);
}

static void kill_keeper(void) {
    pid_t pid = keeper();
    int fd = pidfd_of(pid);
    CHECK_EQ(kill(pid, SIGKILL), 0);
    readable(fd);
    close(fd);
}

/* -------------------------------------------------------------------------------------------------------- semaphores */

static int32_t takes_one(carom_call *call) {
    (void)call;
    CHECK_OK(carom_semaphore_acquire(semaphore, CAROM_FOREVER));
    flag_add(&shared->woken, 1);
    for (;;) pause();
    return 0;
}

static int32_t takes_some(carom_call *call) {
    for (int64_t n = number_of(call); n > 0; n--) CHECK_OK(carom_semaphore_acquire(semaphore, 0));
    flag_add(&shared->up, 1);
    for (;;) pause();
    return 0;
}

/* The wake may have gone to one that dies of it. */
static void a_waiter_for_units_dies(void) {
    CHECK_OK(carom_semaphore_new(0, NULL, &semaphore));
    for (int round = 0; round < 20; round++) {
        carom_process *waiters[WAITERS];
        atomic_store(&shared->woken, 0);
        start_waiters(takes_one, waiters, WAITERS);
        if (round % 3 == 2) kill_keeper();
        if (round % 2) CHECK_OK(carom_semaphore_release(semaphore));
        for (int i = 0; i < WAITERS / 2; i++) CHECK_OK(carom_process_kill(waiters[i]));
        for (int i = 0; i < WAITERS / 2; i++) CHECK_OK(carom_semaphore_release(semaphore));
        if (round % 2 == 0) CHECK_OK(carom_semaphore_release(semaphore));
        /* One unit more than there are survivors: whatever a dead one took with it, at most one is missing. */
        for (int i = 0; i < WAITERS / 2; i++) CHECK_EQ(ended(waiters[i]), -SIGKILL);
        while (atomic_load(&shared->woken) + carom_semaphore_value(semaphore) < WAITERS / 2) sched_yield();
        for (int i = WAITERS / 2; i < WAITERS; i++) CHECK_OK(carom_semaphore_release(semaphore));
        for (int i = WAITERS / 2; i < WAITERS; i++) asleep_in(carom_process_pid(waiters[i]), carom_process_pid(waiters[i]), SYS_pause);
        for (int i = WAITERS / 2; i < WAITERS; i++) killed(waiters[i]);
        while (carom_semaphore_acquire(semaphore, 0) == CAROM_OK) {}
    }
    carom_semaphore_free(semaphore);
}

static void owned_units_come_back(void) {
    for (int keepers_die = 0; keepers_die < 2; keepers_die++) {
        carom_semaphore_options options = {.size = sizeof options, .owned = 1};
        carom_process *waiters[3];
        CHECK_OK(carom_semaphore_new(10, &options, &semaphore));
        CHECK_OK(carom_semaphore_acquire(semaphore, 0));
        atomic_store(&shared->up, 0), atomic_store(&shared->woken, 0);
        carom_process *one = start_with(takes_some, 2), *two = start_with(takes_some, 7);
        flag_await(&shared->up, 2);
        CHECK_EQ(carom_semaphore_value(semaphore), 0);
        start_waiters(takes_one, waiters, 3);
        if (keepers_die) kill_keeper();
        CHECK_OK(carom_process_kill(one)); /* two units for three waiters; nobody joins yet */
        flag_await(&shared->woken, 2);
        if (keepers_die) kill_keeper();
        CHECK_OK(carom_process_kill(two));
        flag_await(&shared->woken, 3);
        CHECK_EQ(ended(one), -SIGKILL);
        CHECK_EQ(ended(two), -SIGKILL);
        CHECK_EQ(carom_semaphore_value(semaphore), 10 - 1 - 3);
        for (int i = 0; i < 3; i++) killed(waiters[i]);
        CHECK_EQ(carom_semaphore_value(semaphore), 9);
        CHECK_OK(carom_semaphore_release(semaphore));
        CHECK_STATUS(carom_semaphore_release(semaphore), CAROM_EPERM);
        CHECK_EQ(carom_semaphore_value(semaphore), 10);
        carom_semaphore_free(semaphore);
    }
}

static int32_t takes_and_leaves(carom_call *call) {
    (void)call;
    CHECK_OK(carom_semaphore_acquire(semaphore, 0));
    return 3;
}

static void plain_units_do_not(void) {
    CHECK_OK(carom_bounded_semaphore_new(3, NULL, &semaphore));
    CHECK_EQ(outcome_of(takes_and_leaves, NULL, 0), 3);
    CHECK_EQ(carom_semaphore_value(semaphore), 2);
    CHECK_OK(carom_semaphore_release(semaphore)); /* anybody may give them back */
    CHECK_STATUS(carom_semaphore_release(semaphore), CAROM_EPERM);
    carom_semaphore_free(semaphore);
}

/* --------------------------------------------------------------------------------------------------------- conditions */

static void new_condition(int kind) { /* 0: over its own, 1: over a plain one, 2: over a recursive one */
    lock = NULL;
    if (kind == 1) CHECK_OK(carom_lock_new(NULL, &lock));
    if (kind == 2) CHECK_OK(carom_rlock_new(NULL, &lock));
    CHECK_OK(carom_condition_new(lock, &condition));
    carom_lock_free(lock);
    atomic_store(&shared->up, 0), atomic_store(&shared->woken, 0), atomic_store(&shared->dead_owner, 0);
    atomic_store(&shared->go, 0);
}

static int32_t waits_and_holds(carom_call *call) {
    int levels = (int)number_of(call);
    for (int i = 0; i < levels; i++) CHECK_OK(carom_condition_acquire(condition, CAROM_FOREVER));
    flag_add(&shared->up, 1);
    carom_status status;
    do status = carom_condition_wait(condition, CAROM_FOREVER); /* may wake for a death somewhere */
    while (status == CAROM_OK && !atomic_load(&shared->go));
    if (status == CAROM_EOWNERDEAD) flag_add(&shared->dead_owner, 1);
    else CHECK_OK(status);
    /* Whatever it said, the lock is held, as often as before. */
    int64_t seen = shared->plain;
    sched_yield();
    shared->plain = seen + 1;
    CHECK_OK(carom_condition_notify(condition, 0));
    for (int i = 0; i < levels; i++) CHECK_OK(carom_condition_release(condition));
    CHECK_STATUS(carom_condition_notify(condition, 0), CAROM_EPERM);
    flag_add(&shared->woken, 1);
    return 40;
}

static int32_t dies_holding(carom_call *call) {
    (void)call;
    CHECK_OK(carom_condition_acquire(condition, CAROM_FOREVER));
    flag_add(&shared->go, 1);
    for (;;) pause();
    return 0;
}

static int32_t dies_notifying(carom_call *call) {
    (void)call;
    CHECK_OK(carom_condition_acquire(condition, CAROM_FOREVER));
    CHECK_OK(carom_condition_notify(condition, 2));
    flag_add(&shared->go, 1);
    for (;;) pause();
    return 0;
}

static void holder_dies_while_others_wait(carom_function dies, int keeper_too) {
    for (int kind = 0; kind < 3; kind++) {
        carom_process *waiters[WAITERS];
        new_condition(kind);
        shared->plain = 0;
        for (int i = 0; i < WAITERS; i++) waiters[i] = start_with(waits_and_holds, kind == 1 ? 1 : 1 + i % 3);
        flag_await(&shared->up, WAITERS);
        for (int i = 0; i < WAITERS; i++) asleep_on_futex(carom_process_pid(waiters[i]));
        carom_process *holder = start(dies);
        flag_await(&shared->go, 1);
        if (keeper_too) kill_keeper();
        CHECK_OK(carom_process_kill(holder));
        for (int i = 0; i < WAITERS; i++) CHECK_EQ(ended(waiters[i]), 40);
        CHECK(atomic_load(&shared->dead_owner) >= 1);
        CHECK_EQ(shared->plain, WAITERS);
        CHECK_EQ(ended(holder), -SIGKILL);
        CHECK_OK(carom_condition_acquire(condition, 0)); /* the mark is gone */
        CHECK_OK(carom_condition_release(condition));
        carom_condition_free(condition);
    }
}
static void holder_of_a_condition_dies(void) { holder_dies_while_others_wait(dies_holding, 0); }
static void notifier_dies(void) { holder_dies_while_others_wait(dies_notifying, 0); }
static void holder_and_keeper_die(void) { holder_dies_while_others_wait(dies_holding, 1); }

/* Nobody waits: then it is acquire that says so, and recover that mends it. */
static void nobody_waits(void) {
    for (int kind = 0; kind < 3; kind++) {
        new_condition(kind);
        carom_process *holder = start(dies_holding);
        flag_await(&shared->go, 1);
        killed(holder);
        CHECK_STATUS(carom_condition_acquire(condition, CAROM_FOREVER), CAROM_EOWNERDEAD);
        CHECK_STATUS(carom_condition_notify_all(condition), CAROM_EPERM);
        CHECK_OK(carom_condition_recover(condition, 0));
        CHECK_OK(carom_condition_notify_all(condition));
        CHECK_OK(carom_condition_release(condition));
        CHECK_OK(carom_condition_acquire(condition, 0));
        CHECK_OK(carom_condition_release(condition));
        carom_condition_free(condition);
    }
}

static void waiters_of_a_condition_die(void) {
    for (int kind = 0; kind < 3; kind++) {
        carom_process *waiters[WAITERS];
        new_condition(kind);
        for (int i = 0; i < WAITERS; i++) waiters[i] = start_with(waits_and_holds, 1);
        flag_await(&shared->up, WAITERS);
        CHECK_OK(carom_condition_acquire(condition, PATIENCE_MS));
        for (int i = 0; i < WAITERS / 2; i++) CHECK_OK(carom_process_kill(waiters[i]));
        flag_add(&shared->go, 1);
        CHECK_OK(carom_condition_notify(condition, WAITERS)); /* some of these wakes go to the dead */
        CHECK_OK(carom_condition_release(condition));
        for (int i = 0; i < WAITERS / 2; i++) {
            CHECK_OK(carom_process_join(waiters[i], PATIENCE_MS));
            carom_process_free(waiters[i]);
        }
        for (int i = WAITERS / 2; i < WAITERS; i++) CHECK_EQ(ended(waiters[i]), 40);
        carom_condition_free(condition);
    }
}

/* ------------------------------------------------------------------------------------------------------------- events */

static int32_t waits_for_event(carom_call *call) {
    (void)call;
    CHECK_OK(carom_event_wait(event, CAROM_FOREVER));
    return 41;
}
static int32_t sets_soon(carom_call *call) {
    volatile int64_t n = number_of(call);
    flag_add(&shared->up, 1);
    flag_await(&shared->go, 1);
    while (n > 0) n = n - 1;
    CHECK_OK(carom_event_set(event));
    for (;;) pause();
    return 0;
}

/* Killed about when it sets: either it is set, and then everybody hears of it, or it is not. */
static void setter_dies(void) {
    unsigned seed = 1;
    for (int round = 0; round < 60; round++) {
        carom_process *waiters[2];
        CHECK_OK(carom_event_new(&event));
        atomic_store(&shared->up, 0), atomic_store(&shared->go, 0);
        start_waiters(waits_for_event, waiters, 2);
        carom_process *setter = start_with(sets_soon, rand_r(&seed) % 2000);
        flag_await(&shared->up, 1);
        flag_add(&shared->go, 1);
        for (volatile int n = rand_r(&seed) % 20000; n > 0; n = n - 1) {}
        if (round % 10 == 9) kill_keeper();
        killed(setter);
        if (!carom_event_is_set(event)) CHECK_OK(carom_event_set(event));
        for (int i = 0; i < 2; i++) CHECK_EQ(ended(waiters[i]), 41);
        carom_event_free(event);
    }
}

static void waiters_for_an_event_die(void) {
    carom_process *waiters[WAITERS];
    CHECK_OK(carom_event_new(&event));
    start_waiters(waits_for_event, waiters, WAITERS);
    for (int i = 0; i < WAITERS; i += 2) CHECK_OK(carom_process_kill(waiters[i]));
    CHECK_OK(carom_event_set(event));
    CHECK_OK(carom_event_clear(event));
    for (int i = 1; i < WAITERS; i += 2) CHECK_EQ(ended(waiters[i]), 41);
    for (int i = 0; i < WAITERS; i += 2) {
        CHECK_OK(carom_process_join(waiters[i], PATIENCE_MS));
        carom_process_free(waiters[i]);
    }
    carom_event_free(event);
}

/* ----------------------------------------------------------------------------------------------------------- barriers */

/* Exits with 100 plus the index, or 50 if the barrier was broken. */
static int32_t meets(carom_call *call) {
    (void)call;
    int64_t answer = carom_barrier_wait(barrier, CAROM_FOREVER);
    if (answer < 0) CHECK_STATUS((carom_status)answer, CAROM_EBROKEN);
    return answer < 0 ? 50 : 100 + (int32_t)answer;
}
static int32_t meets_and_stays(carom_call *call) {
    (void)call;
    CHECK(carom_barrier_wait(barrier, CAROM_FOREVER) >= 0);
    flag_add(&shared->up, 1);
    for (;;) pause();
    return 0;
}
static int32_t stays_away(carom_call *call) {
    (void)call;
    CHECK_EQ(carom_barrier_parties(barrier), 4); /* it knows the barrier, and no more */
    flag_add(&shared->up, 1);
    for (;;) pause();
    return 0;
}
static int32_t dies_of_it(carom_call *call) {
    (void)call;
    flag_add(&shared->up, 1);
    if (atomic_load(&shared->go)) return 0;
    raise(SIGKILL);
    return 0;
}
static int32_t acts_for_ever(carom_call *call) {
    (void)call;
    flag_add(&shared->up, 1);
    if (atomic_load(&shared->go)) return 0;
    for (;;) pause();
    return 0;
}

static void new_barrier(int64_t parties, carom_function action) {
    carom_barrier_options options = {.size = sizeof options, .action = action};
    CHECK_OK(carom_barrier_new(parties, &options, &barrier));
    atomic_store(&shared->up, 0), atomic_store(&shared->go, 0);
}

static void is_whole(int parties) {
    carom_process *others[8];
    atomic_store(&shared->go, 1);
    start_waiters(meets, others, parties - 1);
    CHECK_EQ(carom_barrier_wait(barrier, PATIENCE_MS), parties - 1);
    for (int i = 0; i < parties - 1; i++) CHECK(ended(others[i]) >= 100);
}

static void party_dies_at_the_barrier(void) {
    for (int keepers_die = 0; keepers_die < 2; keepers_die++)
        for (int who = 0; who < 3; who++) {
            carom_process *parties[3];
            new_barrier(4, NULL);
            start_waiters(meets, parties, 3);
            if (keepers_die) kill_keeper();
            CHECK_OK(carom_process_kill(parties[who]));
            for (int i = 0; i < 3; i++)
                if (i != who) CHECK_EQ(ended(parties[i]), 50);
            CHECK_EQ(carom_barrier_broken(barrier), 1);
            CHECK_EQ(ended(parties[who]), -SIGKILL);
            CHECK_STATUS((carom_status)carom_barrier_wait(barrier, CAROM_FOREVER), CAROM_EBROKEN);
            CHECK_OK(carom_barrier_reset(barrier));
            is_whole(4);
            CHECK_EQ(carom_barrier_broken(barrier), 0);
            carom_barrier_free(barrier);
        }
}

/* Deaths of others are no business of the barrier: before they come, after they left, of whoever is no party. */
static void only_parties_break_it(void) {
    carom_process *parties[3], *left[3];
    new_barrier(4, NULL);
    carom_process *away = start(stays_away);
    flag_await(&shared->up, 1);
    start_waiters(meets, parties, 3);
    killed(away);
    CHECK_EQ(carom_barrier_broken(barrier), 0);
    CHECK_EQ(carom_barrier_waiting(barrier), 3);
    CHECK_EQ(carom_barrier_wait(barrier, PATIENCE_MS), 3);
    for (int i = 0; i < 3; i++) CHECK(ended(parties[i]) >= 100);
    /* Those who were at the meeting before this one. */
    start_waiters(meets_and_stays, left, 3);
    CHECK_EQ(carom_barrier_wait(barrier, PATIENCE_MS), 3);
    flag_await(&shared->up, 4);
    start_waiters(meets, parties, 3);
    for (int i = 0; i < 3; i++) killed(left[i]);
    CHECK_EQ(carom_barrier_broken(barrier), 0);
    CHECK_EQ(carom_barrier_waiting(barrier), 3);
    CHECK_EQ(carom_barrier_wait(barrier, PATIENCE_MS), 3);
    for (int i = 0; i < 3; i++) CHECK(ended(parties[i]) >= 100);
    /* And at one that was reset. */
    start_waiters(meets, parties, 2);
    for (int i = 0; i < 2; i++) CHECK_EQ(kill(carom_process_pid(parties[i]), SIGSTOP), 0);
    CHECK_OK(carom_barrier_reset(barrier));
    start_waiters(meets, left, 3);
    for (int i = 0; i < 2; i++) killed(parties[i]);
    CHECK_EQ(carom_barrier_broken(barrier), 0);
    CHECK_EQ(carom_barrier_wait(barrier, PATIENCE_MS), 3);
    for (int i = 0; i < 3; i++) CHECK(ended(left[i]) >= 100);
    carom_barrier_free(barrier);
}

static void party_dies_in_the_action(void) {
    for (int callers = 1; callers <= 3; callers++) {
        carom_process *parties[3];
        new_barrier(callers, dies_of_it);
        start_waiters(meets, parties, callers - 1);
        parties[callers - 1] = start(meets);
        for (int i = 0; i < callers - 1; i++) CHECK_EQ(ended(parties[i]), 50);
        CHECK_EQ(ended(parties[callers - 1]), -SIGKILL);
        CHECK_EQ(carom_barrier_broken(barrier), 1);
        CHECK_OK(carom_barrier_reset(barrier));
        is_whole(callers);
        carom_barrier_free(barrier);
    }
    /* Nobody waits but one who is no party: it hears of it all the same. */
    for (int keepers_die = 0; keepers_die < 2; keepers_die++) {
        new_barrier(1, acts_for_ever);
        carom_process *party = start(meets);
        flag_await(&shared->up, 1);
        carom_process *next = start(meets);
        asleep_on_futex(carom_process_pid(next));
        if (keepers_die) kill_keeper();
        CHECK_OK(carom_process_kill(party));
        CHECK_EQ(ended(next), 50);
        CHECK_EQ(ended(party), -SIGKILL);
        carom_barrier_free(barrier);
    }
}

/* ------------------------------------------------------------------------------------------- death at random, a lot */

static int32_t uses_units(carom_call *call) {
    int64_t me = number_of(call);
    while (!atomic_load(&shared->stop)) {
        CHECK_OK(carom_semaphore_acquire(semaphore, CAROM_FOREVER));
        CHECK_OK(carom_semaphore_release(semaphore));
        flag_add(&shared->progress[me], 1);
        usleep(20); /* whoever takes a unit again at once leaves none to others */
    }
    return 0;
}

static int32_t sets_and_waits(carom_call *call) {
    int64_t me = number_of(call);
    while (!atomic_load(&shared->stop)) {
        if (me % 2) {
            CHECK_OK(carom_event_set(event));
            CHECK_OK(carom_event_clear(event));
            if (atomic_load(&shared->progress[me]) % 8 == 0) usleep(50);
        } else {
            CHECK_OK(carom_event_wait(event, CAROM_FOREVER));
        }
        flag_add(&shared->progress[me], 1);
    }
    return 0;
}

static int32_t has_items(void *ctx) { return (void)ctx, shared->plain > 0 || atomic_load(&shared->stop); }
static int32_t puts_and_gets(carom_call *call) {
    int64_t me = number_of(call);
    while (!atomic_load(&shared->stop)) {
        carom_status status = carom_condition_acquire(condition, CAROM_FOREVER);
        if (status == CAROM_EOWNERDEAD) status = carom_condition_recover(condition, CAROM_FOREVER);
        CHECK_OK(status);
        if (me % 2) {
            if (shared->plain < 100) shared->plain++;
            CHECK_OK(carom_condition_notify(condition, 1));
        } else {
            do status = carom_condition_wait_for(condition, has_items, NULL, CAROM_FOREVER);
            while (status == CAROM_EOWNERDEAD);
            CHECK_OK(status);
            if (shared->plain > 0) shared->plain--;
        }
        CHECK_OK(carom_condition_release(condition));
        flag_add(&shared->progress[me], 1);
        if (me % 2) sched_yield();
    }
    return 0;
}

static int32_t meets_again(carom_call *call) {
    int64_t me = number_of(call);
    while (!atomic_load(&shared->stop)) {
        int64_t answer = carom_barrier_wait(barrier, CAROM_FOREVER);
        if (answer >= 0) flag_add(&shared->progress[me], 1);
        else {
            CHECK_STATUS((carom_status)answer, CAROM_EBROKEN);
            if (!atomic_load(&shared->stop) && carom_barrier_broken(barrier)) CHECK_OK(carom_barrier_reset(barrier));
        }
    }
    return 0;
}

/* After each death everybody goes on, the new one too. */
static void deaths(carom_function function, void (*let_go)(void)) {
    carom_process *actors[ACTORS];
    unsigned seed = 7;
    for (int i = 0; i < ACTORS; i++) actors[i] = start_with(function, i);
    for (int round = 0; round < ROUNDS; round++) {
        int who = rand_r(&seed) % ACTORS;
        for (volatile int n = rand_r(&seed) % 30000; n > 0; n = n - 1) {}
        CHECK_OK(carom_process_kill(actors[who]));
        if (round % 25 == 24) kill_keeper();
        if (round % 2) CHECK_EQ(ended(actors[who]), -SIGKILL);
        else carom_process_free(actors[who]); /* the keeper's affair alone */
        actors[who] = start_with(function, who);
        uint32_t seen[ACTORS];
        for (int i = 0; i < ACTORS; i++) seen[i] = atomic_load(&shared->progress[i]);
        for (int i = 0; i < ACTORS; i++) flag_await(&shared->progress[i], seen[i] + 2);
    }
    atomic_store(&shared->stop, 1);
    if (let_go) let_go();
    for (int i = 0; i < ACTORS; i++) CHECK_EQ(ended(actors[i]), 0);
    while (carom_process_children(NULL, 0) > 0) sched_yield(); /* those that nobody joined */
}

static void units_through_deaths(void) {
    carom_semaphore_options options = {.size = sizeof options, .owned = 1};
    CHECK_OK(carom_semaphore_new(2, &options, &semaphore));
    deaths(uses_units, NULL);
    /* The last death may be not repaired yet. */
    for (int i = 0; i < 2; i++) CHECK_OK(carom_semaphore_acquire(semaphore, PATIENCE_MS));
    CHECK_STATUS(carom_semaphore_acquire(semaphore, 0), CAROM_ETIMEDOUT);
    for (int i = 0; i < 2; i++) CHECK_OK(carom_semaphore_release(semaphore));
    CHECK_EQ(carom_semaphore_value(semaphore), 2);
    carom_semaphore_free(semaphore);
}

static void sets_for_good(void) { CHECK_OK(carom_event_set(event)); }
static void events_through_deaths(void) {
    CHECK_OK(carom_event_new(&event));
    deaths(sets_and_waits, sets_for_good);
    carom_event_free(event);
}

static void notifies_all(void) {
    carom_status status = carom_condition_acquire(condition, PATIENCE_MS);
    if (status == CAROM_EOWNERDEAD) status = carom_condition_recover(condition, PATIENCE_MS);
    CHECK_OK(status);
    CHECK_OK(carom_condition_notify_all(condition));
    CHECK_OK(carom_condition_release(condition));
}
static void conditions_through_deaths(void) {
    new_condition(0);
    deaths(puts_and_gets, notifies_all);
    carom_condition_free(condition);
}
static void plain_conditions_through_deaths(void) {
    new_condition(1);
    deaths(puts_and_gets, notifies_all);
    carom_condition_free(condition);
}

static void aborts(void) { CHECK_OK(carom_barrier_abort(barrier)); }
static void barriers_through_deaths(void) {
    CHECK_OK(carom_barrier_new(ACTORS, NULL, &barrier));
    deaths(meets_again, aborts);
    carom_barrier_free(barrier);
}

#define RUN(body) (shared = share(sizeof *shared), CASE(body))

int main(void) {
    RUN(a_waiter_for_units_dies);
    RUN(owned_units_come_back);
    RUN(plain_units_do_not);
    RUN(holder_of_a_condition_dies);
    RUN(notifier_dies);
    RUN(holder_and_keeper_die);
    RUN(nobody_waits);
    RUN(waiters_of_a_condition_die);
    RUN(setter_dies);
    RUN(waiters_for_an_event_die);
    RUN(party_dies_at_the_barrier);
    RUN(only_parties_break_it);
    RUN(party_dies_in_the_action);
    RUN(units_through_deaths);
    RUN(events_through_deaths);
    RUN(conditions_through_deaths);
    RUN(plain_conditions_through_deaths);
    RUN(barriers_through_deaths);
    return 0;
}
