/*
 * A family under fire: processes, pools and every primitive in use, while processes of all kinds get SIGKILL, stop and go on, become
 * other programs and run out of memory, at random. Nobody hangs, nobody is in where somebody is, every task is settled once; and from
 * one second to the next nothing grows: descriptors, threads, memory, objects and blocks of the arena.
 *
 *     torture_soak [SECONDS [SEED]]      (4 seconds; the seed is printed)
 */
#include "chance.h"
#include "support.h"

enum { CITIZENS = 6, LOCKS = 3, TASKS = 16, EPOCH_MS = 1000 };

static struct shared {
    flag quit, inside[LOCKS];
    _Atomic uint64_t operations, recoveries, execs, starved;
} *shared;

static carom_lock *locks[LOCKS];
static carom_value *value;
static carom_semaphore *semaphore;
static carom_event *event;
static carom_condition *condition;
static carom_barrier *barrier;
static carom_event *never;

/* ---- citizens ---- */

static void allowed(carom_status status, carom_status other, carom_status another) {
    if (status != CAROM_OK && status != other && status != another) CHECK_STATUS(status, CAROM_OK);
}

static int taken(carom_status status, carom_status (*recover)(void *), void *it) {
    if (status == CAROM_EOWNERDEAD && recover(it) == CAROM_OK) {
        atomic_fetch_add(&shared->recoveries, 1);
        return 2;
    }
    allowed(status, CAROM_ETIMEDOUT, CAROM_EOWNERDEAD);
    return status == CAROM_OK;
}
static carom_status recover_lock(void *it) { return carom_lock_recover(it, 50); }
static carom_status recover_value(void *it) { return carom_value_recover(it, 50); }
static carom_status recover_condition(void *it) { return carom_condition_recover(it, 50); }

static void locks_and_leaves(void) {
    uint64_t i = below(LOCKS);
    int how = taken(carom_lock_acquire(locks[i], 50), recover_lock, locks[i]);
    if (!how) return;
    uint32_t before = atomic_exchange(&shared->inside[i], (uint32_t)getpid());
    if (before && how != 2) check_eq_(__FILE__, __LINE__, "inside already", before, 0);
    if (below(20) == 0) usleep(below(300));
    CHECK_EQ(atomic_exchange(&shared->inside[i], 0), (uint32_t)getpid());
    CHECK_OK(carom_lock_release(locks[i]));
}
static void counts(void) {
    if (!taken(carom_value_lock(value, 50), recover_value, value)) return;
    *(int64_t *)carom_value_data(value) += 1;
    CHECK_OK(carom_value_unlock(value));
}
static void takes_a_unit(void) {
    carom_status status = carom_semaphore_acquire(semaphore, 5);
    allowed(status, CAROM_ETIMEDOUT, CAROM_ETIMEDOUT);
    if (status == CAROM_OK) CHECK_OK(carom_semaphore_release(semaphore));
}
static void tells(void) {
    allowed(carom_event_set(event), 0, 0);
    allowed(carom_event_wait(event, 2), CAROM_ETIMEDOUT, 0);
    allowed(carom_event_clear(event), 0, 0);
}
static void notifies_or_waits(void) {
    if (!taken(carom_condition_acquire(condition, 50), recover_condition, condition)) return;
    if (below(2)) CHECK_OK(carom_condition_notify_all(condition));
    else allowed(carom_condition_wait(condition, 2), CAROM_ETIMEDOUT, CAROM_EOWNERDEAD);
    CHECK_OK(carom_condition_release(condition));
}
static void meets(void) {
    int64_t index = carom_barrier_wait(barrier, 2);
    if (index < 0) {
        allowed((carom_status)index, CAROM_EBROKEN, CAROM_ETIMEDOUT);
        CHECK_OK(carom_barrier_reset(barrier));
    }
}
static void allocates(void) {
    static const char bytes[40000];
    carom_value *fresh = NULL;
    CHECK_OK(carom_value_new(CAROM_RAW, bytes, 1 + below(sizeof bytes - 1), NULL, &fresh));
    carom_value_free(fresh);
}
static int32_t nothing(carom_call *call) { (void)call; return 0; }
static void has_a_child(void) {
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(nothing, NULL, 0, NULL, &process));
    allowed(carom_process_join(process, 50), CAROM_ETIMEDOUT, 0);
    carom_process_free(process);
}
/* From here on it gets no memory, and every call gives a status. */
static void starves(void) {
    struct rlimit none = {1 << 20, 1 << 20};
    carom_process *process = NULL;
    CHECK_EQ(setrlimit(RLIMIT_AS, &none), 0);
    atomic_fetch_add(&shared->starved, 1);
    for (int i = 0; i < 20; i++) {
        locks_and_leaves();
        carom_status status = carom_process_start(nothing, NULL, 0, NULL, &process);
        if (status != CAROM_OK) CHECK(status < 0);
        if (status == CAROM_OK) {
            carom_process_join(process, 50);
            carom_process_free(process);
        }
    }
    _exit(0);
}
static void becomes_another_program(void) {
    atomic_fetch_add(&shared->execs, 1);
    execl("/bin/true", "true", (char *)NULL);
}

