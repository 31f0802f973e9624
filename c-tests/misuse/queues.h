/* test_misuse.c: queues. */

typedef carom_status (*new_queue)(const carom_queue_options *, carom_queue **);
static void bad_queue_options(new_queue new) {
    carom_queue_options options = {.size = sizeof options};
    EACH_BAD_SIZE(carom_queue_options, bad, status, 0, REFUSED_HANDLE(carom_queue, out, new(bad, out), status));
    REFUSED(new(&options, NULL), CAROM_EINVAL);
    options.reserved = 1;
    REFUSED_HANDLE(carom_queue, out, new(&options, out), CAROM_E2BIG);
    options.reserved = 0;
    options.max_deliveries = 1; /* and nowhere to go */
    REFUSED_HANDLE(carom_queue, out, new(&options, out), CAROM_EINVAL);
    EACH_BAD(carom_queue, QUEUE, h, {
        options.dead_letters = h;
        if (h) REFUSED_HANDLE(carom_queue, out, new(&options, out), CAROM_EBADHANDLE);
    });
    options.dead_letters = queue;
    options.max_deliveries = 0;
    REFUSED_HANDLE(carom_queue, out, new(&options, out), CAROM_EINVAL);
    options.max_deliveries = 1;
    CHECK_OK(carom_joinable_queue_new(NULL, &options.dead_letters));
    REFUSED_HANDLE(carom_queue, out, new(&options, out), CAROM_EINVAL);
    carom_queue_free(options.dead_letters);
    options = (carom_queue_options){.size = sizeof options, .single_consumer = 1};
    if (new == carom_joinable_queue_new) REFUSED_HANDLE(carom_queue, out, new(&options, out), CAROM_EINVAL);
    REFUSED(new(NULL, (carom_queue **)(uintptr_t)3), CAROM_EINVAL);
}
ROW(carom_queue_new) { bad_queue_options(carom_queue_new); }
ROW(carom_joinable_queue_new) { bad_queue_options(carom_joinable_queue_new); }
ROW(carom_simple_queue_new) {
    REFUSED(carom_simple_queue_new(NULL), CAROM_EINVAL);
    REFUSED(carom_simple_queue_new((carom_queue **)(uintptr_t)3), CAROM_EINVAL);
}
ROW(carom_queue_task_done) {
    EACH_BAD(carom_queue, QUEUE, h, REFUSED(carom_queue_task_done(h), CAROM_EBADHANDLE));
    REFUSED(carom_queue_task_done(queue), CAROM_EPERM);
}
ROW(carom_queue_join) {
    EACH_BAD(carom_queue, QUEUE, h, EACH_TIMEOUT(t, REFUSED(carom_queue_join(h, t), CAROM_EBADHANDLE)));
    REFUSED(carom_queue_join(queue, CAROM_FOREVER), CAROM_EPERM);
}
/* A second producer or consumer: the queue goes on for the first. */
static void *second_of_both(void *single) {
    int64_t number = 2;
    carom_message it = {.size = sizeof it};
    REFUSED(carom_queue_put(single, &number, sizeof number, CAROM_FOREVER), CAROM_EPERM);
    REFUSED(carom_queue_put_many(single, &number, sizeof number, 1, CAROM_FOREVER), CAROM_EPERM);
    REFUSED(carom_queue_get(single, &number, sizeof number, NULL, CAROM_FOREVER), CAROM_EPERM);
    REFUSED(carom_queue_get_many(single, &number, sizeof number, 1, NULL, CAROM_FOREVER), CAROM_EPERM);
    REFUSED(carom_queue_peek(single, &it, CAROM_FOREVER), CAROM_EPERM);
    CHECK_OK(carom_queue_reserve(single, 1, &it));
    REFUSED(carom_queue_commit(single, &it, 1, CAROM_FOREVER), CAROM_EPERM);
    CHECK_OK(carom_queue_return(single, &it));
    return NULL;
}
static void refuse_the_second(void) {
    carom_queue_options options = {.size = sizeof options, .single_producer = 1, .single_consumer = 1};
    carom_queue *single = NULL;
    pthread_t thread;
    CHECK_OK(carom_queue_new(&options, &single));
    CHECK_OK(carom_queue_put(single, "x", 1, 0));
    CHECK_OK(carom_queue_put(single, "y", 1, 0));
    char got;
    CHECK_OK(carom_queue_get(single, &got, 1, NULL, 0));
    CHECK_EQ(pthread_create(&thread, NULL, second_of_both, single), 0);
    pthread_join(thread, NULL);
    CHECK_OK(carom_queue_get(single, &got, 1, NULL, 0));
    CHECK_EQ(got, 'y');
    carom_queue_free(single);
}
ROW(carom_queue_put) {
    refuse_the_second();
    EACH_BAD(carom_queue, QUEUE, h, EACH_TIMEOUT(t, REFUSED(carom_queue_put(h, "x", 1, t), CAROM_EBADHANDLE)));
    REFUSED(carom_queue_put(queue, NULL, 1, 0), CAROM_EINVAL);
    REFUSED(carom_queue_put(queue, "x", SIZE_MAX, 0), CAROM_EINVAL);
    REFUSED(carom_queue_put(queue, "x", (size_t)INT64_MAX + 1, 0), CAROM_EINVAL);
    CHECK_EQ(carom_queue_size(queue), 0);
    /* Full, closed, shut down: for the others it goes on. */
    carom_queue_options options = {.size = sizeof options, .max_items = 1, .max_bytes = 5};
    carom_queue *small = NULL;
    CHECK_OK(carom_queue_new(&options, &small));
    REFUSED(carom_queue_put(small, "123456", 6, CAROM_FOREVER), CAROM_EMSGSIZE);
    CHECK_OK(carom_queue_put(small, "12345", 5, 0));
    REFUSED(carom_queue_put(small, "1", 1, 0), CAROM_ETIMEDOUT);
    REFUSED(carom_queue_put(small, "1", 1, 1), CAROM_ETIMEDOUT);
    CHECK_OK(carom_queue_close(small));
    REFUSED(carom_queue_put(small, "1", 1, CAROM_FOREVER), CAROM_ECLOSED);
    CHECK_EQ(carom_queue_size(small), 1);
    carom_queue_free(small);
}
ROW(carom_queue_fd) {
    EACH_BAD(carom_queue, QUEUE, h, REFUSED(carom_queue_fd(h), CAROM_EBADHANDLE));
    CHECK(carom_queue_fd(queue) > 2);
}
ROW(carom_queue_put_many) {
    EACH_BAD(carom_queue, QUEUE, h, EACH_TIMEOUT(t, REFUSED(carom_queue_put_many(h, "xy", 1, 2, t), CAROM_EBADHANDLE)));
    REFUSED(carom_queue_put_many(queue, NULL, 1, 1, 0), CAROM_EINVAL);
    REFUSED(carom_queue_put_many(queue, "x", SIZE_MAX, SIZE_MAX, 0), CAROM_EINVAL);
    REFUSED(carom_queue_put_many(queue, "x", SIZE_MAX / 2, 2, 0), CAROM_EINVAL);
    REFUSED(carom_queue_put_many(queue, "x", 0, SIZE_MAX, 0), CAROM_EINVAL);
    CHECK_EQ(carom_queue_size(queue), 0);
}
ROW(carom_queue_get) {
    char data[4];
    EACH_BAD(carom_queue, QUEUE, h, EACH_TIMEOUT(t, UNTOUCHED(size_t, len, carom_queue_get(h, data, 4, len, t), CAROM_EBADHANDLE)));
    UNTOUCHED(size_t, len, carom_queue_get(queue, data, 4, len, 0), CAROM_ETIMEDOUT);
    UNTOUCHED(size_t, len, carom_queue_get(queue, data, 4, len, 1), CAROM_ETIMEDOUT);
    UNTOUCHED(size_t, len, carom_queue_get(queue, NULL, 4, len, 0), CAROM_EINVAL);
    UNTOUCHED(size_t, len, carom_queue_get(queue, data, SIZE_MAX, len, 0), CAROM_EINVAL);
    CHECK_OK(carom_queue_put(queue, "12345", 5, 0));
    size_t len = 0;
    REFUSED(carom_queue_get(queue, data, 4, &len, 0), CAROM_EMSGSIZE);
    CHECK_EQ(len, 5);
    REFUSED(carom_queue_get(queue, NULL, 0, NULL, 0), CAROM_EMSGSIZE);
    CHECK_EQ(carom_queue_size(queue), 1);
    char five[5];
    CHECK_OK(carom_queue_get(queue, five, 5, NULL, 0));
}
ROW(carom_queue_get_many) {
    char data[4];
    EACH_BAD(carom_queue, QUEUE, h, EACH_TIMEOUT(t, UNTOUCHED(size_t, lens, carom_queue_get_many(h, data, 2, 1, lens, t), CAROM_EBADHANDLE)));
    UNTOUCHED(size_t, lens, carom_queue_get_many(queue, data, 2, 1, lens, 0), CAROM_ETIMEDOUT);
    REFUSED(carom_queue_get_many(queue, data, 2, 0, NULL, 0), CAROM_EINVAL);
    REFUSED(carom_queue_get_many(queue, NULL, 2, 2, NULL, 0), CAROM_EINVAL);
    REFUSED(carom_queue_get_many(queue, data, SIZE_MAX, 2, NULL, 0), CAROM_EINVAL);
    REFUSED(carom_queue_get_many(queue, data, 2, SIZE_MAX / 2, NULL, 0), CAROM_EINVAL);
    REFUSED(carom_queue_get_many(queue, data, 0, SIZE_MAX, (size_t *)(uintptr_t)8, 0), CAROM_EINVAL);
    REFUSED(carom_queue_get_many(queue, data, 2, 2, (size_t *)(uintptr_t)3, 0), CAROM_EINVAL);
}
ROW(carom_queue_reserve) {
    EACH_BAD(carom_queue, QUEUE, h, {
        carom_message message = {.size = sizeof message, .id = 4711};
        REFUSED(carom_queue_reserve(h, 8, &message), CAROM_EBADHANDLE);
        CHECK_EQ(message.id, 4711);
    });
    EACH_BAD_SIZE(carom_message, message, status, 1, REFUSED(carom_queue_reserve(queue, 8, message), status));
    REFUSED(carom_queue_reserve(queue, 8, NULL), CAROM_EINVAL);
    carom_message message = {.size = sizeof message, .id = 4711};
    REFUSED(carom_queue_reserve(queue, SIZE_MAX, &message), CAROM_ENOMEM);
    REFUSED(carom_queue_reserve(queue, (size_t)INT64_MAX, &message), CAROM_ENOMEM);
    REFUSED(carom_queue_reserve(queue, (size_t)1 << 46, &message), CAROM_ENOMEM);
    CHECK_EQ(message.id, 4711);
}
/* Whatever somebody may take for a message. */
static void bad_messages(carom_status (*call)(carom_queue *, const carom_message *)) {
    static const uint64_t ids[] = {0, 1, UINT64_MAX, (uint64_t)25 << 56, (uint64_t)25 << 56 | 1, (uint64_t)11 << 56 | 1, (uint64_t)25 << 56 | UINT32_MAX};
    EACH_BAD(carom_queue, QUEUE, h, {
        carom_message message = {.size = sizeof message};
        REFUSED(call(h, &message), CAROM_EBADHANDLE);
    });
    EACH_BAD_SIZE(carom_message, message, status, 0, REFUSED(call(queue, message), status));
    REFUSED(call(queue, NULL), CAROM_EINVAL);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        carom_message message = {.size = sizeof message, .id = ids[i]};
        REFUSED(call(queue, &message), CAROM_EBADHANDLE);
    }
    /* Every object there is, and the message of another generation. */
    carom_message mine = {.size = sizeof mine};
    CHECK_OK(carom_queue_reserve(queue, 8, &mine));
    for (uint64_t index = 0; index < 16; index++) {
        for (uint64_t kind = 0; kind < 32; kind++) {
            carom_message message = {.size = sizeof message, .id = (mine.id & 0x00ffffff00000000) | kind << 56 | index};
            if (message.id != mine.id) REFUSED(call(queue, &message), CAROM_EBADHANDLE);
        }
    }
    carom_message other = mine;
    other.id += (uint64_t)1 << 32;
    REFUSED(call(queue, &other), CAROM_EBADHANDLE);
    CHECK_OK(carom_queue_return(queue, &mine));
    REFUSED(call(queue, &mine), CAROM_EBADHANDLE);
}
static carom_status commits(carom_queue *to, const carom_message *message) { return carom_queue_commit(to, message, 0, 0); }
ROW(carom_queue_commit) {
    bad_messages(commits);
    carom_message mine = {.size = sizeof mine};
    CHECK_OK(carom_queue_reserve(queue, 8, &mine));
    REFUSED(carom_queue_commit(queue, &mine, 9, CAROM_FOREVER), CAROM_EMSGSIZE);
    REFUSED(carom_queue_commit(queue, &mine, SIZE_MAX, CAROM_FOREVER), CAROM_EMSGSIZE);
    REFUSED(carom_queue_consume(queue, &mine), CAROM_EBADHANDLE);
    CHECK_EQ(carom_queue_size(queue), 0);
    CHECK_OK(carom_queue_commit(queue, &mine, 8, 0));
    REFUSED(carom_queue_commit(queue, &mine, 8, 0), CAROM_EBADHANDLE);
    REFUSED(carom_queue_return(queue, &mine), CAROM_EBADHANDLE);
    CHECK_OK(carom_queue_peek(queue, &mine, 0));
    REFUSED(carom_queue_commit(queue, &mine, 8, 0), CAROM_EBADHANDLE);
    CHECK_OK(carom_queue_consume(queue, &mine));
    CHECK_EQ(carom_queue_size(queue), 0);
}
ROW(carom_queue_peek) {
    EACH_BAD(carom_queue, QUEUE, h, EACH_TIMEOUT(t, {
        carom_message message = {.size = sizeof message, .id = 4711};
        REFUSED(carom_queue_peek(h, &message, t), CAROM_EBADHANDLE);
        CHECK_EQ(message.id, 4711);
    }));
    EACH_BAD_SIZE(carom_message, message, status, 1, REFUSED(carom_queue_peek(queue, message, 0), status));
    REFUSED(carom_queue_peek(queue, NULL, 0), CAROM_EINVAL);
    carom_message message = {.size = sizeof message, .id = 4711};
    REFUSED(carom_queue_peek(queue, &message, 0), CAROM_ETIMEDOUT);
    REFUSED(carom_queue_peek(queue, &message, 1), CAROM_ETIMEDOUT);
    CHECK_EQ(message.id, 4711);
}
ROW(carom_queue_consume) { bad_messages(carom_queue_consume); }
ROW(carom_queue_return) { bad_messages(carom_queue_return); }
ROW(carom_queue_put_handle) {
    EACH_BAD(carom_queue, QUEUE, h, EACH_TIMEOUT(t, REFUSED(carom_queue_put_handle(h, lock, t), CAROM_EBADHANDLE)));
    REFUSED(carom_queue_put_handle(queue, NULL, 0), CAROM_EBADHANDLE);
    REFUSED(carom_queue_put_handle(queue, queue, CAROM_FOREVER), CAROM_EINVAL);
    for (size_t i = 0; i < handle_count; i++)
        if (!handles[i].is_good) CHECK(carom_queue_put_handle(queue, handles[i].handle, 0) < 0);
    CHECK_EQ(carom_queue_size(queue), 0);
}
ROW(carom_queue_get_handle) {
    EACH_BAD(carom_queue, QUEUE, h, EACH_TIMEOUT(t, REFUSED_HANDLE(void, out, carom_queue_get_handle(h, out, t), CAROM_EBADHANDLE)));
    REFUSED(carom_queue_get_handle(queue, NULL, 0), CAROM_EINVAL);
    REFUSED_HANDLE(void, out, carom_queue_get_handle(queue, out, 0), CAROM_ETIMEDOUT);
    REFUSED_HANDLE(void, out, carom_queue_get_handle(queue, out, 1), CAROM_ETIMEDOUT);
    char text[4];
    CHECK_OK(carom_queue_put(queue, "text", 4, 0));
    REFUSED_HANDLE(void, out, carom_queue_get_handle(queue, out, CAROM_FOREVER), CAROM_EPERM);
    CHECK_OK(carom_queue_get(queue, text, 4, NULL, 0));
    CHECK_OK(carom_queue_put_handle(queue, lock, 0));
    carom_message message = {.size = sizeof message};
    size_t len = 77;
    REFUSED(carom_queue_get(queue, text, 4, &len, CAROM_FOREVER), CAROM_EPERM);
    REFUSED(carom_queue_get_many(queue, text, 2, 2, NULL, CAROM_FOREVER), CAROM_EPERM);
    REFUSED(carom_queue_peek(queue, &message, CAROM_FOREVER), CAROM_EPERM);
    CHECK_EQ(len, 77);
    void *got = NULL;
    CHECK_OK(carom_queue_get_handle(queue, &got, 0));
    carom_lock_free((carom_lock *)got);
}
ROW(carom_queue_size) { EACH_BAD(carom_queue, QUEUE, h, REFUSED(carom_queue_size(h), CAROM_EBADHANDLE)); }
ROW(carom_queue_empty) { EACH_BAD(carom_queue, QUEUE, h, REFUSED(carom_queue_empty(h), CAROM_EBADHANDLE)); }
ROW(carom_queue_full) { EACH_BAD(carom_queue, QUEUE, h, REFUSED(carom_queue_full(h), CAROM_EBADHANDLE)); }
ROW(carom_queue_close) { EACH_BAD(carom_queue, QUEUE, h, REFUSED(carom_queue_close(h), CAROM_EBADHANDLE)); }
ROW(carom_queue_shutdown) { EACH_BAD(carom_queue, QUEUE, h, REFUSED(carom_queue_shutdown(h), CAROM_EBADHANDLE)); }
ROW(carom_queue_free) { EACH_BAD(carom_queue, QUEUE, h, carom_queue_free(h)); }
