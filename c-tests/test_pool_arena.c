/* What does not fit into the arena, as an argument, as a reply and as the items of a map: a status with a message for that one, and
 * nothing else is lost. In an arena of 64 MiB, which is what a process gets that may write no larger files. */
#include "pool.h"

#define ARENA ((size_t)64 << 20)
#define TOO_LARGE (ARENA + ((size_t)16 << 20))
#define LARGE ((size_t)3 << 20)

static char *bytes;

static void small_arena(void) {
    struct rlimit limit = {ARENA, RLIM_INFINITY};
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    bytes = malloc(TOO_LARGE);
    CHECK(bytes != NULL);
    memset(bytes, 'x', TOO_LARGE);
}

/* The length of its argument, and whether all of it is there. */
static int32_t measures(carom_call *call) {
    carom_argument it;
    if (carom_call_argument(call, 0, &it) != CAROM_OK) return 2;
    for (size_t i = 0; i < it.len; i++)
        if (((const char *)it.data)[i] != 'x') return 3;
    return reply_number(call, (int64_t)it.len);
}

static carom_result *measured(carom_pool *pool, size_t len) {
    carom_argument argument = CAROM_BYTES(bytes, len);
    carom_result *result = NULL;
    CHECK_OK(carom_pool_apply_async(pool, measures, &argument, 1, NULL, &result));
    return result;
}

static void no_room(carom_result *result) {
    carom_verdict verdict = verdict_of(result);
    CHECK_STATUS(verdict.status, CAROM_ENOMEM);
    CHECK(strstr(verdict.message, "arena") != NULL);
    CHECK_EQ(verdict.pid, 0);
    carom_result_free(result);
}

static void as_argument(void) {
    small_arena();
    carom_pool *pool = pool_of(2, 0, 0);
    enum { AROUND = 40 };
    carom_result *before[AROUND], *after[AROUND];
    for (int round = 0; round < 2; round++) {
        /* Together more than the arena: those that have no room wait for it. */
        for (int i = 0; i < AROUND; i++) before[i] = measured(pool, LARGE + i);
        carom_result *large = measured(pool, TOO_LARGE);
        for (int i = 0; i < AROUND; i++) after[i] = measured(pool, LARGE - i);
        for (int i = 0; i < AROUND; i++) {
            CHECK_EQ(number_of(before[i]), LARGE + i);
            CHECK_EQ(number_of(after[i]), LARGE - i);
            carom_result_free(before[i]);
            carom_result_free(after[i]);
        }
        no_room(large);
    }
    no_room(measured(pool, TOO_LARGE)); /* alone */
    carom_argument argument = CAROM_BYTES(bytes, TOO_LARGE);
    int64_t reply = -7;
    CHECK_STATUS(carom_pool_apply(pool, measures, &argument, 1, NULL, &reply, 8, NULL, PATIENCE_MS), CAROM_ENOMEM);
    CHECK_EQ(reply, -7);
    CHECK(strstr(carom_error_message(), "arena") != NULL);
    works(pool);
    finish(pool);
}

static int32_t too_much(carom_call *call) {
    int64_t first = argument_of(call);
    void *place = NULL;
    char part[300];
    memset(part, 'p', sizeof part);
    if (first && carom_call_reply(call, part, first) != CAROM_OK) return 2;
    if (carom_call_reply(call, bytes, TOO_LARGE) != CAROM_ENOMEM) return 3;
    if (carom_call_reserve(call, TOO_LARGE, &place) != CAROM_ENOMEM || place) return 4;
    return carom_call_fail(call, 9, carom_error_message());
}
/* What it replied before is not the last one. */
static int32_t then_little(carom_call *call) {
    if (too_much(call) != 9) return 2;
    return carom_call_reply(call, "short", 5);
}
static int32_t then_nothing(carom_call *call) { return too_much(call) != 9; }

static void as_reply(void) {
    small_arena();
    carom_pool *pool = pool_of(2, 0, 0);
    char reply[400];
    size_t len = 0;
    for (int64_t first = 0; first <= 300; first += 100) {
        carom_result *result = submit(pool, too_much, first);
        carom_verdict verdict = verdict_of(result);
        CHECK_STATUS(verdict.status, CAROM_ETASKFAILED);
        CHECK_EQ(verdict.code, 9);
        CHECK(strstr(verdict.message, "arena") != NULL);
        carom_result_free(result);
        result = submit(pool, then_little, first);
        CHECK_OK(carom_result_get(result, reply, sizeof reply, &len, PATIENCE_MS));
        CHECK_EQ(len, 5);
        CHECK(memcmp(reply, "short", 5) == 0);
        carom_result_free(result);
        result = submit(pool, then_nothing, first);
        CHECK_OK(carom_result_get(result, reply, sizeof reply, &len, PATIENCE_MS));
        CHECK_EQ(len, 0);
        carom_result_free(result);
    }
    works(pool);
    finish(pool);
}

