/*
 * carom-replay [--show | --here | --gdb | --valgrind] FILE: runs the task of a capsule once more, alone, and prints the verdict.
 *
 * --show       only says what is in it
 * --here       in the program's own process instead of a worker: it dies as the task does
 * --gdb        the same, under gdb; run it, and it stops where the task crashes
 * --valgrind   the same, under valgrind
 *
 * Exit code: 0 if the task succeeded, 1 if not, 2 if it could not be run. Nothing but the task runs, and what its program does
 * before carom_init. With the environment and in the directory that its worker had.
 */
#define _GNU_SOURCE
#include <carom.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fail(const char *what, const char *why) {
    fprintf(stderr, "carom-replay: %s: %s\n", what, why);
    return 2;
}

static void show(const carom_capsule_description *info) {
    printf("function   %s\nprogram    %s\ndirectory  %s\nworker     %d, ", info->function, info->program, info->directory, info->pid);
    if (info->signal) printf("ended by signal %d (%s)\n", info->signal, strsignal(info->signal));
    else if (info->exitcode >= 0) printf("left with %d\n", info->exitcode);
    else puts("nobody knows how it ended");
    printf("item       %llu\n", (unsigned long long)info->item);
    if (info->flags & CAROM_CAPSULE_HAS_HANDLES) puts("arguments  with handles, which are gone: cannot be run");
    for (const char *const *variable = info->environment; *variable; variable++) printf("           %s\n", *variable);
}

/* The environment of the task, and what tells carom_init what to do. */
static char **environment_of(const carom_capsule_description *info, const char *file, int here) {
    size_t count = 0;
    while (info->environment[count]) count++;
    char **all = calloc(count + 3, sizeof *all);
    if (!all || asprintf(&all[count], "CAROM_REPLAY=%s", file) < 0) return NULL;
    memcpy(all, info->environment, count * sizeof *all);
    if (here) all[count + 1] = "CAROM_REPLAY_HERE=1";
    return all;
}

int main(int argc, char **argv) {
    carom_init(argc, argv); /* never returns where it is this program that runs the task */
    const char *how = argc == 3 ? argv[1] : "", *file = argc > 1 ? argv[argc - 1] : "";
    int shows = strcmp(how, "--show") == 0, gdb = strcmp(how, "--gdb") == 0, valgrind = strcmp(how, "--valgrind") == 0;
    int here = gdb || valgrind || strcmp(how, "--here") == 0;
    if (argc < 2 || argc > 3 || *file == '-' || (argc == 3 && !shows && !here)) {
        fputs("usage: carom-replay [--show | --here | --gdb | --valgrind] FILE\n", stderr);
        return 2;
    }
    carom_capsule *capsule = NULL;
    carom_capsule_description info = {.size = sizeof info};
    if (carom_capsule_open(file, &capsule) != CAROM_OK || carom_capsule_info(capsule, &info) != CAROM_OK)
        return fail(file, carom_error_message());
    if (shows) {
        show(&info);
        carom_capsule_free(capsule);
        return 0;
    }
    char own[4096] = "", *path = realpath(file, NULL), **environment = environment_of(&info, path ? path : "", here);
    const char *program = info.program;
    if (!(info.flags & CAROM_CAPSULE_IN_PROGRAM)) {
        if (readlink("/proc/self/exe", own, sizeof own - 1) < 0) return fail("/proc/self/exe", strerror(errno));
        program = own;
    } else if (!(info.flags & CAROM_CAPSULE_HAS_INIT)) {
        return fail(info.program, "the program does not call carom_init, so its own functions cannot be run again");
    }
    if (!path || !environment) return fail(file, strerror(errno));
    if (chdir(info.directory) != 0) return fail(info.directory, strerror(errno));
    const char *plain[] = {program, NULL}, *debugger[] = {"gdb", "-q", "--args", program, NULL}, *checker[] = {"valgrind", program, NULL};
    const char **command = gdb ? debugger : valgrind ? checker : plain;
    execvpe(command[0], (char *const *)command, environment);
    return fail(command[0], strerror(errno));
}
