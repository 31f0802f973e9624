/* How long objects live: as long as somebody needs them, and no longer. */
#include "support.h"

struct shared {
    flag go, up;
};
static struct shared *shared;
static carom_lock *lock;
static carom_value *value;

static int32_t nothing(carom_call *call) {
    (void)call;
    return 0;
}

static int32_t waits(carom_call *call) {
    (void)call;
    flag_add(&shared->up, 1);
    flag_await(&shared->go, 1);
    return 17;
}

static int64_t *number(carom_value *of) { return carom_value_data(of); }

/* ---------------------------------------------------------------------------------------------------- any order */

static void freed_in_any_order(void) {
    for (int order = 0; order < 24; order++) {
        int64_t initial = order;
        carom_lock *given = NULL, *own = NULL, *of_guarded = NULL;
        carom_value *plain = NULL, *guarded = NULL;
        CHECK_OK(carom_lock_new(NULL, &given));
        CHECK_OK(carom_value_new(CAROM_I64, &initial, 8, NULL, &plain));
        carom_shared_options options = {.size = sizeof options, .lock = given};
        CHECK_OK(carom_value_new(CAROM_I64, &initial, 8, &options, &guarded));
        CHECK_OK(carom_value_get_lock(plain, &own));
        CHECK_OK(carom_value_get_lock(guarded, &of_guarded));
        int left[4] = {1, 1, 1, 1}, choice = order;
        for (int step = 4; step > 0; step--) {
            int pick = choice % step, index = 0;
            choice /= step;
            while (!left[index] || pick-- > 0) index++;
            left[index] = 0;
            if (index == 0) carom_lock_free(given);
            if (index == 1) carom_value_free(plain);
            if (index == 2) carom_value_free(guarded);
            if (index == 3) carom_lock_free(own);
            /* Whatever is left works. */
            if (left[0]) CHECK_EQ(carom_lock_locked(given), 0);
            else CHECK_EQ(carom_lock_locked(given), CAROM_EBADHANDLE);
            if (left[1]) CHECK_EQ(*number(plain), order);
            else CHECK(number(plain) == NULL);
            if (left[2]) {
                CHECK_OK(carom_value_lock(guarded, 0));
                if (left[0]) CHECK_STATUS(carom_lock_acquire(given, 0), CAROM_ETIMEDOUT);
                CHECK_OK(carom_value_unlock(guarded));
                CHECK_EQ(*number(guarded), order);
            }
            if (left[3]) {
                CHECK_OK(carom_lock_acquire(own, 0));
                CHECK_OK(carom_lock_acquire(own, 0)); /* recursive, as its value's */
                CHECK_OK(carom_lock_release(own));
                CHECK_OK(carom_lock_release(own));
            }
            CHECK_OK(carom_lock_acquire(of_guarded, 0));
            CHECK_OK(carom_lock_release(of_guarded));
        }
        carom_lock_free(of_guarded);
        CHECK_EQ(carom_lock_locked(of_guarded), CAROM_EBADHANDLE);
    }
}

static void freed_twice(void) {
    carom_lock *first = NULL, *second = NULL;
    CHECK_OK(carom_lock_new(NULL, &first));
    carom_lock_free(first);
    CHECK_OK(carom_lock_new(NULL, &second));
    CHECK(first != second); /* another age, if not another place */
    carom_lock_free(first);
    CHECK_EQ(carom_lock_locked(second), 0);
    CHECK_EQ(carom_lock_locked(first), CAROM_EBADHANDLE);
    carom_lock_free(second);
}

/* What is freed is cleared before somebody else gets it. */
static void values_begin_as_zero(void) {
    for (int i = 0; i < 2000; i++) {
        const size_t sizes[] = {1, 8, 24, 25, 64, 1000, 5000};
        size_t size = sizes[i % 7];
        carom_value *made = NULL;
        CHECK_OK(carom_value_new(CAROM_RAW, NULL, size, NULL, &made));
        CHECK_EQ(carom_value_size(made), size);
        unsigned char *data = carom_value_data(made);
        CHECK_EQ((uintptr_t)data % 16, 0);
        for (size_t at = 0; at < size; at++) CHECK_EQ(data[at], 0);
        memset(data, 0xff, size);
        carom_value_free(made);
    }
}

