/* The start methods compared, in a program with threads: what each child has of its parent.
 *
 * Only the thread that starts a process is in a forked child; what the others held stays held there. The children of spawn
 * and forkserver begin with fresh memory, and have no such trouble. */
/* test: */
#define _DEFAULT_SOURCE
#include "example.h"
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 3 };

static int variable;
static atomic_bool stop;

static int threads(void) {
    int count = -2;                                                 /* "." and ".." */
    DIR *tasks = opendir("/proc/self/task");
    EXPECT(tasks != NULL);
    while (readdir(tasks)) count++;
    closedir(tasks);
    return count;
}

static void *works(void *nothing) {
    while (!atomic_load(&stop)) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return nothing;
}

static int32_t child(carom_call *call) {
    printf("child: pid %d, parent %d, %d thread(s), the variable is %d\n", (int)getpid(), (int)getppid(), threads(), variable);
    EXPECT(threads() == 1);
    return variable == integer(call, 0) ? 0 : 1;
}

int main(int argc, char **argv) {
    carom_init(argc, argv);
    pthread_t running[THREADS];
    for (int i = 0; i < THREADS; i++) EXPECT(pthread_create(&running[i], NULL, works, NULL) == 0);
    variable = 42;
    printf("parent: pid %d, %d threads\n", (int)getpid(), threads());

    const char *methods[8];
    int64_t count = MUST(carom_start_method_list(methods, 8));
    for (int64_t i = 0; i < count; i++) {
        carom_context *context;
        MUST(carom_context_new(methods[i], &context));
        printf("--- %s\n", methods[i]);
        bool is_copy = strcmp(methods[i], "fork") == 0;
        carom_process *process = start_in(context, child, CAROM_INTEGER(is_copy ? 42 : 0));
        finish(&process, 1);
        carom_context_free(context);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++) pthread_join(running[i], NULL);
    return 0;
}
