/* The matrix of deaths where the template is a fork of the forkserver. */
#include "pool_matrix.h"

#define BY(way, name) \
    static void name(void) { matrix("forkserver", way); }
BY(CRASH, crash)
BY(EXIT, leave)
BY(FAIL, fail)
BY(ABORT, abort_)

int main(int argc, char **argv) {
    CHECK_OK(carom_init(argc, argv));
    more_fds = 1; /* to the forkserver */
    CASE(crash);
    CASE(leave);
    CASE(fail);
    CASE(abort_);
    return 0;
}
