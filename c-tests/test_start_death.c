/*
 * Deaths while a process is started: of the parent, the keeper, the forkserver and the child, at any moment.
 */
#include "starts.h"

static int32_t waits(carom_call *call) {
    (void)call;
    for (;;) pause();
    return 0;
}

/* A living process of a session. */
struct one {
    pid_t pid, parent;
    char name[32];
};

/* Those of a session, but this one; `visit` may stop at one. How many were seen. */
static int living(pid_t session, int (*visit)(const struct one *it, void *ctx), void *ctx) {
    int count = 0;
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    while (proc && (entry = readdir(proc))) {
        struct one it = {.pid = atoi(entry->d_name)};
        if (it.pid <= 0 || it.pid == getpid() || getsid(it.pid) != session) continue;
        char path[64], text[512] = "", state = 0;
        snprintf(path, sizeof path, "/proc/%d/stat", (int)it.pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        if (fd >= 0) close(fd);
        text[len > 0 ? len : 0] = 0;
        char *from = strchr(text, '('), *to = strrchr(text, ')');
        if (!from || !to || sscanf(to + 1, " %c %d", &state, &it.parent) != 2 || state == 'Z' || state == 'X') continue;
        snprintf(it.name, sizeof it.name, "%.*s", (int)(to - from - 1), from + 1);
        count++;
        if (visit && visit(&it, ctx)) break;
    }
    if (proc) closedir(proc);
    return count;
}

static int kill_named(const struct one *it, void *name) {
    return strcmp(it->name, name) == 0 && kill(it->pid, SIGKILL) == 0;
}

static void nap_us(unsigned us) { nanosleep(&(struct timespec){0, (long)us * 1000}, NULL); }

/* ------------------------------------------------------------------------------------------------------ the parent */

static void a_host_that_starts_for_ever(void) {
    setsid();
    carom_process_options options = some();
    carom_argument argument = CAROM_INTEGER(3);
    carom_process *process = NULL;
    for (int i = 0;; i++) {
        CHECK_OK(carom_process_start(i % 3 ? returns : waits, &argument, 1, &options, &process));
        carom_process_free(process);
    }
}

/* Whenever it dies, nothing of its family lives on: no child, begun or not, no server, no keeper. */
static void host_killed(void) {
    for (unsigned round = 0; round < 30; round++) {
        pid_t host = fork();
        if (host == 0) a_host_that_starts_for_ever();
        nap_us(round * 397 % 6000);
        CHECK_EQ(kill(host, SIGKILL), 0);
        CHECK_EQ(wait_for(host), -SIGKILL);
        int64_t until = now_ms() + PATIENCE_MS;
        while (living(host, NULL, NULL) > 0) {
            if (now_ms() > until) check_fail_(__FILE__, __LINE__, "processes outlive their host", "", "", "");
            nap_us(200);
        }
    }
}

/* -------------------------------------------------------------------------------------------- the keeper, the server */

static int over;

/* Kills whatever of this session has this name, again and again. */
static void *kills(void *name) {
    for (unsigned i = 0; !__atomic_load_n(&over, __ATOMIC_ACQUIRE); i++) {
        living(getsid(0), kill_named, name);
        nap_us(i * 131 % 1500);
    }
    return NULL;
}

static void starts_while_it_dies(const char *name) {
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, kills, (void *)(uintptr_t)name), 0);
    for (int i = 0; i < 60; i++) {
        carom_process_options options = some();
        carom_argument argument = CAROM_INTEGER(i);
        carom_process *process = NULL;
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
static int kill_child(const struct one *it, void *nothing) {
    (void)nothing;
    int ours = it->parent == (server ? server : getpid()) && strcmp(it->name, "carom-keeper") != 0;
    return ours && kill(it->pid, SIGKILL) == 0;
}

static void *kills_children(void *nothing) {
    for (unsigned i = 0; !__atomic_load_n(&over, __ATOMIC_ACQUIRE); i++) {
        living(getsid(0), kill_child, NULL);
        nap_us(i * 131 % 700);
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
    for (int i = 0; i < 150 || refused + killed < 5; i++) {
        if (now_ms() > until) check_eq_(__FILE__, __LINE__, "children killed", refused + killed, 5);
        carom_process *process = NULL;
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

/* ------------------------------------------------------------------------------------------- a host with everything */

static int32_t forks_and_waits(carom_call *call) {
    for (int i = 0; i < 2; i++)
        if (fork() == 0) waits(NULL);
    return waits(call);
}

static int32_t starts_and_waits(carom_call *call) {
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(waits, NULL, 0, NULL, &process));
    return waits(call);
}

/* Two processes with a child each, a pool whose task has two. */
static void a_host_with_everything(void) {
    setsid();
    CHECK_OK(carom_attach());
    carom_process_options options = some();
    carom_pool_options many = {.size = sizeof many, .workers = 1, .context = options.context};
    carom_process *process = NULL;
    carom_pool *pool = NULL;
    carom_result *result = NULL;
    for (int i = 0; i < 2; i++) CHECK_OK(carom_process_start(starts_and_waits, NULL, 0, &options, &process));
    CHECK_OK(carom_pool_new(&many, &pool));
    CHECK_OK(carom_pool_apply_async(pool, forks_and_waits, NULL, 0, NULL, &result));
    for (;;) pause();
}

struct all {
    int count, fds[32];
};

static int note(const struct one *it, void *ctx) {
    struct all *all = ctx;
    int fd = all->count < 32 ? (int)syscall(SYS_pidfd_open, it->pid, 0) : -1;
    if (fd >= 0) all->fds[all->count++] = fd;
    return 0;
}

static int64_t outlived(int members) {
    struct all all = {.count = 0};
    pid_t host = fork();
    if (host == 0) a_host_with_everything();
    int64_t until = now_ms() + PATIENCE_MS;
    while (living(host, NULL, NULL) != members) {
        if (now_ms() > until) check_eq_(__FILE__, __LINE__, "members", living(host, NULL, NULL), members);
        nap_us(1000);
    }
    int fd = pidfd_of(host);
    living(host, note, &all);
    CHECK_EQ(kill(host, SIGKILL), 0);
    readable(fd);
    int64_t from = now_ms();
    for (int i = 0; i < all.count; i++) {
        readable(all.fds[i]);
        close(all.fds[i]);
    }
    int64_t took = now_ms() - from;
    close(fd);
    CHECK_EQ(wait_for(host), -SIGKILL);
    CHECK_EQ(living(host, NULL, NULL), 0);
    return took;
}

/* 100 ms after the host's descriptor tells, nothing of it lives. The machine may be busy, so one good round is enough; in
 * every round all of it ends. */
static void nothing_outlives_it(void) {
    /* Host, keeper, two processes with a child each, template, worker and its two; the server. */
    int members = 1 + 1 + 4 + 1 + 1 + 2 + (strcmp(method, "forkserver") == 0);
    int64_t least = INT64_MAX, until = now_ms() + PATIENCE_MS;
    do {
        int64_t took = outlived(members);
        least = took < least ? took : least;
    } while (least > 100 && now_ms() < until);
    fprintf(stderr, "  gone after %d ms\n", (int)least);
    CHECK(least <= 100);
}

int main(int argc, char **argv) {
    CHECK_OK(carom_init(argc, argv));
    const char *const methods[] = {"fork", "spawn", "forkserver"};
    for (int i = 0; i < 3; i++) {
        method = methods[i];
        more_fds = i == 2;
        fprintf(stderr, "by %s:\n", method);
        CASE(keeper_killed);
        CASE(child_killed);
        CASE(host_killed);
        CASE(nothing_outlives_it);
    }
    CASE(server_killed);
    return 0;
}
