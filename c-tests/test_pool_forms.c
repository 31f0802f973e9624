/* Every way to submit a task, and everything that a result says. */
#include "pool.h"

static int32_t echo(carom_call *call) {
    carom_argument argument;
    if (carom_call_argument(call, 0, &argument) != CAROM_OK) return 1;
    if ((uintptr_t)argument.data % 16 != 0) return 3;
    return carom_call_reply(call, argument.data, (size_t)argument.len) == CAROM_OK ? 0 : 2;
}

static int32_t in_place(carom_call *call) {
    carom_argument argument;
    void *room = NULL;
    if (carom_call_argument(call, 0, &argument) != CAROM_OK) return 1;
    if (carom_call_reserve(call, (size_t)argument.len + 100, &room) != CAROM_OK || !room) return 2;
    if ((uintptr_t)room % 16 != 0) return 3;
    memcpy(room, argument.data, (size_t)argument.len);
    if (carom_call_commit(call, (size_t)argument.len + 101) != CAROM_EMSGSIZE) return 4;
    return carom_call_commit(call, (size_t)argument.len) == CAROM_OK ? 0 : 5;
}

static int32_t commit_nothing(carom_call *call) { return carom_call_commit(call, 0) == CAROM_EPERM ? 0 : 1; }
static int32_t last_reply_counts(carom_call *call) {
    char big[1000] = {1};
    carom_call_reply(call, big, sizeof big);
    carom_call_reply(call, "ab", 2);
    return 0;
}
static int32_t no_reply(carom_call *call) { return carom_call_count(call) == 0 ? 0 : 1; }
static int32_t count_arguments(carom_call *call) { return reply_number(call, carom_call_count(call)); }
static int32_t return_it(carom_call *call) { return (int32_t)argument_of(call); }
static int32_t reply_and_fail(carom_call *call) {
    carom_call_reply(call, "never seen", 10);
    return 7;
}
static int32_t fail_with(carom_call *call) {
    carom_argument argument;
    char text[1000] = "";
    if (carom_call_argument(call, 0, &argument) != CAROM_OK) return 1;
    memcpy(text, argument.data, (size_t)argument.len);
    return carom_call_fail(call, (int32_t)argument.len, text);
}
static int32_t fail_null(carom_call *call) { return carom_call_fail(call, 0, NULL); }
static int32_t wait_for_go(carom_call *call) {
    carom_value *value = NULL;
    if (carom_call_value(call, 0, &value) != CAROM_OK) return 1;
    while (!load((long *)carom_value_data(value))) usleep(100);
    return 0;
}

static void arguments_and_replies_of_any_size(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    size_t sizes[] = {0, 1, 15, 16, 17, 79, 80, 81, 127, 128, 129, 4096, 100000, 1 << 20, (1 << 24) + 1, 64 << 20};
    carom_function functions[] = {echo, in_place};
    unsigned char *sent = malloc(64 << 20), *got = malloc(64 << 20);
    CHECK(sent && got);
    for (size_t i = 0; i < 64 << 20; i++) sent[i] = (unsigned char)(i * 31 + (i >> 12));
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        for (size_t f = 0; f < 2; f++) {
            carom_argument argument = CAROM_BYTES(sent, sizes[i]);
            size_t len = 1;
            memset(got, 0xee, sizes[i]);
            CHECK_OK(carom_pool_apply(pool, functions[f], &argument, 1, NULL, got, sizes[i], &len, PATIENCE_MS));
            CHECK_EQ(len, sizes[i]);
            CHECK(memcmp(sent, got, len) == 0);
        }
    }
    free(sent);
    free(got);
    finish(pool);
}

