/* A plug-in with a carom of its own, in the static library. */
#include "work.h"

int plugin_works(void);
int plugin_works(void) { return work(); }

const void *plugin_copy(void);
const void *plugin_copy(void) { return (const void *)carom_version(); }

int plugin_is_foreign(void);
int plugin_is_foreign(void) {
    carom_lock *lock = NULL;
    if (carom_lock_new(NULL, &lock) != CAROM_EFORKED) return 1;
    return carom_attach() == CAROM_OK ? work() : 2;
}
