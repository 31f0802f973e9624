/* The configuration of a distributed system: workers from the forkserver, so that whatever threads this program has do not
 * matter to them, and a manager for the state that they share, which processes of other programs may use too. */
/* test: */
#include "example.h"

enum { WORKERS = 4, JOBS = 25 };

static int32_t worker(carom_call *call) {
    carom_dict *state;
    carom_list *log;
    MUST(carom_call_dict(call, 0, &state));
    MUST(carom_call_list(call, 1, &log));
    int64_t id = integer(call, 2), done = 0;
    carom_argument jobs = CAROM_STRING("jobs done", 9), own = CAROM_INTEGER(id), name = CAROM_INTEGER(id);
    for (int i = 0; i < JOBS; i++) {
        MUST(carom_dict_increment(state, &jobs, 1, NULL)); /* each in one step: nothing is lost */
        MUST(carom_dict_increment(state, &own, 1, &done));
    }
    MUST(carom_list_append(log, &name));
    return done == JOBS ? 0 : 1;
}

int main(int argc, char **argv) {
    MUST(carom_init(argc, argv));
    MUST(carom_start_method_set("forkserver", 0));
    MUST(carom_forkserver_start()); /* early, before there are threads and memory */

    carom_manager *manager;
    carom_dict *state;
    carom_list *log;
    carom_process *workers[WORKERS];
    MUST(carom_manager_new(NULL, &manager)); /* its server is started by the default method too */
    MUST(carom_manager_dict(manager, NULL, &state));
    MUST(carom_manager_list(manager, NULL, 0, &log));
    for (int i = 0; i < WORKERS; i++) workers[i] = start(worker, CAROM_HANDLE(state), CAROM_HANDLE(log), CAROM_INTEGER(i));
    finish(workers, WORKERS);

    carom_argument jobs = CAROM_STRING("jobs done", 9);
    int64_t sum;
    MUST(carom_dict_increment(state, &jobs, 0, &sum));
    printf("%" PRId64 " jobs done by %" PRId64 " workers\n", sum, MUST(carom_list_len(log)));
    EXPECT(sum == WORKERS * JOBS);
    EXPECT(carom_list_len(log) == WORKERS);

    carom_list_free(log);
    carom_dict_free(state);
    MUST(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
    return 0;
}
