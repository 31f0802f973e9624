/* Functions of queues, pipes, sockets and managers, for torture_faults.c. */
#ifndef FAULT_MESSAGES_H
#define FAULT_MESSAGES_H

#include "local.h"

#include <sys/socket.h>

enum { LONG_MESSAGE = 100000 };
static char sent[LONG_MESSAGE], got[LONG_MESSAGE];

/* The first failure, or how it went on. */
#define OR_RETURN(call)                                    \
    do {                                                   \
        carom_status status_ = (call);                     \
        if (status_ != CAROM_OK) return status_;           \
    } while (0)

/* ---- queues ---- */

static carom_queue *queue;

static carom_status queue_new(void) { return carom_queue_new(NULL, &queue); }
static void queue_free(void) { carom_queue_free(queue); }
static carom_status queue_empties(void) {
    while (carom_queue_get(queue, got, sizeof got, NULL, 0) == CAROM_OK) {}
    return CAROM_OK;
}
static carom_status queue_short(void) {
    OR_RETURN(carom_queue_put(queue, "short", 5, patience()));
    return carom_queue_get(queue, got, sizeof got, NULL, patience());
}
static carom_status queue_long(void) {
    for (int i = 0; i < 3; i++) OR_RETURN(carom_queue_put(queue, sent, sizeof sent, patience()));
    return queue_empties();
}
/* It has been used, so it has what it keeps. */
static void queue_made(void) {
    CHECK_OK(queue_new());
    CHECK_OK(queue_short());
    CHECK_OK(queue_long());
}
static carom_status queue_waits(void) { return in_time(carom_queue_get(queue, got, sizeof got, NULL, 3)); }
static carom_status queue_in_place(void) {
    carom_message message = {.size = sizeof message};
    OR_RETURN(carom_queue_reserve(queue, 5000, &message));
    carom_status status = carom_queue_commit(queue, &message, 5000, patience());
    if (status == CAROM_OK) status = carom_queue_peek(queue, &message, patience());
    if (status == CAROM_OK) status = carom_queue_consume(queue, &message);
    return status;
}
static carom_status queue_handle(void) {
    carom_event *made = NULL;
    void *handle = NULL;
    OR_RETURN(carom_event_new(&made));
    carom_status status = carom_queue_put_handle(queue, made, patience());
    if (status == CAROM_OK) status = carom_queue_get_handle(queue, &handle, patience());
    if (status == CAROM_OK) carom_event_free(handle);
    carom_event_free(made);
    return status;
}
static carom_status queue_polled(void) {
    OR_RETURN(queue_new());
    int32_t fd = carom_queue_fd(queue);
    carom_status status = fd < 0 ? fd : carom_queue_put(queue, "short", 5, patience());
    carom_waitable item = {.handle = queue};
    if (status == CAROM_OK) status = carom_wait(&item, 1, patience()) == 1 ? CAROM_OK : CAROM_ETIMEDOUT;
    if (status == CAROM_ETIMEDOUT) status = carom_queue_get(queue, got, sizeof got, NULL, patience());
    queue_free();
    return status;
}
static int32_t puts_one(carom_call *call) {
    carom_queue *given = NULL;
    if (carom_call_queue(call, 0, &given) != CAROM_OK) return 1;
    return carom_queue_put(given, "short", 5, PATIENCE_MS) == CAROM_OK ? 7 : 1;
}
static carom_status queue_receives(int64_t timeout_ms) { return carom_queue_get(queue, got, sizeof got, NULL, timeout_ms); }
/* A process that is given `handle` sends something: it is received, at the latest when calls work again. */
static carom_status given_to(carom_function function, void *handle, carom_status (*receives)(int64_t timeout_ms)) {
    carom_argument argument = CAROM_HANDLE(handle);
    OR_RETURN(carom_process_start(function, &argument, 1, NULL, &process));
    carom_status status = receives(patience());
    no_more_faults();
    process_ends();
    if (status != CAROM_OK) CHECK_OK(receives(PATIENCE_MS));
    return status;
}
static carom_status queue_given(void) { return given_to(puts_one, queue, queue_receives); }

/* ---- pipes, and connections over sockets ---- */

static carom_connection *left, *right;

