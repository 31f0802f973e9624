/* The host program is left alone, whatever it does with signals, children, descriptors and limits. */
#include "ends.h"

struct shared {
    flag go, up, done;
};
static struct shared *shared;

static int32_t waits(carom_call *call) {
    (void)call;
    flag_add(&shared->up, 1);
    flag_await(&shared->go, 1);
    return 17;
}

static int32_t with_number(carom_function function, int64_t number) {
    carom_argument argument = CAROM_INTEGER(number);
    return outcome_of(function, &argument, 1);
}

static void codes_are_right(void) {
    for (int i = 0; i < 20; i++) CHECK_EQ(with_number(returns, i * 12), i * 12);
    if (kernel_tells()) {
        CHECK_EQ(with_number(exits_at_once, 7), 7);
        CHECK_EQ(with_number(raises, SIGKILL), -SIGKILL);
        CHECK_EQ(with_number(raises, SIGSEGV), -SIGSEGV);
        CHECK_EQ(with_number(raises, SIGTERM), -SIGTERM);
    }
}

/* ------------------------------------------------------------------------------------------------------- children */

static void ignores_sigchld(void) {
    struct sigaction action;
    signal(SIGCHLD, SIG_IGN);
    codes_are_right();
    CHECK_EQ(sigaction(SIGCHLD, NULL, &action), 0);
    CHECK(action.sa_handler == SIG_IGN);
}

static flag sigchlds;
static void on_sigchld(int signal) {
    (void)signal;
    atomic_fetch_add(&sigchlds, 1);
}

static void wants_no_wait(void) {
    struct sigaction action = {.sa_handler = on_sigchld, .sa_flags = SA_NOCLDWAIT}, left;
    CHECK_EQ(sigaction(SIGCHLD, &action, NULL), 0);
    codes_are_right();
    CHECK_EQ(sigaction(SIGCHLD, NULL, &left), 0);
    CHECK(left.sa_handler == on_sigchld);
}

/* A handler that reaps whatever there is, as old programs have it. */
static void reap_all(int signal) {
    (void)signal;
    int kept = errno;
    while (waitpid(-1, NULL, WNOHANG) > 0) {}
    errno = kept;
}

static void reaps_in_a_handler(void) {
    struct sigaction action = {.sa_handler = reap_all};
    CHECK_EQ(sigaction(SIGCHLD, &action, NULL), 0);
    codes_are_right();
    signal(SIGCHLD, SIG_DFL);
}

static _Atomic int thief_ends;
static void *steals(void *unused) {
    (void)unused;
    while (!atomic_load(&thief_ends))
        if (wait(NULL) < 0) sched_yield();
    return NULL;
}

static void has_a_thief(void) {
    pthread_t thief;
    CHECK_EQ(pthread_create(&thief, NULL, steals, NULL), 0);
    codes_are_right();
    carom_process *processes[40];
    for (int i = 0; i < 40; i++) {
        carom_argument argument = CAROM_INTEGER(i);
        CHECK_OK(carom_process_start(returns, &argument, 1, NULL, &processes[i]));
    }
    for (int i = 0; i < 40; i++) CHECK_EQ(ended(processes[i]), i);
    atomic_store(&thief_ends, 1);
    pthread_join(thief, NULL);
}

static void waits_for_all(void) {
    carom_process *processes[4];
    for (int i = 0; i < 4; i++) CHECK_OK(carom_process_start(waits, NULL, 0, NULL, &processes[i]));
    flag_add(&shared->go, 1);
    int count = 0;
    while (wait(NULL) > 0) count++;
    CHECK_EQ(errno, ECHILD);
    CHECK_EQ(count, 4); /* what keeps the family is no child of the host */
    CHECK(keeper() > 0);
    for (int i = 0; i < 4; i++) CHECK_EQ(ended(processes[i]), 17);
}

/* Whoever was reaped by somebody else is no living child, although others live. */
static void children_of_a_host_that_reaps(void) {
    carom_process *lives = NULL, *ends = NULL;
    signal(SIGCHLD, SIG_IGN);
    CHECK_OK(carom_process_start(waits, NULL, 0, NULL, &lives));
    for (int i = 0; i < 3; i++) {
        carom_argument argument = CAROM_INTEGER(i);
        CHECK_OK(carom_process_start(returns, &argument, 1, NULL, &ends));
        readable(carom_process_fd(ends));
        carom_process_free(ends);
        int fds = fd_count();
        CHECK_EQ(carom_process_children(NULL, 0), 1);
        CHECK_EQ(fd_count(), fds - 1);
    }
    flag_add(&shared->go, 1);
    CHECK_EQ(ended(lives), 17);
}

