/* H. What an idle worker of a pool costs: memory that only it has, and its proportional share (smaps_rollup); how often it wakes, and
 * what descriptors its pool takes in the host. */
#include "bench.h"
#include <dirent.h>

enum { WORKERS = 8 };

static void sleep_for_ever(void) {
    for (;;) pause();
}

static void add_memory(pid_t pid, double *private_kib, double *pss_kib) {
    char path[64], line[256];
    long kib;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "Private_Clean: %ld", &kib) == 1 || sscanf(line, "Private_Dirty: %ld", &kib) == 1) *private_kib += (double)kib;
        if (sscanf(line, "Pss: %ld", &kib) == 1) *pss_kib += (double)kib;
    }
    fclose(file);
}

static void emit_memory(const char *peer, const pid_t *pids) {
    double private_kib = 0, pss_kib = 0;
    for (int i = 0; i < WORKERS; i++) add_memory(pids[i], &private_kib, &pss_kib);
    emit(peer, "H.idle_worker_private", private_kib / WORKERS, "KiB");
    emit(peer, "H.idle_worker_pss", pss_kib / WORKERS, "KiB");
}

static void limit(void) {
    pid_t pids[WORKERS];
    for (int i = 0; i < WORKERS; i++) pids[i] = raw_fork(sleep_for_ever);
    usleep(100000);
    emit_memory("C-fork-worker", pids);
    for (int i = 0; i < WORKERS; i++) {
        kill(pids[i], SIGKILL);
        reap(pids[i]);
    }
}

/* How often the processes have gone to sleep, which they did once more than they woke. */
static double switches_of(const pid_t *pids) {
    double all = 0;
    for (int i = 0; i < WORKERS; i++) {
        char path[64], line[256];
        long count;
        snprintf(path, sizeof path, "/proc/%d/status", (int)pids[i]);
        FILE *file = fopen(path, "r");
        CHECK(file != NULL);
        while (fgets(line, sizeof line, file))
            if (sscanf(line, "voluntary_ctxt_switches: %ld", &count) == 1) all += (double)count;
        fclose(file);
    }
    return all;
}

static int descriptors(void) {
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    CHECK(directory != NULL);
    while (readdir(directory)) count++;
    closedir(directory);
    return count;
}

static int32_t increment(carom_call *call) {
    int32_t number;
    if (carom_call_read(call, 0, &number, sizeof number) != CAROM_OK) return 1;
    number++;
    carom_call_reply(call, &number, sizeof number);
    return 0;
}

static void with_carom(void) {
    carom_pool_options options = {.size = sizeof options, .workers = WORKERS, .events = CAROM_POOL_WORKER_UP};
    carom_pool *pool = NULL;
    pid_t pids[WORKERS];
    carom_event *first = NULL; /* makes the family, whose descriptors are not the pool's */
    OK(carom_event_new(&first));
    int before = descriptors();
    OK(carom_pool_new(&options, &pool));
    for (int i = 0; i < WORKERS; i++) {
        carom_pool_event event = {.size = sizeof event};
        OK(carom_pool_next_event(pool, &event, 5000));
        if (event.kind != CAROM_POOL_WORKER_UP || kill(event.pid, 0) != 0) DIE("event %u names process %d", event.kind, event.pid);
        pids[i] = event.pid;
    }
    /* A worker that has worked: its stack and its lane are touched, as those of the Python workers are. */
    int32_t numbers[1000], answers[1000];
    for (int i = 0; i < 1000; i++) numbers[i] = i;
    OK(carom_pool_map(pool, increment, numbers, sizeof numbers[0], 1000, NULL, answers, sizeof answers[0], CAROM_FOREVER));
    for (int i = 0; i < 1000; i++)
        if (answers[i] != i + 1) DIE("map: item %d is %d", i, answers[i]);
    usleep(100000);
    emit_memory("carom", pids);
    double woken = switches_of(pids);
    sleep(1);
    emit("carom", "H.idle_worker_wakeups", (switches_of(pids) - woken) / WORKERS, "wakes");
    emit("carom", "H.pool_descriptors", descriptors() - before, "fds");
    carom_event_free(first);
    OK(carom_pool_terminate(pool));
    OK(carom_pool_join(pool, CAROM_FOREVER));
    carom_pool_free(pool);
}

int main(int argc, char **argv) {
    OK(carom_init(argc, argv));
    limit();
    with_carom();
    return 0;
}
