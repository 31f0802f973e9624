/*
 * Killed at every instruction. A victim does one operation, and is killed before each of its instructions; a third party
 * does something at that moment. It is the release build of the library that is stepped through, with all that it calls.
 *
 *     torture_step [SECONDS [OPERATION [SCRIPT]]]      (20 seconds; "": all)
 *
 * In 0 seconds, without a limit, it is killed at every instruction; else at as many as there is time for, evenly over all.
 *
 * One line per operation: its instructions, points at which it was killed of those there are (with each script, every
 * instruction), hangs and losses (none, or the run fails), leaks, and how often a run went another way and missed its point
 * (there, too, it was killed and everything looked at).
 */
#include "step/harness.h"
#include "step/locks.h"
#include "step/managers.h"
#include "step/pipes.h"
#include "step/pools.h"
#include "step/processes.h"
#include "step/queues.h"
#include "step/requests.h"
#include "step/single_queues.h"
#include "step/sync.h"
#include "step/values.h"

#include <sys/personality.h>

#include <execinfo.h>

static const struct operation operations[] = {
    LOCK_OPERATIONS,
    VALUE_OPERATIONS,
    SYNC_OPERATIONS,
    QUEUE_OPERATIONS,
    SINGLE_QUEUE_OPERATIONS,
    PIPE_OPERATIONS,
    PROCESS_OPERATIONS,
    POOL_OPERATIONS,
    MANAGER_OPERATIONS,
    REQUEST_OPERATIONS,
};
static const unsigned long WHAT_IT_IS = 0xffffffff;
enum { OPERATION_COUNT = sizeof operations / sizeof *operations, PAIRS = OPERATION_COUNT * SCRIPTS };

static struct board {
    _Atomic uint32_t next, failed;
    struct count counts[OPERATION_COUNT][SCRIPTS];
    _Atomic uint32_t failures[OPERATION_COUNT];
    struct trace traces[OPERATION_COUNT][2]; /* one for each runner */
} *board;

static const char *only_operation, *only_script;

static int is_wanted(uint32_t pair) {
    const struct operation *operation = &operations[pair / SCRIPTS];
    enum script script = (enum script)(pair % SCRIPTS);
    if (only_operation && *only_operation && strcmp(only_operation, operation->name) != 0) return 0;
    if (only_script && strcmp(only_script, script_names[script]) != 0) return 0;
    /* What is executed lies elsewhere each time, unless the kernel was told not to. */
    if (operation->executes && !(personality(WHAT_IT_IS) & ADDR_NO_RANDOMIZE)) return 0;
    return applies(operation, script);
}

/* The library is where it is in every fork. */
static void tell_where(uint32_t pair, int runner, int end) {
    const struct trace *it = &board->traces[pair / SCRIPTS][runner];
    const char *name = operations[pair / SCRIPTS].name, *script = script_names[pair % SCRIPTS];
    long at = board->counts[pair / SCRIPTS][pair % SCRIPTS].at;
    fprintf(stderr, "%s, %s, at instruction %ld of %ld: ended with %d; torture_step 20 \"%s\" \"%s\"\n", name, script, at, it->count,
            end, name, script);
    void *place = (void *)(uintptr_t)(at < it->count ? it->at[at] : 0);
    if (place) backtrace_symbols_fd(&place, 1, STDERR_FILENO);
}

/* What is left of a family does not end by itself: so it failed, if it had not. */
static int none_stays(int end) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "re");
    int child;
    while (file && fscanf(file, "%d", &child) == 1) {
        if (end == 0) fprintf(stderr, "pid %d is left behind\n", child);
        kill(child, SIGKILL);
    }
    if (file) fclose(file);
    return end == 0 ? CHECK_FAILED : end;
}

static int has_failed(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == CHECK_FAILED; }

/* How a family ended. What it left to this process, keepers above all, is reaped as it ends: thousands of dead ones would
 * make every look through /proc longer. */
static int end_of(pid_t pid) {
    int status, found = 0;
    for (pid_t seen; (seen = waitpid(-1, &status, 0)) != pid;) {
        if (seen < 0) CHECK_EQ(errno, EINTR);
        else found |= has_failed(status);
    }
    int end = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    return end == 0 && found ? CHECK_FAILED : end;
}

