/* A counter in plain memory, guarded by a lock: three processes, five increments each, none of them lost.
 *
 * The memory is mapped before the processes start, so they have it in common; carom knows nothing of it. What the lock
 * guards is up to those who use it: here, reading, thinking for a millisecond, and writing. */
/* test: */
#define _DEFAULT_SOURCE
#include "example.h"
#include <sys/mman.h>
#include <time.h>

enum { WORKERS = 3, ITERATIONS = 5 };

static int *counter;

static int32_t work(carom_call *call) {
    carom_lock *lock;
    MUST(carom_call_lock(call, 0, &lock));
    for (int i = 0; i < ITERATIONS; i++) {
        MUST(carom_lock_acquire(lock, PATIENCE_MS));
        int before = *counter;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);    /* time enough for the others to interfere */
        *counter = before + 1;
        printf("worker %" PRId64 " incremented the counter to %d\n", integer(call, 1), *counter);
        MUST(carom_lock_release(lock));
    }
    return 0;
}

int main(int argc, char **argv) {
    carom_lock *lock;
    carom_process *workers[WORKERS];
    carom_init(argc, argv);
    counter = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(counter != MAP_FAILED);
    MUST(carom_lock_new(NULL, &lock));

    for (int i = 0; i < WORKERS; i++) workers[i] = start(work, CAROM_HANDLE(lock), CAROM_INTEGER(i));
    finish(workers, WORKERS);
    printf("counter: %d\n", *counter);
    EXPECT(*counter == WORKERS * ITERATIONS);

    EXPECT(carom_lock_locked(lock) == 0);
    EXPECT(carom_lock_release(lock) == CAROM_EPERM);                /* nobody holds it */
    carom_lock_free(lock);
    return 0;
}
