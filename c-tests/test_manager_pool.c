/* Pools of a manager: tasks of its clients in workers of its server, and what is left when one of them dies. */
#include "manager_pool.h"

static carom_pool_statistics statistics(void) {
    carom_pool_statistics now = {.size = sizeof now};
    CHECK_OK(carom_pool_info(pool, &now));
    return now;
}

/* ------------------------------------------------------------------------------------------------------- functions */

static int32_t crashes(carom_call *call) {
    (void)call;
    raise(SIGKILL);
    return 0;
}
/* Proxies as arguments of a task: a dict, a queue, a lock, and the pool itself. */
static int32_t uses_proxies(carom_call *call) {
    carom_dict *dict;
    carom_queue *queue;
    carom_lock *lock;
    carom_pool *same;
    CHECK_OK(carom_call_dict(call, 0, &dict));
    CHECK_OK(carom_call_queue(call, 1, &queue));
    CHECK_OK(carom_call_lock(call, 2, &lock));
    CHECK_OK(carom_call_pool(call, 3, &same));
    carom_argument key = KEY("sum");
    CHECK_OK(carom_lock_acquire(lock, PATIENCE_MS));
    CHECK_OK(carom_dict_increment(dict, &key, 1, NULL));
    CHECK_OK(carom_lock_release(lock));
    int64_t three = 3, nine = 0;
    carom_argument argument = CAROM_BYTES(&three, sizeof three);
    CHECK_OK(carom_pool_apply(same, square, &argument, 1, NULL, &nine, sizeof nine, NULL, PATIENCE_MS));
    CHECK_OK(carom_queue_put(queue, &nine, sizeof nine, PATIENCE_MS));
    return 0;
}
static int32_t writes_down(carom_call *call) {
    carom_dict *dict;
    CHECK_OK(carom_call_dict(call, 0, &dict));
    carom_argument key = INT(getpid()), value = INT(1);
    CHECK_OK(carom_dict_set(dict, &key, &value));
    return 0;
}

/* ----------------------------------------------------------------------------------------------------------- cases */

