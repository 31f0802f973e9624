/* Queues to which one thread only puts, or of which one thread only gets. */
#include "queue.h"

struct shared {
    flag go, up, stop;
    _Atomic uint64_t put, got;
};
static struct shared *shared;
static carom_queue *queue;

enum { PRODUCER = 1, CONSUMER = 2, BOTH = 3 };
static carom_queue *single(int sides, uint64_t max_items) {
    carom_queue_options options = {.size = sizeof options, .max_items = max_items};
    options.single_producer = (sides & PRODUCER) != 0, options.single_consumer = (sides & CONSUMER) != 0;
    carom_queue *made = NULL;
    CHECK_OK(carom_queue_new(&options, &made));
    return made;
}
static uint64_t blocks(void) { return census().blocks; }

/* ----------------------------------------------------------------------------------------------- one process, one thread */

static void in_order(int sides) {
    int64_t many[100], back[100];
    queue = single(sides, 0);
    CHECK_EQ(carom_queue_empty(queue), 1);
    CHECK_STATUS(try_get(queue), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_queue_get(queue, many, sizeof *many, NULL, 1), CAROM_ETIMEDOUT);
    for (int round = 0; round < 3; round++) {
        for (int64_t i = 0; i < 3000; i++) {
            put_number(queue, i);
            if (i % 500 == 0) CHECK_EQ(carom_queue_size(queue), i + 1);
        }
        arena_is_well();
        for (int64_t i = 0; i < 3000; i++) CHECK_EQ(get_number(queue), i);
        for (int i = 0; i < 100; i++) many[i] = i;
        for (int i = 0; i < 50; i++) CHECK_OK(carom_queue_put_many(queue, many, sizeof *many, 100, 0));
        CHECK_OK(carom_queue_put(queue, "longer than an item", 19, 0));
        for (int i = 0; i < 50; i++) {
            memset(back, 0, sizeof back);
            CHECK_EQ(carom_queue_get_many(queue, back, sizeof *back, 100, NULL, 0), 100);
            CHECK(memcmp(many, back, sizeof many) == 0);
        }
        CHECK_EQ(carom_queue_get_many(queue, back, sizeof *back, 100, NULL, 0), CAROM_EMSGSIZE);
        CHECK_OK(carom_queue_get(queue, back, sizeof back, NULL, 0));
        CHECK_EQ(carom_queue_full(queue), 0);
    }
    CHECK_OK(carom_queue_shutdown(queue));
    CHECK_STATUS(carom_queue_put(queue, "x", 1, 0), CAROM_ECLOSED);
    CHECK_STATUS(try_get(queue), CAROM_ECLOSED);
    carom_queue_free(queue);
}
static void every_form(void) {
    uint64_t before = blocks();
    for (int sides = 0; sides <= BOTH; sides++) {
        in_order(sides);
        CHECK_EQ(blocks(), before);
    }
}

