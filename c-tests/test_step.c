/*
 * Killed at every instruction. A victim, in a process of its own, does one operation under single-step; after k
 * instructions it gets SIGKILL. Then whoever uses the same object must get on: a partner that uses it all the time, and
 * this process. For k = 0, 1, 2, … until the operation is done; where that is more than there is time for, evenly spread
 * ones. It is the release build of the library that is stepped through, with all that it calls.
 *
 *     test_step [SECONDS [OPERATION]]      (3 seconds, all operations)
 *
 * One line per operation: instructions, points killed at, hangs (none, or the test fails), and how often a dead owner was
 * reported.
 */
#include "support.h"

#include <sys/ptrace.h>

static struct shared {
    flag done;      /* the victim is through */
    flag progress;  /* of the partner */
    flag stop;      /* for the partner */
    flag owner_died;
} *shared;

static carom_lock *lock;
static carom_value *value;
static carom_semaphore *semaphore;
static carom_event *event;
static carom_condition *condition;
static carom_barrier *barrier;

/* ---- the operations: what the victim does, what the partner does in a loop, what must work afterwards ---- */

/* Acquires by any means; a dead owner's lock is recovered. */
#define ACQUIRED(acquire, recover)                                   \
    do {                                                             \
        carom_status status_ = (acquire);                            \
        if (status_ == CAROM_EOWNERDEAD) {                           \
            flag_add(&shared->owner_died, 1);                        \
            status_ = (recover);                                     \
        }                                                            \
        CHECK_STATUS(status_, CAROM_OK);                             \
    } while (0)

static void use_lock(void) {
    ACQUIRED(carom_lock_acquire(lock, PATIENCE_MS), carom_lock_recover(lock, PATIENCE_MS));
    CHECK_OK(carom_lock_release(lock));
}
static void use_value(void) {
    ACQUIRED(carom_value_lock(value, PATIENCE_MS), carom_value_recover(value, PATIENCE_MS));
    *(int64_t *)carom_value_data(value) += 1;
    CHECK_OK(carom_value_unlock(value));
}
static void use_semaphore(void) {
    CHECK_OK(carom_semaphore_acquire(semaphore, PATIENCE_MS));
    CHECK_OK(carom_semaphore_release(semaphore));
}
static void both_units(void) { /* units of the dead come back */
    CHECK_OK(carom_semaphore_acquire(semaphore, PATIENCE_MS));
    CHECK_OK(carom_semaphore_release(semaphore));
}
static void set_event(void) {
    CHECK_OK(carom_event_set(event));
    CHECK_OK(carom_event_clear(event));
}
static void await_event(void) { CHECK_OK(carom_event_wait(event, PATIENCE_MS)); }
static void notify(void) {
    ACQUIRED(carom_condition_acquire(condition, PATIENCE_MS), carom_condition_recover(condition, PATIENCE_MS));
    CHECK_OK(carom_condition_notify_all(condition));
    CHECK_OK(carom_condition_release(condition));
}
static void await_notice(void) {
    ACQUIRED(carom_condition_acquire(condition, PATIENCE_MS), carom_condition_recover(condition, PATIENCE_MS));
    carom_status status = carom_condition_wait(condition, PATIENCE_MS);
    CHECK(status == CAROM_OK || status == CAROM_EOWNERDEAD);
    CHECK_OK(carom_condition_release(condition));
}
static void meet_within(int64_t timeout_ms) {
    int64_t index = carom_barrier_wait(barrier, timeout_ms);
    if (index == CAROM_EBROKEN || (index == CAROM_ETIMEDOUT && timeout_ms < PATIENCE_MS)) {
        flag_add(&shared->owner_died, 1);
        CHECK_OK(carom_barrier_reset(barrier));
    } else {
        CHECK_EQ(index & ~1, 0);
    }
}
static void meet(void) { meet_within(PATIENCE_MS); }
/* This process may come when there is nobody to meet. */
static void meet_briefly(void) { meet_within(20); }
static void use_memory(void) {
    static const char zeros[3000];
    carom_value *fresh = NULL;
    CHECK_OK(carom_value_new(CAROM_RAW, zeros, sizeof zeros, NULL, &fresh));
    carom_value_free(fresh);
}
static int32_t nothing(carom_call *call) { (void)call; return 0; }
static void start_a_process(void) {
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(nothing, NULL, 0, NULL, &process));
    CHECK_OK(carom_process_join(process, PATIENCE_MS));
    carom_process_free(process);
}

static const struct operation {
    const char *name;
    void (*victim)(void), (*partner)(void), (*after)(void);
} operations[] = {
    {"lock", use_lock, use_lock, use_lock},
    {"value", use_value, use_value, use_value},
    {"semaphore", use_semaphore, use_semaphore, both_units},
    {"event", set_event, await_event, set_event},
    {"condition notify", notify, await_notice, notify},
    {"condition wait", await_notice, notify, notify},
    {"barrier", meet, meet, meet_briefly},
    {"memory", use_memory, use_memory, use_memory},
    {"process", start_a_process, NULL, start_a_process},
};

/* ---- victim and partner ---- */

