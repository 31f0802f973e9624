/* Queues by their descriptors: under poll and epoll, and in carom_wait with whatever else there is. */
#include "support.h"

#include <linux/seccomp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static carom_queue *new_queue(uint64_t max_items) {
    carom_queue_options options = {.size = sizeof options, .max_items = max_items};
    carom_queue *queue = NULL;
    CHECK_OK(carom_queue_new(&options, &queue));
    return queue;
}

static carom_process *start_with(carom_function function, carom_queue *queue) {
    carom_argument argument = CAROM_HANDLE(queue);
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(function, &argument, 1, NULL, &process));
    return process;
}

static carom_queue *given(carom_call *call) {
    carom_queue *queue = NULL;
    CHECK_OK(carom_call_queue(call, 0, &queue));
    return queue;
}

static carom_status try_get(carom_queue *queue) {
    int64_t number;
    return carom_queue_get(queue, &number, sizeof number, NULL, 0);
}

static void one_process(void) {
    int fds = fd_count();
    carom_queue *queue = new_queue(0);
    int fd = carom_queue_fd(queue);
    CHECK(fd > 2 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK_EQ(carom_queue_fd(queue), fd);
    CHECK(!is_readable(fd));
    for (int round = 0; round < 3; round++) {
        int64_t items[3] = {1, 2, 3};
        CHECK_OK(carom_queue_put_many(queue, items, sizeof *items, 3, 0));
        readable(fd);
        CHECK_EQ(carom_queue_fd(queue), fd); /* what is there is not forgotten */
        readable(fd);
        for (int i = 0; i < 3; i++) CHECK_OK(try_get(queue));
        if (round % 2) CHECK_STATUS(try_get(queue), CAROM_ETIMEDOUT);
        else CHECK_EQ(carom_queue_get_many(queue, items, sizeof *items, 3, NULL, 0), CAROM_ETIMEDOUT);
        CHECK(!is_readable(fd));
    }
    CHECK_OK(carom_queue_shutdown(queue));
    readable(fd);
    CHECK_STATUS(try_get(queue), CAROM_ECLOSED);
    carom_queue_free(queue);
    CHECK_EQ(fcntl(fd, F_GETFD), -1);
    for (int i = 0; i < 100; i++) {
        queue = new_queue(0);
        CHECK(carom_queue_fd(queue) > 2);
        carom_queue_free(queue);
    }
    CHECK(fd_count() <= fds + OWN_FDS);
}

/* Who found no room hears of room, also if it is for more than one message. */
static void room(void) {
    carom_queue *queue = new_queue(3);
    int64_t items[3] = {1, 2, 3};
    int fd = carom_queue_fd(queue);
    for (int round = 0; round < 3; round++) {
        CHECK_OK(carom_queue_put_many(queue, items, sizeof *items, 3, 0));
        CHECK_STATUS(carom_queue_put_many(queue, items, sizeof *items, 2, 0), CAROM_ETIMEDOUT);
        CHECK(!is_readable(fd));
        CHECK_OK(try_get(queue));
        readable(fd);
        CHECK_STATUS(carom_queue_put_many(queue, items, sizeof *items, 2, 0), CAROM_ETIMEDOUT);
        CHECK(!is_readable(fd));
        CHECK_OK(try_get(queue));
        readable(fd);
        CHECK_OK(carom_queue_put_many(queue, items, sizeof *items, 2, 0));
        while (carom_queue_size(queue)) CHECK_OK(try_get(queue)); /* a get that found nothing would have the descriptor tell of messages too */
    }
    carom_queue_free(queue);
}

/* What it got is told to the second queue. */
static int32_t gets_by_epoll(carom_call *call) {
    carom_queue *queue = given(call), *results = NULL;
    CHECK_OK(carom_call_queue(call, 1, &results));
    CHECK_OK(carom_queue_close(queue));
    int fd = carom_queue_fd(queue), all = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    CHECK(fd > 2 && all >= 0);
    CHECK_EQ(epoll_ctl(all, EPOLL_CTL_ADD, fd, &event), 0);
    int64_t got[2] = {0, 0}, number;
    for (;;) {
        carom_status status = carom_queue_get(queue, &number, sizeof number, NULL, 0);
        if (status == CAROM_ECLOSED) break;
        if (status == CAROM_ETIMEDOUT) {
            CHECK(epoll_wait(all, &event, 1, PATIENCE_MS) == 1 || errno == EINTR);
            continue;
        }
        CHECK_OK(status);
        got[0]++;
        got[1] += number;
    }
    CHECK_OK(carom_queue_put(results, got, sizeof got, 0));
    close(all);
    return 0;
}

static int32_t puts_for_ever(carom_call *call) {
    carom_queue *queue = given(call);
    CHECK_OK(carom_queue_put(queue, "up", 2, PATIENCE_MS));
    for (;;) pause();
    return 0;
}

/* Several processes poll one queue: each message is got once, and all hear of the end. */
static void several(void) {
    enum { POLLERS = 3, ITEMS = 3000 };
    const char *methods[POLLERS] = {"fork", "spawn", "forkserver"};
    carom_queue *queue = new_queue(0), *results = new_queue(0);
    carom_process *pollers[POLLERS];
    for (int i = 0; i < POLLERS; i++) {
        carom_context *context = NULL;
        CHECK_OK(carom_context_new(methods[i], &context));
        carom_process_options options = {.size = sizeof options, .context = context};
        carom_argument arguments[] = {CAROM_HANDLE(queue), CAROM_HANDLE(results)};
        CHECK_OK(carom_process_start(gets_by_epoll, arguments, 2, &options, &pollers[i]));
        carom_context_free(context);
    }
    for (int64_t i = 0; i < ITEMS; i++) {
        CHECK_OK(carom_queue_put(queue, &i, sizeof i, 0));
        if (i % 100 == 0) usleep(1000);
    }
    CHECK_OK(carom_queue_close(queue));
    int64_t all[2] = {0, 0}, got[2];
    for (int i = 0; i < POLLERS; i++) {
        CHECK_OK(carom_queue_get(results, got, sizeof got, NULL, PATIENCE_MS));
        all[0] += got[0];
        all[1] += got[1];
    }
    for (int i = 0; i < POLLERS; i++) CHECK_EQ(ended(pollers[i]), 0);
    CHECK_EQ(all[0], ITEMS);
    CHECK_EQ(all[1], (int64_t)ITEMS * (ITEMS - 1) / 2);
    carom_queue_free(queue);
    carom_queue_free(results);
}

/* The last who could put is killed: whoever polls hears of it, though nobody sleeps but in poll. */
static void the_end_by_a_death(void) {
    for (int round = 0; round < 10; round++) {
        carom_queue *queue = new_queue(0);
        carom_process *process = start_with(puts_for_ever, queue);
        CHECK_OK(carom_queue_close(queue));
        char text[2];
        int fd = carom_queue_fd(queue);
        carom_status status;
        while ((status = carom_queue_get(queue, text, 2, NULL, 0)) == CAROM_ETIMEDOUT) readable(fd);
        CHECK_OK(status);
        CHECK_STATUS(try_get(queue), CAROM_ETIMEDOUT);
        CHECK_OK(carom_process_kill(process));
        while ((status = try_get(queue)) == CAROM_ETIMEDOUT) readable(fd);
        CHECK_STATUS(status, CAROM_ECLOSED);
        CHECK_EQ(ended(process), -SIGKILL);
        carom_queue_free(queue);
    }
}

/* A child that inherited the handle asks for its own descriptor, and its parent's goes on. */
static carom_queue *inherited, *back;
static int32_t polls_inherited(carom_call *call) {
    (void)call;
    int fd = carom_queue_fd(inherited);
    CHECK(fd > 2);
    CHECK_OK(carom_queue_put(back, "go", 2, 0));
    carom_status status;
    while ((status = try_get(inherited)) == CAROM_ETIMEDOUT) readable(fd);
    CHECK_OK(status);
    carom_queue_free(inherited);
    return 0;
}
static void inherited_handles(void) {
    inherited = new_queue(0), back = new_queue(0);
    int fd = carom_queue_fd(inherited), back_fd = carom_queue_fd(back);
    char text[2];
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(polls_inherited, NULL, 0, NULL, &process));
    while (carom_queue_get(back, text, 2, NULL, 0) == CAROM_ETIMEDOUT) readable(back_fd);
    int64_t number = 1;
    CHECK_OK(carom_queue_put(inherited, &number, sizeof number, 0));
    CHECK_EQ(ended(process), 0);
    CHECK_STATUS(try_get(inherited), CAROM_ETIMEDOUT);
    CHECK_OK(carom_queue_put(inherited, &number, sizeof number, 0));
    readable(fd);
    CHECK_OK(try_get(inherited));
    carom_queue_free(inherited);
    carom_queue_free(back);
}

