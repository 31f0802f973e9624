/* Barriers: what they promise while everybody lives. */
#include "sync.h"

static carom_barrier *barrier;

static int32_t acts(carom_call *call) {
    CHECK_EQ(carom_call_count(call), 0);
    shared->plain++; /* the others wait */
    return 0;
}
static int32_t fails_once(carom_call *call) { return atomic_exchange(&shared->inside, 1) ? 0 : carom_call_fail(call, 7, "no"); }
static int32_t acts_at_length(carom_call *call) {
    (void)call;
    flag_add(&shared->up, 1);
    flag_await(&shared->go, 1);
    return 0;
}

static void new_barrier(int64_t parties, carom_function action, int64_t timeout_ms) {
    carom_barrier_options options = {.size = sizeof options, .action = action, .timeout_ms = timeout_ms};
    CHECK_OK(carom_barrier_new(parties, &options, &barrier));
    CHECK_EQ(carom_barrier_parties(barrier), parties);
    CHECK_EQ(carom_barrier_waiting(barrier), 0);
    CHECK_EQ(carom_barrier_broken(barrier), 0);
}

#define PARTIES 3
static int32_t meets(carom_call *call) {
    int64_t rounds = number_of(call);
    for (int64_t round = 0; round < rounds; round++) {
        if (round % 4000 == 1) sched_yield();
        int64_t index = carom_barrier_wait(barrier, CAROM_FOREVER);
        if (index < 0) CHECK_STATUS((carom_status)index, CAROM_OK);
        CHECK(index < PARTIES);
        CHECK_EQ(shared->plain, round + 1); /* the action ran, once, before anybody left */
        uint32_t bit = 1u << index, was = atomic_fetch_or(&shared->seen[round % 4], bit);
        CHECK((was & bit) == 0);
        /* All of a meeting before this one have said so. */
        if (round > 0) CHECK_EQ(atomic_load(&shared->seen[(round - 1) % 4]), (1u << PARTIES) - 1);
        if (was == (1u << PARTIES) - 1 - bit) atomic_store(&shared->seen[(round + 2) % 4], 0);
    }
    return 0;
}

static void barrier_meets_10_000_times(void) {
    carom_process *parties[PARTIES];
    new_barrier(PARTIES, acts, 0);
    for (int i = 0; i < PARTIES; i++) parties[i] = start_with(meets, 10000);
    for (int i = 0; i < PARTIES; i++) CHECK_EQ(ended(parties[i]), 0);
    CHECK_EQ(shared->plain, 10000);
    CHECK_EQ(carom_barrier_waiting(barrier), 0);
    CHECK_EQ(carom_barrier_broken(barrier), 0);
    carom_barrier_free(barrier);
}

/* Exits with 100 plus the index, or with minus the status. */
static int32_t meets_once(carom_call *call) {
    int64_t timeout_ms = number_of(call), answer = carom_barrier_wait(barrier, timeout_ms);
    return answer >= 0 ? 100 + (int32_t)answer
         : answer == CAROM_EBROKEN ? 1
         : answer == CAROM_ETIMEDOUT ? 2
         : answer == CAROM_ETASKFAILED ? 3
                                     : 4;
}

static void barrier_alone(void) {
    new_barrier(1, acts, 0);
    for (int i = 1; i <= 100; i++) {
        CHECK_EQ(carom_barrier_wait(barrier, i % 2 ? 0 : CAROM_FOREVER), 0);
        CHECK_EQ(shared->plain, i);
    }
    carom_barrier_free(barrier);
}

static void barrier_indices_and_waiting(void) {
    carom_process *parties[7];
    new_barrier(8, NULL, 0);
    for (int i = 0; i < 7; i++) {
        parties[i] = start_with(meets_once, CAROM_FOREVER);
        asleep_on_futex(carom_process_pid(parties[i]));
        CHECK_EQ(carom_barrier_waiting(barrier), i + 1);
    }
    CHECK_EQ(carom_barrier_wait(barrier, 0), 7);
    CHECK_EQ(carom_barrier_waiting(barrier), 0);
    for (int i = 0; i < 7; i++) CHECK_EQ(ended(parties[i]), 100 + i);
    carom_barrier_free(barrier);
}