static carom_status pipe_new(void) { return carom_pipe_new(NULL, &left, &right); }
static void pipe_free(void) {
    carom_connection_free(left);
    carom_connection_free(right);
}
static carom_status sockets_open(void) {
    int fds[2];
    /* Not the library's call: it is made until it works. */
    while (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        if (shared->lasts) return CAROM_OK;
    }
    carom_status status = carom_connection_open(fds[0], &left);
    if (status != CAROM_OK) {
        close(fds[0]), close(fds[1]);
        return status;
    }
    status = carom_connection_open(fds[1], &right);
    if (status == CAROM_OK) return status;
    close(fds[1]);
    carom_connection_free(left);
    return status;
}
static carom_status sockets_new(void) {
    left = right = NULL;
    return sockets_open();
}
/* What was sent is received, whatever failed on the way; only if a rest of it is on its way it is not all there. */
static carom_status messages(size_t len) {
    size_t received = 0;
    for (size_t i = 0; i < len; i++) sent[i] = (char)(i * 31 / 7);
    carom_status status = carom_connection_send(left, sent, len, patience());
    if (status == CAROM_OK) status = carom_connection_recv(right, got, sizeof got, &received, patience());
    if (status == CAROM_OK) {
        CHECK_EQ(received, len);
        CHECK(memcmp(got, sent, len) == 0);
        return status;
    }
    while (carom_connection_recv(right, got, sizeof got, NULL, 100) == CAROM_OK) {}
    return status;
}
static carom_status message_short(void) { return messages(40); }
static carom_status message_long(void) { return messages(LONG_MESSAGE); }
/* In two pieces, which a socket takes at once: nobody reads before the end. */
static carom_status message_pieces(void) { return messages(40000); }
static void pipe_made(void) {
    CHECK_OK(pipe_new());
    for (int i = 0; i < 65; i++) CHECK_OK(message_long());
}
static void sockets_made(void) {
    CHECK_OK(sockets_open());
    CHECK_OK(message_pieces());
}
static carom_status message_waits(void) { return in_time(carom_connection_recv(right, got, sizeof got, NULL, 3)); }
static carom_status pipe_polled(void) {
    OR_RETURN(pipe_new());
    int32_t fd = carom_connection_fd(right);
    carom_status status = fd < 0 ? fd : message_short();
    carom_waitable item = {.handle = right};
    if (status == CAROM_OK) status = in_time((carom_status)carom_wait(&item, 1, 3));
    pipe_free();
    return status;
}
static carom_status pipe_handle(void) {
    void *handle = NULL;
    OR_RETURN(carom_connection_send_handle(left, event, patience()));
    OR_RETURN(carom_connection_recv_handle(right, &handle, patience()));
    carom_event_free(handle);
    return CAROM_OK;
}
static void pipe_and_event_made(void) {
    event_made();
    pipe_made();
}
static carom_status socket_fd(void) {
    int32_t fd = -1;
    OR_RETURN(sockets_open());
    carom_status status = carom_connection_send_fd(left, STDIN_FILENO, patience());
    if (status == CAROM_OK) status = carom_connection_recv_fd(right, &fd, patience());
    if (fd >= 0) close(fd);
    pipe_free();
    return status;
}
static int32_t sends_one(carom_call *call) {
    carom_connection *given = NULL;
    if (carom_call_connection(call, 0, &given) != CAROM_OK) return 1;
    return carom_connection_send(given, "short", 5, PATIENCE_MS) == CAROM_OK ? 7 : 1;
}
static carom_status socket_receives(int64_t timeout_ms) { return carom_connection_recv(right, got, sizeof got, NULL, timeout_ms); }
static carom_status socket_given(void) { return given_to(sends_one, left, socket_receives); }

/* ---- listeners and clients: the other side is a process of its own, with no family ---- */

static char address[64];
static const carom_link_options secret = {.size = sizeof secret, .authkey = "secret", .authkey_len = 6};

