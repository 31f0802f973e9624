/* The matrix of deaths where the template is the program begun anew. */
#include "pool_matrix.h"

#define BY(way, name) \
    static void name(void) { matrix("spawn", way); }
BY(CRASH, crash)
BY(EXIT, leave)
BY(FAIL, fail)
BY(ABORT, abort_)

int main(int argc, char **argv) {
    CHECK_OK(carom_init(argc, argv));
    CASE(crash);
    CASE(leave);
    CASE(fail);
    CASE(abort_);
    return 0;
}
