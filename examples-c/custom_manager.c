/* A manager with a type of the program's own: a counter that only the server's process knows from inside. Three processes raise
 * and lower it by the names of its methods; nothing but these can be done to it.
 *
 * The methods run on the server's loop, one after the other, so the counter needs no lock. */
/* test: */
#include "example.h"

enum { WORKERS = 3, OPERATIONS = 5 };

static int32_t create(carom_call *call) { return -carom_call_set_object(call, calloc(1, sizeof(int64_t))); }

static int32_t destroy(carom_call *call) {
    free(carom_call_object(call));
    return 0;
}

static int32_t add(carom_call *call, int64_t by) {
    int64_t *value = carom_call_object(call);
    *value += by;
    return -carom_call_reply_value(call, &CAROM_INTEGER(*value));
}
static int32_t increment(carom_call *call) { return add(call, 1); }
static int32_t decrement(carom_call *call) { return add(call, -1); }
static int32_t get_value(carom_call *call) { return add(call, 0); }

static const carom_method methods[] = {
    {.name = "increment", .function = increment},
    {.name = "decrement", .function = decrement},
    {.name = "get_value", .function = get_value},
};
static const carom_type types[] = {{.name = "Counter", .create = create, .destroy = destroy, .methods = methods, .method_count = 3}};

static int64_t ask(carom_proxy *counter, const char *method) {
    carom_argument reply;
    MUST(carom_proxy_call(counter, method, NULL, 0, &reply, NULL, 0, NULL, PATIENCE_MS));
    return reply.integer;
}

static int32_t work(carom_call *call) {
    carom_proxy *counter;
    MUST(carom_call_proxy(call, 0, &counter));
    for (int i = 0; i < OPERATIONS; i++) {
        const char *method = i % 2 ? "decrement" : "increment";
        printf("worker %" PRId64 ": %s, %" PRId64 "\n", integer(call, 1), method, ask(counter, method));
    }
    return 0;
}

int main(int argc, char **argv) {
    carom_manager *manager;
    carom_proxy *counter;
    carom_process *workers[WORKERS];
    MUST(carom_init(argc, argv));
    const carom_manager_options options = {.size = sizeof options, .types = types, .type_count = 1};
    MUST(carom_manager_new(&options, &manager));
    MUST(carom_manager_create(manager, "Counter", NULL, 0, NULL, &counter));
    printf("at first %" PRId64 "\n", ask(counter, "get_value"));
    for (int i = 0; i < WORKERS; i++) workers[i] = start(work, CAROM_HANDLE(counter), CAROM_INTEGER(i));
    finish(workers, WORKERS);
    int64_t value = ask(counter, "get_value");
    printf("in the end %" PRId64 "\n", value);
    EXPECT(value == WORKERS);
    carom_proxy_free(counter);
    MUST(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
    return 0;
}
