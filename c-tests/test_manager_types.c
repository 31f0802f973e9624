/* Types that a program brings along: where their functions run, what they get and give, and what is refused. */
#include "manager.h"

typedef struct {
    pthread_mutex_t mutex;
    int64_t value;
} counter;

static flag *destroyed;
static int64_t first_value; /* set in the server, by its initializer */

static int64_t integer_of(carom_call *call, size_t index) {
    carom_argument argument;
    CHECK_OK(carom_call_argument(call, index, &argument));
    CHECK_EQ(argument.kind, CAROM_ARGUMENT_INTEGER);
    return argument.integer;
}

static int32_t answer(carom_call *call, int64_t number) {
    carom_argument value = INT(number);
    CHECK_OK(carom_call_reply_value(call, &value));
    return 0;
}

static int32_t create(carom_call *call) {
    if (carom_call_count(call) > 1) return carom_call_fail(call, 7, "a counter has one value at most");
    CHECK_EQ((intptr_t)carom_call_object(call), 0);
    counter *made = calloc(1, sizeof *made);
    pthread_mutex_init(&made->mutex, NULL);
    made->value = carom_call_count(call) ? integer_of(call, 0) : first_value;
    CHECK_OK(carom_call_set_object(call, made));
    return 0;
}
static int32_t destroy(carom_call *call) {
    free(carom_call_object(call));
    if (destroyed) flag_add(destroyed, 1); /* not in a server that was spawned */
    return 0;
}
static int32_t increment(carom_call *call) {
    counter *it = carom_call_object(call);
    it->value += carom_call_count(call) ? integer_of(call, 0) : 1;
    return answer(call, it->value);
}
static int32_t get_value(carom_call *call) { return answer(call, ((counter *)carom_call_object(call))->value); }
static int32_t get_pid(carom_call *call) { return answer(call, getpid()); }
static int32_t fails(carom_call *call) { return carom_call_count(call) ? carom_call_fail(call, 3, "no luck") : 5; }
static int32_t bytes(carom_call *call) { return carom_call_reply(call, "some bytes, more than sixteen", 29); }

/* A counter of its own with the same value. */
static int32_t copy(carom_call *call) {
    counter *it = carom_call_object(call), *made = calloc(1, sizeof *made);
    made->value = it->value;
    return -carom_call_set_object(call, made);
}
static int32_t makes_nothing(carom_call *call) {
    (void)call;
    return 0;
}
/* A list of ours. */
static int32_t history(carom_call *call) {
    counter *it = carom_call_object(call);
    carom_argument items[] = {INT(it->value), INT(it->value + 1)};
    carom_argument list = {.kind = CAROM_ARGUMENT_LIST, .data = items, .len = 2};
    return -carom_call_reply_value(call, &list);
}
/* Gets a list of the manager, and gives it back. */
static int32_t through(carom_call *call) {
    carom_argument given;
    CHECK_OK(carom_call_argument(call, 0, &given));
    CHECK_EQ(given.kind, CAROM_ARGUMENT_HANDLE);
    carom_list *list;
    CHECK_OK(carom_call_list(call, 0, &list));
    /* The loop cannot answer itself. */
    CHECK_STATUS(carom_list_clear(list), CAROM_EPERM);
    return -carom_call_reply_value(call, &given);
}
/* A thread of the server may call it. */
static int32_t appends(carom_call *call) {
    counter *it = carom_call_object(call);
    carom_list *list;
    CHECK_OK(carom_call_list(call, 0, &list));
    pthread_mutex_lock(&it->mutex);
    carom_argument item = INT(it->value++);
    pthread_mutex_unlock(&it->mutex);
    CHECK_OK(carom_list_append(list, &item));
    return 0;
}
/* Waits until another call has raised the value to what is wanted. */
static int32_t waits_until(carom_call *call) {
    counter *it = carom_call_object(call);
    int64_t wanted = integer_of(call, 0), value;
    do {
        pthread_mutex_lock(&it->mutex);
        value = it->value;
        pthread_mutex_unlock(&it->mutex);
    } while (value < wanted && usleep(1000) == 0);
    return answer(call, value);
}
static int32_t raises(carom_call *call) {
    counter *it = carom_call_object(call);
    pthread_mutex_lock(&it->mutex);
    it->value += 1;
    pthread_mutex_unlock(&it->mutex);
    return 0;
}