static void calls(void) {
    begin(2);
    int64_t x = 12, y = 0, in[100], out[100];
    size_t len = 0;
    carom_argument argument = CAROM_BYTES(&x, sizeof x);
    carom_verdict verdict = {.size = sizeof verdict};
    carom_task_options options = {.size = sizeof options, .verdict = &verdict};
    CHECK_OK(carom_pool_apply(pool, square, &argument, 1, &options, &y, sizeof y, &len, PATIENCE_MS));
    CHECK_EQ(y, 144);
    CHECK_EQ(len, 8);
    CHECK_EQ(verdict.status, CAROM_OK);
    CHECK(verdict.pid > 0 && verdict.pid != getpid());
    CHECK(verdict.elapsed_ns > 0 && verdict.message[0] == 0);
    CHECK_STATUS(carom_pool_apply(pool, square, &argument, 1, NULL, &y, 4, &len, PATIENCE_MS), CAROM_EMSGSIZE);
    CHECK_EQ(len, 8);
    x = 3;
    CHECK_STATUS(carom_pool_apply(pool, odd_fails, &argument, 1, &options, NULL, 0, NULL, PATIENCE_MS), CAROM_ETASKFAILED);
    CHECK_EQ(verdict.code, 7);
    CHECK_STR_EQ(verdict.message, "odd");

    carom_result *results[20];
    for (int64_t i = 0; i < 20; i++) {
        argument = (carom_argument)CAROM_BYTES(&i, sizeof i);
        CHECK_OK(carom_pool_apply_async(pool, odd_fails, &argument, 1, NULL, &results[i]));
    }
    for (int64_t i = 0; i < 20; i++) {
        carom_status wanted = i % 2 ? CAROM_ETASKFAILED : CAROM_OK;
        CHECK_OK(carom_result_wait(results[i], PATIENCE_MS));
        CHECK_EQ(carom_result_ready(results[i]), 1);
        CHECK_EQ(carom_result_successful(results[i]), i % 2 == 0);
        CHECK_EQ(carom_result_accepted(results[i]), 1);
        CHECK(carom_result_pid(results[i]) > 0);
        y = -1;
        CHECK_STATUS(carom_result_get(results[i], &y, sizeof y, NULL, PATIENCE_MS), wanted);
        CHECK_EQ(y, i % 2 ? -1 : i);
        CHECK_OK(carom_result_verdict(results[i], &verdict));
        CHECK_EQ(verdict.status, wanted);
        CHECK_STR_EQ(verdict.message, i % 2 ? "odd" : "");
        carom_result_free(results[i]);
    }

    for (int64_t i = 0; i < 100; i++) in[i] = i, out[i] = -1;
    CHECK_OK(carom_pool_map(pool, square, in, 8, 100, NULL, out, 8, PATIENCE_MS));
    for (int64_t i = 0; i < 100; i++) CHECK_EQ(out[i], i * i);
    carom_status statuses[100];
    options.statuses = statuses;
    for (int64_t i = 0; i < 100; i++) out[i] = -1;
    CHECK_STATUS(carom_pool_map(pool, odd_fails, in, 8, 100, &options, out, 8, PATIENCE_MS), CAROM_ETASKFAILED);
    CHECK_EQ(verdict.item, 1);
    for (int64_t i = 0; i < 100; i++) {
        CHECK_EQ(statuses[i], i % 2 ? CAROM_ETASKFAILED : CAROM_OK);
        CHECK_EQ(out[i], i % 2 ? -1 : i);
    }
    /* A reply of another size is no reply; an empty map is done at once. */
    CHECK_STATUS(carom_pool_map(pool, square, in, 8, 3, NULL, out, 4, PATIENCE_MS), CAROM_EMSGSIZE);
    CHECK_OK(carom_pool_map(pool, square, NULL, 8, 0, NULL, NULL, 8, PATIENCE_MS));
    CHECK_OK(carom_pool_map_async(pool, square, in, 8, 100, NULL, &results[0]));
    CHECK_OK(carom_result_get(results[0], out, sizeof out, &len, PATIENCE_MS));
    CHECK_EQ(len, sizeof out);
    for (int64_t i = 0; i < 100; i++) CHECK_EQ(out[i], i * i);
    carom_result_free(results[0]);

    /* A reply of megabytes, and one that nobody wants. */
    x = 3 << 20;
    char *data = malloc(x);
    argument = (carom_argument)CAROM_BYTES(&x, sizeof x);
    CHECK_OK(carom_pool_apply(pool, long_reply, &argument, 1, NULL, data, x, &len, PATIENCE_MS));
    CHECK(len == (size_t)x && data[0] == 'r' && data[x - 1] == 'r');
    free(data);
    CHECK_OK(carom_pool_apply_async(pool, square, &argument, 1, NULL, NULL));
    await_objects(1);
    CHECK_EQ(statistics().workers, 2);
    CHECK_EQ(statistics().closed, 0);
    end();
}

static void proxies(void) {
    begin(2);
    carom_dict *dict;
    carom_queue *queue;
    carom_lock *lock;
    carom_result *results[30];
    CHECK_OK(carom_manager_dict(manager, NULL, &dict));
    CHECK_OK(carom_manager_queue(manager, NULL, &queue));
    CHECK_OK(carom_manager_lock(manager, &lock));
    carom_argument arguments[] = {HANDLE(dict), HANDLE(queue), HANDLE(lock), HANDLE(pool)};
    /* Two workers, of which each task needs a second one: so one after the other. */
    for (int i = 0; i < 30; i++) {
        CHECK_OK(carom_pool_apply_async(pool, uses_proxies, arguments, 4, NULL, &results[i]));
        CHECK_OK(carom_result_wait(results[i], PATIENCE_MS));
        CHECK_EQ(carom_result_successful(results[i]), 1);
    }
    carom_argument key = KEY("sum"), sum;
    CHECK_OK(carom_dict_get(dict, &key, &sum, NULL, 0, NULL));
    CHECK_EQ(sum.integer, 30);
    CHECK_EQ(carom_queue_size(queue), 30);
    /* The handles may go at once: the task has its own. */
    for (int i = 0; i < 30; i++) carom_result_free(results[i]);
    CHECK_OK(carom_pool_apply_async(pool, uses_proxies, arguments, 4, NULL, &results[0]));
    carom_lock_free(lock);
    carom_queue_free(queue);
    carom_dict_free(dict);
    CHECK_OK(carom_result_wait(results[0], PATIENCE_MS));
    CHECK_EQ(carom_result_successful(results[0]), 1);
    carom_result_free(results[0]);
    await_objects(1);
    /* An initializer with a dict, and a finalizer. */
    CHECK_OK(carom_manager_dict(manager, NULL, &dict));
    carom_argument its = HANDLE(dict);
    carom_pool_options options = {.size = sizeof options, .workers = 2, .initializer = writes_down, .initializer_arguments = &its, .initializer_count = 1};
    carom_pool *other;
    CHECK_OK(carom_manager_pool(manager, &options, &other));
    int64_t until = now_ms() + PATIENCE_MS;
    while (carom_dict_len(dict) < 2) CHECK(now_ms() < until);
    carom_pool_free(other);
    carom_dict_free(dict);
    await_objects(1);
    end();
}

