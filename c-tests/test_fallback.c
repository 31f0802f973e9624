/*
 * Kernels and sandboxes that lack a system call: each optional one answered with ENOSYS, alone and all together, by a
 * seccomp filter that every process of the family inherits. All goes on as before. Without pidfd_open, which nothing
 * replaces, there are no other processes: a status says so, and the rest works.
 */
#include "support.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>

#define NO_WAITV 1u
#define NO_CLOSE_RANGE 2u
#define NO_GET_INFO 4u   /* ioctl of a pidfd: how a process ended that somebody else reaped */
#define NO_PIDFD_OPEN 8u
#define NO_LARGE_MMAP 16u /* of 64 GiB and more, as under valgrind */
#define FALL_BACKS 8u

#define GET_INFO 0xc040ff0bu /* PIDFD_GET_INFO */

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

static uint32_t refused;
static struct shared {
    flag up, go;
} *shared;
static carom_lock *lock;

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define HIGH_OF_ARGUMENT(n) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[n]) + 4)
#define REFUSE(errno_) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (errno_))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static void install(struct sock_filter *code, size_t count) {
    struct sock_fprog program = {(unsigned short)count, code};
    CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void refuse_call(uint32_t number) {
    struct sock_filter code[] = {LOAD(nr), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), REFUSE(ENOSYS), ALLOW};
    install(code, sizeof code / sizeof *code);
}

static void refuse_ioctl(uint32_t request) {
    struct sock_filter code[] = {LOAD(nr),      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
                                 LOAD(args[1]), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, request, 0, 1),
                                 REFUSE(ENOSYS), ALLOW};
    install(code, sizeof code / sizeof *code);
}

static void refuse_large_mmap(void) {
    struct sock_filter code[] = {LOAD(nr),            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 3),
                                 HIGH_OF_ARGUMENT(1), BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 16, 0, 1),
                                 REFUSE(EINVAL), ALLOW};
    install(code, sizeof code / sizeof *code);
}

/* Refuses what `refused` says, and proves it. */
static void refuse(void) {
    if (!refused) return;
    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    if (refused & NO_WAITV) {
        refuse_call(SYS_futex_waitv);
        CHECK_EQ(syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0), -1);
        CHECK_EQ(errno, ENOSYS);
    }
    if (refused & NO_CLOSE_RANGE) {
        refuse_call(SYS_close_range);
        CHECK_EQ(syscall(SYS_close_range, 1000000, 1000000, 0), -1);
        CHECK_EQ(errno, ENOSYS);
    }
    if (refused & NO_GET_INFO) {
        refuse_ioctl(GET_INFO);
        CHECK_EQ(ioctl(0, GET_INFO, NULL), -1);
        CHECK_EQ(errno, ENOSYS);
    }
    if (refused & NO_PIDFD_OPEN) {
        refuse_call(SYS_pidfd_open);
        CHECK_EQ(syscall(SYS_pidfd_open, getpid(), 0), -1);
        CHECK_EQ(errno, ENOSYS);
    }
    if (refused & NO_LARGE_MMAP) {
        refuse_large_mmap();
        CHECK(mmap(NULL, 64ul << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED);
        CHECK_EQ(errno, EINVAL);
    }
}

static int64_t number_of(carom_call *call) {
    int64_t number = -1;
    CHECK_OK(carom_call_read(call, 0, &number, sizeof number));
    return number;
}

static carom_process *start(carom_function function) {
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(function, NULL, 0, NULL, &process));
    return process;
}

/* ------------------------------------------------------------------------------------------------ locks and processes */

static int32_t holds(carom_call *call) {
    (void)call;
    CHECK_OK(carom_lock_acquire(lock, CAROM_FOREVER));
    flag_add(&shared->up, 1);
    for (;;) pause();
    return 0;
}

static int32_t meets_a_death(carom_call *call) {
    (void)call;
    CHECK_STATUS(carom_lock_acquire(lock, CAROM_FOREVER), CAROM_EOWNERDEAD);
    return 21;
}

