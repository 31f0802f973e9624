/* The forkserver: what it runs first, whose it is, how it dies and comes back. */
#include "support.h"

static int loaded; /* by the preload, in the server */
static int runs;

static carom_process *start(carom_function function, const carom_argument *arguments, size_t count) {
    static carom_context *context;
    if (!context) CHECK_OK(carom_context_new("forkserver", &context));
    carom_process_options options = {.size = sizeof options, .context = context};
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(function, arguments, count, &options, &process));
    return process;
}

/* The living servers of this session, by their name in ps: how many, and one of them. */
static int servers(pid_t *one) {
    pid_t pids[8];
    int count = called("carom-server", pids, 8);
    if (count > 0) *one = pids[count - 1];
    return count;
}

/* The only one; 0 if there is none. */
static pid_t server(void) {
    pid_t one = 0;
    CHECK(servers(&one) < 2);
    return one;
}

static void kill_and_await(pid_t pid) {
    int fd = pidfd_of(pid);
    CHECK_EQ(kill(pid, SIGKILL), 0);
    readable(fd);
    close(fd);
}

static int32_t loads(carom_call *call) {
    int64_t what;
    CHECK_OK(carom_call_read(call, 0, &what, sizeof what));
    loaded += (int)what;
    runs++;
    return 0;
}

static int32_t shows(carom_call *call) {
    (void)call;
    return 10 * runs + loaded;
}

static int32_t fails(carom_call *call) { return carom_call_fail(call, 7, "nothing to load"); }

static int32_t crashes(carom_call *call) {
    (void)call;
    abort();
}

static void preload(void) {
    carom_argument two = CAROM_INTEGER(2), three = CAROM_INTEGER(3);
    CHECK_OK(carom_forkserver_preload(loads, &two, 1));
    CHECK_OK(carom_forkserver_preload(loads, &three, 1));
    for (int i = 0; i < 3; i++) CHECK_EQ(ended(start(shows, NULL, 0)), 25);
    CHECK_EQ(loaded, 0);
    kill_and_await(server());
    CHECK_EQ(ended(start(shows, NULL, 0)), 25);
}

static void preload_that_fails(void) {
    CHECK_OK(carom_forkserver_preload(fails, NULL, 0));
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(carom_forkserver_start(), CAROM_EBROKEN);
        CHECK(strstr(carom_error_message(), "nothing to load"));
    }
    CHECK_EQ(server(), 0);
}

static void preload_that_crashes(void) {
    CHECK_OK(carom_forkserver_preload(crashes, NULL, 0));
    CHECK_STATUS(carom_forkserver_start(), CAROM_EBROKEN);
    CHECK_EQ(server(), 0);
}

/* It is no child of the host, has none of its descriptors, and nobody's Ctrl-C ends it. */
static void the_server_itself(void) {
    int pipes[2];
    CHECK_EQ(pipe(pipes), 0);
    CHECK_OK(carom_forkserver_start());
    pid_t pid = server();
    CHECK(pid > 0);
    CHECK_OK(carom_forkserver_start());
    CHECK_EQ(server(), pid);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    close(pipes[1]);
    CHECK_EQ(read(pipes[0], &pid, 1), 0);
    close(pipes[0]);
    pid = server();
    CHECK_EQ(kill(pid, SIGINT), 0);
    CHECK_EQ(ended(start(shows, NULL, 0)), 0);
    CHECK_EQ(server(), pid);
}

static int32_t waits(carom_call *call) {
    carom_event *ready = NULL, *go = NULL;
    CHECK_OK(carom_call_event(call, 0, &ready));
    CHECK_OK(carom_call_event(call, 1, &go));
    CHECK_OK(carom_event_set(ready));
    CHECK_EQ(carom_event_wait(go, PATIENCE_MS), 0);
    return 31;
}

/* The server dies: what it had forked goes on, and the next start makes another. */
static void server_killed(void) {
    carom_event *ready = NULL, *go = NULL;
    CHECK_OK(carom_event_new(&ready));
    CHECK_OK(carom_event_new(&go));
    carom_argument events[] = {CAROM_HANDLE(ready), CAROM_HANDLE(go)};
    carom_process *process = start(waits, events, 2);
    CHECK_EQ(carom_event_wait(ready, PATIENCE_MS), 0);
    pid_t first = server();
    kill_and_await(first);
    CHECK_EQ(carom_process_is_alive(process), 1);
    CHECK_EQ(ended(start(shows, NULL, 0)), 0);
    CHECK(server() != first && server() > 0);
    CHECK_OK(carom_event_set(go));
    CHECK_EQ(ended(process), 31);
    carom_event_free(go);
    carom_event_free(ready);
}

/* Stopped: a request is not lost, and nobody waits for ever. */
static void *continues(void *pid) {
    asleep_in_(__FILE__, __LINE__, getpid(), getpid(), SYS_ppoll, SYS_ppoll);
    CHECK_EQ(kill((pid_t)(intptr_t)pid, SIGCONT), 0);
    return NULL;
}

static void server_stopped(void) {
    CHECK_OK(carom_forkserver_start());
    pthread_t thread;
    pid_t pid = server();
    CHECK_EQ(kill(pid, SIGSTOP), 0);
    CHECK_EQ(pthread_create(&thread, NULL, continues, (void *)(intptr_t)pid), 0);
    CHECK_EQ(ended(start(shows, NULL, 0)), 0);
    pthread_join(thread, NULL);
}

/* Each process has its own, which ends with it. */
static int32_t uses_its_own(carom_call *call) {
    int64_t parents;
    CHECK_OK(carom_call_read(call, 0, &parents, sizeof parents));
    CHECK_EQ(kill((pid_t)parents, SIGSTOP), 0); /* ours is another */
    int32_t code = ended(start(shows, NULL, 0));
    CHECK_EQ(kill((pid_t)parents, SIGCONT), 0);
    return code == 0 ? 77 : 1;
}

static void everybody_has_his_own(void) {
    CHECK_OK(carom_forkserver_start());
    pid_t mine = server();
    carom_argument argument = CAROM_INTEGER(mine);
    CHECK_EQ(outcome_of(uses_its_own, &argument, 1), 77);
    pid_t one;
    for (int64_t until = now_ms() + PATIENCE_MS; servers(&one) > 1 && now_ms() < until;) sched_yield();
    CHECK_EQ(server(), mine);
}

static int32_t writes(carom_call *call) {
    (void)call;
    printf("to standard output");
    return 0;
}

/* What it forks writes to where the host writes now. */
static void streams(void) {
    CHECK_OK(carom_forkserver_start());
    int pipes[2], old = dup(1);
    char text[64] = "";
    CHECK_EQ(pipe2(pipes, O_CLOEXEC), 0);
    CHECK_EQ(dup2(pipes[1], 1), 1);
    close(pipes[1]);
    CHECK_EQ(ended(start(writes, NULL, 0)), 0);
    CHECK_EQ(dup2(old, 1), 1);
    close(old);
    CHECK_EQ(read(pipes[0], text, sizeof text), 18);
    CHECK_STR_EQ(text, "to standard output");
    CHECK_EQ(read(pipes[0], text, sizeof text), 0);
    close(pipes[0]);
}

int main(int argc, char **argv) {
    CHECK_OK(carom_init(argc, argv));
    more_fds = 1;
    CASE(preload);
    CASE(preload_that_fails);
    CASE(preload_that_crashes);
    CASE(the_server_itself);
    CASE(server_killed);
    CASE(server_stopped);
    CASE(everybody_has_his_own);
    CASE(streams);
    return 0;
}
