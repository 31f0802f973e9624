/* Values and arrays of every type: access, atomic operations, copies, and the locks that guard them. */
#include "support.h"
#include <math.h>
#include <stdbool.h>
#include <wchar.h>

static const struct type {
    char letter;
    size_t size;
    int is_integer, is_signed;
} types[] = {
    {'c', 1, 1, 0}, {'b', 1, 1, 1}, {'B', 1, 1, 0}, {'?', 1, 0, 0}, {'h', 2, 1, 1}, {'H', 2, 1, 0},
    {'i', 4, 1, 1}, {'I', 4, 1, 0}, {'l', 8, 1, 1}, {'L', 8, 1, 0}, {'q', 8, 1, 1}, {'Q', 8, 1, 0},
    {'u', sizeof(wchar_t), 0, 0}, {'f', sizeof(float), 0, 0}, {'d', sizeof(double), 0, 0},
};
#define TYPES (sizeof types / sizeof *types)

static carom_value *value, *other;
static carom_array *array;
static carom_lock *lock;
static const struct type *type;
static flag *go;
static const carom_shared_options no_lock = {.size = sizeof no_lock, .no_lock = 1};

static carom_process *start(carom_function function) {
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(function, NULL, 0, NULL, &process));
    return process;
}

static int64_t loaded(carom_value *it) {
    int64_t number = 0;
    CHECK_OK(carom_value_load(it, &number));
    return number;
}

/* What a number becomes in a type. */
static int64_t cut(const struct type *to, int64_t number) {
    int bits = (int)(64 - 8 * to->size);
    return to->is_signed ? (int64_t)((uint64_t)number << bits) >> bits : (int64_t)((uint64_t)number << bits >> bits);
}

/* ------------------------------------------------------------------------------------------------------------- values */

static void values_of_every_type(void) {
    for (size_t t = 0; t < TYPES; t++) {
        for (int bare = 0; bare < 2; bare++) {
            unsigned char pattern[8], data[8], zero[8] = {0};
            for (int i = 0; i < 8; i++) pattern[i] = (unsigned char)(i == 0 ? 1 : types[t].letter == '?' ? 0 : 17 * i);
            size_t size = types[t].size;
            CHECK_OK(carom_value_new((uint32_t)types[t].letter, NULL, bare ? 0 : size, bare ? &no_lock : NULL, &value));
            CHECK_EQ(carom_value_size(value), size);
            CHECK_EQ(carom_value_type(value), types[t].letter);
            CHECK_EQ((uintptr_t)carom_value_data(value) % size, 0);
            CHECK(memcmp(carom_value_data(value), zero, size) == 0);
            CHECK_OK(carom_value_set(value, pattern, size, CAROM_FOREVER));
            CHECK(memcmp(carom_value_data(value), pattern, size) == 0);
            memset(data, 0xa5, sizeof data);
            CHECK_OK(carom_value_get(value, data, size, 0));
            CHECK(memcmp(data, pattern, size) == 0);
            for (size_t i = size; i < sizeof data; i++) CHECK_EQ(data[i], 0xa5);
            CHECK_STATUS(carom_value_unlock(value), bare ? CAROM_EINVAL : CAROM_EPERM);
            carom_value_free(value);
            CHECK_OK(carom_value_new((uint32_t)types[t].letter, pattern, size, NULL, &value));
            CHECK(memcmp(carom_value_data(value), pattern, size) == 0);
            carom_value_free(value);
        }
    }
    double pi = 3.141592653589793, back = 0;
    float third = 1.0f / 3, third_back = 0;
    CHECK_OK(carom_value_new(CAROM_F64, &pi, sizeof pi, NULL, &value));
    CHECK_OK(carom_value_get(value, &back, sizeof back, 0));
    CHECK(back == pi && *(double *)carom_value_data(value) == pi);
    carom_value_free(value);
    CHECK_OK(carom_value_new(CAROM_F32, &third, 0, NULL, &value));
    CHECK_OK(carom_value_get(value, &third_back, sizeof third_back, 0));
    CHECK(third_back == third);
    carom_value_free(value);
}

