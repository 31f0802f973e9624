/* test_misuse.c: connections over sockets, listeners, and waiting for several things. */

#include <sys/socket.h>

static carom_connection *connection, *other_end, *left_end, *right_end;
static carom_listener *listener;

static void make_connections(void) {
    int fds[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_OK(carom_connection_open(fds[0], &connection));
    CHECK_OK(carom_connection_open(fds[1], &other_end));
    CHECK_OK(carom_listener_new(NULL, NULL, &listener));
    CHECK_OK(carom_pipe_new(NULL, &left_end, &right_end));
}

static void free_connections(void) {
    carom_connection_free(connection);
    carom_connection_free(other_end);
    carom_connection_free(left_end);
    carom_connection_free(right_end);
    carom_listener_free(listener);
}

static void connections_still_work(void) {
    char text[4];
    CHECK_OK(carom_connection_send(other_end, "ball", 4, 0));
    CHECK_OK(carom_connection_recv(connection, text, 4, NULL, PATIENCE_MS));
    CHECK_OK(carom_connection_send(connection, "ball", 4, 0));
    CHECK_OK(carom_connection_recv(other_end, text, 4, NULL, PATIENCE_MS));
    CHECK_OK(carom_connection_send(left_end, "ball", 4, 0));
    CHECK_OK(carom_connection_recv(right_end, text, 4, NULL, 0));
    carom_connection *client = NULL, *server = NULL;
    CHECK_OK(carom_client_open(carom_listener_address(listener), NULL, &client, PATIENCE_MS));
    CHECK_OK(carom_listener_accept(listener, &server, PATIENCE_MS));
    carom_connection_free(client);
    carom_connection_free(server);
}

ROW(carom_pipe_new) {
    for (int side = 0; side < 2; side++) {
        carom_connection *end = (carom_connection *)(uintptr_t)0xa5a5;
        REFUSED(carom_pipe_new(NULL, side ? NULL : &end, side ? &end : NULL), CAROM_EINVAL);
        EACH_BAD_SIZE(carom_pipe_options, options, status, 0, REFUSED_HANDLE(carom_connection, out, carom_pipe_new(options, out, &end), status));
        carom_pipe_options options = {.size = sizeof options, .reserved = 1};
        REFUSED_HANDLE(carom_connection, out, carom_pipe_new(&options, &end, out), CAROM_E2BIG);
        CHECK(end == NULL);
    }
    /* What is no argument, or not any more. */
    carom_argument sockets[] = {CAROM_HANDLE(connection), CAROM_HANDLE(listener)};
    carom_process *none = NULL;
    for (int i = 0; i < 2; i++) REFUSED(carom_pool_apply(pool, works, &sockets[i], 1, NULL, NULL, 0, NULL, 0), CAROM_ENOTSUP);
    carom_connection *ends[2];
    CHECK_OK(carom_pipe_new(NULL, &ends[0], &ends[1]));
    CHECK_OK(carom_connection_close(ends[0]));
    carom_argument closed = CAROM_HANDLE(ends[0]);
    REFUSED(carom_process_start(waits, &closed, 1, NULL, &none), CAROM_ECLOSED);
    for (int i = 0; i < 2; i++) carom_connection_free(ends[i]);
    REFUSED(carom_process_start(waits, &closed, 1, NULL, &none), CAROM_EBADHANDLE);
}
ROW(carom_connection_readable) { EACH_BAD(carom_connection, CONNECTION, h, REFUSED(carom_connection_readable(h), CAROM_EBADHANDLE)); }
ROW(carom_connection_writable) { EACH_BAD(carom_connection, CONNECTION, h, REFUSED(carom_connection_writable(h), CAROM_EBADHANDLE)); }
ROW(carom_connection_open) {
    int fds[2], datagram = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), listens = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
    sa_family_t nowhere = AF_UNIX;
    CHECK_EQ(bind(listens, (struct sockaddr *)&nowhere, sizeof nowhere), 0);
    CHECK_EQ(listen(listens, 1), 0);
    const int bad[] = {-1, INT32_MIN, 99999, fds[0], datagram, listens};
    for (int i = 0; i < 6; i++)
        REFUSED_HANDLE(carom_connection, out, carom_connection_open(bad[i], out), i < 3 ? -EBADF : CAROM_EINVAL);
    int pair[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    REFUSED(carom_connection_open(pair[0], NULL), CAROM_EINVAL);
    REFUSED(carom_connection_open(pair[0], (carom_connection **)(uintptr_t)5), CAROM_EINVAL);
    /* They stayed the caller's. */
    const int mine[] = {fds[0], fds[1], datagram, listens, pair[0], pair[1]};
    for (int i = 0; i < 6; i++) CHECK_EQ(close(mine[i]), 0);
}
ROW(carom_connection_send) {
    EACH_BAD(carom_connection, CONNECTION, h, REFUSED(carom_connection_send(h, "x", 1, 0), CAROM_EBADHANDLE));
    REFUSED(carom_connection_send(connection, NULL, 1, 0), CAROM_EINVAL);
    REFUSED(carom_connection_send(connection, "x", SIZE_MAX, 0), CAROM_EINVAL);
    REFUSED(carom_connection_send(connection, "x", (size_t)1 << 63, 0), CAROM_EINVAL);
    REFUSED(carom_connection_send(left_end, "x", (size_t)1 << 63, 0), CAROM_EINVAL);
    REFUSED(carom_connection_send(left_end, NULL, 1, 0), CAROM_EINVAL);
}
ROW(carom_connection_recv) {
    char data[4];
    EACH_BAD(carom_connection, CONNECTION, h, UNTOUCHED(size_t, len, carom_connection_recv(h, data, 4, len, 0), CAROM_EBADHANDLE));
    UNTOUCHED(size_t, len, carom_connection_recv(connection, NULL, 4, len, 0), CAROM_EINVAL);
    UNTOUCHED(size_t, len, carom_connection_recv(connection, data, SIZE_MAX, len, 0), CAROM_EINVAL);
    UNTOUCHED(size_t, len, carom_connection_recv(connection, data, 4, len, 0), CAROM_ETIMEDOUT);
}
ROW(carom_connection_send_fd) {
    EACH_BAD(carom_connection, CONNECTION, h, REFUSED(carom_connection_send_fd(h, 0, 0), CAROM_EBADHANDLE));
    const int bad[] = {-1, INT32_MIN, 99999};
    for (int i = 0; i < 3; i++) REFUSED(carom_connection_send_fd(connection, bad[i], 0), -EBADF);
}
ROW(carom_connection_recv_fd) {
    EACH_BAD(carom_connection, CONNECTION, h, UNTOUCHED(int32_t, fd, carom_connection_recv_fd(h, fd, 0), CAROM_EBADHANDLE));
    UNTOUCHED(int32_t, fd, carom_connection_recv_fd(connection, fd, 0), CAROM_ETIMEDOUT);
    REFUSED(carom_connection_recv_fd(connection, NULL, 0), CAROM_EINVAL);
}
ROW(carom_connection_send_handle) {
    EACH_BAD(carom_connection, CONNECTION, h, REFUSED(carom_connection_send_handle(h, queue, 0), CAROM_EBADHANDLE));
    void *const bad[] = {NULL, (void *)(uintptr_t)0x1234, process, pool, listener};
    for (int i = 0; i < 5; i++) REFUSED(carom_connection_send_handle(left_end, bad[i], 0), CAROM_EBADHANDLE);
    REFUSED(carom_connection_send_handle(left_end, left_end, 0), CAROM_EINVAL);
    REFUSED(carom_connection_send_handle(left_end, right_end, 0), CAROM_EINVAL);
    REFUSED(carom_connection_send_handle(left_end, connection, 0), CAROM_ENOTSUP);
    REFUSED(carom_connection_send_handle(connection, queue, 0), CAROM_ENOTSUP);
}
ROW(carom_connection_recv_handle) {
    EACH_BAD(carom_connection, CONNECTION, h, REFUSED_HANDLE(void, out, carom_connection_recv_handle(h, out, 0), CAROM_EBADHANDLE));
    REFUSED_HANDLE(void, out, carom_connection_recv_handle(left_end, out, 0), CAROM_ETIMEDOUT);
    REFUSED_HANDLE(void, out, carom_connection_recv_handle(connection, out, 0), CAROM_ENOTSUP);
    REFUSED(carom_connection_recv_handle(left_end, NULL, 0), CAROM_EINVAL);
    REFUSED(carom_connection_recv_handle(left_end, (void **)(uintptr_t)1, 0), CAROM_EINVAL);
}
ROW(carom_connection_flush) { EACH_BAD(carom_connection, CONNECTION, h, REFUSED(carom_connection_flush(h, 0), CAROM_EBADHANDLE)); }
ROW(carom_connection_poll) { EACH_BAD(carom_connection, CONNECTION, h, REFUSED(carom_connection_poll(h, 0), CAROM_EBADHANDLE)); }
ROW(carom_connection_fd) { EACH_BAD(carom_connection, CONNECTION, h, REFUSED(carom_connection_fd(h), CAROM_EBADHANDLE)); }
ROW(carom_connection_closed) { EACH_BAD(carom_connection, CONNECTION, h, REFUSED(carom_connection_closed(h), CAROM_EBADHANDLE)); }
ROW(carom_connection_close) { EACH_BAD(carom_connection, CONNECTION, h, REFUSED(carom_connection_close(h), CAROM_EBADHANDLE)); }
ROW(carom_connection_free) { EACH_BAD(carom_connection, CONNECTION, h, carom_connection_free(h)); }

static const char *const strange_addresses[] = {"", "@", "x", "localhost", "localhost:", "localhost:65536", "127.0.0.1", "::1", "\xff/"};
#define EACH_STRANGE_ADDRESS(a, ...)                                                                                   \
    for (size_t i_ = 0; i_ < sizeof strange_addresses / sizeof *strange_addresses; i_++) {                             \
        const char *a = strange_addresses[i_];                                                                         \
        __VA_ARGS__;                                                                                                   \
    }
static char long_path[110] = "/tmp/", long_abstract[110] = "@";
__attribute__((constructor)) static void fill_long_path(void) {
    memset(long_path + 5, 'p', sizeof long_path - 6);
    memset(long_abstract + 1, 'a', sizeof long_abstract - 2);
}
/* Keys that are none. */
#define EACH_BAD_KEY(options, ...)                                                                                     \
    for (int k_ = 0; k_ < 3; k_++) {                                                                                   \
        carom_link_options it_ = {.size = sizeof it_, .authkey = k_ ? "key" : NULL, .authkey_len = k_ ? 0 : 3};        \
        if (k_ == 2) it_.authkey_len = SIZE_MAX;                                                                       \
        const carom_link_options *options = &it_;                                                                      \
        __VA_ARGS__;                                                                                                   \
    }

ROW(carom_listener_new) {
    EACH_STRANGE_ADDRESS(a, REFUSED_HANDLE(carom_listener, out, carom_listener_new(a, NULL, out), CAROM_EINVAL));
    REFUSED_HANDLE(carom_listener, out, carom_listener_new(long_path, NULL, out), -ENAMETOOLONG);
    REFUSED_HANDLE(carom_listener, out, carom_listener_new(long_abstract, NULL, out), -ENAMETOOLONG);
    REFUSED_HANDLE(carom_listener, out, carom_listener_new("/nowhere/at/all", NULL, out), CAROM_ENOENT);
    REFUSED_HANDLE(carom_listener, out, carom_listener_new(carom_listener_address(listener), NULL, out), CAROM_EADDRINUSE);
    REFUSED_HANDLE(carom_listener, out, carom_listener_new("192.0.2.1:1", NULL, out), -EADDRNOTAVAIL);
    REFUSED(carom_listener_new(NULL, NULL, NULL), CAROM_EINVAL);
    EACH_BAD_KEY(options, REFUSED_HANDLE(carom_listener, out, carom_listener_new(NULL, options, out), CAROM_EINVAL));
    EACH_BAD_SIZE(carom_link_options, options, status, 0,
                  REFUSED_HANDLE(carom_listener, out, carom_listener_new(NULL, options, out), status));
    carom_link_options options = {.size = sizeof options, .mode = 01000};
    REFUSED_HANDLE(carom_listener, out, carom_listener_new(NULL, &options, out), CAROM_EINVAL);
}
ROW(carom_listener_address) {
    EACH_BAD(carom_listener, LISTENER, h, REFUSED(*carom_listener_address(h) == 0 ? CAROM_EBADHANDLE : 0, CAROM_EBADHANDLE));
}
ROW(carom_listener_accept) {
    EACH_BAD(carom_listener, LISTENER, h, REFUSED_HANDLE(carom_connection, out, carom_listener_accept(h, out, 0), CAROM_EBADHANDLE));
    REFUSED_HANDLE(carom_connection, out, carom_listener_accept(listener, out, 0), CAROM_ETIMEDOUT);
    REFUSED(carom_listener_accept(listener, NULL, 0), CAROM_EINVAL);
}
ROW(carom_listener_fd) { EACH_BAD(carom_listener, LISTENER, h, REFUSED(carom_listener_fd(h), CAROM_EBADHANDLE)); }
ROW(carom_listener_free) { EACH_BAD(carom_listener, LISTENER, h, carom_listener_free(h)); }
ROW(carom_client_open) {
    EACH_STRANGE_ADDRESS(a, REFUSED_HANDLE(carom_connection, out, carom_client_open(a, NULL, out, 0), CAROM_EINVAL));
    REFUSED_HANDLE(carom_connection, out, carom_client_open(NULL, NULL, out, 0), CAROM_EINVAL);
    REFUSED_HANDLE(carom_connection, out, carom_client_open(long_path, NULL, out, 0), -ENAMETOOLONG);
    REFUSED_HANDLE(carom_connection, out, carom_client_open("/nowhere/at/all", NULL, out, 0), CAROM_ENOENT);
    REFUSED_HANDLE(carom_connection, out, carom_client_open("@carom-test-nobody", NULL, out, 0), CAROM_ECONNREFUSED);
    EACH_BAD_KEY(options, REFUSED_HANDLE(carom_connection, out, carom_client_open("@carom-test-nobody", options, out, 0), CAROM_EINVAL));
    EACH_BAD_SIZE(carom_link_options, options, status, 0,
                  REFUSED_HANDLE(carom_connection, out, carom_client_open("@carom-test-nobody", options, out, 0), status));
    carom_link_options options[2] = {{.size = sizeof *options, .mode = 1}, {.size = sizeof *options, .backlog = 1}};
    for (int i = 0; i < 2; i++)
        REFUSED_HANDLE(carom_connection, out, carom_client_open("@carom-test-nobody", &options[i], out, 0), CAROM_EINVAL);
}

ROW(carom_wait) {
    carom_waitable items[2] = {{.handle = connection, .ready = 5}, {.handle = listener, .ready = 5}};
    for (size_t i = 0; i < handle_count; i++) {
        enum kind kind = handles[i].kind;
        int can_wait = kind == CONNECTION || kind == LISTENER || kind == PROCESS || kind == POOL || kind == QUEUE;
        if (handles[i].is_good && can_wait) continue;
        items[1] = (carom_waitable){.handle = handles[i].handle, .fd = -1, .ready = 5};
        REFUSED(carom_wait(items, 2, 0), handles[i].handle ? CAROM_EBADHANDLE : -EBADF);
    }
    const int bad[] = {-1, INT32_MIN, 99999};
    for (int i = 0; i < 3; i++) {
        items[1] = (carom_waitable){.fd = bad[i], .ready = 5};
        REFUSED(carom_wait(items, 2, CAROM_FOREVER), -EBADF);
    }
    CHECK_EQ(items[0].ready, 5);
    CHECK_EQ(items[1].ready, 5);
    REFUSED(carom_wait(NULL, 0, CAROM_FOREVER), CAROM_EINVAL);
    REFUSED(carom_wait(NULL, 0, 0), CAROM_ETIMEDOUT);
    REFUSED(carom_wait(NULL, 1, 0), CAROM_EINVAL);
    REFUSED(carom_wait(items, SIZE_MAX, 0), CAROM_EINVAL);
    REFUSED(carom_wait((carom_waitable *)(void *)((char *)items + 1), 1, 0), CAROM_EINVAL);
}
