/* Queues: order, sizes, limits, batches, waiting, the end, who keeps them, and what they need. */
#include "queue.h"

struct shared {
    flag go, up, got, stop;
    _Atomic uint64_t sum;
};
static struct shared *shared;
static carom_queue *queue;

/* ----------------------------------------------------------------------------------------------- one process, one thread */

static void first_in_first_out(void) {
    CHECK_OK(carom_queue_new(NULL, &queue));
    CHECK_EQ(carom_queue_empty(queue), 1);
    CHECK_STATUS(try_get(queue), CAROM_ETIMEDOUT);
    for (int64_t i = 0; i < 5000; i++) {
        put_number(queue, i);
        CHECK_EQ(carom_queue_size(queue), i + 1);
    }
    CHECK_EQ(carom_queue_empty(queue), 0);
    CHECK_EQ(carom_queue_full(queue), 0);
    arena_is_well();
    for (int64_t i = 0; i < 5000; i++) CHECK_EQ(get_number(queue), i);
    CHECK_STATUS(try_get(queue), CAROM_ETIMEDOUT);
    CHECK_EQ(carom_queue_size(queue), 0);
    arena_is_well();
    carom_queue_free(queue);
    arena_is_well();
}

/* Every length around every border there may be, and the bytes are what they were. */
static void messages_of_any_length(void) {
    static const size_t lengths[] = {0, 1, 7, 8, 15, 16, 17, 24, 63, 64, 65, 1000, 4031, 4032, 4033, 4080, 4096, 10000,
                                     65535, 65536, 1 << 20, (1 << 20) + 1, 5 << 20};
    enum { COUNT = sizeof lengths / sizeof *lengths };
    unsigned char *out = malloc(5 << 20), *in = malloc(5 << 20);
    CHECK(out && in);
    for (size_t i = 0; i < 5 << 20; i++) out[i] = (unsigned char)(i * 7 + i / 255);
    CHECK_OK(carom_queue_new(NULL, &queue));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) CHECK_OK(carom_queue_put(queue, out + i, lengths[i] - (lengths[i] > 5000 ? 23 : 0), 0));
        for (int i = 0; i < COUNT; i++) {
            size_t len = 99, wanted = lengths[i] - (lengths[i] > 5000 ? 23 : 0);
            if (wanted > 0) {
                /* Too short: it stays, and the need is said. */
                CHECK_STATUS(carom_queue_get(queue, in, wanted - 1, &len, 0), CAROM_EMSGSIZE);
                CHECK_EQ(len, wanted);
            }
            CHECK_OK(carom_queue_get(queue, in, 5 << 20, &len, 0));
            CHECK_EQ(len, wanted);
            CHECK(memcmp(in, out + i, len) == 0);
        }
    }
    CHECK_OK(carom_queue_put(queue, NULL, 0, 0));
    CHECK_OK(carom_queue_get(queue, NULL, 0, NULL, 0));
    arena_is_well();
    carom_queue_free(queue);
    free(out);
    free(in);
}