static void raw_values(void) {
    static const size_t sizes[] = {1, 2, 3, 7, 8, 23, 24, 25, 64, 100, 4095, 4096, 100000, 5000000};
    static const uint32_t alignments[] = {0, 1, 2, 8, 16, 64, 4096};
    unsigned char *data = malloc(5000000), *back = malloc(5000000);
    for (int i = 0; i < 5000000; i++) data[i] = (unsigned char)(i * 7 + i / 256);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t a = 0; a < sizeof alignments / sizeof *alignments; a++) {
            carom_shared_options options = {.size = sizeof options, .alignment = alignments[a]};
            CHECK_OK(carom_value_new(CAROM_RAW, data, sizes[s], &options, &value));
            CHECK_EQ((uintptr_t)carom_value_data(value) % (alignments[a] ? alignments[a] : 16), 0);
            CHECK_EQ(carom_value_size(value), sizes[s]);
            CHECK_EQ(carom_value_type(value), CAROM_RAW);
            CHECK_OK(carom_value_get(value, back, sizes[s], 0));
            CHECK(memcmp(back, data, sizes[s]) == 0);
            carom_value_free(value);
            CHECK_OK(carom_value_new(CAROM_RAW, NULL, sizes[s], &options, &value)); /* zero, though its memory was used */
            const unsigned char *bytes = carom_value_data(value);
            for (size_t i = 0; i < sizes[s]; i += sizes[s] > 5000 ? 61 : 1) CHECK_EQ(bytes[i], 0);
            carom_value_free(value);
        }
    free(data);
    free(back);
}

/* ------------------------------------------------------------------------------------------------- atomic operations */

static void atomics_of_every_type(void) {
    static const int64_t numbers[] = {0, 1, -1, 127, 128, 255, 256, -128, -129, 32767, 32768, 65535, 65536, -32769,
                                      INT32_MAX, (int64_t)INT32_MAX + 1, UINT32_MAX, (int64_t)UINT32_MAX + 1, INT32_MIN,
                                      INT64_MAX, INT64_MIN};
    enum { NUMBERS = sizeof numbers / sizeof *numbers };
    for (size_t t = 0; t < TYPES; t++) {
        const struct type *it = &types[t];
        if (!it->is_integer) continue;
        CHECK_OK(carom_value_new((uint32_t)it->letter, NULL, 0, NULL, &value));
        for (int i = 0; i < NUMBERS; i++) {
            int64_t here = cut(it, numbers[i]), before = 4711;
            CHECK_OK(carom_value_store(value, numbers[i]));
            CHECK_EQ(loaded(value), here);
            CHECK(memcmp(carom_value_data(value), &here, it->size) == 0);
            for (int j = 0; j < NUMBERS; j++) {
                CHECK_OK(carom_value_store(value, here));
                CHECK_OK(carom_value_add(value, numbers[j], j % 2 ? &before : NULL));
                if (j % 2) CHECK_EQ(before, here);
                CHECK_EQ(loaded(value), cut(it, (int64_t)((uint64_t)here + (uint64_t)numbers[j])));
                /* A swap happened if, and only if, what was there is what was expected. */
                CHECK_OK(carom_value_store(value, here));
                CHECK_OK(carom_value_swap(value, numbers[j], 42, &before));
                CHECK_EQ(before, here);
                CHECK_EQ(loaded(value), here == numbers[j] ? 42 : here);
            }
        }
        carom_value_free(value);
    }
}

static void a_bool_is_a_bool(void) {
    int64_t before = 4711;
    CHECK_OK(carom_value_new(CAROM_BOOLEAN, NULL, 0, NULL, &value));
    CHECK_OK(carom_value_store(value, 256));
    CHECK_EQ(*(unsigned char *)carom_value_data(value), 1);
    CHECK_OK(carom_value_swap(value, 1, 0, &before));
    CHECK_EQ(before, 1);
    CHECK_OK(carom_value_swap(value, 0, -7, &before));
    CHECK_EQ(*(unsigned char *)carom_value_data(value), 1);
    CHECK_STATUS(carom_value_add(value, 1, &before), CAROM_EINVAL);
    CHECK_EQ(before, 0);
    CHECK_EQ(loaded(value), 1);
    carom_value_free(value);
}

