/*
 * A manager under fire: clients come, work, get SIGKILL, stop and go on, at random, and others come. What one step did nobody sees by
 * halves; and from one second to the next nothing grows in the server: descriptors, objects, bytes of its objects, memory.
 *
 *     torture_manager [SECONDS [SEED]]      (4 seconds; the seed is printed)
 */
#include "chance.h"
#include "manager.h"

enum { CLIENTS = 5, EPOCH_MS = 1000, SLACK_KB = 16 << 10 };


static struct shared {
    flag quit;
    _Atomic uint64_t operations, recoveries;
} *shared;

static carom_dict *dict;
static carom_list *list;
static carom_queue *queue;
static carom_lock *lock;

static void allowed(carom_status status, carom_status other, carom_status another) {
    if (status != CAROM_OK && status != other && status != another) CHECK_STATUS(status, CAROM_OK);
}

/* ---- clients ---- */

static _Alignas(16) char room[1 << 16];

static void adds_to_both(void) {
    carom_argument one[] = {KEY("increment"), KEY("a"), INT(1)}, two[] = {KEY("increment"), KEY("b"), INT(1)}, results;
    carom_argument calls[] = {{.kind = CAROM_ARGUMENT_LIST, .data = one, .len = 3}, {.kind = CAROM_ARGUMENT_LIST, .data = two, .len = 3}};
    CHECK_OK(carom_dict_apply(dict, calls, 2, &results, room, sizeof room, NULL));
}
static void reads_both(void) {
    carom_argument one[] = {KEY("get"), KEY("a")}, two[] = {KEY("get"), KEY("b")}, results;
    carom_argument calls[] = {{.kind = CAROM_ARGUMENT_LIST, .data = one, .len = 2}, {.kind = CAROM_ARGUMENT_LIST, .data = two, .len = 2}};
    CHECK_OK(carom_dict_apply(dict, calls, 2, &results, room, sizeof room, NULL));
    const carom_argument *got = results.data;
    CHECK_EQ(got[0].integer, got[1].integer);
}
static void sets_something(void) {
    carom_argument key = INT((int64_t)below(50)), value = CAROM_BYTES(room, below(sizeof room)), found;
    CHECK_OK(carom_dict_set(dict, &key, &value));
    key = INT((int64_t)below(50));
    allowed(carom_dict_get(dict, &key, &found, room, sizeof room, NULL), CAROM_ENOENT, CAROM_EMSGSIZE);
}
static void puts_and_gets(void) {
    size_t len;
    allowed(carom_queue_put(queue, room, below(3000), 5), CAROM_ETIMEDOUT, CAROM_OK);
    allowed(carom_queue_get(queue, room, sizeof room, &len, 5), CAROM_ETIMEDOUT, CAROM_OK);
}
static void locks(void) {
    carom_status status = carom_lock_acquire(lock, 50);
    if (status == CAROM_EOWNERDEAD) {
        status = carom_lock_recover(lock, 50);
        atomic_fetch_add(&shared->recoveries, status == CAROM_OK);
    }
    allowed(status, CAROM_ETIMEDOUT, CAROM_EOWNERDEAD);
    if (status == CAROM_OK) CHECK_OK(carom_lock_release(lock));
}
/* A list of its own, in the common list, and out of it again, by whomever. */
static void makes_objects(void) {
    carom_list *fresh;
    CHECK_OK(carom_manager_list(manager, NULL, 0, &fresh));
    carom_argument item = HANDLE(fresh), found;
    CHECK_OK(carom_list_append(list, &item));
    if (below(4) == 0) return; /* and forgets the handle */
    carom_list_free(fresh);
    carom_status status = carom_list_pop(list, 0, &found, room, sizeof room, NULL);
    allowed(status, CAROM_EINVAL, CAROM_ENOENT);
    if (status == CAROM_OK && found.kind == CAROM_ARGUMENT_HANDLE) carom_list_free(found.handle);
}

static int32_t client(carom_call *call) {
    static void (*const all[])(void) = {adds_to_both, reads_both, sets_something, puts_and_gets, locks, makes_objects};
    CHECK_OK(carom_call_read(call, 0, &state, sizeof state));
    while (!atomic_load(&shared->quit)) {
        all[below(sizeof all / sizeof *all)]();
        atomic_fetch_add(&shared->operations, 1);
    }
    return 0;
}

/* ---- the fire ---- */