static void barrier_times_out(void) {
    new_barrier(3, NULL, 5);
    carom_process *endless = start_with(meets_once, CAROM_FOREVER);
    asleep_on_futex(carom_process_pid(endless));
    CHECK_STATUS((carom_status)carom_barrier_wait(barrier, CAROM_DEFAULT), CAROM_ETIMEDOUT);
    CHECK_EQ(ended(endless), 1);
    CHECK_EQ(carom_barrier_broken(barrier), 1);
    CHECK_EQ(carom_barrier_waiting(barrier), 0);
    CHECK_STATUS((carom_status)carom_barrier_wait(barrier, CAROM_FOREVER), CAROM_EBROKEN);
    CHECK_OK(carom_barrier_reset(barrier));
    CHECK_EQ(carom_barrier_broken(barrier), 0);
    CHECK_STATUS((carom_status)carom_barrier_wait(barrier, 0), CAROM_ETIMEDOUT);
    CHECK_OK(carom_barrier_reset(barrier));
    /* Whole again. The default is only for who asks for it. */
    carom_process *parties[2];
    for (int i = 0; i < 2; i++) parties[i] = start_with(meets_once, PATIENCE_MS);
    for (int i = 0; i < 2; i++) asleep_on_futex(carom_process_pid(parties[i]));
    CHECK_EQ(carom_barrier_wait(barrier, CAROM_DEFAULT), 2);
    int sum = 0;
    for (int i = 0; i < 2; i++) sum += ended(parties[i]);
    CHECK_EQ(sum, 201);
    carom_barrier_free(barrier);
    /* No default: for ever. */
    for (int none = 0; none < 2; none++) {
        new_barrier(2, NULL, none ? CAROM_NONE : 0);
        endless = start_with(meets_once, CAROM_DEFAULT);
        asleep_on_futex(carom_process_pid(endless));
        CHECK_EQ(carom_barrier_wait(barrier, CAROM_FOREVER), 1);
        CHECK_EQ(ended(endless), 100);
        carom_barrier_free(barrier);
    }
}

static void barrier_reset_and_abort(void) {
    for (int abort = 0; abort < 2; abort++) {
        carom_process *parties[3];
        new_barrier(4, NULL, 0);
        CHECK_OK(carom_barrier_reset(barrier)); /* nobody there */
        for (int i = 0; i < 3; i++) parties[i] = start_with(meets_once, CAROM_FOREVER);
        for (int i = 0; i < 3; i++) asleep_on_futex(carom_process_pid(parties[i]));
        CHECK_OK(abort ? carom_barrier_abort(barrier) : carom_barrier_reset(barrier));
        for (int i = 0; i < 3; i++) CHECK_EQ(ended(parties[i]), 1);
        CHECK_EQ(carom_barrier_broken(barrier), abort);
        CHECK_EQ(carom_barrier_waiting(barrier), 0);
        if (abort) {
            CHECK_STATUS((carom_status)carom_barrier_wait(barrier, CAROM_FOREVER), CAROM_EBROKEN);
            CHECK_OK(carom_barrier_abort(barrier));
            CHECK_OK(carom_barrier_reset(barrier));
        }
        for (int i = 0; i < 3; i++) parties[i] = start_with(meets_once, CAROM_FOREVER);
        for (int i = 0; i < 3; i++) asleep_on_futex(carom_process_pid(parties[i]));
        CHECK_EQ(carom_barrier_wait(barrier, 0), 3);
        for (int i = 0; i < 3; i++) CHECK(ended(parties[i]) >= 100);
        carom_barrier_free(barrier);
    }
}

static void barrier_action_fails(void) {
    carom_process *parties[2];
    new_barrier(3, fails_once, 0);
    for (int i = 0; i < 2; i++) parties[i] = start_with(meets_once, CAROM_FOREVER);
    for (int i = 0; i < 2; i++) asleep_on_futex(carom_process_pid(parties[i]));
    CHECK_STATUS((carom_status)carom_barrier_wait(barrier, CAROM_FOREVER), CAROM_ETASKFAILED);
    CHECK(strstr(carom_error_message(), "7") != NULL);
    for (int i = 0; i < 2; i++) CHECK_EQ(ended(parties[i]), 1);
    CHECK_EQ(carom_barrier_broken(barrier), 1);
    CHECK_OK(carom_barrier_reset(barrier));
    for (int i = 0; i < 2; i++) parties[i] = start_with(meets_once, CAROM_FOREVER);
    for (int i = 0; i < 2; i++) asleep_on_futex(carom_process_pid(parties[i]));
    CHECK_EQ(carom_barrier_wait(barrier, CAROM_FOREVER), 2);
    for (int i = 0; i < 2; i++) CHECK(ended(parties[i]) >= 100);
    carom_barrier_free(barrier);
}

/* Whoever is out of time while the action runs breaks the barrier, for whoever runs it too. */
static void barrier_times_out_in_the_action(void) {
    new_barrier(2, acts_at_length, 0);
    carom_process *first = start_with(meets_once, 200);
    asleep_on_futex(carom_process_pid(first));
    carom_process *last = start_with(meets_once, CAROM_FOREVER);
    flag_await(&shared->up, 1);
    CHECK_EQ(ended(first), 2);
    CHECK_EQ(carom_barrier_broken(barrier), 1);
    flag_add(&shared->go, 1);
    CHECK_EQ(ended(last), 1);
    carom_barrier_free(barrier);
}