#define ADDS 4000
static int32_t adds(carom_call *call) {
    (void)call;
    flag_await(go, 1);
    for (int i = 0; i < ADDS; i++) {
        CHECK_OK(carom_value_add(value, i % 2 ? 5 : -2, NULL));
        for (int64_t seen = loaded(other), before; /* by hand */; seen = before) {
            CHECK_OK(carom_value_swap(other, seen, cut(type, seen + 3), &before));
            if (before == seen) break;
        }
    }
    return 0;
}

static void atomics_under_contention(void) {
    for (size_t t = 0; t < TYPES; t++) {
        type = &types[t];
        if (!type->is_integer) continue;
        carom_process *processes[4];
        go = share(sizeof *go);
        CHECK_OK(carom_value_new((uint32_t)type->letter, NULL, 0, NULL, &value));
        CHECK_OK(carom_value_new((uint32_t)type->letter, NULL, 0, &no_lock, &other));
        for (int i = 0; i < 4; i++) processes[i] = start(adds);
        flag_add(go, 1);
        for (int i = 0; i < 4; i++) CHECK_EQ(ended(processes[i]), 0);
        CHECK_EQ(loaded(value), cut(type, 4 * ADDS / 2 * 3));
        CHECK_EQ(loaded(other), cut(type, 4 * ADDS * 3));
        carom_value_free(value);
        carom_value_free(other);
    }
}

/* ------------------------------------------------------------------------------------------------------------- arrays */

static int32_t fills_its_part(carom_call *call) {
    int64_t part, *items = carom_array_data(array);
    CHECK_OK(carom_call_read(call, 0, &part, sizeof part));
    for (int64_t i = 0; i < 250; i++) items[part * 250 + i] = part * 1000 + i;
    return 0;
}

static int32_t rewrites(carom_call *call) {
    int64_t stamp, items[64];
    CHECK_OK(carom_call_read(call, 0, &stamp, sizeof stamp));
    for (int i = 0; i < 64; i++) items[i] = stamp;
    for (int round = 0; round < 500; round++) {
        CHECK_OK(carom_array_set(array, 100, items, sizeof items, CAROM_FOREVER));
        int64_t seen[64];
        CHECK_OK(carom_array_get(array, 100, 64, seen, sizeof seen, CAROM_FOREVER));
        for (int i = 1; i < 64; i++) CHECK_EQ(seen[i], seen[0]); /* never half of each */
    }
    return 0;
}

static void arrays_of_every_type(void) {
    for (size_t t = 0; t < TYPES; t++) {
        size_t size = types[t].size, counts[] = {0, 1, 3, 25, 1000};
        for (int c = 0; c < 5; c++) {
            size_t count = counts[c];
            unsigned char *data = calloc(count + 1, size), *back = calloc(count + 1, size);
            for (size_t i = 0; i < size * count; i++) data[i] = types[t].letter == '?' ? i % 2 : (unsigned char)(i * 13 + 1);
            CHECK_OK(carom_array_new((uint32_t)types[t].letter, c % 2 ? size : 0, count, NULL, c == 2 ? &no_lock : NULL, &array));
            CHECK_EQ(carom_array_count(array), count);
            CHECK_EQ(carom_array_type(array), types[t].letter);
            CHECK(carom_array_data(array) != NULL);
            CHECK_EQ((uintptr_t)carom_array_data(array) % 16, 0);
            CHECK(memcmp(carom_array_data(array), back, size * count) == 0); /* zero */
            CHECK_OK(carom_array_set(array, 0, data, size * count, 0));
            CHECK_OK(carom_array_get(array, 0, count, back, size * count, 0));
            CHECK(memcmp(data, back, size * count) == 0);
            for (size_t first = 0; first < count; first += 1 + count / 7)
                for (size_t len = 0; first + len <= count; len += 1 + count / 5) {
                    memset(back, 0x5a, size * count);
                    CHECK_OK(carom_array_get(array, first, len, back, size * count, 0));
                    CHECK(memcmp(data + size * first, back, size * len) == 0);
                    if (size * len < size * count) CHECK_EQ(back[size * len], 0x5a);
                }
            carom_array_free(array);
            CHECK_OK(carom_array_new((uint32_t)types[t].letter, size, count, data, NULL, &array));
            CHECK(memcmp(carom_array_data(array), data, size * count) == 0);
            carom_array_free(array);
            free(data), free(back);
        }
    }
}

