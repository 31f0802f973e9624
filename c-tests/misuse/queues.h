/* test_misuse.c: queues. */

typedef carom_status (*new_queue)(const carom_queue_options *, carom_queue **);
static void bad_queue_options(new_queue new) {
    carom_queue_options options = {.size = sizeof options};
    EACH_BAD_SIZE(carom_queue_options, bad, status, 0, REFUSED_HANDLE(carom_queue, out, new(bad, out), status));
    REFUSED(new(&options, NULL), CAROM_EINVAL);
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
ROW(carom_queue_put) {
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
ROW(carom_queue_size) { EACH_BAD(carom_queue, QUEUE, h, REFUSED(carom_queue_size(h), CAROM_EBADHANDLE)); }
ROW(carom_queue_empty) { EACH_BAD(carom_queue, QUEUE, h, REFUSED(carom_queue_empty(h), CAROM_EBADHANDLE)); }
ROW(carom_queue_full) { EACH_BAD(carom_queue, QUEUE, h, REFUSED(carom_queue_full(h), CAROM_EBADHANDLE)); }
ROW(carom_queue_close) { EACH_BAD(carom_queue, QUEUE, h, REFUSED(carom_queue_close(h), CAROM_EBADHANDLE)); }
ROW(carom_queue_shutdown) { EACH_BAD(carom_queue, QUEUE, h, REFUSED(carom_queue_shutdown(h), CAROM_EBADHANDLE)); }
ROW(carom_queue_free) { EACH_BAD(carom_queue, QUEUE, h, carom_queue_free(h)); }
