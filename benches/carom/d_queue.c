/* D. Messages through a queue: so many are put by one process and got by another (or by two and two). Limits written by hand: the
 * ring of Vyukov, bounded, many to many, asleep on a futex after some yields, for messages of 64 bytes; and a ring for one to
 * one, whose two sides each remember how far the other was, awake, for batches and for long messages, which are copied in
 * and out. They handle no death, no handle, no length but one, and no end. */
#include "bench.h"

enum { CELLS = 2048, MESSAGES = 1000000, FEWER = 200000, BATCH = 32, YIELDS = 32 };

/* ---- the ring ---- */

typedef struct {
    _Alignas(64) _Atomic uint64_t sequence;
    char data[64];
} cell;
typedef struct {
    _Alignas(128) _Atomic uint64_t tail;
    _Alignas(128) _Atomic uint64_t head;
    _Alignas(128) _Atomic uint32_t getters, news;
    _Alignas(128) _Atomic uint32_t putters, room;
    cell cells[CELLS];
} ring;

static struct {
    _Alignas(128) _Atomic uint32_t ready, go;
    _Alignas(128) _Atomic uint64_t got;
} *gate;
static ring *vyukov;
static carom_queue *queue;

static int is_at(_Atomic uint64_t *place, uint64_t ahead) {
    uint64_t at = atomic_load_explicit(place, memory_order_relaxed);
    return (int64_t)(atomic_load(&vyukov->cells[at % CELLS].sequence) - (at + ahead)) >= 0;
}
static void ring_wait(_Atomic uint64_t *place, uint64_t ahead, _Atomic uint32_t *count, _Atomic uint32_t *word) {
    for (int i = 0; i < YIELDS; i++, sched_yield())
        if (is_at(place, ahead)) return;
    uint32_t seen = atomic_load(word);
    atomic_fetch_add(count, 1);
    if (!is_at(place, ahead)) futex_wait(word, seen);
    atomic_fetch_sub(count, 1);
}
static void ring_tell(_Atomic uint32_t *count, _Atomic uint32_t *word) {
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(count, memory_order_relaxed) == 0) return;
    atomic_fetch_add(word, 1);
    futex_wake(word);
}
static cell *ring_claim(_Atomic uint64_t *place, uint64_t ahead, _Atomic uint32_t *count, _Atomic uint32_t *word, uint64_t *at) {
    for (;;) {
        *at = atomic_load_explicit(place, memory_order_relaxed);
        cell *it = &vyukov->cells[*at % CELLS];
        int64_t by = (int64_t)(atomic_load_explicit(&it->sequence, memory_order_acquire) - (*at + ahead));
        if (by == 0 && atomic_compare_exchange_weak_explicit(place, at, *at + 1, memory_order_relaxed, memory_order_relaxed)) return it;
        if (by < 0) ring_wait(place, ahead, count, word);
    }
}
static void ring_put(const char *data) {
    uint64_t at;
    cell *it = ring_claim(&vyukov->tail, 0, &vyukov->putters, &vyukov->room, &at);
    memcpy(it->data, data, 64);
    atomic_store_explicit(&it->sequence, at + 1, memory_order_release);
    ring_tell(&vyukov->getters, &vyukov->news);
}
static void ring_get(char *data) {
    uint64_t at;
    cell *it = ring_claim(&vyukov->head, 1, &vyukov->getters, &vyukov->news, &at);
    memcpy(data, it->data, 64);
    atomic_store_explicit(&it->sequence, at + CELLS, memory_order_release);
    ring_tell(&vyukov->putters, &vyukov->room);
}

/* ---- the ring for one to one ---- */

enum { RING_BYTES = 1 << 20, LEAST_SLOTS = 4, LONGEST = 1 << 20 };

typedef struct {
    _Alignas(128) _Atomic uint64_t tail;
    uint64_t seen_head;
    _Alignas(128) _Atomic uint64_t head;
    uint64_t seen_tail;
    _Alignas(128) char data[LEAST_SLOTS * LONGEST];
} lane;
static lane *spsc;

static size_t slots_of(size_t size) {
    size_t slots = RING_BYTES / size;
    return slots < LEAST_SLOTS ? LEAST_SLOTS : slots > CELLS ? CELLS : slots;
}