static void arrays_are_shared(void) {
    carom_process *processes[4];
    CHECK_OK(carom_array_new(CAROM_I64, 0, 1000, NULL, NULL, &array));
    for (int round = 0; round < 2; round++) {
        for (int64_t i = 0; i < 4; i++) {
            carom_argument argument = CAROM_INTEGER(i);
            CHECK_OK(carom_process_start(round ? rewrites : fills_its_part, &argument, 1, NULL, &processes[i]));
        }
        for (int i = 0; i < 4; i++) CHECK_EQ(ended(processes[i]), 0);
        for (int64_t i = 0; i < 1000 && !round; i++) CHECK_EQ(((int64_t *)carom_array_data(array))[i], i / 250 * 1000 + i % 250);
    }
    carom_array_free(array);
    struct point { double x, y; int32_t tag; } points[3] = {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}}, back;
    carom_shared_options aligned = {.size = sizeof aligned, .alignment = 64};
    CHECK_OK(carom_array_new(CAROM_RAW, sizeof *points, 3, points, &aligned, &array));
    CHECK_EQ((uintptr_t)carom_array_data(array) % 64, 0);
    CHECK_EQ(carom_array_count(array), 3);
    CHECK_OK(carom_array_get(array, 2, 1, &back, sizeof back, 0));
    CHECK(back.x == 7 && back.y == 8 && back.tag == 9);
    carom_array_free(array);
}

/* -------------------------------------------------------------------------------------------------------------- locks */

