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

#define PROCESS_OPERATIONS                                                                                                 \
    {.name = "process, its starter", .victim = process_victim, .after = process_after},                                    \
    {.name = "process, itself", .victim = process_fails_or_not, .after = process_after, .descends = 1},                    \
    {.name = "keeper, its starter", .victim = process_victim, .after = process_after, .ready = no_keeper},                 \
    {.name = "keeper, born half-way", .victim = process_victim, .after = process_after, .ready = no_keeper,                \
     .descends = 1},                                                                                                       \
    {.name = "keeper, born", .victim = process_victim, .after = process_after, .ready = no_keeper, .descends = 2},         \
    {.name = "keeper, repairing", .make = lock_make, .unmake = lock_unmake, .before = somebody_holds,                      \
     .target = the_keeper, .begin = holder_dies, .after = waiter_is_told, .wait = lock_use, .accompanied = 1}
#endif
