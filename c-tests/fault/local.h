/* Functions of objects, processes, pools and named memory, for torture_faults.c. */
#ifndef FAULT_LOCAL_H
#define FAULT_LOCAL_H

#include "../support.h"

struct function {
    const char *name;
    void (*before)(void);
    carom_status (*call)(void);
    void (*after)(void); /* when it has worked: takes away what it made */
    int descends;        /* not the caller's calls fail but its child's, grandchild's, ... */
};

static struct shared {
    flag ready, go; /* the caller may be followed; it may begin */
    flag phase;     /* 1: calls may fail */
    flag wanted;    /* visits, see messages.h */
    int descends;   /* of the function */
    int lasts;      /* they fail from one on: what they are for may not come */
    int64_t status;
    int fds;
} *shared;

/* How long a function waits. Where something fails for as long as it waits, its time-out is how it ends. */
static int64_t patience(void) { return shared->lasts && atomic_load(&shared->phase) == 1 ? 1000 : PATIENCE_MS; }

/* What a function has to do yet, so that all is as it was, is no part of it. */
static void no_more_faults(void) {
    if (!shared->descends) atomic_store(&shared->phase, 2);
}

/* Out of time is how these end when all goes well. */
static carom_status in_time(carom_status status) { return status == CAROM_ETIMEDOUT ? CAROM_OK : status; }

/* ---- objects ---- */

static carom_lock *lock;
static carom_value *value;
static carom_process *process;
static carom_pool *pool;
static carom_event *event;
static carom_semaphore *semaphore;
static carom_condition *condition;
static carom_barrier *barrier;
static carom_shared_memory *memory;
static carom_shareable_list *list;
static char name[64];

static int32_t says_seven(carom_call *call) { (void)call; return 7; }
static int32_t plus_one(carom_call *call) {
    int64_t number = 0;
    if (carom_call_read(call, 0, &number, sizeof number) != CAROM_OK) return 1;
    number++;
    return carom_call_reply(call, &number, sizeof number) == CAROM_OK ? 0 : 1;
}

static carom_status lock_new(void) { return carom_lock_new(NULL, &lock); }
static void lock_free(void) { carom_lock_free(lock); }
static void lock_held(void) {
    CHECK_OK(lock_new());
    CHECK_OK(carom_lock_acquire(lock, 0));
}
static carom_status lock_acquire(void) { return in_time(carom_lock_acquire(lock, 3)); }
static carom_status value_new(void) {
    static const char bytes[100000];
    return carom_value_new(CAROM_RAW, bytes, sizeof bytes, NULL, &value);
}
static void value_free(void) { carom_value_free(value); }
static void event_made(void) { CHECK_OK(carom_event_new(&event)); }
static carom_status event_wait(void) { return in_time(carom_event_wait(event, 3)); }
static void semaphore_made(void) { CHECK_OK(carom_semaphore_new(0, NULL, &semaphore)); }
static carom_status semaphore_acquire(void) { return in_time(carom_semaphore_acquire(semaphore, 3)); }
static void condition_made(void) { CHECK_OK(carom_condition_new(NULL, &condition)); }
static carom_status condition_wait(void) {
    CHECK_OK(carom_condition_acquire(condition, 0));
    carom_status status = in_time(carom_condition_wait(condition, 3));
    CHECK_OK(carom_condition_release(condition));
    return status;
}
static void barrier_made(void) { CHECK_OK(carom_barrier_new(2, NULL, &barrier)); }
static carom_status barrier_wait(void) {
    carom_status status = in_time((carom_status)carom_barrier_wait(barrier, 3));
    CHECK_OK(carom_barrier_reset(barrier));
    return status;
}
/* ---- processes and pools ---- */

static carom_status process_start(void) { return carom_process_start(says_seven, NULL, 0, NULL, &process); }
static carom_context *context;
static carom_status context_start(const char *method) {
    carom_process_options options = {.size = sizeof options};
    CHECK_OK(carom_context_new(method, &context));
    options.context = context;
    carom_status status = carom_process_start(says_seven, NULL, 0, &options, &process);
    carom_context_free(context);
    return status;
}
static carom_status process_spawn(void) { return context_start("spawn"); }
static carom_status process_fork_server(void) { return context_start("forkserver"); }
static void process_ends(void) {
    int32_t code = 0;
    CHECK_OK(carom_process_join(process, PATIENCE_MS));
    CHECK_OK(carom_process_exitcode(process, &code));
    CHECK_EQ(code, 7);
    carom_process_free(process);
}
/* A keeper is there. */
static void family_up(void) {
    CHECK_OK(process_start());
    process_ends();
}
static void fork_server_up(void) {
    CHECK_OK(process_fork_server());
    process_ends();
}
static void process_started(void) { CHECK_OK(process_start()); }
static carom_status process_join(void) { return carom_process_join(process, patience()); }
static carom_status pool_new(void) {
    carom_pool_options options = {.size = sizeof options, .workers = 2};
    return carom_pool_new(&options, &pool);
}
static void pool_ends(void) {
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
}
static void pool_made(void) { CHECK_OK(pool_new()); }
static carom_status pool_apply(void) {
    int64_t number = 41, reply = 0;
    carom_argument argument = CAROM_INTEGER(number);
    carom_status status =
        carom_pool_apply(pool, plus_one, &argument, 1, NULL, &reply, sizeof reply, NULL, patience());
    if (status == CAROM_OK) CHECK_EQ(reply, 42);
    return status;
}
static carom_status pool_map(void) {
    int64_t in[100] = {0}, out[100] = {0};
    carom_status status = carom_pool_map(pool, plus_one, in, 8, 100, NULL, out, 8, patience());
    for (int i = 0; i < 100 && status == CAROM_OK; i++) CHECK_EQ(out[i], 1);
    return status;
}
static carom_status pool_fd(void) {
    int32_t fd = carom_pool_fd(pool);
    return fd < 0 ? fd : CAROM_OK;
}
static carom_status pool_all(void) {
    carom_status status = pool_new();
    if (status != CAROM_OK) return status;
    status = pool_apply();
    CHECK_OK(carom_pool_close(pool));
    carom_status joined = carom_pool_join(pool, patience());
    carom_pool_free(pool);
    return status == CAROM_OK ? joined : status;
}

/* ---- named memory ---- */

static carom_status memory_new(void) { return carom_shared_memory_new(name, 100000, NULL, &memory); }
static void memory_ends(void) {
    CHECK_OK(carom_shared_memory_unlink(memory));
    carom_shared_memory_free(memory);
}
static void memory_made(void) { CHECK_OK(memory_new()); }
static carom_status memory_open(void) {
    carom_shared_memory *other = NULL;
    carom_status status = carom_shared_memory_open(name, NULL, &other);
    carom_shared_memory_free(other);
    return status;
}
static carom_status list_new(void) {
    carom_argument items[] = {CAROM_INTEGER(1), CAROM_INTEGER(2)};
    return carom_shareable_list_new(items, 2, name, &list);
}
static void list_ends(void) {
    CHECK_OK(carom_shareable_list_unlink(list));
    carom_shareable_list_free(list);
}
#endif