static void limited(void) {
    queue = queue_with(3, 0);
    for (int64_t i = 0; i < 3; i++) put_number(queue, i);
    CHECK_EQ(carom_queue_full(queue), 1);
    CHECK_STATUS(carom_queue_put(queue, "x", 1, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_queue_put(queue, "x", 1, 20), CAROM_ETIMEDOUT);
    CHECK_EQ(get_number(queue), 0);
    CHECK_EQ(carom_queue_full(queue), 0);
    put_number(queue, 3);
    CHECK_STATUS(carom_queue_put(queue, "x", 1, 0), CAROM_ETIMEDOUT);
    for (int64_t i = 1; i < 4; i++) CHECK_EQ(get_number(queue), i);
    CHECK_STATUS(carom_queue_put_many(queue, "abcd", 1, 4, 0), CAROM_EMSGSIZE);
    CHECK_OK(carom_queue_put_many(queue, "abc", 1, 3, 0));
    CHECK_EQ(carom_queue_size(queue), 3);
    carom_queue_free(queue);

    queue = queue_with(0, 100);
    char bytes[101] = {0};
    CHECK_STATUS(carom_queue_put(queue, bytes, 101, 0), CAROM_EMSGSIZE);
    CHECK_OK(carom_queue_put(queue, bytes, 60, 0));
    CHECK_STATUS(carom_queue_put(queue, bytes, 41, 0), CAROM_ETIMEDOUT);
    CHECK_OK(carom_queue_put(queue, bytes, 40, 0));
    CHECK_OK(carom_queue_put(queue, bytes, 0, 0)); /* no byte is no byte too many */
    CHECK_EQ(carom_queue_full(queue), 1);
    CHECK_OK(carom_queue_get(queue, bytes, 100, NULL, 0));
    CHECK_OK(carom_queue_put(queue, bytes, 60, 0));
    CHECK_EQ(carom_queue_size(queue), 3);
    carom_queue_free(queue);
}

static void many_at_once(void) {
    enum { COUNT = 1000 };
    int64_t out[COUNT], in[COUNT];
    size_t lens[COUNT];
    for (int i = 0; i < COUNT; i++) out[i] = i;
    CHECK_OK(carom_queue_new(NULL, &queue));
    CHECK_OK(carom_queue_put_many(queue, out, sizeof *out, 0, 0));
    CHECK_STATUS(carom_queue_get_many(queue, in, sizeof *in, COUNT, lens, 0), CAROM_ETIMEDOUT);
    for (int round = 0; round < 5; round++) {
        CHECK_OK(carom_queue_put_many(queue, out, sizeof *out, COUNT, 0));
        CHECK_OK(carom_queue_put(queue, "abc", 3, 0));
        CHECK_OK(carom_queue_put(queue, "too long for an item", 20, 0));
        CHECK_EQ(carom_queue_get_many(queue, in, sizeof *in, 10, NULL, 0), 10);
        CHECK_EQ(carom_queue_get_many(queue, in + 10, sizeof *in, COUNT - 10, lens + 10, 0), COUNT - 10);
        CHECK(memcmp(in, out, sizeof in) == 0);
        CHECK_EQ(lens[COUNT - 1], sizeof *in);
        /* As many as fit: what is longer stays. */
        CHECK_EQ(carom_queue_get_many(queue, in, sizeof *in, COUNT, lens, 0), 1);
        CHECK_EQ(lens[0], 3);
        CHECK_STATUS(carom_queue_get_many(queue, in, sizeof *in, COUNT, lens, 0), CAROM_EMSGSIZE);
        CHECK_EQ(carom_queue_get_many(queue, in, 20, 1, lens, 0), 1);
        CHECK_EQ(lens[0], 20);
    }
    CHECK_EQ(carom_queue_size(queue), 0);
    carom_queue_free(queue);
}

/* What a queue needed at its peak can be used again, by it and by others. */
static void memory_comes_back(void) {
    enum { MESSAGES = 20000, BYTES = 1000 };
    static char message[BYTES];
    long after_first = 0;
    for (int round = 0; round < 4; round++) {
        CHECK_OK(carom_queue_new(NULL, &queue));
        for (int i = 0; i < MESSAGES; i++) CHECK_OK(carom_queue_put(queue, message, BYTES, 0));
        if (round % 2)
            for (int i = 0; i < MESSAGES; i++) CHECK_OK(carom_queue_get(queue, message, BYTES, NULL, 0));
        arena_is_well();
        carom_queue_free(queue); /* or with all that is in it */
        arena_is_well();
        if (round == 0) after_first = arena_kb();
    }
    CHECK(arena_kb() <= after_first + 512);

    carom_arena_info begin = {.size = sizeof begin}, end = {.size = sizeof end};
    CHECK_OK(carom_arena_check(&begin));
    for (int i = 0; i < 1000; i++) {
        CHECK_OK(carom_queue_new(NULL, &queue));
        put_number(queue, i);
        carom_queue_free(queue);
    }
    CHECK_OK(carom_arena_check(&end));
    CHECK_EQ(end.objects, begin.objects);
    CHECK_EQ(end.blocks, begin.blocks);
}

/* A consumer that keeps up needs no more than a few pages, however much goes through. */
static void little_memory_for_much(void) {
    CHECK_OK(carom_queue_new(NULL, &queue));
    put_number(queue, 0);
    long before = arena_kb();
    for (int64_t i = 0; i < 200000; i++) {
        put_number(queue, i + 1);
        CHECK_EQ(get_number(queue), i);
    }
    CHECK(arena_kb() <= before + 64);
    carom_queue_free(queue);
}

/* -------------------------------------------------------------------------------------------------------- threads */

static void *gets_for_ever(void *status) {
    int64_t number;
    *(carom_status *)status = carom_queue_get(queue, &number, sizeof number, NULL, CAROM_FOREVER);
    return NULL;
}
static void *puts_for_ever(void *status) {
    *(carom_status *)status = carom_queue_put(queue, "x", 1, CAROM_FOREVER);
    return NULL;
}
static void waiting_threads(void) {
    pthread_t thread;
    carom_status status;
    queue = queue_with(1, 0);
    asleep(gets_for_ever, &status, &thread);
    put_number(queue, 5);
    pthread_join(thread, NULL);
    CHECK_OK(status);
    put_number(queue, 6);
    asleep(puts_for_ever, &status, &thread);
    CHECK_EQ(get_number(queue), 6);
    pthread_join(thread, NULL);
    CHECK_OK(status);
    CHECK_EQ(carom_queue_size(queue), 1);
    carom_queue_free(queue);
}

static void shutdown_wakes_all(void) {
    pthread_t threads[4];
    carom_status statuses[4];
    queue = queue_with(1, 0);
    for (int i = 0; i < 4; i++) asleep(gets_for_ever, &statuses[i], &threads[i]);
    CHECK_OK(carom_queue_shutdown(queue));
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        CHECK_STATUS(statuses[i], CAROM_ECLOSED);
    }
    CHECK_STATUS(carom_queue_put(queue, "x", 1, 0), CAROM_ECLOSED);
    carom_queue_free(queue);

    queue = queue_with(1, 0);
    put_number(queue, 7);
    for (int i = 0; i < 4; i++) asleep(puts_for_ever, &statuses[i], &threads[i]);
    CHECK_OK(carom_queue_shutdown(queue));
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        CHECK_STATUS(statuses[i], CAROM_ECLOSED);
    }
    CHECK_EQ(get_number(queue), 7);
    CHECK_STATUS(try_get(queue), CAROM_ECLOSED);
    carom_queue_free(queue);
}