static void types_and_alignments(void) {
    const struct {
        uint32_t type;
        int64_t size;
    } types[] = {
        {CAROM_CHAR, 1}, {CAROM_I8, 1},    {CAROM_U8, 1},    {CAROM_BOOLEAN, 1}, {CAROM_I16, 2}, {CAROM_U16, 2}, {CAROM_I32, 4}, {CAROM_U32, 4},
        {CAROM_WCHAR, 4}, {CAROM_I64, 8},  {CAROM_U64, 8},   {CAROM_F32, 4},     {CAROM_F64, 8}, {'l', 8},       {'L', 8},       {'i', 4},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        CHECK_OK(carom_value_new(types[i].type, NULL, 0, NULL, &value));
        CHECK_EQ(carom_value_size(value), types[i].size);
        CHECK_EQ(carom_value_type(value), types[i].type);
        CHECK_EQ((uintptr_t)carom_value_data(value) % (uintptr_t)types[i].size, 0);
        carom_value_free(value);
    }
    for (uint32_t alignment = 1; alignment <= 4096; alignment *= 2) {
        carom_shared_options options = {.size = sizeof options, .alignment = alignment};
        CHECK_OK(carom_value_new(CAROM_RAW, "abc", 3, &options, &value));
        CHECK_EQ((uintptr_t)carom_value_data(value) % alignment, 0);
        CHECK(memcmp(carom_value_data(value), "abc", 3) == 0);
        carom_value_free(value);
    }
}

/* ------------------------------------------------------------------------------------------- longer than its creator */

static int32_t uses_what_is_freed(carom_call *call) {
    (void)call;
    flag_add(&shared->up, 1);
    flag_await(&shared->go, 1); /* by then the creator has freed both, and made others */
    CHECK_EQ(*number(value), 7);
    CHECK_OK(carom_value_lock(value, 0));
    *number(value) += 1;
    CHECK_OK(carom_value_unlock(value));
    CHECK_OK(carom_lock_acquire(lock, 0));
    CHECK_OK(carom_lock_release(lock));
    return 18;
}

static void freed_while_a_child_uses_it(void) {
    int64_t initial = 7;
    carom_process *process = NULL;
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_OK(carom_value_new(CAROM_I64, &initial, 8, NULL, &value));
    CHECK_OK(carom_process_start(uses_what_is_freed, NULL, 0, NULL, &process));
    flag_await(&shared->up, 1);
    carom_lock_free(lock);
    carom_value_free(value);
    for (int i = 0; i < 100; i++) { /* none of these lies where the child's do */
        carom_value *other = NULL;
        carom_lock *other_lock = NULL;
        int64_t poison = -1;
        CHECK_OK(carom_value_new(CAROM_I64, &poison, 8, NULL, &other));
        CHECK_OK(carom_value_lock(other, 0));
        CHECK_OK(carom_lock_new(NULL, &other_lock));
        CHECK_OK(carom_lock_acquire(other_lock, 0));
        carom_value_free(other);
        carom_lock_free(other_lock);
    }
    flag_add(&shared->go, 1);
    CHECK_EQ(ended(process), 18);
}

static int32_t keeps(carom_call *call) {
    carom_lock *kept = NULL, *lent = NULL;
    carom_value *kept_value = NULL;
    CHECK_OK(carom_call_lock(call, 0, &kept));
    CHECK_OK(carom_call_value(call, 1, &kept_value));
    CHECK_OK(carom_handle_keep(call, kept));
    CHECK_OK(carom_handle_keep(call, kept_value));
    CHECK_OK(carom_call_lock(call, 0, &lent)); /* once more, and not kept: another handle */
    CHECK(lent != kept);
    flag_add(&shared->up, 1);
    flag_await(&shared->go, 1);
    CHECK_OK(carom_lock_acquire(kept, 0));
    CHECK_STATUS(carom_lock_acquire(lent, 0), CAROM_ETIMEDOUT);
    CHECK_OK(carom_lock_release(kept));
    CHECK_EQ(*number(kept_value), 9);
    carom_lock_free(kept);
    CHECK_EQ(carom_lock_locked(kept), CAROM_EBADHANDLE);
    CHECK_EQ(carom_lock_locked(lent), 0);
    carom_value_free(kept_value);
    return 19;
}

