/* Children that carom did not make: they are told so, until they attach. */
#include "support.h"

struct shared {
    flag go, up, held;
    _Atomic int32_t pid;
};
static struct shared *shared;
static carom_lock *lock, *recursive;
static carom_value *value;
static carom_process *process;

static int32_t waits(carom_call *call) {
    (void)call;
    flag_add(&shared->up, 1);
    flag_await(&shared->go, 1);
    return 17;
}

static int32_t returns_18(carom_call *call) {
    (void)call;
    return 18;
}

/* What every call of a stranger says. */
static void is_a_stranger(void) {
    carom_lock *a_lock = (carom_lock *)&a_lock;
    carom_value *a_value = (carom_value *)&a_value;
    carom_process *a_process = (carom_process *)&a_process, *children[2] = {NULL, NULL};
    int32_t number = 4711, other = 4711;
    const char *name = "poison";

    CHECK_STATUS(carom_lock_new(NULL, &a_lock), CAROM_EFORKED);
    CHECK(a_lock == NULL);
    CHECK(strstr(carom_error_message(), "carom_attach") != NULL); /* it says what to do */
    a_lock = (carom_lock *)&a_lock;
    CHECK_STATUS(carom_rlock_new(NULL, &a_lock), CAROM_EFORKED);
    CHECK(a_lock == NULL);
    CHECK_STATUS(carom_lock_acquire(lock, 0), CAROM_EFORKED);
    CHECK_STATUS(carom_lock_acquire(lock, CAROM_FOREVER), CAROM_EFORKED);
    CHECK_STATUS(carom_lock_recover(lock, 0), CAROM_EFORKED);
    CHECK_STATUS(carom_lock_release(lock), CAROM_EFORKED);
    CHECK_EQ(carom_lock_locked(lock), CAROM_EFORKED);
    CHECK_STATUS(carom_lock_acquire(recursive, 0), CAROM_EFORKED);

    CHECK_STATUS(carom_value_new(CAROM_I64, NULL, 8, NULL, &a_value), CAROM_EFORKED);
    CHECK(a_value == NULL);
    CHECK(carom_value_data(value) == NULL);
    CHECK_EQ(carom_value_size(value), CAROM_EFORKED);
    CHECK_EQ(carom_value_type(value), CAROM_EFORKED);
    CHECK_STATUS(carom_value_lock(value, 0), CAROM_EFORKED);
    CHECK_STATUS(carom_value_recover(value, 0), CAROM_EFORKED);
    CHECK_STATUS(carom_value_unlock(value), CAROM_EFORKED);
    CHECK_STATUS(carom_value_get_lock(value, &a_lock), CAROM_EFORKED);
    CHECK(a_lock == NULL);

    CHECK_STATUS(carom_process_start(returns_18, NULL, 0, NULL, &a_process), CAROM_EFORKED);
    CHECK(a_process == NULL);
    CHECK_STATUS(carom_process_join(process, 0), CAROM_EFORKED);
    CHECK_EQ(carom_process_is_alive(process), CAROM_EFORKED);
    CHECK_STATUS(carom_process_exitcode(process, &number), CAROM_EFORKED);
    CHECK_STATUS(carom_process_terminate(process), CAROM_EFORKED);
    CHECK_STATUS(carom_process_kill(process), CAROM_EFORKED);
    CHECK_EQ(carom_process_pid(process), CAROM_EFORKED);
    CHECK_STR_EQ(carom_process_name(process), "");
    CHECK_EQ(carom_process_daemon(process), CAROM_EFORKED);
    CHECK_EQ(carom_process_fd(process), CAROM_EFORKED);
    CHECK_STATUS(carom_process_current(&number, &name), CAROM_EFORKED);
    CHECK_STATUS(carom_process_parent(&number, &other), CAROM_EFORKED);
    CHECK_EQ(carom_process_children(children, 2), CAROM_EFORKED);
    CHECK(children[0] == NULL);
    CHECK_STATUS(carom_shutdown(0), CAROM_EFORKED);
    CHECK_EQ(number, 4711);
    CHECK_EQ(other, 4711);
    CHECK_STR_EQ(name, "poison");

    /* Handles that were bad before are no better now, but that it was forked comes first. */
    CHECK_STATUS(carom_lock_acquire(NULL, 0), CAROM_EFORKED);
    CHECK_STATUS(carom_process_join(NULL, 0), CAROM_EFORKED);
    CHECK_EQ(carom_value_size((carom_value *)lock), CAROM_EFORKED);

    /* What needs no family works. */
    CHECK_STR_EQ(carom_version(), CAROM_VERSION);
    CHECK_STR_EQ(carom_status_name(CAROM_EFORKED), "CAROM_EFORKED");
    CHECK(carom_cpu_count() >= 1);
    carom_error error = {.size = sizeof error};
    CHECK_OK(carom_last_error(&error));
    CHECK_EQ(error.status, CAROM_EFORKED);
}

