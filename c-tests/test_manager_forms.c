/* Pools of a manager: starmaps, ranges, items of many, iterators, and what can be done about workers, as with a pool of one's own. */
#include "manager_pool.h"

#define NUMBER(it) ((carom_argument)CAROM_BYTES(it, sizeof *(it)))
#define ITEMS 500

/* ------------------------------------------------------------------------------------------------------- functions */

static int32_t sum_of(carom_call *call) {
    int64_t a, b;
    CHECK_OK(carom_call_read(call, 0, &a, sizeof a));
    CHECK_OK(carom_call_read(call, 1, &b, sizeof b));
    a += b;
    if (a % 2) return carom_call_fail(call, 5, "an odd sum");
    carom_call_reply(call, &a, sizeof a);
    return 0;
}
/* Adds each index of a range to a dict. */
static int32_t adds_range(carom_call *call) {
    carom_argument begin, end, key = KEY("sum");
    carom_dict *dict;
    CHECK_OK(carom_call_argument(call, 0, &begin));
    CHECK_OK(carom_call_argument(call, 1, &end));
    if (begin.integer == 700) return carom_call_fail(call, 1, "not this one");
    CHECK_OK(carom_call_dict(call, 2, &dict));
    for (int64_t i = begin.integer; i < end.integer; i++) CHECK_OK(carom_dict_increment(dict, &key, i, NULL));
    return 0;
}
/* The first item waits for the others. */
static int32_t first_holds(carom_call *call) {
    int64_t x;
    CHECK_OK(carom_call_read(call, 0, &x, sizeof x));
    if (x == 0) flag_await(go, 1);
    if (x == 3) raise(SIGKILL);
    flag_add(begun, 1);
    x *= x;
    carom_call_reply(call, &x, sizeof x);
    return 0;
}
static int32_t says_name(carom_call *call) {
    const char *name = carom_call_correlation_id(call);
    carom_call_reply(call, name, strlen(name));
    return 0;
}
static int32_t counts_up(carom_call *call) {
    carom_dict *dict;
    carom_argument key = KEY("count");
    CHECK_OK(carom_call_dict(call, 0, &dict));
    CHECK_OK(carom_dict_increment(dict, &key, 1, NULL));
    return 0;
}
static int32_t nothing(carom_call *call) {
    (void)call;
    return 0;
}

/* ----------------------------------------------------------------------------------------------------------- cases */

