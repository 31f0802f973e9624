/* carom_arena_check: it counts what is there, finds damage and names it, and is right while others are at work. */
#include "arena.h"
#include "support.h"

static int32_t nothing(carom_call *call) { (void)call; return 0; }

static void counts_what_is_there(void) {
    carom_arena_info none = census(), some;
    CHECK_EQ(none.members, 1);
    CHECK_EQ(none.objects, 0);
    CHECK_EQ(none.blocks, 0);
    carom_lock *lock = NULL;
    carom_array *array = NULL;
    carom_process *process = NULL;
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_OK(carom_array_new(CAROM_I64, 8, 1000, NULL, NULL, &array));
    some = census();
    CHECK_EQ(some.objects, 2);
    CHECK_EQ(some.blocks, 1);
    CHECK(some.bytes >= 8000);
    carom_array_free(array);
    carom_lock_free(lock);
    CHECK_EQ(census().objects, 0);
    CHECK_EQ(census().blocks, 0);
    CHECK_EQ(census().free_blocks, 1);
    /* The same array takes the same block. */
    CHECK_OK(carom_array_new(CAROM_I64, 8, 1000, NULL, NULL, &array));
    CHECK_EQ(census().bytes, some.bytes);
    carom_array_free(array);
    CHECK_OK(carom_process_start(nothing, NULL, 0, NULL, &process));
    CHECK(census().members >= 2);
    CHECK_EQ(ended(process), 0);
    CHECK_OK(carom_arena_check(NULL));
}

/* ------------------------------------------------------------------------------------------------------------- damage */

static void damaged(uint64_t at, uint64_t value, const char *says) {
    _Atomic uint64_t *word = arena_word(at);
    uint64_t before = atomic_exchange(word, value);
    CHECK_STATUS(carom_arena_check(NULL), CAROM_EBROKEN);
    if (!strstr(carom_error_message(), says)) CHECK_STR_EQ(carom_error_message(), says);
    carom_arena_info info = {.size = sizeof info, .objects = 77};
    CHECK_STATUS(carom_arena_check(&info), CAROM_EBROKEN);
    CHECK_EQ(info.objects, 77);
    atomic_store(word, before);
    CHECK_OK(carom_arena_check(NULL));
}

static void finds_damage(void) {
    carom_lock *lock = NULL;
    carom_array *array = NULL, *other = NULL;
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_OK(carom_array_new(CAROM_I64, 8, 1000, NULL, NULL, &array));
    CHECK_OK(carom_array_new(CAROM_I64, 8, 1000, NULL, NULL, &other));
    CHECK_OK(carom_arena_check(NULL));
    uint64_t cells = arena_cells(), heap = *arena_word(16);
    damaged(0, 4096, "size");
    damaged(8, 1ull << 40, "number of cells");
    damaged(16, 0, "beginning of the heap");
    damaged(arena_members() + 64, *arena_word(arena_members() + 64) | 0xf, "member 1 is in state 15");
    damaged(cells + 128, *arena_word(cells + 128) | 0x7f, "object 1 is of kind 127");
    damaged(cells + 128 + 8, 0x123, "the holder of the lock of object 1");
    damaged(cells + 128, *arena_word(cells + 128) | 0x345ull << 36, "what keeps object 1");
    damaged(cells + 2 * 128 + 80, 0, "belongs to nobody");
    damaged(cells + 2 * 128 + 80, heap + 4096, "where no block in use begins");
    damaged(cells + 2 * 128 + 80, *arena_word(cells + 3 * 128 + 80), "belongs to two fields");
    damaged(cells + 2 * 128 + 88, 0xffffffffull, "object 2 refers to");
    damaged(heap, 0xff, "has class 255");
    damaged(heap, 0, "has class 0");
    carom_array_free(other);
    damaged(heap + 8192, 0xca500001ull << 32 | 7, "the list of class 7");
    damaged(heap + 8192 + 8, heap + 8192, "the list of class 7");
    carom_array_free(array);
    carom_lock_free(lock);
}

/* No thread has this id, and so none will release it: the next one in line does. */
static void an_owner_that_does_not_exist(void) {
    const uint64_t nobody = 0x3ffffff0, words[] = {arena_heap_lock(), arena_function_lock()};
    carom_array *array = NULL;
    carom_arena_info before = census();
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(*arena_word(words[i]), 0);
        *arena_word(words[i]) = nobody;
    }
    CHECK_OK(carom_array_new(CAROM_I64, 8, 1000, NULL, NULL, &array));
    carom_array_free(array);
    carom_pool_options options = {.size = sizeof options, .workers = 1};
    carom_pool *pool = NULL;
    CHECK_OK(carom_pool_new(&options, &pool));
    CHECK_OK(carom_pool_apply(pool, nothing, NULL, 0, NULL, NULL, 0, NULL, PATIENCE_MS));
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
    for (int i = 0; i < 2; i++) CHECK_EQ(*arena_word(words[i]) & 0x3fffffff, 0);
    for (int64_t until = now_ms() + PATIENCE_MS; census().blocks != before.blocks;) CHECK(now_ms() < until);
}

/* ----------------------------------------------------------------------------------------------- while others are at work */

static flag *stop;

static int32_t works(carom_call *call) {
    (void)call;
    static const char bytes[3000];
    while (!atomic_load(stop)) {
        carom_value *value = NULL;
        carom_lock *lock = NULL;
        CHECK_OK(carom_value_new(CAROM_RAW, bytes, 100 + (size_t)getpid() % 2900, NULL, &value));
        CHECK_OK(carom_lock_new(NULL, &lock));
        CHECK_OK(carom_lock_acquire(lock, 0));
        carom_lock_free(lock);
        CHECK_OK(carom_value_lock(value, 0));
        carom_value_free(value);
    }
    return 0;
}

static int32_t dies(carom_call *call) {
    carom_lock *lock = NULL;
    CHECK_OK(carom_lock_new(NULL, &lock));
    CHECK_OK(carom_lock_acquire(lock, 0));
    (void)call;
    raise(SIGKILL);
    return 0;
}

static void is_right_while_others_work(void) {
    enum { WORKERS = 3 };
    stop = share(sizeof *stop);
    carom_process *processes[WORKERS];
    carom_arena_info before = census();
    for (int i = 0; i < WORKERS; i++) CHECK_OK(carom_process_start(works, NULL, 0, NULL, &processes[i]));
    for (int64_t until = now_ms() + 700; now_ms() < until;) {
        carom_pool_options options = {.size = sizeof options, .workers = 2};
        carom_pool *pool = NULL;
        CHECK_OK(carom_pool_new(&options, &pool));
        for (int i = 0; i < 50; i++) {
            CHECK_OK(carom_pool_apply(pool, nothing, NULL, 0, NULL, NULL, 0, NULL, PATIENCE_MS));
            CHECK_OK(carom_arena_check(NULL));
        }
        CHECK_EQ(outcome_of(dies, NULL, 0), -SIGKILL);
        CHECK_OK(carom_arena_check(NULL));
        carom_pool_free(pool);
    }
    flag_add(stop, 1);
    for (int i = 0; i < WORKERS; i++) CHECK_EQ(ended(processes[i]), 0);
    /* The pool ends by itself, and then nothing is left. */
    for (int64_t until = now_ms() + PATIENCE_MS; census().blocks != before.blocks || census().objects != before.objects;)
        CHECK(now_ms() < until);
}

int main(void) {
    CASE(counts_what_is_there);
    CASE(finds_damage);
    CASE(an_owner_that_does_not_exist);
    CASE(is_right_while_others_work);
    return 0;
}
