/*
 * A process that writes where it should not: into any word of the arena, while others use all that is in it. Whatever it
 * writes, a call ends with a status: no crash, no endless loop, no access outside.
 *
 *     torture_hostile [SECONDS [SEED]]      (4 seconds; the seed is printed)
 *
 * Each round is a family of its own. What keepers and workers die of is looked at too: of our signal, never of a fault.
 */
#include "arena.h"
#include "hostile/messages.h"

enum { ROUND_MS = 150 };

/* ---- who writes ---- */

static uint64_t some_value(uint64_t was) {
    static const uint64_t ends[] = {0, 1, 2, 3, 0x3fffffff, 0x40000000, 0x80000000, 0xffffffff, UINT64_MAX, INT64_MAX};
    uint64_t random = random_number();
    switch (random_number() % 7) {
        case 0: return was ^ (1ull << random % 64);
        case 1: return ends[random % (sizeof ends / sizeof *ends)];
        case 2: return random % 4096;
        case 3: return random;
        case 4: return (was & ~0xffffffffull) | (random & 0xffffffff);
        case 5: return *arena_word(16) + random % 65536 * 16; /* somewhere in the heap */
        default: return was + random % 256 - 128;
    }
}

enum { FREE = 0, CONDITION = 7, QUEUE = 11, OUTLET = 12, PARCEL = 25, ENDING = 128 }; /* kinds of cells */

static int kind_of(uint64_t cell) { return (int)(*arena_word(cell) & 0xff); }
static uint64_t first_cell(int kind) {
    uint64_t cell = arena_cells() + 128;
    while (kind_of(cell) != kind) cell += 128;
    return cell;
}

static uint64_t condition_lock; /* where in the arena the lock word of its only condition is */
static void find_condition(void) { condition_lock = first_cell(CONDITION) + 8; }
/* Of a lock's word: whether its owner may be one of the family, which has few processes. */
static int names_somebody(uint64_t word) {
    uint64_t slot = word & 0xfff;
    return slot >= 1 && slot <= 64;
}
/* Of an internal lock's. */
static int names_a_thread(uint64_t word) {
    uint64_t thread = word & 0x3fffffff;
    return thread != 0 && thread < 1 << 22 && (kill((pid_t)thread, 0) == 0 || errno != ESRCH);
}

/* Whether there is a wait without a time-out for whoever the word would name: for the lock of a condition (see
 * carom_condition_wait), for the internal locks, and in calls of queues that have none, where such calls are made. A living
 * owner that is named there is waited for; `a_plausible_owner` tells of the others. */
static int is_waited_for(uint64_t at, uint64_t value) {
    if (at == arena_function_lock() || at == arena_heap_lock()) return names_a_thread(value);
    if (!names_somebody(value)) return 0;
    if (at == condition_lock) return 1;
    if (!untimed_calls || at < arena_cells() || at % 128 != (arena_cells() + 8) % 128) return 0;
    int kind = kind_of(at - 8);
    return kind == FREE || kind == QUEUE || kind == OUTLET || kind == PARCEL || kind >= ENDING;
}

static void scribble(void) {
    unsigned char *arena = arena_at(NULL);
    uint64_t heap = *(uint64_t *)(void *)(arena + 16);
    for (;;) {
        uint64_t at = 0;
        switch (random_number() % 6) {
            case 0: at = random_number() % 1024; break;
            case 1: at = arena_members() + random_number() % (16 * 64); break;
            case 2: at = arena_members() + 4096 * 64 + random_number() % 1024; break;
            case 3:
            case 4: at = arena_cells() + random_number() % (48 * 128); break;
            default: at = heap + random_number() % (256 << 10); break;
        }
        _Atomic uint64_t *word = (_Atomic uint64_t *)(void *)(arena + (at & ~7ull));
        uint64_t value = some_value(atomic_load(word));
        if (is_waited_for(at & ~7ull, value)) continue;
        atomic_store(&shared->last_at, at & ~7ull);
        atomic_store(&shared->last_value, value);
        atomic_store(word, value);
        atomic_fetch_add(&shared->writes, 1);
        if (random_number() % 4 == 0) usleep(random_number() % 300);
    }
}

/* ---- who calls ---- */

