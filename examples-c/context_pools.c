/* Pools for two purposes: many workers for a computation, by the fastest method; and a few for a web service with threads,
 * whose workers begin with fresh memory, and are replaced after a hundred requests. */
/* test: */
#include "example.h"

enum { ITEMS = 1000, REQUESTS = 500 };

static int32_t compute(carom_call *call) {
    double x;
    MUST(carom_call_read(call, 0, &x, sizeof x));
    double sum = 0;
    for (int i = 1; i < 100; i++) sum += x / i;
    return carom_call_reply(call, &sum, sizeof sum) == CAROM_OK ? 0 : 1;
}

static int32_t handle_request(carom_call *call) {
    int64_t answer = 2 * integer(call, 0);
    return carom_call_reply(call, &answer, sizeof answer) == CAROM_OK ? 0 : 1;
}

static void end(carom_pool *pool) {
    MUST(carom_pool_close(pool));
    MUST(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
}

static void high_performance_computing(void) {
    static double in[ITEMS], out[ITEMS];
    carom_context *context;
    carom_pool *pool;
    carom_pool_options options = {.size = sizeof options, .workers = carom_cpu_count()};
    MUST(carom_context_new("fork", &context));
    options.context = context;
    MUST(carom_pool_new(&options, &pool));
    for (int i = 0; i < ITEMS; i++) in[i] = i;
    MUST(carom_pool_map(pool, compute, in, sizeof *in, ITEMS, NULL, out, sizeof *out, PATIENCE_MS));
    printf("computed %d items, the last is %.3f\n", ITEMS, out[ITEMS - 1]);
    EXPECT(out[0] == 0 && out[ITEMS - 1] > out[1]);
    end(pool);
    carom_context_free(context);
}

static void web_service(void) {
    carom_pool *pool;
    carom_pool_options options = {.size = sizeof options, .workers = 4, .max_tasks = 100};
    MUST(carom_start_method_set("spawn", 1));
    MUST(carom_pool_new(&options, &pool));
    for (int64_t i = 0; i < REQUESTS; i++) {
        carom_argument request = CAROM_INTEGER(i);
        int64_t answer;
        MUST(carom_pool_apply(pool, handle_request, &request, 1, NULL, &answer, sizeof answer, NULL, PATIENCE_MS));
        EXPECT(answer == 2 * i);
    }
    printf("answered %d requests\n", REQUESTS);
    end(pool);
}

int main(int argc, char **argv) {
    carom_init(argc, argv);
    high_performance_computing();
    web_service();
    return 0;
}