static int32_t waits_its_turn(carom_call *call) {
    (void)call;
    CHECK_OK(carom_lock_acquire(lock, CAROM_FOREVER));
    flag_add(&shared->go, 1);
    CHECK_OK(carom_lock_release(lock));
    return 22;
}

/* The family's, and the template of a pool. */
static void kill_keepers(void) {
    pid_t pids[8];
    int count = keepers(pids, 8);
    CHECK(count > 0);
    while (count-- > 0) {
        int fd = pidfd_of(pids[count]);
        CHECK_EQ(kill(pids[count], SIGKILL), 0);
        readable(fd);
        close(fd);
    }
}

static void owner_dies(int keeper_dies) {
    enum { WAITERS = 3 };
    carom_process *waiters[WAITERS];
    CHECK_OK(carom_lock_new(NULL, &lock));
    atomic_store(&shared->up, 0);
    carom_process *holder = start(holds);
    flag_await(&shared->up, 1);
    for (int i = 0; i < WAITERS; i++) waiters[i] = start(meets_a_death);
    for (int i = 0; i < WAITERS; i++) asleep_on_futex(carom_process_pid(waiters[i]));
    if (keeper_dies) kill_keepers();
    CHECK_EQ(kill(carom_process_pid(holder), SIGKILL), 0); /* and nobody joins it: the sleepers must find out */
    for (int i = 0; i < WAITERS; i++) CHECK_EQ(ended(waiters[i]), 21);
    CHECK_EQ(ended(holder), -SIGKILL);
    CHECK_OK(carom_lock_recover(lock, 0));
    CHECK_EQ(carom_lock_locked(lock), 1);
    CHECK_OK(carom_lock_release(lock));
    carom_lock_free(lock);
}

static void lock_is_passed_on(void) {
    enum { WAITERS = 3 };
    carom_process *waiters[WAITERS];
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_OK(carom_lock_acquire(lock, 0));
    atomic_store(&shared->go, 0);
    for (int i = 0; i < WAITERS; i++) waiters[i] = start(waits_its_turn);
    for (int i = 0; i < WAITERS; i++) asleep_on_futex(carom_process_pid(waiters[i]));
    CHECK_EQ(atomic_load(&shared->go), 0);
    CHECK_OK(carom_lock_release(lock));
    for (int i = 0; i < WAITERS; i++) CHECK_EQ(ended(waiters[i]), 22);
    CHECK_OK(carom_lock_acquire(lock, 0));
    carom_lock *second = NULL;
    CHECK_OK(carom_lock_new(NULL, &second));
    CHECK_OK(carom_lock_acquire(second, 10));
    CHECK_OK(carom_lock_release(second));
    CHECK_OK(carom_lock_release(lock));
    carom_lock_free(second);
    carom_lock_free(lock);
}

static int32_t returns(carom_call *call) { return (int32_t)number_of(call); }
static int32_t dies(carom_call *call) {
    raise((int)number_of(call));
    return 0;
}

static int32_t with_number(carom_function function, int64_t number) {
    carom_argument argument = CAROM_INTEGER(number);
    return outcome_of(function, &argument, 1);
}

static void processes_end(void) {
    CHECK_EQ(with_number(returns, 0), 0);
    CHECK_EQ(with_number(returns, 77), 77);
    CHECK_EQ(with_number(dies, SIGKILL), -SIGKILL);
    /* Somebody else reaps them: then only the kernel could tell of a signal, but a code has been written down. */
    signal(SIGCHLD, SIG_IGN);
    CHECK_EQ(with_number(returns, 78), 78);
    int32_t code = 0;
    carom_process *process = NULL;
    carom_argument argument = CAROM_INTEGER(SIGKILL);
    CHECK_OK(carom_process_start(dies, &argument, 1, NULL, &process));
    CHECK_OK(carom_process_join(process, PATIENCE_MS));
    carom_process_exitcode(process, &code); /* whatever it says */
    CHECK(code != 78);
    carom_process_free(process);
    signal(SIGCHLD, SIG_DFL);
}

