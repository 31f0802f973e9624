/* A manager's dict and list: every kind of value, and the whole of Python's vocabulary. */
#include "manager_objects.h"

/* Every kind of value comes back as it was. */
static void values(void) {
    begin();
    carom_argument inner[] = {INT(-1), {.kind = CAROM_ARGUMENT_REAL, .real = 0.5}, NIL, KEY("a text of some length")};
    carom_argument pairs[] = {KEY("list"), {.kind = CAROM_ARGUMENT_LIST, .data = inner, .len = 4}, INT(7), {.kind = CAROM_ARGUMENT_BOOL, .integer = 1}};
    carom_argument map = {.kind = CAROM_ARGUMENT_MAP, .data = pairs, .len = 2}, key = INT(5), found;
    _Alignas(16) char data[1024];
    size_t len = 0;
    CHECK_OK(carom_dict_set(dict, &key, &map));
    CHECK_OK(carom_dict_get(dict, &key, &found, data, sizeof data, &len));
    CHECK_EQ(found.kind, CAROM_ARGUMENT_MAP);
    CHECK_EQ(found.len, 2);
    const carom_argument *got = found.data, *items = got[1].data;
    CHECK(got[0].len == 4 && memcmp(got[0].data, "list", 4) == 0);
    CHECK_EQ(got[1].len, 4);
    CHECK_EQ(items[0].integer, -1);
    CHECK(items[1].real == 0.5);
    CHECK_EQ(items[2].kind, CAROM_ARGUMENT_NIL);
    CHECK_EQ(items[3].len, 21);
    CHECK_EQ((uintptr_t)items[3].data % 16, 0);
    CHECK_EQ(got[3].kind, CAROM_ARGUMENT_BOOL);
    CHECK_EQ(got[3].integer, 1);
    CHECK((const char *)got >= data && (const char *)got + len <= data + sizeof data);
    /* Too small by one byte, and just large enough, wherever the memory begins. */
    for (size_t offset = 0; offset < 16; offset++) {
        size_t needed = 0, again = 0;
        CHECK_STATUS(carom_dict_get(dict, &key, &found, data + offset, 1, &needed), CAROM_EMSGSIZE);
        CHECK_STATUS(carom_dict_pop(dict, &key, &found, data + offset, needed - 1, &again), CAROM_EMSGSIZE);
        CHECK_EQ(again, needed);
        CHECK_OK(carom_dict_get(dict, &key, &found, data + offset, needed, &again));
        CHECK_EQ(again, needed);
    }
    CHECK_OK(carom_dict_pop(dict, &key, &found, data, sizeof data, NULL));
    CHECK_STATUS(carom_dict_pop(dict, &key, &found, data, sizeof data, NULL), CAROM_ENOENT);
    /* A value of megabytes. */
    size_t large = 20 << 20;
    char *bytes = malloc(large), *back = malloc(large + 16);
    memset(bytes, 7, large);
    carom_argument blob = CAROM_BYTES(bytes, large);
    CHECK_OK(carom_dict_set(dict, &key, &blob));
    CHECK_OK(carom_dict_get(dict, &key, &found, back, large + 16, NULL));
    CHECK_EQ(found.len, large);
    CHECK_EQ(memcmp(found.data, bytes, large), 0);
    blob = (carom_argument)CAROM_BYTES(bytes, (uint64_t)65 << 20);
    CHECK_STATUS(carom_dict_set(dict, &key, &blob), CAROM_EMSGSIZE);
    free(bytes), free(back);
    end();
}

