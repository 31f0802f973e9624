/*
 * runner [-t SECONDS] TEST...: runs each TEST, a command line, by itself and prints one TAP line for it.
 *
 * A test passes if it exits with 0 in time and leaves nothing behind. It runs in a session of its own, with its output
 * kept back until it fails. The runner is the subreaper of all that a test starts, so that an orphan becomes the
 * runner's child: when the runner has no child left, nothing of the test lives. Exit code 77 means skipped.
 *
 * What the first failed tests printed last stands at the end once more, since of a long output often only that is kept.
 *
 * -t sets the seconds for the tests behind it (30 if not said); CAROM_TEST_TIMEOUT_MULTIPLIER stretches them all.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SKIPPED 77
#define GRACE_MS 5000 /* how long descendants may outlive the test's own process */

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Reaps children until `main_process` has ended (0: until none is left) or the time is over; says whether it came to
 * that. SIGCHLD is blocked, so a child that ends between waitpid and sigtimedwait is not missed. */
static int reap(pid_t main_process, int64_t until, int *status) {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    for (;;) {
        int one = 0;
        pid_t pid;
        while ((pid = waitpid(-1, &one, WNOHANG)) > 0) {
            if (pid == main_process) {
                *status = one;
                return 1;
            }
        }
        if (pid < 0 && errno == ECHILD) return 1;
        int64_t left = until - now_ms();
        if (left <= 0) return 0;
        struct timespec t = {left / 1000, left % 1000 * 1000000};
        sigtimedwait(&child, NULL, &t);
    }
}

/* The children of a process, from the kernel's list of them. */
static size_t children_of(pid_t pid, pid_t *children, size_t max) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *file = fopen(path, "re");
    size_t count = 0;
    int child;
    while (file && count < max && fscanf(file, "%d", &child) == 1) children[count++] = child;
    if (file) fclose(file);
    return count;
}

