/* Every way to submit many tasks: with one result, over lists of arguments, over ranges, and results in order. */
#include "pool_limit.h"

static int32_t add_up(carom_call *call) {
    int64_t a = 0, b = 0;
    if (carom_call_read(call, 0, &a, 8) || carom_call_read(call, 1, &b, 8)) return 2;
    if (a + b == 13) return carom_call_fail(call, 13, "thirteen");
    return reply_number(call, a + b);
}
/* A reply as long as the number says. */
static int32_t repeats(carom_call *call) {
    int64_t n = argument_of(call);
    char text[256];
    if (n == 99) return carom_call_fail(call, 7, "ninety-nine");
    memset(text, 'a' + (int)(n % 26), (size_t)n);
    return carom_call_reply(call, text, (size_t)n) ? 1 : 0;
}

static void map_async(void) {
    enum { N = 200 };
    carom_pool *pool = pool_of(2, 0, 0);
    int64_t in[N];
    carom_result *result = NULL, *item = NULL;
    size_t len = 0, total = 0;
    for (int i = 0; i < N; i++) in[i] = i % 50, total += (size_t)(i % 50);
    CHECK_OK(carom_pool_map_async(pool, repeats, in, 8, N, NULL, &result));
    CHECK_EQ(carom_result_count(result), N);
    CHECK_OK(carom_result_wait(result, PATIENCE_MS));
    CHECK_EQ(carom_result_successful(result), 1);
    char *all = malloc(total);
    CHECK_STATUS(carom_result_get(result, all, total - 1, &len, 0), CAROM_EMSGSIZE);
    CHECK_EQ(len, total);
    CHECK_OK(carom_result_get(result, all, total, &len, 0));
    size_t at = 0;
    for (int i = 0; i < N; i++)
        for (int64_t j = 0; j < in[i]; j++) CHECK_EQ(all[at++], 'a' + in[i] % 26);
    free(all);
    CHECK_OK(carom_result_item(result, 7, &item));
    carom_verdict verdict = verdict_of(item);
    CHECK_EQ(verdict.item, 7);
    CHECK(verdict.job.low != verdict_of(result).job.low);
    carom_result_free(item);
    CHECK_STATUS(carom_result_item(result, N, &item), CAROM_ENOENT);
    carom_result_free(result);
    /* Some fail: the first of them is the verdict, the others have what they have. */
    in[60] = in[110] = 99;
    CHECK_OK(carom_pool_map_async(pool, repeats, in, 8, N, NULL, &result));
    verdict = verdict_of(result);
    CHECK_EQ(verdict.status, CAROM_ETASKFAILED);
    CHECK_EQ(verdict.item, 60);
    CHECK_STR_EQ(verdict.message, "ninety-nine");
    CHECK_STATUS(carom_result_get(result, NULL, 0, NULL, 0), CAROM_ETASKFAILED);
    for (size_t i = 0; i < N; i++) {
        CHECK_OK(carom_result_item(result, i, &item));
        CHECK_EQ(verdict_of(item).status, in[i] == 99 ? CAROM_ETASKFAILED : CAROM_OK);
        carom_result_free(item);
    }
    carom_result_free(result);
    CHECK_OK(carom_pool_map_async(pool, repeats, NULL, 8, 0, NULL, &result)); /* none is none */
    CHECK_EQ(carom_result_ready(result), 1);
    CHECK_EQ(carom_result_count(result), 0);
    CHECK_OK(carom_result_get(result, NULL, 0, &len, 0));
    CHECK_EQ(len, 0);
    carom_result_free(result);
    finish(pool);
}

