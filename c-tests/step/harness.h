/*
 * Operations, and what happens at each of their instructions: the victim is brought there, a third party does something, the
 * victim is killed, and then everybody else must get on, nothing committed may be lost, one death reported, nothing left.
 */
#ifndef STEP_HARNESS_H
#define STEP_HARNESS_H

#include "tracee.h"

enum { SKIPPED = 77 };

enum script { ALONE, BARGER, WAITER, SECOND_KILL, TIME_OUT, STOPPED, FREED, SCRIPTS };
static const char *const script_names[] = {"alone", "barger", "waiter", "second kill", "time-out", "stop/cont", "free"};

struct operation {
    const char *name;
    void (*make)(void), (*unmake)(void); /* its objects, in this process */
    void (*before)(void);                /* here, before each victim is started */
    void (*prelude)(void);               /* in the victim, before it is stepped */
    void (*victim)(void);
    void (*wake)(void);                  /* here, when the victim sleeps, or is dead before it did */
    void (*after)(void);                 /* here, when it is dead or through: what must be, see `point` */
    int (*barge)(void);                  /* takes what it can without waiting; whether it did */
    void (*late)(void);                  /* here, while something is left: takes what came back when the death was found */
    void (*unbarge)(void);
    void (*wait)(void);                  /* what the partner does, which may sleep */
    void (*greet)(void);                 /* in the partner, before anything is counted */
    void (*abandon)(void);               /* frees what it works on, without waiting for it; else that is `unmake` */
    void (*timed)(void);                 /* with a time-out that fires if the victim holds what is wanted */
    int accompanied;                     /* by the partner, in every script */
    int threaded;                        /* the partner is a thread of this process: what it waits for is this process's */
    void (*second)(void);                /* kills another process that works on it, instead of a second victim */
    int wake_often;                      /* one call may come too early */
    int single;                          /* there can be only one victim */
    int in_heap;                         /* stands under the heap's lock, for which whoever frees would wait until it goes on */
    int descends;                        /* not the victim is stepped and killed but its child (1), grandchild (2) ... */
    int executes;                        /* ... and not before it has executed this program */
    void (*ready)(void);                 /* here, once the victim stands at its beginning */
    pid_t (*target)(void);               /* instead of a victim: a process that is there and sleeps */
    void (*begin)(void);                 /* ... and what makes it move */
};

/* Of the victim, as it says: what it has begun and what it has done. */
enum stage { BEFORE, ACQUIRING, HOLDS, RELEASING, DONE };

static struct shared {
    flag through, stage, inside, owner_died, no_stop, holds;
    flag greeted, asked, begun, served, quit; /* the partner */
    int64_t told;                    /* by the victim or the partner */
} *shared;

static struct point {
    const struct operation *operation;
    enum script script;
    long k;
    int woken;  /* `wake` has been called */
    int killed; /* the victim was, at its instruction */
} point;

static carom_process *partner_process;
static carom_arena_info base, bare; /* with the objects, and without */
static carom_event *never;
static uint64_t program_entry; /* where this program begins, when it is executed anew */

/* ---- what operations use ---- */

static inline void stage(enum stage it) { atomic_store(&shared->stage, it); }
static inline enum stage reached(void) { return (enum stage)atomic_load(&shared->stage); }

/* In a section that excludes others. */
static inline void enter(int after_a_death) {
    uint32_t before = atomic_exchange(&shared->inside, 1);
    if (before && !after_a_death) check_fail_(__FILE__, __LINE__, "two inside at once", point.operation->name, "", "");
}
static inline void leave(void) { atomic_store(&shared->inside, 0); }

/* Acquires by any means; whether a dead holder's lock was recovered. */
static inline int acquired_(carom_status status, carom_status recovered) {
    if (status == CAROM_EOWNERDEAD) {
        CHECK_STATUS(recovered, CAROM_OK);
        flag_add(&shared->owner_died, 1);
        return 1;
    }
    CHECK_STATUS(status, CAROM_OK);
    return 0;
}
#define ACQUIRED(acquire, recover)                                              \
    __extension__({                                                             \
        carom_status status_ = (acquire);                                       \
        acquired_(status_, status_ == CAROM_EOWNERDEAD ? (recover) : CAROM_OK); \
    })

/* How often a dead holder was found at this point is as often as there was one. */
static inline void deaths_are_right(void) {
    uint32_t deaths = atomic_load(&shared->owner_died);
    if (point.script == SECOND_KILL) {
        CHECK(deaths <= 2);
    } else {
        uint32_t least = point.killed && reached() == HOLDS, most = point.killed && reached() != BEFORE && reached() != DONE;
        /* Two who find it at once are told both. */
        if (deaths < least || deaths > most * (point.script == WAITER ? 2 : 1)) check_eq_(__FILE__, __LINE__, "dead holders reported", deaths, least);
    }
}