static void dicts(void) {
    begin();
    set_integer(dict, "a", 1);
    set_integer(dict, "b", 2);
    carom_argument a = KEY("a"), b = KEY("b"), c = KEY("c"), one = INT(1), five = INT(5), found;
    int64_t after = 0;
    CHECK_EQ(carom_dict_len(dict), 2);
    CHECK_EQ(carom_dict_contains(dict, &a), 1);
    CHECK_EQ(carom_dict_contains(dict, &c), 0);
    CHECK_OK(carom_dict_increment(dict, &a, 41, &after));
    CHECK_EQ(after, 42);
    CHECK_OK(carom_dict_increment(dict, &c, -1, NULL));
    CHECK_EQ(get_integer(dict, "c"), -1);
    CHECK_EQ(carom_dict_swap(dict, &a, &one, &five), 0);
    one.integer = 42;
    CHECK_EQ(carom_dict_swap(dict, &a, &one, &five), 1);
    CHECK_EQ(carom_dict_swap(dict, &a, NULL, &five), 0);
    CHECK_OK(carom_dict_setdefault(dict, &b, &five, &found, NULL, 0, NULL));
    CHECK_EQ(found.integer, 2);
    CHECK_OK(carom_dict_delete(dict, &c));
    CHECK_STATUS(carom_dict_delete(dict, &c), CAROM_ENOENT);
    carom_argument pairs[200], map = {.kind = CAROM_ARGUMENT_MAP, .data = pairs, .len = 100};
    for (int i = 0; i < 100; i++) pairs[2 * i] = INT(i), pairs[2 * i + 1] = INT(i * i);
    CHECK_OK(carom_dict_update(dict, &map));
    CHECK_EQ(carom_dict_len(dict), 102);
    uint64_t cursor = 0;
    int64_t count, met = 0, sum = 0;
    _Alignas(16) char data[1000];
    while ((count = carom_dict_items(dict, &cursor, &found, met ? 7 : 0, data, sizeof data, NULL)) > 0) {
        const carom_argument *got = found.data;
        CHECK_EQ(found.len, count);
        for (int64_t i = 0; i < count; i++)
            if (met++ >= 2) sum += got[2 * i + 1].integer;
    }
    CHECK_EQ(count, 0);
    CHECK_EQ(met, 102);
    CHECK_EQ(sum, 328350);
    carom_argument delete_a[] = {KEY("delete"), a}, set_c[] = {KEY("set"), c, five}, delete_z[] = {KEY("delete"), KEY("z")};
    carom_argument calls[] = {{.kind = CAROM_ARGUMENT_LIST, .data = delete_a, .len = 2}, {.kind = CAROM_ARGUMENT_LIST, .data = set_c, .len = 3}, {.kind = CAROM_ARGUMENT_LIST, .data = delete_z, .len = 2}};
    CHECK_STATUS(carom_dict_apply(dict, calls, 3, &found, data, sizeof data, NULL), CAROM_ENOENT);
    CHECK_EQ(get_integer(dict, "a"), 5);
    CHECK_EQ(carom_dict_contains(dict, &c), 0);
    CHECK_OK(carom_dict_apply(dict, calls, 2, &found, data, sizeof data, NULL));
    CHECK_EQ(found.len, 2);
    CHECK_EQ(carom_dict_contains(dict, &a), 0);
    CHECK_EQ(get_integer(dict, "c"), 5);
    /* Wholes, and the last one; what does not fit stays. */
    CHECK_OK(carom_dict_clear(dict));
    set_integer(dict, "a", 1);
    set_integer(dict, "b", 2);
    size_t needed = 0;
    const carom_argument *got;
    CHECK_OK(carom_dict_keys(dict, &found, data, sizeof data, NULL));
    got = found.data;
    CHECK(found.kind == CAROM_ARGUMENT_LIST && found.len == 2 && *(const char *)got[0].data == 'a' && *(const char *)got[1].data == 'b');
    CHECK_OK(carom_dict_values(dict, &found, data, sizeof data, NULL));
    got = found.data;
    CHECK(found.kind == CAROM_ARGUMENT_LIST && found.len == 2 && got[0].integer == 1 && got[1].integer == 2);
    CHECK_OK(carom_dict_copy(dict, &found, data, sizeof data, NULL));
    got = found.data;
    CHECK(found.kind == CAROM_ARGUMENT_MAP && found.len == 2 && got[1].integer == 1 && got[3].integer == 2);
    CHECK_STATUS(carom_dict_copy(dict, &found, data, 16, &needed), CAROM_EMSGSIZE);
    CHECK_OK(carom_dict_copy(dict, &found, data, needed, NULL));
    CHECK_STATUS(carom_dict_popitem(dict, &found, data, 16, NULL), CAROM_EMSGSIZE);
    CHECK_OK(carom_dict_popitem(dict, &found, data, sizeof data, NULL));
    got = found.data;
    CHECK(found.len == 2 && *(const char *)got[0].data == 'b' && got[1].integer == 2);
    CHECK_OK(carom_dict_popitem(dict, &found, data, sizeof data, NULL));
    CHECK_STATUS(carom_dict_popitem(dict, &found, data, sizeof data, NULL), CAROM_ENOENT);
    CHECK_EQ(carom_dict_len(dict), 0);
    end();
}