static int32_t is_locked_out(carom_call *call) {
    int64_t data = 0;
    (void)call;
    CHECK_STATUS(carom_value_lock(value, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_value_get(value, &data, 8, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_value_set(value, &data, 8, 2), CAROM_ETIMEDOUT);
    CHECK_EQ(loaded(value), 6); /* atomic operations ask no lock */
    if (array) {
        CHECK_STATUS(carom_array_lock(array, 0), CAROM_ETIMEDOUT);
        CHECK_STATUS(carom_array_get(array, 0, 1, &data, 8, 0), CAROM_ETIMEDOUT);
    }
    if (other) {
        CHECK_STATUS(carom_value_lock(other, 1), CAROM_ETIMEDOUT);
        CHECK_STATUS(carom_value_unlock(other), lock ? CAROM_OK : CAROM_EPERM);
    }
    return 0;
}

/* A block that holds the value's own lock may use what takes it. */
static void own_lock_is_recursive(void) {
    int64_t number = 5, six = 6;
    array = NULL, other = NULL, lock = NULL;
    CHECK_OK(carom_value_new(CAROM_I64, &number, 8, NULL, &value));
    CHECK_OK(carom_value_lock(value, 0));
    CHECK_OK(carom_value_set(value, &six, 8, 0));
    CHECK_OK(carom_value_get(value, &number, 8, 0));
    CHECK_EQ(number, 6);
    CHECK_OK(carom_value_lock(value, CAROM_FOREVER));
    CHECK_OK(carom_value_unlock(value));
    CHECK_OK(carom_value_copy(value, &other, 0));
    carom_value_free(other);
    other = NULL;
    CHECK_EQ(outcome_of(is_locked_out, NULL, 0), 0);
    CHECK_OK(carom_value_unlock(value));
    CHECK_STATUS(carom_value_unlock(value), CAROM_EPERM);
    carom_value_free(value);
}

static void one_lock_for_many(int get_lock) {
    int64_t six = 6;
    other = NULL, lock = NULL;
    carom_value *first = NULL;
    if (get_lock) {
        CHECK_OK(carom_value_new(CAROM_F64, NULL, 0, NULL, &first));
        CHECK_OK(carom_value_get_lock(first, &lock));
    } else {
        CHECK_OK(carom_rlock_new(NULL, &lock));
    }
    carom_shared_options options = {.size = sizeof options, .lock = lock};
    carom_condition *condition = NULL;
    CHECK_OK(carom_value_new(CAROM_I64, &six, 8, &options, &value));
    CHECK_OK(carom_value_new(CAROM_I8, NULL, 0, &options, &other));
    CHECK_OK(carom_array_new(CAROM_I64, 0, 5, NULL, &options, &array));
    CHECK_OK(carom_condition_new(lock, &condition));
    /* Whoever needs the lock keeps it. */
    carom_lock_free(lock);
    carom_value_free(first);
    lock = NULL;
    for (int by = 0; by < 3; by++) {
        CHECK_OK(by == 0 ? carom_value_lock(value, 0) : by == 1 ? carom_array_lock(array, 0) : carom_condition_acquire(condition, 0));
        CHECK_OK(carom_condition_notify_all(condition));
        CHECK_OK(carom_array_set(array, 0, &six, 8, 0)); /* recursive */
        CHECK_EQ(outcome_of(is_locked_out, NULL, 0), 0);
        CHECK_OK(by == 0 ? carom_condition_release(condition) : by == 1 ? carom_value_unlock(other) : carom_array_unlock(array));
        CHECK_STATUS(carom_value_unlock(value), CAROM_EPERM);
    }
    CHECK_OK(carom_array_get_lock(array, &lock));
    CHECK_OK(carom_lock_acquire(lock, 0));
    CHECK_EQ(carom_lock_locked(lock), 1);
    carom_lock *same = lock;
    lock = NULL;
    CHECK_EQ(outcome_of(is_locked_out, NULL, 0), 0);
    CHECK_OK(carom_lock_release(same));
    carom_condition_free(condition);
    carom_array_free(array);
    carom_value_free(other);
    carom_value_free(value);
    CHECK_OK(carom_lock_acquire(same, 0)); /* its objects are gone, the lock is not */
    CHECK_OK(carom_lock_release(same));
    carom_lock_free(same);
}
static void given_lock(void) { one_lock_for_many(0); }
static void lock_of_a_value(void) { one_lock_for_many(1); }

/* A plain lock that is given is no recursive one. */
static void given_plain_lock(void) {
    int64_t data = 0;
    CHECK_OK(carom_lock_new(NULL, &lock));
    carom_shared_options options = {.size = sizeof options, .lock = lock};
    CHECK_OK(carom_value_new(CAROM_I64, NULL, 0, &options, &value));
    CHECK_OK(carom_value_lock(value, 0));
    CHECK_STATUS(carom_value_get(value, &data, 8, 0), CAROM_ETIMEDOUT);
    CHECK_OK(carom_lock_release(lock));
    CHECK_OK(carom_value_get(value, &data, 8, 0));
    CHECK_EQ(carom_lock_locked(lock), 0);
    carom_value_free(value);
    carom_lock_free(lock);
}

/* -------------------------------------------------------------------------------------------------- copy, synchronize */

static void copies(void) {
    for (size_t t = 0; t < TYPES; t++) {
        unsigned char pattern[8] = {1, 0, 9, 7, 6, 5, 4, 3}, zero[8] = {0};
        for (int bare = 0; bare < 2; bare++) {
            CHECK_OK(carom_value_new((uint32_t)types[t].letter, pattern, 0, bare ? &no_lock : NULL, &value));
            CHECK_OK(carom_value_copy(value, &other, 0));
            CHECK_EQ(carom_value_type(other), types[t].letter);
            CHECK_EQ(carom_value_size(other), types[t].size);
            CHECK(memcmp(carom_value_data(other), pattern, types[t].size) == 0);
            CHECK_STATUS(carom_value_lock(other, 0), CAROM_EINVAL);
            CHECK_OK(carom_value_set(value, zero, types[t].size, 0));
            CHECK(memcmp(carom_value_data(other), pattern, types[t].size) == 0);
            carom_value_free(value);
            CHECK_OK(carom_value_synchronize(other, NULL));
            CHECK_OK(carom_value_lock(other, 0));
            CHECK_OK(carom_value_unlock(other));
            carom_value_free(other);
        }
    }
    char *data = malloc(100000), *back = malloc(100000);
    memset(data, 0x3c, 100000);
    CHECK_OK(carom_value_new(CAROM_RAW, data, 100000, NULL, &value));
    CHECK_OK(carom_value_copy(value, &other, 0));
    carom_value_free(value);
    CHECK_OK(carom_value_get(other, back, 100000, 0));
    CHECK(memcmp(data, back, 100000) == 0);
    carom_value_free(other);
    free(data), free(back);
}

static int32_t finds_it_locked(carom_call *call) {
    (void)call;
    CHECK_STATUS(carom_value_lock(value, 0), CAROM_EINVAL); /* it has none yet */
    flag_add(go, 1);
    flag_await(go, 2);
    CHECK_STATUS(carom_value_lock(value, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_value_synchronize(value, NULL), CAROM_EEXIST);
    return 0;
}

static void synchronize(void) {
    for (int given = 0; given < 2; given++) {
        go = share(sizeof *go);
        CHECK_OK(carom_lock_new(NULL, &lock));
        CHECK_OK(carom_value_new(CAROM_I64, NULL, 0, &no_lock, &value));
        CHECK_OK(carom_array_new(CAROM_I64, 0, 3, NULL, &no_lock, &array));
        carom_process *process = start(finds_it_locked);
        flag_await(go, 1);
        CHECK_OK(carom_value_synchronize(value, given ? lock : NULL));
        CHECK_OK(carom_array_synchronize(array, given ? lock : NULL));
        CHECK_OK(carom_value_lock(value, 0));
        CHECK_EQ(carom_lock_locked(lock), given);
        CHECK_STATUS(carom_array_lock(array, 0), given ? CAROM_ETIMEDOUT : CAROM_OK);
        CHECK_STATUS(carom_value_synchronize(value, lock), CAROM_EEXIST);
        CHECK_STATUS(carom_array_synchronize(array, NULL), CAROM_EEXIST);
        flag_add(go, 1);
        CHECK_EQ(ended(process), 0);
        CHECK_OK(carom_value_unlock(value));
        if (!given) CHECK_OK(carom_array_unlock(array));
        carom_value_free(value);
        carom_array_free(array);
        carom_lock_free(lock);
    }
}

/* Several at once: one wins, and it is his lock that guards the value. */
static carom_lock *locks[3];
static pthread_barrier_t line;
static carom_status answers[3];
static void *synchronizes(void *place) {
    int i = *(int *)place;
    for (int round = 0; round < 3000; round++) {
        pthread_barrier_wait(&line);
        answers[i] = carom_value_synchronize(value, locks[i]);
        pthread_barrier_wait(&line);
    }
    return NULL;
}
static void synchronize_at_once(void) {
    static int places[] = {0, 1, 2};
    pthread_t threads[3];
    pthread_barrier_init(&line, NULL, 4);
    for (int i = 0; i < 2; i++) CHECK_OK(carom_lock_new(NULL, &locks[i])); /* the third wants one of its own */
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&threads[i], NULL, synchronizes, &places[i]), 0);
    for (int round = 0; round < 3000; round++) {
        CHECK_OK(carom_value_new(CAROM_I32, NULL, 0, &no_lock, &value));
        pthread_barrier_wait(&line);
        pthread_barrier_wait(&line);
        int winner = -1;
        for (int i = 0; i < 3; i++) {
            if (answers[i] != CAROM_OK) CHECK_STATUS(answers[i], CAROM_EEXIST);
            else CHECK(winner < 0), winner = i;
        }
        CHECK(winner >= 0);
        CHECK_OK(carom_value_lock(value, 0));
        for (int i = 0; i < 2; i++) CHECK_EQ(carom_lock_locked(locks[i]), winner == i);
        CHECK_OK(carom_value_unlock(value));
        carom_value_free(value);
    }
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; i++) carom_lock_free(locks[i]);
}

