/* Members of the server's family reach it by a lane in the arena, once they have called a few times: everything is as over the
 * socket, a server that nobody asks sleeps, and whoever dies leaves no lane behind. */
#include "manager.h"

/* More calls than make a lane. */
#define CALLS 20
/* Just enough of them. */
#define FEW_CALLS 12

static carom_dict *dict;
static carom_lock *lock;
static flag *here, *go;

static void begin(void) {
    here = share(sizeof *here), go = share(sizeof *go);
    CHECK_OK(carom_manager_new(NULL, &manager));
    CHECK_OK(carom_manager_dict(manager, NULL, &dict));
    CHECK_OK(carom_manager_lock(manager, &lock));
}

static void end(void) {
    carom_lock_free(lock), carom_dict_free(dict);
    CHECK_OK(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
}

static void add(const char *name, int count) {
    carom_argument key = KEY(name);
    for (int i = 0; i < count; i++) CHECK_OK(carom_dict_increment(dict, &key, 1, NULL));
}

static int64_t value_of(const char *name) {
    carom_argument key = KEY(name), found = {0};
    CHECK_OK(carom_dict_get(dict, &key, &found, NULL, 0, NULL));
    return found.integer;
}

/* How many lanes the server has. */
static int lanes(void) {
    static char text[1 << 20];
    int count = 0;
    CHECK_OK(carom_manager_print(manager, text, sizeof text, NULL));
    for (char *at = text; (at = strstr(at, " connections, ")) != NULL; at++) count += atoi(at + strlen(" connections, "));
    return count;
}

static void await_lanes(int wanted) {
    int64_t until = now_ms() + PATIENCE_MS;
    while (lanes() != wanted && now_ms() < until) usleep(1000);
    CHECK_EQ(lanes(), wanted);
}

static void await_state(pid_t pid, char state) {
    int64_t until = now_ms() + PATIENCE_MS;
    while (state_of(pid, pid) != state) CHECK(now_ms() < until);
}

/* The lane comes with the calls, and whatever its length, a message is what it was. */
static void lengths(void) {
    begin();
    CHECK_EQ(lanes(), 0);
    add("a", CALLS);
    CHECK_EQ(lanes(), 1);
    CHECK_EQ(value_of("a"), CALLS);
    static _Alignas(16) char sent[300000], got[300000];
    /* Beside what a message has around a value, where it goes another way than shorter ones. */
    const size_t around[] = {0, 40, 500, 4080, 16370, 200000};
    for (size_t i = 0; i < sizeof sent; i++) sent[i] = (char)(i * 7 + i / 251);
    for (size_t i = 0; i < sizeof around / sizeof around[0]; i++) {
        for (size_t len = around[i] < 16 ? 0 : around[i] - 16; len < around[i] + 16; len += 2) {
            carom_argument key = KEY("b"), found, bytes = {.kind = CAROM_ARGUMENT_BYTES, .data = sent, .len = len};
            size_t needed = 0;
            CHECK_OK(carom_dict_set(dict, &key, &bytes));
            if (len > 16) CHECK_STATUS(carom_dict_get(dict, &key, &found, got, 16, &needed), CAROM_EMSGSIZE);
            CHECK_OK(carom_dict_get(dict, &key, &found, got, sizeof got, NULL));
            CHECK_EQ(found.len, len);
            CHECK(len == 0 || memcmp(found.data, sent, len) == 0);
        }
    }
    CHECK_EQ(lanes(), 1);
    end();
}

/* Nobody asks: it sleeps, and stays asleep. Somebody asks: it wakes. */
static void sleeps(void) {
    begin();
    add("a", CALLS);
    CHECK_EQ(lanes(), 1);
    pid_t server = facts().pid;
    for (int round = 0; round < 20; round++) {
        asleep_in(server, server, SYS_epoll_wait);
        add("a", 1 + round % 3);
    }
    for (int look = 0; look < 10; look++) {
        asleep_in(server, server, SYS_epoll_wait);
        usleep(5000);
    }
    CHECK_EQ(value_of("a"), CALLS + 6 * 6 + 3);
    end();
}

static int32_t adds(carom_call *call) {
    CHECK_OK(carom_call_dict(call, 0, &dict));
    add("child", CALLS);
    carom_dict_free(dict);
    return 0;
}

/* A child does not use what it has inherited, however it was forked, and neither disturbs the other. */
static void forks(void) {
    begin();
    add("a", CALLS);
    carom_argument argument = HANDLE(dict);
    for (int round = 0; round < 5; round++) {
        carom_process *process;
        CHECK_OK(carom_process_start(adds, &argument, 1, NULL, &process));
        pid_t pid = fork();
        if (pid == 0) {
            carom_argument key = KEY("fork");
            CHECK_STATUS(carom_dict_increment(dict, &key, 1, NULL), CAROM_EFORKED);
            CHECK_OK(carom_attach());
            add("fork", CALLS);
            _exit(0);
        }
        add("a", CALLS);
        CHECK_EQ(ended(process), 0);
        CHECK_EQ(wait_for(pid), 0);
    }
    CHECK_EQ(value_of("a"), 6 * CALLS);
    CHECK_EQ(value_of("child"), 5 * CALLS);
    CHECK_EQ(value_of("fork"), 5 * CALLS);
    await_lanes(1);
    end();
}

static void *adds_in_thread(void *name) {
    add(name, 10 * CALLS);
    return NULL;
}

static void threads(void) {
    begin();
    pthread_t thread[4];
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_create(&thread[i], NULL, adds_in_thread, "t"), 0);
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_join(thread[i], NULL), 0);
    CHECK_EQ(value_of("t"), 4 * 10 * CALLS);
    end();
}