static void starmaps(void) {
    begin(2);
    int64_t in[40], out[20];
    carom_argument arguments[40];
    carom_status statuses[20];
    carom_result *result, *item;
    carom_verdict verdict = {.size = sizeof verdict};
    carom_task_options options = {.size = sizeof options, .verdict = &verdict, .statuses = statuses};
    for (int64_t i = 0; i < 40; i++) in[i] = i / 2 * 2, arguments[i] = NUMBER(&in[i]);
    CHECK_OK(carom_pool_starmap(pool, sum_of, arguments, 2, 20, NULL, out, 8, PATIENCE_MS));
    for (int64_t i = 0; i < 20; i++) CHECK_EQ(out[i], 4 * i), out[i] = -1;
    in[11] = 1, in[31] = 1;
    CHECK_STATUS(carom_pool_starmap(pool, sum_of, arguments, 2, 20, &options, out, 8, PATIENCE_MS), CAROM_ETASKFAILED);
    CHECK_EQ(verdict.item, 5);
    CHECK_EQ(verdict.code, 5);
    CHECK_STR_EQ(verdict.message, "an odd sum");
    for (int64_t i = 0; i < 20; i++) {
        int failed = i == 5 || i == 15;
        CHECK_EQ(statuses[i], failed ? CAROM_ETASKFAILED : CAROM_OK);
        CHECK_EQ(out[i], failed ? -1 : 4 * i);
    }
    CHECK_OK(carom_pool_starmap_async(pool, sum_of, arguments, 2, 20, NULL, &result));
    CHECK_EQ(carom_result_count(result), 20);
    CHECK_STATUS(carom_result_get(result, out, sizeof out, NULL, PATIENCE_MS), CAROM_ETASKFAILED);
    for (int64_t i = 0; i < 20; i++) {
        int64_t sum = -1;
        int failed = i == 5 || i == 15;
        CHECK_OK(carom_result_item(result, i, &item));
        CHECK_STATUS(carom_result_get(item, &sum, sizeof sum, NULL, PATIENCE_MS), failed ? CAROM_ETASKFAILED : CAROM_OK);
        CHECK_EQ(sum, failed ? -1 : 4 * i);
        CHECK_OK(carom_result_verdict(item, &verdict));
        CHECK_EQ(verdict.item, i);
        CHECK_EQ(carom_result_count(item), 1);
        carom_result_free(item);
    }
    CHECK_STATUS(carom_result_item(result, 20, &item), CAROM_ENOENT);
    CHECK_STATUS(carom_result_item(result, SIZE_MAX, &item), CAROM_ENOENT);
    carom_result_free(result);
    CHECK_OK(carom_pool_starmap(pool, sum_of, NULL, 2, 0, NULL, NULL, 8, PATIENCE_MS));
    CHECK_OK(carom_pool_starmap(pool, nothing, NULL, 0, 5, NULL, NULL, 0, PATIENCE_MS));
    CHECK_STATUS(carom_pool_starmap(pool, sum_of, arguments, SIZE_MAX, 2, NULL, NULL, 0, 0), CAROM_EINVAL);
    CHECK_STATUS(carom_pool_starmap(pool, NULL, arguments, 2, 2, NULL, NULL, 0, 0), CAROM_EFUNCTION);
    await_objects(1);
    end();
}

static void ranges(void) {
    begin(2);
    carom_dict *dict;
    carom_argument key = KEY("sum"), found, rest;
    carom_verdict verdict = {.size = sizeof verdict};
    carom_task_options options = {.size = sizeof options, .verdict = &verdict, .chunk_size = 100};
    CHECK_OK(carom_manager_dict(manager, NULL, &dict));
    rest = HANDLE(dict);
    CHECK_OK(carom_pool_map_range(pool, adds_range, 0, 300, &rest, 1, NULL, PATIENCE_MS));
    CHECK_OK(carom_pool_map_range(pool, adds_range, 300, 600, &rest, 1, &options, PATIENCE_MS));
    CHECK_OK(carom_pool_map_range(pool, adds_range, 5, 5, &rest, 1, NULL, PATIENCE_MS));
    CHECK_OK(carom_dict_get(dict, &key, &found, NULL, 0, NULL));
    CHECK_EQ(found.integer, 600 * 599 / 2);
    CHECK_STATUS(carom_pool_map_range(pool, adds_range, 600, 1000, &rest, 1, &options, PATIENCE_MS), CAROM_ETASKFAILED);
    CHECK_EQ(verdict.item, 700);
    CHECK_STATUS(carom_pool_map_range(pool, adds_range, 1, 0, &rest, 1, NULL, PATIENCE_MS), CAROM_EINVAL);
    options.chunk_size = 1;
    CHECK_STATUS(carom_pool_map_range(pool, adds_range, 0, INT64_MAX, &rest, 1, &options, PATIENCE_MS), CAROM_EINVAL);
    CHECK_STATUS(carom_pool_map_range(pool, adds_range, INT64_MIN, INT64_MAX, &rest, 1, &options, PATIENCE_MS), CAROM_EINVAL);
    carom_dict_free(dict);
    await_objects(1);
    end();
}