static void freed_under_a_sleeper(void) {
    pthread_t thread;
    carom_status status;
    queue = queue_with(1, 0);
    asleep(gets_for_ever, &status, &thread);
    carom_queue_free(queue);
    pthread_join(thread, NULL);
    CHECK_STATUS(status, CAROM_EBADHANDLE);
    CHECK_STATUS(carom_queue_put(queue, "x", 1, 0), CAROM_EBADHANDLE);
    queue = queue_with(1, 0);
    put_number(queue, 1);
    asleep(puts_for_ever, &status, &thread);
    carom_queue_free(queue);
    pthread_join(thread, NULL);
    CHECK_STATUS(status, CAROM_EBADHANDLE);
}

/* Freed while others are at it, again and again: no call harms what comes next in its place. */
static void *uses_until_gone(void *unused) {
    (void)unused;
    while (!atomic_load(&shared->stop)) {
        carom_queue *seen = __atomic_load_n(&queue, __ATOMIC_ACQUIRE);
        int64_t number = 1;
        carom_status put = carom_queue_put(seen, &number, sizeof number, 0);
        carom_status got = carom_queue_get(seen, &number, sizeof number, NULL, 0);
        CHECK(put == CAROM_OK || put == CAROM_EBADHANDLE || put == CAROM_ETIMEDOUT);
        /* (To free it is to close it: for a moment that can be seen.) */
        CHECK(got == CAROM_OK || got == CAROM_EBADHANDLE || got == CAROM_ETIMEDOUT || got == CAROM_ECLOSED);
    }
    return NULL;
}
static void freed_under_users(void) {
    pthread_t threads[2];
    queue = queue_with(0, 0);
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_create(&threads[i], NULL, uses_until_gone, NULL), 0);
    for (int i = 0; i < 3000; i++) {
        carom_queue *old = queue;
        __atomic_store_n(&queue, queue_with(i % 3, 0), __ATOMIC_RELEASE);
        if (i % 8 == 0) sched_yield();
        carom_queue_free(old);
    }
    atomic_store(&shared->stop, 1);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    carom_queue_free(queue);
    arena_is_well();
}

