/* Managers: their types, from several processes and threads, and what is left when one of them dies. */
#include "support.h"

#define KEY(text) ((carom_argument){.kind = CAROM_ARGUMENT_STRING, .data = (text), .len = strlen(text)})
#define INT(number) ((carom_argument){.kind = CAROM_ARGUMENT_INTEGER, .integer = (number)})
#define NIL ((carom_argument){.kind = CAROM_ARGUMENT_NIL})
#define HANDLE(it) ((carom_argument){.kind = CAROM_ARGUMENT_HANDLE, .handle = (it)})

static carom_manager *manager;
static carom_dict *dict;
static carom_list *list;

static void begin(void) {
    CHECK_OK(carom_manager_new(NULL, &manager));
    CHECK_OK(carom_manager_dict(manager, &dict));
    CHECK_OK(carom_manager_list(manager, &list));
}

static void end(void) {
    carom_list_free(list);
    carom_dict_free(dict);
    CHECK_OK(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
}

static uint64_t objects(void) {
    carom_manager_facts info = {.size = sizeof info};
    CHECK_OK(carom_manager_info(manager, &info));
    return info.objects;
}

static uint64_t waiting(void) {
    carom_manager_facts info = {.size = sizeof info};
    CHECK_OK(carom_manager_info(manager, &info));
    return info.waiting;
}

static void await_waiting(uint64_t wanted) {
    int64_t until = now_ms() + PATIENCE_MS;
    while (waiting() != wanted) CHECK(now_ms() < until);
}

static void await_objects(uint64_t wanted) {
    int64_t until = now_ms() + PATIENCE_MS;
    while (objects() != wanted) CHECK(now_ms() < until);
}

static int64_t get_integer(carom_dict *from, const char *key) {
    carom_argument name = KEY(key), found;
    CHECK_OK(carom_dict_get(from, &name, &found, NULL, 0, NULL));
    CHECK_EQ(found.kind, CAROM_ARGUMENT_INTEGER);
    return found.integer;
}

static void set_integer(carom_dict *to, const char *key, int64_t number) {
    carom_argument name = KEY(key), value = INT(number);
    CHECK_OK(carom_dict_set(to, &name, &value));
}

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

/* Python's +=, *=, slices, in and reversed. */
static void whole_lists(void) {
    begin();
    carom_list *other;
    carom_argument items[] = {INT(1), INT(2), INT(3)}, found, inner, four = INT(4);
    _Alignas(16) char data[200];
    CHECK_OK(carom_manager_list(manager, &other));
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
    CHECK_EQ(objects(), 3);
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

/* Those without a handle type of their own. */
static void by_name(void) {
    begin();
    carom_proxy *space, *set;
    carom_array *array;
    carom_queue *queue;
    carom_queue_options one_item = {.size = sizeof one_item, .max_items = 1};
    carom_argument most[] = {INT(1)}, name_value[] = {KEY("x"), INT(1)}, reply, big[] = {INT(0), INT(40000)};
    _Alignas(16) char data[500];
    CHECK_OK(carom_manager_create(manager, "Namespace", NULL, 0, NULL, &space));
    CHECK_OK(carom_manager_array(manager, CAROM_I16, 0, 3, NULL, &array));
    CHECK_OK(carom_manager_create(manager, "set", NULL, 0, NULL, &set));
    CHECK_OK(carom_manager_queue(manager, &one_item, &queue));
    CHECK_OK(carom_proxy_call(space, "set", name_value, 2, &reply, NULL, 0, NULL, 0));
    CHECK_OK(carom_proxy_call(space, "get", name_value, 1, &reply, NULL, 0, NULL, 0));
    CHECK_EQ(reply.integer, 1);
    CHECK_STATUS(carom_proxy_call(space, "get", most, 1, &reply, NULL, 0, NULL, 0), CAROM_EINVAL);
    CHECK_STATUS(carom_proxy_call(array, "set", big, 2, &reply, NULL, 0, NULL, 0), CAROM_EINVAL);
    CHECK_OK(carom_proxy_call(array, "slice", NULL, 0, &reply, data, sizeof data, NULL, 0));
    CHECK_EQ(reply.len, 3);
    CHECK_OK(carom_proxy_call(set, "add", most, 1, &reply, NULL, 0, NULL, 0));
    CHECK_EQ(reply.integer, 1);
    CHECK_OK(carom_proxy_call(set, "add", most, 1, &reply, NULL, 0, NULL, 0));
    CHECK_EQ(reply.integer, 0);
    CHECK_STATUS(carom_proxy_call(queue, "get", NULL, 0, &reply, NULL, 0, NULL, 20), CAROM_ETIMEDOUT);
    CHECK_OK(carom_proxy_call(queue, "put", name_value, 1, &reply, NULL, 0, NULL, 0));
    CHECK_STATUS(carom_proxy_call(queue, "put", name_value, 1, &reply, NULL, 0, NULL, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_proxy_call(queue, "get", NULL, 0, &reply, NULL, 0, NULL, 0), CAROM_EMSGSIZE);
    CHECK_OK(carom_proxy_call(queue, "get", NULL, 0, &reply, data, sizeof data, NULL, 0));
    CHECK_EQ(reply.kind, CAROM_ARGUMENT_STRING);
    CHECK_STATUS(carom_proxy_call(queue, "join", NULL, 0, &reply, NULL, 0, NULL, 0), CAROM_ETIMEDOUT);
    CHECK_OK(carom_proxy_call(queue, "task_done", NULL, 0, &reply, NULL, 0, NULL, 0));
    CHECK_OK(carom_proxy_call(queue, "join", NULL, 0, &reply, NULL, 0, NULL, 0));
    CHECK_STATUS(carom_proxy_call(queue, "task_done", NULL, 0, &reply, NULL, 0, NULL, 0), CAROM_EPERM);
    CHECK_STATUS(carom_proxy_call(queue, "__class__", NULL, 0, &reply, NULL, 0, NULL, 0), CAROM_ENOENT);
    CHECK_OK(carom_proxy_call(dict, "len", NULL, 0, &reply, NULL, 0, NULL, 0));
    CHECK_EQ(objects(), 6);
    carom_proxy_free(space), carom_array_free(array), carom_proxy_free(set), carom_queue_free(queue);
    CHECK_EQ(objects(), 2);
    carom_create_options persistent = {.size = sizeof persistent, .persistent = 1};
    CHECK_OK(carom_manager_create(manager, "set", NULL, 0, &persistent, &set));
    carom_proxy_free(set);
    CHECK_EQ(objects(), 3);
    end();
}

/* ------------------------------------------------------------------------------------------------- several processes */

/* The seed page's first example. */
static int32_t write_both(carom_call *call) {
    carom_dict *shared_dict;
    carom_list *shared_list;
    carom_argument id;
    char name[32], text[64];
    CHECK_OK(carom_call_dict(call, 0, &shared_dict));
    CHECK_OK(carom_call_list(call, 1, &shared_list));
    CHECK_OK(carom_call_argument(call, 2, &id));
    snprintf(name, sizeof name, "worker_%d", (int)id.integer);
    snprintf(text, sizeof text, "Hello from worker %d", (int)id.integer);
    carom_argument key = KEY(name), value = KEY(text);
    CHECK_OK(carom_dict_set(shared_dict, &key, &value));
    CHECK_OK(carom_list_append(shared_list, &id));
    carom_argument total = KEY("total");
    for (int i = 0; i < 100; i++) CHECK_OK(carom_dict_increment(shared_dict, &total, 1, NULL));
    return 0;
}

static void workers(void) {
    begin();
    static const char *const methods[] = {"fork", "spawn", "forkserver"};
    for (int m = 0; m < 3; m++) {
        carom_context *context;
        carom_process *processes[3];
        CHECK_OK(carom_context_new(methods[m], &context));
        carom_process_options options = {.size = sizeof options, .context = context};
        for (int i = 0; i < 3; i++) {
            carom_argument arguments[] = {HANDLE(dict), HANDLE(list), INT(m * 3 + i)};
            CHECK_OK(carom_process_start(write_both, arguments, 3, &options, &processes[i]));
        }
        for (int i = 0; i < 3; i++) CHECK_EQ(ended(processes[i]), 0);
        carom_context_free(context);
    }
    CHECK_EQ(carom_list_len(list), 9);
    CHECK_EQ(carom_dict_len(dict), 10);
    CHECK_EQ(get_integer(dict, "total"), 900);
    end();
    more_fds = 1;
}

/* An object lives as long as somebody in the family has it, whoever that is, or another object contains it. */
static flag *go, *here;
static int32_t keeps(carom_call *call) {
    carom_dict *mine;
    CHECK_OK(carom_call_dict(call, 0, &mine));
    flag_add(here, 1);
    flag_await(go, 1);
    CHECK_EQ(get_integer(mine, "x"), 5);
    return 0;
}

static void references(void) {
    begin();
    go = share(sizeof *go), here = share(sizeof *here);
    carom_dict *inner, *back;
    carom_process *process;
    CHECK_OK(carom_manager_dict(manager, &inner));
    set_integer(inner, "x", 5);
    carom_argument argument = HANDLE(inner), found;
    CHECK_OK(carom_process_start(keeps, &argument, 1, NULL, &process));
    carom_dict_free(inner);
    flag_await(here, 1);
    CHECK_EQ(objects(), 3);
    flag_add(go, 1);
    CHECK_EQ(ended(process), 0);
    await_objects(2);
    /* In a list, and out of it. */
    CHECK_OK(carom_manager_dict(manager, &inner));
    set_integer(inner, "x", 6);
    argument = HANDLE(inner);
    CHECK_OK(carom_list_append(list, &argument));
    carom_dict_free(inner);
    CHECK_EQ(objects(), 3);
    CHECK_OK(carom_list_pop(list, 0, &found, NULL, 0, NULL));
    CHECK_EQ(found.kind, CAROM_ARGUMENT_HANDLE);
    back = found.handle;
    CHECK_EQ(get_integer(back, "x"), 6);
    CHECK_EQ(objects(), 3);
    carom_dict_free(back);
    CHECK_EQ(objects(), 2);
    /* Only objects of the same manager. */
    carom_lock *local;
    CHECK_OK(carom_lock_new(NULL, &local));
    argument = HANDLE(local);
    CHECK_STATUS(carom_list_append(list, &argument), CAROM_EINVAL);
    carom_lock_free(local);
    end();
}

/* ------------------------------------------------------------------------------------------- locks, and who waits */

static int32_t holds(carom_call *call) {
    carom_lock *lock;
    CHECK_OK(carom_call_lock(call, 0, &lock));
    CHECK_OK(carom_lock_acquire(lock, CAROM_FOREVER));
    flag_add(here, 1);
    flag_await(go, 1);
    CHECK_OK(carom_lock_release(lock));
    return 0;
}

static void locks(void) {
    begin();
    go = share(sizeof *go), here = share(sizeof *here);
    carom_lock *lock, *rlock;
    carom_process *process;
    CHECK_OK(carom_manager_lock(manager, &lock));
    CHECK_OK(carom_manager_rlock(manager, &rlock));
    CHECK_OK(carom_lock_acquire(lock, 0));
    CHECK_STATUS(carom_lock_acquire(lock, 10), CAROM_ETIMEDOUT);
    CHECK_EQ(carom_lock_locked(lock), 1);
    CHECK_OK(carom_lock_release(lock));
    CHECK_STATUS(carom_lock_release(lock), CAROM_EPERM);
    for (int i = 0; i < 3; i++) CHECK_OK(carom_lock_acquire(rlock, 0));
    for (int i = 0; i < 3; i++) CHECK_OK(carom_lock_release(rlock));
    CHECK_STATUS(carom_lock_release(rlock), CAROM_EPERM);
    /* A local condition has no use for it. */
    carom_condition *condition;
    CHECK_STATUS(carom_condition_new(lock, &condition), CAROM_ENOTSUP);
    carom_argument argument = HANDLE(lock);
    CHECK_OK(carom_process_start(holds, &argument, 1, NULL, &process));
    flag_await(here, 1);
    CHECK_STATUS(carom_lock_acquire(lock, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_lock_acquire(lock, 20), CAROM_ETIMEDOUT);
    flag_add(go, 1);
    CHECK_OK(carom_lock_acquire(lock, PATIENCE_MS));
    CHECK_OK(carom_lock_release(lock));
    CHECK_EQ(ended(process), 0);
    /* The death of a holder: whoever waits hears of it, and everybody until one recovers it. */
    atomic_store(go, 0), atomic_store(here, 0);
    CHECK_OK(carom_process_start(holds, &argument, 1, NULL, &process));
    flag_await(here, 1);
    CHECK_OK(carom_process_kill(process));
    CHECK_STATUS(carom_lock_acquire(lock, PATIENCE_MS), CAROM_EOWNERDEAD);
    CHECK_STATUS(carom_lock_acquire(lock, 0), CAROM_EOWNERDEAD);
    CHECK_OK(carom_lock_recover(lock, 0));
    CHECK_OK(carom_lock_release(lock));
    CHECK_OK(carom_lock_acquire(lock, 0));
    CHECK_EQ(ended(process), -SIGKILL);
    carom_lock_free(lock), carom_lock_free(rlock);
    end();
}

static carom_condition *condition;
static carom_event *event;
static carom_barrier *barrier;
static carom_semaphore *semaphore;

/* `depth` lists, each in the next. */
static carom_argument *nest(size_t depth) {
    carom_argument *levels = calloc(depth, sizeof *levels);
    for (size_t i = 0; i < depth; i++) levels[i] = (carom_argument){.kind = CAROM_ARGUMENT_LIST, .data = i ? &levels[i - 1] : NULL, .len = i != 0};
    return levels;
}

/* What is too deep, too long, unknown, or of a manager that is gone is the caller's error; all others go on. */
static void bad_input(void) {
    begin();
    carom_argument key = KEY("deep"), found, *levels = nest(10000);
    static _Alignas(16) char data[64 * sizeof(carom_argument)];
    CHECK_OK(carom_dict_set(dict, &key, &levels[63]));
    CHECK_OK(carom_dict_get(dict, &key, &found, data, sizeof data, NULL));
    const carom_argument *level = &found;
    int depth = 1;
    for (; level->len; depth++) level = level->data;
    CHECK_EQ(depth, 64);
    CHECK_STATUS(carom_dict_set(dict, &key, &levels[64]), CAROM_EINVAL);
    CHECK_STATUS(carom_dict_set(dict, &key, &levels[9999]), CAROM_EINVAL);
    CHECK_STATUS(carom_dict_set(dict, &levels[9999], &key), CAROM_EINVAL);
    CHECK_STATUS(carom_list_append(list, &levels[9999]), CAROM_EINVAL);
    /* Each call of a batch is a list itself. */
    carom_argument call[] = {KEY("set"), KEY("deeper"), levels[62]}, calls = {.kind = CAROM_ARGUMENT_LIST, .data = call, .len = 3};
    CHECK_OK(carom_dict_apply(dict, &calls, 1, &found, data, sizeof data, NULL));
    free(levels);

    uint64_t large = (uint64_t)1 << 30;
    void *bytes = mmap(NULL, large, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(bytes != MAP_FAILED);
    carom_argument huge = CAROM_BYTES(bytes, large);
    CHECK_STATUS(carom_dict_set(dict, &huge, &key), CAROM_EMSGSIZE);
    CHECK_STATUS(carom_dict_get(dict, &huge, &found, NULL, 0, NULL), CAROM_EMSGSIZE);
    CHECK_STATUS(carom_dict_contains(dict, &huge), CAROM_EMSGSIZE);
    munmap(bytes, large);

    /* More values than a message has room for, and about as many as it has. */
    size_t many = 1 << 21;
    carom_argument *items = calloc(many, sizeof *items);
    for (size_t i = 0; i < many; i++) items[i] = INT(i);
    CHECK_STATUS(carom_list_extend(list, items, many), CAROM_EMSGSIZE);
    CHECK_EQ(carom_list_len(list), 0);
    many = ((size_t)64 << 20) / sizeof *items - 10;
    CHECK_OK(carom_list_extend(list, items, many));
    CHECK_EQ(carom_list_len(list), many);
    CHECK_OK(carom_list_clear(list));
    free(items);

    carom_proxy *proxy;
    CHECK_STATUS(carom_manager_create(manager, "teapot", NULL, 0, NULL, &proxy), CAROM_ENOENT);
    CHECK_STATUS(carom_proxy_call(dict, "brew", NULL, 0, &found, NULL, 0, NULL, 0), CAROM_ENOENT);
    CHECK_STATUS(carom_proxy_call(dict, "get", NULL, 0, &found, NULL, 0, NULL, 0), CAROM_EINVAL);

    /* Another manager's objects, while it is there and once it is gone. */
    carom_manager *other;
    carom_dict *its;
    CHECK_OK(carom_manager_new(NULL, &other));
    CHECK_OK(carom_manager_dict(other, &its));
    carom_argument foreign = HANDLE(its);
    CHECK_STATUS(carom_dict_set(dict, &key, &foreign), CAROM_EINVAL);
    CHECK_OK(carom_manager_shutdown(other, PATIENCE_MS));
    CHECK_STATUS(carom_dict_set(dict, &key, &foreign), CAROM_EINVAL);
    CHECK(carom_dict_len(its) == CAROM_ECLOSED || carom_dict_len(its) == CAROM_EBROKEN);
    CHECK_STATUS(carom_manager_dict(other, &its), CAROM_ECLOSED);
    carom_manager_free(other);
    CHECK(carom_dict_len(its) < 0);
    carom_dict_free(its);

    CHECK_EQ(carom_dict_len(dict), 2);
    CHECK_EQ(objects(), 2);
    end();
}

static int32_t predicate_calls;
static int32_t is_seven(void *ctx) {
    (void)ctx;
    predicate_calls++;
    return get_integer(dict, "n") == 7;
}

static void *waits_for_seven(void *ctx) {
    CHECK_OK(carom_condition_acquire(condition, CAROM_FOREVER));
    CHECK_OK(carom_condition_wait_for(condition, is_seven, ctx, PATIENCE_MS));
    CHECK_OK(carom_condition_release(condition));
    return NULL;
}

static void *waits_for_event(void *ctx) {
    (void)ctx;
    CHECK_OK(carom_event_wait(event, PATIENCE_MS));
    return NULL;
}

static void *meets(void *index) {
    int64_t got = carom_barrier_wait(barrier, PATIENCE_MS);
    CHECK(got >= 0 && got < 3);
    *(int64_t *)index = got;
    return NULL;
}

static void primitives(void) {
    begin();
    pthread_t threads[3];
    CHECK_OK(carom_manager_condition(manager, NULL, &condition));
    CHECK_OK(carom_manager_event(manager, &event));
    CHECK_OK(carom_manager_barrier(manager, 3, NULL, &barrier));
    CHECK_OK(carom_manager_bounded_semaphore(manager, 2, &semaphore));
    set_integer(dict, "n", 0);
    CHECK_STATUS(carom_condition_wait(condition, 0), CAROM_EPERM);
    CHECK_STATUS(carom_condition_notify_all(condition), CAROM_EPERM);
    CHECK_STATUS(carom_condition_wait_for(condition, is_seven, NULL, 0), CAROM_EPERM);
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&threads[i], NULL, waits_for_seven, NULL), 0);
    await_waiting(3);
    CHECK_OK(carom_condition_acquire(condition, PATIENCE_MS));
    CHECK_OK(carom_condition_notify(condition, 1));
    CHECK_STATUS(carom_condition_wait(condition, 10), CAROM_ETIMEDOUT);
    set_integer(dict, "n", 7);
    CHECK_OK(carom_condition_notify_all(condition));
    CHECK_OK(carom_condition_release(condition));
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_STATUS(carom_condition_release(condition), CAROM_EPERM);

    CHECK_EQ(carom_event_is_set(event), 0);
    CHECK_STATUS(carom_event_wait(event, 0), CAROM_ETIMEDOUT);
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&threads[i], NULL, waits_for_event, NULL), 0);
    await_waiting(3);
    CHECK_OK(carom_event_set(event));
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(carom_event_is_set(event), 1);
    CHECK_OK(carom_event_clear(event));
    CHECK_EQ(carom_event_is_set(event), 0);

    int64_t indexes[3] = {-1, -1, -1};
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_create(&threads[i], NULL, meets, &indexes[i]), 0);
    await_waiting(2);
    CHECK_EQ(carom_barrier_waiting(barrier), 2);
    meets(&indexes[2]);
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(indexes[2], 2);
    CHECK_EQ(indexes[0] + indexes[1], 1);
    CHECK_EQ(carom_barrier_parties(barrier), 3);
    CHECK_EQ(carom_barrier_broken(barrier), 0);
    CHECK_STATUS((carom_status)carom_barrier_wait(barrier, 0), CAROM_ETIMEDOUT);
    CHECK_EQ(carom_barrier_broken(barrier), 1);
    CHECK_STATUS((carom_status)carom_barrier_wait(barrier, 0), CAROM_EBROKEN);
    CHECK_OK(carom_barrier_reset(barrier));
    CHECK_EQ(carom_barrier_broken(barrier), 0);
    CHECK_OK(carom_barrier_abort(barrier));
    CHECK_EQ(carom_barrier_broken(barrier), 1);

    CHECK_OK(carom_semaphore_acquire(semaphore, 0));
    CHECK_EQ(carom_semaphore_value(semaphore), 1);
    CHECK_OK(carom_semaphore_acquire(semaphore, 0));
    CHECK_STATUS(carom_semaphore_acquire(semaphore, 10), CAROM_ETIMEDOUT);
    CHECK_OK(carom_semaphore_release(semaphore));
    CHECK_OK(carom_semaphore_release(semaphore));
    CHECK_STATUS(carom_semaphore_release(semaphore), CAROM_EPERM);
    CHECK_EQ(carom_semaphore_value(semaphore), 2);
    carom_semaphore_free(semaphore), carom_barrier_free(barrier), carom_event_free(event), carom_condition_free(condition);
    CHECK_EQ(objects(), 2);
    end();
}

