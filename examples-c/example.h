/* What the small examples have in common: calls that must succeed, and processes that must end well. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <carom.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* Nothing here is waited for longer than this: an example with a mistake in it fails, and does not hang. */
enum { PATIENCE_MS = 8000 };

/* The answer of a call of carom, if it is one; else this process says so and ends. */
#define MUST(call) must((call), #call)
static inline int64_t must(int64_t answer, const char *what) {
    if (answer >= 0) return answer;
    fprintf(stderr, "%s: %s (%s)\n", what, carom_error_message(), carom_status_name((carom_status)answer));
    exit(EXIT_FAILURE);
}

/* What must be true; else this process says so and ends. */
#define EXPECT(truth) expect((truth), #truth)
static inline void expect(bool truth, const char *what) {
    if (truth) return;
    fprintf(stderr, "not true: %s\n", what);
    exit(EXIT_FAILURE);
}

/* A process that runs `function` with these arguments: start(work, CAROM_HANDLE(lock), CAROM_INTEGER(3)). */
#define start(function, ...) start_in(NULL, function, __VA_ARGS__)

/* The same, by the start method of a context; NULL: by the default one. */
#define start_in(context, function, ...)                                                                               \
    start_with((context), (function), (carom_argument[]){__VA_ARGS__},                                                 \
               sizeof(carom_argument[]){__VA_ARGS__} / sizeof(carom_argument))
static inline carom_process *start_with(carom_context *context, carom_function function, const carom_argument *arguments,
                                        size_t count) {
    carom_process *process;
    carom_process_options options = {.size = sizeof options, .context = context};
    MUST(carom_process_start(function, arguments, count, &options, &process));
    return process;
}

/* Waits for the end of so many processes, each of which must exit with 0. */
static inline void finish(carom_process **processes, int count) {
    for (int i = 0; i < count; i++) {
        int32_t code;
        MUST(carom_process_join(processes[i], PATIENCE_MS));
        MUST(carom_process_exitcode(processes[i], &code));
        EXPECT(code == 0);
        carom_process_free(processes[i]);
    }
}

/* Argument `index` of a call, an integer. */
static inline int64_t integer(carom_call *call, size_t index) {
    int64_t number;
    MUST(carom_call_read(call, index, &number, sizeof number));
    return number;
}

#endif
