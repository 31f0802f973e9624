/* Objects that travel through pipes: whoever sends one may let go of it at once, and die. */
#include "support.h"

#include <sys/socket.h>

static void make_pipe(carom_connection **left, carom_connection **right) { CHECK_OK(carom_pipe_new(NULL, left, right)); }

static uint64_t objects(void) { return census().objects; }

/* What the dead had is given back when their death is found, at the latest when somebody waits. */
static void nothing_more_than(uint64_t wanted) {
    carom_event *never = NULL;
    CHECK_OK(carom_event_new(&never));
    int64_t until = now_ms() + PATIENCE_MS;
    while (objects() > wanted + 1) {
        CHECK(now_ms() < until);
        CHECK_STATUS(carom_event_wait(never, 1), CAROM_ETIMEDOUT);
    }
    carom_event_free(never);
}

static carom_process *start_with(const char *method, carom_function function, carom_connection *end) {
    carom_context *context = NULL;
    carom_process *process = NULL;
    CHECK_OK(carom_context_new(method, &context));
    carom_process_options options = {.size = sizeof options, .context = context};
    carom_argument argument = CAROM_HANDLE(end);
    CHECK_OK(carom_process_start(function, &argument, 1, &options, &process));
    carom_context_free(context);
    return process;
}

static carom_connection *given(carom_call *call) {
    carom_connection *end = NULL;
    CHECK_OK(carom_call_connection(call, 0, &end));
    return end;
}

static void send_handle(carom_connection *end, void *handle) { CHECK_OK(carom_connection_send_handle(end, handle, PATIENCE_MS)); }
static void *recv_handle(carom_connection *end) {
    void *handle = NULL;
    CHECK_OK(carom_connection_recv_handle(end, &handle, PATIENCE_MS));
    CHECK(handle);
    return handle;
}

static void of_every_kind(void) {
    carom_connection *left, *right, *far, *near;
    carom_lock *lock = NULL;
    carom_value *value = NULL;
    carom_queue *queue = NULL;
    char text[4];
    uint64_t before;
    int64_t number = 5;
    make_pipe(&left, &right);
    before = objects();
    make_pipe(&near, &far);
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_OK(carom_queue_new(NULL, &queue));
    CHECK_OK(carom_value_new(CAROM_I64, &number, sizeof number, NULL, &value));
    CHECK_OK(carom_queue_put(queue, "news", 4, 0));
    send_handle(left, lock);
    CHECK_OK(carom_connection_send(left, "text", 4, 0));
    send_handle(left, queue);
    send_handle(left, value);
    send_handle(left, far);
    carom_lock_free(lock);
    carom_queue_free(queue);
    carom_value_free(value);
    carom_connection_free(far);
    size_t len = 77;
    CHECK_STATUS(carom_connection_recv(right, text, 4, &len, 0), CAROM_EPERM);
    CHECK_EQ(len, 77);
    CHECK_EQ(carom_connection_poll(right, 0), 1);
    lock = recv_handle(right);
    CHECK_OK(carom_lock_acquire(lock, 0));
    CHECK_OK(carom_lock_release(lock));
    void *none = (void *)(uintptr_t)8;
    CHECK_STATUS(carom_connection_recv_handle(right, &none, 0), CAROM_EPERM);
    CHECK(!none);
    CHECK_OK(carom_connection_recv(right, text, 4, NULL, 0));
    queue = recv_handle(right);
    CHECK_OK(carom_queue_get(queue, text, 4, &len, 0));
    CHECK_EQ(len, 4);
    value = recv_handle(right);
    CHECK_OK(carom_value_get(value, &number, sizeof number, PATIENCE_MS));
    CHECK_EQ(number, 5);
    far = recv_handle(right);
    CHECK_OK(carom_connection_send(far, "far", 3, 0));
    CHECK_OK(carom_connection_recv(near, text, 4, NULL, 0));
    CHECK_STATUS(carom_connection_recv_handle(right, &none, 0), CAROM_ETIMEDOUT);
    carom_lock_free(lock);
    carom_queue_free(queue);
    carom_value_free(value);
    carom_connection_free(far);
    carom_connection_free(near);
    nothing_more_than(before);
    carom_connection_free(left);
    carom_connection_free(right);
}

static void refused(void) {
    carom_connection *left, *right, *near, *far;
    carom_lock *lock = NULL;
    void *none = NULL;
    int fds[2];
    make_pipe(&left, &right);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_OK(carom_connection_open(fds[0], &near));
    CHECK_OK(carom_connection_open(fds[1], &far));
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_STATUS(carom_connection_send_handle(near, lock, 0), CAROM_ENOTSUP);
    CHECK_STATUS(carom_connection_recv_handle(far, &none, 0), CAROM_ENOTSUP);
    CHECK_STATUS(carom_connection_send_handle(left, near, 0), CAROM_ENOTSUP);
    CHECK_STATUS(carom_connection_send_handle(left, left, 0), CAROM_EINVAL);
    CHECK_STATUS(carom_connection_send_handle(left, right, 0), CAROM_EINVAL);
    CHECK_STATUS(carom_connection_send_handle(left, NULL, 0), CAROM_EBADHANDLE);
    uint64_t before = objects();
    int count = 0;
    carom_status status;
    while ((status = carom_connection_send_handle(left, lock, 0)) == CAROM_OK) count++;
    CHECK_STATUS(status, CAROM_ETIMEDOUT);
    CHECK_EQ(count, 64);
    for (int i = 0; i < count; i++) carom_lock_free(recv_handle(right));
    CHECK_EQ(objects(), before);
    for (int i = 0; i < 10; i++) send_handle(left, lock);
    carom_connection_free(right); /* and with it all that was on its way there */
    CHECK_STATUS(carom_connection_send_handle(left, lock, 0), CAROM_ECLOSED);
    CHECK(objects() < before);
    carom_lock_free(lock);
    carom_connection_free(left);
    carom_connection_free(near);
    carom_connection_free(far);
}

