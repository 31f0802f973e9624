/* What workers write to stderr reaches the program's, all of it and in order; the last of it is in the verdict. */
#include "pool.h"

#define TAIL 4096

static carom_pool *capturing(int workers, int64_t limit_ms) {
    carom_pool_options options = {.size = sizeof options, .workers = workers, .time_limit_ms = limit_ms, .capture_stderr = 1};
    carom_pool *pool = NULL;
    CHECK_OK(carom_pool_new(&options, &pool));
    return pool;
}

/* The program's stderr goes to a file from now on; what a check says meanwhile goes there too. */
static int saved, file;
static void to_file(void) {
    saved = fcntl(2, F_DUPFD_CLOEXEC, 3);
    file = memfd_create("stderr", MFD_CLOEXEC);
    fcntl(file, F_SETFL, O_APPEND);
    dup2(file, 2);
}
/* What it got. */
static char *from_file(void) {
    static char text[1 << 22];
    ssize_t len = pread(file, text, sizeof text - 1, 0);
    text[len < 0 ? 0 : len] = 0;
    dup2(saved, 2);
    close(saved);
    close(file);
    return text;
}

enum end { DONE, CRASHED, KILLED, LEFT, SLOW, EVERY_END };
static int64_t task_of(enum end end, int64_t number, int64_t lines) { return end + 100 * (number + 10000 * lines); }

static int32_t write_lines(carom_call *call) {
    int64_t task = argument_of(call), end = task % 100, number = task / 100 % 10000, lines = task / 1000000;
    for (int64_t i = 0; i < lines; i++) dprintf(2, "task %d line %d\n", (int)number, (int)i);
    switch (end) {
    case CRASHED: abort();
    case KILLED: kill(getpid(), SIGKILL); break;
    case LEFT: exit(3);
    case SLOW: return for_ever(call);
    }
    return 0;
}

static void check_lines(const char **text, int number, int from, int lines) {
    char line[64];
    for (int i = from; i < lines; i++) {
        int len = snprintf(line, sizeof line, "task %d line %d\n", number, i);
        CHECK(strncmp(*text, line, (size_t)len) == 0);
        *text += len;
    }
}

static void all_of_it_in_order(void) {
    enum { TASKS = 60 };
    to_file();
    carom_pool *pool = capturing(1, 0);
    carom_result *results[TASKS];
    for (int i = 0; i < TASKS; i++) results[i] = submit(pool, write_lines, task_of((enum end)(i % 4), i, i % 7 == 3 ? 3000 : i % 3));
    for (int i = 0; i < TASKS; i++) CHECK_OK(carom_result_wait(results[i], PATIENCE_MS));
    finish(pool);
    const char *text = from_file();
    for (int i = 0; i < TASKS; i++) {
        check_lines(&text, i, 0, i % 7 == 3 ? 3000 : i % 3);
        carom_verdict verdict = verdict_of(results[i]);
        const char *tail = verdict.stderr_tail;
        if (i % 4 == DONE || (i % 3 == 0 && i % 7 != 3)) {
            CHECK_STR_EQ(tail, "");
        } else if (i % 7 == 3) {
            /* The last whole lines of many. */
            int number, line;
            CHECK(sscanf(tail, "task %d line %d\n", &number, &line) == 2 && number == i && line > 2000);
            CHECK(strlen(tail) <= TAIL && strlen(tail) > TAIL - 32);
            check_lines(&tail, i, line, 3000);
            CHECK_EQ(*tail, 0);
        } else {
            check_lines(&tail, i, 0, i % 3);
            CHECK_EQ(*tail, 0);
        }
        CHECK(i % 4 != CRASHED || strstr(verdict.backtrace, " write_lines"));
        carom_result_free(results[i]);
    }
    CHECK_EQ(*text, 0);
}

static void out_of_time(void) {
    carom_pool *pool = capturing(2, 100);
    carom_result *result = submit(pool, write_lines, task_of(SLOW, 7, 2));
    carom_verdict verdict = verdict_of(result);
    CHECK_STATUS(verdict.status, CAROM_ETIMELIMIT);
    CHECK_STR_EQ(verdict.stderr_tail, "task 7 line 0\ntask 7 line 1\n");
    CHECK_STR_EQ(verdict.backtrace, "");
    int fds[2];
    char text[4096];
    CHECK_EQ(pipe(fds), 0);
    CHECK_OK(carom_verdict_print(&verdict, fds[1]));
    text[read(fds[0], text, sizeof text - 1)] = 0;
    CHECK(strstr(text, "\n  stderr\n    task 7 line 0\n    task 7 line 1\n") != NULL);
    close(fds[0]);
    close(fds[1]);
    carom_result_free(result);
    finish(pool);
}

static int32_t crash_at_70(carom_call *call) {
    int64_t number = argument_of(call);
    dprintf(2, "item %d\n", (int)number);
    if (number == 70) abort();
    return 0;
}
static void of_a_map(void) {
    to_file();
    carom_pool *pool = capturing(2, 0);
    carom_verdict verdict = {.size = sizeof verdict};
    carom_task_options options = {.size = sizeof options, .verdict = &verdict, .chunk_size = 20};
    int64_t items[100];
    for (int i = 0; i < 100; i++) items[i] = i;
    CHECK_STATUS(carom_pool_map(pool, crash_at_70, items, 8, 100, &options, NULL, 0, PATIENCE_MS), CAROM_EWORKERLOST);
    CHECK(strncmp(verdict.stderr_tail, "item 60\nitem 61\n", 16) == 0);
    CHECK(strcmp(strrchr(verdict.stderr_tail, 'i'), "item 70\n") == 0);
    finish(pool);
    const char *text = from_file();
    for (int i = 0; i < 100; i++) {
        char line[32];
        snprintf(line, sizeof line, "item %d\n", i);
        CHECK(strstr(text, line) != NULL);
    }
}

