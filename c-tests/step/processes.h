/* Processes: whoever starts one, the child itself, and the keeper that is born with it or repairs a death. */
#ifndef STEP_PROCESSES_H
#define STEP_PROCESSES_H

#include "locks.h"

static int32_t says_seven(carom_call *call) { (void)call; return 7; }

/* The child may be the one that is killed: then its parent is told so, once. */
static void process_victim(void) {
    int32_t code = outcome_of(says_seven, NULL, 0);
    CHECK(code == 7 || (point.operation->descends && code == -SIGKILL));
}
static void process_fails_or_not(void) {
    carom_process *process = NULL;
    int32_t code = 0;
    CHECK_OK(carom_process_start(says_seven, NULL, 0, NULL, &process));
    CHECK_OK(carom_process_join(process, PATIENCE_MS));
    CHECK_OK(carom_process_exitcode(process, &code));
    CHECK_OK(carom_process_exitcode(process, &code));
    CHECK(code == 7 || code == -SIGKILL);
    carom_process_free(process);
}
static void process_after(void) { CHECK_EQ(outcome_of(says_seven, NULL, 0), 7); }

/* The family's keeper dies: the victim's next start makes another. */
static void no_keeper(void) {
    pid_t pids[8];
    int count = keepers(pids, 8), status;
    for (int i = 0; i < count; i++) {
        int fd = pidfd_of(pids[i]);
        kill(pids[i], SIGKILL);
        readable(fd);
        close(fd);
        waitpid(pids[i], &status, __WALL | WNOHANG);
    }
}

/* ---- a keeper that repairs ---- */

static carom_process *holder;
static int32_t holds_it(carom_call *call) {
    (void)call;
    CHECK_OK(carom_lock_acquire(lock, PATIENCE_MS));
    flag_add(&shared->holds, 1);
    for (;;) pause();
    return 0;
}
/* Somebody holds the lock, and the partner waits for it. */
static void somebody_holds(void) {
    atomic_store(&shared->holds, 0);
    holder = started(holds_it);
    flag_await(&shared->holds, 1);
    partner_begins();
}
static pid_t the_keeper(void) {
    pid_t pid = keeper();
    /* It has seen whom it is to watch. */
    asleep_in_(__FILE__, __LINE__, pid, pid, SYS_epoll_wait, SYS_epoll_pwait);
    return pid;
}
static void holder_dies(void) { kill(carom_process_pid(holder), SIGKILL); }
static void waiter_is_told(void) {
    partner_ends();
    CHECK(atomic_load(&shared->owner_died) == 1);
    CHECK_EQ(ended(holder), -SIGKILL);
    lock_use();
    CHECK(atomic_load(&shared->owner_died) == 1);
}

/* ---- other start methods ---- */

static carom_process_options by(const char *method) {
    carom_process_options options = {.size = sizeof options};
    CHECK_OK(carom_context_new(method, &options.context));
    return options;
}

/* Starts a process and joins it. Where the process itself, or who is to fork it, may be the one that is killed, its parent is
 * told so, in one way or the other. */
static void starts_by(const char *method, int fails_or_not) {
    carom_process_options options = by(method);
    carom_process *process = NULL;
    int32_t code = 0;
    carom_status status = carom_process_start(says_seven, NULL, 0, &options, &process);
    carom_context_free(options.context);
    if (fails_or_not && status == CAROM_EBROKEN) return;
    CHECK_STATUS(status, CAROM_OK);
    CHECK_OK(carom_process_join(process, PATIENCE_MS));
    CHECK_OK(carom_process_exitcode(process, &code));
    CHECK(code == 7 || (fails_or_not && code == -SIGKILL));
    carom_process_free(process);
}
static void spawn_victim(void) { starts_by("spawn", 0); }
static void spawn_fails_or_not(void) { starts_by("spawn", 1); }
static void forkserver_victim(void) { starts_by("forkserver", 0); }
/* A server of its own; if that is killed while it is born the next start makes another. */
static void server_victim(void) {
    carom_status status = carom_forkserver_start();
    if (status != CAROM_EBROKEN) CHECK_STATUS(status, CAROM_OK);
    starts_by("forkserver", 0);
}
static void server_starts(void) { CHECK_OK(carom_forkserver_start()); }

/* The server of this process. */
static pid_t the_server(void) {
    pid_t pids[2];
    CHECK_OK(carom_forkserver_start());
    CHECK_EQ(called("carom-server", pids, 2), 1);
    asleep_in_(__FILE__, __LINE__, pids[0], pids[0], SYS_poll, SYS_ppoll);
    return pids[0];
}
static void server_make(void) {
    more_fds = 1;
    starts_by("forkserver", 0);
}
static void server_unmake(void) {
    int fd = pidfd_of(the_server());
    CHECK_EQ(syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0), 0);
    readable(fd);
    close(fd);
}
/* Somebody starts a process meanwhile, in a thread: only the server's owner can ask it. */
static pthread_t asker;
static void *asks(void *nothing) {
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM); /* for the one who steps */
    pthread_sigmask(SIG_BLOCK, &alarm, NULL);
    starts_by("forkserver", point.operation->descends);
    return nothing;
}
static void asker_begins(void) { CHECK_EQ(pthread_create(&asker, NULL, asks, NULL), 0); }
static void asker_is_served(void) {
    CHECK_EQ(pthread_join(asker, NULL), 0);
    starts_by("forkserver", 0);
}

#define PROCESS_OPERATIONS                                                                                                 \
    {.name = "process, its starter", .victim = process_victim, .after = process_after},                                    \
    {.name = "process, itself", .victim = process_fails_or_not, .after = process_after, .descends = 1},                    \
    {.name = "keeper, its starter", .victim = process_victim, .after = process_after, .ready = no_keeper},                 \
    {.name = "keeper, born half-way", .victim = process_victim, .after = process_after, .ready = no_keeper,                \
     .descends = 1},                                                                                                       \
    {.name = "keeper, born", .victim = process_victim, .after = process_after, .ready = no_keeper, .descends = 2},         \
    {.name = "keeper, repairing", .make = lock_make, .unmake = lock_unmake, .before = somebody_holds,                      \
     .target = the_keeper, .begin = holder_dies, .after = waiter_is_told, .wait = lock_use, .accompanied = 1},             \
    {.name = "spawn, its starter", .victim = spawn_victim, .after = spawn_victim},                                         \
    {.name = "spawn, not yet executed", .victim = spawn_fails_or_not, .after = spawn_victim, .descends = 1},               \
    {.name = "spawn, itself", .victim = spawn_fails_or_not, .after = spawn_victim, .descends = 1, .executes = 1},          \
    {.name = "forkserver, its starter", .prelude = server_starts, .victim = forkserver_victim, .after = process_after},    \
    {.name = "server, its starter", .victim = server_victim, .after = process_after},                                      \
    {.name = "server, born half-way", .victim = server_victim, .after = process_after, .descends = 1},                     \
    {.name = "server, not yet executed", .victim = server_victim, .after = process_after, .descends = 2},                  \
    {.name = "server, itself", .victim = server_victim, .after = process_after, .descends = 2, .executes = 1},             \
    {.name = "server, forking", .make = server_make, .unmake = server_unmake, .target = the_server,                        \
     .begin = asker_begins, .after = asker_is_served},                                                                     \
    {.name = "forkserver, its child", .make = server_make, .unmake = server_unmake, .target = the_server,                  \
     .begin = asker_begins, .after = asker_is_served, .descends = 1}
#endif
