/* Many items at once: map, and imap_unordered over every kind of input. */
#include "pool.h"

#include <dlfcn.h>

static int32_t square(carom_call *call) {
    double x;
    if (carom_call_read(call, 0, &x, sizeof x) != CAROM_OK) return 1;
    x *= x;
    return carom_call_reply(call, &x, sizeof x) == CAROM_OK ? 0 : 2;
}

static long *counter;
static int32_t count_it(carom_call *call) {
    carom_argument argument;
    if (carom_call_count(call) != 1 || carom_call_argument(call, 0, &argument) != CAROM_OK) return 1;
    add(counter, 1);
    return (int32_t)argument.len;
}

static void sizes_and_chunks(void) {
    carom_pool *pool = pool_of(3, 0, 0);
    uint64_t chunks[] = {0, 1, 2, 7, 1000, 1001, UINT64_MAX / 2, UINT64_MAX};
    size_t counts[] = {1, 2, 3, 64, 1000, 5000};
    static double in[5000], out[5001];
    carom_status statuses[5000];
    for (int i = 0; i < 5000; i++) in[i] = i;
    for (size_t c = 0; c < COUNT_OF(chunks); c++) {
        for (size_t n = 0; n < COUNT_OF(counts); n++) {
            carom_verdict verdict = {.size = sizeof verdict, .status = 1, .code = 5};
            carom_task_options options = {.size = sizeof options, .chunk_size = chunks[c], .statuses = statuses,
                                          .verdict = &verdict};
            size_t count = counts[n];
            memset(out, 0xff, sizeof out);
            memset(statuses, 0xff, sizeof statuses);
            CHECK_OK(carom_pool_map(pool, square, in, sizeof in[0], count, &options, out, sizeof out[0], PATIENCE_MS));
            for (size_t i = 0; i < count; i++) CHECK(out[i] == in[i] * in[i]);
            for (size_t i = 0; i < count; i++) CHECK_EQ(statuses[i], 0);
            CHECK(out[count] != out[count]); /* still what it was: not a number */
            if (count < 5000) CHECK_EQ(statuses[count], -1);
            CHECK_OK(verdict.status);
            CHECK_EQ(verdict.code, 0);
            CHECK_STR_EQ(verdict.message, "");
        }
    }
    finish(pool);
}

static void nothing_in_and_nothing_out(void) {
    counter = share(sizeof *counter);
    carom_pool *pool = pool_of(2, 0, 0);
    double in[10] = {0};
    /* No items. */
    CHECK_OK(carom_pool_map(pool, count_it, NULL, 0, 0, NULL, NULL, 0, 0));
    CHECK_OK(carom_pool_map(pool, count_it, in, 8, 0, NULL, in, 8, PATIENCE_MS));
    CHECK_EQ(load(counter), 0);
    /* Items of no size. */
    CHECK_OK(carom_pool_map(pool, count_it, NULL, 0, 1000, NULL, NULL, 0, PATIENCE_MS));
    CHECK_EQ(load(counter), 1000);
    /* No replies wanted; those that are given do no harm. */
    CHECK_OK(carom_pool_map(pool, square, in, 8, 10, NULL, NULL, 0, PATIENCE_MS));
    /* Absurd. */
    CHECK_STATUS(carom_pool_map(pool, square, in, SIZE_MAX / 2, 10, NULL, NULL, 0, 0), CAROM_EINVAL);
    CHECK_STATUS(carom_pool_map(pool, square, in, 8, 10, NULL, in, SIZE_MAX, 0), CAROM_EINVAL);
    CHECK_STATUS(carom_pool_map(pool, square, NULL, 0, SIZE_MAX, NULL, NULL, 0, 0), CAROM_ENOMEM);
    CHECK_STATUS(carom_pool_map(pool, square, NULL, 8, 10, NULL, NULL, 0, 0), CAROM_EINVAL);
    CHECK_STATUS(carom_pool_map(pool, square, in, 8, 10, NULL, NULL, 8, 0), CAROM_EINVAL);
    works(pool);
    finish(pool);
}