static void replies(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    char text[8] = "-------";
    size_t len = 99;
    CHECK_OK(carom_pool_apply(pool, no_reply, NULL, 0, NULL, NULL, 0, &len, PATIENCE_MS));
    CHECK_EQ(len, 0);
    CHECK_OK(carom_pool_apply(pool, no_reply, NULL, 0, NULL, NULL, 0, NULL, PATIENCE_MS));
    CHECK_OK(carom_pool_apply(pool, commit_nothing, NULL, 0, NULL, NULL, 0, NULL, PATIENCE_MS));
    CHECK_OK(carom_pool_apply(pool, last_reply_counts, NULL, 0, NULL, text, sizeof text, &len, PATIENCE_MS));
    CHECK_EQ(len, 2);
    CHECK(memcmp(text, "ab-", 3) == 0);
    /* A small buffer of a synchronous call. */
    text[0] = '-';
    CHECK_STATUS(carom_pool_apply(pool, last_reply_counts, NULL, 0, NULL, text, 1, &len, PATIENCE_MS), CAROM_EMSGSIZE);
    CHECK_EQ(len, 2);
    CHECK_EQ(text[0], '-');
    /* A small buffer keeps the reply of a result. */
    carom_result *result = NULL;
    CHECK_OK(carom_pool_apply_async(pool, last_reply_counts, NULL, 0, NULL, &result));
    CHECK_STATUS(carom_result_get(result, text, 1, &len, PATIENCE_MS), CAROM_EMSGSIZE);
    CHECK_EQ(len, 2);
    CHECK_EQ(text[0], '-');
    CHECK_STATUS(carom_result_get(result, NULL, 0, NULL, 0), CAROM_EMSGSIZE);
    CHECK_OK(carom_result_get(result, text, 2, NULL, 0));
    CHECK(memcmp(text, "ab-", 3) == 0);
    CHECK_OK(carom_result_get(result, text, sizeof text, &len, 0));
    CHECK_EQ(carom_result_ready(result), 1);
    CHECK_EQ(carom_result_successful(result), 1);
    carom_result_free(result);
    CHECK_STATUS(carom_result_wait(result, 0), CAROM_EBADHANDLE);
    finish(pool);
}

static void many_arguments(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    carom_argument arguments[500];
    int64_t count = 0;
    for (int i = 0; i < 500; i++) arguments[i] = (carom_argument)CAROM_INTEGER(i);
    CHECK_OK(carom_pool_apply(pool, count_arguments, arguments, 500, NULL, &count, sizeof count, NULL, PATIENCE_MS));
    CHECK_EQ(count, 500);
    CHECK_OK(carom_pool_apply(pool, count_arguments, NULL, 0, NULL, &count, sizeof count, NULL, PATIENCE_MS));
    CHECK_EQ(count, 0);
    finish(pool);
}

static void codes(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    int64_t codes[] = {1, 255, 256, 100000, INT32_MAX, -1, -300, INT32_MIN + 1, INT32_MIN};
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        carom_result *result = submit(pool, return_it, codes[i]);
        carom_verdict verdict = verdict_of(result);
        CHECK_STATUS(verdict.status, CAROM_ETASKFAILED);
        CHECK_EQ(verdict.code, codes[i]);
        CHECK(verdict.pid > 0 && verdict.pid != getpid());
        CHECK_EQ(verdict.signal, 0);
        CHECK_EQ(verdict.exitcode, 0);
        CHECK_EQ(verdict.attempt, 1);
        CHECK(verdict.message && verdict.backtrace && verdict.stderr_tail);
        CHECK_STATUS(carom_result_get(result, NULL, 0, NULL, 0), CAROM_ETASKFAILED);
        CHECK_EQ(carom_result_successful(result), 0);
        carom_result_free(result);
    }
    /* A reply of a task that fails is discarded. */
    carom_result *result = NULL;
    CHECK_OK(carom_pool_apply_async(pool, reply_and_fail, NULL, 0, NULL, &result));
    carom_verdict verdict = verdict_of(result);
    CHECK_EQ(verdict.code, 7);
    CHECK(strstr(verdict.message, "never") == NULL);
    carom_result_free(result);
    /* The same from a synchronous call. */
    carom_verdict shown = {.size = sizeof shown};
    carom_task_options options = {.size = sizeof options, .verdict = &shown};
    CHECK_STATUS(carom_pool_apply(pool, reply_and_fail, NULL, 0, &options, NULL, 0, NULL, PATIENCE_MS),
                 CAROM_ETASKFAILED);
    CHECK_STATUS(shown.status, CAROM_ETASKFAILED);
    CHECK_EQ(shown.code, 7);
    CHECK_OK(carom_pool_apply(pool, no_reply, NULL, 0, &options, NULL, 0, NULL, PATIENCE_MS));
    CHECK_OK(shown.status);
    CHECK_EQ(shown.code, 0);
    CHECK_STR_EQ(shown.message, "");
    CHECK(shown.elapsed_ns >= 0 && shown.queued_ns >= 0);
    finish(pool);
}