static carom_process *started(carom_function function) {
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(function, NULL, 0, NULL, &process));
    return process;
}

/* ---- the partner ---- */

static int32_t partner(carom_call *call) {
    uint32_t seen = 0;
    (void)call;
    if (point.operation->greet) point.operation->greet();
    flag_add(&shared->greeted, 1);
    while (!atomic_load(&shared->quit)) {
        uint32_t asked = atomic_load(&shared->asked);
        if (asked == seen) {
            syscall(SYS_futex, &shared->asked, FUTEX_WAIT, seen, NULL, NULL, 0);
            continue;
        }
        seen = asked;
        atomic_store(&shared->begun, seen);
        point.operation->wait();
        atomic_store(&shared->served, 0);
        flag_add(&shared->served, seen);
    }
    return 0;
}

static inline int partner_is_through(void) { return atomic_load(&shared->served) == atomic_load(&shared->asked); }

static pid_t partner_thread; /* 0: a process */
static void *partner_in_a_thread(void *nothing) {
    partner_thread = gettid();
    partner(NULL);
    return nothing;
}

/* The partner begins, and has gone to sleep, or is through. */
static inline void partner_begins(void) {
    flag_add(&shared->asked, 1);
    uint32_t asked = atomic_load(&shared->asked);
    pid_t pid = partner_process ? carom_process_pid(partner_process) : getpid();
    int64_t until = now_ms() + PATIENCE_MS;
    for (int asleep = 0; asleep < 2 && !partner_is_through();) {
        asleep = atomic_load(&shared->begun) == asked && state_of(pid, partner_process ? pid : partner_thread) == 'S' ? asleep + 1 : 0;
        if (now_ms() > until) hangs("the partner neither sleeps nor ends");
        sched_yield();
    }
}

static inline void partner_ends(void) {
    int64_t until = now_ms() + PATIENCE_MS;
    while (!partner_is_through()) {
        uint32_t served = atomic_load(&shared->served);
        struct timespec t = {0, 50000000};
        if (!partner_is_through()) syscall(SYS_futex, &shared->served, FUTEX_WAIT, served, &t, NULL, 0);
        if (now_ms() > until) hangs("the partner hangs");
    }
}

static inline int needs_partner(const struct operation *operation, enum script script) {
    return operation->wait && (script == WAITER || operation->accompanied);
}

/* ---- the victim ---- */

static int32_t victim(carom_call *call) {
    (void)call;
    const struct operation *operation = point.operation;
    if (operation->prelude) operation->prelude();
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    operation->victim();
    atomic_store(&shared->through, 1);
    if (!atomic_load(&shared->no_stop)) raise(SIGSTOP);
    return 0;
}

/* One that nobody steps. */
static int32_t bystander(carom_call *call) {
    (void)call;
    if (point.operation->prelude) point.operation->prelude();
    point.operation->victim();
    return 0;
}

static carom_process *victim_process;

static void wake(void) {
    point.woken = 1;
    point.operation->wake();
}

static void tracee_begins(int is_recorded) {
    const struct operation *operation = point.operation;
    int status;
    memset(&tracee, 0, sizeof tracee);
    atomic_store(&shared->through, 0);
    atomic_store(&shared->owner_died, 0);
    atomic_store(&shared->inside, 0);
    atomic_store(&shared->no_stop, (point.script == STOPPED && !is_recorded) || operation->descends);
    stage(BEFORE);
    point.woken = point.killed = 0;
    victim_process = NULL;
    if (operation->before) operation->before();
    if (operation->target) {
        tracee.pid = operation->target();
        if (ptrace(PTRACE_SEIZE, tracee.pid, 0, OPTIONS) != 0) {
            CHECK_EQ(errno, EPERM);
            _exit(SKIPPED); /* ptrace_scope: it is no child of ours */
        }
        CHECK_EQ(ptrace(PTRACE_INTERRUPT, tracee.pid, 0, 0), 0);
        CHECK_EQ(next_stop(tracee.pid, &status), tracee.pid);
        CHECK(WIFSTOPPED(status));
        tracee.generation = operation->descends;
        return;
    }
    victim_process = started(victim);
    tracee.pid = carom_process_pid(victim_process);
    tracee.generation = operation->descends;
    tracee.entry = operation->executes ? program_entry : 0;
    do CHECK_EQ(next_stop(tracee.pid, &status), tracee.pid);
    while (WIFSTOPPED(status) && WSTOPSIG(status) != SIGSTOP && ptrace(PTRACE_CONT, tracee.pid, 0, WSTOPSIG(status)) == 0);
    CHECK(WIFSTOPPED(status));
    CHECK_EQ(ptrace(PTRACE_SETOPTIONS, tracee.pid, 0, OPTIONS), 0);
    if (operation->ready) operation->ready();
}