static void lists(void) {
    begin();
    carom_argument items[] = {INT(3), INT(1), INT(2)}, found, nine = INT(9);
    _Alignas(16) char data[1000];
    CHECK_OK(carom_list_extend(list, items, 3));
    CHECK_OK(carom_list_append(list, &nine));
    CHECK_OK(carom_list_insert(list, 0, &nine));
    CHECK_EQ(carom_list_len(list), 5);
    CHECK_EQ(carom_list_count(list, &nine), 2);
    CHECK_EQ(carom_list_index(list, &items[2]), 3);
    CHECK_OK(carom_list_sort(list, 0));
    CHECK_OK(carom_list_slice(list, 1, -1, &found, data, sizeof data, NULL));
    CHECK_EQ(found.len, 3);
    CHECK_EQ(((const carom_argument *)found.data)[0].integer, 2);
    CHECK_OK(carom_list_reverse(list));
    CHECK_OK(carom_list_get(list, -1, &found, NULL, 0, NULL));
    CHECK_EQ(found.integer, 1);
    CHECK_STATUS(carom_list_get(list, 5, &found, NULL, 0, NULL), CAROM_ENOENT);
    CHECK_OK(carom_list_set(list, 0, &items[0]));
    CHECK_OK(carom_list_pop(list, 0, &found, NULL, 0, NULL));
    CHECK_EQ(found.integer, 3);
    CHECK_OK(carom_list_remove(list, &nine));
    CHECK_STATUS(carom_list_remove(list, &nine), CAROM_ENOENT);
    CHECK_OK(carom_list_delete(list, 0));
    CHECK_EQ(carom_list_len(list), 2);
    CHECK_OK(carom_list_clear(list));
    CHECK_EQ(carom_list_len(list), 0);
    end();
}

static void is_list_of(const int64_t *wanted, int64_t count) {
    carom_argument found;
    _Alignas(16) char data[4096];
    CHECK_EQ(carom_list_len(list), count);
    CHECK_OK(carom_list_slice(list, 0, INT64_MAX, &found, data, sizeof data, NULL));
    for (int64_t i = 0; i < count; i++) CHECK_EQ(((const carom_argument *)found.data)[i].integer, wanted[i]);
}

/* What they are made of: what could be added later, too. */
static void made_of(void) {
    begin();
    carom_argument pairs[] = {KEY("a"), INT(1), KEY("list"), HANDLE(list)}, items[] = {INT(7), INT(8), HANDLE(list)}, found;
    carom_argument contents = {.kind = CAROM_ARGUMENT_MAP, .data = pairs, .len = 2}, wrong = INT(1);
    carom_dict *full, *none = NULL;
    carom_list *long_one;
    CHECK_OK(carom_manager_dict(manager, &contents, &full));
    CHECK_EQ(carom_dict_len(full), 2);
    CHECK_EQ(get_integer(full, "a"), 1);
    CHECK_OK(carom_manager_list(manager, items, 3, &long_one));
    CHECK_EQ(carom_list_len(long_one), 3);
    CHECK_OK(carom_list_get(long_one, 1, &found, NULL, 0, NULL));
    CHECK_EQ(found.integer, 8);
    /* They keep what they name. */
    carom_list_free(list);
    CHECK_EQ(facts().objects, 4);
    carom_dict_free(full);
    CHECK_OK(carom_list_pop(long_one, 2, &found, NULL, 0, NULL));
    list = found.handle;
    carom_list_free(long_one);
    await_objects(2);
    CHECK_STATUS(carom_manager_dict(manager, &wrong, &none), CAROM_EINVAL);
    CHECK_STATUS(carom_manager_list(manager, NULL, 3, &long_one), CAROM_EINVAL);
    CHECK(none == NULL && facts().objects == 2);
    end();
}

