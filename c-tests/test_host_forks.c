/* Processes for which the host itself forks. */
#include "support.h"

static int copied = 1;

static int32_t shows(carom_call *call) {
    int64_t code;
    CHECK_OK(carom_call_read(call, 0, &code, sizeof code));
    const char *name = NULL;
    CHECK_OK(carom_process_current(NULL, &name));
    CHECK_STR_EQ(name, "Process-1");
    return (int32_t)code + copied;
}

static void forks(void) {
    carom_process *process = NULL;
    carom_argument argument = CAROM_INTEGER(20);
    int32_t code = 0;
    copied = 2; /* the child has this memory */
    CHECK_OK(carom_fork_prepare(shows, &argument, 1, NULL, &process));
    CHECK_STATUS(carom_process_join(process, 0), CAROM_EPERM);
    CHECK_STATUS(carom_process_pid(process), CAROM_EPERM);
    CHECK_STATUS(carom_process_exitcode(process, &code), CAROM_EPERM);
    CHECK_STATUS(carom_fork_child(process), CAROM_EPERM); /* this is no child */
    CHECK_STATUS(carom_fork_parent(process, 0), CAROM_EINVAL);
    pid_t pid = fork();
    if (pid == 0) {
        carom_fork_child(process);
        _exit(1);
    }
    CHECK_OK(carom_fork_parent(process, pid));
    CHECK_STATUS(carom_fork_parent(process, pid), CAROM_EPERM);
    CHECK_EQ(carom_process_pid(process), pid);
    CHECK_EQ(carom_process_children(NULL, 0), 1);
    CHECK_EQ(ended(process), 22);
}

static void never_forked(void) {
    for (int i = 0; i < 10000; i++) { /* more than there are places for */
        carom_process *process = NULL;
        CHECK_OK(carom_fork_prepare(shows, NULL, 0, NULL, &process));
        carom_process_free(process);
    }
    CHECK_OK(carom_arena_check(NULL));
}

static void with_options(void) {
    carom_process *process = NULL;
    carom_argument argument = CAROM_INTEGER(20);
    carom_process_options options = {.size = sizeof options, .directory = "/no/such/directory"};
    CHECK_OK(carom_fork_prepare(shows, &argument, 1, &options, &process));
    pid_t pid = fork();
    if (pid == 0) carom_fork_child(process);
    CHECK_STATUS(carom_fork_parent(process, pid), CAROM_ENOENT);
    CHECK(waitpid(pid, NULL, 0) < 0 && errno == ECHILD);
    carom_process_free(process);
    options.directory = "/";
    CHECK_OK(carom_context_new("spawn", &options.context));
    CHECK_STATUS(carom_fork_prepare(shows, &argument, 1, &options, &process), CAROM_EINVAL);
    carom_context_free(options.context);
}

/* Another process than the host's child: refused, and not harmed. */
static void another_process(void) {
    carom_process *process = NULL;
    CHECK_OK(carom_fork_prepare(shows, NULL, 0, NULL, &process));
    CHECK_STATUS(carom_fork_parent(process, 999999999), CAROM_EINVAL);
    CHECK_STATUS(carom_fork_parent(process, 1), CAROM_EINVAL);
    CHECK_STATUS(carom_fork_parent(process, getppid()), CAROM_EINVAL);
    carom_process_free(process);
}

/* A child that the host forked for something else is none. */
static void another_child(void) {
    carom_process *process = NULL;
    CHECK_OK(carom_fork_prepare(shows, NULL, 0, NULL, &process));
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_OK(carom_attach());
        CHECK_STATUS(carom_fork_child(process), CAROM_EPERM);
        CHECK_STATUS(carom_fork_parent(process, 1), CAROM_EPERM);
        carom_process_free(process);
        exit(3);
    }
    CHECK_EQ(wait_for(pid), 3);
    carom_process_free(process);
}

static void the_host_dies_in_between(void) {
    int pipes[2];
    CHECK_EQ(pipe2(pipes, O_CLOEXEC), 0);
    pid_t host = fork();
    if (host == 0) {
        CHECK_OK(carom_attach());
        carom_process *process = NULL;
        carom_argument argument = CAROM_INTEGER(1);
        CHECK_OK(carom_fork_prepare(shows, &argument, 1, NULL, &process));
        if (fork() == 0) carom_fork_child(process); /* waits for a parent that does not come */
        raise(SIGKILL);
    }
    close(pipes[1]);
    CHECK_EQ(wait_for(host), -SIGKILL);
    char byte;
    CHECK_EQ(read(pipes[0], &byte, 1), 0); /* the child is gone */
    close(pipes[0]);
}

int main(void) {
    CASE(forks);
    CASE(never_forked);
    CASE(with_options);
    CASE(another_process);
    CASE(another_child);
    CASE(the_host_dies_in_between);
    return 0;
}