static int32_t citizen(carom_call *call) {
    CHECK_OK(carom_call_read(call, 0, &state, sizeof state));
    static void (*const acts[])(void) = {locks_and_leaves, locks_and_leaves, counts, takes_a_unit, tells, notifies_or_waits, meets, allocates};
    while (!atomic_load(&shared->quit)) {
        if (below(100) == 0) has_a_child();
        if (below(1000) == 0) becomes_another_program();
        if (below(1000) == 0) starves();
        acts[below(sizeof acts / sizeof *acts)]();
        atomic_fetch_add(&shared->operations, 1);
    }
    return 0;
}

/* ---- tasks ---- */

static int32_t plus_one(carom_call *call) {
    int64_t number = 0;
    CHECK_OK(carom_call_read(call, 0, &number, sizeof number));
    number++;
    return carom_call_reply(call, &number, sizeof number) == CAROM_OK ? 0 : 1;
}
static int32_t crashes(carom_call *call) { (void)call; raise(SIGSEGV); return 0; }
static int32_t never_ends(carom_call *call) {
    (void)call;
    for (;;) pause();
    return 0;
}

struct task {
    carom_result *result;
    int64_t number;
    int kind;
};

static void submits(carom_pool *pool, struct task *task) {
    static const carom_function functions[] = {plus_one, plus_one, plus_one, plus_one, plus_one, plus_one, crashes, never_ends};
    carom_task_options limited = {.size = sizeof limited, .time_limit_ms = 5};
    task->number = (int64_t)below(1000);
    task->kind = (int)below(8);
    carom_argument argument = CAROM_INTEGER(task->number);
    CHECK_OK(carom_pool_apply_async(pool, functions[task->kind], &argument, 1, task->kind == 7 ? &limited : NULL, &task->result));
}
static void settles(struct task *task, int64_t timeout_ms) {
    int64_t reply = 0;
    carom_status status = carom_result_get(task->result, &reply, sizeof reply, NULL, timeout_ms);
    if (status == CAROM_ETIMEDOUT && timeout_ms == 0) return;
    if (task->kind < 6 && status == CAROM_OK) CHECK_EQ(reply, task->number + 1);
    else if (task->kind == 7) allowed(status == CAROM_OK ? CAROM_EEND : status, CAROM_ETIMELIMIT, CAROM_EWORKERLOST);
    else CHECK_STATUS(status, CAROM_EWORKERLOST);
    CHECK_STATUS(carom_result_get(task->result, &reply, sizeof reply, NULL, 0), status);
    carom_result_free(task->result);
    task->result = NULL;
}

/* ---- a second of it ---- */

static struct toll {
    long kills, stops, keepers, starts, tasks;
} toll;

static carom_process *population[CITIZENS];

static void is_born(carom_process **place) {
    uint64_t seed = below(UINT64_MAX);
    carom_argument argument = CAROM_BYTES(&seed, sizeof seed);
    CHECK_OK(carom_process_start(citizen, &argument, 1, NULL, place));
    toll.starts++;
}
static void is_buried(carom_process **place) {
    int32_t code = 0;
    CHECK_OK(carom_process_join(*place, PATIENCE_MS));
    CHECK_OK(carom_process_exitcode(*place, &code));
    if (code != 0 && code != -SIGKILL) check_eq_(__FILE__, __LINE__, "a citizen's end", code, 0);
    carom_process_free(*place);
    *place = NULL;
}
/* A worker or the template of the pool, or the keeper. */
static void somebody_of_ours_dies(void) {
    pid_t pids[8];
    int count = keepers(pids, 8);
    if (count > 0 && kill(pids[below((uint64_t)count)], SIGKILL) == 0) toll.keepers++;
}

static void strikes(void) {
    carom_process **place = &population[below(CITIZENS)];
    pid_t pid = carom_process_pid(*place);
    switch (below(8)) {
        case 0:
        case 1:
        case 2: kill(pid, SIGKILL); toll.kills++; break;
        case 3:
            kill(pid, SIGSTOP);
            usleep(below(3000));
            kill(pid, SIGCONT);
            toll.stops++;
            break;
        case 4:
            if (below(20) == 0) somebody_of_ours_dies();
            break;
        default: usleep(below(2000)); break;
    }
    if (carom_process_is_alive(*place) != 1) {
        is_buried(place);
        is_born(place);
    }
}