static void kept_by_a_child(void) {
    int64_t initial = 9;
    carom_process *process = NULL;
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_OK(carom_value_new(CAROM_I64, &initial, 8, NULL, &value));
    carom_argument arguments[] = {CAROM_HANDLE(lock), CAROM_HANDLE(value)};
    CHECK_OK(carom_process_start(keeps, arguments, 2, NULL, &process));
    flag_await(&shared->up, 1);
    carom_lock_free(lock);
    carom_value_free(value);
    flag_add(&shared->go, 1);
    CHECK_EQ(ended(process), 19);
}

/* A worker keeps what a task was given, beyond the task; and another task finds it there. */
static carom_lock *kept_in_worker;

static int32_t keeps_in_worker(carom_call *call) {
    CHECK_OK(carom_call_lock(call, 0, &kept_in_worker));
    CHECK_OK(carom_handle_keep(call, kept_in_worker));
    return 0;
}

static int32_t uses_in_worker(carom_call *call) {
    (void)call;
    CHECK_OK(carom_lock_acquire(kept_in_worker, 0));
    CHECK_OK(carom_lock_release(kept_in_worker));
    carom_lock_free(kept_in_worker);
    CHECK_EQ(carom_lock_locked(kept_in_worker), CAROM_EBADHANDLE);
    return 0;
}

static carom_lock *lent_in_worker;
static int32_t borrows_in_worker(carom_call *call) {
    CHECK_OK(carom_call_lock(call, 0, &lent_in_worker));
    CHECK_EQ(carom_lock_locked(lent_in_worker), 0);
    return 0;
}
static int32_t finds_it_gone(carom_call *call) {
    (void)call;
    CHECK_EQ(carom_lock_locked(lent_in_worker), CAROM_EBADHANDLE); /* lent until the function returned */
    return 0;
}

static void run(carom_pool *pool, carom_function function, const carom_argument *arguments, size_t count) {
    CHECK_OK(carom_pool_apply(pool, function, arguments, count, NULL, NULL, 0, NULL, PATIENCE_MS));
}

static void kept_by_a_worker(void) {
    carom_pool *pool = NULL;
    carom_pool_options options = {.size = sizeof options, .workers = 1};
    CHECK_OK(carom_pool_new(&options, &pool));
    CHECK_OK(carom_lock_new(NULL, &lock)); /* made after the worker: it has inherited nothing */
    carom_argument argument = CAROM_HANDLE(lock);
    run(pool, borrows_in_worker, &argument, 1);
    run(pool, finds_it_gone, NULL, 0);
    run(pool, keeps_in_worker, &argument, 1);
    carom_lock_free(lock);
    for (int i = 0; i < 100; i++) {
        carom_lock *other = NULL;
        CHECK_OK(carom_lock_new(NULL, &other));
        CHECK_OK(carom_lock_acquire(other, 0));
        carom_lock_free(other);
    }
    run(pool, uses_in_worker, NULL, 0);
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
}

/* Submitted with a handle that is freed before the task runs. */
static int32_t waits_and_uses(carom_call *call) {
    carom_lock *given = NULL;
    flag_add(&shared->up, 1);
    flag_await(&shared->go, 1);
    CHECK_OK(carom_call_lock(call, 0, &given));
    CHECK_OK(carom_lock_acquire(given, 0));
    CHECK_OK(carom_lock_release(given));
    return 0;
}

static void freed_before_the_task_runs(void) {
    carom_pool *pool = NULL;
    carom_result *results[2] = {NULL, NULL};
    carom_pool_options options = {.size = sizeof options, .workers = 1};
    CHECK_OK(carom_pool_new(&options, &pool));
    for (int i = 0; i < 2; i++) { /* the second waits in the lane */
        CHECK_OK(carom_lock_new(NULL, &lock));
        carom_argument argument = CAROM_HANDLE(lock);
        CHECK_OK(carom_pool_apply_async(pool, waits_and_uses, &argument, 1, NULL, &results[i]));
        carom_lock_free(lock);
    }
    flag_await(&shared->up, 1);
    for (int i = 0; i < 100; i++) {
        carom_lock *other = NULL;
        CHECK_OK(carom_lock_new(NULL, &other));
        CHECK_OK(carom_lock_acquire(other, 0));
        carom_lock_free(other);
    }
    flag_add(&shared->go, 1);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(carom_result_get(results[i], NULL, 0, NULL, PATIENCE_MS));
        carom_result_free(results[i]);
    }
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
}

