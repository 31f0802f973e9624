/* C and C++ at once: the header first and alone, then each of its macros, as an initialiser. */
#include <carom.h>

const char *header_version(void);
const char *header_version(void) { return CAROM_VERSION; }

#ifdef CAROM_ARGUMENT_BYTES
int64_t arguments(void *handle);
int64_t arguments(void *handle) {
    carom_argument one = CAROM_NIL;
    carom_argument some[] = {CAROM_BYTES("a", 1), CAROM_STRING("b", 1), CAROM_HANDLE(handle),
                             CAROM_INTEGER(-2),   CAROM_REAL(0.5),      CAROM_BOOL(1)};
    return some[3].integer + one.integer;
}
#endif