/* The host's own children are the host's. */
static void has_children_of_its_own(void) {
    pid_t own = fork();
    if (own == 0) _exit(3);
    siginfo_t info;
    CHECK_EQ(waitid(P_PID, (id_t)own, &info, WEXITED | WNOWAIT), 0);
    codes_are_right();
    CHECK_EQ(carom_process_children(NULL, 0), 0);
    CHECK_OK(carom_shutdown(PATIENCE_MS));
    CHECK_EQ(wait_for(own), 3);
}

static void signals_stay(void) {
    struct sigaction before[65], after;
    sigset_t mask_before, mask_after;
    for (int signal = 1; signal <= 64; signal++) sigaction(signal, NULL, &before[signal]);
    pthread_sigmask(SIG_BLOCK, NULL, &mask_before);
    carom_lock *lock = NULL;
    CHECK_OK(carom_init(0, NULL));
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_EQ(with_number(returns, 9), 9);
    carom_lock_free(lock);
    CHECK_OK(carom_shutdown(PATIENCE_MS));
    pthread_sigmask(SIG_BLOCK, NULL, &mask_after);
    for (int signal = 1; signal <= 64; signal++) {
        if (sigaction(signal, NULL, &after) != 0) continue;
        check_eq_(__FILE__, __LINE__, strsignal(signal), after.sa_handler == before[signal].sa_handler, 1);
        check_eq_(__FILE__, __LINE__, strsignal(signal), sigismember(&mask_after, signal), sigismember(&mask_before, signal));
    }
}

static int thread_count(void) {
    int count = 0;
    DIR *directory = opendir("/proc/self/task");
    struct dirent *entry;
    while (directory && (entry = readdir(directory))) count += entry->d_name[0] != '.';
    if (directory) closedir(directory);
    return count;
}

static void no_thread_is_started(void) {
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(waits, NULL, 0, NULL, &process));
    flag_await(&shared->up, 1);
    CHECK_EQ(thread_count(), 1);
    flag_add(&shared->go, 1);
    CHECK_EQ(ended(process), 17);
    CHECK_EQ(thread_count(), 1);
}

/* ---------------------------------------------------------------------------------------------------- descriptors */

static int32_t has_only_null_below_3(carom_call *call) {
    (void)call;
    struct stat null, found;
    CHECK_EQ(stat("/dev/null", &null), 0);
    for (int fd = 0; fd < 3; fd++)
        if (fstat(fd, &found) == 0) CHECK_EQ(found.st_rdev, null.st_rdev);
    return 18;
}

static void streams_are_closed(void) {
    carom_lock *lock = NULL;
    carom_value *value = NULL;
    carom_process *process = NULL;
    close(0);
    close(1);
    close(2);
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_OK(carom_value_new(CAROM_RAW, NULL, 100000, NULL, &value));
    CHECK_OK(carom_process_start(waits, NULL, 0, NULL, &process));
    flag_await(&shared->up, 1);
    CHECK(carom_process_fd(process) > 2);
    for (int fd = 0; fd < 3; fd++) CHECK_EQ(fcntl(fd, F_GETFD), -1);
    CHECK_EQ(outcome_of(has_only_null_below_3, NULL, 0), 18);
    flag_add(&shared->go, 1);
    CHECK_EQ(ended(process), 17);
    for (int fd = 0; fd < 3; fd++) CHECK_EQ(fcntl(fd, F_GETFD), -1);
    carom_value_free(value);
    carom_lock_free(lock);
}

static void few_descriptors(void) {
    struct rlimit limit = {64, 64};
    static carom_process *processes[100];
    int started = 0;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    carom_status status = CAROM_OK;
    while (started < 100 && (status = carom_process_start(waits, NULL, 0, NULL, &processes[started])) == CAROM_OK) started++;
    CHECK_EQ(status, -EMFILE);
    CHECK(processes[started] == NULL);
    CHECK(started > 40);
    /* The call did not happen: nothing runs but what was started before. */
    CHECK_EQ(carom_process_children(NULL, 0), started);
    flag_await(&shared->up, (uint32_t)started);
    for (int i = 0; i < 3; i++) CHECK_EQ(carom_process_start(waits, NULL, 0, NULL, &processes[99]), -EMFILE);
    flag_add(&shared->go, 1);
    for (int i = 0; i < started; i++) CHECK_EQ(ended(processes[i]), 17);
    siginfo_t info;
    CHECK_EQ(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), -1);
    CHECK_EQ(errno, ECHILD);
    CHECK_EQ(atomic_load(&shared->up), started);
    CHECK_EQ(with_number(returns, 19), 19);
}

