/* Objects that travel through queues: whoever puts one may let go of it at once, and die; a queue through a queue. */
#include "queue.h"

static carom_queue *queue;

static void put_handle(carom_queue *to, void *handle) { CHECK_OK(carom_queue_put_handle(to, handle, PATIENCE_MS)); }
static void *get_handle(carom_queue *from) {
    void *handle = NULL;
    CHECK_OK(carom_queue_get_handle(from, &handle, PATIENCE_MS));
    CHECK(handle);
    return handle;
}

/* With the memory that it needs anyway. */
static carom_queue *used_queue(void) {
    carom_queue *made = queue_with(0, 0);
    put_number(made, 0);
    get_number(made);
    return made;
}

static void of_every_kind(void) {
    carom_lock *lock = NULL;
    carom_value *value = NULL;
    carom_queue *other = NULL;
    carom_connection *near = NULL, *far = NULL;
    int64_t number = 5;
    queue = used_queue();
    carom_arena_info before = census();
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_OK(carom_value_new(CAROM_I64, &number, sizeof number, NULL, &value));
    CHECK_OK(carom_queue_new(NULL, &other));
    CHECK_OK(carom_pipe_new(NULL, &near, &far));
    put_number(other, 7);
    put_handle(queue, lock);
    put_number(queue, 1);
    put_handle(queue, value);
    put_handle(queue, other);
    put_handle(queue, far);
    carom_lock_free(lock);
    carom_value_free(value);
    carom_queue_free(other);
    carom_connection_free(far);
    CHECK_EQ(carom_queue_size(queue), 5);
    CHECK_STATUS(try_get(queue), CAROM_EPERM);
    lock = get_handle(queue);
    CHECK_OK(carom_lock_acquire(lock, 0));
    CHECK_OK(carom_lock_release(lock));
    void *none = (void *)(uintptr_t)8;
    CHECK_STATUS(carom_queue_get_handle(queue, &none, 0), CAROM_EPERM);
    CHECK(!none);
    CHECK_EQ(get_number(queue), 1);
    value = get_handle(queue);
    number = 0;
    CHECK_OK(carom_value_get(value, &number, sizeof number, PATIENCE_MS));
    CHECK_EQ(number, 5);
    other = get_handle(queue);
    CHECK_EQ(get_number(other), 7);
    far = get_handle(queue);
    char text[4];
    CHECK_OK(carom_connection_send(far, "far", 3, 0));
    CHECK_OK(carom_connection_recv(near, text, 4, NULL, 0));
    CHECK_STATUS(carom_queue_get_handle(queue, &none, 0), CAROM_ETIMEDOUT);
    carom_lock_free(lock);
    carom_value_free(value);
    carom_queue_free(other);
    carom_connection_free(far);
    carom_connection_free(near);
    nothing_more_than(before);
    carom_queue_free(queue);
}

/* What nobody gets goes with its queue, and what that kept. */
static void freed_on_the_way(void) {
    carom_arena_info before = census();
    carom_queue *inner = NULL, *innermost = NULL;
    CHECK_OK(carom_queue_new(NULL, &queue));
    CHECK_OK(carom_queue_new(NULL, &inner));
    CHECK_OK(carom_queue_new(NULL, &innermost));
    CHECK_STATUS(carom_queue_put_handle(queue, queue, 0), CAROM_EINVAL);
    put_handle(inner, innermost);
    put_handle(queue, inner);
    carom_queue_free(innermost);
    carom_queue_free(inner);
    CHECK(census().objects > before.objects + 2);
    carom_queue_free(queue);
    nothing_more_than(before);
}

/* A consumer asks by a queue of its own for its answers, as one does; and the asker is who dies. */
static int32_t answers(carom_call *call) {
    carom_queue *requests = queue_of(call);
    CHECK_OK(carom_queue_close(requests));
    for (void *handle = NULL; carom_queue_get_handle(requests, &handle, CAROM_FOREVER) == CAROM_OK;) {
        carom_queue *reply_to = handle;
        put_number(reply_to, get_number(requests) * 2);
        carom_queue_free(reply_to);
    }
    return 0;
}
static void replies_through_a_queue_of_its_own(void) {
    CHECK_OK(carom_queue_new(NULL, &queue));
    carom_process *process = start_with(answers, queue);
    for (int64_t i = 0; i < 20; i++) {
        carom_queue *replies = NULL;
        CHECK_OK(carom_queue_new(NULL, &replies));
        put_handle(queue, replies);
        put_number(queue, i);
        CHECK_EQ(get_number(replies), 2 * i);
        /* It freed its handle, and there is nobody else. */
        CHECK_OK(carom_queue_close(replies));
        int64_t number;
        CHECK_STATUS(carom_queue_get(replies, &number, sizeof number, NULL, CAROM_FOREVER), CAROM_ECLOSED);
        carom_queue_free(replies);
    }
    CHECK_OK(carom_queue_close(queue));
    CHECK_EQ(ended(process), 0);
    arena_is_well();
    carom_queue_free(queue);
}

static int32_t puts_its_own_and_dies(carom_call *call) {
    carom_queue *own = NULL;
    CHECK_OK(carom_queue_new(NULL, &own));
    put_number(own, 42);
    put_handle(queue_of(call), own);
    raise(SIGKILL);
    return 0;
}
static void its_maker_dies(void) {
    queue = used_queue();
    carom_arena_info before = census();
    carom_process *process = start_with(puts_its_own_and_dies, queue);
    CHECK_EQ(ended(process), -SIGKILL);
    carom_queue *its = get_handle(queue);
    CHECK_EQ(get_number(its), 42);
    CHECK_OK(carom_queue_close(its));
    CHECK_STATUS(try_get(its), CAROM_ECLOSED);
    carom_queue_free(its);
    nothing_more_than(before);
    carom_queue_free(queue);
}

/* While it is on its way it may still be put to by whoever will get it. */
static void open_on_the_way(void) {
    carom_queue *other = NULL;
    CHECK_OK(carom_queue_new(NULL, &queue));
    CHECK_OK(carom_queue_new(NULL, &other));
    put_handle(queue, other);
    CHECK_OK(carom_queue_close(other));
    CHECK_STATUS(try_get(other), CAROM_ETIMEDOUT);
    carom_queue *again = get_handle(queue);
    CHECK_STATUS(try_get(other), CAROM_ETIMEDOUT);
    put_number(again, 3);
    carom_queue_free(again);
    CHECK_EQ(get_number(other), 3);
    CHECK_STATUS(try_get(other), CAROM_ECLOSED);
    carom_queue_free(other);
    carom_queue_free(queue);
}

int main(void) {
    CASE(of_every_kind);
    CASE(freed_on_the_way);
    CASE(replies_through_a_queue_of_its_own);
    CASE(its_maker_dies);
    CASE(open_on_the_way);
    return 0;
}