static void *changes(void *ctx) {
    (void)ctx;
    await_waiting(1);
    set_integer(dict, "other", 1);
    await_waiting(1);
    set_integer(dict, "watched", 17);
    return NULL;
}

static void changes_are_waited_for(void) {
    begin();
    pthread_t thread;
    carom_argument key = KEY("watched"), found;
    uint64_t version = 0;
    CHECK_STATUS(carom_dict_wait(dict, &key, &version, &found, NULL, 0, NULL, 0), CAROM_ETIMEDOUT);
    CHECK_EQ(pthread_create(&thread, NULL, changes, NULL), 0);
    CHECK_EQ(carom_dict_wait(dict, &key, &version, &found, NULL, 0, NULL, PATIENCE_MS), 1);
    CHECK_EQ(found.integer, 17);
    CHECK(version != 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_STATUS(carom_dict_wait(dict, &key, &version, &found, NULL, 0, NULL, 10), CAROM_ETIMEDOUT);
    CHECK_OK(carom_dict_delete(dict, &key));
    CHECK_EQ(carom_dict_wait(dict, &key, &version, &found, NULL, 0, NULL, 0), 0);
    CHECK_EQ(found.kind, CAROM_ARGUMENT_NIL);
    end();
}

/* ----------------------------------------------------------------------------------------------------------- others */

static void strangers(void) {
    const char *addresses[] = {NULL, "127.0.0.1:0"};
    for (int i = 0; i < 2; i++) {
        carom_manager_options options = {.size = sizeof options, .address = addresses[i], .authkey = "secret", .authkey_len = 6};
        char address[200];
        int fds[2], sent = 0;
        if (i == 1) {
            CHECK_OK(carom_authkey_set("secret", 6));
            options.authkey = NULL, options.authkey_len = 0;
        }
        CHECK_OK(carom_manager_new(&options, &manager));
        CHECK_OK(carom_manager_address(manager, address, sizeof address, NULL));
        CHECK_STATUS(carom_manager_address(manager, address, 3, NULL), CAROM_EMSGSIZE);
        CHECK_OK(carom_manager_address(manager, address, sizeof address, NULL));
        carom_create_options persistent = {.size = sizeof persistent, .persistent = 1};
        carom_proxy *set;
        CHECK_OK(carom_manager_create(manager, "set", NULL, 0, &persistent, &set));
        CHECK_EQ(pipe(fds), 0);
        pid_t pid = fork();
        if (pid == 0) {
            /* Not of this family: an exec would make it so, and so does this. */
            char text[200] = "";
            CHECK(read(fds[0], text, sizeof text) > 0);
            execl("/proc/self/exe", "test_manager", "stranger", text, (char *)NULL);
            _exit(CHECK_FAILED);
        }
        CHECK(write(fds[1], address, sizeof address) > 0);
        CHECK_EQ(wait_for(pid), 0);
        close(fds[0]), close(fds[1]);
        await_objects(1);
        (void)sent;
        carom_proxy_free(set);
        CHECK_OK(carom_manager_shutdown(manager, PATIENCE_MS));
        carom_manager_free(manager);
    }
}

static int stranger(const char *address) {
    carom_manager_options options = {.size = sizeof options, .address = address, .authkey = "Secret", .authkey_len = 6};
    CHECK_STATUS(carom_manager_open(&options, &manager, PATIENCE_MS), CAROM_EACCES);
    options.authkey = NULL, options.authkey_len = 0; /* this process's */
    CHECK_STATUS(carom_manager_open(&options, &manager, PATIENCE_MS), CAROM_EACCES);
    CHECK_OK(carom_authkey_set("secret", 6));
    CHECK_OK(carom_manager_open(&options, &manager, PATIENCE_MS));
    CHECK_OK(carom_manager_dict(manager, &dict));
    CHECK_OK(carom_manager_list(manager, &list));
    set_integer(dict, "x", 3);
    CHECK_EQ(get_integer(dict, "x"), 3);
    carom_argument inner = HANDLE(dict);
    CHECK_OK(carom_list_append(list, &inner));
    CHECK_EQ(objects(), 3);
    carom_dict_free(dict);
    carom_argument found;
    CHECK_OK(carom_list_pop(list, 0, &found, NULL, 0, NULL));
    CHECK_EQ(get_integer(found.handle, "x"), 3);
    carom_dict_free(found.handle);
    CHECK_EQ(objects(), 2);
    CHECK_STATUS(carom_manager_join(manager, 0), CAROM_EPERM);
    carom_manager_free(manager); /* the list is left to the end of this process */
    return 0;
}

static void serves(void) {
    char path[] = "/tmp/carom-manager-XXXXXX", address[64];
    CHECK(mkdtemp(path) != NULL);
    snprintf(address, sizeof address, "%s/socket", path);
    carom_manager_options options = {.size = sizeof options, .address = address, .authkey = "secret", .authkey_len = 6};
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_OK(carom_manager_serve(&options));
        _exit(0);
    }
    int64_t until = now_ms() + PATIENCE_MS;
    while (access(address, F_OK) != 0) CHECK(now_ms() < until);
    carom_status status;
    while ((status = carom_manager_open(&options, &manager, PATIENCE_MS)) == CAROM_ECONNREFUSED) CHECK(now_ms() < until);
    CHECK_OK(status);
    CHECK_OK(carom_manager_dict(manager, &dict));
    set_integer(dict, "x", 3);
    CHECK_OK(carom_manager_shutdown(manager, PATIENCE_MS));
    CHECK_EQ(wait_for(pid), 0);
    carom_argument key = KEY("x"), found;
    carom_status lost = carom_dict_get(dict, &key, &found, NULL, 0, NULL);
    CHECK(lost == CAROM_ECLOSED || lost == CAROM_EBROKEN);
    CHECK_STATUS(carom_dict_get(dict, &key, &found, NULL, 0, NULL), CAROM_ECLOSED);
    carom_dict_free(dict);
    carom_manager_free(manager);
    CHECK_EQ(access(address, F_OK), -1); /* it has taken its path away */
    CHECK_EQ(rmdir(path), 0);
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "stranger") == 0) return stranger(argv[2]);
    carom_init(argc, argv);
    CASE(values);
    CASE(dicts);
    CASE(lists);
    CASE(whole_lists);
    CASE(by_name);
    CASE(bad_input);
    CASE(references);
    CASE(locks);
    CASE(primitives);
    CASE(changes_are_waited_for);
    CASE(strangers);
    CASE(serves);
    CASE(workers);
    return 0;
}
