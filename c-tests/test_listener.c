/* Listeners and clients: addresses, keys, guests that misbehave; and waiting for several things at once. */
#include "support.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

static carom_link_options with_key(const char *key) {
    return (carom_link_options){.size = sizeof(carom_link_options), .authkey = key, .authkey_len = strlen(key)};
}

static carom_listener *listen_at(const char *address, const carom_link_options *options) {
    carom_listener *it = NULL;
    CHECK_OK(carom_listener_new(address, options, &it));
    return it;
}

static carom_connection *accepted(carom_listener *listener) {
    carom_connection *it = NULL;
    CHECK_OK(carom_listener_accept(listener, &it, PATIENCE_MS));
    return it;
}

static carom_connection *client_of(carom_listener *listener, const carom_link_options *options) {
    carom_connection *it = NULL;
    CHECK_OK(carom_client_open(carom_listener_address(listener), options, &it, PATIENCE_MS));
    return it;
}

static void say_hello(carom_connection *from, carom_connection *to) {
    char text[8];
    size_t len;
    CHECK_OK(carom_connection_send(from, "hello", 5, PATIENCE_MS));
    CHECK_OK(carom_connection_recv(to, text, sizeof text, &len, PATIENCE_MS));
    CHECK_EQ(len, 5);
    CHECK_EQ(memcmp(text, "hello", 5), 0);
}

/* A bare client of a listener at an abstract address. */
static int bare_client(carom_listener *listener) {
    const char *name = carom_listener_address(listener);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CHECK_EQ(name[0], '@');
    memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))), 0);
    return fd;
}

static char path[64];
static const char *make_path(void) {
    snprintf(path, sizeof path, "/tmp/carom-test-%d.sock", (int)getpid());
    unlink(path);
    return path;
}

static void addresses(void) {
    const char *all[] = {make_path(), NULL, "@carom-test-addresses", "127.0.0.1:0", "[::1]:0", "localhost:0"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        carom_listener *listener = NULL, *second = NULL;
        carom_status status = carom_listener_new(all[i], NULL, &listener);
        if (status == -EADDRNOTAVAIL || status == -EAFNOSUPPORT) continue; /* a machine without IPv6 */
        CHECK_OK(status);
        const char *address = carom_listener_address(listener);
        if (i < 3 && all[i]) CHECK_STR_EQ(address, all[i]);
        CHECK(strlen(address) > 5 && strcmp(address + strlen(address) - 2, ":0") != 0);
        CHECK_STATUS(carom_listener_new(address, NULL, &second), CAROM_EADDRINUSE);
        carom_connection *client = client_of(listener, NULL), *server = accepted(listener);
        say_hello(client, server);
        say_hello(server, client);
        int fd = -1;
        CHECK_STATUS(carom_connection_send_fd(client, 0, 0), i < 3 ? CAROM_OK : CAROM_ENOTSUP);
        CHECK_STATUS(carom_connection_recv_fd(server, &fd, i < 3 ? PATIENCE_MS : 0), i < 3 ? CAROM_OK : CAROM_ENOTSUP);
        if (fd >= 0) close(fd);
        char copy[128];
        snprintf(copy, sizeof copy, "%s", address);
        carom_listener_free(listener);
        say_hello(client, server); /* outlives it */
        carom_connection_free(client);
        CHECK_STATUS(carom_connection_recv(server, copy + 100, 1, NULL, PATIENCE_MS), CAROM_ECLOSED);
        carom_connection_free(server);
        carom_connection *none = NULL;
        CHECK_STATUS(carom_client_open(copy, NULL, &none, PATIENCE_MS), i == 0 ? CAROM_ENOENT : CAROM_ECONNREFUSED);
    }
}

static void paths(void) {
    struct stat stat_;
    carom_link_options options = {.size = sizeof options, .mode = 0666};
    umask(0);
    carom_listener *listener = listen_at(make_path(), NULL);
    CHECK_EQ(stat(path, &stat_), 0);
    CHECK_EQ(stat_.st_mode & 0777, 0600);
    /* A child's copy takes nothing away. */
    pid_t pid = fork();
    if (pid == 0) {
        carom_listener_free(listener);
        _exit(0);
    }
    CHECK_EQ(wait_for(pid), 0);
    CHECK_EQ(stat(path, &stat_), 0);
    carom_listener_free(listener);
    CHECK_EQ(stat(path, &stat_), -1);

    listener = listen_at(path, &options);
    CHECK_EQ(stat(path, &stat_), 0);
    CHECK_EQ(stat_.st_mode & 0777, 0666);
    /* Nor is taken away what somebody else has put there. */
    CHECK_EQ(unlink(path), 0);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    carom_listener_free(listener);
    CHECK_EQ(stat(path, &stat_), 0);
    carom_connection *none = NULL;
    CHECK_STATUS(carom_client_open(path, NULL, &none, 0), CAROM_ECONNREFUSED);
    CHECK_STATUS(carom_listener_new(path, NULL, &listener), CAROM_EADDRINUSE);
    CHECK_EQ(unlink(path), 0);
}

