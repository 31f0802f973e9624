/* A cache that four processes share: a dict of a manager, and a lock so that nothing is computed twice.
 *
 * Each look at the cache is a round trip to the manager's server, so a cache like this pays where a computation takes much
 * longer than that, and where the processes need not be of one family or on one machine. */
/* test: */
#include "example.h"
#include <string.h>

enum { WORKERS = 4, LOOKS = 20, KEYS = 10 };

static int64_t compute(int64_t key) { return key * key; }

static int32_t look_up(carom_call *call) {
    carom_dict *cache, *statistics;
    carom_lock *lock;
    MUST(carom_call_dict(call, 0, &cache));
    MUST(carom_call_lock(call, 1, &lock));
    MUST(carom_call_dict(call, 2, &statistics));
    const carom_argument hits = CAROM_STRING("hits", 4), misses = CAROM_STRING("misses", 6);
    for (int i = 0; i < LOOKS; i++) {
        const carom_argument key = CAROM_INTEGER((integer(call, 3) * 7 + i * 3) % KEYS);
        carom_argument value;
        MUST(carom_lock_acquire(lock, PATIENCE_MS));
        carom_status found = carom_dict_get(cache, &key, &value, NULL, 0, NULL);
        if (found == CAROM_ENOENT) {
            value = (carom_argument)CAROM_INTEGER(compute(key.integer));
            MUST(carom_dict_set(cache, &key, &value));
        } else {
            MUST(found);
        }
        MUST(carom_lock_release(lock));
        EXPECT(value.integer == compute(key.integer));
        MUST(carom_dict_increment(statistics, found == CAROM_ENOENT ? &misses : &hits, 1, NULL));
    }
    return 0;
}

int main(int argc, char **argv) {
    carom_manager *manager;
    carom_dict *cache, *statistics;
    carom_lock *lock;
    carom_process *workers[WORKERS];
    carom_argument hits, misses;
    MUST(carom_init(argc, argv));
    MUST(carom_manager_new(NULL, &manager));
    MUST(carom_manager_dict(manager, NULL, &cache));
    MUST(carom_manager_dict(manager, NULL, &statistics));
    MUST(carom_manager_lock(manager, &lock));
    for (int i = 0; i < WORKERS; i++)
        workers[i] = start(look_up, CAROM_HANDLE(cache), CAROM_HANDLE(lock), CAROM_HANDLE(statistics), CAROM_INTEGER(i));
    finish(workers, WORKERS);

    const carom_argument hit = CAROM_STRING("hits", 4), miss = CAROM_STRING("misses", 6);
    MUST(carom_dict_get(statistics, &hit, &hits, NULL, 0, NULL));
    MUST(carom_dict_get(statistics, &miss, &misses, NULL, 0, NULL));
    printf("%" PRId64 " hits, %" PRId64 " misses, %" PRId64 " entries\n", hits.integer, misses.integer, carom_dict_len(cache));
    EXPECT(misses.integer == KEYS && hits.integer + misses.integer == WORKERS * LOOKS);

    /* All that is in it, as many pairs at once as fit. */
    _Alignas(16) char data[256];
    carom_argument pairs;
    uint64_t cursor = 0;
    while (MUST(carom_dict_items(cache, &cursor, &pairs, 0, data, sizeof data, NULL)) > 0) {
        const carom_argument *pair = pairs.data;
        for (uint64_t i = 0; i < pairs.len; i++)
            printf("  %" PRId64 " -> %" PRId64 "\n", pair[2 * i].integer, pair[2 * i + 1].integer);
    }
    carom_lock_free(lock);
    carom_dict_free(statistics);
    carom_dict_free(cache);
    MUST(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
    return 0;
}