/* ------------------------------------------------------------------------------------------- freed under somebody */

static void *waits_for_what_is_freed(void *tid) {
    atomic_store((_Atomic pid_t *)tid, (pid_t)syscall(SYS_gettid));
    CHECK_STATUS(carom_lock_acquire(lock, CAROM_FOREVER), CAROM_EBADHANDLE);
    return NULL;
}

static void freed_under_a_waiter(void) {
    static _Atomic pid_t tids[3];
    pthread_t threads[3];
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_OK(carom_lock_acquire(lock, 0));
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&threads[i], NULL, waits_for_what_is_freed, (void *)&tids[i]), 0);
    for (int i = 0; i < 3; i++) {
        while (!atomic_load(&tids[i])) sched_yield();
        asleep_in_(__FILE__, __LINE__, getpid(), atomic_load(&tids[i]), SYS_futex, SYS_futex_waitv);
    }
    carom_lock_free(lock);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
}

static _Atomic int stop;
static carom_lock *_Atomic current;

static void *hammers(void *unused) {
    (void)unused;
    while (!atomic_load(&stop)) {
        carom_lock *it = atomic_load(&current);
        carom_status status = carom_lock_acquire(it, 1);
        CHECK(status == CAROM_OK || status == CAROM_EBADHANDLE || status == CAROM_ETIMEDOUT);
        if (status == CAROM_OK) {
            status = carom_lock_release(it);
            CHECK(status == CAROM_OK || status == CAROM_EBADHANDLE);
        }
    }
    return NULL;
}

/* Others use a lock while it is freed, and the next one is made in its place: nobody ever holds the wrong one. */
static void freed_under_fire(void) {
    pthread_t threads[3];
    carom_lock *next = NULL;
    CHECK_OK(carom_lock_new(NULL, &next));
    atomic_store(&current, next);
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&threads[i], NULL, hammers, NULL), 0);
    for (int i = 0; i < 20000; i++) {
        carom_lock *old = next, *mine = NULL;
        CHECK_OK(carom_lock_new(NULL, &next));
        atomic_store(&current, next);
        carom_lock_free(old);
        CHECK_OK(carom_lock_new(NULL, &mine)); /* nobody else knows this one */
        CHECK_OK(carom_lock_acquire(mine, 0));
        CHECK_EQ(carom_lock_locked(mine), 1);
        CHECK_OK(carom_lock_release(mine));
        carom_lock_free(mine);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    carom_lock_free(next);
}

/* --------------------------------------------------------------------------------------------------- again and again */

#define CYCLES 100000

static void cycle(size_t size, int with_lock) {
    carom_lock *a = NULL, *of = NULL;
    carom_value *b = NULL;
    CHECK_OK(carom_lock_new(NULL, &a));
    carom_shared_options options = {.size = sizeof options, .lock = with_lock ? a : NULL};
    CHECK_OK(carom_value_new(CAROM_RAW, NULL, size, &options, &b));
    CHECK_OK(carom_value_get_lock(b, &of));
    CHECK_OK(carom_value_lock(b, 0));
    *(char *)carom_value_data(b) = 1;
    CHECK_OK(carom_value_unlock(b));
    carom_lock_free(a);
    carom_value_free(b);
    carom_lock_free(of);
}

static void cycles_of(size_t size, int with_lock, int count) {
    for (int i = 0; i < 1000; i++) cycle(size, with_lock);
    int fds = fd_count();
    long before = arena_kb();
    for (int i = 0; i < count; i++) cycle(size, with_lock);
    CHECK_EQ(fd_count(), fds);
    CHECK(arena_kb() <= before + 64);
}

static void cycles(void) {
    cycles_of(8, 0, CYCLES);
    cycles_of(8, 1, CYCLES);
    cycles_of(1000, 0, CYCLES);
    cycles_of(100000, 1, 5000);
    for (int i = 0; i < 40; i++) cycle((size_t)64 << 20, 0); /* 2.5 GB altogether */
    CHECK(arena_kb() <= 400 << 10);
}