struct guest {
    const char *address, *key;
    carom_status status;
};
static void *visit(void *it) {
    struct guest *guest = it;
    carom_link_options options = with_key(guest->key);
    carom_connection *connection = NULL;
    guest->status = carom_client_open(guest->address, &options, &connection, PATIENCE_MS);
    if (guest->status == CAROM_OK) {
        CHECK_OK(carom_connection_send(connection, "hello", 5, PATIENCE_MS));
        char text[8];
        CHECK_STATUS(carom_connection_recv(connection, text, sizeof text, NULL, CAROM_FOREVER), CAROM_ECLOSED);
    }
    carom_connection_free(connection);
    return NULL;
}

static void expect_visit(carom_listener *listener) {
    char text[8];
    struct guest guest = {carom_listener_address(listener), "secret", 1};
    pthread_t thread;
    pthread_create(&thread, NULL, visit, &guest);
    carom_connection *server = accepted(listener);
    CHECK_OK(carom_connection_recv(server, text, sizeof text, NULL, PATIENCE_MS));
    carom_connection_free(server);
    pthread_join(thread, NULL);
    CHECK_OK(guest.status);
}

static void keys(void) {
    carom_link_options options = with_key("secret");
    const char *all[] = {NULL, "127.0.0.1:0"};
    for (int i = 0; i < 2; i++) {
        carom_listener *listener = listen_at(all[i], &options);
        expect_visit(listener);
        /* Others knock in vain, and the one who has the key comes in behind them. */
        struct guest guests[4];
        pthread_t threads[4];
        for (int g = 0; g < 4; g++) {
            guests[g] = (struct guest){carom_listener_address(listener), g == 3 ? "secret" : g ? "Secret" : "secret2", 1};
            pthread_create(&threads[g], NULL, visit, &guests[g]);
        }
        carom_connection *server = accepted(listener), *none = NULL;
        CHECK_STATUS(carom_listener_accept(listener, &none, 50), CAROM_ETIMEDOUT);
        carom_connection_free(server);
        for (int g = 0; g < 4; g++) {
            pthread_join(threads[g], NULL);
            CHECK_STATUS(guests[g].status, g == 3 ? CAROM_OK : CAROM_EACCES);
        }
        carom_listener_free(listener);
    }
}

/* More of them than there may be at once say nothing, or little, or go away; the one who has the key waits for none. */
static void silent_guests(void) {
    carom_link_options options = with_key("secret");
    carom_listener *listener = listen_at(NULL, &options);
    enum { SILENT = 300 };
    static int fds[SILENT];
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    setrlimit(RLIMIT_NOFILE, &limit);
    int before = fd_count();
    for (int i = 0; i < SILENT; i++) {
        fds[i] = bare_client(listener);
        if (i % 3 == 1) CHECK_EQ(send(fds[i], "\0\0\0\54{sha", 8, 0), 8);
        if (i % 50 == 49) {
            int64_t start = now_ms();
            expect_visit(listener);
            CHECK(now_ms() - start < 5000); /* half of a silent one's time */
        }
    }
    carom_connection *none = NULL;
    CHECK_STATUS(carom_listener_accept(listener, &none, 0), CAROM_ETIMEDOUT);
    CHECK(fd_count() <= before + SILENT + 130);
    for (int i = 0; i < SILENT; i++) close(fds[i]);
    expect_visit(listener);
    CHECK_EQ(fd_count(), before);
    carom_listener_free(listener);
}

