/* G. Messages between two processes: over a pipe, two queues, over a connection of a socket, and over plain sockets. There and back,
 * awake and after a pause in which both fell asleep; and as many as go through in one direction. */
#include "bench.h"
#include <sys/socket.h>

enum { AWAKE = 5000, ASLEEP = 40, SMALL = 64, MANY = 20000, LARGE = 1 << 20, FEW = 100, BUFFER = 4 << 20 };
enum kind { PIPE, QUEUES, SOCKET, SEQPACKET, STREAM, SPIN, FUTEX };
enum task { ECHOES, SINK };

typedef struct {
    _Alignas(128) _Atomic uint32_t there;
    _Alignas(128) _Atomic uint32_t back;
    _Alignas(128) _Atomic uint32_t ready;
} shared_state;

static shared_state *shared;
static char data[LARGE];

typedef struct {
    enum kind kind;
    int fd;
    carom_connection *connection;
    carom_queue *out, *in;
} link_end;

static void put(const link_end *end, size_t len) {
    if (end->fd >= 0 && !end->connection) CHECK(send(end->fd, data, len, MSG_NOSIGNAL) == (ssize_t)len);
    else if (end->kind == QUEUES) OK(carom_queue_put(end->out, data, len, CAROM_FOREVER));
    else OK(carom_connection_send(end->connection, data, len, CAROM_FOREVER));
}
static void get(const link_end *end, size_t len) {
    size_t got = 0;
    if (end->kind == SEQPACKET) got = (size_t)recv(end->fd, data, sizeof data, 0);
    else if (end->kind == STREAM) got = (size_t)recv(end->fd, data, len, MSG_WAITALL); /* knows the length beforehand */
    else if (end->kind == QUEUES) OK(carom_queue_get(end->in, data, sizeof data, &got, CAROM_FOREVER));
    else OK(carom_connection_recv(end->connection, data, sizeof data, &got, CAROM_FOREVER));
    if (got != len) DIE("%zu bytes, not %zu", got, len);
}

static void spin_until(_Atomic uint32_t *word, uint32_t value) {
    while (atomic_load_explicit(word, memory_order_acquire) != value) {}
}
static void futex_until(_Atomic uint32_t *word, uint32_t value) {
    for (uint32_t seen; (seen = atomic_load(word)) != value;) futex_wait(word, seen);
}

static void answer(const link_end *end, uint32_t n) {
    if (end->kind == SPIN) {
        spin_until(&shared->there, n);
        atomic_store_explicit(&shared->back, n, memory_order_release);
    } else if (end->kind == FUTEX) {
        futex_until(&shared->there, n);
        atomic_store(&shared->back, n);
        futex_wake(&shared->back);
    } else {
        get(end, SMALL);
        put(end, SMALL);
    }
}
static void ask(const link_end *end, uint32_t n) {
    if (end->kind == SPIN) {
        atomic_store_explicit(&shared->there, n, memory_order_release);
        spin_until(&shared->back, n);
    } else if (end->kind == FUTEX) {
        atomic_store(&shared->there, n);
        futex_wake(&shared->there);
        futex_until(&shared->back, n);
    } else {
        put(end, SMALL);
        get(end, SMALL);
    }
}

static void work(const link_end *end, enum task task, uint32_t count, size_t len) {
    pin(1);
    atomic_store(&shared->ready, 1);
    for (uint32_t n = 1; n <= count; n++) {
        if (task == ECHOES) answer(end, n);
        else get(end, len);
    }
    if (task == SINK) put(end, 1);
}

typedef struct {
    int32_t task, count;
    int64_t len;
} order;

static int32_t works_at_queues(carom_call *call) {
    link_end end = {QUEUES, -1, NULL, NULL, NULL};
    order it;
    OK(carom_call_queue(call, 0, &end.out));
    OK(carom_call_read(call, 1, &it, sizeof it));
    OK(carom_call_queue(call, 2, &end.in));
    work(&end, (enum task)it.task, (uint32_t)it.count, (size_t)it.len);
    return 0;
}

static int32_t works_at_pipe(carom_call *call) {
    link_end end = {PIPE, -1, NULL, NULL, NULL};
    order it;
    OK(carom_call_connection(call, 0, &end.connection));
    OK(carom_call_read(call, 1, &it, sizeof it));
    work(&end, (enum task)it.task, (uint32_t)it.count, (size_t)it.len);
    return 0;
}

static pid_t child;
static carom_process *process;

