/*
 * Sockets whose other end sends whatever it likes: frames whole and in pieces, with bytes changed, left out and put in, and with
 * descriptors; garbage in place of a handshake. Whole frames must arrive as they were sent; all else is a status, costs no memory for
 * what has not come, and nobody else notices.
 *
 *     torture_frames [SECONDS [SEED]]      (4 seconds; the seed is printed)
 */
#include "chance.h"
#include "support.h"

#include <sys/socket.h>
#include <sys/un.h>

enum { LONGEST = 200000, STREAM = 600000, HONEST = 8 };

static uint32_t dice(uint32_t sides) { return (uint32_t)below(sides); }

static unsigned char stream[STREAM], room[LONGEST];
static struct {
    size_t at, len;
} messages[HONEST];
static uint64_t frames, broken, handshakes;

static uint32_t length(void) {
    static const uint32_t borders[] = {0, 1, 16384, 32 * 1024 - 4, 32 * 1024 - 3, 32 * 1024, LONGEST};
    switch (dice(4)) {
        case 0: return borders[dice(sizeof borders / sizeof *borders)];
        case 1: return dice(LONGEST);
        default: return dice(600);
    }
}

/* Some frames behind each other; how many, and `*len` bytes. */
static int make_stream(size_t *len) {
    int count = 1 + (int)dice(HONEST);
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        uint32_t size = length();
        if (at + 12 + size > STREAM) return *len = at, i;
        unsigned char header[12] = {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, (unsigned char)(size >> 24), (unsigned char)(size >> 16), (unsigned char)(size >> 8), (unsigned char)size};
        int is_short = dice(4) != 0;
        memcpy(stream + at, header + (is_short ? 8 : 0), is_short ? 4 : 12);
        at += is_short ? 4 : 12;
        messages[i].at = at, messages[i].len = size;
        for (uint32_t b = 0; b < size; b++) stream[at + b] = (unsigned char)(b * 31 + size);
        at += size;
    }
    *len = at;
    return count;
}

static void spoil(size_t *len) {
    for (int times = 1 + (int)dice(3); times > 0 && *len > 0; times--) {
        size_t at = dice(4) ? dice((uint32_t)(*len < 40 ? *len : 40)) : dice((uint32_t)*len);
        size_t some = 1 + dice(8);
        if (some > *len - at) some = *len - at;
        switch (dice(4)) {
            case 0: stream[at] ^= (unsigned char)(1 << dice(8)); break;
            case 1: memset(stream + at, dice(2) ? 0xff : 0, some); break;
            case 2: memmove(stream + at, stream + at + some, *len - at - some), *len -= some; break;
            default: *len = at + some;
        }
    }
}

/* Sends a piece, perhaps with a descriptor; how much the kernel took. */
static size_t send_piece(int fd, const unsigned char *data, size_t len, int with_descriptor) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    int fds[2] = {STDIN_FILENO, STDIN_FILENO}, count = 1 + (int)dice(8) / 7;
    struct iovec part = {(void *)(uintptr_t)data, len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (with_descriptor) {
        message.msg_control = &control, message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET, header->cmsg_type = SCM_RIGHTS, header->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, (size_t)count * sizeof(int));
    }
    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) CHECK(errno == EAGAIN || errno == EPIPE || errno == ECONNRESET);
    return sent < 0 ? 0 : (size_t)sent;
}

/* One call of whoever receives; false once it is over. `next` counts messages that were as they should be. */
static int receive_one(carom_connection *end, int honest, int count, int *next) {
    size_t len = 0, capacity = dice(3) ? sizeof room : dice(2000);
    carom_status status = carom_connection_recv(end, room, capacity, &len, 0);
    if (status == CAROM_OK && honest) {
        CHECK(*next < count);
        CHECK_EQ(len, messages[*next].len);
        CHECK(memcmp(room, stream + messages[*next].at, len) == 0);
    }
    if (status == CAROM_OK) ++*next, frames++;
    if (status == CAROM_EPERM) {
        int got = -1;
        CHECK(!honest);
        status = carom_connection_recv_fd(end, &got, 0);
        if (status == CAROM_OK) close(got);
    }
    if (status == CAROM_EBROKEN) CHECK(!honest), broken++;
    if (status == CAROM_EMSGSIZE && capacity == sizeof room) return CHECK(!honest), 0;
    CHECK(status == CAROM_OK || status == CAROM_ETIMEDOUT || status == CAROM_EMSGSIZE || status == CAROM_EBROKEN || status == CAROM_ECLOSED);
    return status != CAROM_EBROKEN && status != CAROM_ECLOSED;
}