static void make_all(void) {
    int64_t initial = 99;
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_OK(carom_rlock_new(NULL, &recursive));
    CHECK_OK(carom_value_new(CAROM_I64, &initial, sizeof initial, NULL, &value));
    CHECK_OK(carom_process_start(waits, NULL, 0, NULL, &process));
    flag_await(&shared->up, 1);
}

static void free_all(void) {
    flag_add(&shared->go, 1);
    CHECK_EQ(ended(process), 17);
    carom_value_free(value);
    carom_lock_free(recursive);
    carom_lock_free(lock);
}

/* One object of every other kind. */
static carom_array *array;
static carom_semaphore *semaphore;
static carom_condition *condition;
static carom_event *event;
static carom_barrier *barrier;
static carom_pool *pool;
static carom_result *result;
static carom_iterator *iterator;

static int32_t never(void *ctx) {
    (void)ctx;
    return 0;
}

#define IS_FORKED(call) CHECK_EQ(call, CAROM_EFORKED)
#define GIVES_NOTHING(type, out, call)                                                                                 \
    do {                                                                                                               \
        type *out##_ = (type *)(uintptr_t)0xa5a5a5a5, **out = &out##_;                                                 \
        CHECK_EQ(call, CAROM_EFORKED);                                                                                 \
        CHECK(out##_ == NULL);                                                                                         \
    } while (0)

static void is_a_stranger_to_all(void) {
    int64_t number = 4711;
    carom_pool_event happened = {.size = sizeof happened};
    carom_verdict verdict = {.size = sizeof verdict};
    carom_items items = {.size = sizeof items, .data = &number, .item_size = 8, .count = 1};
    IS_FORKED(carom_value_get(value, &number, 8, 0));
    IS_FORKED(carom_value_set(value, &number, 8, 0));
    IS_FORKED(carom_value_load(value, &number));
    IS_FORKED(carom_value_store(value, 1));
    IS_FORKED(carom_value_add(value, 1, &number));
    IS_FORKED(carom_value_swap(value, 99, 1, &number));
    GIVES_NOTHING(carom_value, out, carom_value_copy(value, out, 0));
    IS_FORKED(carom_value_synchronize(value, NULL));
    GIVES_NOTHING(carom_array, out, carom_array_new(CAROM_I64, 8, 1, NULL, NULL, out));
    CHECK(carom_array_data(array) == NULL);
    IS_FORKED(carom_array_count(array));
    IS_FORKED(carom_array_type(array));
    IS_FORKED(carom_array_get(array, 0, 1, &number, 8, 0));
    IS_FORKED(carom_array_set(array, 0, &number, 8, 0));
    IS_FORKED(carom_array_lock(array, 0));
    IS_FORKED(carom_array_recover(array, 0));
    IS_FORKED(carom_array_unlock(array));
    GIVES_NOTHING(carom_lock, out, carom_array_get_lock(array, out));
    IS_FORKED(carom_array_synchronize(array, NULL));
    GIVES_NOTHING(carom_semaphore, out, carom_semaphore_new(1, NULL, out));
    GIVES_NOTHING(carom_semaphore, out, carom_bounded_semaphore_new(1, NULL, out));
    IS_FORKED(carom_semaphore_acquire(semaphore, CAROM_FOREVER));
    IS_FORKED(carom_semaphore_release(semaphore));
    IS_FORKED(carom_semaphore_value(semaphore));
    GIVES_NOTHING(carom_condition, out, carom_condition_new(NULL, out));
    IS_FORKED(carom_condition_acquire(condition, 0));
    IS_FORKED(carom_condition_recover(condition, 0));
    IS_FORKED(carom_condition_release(condition));
    IS_FORKED(carom_condition_wait(condition, CAROM_FOREVER));
    IS_FORKED(carom_condition_wait_for(condition, never, NULL, CAROM_FOREVER));
    IS_FORKED(carom_condition_notify(condition, 1));
    IS_FORKED(carom_condition_notify_all(condition));
    GIVES_NOTHING(carom_event, out, carom_event_new(out));
    IS_FORKED(carom_event_set(event));
    IS_FORKED(carom_event_clear(event));
    IS_FORKED(carom_event_is_set(event));
    IS_FORKED(carom_event_wait(event, CAROM_FOREVER));
    GIVES_NOTHING(carom_barrier, out, carom_barrier_new(2, NULL, out));
    IS_FORKED(carom_barrier_wait(barrier, CAROM_FOREVER));
    IS_FORKED(carom_barrier_reset(barrier));
    IS_FORKED(carom_barrier_abort(barrier));
    IS_FORKED(carom_barrier_parties(barrier));
    IS_FORKED(carom_barrier_waiting(barrier));
    IS_FORKED(carom_barrier_broken(barrier));
    GIVES_NOTHING(carom_pool, out, carom_pool_new(NULL, out));
    IS_FORKED(carom_pool_apply(pool, returns_18, NULL, 0, NULL, NULL, 0, NULL, CAROM_FOREVER));
    GIVES_NOTHING(carom_result, out, carom_pool_apply_async(pool, returns_18, NULL, 0, NULL, out));
    IS_FORKED(carom_pool_map(pool, returns_18, &number, 8, 1, NULL, NULL, 0, CAROM_FOREVER));
    GIVES_NOTHING(carom_iterator, out, carom_pool_imap_unordered(pool, returns_18, &items, NULL, out));
    GIVES_NOTHING(carom_result, out, carom_iterator_next(iterator, out, CAROM_FOREVER));
    IS_FORKED(carom_pool_fd(pool));
    IS_FORKED(carom_pool_dispatch(pool, 0));
    IS_FORKED(carom_pool_next_event(pool, &happened, CAROM_FOREVER));
    IS_FORKED(carom_pool_close(pool));
    IS_FORKED(carom_pool_terminate(pool));
    IS_FORKED(carom_pool_join(pool, CAROM_FOREVER));
    IS_FORKED(carom_result_wait(result, CAROM_FOREVER));
    IS_FORKED(carom_result_ready(result));
    IS_FORKED(carom_result_successful(result));
    IS_FORKED(carom_result_get(result, NULL, 0, NULL, CAROM_FOREVER));
    IS_FORKED(carom_result_verdict(result, &verdict));
    CHECK_EQ(number, 4711);
    carom_iterator_free(iterator);
    carom_result_free(result);
    carom_pool_free(pool);
    carom_barrier_free(barrier);
    carom_event_free(event);
    carom_condition_free(condition);
    carom_semaphore_free(semaphore);
    carom_array_free(array);
    carom_value_free(value);
}

static void strangers_to_all(void) {
    int64_t item = 1, initial = 99;
    carom_pool_options options = {.size = sizeof options, .workers = 1};
    carom_items items = {.size = sizeof items, .data = &item, .item_size = 8, .count = 1};
    CHECK_OK(carom_value_new(CAROM_I64, &initial, 8, NULL, &value));
    CHECK_OK(carom_array_new(CAROM_I64, 8, 4, NULL, NULL, &array));
    CHECK_OK(carom_semaphore_new(1, NULL, &semaphore));
    CHECK_OK(carom_condition_new(NULL, &condition));
    CHECK_OK(carom_event_new(&event));
    CHECK_OK(carom_barrier_new(1, NULL, &barrier));
    CHECK_OK(carom_pool_new(&options, &pool));
    CHECK_OK(carom_pool_apply_async(pool, returns_18, NULL, 0, NULL, &result));
    CHECK_OK(carom_pool_imap_unordered(pool, returns_18, &items, NULL, &iterator));
    pid_t pid = fork();
    if (pid == 0) {
        is_a_stranger_to_all();
        _exit(20);
    }
    CHECK_EQ(wait_for(pid), 20);
    /* And here all of it goes on. */
    carom_result *next = NULL;
    CHECK_STATUS(carom_result_get(result, NULL, 0, NULL, PATIENCE_MS), CAROM_ETASKFAILED);
    CHECK_OK(carom_iterator_next(iterator, &next, PATIENCE_MS));
    CHECK_EQ(*(int64_t *)carom_value_data(value), 99);
    CHECK_EQ(carom_semaphore_value(semaphore), 1);
    CHECK_EQ(carom_barrier_broken(barrier), 0);
    CHECK_EQ(carom_barrier_wait(barrier, 0), 0);
    carom_result_free(next);
    carom_iterator_free(iterator);
    carom_result_free(result);
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
    carom_barrier_free(barrier);
    carom_event_free(event);
    carom_condition_free(condition);
    carom_semaphore_free(semaphore);
    carom_array_free(array);
    carom_value_free(value);
}

static void strangers(void) {
    make_all();
    CHECK_OK(carom_lock_acquire(lock, 0));
    pid_t pid = fork();
    if (pid == 0) {
        is_a_stranger();
        is_a_stranger(); /* nothing that was refused has changed anything */
        carom_lock_free(lock);
        carom_lock_free(lock);
        carom_lock_free(recursive);
        carom_value_free(value);
        carom_process_free(process);
        carom_lock_free(NULL);
        _exit(3);
    }
    CHECK_EQ(wait_for(pid), 3);
    /* Nothing of that has reached anybody else. */
    CHECK_EQ(carom_lock_locked(lock), 1);
    CHECK_OK(carom_lock_release(lock));
    CHECK_EQ(*(int64_t *)carom_value_data(value), 99);
    CHECK_OK(carom_value_lock(value, 0));
    CHECK_OK(carom_value_unlock(value));
    CHECK_OK(carom_lock_acquire(recursive, 0));
    CHECK_OK(carom_lock_release(recursive));
    CHECK_EQ(carom_process_is_alive(process), 1);
    free_all();
}

/* A grandchild of a stranger is one too, and so is a child of vfork's better brother. */
static void strangers_of_strangers(void) {
    make_all();
    pid_t pid = fork();
    if (pid == 0) {
        pid_t inner = fork();
        if (inner == 0) {
            is_a_stranger();
            CHECK_OK(carom_attach());
            CHECK_OK(carom_lock_acquire(lock, 0));
            CHECK_OK(carom_lock_release(lock));
            _exit(4);
        }
        CHECK_EQ(wait_for(inner), 4);
        is_a_stranger(); /* that its child attached changes nothing here */
        _exit(5);
    }
    CHECK_EQ(wait_for(pid), 5);
    free_all();
}

static void exits_as_it_likes(void) {
    make_all();
    pid_t pid = fork();
    if (pid == 0) exit(6);
    CHECK_EQ(wait_for(pid), 6);
    CHECK_EQ(carom_process_is_alive(process), 1);
    free_all();
}

static void attaches(void) {
    make_all();
    CHECK_OK(carom_lock_acquire(recursive, 0));
    CHECK_OK(carom_attach()); /* nothing to do */
    pid_t pid = fork();
    if (pid == 0) {
        int32_t number = 0;
        const char *name = NULL;
        CHECK_OK(carom_attach());
        CHECK_OK(carom_attach());
        CHECK_OK(carom_process_current(&number, &name));
        CHECK_EQ(number, getpid());
        /* What was inherited works. */
        CHECK_OK(carom_lock_acquire(lock, 0));
        CHECK_OK(carom_lock_release(lock));
        CHECK_OK(carom_value_lock(value, 0));
        *(int64_t *)carom_value_data(value) += 1;
        CHECK_OK(carom_value_unlock(value));
        /* The holder is the parent, although it was this thread. */
        CHECK_STATUS(carom_lock_acquire(recursive, 0), CAROM_ETIMEDOUT);
        CHECK_STATUS(carom_lock_release(recursive), CAROM_EPERM);
        /* A process of the parent's is not its own. */
        CHECK_STATUS(carom_process_join(process, 0), CAROM_EPERM);
        CHECK_EQ(carom_process_children(NULL, 0), 0);
        /* It can start some itself. */
        CHECK_EQ(outcome_of(returns_18, NULL, 0), 18);
        carom_lock *own = NULL;
        CHECK_OK(carom_lock_new(NULL, &own));
        CHECK_OK(carom_lock_acquire(own, 0));
        CHECK_OK(carom_lock_release(own));
        carom_lock_free(own);
        carom_lock_free(lock);
        carom_value_free(value);
        carom_process_free(process);
        CHECK_OK(carom_shutdown(PATIENCE_MS));
        _exit(7);
    }
    CHECK_EQ(wait_for(pid), 7);
    CHECK_EQ(*(int64_t *)carom_value_data(value), 100);
    CHECK_OK(carom_lock_release(recursive));
    CHECK_OK(carom_lock_acquire(lock, 0));
    CHECK_OK(carom_lock_release(lock));
    free_all();
}

/* Objects of an attached process are shared with those that it starts. */
static int32_t acquires_own(carom_call *call) {
    carom_lock *own = NULL;
    CHECK_OK(carom_call_lock(call, 0, &own));
    CHECK_STATUS(carom_lock_acquire(own, 0), CAROM_ETIMEDOUT);
    CHECK_OK(carom_lock_release(own));
    return 8;
}

static void shares_what_it_makes(void) {
    make_all();
    pid_t pid = fork();
    if (pid == 0) {
        carom_lock *own = NULL;
        CHECK_OK(carom_attach());
        CHECK_OK(carom_lock_new(NULL, &own));
        CHECK_OK(carom_lock_acquire(own, 0));
        carom_argument argument = CAROM_HANDLE(own);
        CHECK_EQ(outcome_of(acquires_own, &argument, 1), 8);
        CHECK_EQ(carom_lock_locked(own), 0);
        _exit(9);
    }
    CHECK_EQ(wait_for(pid), 9);
    free_all();
}

/* The death of an attached holder is noticed as that of any other; by a waiter, and by somebody who comes later. */
static void dies_holding(int waiting) {
    make_all();
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_OK(carom_attach());
        CHECK_OK(carom_lock_acquire(lock, 0));
        CHECK_OK(carom_value_lock(value, 0));
        flag_add(&shared->held, 1);
        if (waiting) asleep_in_(__FILE__, __LINE__, getppid(), getppid(), SYS_futex, SYS_futex_waitv);
        kill(getpid(), SIGKILL);
    }
    flag_await(&shared->held, 1);
    if (!waiting) CHECK_EQ(wait_for(pid), -SIGKILL);
    CHECK_STATUS(carom_lock_acquire(lock, CAROM_FOREVER), CAROM_EOWNERDEAD);
    CHECK_STATUS(carom_value_lock(value, CAROM_FOREVER), CAROM_EOWNERDEAD);
    if (waiting) CHECK_EQ(wait_for(pid), -SIGKILL);
    CHECK_OK(carom_lock_recover(lock, 0));
    CHECK_OK(carom_lock_release(lock));
    CHECK_OK(carom_value_recover(value, 0));
    CHECK_OK(carom_value_unlock(value));
    free_all();
}
static void dies_holding_while_others_wait(void) { dies_holding(1); }
static void dies_holding_before_others_come(void) { dies_holding(0); }