/* One too many, while the action runs: it waits for the next meeting, in its time, and breaks nothing. */
static void barrier_full_while_it_acts(void) {
    new_barrier(1, acts_at_length, 0);
    carom_process *first = start_with(meets_once, CAROM_FOREVER);
    flag_await(&shared->up, 1);
    CHECK_EQ(carom_barrier_waiting(barrier), 1);
    CHECK_STATUS((carom_status)carom_barrier_wait(barrier, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS((carom_status)carom_barrier_wait(barrier, 10), CAROM_ETIMEDOUT);
    CHECK_EQ(carom_barrier_broken(barrier), 0);
    carom_process *next = start_with(meets_once, CAROM_FOREVER);
    asleep_on_futex(carom_process_pid(next));
    flag_add(&shared->go, 1);
    CHECK_EQ(ended(first), 100);
    CHECK_EQ(ended(next), 100);
    carom_barrier_free(barrier);
}

static int32_t calls_in(carom_call *call) {
    (void)call;
    while (atomic_fetch_add(&shared->total, 1) < 2400) {
        int64_t index = carom_barrier_wait(barrier, CAROM_FOREVER);
        if (index < 0) CHECK_STATUS((carom_status)index, CAROM_OK);
        CHECK(index < PARTIES);
        atomic_fetch_add(&shared->order[index], 1);
    }
    return 0;
}

static void barrier_more_callers_than_parties(void) {
    carom_process *callers[8];
    new_barrier(PARTIES, NULL, 0);
    for (int i = 0; i < 8; i++) callers[i] = start(calls_in);
    for (int i = 0; i < 8; i++) CHECK_EQ(ended(callers[i]), 0);
    for (int i = 0; i < PARTIES; i++) CHECK_EQ(atomic_load(&shared->order[i]), 2400 / PARTIES);
    carom_barrier_free(barrier);
}

/* A party that was asleep, or stopped, for many meetings still hears how its own ended. */
static void barrier_late_riser(void) {
    for (int complete = 0; complete < 2; complete++) {
        new_barrier(2, NULL, 0);
        carom_process *sleeper = start_with(meets_once, CAROM_FOREVER);
        asleep_on_futex(carom_process_pid(sleeper));
        CHECK_EQ(kill(carom_process_pid(sleeper), SIGSTOP), 0);
        while (state_of(carom_process_pid(sleeper), carom_process_pid(sleeper)) != 'T') sched_yield();
        if (complete) CHECK_EQ(carom_barrier_wait(barrier, CAROM_FOREVER), 1);
        else CHECK_OK(carom_barrier_reset(barrier));
        for (int i = 0; i < 40; i++) {
            carom_process *other = start_with(meets_once, CAROM_FOREVER);
            CHECK(carom_barrier_wait(barrier, CAROM_FOREVER) >= 0);
            CHECK(ended(other) >= 100);
        }
        CHECK_EQ(kill(carom_process_pid(sleeper), SIGCONT), 0);
        CHECK_EQ(ended(sleeper), complete ? 100 : 1);
        carom_barrier_free(barrier);
    }
}

/* Arrivals, time-outs, resets and aborts at random: nobody hangs, and nobody passes alone. */
static int32_t comes_and_goes(carom_call *call) {
    unsigned seed = (unsigned)number_of(call);
    for (int i = 0; i < 400; i++) {
        int64_t answer = carom_barrier_wait(barrier, rand_r(&seed) % 3);
        CHECK(answer >= 0 || answer == CAROM_EBROKEN || answer == CAROM_ETIMEDOUT);
        if (answer >= 0) atomic_fetch_add(&shared->order[answer], 1);
        if (answer < 0 || rand_r(&seed) % 8 == 0) CHECK_OK(carom_barrier_reset(barrier));
        if (rand_r(&seed) % 64 == 0) CHECK_OK(carom_barrier_abort(barrier));
    }
    return 0;
}
static void barrier_in_disorder(void) {
    carom_process *callers[6];
    new_barrier(PARTIES, NULL, 0);
    for (int i = 0; i < 6; i++) callers[i] = start_with(comes_and_goes, i + 1);
    for (int i = 0; i < 6; i++) CHECK_EQ(ended(callers[i]), 0);
    carom_barrier_free(barrier);
}

int main(void) {
    RUN(barrier_alone);
    RUN(barrier_indices_and_waiting);
    RUN(barrier_meets_10_000_times);
    RUN(barrier_times_out);
    RUN(barrier_reset_and_abort);
    RUN(barrier_action_fails);
    RUN(barrier_times_out_in_the_action);
    RUN(barrier_full_while_it_acts);
    RUN(barrier_more_callers_than_parties);
    RUN(barrier_late_riser);
    RUN(barrier_in_disorder);
    return 0;
}
