/* One epoll loop: a pool beside a server's socket. Clients send a number and get its square; a task that crashes, or takes too
 * long, costs its client an error, and nobody else anything. No thread, no timer, no signal handler. */
/* test: */
#include "example.h"
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static int32_t square(carom_call *call) {
    int64_t x = integer(call, 0), y = x * x;
    if (x == 3) raise(SIGSEGV);
    while (x == 4) pause();
    return carom_call_reply(call, &y, sizeof y);
}

/* The result of a request: the client's descriptor came with the task, and comes back here. */
static void answer(carom_result *result, void *ctx) {
    char text[64];
    int64_t y;
    carom_status status = carom_result_get(result, &y, sizeof y, NULL, 0);
    if (status == CAROM_OK) snprintf(text, sizeof text, "%" PRId64, y);
    else snprintf(text, sizeof text, "%s", carom_status_name(status));
    MUST(send((int)(intptr_t)ctx, text, strlen(text) + 1, MSG_NOSIGNAL));
}

static void watch(int loop, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    EXPECT(epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) == 0);
}

/* Reads a request and gives it to the pool; false at the end of the client. */
static bool serve(carom_pool *pool, int client) {
    int64_t x;
    if (recv(client, &x, sizeof x, 0) != sizeof x) return false;
    carom_argument argument = CAROM_INTEGER(x);
    carom_task_options task = {.size = sizeof task, .on_result = answer, .on_error = answer, .ctx = (void *)(intptr_t)client};
    MUST(carom_pool_apply_async(pool, square, &argument, 1, &task, NULL));
    return true;
}

int main(void) {
    enum { CLIENTS = 6 };
    carom_pool_options options = {.size = sizeof options, .workers = 2, .time_limit_ms = 200};
    carom_pool *pool;
    int ours[CLIENTS], theirs[CLIENTS], loop = epoll_create1(EPOLL_CLOEXEC), answered = 0;
    MUST(carom_pool_new(&options, &pool));
    int pool_fd = (int)MUST(carom_pool_fd(pool));
    watch(loop, pool_fd);
    for (int64_t i = 0; i < CLIENTS; i++) {
        int pair[2];
        EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
        ours[i] = pair[0], theirs[i] = pair[1];
        watch(loop, ours[i]);
        watch(loop, theirs[i]); /* the client lives in the same loop */
        EXPECT(send(theirs[i], &i, sizeof i, 0) == sizeof i);
    }
    while (answered < CLIENTS) {
        struct epoll_event ready[16];
        int count = epoll_wait(loop, ready, 16, PATIENCE_MS);
        EXPECT(count > 0);
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd == pool_fd) MUST(carom_pool_dispatch(pool, 16)); /* calls `answer`, of 16 at most */
            for (int64_t c = 0; c < CLIENTS; c++) {
                char text[64];
                if (fd == ours[c]) EXPECT(serve(pool, fd));
                if (fd != theirs[c]) continue;
                EXPECT(recv(fd, text, sizeof text, 0) > 0);
                printf("%" PRId64 " -> %s\n", c, text);
                if (c == 3) EXPECT(strcmp(text, "CAROM_EWORKERLOST") == 0);
                else if (c == 4) EXPECT(strcmp(text, "CAROM_ETIMELIMIT") == 0);
                else EXPECT(strtoll(text, NULL, 10) == c * c);
                answered++;
            }
        }
    }
    MUST(carom_pool_close(pool));
    MUST(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
    for (int i = 0; i < CLIENTS; i++) close(ours[i]), close(theirs[i]);
    close(loop);
    return 0;
}
