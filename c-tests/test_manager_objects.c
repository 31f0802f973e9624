/* Objects of a manager behind the functions of local ones, and found by others: queues, barriers with an action, the directory. */
#include "manager.h"
#include <sys/socket.h>
#include <sys/un.h>

static void begin(void) { CHECK_OK(carom_manager_new(NULL, &manager)); }
static void end(void) {
    CHECK_OK(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
}

static void queues(void) {
    begin();
    carom_queue *queue;
    carom_queue_options options = {.size = sizeof options, .max_items = 4, .max_bytes = 100};
    char data[128];
    size_t len = 0, lens[8];
    CHECK_OK(carom_manager_queue(manager, &options, &queue));
    CHECK_EQ(carom_queue_empty(queue), 1);
    CHECK_STATUS(carom_queue_get(queue, data, sizeof data, &len, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_queue_get(queue, data, sizeof data, &len, 20), CAROM_ETIMEDOUT);
    CHECK_OK(carom_queue_put(queue, "first", 5, 0));
    CHECK_OK(carom_queue_put(queue, "", 0, 0));
    CHECK_OK(carom_queue_put_many(queue, "aabb", 2, 2, 0));
    CHECK_OK(carom_queue_put_many(queue, "aabb", 2, 0, 0));
    CHECK_EQ(carom_queue_size(queue), 4);
    CHECK_EQ(carom_queue_full(queue), 1);
    CHECK_STATUS(carom_queue_put(queue, "x", 1, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_queue_put_many(queue, data, 1, 5, 0), CAROM_EMSGSIZE);
    CHECK_STATUS(carom_queue_get(queue, data, 4, &len, 0), CAROM_EMSGSIZE);
    CHECK_EQ(len, 5);
    CHECK_OK(carom_queue_get(queue, data, sizeof data, &len, 0));
    CHECK(len == 5 && memcmp(data, "first", 5) == 0);
    CHECK_STATUS(carom_queue_put(queue, data, 101, 0), CAROM_EMSGSIZE);
    CHECK_STATUS(carom_queue_put(queue, data, 97, 0), CAROM_ETIMEDOUT);
    CHECK_EQ(carom_queue_get_many(queue, data, 2, 8, lens, 0), 3);
    CHECK(lens[0] == 0 && lens[1] == 2 && memcmp(data + 2, "aabb", 4) == 0);
    CHECK_STATUS(carom_queue_join(queue, 0), CAROM_ETIMEDOUT);
    for (int i = 0; i < 4; i++) CHECK_OK(carom_queue_task_done(queue));
    CHECK_OK(carom_queue_join(queue, PATIENCE_MS));
    CHECK_STATUS(carom_queue_task_done(queue), CAROM_EPERM);

    /* What is no bytes is for whoever gets values. */
    carom_argument number = INT(7), reply;
    CHECK_OK(carom_proxy_call(queue, "put", &number, 1, &reply, NULL, 0, NULL, 0));
    CHECK_STATUS(carom_queue_get(queue, data, sizeof data, &len, 0), CAROM_EINVAL);
    CHECK_OK(carom_proxy_call(queue, "get", NULL, 0, &reply, NULL, 0, NULL, 0));
    CHECK_EQ(reply.integer, 7);

    /* The end, of this handle and of the queue. */
    CHECK_OK(carom_queue_put(queue, "last", 4, 0));
    CHECK_OK(carom_queue_close(queue));
    CHECK_STATUS(carom_queue_put(queue, "x", 1, 0), CAROM_ECLOSED);
    CHECK_OK(carom_queue_shutdown(queue));
    CHECK_OK(carom_queue_get(queue, data, sizeof data, &len, PATIENCE_MS));
    CHECK_STATUS(carom_queue_get(queue, data, sizeof data, &len, PATIENCE_MS), CAROM_ECLOSED);
    carom_queue_free(queue);
    CHECK_STATUS(carom_queue_size(queue), CAROM_EBADHANDLE);
    await_objects(0);
    end();
}

static int32_t produces(carom_call *call) {
    carom_queue *queue;
    CHECK_OK(carom_call_queue(call, 0, &queue));
    for (int64_t i = 0; i < 100; i++) CHECK_OK(carom_queue_put(queue, &i, sizeof i, PATIENCE_MS));
    return 0;
}

static int32_t dies_with_item(carom_call *call) {
    carom_queue *queue;
    CHECK_OK(carom_call_queue(call, 0, &queue));
    int64_t number;
    CHECK_OK(carom_queue_get(queue, &number, sizeof number, NULL, PATIENCE_MS));
    raise(SIGKILL);
    return 0;
}

/* A queue as argument, in a queue and in a dict: it is the same one. What was got and received is gone with who got it. */
static void queues_travel(void) {
    begin();
    carom_queue *queue, *post;
    carom_process *process;
    int64_t number, sum = 0;
    size_t len;
    CHECK_OK(carom_manager_queue(manager, NULL, &queue));
    CHECK_OK(carom_manager_queue(manager, NULL, &post));
    carom_argument argument = HANDLE(queue), reply;
    CHECK_OK(carom_proxy_call(post, "put", &argument, 1, &reply, NULL, 0, NULL, 0));
    CHECK_OK(carom_process_start(produces, &argument, 1, NULL, &process));
    CHECK_OK(carom_proxy_call(post, "get", NULL, 0, &reply, NULL, 0, NULL, 0));
    CHECK_EQ(reply.kind, CAROM_ARGUMENT_HANDLE);
    for (int i = 0; i < 99; i++) {
        CHECK_OK(carom_queue_get(reply.handle, &number, sizeof number, &len, PATIENCE_MS));
        sum += number;
    }
    CHECK_EQ(sum, 98 * 99 / 2);
    CHECK_EQ(ended(process), 0);
    CHECK_EQ(outcome_of(dies_with_item, &argument, 1), -SIGKILL);
    CHECK_EQ(carom_queue_size(queue), 0);
    carom_queue_free(reply.handle);
    carom_queue_free(post);
    await_objects(1);
    carom_queue_free(queue);
    end();
}

/* --------------------------------------------------------------------------------------------- values and arrays */

static int32_t adds(carom_call *call) {
    carom_value *value;
    carom_array *array;
    CHECK_OK(carom_call_value(call, 0, &value));
    CHECK_OK(carom_call_array(call, 1, &array));
    for (int i = 0; i < 100; i++) CHECK_OK(carom_value_add(value, 1, NULL));
    double items[2] = {0.5, -1};
    CHECK_OK(carom_array_set(array, 1, items, sizeof items, PATIENCE_MS));
    return 0;
}

static void values_and_arrays(void) {
    begin();
    carom_value *value, *small;
    carom_array *array;
    carom_process *processes[2];
    int64_t number = 5, before = 0;
    int16_t short_number = -3;
    double items[4] = {1, 2, 3, 4}, got[4];
    CHECK_OK(carom_manager_value(manager, CAROM_I64, &number, 0, &value));
    CHECK_OK(carom_manager_value(manager, CAROM_I16, NULL, 2, &small));
    CHECK_OK(carom_manager_array(manager, CAROM_F64, 8, 4, items, &array));
    CHECK_EQ(carom_value_size(value), 8);
    CHECK_EQ(carom_value_type(value), CAROM_I64);
    CHECK_EQ(carom_array_count(array), 4);
    CHECK_EQ(carom_array_type(array), CAROM_F64);
    carom_argument arguments[] = {HANDLE(value), HANDLE(array)};
    for (int i = 0; i < 2; i++) CHECK_OK(carom_process_start(adds, arguments, 2, NULL, &processes[i]));
    for (int i = 0; i < 2; i++) CHECK_EQ(ended(processes[i]), 0);
    CHECK_OK(carom_value_load(value, &number));
    CHECK_EQ(number, 205);
    CHECK_OK(carom_value_swap(value, 1, 2, &before));
    CHECK_EQ(before, 205);
    CHECK_OK(carom_value_swap(value, 205, INT64_MAX, &before));
    CHECK_OK(carom_value_add(value, 1, &before));
    CHECK_EQ(before, INT64_MAX);
    CHECK_OK(carom_value_get(value, &number, sizeof number, PATIENCE_MS));
    CHECK_EQ(number, INT64_MIN);
    CHECK_STATUS(carom_value_get(value, &number, 4, PATIENCE_MS), CAROM_EMSGSIZE);
    CHECK_OK(carom_value_set(small, &short_number, 2, PATIENCE_MS));
    CHECK_STATUS(carom_value_set(small, &number, 8, PATIENCE_MS), CAROM_EINVAL);
    CHECK_STATUS(carom_value_set(small, &number, 1, PATIENCE_MS), CAROM_EMSGSIZE);
    CHECK_OK(carom_value_store(small, 0x12345));
    CHECK_OK(carom_value_get(small, &short_number, 2, PATIENCE_MS));
    CHECK_EQ(short_number, 0x2345);

    CHECK_OK(carom_array_get(array, 0, 4, got, sizeof got, PATIENCE_MS));
    CHECK(got[0] == 1 && got[1] == 0.5 && got[2] == -1 && got[3] == 4);
    CHECK_STATUS(carom_array_get(array, 2, 3, got, sizeof got, PATIENCE_MS), CAROM_EINVAL);
    CHECK_STATUS(carom_array_get(array, SIZE_MAX, 1, got, sizeof got, PATIENCE_MS), CAROM_EINVAL);
    CHECK_STATUS(carom_array_get(array, 0, 2, got, 15, PATIENCE_MS), CAROM_EMSGSIZE);
    CHECK_STATUS(carom_array_set(array, 3, items, 16, PATIENCE_MS), CAROM_EINVAL);

    /* What only memory that is shared has. */
    carom_lock *lock;
    CHECK(carom_value_data(value) == NULL);
    CHECK_STATUS(carom_value_lock(value, 0), CAROM_ENOTSUP);
    CHECK_STATUS(carom_value_get_lock(value, &lock), CAROM_ENOTSUP);
    CHECK_STATUS(carom_array_lock(array, 0), CAROM_ENOTSUP);
    carom_value_free(value), carom_value_free(small), carom_array_free(array);
    await_objects(0);
    end();
}

/* ------------------------------------------------------------------------------------------------------ barriers */

static flag *ran;

static int32_t counts(carom_call *call) {
    (void)call;
    flag_add(ran, 1);
    return 0;
}
static int32_t refuses(carom_call *call) { return carom_call_fail(call, 3, "not today"); }

static void *arrives(void *barrier) { return (void *)(intptr_t)carom_barrier_wait(barrier, PATIENCE_MS); }

static int64_t other_party(carom_barrier *barrier, int64_t *mine) {
    pthread_t thread;
    void *its;
    CHECK_EQ(pthread_create(&thread, NULL, arrives, barrier), 0);
    *mine = carom_barrier_wait(barrier, PATIENCE_MS);
    CHECK_EQ(pthread_join(thread, &its), 0);
    return (intptr_t)its;
}

static void actions(void) {
    ran = share(sizeof *ran);
    begin();
    carom_barrier *barrier;
    carom_barrier_options options = {.size = sizeof options, .action = counts};
    CHECK_OK(carom_manager_barrier(manager, 2, &options, &barrier));
    int64_t mine, its;
    for (int i = 1; i <= 3; i++) {
        its = other_party(barrier, &mine);
        CHECK_EQ(its + mine, 1);
        CHECK_EQ(atomic_load(ran), i);
    }
    carom_barrier_free(barrier);
    options.action = refuses;
    CHECK_OK(carom_manager_barrier(manager, 2, &options, &barrier));
    its = other_party(barrier, &mine);
    CHECK(its + mine == CAROM_ETASKFAILED + CAROM_EBROKEN);
    CHECK(its == CAROM_EBROKEN || mine == CAROM_EBROKEN);
    CHECK_EQ(carom_barrier_broken(barrier), 1);
    carom_barrier_free(barrier);
    end();
}

/* ----------------------------------------------------------------------------------------------------- directory */

/* Another program, which knows address and key: works through what it finds there. */
static int stranger(const char *address) {
    carom_manager_options options = {.size = sizeof options, .address = address, .authkey = "secret", .authkey_len = 6};
    carom_dict *directory;
    carom_argument name = KEY("tasks"), tasks, results_name = KEY("results"), results;
    uint64_t version = 0;
    int64_t number;
    CHECK_OK(carom_manager_open(&options, &manager, PATIENCE_MS));
    CHECK_OK(carom_manager_directory(manager, &directory));
    CHECK_EQ(carom_dict_wait(directory, &name, &version, &tasks, NULL, 0, NULL, PATIENCE_MS), 1);
    CHECK_EQ(tasks.kind, CAROM_ARGUMENT_HANDLE);
    CHECK_OK(carom_dict_get(directory, &results_name, &results, NULL, 0, NULL));
    while (carom_queue_get(tasks.handle, &number, sizeof number, NULL, PATIENCE_MS) == CAROM_OK) {
        carom_argument key = INT(number), square = INT(number * number);
        CHECK_OK(carom_dict_set(results.handle, &key, &square));
    }
    carom_queue_free(tasks.handle);
    carom_dict_free(results.handle);
    carom_dict_free(directory);
    carom_manager_free(manager);
    return 0;
}

static void directory_at(const char *at) {
    carom_manager_options options = {.size = sizeof options, .address = at, .authkey = "secret", .authkey_len = 6};
    char address[200];
    carom_dict *directory, *results;
    carom_queue *tasks;
    CHECK_OK(carom_manager_new(&options, &manager));
    CHECK_OK(carom_manager_address(manager, address, sizeof address, NULL));
    CHECK_EQ(facts().objects, 0);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", "test_manager_objects", "stranger", address, (char *)NULL);
        _exit(CHECK_FAILED);
    }
    CHECK_OK(carom_manager_directory(manager, &directory));
    CHECK_OK(carom_manager_dict(manager, NULL, &results));
    CHECK_OK(carom_manager_queue(manager, NULL, &tasks));
    carom_argument entries[] = {KEY("results"), HANDLE(results), KEY("tasks"), HANDLE(tasks)}, map = {.kind = CAROM_ARGUMENT_MAP, .data = entries, .len = 2};
    CHECK_OK(carom_dict_update(directory, &map));
    for (int64_t i = 0; i < 50; i++) CHECK_OK(carom_queue_put(tasks, &i, sizeof i, PATIENCE_MS));
    CHECK_OK(carom_queue_shutdown(tasks));
    carom_queue_free(tasks); /* it stays in the directory */
    CHECK_EQ(wait_for(pid), 0);
    CHECK_EQ(carom_dict_len(results), 50);
    carom_argument key = INT(49), found;
    CHECK_OK(carom_dict_get(results, &key, &found, NULL, 0, NULL));
    CHECK_EQ(found.integer, 49 * 49);
    CHECK_EQ(facts().objects, 2);
    CHECK_OK(carom_dict_clear(directory));
    await_objects(1);
    carom_dict_free(results);
    carom_dict_free(directory);
    end();
}
static void directory_local(void) { directory_at(NULL); }
static void directory_remote(void) { directory_at("127.0.0.1:0"); }

/* ------------------------------------------------------------------------------------------- who, and how much */

static carom_status brings(carom_dict *dict, const char *name, size_t len) {
    static char bytes[8000];
    carom_argument key = KEY(name), value = CAROM_BYTES(bytes, len);
    return carom_dict_set(dict, &key, &value);
}

static int32_t brings_its_own(carom_call *call) {
    carom_dict *dict;
    CHECK_OK(carom_call_dict(call, 0, &dict));
    CHECK_OK(brings(dict, "its own", 8000));
    CHECK_STATUS(brings(dict, "too much", 8000), CAROM_ENOMEM);
    return 0;
}

static void shares_of_memory(void) {
    carom_manager_options options = {.size = sizeof options, .max_bytes = 100000, .max_client_bytes = 10000};
    CHECK_OK(carom_manager_new(&options, &manager));
    carom_dict *dict;
    CHECK_OK(carom_manager_dict(manager, NULL, &dict));
    CHECK_OK(brings(dict, "one", 8000));
    CHECK_STATUS(brings(dict, "two", 8000), CAROM_ENOMEM);
    CHECK_EQ(carom_dict_len(dict), 1);
    carom_argument argument = HANDLE(dict);
    CHECK_EQ(outcome_of(brings_its_own, &argument, 1), 0);
    CHECK_OK(brings(dict, "one", 100));
    CHECK_OK(brings(dict, "two", 8000));
    char text[4096], wanted[64];
    size_t len;
    CHECK_STATUS(carom_manager_print(manager, text, 10, &len), CAROM_EMSGSIZE);
    CHECK(len > 10);
    CHECK_OK(carom_manager_print(manager, text, sizeof text, &len));
    CHECK_EQ(strlen(text), len);
    snprintf(wanted, sizeof wanted, "process %d,", getpid());
    CHECK(strstr(text, wanted) != NULL);
    CHECK(strstr(text, "dict, 1 handles of the family") != NULL);
    carom_dict_free(dict);
    end();
}

/* How much a socket at the manager's address is told before it has said anything. */
static ssize_t is_told(const char *address) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = strlen(address + 1);
    memcpy(to.sun_path + 1, address + 1, len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char bytes[256];
    CHECK_EQ(connect(fd, (struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)), 0);
    ssize_t got = recv(fd, bytes, sizeof bytes, 0);
    close(fd);
    return got;
}

static void other_users(void) {
    begin();
    char address[200];
    CHECK_OK(carom_manager_address(manager, address, sizeof address, NULL));
    CHECK_EQ(address[0], '@');
    CHECK(is_told(address) > 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (setuid(65534) != 0) _exit(0); /* not root: there is nobody else to be */
        _exit(is_told(address) > 0);
    }
    CHECK_EQ(wait_for(pid), 0);
    carom_dict *dict;
    CHECK_OK(carom_manager_dict(manager, NULL, &dict));
    carom_dict_free(dict);
    end();
}

/* A struct by its size, and numbers of 64 bits without a sign. */
static void raw_and_large(void) {
    begin();
    struct point {
        double x, y;
        char name[8];
    } points[3] = {{1, 2, "a"}, {3, 4, "b"}, {5, 6, "c"}}, got[3], one = {-1, 0.5, "d"};
    carom_value *value, *zero, *large;
    carom_array *array, *numbers;
    CHECK_OK(carom_manager_value(manager, CAROM_RAW, points, sizeof points[0], &value));
    CHECK_OK(carom_manager_value(manager, CAROM_RAW, NULL, 3, &zero));
    CHECK_OK(carom_manager_array(manager, CAROM_RAW, sizeof points[0], 3, points, &array));
    CHECK_EQ(carom_value_type(value), CAROM_RAW);
    CHECK_EQ(carom_value_size(value), sizeof points[0]);
    CHECK_EQ(carom_array_type(array), CAROM_RAW);
    CHECK_EQ(carom_array_count(array), 3);
    CHECK_OK(carom_value_get(value, got, sizeof got[0], PATIENCE_MS));
    CHECK_EQ(memcmp(got, points, sizeof got[0]), 0);
    CHECK_OK(carom_value_set(value, &one, sizeof one, PATIENCE_MS));
    CHECK_OK(carom_value_get(value, got, sizeof got[0], PATIENCE_MS));
    CHECK_EQ(memcmp(got, &one, sizeof one), 0);
    CHECK_STATUS(carom_value_set(value, &one, sizeof one - 1, PATIENCE_MS), CAROM_EMSGSIZE);
    CHECK_STATUS(carom_value_add(value, 1, NULL), CAROM_EINVAL);
    CHECK_OK(carom_value_get(zero, got, 3, PATIENCE_MS));
    CHECK_EQ(memcmp(got, "\0\0\0", 3), 0);
    CHECK_OK(carom_array_set(array, 1, &one, sizeof one, PATIENCE_MS));
    points[1] = one;
    CHECK_OK(carom_array_get(array, 0, 3, got, sizeof got, PATIENCE_MS));
    CHECK_EQ(memcmp(got, points, sizeof got), 0);
    CHECK_STATUS(carom_array_set(array, 1, &one, sizeof one - 1, PATIENCE_MS), CAROM_EMSGSIZE);
    CHECK_STATUS(carom_array_get(array, 3, 1, got, sizeof got, PATIENCE_MS), CAROM_EINVAL);
    _Alignas(16) char data[64];
    carom_argument index = INT(1), shown, bytes = CAROM_BYTES("short", 5);
    CHECK_OK(carom_proxy_call(array, "get", &index, 1, &shown, data, sizeof data, NULL, 0));
    CHECK_EQ(shown.kind, CAROM_ARGUMENT_BYTES);
    CHECK_EQ(shown.len, sizeof one);
    CHECK_STATUS(carom_proxy_call(value, "set", &bytes, 1, &shown, NULL, 0, NULL, 0), CAROM_EINVAL);

    uint64_t top[3] = {UINT64_MAX, (uint64_t)1 << 63, 7}, back[3] = {0};
    int64_t before = 0;
    CHECK_OK(carom_manager_value(manager, CAROM_U64, &top[0], 8, &large));
    CHECK_OK(carom_manager_array(manager, CAROM_U64, 0, 3, top, &numbers));
    CHECK_OK(carom_value_get(large, back, 8, PATIENCE_MS));
    CHECK(back[0] == UINT64_MAX);
    CHECK_OK(carom_value_add(large, 3, &before));
    CHECK_EQ(before, -1);
    CHECK_OK(carom_value_set(large, &top[1], 8, PATIENCE_MS));
    CHECK_OK(carom_value_load(large, &before));
    CHECK_EQ(before, INT64_MIN);
    CHECK_OK(carom_array_get(numbers, 0, 3, back, sizeof back, PATIENCE_MS));
    CHECK_EQ(memcmp(back, top, sizeof top), 0);
    /* By its proxy: the integer of the same bits, and no way over the end. */
    carom_argument by = INT(-1), first[] = {INT(0), INT(1)}, third[] = {INT(2), INT(-8)};
    CHECK_OK(carom_proxy_call(large, "increment", &by, 1, &shown, NULL, 0, NULL, 0));
    CHECK_EQ(shown.integer, INT64_MAX);
    by.integer = 1;
    CHECK_OK(carom_proxy_call(large, "increment", &by, 1, &shown, NULL, 0, NULL, 0));
    CHECK_EQ(shown.integer, INT64_MIN);
    CHECK_STATUS(carom_proxy_call(numbers, "increment", first, 2, &shown, NULL, 0, NULL, 0), CAROM_EINVAL);
    CHECK_STATUS(carom_proxy_call(numbers, "increment", third, 2, &shown, NULL, 0, NULL, 0), CAROM_EINVAL);
    carom_array_free(numbers), carom_array_free(array);
    carom_value_free(large), carom_value_free(zero), carom_value_free(value);
    await_objects(0);
    end();
}

/* A manager whose programs write their values themselves. */
static void only_bytes(void) {
    carom_manager_options options = {.size = sizeof options, .serializer = "bytes"};
    carom_dict *dict;
    carom_list *list;
    carom_queue *queue;
    carom_array *array;
    CHECK_OK(carom_manager_new(&options, &manager));
    CHECK_OK(carom_manager_dict(manager, NULL, &dict));
    CHECK_OK(carom_manager_list(manager, NULL, 0, &list));
    CHECK_OK(carom_manager_queue(manager, NULL, &queue));
    CHECK_OK(carom_manager_array(manager, CAROM_I64, 0, 2, NULL, &array));
    carom_argument key = KEY("key"), bytes = CAROM_BYTES("\1\2", 2), found;
    carom_argument others[] = {INT(1), KEY("text"), {.kind = CAROM_ARGUMENT_NIL}, {.kind = CAROM_ARGUMENT_LIST}};
    _Alignas(16) char data[64];
    CHECK_OK(carom_dict_set(dict, &key, &bytes));
    CHECK_OK(carom_list_append(list, &bytes));
    CHECK_OK(carom_queue_put(queue, "abc", 3, 0));
    for (int i = 0; i < 4; i++) {
        CHECK_STATUS(carom_dict_set(dict, &key, &others[i]), CAROM_EINVAL);
        CHECK_STATUS(carom_list_append(list, &others[i]), CAROM_EINVAL);
        CHECK_STATUS(carom_proxy_call(queue, "put", &others[i], 1, &found, NULL, 0, NULL, 0), CAROM_EINVAL);
    }
    carom_argument count = KEY("count"), handle = HANDLE(list);
    CHECK_STATUS(carom_dict_increment(dict, &count, 1, NULL), CAROM_EINVAL);
    CHECK_OK(carom_dict_set(dict, &count, &handle));
    CHECK_OK(carom_dict_get(dict, &key, &found, data, sizeof data, NULL));
    CHECK(found.kind == CAROM_ARGUMENT_BYTES && found.len == 2 && memcmp(found.data, "\1\2", 2) == 0);
    CHECK_EQ(carom_list_len(list), 1);
    CHECK_EQ(carom_queue_size(queue), 1);
    CHECK_EQ(carom_array_count(array), 2);
    carom_array_free(array), carom_queue_free(queue), carom_list_free(list), carom_dict_free(dict);
    end();
    options.serializer = "pickle";
    CHECK_STATUS(carom_manager_new(&options, &manager), CAROM_EINVAL);
    options.serializer = "msgpack";
    CHECK_OK(carom_manager_new(&options, &manager));
    end();
}

/* What takes a descriptor has none, and says so. */
static void no_descriptor(void) {
    begin();
    carom_queue *queue;
    carom_error error = {.size = sizeof error};
    CHECK_OK(carom_manager_queue(manager, NULL, &queue));
    CHECK_EQ(carom_queue_fd(queue), CAROM_ENOTSUP);
    CHECK_OK(carom_last_error(&error));
    CHECK(strstr(error.message, "descriptor") != NULL);
    carom_waitable item = {.handle = queue};
    CHECK_EQ(carom_wait(&item, 1, 0), CAROM_ENOTSUP);
    CHECK_OK(carom_last_error(&error));
    CHECK(strstr(error.message, "descriptor") != NULL);
    carom_queue_free(queue);
    end();
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "stranger") == 0) return stranger(argv[2]);
    CHECK_OK(carom_init(argc, argv));
    CASE(queues);
    CASE(queues_travel);
    CASE(values_and_arrays);
    CASE(actions);
    CASE(directory_local);
    CASE(directory_remote);
    CASE(shares_of_memory);
    CASE(other_users);
    CASE(raw_and_large);
    CASE(only_bytes);
    CASE(no_descriptor);
    return 0;
}