/* And it hears of others' deaths. */
static void hears_of_deaths(void) {
    make_all();
    CHECK_OK(carom_lock_acquire(lock, 0));
    pid_t pid = fork();
    if (pid == 0) {
        pid_t inner = fork();
        CHECK_OK(carom_attach());
        if (inner == 0) {
            CHECK_OK(carom_value_lock(value, 0));
            flag_add(&shared->held, 1);
            for (;;) pause();
        }
        flag_await(&shared->held, 1);
        kill(inner, SIGKILL);
        CHECK_STATUS(carom_value_lock(value, CAROM_FOREVER), CAROM_EOWNERDEAD);
        CHECK_EQ(wait_for(inner), -SIGKILL);
        CHECK_OK(carom_value_recover(value, 0));
        CHECK_OK(carom_value_unlock(value));
        _exit(10);
    }
    CHECK_EQ(wait_for(pid), 10);
    CHECK_OK(carom_lock_release(lock));
    free_all();
}

/* A fork in a family of one, with nothing but an object in it, and no keeper yet. */
static void no_keeper_yet(void) {
    CHECK_OK(carom_lock_new(NULL, &lock));
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_STATUS(carom_lock_acquire(lock, 0), CAROM_EFORKED);
        CHECK_OK(carom_attach());
        CHECK_OK(carom_lock_acquire(lock, 0));
        kill(getpid(), SIGKILL);
    }
    CHECK_EQ(wait_for(pid), -SIGKILL);
    CHECK_STATUS(carom_lock_acquire(lock, CAROM_FOREVER), CAROM_EOWNERDEAD);
    CHECK_OK(carom_lock_recover(lock, 0));
    CHECK_OK(carom_lock_release(lock));
    carom_lock_free(lock);
}