static int32_t dies_at_three(carom_call *call) {
    int64_t n = argument_of(call);
    if (n == 3) raise(SIGKILL);
    return n == 4 ? for_ever(call) : reply_number(call, n);
}
static void fail_fast(void) {
    enum { N = 500 };
    carom_pool *pool = pool_of(2, 0, 0);
    int64_t in[N];
    for (int i = 0; i < N; i++) in[i] = i;
    carom_task_options options = {.size = sizeof options, .fail_fast = 1};
    carom_result *result = NULL, *item = NULL;
    CHECK_OK(carom_pool_map_async(pool, dies_at_three, in, 8, N, &options, &result));
    carom_verdict verdict = verdict_of(result); /* though the next one never ends */
    CHECK_EQ(verdict.status, CAROM_EWORKERLOST);
    CHECK_EQ(verdict.item, 3);
    int cancelled = 0;
    for (size_t i = 0; i < N; i++) {
        CHECK_OK(carom_result_item(result, i, &item));
        if (i != 4) cancelled += verdict_of(item).status == CAROM_ECANCELED;
        else if (carom_result_ready(item) == 0) CHECK_OK(carom_result_cancel(item, 0));
        carom_result_free(item);
    }
    CHECK(cancelled > 0);
    carom_result_free(result);
    works(pool);
    /* Cancelled as a whole. */
    CHECK_OK(carom_pool_map_async(pool, for_ever, in, 8, N, NULL, &result));
    CHECK_OK(carom_result_cancel(result, 0));
    CHECK_EQ(verdict_of(result).status, CAROM_ECANCELED);
    carom_result_free(result);
    works(pool);
    /* Forgotten. */
    CHECK_OK(carom_pool_map_async(pool, plus_one, in, 8, N, NULL, &result));
    carom_result_free(result);
    finish(pool);
}

static void starmap(void) {
    enum { N = 30 };
    carom_pool *pool = pool_of(2, 0, 0);
    carom_argument lists[2 * N];
    int64_t out[N];
    carom_status statuses[N];
    carom_verdict verdict = {.size = sizeof verdict};
    carom_result *result = NULL;
    for (int i = 0; i < N; i++) {
        lists[2 * i] = (carom_argument)CAROM_INTEGER(i);
        lists[2 * i + 1] = (carom_argument)CAROM_INTEGER(100);
    }
    CHECK_OK(carom_pool_starmap(pool, add_up, lists, 2, N, NULL, out, 8, PATIENCE_MS));
    for (int i = 0; i < N; i++) CHECK_EQ(out[i], 100 + i), out[i] = -1;
    lists[2 * 3 + 1] = (carom_argument)CAROM_INTEGER(10);
    lists[2 * 5] = (carom_argument)CAROM_STRING("no number", 9);
    carom_task_options options = {.size = sizeof options, .statuses = statuses, .verdict = &verdict};
    CHECK_STATUS(carom_pool_starmap(pool, add_up, lists, 2, N, &options, out, 8, PATIENCE_MS), CAROM_ETASKFAILED);
    CHECK_EQ(verdict.item, 3);
    CHECK_STR_EQ(verdict.message, "thirteen");
    for (int i = 0; i < N; i++) {
        CHECK_EQ(statuses[i], i == 3 || i == 5 ? CAROM_ETASKFAILED : CAROM_OK);
        CHECK_EQ(out[i], i == 3 || i == 5 ? -1 : 100 + i);
    }
    CHECK_STATUS(carom_pool_starmap(pool, add_up, lists, 2, 2, &options, out, 7, PATIENCE_MS), CAROM_EMSGSIZE);
    CHECK_OK(carom_pool_starmap_async(pool, add_up, lists, 2, 3, NULL, &result));
    size_t len = 0;
    CHECK_OK(carom_result_get(result, out, sizeof out, &len, PATIENCE_MS));
    CHECK_EQ(len, 24);
    CHECK_EQ(out[2], 102);
    carom_result_free(result);
    /* Not in time: what was not begun never is. */
    lists[0] = (carom_argument)CAROM_INTEGER(-1);
    out[0] = 4711;
    CHECK_STATUS(carom_pool_starmap(pool, run_for, lists, 1, 4, NULL, out, 8, 50), CAROM_ETIMEDOUT);
    CHECK_EQ(out[0], 4711);
    carom_pool_free(pool);
}

