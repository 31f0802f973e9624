/* Every start method in hosts that are not as one would like them. */
#include "starts.h"

#include <sys/mount.h>

static carom_process *start(carom_function function, const carom_argument *arguments, size_t count) {
    carom_process *process = NULL;
    carom_process_options options = {.size = sizeof options};
    CHECK_OK(carom_context_new(method, &options.context));
    CHECK_OK(carom_process_start(function, arguments, count, &options, &process));
    carom_context_free(options.context);
    return process;
}

static void codes(void) {
    for (int i = 0; i < 3; i++) {
        carom_argument seven = CAROM_INTEGER(7 + i), term = CAROM_INTEGER(SIGTERM);
        CHECK_EQ(ended(start(returns, &seven, 1)), 7 + i);
        if (!kernel_tells()) continue;
        CHECK_EQ(ended(start(exits_at_once, &seven, 1)), 7 + i);
        CHECK_EQ(ended(start(raises, &term, 1)), -SIGTERM);
    }
}

static void ordinary(void) { codes(); }

static void ignores_sigchld(void) {
    signal(SIGCHLD, SIG_IGN);
    codes();
}

static void no_zombies_by_flag(void) {
    CHECK_EQ(sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT}, NULL), 0);
    codes();
}

static void reap_all(int signal) {
    (void)signal;
    int saved = errno;
    while (waitpid(-1, NULL, WNOHANG) > 0) continue;
    errno = saved;
}

static void reaps_everything(void) {
    CHECK_EQ(sigaction(SIGCHLD, &(struct sigaction){.sa_handler = reap_all, .sa_flags = SA_RESTART}, NULL), 0);
    codes();
}

static int more_to_come = 1;

static void *reaps(void *nothing) {
    while (__atomic_load_n(&more_to_come, __ATOMIC_ACQUIRE)) waitpid(-1, NULL, WNOHANG);
    return nothing;
}

static void reaps_in_a_thread(void) {
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, reaps, NULL), 0);
    codes();
    __atomic_store_n(&more_to_come, 0, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
}

static void waits_for_all_its_children(void) {
    carom_argument seven = CAROM_INTEGER(7);
    carom_process *process = start(returns, &seven, 1);
    while (wait(NULL) > 0) continue; /* neither keeper nor server is among them */
    CHECK_EQ(errno, ECHILD);
    if (kernel_tells()) CHECK_EQ(ended(process), 7);
    else carom_process_free(process);
}

/* Its streams closed: nothing of ours is there, in the host or in the child. */
static int32_t has_no_strangers_in_its_streams(carom_call *call) {
    (void)call;
    char path[64], target[256];
    for (int fd = 1; fd < 3; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(path, target, sizeof target - 1);
        target[len < 0 ? 0 : len] = 0;
        if (strstr(target, "socket") || strstr(target, "carom") || strstr(target, "anon_inode")) return 100 + fd;
    }
    char byte;
    return read(0, &byte, 1) == 0 ? 4 : 99;
}

static void closed_streams(void) {
    int kept = fcntl(2, F_DUPFD_CLOEXEC, 100), codes_seen[2];
    for (int fd = 0; fd < 3; fd++) close(fd);
    for (int i = 0; i < 2; i++) codes_seen[i] = ended(start(has_no_strangers_in_its_streams, NULL, 0));
    for (int fd = 0; fd < 3; fd++) CHECK_EQ(fcntl(fd, F_GETFD), -1);
    CHECK_EQ(open("/dev/null", O_RDWR), 0);
    CHECK(dup2(kept, 1) == 1 && dup2(kept, 2) == 2);
    close(kept);
    CHECK_EQ(codes_seen[0], 4);
    CHECK_EQ(codes_seen[1], 4);
}

static int32_t waits(carom_call *call) {
    carom_event *go = NULL;
    CHECK_OK(carom_call_event(call, 0, &go));
    CHECK_EQ(carom_event_wait(go, PATIENCE_MS), 0);
    return 5;
}