static void messages_of_failures(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    char text[400];
    memset(text, 'x', sizeof text);
    size_t sizes[] = {1, 100, 127, 128, 129, 160, 161, 400};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        carom_argument argument = CAROM_BYTES(text, sizes[i]);
        carom_result *result = NULL;
        CHECK_OK(carom_pool_apply_async(pool, fail_with, &argument, 1, NULL, &result));
        carom_verdict verdict = verdict_of(result);
        CHECK_STATUS(verdict.status, CAROM_ETASKFAILED);
        CHECK_EQ(verdict.code, sizes[i]);
        CHECK_EQ(strlen(verdict.message), sizes[i] < 160 ? sizes[i] : 160);
        CHECK(strspn(verdict.message, "x") == strlen(verdict.message));
        carom_result_free(result);
    }
    /* UTF-8, cut in the middle of a character at 160 bytes; bytes that are none. */
    const char *words[] = {"žluťoučký kůň 💥", "\xff\xfe not utf-8"};
    for (size_t i = 0; i < 2; i++) {
        carom_argument argument = CAROM_BYTES(words[i], strlen(words[i]));
        carom_result *result = NULL;
        CHECK_OK(carom_pool_apply_async(pool, fail_with, &argument, 1, NULL, &result));
        carom_verdict verdict = verdict_of(result);
        if (i == 0) CHECK_STR_EQ(verdict.message, words[0]);
        CHECK(strstr(verdict.message, i ? "not utf-8" : "💥") != NULL);
        carom_result_free(result);
    }
    for (int i = 0; i < 200; i++) memcpy(text + 2 * i, "é", 2);
    carom_argument argument = CAROM_BYTES(text + 1, 300); /* a broken character at both ends */
    carom_result *result = NULL;
    CHECK_OK(carom_pool_apply_async(pool, fail_with, &argument, 1, NULL, &result));
    carom_verdict verdict = verdict_of(result);
    CHECK(strstr(verdict.message, "éééé") != NULL);
    carom_result_free(result);
    CHECK_OK(carom_pool_apply_async(pool, fail_null, NULL, 0, NULL, &result));
    verdict = verdict_of(result);
    CHECK_EQ(verdict.code, 1);
    CHECK(verdict.message != NULL);
    carom_result_free(result);
    finish(pool);
}

static int32_t add_under_lock(carom_call *call) {
    carom_value *value = NULL;
    carom_lock *lock = NULL;
    if (carom_call_value(call, 0, &value) != CAROM_OK || carom_call_lock(call, 1, &lock) != CAROM_OK) return 1;
    for (int i = 0; i < 100; i++) {
        if (carom_lock_acquire(lock, PATIENCE_MS) != CAROM_OK) return 2;
        long *number = (long *)carom_value_data(value);
        *number += 1;
        if (carom_lock_release(lock) != CAROM_OK) return 3;
    }
    return 0;
}

static void handles_as_arguments(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    carom_value *value = NULL;
    carom_lock *lock = NULL;
    long zero = 0;
    carom_result *results[20];
    /* Both are made after the workers. */
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_OK(carom_value_new(CAROM_I64, &zero, sizeof zero, NULL, &value));
    carom_argument arguments[] = {CAROM_HANDLE(value), CAROM_HANDLE(lock)};
    for (int i = 0; i < 20; i++)
        CHECK_OK(carom_pool_apply_async(pool, add_under_lock, arguments, 2, NULL, &results[i]));
    for (int i = 0; i < 20; i++) {
        CHECK_OK(carom_result_get(results[i], NULL, 0, NULL, PATIENCE_MS));
        carom_result_free(results[i]);
    }
    CHECK_EQ(*(long *)carom_value_data(value), 2000);
    /* A task that died with the lock. */
    carom_value_free(value);
    carom_lock_free(lock);
    finish(pool);
}