static int32_t echo(carom_call *call) {
    carom_argument argument;
    char bytes[2000];
    if (carom_call_argument(call, 0, &argument) != CAROM_OK) return 1;
    if (carom_call_read(call, 0, bytes, sizeof bytes) != CAROM_OK) return 2;
    return carom_call_reply(call, bytes, sizeof bytes) == CAROM_OK ? 0 : 3;
}
static int32_t nothing(carom_call *call) { (void)call; return 0; }

static void no_fault(carom_result *result) {
    carom_verdict verdict = {.size = sizeof verdict};
    if (carom_result_wait(result, 20) != CAROM_OK || carom_result_verdict(result, &verdict) != CAROM_OK) return;
    if (verdict.signal && verdict.signal != SIGKILL) {
        carom_verdict_print(&verdict, 2);
        check_eq_(__FILE__, __LINE__, "signal of a worker", verdict.signal, 0);
    }
}

static void use_everything(int64_t until) {
    carom_lock *lock = NULL, *rlock = NULL;
    carom_value *value = NULL, *raw = NULL;
    carom_array *array = NULL;
    carom_semaphore *plain = NULL, *owned = NULL;
    carom_event *event = NULL;
    carom_condition *condition = NULL;
    carom_barrier *barrier = NULL;
    carom_pool *pool = NULL;
    carom_semaphore_options owning = {.size = sizeof owning, .owned = 1};
    carom_pool_options options = {.size = sizeof options, .workers = 2};
    static char bytes[2000];
    int64_t items[40] = {0};
    told(carom_lock_new(NULL, &lock));
    told(carom_rlock_new(NULL, &rlock));
    told(carom_value_new(CAROM_I64, NULL, 0, NULL, &value));
    told(carom_value_new(CAROM_RAW, bytes, sizeof bytes, NULL, &raw));
    told(carom_array_new(CAROM_I64, 8, 100, NULL, NULL, &array));
    told(carom_semaphore_new(2, NULL, &plain));
    told(carom_bounded_semaphore_new(2, &owning, &owned));
    told(carom_event_new(&event));
    told(carom_condition_new(NULL, &condition));
    told(carom_barrier_new(2, NULL, &barrier));
    told(carom_pool_new(&options, &pool));
    messengers_new();
    find_condition();
    fflush(NULL);
    pid_t scribbler = fork();
    if (scribbler == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        scribble();
    }
    while (now_ms() < until) {
        carom_process *process = NULL;
        carom_result *result = NULL;
        carom_value *fresh = NULL;
        carom_argument argument = CAROM_BYTES(bytes, sizeof bytes);
        int64_t number;
        told(carom_lock_acquire(lock, TIMEOUT_MS));
        told(carom_lock_recover(lock, TIMEOUT_MS));
        told(carom_lock_release(lock));
        told(carom_lock_acquire(rlock, TIMEOUT_MS));
        told(carom_lock_release(rlock));
        told(carom_value_get(raw, bytes, sizeof bytes, TIMEOUT_MS));
        told(carom_value_set(raw, bytes, sizeof bytes, TIMEOUT_MS));
        told(carom_value_add(value, 1, &number));
        told(carom_value_copy(raw, &fresh, TIMEOUT_MS));
        carom_value_free(fresh);
        told(carom_array_get(array, 3, 40, items, sizeof items, TIMEOUT_MS));
        told(carom_array_set(array, 0, items, sizeof items, TIMEOUT_MS));
        told(carom_semaphore_acquire(plain, TIMEOUT_MS));
        told(carom_semaphore_release(plain));
        told(carom_semaphore_acquire(owned, TIMEOUT_MS));
        told(carom_semaphore_value(owned));
        told(carom_semaphore_release(owned));
        told(carom_event_set(event));
        told(carom_event_wait(event, TIMEOUT_MS));
        told(carom_event_clear(event));
        if (carom_condition_acquire(condition, TIMEOUT_MS) == CAROM_OK) told(carom_condition_wait(condition, TIMEOUT_MS));
        told(carom_condition_release(condition));
        told(carom_barrier_wait(barrier, TIMEOUT_MS));
        told(carom_barrier_reset(barrier));
        told(carom_arena_check(NULL));
        pass_messages(event);
        if (carom_process_start(nothing, NULL, 0, NULL, &process) == CAROM_OK) {
            told(carom_process_join(process, 20));
            carom_process_kill(process);
            carom_process_join(process, 20);
            carom_process_free(process);
        }
        if (carom_pool_apply_async(pool, echo, &argument, 1, NULL, &result) == CAROM_OK) no_fault(result);
        carom_result_free(result);
        told(carom_pool_map(pool, echo, items, 8, 40, NULL, items, 8, 10));
        carom_lock *other = NULL;
        told(carom_lock_new(NULL, &other));
        carom_lock_free(other);
    }
    kill(scribbler, SIGKILL);
    wait_for(scribbler);
    messengers_free();
    carom_pool_free(pool);
    carom_barrier_free(barrier);
    carom_condition_free(condition);
    carom_event_free(event);
    carom_semaphore_free(owned);
    carom_semaphore_free(plain);
    carom_array_free(array);
    carom_value_free(raw);
    carom_value_free(value);
    carom_lock_free(rlock);
    carom_lock_free(lock);
    told(carom_arena_check(NULL));
}