/* As many as there are descriptors for; the one too many is a status, and leaves nothing. */
static void few_descriptors(void) {
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &(struct rlimit){64, 64}), 0);
    carom_event *go = NULL;
    CHECK_OK(carom_event_new(&go));
    carom_argument argument = CAROM_HANDLE(go);
    carom_process *processes[64] = {NULL};
    carom_process_options options = {.size = sizeof options};
    CHECK_OK(carom_context_new(method, &options.context));
    int count = 0;
    carom_status status;
    while ((status = carom_process_start(waits, &argument, 1, &options, &processes[count])) == CAROM_OK) count++;
    CHECK_STATUS(status, -EMFILE);
    CHECK(count > 40);
    CHECK_EQ(carom_process_children(NULL, 0), count);
    CHECK_OK(carom_event_set(go));
    for (int i = 0; i < count; i++) CHECK_EQ(ended(processes[i]), 5);
    CHECK_OK(carom_process_start(waits, &argument, 1, &options, &processes[0]));
    CHECK_EQ(ended(processes[0]), 5);
    CHECK_OK(carom_arena_check(NULL));
    carom_context_free(options.context);
    carom_event_free(go);
}

/* The first process of a container: orphans become its children. */
static void in_a_container(void) {
    NOT_UNDER_ASAN; /* whose search for leaks does not work there */
    if (unshare(CLONE_NEWPID) != 0) return; /* not allowed here */
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_EQ(getpid(), 1);
        codes();
        carom_argument seven = CAROM_INTEGER(7);
        CHECK_EQ(ended(start(returns, &seven, 1)), 7);
        exit(0);
    }
    CHECK_EQ(wait_for(pid), 0);
}

static void *starts_and_ends(void *go) {
    carom_argument argument = CAROM_HANDLE(go);
    return start(waits, &argument, 1);
}

/* The thread that started it is gone, and the process lives. */
static void a_thread_that_ends(void) {
    carom_event *go = NULL;
    CHECK_OK(carom_event_new(&go));
    void *process = NULL;
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, starts_and_ends, go), 0);
        CHECK_EQ(pthread_join(thread, &process), 0);
        CHECK_STATUS(carom_process_join(process, 20), CAROM_ETIMEDOUT);
        CHECK_OK(carom_event_set(go));
        CHECK_EQ(ended(process), 5);
        CHECK_OK(carom_event_clear(go));
    }
    carom_event_free(go);
}

/* Many threads start at once. */
static void *starts_some(void *nothing) {
    carom_argument seven = CAROM_INTEGER(7);
    for (int i = 0; i < 8; i++) CHECK_EQ(ended(start(returns, &seven, 1)), 7);
    return nothing;
}

static void many_threads(void) {
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) CHECK_EQ(pthread_create(&threads[i], NULL, starts_some, NULL), 0);
    for (int i = 0; i < 8; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_OK(carom_arena_check(NULL));
}

/* Where there is no /proc, functions of the program have no path, but names do; and this program cannot be begun anew
 * unless somebody says which it is. */
static void without_proc(void) {
    char self[PATH_MAX] = "";
    CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return;
    if (mount("none", "/proc", "tmpfs", 0, NULL) != 0) return;
    carom_argument seven = CAROM_INTEGER(7);
    carom_process *process = NULL;
    carom_process_options options = {.size = sizeof options};
    CHECK_OK(carom_context_new(method, &options.context));
    CHECK_STATUS(carom_process_start(exits_at_once, &seven, 1, &options, &process), CAROM_EFUNCTION);
    if (strcmp(method, "fork") != 0) {
        CHECK_STATUS(carom_process_start(returns, &seven, 1, &options, &process), CAROM_ENOENT);
        CHECK_OK(carom_set_executable(self, NULL));
    }
    carom_context_free(options.context);
    CHECK_EQ(ended(start(returns, &seven, 1)), 7);
    umount("/proc");
}

int main(int argc, char **argv) {
    CHECK_OK(carom_function_register("returns", returns));
    CHECK_OK(carom_init(argc, argv));
    for (int i = 0; by_method(i); i++) {
        CASE(ordinary);
        CASE(ignores_sigchld);
        CASE(no_zombies_by_flag);
        CASE(reaps_everything);
        CASE(reaps_in_a_thread);
        CASE(waits_for_all_its_children);
        CASE(closed_streams);
        CASE(few_descriptors);
        CASE(in_a_container);
        CASE(a_thread_that_ends);
        CASE(many_threads);
        CASE(without_proc);
    }
    return 0;
}