/* In another process: a pool that it did not make, and one that it finds in the directory. */
static int32_t submits(carom_call *call) {
    carom_pool *given;
    CHECK_OK(carom_call_pool(call, 0, &given));
    for (int64_t i = 0; i < 20; i++) {
        int64_t y = 0;
        carom_argument argument = CAROM_BYTES(&i, sizeof i);
        CHECK_OK(carom_pool_apply(given, square, &argument, 1, NULL, &y, sizeof y, NULL, PATIENCE_MS));
        CHECK_EQ(y, i * i);
    }
    return 0;
}
static void parties(void) {
    begin(2);
    carom_process *processes[3];
    carom_argument argument = HANDLE(pool), key = KEY("pool"), found;
    for (int i = 0; i < 3; i++) CHECK_OK(carom_process_start(submits, &argument, 1, NULL, &processes[i]));
    for (int i = 0; i < 3; i++) CHECK_EQ(ended(processes[i]), 0);
    carom_dict *directory;
    _Alignas(16) char data[64];
    CHECK_OK(carom_manager_directory(manager, &directory));
    CHECK_OK(carom_dict_set(directory, &key, &argument));
    carom_pool_free(pool);
    CHECK_OK(carom_dict_pop(directory, &key, &found, data, sizeof data, NULL));
    CHECK_EQ(found.kind, CAROM_ARGUMENT_HANDLE);
    pool = found.handle;
    argument = HANDLE(pool);
    CHECK_EQ(outcome_of(submits, &argument, 1), 0);
    carom_dict_free(directory);
    await_objects(1);
    end();
}

/* A worker that dies costs its task, and is replaced. */
static void workers_die(void) {
    begin(1);
    carom_verdict verdict = {.size = sizeof verdict};
    carom_task_options options = {.size = sizeof options, .verdict = &verdict};
    int64_t in[3] = {0, 1, 2}, x = 5, y = 0;
    carom_argument argument = CAROM_BYTES(&x, sizeof x);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(carom_pool_apply(pool, crashes, NULL, 0, &options, NULL, 0, NULL, PATIENCE_MS), CAROM_EWORKERLOST);
        CHECK_EQ(verdict.signal, SIGKILL);
        CHECK(verdict.message[0] != 0);
        CHECK_OK(carom_pool_apply(pool, square, &argument, 1, NULL, &y, sizeof y, NULL, PATIENCE_MS));
        CHECK_EQ(y, 25);
    }
    CHECK_STATUS(carom_pool_map(pool, crashes, in, 8, 3, NULL, NULL, 0, PATIENCE_MS), CAROM_EWORKERLOST);
    /* Somebody else kills it, while a client waits. */
    carom_result *result;
    CHECK_OK(carom_pool_apply_async(pool, holds, NULL, 0, NULL, &result));
    flag_await(begun, 1);
    CHECK_STATUS(carom_result_wait(result, 0), CAROM_ETIMEDOUT);
    CHECK_EQ(carom_result_ready(result), 0);
    CHECK_EQ(carom_result_successful(result), CAROM_EAGAIN);
    CHECK_STATUS(carom_result_verdict(result, &verdict), CAROM_EAGAIN);
    int pid = carom_result_pid(result);
    CHECK(pid > 0);
    CHECK_EQ(kill(pid, SIGKILL), 0);
    CHECK_OK(carom_result_wait(result, PATIENCE_MS));
    CHECK_OK(carom_result_verdict(result, &verdict));
    CHECK_EQ(verdict.status, CAROM_EWORKERLOST);
    CHECK_EQ(verdict.signal, SIGKILL);
    CHECK_EQ(verdict.pid, pid);
    carom_result_free(result);
    int64_t until = now_ms() + PATIENCE_MS;
    while (statistics().deaths < 7) CHECK(now_ms() < until);
    /* Its own limit. */
    options.time_limit_ms = 50;
    CHECK_STATUS(carom_pool_apply(pool, holds, NULL, 0, &options, NULL, 0, NULL, PATIENCE_MS), CAROM_ETIMELIMIT);
    CHECK_EQ(verdict.limit, CAROM_LIMIT_TIME);
    end();
}