static int32_t holds(carom_call *call) {
    CHECK_OK(carom_call_dict(call, 0, &dict));
    CHECK_OK(carom_call_lock(call, 1, &lock));
    add("a", CALLS);
    CHECK_OK(carom_lock_acquire(lock, CAROM_FOREVER));
    flag_add(here, 1);
    while (atomic_load(go) == 0) add("b", 1);
    return 0;
}

static int32_t waits(carom_call *call) {
    CHECK_OK(carom_call_dict(call, 0, &dict));
    CHECK_OK(carom_call_lock(call, 1, &lock));
    add("a", CALLS);
    flag_add(here, 1);
    carom_status status = carom_lock_acquire(lock, CAROM_FOREVER);
    return status == CAROM_EBROKEN ? 3 : 4;
}

static carom_process *start(carom_function function) {
    carom_process *process;
    carom_argument arguments[] = {HANDLE(dict), HANDLE(lock)};
    uint32_t seen = atomic_load(here);
    CHECK_OK(carom_process_start(function, arguments, 2, NULL, &process));
    flag_await(here, seen + 1);
    return process;
}

static pid_t pid_of(carom_process *process) {
    pid_t pid = carom_process_pid(process);
    CHECK(pid > 0);
    return pid;
}

/* Clients that die while they ask, and while they wait: what they held comes back, and their lanes go. */
static void clients_die(void) {
    begin();
    add("a", CALLS);
    carom_arena_info before = {.size = sizeof before}, after = {.size = sizeof after};
    for (int round = 0; round < 4; round++) {
        carom_process *holder = start(holds), *waiter = start(waits);
        asleep_on_futex(pid_of(waiter));
        for (int spin = rand() % 20000; spin > 0; spin--) __asm__ volatile("");
        if (round % 2) CHECK_OK(carom_process_kill(waiter));
        CHECK_OK(carom_process_kill(holder));
        CHECK_EQ(ended(holder), -SIGKILL);
        CHECK_EQ(ended(waiter), round % 2 ? -SIGKILL : 4);
        CHECK_STATUS(carom_lock_acquire(lock, PATIENCE_MS), CAROM_EOWNERDEAD);
        CHECK_OK(carom_lock_recover(lock, PATIENCE_MS));
        CHECK_OK(carom_lock_release(lock));
        await_lanes(1);
        int64_t until = now_ms() + PATIENCE_MS;
        do CHECK_OK(carom_arena_check(round ? &after : &before));
        while (round && after.objects > before.objects && now_ms() < until);
        if (round) CHECK(after.objects <= before.objects);
    }
    end();
}