/* ---- what only a time-out can meet ---- */

static int32_t holds(carom_call *call) {
    carom_lock *lock = NULL;
    CHECK_OK(carom_call_lock(call, 0, &lock));
    CHECK_OK(carom_lock_acquire(lock, PATIENCE_MS));
    for (;;) pause();
    return 0;
}

/* A word says that a living process, which knows nothing of it, holds the lock: whoever has a time-out gets that, however often,
 * and the lock is as it was once the word is. */
static void a_plausible_owner(void) {
    carom_lock *lock = NULL;
    carom_condition *condition = NULL;
    carom_process *holder = NULL;
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_OK(carom_condition_new(NULL, &condition));
    carom_argument argument = CAROM_HANDLE(lock);
    CHECK_OK(carom_process_start(holds, &argument, 1, NULL, &holder));
    while (!carom_lock_locked(lock)) usleep(200);
    _Atomic uint64_t *words = (_Atomic uint64_t *)(void *)arena_word(arena_cells() + 128 + 8);
    _Atomic uint64_t *held = words, *mine;
    while (!names_somebody(atomic_load(held))) held += 16;
    find_condition();
    mine = arena_word(condition_lock);
    uint64_t free = atomic_load(mine);
    atomic_store(mine, free | (atomic_load(held) & 0xfff));
    for (int i = 0; i < 3; i++) {
        int64_t from = now_ms();
        CHECK_STATUS(carom_condition_acquire(condition, 20), CAROM_ETIMEDOUT);
        CHECK(now_ms() - from >= 19);
        CHECK_STATUS(carom_condition_acquire(condition, 0), CAROM_ETIMEDOUT);
    }
    atomic_store(mine, free);
    CHECK_OK(carom_condition_acquire(condition, PATIENCE_MS));
    CHECK_OK(carom_condition_release(condition));
    /* And if that process dies, as any lock that a dead one held. */
    atomic_store(mine, free | (atomic_load(held) & 0xfff));
    CHECK_OK(carom_process_kill(holder));
    CHECK_STATUS(carom_condition_acquire(condition, PATIENCE_MS), CAROM_EOWNERDEAD);
    CHECK_OK(carom_condition_recover(condition, PATIENCE_MS));
    CHECK_OK(carom_condition_release(condition));
    CHECK_EQ(ended(holder), -SIGKILL);
    carom_condition_free(condition);
    carom_lock_free(lock);
}

/* No process is named: that is as if a dead one had held it, also for the wait without a time-out. */
static int32_t notifies(carom_call *call) {
    carom_condition *condition = NULL;
    CHECK_OK(carom_call_condition(call, 0, &condition));
    CHECK_OK(carom_condition_acquire(condition, PATIENCE_MS));
    CHECK_OK(carom_condition_notify(condition, 1));
    atomic_store(arena_word(condition_lock), (atomic_load(arena_word(condition_lock)) & ~0xfffull) | 3000);
    return 0;
}
static void an_owner_that_is_nobody(void) {
    carom_condition *condition = NULL;
    carom_process *other = NULL;
    CHECK_OK(carom_condition_new(NULL, &condition));
    find_condition();
    carom_argument argument = CAROM_HANDLE(condition);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(carom_condition_acquire(condition, PATIENCE_MS));
        CHECK_OK(carom_process_start(notifies, &argument, 1, NULL, &other));
        carom_status status;
        do status = carom_condition_wait(condition, CAROM_FOREVER);
        while (status == CAROM_OK); /* the end of the process before may wake it for nothing */
        CHECK_STATUS(status, CAROM_EOWNERDEAD);
        CHECK_OK(carom_condition_release(condition));
        CHECK_EQ(ended(other), 0);
    }
    atomic_fetch_or(arena_word(condition_lock), 3000);
    CHECK_STATUS(carom_condition_acquire(condition, 0), CAROM_EOWNERDEAD);
    CHECK_OK(carom_condition_recover(condition, 0));
    CHECK_OK(carom_condition_release(condition));
    CHECK_STATUS(carom_arena_check(NULL), CAROM_EBROKEN);
    carom_condition_free(condition);
}