/* Items of many are settled before the whole is, and whoever waits for any of several hears of the first. */
static void parts(void) {
    begin(2);
    int64_t in[6] = {0, 1, 2, 3, 4, 5}, x = 7, y = 0;
    carom_argument seven = NUMBER(&x);
    carom_result *whole, *items[6], *other, *both[3];
    CHECK_OK(carom_pool_map_async(pool, first_holds, in, 8, 6, NULL, &whole));
    for (int i = 0; i < 6; i++) CHECK_OK(carom_result_item(whole, i, &items[i]));
    for (int i = 1; i < 6; i++) {
        CHECK_OK(carom_result_wait(items[i], PATIENCE_MS));
        CHECK_STATUS(carom_result_get(items[i], &y, sizeof y, NULL, 0), i == 3 ? CAROM_EWORKERLOST : CAROM_OK);
        if (i != 3) CHECK_EQ(y, i * i);
    }
    CHECK_EQ(carom_result_ready(whole), 0);
    CHECK_EQ(carom_result_ready(items[0]), 0);
    CHECK_STATUS((carom_status)carom_result_wait_any((carom_result *[]){whole, items[0]}, 2, 20), CAROM_ETIMEDOUT);
    CHECK_OK(carom_pool_apply_async(pool, square, &seven, 1, NULL, &other));
    both[0] = whole, both[1] = items[0], both[2] = other;
    CHECK_EQ(carom_result_wait_any(both, 3, PATIENCE_MS), 2);
    CHECK_EQ(carom_result_wait_any((carom_result *[]){items[0], items[4]}, 2, PATIENCE_MS), 1);
    flag_add(go, 1);
    CHECK_EQ(carom_result_wait_any((carom_result *[]){items[0], items[0]}, 2, PATIENCE_MS), 0);
    CHECK_OK(carom_result_wait(whole, PATIENCE_MS));
    CHECK_EQ(carom_result_wait_any(both, 2, PATIENCE_MS), 0);
    CHECK_STATUS(carom_result_get(whole, NULL, 0, NULL, 0), CAROM_EWORKERLOST);
    /* Of another manager, and of the program's own pool. */
    carom_manager *second;
    carom_pool *its, *own;
    carom_pool_options one = {.size = sizeof one, .workers = 1};
    carom_result *mixed[2];
    CHECK_OK(carom_manager_new(NULL, &second));
    CHECK_OK(carom_manager_pool(second, &one, &its));
    CHECK_OK(carom_pool_new(&one, &own));
    CHECK_OK(carom_pool_apply_async(pool, square, &seven, 1, NULL, &mixed[0]));
    CHECK_OK(carom_pool_apply_async(its, square, &seven, 1, NULL, &mixed[1]));
    CHECK_STATUS((carom_status)carom_result_wait_any(mixed, 2, PATIENCE_MS), CAROM_ENOTSUP);
    carom_result_free(mixed[1]);
    CHECK_OK(carom_pool_apply_async(own, square, &seven, 1, NULL, &mixed[1]));
    CHECK_STATUS((carom_status)carom_result_wait_any(mixed, 2, PATIENCE_MS), CAROM_ENOTSUP);
    carom_result_free(mixed[0]), carom_result_free(mixed[1]);
    carom_pool_free(own), carom_pool_free(its);
    CHECK_OK(carom_manager_shutdown(second, PATIENCE_MS));
    carom_manager_free(second);
    /* The items stay readable without the whole. */
    carom_result_free(whole), carom_result_free(other);
    for (int i = 0; i < 6; i++) carom_result_free(items[i]);
    await_objects(1);
    end();
}

static struct {
    int64_t next, end, value;
    carom_status after;
    carom_dict *dict;
} source;
static int64_t gives(void *ctx, carom_argument *arguments, size_t max) {
    CHECK(ctx == &source && max >= 2);
    if (source.next == source.end) return source.after;
    source.value = source.next++;
    arguments[0] = NUMBER(&source.value);
    return 1;
}
/* The handle of each item is gone when the next one is asked for. */
static int64_t gives_dicts(void *ctx, carom_argument *arguments, size_t max) {
    (void)ctx, (void)max;
    carom_dict_free(source.dict);
    source.dict = NULL;
    if (source.next++ == source.end) return 0;
    CHECK_OK(carom_manager_dict(manager, NULL, &source.dict));
    arguments[0] = HANDLE(source.dict);
    return 1;
}

