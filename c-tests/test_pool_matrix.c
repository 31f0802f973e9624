/* The matrix of deaths under fork. */
#include "pool_matrix.h"

static void by_fork(void) {
    for (int way = 0; way < WAYS; way++) matrix(NULL, way);
}

int main(int argc, char **argv) {
    CASE(by_fork);
    check_no_leaks(0);
    return 0;
}