/* An internal lock has no time-out: whoever cannot hold it is not waited for. */
static void an_internal_lock_of_a_stranger(void) {
    carom_value *value = NULL;
    static const char bytes[1000];
    const pid_t strangers[] = {getppid(), getpid(), 0x3fffffff};
    CHECK_OK(carom_value_new(CAROM_RAW, bytes, sizeof bytes, NULL, &value));
    for (int i = 0; i < 3; i++) {
        atomic_store(arena_word(arena_heap_lock()), (uint64_t)strangers[i]);
        alarm(PATIENCE_MS / 1000);
        carom_value_free(value);
        CHECK_OK(carom_value_new(CAROM_RAW, bytes, sizeof bytes, NULL, &value));
        alarm(0);
    }
    carom_value_free(value);
}

/* The role of who alone puts says that he is inside; but he is who asks, or there is no such thread. */
static void a_producer_that_is_not_inside(void) {
    carom_queue_options single = {.size = sizeof single, .single_producer = 1};
    for (int i = 0; i < 2; i++) {
        carom_queue *queue = NULL;
        char byte;
        CHECK_OK(carom_queue_new(&single, &queue));
        CHECK_OK(carom_queue_put(queue, "a", 1, 0));
        _Atomic uint64_t *role = arena_word(first_cell(QUEUE) + 32);
        CHECK(atomic_load(role) >> 63);
        atomic_store(role, (atomic_load(role) | 1ull << 62) ^ (i ? 1ull << 25 : 0));
        alarm(PATIENCE_MS / 1000);
        CHECK_OK(carom_queue_shutdown(queue));
        CHECK_OK(carom_queue_get(queue, &byte, 1, NULL, 0));
        CHECK_STATUS(carom_queue_get(queue, &byte, 1, NULL, PATIENCE_MS), CAROM_ECLOSED);
        alarm(0);
        carom_queue_free(queue);
    }
}

/* A living process that knows nothing of it is said to hold the locks of a queue: calls with a time-out have that. */
static void a_plausible_owner_of_a_queue(void) {
    carom_queue *queue = NULL;
    carom_message message = {.size = sizeof message}, other = {.size = sizeof other};
    char byte;
    void *handle = NULL;
    CHECK_OK(carom_queue_new(NULL, &queue));
    CHECK_OK(carom_queue_put(queue, "a", 1, 0));
    CHECK_OK(carom_queue_reserve(queue, 1, &message));
    const uint64_t locks[] = {first_cell(QUEUE) + 8, first_cell(OUTLET) + 8};
    for (int i = 0; i < 2; i++) atomic_fetch_or(arena_word(locks[i]), 1);
    for (int64_t timeout = 0; timeout <= 20; timeout += 20) {
        CHECK_STATUS(carom_queue_put(queue, "a", 1, timeout), CAROM_ETIMEDOUT);
        CHECK_STATUS(carom_queue_put_many(queue, "ab", 1, 2, timeout), CAROM_ETIMEDOUT);
        CHECK_STATUS(carom_queue_put_handle(queue, queue, timeout), CAROM_EINVAL);
        CHECK_STATUS(carom_queue_commit(queue, &message, 1, timeout), CAROM_ETIMEDOUT);
        CHECK_STATUS(carom_queue_get(queue, &byte, 1, NULL, timeout), CAROM_ETIMEDOUT);
        CHECK_EQ(carom_queue_get_many(queue, &byte, 1, 1, NULL, timeout), CAROM_ETIMEDOUT);
        CHECK_STATUS(carom_queue_get_handle(queue, &handle, timeout), CAROM_ETIMEDOUT);
        CHECK_STATUS(carom_queue_peek(queue, &other, timeout), CAROM_ETIMEDOUT);
        CHECK_EQ(carom_queue_size(queue), 1);
    }
    for (int i = 0; i < 2; i++) atomic_fetch_and(arena_word(locks[i]), ~0xfffull);
    CHECK_OK(carom_queue_commit(queue, &message, 1, 0));
    CHECK_OK(carom_queue_get(queue, &byte, 1, NULL, 0));
    CHECK_OK(carom_queue_get(queue, &byte, 1, NULL, 0));
    carom_queue_free(queue);
}

