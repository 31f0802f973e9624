/* Connections over sockets: messages whole or not at all, whatever the other end does. */
#include "support.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

typedef carom_connection connection;

static connection *open_end(int fd) {
    connection *it = NULL;
    CHECK_OK(carom_connection_open(fd, &it));
    return it;
}

/* Two ends of ours. */
static void make_pair(connection **left, connection **right) {
    int fds[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    *left = open_end(fds[0]);
    *right = open_end(fds[1]);
}

/* An end of ours, and a bare socket at the other. */
static connection *make_bare(int *peer) {
    int fds[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    *peer = fds[1];
    return open_end(fds[0]);
}

static void fill(unsigned char *data, size_t len, unsigned seed) {
    for (size_t i = 0; i < len; i++) data[i] = (unsigned char)(seed + i * 31 + (i >> 8));
}

static void check_filled(const unsigned char *data, size_t len, unsigned seed) {
    for (size_t i = 0; i < len; i++)
        if (data[i] != (unsigned char)(seed + i * 31 + (i >> 8))) CHECK_EQ(i, -1);
}

static void feed(int peer, const void *data, size_t len) { CHECK_EQ(send(peer, data, len, MSG_NOSIGNAL), len); }

static const size_t sizes[] = {0, 1, 4, 100, 4096, 16384, 32 * 1024 - 4, 32 * 1024 - 3, 32 * 1024, 100000, 1 << 20, 5 << 20};
#define SIZES (sizeof sizes / sizeof *sizes)
static unsigned char room[(5 << 20) + 1], other_room[(5 << 20) + 1];

static void *send_all(void *end) {
    for (size_t i = 0; i < SIZES; i++) {
        fill(room, sizes[i], (unsigned)i);
        CHECK_OK(carom_connection_send(end, room, sizes[i], CAROM_FOREVER));
    }
    return NULL;
}

static void messages_of_every_size(void) {
    connection *left, *right;
    make_pair(&left, &right);
    for (int round = 0; round < 2; round++) {
        pthread_t thread;
        pthread_create(&thread, NULL, send_all, left);
        for (size_t i = 0; i < SIZES; i++) {
            size_t len = 99;
            /* The second time with a time-out that is always over: bit by bit. */
            carom_status status;
            do status = carom_connection_recv(right, other_room, sizeof other_room, &len, round ? 0 : PATIENCE_MS);
            while (round && status == CAROM_ETIMEDOUT);
            CHECK_OK(status);
            CHECK_EQ(len, sizes[i]);
            check_filled(other_room, len, (unsigned)i);
        }
        pthread_join(thread, NULL);
    }
    carom_connection_free(left);
    CHECK_STATUS(carom_connection_recv(right, room, 1, NULL, PATIENCE_MS), CAROM_ECLOSED);
    carom_connection_free(right);
}

static void too_long_stays(void) {
    connection *left, *right;
    make_pair(&left, &right);
    for (size_t i = 1; i < SIZES; i++) {
        if (sizes[i] > 150000) break; /* what the kernel holds */
        size_t len = 0;
        fill(room, sizes[i], 7);
        CHECK_OK(carom_connection_send(left, room, sizes[i], 0));
        CHECK_STATUS(carom_connection_recv(right, other_room, sizes[i] - 1, &len, 0), CAROM_EMSGSIZE);
        CHECK_EQ(len, sizes[i]);
        CHECK_STATUS(carom_connection_recv(right, NULL, 0, NULL, 0), CAROM_EMSGSIZE);
        CHECK_EQ(carom_connection_poll(right, 0), 1);
        CHECK_OK(carom_connection_recv(right, other_room, sizes[i], &len, 0));
        check_filled(other_room, len, 7);
        CHECK_EQ(carom_connection_poll(right, 0), 0);
    }
    /* The beginning of a long one has been taken already. */
    int peer;
    connection *end = make_bare(&peer);
    const size_t long_one = 100000;
    size_t len = 0;
    uint32_t header = htonl((uint32_t)long_one);
    fill(room, long_one, 3);
    feed(peer, &header, 4);
    feed(peer, room, 40000);
    CHECK_STATUS(carom_connection_recv(end, other_room, long_one, &len, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_connection_recv(end, other_room, 50, &len, 0), CAROM_EMSGSIZE);
    CHECK_EQ(len, long_one);
    feed(peer, room + 40000, long_one - 40000);
    CHECK_OK(carom_connection_recv(end, other_room, long_one, &len, 0));
    check_filled(other_room, len, 3);
    close(peer);
    carom_connection_free(end);
    carom_connection_free(left);
    carom_connection_free(right);
}

/* Frames in pieces of every size, several at once, with the length in 4 and in 12 bytes. */
static void frames_in_pieces(void) {
    for (size_t piece = 1; piece < 70000; piece = piece * 3 + 1) {
        int peer;
        connection *end = make_bare(&peer);
        static unsigned char stream[200000];
        const uint32_t lens[] = {0, 5, 1000, 0, 40000, 1, 90000, 3};
        size_t at = 0, count = sizeof lens / sizeof *lens, done = 0;
        for (size_t i = 0; i < count; i++) {
            uint32_t header[3] = {UINT32_MAX, 0, htonl(lens[i])};
            size_t header_len = i % 2 ? 12 : 4;
            memcpy(stream + at, i % 2 ? header : header + 2, header_len);
            fill(stream + at + header_len, lens[i], (unsigned)i);
            at += header_len + lens[i];
        }
        for (size_t sent = 0; sent < at; sent += piece) {
            feed(peer, stream + sent, piece < at - sent ? piece : at - sent);
            size_t len = 0;
            carom_status status;
            while ((status = carom_connection_recv(end, room, sizeof room, &len, 0)) == CAROM_OK) {
                CHECK_EQ(len, lens[done]);
                check_filled(room, len, (unsigned)done++);
            }
            CHECK_STATUS(status, CAROM_ETIMEDOUT);
        }
        CHECK_EQ(done, count);
        close(peer);
        CHECK_STATUS(carom_connection_recv(end, room, 1, NULL, 0), CAROM_ECLOSED);
        carom_connection_free(end);
    }
}

static void a_send_that_has_no_room(void) {
    int peer;
    connection *end = make_bare(&peer);
    const size_t size = 4 << 20;
    fill(room, size, 9);
    CHECK_OK(carom_connection_flush(end, 0));
    CHECK_OK(carom_connection_send(end, room, size, 0)); /* begun */
    CHECK_STATUS(carom_connection_flush(end, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_connection_send(end, "x", 1, 0), CAROM_ETIMEDOUT); /* not begun */
    CHECK_STATUS(carom_connection_send(end, "x", 1, 20), CAROM_ETIMEDOUT);
    memset(room, 0, size); /* it was copied */
    size_t got = 0;
    carom_status flushed = CAROM_ETIMEDOUT;
    while (got < size + 4 + 5) {
        ssize_t len = recv(peer, other_room + got, 100000, MSG_DONTWAIT);
        if (len > 0) got += (size_t)len;
        if (flushed != CAROM_OK) flushed = carom_connection_send(end, "y", 1, 0); /* behind the rest */
    }
    CHECK_EQ(ntohl(*(uint32_t *)(void *)other_room), size);
    check_filled(other_room + 4, size, 9);
    CHECK_EQ(memcmp(other_room + 4 + size, "\0\0\0\1y", 5), 0);
    /* Full to the brim: nothing of the next is begun. */
    fill(room, 1000, 1);
    size_t sent = 0;
    while (carom_connection_send(end, room, 1000, 0) == CAROM_OK) sent++;
    CHECK(sent > 10);
    close(peer);
    CHECK_STATUS(carom_connection_send(end, "x", 1, CAROM_FOREVER), CAROM_ECLOSED); /* and no SIGPIPE */
    carom_connection_free(end);
}

/* What is left goes out while its sender waits for something else. */
static void a_rest_goes_with_other_calls(void) {
    for (int how = 0; how < 3; how++) {
        connection *left, *right;
        make_pair(&left, &right);
        const size_t size = 3 << 20;
        fill(room, size, 2);
        CHECK_OK(carom_connection_send(left, room, size, 0));
        pid_t pid = fork();
        if (pid == 0) {
            size_t len = 0;
            carom_connection_free(left);
            CHECK_OK(carom_connection_recv(right, other_room, size, &len, PATIENCE_MS));
            check_filled(other_room, size, 2);
            CHECK_OK(carom_connection_send(right, "thanks", 6, 0));
            _exit(0);
        }
        carom_connection_free(right);
        char answer[6];
        carom_waitable item = {.handle = left};
        if (how == 1) CHECK_EQ(carom_connection_poll(left, PATIENCE_MS), 1);
        if (how == 2) CHECK_EQ(carom_wait(&item, 1, PATIENCE_MS), 1);
        CHECK_OK(carom_connection_recv(left, answer, 6, NULL, CAROM_FOREVER));
        CHECK_EQ(wait_for(pid), 0);
        carom_connection_free(left);
    }
}

enum { WRITERS = 4, EACH = 300 };
static connection *shared_end;
static void *write_many(void *number) {
    static _Thread_local unsigned char data[60000];
    unsigned who = (unsigned)(uintptr_t)number;
    for (unsigned i = 0; i < EACH; i++) {
        size_t len = 8 + (i * 7919 + who) % 50000;
        memcpy(data, &who, 4);
        memcpy(data + 4, &i, 4);
        fill(data + 8, len - 8, who + i);
        CHECK_OK(carom_connection_send(shared_end, data, len, i % 3 ? CAROM_FOREVER : PATIENCE_MS));
    }
    return NULL;
}

static _Atomic unsigned received;
static void *read_many(void *end) {
    static _Thread_local unsigned char data[60000];
    size_t len;
    while (carom_connection_recv(end, data, sizeof data, &len, CAROM_FOREVER) == CAROM_OK) {
        unsigned who, i;
        memcpy(&who, data, 4);
        memcpy(&i, data + 4, 4);
        CHECK_EQ(len, 8 + (i * 7919 + who) % 50000);
        check_filled(data + 8, len - 8, who + i);
        received++;
    }
    return NULL;
}

static void threads_do_not_mix(void) {
    connection *right;
    make_pair(&shared_end, &right);
    pthread_t writers[WRITERS], readers[2];
    for (uintptr_t i = 0; i < WRITERS; i++) pthread_create(&writers[i], NULL, write_many, (void *)i);
    for (int i = 0; i < 2; i++) pthread_create(&readers[i], NULL, read_many, right);
    for (int i = 0; i < WRITERS; i++) pthread_join(writers[i], NULL);
    carom_connection_free(shared_end);
    for (int i = 0; i < 2; i++) pthread_join(readers[i], NULL);
    CHECK_EQ(received, WRITERS * EACH);
    carom_connection_free(right);
}

static void ends(void) {
    int peer;
    connection *end = make_bare(&peer);
    feed(peer, "\0\0\0\2ab\0\0\0\1", 10); /* one, and the beginning of the next */
    close(peer);
    CHECK_OK(carom_connection_recv(end, room, 2, NULL, 0));
    CHECK_EQ(carom_connection_poll(end, 0), 1);
    for (int i = 0; i < 2; i++) CHECK_STATUS(carom_connection_recv(end, room, 2, NULL, CAROM_FOREVER), CAROM_EBROKEN);
    CHECK_STATUS(carom_connection_send(end, room, 2, 0), CAROM_ECLOSED);
    carom_connection_free(end);

    end = make_bare(&peer); /* torn in a long one, of which a part was taken */
    feed(peer, "\0\1\0\0", 4);
    feed(peer, room, 40000);
    CHECK_STATUS(carom_connection_recv(end, room, 65536, NULL, 0), CAROM_ETIMEDOUT);
    feed(peer, room, 10);
    close(peer);
    for (int i = 0; i < 3; i++) CHECK_STATUS(carom_connection_recv(end, room, 65536, NULL, 0), CAROM_EBROKEN);
    carom_connection_free(end);

    end = make_bare(&peer); /* all of ours unread */
    CHECK_OK(carom_connection_send(end, "x", 1, 0));
    feed(peer, "\0\0\0\1y", 5);
    close(peer);
    CHECK_OK(carom_connection_recv(end, room, 1, NULL, 0));
    CHECK_STATUS(carom_connection_recv(end, room, 1, NULL, CAROM_FOREVER), CAROM_ECLOSED);
    carom_connection_free(end);
}

static void impossible_lengths(void) {
    const struct {
        const char *bytes;
        size_t len;
        carom_status status;
        uint64_t needed;
    } frames[] = {
        {"\xff\xff\xff\xfe", 4, CAROM_EBROKEN, 0},
        {"\x80\0\0\0", 4, CAROM_EBROKEN, 0},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, CAROM_EBROKEN, 0},
        {"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0", 12, CAROM_EBROKEN, 0},
        {"\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 12, CAROM_EMSGSIZE, INT64_MAX},
        {"\xff\xff\xff\xff\0\0\1\0\0\0\0\0", 12, CAROM_EMSGSIZE, (uint64_t)1 << 40},
        {"\x7f\xff\xff\xff", 4, CAROM_EMSGSIZE, INT32_MAX},
    };
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        int peer;
        connection *end = make_bare(&peer);
        feed(peer, frames[i].bytes, frames[i].len);
        feed(peer, "abcd", 4);
        size_t len = 0;
        CHECK_EQ(carom_connection_poll(end, 0), 1);
        for (int again = 0; again < 2; again++)
            CHECK_STATUS(carom_connection_recv(end, room, 4096, &len, 0), frames[i].status);
        CHECK_EQ(len, frames[i].needed);
        if (frames[i].status == CAROM_EBROKEN) { /* the peer is cut off */
            readable(peer);
            CHECK_EQ(recv(peer, room, 1, 0), 0);
        }
        close(peer);
        carom_connection_free(end);
    }
}

static void send_bare(int peer, const void *data, size_t len, const int *fds, size_t count) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(16 * sizeof(int))];
    } control;
    struct iovec part = {(void *)(uintptr_t)data, len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    CHECK_EQ(sendmsg(peer, &message, 0), len);
}

static void descriptors(void) {
    connection *left, *right;
    make_pair(&left, &right);
    int pipe_fds[2], got = -5;
    CHECK_EQ(pipe2(pipe_fds, O_CLOEXEC), 0);
    CHECK_OK(carom_connection_send(left, "before", 6, 0));
    CHECK_OK(carom_connection_send_fd(left, pipe_fds[1], 0));
    CHECK_OK(carom_connection_send_fd(left, pipe_fds[0], 0));
    CHECK_OK(carom_connection_send(left, "after", 5, 0));
    CHECK_STATUS(carom_connection_recv_fd(right, &got, 0), CAROM_EPERM);
    CHECK_EQ(got, -5);
    CHECK_OK(carom_connection_recv(right, room, 10, NULL, 0));
    CHECK_EQ(carom_connection_poll(right, 0), 1);
    CHECK_STATUS(carom_connection_recv(right, room, 10, NULL, 0), CAROM_EPERM);
    CHECK_OK(carom_connection_recv_fd(right, &got, 0));
    CHECK(got > 2 && got != pipe_fds[1]);
    CHECK_EQ(fcntl(got, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(write(got, "z", 1), 1);
    CHECK_EQ(read(pipe_fds[0], room, 1), 1);
    close(got);
    CHECK_OK(carom_connection_recv_fd(right, &got, 0));
    close(got);
    CHECK_OK(carom_connection_recv(right, room, 10, NULL, 0));
    CHECK_EQ(memcmp(room, "after", 5), 0);
    CHECK_STATUS(carom_connection_recv_fd(right, &got, 0), CAROM_ETIMEDOUT);
    /* No room for it here: it is lost, and nothing else. */
    struct rlimit limit, none = {.rlim_cur = 0, .rlim_max = 0};
    getrlimit(RLIMIT_NOFILE, &limit);
    none.rlim_max = limit.rlim_max;
    CHECK_OK(carom_connection_send_fd(left, pipe_fds[1], 0));
    CHECK_OK(carom_connection_send(left, "x", 1, 0));
    setrlimit(RLIMIT_NOFILE, &none);
    CHECK_STATUS(carom_connection_recv_fd(right, &got, 0), -EMFILE);
    setrlimit(RLIMIT_NOFILE, &limit);
    CHECK_OK(carom_connection_recv(right, room, 1, NULL, 0));
    /* What nobody receives is closed with the connection. */
    CHECK_OK(carom_connection_send_fd(left, pipe_fds[1], 0));
    CHECK_EQ(carom_connection_poll(right, 0), 1);
    carom_connection_free(right);
    carom_connection_free(left);
    close(pipe_fds[1]);
    CHECK_EQ(read(pipe_fds[0], room, 1), 0);
    /* In the middle of a message, or several at once, is nothing that we understand. */
    int fds[16];
    for (int i = 0; i < 16; i++) fds[i] = pipe_fds[0];
    for (int how = 0; how < 6; how++) {
        int peer, before = fd_count();
        connection *end = make_bare(&peer);
        if (how == 0) send_bare(peer, "\0\0\0\1y", 5, fds, 1);
        if (how == 1) feed(peer, "\0\0", 2), send_bare(peer, "\0", 1, fds, 1);
        if (how == 2) feed(peer, "\0\0\0\5ab", 6), send_bare(peer, "c", 1, fds, 1);
        if (how == 3) feed(peer, "\0\2\0\0", 4), feed(peer, room, 50000), send_bare(peer, "c", 1, fds, 1);
        if (how == 4) send_bare(peer, "\1", 1, fds, 2);
        if (how == 5) send_bare(peer, "\1", 1, fds, 16);
        carom_status status = carom_connection_recv(end, room, sizeof room, NULL, 0);
        if (status != CAROM_EBROKEN) status = carom_connection_recv_fd(end, &got, 0);
        CHECK_STATUS(status, CAROM_EBROKEN);
        CHECK_STATUS(carom_connection_recv(end, room, sizeof room, NULL, 0), CAROM_EBROKEN);
        carom_connection_free(end);
        close(peer);
        CHECK_EQ(fd_count(), before);
    }
    close(pipe_fds[0]);
}

static void polls(void) {
    int peer;
    connection *end = make_bare(&peer);
    int fd = carom_connection_fd(end);
    CHECK_EQ(carom_connection_poll(end, 0), 0);
    CHECK_EQ(carom_connection_poll(end, 20), 0);
    feed(peer, "\0\0", 2);
    CHECK(is_readable(fd));
    CHECK_EQ(carom_connection_poll(end, 0), 0);
    CHECK(!is_readable(fd));
    feed(peer, "\0\1a\0\0\0\1b", 8);
    CHECK(is_readable(fd));
    CHECK_EQ(carom_connection_poll(end, CAROM_FOREVER), 1);
    CHECK_OK(carom_connection_recv(end, room, 1, NULL, 0));
    CHECK_EQ(carom_connection_poll(end, 0), 1);
    CHECK_OK(carom_connection_recv(end, room, 1, NULL, 0));
    CHECK_EQ(room[0], 'b');
    CHECK_STATUS(carom_connection_recv(end, room, 1, NULL, 20), CAROM_ETIMEDOUT);
    close(peer);
    CHECK(is_readable(fd));
    CHECK_EQ(carom_connection_poll(end, 0), 1);
    CHECK_EQ(carom_connection_closed(end), 0);
    CHECK_OK(carom_connection_close(end));
    CHECK_OK(carom_connection_close(end));
    CHECK_EQ(carom_connection_closed(end), 1);
    CHECK_EQ(fcntl(fd, F_GETFD), -1);
    CHECK_STATUS(carom_connection_poll(end, 0), CAROM_ECLOSED);
    CHECK_STATUS(carom_connection_fd(end), CAROM_ECLOSED);
    CHECK_STATUS(carom_connection_recv(end, room, 1, NULL, 0), CAROM_ECLOSED);
    CHECK_STATUS(carom_connection_send(end, room, 1, 0), CAROM_ECLOSED);
    CHECK_STATUS(carom_connection_flush(end, 0), CAROM_ECLOSED);
    carom_connection_free(end);
}

static pid_t thread_ids[2];
static void *receive_one(void *end) {
    atomic_store((_Atomic pid_t *)&thread_ids[0], (pid_t)syscall(SYS_gettid));
    carom_status status = carom_connection_recv(end, room, 1, NULL, CAROM_FOREVER);
    CHECK(status == CAROM_ECLOSED || status == CAROM_EBADHANDLE);
    return NULL;
}
static void *send_one(void *end) {
    atomic_store((_Atomic pid_t *)&thread_ids[1], (pid_t)syscall(SYS_gettid));
    carom_status status = carom_connection_send(end, other_room, sizeof other_room, CAROM_FOREVER);
    CHECK(status == CAROM_ECLOSED || status == CAROM_EBADHANDLE);
    return NULL;
}

static void a_close_wakes_other_threads(void) {
    for (int by_free = 0; by_free < 2; by_free++) {
        int peer;
        connection *end = make_bare(&peer);
        pthread_t threads[2];
        thread_ids[0] = thread_ids[1] = 0;
        pthread_create(&threads[0], NULL, receive_one, end);
        pthread_create(&threads[1], NULL, send_one, end);
        while (!atomic_load((_Atomic pid_t *)&thread_ids[0]) || !atomic_load((_Atomic pid_t *)&thread_ids[1])) sched_yield();
        asleep_in(getpid(), thread_ids[0], SYS_recvmsg);
        asleep_in(getpid(), thread_ids[1], SYS_sendmsg);
        if (by_free) carom_connection_free(end);
        else CHECK_OK(carom_connection_close(end));
        for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
        if (!by_free) carom_connection_free(end);
        close(peer);
    }
}

/* A child has a copy; the parent's end is over when both have freed theirs. */
static void forks(void) {
    connection *left, *right;
    make_pair(&left, &right);
    pid_t pid = fork();
    if (pid == 0) {
        carom_connection_free(left);
        CHECK_OK(carom_connection_send(right, "child", 5, 0));
        CHECK_OK(carom_connection_recv(right, room, 10, NULL, CAROM_FOREVER));
        carom_connection_free(right);
        _exit(0);
    }
    carom_connection_free(right);
    CHECK_OK(carom_connection_recv(left, room, 10, NULL, PATIENCE_MS));
    CHECK_STATUS(carom_connection_recv(left, room, 10, NULL, 0), CAROM_ETIMEDOUT);
    CHECK_OK(carom_connection_send(left, "go", 2, 0));
    CHECK_STATUS(carom_connection_recv(left, room, 10, NULL, PATIENCE_MS), CAROM_ECLOSED);
    CHECK_EQ(wait_for(pid), 0);
    carom_connection_free(left);

    /* While another thread is at it: the copy is of no use, and its end none of the parent's. */
    int peer;
    connection *end = make_bare(&peer);
    pthread_t thread;
    thread_ids[0] = 0;
    pthread_create(&thread, NULL, receive_one, end);
    while (!atomic_load((_Atomic pid_t *)&thread_ids[0])) sched_yield();
    asleep_in(getpid(), thread_ids[0], SYS_recvmsg);
    if ((pid = fork()) == 0) {
        CHECK_STATUS(carom_connection_recv(end, room, 1, NULL, CAROM_FOREVER), CAROM_EBROKEN);
        CHECK_OK(carom_connection_send(end, "x", 1, 0));
        carom_connection_free(end);
        _exit(0);
    }
    CHECK_EQ(wait_for(pid), 0);
    asleep_in(getpid(), thread_ids[0], SYS_recvmsg);
    carom_connection_free(end);
    pthread_join(thread, NULL);
    close(peer);
}

static void killed_senders(void) {
    for (int i = 0; i < 60; i++) {
        connection *left, *right;
        make_pair(&left, &right);
        pid_t pid = fork();
        if (pid == 0) {
            carom_connection_free(left);
            for (unsigned n = 0;; n++) {
                size_t len = 4 + (n * 7919) % 200000;
                memcpy(room, &n, 4);
                fill(room + 4, len - 4, n);
                carom_connection_send(right, room, len, CAROM_FOREVER);
            }
        }
        carom_connection_free(right);
        carom_status status;
        size_t len;
        unsigned n = 0;
        while ((status = carom_connection_recv(left, other_room, sizeof other_room, &len, PATIENCE_MS)) == CAROM_OK) {
            CHECK_EQ(memcmp(other_room, &n, 4), 0);
            CHECK_EQ(len, 4 + (n * 7919) % 200000);
            check_filled(other_room + 4, len - 4, n);
            if (n++ == (unsigned)i / 2) kill(pid, SIGKILL);
        }
        CHECK(status == CAROM_ECLOSED || status == CAROM_EBROKEN);
        CHECK(n > (unsigned)i / 2);
        CHECK_EQ(wait_for(pid), -SIGKILL);
        carom_connection_free(left);
    }
}

/* Random bytes, some of them like frames: every call is a status, the memory is bounded, and then it is over. */
static void fuzz(void) {
    unsigned seed = 12345;
#define RANDOM() (seed = seed * 1103515245 + 12345, seed >> 16)
    for (int round = 0; round < 3000; round++) {
        int peer, fd = STDERR_FILENO, got;
        connection *end = make_bare(&peer);
        int parts = 1 + RANDOM() % 6;
        for (int part = 0; part < parts; part++) {
            unsigned char bytes[600];
            size_t len = 1 + RANDOM() % sizeof bytes;
            for (size_t i = 0; i < len; i++) bytes[i] = (unsigned char)RANDOM();
            if (RANDOM() % 2) memset(bytes, RANDOM() % 3 ? 0 : 0xff, len < 3 ? len : 3);
            if (RANDOM() % 8 == 0) memset(bytes, 0, len < 8 ? len : 8);
            if (RANDOM() % 5) (void)!send(peer, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
            else if (recv(peer, &got, 1, MSG_PEEK | MSG_DONTWAIT) != 0) send_bare(peer, bytes, RANDOM() % 2 ? 1 : len, &fd, 1);
            if (RANDOM() % 2) {
                size_t needed = 0;
                carom_status status = carom_connection_recv(end, room, RANDOM() % 2 ? 500 : 5000, &needed, 0);
                CHECK(status == CAROM_OK || status == CAROM_ETIMEDOUT || status == CAROM_EMSGSIZE || status == CAROM_EBROKEN ||
                      status == CAROM_EPERM);
            }
            if (RANDOM() % 4 == 0 && carom_connection_recv_fd(end, &got, 0) == CAROM_OK) close(got);
            if (RANDOM() % 4 == 0) CHECK(carom_connection_poll(end, 0) >= 0);
        }
        close(peer);
        for (int i = 0; i < 4000; i++) {
            carom_status status = carom_connection_recv(end, room, 5000, NULL, 0);
            if (status == CAROM_EPERM && carom_connection_recv_fd(end, &got, 0) == CAROM_OK) close(got);
            if (status == CAROM_ECLOSED || status == CAROM_EBROKEN || status == CAROM_EMSGSIZE) break;
            CHECK(status == CAROM_OK || status == CAROM_EPERM);
        }
        carom_connection_free(end);
    }
}

int main(void) {
    CASE(messages_of_every_size);
    CASE(too_long_stays);
    CASE(frames_in_pieces);
    CASE(a_send_that_has_no_room);
    CASE(a_rest_goes_with_other_calls);
    CASE(threads_do_not_mix);
    CASE(ends);
    CASE(impossible_lengths);
    CASE(descriptors);
    CASE(polls);
    CASE(a_close_wakes_other_threads);
    CASE(forks);
    CASE(killed_senders);
    CASE(fuzz);
    return 0;
}