static int32_t victim(carom_call *call) {
    int64_t index = 0;
    CHECK_OK(carom_call_read(call, 0, &index, sizeof index));
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    operations[index].victim();
    atomic_store(&shared->done, 1);
    raise(SIGSTOP);
    return 0;
}

static int32_t partner(carom_call *call) {
    int64_t index = 0;
    CHECK_OK(carom_call_read(call, 0, &index, sizeof index));
    while (!atomic_load(&shared->stop)) {
        operations[index].partner();
        flag_add(&shared->progress, 1);
    }
    return 0;
}

static carom_process *started(carom_function function, int64_t index) {
    carom_process *process = NULL;
    carom_argument argument = CAROM_BYTES(&index, sizeof index);
    CHECK_OK(carom_process_start(function, &argument, 1, NULL, &process));
    return process;
}

/* Steps a fresh victim through its first `count` instructions and kills it; whether it was done before. */
static int kill_after(int64_t index, long count) {
    int status;
    atomic_store(&shared->done, 0);
    carom_process *process = started(victim, index);
    pid_t pid = carom_process_pid(process);
    CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
    CHECK(WIFSTOPPED(status));
    for (long i = 0; i < count && !atomic_load(&shared->done); i++) {
        if (ptrace(PTRACE_SINGLESTEP, pid, 0, 0) != 0) break;
        /* A victim that waits for somebody (a partner, a child) stops stepping: that is a point as well. */
        int64_t until = now_ms() + 20;
        pid_t seen;
        while ((seen = waitpid(pid, &status, WNOHANG)) == 0 && now_ms() < until) sched_yield();
        if (seen == 0 || !WIFSTOPPED(status)) break;
    }
    int done = (int)atomic_load(&shared->done);
    CHECK_OK(carom_process_kill(process));
    CHECK_OK(carom_process_join(process, PATIENCE_MS));
    int32_t code = 0;
    CHECK_OK(carom_process_exitcode(process, &code));
    CHECK_EQ(code, -SIGKILL);
    carom_process_free(process);
    return done;
}

/* The partner gets on, whatever the victim left behind; this process helps, as any third one would. */
static void gets_on(const struct operation *operation) {
    operation->after();
    if (!operation->partner) return;
    uint32_t seen = atomic_load(&shared->progress);
    int64_t until = now_ms() + PATIENCE_MS;
    while (atomic_load(&shared->progress) - seen < 2) {
        if (now_ms() > until) check_fail_(__FILE__, __LINE__, "the partner hangs", operation->name, "", "");
        operation->after();
    }
}

static void objects_new(void) {
    carom_semaphore_options owned = {.size = sizeof owned, .owned = 1};
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_OK(carom_value_new(CAROM_I64, NULL, 0, NULL, &value));
    CHECK_OK(carom_bounded_semaphore_new(1, &owned, &semaphore));
    CHECK_OK(carom_event_new(&event));
    CHECK_OK(carom_condition_new(NULL, &condition));
    CHECK_OK(carom_barrier_new(2, NULL, &barrier));
}

static long points_of(int64_t index, int64_t budget_ms) {
    const struct operation *operation = &operations[index];
    atomic_store(&shared->stop, 0);
    atomic_store(&shared->owner_died, 0);
    carom_process *with = operation->partner ? started(partner, index) : NULL;
    int64_t begin = now_ms(), each_ms = 0;
    long points = 0, at = 0, length = 0;
    /* First the whole length, in strides that double; then the points in between, as many as there is time for. */
    while (!kill_after(index, at)) {
        gets_on(operation);
        points++;
        at = at ? at * 2 : 1;
        if (at > 1 << 20) break;
    }
    gets_on(operation);
    length = at;
    each_ms = (now_ms() - begin) / (points + 1) + 1;
    long stride = length * each_ms / (budget_ms + 1) + 1;
    for (long k = 1; k < length && now_ms() - begin < budget_ms; k += stride, points++) {
        int done = kill_after(index, k);
        gets_on(operation);
        if (done) break;
    }
    if (with) {
        atomic_store(&shared->stop, 1);
        while (carom_process_is_alive(with) == 1) operation->after();
        int32_t code = -1;
        CHECK_OK(carom_process_exitcode(with, &code));
        CHECK_EQ(code, 0);
        carom_process_free(with);
    }
    printf("%-18s up to %7ld instructions, %5ld points, 0 hangs, %5u dead owners reported\n", operation->name, length,
           points, atomic_load(&shared->owner_died));
    fflush(stdout);
    return points;
}

int main(int argc, char **argv) {
    int64_t seconds = argc > 1 ? atoll(argv[1]) : 3;
    const char *only = argc > 2 ? argv[2] : NULL;
    long total = 0;
    shared = share(sizeof *shared);
    objects_new();
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (!only || strcmp(only, operations[i].name) == 0)
            total += points_of((int64_t)i, seconds * 1000 / (int64_t)(only ? 1 : sizeof operations / sizeof *operations));
    printf("killed at %ld points, 0 hangs\n", total);
    CHECK_OK(carom_shutdown(PATIENCE_MS));
    return total > 0 ? 0 : 1;
}
