/* Functions that end in each way, by their argument, and whether that can be found out. */
#ifndef ENDS_H
#define ENDS_H

#include "support.h"

static inline int64_t number_given(carom_call *call) {
    int64_t number;
    CHECK_OK(carom_call_read(call, 0, &number, sizeof number));
    return number;
}

__attribute__((unused)) static int32_t returns(carom_call *call) { return (int32_t)number_given(call); }
__attribute__((unused)) static int32_t exits(carom_call *call) { exit((int)number_given(call)); }
/* Nothing of ours runs: only the kernel knows. */
__attribute__((unused)) static int32_t exits_at_once(carom_call *call) { _exit((int)number_given(call)); }
__attribute__((unused)) static int32_t raises(carom_call *call) {
    raise((int)number_given(call));
    return 0;
}

/* Whether the kernel tells how a process ended that somebody else reaped: Linux 6.15. */
static inline int kernel_tells(void) {
    int major = 0, minor = 0;
    FILE *file = fopen("/proc/sys/kernel/osrelease", "re");
    if (file && fscanf(file, "%d.%d", &major, &minor) != 2) major = 0;
    if (file) fclose(file);
    return major > 6 || (major == 6 && minor >= 15);
}

#endif