static void limited(void) {
    queue = single(BOTH, 3);
    for (int64_t i = 0; i < 3; i++) put_number(queue, i);
    CHECK_EQ(carom_queue_full(queue), 1);
    CHECK_STATUS(carom_queue_put(queue, "x", 1, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_queue_put(queue, "x", 1, 20), CAROM_ETIMEDOUT);
    CHECK_EQ(get_number(queue), 0);
    CHECK_EQ(carom_queue_full(queue), 0);
    put_number(queue, 3);
    CHECK_STATUS(carom_queue_put_many(queue, "abcd", 1, 4, 0), CAROM_EMSGSIZE);
    for (int64_t i = 1; i < 4; i++) CHECK_EQ(get_number(queue), i);
    carom_queue_free(queue);
}

/* All that other queues do. */
static void in_place(void) {
    carom_queue *dead = NULL;
    CHECK_OK(carom_queue_new(NULL, &dead));
    carom_queue_options options = {.size = sizeof options, .single_producer = 1, .single_consumer = 1, .max_deliveries = 2};
    options.dead_letters = dead;
    CHECK_OK(carom_queue_new(&options, &queue));
    carom_message it = {.size = sizeof it};
    CHECK_OK(carom_queue_reserve(queue, 100000, &it));
    memset(it.data, 'm', 100000);
    CHECK_OK(carom_queue_commit(queue, &it, 99999, 0));
    put_number(queue, 5);
    for (int i = 0; i < 2; i++) {
        carom_message seen = {.size = sizeof seen};
        CHECK_OK(carom_queue_peek(queue, &seen, PATIENCE_MS));
        CHECK_EQ(seen.len, 99999);
        CHECK_EQ(((char *)seen.data)[99998], 'm');
        CHECK_OK(carom_queue_return(queue, &seen));
    }
    CHECK_EQ(get_number(queue), 5); /* the other one was delivered twice */
    CHECK_EQ(carom_queue_size(dead), 1);
    put_number(queue, 6);
    CHECK_OK(carom_queue_peek(queue, &it, PATIENCE_MS));
    CHECK_EQ(it.len, sizeof(int64_t));
    CHECK_OK(carom_queue_consume(queue, &it));
    CHECK_STATUS(try_get(queue), CAROM_ETIMEDOUT);
    carom_queue_free(queue);
    carom_queue_free(dead);
    arena_is_well();
}

static void tasks(void) {
    carom_queue_options options = {.size = sizeof options, .single_consumer = 1};
    CHECK_STATUS(carom_joinable_queue_new(&options, &queue), CAROM_EINVAL);
    options.single_consumer = 0, options.single_producer = 1;
    CHECK_OK(carom_joinable_queue_new(&options, &queue));
    put_number(queue, 1);
    CHECK_STATUS(carom_queue_join(queue, 0), CAROM_ETIMEDOUT);
    CHECK_EQ(get_number(queue), 1);
    CHECK_OK(carom_queue_task_done(queue));
    CHECK_OK(carom_queue_join(queue, 0));
    carom_queue_free(queue);
}

/* ------------------------------------------------------------------------------------------------------------ the roles */

static void *puts_once(void *status) {
    int64_t number = 7;
    *(carom_status *)status = carom_queue_put(queue, &number, sizeof number, PATIENCE_MS);
    return NULL;
}
static void *gets_once(void *status) {
    int64_t number;
    *(carom_status *)status = carom_queue_get(queue, &number, sizeof number, NULL, PATIENCE_MS);
    return NULL;
}
static carom_status in_a_thread(void *(*body)(void *)) {
    pthread_t thread;
    carom_status status = 1;
    CHECK_EQ(pthread_create(&thread, NULL, body, &status), 0);
    pthread_join(thread, NULL);
    return status;
}

static void another_thread(void) {
    uint64_t before = blocks();
    queue = single(BOTH, 0);
    put_number(queue, 1);
    CHECK_STATUS(in_a_thread(puts_once), CAROM_EPERM);
    CHECK_EQ(carom_queue_size(queue), 1);
    CHECK_OK(in_a_thread(gets_once)); /* nobody else has: and then the thread ends */
    put_number(queue, 2);
    CHECK_OK(in_a_thread(gets_once));
    put_number(queue, 3);
    CHECK_EQ(get_number(queue), 3);
    put_number(queue, 4);
    CHECK_STATUS(in_a_thread(gets_once), CAROM_EPERM);
    CHECK_EQ(get_number(queue), 4);
    carom_queue_free(queue);
    CHECK_EQ(blocks(), before);
    /* Freed by another thread than the one that put, which has ended. */
    queue = single(BOTH, 0);
    CHECK_OK(in_a_thread(puts_once));
    carom_queue_free(queue);
    CHECK_EQ(blocks(), before);
}

static void *gets_for_ever(void *status) {
    int64_t number;
    do *(carom_status *)status = carom_queue_get(queue, &number, sizeof number, NULL, CAROM_FOREVER);
    while (*(carom_status *)status == CAROM_OK && (flag_add(&shared->up, 1), 1));
    return NULL;
}
/* One that has never got anything, and one that has the role. */
static void freed_under_a_sleeper(void) {
    uint64_t before = blocks();
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        carom_status status;
        queue = single(BOTH, 0);
        asleep(gets_for_ever, &status, &thread);
        if (i == 1) {
            put_number(queue, 1);
            flag_await(&shared->up, 1);
            CHECK_STATUS(in_a_thread(gets_once), CAROM_EPERM);
            usleep(20000); /* most likely it sleeps */
        }
        carom_queue_free(queue);
        pthread_join(thread, NULL);
        CHECK_STATUS(status, CAROM_EBADHANDLE);
        CHECK_EQ(blocks(), before);
    }
}