static void garbage(void) {
    carom_link_options options = with_key("secret");
    carom_listener *listener = listen_at(NULL, &options);
    carom_connection *none = NULL;
    int before = fd_count();
    unsigned seed = 99;
    for (int round = 0; round < 600; round++) {
        static char bytes[5000], answer[300];
        size_t len = round % 7 ? 1 + (seed = seed * 1103515245 + 12345) % 400 : sizeof bytes;
        int fd = bare_client(listener);
        CHECK_STATUS(carom_listener_accept(listener, &none, 0), CAROM_ETIMEDOUT);
        readable(fd);
        CHECK_EQ(recv(fd, answer, sizeof answer, 0), 4 + 11 + 8 + 40);
        CHECK_EQ(memcmp(answer, "\0\0\0\73#CHALLENGE#{sha256}", 23), 0);
        for (size_t i = 0; i < len; i++) bytes[i] = (char)((seed = seed * 1103515245 + 12345) >> 16);
        memset(bytes, 0, 3);
        if (round % 5 == 1) bytes[3] = 16;                            /* HMAC-MD5 */
        if (round % 5 == 2) memcpy(bytes, answer, len < 63 ? len : 63); /* its own challenge */
        if (round % 5 == 3) memcpy(bytes, "\0\0\0\11#WELCOME#", 13);
        if (round % 5 == 4) memcpy(bytes, "\xff\xff\xff\xff\0\0\0\1\0\0\0\0", 12);
        (void)!send(fd, bytes, len < 13 ? 13 : len, MSG_NOSIGNAL);
        CHECK_STATUS(carom_listener_accept(listener, &none, 0), CAROM_ETIMEDOUT);
        if (round % 5 == 1 && len >= 20) CHECK_EQ(memcmp(answer, "", 0) + recv(fd, answer, 13, MSG_DONTWAIT), 13);
        close(fd);
    }
    expect_visit(listener);
    CHECK_EQ(fd_count(), before);
    carom_listener_free(listener);
}

/* A client at a false listener, which says whatever it likes. */
static void false_listeners(void) {
    const struct {
        const char *bytes;
        size_t len;
        carom_status status;
    } says[] = {
        {"", 0, CAROM_ECLOSED},
        {"\0\0\0\37#CHALLENGE#12345678901234567890", 35, CAROM_EACCES}, /* MD5 */
        {"\0\0\0\56#CHALLENGE#{sha384}123456789012345678901234567890", 52, CAROM_EACCES},
        {"\0\0\0\11#WELCOME#", 13, CAROM_EACCES},
        {"\0\0\1\1", 4, CAROM_EACCES},
        {"\xff\xff\xff\xfe", 4, CAROM_EACCES},
    };
    carom_link_options options = with_key("secret");
    for (size_t i = 0; i < sizeof says / sizeof *says; i++) {
        carom_listener *listener = listen_at(NULL, NULL);
        struct guest guest = {carom_listener_address(listener), "secret", 1};
        pthread_t thread;
        pthread_create(&thread, NULL, visit, &guest);
        carom_connection *server = accepted(listener);
        CHECK_EQ(send(carom_connection_fd(server), says[i].bytes, says[i].len, 0), says[i].len);
        if (i == 0) carom_connection_free(server);
        pthread_join(thread, NULL);
        CHECK_STATUS(guest.status, says[i].status);
        if (i) carom_connection_free(server);
        carom_listener_free(listener);
    }
    /* It never answers. */
    carom_listener *listener = listen_at(NULL, NULL);
    carom_connection *none = NULL;
    CHECK_STATUS(carom_client_open(carom_listener_address(listener), &options, &none, 30), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_client_open(carom_listener_address(listener), &options, &none, 0), CAROM_ETIMEDOUT);
    carom_listener_free(listener);
}

/* What a client asks a listener, another client must not be made to answer. */
static void no_reflection(void) {
    carom_listener *listener = listen_at(NULL, NULL);
    struct guest guests[2];
    pthread_t threads[2];
    carom_connection *servers[2];
    char challenge[256], other[256];
    size_t len;
    for (int i = 0; i < 2; i++) {
        guests[i] = (struct guest){carom_listener_address(listener), "secret", 1};
        pthread_create(&threads[i], NULL, visit, &guests[i]);
        servers[i] = accepted(listener);
    }
    CHECK_OK(carom_connection_send(servers[0], "#CHALLENGE#{sha256}1234567890123456789012345678901234567890", 59, 0));
    CHECK_OK(carom_connection_recv(servers[0], other, sizeof other, &len, PATIENCE_MS)); /* its answer, of no use */
    CHECK_OK(carom_connection_send(servers[0], "#WELCOME#", 9, 0));
    CHECK_OK(carom_connection_recv(servers[0], challenge, sizeof challenge, &len, PATIENCE_MS));
    CHECK_OK(carom_connection_send(servers[1], challenge, len, 0)); /* one that we cannot answer, to one who can */
    CHECK_STATUS(carom_connection_recv(servers[1], other, sizeof other, &len, PATIENCE_MS), CAROM_ECLOSED);
    pthread_join(threads[1], NULL);
    CHECK_STATUS(guests[1].status, CAROM_EACCES);
    CHECK_OK(carom_connection_send(servers[0], "{sha256}12345678901234567890123456789012", 40, 0));
    pthread_join(threads[0], NULL);
    CHECK_STATUS(guests[0].status, CAROM_EACCES);
    for (int i = 0; i < 2; i++) carom_connection_free(servers[i]);
    carom_listener_free(listener);
}