static void nothing_is_left(const carom_arena_info *before) {
    for (int64_t until = now_ms() + PATIENCE_MS;;) {
        carom_arena_info now = census();
        if (now.objects == before->objects && now.blocks == before->blocks) return;
        if (now_ms() > until) {
            check_eq_(__FILE__, __LINE__, "objects", (long long)now.objects, (long long)before->objects);
            check_eq_(__FILE__, __LINE__, "blocks", (long long)now.blocks, (long long)before->blocks);
        }
        CHECK_STATUS(carom_event_wait(never, 2), CAROM_ETIMEDOUT);
    }
}

static void epoch(int64_t until) {
    struct task tasks[TASKS] = {{0}};
    carom_pool_options options = {.size = sizeof options, .workers = 2, .time_limit_ms = CAROM_NONE};
    carom_pool *pool = NULL;
    atomic_store(&shared->quit, 0);
    CHECK_OK(carom_pool_new(&options, &pool));
    for (int i = 0; i < CITIZENS; i++) is_born(&population[i]);
    while (now_ms() < until) {
        strikes();
        struct task *task = &tasks[below(TASKS)];
        if (task->result) settles(task, 0);
        else submits(pool, task), toll.tasks++;
    }
    atomic_store(&shared->quit, 1);
    for (int i = 0; i < TASKS; i++)
        if (tasks[i].result) settles(&tasks[i], PATIENCE_MS);
    for (int i = 0; i < CITIZENS; i++) is_buried(&population[i]);
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
    CHECK_OK(carom_lock_acquire(locks[0], 0) == CAROM_EOWNERDEAD ? carom_lock_recover(locks[0], 0) : CAROM_OK);
    CHECK_OK(carom_lock_release(locks[0]));
}

/* ---- drift ---- */

static long resident_kb(void) {
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    long kb = 0;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "RssAnon: %ld kB", &kb) == 1) break;
    if (file) fclose(file);
    return kb;
}
static int threads(void) {
    int count = 0;
    DIR *directory = opendir("/proc/self/task");
    while (directory && readdir(directory)) count++;
    if (directory) closedir(directory);
    return count;
}

static void soak(int64_t seconds) {
    carom_semaphore_options owned = {.size = sizeof owned, .owned = 1};
    for (int i = 0; i < LOCKS; i++) CHECK_OK(carom_lock_new(NULL, &locks[i]));
    CHECK_OK(carom_value_new(CAROM_I64, NULL, 0, NULL, &value));
    CHECK_OK(carom_bounded_semaphore_new(2, &owned, &semaphore));
    CHECK_OK(carom_event_new(&event));
    CHECK_OK(carom_event_new(&never));
    CHECK_OK(carom_condition_new(NULL, &condition));
    CHECK_OK(carom_barrier_new(2, NULL, &barrier));
    carom_arena_info before = census(), first = before, now = before;
    int64_t begin = now_ms(), until = begin + seconds * 1000;
    int fds = 0, epochs = 0;
    long kb = 0;
    while (now_ms() < until || epochs < 2) {
        epoch(now_ms() + EPOCH_MS);
        nothing_is_left(&before);
        now = census();
        if (++epochs == 1) first = now, fds = fd_count(), kb = resident_kb();
        CHECK_EQ(fd_count(), fds);
        CHECK_EQ(threads(), 3); /* ., .. and this one */
        CHECK(now.bytes <= 2 * first.bytes + (1 << 20));
        CHECK(resident_kb() <= kb + 8192);
        CHECK_EQ(carom_semaphore_value(semaphore), 2);
    }
    printf("soak: %ld killed, %ld stopped, %ld keepers and templates killed, %llu became another program, %llu starved\n", toll.kills,
           toll.stops, toll.keepers, (unsigned long long)shared->execs, (unsigned long long)shared->starved);
    printf("soak: %ld processes, %llu operations, %llu recoveries, %ld tasks; 0 hangs, 0 losses\n", toll.starts,
           (unsigned long long)shared->operations, (unsigned long long)shared->recoveries, toll.tasks);
    printf("soak: after %d seconds: descriptors +0, threads +0, objects +0, blocks +0, arena %+lld KiB, own memory %+ld KiB\n", epochs,
           (long long)(now.bytes - first.bytes) / 1024, resident_kb() - kb);
}

int main(int argc, char **argv) {
    int64_t seconds = argc > 1 ? atoll(argv[1]) : 4;
    state = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)now_ms() * 1000 + (uint64_t)getpid();
    printf("soak: seed %llu\n", (unsigned long long)state);
    fflush(stdout);
    shared = share(sizeof *shared);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    pid_t pid = fork();
    if (pid == 0) {
        begin_case_();
        soak(seconds);
        fflush(stdout);
        CHECK_OK(carom_shutdown(PATIENCE_MS));
        _exit(0);
    }
    int end = wait_for(pid), status;
    while (waitpid(-1, &status, 0) > 0)
        if (WIFEXITED(status)) CHECK(WEXITSTATUS(status) != CHECK_FAILED);
    return end;
}
