/* Start methods: which there are, which is the default, and how to choose another. */
/* test: */
#include "example.h"
#include <string.h>
#include <unistd.h>

static int32_t worker_info(carom_call *call) {
    const char *method;
    MUST(carom_start_method_get(0, &method));
    printf("worker: pid %d, parent %d, start method %s\n", (int)getpid(), (int)integer(call, 0), method);
    return 0;
}

int main(int argc, char **argv) {
    carom_init(argc, argv);                                         /* processes of method spawn begin here */
    const char *methods[8], *method;
    int64_t count = MUST(carom_start_method_list(methods, 8));
    printf("available:");
    for (int64_t i = 0; i < count; i++) printf(" %s", methods[i]);
    MUST(carom_start_method_get(0, &method));
    printf("\ndefault: %s\n", method);
    EXPECT(count > 0 && strcmp(method, methods[0]) == 0);

    EXPECT(carom_start_method_set("spawn", 0) == CAROM_EALREADY);   /* it has been asked for */
    MUST(carom_start_method_set("spawn", 1));                       /* by force */
    EXPECT(carom_start_method_set("thread", 1) == CAROM_EINVAL);
    MUST(carom_start_method_get(0, &method));
    printf("now: %s\n", method);

    carom_process *process = start(worker_info, CAROM_INTEGER(getpid()));
    finish(&process, 1);
    return 0;
}