/* --------------------------------------------------------------------------------------------------------------- pools */

static int32_t plus_one(carom_call *call) {
    int64_t number = number_of(call) + 1;
    return carom_call_reply(call, &number, sizeof number) == CAROM_OK ? 0 : 1;
}

static int32_t for_ever(carom_call *call) {
    (void)call;
    flag_add(&shared->go, 1);
    for (;;) pause();
    return 0;
}

static int32_t holds_and_dies(carom_call *call) {
    (void)call;
    CHECK_OK(carom_lock_acquire(lock, CAROM_FOREVER));
    raise(SIGKILL);
    return 0;
}

static void goes_through(carom_pool *pool, int64_t number) {
    int64_t reply = 0;
    carom_argument argument = CAROM_INTEGER(number);
    CHECK_OK(carom_pool_apply(pool, plus_one, &argument, 1, NULL, &reply, sizeof reply, NULL, PATIENCE_MS));
    CHECK_EQ(reply, number + 1);
}

static void pool_lives(void) {
    carom_pool_options options = {.size = sizeof options, .workers = 2, .time_limit_ms = CAROM_NONE};
    carom_task_options limited = {.size = sizeof limited, .time_limit_ms = 20};
    carom_pool *pool = NULL;
    carom_result *waiting = NULL;
    carom_argument deadly = CAROM_INTEGER(SIGKILL);
    int ends[2];
    /* Ours, far up: neither template nor workers may keep it. The soft limit is lowered below it, as a host may. */
    struct rlimit before, low;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    int far = fcntl(ends[1], F_DUPFD_CLOEXEC, before.rlim_cur < 900 ? (int)before.rlim_cur - 1 : 900);
    CHECK(far > 0);
    close(ends[1]);
    low = before;
    low.rlim_cur = 256;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_OK(carom_pool_new(&options, &pool));
    for (int i = 0; i < 50; i++) goes_through(pool, i);
    close(far);
    readable(ends[0]);
    close(ends[0]);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (int i = 0; i < 4; i++) {
        CHECK_STATUS(carom_pool_apply(pool, dies, &deadly, 1, NULL, NULL, 0, NULL, PATIENCE_MS), CAROM_EWORKERLOST);
        goes_through(pool, i);
    }
    CHECK_STATUS(carom_pool_apply(pool, for_ever, NULL, 0, &limited, NULL, 0, NULL, PATIENCE_MS), CAROM_ETIMELIMIT);
    CHECK_STATUS(carom_pool_apply(pool, holds_and_dies, NULL, 0, NULL, NULL, 0, NULL, PATIENCE_MS), CAROM_EWORKERLOST);
    CHECK_STATUS(carom_lock_acquire(lock, PATIENCE_MS), CAROM_EOWNERDEAD);
    CHECK_OK(carom_lock_recover(lock, 0));
    CHECK_OK(carom_lock_release(lock));
    /* Its template dies, and a task with it; whoever waits finds out. */
    atomic_store(&shared->go, 0);
    CHECK_OK(carom_pool_apply_async(pool, for_ever, NULL, 0, NULL, &waiting));
    flag_await(&shared->go, 1);
    kill_keepers();
    CHECK_OK(carom_result_wait(waiting, PATIENCE_MS));
    CHECK_STATUS(carom_result_get(waiting, NULL, 0, NULL, 0), CAROM_EWORKERLOST);
    carom_result_free(waiting);
    goes_through(pool, 7);
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
    carom_lock_free(lock);
}

