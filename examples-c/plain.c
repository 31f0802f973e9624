#include "plain.h"
#include "decoder.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PLAIN_PATIENCE_S = 5 };

const char *death_name(int signal_number, int exitcode) {
    static char name[20];
    switch (signal_number) {
    case SIGABRT: return "SIGABRT";
    case SIGSEGV: return "SIGSEGV";
    case SIGBUS: return "SIGBUS";
    case SIGFPE: return "SIGFPE";
    case SIGKILL: return "SIGKILL";
    case 0: snprintf(name, sizeof name, "exit(%d)", exitcode); return name;
    default: snprintf(name, sizeof name, "signal %d", signal_number); return name;
    }
}

static size_t plain_bytes(size_t count) {
    return sizeof(plain) + count * sizeof(thumb);
}

plain *plain_new(size_t count, bool noise) {
    plain *plain = mmap(NULL, plain_bytes(count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    must_alloc(plain == MAP_FAILED ? NULL : plain);
    plain->noise = noise;
    return plain;
}

void plain_free(plain *plain, size_t count) {
    munmap(plain, plain_bytes(count));
}

int plain_run(plain *plain, const input_list *inputs, size_t from, bool skip_damaged) {
    int status = 0;
    plain->at = from;
    fflush(NULL);                                                    /* libjpeg's exit() would print the child's copy of it again */
    pid_t child = fork();
    if (child < 0) {
        perror("thumbs: fork");
        exit(2);
    }
    if (child > 0) {
        waitpid(child, &status, 0);
        return status;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!plain->noise) decoder_hush();
    for (; plain->at < inputs->count; plain->at++) {
        const input *input = &inputs->items[plain->at];
        if (skip_damaged && input->damaged) continue;
        alarm(PLAIN_PATIENCE_S);
        thumbnail_of(&input->argument, NULL, plain->thumbs[plain->at].pixels);
        plain->thumbs[plain->at].fate = FATE_OK;
    }
    _exit(0);
}

void plain_report(const plain *plain, int status, const input_list *inputs, double seconds) {
    if (status == 0) {
        printf("plain loop: %zu files in %.2f s\n", inputs->count, seconds);
        return;
    }
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) printf("plain loop: stuck for %d s", PLAIN_PATIENCE_S);
    else if (WIFSIGNALED(status)) printf("plain loop: killed by %s", death_name(WTERMSIG(status), 0));
    else printf("plain loop: ended by %s", death_name(0, WEXITSTATUS(status)));
    printf(" at file %zu of %zu: %s\n", plain->at + 1, inputs->count, inputs->items[plain->at].name);
}
