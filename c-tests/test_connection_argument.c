/* Connections over sockets and listeners as arguments of processes, by every start method. */
#include "support.h"

#include <sys/socket.h>

static const char *const methods[] = {"fork", "spawn", "forkserver"};

static carom_process *start(const char *method, carom_function function, void *handle, carom_status expected) {
    carom_context *context = NULL;
    carom_process *process = NULL;
    CHECK_OK(carom_context_new(method, &context));
    carom_process_options options = {.size = sizeof options, .context = context};
    /* Inside of a list too. */
    carom_argument inner = CAROM_HANDLE(handle), arguments[] = {CAROM_HANDLE(handle), {.kind = CAROM_ARGUMENT_LIST, .data = &inner, .len = 1}};
    CHECK_STATUS(carom_process_start(function, arguments, 2, &options, &process), expected);
    carom_context_free(context);
    return process;
}

static void socket_pair(carom_connection *ends[2]) {
    int fds[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    for (int i = 0; i < 2; i++) CHECK_OK(carom_connection_open(fds[i], &ends[i]));
}

static carom_connection *given(carom_call *call) {
    carom_connection *connection = NULL, *again = NULL;
    carom_argument list;
    CHECK_OK(carom_call_connection(call, 0, &connection));
    CHECK_OK(carom_call_connection(call, 0, &again));
    CHECK(connection == again);
    CHECK_OK(carom_call_argument(call, 1, &list));
    CHECK_EQ(list.kind, CAROM_ARGUMENT_LIST);
    CHECK(((const carom_argument *)list.data)->handle == connection);
    carom_listener *none = NULL;
    CHECK_STATUS(carom_call_listener(call, 0, &none), CAROM_EBADHANDLE);
    return connection;
}

/* The parent's end, which a fork copies, and whose copy would keep it open. */
static carom_connection *inherited;

/* Echoes until the end. */
static int32_t echoes(carom_call *call) {
    static char data[1 << 20];
    carom_connection_free(inherited);
    carom_connection *connection = given(call);
    carom_status status;
    size_t len;
    while ((status = carom_connection_recv(connection, data, sizeof data, &len, PATIENCE_MS)) == CAROM_OK)
        CHECK_OK(carom_connection_send(connection, data, len, PATIENCE_MS));
    CHECK_STATUS(status, CAROM_ECLOSED);
    return 7;
}

/* What its parent had received ahead comes first, and nothing twice. */
static void goes_on_in_another_process(void) {
    static char sent[300000], got[300000];
    for (int m = 0; m < 3; m++) {
        carom_connection *ends[2];
        size_t len = 0;
        socket_pair(ends);
        inherited = ends[0];
        for (int i = 0; i < 20; i++) CHECK_OK(carom_connection_send(ends[0], &i, sizeof i, 0));
        for (int i = 0; i < 10; i++) { /* ten are still ahead */
            int number = -1;
            CHECK_OK(carom_connection_recv(ends[1], &number, sizeof number, NULL, 0));
            CHECK_EQ(number, i);
        }
        carom_process *process = start(methods[m], echoes, ends[1], CAROM_OK);
        carom_connection_free(ends[1]);
        for (int i = 10; i < 20; i++) {
            int number = -1;
            CHECK_OK(carom_connection_recv(ends[0], &number, sizeof number, NULL, PATIENCE_MS));
            CHECK_EQ(number, i);
        }
        for (size_t i = 0; i < sizeof sent; i++) sent[i] = (char)(i * 7 + (size_t)m);
        CHECK_OK(carom_connection_send(ends[0], sent, sizeof sent, PATIENCE_MS));
        CHECK_OK(carom_connection_recv(ends[0], got, sizeof got, &len, PATIENCE_MS));
        CHECK(len == sizeof sent && memcmp(sent, got, len) == 0);
        carom_connection_free(ends[0]); /* that is how the child hears of its end */
        CHECK_EQ(ended(process), 7);
    }
}

/* It ends with the process that has it. */
static int32_t says_and_waits(carom_call *call) {
    CHECK_OK(carom_connection_send(given(call), "up", 2, PATIENCE_MS));
    for (;;) pause();
    return 0;
}
static void ends_with_its_process(void) {
    for (int m = 0; m < 3; m++) {
        carom_connection *ends[2];
        char text[2];
        socket_pair(ends);
        carom_process *process = start(methods[m], says_and_waits, ends[1], CAROM_OK);
        carom_connection_free(ends[1]);
        CHECK_OK(carom_connection_recv(ends[0], text, 2, NULL, PATIENCE_MS));
        CHECK_OK(carom_process_kill(process));
        CHECK_STATUS(carom_connection_recv(ends[0], text, 2, NULL, PATIENCE_MS), CAROM_ECLOSED);
        CHECK_EQ(ended(process), -SIGKILL);
        carom_connection_free(ends[0]);
    }
}

/* Kept, it outlives the call. */
static carom_connection *kept;
static int32_t keeps(carom_call *call) {
    kept = given(call);
    CHECK_OK(carom_handle_keep(call, kept));
    return 0;
}
static void kept_for_good(void) {
    carom_connection *ends[2];
    socket_pair(ends);
    carom_process *process = start("spawn", keeps, ends[1], CAROM_OK);
    CHECK_EQ(ended(process), 0);
    carom_connection_free(ends[0]);
    carom_connection_free(ends[1]);
}

static int32_t accepts(carom_call *call) {
    carom_listener *listener = NULL;
    carom_connection *connection = NULL, *none = NULL;
    CHECK_OK(carom_call_listener(call, 0, &listener));
    CHECK_STATUS(carom_call_connection(call, 0, &none), CAROM_EBADHANDLE);
    CHECK(*carom_listener_address(listener));
    CHECK_OK(carom_listener_accept(listener, &connection, PATIENCE_MS));
    CHECK_OK(carom_connection_send(connection, carom_listener_address(listener), strlen(carom_listener_address(listener)), PATIENCE_MS));
    char byte;
    CHECK_STATUS(carom_connection_recv(connection, &byte, 1, NULL, PATIENCE_MS), CAROM_ECLOSED);
    carom_connection_free(connection);
    return 3;
}

/* With a key and without; the address is the same, and a path is taken away by who made it. */
static void listeners(void) {
    char path[64];
    snprintf(path, sizeof path, "/tmp/carom-argument-%d", (int)getpid());
    const char *addresses[] = {NULL, "127.0.0.1:0", path};
    for (int m = 0; m < 3; m++)
        for (int a = 0; a < 3; a++) {
            carom_link_options options = {.size = sizeof options, .authkey = a % 2 ? NULL : "secret", .authkey_len = a % 2 ? 0 : 6};
            carom_listener *listener = NULL;
            carom_connection *client = NULL;
            char address[128];
            size_t len = 0;
            CHECK_OK(carom_listener_new(addresses[a], &options, &listener));
            carom_process *process = start(methods[m], accepts, listener, CAROM_OK);
            CHECK_OK(carom_client_open(carom_listener_address(listener), &options, &client, PATIENCE_MS));
            CHECK_OK(carom_connection_recv(client, address, sizeof address, &len, PATIENCE_MS));
            CHECK(len == strlen(carom_listener_address(listener)) && memcmp(address, carom_listener_address(listener), len) == 0);
            carom_connection_free(client);
            CHECK_EQ(ended(process), 3);
            CHECK(a != 2 || access(path, F_OK) == 0);
            carom_listener_free(listener);
            CHECK(a != 2 || access(path, F_OK) != 0);
        }
}

static int32_t never(carom_call *call) { return (void)call, 1; }

/* What is in the middle of something, and what has no process to go to. */
static void refused(void) {
    carom_connection *ends[2];
    carom_pool *pool = NULL;
    static char data[4 << 20];
    socket_pair(ends);
    carom_argument argument = CAROM_HANDLE(ends[1]);
    carom_result *result = NULL;
    CHECK_OK(carom_pool_new(NULL, &pool));
    CHECK_STATUS(carom_pool_apply_async(pool, never, &argument, 1, NULL, &result), CAROM_ENOTSUP);
    CHECK_OK(carom_pool_terminate(pool));
    carom_pool_free(pool);
    CHECK_OK(carom_connection_send(ends[1], data, sizeof data, 0)); /* the kernel takes the beginning, and the rest is here */
    start("fork", never, ends[1], CAROM_EPERM);
    CHECK_STATUS(carom_connection_recv(ends[0], data, sizeof data, NULL, 0), CAROM_ETIMEDOUT);
    start("spawn", never, ends[0], CAROM_EPERM);
    CHECK_OK(carom_connection_close(ends[0]));
    start("spawn", never, ends[0], CAROM_ECLOSED);
    carom_connection_free(ends[0]);
    start("spawn", never, ends[0], CAROM_EBADHANDLE);
    carom_connection_free(ends[1]);
}

int main(int argc, char **argv) {
    CHECK_OK(carom_init(argc, argv)); /* children of other methods begin here */
    CASE(refused);
    CASE(kept_for_good);
    more_fds = 1;
    CASE(goes_on_in_another_process);
    CASE(ends_with_its_process);
    CASE(listeners);
    return 0;
}