static void falls_back(void) {
    fprintf(stderr, "  without:%s%s%s%s\n", refused & NO_WAITV ? " futex_waitv" : "",
            refused & NO_CLOSE_RANGE ? " close_range" : "", refused & NO_GET_INFO ? " PIDFD_GET_INFO" : "",
            refused & NO_LARGE_MMAP ? " large mmap" : "");
    shared = share(sizeof *shared);
    refuse();
    lock_is_passed_on();
    owner_dies(0);
    owner_dies(1);
    processes_end();
    pool_lives();
}

/* --------------------------------------------------------------------------------------------- nothing but this process */

static void says_why(carom_status status) {
    CHECK_STATUS(status, CAROM_ENOTSUP);
    if (!strstr(carom_error_message(), "pidfd_open")) CHECK_STR_EQ(carom_error_message(), "something with pidfd_open");
}

static void *waits_in_a_thread(void *unused) {
    (void)unused;
    CHECK_OK(carom_lock_acquire(lock, CAROM_FOREVER));
    CHECK_OK(carom_lock_release(lock));
    return NULL;
}

static void no_processes(void) {
    carom_process *process = NULL;
    carom_pool *pool = NULL;
    says_why(carom_process_start(for_ever, NULL, 0, NULL, &process));
    CHECK(process == NULL);
    says_why(carom_pool_new(NULL, &pool));
    CHECK(pool == NULL);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_STATUS(carom_lock_acquire(lock, 0), CAROM_EFORKED);
        says_why(carom_attach());
        CHECK_STATUS(carom_lock_acquire(lock, 0), CAROM_EFORKED);
        _exit(0);
    }
    CHECK_EQ(wait_for(pid), 0);
    pid_t pids[8];
    CHECK_EQ(keepers(pids, 8), 0);
}

static void everything_else(void) {
    pthread_t thread;
    CHECK_OK(carom_lock_new(NULL, &lock));
    for (int i = 0; i < 3; i++) no_processes();
    CHECK_OK(carom_lock_acquire(lock, 0));
    CHECK_EQ(pthread_create(&thread, NULL, waits_in_a_thread, NULL), 0);
    carom_value *value = NULL;
    CHECK_OK(carom_value_new(CAROM_I64, NULL, 0, NULL, &value));
    CHECK_OK(carom_value_lock(value, 0));
    CHECK_OK(carom_value_unlock(value));
    carom_semaphore *semaphore = NULL;
    CHECK_OK(carom_semaphore_new(1, NULL, &semaphore));
    CHECK_OK(carom_semaphore_acquire(semaphore, CAROM_FOREVER));
    CHECK_STATUS(carom_semaphore_acquire(semaphore, 20), CAROM_ETIMEDOUT);
    carom_event *event = NULL;
    CHECK_OK(carom_event_new(&event));
    CHECK_STATUS(carom_event_wait(event, 20), CAROM_ETIMEDOUT);
    CHECK_OK(carom_event_set(event));
    CHECK_OK(carom_event_wait(event, CAROM_FOREVER));
    CHECK_OK(carom_lock_release(lock));
    CHECK_EQ(pthread_join(thread, NULL), 0);
    no_processes();
    carom_event_free(event);
    carom_semaphore_free(semaphore);
    carom_value_free(value);
    carom_lock_free(lock);
}

static void without_pidfd_open(void) {
    refuse();
    everything_else();
}

/* The family began before the sandbox did. */
static void pidfd_open_is_taken_away(void) {
    carom_lock *first = NULL;
    CHECK_OK(carom_lock_new(NULL, &first));
    refuse();
    everything_else();
    carom_lock_free(first);
}

int main(void) {
    for (refused = 0; refused < FALL_BACKS; refused++) CASE(falls_back);
    refused = NO_LARGE_MMAP;
    CASE(falls_back);
    refused = NO_LARGE_MMAP | (FALL_BACKS - 1);
    CASE(falls_back);
    refused = NO_PIDFD_OPEN;
    CASE(without_pidfd_open);
    CASE(pidfd_open_is_taken_away);
    refused = NO_PIDFD_OPEN | (FALL_BACKS - 1);
    CASE(without_pidfd_open);
    return 0;
}