/* Every kind of items, in order and as they come, more than a window of them. */
static void iterators(void) {
    begin(3);
    static int64_t in[ITEMS];
    static carom_argument lists[2 * ITEMS];
    for (int64_t i = 0; i < ITEMS; i++) in[i] = 2 * i, lists[2 * i] = lists[2 * i + 1] = NUMBER(&in[i]);
    carom_items kinds[] = {{.data = in, .item_size = 8, .count = ITEMS}, {.arguments = lists, .per_item = 2, .count = ITEMS}, {.source = gives, .ctx = &source}};
    for (int kind = 0; kind < 3; kind++) {
        for (int ordered = 0; ordered < 2; ordered++) {
            carom_items items = kinds[kind];
            carom_iterator *iterator;
            carom_result *result;
            carom_verdict verdict = {.size = sizeof verdict};
            carom_status status;
            int64_t met = 0, y = 0, seen[ITEMS] = {0};
            items.size = sizeof items;
            source.next = 0, source.end = ITEMS, source.after = 0;
            CHECK_OK((ordered ? carom_pool_imap : carom_pool_imap_unordered)(pool, kind == 1 ? sum_of : square, &items, NULL, &iterator));
            CHECK(kind != 2 || source.next < ITEMS);
            while ((status = carom_iterator_next(iterator, &result, PATIENCE_MS)) == CAROM_OK) {
                CHECK_EQ(carom_result_ready(result), 1);
                CHECK_OK(carom_result_verdict(result, &verdict));
                CHECK(verdict.item < ITEMS && (!ordered || verdict.item == (uint64_t)met));
                CHECK_OK(carom_result_get(result, &y, sizeof y, NULL, 0));
                int64_t i = (int64_t)verdict.item, x = kind == 2 ? i : 2 * i;
                CHECK_EQ(y, kind == 1 ? 2 * x : x * x);
                CHECK_EQ(seen[i]++, 0);
                CHECK_EQ(carom_result_count(result), 1);
                carom_result_free(result);
                met++;
            }
            CHECK_STATUS(status, CAROM_EEND);
            CHECK_EQ(met, ITEMS);
            CHECK_STATUS(carom_iterator_next(iterator, &result, 0), CAROM_EEND);
            carom_iterator_free(iterator);
            CHECK_STATUS(carom_iterator_next(iterator, &result, 0), CAROM_EBADHANDLE);
        }
    }
    /* Objects among the items live as long as they are needed. */
    carom_items items = {.size = sizeof items, .source = gives_dicts};
    carom_iterator *iterator;
    carom_result *result;
    int met = 0;
    source.next = 0, source.end = 100;
    CHECK_OK(carom_pool_imap(pool, counts_up, &items, NULL, &iterator));
    while (carom_iterator_next(iterator, &result, PATIENCE_MS) == CAROM_OK) {
        CHECK_EQ(carom_result_successful(result), 1);
        carom_result_free(result);
        met++;
    }
    CHECK_EQ(met, 100);
    carom_iterator_free(iterator);
    await_objects(1);
    end();
}