static const carom_method methods[] = {
    {.name = "increment", .function = increment},
    {.name = "get_value", .function = get_value},
    {.name = "get_pid", .function = get_pid},
    {.name = "fails", .function = fails},
    {.name = "bytes", .function = bytes},
    {.name = "copy", .function = copy, .result_type = "Counter"},
    {.name = "copy_beside", .function = copy, .result_type = "Counter", .blocking = 1},
    {.name = "makes_nothing", .function = makes_nothing, .result_type = "Counter"},
    {.name = "history", .function = history, .result_type = "list"},
    {.name = "child", .function = copy, .result_type = "Child"},
    {.name = "through", .function = through},
    {.name = "appends", .function = appends, .blocking = 1},
    {.name = "wait_for", .function = waits_until, .blocking = 1},
    {.name = "raise", .function = raises},
};
static const carom_method child_methods[] = {{.name = "get_value", .function = get_value}};
static const carom_type types[] = {
    {.name = "Counter", .create = create, .destroy = destroy, .methods = methods, .method_count = sizeof methods / sizeof *methods},
    {.name = "Child", .destroy = destroy, .methods = child_methods, .method_count = 1, .no_create = 1},
};

static int32_t begins(carom_call *call) {
    first_value = integer_of(call, 0);
    return first_value < 0 ? carom_call_fail(call, 1, "a negative beginning") : 0;
}

static carom_status start(carom_context *context, int64_t first) {
    destroyed = share(sizeof *destroyed);
    carom_argument argument = INT(first);
    carom_manager_options options = {.size = sizeof options, .context = context, .types = types, .type_count = 2, .initializer = begins, .initializer_arguments = &argument, .initializer_count = 1};
    return carom_manager_new(&options, &manager);
}

