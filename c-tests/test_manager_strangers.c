/* Managers and those who should not have their key, have no right to a second answer, or take another server for theirs. */
#include "manager.h"
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

static const char secret[] = "a secret of a manager that nobody is shown";
static carom_manager_options keyed(const char *address) {
    return (carom_manager_options){.size = sizeof(carom_manager_options), .address = address, .authkey = secret, .authkey_len = strlen(secret)};
}
static int64_t number_in(carom_dict *dict) {
    carom_argument key = KEY("n"), found = INT(-1);
    CHECK_OK(carom_dict_get(dict, &key, &found, NULL, 0, NULL));
    return found.integer;
}

/* ------------------------------------------------------------------------------------------------------------ key */

static int shows(pid_t pid, const char *what) {
    char path[64], text[65536];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, what);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    ssize_t len = read(fd, text, sizeof text);
    close(fd);
    CHECK(len > 0);
    return memmem(text, (size_t)len, secret, strlen(secret)) != NULL;
}

/* Whoever may list processes sees no key: not at the server, however it was started, and not at who starts it. */
static void keys_are_not_shown(void) {
    static const char *const methods[] = {"fork", "spawn", "forkserver"};
    more_fds = 1; /* to the forkserver */
    for (int i = 0; i < 3; i++) {
        carom_context *context;
        CHECK_OK(carom_context_new(methods[i], &context));
        carom_manager_options options = keyed(NULL);
        options.context = context;
        CHECK_OK(carom_manager_new(&options, &manager));
        const pid_t pids[] = {facts().pid, getpid()};
        for (int k = 0; k < 2; k++) CHECK(!shows(pids[k], "cmdline") && !shows(pids[k], "environ"));
        CHECK_OK(carom_manager_shutdown(manager, PATIENCE_MS));
        carom_manager_free(manager);
        carom_context_free(context);
    }
}

/* --------------------------------------------------------------------------------------------------------- replay */

/* A local address beyond a zero byte, as the library writes it. */
static socklen_t to_sockaddr(const char *address, struct sockaddr_un *to) {
    *to = (struct sockaddr_un){.sun_family = AF_UNIX};
    size_t len = strlen(address + 1);
    memcpy(to->sun_path + 1, address + 1, len);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
}
static int connected_to(const char *address) {
    struct sockaddr_un to;
    socklen_t len = to_sockaddr(address, &to);
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(connect(fd, (struct sockaddr *)&to, len), 0);
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    return fd;
}

#define MOST 8
static struct {
    char address[64], manager[200];
    int listener, count, over[2];
    struct {
        int client, server;
        size_t len;
        char said[8192];
    } talks[MOST];
} relay;

/* Whether something was moved; what the client says is written down. */
static int moves(int from, int to, char *note, size_t *noted) {
    char bytes[4096];
    ssize_t len = recv(from, bytes, sizeof bytes, MSG_DONTWAIT);
    if (len <= 0) return len < 0;
    if (note) {
        CHECK(*noted + (size_t)len <= sizeof relay.talks[0].said);
        memcpy(note + *noted, bytes, (size_t)len);
        *noted += (size_t)len;
    }
    CHECK_EQ(send(to, bytes, (size_t)len, MSG_NOSIGNAL), len);
    return 1;
}

/* Sits between a client and the server, until it is told to end. */
static void *relays(void *none) {
    for (;;) {
        struct pollfd polled[2 + 2 * MOST] = {{relay.over[0], POLLIN, 0}, {relay.listener, POLLIN, 0}};
        for (int i = 0; i < relay.count; i++) {
            polled[2 + 2 * i] = (struct pollfd){relay.talks[i].client, POLLIN, 0};
            polled[3 + 2 * i] = (struct pollfd){relay.talks[i].server, POLLIN, 0};
        }
        CHECK(poll(polled, 2 + 2 * (nfds_t)relay.count, PATIENCE_MS) > 0);
        if (polled[0].revents) return none;
        for (int i = 0; i < relay.count; i++) {
            int alive = 1;
            if (polled[2 + 2 * i].revents) alive = moves(relay.talks[i].client, relay.talks[i].server, relay.talks[i].said, &relay.talks[i].len);
            if (polled[3 + 2 * i].revents) alive &= moves(relay.talks[i].server, relay.talks[i].client, NULL, NULL);
            if (!alive) {
                close(relay.talks[i].client), close(relay.talks[i].server);
                relay.talks[i].client = relay.talks[i].server = -1;
            }
        }
        if (polled[1].revents) {
            CHECK(relay.count < MOST);
            relay.talks[relay.count].client = accept4(relay.listener, NULL, NULL, SOCK_CLOEXEC);
            relay.talks[relay.count].server = connected_to(relay.manager);
            relay.count++;
        }
    }
}

