/*
 * Every noun that processes share, used by two parties at once: two processes (by fork, by spawn), two tasks of a pool
 * whose workers were there before the objects, two threads. And what becomes of all of them when the arena is full.
 */
#include "support.h"

#define ROUNDS 2000

/* What both parties are given: the object, and a raw array of counters. */
enum { GUARDED, PARTY, COUNTERS };
struct parts {
    int64_t noun;
    carom_array *counters;
    carom_lock *lock;
    carom_semaphore *semaphore;
    carom_condition *condition;
    carom_event *event;
    carom_barrier *barrier;
    carom_value *value;
    carom_array *array;
};

static int64_t *counters_of(const struct parts *at) { return carom_array_data(at->counters); }
static int64_t add(const struct parts *at, int which, int64_t by) {
    return __atomic_fetch_add(&counters_of(at)[which], by, __ATOMIC_SEQ_CST);
}
/* No atomic step: whoever does not exclude the other party loses some. */
static void count(const struct parts *at) {
    volatile int64_t *guarded = &counters_of(at)[GUARDED];
    int64_t seen = *guarded;
    if (seen % 64 == 0) sched_yield();
    *guarded = seen + 1;
}

/* ------------------------------------------------------------------------------------------- what a party does with it */

static void locks(const struct parts *at) {
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_OK(carom_lock_acquire(at->lock, PATIENCE_MS));
        count(at);
        CHECK_OK(carom_lock_release(at->lock));
    }
}
static void locks_twice(const struct parts *at) {
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_OK(carom_lock_acquire(at->lock, PATIENCE_MS));
        CHECK_OK(carom_lock_acquire(at->lock, 0));
        count(at);
        CHECK_OK(carom_lock_release(at->lock));
        CHECK_OK(carom_lock_release(at->lock));
    }
}
static void takes_units(const struct parts *at) {
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_OK(carom_semaphore_acquire(at->semaphore, PATIENCE_MS));
        count(at);
        CHECK_OK(carom_semaphore_release(at->semaphore));
    }
}
static int32_t is_even(void *turn) { return *(int64_t *)turn % 2 == 0; }
static int32_t is_odd(void *turn) { return *(int64_t *)turn % 2 == 1; }
static void takes_turns(const struct parts *at) { /* the guarded counter is the turn as well */
    int64_t me = add(at, PARTY, 1);
    for (int i = 0; i < ROUNDS; i++) {
        int64_t *turn = &counters_of(at)[GUARDED];
        CHECK_OK(carom_condition_acquire(at->condition, PATIENCE_MS));
        CHECK_OK(carom_condition_wait_for(at->condition, me % 2 ? is_odd : is_even, turn, PATIENCE_MS));
        count(at);
        CHECK_OK(carom_condition_notify_all(at->condition));
        CHECK_OK(carom_condition_release(at->condition));
    }
}
static void sets_or_waits(const struct parts *at) {
    if (add(at, PARTY, 1) % 2 == 0) {
        CHECK_OK(carom_event_wait(at->event, PATIENCE_MS));
        CHECK_EQ(add(at, GUARDED, ROUNDS), ROUNDS);
    } else {
        CHECK_EQ(add(at, GUARDED, ROUNDS), 0);
        CHECK_OK(carom_event_set(at->event));
    }
}
static void meets(const struct parts *at) {
    for (int i = 0; i < ROUNDS; i++) {
        int64_t index = carom_barrier_wait(at->barrier, PATIENCE_MS);
        CHECK(index == 0 || index == 1);
        /* Between two meetings one party at a time: first the first, then the second. */
        if (index == 0) count(at);
        CHECK(carom_barrier_wait(at->barrier, PATIENCE_MS) >= 0);
        if (index == 1) count(at);
    }
}
static void sets_a_value(const struct parts *at) {
    for (int i = 0; i < ROUNDS; i++) {
        int64_t number;
        CHECK_OK(carom_value_lock(at->value, PATIENCE_MS));
        CHECK_OK(carom_value_get(at->value, &number, sizeof number, 0));
        number++;
        CHECK_OK(carom_value_set(at->value, &number, sizeof number, 0));
        count(at);
        CHECK_OK(carom_value_unlock(at->value));
    }
}
static void adds_to_a_value(const struct parts *at) {
    for (int i = 0; i < ROUNDS; i++) CHECK_OK(carom_value_add(at->value, 1, NULL));
    add(at, GUARDED, ROUNDS);
}
static void sets_items(const struct parts *at) {
    int64_t items[3];
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_OK(carom_array_lock(at->array, PATIENCE_MS));
        CHECK_OK(carom_array_get(at->array, 0, 3, items, sizeof items, 0));
        for (int k = 0; k < 3; k++) items[k]++;
        CHECK_OK(carom_array_set(at->array, 0, items, sizeof items, 0));
        count(at);
        CHECK_OK(carom_array_unlock(at->array));
    }
}
static void fills_its_item(const struct parts *at) {
    int64_t me = add(at, PARTY, 1) % 2, *items = carom_array_data(at->array);
    for (int i = 0; i < ROUNDS; i++) items[me]++;
    add(at, GUARDED, ROUNDS);
}