/* So many of the other side's count that there is something; some yields for each look. */
static uint64_t spsc_await(_Atomic uint64_t *count, uint64_t not_yet) {
    uint64_t seen;
    for (int looks = 0; (seen = atomic_load_explicit(count, memory_order_acquire)) == not_yet; looks++)
        if (looks > 2000) sched_yield();
        else __builtin_ia32_pause();
    return seen;
}
/* One store for the whole batch. */
static void spsc_put(const char *data, size_t size, size_t batch, size_t slots) {
    uint64_t tail = atomic_load_explicit(&spsc->tail, memory_order_relaxed);
    while (tail + batch - spsc->seen_head > slots) spsc->seen_head = spsc_await(&spsc->head, spsc->seen_head);
    for (size_t i = 0; i < batch; i++) memcpy(spsc->data + (tail + i) % slots * size, data + i * size, size);
    atomic_store_explicit(&spsc->tail, tail + batch, memory_order_release);
}
static size_t spsc_get(char *data, size_t size, size_t most, size_t slots) {
    uint64_t head = atomic_load_explicit(&spsc->head, memory_order_relaxed);
    if (head == spsc->seen_tail) spsc->seen_tail = spsc_await(&spsc->tail, head);
    size_t some = spsc->seen_tail - head < most ? (size_t)(spsc->seen_tail - head) : most;
    for (size_t i = 0; i < some; i++) memcpy(data + i * size, spsc->data + (head + i) % slots * size, size);
    atomic_store_explicit(&spsc->head, head + some, memory_order_release);
    return some;
}

/* In place: filled where it lies, read where it lies; or handed over with only its first bytes touched. */
static uint64_t read_all(const char *data, size_t size) {
    uint64_t sum = 0, word;
    for (size_t i = 0; i < size; i += sizeof word) memcpy(&word, data + i, sizeof word), sum += word;
    return sum;
}
static void spsc_fill(const char *data, size_t size, size_t slots) {
    uint64_t tail = atomic_load_explicit(&spsc->tail, memory_order_relaxed);
    while (tail + 1 - spsc->seen_head > slots) spsc->seen_head = spsc_await(&spsc->head, spsc->seen_head);
    memcpy(spsc->data + tail % slots * size, data, size);
    atomic_store_explicit(&spsc->tail, tail + 1, memory_order_release);
}
static uint64_t spsc_read(size_t size, size_t slots) {
    uint64_t head = atomic_load_explicit(&spsc->head, memory_order_relaxed);
    if (head == spsc->seen_tail) spsc->seen_tail = spsc_await(&spsc->tail, head);
    uint64_t sum = read_all(spsc->data + head % slots * size, size);
    atomic_store_explicit(&spsc->head, head + 1, memory_order_release);
    return sum;
}

/* ---- a turn ---- */

enum by { CAROM, SINGLE, VYUKOV, SPSC };

static struct {
    enum by by;
    int pairs, batch;
    size_t size;
    uint64_t messages; /* of each producer */
    enum { COPIED, PLACED, LENT } how;
} turn;

static void enter(int cpu) {
    if (turn.pairs == 1) pin(cpu);
    atomic_fetch_add(&gate->ready, 1);
    while (!atomic_load(&gate->go)) sched_yield();
}

static void carom_fill(const char *data) {
    carom_message it = {.size = sizeof it};
    OK(carom_queue_reserve(queue, turn.size, &it));
    memcpy(it.data, data, turn.how == LENT ? sizeof(uint64_t) : turn.size);
    OK(carom_queue_commit(queue, &it, turn.size, CAROM_FOREVER));
}
static uint64_t carom_read(void) {
    carom_message it = {.size = sizeof it};
    OK(carom_queue_peek(queue, &it, CAROM_FOREVER));
    CHECK(it.len == turn.size);
    uint64_t sum = read_all(it.data, turn.how == LENT ? sizeof(uint64_t) : turn.size);
    OK(carom_queue_consume(queue, &it));
    return sum;
}
static void produce_in_place(void) {
    char *data = malloc(turn.size);
    CHECK(data != NULL);
    memset(data, 1, turn.size);
    enter(0);
    for (uint64_t i = 0; i < turn.messages; i++)
        if (turn.by == SPSC) spsc_fill(data, turn.size, slots_of(turn.size));
        else carom_fill(data);
}
static void consume_in_place(void) {
    uint64_t words = turn.how == LENT ? 1 : turn.size / sizeof(uint64_t);
    enter(1);
    for (uint64_t i = 0; i < turn.messages; i++) {
        uint64_t sum = turn.by == SPSC ? spsc_read(turn.size, slots_of(turn.size)) : carom_read();
        CHECK(sum == words * UINT64_C(0x0101010101010101));
    }
    atomic_fetch_add(&gate->got, turn.messages);
}

