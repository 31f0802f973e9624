/* Two producers, two consumers, and a list that is sometimes empty and sometimes full: a condition.
 *
 * Whoever has to wait says for what, by a predicate; whoever changes the list says that something changed. Here producers
 * and consumers wait for different things on one condition, so everybody is told. The end is a change like any other. */
/* test: */
#include "example.h"

enum { PRODUCERS = 2, CONSUMERS = 2, EACH = 50, ROOM = 4 };

typedef struct { int32_t used, producing, items[ROOM]; int64_t consumed, sum; } list;

static int32_t has_room(void *ctx) { return ((list *)ctx)->used < ROOM; }
static int32_t has_news(void *ctx) { return ((list *)ctx)->used > 0 || ((list *)ctx)->producing == 0; }

static list *list_of(carom_call *call, carom_condition **changed) {
    carom_value *value;
    MUST(carom_call_value(call, 0, &value));
    MUST(carom_call_condition(call, 1, changed));
    return carom_value_data(value);
}

static int32_t produce(carom_call *call) {
    carom_condition *changed;
    list *list = list_of(call, &changed);
    for (int i = 1; i <= EACH; i++) {
        MUST(carom_condition_acquire(changed, PATIENCE_MS));
        MUST(carom_condition_wait_for(changed, has_room, list, PATIENCE_MS));
        list->items[list->used++] = i;
        if (i == EACH) list->producing--;
        MUST(carom_condition_notify_all(changed));
        MUST(carom_condition_release(changed));
    }
    return 0;
}

static int32_t consume(carom_call *call) {
    carom_condition *changed;
    list *list = list_of(call, &changed);
    int64_t count = 0;
    for (bool more = true; more;) {
        MUST(carom_condition_acquire(changed, PATIENCE_MS));
        MUST(carom_condition_wait_for(changed, has_news, list, PATIENCE_MS));
        more = list->used > 0;
        if (more) {
            list->sum += list->items[--list->used];
            list->consumed++;
            count++;
            MUST(carom_condition_notify_all(changed));
        }
        MUST(carom_condition_release(changed));
    }
    printf("consumer %" PRId64 " had %" PRId64 " items\n", integer(call, 2), count);
    return 0;
}

int main(int argc, char **argv) {
    carom_value *value;
    carom_condition *changed;
    carom_process *processes[PRODUCERS + CONSUMERS];
    carom_shared_options raw = {.size = sizeof raw, .no_lock = 1};  /* the condition has the lock */
    carom_init(argc, argv);
    MUST(carom_value_new(CAROM_RAW, &(list){.producing = PRODUCERS}, sizeof(list), &raw, &value));
    MUST(carom_condition_new(NULL, &changed));

    for (int i = 0; i < PRODUCERS + CONSUMERS; i++)
        processes[i] = start(i < CONSUMERS ? consume : produce, CAROM_HANDLE(value), CAROM_HANDLE(changed),
                             CAROM_INTEGER(i));
    finish(processes, PRODUCERS + CONSUMERS);

    list *list = carom_value_data(value);
    printf("%" PRId64 " items, their sum %" PRId64 "\n", list->consumed, list->sum);
    EXPECT(list->consumed == PRODUCERS * EACH && list->sum == PRODUCERS * EACH * (EACH + 1) / 2 && list->used == 0);
    carom_condition_free(changed);
    carom_value_free(value);
    return 0;
}