/* A fork before the first call: two families, that know nothing of each other. */
static void before_any_call(void) {
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_OK(carom_lock_new(NULL, &lock));
        CHECK_EQ(outcome_of(returns_18, NULL, 0), 18);
        carom_lock_free(lock);
        _exit(11);
    }
    CHECK_EQ(outcome_of(returns_18, NULL, 0), 18);
    CHECK_EQ(wait_for(pid), 11);
}

/* A task forks: its child has the call in its memory, but it is not its call. */
static int32_t forks(carom_call *call) {
    pid_t pid = fork();
    if (pid == 0) {
        int64_t number = 4711;
        carom_argument argument;
        carom_lock *none = (carom_lock *)&none;
        memset(&argument, 0xa5, sizeof argument);
        CHECK_EQ(carom_call_count(call), CAROM_EFORKED);
        CHECK_STATUS(carom_call_read(call, 0, &number, sizeof number), CAROM_EFORKED);
        CHECK_EQ(number, 4711);
        CHECK_STATUS(carom_call_argument(call, 0, &argument), CAROM_EFORKED);
        CHECK_STATUS(carom_call_lock(call, 1, &none), CAROM_EFORKED);
        CHECK(none == NULL);
        CHECK_STATUS(carom_call_reply(call, "x", 1), CAROM_EFORKED);
        CHECK_STATUS(carom_handle_keep(call, lock), CAROM_EFORKED);
        _exit(12);
    }
    CHECK_EQ(wait_for(pid), 12);
    return 13;
}