/* Kills what is stepped. Whoever is not our child is reaped by us as its tracer first. */
static void tracee_dies(void) {
    int status;
    point.killed = kill(tracee.pid, SIGKILL) == 0 && tracee.generation == 0;
    if (!victim_process || point.operation->descends)
        while (next_stop(tracee.pid, &status) == tracee.pid && WIFSTOPPED(status)) {}
    /* Before anybody has repaired what it left, and while somebody does. Not always: who looks finishes what it finds half done. */
    if (point.k % 2) census();
}

static void victim_ends(int32_t wanted) {
    int32_t code = 0;
    if (!victim_process) return;
    CHECK_OK(carom_process_join(victim_process, PATIENCE_MS));
    CHECK_OK(carom_process_exitcode(victim_process, &code));
    if (code != -SIGKILL || !(point.killed || point.script == SECOND_KILL)) CHECK_EQ(code, wanted);
    carom_process_free(victim_process);
}

/* Stops it for real, lets others find out, and lets it go on. */
static void is_stopped_for_a_while(void) {
    const struct operation *operation = point.operation;
    ptrace(PTRACE_DETACH, tracee.pid, 0, SIGSTOP);
    int64_t until = now_ms() + PATIENCE_MS;
    /* Where a group of its own is stopped when its parent ends, the kernel hangs up, and it is dead: a keeper that is born. */
    for (char state = 'R'; state && state != 'T' && state != 'Z'; state = state_of(tracee.pid, tracee.pid))
        if (now_ms() > until) hangs("does not stop");
    if (operation->timed) operation->timed();
    kill(tracee.pid, SIGCONT);
    if (operation->wake && !point.woken) wake();
    while (operation->wake_often && carom_process_join(victim_process, 5) == CAROM_ETIMEDOUT) wake();
}

/* ---- oracles ---- */

/* What the dead had is given back, at the latest when the keeper has looked. */
static void nothing_is_left(const carom_arena_info *wanted) {
    int64_t until = now_ms() + PATIENCE_MS;
    uint32_t members = wanted->members < 2 ? 2 : wanted->members; /* by now there may be a keeper */
    for (;;) {
        carom_arena_info now = census();
        if (now.objects == wanted->objects && now.blocks == wanted->blocks && now.members <= members) return;
        if (point.operation && point.operation->late) point.operation->late();
        if (now_ms() > until) {
            if (count) count->leaks = 1;
            check_eq_(__FILE__, __LINE__, "objects", (long long)now.objects, (long long)wanted->objects);
            check_eq_(__FILE__, __LINE__, "blocks", (long long)now.blocks, (long long)wanted->blocks);
            check_eq_(__FILE__, __LINE__, "processes", now.members, members);
        }
        /* A death for which nobody waits may be found late: so wait for something. */
        CHECK_STATUS(carom_event_wait(never, 1), CAROM_ETIMEDOUT);
    }
}

/* ---- one point ---- */

/* At its instruction, or wherever it is if it takes another way; whether it is there. */
static int is_there(long k) {
    const struct operation *operation = point.operation;
    if (k == trace->count) return run_to_sleep(operation->begin) == ASLEEP;
    return run_to(k, operation->begin, operation->wake ? wake : NULL) == AT_TRAP;
}

/* Before the tracee, or after it. */
static void another_dies(carom_process *second) {
    if (second) CHECK_OK(carom_process_kill(second));
    else point.operation->second();
}

/* Whether the point was met. */
static int kill_at(long k) {
    const struct operation *operation = point.operation;
    carom_process *second = NULL;
    int there, holds = 0;
    point.k = k;
    patient_until = now_ms() + 2 * PATIENCE_MS;
    tracee_begins(0);
    there = is_there(k);
    switch (point.script) {
        case BARGER: holds = operation->barge(); break;
        case WAITER: partner_begins(); break;
        case SECOND_KILL: second = operation->second ? NULL : started(bystander); break;
        case TIME_OUT: operation->timed(); break;
        case FREED:
            if (operation->abandon) operation->abandon();
            else operation->unmake();
            break;
        case STOPPED:
            if (!there || k == trace->count) break;
            is_stopped_for_a_while();
            victim_ends(0);
            operation->after();
            nothing_is_left(&base);
            return 1;
        default: break;
    }
    if (point.script == SECOND_KILL && k % 2) another_dies(second);
    tracee_dies();
    if (point.script == SECOND_KILL && k % 2 == 0) another_dies(second);
    if (second) ended(second);
    if (holds) operation->unbarge();
    if (operation->wake && !point.woken && point.script != FREED) wake();
    victim_ends(operation->descends || (point.script == STOPPED && !there) ? 0 : -SIGKILL);
    if (point.script == FREED) {
        nothing_is_left(&bare);
        operation->make();
        base = census();
    } else {
        operation->after();
        if (needs_partner(operation, point.script)) partner_ends();
        nothing_is_left(&base);
    }
    return there;
}