/* Item 5: none. 6: too short. 7: too long. 8: half of the room. 9: more than the room. 10: fails after a good reply. */
static int32_t odd_replies(carom_call *call) {
    int64_t item = argument_of(call), wrong[2] = {-1, -1};
    void *room = NULL;
    switch (item) {
    case 5: return 0;
    case 6: return carom_call_reply(call, wrong, 7) == CAROM_EMSGSIZE ? 0 : 1;
    case 7: return carom_call_reply(call, wrong, 16) == CAROM_EMSGSIZE ? 0 : 1;
    case 8:
        if (carom_call_reserve(call, 8, &room) != CAROM_OK) return 1;
        memset(room, 0xff, 4);
        carom_call_commit(call, 4);
        return 0;
    case 9: return carom_call_reserve(call, 9, &room) == CAROM_EMSGSIZE ? 0 : 1;
    case 10:
        carom_call_reply(call, wrong, 8);
        return -10;
    case 11: return carom_call_fail(call, INT32_MIN, "eleven");
    default: return reply_number(call, item * 2);
    }
}

static void wrong_replies(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    int64_t in[20], out[20];
    for (uint64_t chunk = 0; chunk < 25; chunk++) {
        carom_status statuses[20];
        carom_verdict verdict = {.size = sizeof verdict};
        carom_task_options options = {.size = sizeof options, .chunk_size = chunk, .statuses = statuses,
                                      .verdict = &verdict};
        for (int i = 0; i < 20; i++) in[i] = i, out[i] = 1000 + i;
        CHECK_STATUS(carom_pool_map(pool, odd_replies, in, 8, 20, &options, out, 8, PATIENCE_MS), CAROM_EMSGSIZE);
        for (int i = 0; i < 20; i++) {
            CHECK_STATUS(statuses[i], i < 5 || i > 11 ? CAROM_OK : i < 10 ? CAROM_EMSGSIZE : CAROM_ETASKFAILED);
            CHECK_EQ(out[i], statuses[i] ? 1000 + i : 2 * i);
        }
        CHECK_STATUS(verdict.status, CAROM_EMSGSIZE);
        CHECK_EQ(verdict.item, 5);
        CHECK_EQ(verdict.code, 0);
        CHECK(verdict.pid > 0);
    }
    /* The first of all that fails is the one that is shown, whoever comes first. */
    carom_verdict verdict = {.size = sizeof verdict};
    carom_task_options options = {.size = sizeof options, .chunk_size = 1, .verdict = &verdict};
    CHECK_STATUS(carom_pool_map(pool, odd_replies, in + 10, 8, 10, &options, out, 8, PATIENCE_MS), CAROM_ETASKFAILED);
    CHECK_EQ(verdict.item, 0);
    CHECK_EQ(verdict.code, -10);
    CHECK_STATUS(carom_pool_map(pool, odd_replies, in + 11, 8, 9, &options, out, 8, PATIENCE_MS), CAROM_ETASKFAILED);
    CHECK_EQ(verdict.code, INT32_MIN);
    CHECK_STR_EQ(verdict.message, "eleven");
    finish(pool);
}

static int32_t die_at_multiples(carom_call *call) {
    int64_t item = argument_of(call);
    if (item % 10 == 3) kill(getpid(), SIGKILL);
    if (item % 50 == 7) return carom_call_fail(call, 7, "seven");
    if (item % 50 == 11) exit(11);
    return reply_number(call, item + 1);
}

static void deaths_cost_exactly_their_item(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    enum { COUNT = 300 };
    int64_t in[COUNT], out[COUNT];
    carom_status statuses[COUNT];
    uint64_t chunks[] = {0, 1, 50, 1000};
    for (size_t c = 0; c < COUNT_OF(chunks); c++) {
        carom_verdict verdict = {.size = sizeof verdict};
        carom_task_options options = {.size = sizeof options, .chunk_size = chunks[c], .statuses = statuses,
                                      .verdict = &verdict};
        for (int i = 0; i < COUNT; i++) in[i] = i, out[i] = -i;
        CHECK_STATUS(carom_pool_map(pool, die_at_multiples, in, 8, COUNT, &options, out, 8, PATIENCE_MS),
                     CAROM_EWORKERLOST);
        for (int i = 0; i < COUNT; i++) {
            int dies = i % 10 == 3 || i % 50 == 11;
            CHECK_STATUS(statuses[i], dies ? CAROM_EWORKERLOST : i % 50 == 7 ? CAROM_ETASKFAILED : CAROM_OK);
            CHECK_EQ(out[i], statuses[i] ? -i : i + 1);
        }
        CHECK_EQ(verdict.item, 3);
        CHECK_EQ(verdict.signal, SIGKILL);
        CHECK(verdict.pid > 0 && *verdict.message && verdict.max_rss_bytes > 0);
    }
    finish(pool);
}