static void out_of_time(void) {
    begin(1);
    carom_result *first, *second, *third;
    int64_t x = 5, y = 0;
    carom_argument argument = CAROM_BYTES(&x, sizeof x);
    CHECK_OK(carom_pool_apply_async(pool, holds, NULL, 0, NULL, &first));
    flag_await(begun, 1);
    /* What waits behind it is not begun any more, once its caller has ceased to wait. */
    CHECK_STATUS(carom_pool_apply(pool, holds, NULL, 0, NULL, NULL, 0, NULL, 20), CAROM_ETIMEDOUT);
    int64_t in[4] = {0}, out[4] = {-1, -1, -1, -1};
    CHECK_STATUS(carom_pool_map(pool, holds, in, 8, 4, NULL, out, 8, 20), CAROM_ETIMEDOUT);
    CHECK_EQ(out[0], -1);
    CHECK_OK(carom_pool_apply_async(pool, holds, NULL, 0, NULL, &second));
    CHECK_OK(carom_result_cancel(second, 0));
    CHECK_OK(carom_result_wait(second, PATIENCE_MS));
    CHECK_STATUS(carom_result_get(second, NULL, 0, NULL, 0), CAROM_ECANCELED);
    CHECK_OK(carom_pool_apply_async(pool, holds, NULL, 0, NULL, &third));
    CHECK_OK(carom_result_discard(third));
    CHECK_STATUS(carom_result_get(third, NULL, 0, NULL, PATIENCE_MS), CAROM_ECANCELED);
    flag_add(go, 1);
    CHECK_OK(carom_result_wait(first, PATIENCE_MS));
    CHECK_OK(carom_pool_apply(pool, square, &argument, 1, NULL, &y, sizeof y, NULL, PATIENCE_MS));
    CHECK_EQ(atomic_load(begun), 1);
    carom_result_free(first);
    /* One that runs is ended. */
    atomic_store(go, 0);
    CHECK_OK(carom_pool_apply_async(pool, holds, NULL, 0, NULL, &first));
    flag_await(begun, 2);
    CHECK_OK(carom_result_terminate(first, SIGKILL));
    CHECK_STATUS(carom_result_get(first, &y, sizeof y, NULL, PATIENCE_MS), CAROM_ECANCELED);
    carom_result_free(first), carom_result_free(second), carom_result_free(third);
    await_objects(1);
    end();
}

static void closing(void) {
    begin(2);
    carom_result *results[10], *result;
    int64_t y;
    CHECK_STATUS(carom_pool_join(pool, PATIENCE_MS), CAROM_EPERM);
    for (int64_t i = 0; i < 10; i++) {
        carom_argument argument = CAROM_BYTES(&i, sizeof i);
        CHECK_OK(carom_pool_apply_async(pool, square, &argument, 1, NULL, &results[i]));
    }
    CHECK_OK(carom_pool_close(pool));
    CHECK_STATUS(carom_pool_apply_async(pool, square, NULL, 0, NULL, &result), CAROM_ECLOSED);
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    for (int64_t i = 0; i < 10; i++) {
        CHECK_OK(carom_result_get(results[i], &y, sizeof y, NULL, 0));
        CHECK_EQ(y, i * i);
    }
    CHECK_EQ(statistics().closed, 1);
    carom_pool_free(pool);
    /* What is settled stays readable, also without its pool. */
    for (int64_t i = 0; i < 10; i++) {
        CHECK_OK(carom_result_get(results[i], &y, sizeof y, NULL, 0));
        CHECK_EQ(y, i * i);
        carom_result_free(results[i]);
    }
    await_objects(0);
    carom_pool_options options = {.size = sizeof options, .workers = 1};
    CHECK_OK(carom_manager_pool(manager, &options, &pool));
    CHECK_OK(carom_pool_apply_async(pool, holds, NULL, 0, NULL, &results[0]));
    CHECK_OK(carom_pool_apply_async(pool, holds, NULL, 0, NULL, &results[1]));
    flag_await(begun, 1);
    CHECK_OK(carom_pool_terminate(pool));
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(carom_result_get(results[i], NULL, 0, NULL, PATIENCE_MS), CAROM_ECANCELED);
        carom_result_free(results[i]);
    }
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    end();
}

