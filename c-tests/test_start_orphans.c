/* The host dies while it starts processes, and when it has many: by every method nothing of it lives on. */
#include "starts.h"

static int32_t waits(carom_call *call) {
    (void)call;
    for (;;) pause();
    return 0;
}

static void a_host_that_starts_for_ever(void) {
    setsid();
    carom_process_options options = some();
    carom_argument argument = CAROM_INTEGER(3);
    carom_process *process = NULL;
    for (int i = 0;; i++) {
        CHECK_OK(carom_process_start(i % 3 ? returns : waits, &argument, 1, &options, &process));
        carom_process_free(process);
    }
}

/* Whenever it dies, nothing of its family lives on: no child, begun or not, no server, no keeper. */
static void host_killed(void) {
    for (unsigned round = 0; round < 30; round++) {
        pid_t host = fork();
        if (host == 0) a_host_that_starts_for_ever();
        nap_us(round * 397 % 6000);
        CHECK_EQ(kill(host, SIGKILL), 0);
        CHECK_EQ(wait_for(host), -SIGKILL);
        int64_t until = now_ms() + PATIENCE_MS;
        while (living(host, NULL, NULL) > 0) {
            if (now_ms() > until) check_fail_(__FILE__, __LINE__, "processes outlive their host", "", "", "");
            nap_us(200);
        }
    }
}

static int32_t forks_and_waits(carom_call *call) {
    for (int i = 0; i < 2; i++)
        if (fork() == 0) waits(NULL);
    return waits(call);
}

static int32_t starts_and_waits(carom_call *call) {
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(waits, NULL, 0, NULL, &process));
    return waits(call);
}

/* Two processes with a child each, a pool whose task has two. */
static void a_host_with_everything(void) {
    setsid();
    CHECK_OK(carom_attach());
    carom_process_options options = some();
    carom_pool_options many = {.size = sizeof many, .workers = 1, .context = options.context};
    carom_process *process = NULL;
    carom_pool *pool = NULL;
    carom_result *result = NULL;
    for (int i = 0; i < 2; i++) CHECK_OK(carom_process_start(starts_and_waits, NULL, 0, &options, &process));
    CHECK_OK(carom_pool_new(&many, &pool));
    CHECK_OK(carom_pool_apply_async(pool, forks_and_waits, NULL, 0, NULL, &result));
    for (;;) pause();
}

struct all {
    int count, fds[32];
};

static int note(const struct one *it, void *ctx) {
    struct all *all = ctx;
    int fd = all->count < 32 ? (int)syscall(SYS_pidfd_open, it->pid, 0) : -1;
    if (fd >= 0) all->fds[all->count++] = fd;
    return 0;
}

static int64_t outlived(int members) {
    struct all all = {.count = 0};
    pid_t host = fork();
    if (host == 0) a_host_with_everything();
    int64_t until = now_ms() + PATIENCE_MS;
    while (living(host, NULL, NULL) != members) {
        if (now_ms() > until) check_eq_(__FILE__, __LINE__, "members", living(host, NULL, NULL), members);
        nap_us(1000);
    }
    int fd = pidfd_of(host);
    living(host, note, &all);
    CHECK_EQ(kill(host, SIGKILL), 0);
    readable(fd);
    int64_t from = now_ms();
    for (int i = 0; i < all.count; i++) {
        readable(all.fds[i]);
        close(all.fds[i]);
    }
    int64_t took = now_ms() - from;
    close(fd);
    CHECK_EQ(wait_for(host), -SIGKILL);
    CHECK_EQ(living(host, NULL, NULL), 0);
    return took;
}

/* 100 ms after the host's descriptor tells, nothing of it lives. The machine may be busy, so one good round is enough; in
 * every round all of it ends. */
static void nothing_outlives_it(void) {
    /* Host, keeper, two processes with a child each, template, worker and its two; the server. */
    int members = 1 + 1 + 4 + 1 + 1 + 2 + (strcmp(method, "forkserver") == 0);
    int64_t least = INT64_MAX, until = now_ms() + PATIENCE_MS;
    do {
        int64_t took = outlived(members);
        least = took < least ? took : least;
    } while (least > 100 && now_ms() < until);
    fprintf(stderr, "  gone after %d ms\n", (int)least);
    CHECK(least <= 100);
}

int main(int argc, char **argv) {
    CHECK_OK(carom_init(argc, argv));
    const char *const methods[] = {"fork", "spawn", "forkserver"};
    for (int i = 0; i < 3; i++) {
        method = methods[i];
        fprintf(stderr, "by %s:\n", method);
        CASE(host_killed);
        CASE(nothing_outlives_it);
    }
    return 0;
}
