/* G. Managers: what a round trip to a server costs, and its start. The limit is a bare server in C behind a socket of the same
 * kind, which answers as many bytes and does nothing else: two processes that wake each other. Programs of another family
 * have sockets only; processes of the server's own have lanes. */
#include "bench.h"
#include <sys/socket.h>

enum { TRIPS = 3000, AWAKE = 100000, BATCH = 100, STARTS = 20, CLIENTS = 16 };

static int ends[2];

static void echo(void) {
    char bytes[64];
    close(ends[0]);
    while (recv(ends[1], bytes, 16, MSG_WAITALL) == 16) CHECK(send(ends[1], bytes, 16, MSG_NOSIGNAL) == 16);
}

static double bare(void) {
    char bytes[16] = "";
    int64_t before = now_ns();
    for (int i = 0; i < TRIPS; i++) {
        CHECK(send(ends[0], bytes, 16, MSG_NOSIGNAL) == 16);
        CHECK(recv(ends[0], bytes, 16, MSG_WAITALL) == 16);
    }
    return TRIPS * 1e9 / (double)(now_ns() - before);
}

static double gets(carom_dict *dict, const carom_argument *key, int trips) {
    carom_argument found;
    int64_t before = now_ns();
    for (int i = 0; i < trips; i++) {
        OK(carom_dict_get(dict, key, &found, NULL, 0, NULL));
        if (found.integer != 7) DIE("a wrong value");
    }
    return trips * 1e9 / (double)(now_ns() - before);
}

static double sets(carom_dict *dict, const carom_argument *key, const carom_argument *value, int trips) {
    int64_t before = now_ns();
    for (int i = 0; i < trips; i++) OK(carom_dict_set(dict, key, value));
    return trips * 1e9 / (double)(now_ns() - before);
}

/* Keys that one request sets. */
static double batches(carom_dict *dict) {
    static carom_argument pairs[2 * BATCH];
    for (int i = 0; i < 2 * BATCH; i++) pairs[i] = (carom_argument){.kind = CAROM_ARGUMENT_INTEGER, .integer = i / 2};
    const carom_argument map = {.kind = CAROM_ARGUMENT_MAP, .data = pairs, .len = BATCH};
    int64_t before = now_ns();
    for (int i = 0; i < TRIPS / 10; i++) OK(carom_dict_update(dict, &map));
    return TRIPS / 10 * (double)BATCH * 1e9 / (double)(now_ns() - before);
}

static double pairs(carom_queue *queue, const carom_argument *item) {
    carom_argument reply;
    int64_t before = now_ns();
    for (int i = 0; i < TRIPS; i++) {
        OK(carom_proxy_call(queue, "put", item, 1, &reply, NULL, 0, NULL, -1));
        OK(carom_proxy_call(queue, "get", NULL, 0, &reply, NULL, 0, NULL, -1));
        if (reply.integer != item->integer) DIE("a wrong item");
    }
    return TRIPS * 1e9 / (double)(now_ns() - before);
}

static int32_t client(carom_call *call) {
    carom_dict *dict;
    const carom_argument key = {.kind = CAROM_ARGUMENT_STRING, .data = "key", .len = 3};
    OK(carom_call_dict(call, 0, &dict));
    gets(dict, &key, TRIPS);
    return 0;
}

/* All of them at once: what the server does, when it need not be woken for each. */
static double crowd(carom_dict *dict) {
    carom_process *clients[CLIENTS];
    const carom_argument argument = CAROM_HANDLE(dict);
    int64_t before = now_ns();
    for (int i = 0; i < CLIENTS; i++) OK(carom_process_start(client, &argument, 1, NULL, &clients[i]));
    for (int i = 0; i < CLIENTS; i++) OK(carom_process_join(clients[i], CAROM_FOREVER));
    double rate = CLIENTS * (double)TRIPS * 1e9 / (double)(now_ns() - before);
    for (int i = 0; i < CLIENTS; i++) carom_process_free(clients[i]);
    return rate;
}

static void nothing(void) {}

static const carom_argument key = {.kind = CAROM_ARGUMENT_STRING, .data = "key", .len = 3}, value = {.kind = CAROM_ARGUMENT_INTEGER, .integer = 7};
static carom_manager_options options = {.size = sizeof options, .authkey = "key", .authkey_len = 3};

/* What programs of another family have of a server: its socket. */
static int stranger(const char *address) {
    carom_manager *manager;
    carom_dict *dict;
    carom_queue *queue;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    pid_t server = raw_fork(echo);
    close(ends[1]);
    options.address = address;
    OK(carom_manager_open(&options, &manager, CAROM_FOREVER));
    OK(carom_manager_dict(manager, NULL, &dict));
    OK(carom_manager_queue(manager, NULL, &queue));
    OK(carom_dict_set(dict, &key, &value));
    for (int turn = 0; turn < 3; turn++) {
        printf("C-socket-server G.get_rtt %.0f ops/s\n", bare());
        printf("carom G.get_rtt %.0f ops/s\n", gets(dict, &key, TRIPS));
        printf("C-socket-server G.set_rtt %.0f ops/s\n", bare());
        printf("carom G.set_rtt %.0f ops/s\n", sets(dict, &key, &value, TRIPS));
    }
    printf("carom G.update_%d %.0f keys/s\n", BATCH, batches(dict));
    printf("carom G.get_%d_clients %.0f ops/s\n", CLIENTS, crowd(dict));
    printf("carom G.queue_put_get %.0f pairs/s\n", pairs(queue, &value));
    carom_queue_free(queue);
    carom_dict_free(dict);
    carom_manager_free(manager);
    close(ends[0]);
    reap(server);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "stranger") == 0) return stranger(argv[2]);
    carom_manager *manager;
    carom_dict *dict;
    char address[200];
    OK(carom_manager_new(&options, &manager));
    OK(carom_manager_address(manager, address, sizeof address, NULL));
    pid_t other = fork();
    CHECK(other >= 0);
    if (other == 0) {
        execl("/proc/self/exe", argv[0], "stranger", address, (char *)NULL);
        _exit(2);
    }
    reap(other);
    OK(carom_manager_dict(manager, NULL, &dict));
    OK(carom_dict_set(dict, &key, &value));
    for (int turn = 0; turn < 3; turn++) {
        printf("carom G.get_family %.0f ops/s\n", gets(dict, &key, AWAKE));
        printf("carom G.set_family %.0f ops/s\n", sets(dict, &key, &value, AWAKE));
    }
    printf("carom G.get_%d_of_family %.0f ops/s\n", CLIENTS, crowd(dict));
    carom_dict_free(dict);
    OK(carom_manager_shutdown(manager, CAROM_FOREVER));
    carom_manager_free(manager);
    for (int turn = 0; turn < STARTS; turn++) {
        int64_t before = now_ns();
        reap(raw_fork(nothing));
        int64_t forked = now_ns();
        OK(carom_manager_new(NULL, &manager));
        int64_t started = now_ns();
        OK(carom_manager_shutdown(manager, CAROM_FOREVER));
        carom_manager_free(manager);
        printf("fork+_exit G.start %.1f us\n", (double)(forked - before) / 1e3);
        printf("carom G.start %.1f us\n", (double)(started - forked) / 1e3);
    }
    return 0;
}