/* ------------------------------------------------------------------------------------------------------- as arguments */

static int32_t uses_arguments(carom_call *call) {
    carom_value *a_value = NULL;
    carom_array *an_array = NULL;
    carom_lock *its_lock = NULL;
    int64_t items[3];
    CHECK_OK(carom_call_value(call, 0, &a_value));
    CHECK_OK(carom_call_array(call, 1, &an_array));
    CHECK_OK(carom_call_lock(call, 2, &its_lock)); /* the array's */
    CHECK_OK(carom_lock_acquire(its_lock, PATIENCE_MS));
    CHECK_OK(carom_array_get(an_array, 0, 3, items, sizeof items, 0));
    for (int i = 0; i < 3; i++) items[i]++;
    CHECK_OK(carom_array_set(an_array, 0, items, sizeof items, 0));
    CHECK_OK(carom_lock_release(its_lock));
    CHECK_OK(carom_value_add(a_value, 1, NULL));
    if (carom_call_count(call) == 4) { /* kept for the next task */
        carom_value_free(value);
        CHECK_OK(carom_handle_keep(call, a_value));
        value = a_value;
    }
    return 0;
}
static int32_t uses_what_was_kept(carom_call *call) {
    (void)call;
    CHECK_OK(carom_value_add(value, 100, NULL));
    carom_value_free(value);
    value = NULL;
    return 0;
}

