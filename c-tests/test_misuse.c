/*
 * Misuse of every function of the header: each is a status with a message, changes no output, loses nothing and leaves
 * the library as good as it was. A function without a row here fails the test.
 */
#include "misuse/expect.h"

/* The rows, by noun; each uses what is above it. */
#include "misuse/library.h"
#include "misuse/calls.h"
#include "misuse/contexts.h"
#include "misuse/processes.h"
#include "misuse/locks.h"
#include "misuse/sync.h"
#include "misuse/values.h"
#include "misuse/arrays.h"
#include "misuse/queues.h"
#include "misuse/pools.h"
#include "misuse/named_memory.h"
#include "misuse/connection.h"
#include "misuse/managers.h"
#include "misuse/capsules.h"

/* ---------------------------------------------------------------------------------------------------------- the test */

static void add(void *handle, enum kind kind, int is_good) {
    handles[handle_count].handle = handle;
    handles[handle_count].kind = kind;
    handles[handle_count++].is_good = is_good;
}

static void make_handles(void) {
    static int64_t in = 1;
    const int64_t initial = 5, four[4] = {10, 11, 12, 13};
    carom_pool_options options = {.size = sizeof options, .workers = 1};
    carom_shared_options no_lock = {.size = sizeof no_lock, .no_lock = 1};
    carom_items items = {.size = sizeof items, .data = &in, .item_size = 8, .count = 1};
    for (int round = 0; round < 2; round++) { /* what the first round makes is freed */
        CHECK_OK(carom_lock_new(NULL, &lock));
        CHECK_OK(carom_value_new(CAROM_I64, &initial, 8, NULL, &value));
        CHECK_OK(carom_array_new(CAROM_I64, 8, 4, four, NULL, &array));
        CHECK_OK(carom_bounded_semaphore_new(2, NULL, &semaphore));
        CHECK_OK(carom_condition_new(NULL, &condition));
        CHECK_OK(carom_event_new(&event));
        CHECK_OK(carom_barrier_new(2, NULL, &barrier));
        CHECK_OK(carom_queue_new(NULL, &queue));
        CHECK_OK(carom_process_start(waits, NULL, 0, NULL, &process));
        CHECK_OK(carom_pool_new(&options, &pool));
        CHECK_OK(carom_pool_apply_async(pool, replies, NULL, 0, NULL, &result));
        CHECK_OK(carom_result_wait(result, PATIENCE_MS));
        CHECK_OK(carom_pool_imap_unordered(pool, works, &items, NULL, &iterator));
        CHECK_OK(carom_context_new("fork", &context));
        add(context, CONTEXT, round);
        add(lock, LOCK, round);
        add(value, VALUE, round);
        add(array, ARRAY, round);
        add(semaphore, SEMAPHORE, round);
        add(condition, CONDITION, round);
        add(event, EVENT, round);
        add(barrier, BARRIER, round);
        add(queue, QUEUE, round);
        add(process, PROCESS, round);
        add(pool, POOL, round);
        add(result, RESULT, round);
        add(iterator, ITERATOR, round);
        make_named();
        add(memory, MEMORY, round);
        add(list, LIST, round);
        make_connections();
        add(connection, CONNECTION, round);
        add(left_end, CONNECTION, round);
        add(listener, LISTENER, round);
        make_managers();
        add(manager, MANAGER, round);
        add(dict, DICT, round);
        add(shared_list, SERVED_LIST, round);
        add(proxy, PROXY, round);
        if (round == 0) {
            carom_context_free(context);
            free_managers();
            free_connections();
            carom_shareable_list_free(list);
            carom_shared_memory_free(memory);
            carom_iterator_free(iterator);
            carom_result_free(result);
            CHECK_OK(carom_pool_terminate(pool));
            CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
            carom_pool_free(pool);
            CHECK_OK(carom_process_kill(process));
            CHECK_OK(carom_process_join(process, PATIENCE_MS));
            carom_process_free(process);
            carom_queue_free(queue);
            carom_barrier_free(barrier);
            carom_event_free(event);
            carom_condition_free(condition);
            carom_semaphore_free(semaphore);
            carom_array_free(array);
            carom_value_free(value);
            carom_lock_free(lock);
        }
    }
    carom_semaphore_options owning = {.size = sizeof owning, .owned = 1};
    CHECK_OK(carom_semaphore_new(2, &owning, &owned));
    CHECK_OK(carom_array_new(CAROM_I64, 8, 4, four, &no_lock, &bare_array));
    CHECK_OK(carom_lock_new(NULL, &held));
    CHECK_OK(carom_lock_acquire(held, 0));
    CHECK_OK(carom_value_new(CAROM_I64, &initial, 8, &no_lock, &bare));
    add(NULL, NONE, 0);
    add((void *)(uintptr_t)1, NONE, 0);
    add((void *)(uintptr_t)0xa5a5a5a5a5a5a5a5, NONE, 0);
    add((void *)UINTPTR_MAX, NONE, 0);
    add((void *)(uintptr_t)0xffffffff, NONE, 0);
    add(&handle_count, NONE, 0);                          /* an address of ours */
    add((void *)((uintptr_t)lock ^ 1), NONE, 0);          /* a neighbour's place */
    add((void *)((uintptr_t)lock + ((uint64_t)1 << 40)), NONE, 0); /* another age */
    for (uint64_t kind = 0; kind < 20; kind++) add((void *)(uintptr_t)(kind << 32 | 0xfffff), NONE, 0);
}