static carom_process *clients[CLIENTS];

static void starts(int i) {
    uint64_t seed = below(UINT64_MAX);
    carom_argument argument = CAROM_BYTES(&seed, sizeof seed);
    CHECK_OK(carom_process_start(client, &argument, 1, NULL, &clients[i]));
}

struct size {
    uint64_t objects, bytes;
    int fds;
    long kb;
};

static struct size size_now(void) {
    carom_manager_facts now = facts();
    struct size size = {now.objects, now.bytes, 0, 0};
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/fd", now.pid);
    DIR *directory = opendir(path);
    CHECK(directory);
    while (readdir(directory)) size.fds++;
    closedir(directory);
    snprintf(path, sizeof path, "/proc/%d/status", now.pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) sscanf(line, "RssAnon: %ld kB", &size.kb);
    if (file) fclose(file);
    return size;
}

/* Nobody is there, and what was stored is taken out. */
static struct size quiet(void) {
    int64_t until = now_ms() + PATIENCE_MS;
    size_t len;
    reads_both();
    while (carom_queue_get(queue, room, sizeof room, &len, 0) == CAROM_OK) {
    }
    for (int64_t key = 0; key < 50; key++) {
        carom_argument it = INT(key);
        allowed(carom_dict_delete(dict, &it), CAROM_ENOENT, CAROM_OK);
    }
    CHECK_OK(carom_list_clear(list));
    locks();
    for (;;) {
        carom_manager_facts now = facts();
        if (now.clients == 1 && now.objects == 4 && now.waiting == 0) break;
        if (now_ms() > until) check_eq_(__FILE__, __LINE__, "objects and clients of the dead", (long long)(now.clients * 1000 + now.objects), 1004);
        sched_yield();
    }
    return size_now();
}

static void epoch(int64_t until) {
    for (int i = 0; i < CLIENTS; i++) starts(i);
    while (now_ms() < until) {
        int i = (int)below(CLIENTS);
        usleep((useconds_t)below(20000));
        pid_t pid = carom_process_pid(clients[i]);
        if (below(3) == 0) {
            kill(pid, SIGSTOP);
            usleep((useconds_t)below(3000));
            kill(pid, SIGCONT);
        } else {
            CHECK_OK(carom_process_kill(clients[i]));
            CHECK_EQ(ended(clients[i]), -SIGKILL);
            starts(i);
        }
    }
    /* Some go by themselves. */
    atomic_store(&shared->quit, 1);
    for (int i = 0; i < CLIENTS; i++) CHECK_EQ(ended(clients[i]), 0);
    atomic_store(&shared->quit, 0);
}

static int64_t seconds;
static uint64_t seed;

static void soak(void) {
    int64_t end = now_ms() + seconds * 1000;
    struct size first = {0};
    int epochs = 0;
    state = seed;
    shared = share(sizeof *shared);
    CHECK_OK(carom_manager_new(NULL, &manager));
    CHECK_OK(carom_manager_dict(manager, NULL, &dict));
    CHECK_OK(carom_manager_list(manager, NULL, 0, &list));
    CHECK_OK(carom_manager_queue(manager, NULL, &queue));
    CHECK_OK(carom_manager_lock(manager, &lock));
    adds_to_both();
    while (now_ms() < end || epochs < 3) {
        epoch(now_ms() + EPOCH_MS);
        struct size now = quiet();
        /* The first one shows how much it takes to work at all. */
        if (epochs++ == 0) first = now;
        CHECK_EQ(now.bytes, first.bytes);
        CHECK_EQ(now.fds, first.fds);
        CHECK(now.kb <= first.kb + SLACK_KB);
    }
    struct size last = quiet();
    fprintf(stderr, "manager: %d epochs, %llu operations, %llu recoveries; server: %d -> %d descriptors, %ld -> %ld kB\n", epochs,
            (unsigned long long)atomic_load(&shared->operations), (unsigned long long)atomic_load(&shared->recoveries), first.fds,
            last.fds, first.kb, last.kb);
    carom_lock_free(lock), carom_queue_free(queue), carom_list_free(list), carom_dict_free(dict);
    CHECK_OK(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
}

int main(int argc, char **argv) {
    seconds = argc > 1 ? atoll(argv[1]) : 4;
    seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL);
    fprintf(stderr, "torture_manager %lld 0x%llx\n", (long long)seconds, (unsigned long long)seed);
    CASE(soak);
    return 0;
}
