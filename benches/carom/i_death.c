/* I. A worker kills itself with SIGKILL in the middle of a task. Every figure counts from the last thing that it did:
 * writing the clock into memory that both sides see. */
#include "bench.h"
#include <poll.h>

typedef struct { _Atomic int64_t killed_ns; _Atomic int64_t running_ns; _Atomic int32_t killed_pid; _Atomic uint32_t go; } shared_state;
static shared_state *shared;
static carom_pool *pool, *pool_of_one;

static void die_now(void) {
    atomic_store(&shared->killed_pid, getpid());
    atomic_store(&shared->killed_ns, now_ns());
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static int32_t die(carom_call *call) {
    (void)call;
    die_now();
    return 0;
}

static int32_t note_running(carom_call *call) {
    int32_t pid = getpid();
    atomic_store(&shared->running_ns, now_ns());
    carom_call_reply(call, &pid, sizeof pid);
    return 0;
}

static double since_kill_us(int64_t then) {
    int64_t killed = atomic_load(&shared->killed_ns);
    if (killed == 0 || then < killed) DIE("the clock runs backwards");
    return (double)(then - killed) / 1e3;
}

static void forget(void) {
    atomic_store(&shared->killed_ns, 0);
    atomic_store(&shared->running_ns, 0);
    atomic_store(&shared->go, 0);
}

static void check_lost(carom_result *result) {
    carom_verdict verdict = {.size = sizeof verdict};
    OK(carom_result_verdict(result, &verdict));
    if (verdict.status != CAROM_EWORKERLOST || verdict.signal != SIGKILL || verdict.pid != atomic_load(&shared->killed_pid))
        DIE("verdict: %s, signal %d, pid %d", carom_status_name(verdict.status), verdict.signal, verdict.pid);
}

static double lost_with_carom(void) {
    carom_result *result = NULL;
    forget();
    OK(carom_pool_apply_async(pool, die, NULL, 0, NULL, &result));
    OK(carom_result_wait(result, CAROM_FOREVER));
    double us = since_kill_us(now_ns());
    check_lost(result);
    carom_result_free(result);
    usleep(1000);    /* the replacement comes up now, not in the next turn */
    return us;
}

/* One worker, and the second task submitted before the first one dies: what is measured is the way from death to work, without
 * a report to the host and a new order from it in between. */
static double replaced_with_carom(void) {
    carom_result *lost = NULL, *next = NULL;
    int32_t pid = 0;
    forget();
    OK(carom_pool_apply_async(pool_of_one, die, NULL, 0, NULL, &lost));
    OK(carom_pool_apply_async(pool_of_one, note_running, NULL, 0, NULL, &next));
    OK(carom_result_get(next, &pid, sizeof pid, NULL, CAROM_FOREVER));
    OK(carom_result_wait(lost, CAROM_FOREVER));
    check_lost(lost);
    if (pid == atomic_load(&shared->killed_pid)) DIE("the dead worker %d ran a task", pid);
    carom_result_free(lost);
    carom_result_free(next);
    return since_kill_us(atomic_load(&shared->running_ns));
}

/* ---- limits: a parent asleep in poll on a pidfd, and a fork ---- */
static void wait_then_die(void) {
    while (atomic_load(&shared->go) == 0) futex_wait(&shared->go, 0);
    die_now();
}
static void note_and_exit(void) {
    atomic_store(&shared->running_ns, now_ns());
}

static int64_t noticed_ns;

static pid_t death_by_pidfd(void) {
    forget();
    pid_t pid = raw_fork(wait_then_die);
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    CHECK(fd >= 0);
    usleep(300);
    atomic_store(&shared->go, 1);
    futex_wake(&shared->go);
    struct pollfd item = {.fd = fd, .events = POLLIN};
    CHECK(poll(&item, 1, -1) == 1);
    noticed_ns = now_ns();
    close(fd);
    return pid;
}

static double lost_with_pidfd(void) {
    reap(death_by_pidfd());
    return since_kill_us(noticed_ns);
}

static double replaced_with_fork(void) {
    reap(death_by_pidfd());
    reap(raw_fork(note_and_exit));
    return since_kill_us(atomic_load(&shared->running_ns));
}

int main(int argc, char **argv) {
    OK(carom_init(argc, argv));
    shared = shared_memory(sizeof *shared);
    /* Hundreds of deaths a second are the benchmark's own; the default restart limit would rightly call them a broken pool. */
    carom_pool_options options = {.size = sizeof options, .workers = 2};
    OK(carom_pool_new(&options, &pool));
    options.workers = 1;
    OK(carom_pool_new(&options, &pool_of_one));
    RACE("I.lost_worker_reported", "us", 100, {"carom", lost_with_carom}, {"pidfd-poll", lost_with_pidfd});
    RACE("I.worker_replaced", "us", 100, {"carom", replaced_with_carom}, {"pidfd-poll+fork", replaced_with_fork});
    carom_pool *pools[] = {pool, pool_of_one};
    for (int i = 0; i < 2; i++) {
        OK(carom_pool_terminate(pools[i]));
        OK(carom_pool_join(pools[i], CAROM_FOREVER));
        carom_pool_free(pools[i]);
    }
    return 0;
}