static void everything_still_works(void) {
    int64_t data = 0;
    CHECK_OK(carom_lock_acquire(lock, 0));
    CHECK_EQ(carom_lock_locked(lock), 1);
    CHECK_OK(carom_lock_release(lock));
    CHECK_EQ(carom_lock_locked(held), 1);
    CHECK_OK(carom_value_lock(value, 0));
    CHECK_EQ(*(int64_t *)carom_value_data(value), 5);
    CHECK_OK(carom_value_unlock(value));
    CHECK_OK(carom_array_get(array, 3, 1, &data, 8, 0));
    CHECK_EQ(data, 13);
    CHECK_EQ(carom_array_count(array), 4);
    CHECK_OK(carom_semaphore_acquire(semaphore, 0));
    CHECK_EQ(carom_semaphore_value(semaphore), 1);
    CHECK_OK(carom_semaphore_release(semaphore));
    CHECK_OK(carom_semaphore_acquire(owned, 0));
    CHECK_EQ(carom_semaphore_value(owned), 1);
    CHECK_OK(carom_semaphore_release(owned));
    CHECK_OK(carom_condition_acquire(condition, 0));
    CHECK_OK(carom_condition_notify_all(condition));
    carom_status waited = carom_condition_wait(condition, 0); /* for a death somewhere it may wake */
    CHECK(waited == CAROM_ETIMEDOUT || waited == CAROM_OK);
    CHECK_OK(carom_condition_release(condition));
    CHECK_EQ(carom_event_is_set(event), 0);
    CHECK_OK(carom_event_set(event));
    CHECK_OK(carom_event_wait(event, CAROM_FOREVER));
    CHECK_OK(carom_event_clear(event));
    CHECK_EQ(carom_barrier_parties(barrier), 2);
    CHECK_EQ(carom_barrier_waiting(barrier), 0);
    CHECK_EQ(carom_barrier_broken(barrier), 0);
    CHECK_OK(carom_queue_put(queue, "8", 1, 0));
    CHECK_OK(carom_queue_get(queue, &data, 1, NULL, 0));
    CHECK_EQ(carom_queue_size(queue), 0);
    CHECK_EQ(carom_process_is_alive(process), 1);
    CHECK_EQ(outcome_of(works, NULL, 0), 0);
    CHECK_OK(carom_pool_apply(pool, replies, NULL, 0, NULL, &data, 8, NULL, PATIENCE_MS));
    CHECK_EQ(data, 8);
    CHECK_EQ(carom_result_ready(result), 1);
    named_still_works();
    connections_still_work();
    managers_still_work();
}

static void misuse_all(void) {
    for (size_t i = 0; i < row_count; i++) {
        if (getenv("CAROM_VERBOSE")) fprintf(stderr, "  %s\n", rows[i].name);
        rows[i].body();
    }
    calls_from_inside();
    closed_pools();
    broken_pools();
}