static int32_t squares(carom_call *call) {
    int64_t from = 0, to = 0;
    carom_array *array = NULL;
    if (carom_call_read(call, 0, &from, 8) || carom_call_read(call, 1, &to, 8) || carom_call_array(call, 2, &array)) return 2;
    int64_t *numbers = carom_array_data(array);
    for (int64_t i = from; i < to; i++) numbers[i] *= numbers[i];
    return to == 1000 ? carom_call_fail(call, 3, "the last one") : 0;
}
static void ranges(void) {
    enum { N = 1000 };
    carom_pool *pool = pool_of(3, 0, 0);
    carom_array *array = NULL;
    CHECK_OK(carom_array_new(CAROM_I64, 8, N, NULL, NULL, &array));
    int64_t *numbers = carom_array_data(array);
    for (uint64_t chunk = 0; chunk < 1500; chunk = 3 * chunk + 1) {
        for (int i = 0; i < N; i++) numbers[i] = i;
        carom_argument rest[] = {CAROM_HANDLE(array)};
        carom_verdict verdict = {.size = sizeof verdict};
        carom_task_options options = {.size = sizeof options, .chunk_size = chunk, .verdict = &verdict};
        CHECK_OK(carom_pool_map_range(pool, squares, 0, N - 1, rest, 1, &options, PATIENCE_MS));
        for (int i = 0; i < N - 1; i++) CHECK_EQ(numbers[i], (int64_t)i * i);
        CHECK_EQ(numbers[N - 1], N - 1);
        CHECK_STATUS(carom_pool_map_range(pool, squares, N - 1, N, rest, 1, &options, PATIENCE_MS), CAROM_ETASKFAILED);
        CHECK_EQ(verdict.item, N - 1);
    }
    CHECK_OK(carom_pool_map_range(pool, squares, 5, 5, NULL, 0, NULL, PATIENCE_MS));
    CHECK_STATUS(carom_pool_map_range(pool, squares, 5, 4, NULL, 0, NULL, PATIENCE_MS), CAROM_EINVAL);
    CHECK_STATUS(carom_pool_map_range(pool, squares, INT64_MIN, INT64_MAX, NULL, 0, NULL, PATIENCE_MS), CAROM_EINVAL);
    carom_array_free(array);
    finish(pool);
}

/* In order, though the first ones take longest, one dies, and no more than a window is taken from the source at once. */
static int64_t given, taken;
static int64_t gives(void *ctx, carom_argument *arguments, size_t max) {
    (void)max;
    if (given == *(int64_t *)ctx) return 0;
    CHECK(given - taken < 64);
    arguments[0] = (carom_argument)CAROM_INTEGER(given);
    given++;
    return 1;
}
static int32_t slow_first(carom_call *call) {
    int64_t n = argument_of(call);
    if (n == 11) raise(SIGKILL);
    usleep(n % 8 == 0 ? 5000 : 10);
    return reply_number(call, 2 * n);
}
static void in_order(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    int64_t count = 200;
    carom_items items = {.size = sizeof items, .source = gives, .ctx = &count};
    carom_iterator *iterator = NULL;
    carom_result *result = NULL;
    CHECK_OK(carom_pool_imap(pool, slow_first, &items, NULL, &iterator));
    for (int64_t i = 0; i < count; i++) {
        CHECK_OK(carom_iterator_next(iterator, &result, PATIENCE_MS));
        taken++;
        carom_verdict verdict = verdict_of(result);
        CHECK_EQ(verdict.item, i);
        CHECK_EQ(verdict.status, i == 11 ? CAROM_EWORKERLOST : CAROM_OK);
        if (i != 11) CHECK_EQ(number_of(result), 2 * i);
        carom_result_free(result);
    }
    CHECK_STATUS(carom_iterator_next(iterator, &result, 0), CAROM_EEND);
    carom_iterator_free(iterator);
    int64_t one = 0;
    carom_items single = {.size = sizeof single, .data = &one, .item_size = 8, .count = 1};
    CHECK_OK(carom_pool_imap(pool, slow_first, &single, NULL, &iterator));
    CHECK_OK(carom_iterator_next(iterator, &result, PATIENCE_MS));
    CHECK_EQ(number_of(result), 0);
    carom_result_free(result);
    carom_iterator_free(iterator);
    finish(pool);
}

int main(int argc, char **argv) {
    CASE(map_async);
    CASE(fail_fast);
    CASE(starmap);
    CASE(ranges);
    CASE(in_order);
    check_no_leaks(0);
    return 0;
}