static link_end start(enum kind kind, enum task task, int count, size_t len) {
    link_end mine = {kind, -1, NULL, NULL, NULL}, other = {kind, -1, NULL, NULL, NULL};
    memset(shared, 0, sizeof *shared);
    child = -1, process = NULL;
    if (kind == PIPE) {
        order it = {(int32_t)task, count, (int64_t)len};
        OK(carom_pipe_new(NULL, &mine.connection, &other.connection));
        carom_argument arguments[] = {CAROM_HANDLE(other.connection), CAROM_BYTES(&it, sizeof it)};
        OK(carom_process_start(works_at_pipe, arguments, 2, NULL, &process));
        carom_connection_free(other.connection);
    } else if (kind == QUEUES) {
        order it = {(int32_t)task, count, (int64_t)len};
        OK(carom_queue_new(NULL, &mine.out));
        OK(carom_queue_new(NULL, &mine.in));
        carom_argument arguments[] = {CAROM_HANDLE(mine.in), CAROM_BYTES(&it, sizeof it), CAROM_HANDLE(mine.out)};
        OK(carom_process_start(works_at_queues, arguments, 3, NULL, &process));
    } else {
        if (kind == SOCKET || kind == SEQPACKET || kind == STREAM) {
            int fds[2], size = BUFFER;
            CHECK(socketpair(AF_UNIX, (kind == SEQPACKET ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC, 0, fds) == 0);
            for (int i = 0; i < 2 && len == LARGE; i++) /* as root more than the system's limit, which a message of 1 MiB needs */
                if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size)) setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
            mine.fd = fds[0], other.fd = fds[1];
        }
        if (kind == SOCKET) OK(carom_connection_open(mine.fd, &mine.connection));
        if (kind == SOCKET) OK(carom_connection_open(other.fd, &other.connection));
        fflush(NULL);
        pid_t parent = getpid();
        CHECK((child = fork()) >= 0);
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() == parent) work(&other, task, (uint32_t)count, len);
            _exit(0);
        }
        if (kind == SOCKET) carom_connection_free(other.connection);
        if (kind == SEQPACKET || kind == STREAM) close(other.fd);
    }
    while (!atomic_load(&shared->ready)) sched_yield();
    return mine;
}

static void end_of(link_end *end) {
    if (process) {
        OK(carom_process_join(process, CAROM_FOREVER));
        carom_process_free(process);
    } else {
        reap(child);
    }
    carom_connection_free(end->connection);
    carom_queue_free(end->out);
    carom_queue_free(end->in);
    if (end->kind == SEQPACKET || end->kind == STREAM) close(end->fd);
}

static double awake(enum kind kind) {
    link_end end = start(kind, ECHOES, AWAKE, SMALL);
    uint32_t n = 1;
    for (; n <= AWAKE / 10; n++) ask(&end, n);
    int64_t begin = now_ns();
    for (; n <= AWAKE; n++) ask(&end, n);
    double ns = (double)(now_ns() - begin) / (AWAKE - AWAKE / 10);
    end_of(&end);
    return ns;
}

static double asleep(enum kind kind) {
    double times[ASLEEP];
    link_end end = start(kind, ECHOES, ASLEEP, SMALL);
    for (uint32_t n = 1; n <= ASLEEP; n++) {
        usleep(300);
        int64_t begin = now_ns();
        ask(&end, n);
        times[n - 1] = (double)(now_ns() - begin);
    }
    end_of(&end);
    qsort(times, ASLEEP, sizeof times[0], compare_doubles);
    return times[ASLEEP / 2];
}

static double through(enum kind kind, int count, size_t len) {
    link_end end = start(kind, SINK, count, len);
    int64_t begin = now_ns();
    for (int i = 0; i < count; i++) put(&end, len);
    get(&end, 1);
    double seconds = (double)(now_ns() - begin) / 1e9;
    end_of(&end);
    return len == LARGE ? count / seconds : count / seconds / 1e3;
}

#define TURNS(name, kind)                                                          \
    static double name##_awake(void) { return awake(kind); }                       \
    static double name##_small(void) { return through(kind, MANY, SMALL); }        \
    static double name##_large(void) { return through(kind, FEW, LARGE); }
TURNS(pipe, PIPE)
TURNS(socket, SOCKET)
TURNS(seqpacket, SEQPACKET)
static double stream_large(void) { return through(STREAM, FEW, LARGE); }
static double queues_awake(void) { return awake(QUEUES); }
static double queues_asleep(void) { return asleep(QUEUES); }
static double pipe_asleep(void) { return asleep(PIPE); }
static double spin_awake(void) { return awake(SPIN); }
static double futex_asleep(void) { return asleep(FUTEX); }

int main(int argc, char **argv) {
    OK(carom_init(argc, argv));
    remember_cpus();
    shared = shared_memory(sizeof *shared);
    pin(0);
    RACE("G.pipe_awake", "ns", 21, {"carom.pipe", pipe_awake}, {"shm-spin", spin_awake});
    RACE("G.pipe_asleep", "ns", 21, {"carom.pipe", pipe_asleep}, {"futex", futex_asleep});
    RACE("G.queue_awake", "ns", 21, {"carom", queues_awake}, {"shm-spin", spin_awake});
    RACE("G.queue_asleep", "ns", 21, {"carom", queues_asleep}, {"futex", futex_asleep});
    RACE("G.socket_roundtrip", "ns", 21, {"carom.connection", socket_awake}, {"seqpacket", seqpacket_awake});
    RACE("G.64B", "kmsg/s", 21, {"carom.connection", socket_small}, {"seqpacket", seqpacket_small}, {"carom.pipe", pipe_small});
    RACE("G.1MiB", "MiB/s", 11, {"carom.connection", socket_large}, {"seqpacket", seqpacket_large}, {"stream", stream_large}, {"carom.pipe", pipe_large});
    return 0;
}