static void stop(void) {
    CHECK_OK(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
}

static carom_proxy *make(int64_t value) {
    carom_argument initial = INT(value);
    carom_proxy *made;
    CHECK_OK(carom_manager_create(manager, "Counter", &initial, 1, NULL, &made));
    return made;
}

static int64_t call(carom_proxy *proxy, const char *method, const carom_argument *arguments, size_t count) {
    carom_argument reply;
    CHECK_OK(carom_proxy_call(proxy, method, arguments, count, &reply, NULL, 0, NULL, PATIENCE_MS));
    return reply.kind == CAROM_ARGUMENT_INTEGER ? reply.integer : -1;
}

static uint64_t objects(void) {
    carom_manager_facts info = {.size = sizeof info};
    CHECK_OK(carom_manager_info(manager, &info));
    return info.objects;
}

static int32_t works(carom_call *call_) {
    carom_proxy *shared;
    CHECK_OK(carom_call_proxy(call_, 0, &shared));
    for (int i = 0; i < 50; i++) call(shared, "increment", NULL, 0);
    return 0;
}

static void in_context(const char *method) {
    carom_context *context;
    carom_process *processes[3];
    CHECK_OK(carom_context_new(method, &context));
    CHECK_OK(start(context, 40));
    carom_proxy *proxy;
    CHECK_OK(carom_manager_create(manager, "Counter", NULL, 0, NULL, &proxy));
    CHECK_EQ(call(proxy, "get_value", NULL, 0), 40);
    carom_manager_facts info = {.size = sizeof info};
    CHECK_OK(carom_manager_info(manager, &info));
    CHECK_EQ(call(proxy, "get_pid", NULL, 0), info.pid);
    CHECK(info.pid != getpid());
    carom_argument argument = HANDLE(proxy);
    for (int i = 0; i < 3; i++) CHECK_OK(carom_process_start(works, &argument, 1, NULL, &processes[i]));
    for (int i = 0; i < 3; i++) CHECK_EQ(ended(processes[i]), 0);
    CHECK_EQ(call(proxy, "get_value", NULL, 0), 190);
    carom_proxy_free(proxy);
    stop();
}
static void forked(void) { in_context("fork"); }
static void spawned(void) { in_context("spawn"); }
static void by_forkserver(void) {
    more_fds = 1; /* to the forkserver */
    in_context("forkserver");
}

static void results(void) {
    CHECK_OK(start(NULL, 0));
    carom_proxy *proxy = make(7);
    carom_argument reply, name = INT(1);
    _Alignas(16) char data[64];
    CHECK_OK(carom_proxy_call(proxy, "bytes", NULL, 0, &reply, data, sizeof data, NULL, 0));
    CHECK_EQ(reply.kind, CAROM_ARGUMENT_BYTES);
    CHECK(reply.len == 29 && memcmp(reply.data, "some bytes, more than sixteen", 29) == 0);
    CHECK_STATUS(carom_proxy_call(proxy, "bytes", NULL, 0, &reply, data, 16, NULL, 0), CAROM_EMSGSIZE);
    CHECK_STATUS(carom_proxy_call(proxy, "fails", NULL, 0, &reply, NULL, 0, NULL, 0), CAROM_ETASKFAILED);
    CHECK(strstr(carom_error_message(), "returned 5") != NULL);
    CHECK_STATUS(carom_proxy_call(proxy, "fails", &name, 1, &reply, NULL, 0, NULL, 0), CAROM_ETASKFAILED);
    CHECK(strstr(carom_error_message(), "no luck") != NULL);
    CHECK_STATUS(carom_proxy_call(proxy, "create", NULL, 0, &reply, NULL, 0, NULL, 0), CAROM_ENOENT);
    CHECK_STATUS(carom_proxy_call(proxy, "makes_nothing", NULL, 0, &reply, NULL, 0, NULL, 0), CAROM_ETASKFAILED);
    CHECK_EQ(objects(), 1);

    /* Objects that methods make: of the same type, of another that has no constructor, of one of ours. */
    const char *makers[] = {"copy", "copy_beside", "child"};
    for (int i = 0; i < 3; i++) {
        CHECK_OK(carom_proxy_call(proxy, makers[i], NULL, 0, &reply, NULL, 0, NULL, PATIENCE_MS));
        CHECK_EQ(reply.kind, CAROM_ARGUMENT_HANDLE);
        carom_proxy *other = reply.handle;
        call(proxy, "increment", NULL, 0);
        CHECK_EQ(call(other, "get_value", NULL, 0), 7 + i);
        if (i == 2) CHECK_STATUS(carom_proxy_call(other, "increment", NULL, 0, &reply, NULL, 0, NULL, 0), CAROM_ENOENT);
        CHECK_EQ(objects(), 2);
        carom_proxy_free(other);
        flag_await(destroyed, i + 1);
        await_objects(1);
    }
    CHECK_OK(carom_proxy_call(proxy, "history", NULL, 0, &reply, NULL, 0, NULL, 0));
    carom_list *list = reply.handle;
    CHECK_EQ(carom_list_len(list), 2);
    carom_argument item;
    CHECK_OK(carom_list_get(list, 1, &item, NULL, 0, NULL));
    CHECK_EQ(item.integer, 11);

    /* Objects as arguments and replies, on the loop and beside it. */
    carom_argument argument = HANDLE(list);
    CHECK_OK(carom_proxy_call(proxy, "through", &argument, 1, &reply, NULL, 0, NULL, 0));
    CHECK_EQ(reply.kind, CAROM_ARGUMENT_HANDLE);
    CHECK_EQ(carom_list_len(reply.handle), 2);
    carom_list_free(reply.handle);
    for (int i = 0; i < 20; i++) call(proxy, "appends", &argument, 1);
    CHECK_EQ(carom_list_len(list), 22);
    carom_list_free(list);
    await_objects(1);
    carom_proxy_free(proxy);
    flag_await(destroyed, 4);
    await_objects(0);

    /* What is left is ended with the server. */
    proxy = make(1);
    stop();
    flag_await(destroyed, 5);
    carom_proxy_free(proxy);
}

static void *waits(void *proxy) {
    carom_argument wanted = INT(3);
    CHECK_EQ(call(proxy, "wait_for", &wanted, 1), 3);
    return NULL;
}

/* Methods that block keep nobody from the server, nor from their object; more of them than there are threads get their turn. */
static void blocking(void) {
    enum { WAITERS = 20 };
    CHECK_OK(start(NULL, 0));
    carom_proxy *proxy = make(0);
    pthread_t threads[WAITERS];
    for (int i = 0; i < WAITERS; i++) CHECK_EQ(pthread_create(&threads[i], NULL, waits, proxy), 0);
    carom_manager_facts info = {.size = sizeof info};
    int64_t until = now_ms() + PATIENCE_MS;
    do {
        CHECK_OK(carom_manager_info(manager, &info));
        CHECK(now_ms() < until);
    } while (info.waiting < WAITERS);
    for (int i = 0; i < 3; i++) call(proxy, "raise", NULL, 0);
    for (int i = 0; i < WAITERS; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);

    /* No time at all: not begun. A time that is over: given up, and the object stays until the method is done. */
    carom_argument wanted = INT(5), reply;
    CHECK_STATUS(carom_proxy_call(proxy, "wait_for", &wanted, 1, &reply, NULL, 0, NULL, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_proxy_call(proxy, "wait_for", &wanted, 1, &reply, NULL, 0, NULL, 30), CAROM_ETIMEDOUT);
    CHECK_EQ(atomic_load(destroyed), 0);
    call(proxy, "raise", NULL, 0);
    call(proxy, "raise", NULL, 0);
    CHECK_EQ(call(proxy, "wait_for", &wanted, 1), 5);
    carom_proxy_free(proxy);
    flag_await(destroyed, 1);
    await_objects(0);

    /* The server ends although a method does not. */
    proxy = make(0);
    CHECK_STATUS(carom_proxy_call(proxy, "wait_for", &wanted, 1, &reply, NULL, 0, NULL, 30), CAROM_ETIMEDOUT);
    stop();
    carom_proxy_free(proxy);
}

static carom_status with_types(const carom_type *given, size_t count) {
    carom_manager_options options = {.size = sizeof options, .types = given, .type_count = count};
    carom_manager *none = NULL;
    carom_status status = carom_manager_new(&options, &none);
    CHECK_EQ((intptr_t)none, 0);
    return status;
}

static void refused(void) {
    carom_type twice[] = {types[1], types[1]};
    CHECK_STATUS(with_types(twice, 2), CAROM_EEXIST);
    carom_type type = {.name = "dict", .create = create};
    CHECK_STATUS(with_types(&type, 1), CAROM_EEXIST);
    type = (carom_type){.name = "Thing"};
    CHECK_STATUS(with_types(&type, 1), CAROM_EINVAL);
    type = (carom_type){.name = "", .create = create};
    CHECK_STATUS(with_types(&type, 1), CAROM_EINVAL);
    CHECK_STATUS(with_types(NULL, 1), CAROM_EINVAL);
    carom_method unknown = {.name = "make", .function = copy, .result_type = "Teapot"};
    type = (carom_type){.name = "Thing", .create = create, .methods = &unknown, .method_count = 1};
    CHECK_STATUS(with_types(&type, 1), CAROM_ENOENT);
    carom_method empty = {.name = "make"};
    type.methods = &empty;
    CHECK_STATUS(with_types(&type, 1), CAROM_EFUNCTION);
    carom_method same[] = {methods[0], methods[0]};
    type.methods = same, type.method_count = 2;
    CHECK_STATUS(with_types(&type, 1), CAROM_EEXIST);

    manager = NULL;
    CHECK_STATUS(start(NULL, -1), CAROM_ETASKFAILED);
    CHECK(strstr(carom_error_message(), "a negative beginning") != NULL);
    CHECK_EQ((intptr_t)manager, 0);

    CHECK_OK(start(NULL, 0));
    carom_argument two[] = {INT(1), INT(2)};
    carom_proxy *proxy = NULL;
    CHECK_STATUS(carom_manager_create(manager, "Counter", two, 2, NULL, &proxy), CAROM_ETASKFAILED);
    CHECK(strstr(carom_error_message(), "one value at most") != NULL);
    CHECK_STATUS(carom_manager_create(manager, "Child", NULL, 0, NULL, &proxy), CAROM_EPERM);
    CHECK_EQ((intptr_t)proxy, 0);
    CHECK_EQ(objects(), 0);
    stop();
}

int main(int argc, char **argv) {
    CHECK_OK(carom_init(argc, argv));
    CASE(forked);
    CASE(spawned);
    CASE(by_forkserver);
    CASE(results);
    CASE(blocking);
    CASE(refused);
    return 0;
}
