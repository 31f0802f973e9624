/* Work distribution: one process puts tasks into a queue of a manager, three do them and write results into a dict.
 *
 * The queue is an object by name: its methods are called with carom_proxy_call. A task that was taken by a process that
 * died before it arrived there goes to the next; one that arrived is that process's. */
/* test: */
#include "example.h"
#include <string.h>

enum { WORKERS = 3, TASKS = 15 };

static carom_argument text(const char *it) { return (carom_argument)CAROM_STRING(it, strlen(it)); }

static int32_t distribute(carom_call *call) {
    static const char *const operations[] = {"square", "cube", "double"};
    carom_queue *queue;
    carom_argument nothing;
    MUST(carom_call_queue(call, 0, &queue));
    for (int i = 0; i < TASKS; i++) {
        const carom_argument fields[] = {text("id"), CAROM_INTEGER(i), text("data"), CAROM_INTEGER(i * 37 % 100 + 1),
                                         text("operation"), text(operations[i % 3])};
        const carom_argument task = {.kind = CAROM_ARGUMENT_MAP, .data = fields, .len = 3};
        MUST(carom_proxy_call(queue, "put", &task, 1, &nothing, NULL, 0, NULL, PATIENCE_MS));
    }
    const carom_argument end = {.kind = CAROM_ARGUMENT_NIL};
    for (int i = 0; i < WORKERS; i++) MUST(carom_proxy_call(queue, "put", &end, 1, &nothing, NULL, 0, NULL, PATIENCE_MS));
    return 0;
}

static int32_t work(carom_call *call) {
    carom_queue *queue;
    carom_dict *results;
    MUST(carom_call_queue(call, 0, &queue));
    MUST(carom_call_dict(call, 1, &results));
    for (;;) {
        _Alignas(16) char memory[512];
        carom_argument task;
        MUST(carom_proxy_call(queue, "get", NULL, 0, &task, memory, sizeof memory, NULL, PATIENCE_MS));
        if (task.kind == CAROM_ARGUMENT_NIL) return 0;
        const carom_argument *fields = task.data; /* id, data, operation, each behind its name */
        const int64_t data = fields[3].integer;
        const int is_square = memcmp(fields[5].data, "square", 6) == 0, is_cube = memcmp(fields[5].data, "cube", 4) == 0;
        const carom_argument result[] = {text("input"), fields[3], text("operation"), fields[5], text("result"),
                                         CAROM_INTEGER(is_square ? data * data : is_cube ? data * data * data : 2 * data),
                                         text("worker"), CAROM_INTEGER(integer(call, 2))};
        const carom_argument map = {.kind = CAROM_ARGUMENT_MAP, .data = result, .len = 4};
        MUST(carom_dict_set(results, &fields[1], &map));
    }
}

int main(int argc, char **argv) {
    carom_manager *manager;
    carom_queue *queue;
    carom_dict *results;
    carom_process *processes[WORKERS + 1];
    MUST(carom_init(argc, argv));
    MUST(carom_manager_new(NULL, &manager));
    MUST(carom_manager_queue(manager, NULL, &queue));
    MUST(carom_manager_dict(manager, NULL, &results));
    processes[WORKERS] = start(distribute, CAROM_HANDLE(queue));
    for (int i = 0; i < WORKERS; i++)
        processes[i] = start(work, CAROM_HANDLE(queue), CAROM_HANDLE(results), CAROM_INTEGER(i));
    finish(processes, WORKERS + 1);

    printf("processed %" PRId64 " tasks\n", carom_dict_len(results));
    EXPECT(carom_dict_len(results) == TASKS);
    for (int i = 0; i < TASKS; i++) {
        _Alignas(16) char memory[1024];
        const carom_argument key = CAROM_INTEGER(i);
        carom_argument result;
        MUST(carom_dict_get(results, &key, &result, memory, sizeof memory, NULL));
        const carom_argument *fields = result.data;
        printf("  task %d: %" PRId64 " %.*s = %" PRId64 " (worker %" PRId64 ")\n", i, fields[1].integer, (int)fields[3].len,
               (const char *)fields[3].data, fields[5].integer, fields[7].integer);
    }
    carom_dict_free(results);
    carom_queue_free(queue);
    MUST(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
    return 0;
}
