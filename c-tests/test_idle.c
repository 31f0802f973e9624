/* Who waits sleeps: a blocked call takes no processor time and is not woken for nothing. */
#include "queue.h"

static carom_queue *queue;
static carom_connection *ends[2];

/* How often a process was switched to, and for how many ns it ran. */
static void ran(pid_t pid, unsigned long long *ns, unsigned long long *times) {
    char path[64], text[128];
    unsigned long long waited;
    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    if (len <= 0) exit(77); /* a kernel without it */
    text[len] = 0;
    CHECK_EQ(sscanf(text, "%llu %llu %llu", ns, &waited, times), 3);
}

/* Some windows in a row without a single run. The first may see the last of what came before the sleep. */
static void sleeps_soundly(pid_t pid) {
    enum { WINDOW_MS = 150, IN_A_ROW = 3, MOST = 30 };
    unsigned long long ns, times, ns_then, times_then;
    int quiet = 0;
    for (int i = 0; i < MOST && quiet < IN_A_ROW; i++) {
        ran(pid, &ns, &times);
        usleep(WINDOW_MS * 1000);
        ran(pid, &ns_then, &times_then);
        quiet = ns == ns_then && times == times_then && state_of(pid, pid) == 'S' ? quiet + 1 : 0;
    }
    CHECK_EQ(quiet, IN_A_ROW);
}

static void blocked_in(carom_function function) {
    carom_process *process = NULL;
    carom_argument arguments[] = {CAROM_HANDLE(queue), CAROM_HANDLE(ends[0])};
    CHECK_OK(carom_process_start(function, arguments, 2, NULL, &process));
    pid_t pid = (pid_t)carom_process_pid(process);
    asleep_on_futex(pid);
    sleeps_soundly(pid);
    CHECK_OK(carom_process_kill(process));
    CHECK_EQ(ended(process), -SIGKILL);
}

static int32_t gets(carom_call *call) {
    int64_t number;
    return carom_queue_get(queue_of(call), &number, sizeof number, NULL, CAROM_FOREVER);
}
static int32_t gets_in_time(carom_call *call) {
    int64_t number;
    return carom_queue_get(queue_of(call), &number, sizeof number, NULL, 600 * 1000);
}
static int32_t fills(carom_call *call) {
    carom_queue *given = queue_of(call);
    for (;;) CHECK_OK(carom_queue_put(given, "x", 1, CAROM_FOREVER));
    return 0;
}
static int32_t receives(carom_call *call) {
    carom_connection *end = NULL;
    char message[8];
    CHECK_OK(carom_call_connection(call, 1, &end));
    return carom_connection_recv(end, message, sizeof message, NULL, CAROM_FOREVER);
}

static void idle(int single) {
    carom_queue_options options = {.size = sizeof options, .max_items = 2};
    options.single_producer = options.single_consumer = (uint32_t)single;
    CHECK_OK(carom_queue_new(&options, &queue));
    CHECK_OK(carom_pipe_new(NULL, &ends[0], &ends[1]));
    blocked_in(gets);
    blocked_in(gets_in_time);
    blocked_in(receives);
    blocked_in(fills);
    carom_queue_free(queue);
    carom_connection_free(ends[0]);
    carom_connection_free(ends[1]);
}
static void idle_plain(void) { idle(0); }
static void idle_single(void) { idle(1); }

int main(void) {
    CASE(idle_plain);
    CASE(idle_single);
    return 0;
}