/* ---- all points of an operation under one script ---- */

static int applies(const struct operation *operation, enum script script) {
    int is_process = !operation->target && !operation->descends;
    switch (script) {
        case BARGER: return operation->barge != NULL;
        case WAITER: return operation->wait && !operation->accompanied;
        case SECOND_KILL: return operation->second || (is_process && !operation->single && !operation->accompanied);
        case TIME_OUT: return operation->timed != NULL;
        case FREED:
            if (operation->in_heap) return 0;
            return operation->abandon || (is_process && operation->make && !operation->accompanied);
        default: return 1;
    }
}

static pthread_t partner_handle;
static void partner_starts(void) {
    partner_process = NULL;
    if (!needs_partner(point.operation, point.script)) return;
    if (point.operation->threaded) CHECK_EQ(pthread_create(&partner_handle, NULL, partner_in_a_thread, NULL), 0);
    else partner_process = started(partner);
    flag_await(&shared->greeted, 1);
}

static void partner_leaves(void) {
    if (!needs_partner(point.operation, point.script)) return;
    atomic_store(&shared->quit, 1);
    flag_add(&shared->asked, 1);
    if (partner_process) ended(partner_process);
    else CHECK_EQ(pthread_join(partner_handle, NULL), 0);
}

/* One victim through the whole operation, and killed at its end. */
static void rehearse(enum script script, void (*run)(void (*begin)(void), void (*wake)(void))) {
    const struct operation *operation = point.operation;
    patient_until = now_ms() + 4 * PATIENCE_MS;
    tracee_begins(1);
    run(operation->begin, operation->wake ? wake : NULL);
    tracee_dies();
    if (operation->wake && !point.woken) wake();
    victim_ends(operation->descends ? 0 : -SIGKILL);
    operation->after();
    if (needs_partner(operation, script) && script != WAITER) partner_ends();
    nothing_is_left(&base);
}

/* Each instruction once at least, however long that takes; one that was missed three times. */
static const int64_t NO_LIMIT = INT64_MAX;

/* In a process of its own: see run_case_. `recorded`: of another script's run, if it is not empty. */
static void points_of(const struct operation *operation, enum script script, int64_t budget_ms, struct count *counted,
                      struct trace *recorded) {
    int64_t until = budget_ms == NO_LIMIT ? NO_LIMIT : now_ms() + budget_ms;
    trace = recorded;
    count = counted;
    shared = share(sizeof *shared);
    through = &shared->through;
    point.operation = operation;
    point.script = script;
    CHECK_OK(carom_event_new(&never));
    bare = census();
    if (operation->make) operation->make();
    partner_starts();
    tick_on();
    base = census();
    /* First unrecorded: what is done only once in the life of a family shall not be in the trace. */
    rehearse(script, run_through);
    if (trace->count == 0) rehearse(script, record);
    int fds = fd_count();
    count->instructions = trace->count;
    CHECK(trace->count > 0);
    /* Every instruction once, in an order that is even wherever it ends; and asleep. */
    long all = trace->count + (operation->wake != NULL), stride = (long)((double)all * 0.618) | 1;
    while (all > 1 && __extension__({ long a = all, b = stride, t; while (b) { t = a % b; a = b; b = t; } a; }) != 1) stride += 2;
    count->all = all;
    for (long i = 0, k = 0; i < all && (i == 0 || now_ms() < until); i++, k = (k + stride) % all) {
        count->at = k;
        int there = kill_at(k);
        for (int again = 0; budget_ms == NO_LIMIT && !there && again < 2; again++) there = kill_at(k);
        count->points += there;
        count->missed += !there;
        if (now_ms() > until && count->points > 0) break;
    }
    CHECK_EQ(fd_count(), fds);
    partner_leaves();
    if (operation->unmake) operation->unmake();
    nothing_is_left(&bare);
    carom_event_free(never);
}
#endif