static void as_items(void) {
    small_arena();
    carom_pool *pool = pool_of(2, 0, 0);
    enum { ITEMS = 80 };
    int64_t out[ITEMS];
    carom_status statuses[ITEMS];
    carom_task_options options = {.size = sizeof options, .statuses = statuses};
    memset(out, 7, sizeof out), memset(statuses, 7, sizeof statuses);
    size_t each = TOO_LARGE / ITEMS;
    /* One memory for all items: refused as a whole, and nothing is touched. */
    CHECK_STATUS(carom_pool_map(pool, measures, bytes, each, ITEMS, &options, out, 8, PATIENCE_MS), CAROM_ENOMEM);
    for (int i = 0; i < ITEMS; i++) CHECK(out[i] == 0x0707070707070707 && statuses[i] == 0x07070707);
    CHECK_STATUS(carom_pool_map(pool, measures, bytes, 1, 1000, NULL, bytes, ARENA / 500, PATIENCE_MS), CAROM_ENOMEM);
    CHECK_EQ(bytes[0], 'x');
    /* A task for each item: they go in turn. */
    carom_result *whole = NULL, *item = NULL;
    CHECK_OK(carom_pool_map_async(pool, measures, bytes, each, ITEMS, NULL, &whole));
    CHECK_OK(carom_result_get(whole, out, sizeof out, NULL, PATIENCE_MS));
    for (int i = 0; i < ITEMS; i++) CHECK_EQ(out[i], each);
    carom_result_free(whole);
    /* And one that is too large for itself. */
    CHECK_OK(carom_pool_map_async(pool, measures, bytes, TOO_LARGE, 1, NULL, &whole));
    no_room(whole);
    carom_argument arguments[3] = {CAROM_BYTES(bytes, 5), CAROM_BYTES(bytes, TOO_LARGE), CAROM_BYTES(bytes, 6)};
    CHECK_OK(carom_pool_starmap_async(pool, measures, arguments, 1, 3, NULL, &whole));
    CHECK_OK(carom_result_wait(whole, PATIENCE_MS));
    for (int i = 0; i < 3; i++) {
        CHECK_OK(carom_result_item(whole, i, &item));
        if (i == 1) {
            no_room(item);
            continue;
        }
        CHECK_EQ(number_of(item), i == 0 ? 5 : 6);
        carom_result_free(item);
    }
    carom_result_free(whole);
    carom_items items = {.size = sizeof items, .data = bytes, .item_size = TOO_LARGE, .count = 1};
    carom_iterator *iterator = NULL;
    CHECK_OK(carom_pool_imap(pool, measures, &items, NULL, &iterator));
    CHECK_OK(carom_iterator_next(iterator, &item, PATIENCE_MS));
    no_room(item);
    carom_iterator_free(iterator);
    works(pool);
    finish(pool);
}

static int32_t replies_much(carom_call *call) {
    void *place = NULL;
    int64_t number = argument_of(call);
    if (carom_call_reserve(call, LARGE, &place) != CAROM_OK) return 2;
    memset(place, (int)number, LARGE);
    return carom_call_commit(call, LARGE) == CAROM_OK ? 0 : 3;
}

static uint64_t blocks_in_use(void) {
    carom_arena_info info = {.size = sizeof info};
    CHECK_OK(carom_arena_check(&info));
    return info.blocks;
}

/* Replies that nobody has read yet: some lie where their workers wrote them, but they do not fill the arena, and all outlive the pool. */
static void unread_replies(void) {
    small_arena();
    enum { REPLIES = 40 };
    carom_result *results[REPLIES];
    carom_pool *pool = pool_of(2, 0, 0);
    works(pool);
    uint64_t idle = blocks_in_use();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < REPLIES; i++) {
            results[i] = submit(pool, replies_much, i + 1);
            CHECK_OK(carom_result_wait(results[i], PATIENCE_MS));
        }
        if (round == 1) finish(pool);
        uint64_t before = blocks_in_use();
        for (int i = 0; i < REPLIES; i++) {
            size_t len = 0;
            CHECK_STATUS(carom_result_get(results[i], bytes, LARGE - 1, &len, 0), CAROM_EMSGSIZE);
            CHECK_EQ(len, LARGE);
            for (int again = 0; again < 2; again++) {
                CHECK_OK(carom_result_get(results[i], bytes, LARGE, &len, 0));
                CHECK(len == LARGE && bytes[0] == i + 1 && bytes[LARGE - 1] == i + 1);
                bytes[0] = bytes[LARGE - 1] = 0;
            }
            carom_result_free(results[i]);
        }
        /* At least one was not copied, and every one is given back. */
        uint64_t after = blocks_in_use();
        CHECK(after < before);
        if (round == 0) CHECK_EQ(after, idle);
    }
}

static carom_result *inherited;
static int32_t reads_inherited(carom_call *call) {
    size_t len = 0;
    (void)call;
    char *place = malloc(LARGE);
    carom_status status = carom_result_get(inherited, place, LARGE, &len, 0);
    free(place);
    return status == CAROM_EPERM ? 0 : 1;
}

/* Its parent may free it, and the block is another's then: so nothing is read, and that is said. */
static void in_a_child(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    inherited = submit(pool, replies_much, 1);
    CHECK_OK(carom_result_wait(inherited, PATIENCE_MS));
    carom_process *child = NULL;
    int32_t code = -1;
    CHECK_OK(carom_process_start(reads_inherited, NULL, 0, NULL, &child));
    CHECK_OK(carom_process_join(child, PATIENCE_MS));
    CHECK_OK(carom_process_exitcode(child, &code));
    CHECK_EQ(code, 0);
    carom_process_free(child);
    carom_result_free(inherited);
    finish(pool);
}

int main(int argc, char **argv) {
    CASE(in_a_child);
    CASE(unread_replies);
    CASE(as_argument);
    CASE(as_reply);
    CASE(as_items);
    check_no_leaks(0);
    return 0;
}