/* Each runs until it is killed with the caller. */
static void other_side(void (*serves)(void)) {
    snprintf(address, sizeof address, "@carom_fault_%d", (int)getpid());
    pid_t caller = getpid(), pid = fork();
    CHECK(pid >= 0);
    if (pid > 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != caller) _exit(0);
    for (;;) serves();
}
static void visits(void) {
    carom_connection *client = NULL;
    flag_await(&shared->wanted, 1);
    if (carom_client_open(address, &secret, &client, 50) != CAROM_OK) usleep(500);
    else if (carom_connection_recv(client, got, sizeof got, NULL, PATIENCE_MS) == CAROM_OK) usleep(500);
    carom_connection_free(client);
}
static void echoes(void) {
    carom_listener *listener = NULL;
    CHECK_OK(carom_listener_new(address, &secret, &listener));
    flag_add(&shared->wanted, 1);
    for (;;) {
        carom_connection *guest = NULL;
        size_t len = 0;
        if (carom_listener_accept(listener, &guest, 1000) != CAROM_OK) continue;
        if (carom_connection_recv(guest, got, sizeof got, &len, 1000) == CAROM_OK) (void)!carom_connection_send(guest, got, len, 1000);
        carom_connection_free(guest);
    }
}
static void visitors(void) { other_side(visits); }
static void host_up(void) {
    other_side(echoes);
    flag_await(&shared->wanted, 1);
}
static carom_status listener_accepts(void) {
    carom_listener *listener = NULL;
    carom_connection *guest = NULL;
    OR_RETURN(carom_listener_new(address, &secret, &listener));
    flag_add(&shared->wanted, 1);
    carom_status status = carom_listener_accept(listener, &guest, patience());
    if (status == CAROM_OK) status = carom_connection_send(guest, "hello", 5, patience());
    atomic_store(&shared->wanted, 0);
    carom_connection_free(guest);
    carom_listener_free(listener);
    return status;
}
static carom_status client_calls(void) {
    carom_connection *client = NULL;
    OR_RETURN(carom_client_open(address, &secret, &client, patience()));
    carom_status status = carom_connection_send(client, sent, sizeof sent, patience());
    if (status == CAROM_OK) status = carom_connection_recv(client, got, sizeof got, NULL, patience());
    carom_connection_free(client);
    return status;
}

/* ---- managers ---- */

static carom_manager *manager;

static carom_manager_options manager_options(void) {
    return (carom_manager_options){.size = sizeof(carom_manager_options), .request_timeout_ms = patience(), .authkey = "secret", .authkey_len = 6};
}
static carom_status manager_new(void) {
    carom_manager_options options = manager_options();
    return carom_manager_new(&options, &manager);
}
static void manager_ends(void) {
    CHECK_OK(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
}
static void manager_made(void) { CHECK_OK(manager_new()); }
static carom_status manager_used(void) {
    carom_dict *dict = NULL;
    carom_queue *there = NULL;
    carom_lock *its = NULL;
    carom_argument key = CAROM_INTEGER(1), text = CAROM_BYTES(sent, sizeof sent), found;
    carom_status status = carom_manager_dict(manager, NULL, &dict);
    if (status == CAROM_OK) status = carom_dict_set(dict, &key, &text);
    if (status == CAROM_OK) status = carom_dict_get(dict, &key, &found, got, sizeof got, NULL);
    if (status == CAROM_EMSGSIZE) status = CAROM_OK;
    if (status == CAROM_OK) status = carom_manager_queue(manager, NULL, &there);
    if (status == CAROM_OK) status = carom_queue_put(there, "short", 5, patience());
    if (status == CAROM_OK) status = carom_queue_get(there, got, sizeof got, NULL, patience());
    if (status == CAROM_OK) status = carom_manager_lock(manager, &its);
    if (status == CAROM_OK) status = carom_lock_acquire(its, patience());
    if (status == CAROM_OK) status = carom_lock_release(its);
    carom_lock_free(its);
    carom_queue_free(there);
    carom_dict_free(dict);
    return status;
}
static carom_status manager_opened(void) {
    char at[200];
    carom_manager *other = NULL;
    carom_manager_options options = manager_options();
    OR_RETURN(carom_manager_address(manager, at, sizeof at, NULL));
    options.address = at;
    OR_RETURN(carom_manager_open(&options, &other, patience()));
    carom_manager_free(other);
    return CAROM_OK;
}
/* All of one's life, in which its server's calls fail. */
static carom_status manager_all(void) {
    OR_RETURN(manager_new());
    carom_status status = manager_used();
    no_more_faults();
    manager_ends();
    return status;
}

#endif