/* ---- a round ---- */

static void is_no_fault(const char *who, int status, uint64_t seed) {
    if (!WIFSIGNALED(status)) return;
    int signal = WTERMSIG(status);
    if (signal == SIGKILL || signal == SIGTERM) return;
    fprintf(stderr, "%s died of signal %d, seed %llu, after %#llx was written at %#llx\n", who, signal, (unsigned long long)seed,
            (unsigned long long)atomic_load(&shared->last_value), (unsigned long long)atomic_load(&shared->last_at));
    _exit(CHECK_FAILED);
}

/* Keepers of a broken family may not know that it is over. */
static int end_all(void) {
    int count = 0;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "re");
    int child;
    while (file && fscanf(file, "%d", &child) == 1) count += kill(child, SIGKILL) == 0;
    if (file) fclose(file);
    return count;
}

static void play(uint64_t seed) {
    state = seed;
    untimed_calls = seed % 2 == 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        CHECK(setsid() > 0);
        use_everything(now_ms() + ROUND_MS);
        _exit(0);
    }
    int status = 0, done = 0;
    int64_t until = now_ms() + ROUND_MS + PATIENCE_MS;
    while (!done) {
        int one;
        pid_t seen = waitpid(-1, &one, WNOHANG);
        if (seen == pid) status = one, done = 1;
        else if (seen > 0) is_no_fault("a keeper or worker", one, seed);
        else usleep(500);
        if (now_ms() > until) {
            fprintf(stderr, "seed %llu hangs, after %#llx was written at %#llx\n", (unsigned long long)seed,
                    (unsigned long long)atomic_load(&shared->last_value), (unsigned long long)atomic_load(&shared->last_at));
            char command[200];
            snprintf(command, sizeof command, "cat /proc/%d/wchan; echo; gdb -p %d -batch -ex 'thread apply all bt 16' 2>/dev/null | tail -40 >&2", pid, pid);
            if (getenv("HOSTILE_GDB") && system(command) != 0) fprintf(stderr, "no gdb\n");
            kill(pid, SIGKILL);
            end_all();
            _exit(CHECK_FAILED);
        }
    }
    is_no_fault("the caller", status, seed);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    until = now_ms() + 300;
    for (int one;;) {
        pid_t seen = waitpid(-1, &one, WNOHANG);
        if (seen < 0) break;
        if (seen > 0) is_no_fault("a keeper or worker", one, seed);
        else usleep(500);
        if (now_ms() > until) end_all();
    }
}

int main(int argc, char **argv) {
    int64_t seconds = argc > 1 ? atoll(argv[1]) : 4;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)now_ms() * 1000 + (uint64_t)getpid();
    long rounds = 0;
    shared = share(sizeof *shared);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    run_case_("a_plausible_owner", a_plausible_owner);
    run_case_("an_owner_that_is_nobody", an_owner_that_is_nobody);
    run_case_("an_internal_lock_of_a_stranger", an_internal_lock_of_a_stranger);
    run_case_("a_producer_that_is_not_inside", a_producer_that_is_not_inside);
    run_case_("a_plausible_owner_of_a_queue", a_plausible_owner_of_a_queue);
    printf("hostile: seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    for (int64_t until = now_ms() + seconds * 1000; now_ms() < until || rounds == 0; rounds++) play(seed + (uint64_t)rounds);
    printf("hostile: %ld families, %llu words written, %llu calls, %llu refused; 0 crashes, 0 hangs\n", rounds,
           (unsigned long long)atomic_load(&shared->writes), (unsigned long long)atomic_load(&shared->calls),
           (unsigned long long)atomic_load(&shared->refused));
    return 0;
}
