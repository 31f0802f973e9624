/* Lists in named memory, as Python's ShareableList has them, and as somebody left them who wrote nonsense there. */
#include "support.h"

#include <math.h>
#include <stddef.h>

static carom_shareable_list *make(const carom_argument *items, size_t count) {
    carom_shareable_list *list = NULL;
    CHECK_OK(carom_shareable_list_new(items, count, NULL, &list));
    CHECK_EQ(carom_shareable_list_count(list), count);
    return list;
}

static void end(carom_shareable_list *list) {
    CHECK_OK(carom_shareable_list_unlink(list));
    carom_shareable_list_free(list);
}

static carom_argument get(carom_shareable_list *list, size_t index) {
    static char data[100];
    carom_argument shown;
    size_t len = 4711;
    CHECK_OK(carom_shareable_list_get(list, index, &shown, data, sizeof data, &len));
    CHECK_EQ(len, shown.len);
    return shown;
}

static void is_text(carom_shareable_list *list, size_t index, uint32_t kind, const char *text, size_t len) {
    carom_argument shown = get(list, index);
    CHECK_EQ(shown.kind, kind);
    CHECK_EQ(shown.len, len);
    CHECK(memcmp(shown.data, text, len) == 0);
}

/* What Python's struct makes of [7, -2.5, True, False, None, "eight bytes", b"\0z", ""]. */
static const struct {
    int64_t count, offsets[9];
    int64_t seven;
    double real;
    char yes[8], no[8], none[8], text[16], bytes[8], empty[8];
    char formats[8][8];
    char kinds[8];
} expected = {
    8, {0, 8, 16, 24, 32, 40, 56, 64, 72},
    7, -2.5,
    "\0\0\0\0\0\0\0\1", "", "", "eight bytes", "\0z", "",
    {"q", "d", "xxxxxxx?", "xxxxxxx?", "xxxxxx?x", "16s", "8s", "8s"},
    {0, 0, 0, 0, 3, 1, 2, 1},
};

static const carom_argument eight[] = {
    {.kind = CAROM_ARGUMENT_INTEGER, .integer = 7},
    {.kind = CAROM_ARGUMENT_REAL, .real = -2.5},
    {.kind = CAROM_ARGUMENT_BOOL, .integer = 1},
    {.kind = CAROM_ARGUMENT_BOOL, .integer = 0},
    {.kind = CAROM_ARGUMENT_NIL},
    {.kind = CAROM_ARGUMENT_STRING, .data = "eight bytes", .len = 11},
    {.kind = CAROM_ARGUMENT_BYTES, .data = "\0z", .len = 2},
    {.kind = CAROM_ARGUMENT_STRING},
};

static void lies_as_in_python(void) {
    carom_shareable_list *list = make(eight, 8), *second = NULL;
    carom_shared_memory *memory = NULL;
    CHECK_OK(carom_shared_memory_open(carom_shareable_list_name(list), NULL, &memory));
    size_t size = offsetof(__typeof__(expected), kinds) + 8;
    CHECK_EQ(carom_shared_memory_size(memory), size);
    CHECK(memcmp(carom_shared_memory_data(memory), &expected, size) == 0);
    CHECK_OK(carom_shareable_list_open(carom_shareable_list_name(list), &second));
    carom_shareable_list *const both[] = {list, second};
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(carom_shareable_list_count(both[i]), 8);
        CHECK_EQ(get(both[i], 0).integer, 7);
        CHECK_EQ(get(both[i], 0).kind, CAROM_ARGUMENT_INTEGER);
        CHECK(get(both[i], 1).kind == CAROM_ARGUMENT_REAL && get(both[i], 1).real == -2.5);
        CHECK(get(both[i], 2).kind == CAROM_ARGUMENT_BOOL && get(both[i], 2).integer == 1);
        CHECK(get(both[i], 3).kind == CAROM_ARGUMENT_BOOL && get(both[i], 3).integer == 0);
        CHECK_EQ(get(both[i], 4).kind, CAROM_ARGUMENT_NIL);
        is_text(both[i], 5, CAROM_ARGUMENT_STRING, "eight bytes", 11);
        is_text(both[i], 6, CAROM_ARGUMENT_BYTES, "\0z", 2);
        is_text(both[i], 7, CAROM_ARGUMENT_STRING, "", 0);
    }
    carom_shared_memory_free(memory);
    carom_shareable_list_free(second);
    end(list);
}