static int32_t slow_until(carom_call *call) {
    argument_of(call);
    add(counter, 1);
    while (load(counter) < 1000000) usleep(100);
    return 0;
}

static void a_map_out_of_time_touches_nothing_any_more(void) {
    counter = share(sizeof *counter);
    carom_pool *pool = pool_of(2, 0, 0);
    int64_t in[100], out[100];
    carom_status statuses[100];
    for (int i = 0; i < 100; i++) in[i] = i, out[i] = -1, statuses[i] = 5;
    carom_task_options options = {.size = sizeof options, .statuses = statuses};
    CHECK_STATUS(carom_pool_map(pool, slow_until, in, 8, 100, &options, out, 8, 50), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_pool_map(pool, slow_until, in, 8, 100, &options, out, 8, 0), CAROM_ETIMEDOUT);
    store(counter, 1000000);
    works(pool);
    /* Not more than the item that each was at. */
    CHECK(load(counter) <= 1000000 + 2);
    for (int i = 0; i < 100; i++) CHECK_EQ(out[i], -1);
    for (int i = 0; i < 100; i++) CHECK_EQ(statuses[i], 5);
    finish(pool);
}

static void a_function_that_no_worker_finds(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    char path[] = "/tmp/carom-test-XXXXXX", command[600], source[] = "/lib/x86_64-linux-gnu/libm.so.6";
    if (access(source, R_OK) != 0) {
        finish(pool);
        return;
    }
    close(mkstemp(path));
    snprintf(command, sizeof command, "cp %s %s", source, path);
    CHECK_EQ(system(command), 0);
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(module != NULL);
    void *address = dlsym(module, "logb");
    carom_function function;
    memcpy(&function, &address, sizeof function);
    unlink(path);
    int64_t in[100] = {0}, out[100];
    carom_status statuses[100];
    carom_task_options options = {.size = sizeof options, .statuses = statuses};
    for (int i = 0; i < 100; i++) out[i] = -1, statuses[i] = 5;
    carom_status status = carom_pool_map(pool, function, in, 8, 100, &options, out, 8, PATIENCE_MS);
    CHECK(status != CAROM_OK);
    for (int i = 0; i < 100; i++) CHECK(statuses[i] != CAROM_OK);
    for (int i = 0; i < 100; i++) CHECK_EQ(out[i], -1);
    works(pool);
    finish(pool);
}

/* --- imap_unordered --- */

/* Takes all that comes; each item once, with the reply that `plus_one` gives to number + `base`. Returns how many. */
static int take_all(carom_iterator *iterator, int64_t base, int count, carom_status end) {
    char *seen = calloc((size_t)count + 1, 1);
    carom_result *result = NULL;
    carom_status status;
    int taken = 0;
    while ((status = carom_iterator_next(iterator, &result, PATIENCE_MS)) == CAROM_OK) {
        carom_verdict verdict = verdict_of(result);
        CHECK_OK(verdict.status);
        CHECK(verdict.item < (uint64_t)count && !seen[verdict.item]);
        seen[verdict.item] = 1;
        CHECK_EQ(number_of(result), (int64_t)verdict.item + base + 1);
        carom_result_free(result);
        taken++;
    }
    CHECK_STATUS(status, end);
    CHECK(result == NULL);
    CHECK_STATUS(carom_iterator_next(iterator, &result, 0), CAROM_EEND);
    free(seen);
    return taken;
}

struct numbers {
    int next, count, error, per_item;
    int64_t number;
};

static int64_t give_numbers(void *ctx, carom_argument *arguments, size_t max) {
    struct numbers *numbers = ctx;
    if (max < 1) return CAROM_EINVAL;
    if (numbers->next == numbers->count) return numbers->error;
    /* A pointer into what changes with the next call: it was copied by then. */
    numbers->number = numbers->next++;
    arguments[0] = (carom_argument)CAROM_BYTES(&numbers->number, sizeof numbers->number);
    return 1;
}

