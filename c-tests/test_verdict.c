/* What a verdict says about what the task used, and which limit ended it. */
#include "pool_limit.h"

#define MS 1000000LL

static int64_t cpu_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1000 * MS + t.tv_nsec;
}
/* Works until the processor has done so much for it, whatever else the machine is doing. */
static void burn(int64_t ms) {
    for (int64_t until = cpu_now() + ms * MS; cpu_now() < until;) {}
}

enum end { DONE, FAILED, CRASHED, KILLED, LEFT, EVERY_END };

static int32_t burn_and_end(carom_call *call) {
    burn(10);
    switch (argument_of(call)) {
    case FAILED: return 7;
    case CRASHED: abort();
    case KILLED: kill(getpid(), SIGKILL); break;
    case LEFT: exit(3);
    }
    return 0;
}
static int32_t burn_long(carom_call *call) {
    (void)call;
    burn(80);
    return 0;
}
static int32_t sleep_a_little(carom_call *call) {
    (void)call;
    usleep(60000);
    return 0;
}

static void processor_time(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    for (int i = 0; i < EVERY_END; i++) {
        /* What the worker did before does not count. */
        carom_result *before = submit(pool, burn_long, 0), *result = submit(pool, burn_and_end, i);
        carom_verdict verdict = verdict_of(result);
        CHECK(verdict.cpu_ns >= 9 * MS && verdict.cpu_ns < 80 * MS);
        CHECK(verdict.elapsed_ns >= 9 * MS);
        CHECK_EQ(verdict.limit, 0);
        carom_result_free(result);
        carom_result_free(before);
        result = submit(pool, sleep_a_little, 0);
        verdict = verdict_of(result);
        CHECK(verdict.cpu_ns >= 0 && verdict.cpu_ns < 20 * MS && verdict.elapsed_ns >= 60 * MS);
        carom_result_free(result);
    }
    finish(pool);
}

static int32_t nothing(carom_call *call) {
    (void)call;
    return 0;
}

/* Short tasks add up to what they took: none has what the one before it did, nor what the sleep in between was. */
static void of_short_tasks(void) {
    enum { TASKS = 500 };
    carom_pool *pool = pool_of(1, 0, 0);
    carom_result *results[TASKS];
    carom_result_free(submit(pool, burn_long, 0));
    for (int i = 0; i < TASKS; i++) results[i] = submit(pool, nothing, 0);
    int64_t cpu = 0, elapsed = 0;
    for (int i = 0; i < TASKS; i++) {
        carom_verdict verdict = verdict_of(results[i]);
        cpu += verdict.cpu_ns;
        elapsed += verdict.elapsed_ns;
        carom_result_free(results[i]);
    }
    CHECK(cpu <= elapsed + TASKS * 50000);
    CHECK(cpu < 80 * MS);
    finish(pool);
}

/* In threads of the task: all of them count. */
static void *burn_there(void *nothing) {
    int64_t from = cpu_now();
    while (cpu_now() < from + 40 * MS) {}
    return nothing;
}
static int32_t burn_in_threads(carom_call *call) {
    pthread_t threads[4];
    (void)call;
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, burn_there, NULL);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    abort();
}
static void of_threads(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    carom_result *result = submit(pool, burn_in_threads, 0);
    carom_verdict verdict = verdict_of(result);
    CHECK(verdict.cpu_ns >= 39 * MS);
    carom_result_free(result);
    finish(pool);
}

/* What an earlier task of the worker had for a while is not this one's, and its own is. */
static int32_t has_for_a_while(carom_call *call) {
    size_t size = (size_t)argument_of(call) << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 1;
    for (size_t at = 0; at < size; at += 4096) memory[at] = 1;
    munmap(memory, size);
    if (size > 64 << 20) raise(SIGKILL);
    return 0;
}
static void memory(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    carom_result *result = submit(pool, has_for_a_while, 100);
    carom_verdict large = verdict_of(result);
    CHECK_EQ(large.signal, SIGKILL);
    CHECK(large.max_rss_bytes >= 100 << 20);
    carom_result_free(result);
    result = submit(pool, has_for_a_while, 64);
    CHECK_OK(verdict_of(result).status);
    carom_result_free(result);
    result = submit(pool, kill_self, SIGKILL);
    carom_verdict small = verdict_of(result);
    CHECK(small.max_rss_bytes > 0);
    if (access("/proc/self/clear_refs", W_OK) == 0) CHECK(small.max_rss_bytes < large.max_rss_bytes - (90 << 20));
    carom_result_free(result);
    finish(pool);
}

/* Out of time, and out of what the system allows. The kernel counts for its limit by ticks, which may be far off on a busy machine: so some of it is used for sure. */
static int32_t burn_for_ever(carom_call *call) {
    struct rlimit limit = {1, RLIM_INFINITY};
    (void)call;
    burn(200);
    setrlimit(RLIMIT_CPU, &limit);
    for (;;) {}
    return 0;
}
static int32_t write_too_much(carom_call *call) {
    struct rlimit limit = {1000, RLIM_INFINITY};
    char page[4096] = {0};
    (void)call;
    setrlimit(RLIMIT_FSIZE, &limit);
    int fd = memfd_create("test", MFD_CLOEXEC);
    while (write(fd, page, sizeof page) > 0) {}
    return 0;
}
static char *printed(const carom_verdict *verdict) {
    static char text[8192];
    int fds[2];
    CHECK_EQ(pipe(fds), 0);
    CHECK_OK(carom_verdict_print(verdict, fds[1]));
    close(fds[1]);
    ssize_t len = read(fds[0], text, sizeof text - 1);
    close(fds[0]);
    text[len < 0 ? 0 : len] = 0;
    return text;
}
static void which_limit(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    carom_result *result = submit_limited(pool, run_for, -1, 30);
    carom_verdict verdict = verdict_of(result);
    CHECK_STATUS(verdict.status, CAROM_ETIMELIMIT);
    CHECK_EQ(verdict.limit, CAROM_LIMIT_TIME);
    CHECK(verdict.elapsed_ns >= 30 * MS && verdict.cpu_ns < 25 * MS && verdict.max_rss_bytes > 0);
    CHECK(strstr(printed(&verdict), "\n  limit     time\n") != NULL);
    carom_result_free(result);
    result = submit(pool, burn_for_ever, 0);
    verdict = verdict_of(result);
    CHECK_STATUS(verdict.status, CAROM_EWORKERLOST);
    CHECK_EQ(verdict.signal, SIGXCPU);
    CHECK_EQ(verdict.limit, CAROM_LIMIT_CPU);
    CHECK(verdict.cpu_ns > 150 * MS);
    CHECK(strstr(printed(&verdict), " of a processor\n  limit     processor time (RLIMIT_CPU)\n") != NULL);
    carom_result_free(result);
    result = submit(pool, write_too_much, 0);
    verdict = verdict_of(result);
    CHECK_EQ(verdict.signal, SIGXFSZ);
    CHECK_EQ(verdict.limit, CAROM_LIMIT_FILE_SIZE);
    carom_result_free(result);
    finish(pool);
}

int main(int argc, char **argv) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    CASE(processor_time);
    CASE(of_short_tasks);
    CASE(of_threads);
    CASE(memory);
    CASE(which_limit);
    return 0;
}