/* Sends a queue with a message in it, and is gone. */
static int32_t sends_and_ends(carom_call *call) {
    carom_connection *end = given(call);
    carom_queue *queue = NULL;
    CHECK_OK(carom_queue_new(NULL, &queue));
    CHECK_OK(carom_queue_put(queue, "left", 4, 0));
    send_handle(end, queue);
    if (getpid() % 2) carom_queue_free(queue);
    else raise(SIGKILL);
    return 0;
}

static void outlives_its_sender(void) {
    const char *methods[] = {"fork", "spawn"};
    for (int round = 0; round < 8; round++) {
        carom_connection *left, *right;
        char text[4];
        make_pipe(&left, &right);
        uint64_t before = objects();
        carom_process *process = start_with(methods[round % 2], sends_and_ends, right);
        CHECK_OK(carom_process_join(process, PATIENCE_MS));
        carom_process_free(process);
        carom_queue *queue = recv_handle(left);
        CHECK_OK(carom_queue_get(queue, text, 4, NULL, 0));
        CHECK_OK(carom_queue_close(queue));
        CHECK_STATUS(carom_queue_get(queue, text, 4, NULL, PATIENCE_MS), CAROM_ECLOSED);
        carom_queue_free(queue);
        nothing_more_than(before);
        carom_connection_free(left);
        carom_connection_free(right);
    }
}

/* A pipe through a pipe, between two children, which then talk without their parent. */
static int32_t meets(carom_call *call) {
    carom_connection *end = given(call), *other = recv_handle(end);
    int64_t number = 0;
    size_t len;
    CHECK_OK(carom_connection_recv(end, &number, sizeof number, &len, PATIENCE_MS));
    for (int i = 0; i < 100; i++) {
        if (number == 1 || i) CHECK_OK(carom_connection_send(other, &number, sizeof number, PATIENCE_MS));
        CHECK_OK(carom_connection_recv(other, &number, sizeof number, &len, PATIENCE_MS));
        number++;
    }
    if (number % 2 == 0) CHECK_OK(carom_connection_send(other, &number, sizeof number, 0));
    carom_connection_free(other);
    return 0;
}

static void pipes_through_pipes(void) {
    carom_connection *ends[2][2], *between[2];
    carom_process *processes[2];
    uint64_t before = objects();
    make_pipe(&between[0], &between[1]);
    for (int64_t i = 0; i < 2; i++) {
        make_pipe(&ends[i][0], &ends[i][1]);
        processes[i] = start_with(i ? "spawn" : "fork", meets, ends[i][1]);
        carom_connection_free(ends[i][1]);
        send_handle(ends[i][0], between[i]);
        carom_connection_free(between[i]);
        CHECK_OK(carom_connection_send(ends[i][0], &i, sizeof i, 0));
    }
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(ended(processes[i]), 0);
        carom_connection_free(ends[i][0]);
    }
    nothing_more_than(before);
}

/* Killed at any moment, those who send and receive leave nothing behind. */
static int32_t sends_for_ever(carom_call *call) {
    carom_connection *end = given(call);
    for (;;) {
        carom_lock *lock = NULL;
        CHECK_OK(carom_lock_new(NULL, &lock));
        if (carom_connection_send_handle(end, lock, PATIENCE_MS) == CAROM_ECLOSED) return 0;
        carom_lock_free(lock);
    }
}
static int32_t receives_for_ever(carom_call *call) {
    carom_connection *end = given(call);
    void *handle;
    while (carom_connection_recv_handle(end, &handle, PATIENCE_MS) == CAROM_OK) carom_lock_free(handle);
    return 0;
}
static void killed_at_random(void) {
    uint64_t before = objects();
    for (int round = 0; round < 20; round++) {
        carom_connection *left, *right;
        make_pipe(&left, &right);
        carom_process *sender = start_with("fork", sends_for_ever, left), *receiver = start_with("fork", receives_for_ever, right);
        carom_connection_free(left);
        carom_connection_free(right);
        usleep((useconds_t)(500 + 137 * round));
        carom_process *first = round % 2 ? sender : receiver, *then = round % 2 ? receiver : sender;
        CHECK_OK(carom_process_kill(first));
        CHECK_OK(carom_process_join(then, PATIENCE_MS)); /* by itself, since the other end is gone */
        CHECK_EQ(ended(first), -SIGKILL);
        carom_process_free(then);
        nothing_more_than(before);
    }
}

int main(int argc, char **argv) {
    CHECK_OK(carom_init(argc, argv)); /* children of other methods begin here */
    CASE(of_every_kind);
    CASE(refused);
    CASE(outlives_its_sender);
    CASE(pipes_through_pipes);
    CASE(killed_at_random);
    return 0;
}