static void every_item_into_every_slot(void) {
    for (size_t at = 0; at < 8; at++) {
        carom_shareable_list *list = make(eight, 8);
        for (size_t what = 0; what < 8; what++) {
            int fits = what != 5 || at == 5;
            CHECK_STATUS(carom_shareable_list_set(list, at, &eight[what]), fits ? CAROM_OK : CAROM_EMSGSIZE);
            if (!fits) continue;
            carom_argument shown = get(list, at);
            CHECK_EQ(shown.kind, eight[what].kind);
            CHECK_EQ(shown.integer, eight[what].integer);
            CHECK(shown.real == eight[what].real);
            CHECK_EQ(shown.len, eight[what].len);
            CHECK(shown.len == 0 || memcmp(shown.data, eight[what].data, shown.len) == 0);
        }
        for (size_t other = 0; other < 8; other++) /* the neighbours are as they were */
            if (other != at && eight[other].kind != CAROM_ARGUMENT_NIL)
                CHECK(carom_shareable_list_count_of(list, &eight[other]) >= 1);
        end(list);
    }
}

static void what_fits_and_what_does_not(void) {
    carom_argument items[] = {CAROM_STRING("12345678", 8), CAROM_INTEGER(1)};
    carom_shareable_list *list = make(items, 2);
    carom_argument full = CAROM_BYTES("1234567812345678", 16), more = CAROM_STRING("12345678123456781", 17);
    carom_argument nine = CAROM_STRING("123456789", 9), umlauts = CAROM_STRING("\xc3\xa4\xc3\xb6\xc3\xbc", 6);
    carom_argument zeros = CAROM_BYTES("a\0\0", 3), nonsense = CAROM_STRING("\xff", 1);
    CHECK_OK(carom_shareable_list_set(list, 0, &full)); /* no room for a zero is needed */
    is_text(list, 0, CAROM_ARGUMENT_BYTES, "1234567812345678", 16);
    CHECK_STATUS(carom_shareable_list_set(list, 0, &more), CAROM_EMSGSIZE);
    CHECK_STATUS(carom_shareable_list_set(list, 1, &nine), CAROM_EMSGSIZE);
    CHECK_STATUS(carom_shareable_list_set(list, 1, &nonsense), CAROM_EINVAL);
    CHECK_STATUS(carom_shareable_list_set(list, 2, &items[1]), CAROM_EINVAL);
    CHECK_STATUS(carom_shareable_list_set(list, SIZE_MAX, &items[1]), CAROM_EINVAL);
    is_text(list, 0, CAROM_ARGUMENT_BYTES, "1234567812345678", 16);
    CHECK_EQ(get(list, 1).integer, 1);
    CHECK_OK(carom_shareable_list_set(list, 0, &zeros));
    is_text(list, 0, CAROM_ARGUMENT_BYTES, "a", 1); /* as in Python */
    CHECK_OK(carom_shareable_list_set(list, 1, &umlauts));
    is_text(list, 1, CAROM_ARGUMENT_STRING, "\xc3\xa4\xc3\xb6\xc3\xbc", 6);

    carom_argument shown = {.kind = 4711};
    char data[16] = "as it was";
    size_t len = 0;
    CHECK_OK(carom_shareable_list_set(list, 0, &full));
    CHECK_STATUS(carom_shareable_list_get(list, 0, &shown, data, 15, &len), CAROM_EMSGSIZE);
    CHECK_EQ(len, 16);
    CHECK_EQ(shown.kind, 4711);
    CHECK_STR_EQ(data, "as it was");
    CHECK_STATUS(carom_shareable_list_get(list, 0, &shown, NULL, 0, NULL), CAROM_EMSGSIZE);
    CHECK_OK(carom_shareable_list_get(list, 0, &shown, data, 16, NULL));
    CHECK(shown.data == data);
    end(list);
}

static void is_searched(void) {
    carom_argument items[] = {CAROM_INTEGER(2), CAROM_REAL(1.0), CAROM_BOOL(1), CAROM_INTEGER(1), CAROM_STRING("1", 1),
                              CAROM_BYTES("1", 1), CAROM_NIL, CAROM_REAL(NAN)};
    carom_argument two = CAROM_REAL(2.0), one = CAROM_INTEGER(1), text = CAROM_STRING("1", 1), bytes = CAROM_BYTES("1", 1);
    carom_argument nil = CAROM_NIL, zero = CAROM_BOOL(0), longer = CAROM_BYTES("1\0", 2);
    carom_shareable_list *list = make(items, 8);
    CHECK_EQ(carom_shareable_list_index_of(list, &two), 0);
    CHECK_EQ(carom_shareable_list_index_of(list, &one), 1);
    CHECK_EQ(carom_shareable_list_count_of(list, &one), 3);
    CHECK_EQ(carom_shareable_list_index_of(list, &text), 4);
    CHECK_EQ(carom_shareable_list_count_of(list, &text), 1);
    CHECK_EQ(carom_shareable_list_index_of(list, &bytes), 5);
    CHECK_EQ(carom_shareable_list_index_of(list, &nil), 6);
    CHECK_EQ(carom_shareable_list_index_of(list, &zero), CAROM_ENOENT);
    CHECK_EQ(carom_shareable_list_count_of(list, &zero), 0);
    CHECK_EQ(carom_shareable_list_count_of(list, &longer), 0);
    CHECK_EQ(carom_shareable_list_count_of(list, &items[7]), 0);
    end(list);
}

