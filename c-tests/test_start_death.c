/*
 * Deaths while a process is started: of the keeper, the forkserver and the child, at any moment.
 */
#include "starts.h"

static int kill_named(const struct one *it, void *name) {
    return strcmp(it->name, name) == 0 && kill(it->pid, SIGKILL) == 0;
}

/* -------------------------------------------------------------------------------------------- the keeper, the server */

static int over, attempt;

/* Kills who has this name in this session, once for each start and at any time of it: more often nobody would get anywhere
 * on a busy machine. */
static void *kills(void *name) {
    int last = 0, now;
    for (unsigned i = 0; !__atomic_load_n(&over, __ATOMIC_ACQUIRE); i++) {
        nap_us(i * 131 % 1500);
        if ((now = __atomic_load_n(&attempt, __ATOMIC_ACQUIRE)) == last) continue;
        last = now;
        living(getsid(0), kill_named, name);
    }
    return NULL;
}

static void starts_while_it_dies(const char *name) {
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, kills, (void *)(uintptr_t)name), 0);
    for (int i = 0; i < 40; i++) {
        carom_process_options options = some();
        carom_argument argument = CAROM_INTEGER(i);
        carom_process *process = NULL;
        __atomic_store_n(&attempt, i + 1, __ATOMIC_RELEASE);
        /* A server that dies before it serves is a status; the next start makes another. */
        carom_status status = carom_process_start(returns, &argument, 1, &options, &process);
        carom_context_free(options.context);
        if (status == CAROM_EBROKEN && strcmp(name, "carom-server") == 0) continue;
        CHECK_STATUS(status, CAROM_OK);
        CHECK_EQ(ended(process), i);
    }
    __atomic_store_n(&over, 1, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    CHECK_OK(carom_arena_check(NULL));
}

static void keeper_killed(void) { starts_while_it_dies("carom-keeper"); }
static void server_killed(void) { starts_while_it_dies("carom-server"); }

/* ------------------------------------------------------------------------------------------------------- the child */

static pid_t server;

static int note_server(const struct one *it, void *nothing) {
    (void)nothing;
    if (strcmp(it->name, "carom-server") == 0 && it->parent != server) server = it->pid;
    return 0;
}

/* A child is whoever the server has forked, or this process, by whatever name, and is neither server nor keeper. */
static int hit;
static int kill_child(const struct one *it, void *nothing) {
    (void)nothing;
    int ours = it->parent == (server ? server : getpid()) && strcmp(it->name, "carom-keeper") != 0;
    return hit = ours && kill(it->pid, SIGKILL) == 0;
}

static void *kills_children(void *nothing) {
    int last = 0, now;
    for (unsigned i = 0; !__atomic_load_n(&over, __ATOMIC_ACQUIRE); i++) {
        nap_us(i * 131 % 700);
        if ((now = __atomic_load_n(&attempt, __ATOMIC_ACQUIRE)) == last) continue;
        /* Until one was there to be hit. */
        living(getsid(0), kill_child, NULL);
        if (hit) last = now;
        hit = 0;
    }
    return nothing;
}

/* It dies before, at or after its handshake: a status, or an exit code, and nothing is left. */
static void child_killed(void) {
    pthread_t thread;
    int refused = 0, killed = 0;
    carom_argument argument = CAROM_INTEGER(8);
    carom_process_options options = some();
    if (strcmp(method, "forkserver") == 0) {
        CHECK_OK(carom_forkserver_start());
        living(getsid(0), note_server, NULL);
        CHECK(server > 0);
    }
    CHECK_EQ(pthread_create(&thread, NULL, kills_children, NULL), 0);
    int64_t until = now_ms() + PATIENCE_MS;
    for (int i = 0; i < 60 || refused + killed < 3; i++) {
        if (now_ms() > until) check_eq_(__FILE__, __LINE__, "children killed", refused + killed, 3);
        carom_process *process = NULL;
        __atomic_store_n(&attempt, i + 1, __ATOMIC_RELEASE);
        carom_status status = carom_process_start(returns, &argument, 1, &options, &process);
        if (status != CAROM_OK) {
            CHECK_STATUS(status, CAROM_EBROKEN);
            refused++;
            continue;
        }
        int32_t code = ended(process);
        CHECK(code == 8 || code == -SIGKILL);
        killed += code != 8;
    }
    __atomic_store_n(&over, 1, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    fprintf(stderr, "  %d not started, %d killed\n", refused, killed);
    CHECK_EQ(carom_process_children(NULL, 0), 0);
    CHECK_OK(carom_arena_check(NULL));
    carom_context_free(options.context);
}

int main(int argc, char **argv) {
    CHECK_OK(carom_init(argc, argv));
    for (int i = 0; by_method(i); i++) {
        CASE(keeper_killed);
        CASE(child_killed);
    }
    CASE(server_killed);
    return 0;
}