static void a_task_forks(void) {
    CHECK_OK(carom_lock_new(NULL, &lock));
    carom_argument arguments[] = {CAROM_INTEGER(1), CAROM_HANDLE(lock)};
    CHECK_EQ(outcome_of(forks, arguments, 2), 13);
    carom_lock_free(lock);
}

/* A task forks, and its child returns from the function as well: that is no second worker, and no second answer. */
static int32_t returns_twice(carom_call *call) {
    int64_t seven = 7;
    pid_t pid = fork();
    if (pid == 0) return 21;
    CHECK_EQ(wait_for(pid), 21);
    CHECK_OK(carom_call_reply(call, &seven, sizeof seven));
    return 0;
}

static int32_t returns_twice_attached(carom_call *call) {
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_OK(carom_attach());
        return 22;
    }
    CHECK_EQ(wait_for(pid), 22);
    return carom_call_count(call) == 1 ? 0 : 1;
}

static void a_task_returns_twice(void) {
    int64_t reply = 0, items[8] = {0}, replies[8];
    carom_pool_options options = {.size = sizeof options, .workers = 2};
    carom_argument argument = CAROM_INTEGER(1);
    CHECK_OK(carom_pool_new(&options, &pool));
    for (int i = 0; i < 20; i++) {
        reply = 0;
        CHECK_OK(carom_pool_apply(pool, returns_twice, NULL, 0, NULL, &reply, sizeof reply, NULL, PATIENCE_MS));
        CHECK_EQ(reply, 7);
        CHECK_OK(carom_pool_apply(pool, returns_twice_attached, &argument, 1, NULL, NULL, 0, NULL, PATIENCE_MS));
    }
    CHECK_OK(carom_pool_map(pool, returns_twice, items, 8, 8, NULL, replies, 8, PATIENCE_MS));
    for (int i = 0; i < 8; i++) CHECK_EQ(replies[i], 7);
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
    /* And in a process of its own. */
    CHECK_EQ(outcome_of(returns_twice_attached, &argument, 1), 0);
}