static void none_many_and_long(void) {
    end(make(NULL, 0));
    enum { MANY = 100000, LONG = 9999991 };
    carom_argument *items = calloc(MANY, sizeof *items);
    for (int i = 0; i < MANY; i++) items[i] = CAROM_REAL(i);
    carom_shareable_list *list = make(items, MANY), *none = NULL;
    carom_argument last = CAROM_INTEGER(MANY - 1), shown;
    CHECK_EQ(carom_shareable_list_index_of(list, &last), MANY - 1);
    end(list);
    char *text = calloc(1, LONG + 1);
    memset(text, 't', LONG + 1);
    items[0] = CAROM_STRING(text, LONG);
    list = make(items, 1);
    size_t len = 0;
    memset(text, 0, LONG);
    CHECK_OK(carom_shareable_list_get(list, 0, &shown, text, LONG, &len));
    CHECK_EQ(len, LONG);
    for (int i = 0; i < LONG; i += 1000) CHECK_EQ(text[i], 't');
    end(list);
    items[0] = CAROM_STRING(text, LONG + 1); /* its format would have nine characters */
    CHECK_STATUS(carom_shareable_list_new(items, 1, NULL, &none), CAROM_EMSGSIZE);
    CHECK(none == NULL);
    free(text);
    free(items);
}

static void closed_is_closed(void) {
    carom_shareable_list *list = make(eight, 8), *second = NULL, *none = NULL;
    char name[64];
    snprintf(name, sizeof name, "%s", carom_shareable_list_name(list));
    CHECK_STATUS(carom_shareable_list_new(eight, 8, name, &none), CAROM_EEXIST);
    CHECK_OK(carom_shareable_list_open(name, &second));
    CHECK_OK(carom_shareable_list_close(list));
    CHECK_OK(carom_shareable_list_close(list));
    carom_argument shown;
    CHECK_STATUS(carom_shareable_list_get(list, 0, &shown, NULL, 0, NULL), CAROM_ECLOSED);
    CHECK_STATUS(carom_shareable_list_set(list, 0, eight), CAROM_ECLOSED);
    CHECK_EQ(carom_shareable_list_count(list), CAROM_ECLOSED);
    CHECK_EQ(carom_shareable_list_index_of(list, eight), CAROM_ECLOSED);
    CHECK_EQ(carom_shareable_list_count_of(list, eight), CAROM_ECLOSED);
    CHECK_STR_EQ(carom_shareable_list_name(list), name);
    CHECK_OK(carom_shareable_list_unlink(list));
    CHECK_STATUS(carom_shareable_list_unlink(second), CAROM_ENOENT);
    CHECK_EQ(get(second, 0).integer, 7);
    carom_shareable_list_free(second);
    carom_shareable_list_free(list);
    CHECK_STATUS(carom_shareable_list_open(name, &none), CAROM_ENOENT);
}

static int32_t changes(carom_call *call) {
    carom_argument argument;
    carom_shareable_list *list = NULL;
    char name[64] = "";
    CHECK_OK(carom_call_argument(call, 0, &argument));
    memcpy(name, argument.data, argument.len);
    CHECK_OK(carom_shareable_list_open(name, &list));
    argument = get(list, 0);
    argument.integer++;
    CHECK_OK(carom_shareable_list_set(list, 0, &argument));
    carom_shareable_list_free(list);
    return 0;
}

static void other_processes(void) {
    NOT_ALONE;
    carom_shareable_list *list = make(eight, 8);
    carom_argument name = CAROM_STRING(carom_shareable_list_name(list), strlen(carom_shareable_list_name(list)));
    for (int i = 8; i < 11; i++) {
        CHECK_EQ(outcome_of(changes, &name, 1), 0);
        CHECK_EQ(get(list, 0).integer, i);
    }
    end(list);
}

/* ---------------------------------------------------------------------------------------------------------- nonsense */