/* ------------------------------------------------------------------------------------------------------- the nouns */

static void new_lock(struct parts *at) { CHECK_OK(carom_lock_new(NULL, &at->lock)); }
static void new_rlock(struct parts *at) { CHECK_OK(carom_rlock_new(NULL, &at->lock)); }
static void new_semaphore(struct parts *at) { CHECK_OK(carom_semaphore_new(1, NULL, &at->semaphore)); }
static void new_bounded(struct parts *at) { CHECK_OK(carom_bounded_semaphore_new(1, NULL, &at->semaphore)); }
static void new_owned(struct parts *at) {
    carom_semaphore_options options = {.size = sizeof options, .owned = 1};
    CHECK_OK(carom_bounded_semaphore_new(1, &options, &at->semaphore));
}
static void new_condition(struct parts *at) { CHECK_OK(carom_condition_new(NULL, &at->condition)); }
static void new_condition_over_a_lock(struct parts *at) {
    new_lock(at);
    CHECK_OK(carom_condition_new(at->lock, &at->condition));
}
static void new_event(struct parts *at) { CHECK_OK(carom_event_new(&at->event)); }
static void new_barrier(struct parts *at) { CHECK_OK(carom_barrier_new(2, NULL, &at->barrier)); }
static void new_value(struct parts *at) { CHECK_OK(carom_value_new(CAROM_I64, NULL, 0, NULL, &at->value)); }
static const carom_shared_options raw = {.size = sizeof raw, .no_lock = 1};
static void new_raw_value(struct parts *at) { CHECK_OK(carom_value_new(CAROM_I64, NULL, 0, &raw, &at->value)); }
static void new_array(struct parts *at) { CHECK_OK(carom_array_new(CAROM_I64, 0, 3, NULL, NULL, &at->array)); }
static void new_raw_array(struct parts *at) { CHECK_OK(carom_array_new(CAROM_I64, 0, 3, NULL, &raw, &at->array)); }

static const struct noun {
    const char *name;
    void (*make)(struct parts *at), (*use)(const struct parts *at);
} nouns[] = {
    {"lock", new_lock, locks},
    {"recursive lock", new_rlock, locks_twice},
    {"semaphore", new_semaphore, takes_units},
    {"bounded semaphore", new_bounded, takes_units},
    {"semaphore with owned units", new_owned, takes_units},
    {"condition", new_condition, takes_turns},
    {"condition over a lock", new_condition_over_a_lock, takes_turns},
    {"event", new_event, sets_or_waits},
    {"barrier", new_barrier, meets},
    {"value", new_value, sets_a_value},
    {"raw value", new_raw_value, adds_to_a_value},
    {"array", new_array, sets_items},
    {"raw array", new_raw_array, fills_its_item},
};
enum { NOUNS = sizeof nouns / sizeof *nouns };