static void as_arguments(void) {
    carom_pool_options options = {.size = sizeof options, .workers = 1};
    carom_pool *pool = NULL;
    int64_t items[3] = {10, 20, 30};
    value = NULL;
    CHECK_OK(carom_pool_new(&options, &pool));
    CHECK_OK(carom_value_new(CAROM_I32, NULL, 0, NULL, &value));
    CHECK_OK(carom_array_new(CAROM_I64, 0, 3, items, NULL, &array));
    CHECK_OK(carom_array_get_lock(array, &lock));
    carom_argument arguments[] = {CAROM_HANDLE(value), CAROM_HANDLE(array), CAROM_HANDLE(lock), CAROM_NIL};
    CHECK_EQ(outcome_of(uses_arguments, arguments, 3), 0);
    CHECK_OK(carom_pool_apply(pool, uses_arguments, arguments, 3, NULL, NULL, 0, NULL, PATIENCE_MS));
    CHECK_OK(carom_pool_apply(pool, uses_arguments, arguments, 4, NULL, NULL, 0, NULL, PATIENCE_MS));
    CHECK_OK(carom_pool_apply(pool, uses_what_was_kept, NULL, 0, NULL, NULL, 0, NULL, PATIENCE_MS));
    CHECK_EQ(loaded(value), 103);
    CHECK_OK(carom_array_get(array, 0, 3, items, sizeof items, 0));
    for (int i = 0; i < 3; i++) CHECK_EQ(items[i], 10 * (i + 1) + 3);
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
    carom_lock_free(lock);
    carom_array_free(array);
    carom_value_free(value);
}

int main(void) {
    CASE(values_of_every_type);
    CASE(raw_values);
    CASE(atomics_of_every_type);
    CASE(a_bool_is_a_bool);
    CASE(atomics_under_contention);
    CASE(arrays_of_every_type);
    CASE(arrays_are_shared);
    CASE(own_lock_is_recursive);
    CASE(given_lock);
    CASE(lock_of_a_value);
    CASE(given_plain_lock);
    CASE(copies);
    CASE(synchronize);
    CASE(synchronize_at_once);
    CASE(as_arguments);
    return 0;
}
