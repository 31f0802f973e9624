/*
 * Deaths while a process is started: of the parent, the keeper, the forkserver and the child, at any moment.
 */
#include "starts.h"

static int32_t waits(carom_call *call) {
    (void)call;
    for (;;) pause();
    return 0;
}

/* The living processes of a session: how many, but this one; and one whose name in ps is `name`. */
static int living(pid_t session, const char *name, pid_t *one) {
    int count = 0;
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    while (proc && (entry = readdir(proc))) {
        pid_t pid = atoi(entry->d_name);
        if (pid <= 0 || pid == getpid() || getsid(pid) != session) continue;
        char state = state_of(pid, pid), path[300], text[32] = "";
        if (state == 0 || state == 'Z' || state == 'X') continue;
        count++;
        snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        if (fd >= 0) close(fd);
        text[len > 0 ? len - 1 : 0] = 0;
        if (name && strcmp(text, name) == 0) *one = pid;
    }
    if (proc) closedir(proc);
    return count;
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
        pid_t pid = 0;
        living(getsid(0), name, &pid);
        if (pid > 0) kill(pid, SIGKILL);
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

static void *kills_children(void *nothing) {
    for (unsigned i = 0; !__atomic_load_n(&over, __ATOMIC_ACQUIRE); i++) {
        pid_t pid = 0;
        living(getsid(0), "test_start_deat", &pid); /* comm has 15 bytes */
        if (pid > 0) kill(pid, SIGKILL);
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
    CHECK_EQ(pthread_create(&thread, NULL, kills_children, NULL), 0);
    for (int i = 0; i < 150; i++) {
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
    }
    CASE(server_killed);
    return 0;
}