static int32_t puts_and_stays(carom_call *call) {
    put_number(queue_of(call), 1);
    flag_add(&shared->up, 1);
    for (;;) pause();
    return 0;
}
static int32_t puts_refused(carom_call *call) {
    int64_t number = 2;
    CHECK_STATUS(carom_queue_put(queue_of(call), &number, sizeof number, PATIENCE_MS), CAROM_EPERM);
    CHECK(strstr(carom_error_message(), "single producer") != NULL);
    return 0;
}
static void another_process(void) {
    queue = single(BOTH, 0);
    carom_process *first = start_with(puts_and_stays, queue);
    flag_await(&shared->up, 1);
    carom_process *second = start_with(puts_refused, queue);
    CHECK_EQ(ended(second), 0);
    CHECK_STATUS(carom_queue_put(queue, "x", 1, PATIENCE_MS), CAROM_EPERM);
    CHECK_EQ(carom_queue_size(queue), 1);
    /* Nobody has joined it: its death gives the role back all the same. */
    CHECK_OK(carom_process_kill(first));
    carom_status status;
    do status = carom_queue_put(queue, "x", 1, PATIENCE_MS);
    while (status == CAROM_EPERM);
    CHECK_OK(status);
    CHECK_EQ(ended(first), -SIGKILL);
    CHECK_EQ(carom_queue_size(queue), 2);
    /* Who closes gives it back too. */
    CHECK_OK(carom_queue_close(queue));
    first = start_with(puts_and_stays, queue);
    flag_await(&shared->up, 2);
    CHECK_EQ(carom_queue_size(queue), 3);
    CHECK_OK(carom_process_kill(first));
    CHECK_EQ(ended(first), -SIGKILL);
    carom_queue_free(queue);
    arena_is_well();
}

static int32_t task_puts(carom_call *call) {
    put_number(queue_of(call), 1);
    return 0;
}
/* A task's role ends with its handle. */
static void tasks_take_turns(void) {
    carom_pool *pool = NULL;
    carom_pool_options options = {.size = sizeof options, .workers = 2};
    CHECK_OK(carom_pool_new(&options, &pool));
    queue = single(BOTH, 0);
    carom_argument arguments[] = {CAROM_HANDLE(queue)};
    for (int i = 0; i < 20; i++) {
        CHECK_OK(carom_pool_apply(pool, task_puts, arguments, 1, NULL, NULL, 0, NULL, PATIENCE_MS));
        CHECK_EQ(get_number(queue), 1);
    }
    put_number(queue, 2);
    CHECK_EQ(get_number(queue), 2);
    carom_queue_free(queue);
    carom_pool_free(pool);
}

/* ---------------------------------------------------------------------------------------------- processes, and their ends */

enum { NUMBERS = 1000 };
static int32_t produces(carom_call *call) {
    carom_queue *given = queue_of(call);
    int64_t batch[7];
    for (int64_t i = 0; i < NUMBERS;) {
        if (i % 3 == 0 && i + 7 <= NUMBERS) {
            for (int n = 0; n < 7; n++) batch[n] = i++;
            CHECK_OK(carom_queue_put_many(given, batch, sizeof *batch, 7, PATIENCE_MS));
        } else put_number(given, i++);
    }
    return 0;
}
static void one_to_one(void) {
    for (int round = 0; round < 4; round++) {
        int64_t numbers[5], next = 0, some;
        queue = single(round % 2 ? BOTH : PRODUCER, round / 2 ? 10 : 0);
        carom_process *producer = start_with(produces, queue);
        CHECK_OK(carom_queue_close(queue));
        while ((some = carom_queue_get_many(queue, numbers, sizeof *numbers, 5, NULL, PATIENCE_MS)) > 0)
            for (int64_t i = 0; i < some; i++) CHECK_EQ(numbers[i], next++);
        CHECK_EQ(some, CAROM_ECLOSED);
        CHECK_EQ(next, NUMBERS);
        CHECK_EQ(ended(producer), 0);
        carom_queue_free(queue);
    }
    arena_is_well();
}

static int32_t puts_until_killed(carom_call *call) {
    carom_queue *given = queue_of(call);
    for (int64_t i = 0;; i += 3) {
        int64_t batch[3] = {i, i + 1, i + 2};
        CHECK_OK(carom_queue_put_many(given, batch, sizeof *batch, 3, PATIENCE_MS));
        atomic_store(&shared->put, (uint64_t)i + 3);
    }
    return 0;
}
/* Whatever a producer is at when it is killed: whole batches are there, and all that were put. */
static void producers_killed(void) {
    queue = single(BOTH, 50);
    for (int round = 0; round < 8; round++) {
        atomic_store(&shared->put, 0);
        carom_process *producer = start_with(puts_until_killed, queue);
        int64_t next = 0, least = 100 + round * 37;
        while (next < least) CHECK_EQ(get_number(queue), next++);
        CHECK_OK(carom_process_kill(producer));
        CHECK_EQ(ended(producer), -SIGKILL);
        int64_t number;
        while (carom_queue_get(queue, &number, sizeof number, NULL, 0) == CAROM_OK) CHECK_EQ(number, next++);
        CHECK_EQ(next % 3, 0);
        CHECK(next >= (int64_t)atomic_load(&shared->put) && next <= (int64_t)atomic_load(&shared->put) + 3);
        arena_is_well();
    }
    carom_queue_free(queue);
}

