/* A recursive lock: its holder may take it again, as functions do that call each other, and gives it back as often.
 *
 * Until the last of its levels is given back, nobody else gets it, neither another process nor another thread. */
/* test: */
#include "example.h"

enum { LEVELS = 3 };

static int32_t try_once(carom_call *call) {
    carom_lock *lock;
    MUST(carom_call_lock(call, 0, &lock));
    EXPECT(carom_lock_release(lock) == CAROM_EPERM);                /* held or not: not by us */
    if (carom_lock_acquire(lock, 0) == CAROM_ETIMEDOUT) return 1;
    MUST(carom_lock_release(lock));
    return 0;
}

/* Whether a process that tries now gets the lock. */
static bool others_get(carom_lock *lock) {
    carom_process *process = start(try_once, CAROM_HANDLE(lock));
    int32_t code;
    MUST(carom_process_join(process, PATIENCE_MS));
    MUST(carom_process_exitcode(process, &code));
    carom_process_free(process);
    EXPECT(code == 0 || code == 1);
    return code == 0;
}

static void descend(carom_lock *lock, int level) {
    MUST(carom_lock_acquire(lock, PATIENCE_MS));
    printf("%*slevel %d: acquired\n", 2 * (LEVELS - level), "", level);
    if (level > 0) descend(lock, level - 1);
    EXPECT(!others_get(lock));
    printf("%*slevel %d: releasing\n", 2 * (LEVELS - level), "", level);
    MUST(carom_lock_release(lock));
}

static int32_t recurse(carom_call *call) {
    carom_lock *lock;
    MUST(carom_call_lock(call, 0, &lock));
    descend(lock, LEVELS);
    return 0;
}

int main(int argc, char **argv) {
    carom_lock *lock;
    carom_init(argc, argv);
    MUST(carom_rlock_new(NULL, &lock));
    carom_process *process = start(recurse, CAROM_HANDLE(lock));
    finish(&process, 1);
    EXPECT(others_get(lock));
    EXPECT(carom_lock_release(lock) == CAROM_EPERM);                /* it was released as often as it was acquired */
    printf("released: anybody may have it\n");
    carom_lock_free(lock);
    return 0;
}