/* Where nobody sleeps or polls in vain, neither a put nor a get needs the kernel: here each call of it would be fatal. */
static int32_t needs_no_kernel(carom_call *call) {
    carom_queue *queue = given(call);
    int64_t number = 7;
    CHECK_OK(carom_queue_put(queue, &number, sizeof number, 0)); /* this one rings, if somebody polls */
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) return 77;
    int wrong = 0;
    for (int i = 0; i < 100; i++) {
        wrong |= carom_queue_put(queue, &number, sizeof number, 0) != CAROM_OK;
        wrong |= carom_queue_get(queue, &number, sizeof number, NULL, 0) != CAROM_OK;
    }
    syscall(SYS_exit, wrong ? 1 : 5);
    return 0;
}
static void without_system_calls(void) {
    for (int polled = 0; polled < 2; polled++) {
        carom_queue *queue = new_queue(0);
        if (polled) CHECK(carom_queue_fd(queue) > 2);
        carom_process *process = start_with(needs_no_kernel, queue);
        int32_t code = ended(process);
        if (code != 77) CHECK_EQ(code, 5);
        carom_queue_free(queue);
    }
}

static int32_t puts_one(carom_call *call) {
    CHECK_OK(carom_queue_put(given(call), "news", 4, 0));
    return 0;
}