/* A family of its own for each pair; when it has ended nothing of it may be left. */
static void run_pair(uint32_t pair, int runner, int64_t budget_ms) {
    const struct operation *operation = &operations[pair / SCRIPTS];
    enum script script = (enum script)(pair % SCRIPTS);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        begin_case_();
        int fds = fd_count();
        points_of(operation, script, budget_ms, &board->counts[pair / SCRIPTS][script], &board->traces[pair / SCRIPTS][runner]);
        CHECK_OK(carom_shutdown(PATIENCE_MS));
        count->leaks = fd_count() != fds + OWN_FDS + more_fds || waitpid(-1, NULL, WNOHANG) >= 0;
        CHECK_EQ(fd_count(), fds + OWN_FDS + more_fds);
        CHECK(waitpid(-1, NULL, WNOHANG) < 0);
        _exit(0);
    }
    int end = end_of(pid), status;
    int64_t until = now_ms() + (end == 0 ? PATIENCE_MS : 1000);
    for (pid_t seen; (seen = waitpid(-1, &status, WNOHANG)) >= 0;) {
        if (seen > 0 && has_failed(status)) end = CHECK_FAILED;
        if (seen > 0) continue;
        if (now_ms() > until) end = none_stays(end);
        usleep(500);
    }
    if (end == SKIPPED) {
        fprintf(stderr, "%s, %s: skipped, ptrace may not attach here\n", operation->name, script_names[script]);
    } else if (end != 0) {
        tell_where(pair, runner, end);
        atomic_fetch_add(&board->failed, 1);
        atomic_fetch_add(&board->failures[pair / SCRIPTS], 1);
    }
}

/* `until`: when it is to be over, or NO_LIMIT. */
static void run_pairs(int64_t until, int runner, int runners) {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (uint32_t pair; (pair = atomic_fetch_add(&board->next, 1)) < PAIRS;) {
        int left = 0;
        if (!is_wanted(pair)) continue;
        for (uint32_t other = pair; other < PAIRS; other++) left += is_wanted(other);
        /* Its share of what is left. The long ones are at the end, and get what the short ones did not need. */
        run_pair(pair, runner, until == NO_LIMIT ? NO_LIMIT : (until - now_ms()) * runners / (left + runners - 1));
    }
}

/* Of all scripts together. */
static struct count sum_of(int operation, uint32_t *losses) {
    struct count sum = {0};
    for (int script = 0; script < SCRIPTS; script++) {
        const struct count *it = &board->counts[operation][script];
        if (it->instructions > sum.instructions) sum.instructions = it->instructions;
        sum.points += it->points;
        sum.all += it->all;
        sum.missed += it->missed;
        sum.hangs += it->hangs;
        sum.leaks += it->leaks;
    }
    *losses = atomic_load(&board->failures[operation]) - (uint32_t)(sum.hangs + sum.leaks);
    return sum;
}

/* A line per operation; for `points.sh` too. */
static struct count report(void) {
    struct count total = {0};
    const char *path = getenv("CAROM_POINTS");
    FILE *points = path ? fopen(path, "ae") : NULL;
    for (int i = 0; i < OPERATION_COUNT; i++) {
        uint32_t losses;
        struct count sum = sum_of(i, &losses);
        if (!sum.points && !atomic_load(&board->failures[i])) continue;
        printf("step: %-28s %6ld instructions %6ld points of %6ld %3ld hangs %3u losses %3ld leaks %6ld missed\n", operations[i].name,
               sum.instructions, sum.points, sum.all, sum.hangs, losses, sum.leaks, sum.missed);
        if (points) fprintf(points, "stepping|%s|%ld|%ld|%u|%ld\n", operations[i].name, sum.points, sum.hangs, losses, sum.leaks);
        total.points += sum.points;
        total.all += sum.all;
        total.missed += sum.missed;
        total.hangs += sum.hangs;
        total.leaks += sum.leaks;
    }
    if (points) fclose(points);
    return total;
}

/* Where those who step through an executed program begin. */
__attribute__((noinline)) static void program_begins(int argc, char **argv) { CHECK_OK(carom_init(argc, argv)); }

int main(int argc, char **argv) {
    enum { RUNNERS = 2 };
    pid_t runners[RUNNERS];
    program_begins(argc, argv);
    program_entry = (uint64_t)(uintptr_t)program_begins;
    /* Else the first call of each function is the loader's. */
    if (!getenv("LD_BIND_NOW")) {
        setenv("LD_BIND_NOW", "1", 1);
        if (personality(WHAT_IT_IS) >= 0) personality((unsigned long)personality(WHAT_IT_IS) | ADDR_NO_RANDOMIZE);
        execv("/proc/self/exe", argv);
    }
    int64_t seconds = argc > 1 ? atoll(argv[1]) : 20;
    only_operation = argc > 2 ? argv[2] : NULL;
    only_script = argc > 3 ? argv[3] : NULL;
    board = share(sizeof *board);
    int64_t begin = now_ms(), until = seconds == 0 ? NO_LIMIT : begin + seconds * 1000;
    for (int i = 0; i < RUNNERS; i++) {
        if ((runners[i] = fork()) == 0) {
            run_pairs(until, i, RUNNERS);
            _exit(0);
        }
    }
    for (int i = 0; i < RUNNERS; i++) CHECK_EQ(wait_for(runners[i]), 0);
    struct count total = report();
    uint32_t failed = atomic_load(&board->failed);
    printf("step: killed at %ld points of %ld: %ld hangs, %ld losses, %ld leaks; %ld missed; %lld s%s\n", total.points, total.all, total.hangs,
           (long)failed - total.hangs - total.leaks, total.leaks, total.missed, (long long)(now_ms() - begin + 500) / 1000,
           failed ? ": FAILED, see above" : "");
    return failed || total.points == 0;
}
