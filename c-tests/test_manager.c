/* Managers: their types, from several processes and threads, and what is left when one of them dies. */
#include "manager_objects.h"

static void await_waiting(uint64_t wanted) {
    int64_t until = now_ms() + PATIENCE_MS;
    while (facts().waiting != wanted) CHECK(now_ms() < until);
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
    CHECK_EQ(facts().objects, 6);
    carom_proxy_free(space), carom_array_free(array), carom_proxy_free(set), carom_queue_free(queue);
    CHECK_EQ(facts().objects, 2);
    carom_create_options persistent = {.size = sizeof persistent, .persistent = 1};
    CHECK_OK(carom_manager_create(manager, "set", NULL, 0, &persistent, &set));
    carom_proxy_free(set);
    CHECK_EQ(facts().objects, 3);
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
    CHECK_OK(carom_manager_dict(manager, NULL, &inner));
    set_integer(inner, "x", 5);
    carom_argument argument = HANDLE(inner), found;
    CHECK_OK(carom_process_start(keeps, &argument, 1, NULL, &process));
    carom_dict_free(inner);
    flag_await(here, 1);
    CHECK_EQ(facts().objects, 3);
    flag_add(go, 1);
    CHECK_EQ(ended(process), 0);
    await_objects(2);
    /* In a list, and out of it. */
    CHECK_OK(carom_manager_dict(manager, NULL, &inner));
    set_integer(inner, "x", 6);
    argument = HANDLE(inner);
    CHECK_OK(carom_list_append(list, &argument));
    carom_dict_free(inner);
    CHECK_EQ(facts().objects, 3);
    CHECK_OK(carom_list_pop(list, 0, &found, NULL, 0, NULL));
    CHECK_EQ(found.kind, CAROM_ARGUMENT_HANDLE);
    back = found.handle;
    CHECK_EQ(get_integer(back, "x"), 6);
    CHECK_EQ(facts().objects, 3);
    carom_dict_free(back);
    CHECK_EQ(facts().objects, 2);
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
    CHECK_OK(carom_manager_dict(other, NULL, &its));
    carom_argument foreign = HANDLE(its);
    CHECK_STATUS(carom_dict_set(dict, &key, &foreign), CAROM_EINVAL);
    CHECK_OK(carom_manager_shutdown(other, PATIENCE_MS));
    CHECK_STATUS(carom_dict_set(dict, &key, &foreign), CAROM_EINVAL);
    CHECK(carom_dict_len(its) == CAROM_ECLOSED || carom_dict_len(its) == CAROM_EBROKEN);
    CHECK_STATUS(carom_manager_dict(other, NULL, &its), CAROM_ECLOSED);
    carom_manager_free(other);
    CHECK(carom_dict_len(its) < 0);
    carom_dict_free(its);

    CHECK_EQ(carom_dict_len(dict), 2);
    CHECK_EQ(facts().objects, 2);
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
    CHECK_EQ(facts().objects, 2);
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
    CHECK_OK(carom_manager_dict(manager, NULL, &dict));
    CHECK_OK(carom_manager_list(manager, NULL, 0, &list));
    set_integer(dict, "x", 3);
    CHECK_EQ(get_integer(dict, "x"), 3);
    carom_argument inner = HANDLE(dict);
    CHECK_OK(carom_list_append(list, &inner));
    CHECK_EQ(facts().objects, 3);
    carom_dict_free(dict);
    carom_argument found;
    CHECK_OK(carom_list_pop(list, 0, &found, NULL, 0, NULL));
    CHECK_EQ(get_integer(found.handle, "x"), 3);
    carom_dict_free(found.handle);
    CHECK_EQ(facts().objects, 2);
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
    CHECK_OK(carom_manager_dict(manager, NULL, &dict));
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