static uint64_t seed = 88172645463325252u;
static uint64_t any(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static void spoil(unsigned char *bytes, size_t size) {
    static const int64_t strange[] = {0, 1, -1, 7, 8, 16, 72, 4096, INT64_MAX, INT64_MIN, INT64_MAX - 7, INT64_MAX / 8, INT64_MAX / 17,
                                      (int64_t)1 << 61, (int64_t)1 << 32, -8};
    static const char *const formats[] = {"q", "d", "?", "8s", "9999999s", "99999999", "s", "-1s", "0s", "xxxxxxx?", "xxxxxx?x", "1000s", "17s"};
    for (uint64_t times = 1 + any() % 4; times > 0; times--) {
        size_t word = any() % (size / 8) * 8;
        switch (any() % 4) {
        case 0: bytes[any() % size] = (unsigned char)any(); break;
        case 1: memcpy(bytes + word, &strange[any() % (sizeof strange / sizeof *strange)], 8); break;
        case 2: strncpy((char *)bytes + word, formats[any() % (sizeof formats / sizeof *formats)], 8); break;
        default: bytes[offsetof(__typeof__(expected), kinds) + any() % 8] = (unsigned char)(any() % 6); break;
        }
    }
}

static void survives(carom_shareable_list *list) {
    static char data[1000];
    static const carom_argument text = {.kind = CAROM_ARGUMENT_STRING, .data = "a text of 23 characters", .len = 23};
    int64_t count = carom_shareable_list_count(list);
    CHECK(count >= 0 && count < 1000);
    for (size_t i = 0; i <= (size_t)count; i++) {
        carom_argument shown;
        size_t len = 0;
        carom_status status = carom_shareable_list_get(list, i, &shown, data, sizeof data, &len);
        if (i == (size_t)count) CHECK_EQ(status, CAROM_EINVAL);
        else CHECK(status == CAROM_OK || status == CAROM_EBROKEN || status == CAROM_EMSGSIZE);
        CHECK(status != CAROM_EMSGSIZE || len > sizeof data);
    }
    for (size_t i = 0; i < 8; i++) {
        int64_t found = carom_shareable_list_index_of(list, &eight[i]);
        CHECK((found >= 0 && found < count) || found == CAROM_ENOENT || found == CAROM_EBROKEN);
        found = carom_shareable_list_count_of(list, &eight[i]);
        CHECK((found >= 0 && found <= count) || found == CAROM_EBROKEN);
        for (size_t at = 0; at < (size_t)count; at++) {
            carom_status status = carom_shareable_list_set(list, at, any() % 4 ? &eight[i] : &text);
            CHECK(status == CAROM_OK || status == CAROM_EBROKEN || status == CAROM_EMSGSIZE);
        }
    }
}

/* Bytes that anybody may have written, before a list is opened or after. The memory ends where a page does, and what
 * lies behind it is nothing that may be touched. */
static void nonsense_is_a_status(void) {
    enum { SIZE = 4096 };
    carom_shared_memory *memory = NULL;
    carom_shareable_list *list = NULL;
    CHECK_OK(carom_shared_memory_new(NULL, SIZE, NULL, &memory));
    unsigned char *bytes = carom_shared_memory_data(memory);
    size_t size = offsetof(__typeof__(expected), kinds) + 8;
    int opened = 0, refused = 0;
    for (int round = 0; round < 20000; round++) {
        memset(bytes, 0, SIZE);
        memcpy(bytes, &expected, size);
        if (round % 2) spoil(bytes, size);
        carom_status status = carom_shareable_list_open(carom_shared_memory_name(memory), &list);
        CHECK(status == CAROM_OK || status == CAROM_EBROKEN);
        if (status != CAROM_OK) {
            refused++;
            continue;
        }
        opened++;
        spoil(bytes, size);
        survives(list);
        if (round % 100 == 0) {
            for (int i = 0; i < SIZE; i++) bytes[i] = (unsigned char)any();
            survives(list);
        }
        carom_shareable_list_free(list);
    }
    CHECK(opened > 10000 && refused > 100);
    CHECK_OK(carom_shared_memory_unlink(memory));
    carom_shared_memory_free(memory);
}

/* What is no list, and what is less than one. */
static void no_list_is_no_list(void) {
    size_t size = offsetof(__typeof__(expected), kinds) + 8;
    for (size_t have = 1; have < size; have++) {
        carom_shared_memory *memory = NULL;
        carom_shareable_list *none = NULL;
        CHECK_OK(carom_shared_memory_new(NULL, have, NULL, &memory));
        memcpy(carom_shared_memory_data(memory), &expected, have);
        CHECK_STATUS(carom_shareable_list_open(carom_shared_memory_name(memory), &none), CAROM_EBROKEN);
        CHECK(none == NULL);
        CHECK_OK(carom_shared_memory_unlink(memory));
        carom_shared_memory_free(memory);
    }
}

int main(void) {
    CASE(lies_as_in_python);
    CASE(every_item_into_every_slot);
    CASE(what_fits_and_what_does_not);
    CASE(is_searched);
    CASE(none_many_and_long);
    CASE(closed_is_closed);
    CASE(other_processes);
    CASE(nonsense_is_a_status);
    CASE(no_list_is_no_list);
    return 0;
}