static void play_frames(void) {
    int fds[2], next = 0, honest = dice(2) == 0, alive = 1;
    size_t len, at = 0;
    carom_connection *end = NULL;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_OK(carom_connection_open(fds[0], &end));
    int count = make_stream(&len);
    if (!honest) spoil(&len);
    while (at < len && alive) {
        size_t piece = dice(3) ? 1 + dice(50) : 1 + dice(LONGEST);
        if (piece > len - at) piece = len - at;
        at += send_piece(fds[1], stream + at, piece, !honest && dice(10) == 0);
        if (dice(3) == 0 || at == len) {
            for (int calls = 1 + (int)dice(3); calls > 0 && alive; calls--) alive = receive_one(end, honest, count, &next);
            if (dice(4) == 0) CHECK(carom_connection_poll(end, 0) >= 0);
        } else if (piece > 1000) {
            alive = receive_one(end, honest, count, &next); /* there is no room for more */
        }
    }
    close(fds[1]);
    for (int calls = 0; alive && calls < 10 * HONEST + 700; calls++) alive = receive_one(end, honest, count, &next);
    if (honest) CHECK_EQ(next, count);
    carom_connection_free(end);
}

static carom_listener *listener;
static const carom_link_options secret = {.size = sizeof secret, .authkey = "secret", .authkey_len = 6};

static int bare_client(void) {
    const char *name = carom_listener_address(listener);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))), 0);
    return fd;
}

/* Somebody without the key says something; nobody gets in, and whoever has it does. */
static void play_handshakes(void) {
    enum { GUESTS = 5 };
    int fds[GUESTS];
    carom_connection *none = NULL;
    for (int i = 0; i < GUESTS; i++) fds[i] = bare_client();
    CHECK_STATUS(carom_listener_accept(listener, &none, 0), CAROM_ETIMEDOUT);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < GUESTS; i++) {
            static const char *const words[] = {"#WELCOME#", "#FAILURE#", "#CHALLENGE#{sha256}0123456789012345678901234567890123456789", "{sha256}", "{md5}"};
            const char *word = words[dice(5)];
            unsigned char said[400];
            size_t len = strlen(word) + dice(60);
            for (size_t b = 0; b < sizeof said; b++) said[b] = (unsigned char)dice(256);
            said[0] = said[1] = 0, said[2] = 0, said[3] = (unsigned char)len;
            memcpy(said + 4, word, strlen(word));
            if (dice(4) == 0) said[dice(4)] = (unsigned char)dice(256);
            if (dice(3) == 0) (void)!recv(fds[i], said + 4, 63, MSG_DONTWAIT); /* what it was asked */
            send_piece(fds[i], said, 4 + dice((uint32_t)len + 1), dice(20) == 0);
            handshakes++;
        }
        CHECK_STATUS(carom_listener_accept(listener, &none, 0), CAROM_ETIMEDOUT);
    }
    for (int i = 0; i < GUESTS; i++) close(fds[i]);
}

static void *visits(void *it) {
    carom_connection *client = NULL;
    (void)it;
    CHECK_OK(carom_client_open(carom_listener_address(listener), &secret, &client, PATIENCE_MS));
    CHECK_OK(carom_connection_send(client, "hello", 5, PATIENCE_MS));
    carom_connection_free(client);
    return NULL;
}

static void honest_visit(void) {
    pthread_t thread;
    carom_connection *guest = NULL;
    char text[5];
    pthread_create(&thread, NULL, visits, NULL);
    CHECK_OK(carom_listener_accept(listener, &guest, PATIENCE_MS));
    CHECK_OK(carom_connection_recv(guest, text, 5, NULL, PATIENCE_MS));
    pthread_join(thread, NULL);
    carom_connection_free(guest);
}

int main(int argc, char **argv) {
    int64_t until = now_ms() + 1000 * (argc > 1 ? atoll(argv[1]) : 4);
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)now_ms() * 1000 + (uint64_t)getpid();
    struct rusage before, now;
    printf("frames: seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    state = seed;
    CHECK_OK(carom_listener_new(NULL, &secret, &listener));
    honest_visit();
    int fds = fd_count();
    for (int i = 0; i < 50; i++) play_frames();
    getrusage(RUSAGE_SELF, &before);
    do {
        for (int i = 0; i < 50; i++) play_frames();
        play_handshakes();
        honest_visit();
        CHECK_EQ(fd_count(), fds);
    } while (now_ms() < until);
    getrusage(RUSAGE_SELF, &now);
    CHECK(now.ru_maxrss < before.ru_maxrss + 16 * 1024);
    carom_listener_free(listener);
    printf("frames: %llu arrived, %llu peers cut off, %llu handshakes refused; 0 crashes, 0 hangs\n", (unsigned long long)frames,
           (unsigned long long)broken, (unsigned long long)handshakes);
    return 0;
}