/* Whoever has heard all that a client has said, and says it again, has said nothing. */
static void replay(void) {
    carom_manager_options options = keyed(NULL);
    carom_manager *other;
    carom_dict *dict, *directory;
    carom_argument key = KEY("n");
    pthread_t thread;
    struct sockaddr_un at;
    CHECK_OK(carom_manager_new(&options, &manager));
    CHECK_OK(carom_manager_address(manager, relay.manager, sizeof relay.manager, NULL));
    snprintf(relay.address, sizeof relay.address, "@carom-test-relay-%d", getpid());
    relay.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = to_sockaddr(relay.address, &at);
    CHECK_EQ(bind(relay.listener, (struct sockaddr *)&at, len), 0);
    CHECK_EQ(listen(relay.listener, MOST), 0);
    CHECK_EQ(pipe2(relay.over, O_CLOEXEC), 0);
    CHECK_EQ(pthread_create(&thread, NULL, relays, NULL), 0);
    options = keyed(relay.address);
    CHECK_OK(carom_manager_open(&options, &other, PATIENCE_MS));
    CHECK_OK(carom_manager_directory(other, &dict));
    CHECK_OK(carom_dict_increment(dict, &key, 1, NULL));
    carom_dict_free(dict);
    carom_manager_free(other);
    CHECK_EQ(write(relay.over[1], "", 1), 1);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_OK(carom_manager_directory(manager, &directory));
    CHECK_EQ(number_in(directory), 1);
    size_t said = 0;
    for (int i = 0; i < relay.count; i++) {
        char bytes[4096];
        int fd = connected_to(relay.manager);
        CHECK_EQ(send(fd, relay.talks[i].said, relay.talks[i].len, MSG_NOSIGNAL), relay.talks[i].len);
        ssize_t got;
        while ((got = recv(fd, bytes, sizeof bytes, 0)) > 0) {
        }
        CHECK(got == 0 || errno == ECONNRESET);
        close(fd);
        said += relay.talks[i].len;
        if (relay.talks[i].client >= 0) close(relay.talks[i].client), close(relay.talks[i].server);
    }
    CHECK(said > 200);
    CHECK_EQ(number_in(directory), 1);
    CHECK_EQ(facts().clients, 1);
    carom_dict_free(directory);
    close(relay.listener), close(relay.over[0]), close(relay.over[1]);
    CHECK_OK(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
}

/* ----------------------------------------------------------------------------------------------- another server */

/* Of a family of its own: what this process has is not inherited there. */
static int serve(const char *address) {
    carom_manager_options options = keyed(address);
    CHECK_OK(carom_manager_serve(&options));
    return 0;
}
static pid_t serves_at(const char *address) {
    pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", "test_manager_strangers", "serve", address, (char *)NULL);
        _exit(CHECK_FAILED);
    }
    return pid;
}
static carom_manager *opened(const char *address) {
    carom_manager_options options = keyed(address);
    carom_manager *made;
    carom_status status;
    int64_t until = now_ms() + PATIENCE_MS;
    while ((status = carom_manager_open(&options, &made, PATIENCE_MS)) == CAROM_ECONNREFUSED) CHECK(now_ms() < until);
    CHECK_OK(status);
    return made;
}

/* A server dies, and another one listens at its address with its key: it is not taken for the first. */
static void another_server(void) {
    char address[64];
    carom_argument key = KEY("n"), one = INT(1);
    snprintf(address, sizeof address, "@carom-test-server-%d", getpid());
    for (int asleep = 0; asleep < 2; asleep++) {
        carom_dict *dict, *other;
        pid_t pid = serves_at(address);
        carom_manager *first = opened(address);
        CHECK_OK(carom_manager_directory(first, &dict));
        CHECK_OK(carom_dict_set(dict, &key, &one));
        CHECK_EQ(kill(pid, SIGKILL), 0);
        CHECK_EQ(wait_for(pid), -SIGKILL);
        /* Whoever asked in between knows already. */
        if (!asleep) CHECK(carom_dict_len(dict) < 0);
        pid = serves_at(address);
        carom_manager *second = opened(address);
        CHECK_OK(carom_manager_directory(second, &other));
        carom_status status = carom_dict_increment(dict, &key, 1, NULL);
        CHECK(status == CAROM_ECLOSED || (asleep && status == CAROM_EBROKEN));
        for (int i = 0; i < 3; i++) CHECK_STATUS(carom_dict_increment(dict, &key, 1, NULL), CAROM_ECLOSED);
        CHECK_EQ(carom_dict_len(other), 0);
        carom_argument in_other = {.kind = CAROM_ARGUMENT_HANDLE, .handle = dict};
        CHECK_STATUS(carom_dict_set(other, &key, &in_other), CAROM_EINVAL);
        CHECK_OK(carom_dict_set(other, &key, &one));
        CHECK_EQ(number_in(other), 1);
        carom_dict_free(dict), carom_dict_free(other);
        carom_manager_free(first);
        CHECK_OK(carom_manager_shutdown(second, PATIENCE_MS));
        carom_manager_free(second);
        CHECK_EQ(wait_for(pid), 0);
    }
}

/* ------------------------------------------------------------------------------------------------------------ log */

