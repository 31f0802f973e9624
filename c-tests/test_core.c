/* A crash of a worker leaves the core dump that it would leave without carom: where the system writes one, of the fault, and none
 * where the host has none. And a handler of the host's own runs in the host. */
#include "pool.h"

#include <setjmp.h>

static volatile int sink;
static int *volatile nowhere;
static __attribute__((noinline, noclone)) void read_nowhere(void) { sink = *nowhere; }
static int32_t crash(carom_call *call) {
    (void)call;
    read_nowhere();
    return 7;
}

static char directory[64];
static void enter_directory(rlim_t core) {
    if (setrlimit(RLIMIT_CORE, &(struct rlimit){core, core}) != 0) _exit(0); /* the hard limit is lower already */
    snprintf(directory, sizeof directory, "/tmp/carom-core-%d", (int)getpid());
    CHECK_EQ(mkdir(directory, 0700), 0);
    CHECK_EQ(chdir(directory), 0);
}
static int cores(char *name, size_t size) {
    int count = 0;
    DIR *open = opendir(".");
    for (struct dirent *entry; (entry = readdir(open));)
        if (entry->d_name[0] != '.') count++, snprintf(name, size, "%s", entry->d_name);
    closedir(open);
    return count;
}
static void leave_directory(void) {
    char command[128];
    CHECK_EQ(chdir("/"), 0);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    CHECK_EQ(system(command), 0);
}
static carom_verdict crashed(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    carom_result *result = submit(pool, crash, 0);
    carom_verdict verdict = verdict_of(result);
    CHECK_EQ(verdict.signal, SIGSEGV);
    CHECK(strstr(verdict.backtrace, "#0 read_nowhere+0x") != NULL);
    carom_result_free(result);
    works(pool);
    finish(pool);
    return verdict;
}

static void where_the_host_has_them(void) {
    char pattern[256] = "", name[256] = "", command[1024], program[512] = "";
    FILE *file = fopen("/proc/sys/kernel/core_pattern", "re");
    if (!file || !fgets(pattern, sizeof pattern, file) || pattern[0] == '|' || pattern[0] == '/') {
        fprintf(stderr, "core dumps go elsewhere here: %s", pattern);
        return;
    }
    fclose(file);
    CHECK(readlink("/proc/self/exe", program, sizeof program - 1) > 0);
    enter_directory(1 << 30);
    crashed();
    CHECK_EQ(cores(name, sizeof name), 1);
    struct stat about;
    CHECK_EQ(stat(name, &about), 0);
    /* Without the 64 GiB that the family shares. */
    CHECK(about.st_size > 4096 && about.st_blocks < (64 << 20) / 512);
    /* Of the fault, not of a handler. */
    if (system("command -v gdb >/dev/null") == 0) {
        snprintf(command, sizeof command, "gdb -batch -ex bt %s %s 2>/dev/null | grep '^#0 .*read_nowhere'", program, name);
        CHECK_EQ(system(command), 0);
    }
    leave_directory();
}

static void where_the_host_has_none(void) {
    char name[256];
    enter_directory(0);
    crashed();
    CHECK_EQ(cores(name, sizeof name), 0);
    leave_directory();
}

static sigjmp_buf back;
static volatile sig_atomic_t handled;
static void of_the_host(int signal) {
    handled = signal;
    siglongjmp(back, 1);
}
static void a_crash_of_the_host_is_its_own_affair(void) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    struct sigaction action = {.sa_handler = of_the_host};
    CHECK_EQ(sigaction(SIGSEGV, &action, NULL), 0);
    carom_pool *pool = pool_of(1, 0, 0);
    works(pool);
    if (sigsetjmp(back, 1) == 0) read_nowhere();
    CHECK_EQ(handled, SIGSEGV);
    /* Workers do not have it: they start with default dispositions, and the evidence is ours. */
    carom_result *result = submit(pool, crash, 0);
    CHECK_EQ(verdict_of(result).signal, SIGSEGV);
    carom_result_free(result);
    works(pool);
    finish(pool);
}

int main(int argc, char **argv) {
    CASE(where_the_host_has_them);
    CASE(where_the_host_has_none);
    CASE(a_crash_of_the_host_is_its_own_affair);
    return 0;
}