static void misuse(void) {
    go = share(sizeof *go);
    ran = share(sizeof *ran);
    make_strange_functions();
    make_handles();
    everything_still_works();
    misuse_all();
    everything_still_works();
    /* And nothing is left of it, however often. */
    for (int i = 0; i < 3; i++) misuse_all();
    int fds = fd_count();
    long arena = arena_kb();
    for (int i = 0; i < 20; i++) misuse_all();
    CHECK_EQ(fd_count(), fds);
    CHECK(arena_kb() <= arena + 64);
    everything_still_works();

    carom_context_free(context);
    free_managers();
    free_connections();
    carom_shareable_list_free(list);
    carom_shared_memory_free(memory);
    carom_iterator_free(iterator);
    carom_result_free(result);
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
    flag_add(go, 1);
    CHECK_EQ(ended(process), 17);
    carom_queue_free(queue);
    carom_barrier_free(barrier);
    carom_event_free(event);
    carom_condition_free(condition);
    carom_semaphore_free(owned);
    carom_semaphore_free(semaphore);
    carom_array_free(bare_array);
    carom_array_free(array);
    carom_value_free(value);
    carom_value_free(bare);
    carom_lock_free(held);
    carom_lock_free(lock);
}

/* A call that is refused costs nothing: not in the arena, which nobody would ever empty. */
static void refusals_cost_nothing(void) {
    carom_lock *a_lock = NULL, *none = NULL;
    CHECK_OK(carom_lock_new(NULL, &a_lock));
    for (int i = 0; i < 100; i++) CHECK_STATUS(carom_handle_keep(NULL, a_lock), CAROM_EBADHANDLE);
    long before = arena_kb();
    for (int i = 0; i < 20000; i++) {
        CHECK_STATUS(carom_handle_keep(NULL, a_lock), CAROM_EBADHANDLE);
        CHECK_STATUS(carom_value_get_lock(NULL, &none), CAROM_EBADHANDLE);
        carom_value *no_value = NULL;
        CHECK_STATUS(carom_value_new(CAROM_RAW, NULL, (size_t)1 << 45, NULL, &no_value), CAROM_ENOMEM);
    }
    CHECK(arena_kb() <= before + 64);
    carom_lock_free(a_lock);
}

/* Every function that the header declares has a row, and every row is of such a function. */
static void rows_are_complete(void) {
    const char *path = getenv("CAROM_HEADER") ? getenv("CAROM_HEADER") : "include/carom.h";
    static char text[1 << 20];
    FILE *file = fopen(path, "re");
    CHECK(file != NULL);
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = 0;
    int found[sizeof rows / sizeof *rows] = {0}, missing = 0, in_comment = 0;
    char *at = strstr(text, "cdef: begin"), *end = strstr(text, "/* cdef: end");
    CHECK(at != NULL && end != NULL);
    at = strstr(at, "*/");
    for (; at < end; at++) {
        if (strncmp(at, "/*", 2) == 0) in_comment = 1;
        if (strncmp(at, "*/", 2) == 0) in_comment = 0;
        if (in_comment || strncmp(at, "carom_", 6) != 0 || at[-1] == '_' || (at[-1] >= 'a' && at[-1] <= 'z')) continue;
        size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789_");
        if (at[length] != '(') continue;
        size_t row = 0;
        while (row < row_count && (strlen(rows[row].name) != length || strncmp(rows[row].name, at, length) != 0)) row++;
        if (row < row_count) found[row]++;
        else missing += fprintf(stderr, "no row for %.*s\n", (int)length, at) > 0;
    }
    for (size_t row = 0; row < row_count; row++) check_eq_(__FILE__, __LINE__, rows[row].name, found[row], 1);
    CHECK_EQ(missing, 0);
    CHECK(row_count > 50);
}

int main(int argc, char **argv) {
    CHECK_OK(carom_init(argc, argv));
    rows_are_complete();
    more_fds = 1;
    CASE(misuse);
    CASE(refusals_cost_nothing);
    return 0;
}