/* -------------------------------------------------------------------------------------------- processes, and the end */

static int32_t produces(carom_call *call) {
    carom_queue *given = queue_of(call);
    for (int i = 0; i < 1000; i++)
        if (carom_queue_put(given, &i, sizeof i, CAROM_FOREVER) != CAROM_OK) return 1;
    return 0;
}

/* As in the design. */
static void producer_and_consumer(void) {
    int code = -1, i = -1, expected = 0;
    size_t len;
    carom_process *process = NULL;
    CHECK_OK(carom_queue_new(NULL, &queue));
    carom_argument arguments[] = {CAROM_HANDLE(queue)};
    CHECK_OK(carom_process_start(produces, arguments, 1, NULL, &process));
    CHECK_OK(carom_queue_close(queue)); /* this process puts no more: the producer's end is the end */
    while (carom_queue_get(queue, &i, sizeof i, &len, CAROM_FOREVER) == CAROM_OK) CHECK_EQ(i, expected++);
    CHECK_STATUS(carom_queue_get(queue, &i, sizeof i, &len, CAROM_FOREVER), CAROM_ECLOSED);
    CHECK_EQ(expected, 1000);
    CHECK_STATUS(carom_queue_put(queue, &i, sizeof i, 0), CAROM_ECLOSED);
    CHECK_OK(carom_process_join(process, CAROM_FOREVER));
    CHECK_OK(carom_process_exitcode(process, &code));
    CHECK_EQ(code, 0);
    carom_process_free(process);
    carom_queue_free(queue);
    arena_is_well();
}

static int32_t puts_and_stays(carom_call *call) {
    put_number(queue_of(call), 1);
    flag_add(&shared->up, 1);
    for (;;) pause();
    return 0;
}

/* The end is the last one's end, however it ends; and a living one's, when it closes. */
static void producers_die(void) {
    carom_process *processes[3];
    CHECK_OK(carom_queue_new(NULL, &queue));
    for (int i = 0; i < 3; i++) processes[i] = start_with(puts_and_stays, queue);
    flag_await(&shared->up, 3);
    CHECK_OK(carom_queue_close(queue));
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(get_number(queue), 1);
        CHECK_OK(carom_process_kill(processes[i]));
    }
    int64_t number;
    /* Nobody has joined them. */
    CHECK_STATUS(carom_queue_get(queue, &number, sizeof number, NULL, CAROM_FOREVER), CAROM_ECLOSED);
    for (int i = 0; i < 3; i++) CHECK_EQ(ended(processes[i]), -SIGKILL);
    carom_queue_free(queue);
}

/* Whoever was born later has the memory of all that was there, and has nothing to do with it. */
static int32_t waits(carom_call *call) {
    (void)call;
    flag_await(&shared->stop, 1);
    return 0;
}
static void a_later_child_is_no_producer(void) {
    int64_t number;
    CHECK_OK(carom_queue_new(NULL, &queue));
    carom_process *producer = start_with(puts_and_stays, queue);
    carom_process *other = start_with(waits, NULL);
    flag_await(&shared->up, 1);
    CHECK_OK(carom_queue_close(queue));
    CHECK_EQ(get_number(queue), 1);
    CHECK_OK(carom_process_kill(producer));
    CHECK_STATUS(carom_queue_get(queue, &number, sizeof number, NULL, CAROM_FOREVER), CAROM_ECLOSED);
    flag_add(&shared->stop, 1);
    CHECK_EQ(ended(producer), -SIGKILL);
    CHECK_EQ(ended(other), 0);
    carom_queue_free(queue);
}

