/* E. What a pool does with many items, and with large ones: maps in place and not, one item at a time, 1 MiB in and out, and a new
 * worker for each task. */
#include "bench.h"

enum { ITEMS = 1000000, LARGE = 1 << 20, LARGE_TASKS = 32, RECYCLED = 50, ONE_BY_ONE = 100000 };

static carom_pool *pool, *forgetful;
static double *items, *squares;

/* ---- the limits: this process and one more take chunks of an array that both see, as long as there are some ---- */
typedef struct {
    _Alignas(128) _Atomic uint32_t begun;
    _Alignas(128) _Atomic uint32_t done;
    _Alignas(128) _Atomic int64_t next;
    _Alignas(128) int indirectly;
} board;
static board *shared;
static double *shared_items, *shared_squares;

static double square_of(double x) { return x * x; }
static double (*volatile indirect)(double) = square_of;

static void take_chunks(void) {
    enum { CHUNK = ITEMS / 64 };
    for (int64_t from; (from = atomic_fetch_add(&shared->next, CHUNK)) < ITEMS;) {
        int64_t to = from + CHUNK < ITEMS ? from + CHUNK : ITEMS;
        if (shared->indirectly)
            for (int64_t i = from; i < to; i++) shared_squares[i] = indirect(shared_items[i]);
        else
            for (int64_t i = from; i < to; i++) shared_squares[i] = shared_items[i] * shared_items[i];
    }
}
static void helps(void) {
    for (uint32_t round = 1;; round++) {
        for (uint32_t seen; (seen = atomic_load(&shared->begun)) != round;) futex_wait(&shared->begun, seen);
        take_chunks();
        atomic_store(&shared->done, round);
        futex_wake(&shared->done);
    }
}
static double by_chunks(int indirectly) {
    int64_t start = now_ns();
    shared->indirectly = indirectly;
    atomic_store(&shared->next, 0);
    uint32_t round = atomic_fetch_add(&shared->begun, 1) + 1;
    futex_wake(&shared->begun);
    take_chunks();
    for (uint32_t seen; (seen = atomic_load(&shared->done)) != round;) futex_wait(&shared->done, seen);
    return ITEMS / ((double)(now_ns() - start) / 1e9);
}
static double limit_indirect(void) { return by_chunks(1); }
static double limit_inlined(void) { return by_chunks(0); }

/* ---- maps ---- */
static int32_t square(carom_call *call) {
    double x;
    if (carom_call_read(call, 0, &x, sizeof x) != CAROM_OK) return 1;
    x *= x;
    carom_call_reply(call, &x, sizeof x);
    return 0;
}
static double map_callback(void) {
    int64_t start = now_ns();
    OK(carom_pool_map(pool, square, items, sizeof items[0], ITEMS, NULL, squares, sizeof squares[0], CAROM_FOREVER));
    double rate = ITEMS / ((double)(now_ns() - start) / 1e9);
    for (int i = 0; i < ITEMS; i++)
        if (squares[i] != items[i] * items[i]) DIE("map: item %d is %g", i, squares[i]);
    return rate;
}
static int32_t square_range(carom_call *call) {
    int64_t from, to;
    if (carom_call_read(call, 0, &from, sizeof from) != CAROM_OK || carom_call_read(call, 1, &to, sizeof to) != CAROM_OK) return 1;
    for (int64_t i = from; i < to; i++) shared_squares[i] = shared_items[i] * shared_items[i];
    return 0;
}
static double map_range(void) {
    memset(shared_squares, 0, ITEMS * sizeof *shared_squares);
    int64_t start = now_ns();
    OK(carom_pool_map_range(pool, square_range, 0, ITEMS, NULL, 0, NULL, CAROM_FOREVER));
    double rate = ITEMS / ((double)(now_ns() - start) / 1e9);
    for (int i = 0; i < ITEMS; i++)
        if (shared_squares[i] != shared_items[i] * shared_items[i]) DIE("range: item %d is %g", i, shared_squares[i]);
    return rate;
}
static double map_one_by_one(void) {
    carom_task_options one = {.size = sizeof one, .chunk_size = 1};
    int64_t start = now_ns();
    OK(carom_pool_map(pool, square, items, sizeof items[0], ONE_BY_ONE, &one, squares, sizeof squares[0], CAROM_FOREVER));
    double ns = (double)(now_ns() - start) / ONE_BY_ONE;
    for (int i = 0; i < ONE_BY_ONE; i++)
        if (squares[i] != items[i] * items[i]) DIE("one by one: item %d is %g", i, squares[i]);
    return ns;
}

/* ---- 1 MiB ---- */
static unsigned char *sent, *received;
static carom_array *array;

