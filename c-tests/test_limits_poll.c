/* The limit of what the processes of a family poll: as it stands in the header. */
#include "header_table.h"
#include <sys/resource.h>

static void descriptors_that_are_polled(void) {
    enum { MORE = 4200 };
    static carom_queue *queues[MORE];
    struct rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < MORE + 100) return; /* no process here has so many */
    limit.rlim_cur = MORE + 100;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    carom_status status = CAROM_OK;
    int count = 0;
    for (; count < MORE && status >= 0; count++) {
        CHECK_OK(carom_queue_new(NULL, &queues[count]));
        status = carom_queue_fd(queues[count]);
    }
    check_row("queues and ends of pipes that are polled", count - 1, status);
    carom_queue_free(queues[0]); /* room again */
    CHECK(carom_queue_fd(queues[count - 1]) > 2);
    for (int i = 1; i < count; i++) carom_queue_free(queues[i]);
}

int main(int argc, char **argv) {
    CASE(descriptors_that_are_polled);
    return 0;
}