static void *starts_and_locks(void *stop) {
    while (!atomic_load((_Atomic int *)stop)) {
        CHECK_EQ(outcome_of(returns_18, NULL, 0), 18);
        CHECK_OK(carom_value_lock(value, CAROM_FOREVER));
        CHECK_OK(carom_value_unlock(value));
    }
    return NULL;
}

/* A program with busy threads forks at whatever moment. */
static void among_busy_threads(void) {
    static _Atomic int stop;
    pthread_t threads[2];
    make_all();
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_create(&threads[i], NULL, starts_and_locks, (void *)&stop), 0);
    for (int i = 0; i < 60; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            CHECK_STATUS(carom_lock_acquire(lock, 0), CAROM_EFORKED);
            CHECK_OK(carom_attach());
            CHECK_OK(carom_lock_acquire(lock, PATIENCE_MS));
            CHECK_OK(carom_lock_release(lock));
            carom_value *own = NULL;
            CHECK_OK(carom_value_new(CAROM_RAW, NULL, 1000, NULL, &own));
            carom_value_free(own);
            CHECK_EQ(outcome_of(returns_18, NULL, 0), 18);
            _exit(14);
        }
        CHECK_EQ(wait_for(pid), 14);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    free_all();
}

#define RUN(body) (shared = share(sizeof *shared), CASE(body))

int main(void) {
    RUN(strangers);
    RUN(strangers_to_all);
    RUN(strangers_of_strangers);
    RUN(exits_as_it_likes);
    RUN(attaches);
    RUN(shares_what_it_makes);
    RUN(dies_holding_while_others_wait);
    RUN(dies_holding_before_others_come);
    RUN(hears_of_deaths);
    RUN(no_keeper_yet);
    RUN(before_any_call);
    RUN(a_task_forks);
    RUN(a_task_returns_twice);
    RUN(among_busy_threads);
    return 0;
}