static void free_parts(struct parts *at) {
    carom_lock_free(at->lock), carom_semaphore_free(at->semaphore), carom_condition_free(at->condition);
    carom_event_free(at->event), carom_barrier_free(at->barrier), carom_value_free(at->value);
    carom_array_free(at->array), carom_array_free(at->counters);
}

/* ------------------------------------------------------------------------------------------------------ the parties */

#define PARTS 9
static void as_arguments(const struct parts *at, carom_argument *arguments) {
    void *const handles[] = {at->counters, at->lock, at->semaphore, at->condition, at->event, at->barrier, at->value, at->array};
    carom_argument noun = CAROM_INTEGER(at->noun);
    arguments[0] = noun;
    for (int i = 1; i < PARTS; i++) {
        carom_argument handle = CAROM_HANDLE(handles[i - 1]), nil = CAROM_NIL;
        arguments[i] = handles[i - 1] ? handle : nil;
    }
}

/* What was not given stays NULL. */
#define GIVEN(index, noun, place)                                                       \
    do {                                                                                \
        carom_status status_ = carom_call_##noun(call, index, place);                   \
        CHECK(status_ == CAROM_OK || *(place) == NULL);                                 \
    } while (0)
static int32_t party(carom_call *call) {
    struct parts at = {0};
    CHECK_OK(carom_call_read(call, 0, &at.noun, sizeof at.noun));
    CHECK(at.noun >= 0 && at.noun < NOUNS);
    CHECK_OK(carom_call_array(call, 1, &at.counters));
    GIVEN(2, lock, &at.lock);
    GIVEN(3, semaphore, &at.semaphore);
    GIVEN(4, condition, &at.condition);
    GIVEN(5, event, &at.event);
    GIVEN(6, barrier, &at.barrier);
    GIVEN(7, value, &at.value);
    GIVEN(8, array, &at.array);
    nouns[at.noun].use(&at);
    return 0;
}

static void *thread(void *at) {
    nouns[((struct parts *)at)->noun].use(at);
    return NULL;
}

static void two_threads(struct parts *at, void *unused) {
    pthread_t threads[2];
    (void)unused;
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_create(&threads[i], NULL, thread, at), 0);
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

static void two_processes(struct parts *at, void *context) {
    carom_argument arguments[PARTS];
    carom_process_options options = {.size = sizeof options, .context = context};
    carom_process *processes[2];
    as_arguments(at, arguments);
    for (int i = 0; i < 2; i++) CHECK_OK(carom_process_start(party, arguments, PARTS, &options, &processes[i]));
    for (int i = 0; i < 2; i++) CHECK_EQ(ended(processes[i]), 0);
}

static void two_tasks(struct parts *at, void *pool) {
    carom_argument arguments[PARTS];
    carom_result *results[2];
    as_arguments(at, arguments);
    for (int i = 0; i < 2; i++) CHECK_OK(carom_pool_apply_async(pool, party, arguments, PARTS, NULL, &results[i]));
    for (int i = 0; i < 2; i++) {
        CHECK_OK(carom_result_wait(results[i], PATIENCE_MS));
        CHECK_EQ(carom_result_successful(results[i]), 1);
        carom_result_free(results[i]);
    }
}

static void all_nouns(void (*two)(struct parts *at, void *with), void *with) {
    for (int noun = 0; noun < NOUNS; noun++) {
        struct parts at = {.noun = noun};
        CHECK_OK(carom_array_new(CAROM_I64, 0, COUNTERS, NULL, &raw, &at.counters));
        nouns[noun].make(&at);
        two(&at, with);
        if (counters_of(&at)[GUARDED] != 2 * ROUNDS) check_fail_(__FILE__, __LINE__, "they lost some", nouns[noun].name, "", "");
        if (at.value) CHECK_EQ(*(int64_t *)carom_value_data(at.value), 2 * ROUNDS);
        if (at.array && noun == NOUNS - 1) CHECK_EQ(((int64_t *)carom_array_data(at.array))[1], ROUNDS);
        if (at.array && noun == NOUNS - 2) CHECK_EQ(((int64_t *)carom_array_data(at.array))[2], 2 * ROUNDS);
        free_parts(&at);
    }
}