/* An input that ends badly, a pool that takes no more, an end before the end. */
static void iterators_end(void) {
    begin(1);
    carom_items items = {.size = sizeof items, .source = gives, .ctx = &source};
    carom_iterator *iterator;
    carom_result *result;
    carom_status status;
    int met = 0;
    source.next = 0, source.end = 20, source.after = CAROM_EACCES;
    CHECK_OK(carom_pool_imap(pool, odd_fails, &items, NULL, &iterator));
    while ((status = carom_iterator_next(iterator, &result, PATIENCE_MS)) == CAROM_OK) {
        CHECK_EQ(carom_result_successful(result), met++ % 2 == 0);
        carom_result_free(result);
    }
    CHECK_STATUS(status, CAROM_EACCES);
    CHECK_EQ(met, 20);
    CHECK_STATUS(carom_iterator_next(iterator, &result, 0), CAROM_EEND);
    carom_iterator_free(iterator);
    /* What cannot be sent ends the input, after all before it. */
    carom_lock *local;
    int64_t x = 2;
    CHECK_OK(carom_lock_new(NULL, &local));
    carom_argument lists[] = {NUMBER(&x), NUMBER(&x), HANDLE(local), NUMBER(&x)};
    carom_items four = {.size = sizeof four, .arguments = lists, .per_item = 1, .count = 4};
    CHECK_OK(carom_pool_imap(pool, square, &four, NULL, &iterator));
    for (int i = 0; i < 2; i++) {
        CHECK_OK(carom_iterator_next(iterator, &result, PATIENCE_MS));
        carom_result_free(result);
    }
    CHECK_STATUS(carom_iterator_next(iterator, &result, PATIENCE_MS), CAROM_EINVAL);
    carom_iterator_free(iterator);
    carom_lock_free(local);
    /* Nothing in time, then all: and what is under way when the handle goes runs on. */
    source.next = 0, source.end = ITEMS, source.after = 0;
    CHECK_OK(carom_pool_imap_unordered(pool, first_holds, &items, NULL, &iterator));
    CHECK_STATUS(carom_iterator_next(iterator, &result, 20), CAROM_ETIMEDOUT);
    flag_add(go, 1);
    CHECK_OK(carom_iterator_next(iterator, &result, PATIENCE_MS));
    carom_result_free(result);
    carom_iterator_free(iterator);
    flag_await(begun, 10);
    /* The pool takes no more: those that it has come out. */
    atomic_store(go, 0);
    source.next = 0;
    CHECK_OK(carom_pool_imap(pool, first_holds, &items, NULL, &iterator));
    int64_t taken = source.next;
    CHECK(taken > 0 && taken < ITEMS);
    CHECK_OK(carom_pool_close(pool));
    carom_iterator *late;
    CHECK_STATUS(carom_pool_imap(pool, square, &items, NULL, &late), CAROM_ECLOSED);
    flag_add(go, 1);
    for (met = 0; (status = carom_iterator_next(iterator, &result, PATIENCE_MS)) == CAROM_OK; met++) {
        CHECK_EQ(carom_result_successful(result), met != 3);
        carom_result_free(result);
    }
    CHECK_STATUS(status, CAROM_ECLOSED);
    CHECK_EQ(met, taken);
    carom_iterator_free(iterator);
    end();
}