static void *frees_soon(void *it) {
    flag_await(begun, 1);
    int64_t until = now_ms() + PATIENCE_MS;
    while (facts().waiting < 1) CHECK(now_ms() < until);
    carom_pool_free(it);
    return NULL;
}
/* The last handle goes while somebody waits for a task. */
static void freed(void) {
    begin(1);
    carom_result *result;
    pthread_t thread;
    CHECK_OK(carom_pool_apply_async(pool, holds, NULL, 0, NULL, &result));
    CHECK_EQ(pthread_create(&thread, NULL, frees_soon, pool), 0);
    CHECK_STATUS(carom_result_get(result, NULL, 0, NULL, PATIENCE_MS), CAROM_ECANCELED);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    carom_result_free(result);
    await_objects(0);
    pool = NULL;
    end();
}

static int32_t waits_for_long(carom_call *call) {
    carom_pool *given;
    CHECK_OK(carom_call_pool(call, 0, &given));
    carom_result *result;
    int64_t x = 3;
    carom_argument argument = CAROM_BYTES(&x, sizeof x);
    CHECK_OK(carom_pool_apply_async(given, square, &argument, 1, NULL, &result));
    CHECK_OK(carom_pool_apply(given, holds, NULL, 0, NULL, NULL, 0, NULL, CAROM_FOREVER));
    return 0;
}
/* A client that dies while it waits: what it waited for is not begun any more, its results go, and others go on. */
static void clients_die(void) {
    begin(1);
    carom_result *first;
    carom_process *process;
    carom_argument argument = HANDLE(pool);
    CHECK_OK(carom_pool_apply_async(pool, holds, NULL, 0, NULL, &first));
    flag_await(begun, 1);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(carom_process_start(waits_for_long, &argument, 1, NULL, &process));
        int64_t until = now_ms() + PATIENCE_MS;
        while (facts().waiting < 1) CHECK(now_ms() < until);
        CHECK_OK(carom_process_kill(process));
        CHECK_EQ(ended(process), -SIGKILL);
        await_objects(2);
    }
    flag_add(go, 1);
    CHECK_OK(carom_result_wait(first, PATIENCE_MS));
    int64_t x = 4, y = 0;
    carom_argument four = CAROM_BYTES(&x, sizeof x);
    CHECK_OK(carom_pool_apply(pool, square, &four, 1, NULL, &y, sizeof y, NULL, PATIENCE_MS));
    CHECK_EQ(y, 16);
    CHECK_EQ(atomic_load(begun), 1);
    carom_result_free(first);
    end();
}

/* The server dies: whoever waits hears of it, and its workers do not live on. */
static void server_dies(void) {
    begin(2);
    carom_result *result;
    CHECK_OK(carom_pool_apply_async(pool, holds, NULL, 0, NULL, &result));
    flag_await(begun, 1);
    int worker = carom_result_pid(result), fd = pidfd_of(worker);
    CHECK_EQ(kill(facts().pid, SIGKILL), 0);
    carom_status status = carom_result_wait(result, PATIENCE_MS);
    CHECK(status == CAROM_EBROKEN || status == CAROM_ECLOSED);
    readable(fd);
    close(fd);
    CHECK_STATUS(carom_pool_apply(pool, square, NULL, 0, NULL, NULL, 0, NULL, PATIENCE_MS), CAROM_ECLOSED);
    CHECK_OK(carom_manager_join(manager, PATIENCE_MS));
    carom_result_free(result);
    carom_pool_free(pool);
    carom_manager_free(manager);
}

/* What is not served says so, and which function it is. */
#define NOT_SERVED(call)                                                                                \
    do {                                                                                                \
        CHECK_EQ((int64_t)(call), CAROM_ENOTSUP);                                                       \
        const char *name_ = #call, *end_ = strchr(name_, '(');                                          \
        carom_error error_ = {.size = sizeof error_};                                                   \
        CHECK_OK(carom_last_error(&error_));                                                            \
        CHECK(strncmp(error_.message, name_, end_ - name_) == 0 && error_.message[end_ - name_] == ' '); \
    } while (0)