static void results_outlive_their_pool(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    carom_result *done = submit(pool, plus_one, 1), *failed = submit(pool, return_it, 9);
    CHECK_OK(carom_result_wait(done, PATIENCE_MS));
    CHECK_OK(carom_result_wait(failed, PATIENCE_MS));
    carom_result *running = submit(pool, for_ever, 0);
    CHECK_EQ(carom_result_ready(running), 0);
    CHECK_STATUS(carom_result_successful(running), CAROM_EAGAIN);
    carom_verdict verdict = {.size = sizeof verdict};
    CHECK_STATUS(carom_result_verdict(running, &verdict), CAROM_EAGAIN);
    CHECK_STATUS(carom_result_wait(running, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_result_get(running, NULL, 0, NULL, 1), CAROM_ETIMEDOUT);
    carom_pool_free(pool);
    CHECK_STATUS(carom_pool_close(pool), CAROM_EBADHANDLE);
    CHECK_EQ(number_of(done), 2);
    CHECK_EQ(verdict_of(failed).code, 9);
    CHECK_STATUS(verdict_of(running).status, CAROM_ECANCELED);
    CHECK_EQ(carom_result_ready(running), 1);
    CHECK_STATUS(carom_result_get(running, NULL, 0, NULL, 0), CAROM_ECANCELED);
    check_no_leaks(OWN_FDS); /* results hold no descriptor of a pool that is gone */
    carom_result_free(done);
    carom_result_free(failed);
    carom_result_free(running);
}

static void results_freed_before_they_are_ready(void) {
    carom_pool *pool = pool_of(2, 0, 0);
    carom_value *go = NULL;
    CHECK_OK(carom_value_new(CAROM_I64, NULL, 0, NULL, &go));
    carom_argument argument = CAROM_HANDLE(go);
    for (int i = 0; i < 300; i++) {
        carom_result *result = NULL;
        CHECK_OK(carom_pool_apply_async(pool, wait_for_go, &argument, 1, NULL, &result));
        carom_result_free(result);
        CHECK_OK(carom_pool_apply_async(pool, wait_for_go, &argument, 1, NULL, NULL));
    }
    store((long *)carom_value_data(go), 1);
    works(pool);
    finish(pool);
    carom_value_free(go);
}

static void a_synchronous_call_out_of_time(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    long *begun = share(sizeof *begun);
    (void)begun;
    carom_value *go = NULL;
    CHECK_OK(carom_value_new(CAROM_I64, NULL, 0, NULL, &go));
    carom_argument argument = CAROM_HANDLE(go), number = CAROM_INTEGER(1);
    int64_t reply = 77;
    CHECK_STATUS(carom_pool_apply(pool, wait_for_go, &argument, 1, NULL, NULL, 0, NULL, 20), CAROM_ETIMEDOUT);
    /* Not begun, since the first one still runs: it never is. */
    CHECK_STATUS(carom_pool_apply(pool, plus_one, &number, 1, NULL, &reply, sizeof reply, NULL, 0), CAROM_ETIMEDOUT);
    CHECK_EQ(reply, 77);
    store((long *)carom_value_data(go), 1);
    works(pool);
    finish(pool);
    carom_value_free(go);
}

static void functions_and_misuse(void) {
    carom_pool *pool = pool_of(1, 0, 0);
    carom_result *result = (carom_result *)&result;
    CHECK_STATUS(carom_pool_apply_async(pool, NULL, NULL, 0, NULL, &result), CAROM_EFUNCTION);
    CHECK(result == NULL);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    carom_function closure;
    memcpy(&closure, &page, sizeof closure);
    CHECK_STATUS(carom_pool_apply_async(pool, closure, NULL, 0, NULL, &result), CAROM_EFUNCTION);
    CHECK_STATUS(carom_pool_map(pool, closure, "a", 1, 1, NULL, NULL, 0, 0), CAROM_EFUNCTION);
    CHECK_STATUS(carom_pool_join(pool, 0), CAROM_EPERM);
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_close(pool));
    CHECK_STATUS(carom_pool_apply_async(pool, no_reply, NULL, 0, NULL, &result), CAROM_ECLOSED);
    CHECK_STATUS(carom_pool_apply(pool, no_reply, NULL, 0, NULL, NULL, 0, NULL, 0), CAROM_ECLOSED);
    CHECK_STATUS(carom_pool_map(pool, no_reply, "a", 1, 1, NULL, NULL, 0, 0), CAROM_ECLOSED);
    carom_items items = {.size = sizeof items, .data = "a", .item_size = 1, .count = 1};
    carom_iterator *iterator = NULL;
    CHECK_STATUS(carom_pool_imap_unordered(pool, no_reply, &items, NULL, &iterator), CAROM_ECLOSED);
    CHECK(iterator == NULL);
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    CHECK_OK(carom_pool_join(pool, 0));
    CHECK_STATUS(carom_pool_apply_async(pool, no_reply, NULL, 0, NULL, &result), CAROM_ECLOSED);
    carom_pool_free(pool);
    carom_pool_free(pool);
    munmap(page, 4096);
}

int main(int argc, char **argv) {
    CASE(arguments_and_replies_of_any_size);
    CASE(replies);
    CASE(many_arguments);
    CASE(codes);
    CASE(messages_of_failures);
    CASE(handles_as_arguments);
    CASE(results_outlive_their_pool);
    CASE(results_freed_before_they_are_ready);
    CASE(a_synchronous_call_out_of_time);
    CASE(functions_and_misuse);
    return 0;
}