static int32_t closes_and_stays(carom_call *call) {
    carom_queue *given = queue_of(call);
    flag_await(&shared->go, 1);
    CHECK_OK(carom_queue_close(given));
    CHECK_STATUS(carom_queue_put(given, "x", 1, 0), CAROM_ECLOSED);
    flag_await(&shared->stop, 1);
    return 0;
}
static void a_living_one_closes(void) {
    int64_t number;
    CHECK_OK(carom_queue_new(NULL, &queue));
    carom_process *process = start_with(closes_and_stays, queue);
    CHECK_OK(carom_queue_close(queue));
    CHECK_STATUS(carom_queue_get(queue, &number, sizeof number, NULL, 30), CAROM_ETIMEDOUT);
    flag_add(&shared->go, 1);
    CHECK_STATUS(carom_queue_get(queue, &number, sizeof number, NULL, CAROM_FOREVER), CAROM_ECLOSED);
    flag_add(&shared->stop, 1);
    CHECK_EQ(ended(process), 0);
    carom_queue_free(queue);
}

/* By a fork: that alone does not count, putting does. */
static int32_t puts_what_it_inherited(carom_call *call) {
    (void)call;
    flag_await(&shared->go, 1);
    put_number(queue, 8);
    flag_add(&shared->up, 1);
    flag_await(&shared->stop, 1);
    return 0;
}
static void inherited(void) {
    int64_t number;
    CHECK_OK(carom_queue_new(NULL, &queue));
    carom_process *process = start_with(puts_what_it_inherited, NULL);
    CHECK_OK(carom_queue_close(queue));
    CHECK_STATUS(carom_queue_get(queue, &number, sizeof number, NULL, CAROM_FOREVER), CAROM_ECLOSED);
    flag_add(&shared->go, 1);
    flag_await(&shared->up, 1);
    CHECK_EQ(get_number(queue), 8);
    CHECK_STATUS(carom_queue_get(queue, &number, sizeof number, NULL, 20), CAROM_ETIMEDOUT);
    flag_add(&shared->stop, 1);
    CHECK_STATUS(carom_queue_get(queue, &number, sizeof number, NULL, CAROM_FOREVER), CAROM_ECLOSED);
    CHECK_EQ(ended(process), 0);
    carom_queue_free(queue);
}

/* Nothing is lost when who made it, and put, is gone at once. */
static void creator_exits_after_put(void) {
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_OK(carom_queue_new(NULL, &queue));
        pid_t heir = fork();
        if (heir == 0) {
            CHECK_OK(carom_attach());
            flag_await(&shared->go, 1);
            for (int64_t i = 0; i < 300; i++) CHECK_EQ(get_number(queue), i);
            int64_t number;
            CHECK_STATUS(carom_queue_get(queue, &number, sizeof number, NULL, CAROM_FOREVER), CAROM_ECLOSED);
            flag_add(&shared->got, 1);
            _exit(0);
        }
        flag_await(&shared->up, 1);
        for (int64_t i = 0; i < 300; i++) put_number(queue, i);
        _exit(0);
    }
    flag_add(&shared->up, 1);
    CHECK_EQ(wait_for(pid), 0);
    flag_add(&shared->go, 1);
    flag_await(&shared->got, 1);
    /* (As this process is a subreaper, the heir is its child now.) */
}

static int32_t task_puts(carom_call *call) {
    carom_queue *given = queue_of(call);
    put_number(given, 1);
    return 0;
}
/* A task has what it was given for as long as it is not settled, also before it runs. */
static void tasks_produce(void) {
    enum { TASKS = 50 };
    carom_pool_options options = {.size = sizeof options, .workers = 2};
    carom_pool *pool = NULL;
    carom_result *results[TASKS];
    CHECK_OK(carom_pool_new(&options, &pool));
    CHECK_OK(carom_queue_new(NULL, &queue));
    carom_argument argument = CAROM_HANDLE(queue);
    for (int i = 0; i < TASKS; i++) CHECK_OK(carom_pool_apply_async(pool, task_puts, &argument, 1, NULL, &results[i]));
    CHECK_OK(carom_queue_close(queue));
    for (int i = 0; i < TASKS; i++) CHECK_EQ(get_number(queue), 1);
    for (int i = 0; i < TASKS; i++) {
        CHECK_OK(carom_result_wait(results[i], PATIENCE_MS));
        carom_result_free(results[i]);
    }
    int64_t number;
    CHECK_STATUS(carom_queue_get(queue, &number, sizeof number, NULL, PATIENCE_MS), CAROM_ECLOSED);
    carom_queue_free(queue);
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
}