static void produce(void) {
    if (turn.how != COPIED) {
        produce_in_place();
        return;
    }
    char *data = calloc(turn.size, (size_t)turn.batch);
    enter(0);
    for (uint64_t i = 0; i < turn.messages; i += (uint64_t)turn.batch) {
        if (turn.by == VYUKOV) ring_put(data);
        else if (turn.by == SPSC) spsc_put(data, turn.size, (size_t)turn.batch, slots_of(turn.size));
        else if (turn.batch > 1) OK(carom_queue_put_many(queue, data, turn.size, (size_t)turn.batch, CAROM_FOREVER));
        else OK(carom_queue_put(queue, data, turn.size, CAROM_FOREVER));
    }
}

static void consume(void) {
    if (turn.how != COPIED) {
        consume_in_place();
        return;
    }
    char *data = calloc(turn.size, (size_t)turn.batch);
    uint64_t mine = 0;
    size_t len = turn.size;
    enter(1);
    while (mine < turn.messages) {
        if (turn.by == VYUKOV) ring_get(data), mine++;
        else if (turn.by == SPSC) mine += spsc_get(data, turn.size, (size_t)turn.batch, slots_of(turn.size));
        else if (turn.batch > 1) {
            int64_t some = carom_queue_get_many(queue, data, turn.size, (size_t)turn.batch, NULL, CAROM_FOREVER);
            CHECK(some > 0);
            mine += (uint64_t)some;
        } else {
            OK(carom_queue_get(queue, data, turn.size, &len, CAROM_FOREVER));
            CHECK(len == turn.size);
            mine++;
        }
    }
    atomic_fetch_add(&gate->got, mine);
}

static int32_t producer(carom_call *call) { return (void)call, produce(), 0; }
static int32_t consumer(carom_call *call) { return (void)call, consume(), 0; }

static double rate(enum by by, int pairs, size_t size, int batch, uint64_t messages) {
    carom_process *processes[4];
    turn.by = by, turn.pairs = pairs, turn.size = size, turn.batch = batch, turn.messages = messages;
    memset(gate, 0, sizeof *gate);
    memset(vyukov, 0, sizeof *vyukov);
    for (uint64_t i = 0; i < CELLS; i++) vyukov->cells[i].sequence = i;
    spsc->tail = spsc->head = spsc->seen_head = spsc->seen_tail = 0;
    /* As much room as the ring has, and no more than 8 MiB. */
    carom_queue_options options = {.size = sizeof options, .max_items = size > 4096 ? 8 << 20 >> __builtin_ctzll(size) : CELLS};
    options.single_producer = options.single_consumer = by == SINGLE;
    OK(carom_queue_new(&options, &queue));
    for (int i = 0; i < 2 * pairs; i++) OK(carom_process_start(i % 2 ? consumer : producer, NULL, 0, NULL, &processes[i]));
    while (atomic_load(&gate->ready) < (uint32_t)(2 * pairs)) sched_yield();
    int64_t begin = now_ns();
    atomic_store(&gate->go, 1);
    for (int i = 0; i < 2 * pairs; i++) {
        int32_t code = -1;
        OK(carom_process_join(processes[i], CAROM_FOREVER));
        OK(carom_process_exitcode(processes[i], &code));
        if (code != 0) DIE("a process ended with %d", code);
        carom_process_free(processes[i]);
    }
    int64_t end = now_ns();
    CHECK(atomic_load(&gate->got) == messages * (uint64_t)pairs);
    CHECK(carom_queue_size(queue) == 0);
    carom_queue_free(queue);
    return (double)messages * pairs / ((double)(end - begin) / 1e9);
}

static double ring_1p1c(void) { return rate(VYUKOV, 1, 64, 1, MESSAGES); }
static double carom_1p1c(void) { return rate(CAROM, 1, 64, 1, MESSAGES); }
static double single_1p1c(void) { return rate(SINGLE, 1, 64, 1, MESSAGES); }
static double ring_2p2c(void) { return rate(VYUKOV, 2, 64, 1, MESSAGES / 2); }
static double carom_2p2c(void) { return rate(CAROM, 2, 64, 1, MESSAGES / 2); }
#define ONE_TO_ONE(name, size, batch, messages)                                       \
    static double carom_##name(void) { return rate(CAROM, 1, size, batch, messages); } \
    static double spsc_##name(void) { return rate(SPSC, 1, size, batch, messages); }
