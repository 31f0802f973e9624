/* A dict and a list of a manager that three processes write into. What each of them does is there for all, at once and whole. */
/* test: */
#include "example.h"
#include <string.h>

enum { WORKERS = 3 };

static int32_t work(carom_call *call) {
    carom_dict *dict;
    carom_list *list;
    char key[32], text[64];
    MUST(carom_call_dict(call, 0, &dict));
    MUST(carom_call_list(call, 1, &list));
    int64_t id = integer(call, 2);
    snprintf(key, sizeof key, "worker_%" PRId64, id);
    snprintf(text, sizeof text, "Hello from worker %" PRId64, id);
    MUST(carom_dict_set(dict, &CAROM_STRING(key, strlen(key)), &CAROM_STRING(text, strlen(text))));
    snprintf(text, sizeof text, "Item from worker %" PRId64, id);
    MUST(carom_list_append(list, &CAROM_STRING(text, strlen(text))));
    printf("worker %" PRId64 ": %" PRId64 " keys, %" PRId64 " items\n", id, MUST(carom_dict_len(dict)), MUST(carom_list_len(list)));
    return 0;
}

static void show(const carom_argument *it) {
    if (it->kind == CAROM_ARGUMENT_STRING) printf("%.*s", (int)it->len, (const char *)it->data);
    else printf("%" PRId64, it->integer);
}

int main(int argc, char **argv) {
    carom_manager *manager;
    carom_dict *dict;
    carom_list *list;
    carom_process *workers[WORKERS];
    MUST(carom_init(argc, argv));
    MUST(carom_manager_new(NULL, &manager));
    MUST(carom_manager_dict(manager, NULL, &dict));
    MUST(carom_manager_list(manager, NULL, 0, &list));

    MUST(carom_dict_set(dict, &CAROM_STRING("initial", 7), &CAROM_STRING("value", 5)));
    const carom_argument first[] = {CAROM_INTEGER(1), CAROM_INTEGER(2), CAROM_INTEGER(3)};
    MUST(carom_list_extend(list, first, 3));
    for (int i = 0; i < WORKERS; i++) workers[i] = start(work, CAROM_HANDLE(dict), CAROM_HANDLE(list), CAROM_INTEGER(i));
    finish(workers, WORKERS);

    /* All of it with one request each: a request per key would take a round trip per key. */
    _Alignas(16) char data[4096];
    carom_argument found;
    uint64_t cursor = 0;
    int64_t count, keys = 0;
    while ((count = MUST(carom_dict_items(dict, &cursor, &found, 0, data, sizeof data, NULL))) > 0) {
        const carom_argument *pairs = found.data;
        for (int64_t i = 0; i < count; i++, keys++) show(&pairs[2 * i]), printf(": "), show(&pairs[2 * i + 1]), printf("\n");
    }
    MUST(carom_list_slice(list, 0, INT64_MAX, &found, data, sizeof data, NULL));
    const carom_argument *items = found.data;
    for (uint64_t i = 0; i < found.len; i++) show(&items[i]), printf("\n");
    EXPECT(keys == 1 + WORKERS && found.len == 3 + WORKERS);

    carom_list_free(list);
    carom_dict_free(dict);
    MUST(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
    return 0;
}