static void by_threads(void) { all_nouns(two_threads, NULL); }
static void by_processes(void) { all_nouns(two_processes, NULL); }
static void by_spawned_processes(void) {
    carom_context *context = NULL;
    CHECK_OK(carom_context_new("spawn", &context));
    all_nouns(two_processes, context);
    carom_context_free(context);
}
static void by_tasks(void) {
    carom_pool_options options = {.size = sizeof options, .workers = 2};
    carom_pool *pool = NULL;
    CHECK_OK(carom_pool_new(&options, &pool));
    all_nouns(two_tasks, pool);
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
}

/* --------------------------------------------------------------------------------------------------- a full arena */

/* Takes all memory of the arena: large blocks, then ever smaller ones. */
static int fill(carom_value **values, int most) {
    int made = 0;
    for (size_t size = 64 << 20; size >= 256; size /= 2)
        while (made < most && carom_value_new(CAROM_RAW, NULL, size, &raw, &values[made]) == CAROM_OK) made++;
    CHECK(made < most);
    return made;
}

static void an_arena_that_is_full(void) {
    NOT_UNDER_ASAN;
    enum { MOST = 4096 };
    static carom_value *values[MOST];
    struct rlimit limit = {1ul << 30, RLIM_INFINITY};
    CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
    struct parts at = {.noun = 0};
    CHECK_OK(carom_array_new(CAROM_I64, 0, COUNTERS, NULL, &raw, &at.counters));
    for (int noun = 0; noun < NOUNS; noun++) nouns[noun].make(&(struct parts){0}); /* what there is stays there */
    carom_semaphore_options owned = {.size = sizeof owned, .owned = 1};
    for (int round = 0; round < 3; round++) {
        int made = fill(values, MOST);
        carom_value *value = (carom_value *)&at;
        carom_array *array = (carom_array *)&at;
        carom_barrier *barrier = (carom_barrier *)&at;
        carom_semaphore *semaphore = (carom_semaphore *)&at;
        CHECK_STATUS(carom_value_new(CAROM_RAW, NULL, 4096, NULL, &value), CAROM_ENOMEM);
        CHECK_STATUS(carom_array_new(CAROM_I64, 0, 1000, NULL, NULL, &array), CAROM_ENOMEM);
        CHECK_STATUS(carom_barrier_new(4096, NULL, &barrier), CAROM_ENOMEM);
        CHECK_STATUS(carom_bounded_semaphore_new(4096, &owned, &semaphore), CAROM_ENOMEM);
        CHECK(!value && !array && !barrier && !semaphore);
        CHECK_STATUS(carom_value_copy(values[0], &value, 0), CAROM_ENOMEM);
        CHECK(value == NULL);
        /* What needs no block of its own still works, and so does all that was there. */
        struct parts small = {.noun = 0, .counters = at.counters};
        new_lock(&small);
        counters_of(&at)[GUARDED] = 0;
        two_threads(&small, NULL);
        CHECK_EQ(counters_of(&at)[GUARDED], 2 * ROUNDS);
        carom_lock_free(small.lock);
        for (int i = 0; i < made; i++) carom_value_free(values[i]);
    }
    CHECK_OK(carom_value_new(CAROM_RAW, NULL, 64 << 20, &raw, &values[0]));
    carom_value_free(values[0]);
}

int main(int argc, char **argv) {
    CHECK_OK(carom_init(argc, argv));
    CASE(by_threads);
    CASE(by_processes);
    CASE(by_spawned_processes);
    CASE(by_tasks);
    CASE(an_arena_that_is_full);
    return 0;
}