static void items_of_every_kind(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    enum { COUNT = 1000 };
    int64_t array[COUNT];
    carom_argument lists[COUNT][2];
    for (int i = 0; i < COUNT; i++) {
        array[i] = i + 100;
        lists[i][0] = (carom_argument)CAROM_INTEGER(i + 200);
        lists[i][1] = (carom_argument)CAROM_STRING("two", 3);
    }
    carom_iterator *iterator = NULL;
    carom_items items = {.size = sizeof items, .data = array, .item_size = 8, .count = COUNT};
    CHECK_OK(carom_pool_imap_unordered(pool, plus_one, &items, NULL, &iterator));
    memset(array, 0, sizeof array); /* copied */
    CHECK_EQ(take_all(iterator, 100, COUNT, CAROM_EEND), COUNT);
    carom_iterator_free(iterator);

    carom_items of_lists = {.size = sizeof items, .arguments = lists[0], .per_item = 2, .count = COUNT};
    CHECK_OK(carom_pool_imap_unordered(pool, plus_one, &of_lists, NULL, &iterator));
    memset(lists, 0, sizeof lists);
    CHECK_EQ(take_all(iterator, 200, COUNT, CAROM_EEND), COUNT);
    carom_iterator_free(iterator);

    struct numbers numbers = {.count = COUNT};
    carom_items of_source = {.size = sizeof items, .source = give_numbers, .ctx = &numbers};
    CHECK_OK(carom_pool_imap_unordered(pool, plus_one, &of_source, NULL, &iterator));
    CHECK(numbers.next < COUNT); /* as there is room for them */
    CHECK_EQ(take_all(iterator, 0, COUNT, CAROM_EEND), COUNT);
    carom_iterator_free(iterator);
    carom_iterator_free(iterator);

    /* Nothing at all. */
    carom_items none = {.size = sizeof items};
    CHECK_OK(carom_pool_imap_unordered(pool, plus_one, &none, NULL, &iterator));
    CHECK_EQ(take_all(iterator, 0, 0, CAROM_EEND), 0);
    carom_iterator_free(iterator);
    struct numbers no_numbers = {.count = 0};
    of_source.ctx = &no_numbers;
    CHECK_OK(carom_pool_imap_unordered(pool, plus_one, &of_source, NULL, &iterator));
    CHECK_EQ(take_all(iterator, 0, 0, CAROM_EEND), 0);
    carom_iterator_free(iterator);
    items.count = 0;
    CHECK_OK(carom_pool_imap_unordered(pool, plus_one, &items, NULL, &iterator));
    CHECK_EQ(take_all(iterator, 0, 0, CAROM_EEND), 0);
    carom_iterator_free(iterator);
    /* Two inputs. */
    carom_items both = {.size = sizeof both, .data = array, .item_size = 8, .count = 1, .source = give_numbers};
    CHECK_STATUS(carom_pool_imap_unordered(pool, plus_one, &both, NULL, &iterator), CAROM_EINVAL);
    finish(pool);
}

static void a_source_that_fails(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    for (int good = 0; good < 200; good += 33) {
        struct numbers numbers = {.count = good, .error = CAROM_ENOENT};
        carom_items items = {.size = sizeof items, .source = give_numbers, .ctx = &numbers};
        carom_iterator *iterator = NULL;
        CHECK_OK(carom_pool_imap_unordered(pool, plus_one, &items, NULL, &iterator));
        CHECK_EQ(take_all(iterator, 0, good, CAROM_ENOENT), good);
        carom_iterator_free(iterator);
    }
    /* A status of carom's own, and nonsense. */
    int errors[] = {CAROM_ETASKFAILED, 65, -4096, INT32_MIN};
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        struct numbers numbers = {.count = 3, .error = errors[i]};
        carom_items items = {.size = sizeof items, .source = give_numbers, .ctx = &numbers};
        carom_iterator *iterator = NULL;
        carom_status wanted = errors[i] == CAROM_ETASKFAILED ? errors[i] : CAROM_EINVAL;
        CHECK_OK(carom_pool_imap_unordered(pool, plus_one, &items, NULL, &iterator));
        CHECK_EQ(take_all(iterator, 0, 3, wanted), 3);
        carom_iterator_free(iterator);
    }
    finish(pool);
}

