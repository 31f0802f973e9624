/* A raw array that is given a lock later, and a value of which a copy is taken.
 *
 * carom_array_synchronize makes no wrapper: it is the same array, and from then on it has a lock for every process. A copy
 * is an object of its own: what happens to the one does not happen to the other. */
/* test: */
#include "example.h"

enum { ITEMS = 10, WORKERS = 3 };

typedef struct { int32_t workers; double weight; } summary;

static int32_t add_everywhere(carom_call *call) {
    carom_array *array;
    carom_value *value;
    MUST(carom_call_array(call, 0, &array));
    MUST(carom_call_value(call, 1, &value));
    int64_t worker = integer(call, 2);
    int32_t *items = carom_array_data(array);
    summary *sum = carom_value_data(value);
    MUST(carom_array_lock(array, PATIENCE_MS));                     /* guards the summary too: it is the same lock */
    for (int i = 0; i < ITEMS; i++) items[i] += (int32_t)worker;
    sum->workers++;
    sum->weight += (double)worker / 2;
    MUST(carom_array_unlock(array));
    return 0;
}

int main(int argc, char **argv) {
    carom_array *array;
    carom_value *value, *copy;
    carom_lock *lock;
    carom_process *workers[WORKERS];
    carom_shared_options raw = {.size = sizeof raw, .no_lock = 1};
    int32_t items[ITEMS];
    summary sum;
    carom_init(argc, argv);

    MUST(carom_array_new(CAROM_I32, 0, ITEMS, NULL, &raw, &array));
    MUST(carom_value_new(CAROM_RAW, NULL, sizeof sum, &raw, &value));
    EXPECT(carom_array_lock(array, 0) == CAROM_EINVAL);             /* no lock yet */
    MUST(carom_array_synchronize(array, NULL));                     /* one of its own */
    EXPECT(carom_array_synchronize(array, NULL) == CAROM_EEXIST);   /* once and for all */
    MUST(carom_array_get_lock(array, &lock));
    MUST(carom_value_synchronize(value, lock));                     /* and the value shares it */

    for (int i = 0; i < WORKERS; i++)
        workers[i] = start(add_everywhere, CAROM_HANDLE(array), CAROM_HANDLE(value), CAROM_INTEGER(i + 1));
    finish(workers, WORKERS);

    MUST(carom_array_get(array, 0, ITEMS, items, sizeof items, PATIENCE_MS));
    for (int i = 0; i < ITEMS; i++) printf("%" PRId32 "%s", items[i], i + 1 < ITEMS ? " " : "\n");
    for (int i = 0; i < ITEMS; i++) EXPECT(items[i] == 1 + 2 + 3);

    MUST(carom_value_copy(value, &copy, PATIENCE_MS));
    EXPECT(carom_value_lock(copy, 0) == CAROM_EINVAL);              /* a copy is raw, whatever the original is */
    MUST(carom_value_set(value, &(summary){0, 0}, sizeof sum, PATIENCE_MS));
    MUST(carom_value_get(copy, &sum, sizeof sum, PATIENCE_MS));
    printf("copy: %" PRId32 " workers, weight %.1f\n", sum.workers, sum.weight);
    EXPECT(sum.workers == WORKERS && sum.weight == 3.0);

    carom_value_free(copy);
    carom_value_free(value);
    carom_array_free(array);
    carom_lock_free(lock);
    return 0;
}
