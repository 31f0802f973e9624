/* How many processes a family may have, measured: a test of its own, since so many take a while. The rest: test_limits.c. */
#include "header_table.h"

static long members(void) {
    carom_arena_info info = {.size = sizeof info};
    CHECK_OK(carom_arena_check(&info));
    return (long)info.members;
}

/* Most of them are workers, which begin faster than processes do. */
static void processes_of_a_family(void) {
#ifdef __SANITIZE_ADDRESS__
    return; /* whose processes are too big to be so many */
#endif
    enum { POOLS = 3, EARLY = 1000, MOST = 1100 };
    static carom_process *processes[MOST];
    carom_pool *pools[POOLS];
    int count = 0;
    carom_status status;
    more_descriptors();
    /* While this process is small: each of them is a copy of it, and pools make it larger. */
    for (; count < EARLY; count++) CHECK_OK(carom_process_start(for_ever, NULL, 0, NULL, &processes[count]));
    for (int i = 0; i < POOLS; i++) pools[i] = pool_of(1024, 0, 0);
    /* As long as there are more from time to time. */
    long seen = 0;
    for (int64_t until = 0; seen < 1 + EARLY + POOLS * 1025;) {
        long now = members();
        if (now > seen) until = now_ms() + PATIENCE_MS;
        CHECK(now_ms() < until);
        seen = now;
        usleep(20000); /* not too often: each look takes a while */
    }
    while (count < MOST && (status = carom_process_start(for_ever, NULL, 0, NULL, &processes[count])) == CAROM_OK) count++;
    check_row("processes of a family", members(), status);
    CHECK_OK(carom_process_kill(processes[7]));
    CHECK_OK(carom_process_join(processes[7], PATIENCE_MS));
    carom_process_free(processes[7]);
    CHECK_OK(carom_process_start(for_ever, NULL, 0, NULL, &processes[7]));
    for (int i = 0; i < POOLS; i++) carom_pool_free(pools[i]);
    for (int i = 0; i < count; i++) CHECK_OK(carom_process_kill(processes[i]));
    for (int i = 0; i < count; i++) {
        CHECK_OK(carom_process_join(processes[i], CAROM_FOREVER));
        carom_process_free(processes[i]);
    }
}

int main(int argc, char **argv) {
    CASE(processes_of_a_family);
    return 0;
}