/* With a child that may have inherited what was there at its start: that stays until it ends, and no longer. */
static void cycles_beside_a_child(void) {
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(waits, NULL, 0, NULL, &process));
    flag_await(&shared->up, 1);
    cycles_of(1000, 0, 20000);
    flag_add(&shared->go, 1);
    CHECK_EQ(ended(process), 17);
    cycles_of(1000, 0, 20000);
}

static void cycles_across_children(void) {
    long before = 0;
    for (int round = 0; round < 300; round++) {
        carom_value *made[20];
        for (int i = 0; i < 20; i++) CHECK_OK(carom_value_new(CAROM_RAW, NULL, 1000, NULL, &made[i]));
        for (int i = 0; i < 10; i++) carom_value_free(made[i]);
        CHECK_EQ(outcome_of(nothing, NULL, 0), 0);
        for (int i = 10; i < 20; i++) carom_value_free(made[i]);
        if (round == 20) before = arena_kb();
    }
    CHECK(arena_kb() <= before + 64);
}

/* What a child made and left behind goes with it. */
static int32_t makes_and_leaves(carom_call *call) {
    (void)call;
    for (int i = 0; i < 100; i++) {
        CHECK_OK(carom_lock_new(NULL, &lock));
        CHECK_OK(carom_value_new(CAROM_RAW, NULL, 4000, NULL, &value));
        CHECK_OK(carom_value_get_lock(value, &lock));
    }
    kill(getpid(), SIGKILL);
    return 0;
}

static void cycles_of_children(void) {
    CHECK_OK(carom_value_new(CAROM_RAW, NULL, 4000, NULL, &value));
    int64_t highest = 0, early = 0;
    for (int round = 0; round < 60; round++) {
        CHECK_EQ(outcome_of(makes_and_leaves, NULL, 0), -SIGKILL);
        /* Where the next block lies says how far the heap has grown. */
        carom_value *probe = NULL;
        CHECK_OK(carom_value_new(CAROM_RAW, NULL, 4000, NULL, &probe));
        int64_t at = (char *)carom_value_data(probe) - (char *)carom_value_data(value);
        if (at > highest) highest = at;
        if (round == 9) early = highest;
        carom_value_free(probe);
    }
    CHECK(highest <= early);
    carom_value_free(value);
}

static void processes_and_pools(void) {
    int fds = 0;
    long before = 0;
    for (int round = 0; round < 60; round++) {
        carom_pool *pool = NULL;
        carom_pool_options options = {.size = sizeof options, .workers = 2};
        CHECK_OK(carom_pool_new(&options, &pool));
        run(pool, nothing, NULL, 0);
        if (round % 2) {
            CHECK_OK(carom_pool_terminate(pool));
            CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
        } else {
            CHECK_OK(carom_pool_close(pool));
            CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
        }
        carom_pool_free(pool);
        CHECK_EQ(outcome_of(nothing, NULL, 0), 0);
        if (round == 20) fds = fd_count(), before = arena_kb();
    }
    CHECK_EQ(fd_count(), fds);
    CHECK(arena_kb() <= before + 256);
}

/* Many values with one lock, freed in the worst order. */
static void many_values_with_one_lock(void) {
    enum { MANY = 3000 };
    static carom_value *many[MANY];
    CHECK_OK(carom_lock_new(NULL, &lock));
    carom_shared_options options = {.size = sizeof options, .lock = lock};
    for (int i = 0; i < MANY; i++) CHECK_OK(carom_value_new(CAROM_I64, NULL, 8, &options, &many[i]));
    carom_lock_free(lock);
    for (int i = 0; i < MANY; i++) carom_value_free(many[i]);
}

#define RUN(body) (shared = share(sizeof *shared), CASE(body))

int main(void) {
    RUN(freed_in_any_order);
    RUN(freed_twice);
    RUN(values_begin_as_zero);
    RUN(types_and_alignments);
    RUN(freed_while_a_child_uses_it);
    RUN(kept_by_a_child);
    RUN(kept_by_a_worker);
    RUN(freed_before_the_task_runs);
    RUN(freed_under_a_waiter);
    RUN(freed_under_fire);
    RUN(cycles);
    RUN(cycles_beside_a_child);
    RUN(cycles_across_children);
    RUN(cycles_of_children);
    RUN(processes_and_pools);
    RUN(many_values_with_one_lock);
    return 0;
}