/* The same with no keeper, who would have to repair. */
static void keeper_dies(void) {
    begin();
    add("a", CALLS);
    for (int round = 0; round < 4; round++) {
        carom_process *holder = start(holds);
        CHECK_EQ(kill(keeper(), SIGKILL), 0);
        CHECK_EQ(kill(pid_of(holder), SIGKILL), 0);
        CHECK_STATUS(carom_lock_acquire(lock, PATIENCE_MS), CAROM_EOWNERDEAD);
        CHECK_OK(carom_lock_recover(lock, PATIENCE_MS));
        CHECK_OK(carom_lock_release(lock));
        CHECK_EQ(ended(holder), -SIGKILL);
    }
    await_lanes(1);
    end();
}

static void server_dies(void) {
    for (int round = 0; round < 3; round++) {
        begin();
        add("a", CALLS);
        CHECK_OK(carom_lock_acquire(lock, 0));
        carom_process *waiter = start(waits);
        asleep_on_futex(pid_of(waiter));
        CHECK_EQ(kill(facts().pid, SIGKILL), 0);
        CHECK_EQ(ended(waiter), 3);
        carom_argument key = KEY("a");
        carom_status lost = carom_dict_contains(dict, &key);
        CHECK(lost == CAROM_EBROKEN || lost == CAROM_ECLOSED);
        CHECK_STATUS(carom_dict_contains(dict, &key), CAROM_ECLOSED);
        CHECK_OK(carom_manager_join(manager, PATIENCE_MS));
        end();
    }
}

/* What it had not even read when it died was not done, and the caller hears that. */
static void server_dies_before_it_reads(void) {
    begin();
    add("a", CALLS);
    pid_t server = facts().pid;
    CHECK_EQ(kill(server, SIGSTOP), 0);
    await_state(server, 'T');
    pid_t killer = fork();
    if (killer == 0) {
        pid_t parent = getppid();
        asleep_on_futex(parent);
        kill(server, SIGKILL);
        _exit(0);
    }
    carom_argument key = KEY("a");
    CHECK_STATUS(carom_dict_contains(dict, &key), CAROM_ECLOSED);
    CHECK_EQ(wait_for(killer), 0);
    CHECK_OK(carom_manager_join(manager, PATIENCE_MS));
    end();
}

/* One that does not answer is as good as dead, after its time. */
static void server_stops(void) {
    carom_manager_options options = {.size = sizeof options, .request_timeout_ms = 1000};
    carom_argument key = KEY("a");
    CHECK_OK(carom_manager_new(&options, &manager));
    CHECK_OK(carom_manager_dict(manager, NULL, &dict));
    CHECK_OK(carom_manager_lock(manager, &lock));
    add("a", CALLS);
    CHECK_EQ(kill(facts().pid, SIGSTOP), 0);
    CHECK_STATUS(carom_dict_contains(dict, &key), CAROM_EBROKEN);
    CHECK_STATUS(carom_dict_contains(dict, &key), CAROM_ECLOSED);
    end();
}

