/* Several contexts side by side, and two of one method.
 *
 * A context is a start method to be passed on, and nothing else: what is made in one works in all of them, so "isolated"
 * are the objects, which are different ones, not the contexts. */
/* test: */
#include "example.h"
#include <string.h>
#include <unistd.h>

enum { PLACES = 8 };

/* Writes its pid to its place. */
static int32_t report(carom_call *call) {
    carom_array *pids;
    MUST(carom_call_array(call, 0, &pids));
    int64_t pid = getpid();
    MUST(carom_array_set(pids, (size_t)integer(call, 1), &pid, sizeof pid, PATIENCE_MS));
    return 0;
}

static int64_t at(carom_array *pids, size_t place) {
    int64_t pid;
    MUST(carom_array_get(pids, place, 1, &pid, sizeof pid, PATIENCE_MS));
    return pid;
}

static carom_array *array(void) {
    carom_array *pids;
    MUST(carom_array_new(CAROM_I64, sizeof(int64_t), PLACES, NULL, NULL, &pids));
    return pids;
}

static void several_contexts(void) {
    const char *methods[PLACES];
    carom_process *processes[PLACES];
    carom_array *pids = array();
    int count = (int)MUST(carom_start_method_list(methods, PLACES));
    for (int i = 0; i < count; i++) {
        carom_context *context;
        MUST(carom_context_new(methods[i], &context));
        processes[i] = start_in(context, report, CAROM_HANDLE(pids), CAROM_INTEGER(i));
        carom_context_free(context);
    }
    finish(processes, count);
    for (int i = 0; i < count; i++) {
        printf("%s: a worker with pid %" PRId64 "\n", methods[i], at(pids, (size_t)i));
        EXPECT(at(pids, (size_t)i) > 0 && at(pids, (size_t)i) != getpid());
    }
    carom_array_free(pids);
}

static void two_isolated_ones(void) {
    carom_context *contexts[2];
    carom_array *pids[2];
    carom_process *processes[2];
    for (int i = 0; i < 2; i++) {
        MUST(carom_context_new("spawn", &contexts[i]));
        pids[i] = array();
    }
    for (int i = 0; i < 2; i++) processes[i] = start_in(contexts[i], report, CAROM_HANDLE(pids[i]), CAROM_INTEGER(i));
    finish(processes, 2);
    for (int i = 0; i < 2; i++) {
        printf("context %d: pid %" PRId64 "\n", i + 1, at(pids[i], (size_t)i));
        EXPECT(at(pids[i], (size_t)i) > 0 && at(pids[i], (size_t)(1 - i)) == 0);
        carom_array_free(pids[i]);
        carom_context_free(contexts[i]);
    }
}

int main(int argc, char **argv) {
    carom_init(argc, argv);
    several_contexts();
    two_isolated_ones();
    return 0;
}