static carom_queue *kept;
static int32_t keeps(carom_call *call) {
    kept = queue_of(call);
    CHECK_OK(carom_handle_keep(call, kept));
    return 0;
}
static int32_t frees(carom_call *call) {
    (void)call;
    put_number(kept, 9);
    carom_queue_free(kept);
    return 0;
}
static void kept_by_a_worker(void) {
    carom_pool_options options = {.size = sizeof options, .workers = 1};
    carom_pool *pool = NULL;
    CHECK_OK(carom_pool_new(&options, &pool));
    CHECK_OK(carom_queue_new(NULL, &queue));
    carom_argument argument = CAROM_HANDLE(queue);
    CHECK_OK(carom_pool_apply(pool, keeps, &argument, 1, NULL, NULL, 0, NULL, PATIENCE_MS));
    CHECK_OK(carom_queue_close(queue));
    int64_t number;
    CHECK_STATUS(carom_queue_get(queue, &number, sizeof number, NULL, 20), CAROM_ETIMEDOUT);
    CHECK_OK(carom_pool_apply(pool, frees, NULL, 0, NULL, NULL, 0, NULL, PATIENCE_MS));
    CHECK_EQ(get_number(queue), 9);
    CHECK_STATUS(carom_queue_get(queue, &number, sizeof number, NULL, CAROM_FOREVER), CAROM_ECLOSED);
    carom_queue_free(queue);
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
}

/* Full, and the only one who could make room is killed. */
static int32_t stays(carom_call *call) {
    (void)call;
    for (;;) pause();
    return 0;
}
static void consumer_dies(void) {
    pthread_t thread;
    carom_status status;
    queue = queue_with(1, 0);
    carom_process *process = start_with(stays, queue);
    put_number(queue, 1);
    asleep(puts_for_ever, &status, &thread);
    CHECK_OK(carom_process_kill(process));
    pthread_join(thread, NULL);
    CHECK_STATUS(status, CAROM_ECLOSED);
    CHECK_EQ(ended(process), -SIGKILL);
    CHECK_EQ(get_number(queue), 1);
    carom_queue_free(queue);
}

static void foreign_fork(void) {
    CHECK_OK(carom_queue_new(NULL, &queue));
    put_number(queue, 4);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_STATUS(carom_queue_put(queue, "x", 1, 0), CAROM_EFORKED);
        CHECK_STATUS(try_get(queue), CAROM_EFORKED);
        CHECK_EQ(carom_queue_size(queue), CAROM_EFORKED);
        CHECK_OK(carom_attach());
        CHECK_EQ(get_number(queue), 4);
        put_number(queue, 5);
        carom_queue_free(queue); /* its view only */
        _exit(0);
    }
    CHECK_EQ(wait_for(pid), 0);
    CHECK_EQ(get_number(queue), 5);
    carom_queue_free(queue);
}

static void no_descriptor_no_thread(void) {
    int fds = fd_count();
    carom_queue *queues[100];
    for (int i = 0; i < 100; i++) {
        CHECK_OK(carom_queue_new(NULL, &queues[i]));
        put_number(queues[i], i);
    }
    CHECK(fd_count() <= fds + OWN_FDS);
    DIR *tasks = opendir("/proc/self/task");
    int threads = 0;
    while (readdir(tasks)) threads++;
    closedir(tasks);
    CHECK_EQ(threads, 3); /* and . and .. */
    for (int i = 0; i < 100; i++) carom_queue_free(queues[i]);
}

#define RUN(body) (shared = share(sizeof *shared), CASE(body))

int main(void) {
    RUN(first_in_first_out);
    RUN(messages_of_any_length);
    RUN(limited);
    RUN(many_at_once);
    RUN(memory_comes_back);
    RUN(little_memory_for_much);
    RUN(waiting_threads);
    RUN(shutdown_wakes_all);
    RUN(freed_under_a_sleeper);
    RUN(freed_under_users);
    RUN(producer_and_consumer);
    RUN(producers_die);
    RUN(a_later_child_is_no_producer);
    RUN(a_living_one_closes);
    RUN(inherited);
    RUN(creator_exits_after_put);
    RUN(tasks_produce);
    RUN(kept_by_a_worker);
    RUN(consumer_dies);
    RUN(foreign_fork);
    RUN(no_descriptor_no_thread);
    return 0;
}
