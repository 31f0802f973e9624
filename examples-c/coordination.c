/* A producer and two consumers that share a queue, an event and a dict of a manager: the event says that nothing more comes, the
 * dict counts. They need not be of one program, nor on one machine: see remote_queue.c. */
/* test: */
#include "example.h"
#include <string.h>

enum { ITEMS = 5, CONSUMERS = 2 };

static carom_argument text(const char *it) { return CAROM_STRING(it, strlen(it)); }

static int32_t produce(carom_call *call) {
    carom_queue *queue;
    carom_event *done;
    carom_dict *statistics;
    MUST(carom_call_queue(call, 0, &queue));
    MUST(carom_call_event(call, 1, &done));
    MUST(carom_call_dict(call, 2, &statistics));
    const carom_argument produced = text("produced");
    for (int i = 0; i < ITEMS; i++) {
        char item[32];
        int len = snprintf(item, sizeof item, "item_%d", i);
        MUST(carom_queue_put(queue, item, (size_t)len, PATIENCE_MS));
        MUST(carom_dict_increment(statistics, &produced, 1, NULL));
    }
    MUST(carom_event_set(done));
    return 0;
}

static int32_t consume(carom_call *call) {
    carom_queue *queue;
    carom_event *done;
    carom_dict *statistics;
    char name[32], item[32];
    size_t len;
    MUST(carom_call_queue(call, 0, &queue));
    MUST(carom_call_event(call, 1, &done));
    MUST(carom_call_dict(call, 2, &statistics));
    snprintf(name, sizeof name, "consumer_%" PRId64, integer(call, 3));
    const carom_argument mine = text(name);
    for (;;) {
        /* Asked before the look at the queue: what came before the event is there. */
        int32_t is_over = (int32_t)MUST(carom_event_is_set(done));
        carom_status got = carom_queue_get(queue, item, sizeof item, &len, is_over ? 0 : 50);
        if (got == CAROM_ETIMEDOUT && is_over) return 0;
        if (got == CAROM_ETIMEDOUT) continue;
        MUST(got);
        printf("%s: %.*s\n", name, (int)len, item);
        MUST(carom_dict_increment(statistics, &mine, 1, NULL));
    }
}

static int64_t count(carom_dict *statistics, const char *name) {
    const carom_argument key = text(name);
    carom_argument found;
    carom_status status = carom_dict_get(statistics, &key, &found, NULL, 0, NULL);
    if (status == CAROM_ENOENT) return 0;
    MUST(status);
    return found.integer;
}

int main(int argc, char **argv) {
    carom_manager *manager;
    carom_queue *queue;
    carom_event *done;
    carom_dict *statistics;
    carom_process *processes[1 + CONSUMERS];
    MUST(carom_init(argc, argv));
    MUST(carom_manager_new(NULL, &manager));
    MUST(carom_manager_queue(manager, NULL, &queue));
    MUST(carom_manager_event(manager, &done));
    MUST(carom_manager_dict(manager, NULL, &statistics));
    processes[0] = start(produce, CAROM_HANDLE(queue), CAROM_HANDLE(done), CAROM_HANDLE(statistics));
    for (int i = 0; i < CONSUMERS; i++)
        processes[1 + i] = start(consume, CAROM_HANDLE(queue), CAROM_HANDLE(done), CAROM_HANDLE(statistics), CAROM_INTEGER(i));
    finish(processes, 1 + CONSUMERS);
    int64_t consumed = count(statistics, "consumer_0") + count(statistics, "consumer_1");
    printf("%" PRId64 " produced, %" PRId64 " consumed\n", count(statistics, "produced"), consumed);
    EXPECT(consumed == ITEMS && count(statistics, "produced") == ITEMS);
    carom_dict_free(statistics);
    carom_event_free(done);
    carom_queue_free(queue);
    MUST(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
    return 0;
}
