// The header in C++: linkage, the argument macros as expressions.
#include "check.h"

int main() {
    const char *(*version)() = carom_version;
    CHECK_STR_EQ(version(), CAROM_VERSION);
#ifdef CAROM_ARGUMENT_BYTES
    const carom_argument arguments[] = {CAROM_BYTES("abc", 3), CAROM_STRING("de", 2), CAROM_INTEGER(-3),
                                        CAROM_REAL(0.5),       CAROM_BOOL(7),         CAROM_NIL};
    CHECK_EQ(arguments[0].kind, CAROM_ARGUMENT_BYTES);
    CHECK_EQ(arguments[1].len, 2);
    CHECK_EQ(arguments[2].integer, -3);
    CHECK(arguments[3].real == 0.5);
    CHECK_EQ(arguments[4].integer, 1);
    CHECK_EQ(arguments[5].kind, CAROM_ARGUMENT_NIL);
#endif
    check_no_leaks(0);
    return 0;
}