/* Python's +=, *=, slices, in and reversed. */
static void whole_lists(void) {
    begin();
    carom_list *other;
    carom_argument items[] = {INT(1), INT(2), INT(3)}, found, inner, four = INT(4);
    _Alignas(16) char data[200];
    CHECK_OK(carom_manager_list(manager, NULL, 0, &other));
    CHECK_OK(carom_list_extend(list, items, 3));
    CHECK_OK(carom_list_repeat(list, 2));
    CHECK_OK(carom_list_repeat(list, 1));
    is_list_of((int64_t[]){1, 2, 3, 1, 2, 3}, 6);
    CHECK_OK(carom_list_set_slice(list, 1, 5, &four, 1));
    is_list_of((int64_t[]){1, 4, 3}, 3);
    CHECK_OK(carom_list_set_slice(list, -1, -1, items, 2));
    is_list_of((int64_t[]){1, 4, 1, 2, 3}, 5);
    CHECK_OK(carom_list_set_slice(list, 0, 2, NULL, 0));
    CHECK_EQ(carom_list_contains(list, &four), 0);
    CHECK_EQ(carom_list_contains(list, &items[0]), 1);
    /* Another list, itself, and an empty one. */
    CHECK_OK(carom_list_extend(other, &four, 1));
    CHECK_OK(carom_list_extend_from(list, other));
    CHECK_OK(carom_list_extend_from(list, list));
    is_list_of((int64_t[]){1, 2, 3, 4, 1, 2, 3, 4}, 8);
    CHECK_EQ(carom_list_len(other), 1);
    CHECK_OK(carom_list_clear(other));
    CHECK_OK(carom_list_extend_from(list, other));
    CHECK_EQ(carom_list_len(list), 8);
    /* What is in the other one is in this one too, and lives as long. */
    inner = HANDLE(other);
    CHECK_OK(carom_list_append(other, &inner));
    CHECK_OK(carom_list_clear(list));
    CHECK_OK(carom_list_extend_from(list, other));
    CHECK_OK(carom_list_clear(other));
    carom_list_free(other);
    CHECK_EQ(facts().objects, 3);
    CHECK_OK(carom_list_pop(list, 0, &found, NULL, 0, NULL));
    other = found.handle;
    /* Both ways, as many as fit. */
    for (int64_t i = 0; i < 100; i++) items[0] = INT(i), CHECK_OK(carom_list_append(list, items));
    int64_t (*const walks[])(carom_list *, uint64_t *, carom_argument *, size_t, void *, size_t, size_t *) = {carom_list_items, carom_list_reversed};
    for (int way = 0; way < 2; way++) {
        uint64_t cursor = 0;
        int64_t met = 0, count;
        size_t len = 0;
        while ((count = walks[way](list, &cursor, &found, met < 10 ? 7 : 0, data, sizeof data, &len)) > 0) {
            CHECK_EQ(found.len, count);
            CHECK(len <= sizeof data && (met >= 10 || count <= 7));
            for (int64_t i = 0; i < count; i++, met++) CHECK_EQ(((const carom_argument *)found.data)[i].integer, way ? 99 - met : met);
        }
        CHECK_EQ(count, 0);
        CHECK_EQ(met, 100);
        CHECK_EQ(walks[way](list, &cursor, &found, 0, data, sizeof data, NULL), 0);
    }
    /* A list without an end would not fit into the manager. */
    CHECK_STATUS(carom_list_repeat(list, SIZE_MAX), CAROM_ENOMEM);
    CHECK_EQ(carom_list_len(list), 100);
    CHECK_OK(carom_list_repeat(list, 0));
    CHECK_EQ(carom_list_len(list), 0);
    CHECK_OK(carom_list_repeat(list, SIZE_MAX));
    CHECK_EQ(carom_list_len(list), 0);
    carom_list_free(other);
    end();
}

int main(int argc, char **argv) {
    carom_init(argc, argv);
    CASE(values);
    CASE(dicts);
    CASE(lists);
    CASE(made_of);
    CASE(whole_lists);
    return 0;
}