static carom_iterator *inherited;
static int32_t inherits(carom_call *call) {
    carom_result *result;
    (void)call;
    CHECK_STATUS(carom_iterator_next(inherited, &result, 0), CAROM_EPERM);
    carom_iterator_free(inherited);
    return 0;
}
static int32_t iterates(carom_call *call) {
    CHECK_OK(carom_call_pool(call, 0, &pool));
    static int64_t in[ITEMS];
    carom_items items = {.size = sizeof items, .data = in, .item_size = 8, .count = ITEMS};
    carom_iterator *iterator;
    carom_result *result;
    CHECK_OK(carom_pool_imap(pool, holds, &items, NULL, &iterator));
    return carom_iterator_next(iterator, &result, CAROM_FOREVER);
}
/* A client that dies over an iterator leaves nothing, and one whose server dies hears of it; so does who has the pool ended under him. */
static void iterators_die(void) {
    begin(1);
    carom_argument argument = HANDLE(pool);
    carom_process *process;
    CHECK_OK(carom_process_start(iterates, &argument, 1, NULL, &process));
    flag_await(begun, 1);
    await_objects(2);
    CHECK_OK(carom_process_kill(process));
    CHECK_EQ(ended(process), -SIGKILL);
    await_objects(1);
    flag_add(go, 1);
    int64_t x = 3, y = 0;
    carom_argument three = NUMBER(&x);
    CHECK_OK(carom_pool_apply(pool, square, &three, 1, NULL, &y, sizeof y, NULL, PATIENCE_MS));
    CHECK_EQ(y, 9);
    atomic_store(go, 0);
    carom_items items = {.size = sizeof items, .data = &x, .item_size = 8, .count = 1};
    carom_iterator *iterator;
    carom_result *result;
    uint32_t before = atomic_load(begun);
    CHECK_OK(carom_pool_imap(pool, holds, &items, NULL, &iterator));
    flag_await(begun, before + 1);
    inherited = iterator;
    CHECK_EQ(outcome_of(inherits, NULL, 0), 0);
    CHECK_OK(carom_pool_terminate(pool));
    CHECK_OK(carom_iterator_next(iterator, &result, PATIENCE_MS));
    CHECK_STATUS(carom_result_get(result, NULL, 0, NULL, 0), CAROM_ECANCELED);
    carom_result_free(result);
    carom_iterator_free(iterator);
    carom_pool_free(pool);
    carom_pool_options options = {.size = sizeof options, .workers = 1};
    CHECK_OK(carom_manager_pool(manager, &options, &pool));
    before = atomic_load(begun);
    CHECK_OK(carom_pool_imap(pool, holds, &items, NULL, &iterator));
    flag_await(begun, before + 1);
    CHECK_EQ(kill(facts().pid, SIGKILL), 0);
    carom_status status = carom_iterator_next(iterator, &result, PATIENCE_MS);
    CHECK(status == CAROM_EBROKEN || status == CAROM_ECLOSED);
    carom_iterator_free(iterator);
    carom_pool_free(pool);
    CHECK_OK(carom_manager_join(manager, PATIENCE_MS));
    carom_manager_free(manager);
}

static void await_workers(uint32_t wanted) {
    int64_t until = now_ms() + PATIENCE_MS;
    carom_worker_info info = {.size = sizeof info};
    for (uint32_t i = 0; i < wanted; i++)
        do {
            CHECK(now_ms() < until);
            CHECK_OK(carom_pool_worker(pool, i, &info));
        } while (info.pid == 0);
}
static uint32_t workers(void) {
    carom_pool_statistics now = {.size = sizeof now};
    CHECK_OK(carom_pool_info(pool, &now));
    return now.workers;
}

