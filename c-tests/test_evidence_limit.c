/* A stack that takes for ever to walk, as where the loader's lock is taken for ever: the crash is one nevertheless. */
#include "pool.h"

/* The library finds this one before libgcc's. */
static volatile int hangs;
static volatile int *volatile nowhere = (volatile int *)16;
int _Unwind_Backtrace(void *step, void *state);
int _Unwind_Backtrace(void *step, void *state) {
    (void)step, (void)state;
    while (hangs == 1) pause();
    while (hangs == 2) {}
    return 0;
}

static __attribute__((noinline, noclone)) void read_nowhere(int how) {
    hangs = how;
    *nowhere;
}
static int32_t crash(carom_call *call) {
    read_nowhere((int)argument_of(call));
    return 0;
}

static void the_walk_has_a_limit(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    for (int i = 0; i < 3; i++) {
        carom_result *result = submit(pool, crash, i);
        carom_verdict verdict = verdict_of(result);
        CHECK_EQ(verdict.signal, SIGSEGV);
        CHECK_EQ(verdict.signal_code, SEGV_MAPERR);
        CHECK_EQ(verdict.fault_address, 16);
        CHECK(strncmp(verdict.backtrace, "#0 read_nowhere+0x", 18) == 0);
        carom_result_free(result);
        works(pool);
    }
    finish(pool);
}

/* Or as long as the task may take. */
static void the_time_limit_holds_meanwhile(void) {
    carom_pool *pool = pool_of(1, 0, 200);
    carom_result *result = submit(pool, crash, 1);
    carom_verdict verdict = verdict_of(result);
    CHECK_STATUS(verdict.status, CAROM_ETIMELIMIT);
    CHECK_EQ(verdict.signal, SIGKILL);
    CHECK_EQ(verdict.signal_code, 0);
    CHECK_STR_EQ(verdict.backtrace, "");
    carom_result_free(result);
    works(pool);
    finish(pool);
}

int main(int argc, char **argv) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    CASE(the_walk_has_a_limit);
    CASE(the_time_limit_holds_meanwhile);
    return 0;
}