ONE_TO_ONE(batch, 64, BATCH, MESSAGES - MESSAGES % BATCH)
ONE_TO_ONE(1KiB, 1024, 1, FEWER)
ONE_TO_ONE(64KiB, 65536, 1, FEWER / 10)
ONE_TO_ONE(1MiB, 1 << 20, 1, FEWER / 100)

static double place(enum by by, size_t size, int lent) {
    turn.how = lent ? LENT : PLACED;
    double measure = rate(by, 1, size, 1, lent ? FEWER / 10 : FEWER / 10 * 65536 / size);
    turn.how = COPIED;
    return measure;
}
#define PLACE(name, size)                                                     \
    static double place_##name(void) { return place(SINGLE, size, 0); }       \
    static double spsc_place_##name(void) { return place(SPSC, size, 0); }
PLACE(64KiB, 65536)
PLACE(1MiB, 1 << 20)
static double lent_64B(void) { return place(SINGLE, 64, 1); }
static double lent_64KiB(void) { return place(SINGLE, 65536, 1); }
static double lent_1MiB(void) { return place(SINGLE, 1 << 20, 1); }
static double single_batch(void) { return rate(SINGLE, 1, 64, BATCH, MESSAGES - MESSAGES % BATCH); }
static double single_1KiB(void) { return rate(SINGLE, 1, 1024, 1, FEWER); }

static double creation(void) {
    enum { QUEUES = 1000 };
    static carom_queue *queues[QUEUES];
    int64_t begin = now_ns();
    for (int i = 0; i < QUEUES; i++) OK(carom_queue_new(NULL, &queues[i]));
    double each = (double)(now_ns() - begin) / QUEUES / 1e3;
    for (int i = 0; i < QUEUES; i++) carom_queue_free(queues[i]);
    return each;
}

int main(void) {
    gate = shared_memory(sizeof *gate);
    vyukov = shared_memory(sizeof *vyukov);
    spsc = shared_memory(sizeof *spsc);
    remember_cpus();
    RACE("D.queue_1p1c_64B", "msg/s", 7, {"vyukov+yield+futex", ring_1p1c}, {"carom", carom_1p1c});
    RACE("D.queue_2p2c_64B", "msg/s", 7, {"vyukov+yield+futex", ring_2p2c}, {"carom", carom_2p2c});
    RACE("D.queue_1p1c_64B_batch32", "msg/s", 7, {"shm-spsc", spsc_batch}, {"carom", carom_batch});
    RACE("D.queue_1p1c_1KiB", "msg/s", 5, {"shm-spsc", spsc_1KiB}, {"carom", carom_1KiB});
    RACE("D.queue_1p1c_64KiB", "msg/s", 5, {"shm-spsc", spsc_64KiB}, {"carom", carom_64KiB});
    RACE("D.queue_1p1c_1MiB", "msg/s", 5, {"shm-spsc", spsc_1MiB}, {"carom", carom_1MiB});
    RACE("D.queue_single_64B", "msg/s", 7, {"vyukov+yield+futex", ring_1p1c}, {"carom", single_1p1c});
    RACE("D.queue_single_64B_batch32", "msg/s", 7, {"shm-spsc", spsc_batch}, {"carom", single_batch});
    RACE("D.queue_single_1KiB", "msg/s", 5, {"shm-spsc", spsc_1KiB}, {"carom", single_1KiB});
    RACE("D.queue_place_64KiB", "msg/s", 5, {"shm-spsc-in-place", spsc_place_64KiB}, {"carom", place_64KiB});
    RACE("D.queue_place_1MiB", "msg/s", 5, {"shm-spsc-in-place", spsc_place_1MiB}, {"carom", place_1MiB});
    RACE("D.queue_lent_64B", "msg/s", 5, {"carom", lent_64B});
    RACE("D.queue_lent_64KiB", "msg/s", 5, {"carom", lent_64KiB});
    RACE("D.queue_lent_1MiB", "msg/s", 5, {"carom", lent_1MiB});
    RACE("D.queue_new", "us", 7, {"carom", creation});
    return 0;
}