static void deaths_under_an_iterator(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    int64_t in[200];
    int lost = 0, failed = 0, good = 0;
    for (int i = 0; i < 200; i++) in[i] = i;
    carom_items items = {.size = sizeof items, .data = in, .item_size = 8, .count = 200};
    carom_iterator *iterator = NULL;
    carom_result *result = NULL;
    CHECK_OK(carom_pool_imap_unordered(pool, die_at_multiples, &items, NULL, &iterator));
    while (carom_iterator_next(iterator, &result, PATIENCE_MS) == CAROM_OK) {
        carom_verdict verdict = verdict_of(result);
        int64_t i = (int64_t)verdict.item;
        int dies = i % 10 == 3 || i % 50 == 11;
        CHECK_STATUS(verdict.status, dies ? CAROM_EWORKERLOST : i % 50 == 7 ? CAROM_ETASKFAILED : CAROM_OK);
        if (i % 50 == 11) CHECK_EQ(verdict.exitcode, 11);
        *(verdict.status == CAROM_OK ? &good : verdict.status == CAROM_ETASKFAILED ? &failed : &lost) += 1;
        carom_result_free(result);
    }
    CHECK_EQ(lost, 24);
    CHECK_EQ(failed, 4);
    CHECK_EQ(good, 172);
    carom_iterator_free(iterator);
    finish(pool);
}

static void iterators_freed_and_closed_early(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    struct numbers numbers = {.count = 1000000};
    carom_items items = {.size = sizeof items, .source = give_numbers, .ctx = &numbers};
    carom_iterator *iterator = NULL, *other = NULL;
    carom_result *result = NULL;
    CHECK_OK(carom_pool_imap_unordered(pool, plus_one, &items, NULL, &iterator));
    CHECK_OK(carom_iterator_next(iterator, &result, PATIENCE_MS));
    carom_result_free(result);
    carom_iterator_free(iterator);
    works(pool);
    /* Closed: the input ends; what is under way is still handed out. */
    numbers.next = 0;
    CHECK_OK(carom_pool_imap_unordered(pool, plus_one, &items, NULL, &iterator));
    int under_way = numbers.next, taken = 0;
    CHECK_OK(carom_pool_close(pool));
    carom_status status;
    while ((status = carom_iterator_next(iterator, &result, PATIENCE_MS)) == CAROM_OK) {
        carom_result_free(result);
        taken++;
    }
    CHECK(status == CAROM_EEND || status == CAROM_ECLOSED);
    CHECK_EQ(taken, under_way);
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_iterator_free(iterator);
    carom_pool_free(pool);
    /* Freed under the iterator. */
    pool = pool_of(1, 0, 0);
    numbers.next = 0;
    CHECK_OK(carom_pool_imap_unordered(pool, for_ever, &items, NULL, &iterator));
    under_way = numbers.next;
    CHECK_STATUS(carom_iterator_next(iterator, &result, 0), CAROM_ETIMEDOUT);
    CHECK_OK(carom_pool_imap_unordered(pool, for_ever, &items, NULL, &other));
    carom_pool_free(pool);
    for (taken = 0; (status = carom_iterator_next(iterator, &result, PATIENCE_MS)) == CAROM_OK; taken++) {
        CHECK_STATUS(verdict_of(result).status, CAROM_ECANCELED);
        carom_result_free(result);
    }
    CHECK(status == CAROM_EEND || status == CAROM_ECLOSED);
    CHECK_EQ(taken, under_way);
    carom_iterator_free(iterator);
    carom_iterator_free(other);
}

int main(int argc, char **argv) {
    CASE(sizes_and_chunks);
    CASE(nothing_in_and_nothing_out);
    CASE(wrong_replies);
    CASE(deaths_cost_exactly_their_item);
    CASE(a_map_out_of_time_touches_nothing_any_more);
    CASE(a_function_that_no_worker_finds);
    CASE(items_of_every_kind);
    CASE(a_source_that_fails);
    CASE(deaths_under_an_iterator);
    CASE(iterators_freed_and_closed_early);
    return 0;
}