static void time_outs(void) {
    carom_link_options options = {.size = sizeof options, .backlog = 1};
    carom_listener *listener = listen_at(NULL, &options);
    carom_connection *none = NULL, *clients[20];
    CHECK_STATUS(carom_listener_accept(listener, &none, 0), CAROM_ETIMEDOUT);
    int64_t start = now_ms();
    CHECK_STATUS(carom_listener_accept(listener, &none, 50), CAROM_ETIMEDOUT);
    CHECK(now_ms() - start >= 50);
    int count = 0;
    while (carom_client_open(carom_listener_address(listener), NULL, &clients[count], 20) == CAROM_OK) CHECK(++count < 20);
    CHECK(count > 0);
    CHECK_STATUS(carom_client_open(carom_listener_address(listener), NULL, &none, 0), CAROM_ETIMEDOUT);
    carom_connection *server = accepted(listener);
    say_hello(clients[0], server);
    for (int i = 0; i < count; i++) carom_connection_free(clients[i]);
    carom_connection_free(server);
    carom_listener_free(listener);
}

static pid_t thread_id;
static void *accept_one(void *listener) {
    carom_connection *none = NULL;
    atomic_store((_Atomic pid_t *)&thread_id, (pid_t)syscall(SYS_gettid));
    carom_status status = carom_listener_accept(listener, &none, CAROM_FOREVER);
    CHECK(status == CAROM_ECLOSED || status == CAROM_EBADHANDLE);
    CHECK(none == NULL);
    return NULL;
}

static void a_free_wakes_who_accepts(void) {
    carom_link_options options = with_key("secret");
    for (int i = 0; i < 2; i++) {
        carom_listener *listener = listen_at(NULL, i ? &options : NULL);
        pthread_t thread;
        thread_id = 0;
        pthread_create(&thread, NULL, accept_one, listener);
        while (!atomic_load((_Atomic pid_t *)&thread_id)) sched_yield();
        asleep_in_(__FILE__, __LINE__, getpid(), thread_id, SYS_ppoll, SYS_epoll_wait);
        carom_listener_free(listener);
        pthread_join(thread, NULL);
    }
}

/* Parent and child accept; what began to prove itself before the fork is the parent's. */
static void forks(void) {
    carom_link_options options = with_key("secret");
    carom_listener *listener = listen_at(NULL, &options);
    carom_connection *none = NULL;
    int silent = bare_client(listener);
    CHECK_STATUS(carom_listener_accept(listener, &none, 0), CAROM_ETIMEDOUT);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_STATUS(carom_listener_accept(listener, &none, 0), CAROM_ETIMEDOUT);
        expect_visit(listener);
        carom_listener_free(listener);
        _exit(0);
    }
    CHECK_EQ(wait_for(pid), 0);
    CHECK_EQ(send(silent, "\0\0\0\1x", 5, 0), 5);
    readable(carom_listener_fd(listener));
    CHECK_STATUS(carom_listener_accept(listener, &none, 0), CAROM_ETIMEDOUT);
    char answer[300];
    CHECK_EQ(recv(silent, answer, sizeof answer, 0), 63 + 13);
    CHECK_EQ(memcmp(answer + 63, "\0\0\0\11#FAILURE#", 13), 0);
    close(silent);
    expect_visit(listener);
    carom_listener_free(listener);
}

static int32_t returns_7(carom_call *call) {
    (void)call;
    return 7;
}
static int32_t waits(carom_call *call) {
    for (;;) (void)call, pause();
    return 0;
}