static void no_descriptors_at_all(void) {
    struct rlimit limit = {64, 64};
    int fillers[64], count = 0;
    carom_lock *lock = (carom_lock *)&limit;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while ((fillers[count] = dup(2)) >= 0) count++;
    CHECK_EQ(carom_lock_new(NULL, &lock), -EMFILE); /* the first call of a family needs two for a moment */
    CHECK(lock == NULL);
    close(fillers[--count]);
    CHECK_EQ(carom_lock_new(NULL, &lock), -EMFILE);
    close(fillers[--count]);
    CHECK_OK(carom_lock_new(NULL, &lock));
    while ((fillers[count] = dup(2)) >= 0) count++;
    /* From now on objects need none. */
    carom_value *value = NULL;
    CHECK_OK(carom_value_new(CAROM_RAW, NULL, 1000000, NULL, &value));
    CHECK_OK(carom_lock_acquire(lock, 0));
    CHECK_OK(carom_lock_release(lock));
    carom_value_free(value);
    carom_lock_free(lock);
    while (count > 0) close(fillers[--count]);
}

static void objects_cost_no_descriptor(void) {
    enum { MANY = 10000 };
    static carom_lock *locks[MANY];
    static carom_value *values[MANY];
    CHECK_OK(carom_lock_new(NULL, &locks[0]));
    int before = fd_count();
    for (int i = 1; i < MANY; i++) CHECK_OK(i % 2 ? carom_lock_new(NULL, &locks[i]) : carom_rlock_new(NULL, &locks[i]));
    for (int i = 0; i < MANY; i++) {
        int64_t initial = i;
        CHECK_OK(carom_value_new(CAROM_I64, &initial, sizeof initial, NULL, &values[i]));
    }
    CHECK_EQ(fd_count(), before);
    for (int i = 0; i < MANY; i++) {
        CHECK_OK(carom_lock_acquire(locks[i], 0));
        CHECK_EQ(*(int64_t *)carom_value_data(values[i]), i);
    }
    for (int i = 0; i < MANY; i++) {
        CHECK_OK(carom_lock_release(locks[i]));
        carom_lock_free(locks[i]);
        carom_value_free(values[i]);
    }
    CHECK_EQ(fd_count(), before);
}

/* --------------------------------------------------------------------------------------------------------- limits */

static void everything_works(void) {
    carom_lock *lock = NULL;
    carom_value *value = NULL;
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_OK(carom_value_new(CAROM_RAW, NULL, 1000000, NULL, &value));
    memset(carom_value_data(value), 1, 1000000);
    CHECK_OK(carom_lock_acquire(lock, 0));
    CHECK_EQ(with_number(returns, 20), 20);
    CHECK_OK(carom_lock_release(lock));
    carom_value_free(value);
    carom_lock_free(lock);
}

static void limited(int resource, rlim_t soft) {
    struct rlimit limit;
    CHECK_EQ(getrlimit((__rlimit_resource_t)resource, &limit), 0);
    limit.rlim_cur = soft;
    CHECK_EQ(setrlimit((__rlimit_resource_t)resource, &limit), 0);
}

static void refuses_to_begin(void) {
    carom_lock *lock = (carom_lock *)&lock;
    CHECK_STATUS(carom_lock_new(NULL, &lock), CAROM_ENOMEM);
    CHECK(lock == NULL);
    CHECK(*carom_error_message() != 0);
}

static void small_address_space(void) {
    NOT_UNDER_ASAN;
    limited(RLIMIT_AS, 1ul << 30);
    everything_works();
}

static void tiny_address_space(void) {
    NOT_UNDER_ASAN;
    limited(RLIMIT_AS, 100ul << 20);
    refuses_to_begin();
    limited(RLIMIT_AS, 1ul << 30);
    everything_works();
}

static void a_value_beyond_the_arena(void) {
    NOT_UNDER_ASAN;
    carom_value *value = NULL;
    limited(RLIMIT_AS, 1ul << 30);
    CHECK_STATUS(carom_value_new(CAROM_RAW, NULL, 1ul << 30, NULL, &value), CAROM_ENOMEM);
    CHECK(value == NULL);
    everything_works();
}

/* A file larger than the limit would be SIGXFSZ, and the end of the host. */
static void small_files(void) {
    limited(RLIMIT_FSIZE, 1 << 20);
    refuses_to_begin();
    limited(RLIMIT_FSIZE, 0);
    refuses_to_begin();
    limited(RLIMIT_FSIZE, 256 << 20);
    everything_works();
    limited(RLIMIT_FSIZE, 0);
    everything_works();
    limited(RLIMIT_FSIZE, RLIM_INFINITY); /* for what the test itself writes */
}

#define RUN(body) (shared = share(sizeof *shared), CASE(body))

int main(void) {
    RUN(ignores_sigchld);
    RUN(wants_no_wait);
    RUN(reaps_in_a_handler);
    RUN(has_a_thief);
    RUN(waits_for_all);
    RUN(children_of_a_host_that_reaps);
    RUN(has_children_of_its_own);
    RUN(signals_stay);
    RUN(no_thread_is_started);
    RUN(streams_are_closed);
    RUN(few_descriptors);
    RUN(no_descriptors_at_all);
    RUN(objects_cost_no_descriptor);
    RUN(small_address_space);
    RUN(tiny_address_space);
    RUN(a_value_beyond_the_arena);
    RUN(small_files);
    return 0;
}
