/* Queues and pipes whose words somebody else writes, for torture_hostile.c. */
#ifndef HOSTILE_MESSAGES_H
#define HOSTILE_MESSAGES_H

#include "../chance.h"
#include "../support.h"

enum { TIMEOUT_MS = 3, LONGEST_MESSAGE = 70000 };

static struct shared {
    _Atomic uint64_t writes, calls, refused, last_at, last_value;
} *shared;

static void told(int64_t status) {
    atomic_fetch_add(&shared->calls, 1);
    if (status < 0) {
        atomic_fetch_add(&shared->refused, 1);
        CHECK(carom_error_message()[0] != 0);
    }
}

/* Whether calls are made that have no time-out, and wait for a lock. */
static int untimed_calls;

static struct messengers {
    carom_queue *plain, *alone, *tasks, *letters;
    carom_connection *left, *right;
} messengers;

static void messengers_new(void) {
    carom_queue_options bounded = {.size = sizeof bounded, .max_items = 20, .max_bytes = 200000, .max_deliveries = 3};
    carom_queue_options single = {.size = sizeof single, .max_items = 20, .single_producer = 1, .single_consumer = 1};
    told(carom_queue_new(NULL, &messengers.letters));
    bounded.dead_letters = messengers.letters;
    told(carom_queue_new(&bounded, &messengers.plain));
    told(carom_queue_new(&single, &messengers.alone));
    told(carom_joinable_queue_new(NULL, &messengers.tasks));
    told(carom_pipe_new(NULL, &messengers.left, &messengers.right));
}
static void messengers_free(void) {
    carom_connection_free(messengers.left);
    carom_connection_free(messengers.right);
    carom_queue_free(messengers.plain);
    carom_queue_free(messengers.alone);
    carom_queue_free(messengers.tasks);
    carom_queue_free(messengers.letters);
}

static char message_bytes[LONGEST_MESSAGE];
static size_t some_size(void) {
    static const size_t sizes[] = {0, 8, 40, 3000, 20000, 33000, 60000};
    return sizes[random_number() % (sizeof sizes / sizeof *sizes)];
}

/* Whatever is written, no message is longer than the room for it, and one in place lies in memory that can be used. */
static void use_in_place(carom_queue *queue) {
    carom_message message = {.size = sizeof message};
    size_t size = some_size();
    carom_status status = carom_queue_reserve(queue, size, &message);
    told(status);
    if (status == CAROM_OK) {
        CHECK_EQ(message.len, size);
        memset(message.data, 7, message.len);
        status = carom_queue_commit(queue, &message, size, TIMEOUT_MS);
        told(status);
        if (status != CAROM_OK) told(carom_queue_return(queue, &message));
    }
    status = carom_queue_peek(queue, &message, TIMEOUT_MS);
    told(status);
    if (status != CAROM_OK) return;
    memset(message.data, 7, message.len);
    int consumes = (untimed_calls || queue != messengers.tasks) && random_number() % 2;
    told(consumes ? carom_queue_consume(queue, &message) : carom_queue_return(queue, &message));
}

static void use_queue(carom_queue *queue, carom_event *event) {
    size_t len = 0, lens[4];
    void *handle = NULL;
    told(carom_queue_put(queue, message_bytes, some_size(), TIMEOUT_MS));
    told(carom_queue_put_many(queue, message_bytes, 8, 5, TIMEOUT_MS));
    told(carom_queue_put_handle(queue, event, TIMEOUT_MS));
    use_in_place(queue);
    told(carom_queue_size(queue));
    told(carom_queue_empty(queue));
    if (untimed_calls) told(carom_queue_full(queue));
    told(carom_queue_get_many(queue, message_bytes, 8, 4, lens, TIMEOUT_MS));
    if (carom_queue_get_handle(queue, &handle, TIMEOUT_MS) == CAROM_OK) carom_event_free(handle);
    for (int i = 0; i < 10; i++) {
        carom_status status = carom_queue_get(queue, message_bytes, sizeof message_bytes, &len, 0);
        told(status);
        if (status == CAROM_OK) CHECK(len <= sizeof message_bytes);
        if (status == CAROM_EPERM && carom_queue_get_handle(queue, &handle, 0) == CAROM_OK) carom_event_free(handle);
    }
}

static void use_tasks(void) {
    for (int i = 0; i < 3 && untimed_calls; i++) told(carom_queue_task_done(messengers.tasks));
    told(carom_queue_join(messengers.tasks, TIMEOUT_MS));
}

static void use_pipe(carom_connection *from, carom_connection *to, carom_event *event) {
    void *handle = NULL;
    size_t len = 0;
    told(carom_connection_send(from, message_bytes, some_size(), TIMEOUT_MS));
    told(carom_connection_send_handle(from, event, TIMEOUT_MS));
    told(carom_connection_poll(to, TIMEOUT_MS));
    told(carom_connection_readable(to));
    told(carom_connection_writable(from));
    for (int i = 0; i < 4; i++) {
        carom_status status = carom_connection_recv(to, message_bytes, sizeof message_bytes, &len, TIMEOUT_MS);
        told(status);
        if (status == CAROM_OK) CHECK(len <= sizeof message_bytes);
        if (status == CAROM_EPERM && carom_connection_recv_handle(to, &handle, 0) == CAROM_OK) carom_event_free(handle);
    }
    told(carom_connection_flush(from, TIMEOUT_MS));
}

/* Whole lives: what is freed, closed or shut down is so while it is written to, too. */
static void live_and_end(carom_event *event) {
    carom_queue_options single = {.size = sizeof single, .single_producer = 1, .single_consumer = 1};
    carom_queue *queue = NULL;
    carom_connection *left = NULL, *right = NULL;
    if (carom_queue_new(random_number() % 2 ? &single : NULL, &queue) == CAROM_OK) {
        told(carom_queue_put(queue, message_bytes, some_size(), TIMEOUT_MS));
        told(carom_queue_put_handle(queue, event, TIMEOUT_MS));
        told(untimed_calls && random_number() % 2 ? carom_queue_shutdown(queue) : carom_queue_close(queue));
        told(carom_queue_get(queue, message_bytes, sizeof message_bytes, NULL, TIMEOUT_MS));
        carom_queue_free(queue);
    }
    if (carom_pipe_new(NULL, &left, &right) == CAROM_OK) {
        told(carom_connection_send(left, message_bytes, some_size(), TIMEOUT_MS));
        told(carom_connection_send_handle(left, event, TIMEOUT_MS));
        if (random_number() % 2) told(carom_connection_close(left));
        told(carom_connection_recv(right, message_bytes, sizeof message_bytes, NULL, TIMEOUT_MS));
        carom_connection_free(random_number() % 2 ? left : right);
        told(carom_connection_recv(left, message_bytes, sizeof message_bytes, NULL, 0));
        carom_connection_free(left);
        carom_connection_free(right);
    }
}

static void pass_messages(carom_event *event) {
    carom_waitable items[] = {{.handle = messengers.plain}, {.handle = messengers.alone}, {.handle = messengers.right}};
    told(carom_wait(items, 3, TIMEOUT_MS));
    use_queue(messengers.plain, event);
    use_queue(messengers.alone, event);
    use_queue(messengers.tasks, event);
    use_tasks();
    told(carom_queue_get(messengers.letters, message_bytes, sizeof message_bytes, NULL, 0));
    use_pipe(messengers.left, messengers.right, event);
    use_pipe(messengers.right, messengers.left, event);
    live_and_end(event);
}
#endif