/* Queues, pipes, sockets, listeners, processes, pools and descriptors, each ready in its turn. */
static void whatever_there_is(void) {
    enum { QUEUE, PIPE, SOCKET, LISTENER, PROCESS, DESCRIPTOR, OTHER_QUEUE, ITEMS };
    carom_waitable items[ITEMS];
    carom_queue *queue = new_queue(0), *other = new_queue(0);
    carom_connection *left, *right, *near, *far;
    carom_listener *listener;
    int fds[2], plain[2];
    char text[4];
    CHECK_OK(carom_pipe_new(NULL, &left, &right));
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_OK(carom_connection_open(fds[0], &near));
    CHECK_OK(carom_connection_open(fds[1], &far));
    CHECK_OK(carom_listener_new(NULL, NULL, &listener));
    CHECK_EQ(pipe(plain), 0);
    carom_process *sleeper = start_with(puts_for_ever, other), *putter;
    CHECK_OK(carom_queue_get(other, text, 4, NULL, PATIENCE_MS));
    void *handles[ITEMS] = {queue, left, near, listener, sleeper, NULL, other};
    for (int i = 0; i < ITEMS; i++) items[i] = (carom_waitable){.handle = handles[i], .fd = plain[0]};
    for (int round = 0; round < 2; round++) {
        CHECK_EQ(carom_wait(items, ITEMS, 0), CAROM_ETIMEDOUT);
        CHECK_EQ(carom_wait(items, ITEMS, 20), CAROM_ETIMEDOUT);
        putter = start_with(puts_one, queue);
        CHECK_EQ(carom_wait(items, ITEMS, PATIENCE_MS), 1);
        CHECK_EQ(items[QUEUE].ready, 1);
        CHECK_EQ(carom_wait(items, ITEMS, 0), 1); /* as long as it is there */
        CHECK_OK(carom_connection_send(right, "x", 1, 0));
        CHECK_OK(carom_connection_send(far, "x", 1, 0));
        CHECK_EQ(write(plain[1], "x", 1), 1);
        CHECK_EQ(carom_wait(items, ITEMS, 0), 4);
        CHECK_OK(carom_queue_get(queue, text, 4, NULL, 0));
        CHECK_OK(carom_connection_recv(left, text, 1, NULL, 0));
        CHECK_OK(carom_connection_recv(near, text, 1, NULL, 0));
        CHECK_EQ(read(plain[0], text, 1), 1);
        CHECK_EQ(ended(putter), 0);
    }
    CHECK_OK(carom_process_kill(sleeper));
    CHECK_EQ(carom_wait(items, ITEMS, PATIENCE_MS), 1);
    CHECK_EQ(items[PROCESS].ready, 1);
    CHECK_EQ(ended(sleeper), -SIGKILL);
    items[PROCESS].handle = queue; /* twice the same is as good */
    CHECK_EQ(carom_wait(items, ITEMS, 0), CAROM_ETIMEDOUT);
    CHECK_OK(carom_queue_close(other));
    CHECK_EQ(carom_wait(items, ITEMS, PATIENCE_MS), 1);
    CHECK_EQ(items[OTHER_QUEUE].ready, 1);
    CHECK_STATUS(carom_queue_get(other, text, 4, NULL, 0), CAROM_ECLOSED);
    carom_queue_free(queue);
    CHECK_EQ(carom_wait(items, ITEMS, 0), CAROM_EBADHANDLE);
    carom_queue_free(other);
    carom_connection_free(left);
    carom_connection_free(right);
    carom_connection_free(near);
    carom_connection_free(far);
    carom_listener_free(listener);
    close(plain[0]);
    close(plain[1]);
}

int main(int argc, char **argv) {
    CHECK_OK(carom_init(argc, argv)); /* children of other methods begin here */
    CASE(one_process);
    CASE(room);
    more_fds = 1;
    CASE(several);
    more_fds = 0;
    CASE(the_end_by_a_death);
    CASE(inherited_handles);
    CASE(whatever_there_is);
    CASE(without_system_calls);
    return 0;
}
