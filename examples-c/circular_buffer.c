/* A circular buffer for many producers and consumers, out of nothing but shared memory and two semaphores.
 *
 * The struct is one raw value with a lock, so its three numbers and its slots change together. The semaphores count what
 * can be waited for: free slots and used ones. So nobody polls, a full buffer holds its producers up, and a get with a
 * time-out knows an empty buffer from a slow one. */
/* test: */
#include "example.h"

enum { SLOTS = 5, ITEMS = 5000, CONSUMERS = 2, END = -1 };

typedef struct { int32_t head, tail, items[SLOTS]; } ring;
typedef struct { carom_value *ring; carom_semaphore *room, *used; } buffer;

static void buffer_of(carom_call *call, buffer *it) {
    MUST(carom_call_value(call, 0, &it->ring));
    MUST(carom_call_semaphore(call, 1, &it->room));
    MUST(carom_call_semaphore(call, 2, &it->used));
}

static carom_status put(buffer *it, int32_t item, int64_t timeout_ms) {
    carom_status status = carom_semaphore_acquire(it->room, timeout_ms);
    if (status != CAROM_OK) return status;                                       /* CAROM_ETIMEDOUT: it is full */
    MUST(carom_value_lock(it->ring, PATIENCE_MS));
    ring *ring = carom_value_data(it->ring);
    ring->items[ring->tail] = item;
    ring->tail = (ring->tail + 1) % SLOTS;
    MUST(carom_value_unlock(it->ring));
    return carom_semaphore_release(it->used);
}

static carom_status get(buffer *it, int32_t *item, int64_t timeout_ms) {
    carom_status status = carom_semaphore_acquire(it->used, timeout_ms);
    if (status != CAROM_OK) return status;                                       /* CAROM_ETIMEDOUT: it is empty */
    MUST(carom_value_lock(it->ring, PATIENCE_MS));
    ring *ring = carom_value_data(it->ring);
    *item = ring->items[ring->head];
    ring->head = (ring->head + 1) % SLOTS;
    MUST(carom_value_unlock(it->ring));
    return carom_semaphore_release(it->room);
}

static int32_t produce(carom_call *call) {
    buffer buffer;
    buffer_of(call, &buffer);
    for (int32_t item = 1; item <= ITEMS; item++) MUST(put(&buffer, item, PATIENCE_MS));
    for (int i = 0; i < CONSUMERS; i++) MUST(put(&buffer, END, PATIENCE_MS));
    return 0;
}

static int32_t consume(carom_call *call) {
    buffer buffer;
    carom_array *sums;
    int32_t item, last = 0;
    int64_t number = integer(call, 4);
    buffer_of(call, &buffer);
    MUST(carom_call_array(call, 3, &sums));
    for (MUST(get(&buffer, &item, PATIENCE_MS)); item != END; MUST(get(&buffer, &item, PATIENCE_MS))) {
        EXPECT(item > last);                                                     /* what one consumer gets is in order */
        last = item;
        ((int64_t *)carom_array_data(sums))[number] += item;
    }
    return 0;
}

int main(int argc, char **argv) {
    buffer buffer;
    carom_array *sums;
    carom_process *processes[1 + CONSUMERS];
    int32_t item;
    carom_init(argc, argv);
    MUST(carom_value_new(CAROM_RAW, NULL, sizeof(ring), NULL, &buffer.ring));
    MUST(carom_semaphore_new(SLOTS, NULL, &buffer.room));
    MUST(carom_semaphore_new(0, NULL, &buffer.used));
    MUST(carom_array_new(CAROM_I64, 0, CONSUMERS, NULL, NULL, &sums));
    for (int i = 0; i < 1 + CONSUMERS; i++)
        processes[i] = start(i == 0 ? produce : consume, CAROM_HANDLE(buffer.ring), CAROM_HANDLE(buffer.room),
                             CAROM_HANDLE(buffer.used), CAROM_HANDLE(sums), CAROM_INTEGER(i - 1));
    finish(processes, 1 + CONSUMERS);

    int64_t *sum = carom_array_data(sums);
    printf("consumers' sums: %" PRId64 " + %" PRId64 " = %" PRId64 "\n", sum[0], sum[1], sum[0] + sum[1]);
    EXPECT(sum[0] + sum[1] == ITEMS * (ITEMS + 1) / 2);
    EXPECT(get(&buffer, &item, 0) == CAROM_ETIMEDOUT);
    carom_array_free(sums);
    carom_semaphore_free(buffer.used);
    carom_semaphore_free(buffer.room);
    carom_value_free(buffer.ring);
    return 0;
}