static void not_served(void) {
    begin(1);
    carom_process *process;
    carom_result *result;
    carom_pool_event event = {.size = sizeof event};
    int64_t x = 1;
    carom_argument argument = CAROM_BYTES(&x, sizeof x);
    NOT_SERVED(carom_pool_prepare(pool, &process));
    NOT_SERVED(carom_pool_fd(pool));
    NOT_SERVED(carom_pool_dispatch(pool, 0));
    NOT_SERVED(carom_pool_next_event(pool, &event, 0));
    NOT_SERVED(carom_pool_next_deadline(pool));
    NOT_SERVED(carom_pool_sentinel(pool, 1));
    carom_waitable waited = {.handle = pool};
    NOT_SERVED(carom_wait(&waited, 1, 0));
    CHECK_OK(carom_pool_apply_async(pool, square, &argument, 1, NULL, &result));
    NOT_SERVED(carom_result_accept(result));
    carom_result_free(result);
    CHECK_STATUS(carom_result_wait(result, 0), CAROM_EBADHANDLE);

    carom_task_options task;
    task = (carom_task_options){.size = sizeof task, .submit_ms = 1};
    CHECK_STATUS(carom_pool_apply_async(pool, square, &argument, 1, &task, &result), CAROM_ENOTSUP);
    task = (carom_task_options){.size = sizeof task, .idempotency_key = "x"};
    CHECK_STATUS(carom_pool_map_async(pool, square, &x, 8, 1, &task, &result), CAROM_ENOTSUP);
    task = (carom_task_options){.size = sizeof task, .soft_time_limit_ms = 2, .time_limit_ms = 1};
    CHECK_STATUS(carom_pool_apply(pool, square, &argument, 1, &task, NULL, 0, NULL, 0), CAROM_EINVAL);
    CHECK_STATUS(carom_pool_apply(pool, NULL, &argument, 1, NULL, NULL, 0, NULL, 0), CAROM_EFUNCTION);
    CHECK_STATUS(carom_pool_map(pool, square, &x, SIZE_MAX, 2, NULL, NULL, 0, 0), CAROM_EINVAL);
    CHECK_STATUS(carom_pool_map(pool, square, NULL, 0, (1 << 20) + 1, NULL, NULL, 0, 0), CAROM_EINVAL);

    carom_pool *other = (carom_pool *)1;
    carom_pool_options no[] = {{.events = CAROM_POOL_DONE}, {.capture_stderr = 1}, {.capsules = "/tmp"}, {.max_waiting = 1}, {.max_waiting_bytes = 1},
                               {.acknowledge = 1}, {.service_thread = 1}, {.host_forks = 1}, {.workers = CAROM_INLINE}};
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        no[i].size = sizeof no[i];
        CHECK_STATUS(carom_manager_pool(manager, &no[i], &other), CAROM_ENOTSUP);
        CHECK(other == NULL);
    }
    carom_pool_options bad = {.size = sizeof bad, .workers = 2000};
    CHECK_STATUS(carom_manager_pool(manager, &bad, &other), CAROM_EINVAL);
    carom_proxy *proxy;
    CHECK_STATUS(carom_manager_create(manager, "Pool", NULL, 0, NULL, &proxy), CAROM_EINVAL);
    CHECK_STATUS(carom_manager_create(manager, "AsyncResult", NULL, 0, NULL, &proxy), CAROM_EPERM);
    CHECK_STATUS(carom_manager_create(manager, "Iterator", NULL, 0, NULL, &proxy), CAROM_EPERM);
    carom_argument nothing;
    CHECK_STATUS(carom_proxy_call(pool, "apply", &argument, 1, &nothing, NULL, 0, NULL, 0), CAROM_EBROKEN);
    CHECK_STATUS(carom_proxy_call(pool, "no such", NULL, 0, &nothing, NULL, 0, NULL, 0), CAROM_ENOENT);
    await_objects(1);
    CHECK_OK(carom_proxy_call(pool, "close", NULL, 0, &nothing, NULL, 0, NULL, 0));
    CHECK_OK(carom_proxy_call(pool, "join", NULL, 0, &nothing, NULL, 0, NULL, PATIENCE_MS));
    end();
}

int main(void) {
    CASE(calls);
    CASE(proxies);
    CASE(parties);
    CASE(workers_die);
    CASE(out_of_time);
    CASE(closing);
    CASE(freed);
    CASE(clients_die);
    CASE(server_dies);
    CASE(not_served);
    return 0;
}