static int32_t echo(carom_call *call) {
    carom_argument argument;
    if (carom_call_argument(call, 0, &argument) != CAROM_OK) return 1;
    return carom_call_reply(call, argument.data, argument.len) == CAROM_OK ? 0 : 2;
}
static double large_copied(void) {
    int64_t start = now_ns();
    for (int i = 0; i < LARGE_TASKS; i++) {
        size_t len = 0;
        sent[i] = (unsigned char)(i + 1);
        carom_argument data = CAROM_BYTES(sent, LARGE);
        OK(carom_pool_apply(pool, echo, &data, 1, NULL, received, LARGE, &len, CAROM_FOREVER));
        if (len != LARGE || received[i] != i + 1) DIE("1 MiB: %zu bytes", len);
    }
    return LARGE_TASKS * 2.0 * LARGE / ((double)(now_ns() - start) / 1e9) / 1e9;
}
/* The worker writes where this process reads. */
static int32_t touch(carom_call *call) {
    int64_t turn;
    carom_array *it = NULL;
    if (carom_call_array(call, 0, &it) != CAROM_OK || carom_call_read(call, 1, &turn, sizeof turn) != CAROM_OK) return 1;
    memset(carom_array_data(it), (int)turn, LARGE);
    return 0;
}
static double large_in_place(void) {
    int64_t start = now_ns();
    const unsigned char *data = carom_array_data(array);
    for (int64_t i = 1; i <= LARGE_TASKS; i++) {
        carom_argument arguments[] = {CAROM_HANDLE(array), CAROM_INTEGER(i)};
        OK(carom_pool_apply(pool, touch, arguments, 2, NULL, NULL, 0, NULL, CAROM_FOREVER));
        if (data[LARGE - 1] != i) DIE("in place: %d", data[LARGE - 1]);
    }
    return LARGE_TASKS * 1.0 * LARGE / ((double)(now_ns() - start) / 1e9) / 1e9;
}
static double two_copies(void) {
    int64_t start = now_ns();
    for (int i = 0; i < LARGE_TASKS; i++) {
        sent[i] = (unsigned char)(i + 1);
        memcpy(shared_squares, sent, LARGE);
        memcpy(received, shared_squares, LARGE);
        if (received[i] != i + 1) DIE("memcpy");
    }
    return LARGE_TASKS * 2.0 * LARGE / ((double)(now_ns() - start) / 1e9) / 1e9;
}

/* ---- a worker for each task ---- */
static int32_t own_pid(carom_call *call) {
    int32_t pid = getpid();
    return carom_call_reply(call, &pid, sizeof pid) == CAROM_OK ? 0 : 1;
}
static double recycled(void) {
    int32_t last = 0;
    int64_t start = now_ns();
    for (int i = 0; i < RECYCLED; i++) {
        int32_t pid = 0;
        OK(carom_pool_apply(forgetful, own_pid, NULL, 0, NULL, &pid, sizeof pid, NULL, CAROM_FOREVER));
        if (pid == last) DIE("worker %d did two tasks", pid);
        last = pid;
    }
    return (double)(now_ns() - start) / 1e3 / RECYCLED;
}
static double forked_each_time(void) {
    int64_t start = now_ns();
    for (int i = 0; i < RECYCLED; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) _exit(0);
        reap(pid);
    }
    return (double)(now_ns() - start) / 1e3 / RECYCLED;
}

static void end(carom_pool *ended) {
    OK(carom_pool_terminate(ended));
    OK(carom_pool_join(ended, CAROM_FOREVER));
    carom_pool_free(ended);
}

int main(int argc, char **argv) {
    OK(carom_init(argc, argv));
    shared = shared_memory(sizeof *shared);
    shared_items = shared_memory(ITEMS * sizeof *shared_items);
    shared_squares = shared_memory(ITEMS * sizeof *shared_squares);
    carom_pool_options options = {.size = sizeof options, .workers = 1, .max_tasks = 1};
    OK(carom_pool_new(&options, &forgetful));
    RACE("E.pool_recycle", "us", 5, {"carom", recycled}, {"fork+_exit+waitpid", forked_each_time});
    end(forgetful);

    options = (carom_pool_options){.size = sizeof options, .workers = 2};
    OK(carom_pool_new(&options, &pool));
    CHECK((items = malloc(ITEMS * sizeof *items)) != NULL && (squares = malloc(ITEMS * sizeof *squares)) != NULL);
    CHECK((sent = calloc(1, LARGE)) != NULL && (received = calloc(1, LARGE)) != NULL);
    for (int i = 0; i < ITEMS; i++) items[i] = shared_items[i] = i;
    pid_t helper = raw_fork(helps);
    RACE("E.pool_map_callback", "tasks/s", 9, {"carom", map_callback}, {"chunks-indirect-call", limit_indirect});
    RACE("E.pool_map_range", "tasks/s", 9, {"carom", map_range}, {"chunks-inlined", limit_inlined});
    kill(helper, SIGKILL);
    reap(helper);
    RACE("E.pool_map_chunk_1", "ns", 9, {"carom", map_one_by_one});
    OK(carom_array_new(CAROM_U8, 0, LARGE, NULL, NULL, &array));
    RACE("E.pool_1MiB_in_and_out", "GB/s", 9, {"carom", large_copied}, {"memcpy-twice", two_copies});
    RACE("E.pool_1MiB_in_place", "GB/s", 9, {"carom", large_in_place});
    carom_array_free(array);
    end(pool);
    return 0;
}
