/* A. Start a process that does nothing, join it, free its handle. */
#include "bench.h"

enum { EACH_TURN = 100 };

static int32_t noop(carom_call *call) {
    (void)call;
    return 0;
}

static int32_t seven(carom_call *call) {
    (void)call;
    return 7;
}

static void check_exit_code(void) {
    carom_process *process = NULL;
    int32_t code = -1;
    OK(carom_process_start(seven, NULL, 0, NULL, &process));
    OK(carom_process_join(process, CAROM_FOREVER));
    OK(carom_process_exitcode(process, &code));
    if (code != 7) DIE("exit code %d instead of 7", code);
    carom_process_free(process);
}

static double with_carom(void) {
    int64_t start = now_ns();
    for (int i = 0; i < EACH_TURN; i++) {
        carom_process *process = NULL;
        OK(carom_process_start(noop, NULL, 0, NULL, &process));
        OK(carom_process_join(process, CAROM_FOREVER));
        carom_process_free(process);
    }
    return (double)(now_ns() - start) / 1e3 / EACH_TURN;
}

static double with_fork(void) {
    int64_t start = now_ns();
    for (int i = 0; i < EACH_TURN; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) _exit(0);
        reap(pid);
    }
    return (double)(now_ns() - start) / 1e3 / EACH_TURN;
}

int main(int argc, char **argv) {
    OK(carom_init(argc, argv));
    check_exit_code();
    RACE("A.start_exit_join", "us", 15, {"carom", with_carom}, {"fork+_exit", with_fork});
    return 0;
}
