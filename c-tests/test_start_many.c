/* What many starts leave behind, by every method: nothing. */
#include "starts.h"

static long resident_kb(void) {
    long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    CHECK(file && fscanf(file, "%ld %ld", &size, &resident) == 2);
    fclose(file);
    return resident * 4;
}

static int thread_count(void) {
    int count = 0;
    DIR *directory = opendir("/proc/self/task");
    while (directory && readdir(directory)) count++;
    if (directory) closedir(directory);
    return count;
}

static void start_some(int count) {
    carom_process_options options = some();
    carom_event *event = NULL;
    CHECK_OK(carom_event_new(&event));
    carom_argument arguments[] = {CAROM_INTEGER(4), CAROM_HANDLE(event)};
    for (int i = 0; i < count; i++) {
        carom_process *process = NULL;
        CHECK_OK(carom_process_start(returns, arguments, 2, &options, &process));
        CHECK_EQ(ended(process), 4);
    }
    carom_event_free(event);
    carom_context_free(options.context);
}

/* CAROM_STARTS=10000: so many of each. */
static void many_starts(void) {
    int count = getenv("CAROM_STARTS") ? atoi(getenv("CAROM_STARTS")) : 300;
    carom_arena_info before = {.size = sizeof before}, after = {.size = sizeof after};
    start_some(100);
    int fds = fd_count(), threads = thread_count();
    long arena = arena_kb(), resident = resident_kb();
    CHECK_OK(carom_arena_check(&before));
    start_some(count);
    CHECK_OK(carom_arena_check(&after));
    CHECK_EQ(fd_count(), fds);
    CHECK_EQ(thread_count(), threads);
    CHECK(arena_kb() <= arena + 64);
#ifndef __SANITIZE_ADDRESS__
    CHECK(resident_kb() <= resident + 1024);
#endif
    (void)resident;
    CHECK_EQ(after.blocks, before.blocks);
    CHECK_EQ(after.objects, before.objects);
    CHECK_EQ(after.members, before.members);
}

int main(int argc, char **argv) {
    CHECK_OK(carom_init(argc, argv));
    for (int i = 0; by_method(i); i++) {
        CASE(many_starts);
    }
    return 0;
}
