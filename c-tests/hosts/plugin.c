/* Part of a program, or a library that a program loads: processes by every start method, which run static functions of it. */
#include <carom.h>
#include <stdio.h>
#include <string.h>

static int variable = 3;

static int32_t adds(carom_call *call) {
    int64_t number;
    if (carom_call_read(call, 0, &number, sizeof number) != CAROM_OK) return 255;
    return (int32_t)number + variable;
}

static int run(const char *method) {
    carom_context *context = NULL;
    carom_process *process = NULL;
    int32_t code = -1000;
    carom_argument argument = CAROM_INTEGER(40);
    carom_process_options options = {.size = sizeof options};
    if (carom_context_new(method, &context) != CAROM_OK) return 1;
    options.context = context;
    carom_status status = carom_process_start(adds, &argument, 1, &options, &process);
    if (status == CAROM_OK) status = carom_process_join(process, 8000);
    if (status == CAROM_OK) status = carom_process_exitcode(process, &code);
    if (status != CAROM_OK || code != 43)
        fprintf(stderr, "%s: %s: %s, code %d\n", method, carom_status_name(status), carom_error_message(), (int)code);
    carom_process_free(process);
    carom_context_free(context);
    return status != CAROM_OK || code != 43;
}

int plugin_run(void) {
    const char *methods[8];
    int64_t count = carom_start_method_list(methods, 8);
    for (int64_t i = 0; i < 2 * count; i++)
        if (run(methods[i % count])) return 1;
    return count != 3;
}