static int32_t gets_until_killed(carom_call *call) {
    carom_queue *given = queue_of(call);
    CHECK_OK(carom_queue_close(given));
    for (;;) {
        uint64_t number = (uint64_t)get_number(given);
        /* In order, and at most the one that the last consumer died with is missing. */
        uint64_t expected = atomic_load(&shared->got);
        CHECK(number == expected || number == expected + 1);
        atomic_store(&shared->got, number + 1);
    }
    return 0;
}
static void consumers_killed(void) {
    queue = single(BOTH, 50);
    int64_t next = 0;
    for (int round = 0; round < 8; round++) {
        carom_process *consumer = start_with(gets_until_killed, queue);
        for (int64_t until = next + 100 + round * 37; next < until;) put_number(queue, next++);
        CHECK_OK(carom_process_kill(consumer));
        CHECK_EQ(ended(consumer), -SIGKILL);
        uint64_t lost = (uint64_t)next - atomic_load(&shared->got) - (uint64_t)carom_queue_size(queue);
        CHECK(lost <= 1);
        arena_is_well();
    }
    carom_queue_free(queue);
}

static int32_t puts_until_shut(carom_call *call) {
    carom_queue *given = queue_of(call);
    carom_status status;
    uint64_t number = 0;
    flag_add(&shared->up, 1);
    while ((status = carom_queue_put(given, &number, sizeof number, PATIENCE_MS)) == CAROM_OK) number++;
    CHECK_STATUS(status, CAROM_ECLOSED);
    atomic_store(&shared->put, number);
    return 0;
}
/* What was put before the end is got before it. */
static void shut_down_under_a_producer(void) {
    for (int round = 0; round < 8; round++) {
        uint64_t got = 0, number;
        carom_status status;
        queue = single(BOTH, round % 2 ? 4 : 0);
        carom_process *producer = start_with(puts_until_shut, queue);
        flag_await(&shared->up, (uint32_t)round + 1);
        for (; got < 50; got++) CHECK_EQ(get_number(queue), (int64_t)got);
        CHECK_OK(carom_queue_shutdown(queue));
        while ((status = carom_queue_get(queue, &number, sizeof number, NULL, PATIENCE_MS)) == CAROM_OK) CHECK_EQ(number, got++);
        CHECK_STATUS(status, CAROM_ECLOSED);
        CHECK_EQ(ended(producer), 0);
        CHECK_EQ(got, atomic_load(&shared->put));
        carom_queue_free(queue);
    }
}

static int32_t polls(carom_call *call) {
    carom_queue *given = queue_of(call);
    CHECK_OK(carom_queue_close(given));
    int fd = carom_queue_fd(given);
    CHECK(fd > 2);
    for (int64_t next = 0, number; next < 50;) {
        carom_status status = carom_queue_get(given, &number, sizeof number, NULL, 0);
        if (status == CAROM_ETIMEDOUT) {
            readable(fd);
            continue;
        }
        CHECK_OK(status);
        CHECK_EQ(number, next++);
    }
    return 0;
}
static void polled(void) {
    queue = single(BOTH, 2);
    carom_process *consumer = start_with(polls, queue);
    int fd = carom_queue_fd(queue); /* a producer that polls is no consumer */
    for (int64_t next = 0; next < 50;) {
        carom_status status = carom_queue_put(queue, &next, sizeof next, 0);
        if (status == CAROM_OK) next++;
        else readable(fd);
    }
    CHECK_EQ(ended(consumer), 0);
    carom_queue_free(queue);
}

#define RUN(body) (shared = share(sizeof *shared), CASE(body))

int main(void) {
    RUN(every_form);
    RUN(limited);
    RUN(in_place);
    RUN(tasks);
    RUN(another_thread);
    RUN(freed_under_a_sleeper);
    RUN(another_process);
    RUN(tasks_take_turns);
    RUN(one_to_one);
    RUN(producers_killed);
    RUN(consumers_killed);
    RUN(shut_down_under_a_producer);
    RUN(polled);
    return 0;
}
