/* Which start method is best here: selection by circumstances, and a factory of contexts by purpose.
 *
 * On Linux it comes down to this: with threads about, not fork. Which methods a kernel and a sandbox allow is asked for, not
 * guessed. */
/* test: */
#define _DEFAULT_SOURCE
#include "example.h"
#include <dirent.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

static bool has(const char *method) {
    const char *methods[8];
    int64_t count = MUST(carom_start_method_list(methods, 8));
    for (int64_t i = 0; i < count; i++)
        if (strcmp(methods[i], method) == 0) return true;
    return false;
}

static carom_context *context_of(const char *method) {
    carom_context *context;
    MUST(carom_context_new(method, &context));
    return context;
}

static int threads(void) {
    int count = -2;
    DIR *tasks = opendir("/proc/self/task");
    EXPECT(tasks != NULL);
    while (readdir(tasks)) count++;
    closedir(tasks);
    return count;
}

static carom_context *optimal(void) {
    if (threads() > 1) return context_of(has("forkserver") ? "forkserver" : "spawn");
    return context_of("fork");
}

static carom_context *high_performance(void) { return context_of(has("fork") ? "fork" : "spawn"); }
static carom_context *safe(void) { return context_of(has("forkserver") ? "forkserver" : "spawn"); }
static carom_context *portable(void) { return context_of("spawn"); }

static int32_t nothing(carom_call *call) { return carom_call_count(call) == 1 ? 0 : 1; }

/* Uses a context once. */
static void use(const char *purpose, carom_context *context, const char *expected) {
    printf("%s: %s\n", purpose, carom_context_name(context));
    EXPECT(strcmp(carom_context_name(context), expected) == 0);
    carom_process *process = start_in(context, nothing, CAROM_NIL);
    finish(&process, 1);
    carom_context_free(context);
}

static sem_t stop;

static void *waits(void *nothing_) {
    while (sem_wait(&stop) != 0) continue;
    return nothing_;
}

int main(int argc, char **argv) {
    carom_init(argc, argv);
    use("one thread", optimal(), "fork");
    pthread_t thread;
    EXPECT(sem_init(&stop, 0, 0) == 0 && pthread_create(&thread, NULL, waits, NULL) == 0);
    use("two threads", optimal(), "forkserver");
    sem_post(&stop);
    pthread_join(thread, NULL);
    use("high performance", high_performance(), "fork");
    use("safe", safe(), "forkserver");
    use("portable", portable(), "spawn");
    return 0;
}
