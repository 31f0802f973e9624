/* The structure of an application: the start method is set once, early, and everything after it uses it. */
/* test: */
#include "example.h"

enum { WORKERS = 4 };

static int32_t worker(carom_call *call) {
    carom_array *results;
    MUST(carom_call_array(call, 0, &results));
    int64_t id = integer(call, 1), result = 100 + id;
    MUST(carom_array_set(results, (size_t)id, &result, sizeof result, PATIENCE_MS));
    return 0;
}

int main(int argc, char **argv) {
    MUST(carom_init(argc, argv));                                   /* first, since workers begin here */
    MUST(carom_start_method_set("spawn", 0));                       /* then, before anything is started */

    carom_array *results;
    carom_process *workers[WORKERS];
    int64_t all[WORKERS];
    MUST(carom_array_new(CAROM_I64, sizeof(int64_t), WORKERS, NULL, NULL, &results));
    for (int i = 0; i < WORKERS; i++) workers[i] = start(worker, CAROM_HANDLE(results), CAROM_INTEGER(i));
    finish(workers, WORKERS);

    MUST(carom_array_get(results, 0, WORKERS, all, sizeof all, PATIENCE_MS));
    for (int i = 0; i < WORKERS; i++) {
        printf("result from worker %d: %" PRId64 "\n", i, all[i]);
        EXPECT(all[i] == 100 + i);
    }
    carom_array_free(results);
    return 0;
}