static void print_file(FILE *out, const char *path, const char *what) {
    char text[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    for (ssize_t i = 0; i < len; i++)
        if (text[i] == '\0') text[i] = ' ';
    if (len > 0) fprintf(out, "%s %.*s", what, (int)len, text);
}

/* Prints a process and its descendants (with what they sleep in), below `depth` generations of indentation. */
static void print_tree(FILE *out, pid_t pid, int depth) {
    char path[64];
    fprintf(out, "%*spid %d", 2 * depth, "", (int)pid);
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    print_file(out, path, ":");
    snprintf(path, sizeof path, "/proc/%d/wchan", (int)pid);
    print_file(out, path, "in");
    fputc('\n', out);
    pid_t children[256];
    size_t count = children_of(pid, children, 256);
    for (size_t i = 0; i < count; i++) print_tree(out, children[i], depth + 1);
}

static void print_leftovers(FILE *out) {
    pid_t children[256];
    size_t count = children_of(getpid(), children, 256);
    for (size_t i = 0; i < count; i++) print_tree(out, children[i], 1);
}

/* Kills what there is until there is no more: the death of one makes its children ours. */
static void kill_all(void) {
    pid_t children[256];
    size_t count;
    while ((count = children_of(getpid(), children, 256)) > 0) {
        for (size_t i = 0; i < count; i++) kill(children[i], SIGKILL);
        waitpid(-1, NULL, 0);
    }
}

/* Where it is allowed, this runner and its tests have a /dev/shm of their own: another that runs at the same time would
 * take our names for what its test left behind, and remove them. */
static void own_shm(void) {
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return;
    (void)!mount("runner", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
}

/* Names in /dev/shm that are ours, each ended by a newline. Others' names come and go on a machine with other users. */
static void list_shm(char *names, size_t size) {
    size_t used = 0;
    names[0] = '\0';
    DIR *directory = opendir("/dev/shm");
    struct dirent *entry;
    while (directory && (entry = readdir(directory)))
        if (strstr(entry->d_name, "carom") && used + strlen(entry->d_name) + 2 < size)
            used += (size_t)sprintf(names + used, "%s\n", entry->d_name);
    if (directory) closedir(directory);
}

/* Prints and removes what is in /dev/shm now and was not before; says how many. */
static int shm_leaks(FILE *out, const char *before) {
    static char after[1 << 16];
    int leaks = 0;
    list_shm(after, sizeof after);
    for (char *name = strtok(after, "\n"); name; name = strtok(NULL, "\n")) {
        const char *at = strstr(before, name);
        if (at && at[strlen(name)] == '\n') continue;
        fprintf(out, "left behind: /dev/shm/%s\n", name);
        char path[512];
        snprintf(path, sizeof path, "/dev/shm/%s", name);
        unlink(path);
        leaks++;
    }
    return leaks;
}

static void run_child(const char *command, int output) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* some tests crash on purpose */
    int null = open("/dev/null", O_RDONLY);
    dup2(null, 0);
    dup2(output, 1);
    dup2(output, 2);
    close(null); /* `output` itself is close-on-exec */
    char *line = NULL;
    if (asprintf(&line, "exec %s", command) > 0) execl("/bin/sh", "sh", "-c", line, (char *)NULL);
    _exit(127);
}

/* Runs one test; writes why it failed behind its output, which is in `output`. Returns its exit code, or -1. */
static int run(const char *command, double seconds, int output) {
    static char shm[1 << 16];
    list_shm(shm, sizeof shm);
    int64_t until = now_ms() + (int64_t)(seconds * 1000);
    pid_t pid = fork();
    if (pid == 0) run_child(command, output);
    int status = 0, failed = 0;
    FILE *out = fdopen(dup(output), "w");
    if (pid < 0 || !out) {
        perror("runner");
        exit(2);
    }
    if (!reap(pid, until, &status)) {
        fprintf(out, "not done within %.1f s:\n", seconds);
        print_leftovers(out);
        kill_all();
        failed = 1;
    } else if (!reap(0, now_ms() + GRACE_MS, &status)) {
        fprintf(out, "left behind, %d ms after the test's end:\n", GRACE_MS);
        print_leftovers(out);
        kill_all();
        failed = 1;
    }
    if (WIFSIGNALED(status)) {
        fprintf(out, "ended by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
        failed = 1;
    } else if (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != SKIPPED) {
        fprintf(out, "exited with %d\n", WEXITSTATUS(status));
    }
    if (shm_leaks(out, shm)) failed = 1;
    fclose(out);
    return failed ? -1 : WEXITSTATUS(status);
}

/* All lines, or the last ones. */
static void print_output(int output, int most) {
    FILE *in = fdopen(dup(output), "r");
    char line[4096];
    int lines = 0;
    if (!in) return;
    rewind(in);
    while (fgets(line, sizeof line, in)) lines++;
    rewind(in);
    while (fgets(line, sizeof line, in))
        if (lines-- <= most) printf("# %s%s", line, strchr(line, '\n') ? "" : "\n");
    fclose(in);
}

/* A test that failed, to be told of at the end. */
struct failure {
    int number, output;
    const char *command;
};
enum { MOST_FAILURES = 4, LAST_LINES = 16 };

static void print_failures(const struct failure *failures, int count) {
    if (count > MOST_FAILURES) printf("the first %d of %d:\n", MOST_FAILURES, count);
    if (count > MOST_FAILURES) count = MOST_FAILURES;
    for (int i = 0; i < count; i++) {
        printf("not ok %d - %s, its last lines:\n", failures[i].number, failures[i].command);
        print_output(failures[i].output, LAST_LINES / count);
    }
}

int main(int argc, char **argv) {
    const char *text = getenv("CAROM_TEST_TIMEOUT_MULTIPLIER");
    double multiplier = text && atof(text) > 0 ? atof(text) : 1, seconds = 30;
    struct failure failures[MOST_FAILURES];
    int number = 0, passed = 0, failed = 0, skipped = 0, count = 0;

    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    setvbuf(stdout, NULL, _IOLBF, 0);
    own_shm();

    for (int i = 1; i < argc; i++) strcmp(argv[i], "-t") == 0 ? i++ : count++;
    printf("1..%d\n", count);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-t") == 0) {
            seconds = i + 1 < argc ? atof(argv[++i]) : seconds;
            continue;
        }
        /* In append mode, so that the test and the runner do not write over each other. */
        int output = memfd_create("output", MFD_CLOEXEC);
        fcntl(output, F_SETFL, O_APPEND);
        int64_t start = now_ms();
        int code = run(argv[i], seconds * multiplier, output);
        int good = code == 0 || code == SKIPPED;
        printf("%sok %d - %s%s (%lld ms)\n", good ? "" : "not ", ++number, argv[i], code == SKIPPED ? " # SKIP" : "",
               (long long)(now_ms() - start));
        if (code != 0) print_output(output, INT_MAX);
        if (!good && failed < MOST_FAILURES) failures[failed] = (struct failure){number, output, argv[i]};
        else close(output);
        *(code == SKIPPED ? &skipped : good ? &passed : &failed) += 1;
    }
    printf("%d passed, %d failed", passed, failed);
    printf(skipped ? ", %d skipped\n" : "\n", skipped);
    print_failures(failures, failed);
    return failed != 0;
}
