/* The program that has the pool: it dies, forks, waits for its children, exits; its streams, its handlers. */
#include "pool.h"

static long *shared;

static int32_t leave_children(carom_call *call) {
    for (int i = 0; i < 2; i++) {
        pid_t pid = fork();
        if (pid == 0)
            for (;;) pause();
    }
    add(&shared[0], 1);
    return for_ever(call);
}

static int members_of(pid_t session, pid_t host, pid_t *pids) {
    int count = 0;
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    while ((entry = readdir(proc))) {
        pid_t pid = atoi(entry->d_name);
        if (pid > 0 && pid != host && getsid(pid) == session && count < 64) pids[count++] = pid;
    }
    closedir(proc);
    return count;
}

/* Nothing of the family lives 100 ms after the host's pidfd fires. (On a machine that is not overloaded: the time is
 * the least of some rounds.) */
static void killed_in_a_busy_pool(void) {
    shared = share(4 * sizeof *shared);
    long least = 1000000;
    for (int round = 0; round < 5 || (round < 30 && least > 100); round++) {
        store(&shared[0], 0);
        fflush(NULL);
        pid_t host = fork();
        if (host == 0) {
            setsid();
            store(&shared[1], getsid(0));
            carom_pool *pool = pool_of(2, 0, 0), *other = pool_of(2, 0, 0);
            submit(pool, leave_children, 0);
            submit(pool, leave_children, 0);
            for (int i = 0; i < 500; i++) submit(other, plus_one, i);
            for (;;) {
                works(other);
                add(&shared[2], 1);
            }
        }
        UNTIL(load(&shared[0]) == 2 && load(&shared[2]) > 10);
        pid_t pids[64];
        int count = 2 + 4 + 4, fds[64], host_fd = pidfd_of(host); /* templates, workers, their children */
        UNTIL(members_of((pid_t)load(&shared[1]), host, pids) == count);
        for (int i = 0; i < count; i++) CHECK((fds[i] = pidfd_of(pids[i])) >= 0);
        kill(host, SIGKILL);
        CHECK(is_readable(host_fd, PATIENCE_MS));
        int64_t from = now_ms();
        for (int i = 0; i < count; i++) {
            CHECK(is_readable(fds[i], PATIENCE_MS));
            close(fds[i]);
        }
        int64_t took = now_ms() - from;
        least = took < least ? (long)took : least;
        close(host_fd);
        CHECK_EQ(waitpid(host, NULL, 0), host);
        while (waitpid(-1, NULL, WNOHANG) > 0) continue;
    }
    fprintf(stderr, "gone after %ld ms\n", least);
    CHECK(least <= 100);
}

static void a_fork_that_carom_did_not_make(void) {
    carom_pool *pool = pool_of(2, CAROM_POOL_DONE, 0);
    carom_result *done = submit(pool, plus_one, 1), *running = submit(pool, for_ever, 0), *result = NULL;
    int64_t in = 1;
    CHECK_OK(carom_result_wait(done, PATIENCE_MS));
    carom_iterator *iterator = NULL;
    carom_items items = {.size = sizeof items, .data = &in, .item_size = 8, .count = 1};
    CHECK_OK(carom_pool_imap_unordered(pool, plus_one, &items, NULL, &iterator));
    fflush(NULL);
    for (int attach = 0; attach < 2; attach++) {
        pid_t pid = fork();
        if (pid == 0) {
            carom_status wanted = attach ? CAROM_EPERM : CAROM_EFORKED;
            if (attach) CHECK_OK(carom_attach());
            carom_pool_event event;
            CHECK_STATUS(carom_pool_apply_async(pool, plus_one, NULL, 0, NULL, &result), wanted);
            CHECK_STATUS(carom_pool_apply(pool, plus_one, NULL, 0, NULL, NULL, 0, NULL, 0), wanted);
            CHECK_STATUS(carom_pool_map(pool, plus_one, &in, 8, 1, NULL, NULL, 0, 0), wanted);
            CHECK_STATUS(carom_pool_imap_unordered(pool, plus_one, &items, NULL, &iterator), wanted);
            CHECK_STATUS(next_event(pool, &event, 0), wanted);
            CHECK_STATUS(carom_pool_fd(pool), wanted);
            CHECK_STATUS((carom_status)carom_pool_dispatch(pool, 0), wanted);
            CHECK_STATUS(carom_pool_close(pool), wanted);
            CHECK_STATUS(carom_pool_terminate(pool), wanted);
            CHECK_STATUS(carom_pool_join(pool, 0), wanted);
            CHECK_STATUS(carom_result_wait(running, 0), wanted);
            if (attach) CHECK_EQ(carom_result_ready(running), 0);
            else CHECK_EQ(carom_result_ready(running), CAROM_EFORKED);
            carom_result_free(running);
            carom_result_free(done);
            carom_iterator_free(iterator);
            carom_pool_free(pool);
            if (attach) { /* a pool of its own */
                pool = pool_of(1, 0, 0);
                works(pool);
                finish(pool);
            }
            _exit(0);
        }
        int status;
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(status, 0);
        works(pool);
        CHECK_EQ(carom_result_ready(running), 0);
        CHECK_EQ(number_of(done), 2);
    }
    CHECK_OK(carom_iterator_next(iterator, &result, PATIENCE_MS));
    carom_result_free(result);
    carom_iterator_free(iterator);
    carom_result_free(done);
    carom_pool_free(pool);
    CHECK_STATUS(verdict_of(running).status, CAROM_ECANCELED);
    carom_result_free(running);
}

