/* Three writers fill their parts of a shared array; a reader sums it up when they are done.
 *
 * Each writer holds the array's lock for the whole of its part, so a reader never sees half of one. The reader does not
 * guess how long writing takes: it waits until a semaphore has been released by every writer. */
/* test: */
#include "example.h"

enum { WRITERS = 3, PART = 3, ITEMS = 10 };

static int32_t write_part(carom_call *call) {
    carom_array *array;
    carom_semaphore *written;
    MUST(carom_call_array(call, 0, &array));
    MUST(carom_call_semaphore(call, 1, &written));
    int64_t writer = integer(call, 2);
    int32_t *items = carom_array_data(array);
    MUST(carom_array_lock(array, PATIENCE_MS));
    for (int i = 0; i < PART; i++) items[writer * PART + i] = (int32_t)(writer * 100 + i);
    MUST(carom_array_unlock(array));
    MUST(carom_semaphore_release(written));
    return 0;
}

static int32_t read_all(carom_call *call) {
    carom_array *array;
    carom_semaphore *written;
    int32_t items[ITEMS];
    int64_t sum = 0;
    MUST(carom_call_array(call, 0, &array));
    MUST(carom_call_semaphore(call, 1, &written));
    for (int i = 0; i < WRITERS; i++) MUST(carom_semaphore_acquire(written, PATIENCE_MS));
    MUST(carom_array_get(array, 0, ITEMS, items, sizeof items, PATIENCE_MS));       /* a copy, made under the lock */
    printf("contents:");
    for (int i = 0; i < ITEMS; i++) printf(" %" PRId32, items[i]), sum += items[i];
    printf("\nsum: %" PRId64 "\n", sum);
    EXPECT(sum == (0 + 1 + 2) + (100 + 101 + 102) + (200 + 201 + 202));
    return 0;
}

int main(int argc, char **argv) {
    carom_array *array, *from_data;
    carom_semaphore *written;
    carom_process *processes[WRITERS + 1];
    const int32_t data[] = {1, 2, 3, 4, 5};
    int32_t middle[3];
    carom_init(argc, argv);

    MUST(carom_array_new(CAROM_I32, 0, ITEMS, NULL, NULL, &array));                  /* zeros */
    MUST(carom_semaphore_new(0, NULL, &written));
    processes[WRITERS] = start(read_all, CAROM_HANDLE(array), CAROM_HANDLE(written));
    for (int i = 0; i < WRITERS; i++)
        processes[i] = start(write_part, CAROM_HANDLE(array), CAROM_HANDLE(written), CAROM_INTEGER(i));
    finish(processes, WRITERS + 1);

    MUST(carom_array_new(CAROM_I32, 0, 5, data, NULL, &from_data));                  /* or from what there is */
    MUST(carom_array_get(from_data, 1, 3, middle, sizeof middle, PATIENCE_MS));
    EXPECT(carom_array_count(from_data) == 5 && middle[0] == 2 && middle[1] == 3 && middle[2] == 4);

    carom_array_free(from_data);
    carom_array_free(array);
    carom_semaphore_free(written);
    return 0;
}