/* Whoever opens a manager and frees it leaves no connection, here and there; but its objects go on until they are freed too. */
static void opened_and_freed(void) {
    char address[200];
    carom_manager_options options = keyed(NULL);
    CHECK_OK(carom_manager_new(&options, &manager));
    CHECK_OK(carom_manager_address(manager, address, sizeof address, NULL));
    CHECK_EQ(facts().clients, 1);
    int fds = fd_count();
    for (int i = 0; i < 30; i++) {
        carom_manager *other = opened(address);
        carom_dict *dict;
        carom_argument key = KEY("n");
        CHECK_OK(carom_manager_dict(other, NULL, &dict));
        CHECK_OK(carom_dict_increment(dict, &key, 1, NULL));
        if (i % 2) carom_dict_free(dict);
        carom_manager_free(other);
        if (i % 2 == 0) {
            CHECK_EQ(number_in(dict), 1);
            carom_dict_free(dict);
        }
        CHECK_EQ(fd_count(), fds);
    }
    int64_t until = now_ms() + PATIENCE_MS;
    while (facts().clients != 1 || facts().objects != 0) CHECK(now_ms() < until);
    CHECK_OK(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
}

/* Who was sent away, and why, is in the log of the server. */
static void sent_away(void) {
    char address[64], line[4096];
    int said[2];
    size_t len = 0;
    snprintf(address, sizeof address, "@carom-test-log-%d", getpid());
    CHECK_EQ(pipe2(said, O_CLOEXEC), 0);
    int err = dup(STDERR_FILENO);
    CHECK(err >= 0 && dup2(said[1], STDERR_FILENO) >= 0 && setenv("CAROM_LOG", "warning", 1) == 0);
    pid_t pid = serves_at(address);
    CHECK(dup2(err, STDERR_FILENO) >= 0 && unsetenv("CAROM_LOG") == 0);
    close(err);
    close(said[1]);
    manager = opened(address);
    carom_link_options link = {.size = sizeof link, .authkey = secret, .authkey_len = strlen(secret)};
    carom_connection *connection;
    CHECK_OK(carom_client_open(address, &link, &connection, PATIENCE_MS));
    CHECK_OK(carom_connection_send(connection, "no request", 10, PATIENCE_MS));
    CHECK_OK(carom_connection_recv(connection, line, sizeof line, &len, PATIENCE_MS)); /* why */
    CHECK_STATUS(carom_connection_recv(connection, line, sizeof line, &len, PATIENCE_MS), CAROM_ECLOSED);
    carom_connection_free(connection);
    readable(said[0]);
    ssize_t got = read(said[0], line, sizeof line - 1);
    CHECK(got > 0);
    line[got] = 0;
    CHECK(strstr(line, "warning: a manager sent a client away") != NULL);
    close(said[0]);
    CHECK_OK(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
    CHECK_EQ(wait_for(pid), 0);
}

/* ----------------------------------------------------------------------------------------------------------- keys */

/* A key is any scalar, and what C tells apart is apart. */
static void keys_of_each_kind(void) {
    carom_dict *dict;
    CHECK_OK(carom_manager_new(NULL, &manager));
    CHECK_OK(carom_manager_dict(manager, NULL, &dict));
    carom_argument keys[] = {{.kind = CAROM_ARGUMENT_NIL}, {.kind = CAROM_ARGUMENT_BOOL}, INT(0), {.kind = CAROM_ARGUMENT_REAL}, CAROM_BYTES("0", 1), KEY("0"), KEY(""), INT(1), {.kind = CAROM_ARGUMENT_BOOL, .integer = 1}};
    const int count = sizeof keys / sizeof keys[0];
    carom_argument found, minus_zero = {.kind = CAROM_ARGUMENT_REAL, .real = -0.0};
    for (int i = 0; i < count; i++) {
        carom_argument value = INT(i);
        CHECK_OK(carom_dict_set(dict, &keys[i], &value));
    }
    CHECK_EQ(carom_dict_len(dict), count);
    for (int i = 0; i < count; i++) {
        CHECK_OK(carom_dict_get(dict, &keys[i], &found, NULL, 0, NULL));
        CHECK_EQ(found.integer, i);
    }
    CHECK_OK(carom_dict_get(dict, &minus_zero, &found, NULL, 0, NULL));
    CHECK_EQ(found.integer, 3);
    _Alignas(16) char data[1024];
    CHECK_OK(carom_dict_keys(dict, &found, data, sizeof data, NULL));
    for (int i = 0; i < count; i++) {
        const carom_argument *key = (const carom_argument *)found.data + i;
        CHECK_EQ(key->kind, keys[i].kind);
        CHECK(key->integer == keys[i].integer && key->real == keys[i].real && key->len == keys[i].len);
    }
    carom_dict_free(dict);
    CHECK_OK(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "serve") == 0) return serve(argv[2]);
    CHECK_OK(carom_init(argc, argv));
    CASE(replay);
    CASE(opened_and_freed);
    CASE(another_server);
    CASE(sent_away);
    CASE(keys_of_each_kind);
    CASE(keys_are_not_shown);
    return 0;
}