static void a_host_that_waits_for_its_children(void) {
    carom_pool *pool = pool_of(2, 0, 0), *other = pool_of(1, 0, 0);
    works(pool);
    for (int i = 0; i < 3; i++)
        if (fork() == 0) _exit(0);
    int count = 0;
    while (wait(NULL) > 0) count++;
    CHECK_EQ(count, 3);
    CHECK_EQ(errno, ECHILD);
    carom_result *result = submit(pool, kill_self, SIGKILL);
    CHECK_EQ(verdict_of(result).signal, SIGKILL);
    carom_result_free(result);
    CHECK_EQ(wait(NULL), -1);
    works(other);
    finish(pool);
    finish(other);
    /* And one that ignores SIGCHLD. */
    signal(SIGCHLD, SIG_IGN);
    pool = pool_of(2, 0, 0);
    result = submit(pool, kill_self, SIGTERM);
    CHECK_EQ(verdict_of(result).signal, SIGTERM);
    carom_result_free(result);
    pid_t keepers[8];
    for (int count = living(KEEPERS, keepers, 8); count > 0; count--) end(keepers[count - 1]);
    works(pool);
    finish(pool);
}

/* --- streams and handlers: what the program writes is caught in a file --- */

static FILE *catch_output(void) {
    FILE *file = tmpfile();
    CHECK(file != NULL);
    CHECK(dup2(fileno(file), 1) == 1);
    return file;
}

static int times(FILE *file, const char *word) {
    static char text[1 << 16];
    fflush(stdout);
    ssize_t len = pread(fileno(file), text, sizeof text - 1, 0);
    text[len < 0 ? 0 : len] = 0;
    int count = 0;
    for (char *at = text; (at = strstr(at, word)); at++) count++;
    return count;
}

static int32_t print_and(carom_call *call) {
    int64_t how = argument_of(call);
    printf("[task %d]", (int)how);
    if (how == 1) exit(1);
    if (how == 2) printf("\n");
    return 0;
}

static void handler(void) {
    const char text[] = "[handler]";
    if (write(1, text, sizeof text - 1) < 0) _exit(1);
}

static void what_is_printed_comes_out_once(void) {
    FILE *file = catch_output();
    setvbuf(stdout, NULL, _IOFBF, 4096);
    atexit(handler);
    printf("[before]");
    carom_pool *pool = pool_of(2, 0, 0);
    printf("[after]");
    for (int how = 0; how < 4; how++) {
        carom_result *result = submit(pool, print_and, how);
        CHECK_STATUS(verdict_of(result).status, how == 1 ? CAROM_EWORKERLOST : CAROM_OK);
        carom_result_free(result);
    }
    /* A template that is made again, with text in the buffer. */
    end(template_of(pool));
    works(pool);
    finish(pool);
    CHECK_EQ(times(file, "[before]"), 1);
    CHECK_EQ(times(file, "[after]"), 1);
    CHECK_EQ(times(file, "[task 1]"), 1);
    CHECK_EQ(times(file, "[handler]"), 0);
    /* Killed with the template before they could write: at most once. */
    for (int how = 0; how < 4; how++) {
        char word[16];
        snprintf(word, sizeof word, "[task %d]", how);
        CHECK(times(file, word) <= 1);
    }
    /* Without a death every word comes out. */
    pool = pool_of(2, 0, 0);
    for (int how = 10; how < 60; how++) {
        carom_result *result = submit(pool, print_and, how);
        CHECK_OK(verdict_of(result).status);
        carom_result_free(result);
    }
    finish(pool);
    for (int how = 10; how < 60; how++) {
        char word[16];
        snprintf(word, sizeof word, "[task %d]", how);
        CHECK_EQ(times(file, word), 1);
    }
    fclose(file);
    dup2(2, 1);
}

