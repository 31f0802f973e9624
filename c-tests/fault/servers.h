/* Functions whose calls fail in a process that serves, or that is begun anew, for torture_faults.c. */
#ifndef FAULT_SERVERS_H
#define FAULT_SERVERS_H

#include "messages.h"

/* A process that fails once it has begun ends in whatever way; but its start has told of nothing that is not so. */
static void process_over(void) {
    CHECK_OK(carom_process_join(process, PATIENCE_MS));
    carom_process_free(process);
}

/* The server goes on, with what it was begun with. */
static uint64_t blocks_of_servers;
static void family_before_a_server(void) {
    family_up();
    blocks_of_servers = 1;
}

/* Its server is told to end while its calls fail: it does, or is killed as its manager is freed. */
static carom_status manager_serves(void) {
    OR_RETURN(manager_new());
    carom_status status = manager_used();
    for (int i = 0; i < 3 && status == CAROM_OK; i++) status = manager_used();
    carom_status over = carom_manager_shutdown(manager, patience());
    carom_manager_free(manager);
    return status == CAROM_OK ? over : status;
}
#endif