static void control(void) {
    begin(1);
    carom_worker_info info = {.size = sizeof info};
    carom_result *result;
    CHECK_EQ(workers(), 1);
    CHECK_OK(carom_pool_grow(pool, 2));
    CHECK_EQ(workers(), 3);
    await_workers(3);
    CHECK_OK(carom_pool_shrink(pool, 2));
    CHECK_EQ(workers(), 1);
    CHECK_STATUS(carom_pool_shrink(pool, 2), CAROM_EINVAL);
    CHECK_STATUS(carom_pool_grow(pool, UINT32_MAX), CAROM_ENOMEM);
    CHECK_OK(carom_pool_worker(pool, 0, &info));
    CHECK_STATUS(carom_pool_worker(pool, 1, &info), CAROM_ENOENT);
    CHECK_STATUS(carom_pool_worker(pool, SIZE_MAX, &info), CAROM_ENOENT);
    CHECK_EQ(carom_pool_did_start_ok(pool), 1);
    int64_t can = carom_pool_capabilities(pool);
    CHECK((can & CAROM_CAN_GROW) && (can & CAROM_CAN_ISOLATE) && !(can & CAROM_CAN_RESTART));
    CHECK_STATUS(carom_pool_restart(pool), CAROM_EPERM);
    CHECK_OK(carom_pool_maintain(pool));
    /* The task of a worker, ended by the worker's number. */
    CHECK_OK(carom_pool_apply_async(pool, holds, NULL, 0, NULL, &result));
    flag_await(begun, 1);
    CHECK_OK(carom_pool_worker(pool, 0, &info));
    CHECK_EQ(info.busy, 1);
    CHECK_EQ(info.pid, carom_result_pid(result));
    CHECK(info.age_ns > 0 && info.elapsed_ns >= 0);
    CHECK_STATUS(carom_pool_terminate_job(pool, 1, SIGKILL), CAROM_ENOENT);
    CHECK_STATUS(carom_pool_terminate_job(pool, info.pid, 1000), CAROM_EINVAL);
    CHECK_OK(carom_pool_terminate_job(pool, info.pid, SIGKILL));
    CHECK_STATUS(carom_result_get(result, NULL, 0, NULL, PATIENCE_MS), CAROM_ECANCELED);
    carom_result_free(result);
    carom_pool_free(pool);
    /* New workers for old, where the pool was made for it. */
    carom_pool_options options = {.size = sizeof options, .workers = 1, .restartable = 1};
    CHECK_OK(carom_manager_pool(manager, &options, &pool));
    CHECK(carom_pool_capabilities(pool) & CAROM_CAN_RESTART);
    /* One that has done something: what is only beginning is new enough. */
    CHECK_OK(carom_pool_apply(pool, nothing, NULL, 0, NULL, NULL, 0, NULL, PATIENCE_MS));
    CHECK_OK(carom_pool_worker(pool, 0, &info));
    int old = info.pid;
    CHECK_OK(carom_pool_restart(pool));
    int64_t until = now_ms() + PATIENCE_MS;
    do {
        CHECK(now_ms() < until);
        CHECK_OK(carom_pool_worker(pool, 0, &info));
    } while (info.pid == 0 || info.pid == old);
    /* The name of a task, here and there. */
    carom_task_options named = {.size = sizeof named, .correlation_id = "the task's name"};
    char name[32] = {0};
    CHECK_OK(carom_pool_apply_async(pool, says_name, NULL, 0, &named, &result));
    CHECK_STR_EQ(carom_result_correlation_id(result), "the task's name");
    CHECK_OK(carom_result_get(result, name, sizeof name, NULL, PATIENCE_MS));
    CHECK_STR_EQ(name, "the task's name");
    carom_result_free(result);
    CHECK_OK(carom_pool_apply_async(pool, says_name, NULL, 0, NULL, &result));
    CHECK_STR_EQ(carom_result_correlation_id(result), "");
    carom_result_free(result);
    /* A reply that no message holds is a task that failed, and nobody's session. */
    int64_t len = (int64_t)65 << 20;
    carom_argument argument = NUMBER(&len);
    CHECK_OK(carom_pool_apply_async(pool, long_reply, &argument, 1, NULL, &result));
    CHECK_OK(carom_result_wait(result, PATIENCE_MS));
    CHECK_STATUS(carom_result_get(result, name, sizeof name, NULL, 0), CAROM_EMSGSIZE);
    carom_result_free(result);
    /* Nor are the replies of a map that nobody could send: it is not begun. */
    size_t mib = 1 << 20;
    void *out = mmap(NULL, 65 * mib, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int64_t in[65] = {0};
    CHECK(out != MAP_FAILED);
    CHECK_STATUS(carom_pool_map(pool, square, in, 8, 65, NULL, out, mib, PATIENCE_MS), CAROM_EMSGSIZE);
    munmap(out, 65 * mib);
    CHECK_OK(carom_pool_map(pool, square, in, 8, 65, NULL, in, 8, PATIENCE_MS));
    await_objects(1);
    end();
}

int main(void) {
    CASE(starmaps);
    CASE(ranges);
    CASE(parts);
    CASE(iterators);
    CASE(iterators_end);
    CASE(iterators_die);
    CASE(control);
    return 0;
}