/* Another thread holds the stream, and what is in it, while the pool is made. */
static void *hold_stdout(void *step) {
    flockfile(stdout);
    printf("[held]");
    store(step, 1);
    while (load(step) != 2) usleep(200);
    funlockfile(stdout);
    return NULL;
}
static void a_stream_that_another_thread_holds(void) {
    FILE *file = catch_output();
    setvbuf(stdout, NULL, _IOFBF, 4096);
    static long step;
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, hold_stdout, &step), 0);
    UNTIL(load(&step) == 1);
    carom_pool *pool = pool_of(2, 0, 0);
    for (int how = 2; how < 4; how++) {
        carom_result *result = submit(pool, print_and, how);
        CHECK_OK(verdict_of(result).status);
        carom_result_free(result);
    }
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
    store(&step, 2);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(times(file, "[held]"), 1);
    CHECK_EQ(times(file, "[task 3]"), 1);
    fclose(file);
    dup2(2, 1);
}

/* What workers begin with. */
static int32_t look_around(carom_call *call) {
    char text[8];
    sigset_t mask;
    struct sigaction action;
    (void)call;
    if (read(0, text, sizeof text) != 0) return 1; /* /dev/null */
    sigprocmask(SIG_SETMASK, NULL, &mask);
    for (int i = 1; i < 32; i++)
        if (sigismember(&mask, i) == 1) return 100 + i;
    sigaction(SIGTERM, NULL, &action);
    if (action.sa_handler != SIG_DFL) return 2;
    sigaction(SIGINT, NULL, &action);
    if (action.sa_handler != SIG_IGN) return 3;
    if (fcntl((int)argument_of(call), F_GETFD) != -1) return 4; /* a descriptor of the host */
    if (getpgrp() != getpid()) return 5;
    return 0;
}
static void on_signal(int signal) { (void)signal; }
static void what_workers_begin_with(void) {
    int pipe_fds[2];
    sigset_t mask;
    CHECK_EQ(pipe(pipe_fds), 0);
    signal(SIGTERM, on_signal);
    sigfillset(&mask);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    carom_pool *pool = pool_of(1, 0, 0);
    sigemptyset(&mask);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    for (int round = 0; round < 2; round++) {
        carom_result *result = submit(pool, look_around, pipe_fds[1]);
        CHECK_EQ(verdict_of(result).code, 0);
        carom_result_free(result);
        result = submit(pool, kill_self, SIGKILL); /* and its replacement */
        CHECK_OK(carom_result_wait(result, PATIENCE_MS));
        carom_result_free(result);
    }
    close(pipe_fds[1]);
    char text[1];
    CHECK(is_readable(pipe_fds[0], PATIENCE_MS)); /* nobody else has the other end */
    CHECK_EQ(read(pipe_fds[0], text, 1), 0);
    close(pipe_fds[0]);
    finish(pool);
}

/* A host that simply returns, with a pool at work. */
static void a_host_that_leaves(void) {
    shared = share(4 * sizeof *shared);
    fflush(NULL);
    pid_t host = fork();
    if (host == 0) {
        carom_pool *pool = pool_of(2, 0, 0);
        submit(pool, for_ever, 0);
        submit(pool, plus_one, 0);
        _exit(0);
    }
    CHECK_EQ(waitpid(host, NULL, 0), host);
    UNTIL(count_of(WORKERS) == 0 && count_of(KEEPERS) == 0);
}

int main(int argc, char **argv) {
    CASE(killed_in_a_busy_pool);
    CASE(a_fork_that_carom_did_not_make);
    CASE(a_host_that_waits_for_its_children);
    CASE(what_is_printed_comes_out_once);
    CASE(a_stream_that_another_thread_holds);
    CASE(what_workers_begin_with);
    CASE(a_host_that_leaves);
    return 0;
}
