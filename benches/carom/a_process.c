/* A. Start a process that does nothing, join it, free its handle. */
#include "bench.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

enum { EACH_TURN = 100 };

static int32_t noop(carom_call *call) {
    (void)call;
    return 0;
}

static int32_t seven(carom_call *call) {
    (void)call;
    return 7;
}

static void check_exit_code(void) {
    carom_process *process = NULL;
    int32_t code = -1;
    OK(carom_process_start(seven, NULL, 0, NULL, &process));
    OK(carom_process_join(process, CAROM_FOREVER));
    OK(carom_process_exitcode(process, &code));
    if (code != 7) DIE("exit code %d instead of 7", code);
    carom_process_free(process);
}

static double with_method(const char *method) {
    carom_context *context = NULL;
    OK(carom_context_new(method, &context));
    carom_process_options options = {.size = sizeof options, .context = context};
    int64_t start = now_ns();
    for (int i = 0; i < EACH_TURN; i++) {
        carom_process *process = NULL;
        OK(carom_process_start(noop, NULL, 0, &options, &process));
        OK(carom_process_join(process, CAROM_FOREVER));
        carom_process_free(process);
    }
    double each = (double)(now_ns() - start) / 1e3 / EACH_TURN;
    carom_context_free(context);
    return each;
}

static double with_carom(void) { return with_method("fork"); }
static double with_spawn(void) { return with_method("spawn"); }
static double with_forkserver(void) { return with_method("forkserver"); }

/* This very program, which ends at once: what its loading costs. */
static pid_t vfork_exec(void) {
    pid_t pid = vfork();
    if (pid == 0) {
        execl("/proc/self/exe", "a_process", "end", (char *)NULL);
        _exit(1);
    }
    return pid;
}

static double with_vfork_exec(void) {
    int64_t start = now_ns();
    for (int i = 0; i < EACH_TURN; i++) {
        pid_t pid = vfork_exec();
        CHECK(pid >= 0);
        reap(pid);
    }
    return (double)(now_ns() - start) / 1e3 / EACH_TURN;
}

static double with_fork(void) {
    int64_t start = now_ns();
    for (int i = 0; i < EACH_TURN; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) _exit(0);
        reap(pid);
    }
    return (double)(now_ns() - start) / 1e3 / EACH_TURN;
}

/* The same in a process that stays small, whatever becomes of this one. */
static int asked[2], told[2];

static void small(void) {
    char one;
    while (read(asked[0], &one, 1) == 1) {
        double each = with_fork();
        CHECK(write(told[1], &each, sizeof each) == sizeof each);
    }
}

static double with_small_fork(void) {
    double each;
    CHECK(write(asked[1], "", 1) == 1 && read(told[0], &each, sizeof each) == sizeof each);
    return each;
}

/* ---- the least that a forkserver can do: a request that brings along a channel and the streams, a process that answers on it
 * with a descriptor of itself, and one that waits for the end of that ---- */

static int server;

static void send_fds(int to, const int *fds, size_t count) {
    char byte = 0;
    union { struct cmsghdr header; char room[CMSG_SPACE(3 * sizeof(int))]; } control;
    struct iovec part = {&byte, 1};
    struct msghdr whole = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
    CHECK(sendmsg(to, &whole, MSG_NOSIGNAL) == 1);
}

static int recv_fds(int from, int *fds, size_t count) {
    char byte;
    union { struct cmsghdr header; char room[CMSG_SPACE(3 * sizeof(int))]; } control;
    struct iovec part = {&byte, 1};
    struct msghdr whole = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    if (recvmsg(from, &whole, MSG_CMSG_CLOEXEC) != 1) return 0;
    memcpy(fds, CMSG_DATA(&control.header), count * sizeof(int));
    return 1;
}

static void serve(void) {
    int fds[3];
    while (recv_fds(server, fds, 3)) {
        if (fork() == 0) {
            int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
            dup2(fds[1], 1);
            dup2(fds[2], 2);
            send_fds(fds[0], &self, 1);
            _exit(0);
        }
        for (int i = 0; i < 3; i++) close(fds[i]);
        while (waitpid(-1, NULL, WNOHANG) > 0) {}
    }
}

static double with_bare_server(void) {
    int64_t start = now_ns();
    for (int i = 0; i < EACH_TURN; i++) {
        int pair[2], handle;
        CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
        send_fds(server, (int[]){pair[1], 1, 2}, 3);
        close(pair[1]);
        CHECK(recv_fds(pair[0], &handle, 1));
        struct pollfd item = {handle, POLLIN, 0};
        CHECK(poll(&item, 1, -1) == 1);
        close(handle);
        close(pair[0]);
    }
    return (double)(now_ns() - start) / 1e3 / EACH_TURN;
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "end") == 0) return 0;
    OK(carom_init(argc, argv));
    CHECK(pipe2(asked, O_CLOEXEC) == 0 && pipe2(told, O_CLOEXEC) == 0);
    int channel[2];
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) == 0);
    server = channel[0];
    pid_t helper = raw_fork(small), bare = raw_fork(serve);
    server = channel[1];
    check_exit_code();
    RACE("A.start_exit_join", "us", 15, {"carom", with_carom}, {"fork+_exit", with_fork});
    RACE("A.start_exit_join_spawn", "us", 15, {"carom", with_spawn}, {"vfork+exec-same", with_vfork_exec});
    RACE("A.start_exit_join_forkserver", "us", 15, {"carom", with_forkserver}, {"fork+_exit-small", with_small_fork},
         {"bare-forkserver", with_bare_server});
    size_t size = (size_t)1 << 30;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED && madvise(memory, size, MADV_NOHUGEPAGE) == 0);
    for (size_t i = 0; i < size; i += 4096) memory[i] = 1;
    RACE("A.start_exit_join_forkserver_1GiB", "us", 15, {"carom", with_forkserver}, {"fork+_exit-small", with_small_fork},
         {"bare-forkserver", with_bare_server});
    kill(helper, SIGKILL);
    kill(bare, SIGKILL);
    reap(helper);
    reap(bare);
    return 0;
}