/* News without a reply is not lost when there is more of it than a lane holds. */
static void many_go(void) {
    enum { MANY = 200 };
    begin();
    add("a", CALLS);
    static carom_list *lists[MANY];
    for (int i = 0; i < MANY; i++) CHECK_OK(carom_manager_list(manager, NULL, 0, &lists[i]));
    carom_manager_facts now = facts();
    CHECK_EQ(now.objects, MANY + 2);
    CHECK_EQ(kill(now.pid, SIGSTOP), 0);
    await_state(now.pid, 'T');
    for (int i = 0; i < MANY; i++) carom_list_free(lists[i]);
    CHECK_EQ(kill(now.pid, SIGCONT), 0);
    int64_t until = now_ms() + PATIENCE_MS;
    while (facts().objects != 2 && now_ms() < until) usleep(1000);
    CHECK_EQ(facts().objects, 2);
    end();
}

static int32_t asks_and_stays(carom_call *call) {
    CHECK_OK(carom_call_dict(call, 0, &dict));
    add("a", FEW_CALLS);
    flag_add(here, 1);
    flag_await(go, 1);
    add("a", 1);
    return 0;
}

/* More clients than the server has lanes for: the others have their sockets. */
static void many_come(void) {
    enum { MANY = 140, MOST = 128 };
    begin();
    carom_process *processes[MANY];
    carom_argument argument = HANDLE(dict);
    for (int i = 0; i < MANY; i++) CHECK_OK(carom_process_start(asks_and_stays, &argument, 1, NULL, &processes[i]));
    flag_await(here, MANY);
    CHECK_EQ(lanes(), MOST);
    flag_add(go, 1);
    for (int i = 0; i < MANY; i++) CHECK_EQ(ended(processes[i]), 0);
    CHECK_EQ(value_of("a"), MANY * (FEW_CALLS + 1));
    await_lanes(1);
    end();
}

/* A task that should stop takes back what it waits for, and its lane is good for the next. */
static int32_t waits_in_vain(carom_call *call) {
    carom_queue *queue;
    int64_t number;
    CHECK_OK(carom_call_dict(call, 0, &dict));
    CHECK_OK(carom_call_queue(call, 1, &queue));
    /* Its time may be over before it waits: then the call at that moment says so, or the next. */
    carom_argument key = KEY("a");
    carom_status status = CAROM_OK;
    for (int i = 0; status == CAROM_OK && i < CALLS; i++) status = carom_dict_increment(dict, &key, 1, NULL);
    if (status == CAROM_OK) status = carom_queue_get(queue, &number, sizeof number, NULL, CAROM_FOREVER);
    add("a", CALLS);
    carom_queue_free(queue), carom_dict_free(dict);
    return carom_call_reply(call, &status, sizeof status);
}

static void stops(void) {
    begin();
    carom_pool *pool;
    carom_queue *queue;
    carom_pool_options options = {.size = sizeof options, .workers = 1};
    carom_task_options soft = {.size = sizeof soft, .soft_time_limit_ms = 50};
    CHECK_OK(carom_manager_queue(manager, NULL, &queue));
    CHECK_OK(carom_pool_new(&options, &pool));
    carom_argument arguments[] = {HANDLE(dict), HANDLE(queue)};
    for (int round = 0; round < 3; round++) {
        carom_result *result;
        carom_status status = CAROM_OK;
        CHECK_OK(carom_pool_apply_async(pool, waits_in_vain, arguments, 2, &soft, &result));
        CHECK_OK(carom_result_get(result, &status, sizeof status, NULL, PATIENCE_MS));
        CHECK_EQ(status, CAROM_ESOFTLIMIT);
        carom_result_free(result);
    }
    CHECK_EQ(facts().waiting, 0);
    carom_pool_close(pool);
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
    carom_queue_free(queue);
    end();
}

int main(int argc, char **argv) {
    carom_init(argc, argv);
    CASE(lengths);
    CASE(sleeps);
    CASE(forks);
    CASE(threads);
    CASE(clients_die);
    CASE(keeper_dies);
    CASE(server_dies);
    CASE(server_dies_before_it_reads);
    CASE(server_stops);
    CASE(many_go);
    CASE(many_come);
    CASE(stops);
    check_no_leaks(0);
    return 0;
}