static void waiting_for_all_of_it(void) {
    carom_link_options options = with_key("secret");
    carom_pool_options pool_options = {.size = sizeof pool_options, .workers = 1, .events = CAROM_POOL_DONE};
    carom_listener *listener = listen_at(NULL, &options), *plain = listen_at(NULL, NULL);
    carom_process *process = NULL;
    carom_pool *pool = NULL;
    int fds[2], pipe_fds[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_EQ(pipe2(pipe_fds, O_CLOEXEC), 0);
    carom_connection *connection = NULL, *none = NULL;
    CHECK_OK(carom_connection_open(fds[0], &connection));
    CHECK_OK(carom_process_start(waits, NULL, 0, NULL, &process));
    CHECK_OK(carom_pool_new(&pool_options, &pool));
    enum { CONNECTION, PROCESS, POOL, LISTENER, PLAIN, FD, ALL };
    carom_waitable items[ALL] = {{.handle = connection}, {.handle = process}, {.handle = pool}, {.handle = listener},
                                 {.handle = plain}, {.fd = pipe_fds[0]}};
    for (int i = 0; i < ALL; i++) items[i].ready = 77;
    CHECK_EQ(carom_wait(items, ALL, 0), CAROM_ETIMEDOUT);
    CHECK_EQ(carom_wait(items, ALL, 30), CAROM_ETIMEDOUT);
    for (int i = 0; i < ALL; i++) CHECK_EQ(items[i].ready, 77);
#define ONLY(which)                                                                                                    \
    do {                                                                                                               \
        CHECK_EQ(carom_wait(items, ALL, PATIENCE_MS), 1);                                                              \
        for (int i_ = 0; i_ < ALL; i_++) CHECK_EQ(items[i_].ready, i_ == (which));                                     \
        CHECK_EQ(carom_wait(items, ALL, 0), 1);                                                                        \
    } while (0)
    CHECK_EQ(send(fds[1], "\0\0", 2, 0), 2); /* not a message yet */
    CHECK_EQ(carom_wait(items, ALL, 0), CAROM_ETIMEDOUT);
    CHECK_EQ(send(fds[1], "\0\1x\0\0\0\1y", 8, 0), 8);
    char text[4];
    for (int i = 0; i < 2; i++) { /* the second one has been received ahead */
        ONLY(CONNECTION);
        CHECK_OK(carom_connection_recv(connection, text, sizeof text, NULL, 0));
    }
    CHECK_EQ(write(pipe_fds[1], "x", 1), 1);
    ONLY(FD);
    CHECK_EQ(read(pipe_fds[0], text, 1), 1);
    int silent = bare_client(listener); /* nobody to accept yet */
    CHECK_EQ(carom_wait(items, ALL, 0), CAROM_ETIMEDOUT);
    struct guest guest = {carom_listener_address(listener), "secret", 1};
    pthread_t thread;
    pthread_create(&thread, NULL, visit, &guest);
    ONLY(LISTENER);
    carom_connection *server = accepted(listener);
    CHECK_OK(carom_connection_recv(server, text, 0, NULL, PATIENCE_MS) == CAROM_EMSGSIZE ? CAROM_OK : CAROM_EINVAL);
    carom_connection_free(server);
    pthread_join(thread, NULL);
    close(silent);
    carom_connection *client = client_of(plain, NULL);
    ONLY(PLAIN);
    carom_connection_free(accepted(plain));
    carom_connection_free(client);
    carom_result *result = NULL;
    CHECK_OK(carom_pool_apply_async(pool, returns_7, NULL, 0, NULL, &result));
    ONLY(POOL);
    carom_pool_event event = {.size = sizeof event};
    CHECK_OK(carom_pool_next_event(pool, &event, 0));
    CHECK_OK(carom_process_kill(process));
    ONLY(PROCESS);
    items[FD].fd = 999;
    CHECK_EQ(carom_wait(items, ALL, 0), -EBADF);
    items[FD].fd = -1;
    CHECK_EQ(carom_wait(items, ALL, 0), -EBADF);
    items[FD].fd = pipe_fds[0];
    close(pipe_fds[1]); /* hung up is ready */
    CHECK_EQ(carom_wait(items, ALL, CAROM_FOREVER), 2);
    CHECK_EQ(items[FD].ready, 1);
    close(fds[1]);
    CHECK_EQ(carom_wait(items, ALL, CAROM_FOREVER), 3);
    CHECK_EQ(ended(process), -SIGKILL);
    CHECK_EQ(carom_wait(items, ALL, 0), CAROM_EBADHANDLE);
    CHECK_EQ(carom_wait(NULL, 0, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_listener_accept(listener, &none, 0), CAROM_ETIMEDOUT);
    carom_result_free(result);
    carom_pool_free(pool);
    carom_connection_free(connection);
    carom_listener_free(listener);
    carom_listener_free(plain);
    close(pipe_fds[0]);
}

/* A loop by epoll over whatever has a descriptor: it calls with time-out 0 until there is nothing, then waits for that one. */
enum { SOCKET, PIPE, QUEUE, LISTENER, ALL, ROUNDS = 20 };
static int feeding_fd;
static int32_t feeds(carom_call *call) {
    carom_connection *pipe = NULL, *client = NULL;
    carom_queue *queue = NULL;
    carom_argument address = {0};
    CHECK_OK(carom_call_connection(call, 0, &pipe));
    CHECK_OK(carom_call_queue(call, 1, &queue));
    CHECK_OK(carom_call_argument(call, 2, &address));
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_OK(carom_connection_send(pipe, "x", 1, PATIENCE_MS));
        CHECK_OK(carom_queue_put(queue, "x", 1, PATIENCE_MS));
        CHECK_EQ(send(feeding_fd, "\0\0\0\1x", 5, MSG_NOSIGNAL), 5);
        CHECK_OK(carom_client_open(address.data, NULL, &client, PATIENCE_MS));
        carom_connection_free(client);
        if (i % 3 == 0) usleep(500);
    }
    return 0;
}
static void an_event_loop(void) {
    int fds[2], got[ALL] = {0}, all = epoll_create1(EPOLL_CLOEXEC);
    carom_connection *socket = NULL, *near = NULL, *far = NULL, *guest = NULL;
    carom_queue *queue = NULL;
    carom_process *process = NULL;
    carom_listener *listener = listen_at(NULL, NULL);
    const char *address = carom_listener_address(listener);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_OK(carom_connection_open(fds[0], &socket));
    feeding_fd = fds[1];
    CHECK_OK(carom_pipe_new(NULL, &near, &far));
    CHECK_OK(carom_queue_new(NULL, &queue));
    const int each[ALL] = {carom_connection_fd(socket), carom_connection_fd(near), carom_queue_fd(queue), carom_listener_fd(listener)};
    uint32_t ready = (1 << ALL) - 1; /* each is asked first */
    for (int i = 0; i < ALL; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        CHECK_EQ(epoll_ctl(all, EPOLL_CTL_ADD, each[i], &event), 0);
    }
    carom_argument arguments[] = {CAROM_HANDLE(far), CAROM_HANDLE(queue), CAROM_BYTES(address, strlen(address) + 1)};
    CHECK_OK(carom_process_start(feeds, arguments, 3, NULL, &process));
    while (got[SOCKET] + got[PIPE] + got[QUEUE] + got[LISTENER] < ALL * ROUNDS) {
        for (int i = 0; i < ALL; i++) {
            char text[4];
            carom_status status = CAROM_OK;
            for (; (ready >> i & 1) && status == CAROM_OK; got[i] += status == CAROM_OK) {
                if (i == LISTENER) status = carom_listener_accept(listener, &guest, 0);
                else if (i == QUEUE) status = carom_queue_get(queue, text, sizeof text, NULL, 0);
                else status = carom_connection_recv(i == PIPE ? near : socket, text, sizeof text, NULL, 0);
                if (i == LISTENER) carom_connection_free(guest);
            }
            if (status != CAROM_OK) CHECK_STATUS(status, CAROM_ETIMEDOUT);
        }
        struct epoll_event events[ALL];
        int count = 0;
        if (got[SOCKET] + got[PIPE] + got[QUEUE] + got[LISTENER] == ALL * ROUNDS) break;
        CHECK((count = epoll_wait(all, events, ALL, PATIENCE_MS)) > 0 || errno == EINTR);
        ready = 0;
        for (int i = 0; i < count; i++) ready |= 1u << events[i].data.u32;
    }
    for (int i = 0; i < ALL; i++) CHECK_EQ(got[i], ROUNDS);
    CHECK_EQ(ended(process), 0);
    carom_connection_free(socket), carom_connection_free(near), carom_connection_free(far);
    carom_queue_free(queue);
    carom_listener_free(listener);
    close(fds[1]), close(all);
}

int main(void) {
    CASE(addresses);
    CASE(paths);
    CASE(keys);
    CASE(silent_guests);
    CASE(garbage);
    CASE(false_listeners);
    CASE(no_reflection);
    CASE(time_outs);
    CASE(a_free_wakes_who_accepts);
    CASE(forks);
    CASE(waiting_for_all_of_it);
    CASE(an_event_loop);
    return 0;
}