/* Nobody reads the program's stderr: whoever writes there waits, the others do not, and limits and ends are as ever. */
static int32_t write_for_ever(carom_call *call) {
    (void)call;
    for (int i = 0;; i++) dprintf(2, "%d\n", i);
    return 0;
}
static void nobody_reads(void) {
    int fds[2], number = 0, seen;
    CHECK_EQ(pipe(fds), 0);
    saved = fcntl(2, F_DUPFD_CLOEXEC, 3);
    dup2(fds[1], 2);
    carom_pool *pool = capturing(2, 0);
    carom_task_options options = {.size = sizeof options, .time_limit_ms = 300};
    carom_result *results[6];
    for (int i = 0; i < 6; i++) CHECK_OK(carom_pool_apply_async(pool, write_for_ever, NULL, 0, &options, &results[i]));
    for (int i = 0; i < 6; i++) {
        carom_verdict verdict = verdict_of(results[i]);
        CHECK_STATUS(verdict.status, CAROM_ETIMELIMIT);
        carom_result_free(results[i]);
        works(pool);
    }
    /* What comes first comes in order. */
    FILE *in = fdopen(fds[0], "re");
    for (int i = 0; i < 100; i++) number += fscanf(in, "%d", &seen) == 1;
    CHECK_EQ(number, 100);
    works(pool);
    finish(pool);
    dup2(saved, 2);
    close(saved);
    fclose(in);
    close(fds[1]);
}

/* It is closed, or its reader is gone: what is written there is lost, as it would be anyway. */
static void nobody_can_read(void) {
    int fds[2];
    saved = fcntl(2, F_DUPFD_CLOEXEC, 3);
    for (int round = 0; round < 2; round++) {
        CHECK_EQ(pipe(fds), 0);
        dup2(fds[1], 2);
        close(fds[0]);
        close(fds[1]);
        if (round == 1) close(2);
        carom_pool *pool = capturing(1, 0);
        carom_result *result = submit(pool, write_lines, task_of(LEFT, 1, 2)), *more = submit(pool, write_lines, task_of(DONE, 1, 9000));
        carom_verdict verdict = verdict_of(result);
        CHECK_EQ(verdict.exitcode, 3);
        CHECK_STR_EQ(verdict.stderr_tail, "task 1 line 0\ntask 1 line 1\n");
        CHECK_STATUS(verdict_of(more).status, CAROM_OK);
        carom_result_free(result);
        carom_result_free(more);
        finish(pool);
        dup2(saved, 2);
    }
    close(saved);
}

/* A new template makes new pipes; and a pool in a worker captures its own workers'. */
static void a_template_that_dies(void) {
    carom_pool *pool = capturing(2, 0);
    for (int i = 0; i < 5; i++) {
        works(pool);
        end(template_of(pool));
        carom_result *result = submit(pool, write_lines, task_of(KILLED, i, 1));
        carom_verdict verdict = verdict_of(result);
        char text[64];
        snprintf(text, sizeof text, "task %d line 0\n", i);
        CHECK_STR_EQ(verdict.stderr_tail, text);
        carom_result_free(result);
    }
    finish(pool);
}
static int32_t pool_in_worker(carom_call *call) {
    (void)call;
    carom_pool *pool = capturing(1, 0);
    carom_result *result = submit(pool, write_lines, task_of(KILLED, 5, 2));
    carom_verdict verdict = verdict_of(result);
    CHECK_STR_EQ(verdict.stderr_tail, "task 5 line 0\ntask 5 line 1\n");
    carom_result_free(result);
    finish(pool);
    abort();
}
static void a_pool_in_a_worker(void) {
    carom_pool *pool = capturing(1, 0);
    carom_result *result = submit(pool, pool_in_worker, 0);
    carom_verdict verdict = verdict_of(result);
    CHECK_EQ(verdict.signal, SIGABRT);
    CHECK_STR_EQ(verdict.stderr_tail, "task 5 line 0\ntask 5 line 1\n");
    carom_result_free(result);
    finish(pool);
}

/* Without the option a worker's stderr is the program's own. With it, it is no descriptor more in the program. */
static int32_t inode_of_stderr(carom_call *call) {
    struct stat stat;
    return reply_number(call, fstat(2, &stat) == 0 ? (int64_t)stat.st_ino : -1);
}
static void only_where_it_is_asked_for(void) {
    struct stat stat;
    CHECK_EQ(fstat(2, &stat), 0);
    int64_t own = (int64_t)stat.st_ino;
    for (int captures = 0; captures < 2; captures++) {
        carom_pool *pool = captures ? capturing(1, 0) : pool_of(1, 0, 0);
        carom_result *result = submit(pool, inode_of_stderr, 0), *other = submit(pool, write_lines, task_of(KILLED, 1, 1));
        CHECK((number_of(result) == own) == !captures);
        carom_verdict verdict = verdict_of(other);
        CHECK_STR_EQ(verdict.stderr_tail, captures ? "task 1 line 0\n" : "");
        carom_result_free(result);
        carom_result_free(other);
        finish(pool);
    }
}

int main(int argc, char **argv) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    CASE(all_of_it_in_order);
    CASE(out_of_time);
    CASE(of_a_map);
    CASE(nobody_reads);
    CASE(nobody_can_read);
    CASE(a_template_that_dies);
    CASE(a_pool_in_a_worker);
    CASE(only_where_it_is_asked_for);
    return 0;
}
