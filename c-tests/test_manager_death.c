/* Managers whose clients or server are killed, at any point: nobody hangs, and each request is done whole or not at all. */
#include "manager.h"

#define ROUNDS 24

static carom_dict *dict;
static carom_lock *lock;
static flag *here;

static void begin(void) {
    here = share(sizeof *here);
    CHECK_OK(carom_manager_new(NULL, &manager));
    CHECK_OK(carom_manager_dict(manager, NULL, &dict));
    CHECK_OK(carom_manager_lock(manager, &lock));
}

static int is_lost(carom_status status) { return status == CAROM_EBROKEN || status == CAROM_ECLOSED; }

/* Adds to two keys in one step, with a lock and without, and makes and leaves objects. */
static int32_t works(carom_call *call) {
    carom_dict *shared;
    carom_lock *guard;
    carom_manager *origin;
    CHECK_OK(carom_call_dict(call, 0, &shared));
    CHECK_OK(carom_call_lock(call, 1, &guard));
    CHECK_OK(carom_call_manager(call, 2, &origin));
    carom_argument one[] = {KEY("increment"), KEY("a"), INT(1)}, two[] = {KEY("increment"), KEY("b"), INT(1)}, results;
    carom_argument calls[] = {{.kind = CAROM_ARGUMENT_LIST, .data = one, .len = 3}, {.kind = CAROM_ARGUMENT_LIST, .data = two, .len = 3}};
    _Alignas(16) char data[256];
    for (;;) {
        carom_list *list;
        flag_add(here, 1);
        carom_status status = carom_lock_acquire(guard, CAROM_FOREVER);
        if (status == CAROM_EOWNERDEAD) status = carom_lock_recover(guard, CAROM_FOREVER);
        if (status == CAROM_EOWNERDEAD) continue;
        if (is_lost(status)) return 3;
        CHECK_OK(status);
        if (is_lost(carom_dict_apply(shared, calls, 2, &results, data, sizeof data, NULL))) return 3;
        status = carom_lock_release(guard);
        if (is_lost(status)) return 3;
        CHECK_OK(status);
        status = carom_manager_list(origin, NULL, 0, &list);
        if (is_lost(status)) return 3;
        CHECK_OK(status);
        carom_list_free(list);
    }
}

static void start_workers(carom_process **processes, int count) {
    carom_argument arguments[] = {HANDLE(dict), HANDLE(lock), HANDLE(manager)};
    for (int i = 0; i < count; i++) CHECK_OK(carom_process_start(works, arguments, 3, NULL, &processes[i]));
}

static void clients_die(void) {
    begin();
    carom_process *processes[2];
    unsigned seed = 1;
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t seen = atomic_load(here);
        start_workers(processes, 2);
        flag_await(here, seen + 2 + rand_r(&seed) % 20);
        for (int spin = rand_r(&seed) % 20000; spin > 0; spin--) __asm__ volatile("");
        CHECK_OK(carom_process_kill(processes[0]));
        CHECK_EQ(ended(processes[0]), -SIGKILL);
        /* The other one goes on. */
        seen = atomic_load(here);
        flag_await(here, seen + 2);
        carom_argument gets[] = {KEY("get"), KEY("a"), KEY("get"), KEY("b")}, both;
        carom_argument calls[] = {{.kind = CAROM_ARGUMENT_LIST, .data = gets, .len = 2}, {.kind = CAROM_ARGUMENT_LIST, .data = gets + 2, .len = 2}};
        _Alignas(16) char data[256];
        CHECK_OK(carom_dict_apply(dict, calls, 2, &both, data, sizeof data, NULL));
        const carom_argument *got = both.data;
        CHECK_EQ(got[0].integer, got[1].integer);
        CHECK_OK(carom_process_kill(processes[1]));
        CHECK_EQ(ended(processes[1]), -SIGKILL);
        carom_status status = carom_lock_acquire(lock, PATIENCE_MS);
        if (status == CAROM_EOWNERDEAD) status = carom_lock_recover(lock, PATIENCE_MS);
        CHECK_OK(status);
        CHECK_OK(carom_lock_release(lock));
    }
    /* What they made has gone with them. */
    carom_manager_facts facts = {.size = sizeof facts};
    int64_t until = now_ms() + PATIENCE_MS;
    do CHECK_OK(carom_manager_info(manager, &facts));
    while ((facts.objects != 2 || facts.clients != 1) && now_ms() < until);
    CHECK_EQ(facts.objects, 2);
    CHECK_EQ(facts.clients, 1);
    carom_lock_free(lock), carom_dict_free(dict);
    CHECK_OK(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
}

static int32_t waits_at_lock(carom_call *call) {
    carom_lock *guard;
    CHECK_OK(carom_call_lock(call, 0, &guard));
    flag_add(here, 1);
    return is_lost(carom_lock_acquire(guard, CAROM_FOREVER)) ? 3 : 1;
}

static void servers_die(void) {
    unsigned seed = 2;
    for (int round = 0; round < ROUNDS / 2; round++) {
        begin();
        carom_process *processes[3];
        carom_manager_facts facts = {.size = sizeof facts};
        carom_argument argument = HANDLE(lock), key = KEY("a");
        CHECK_OK(carom_manager_info(manager, &facts));
        start_workers(processes, 2);
        flag_await(here, 2 + rand_r(&seed) % 30);
        if (round % 2) {
            CHECK_OK(carom_manager_info(manager, &facts));
            carom_status held = carom_lock_acquire(lock, PATIENCE_MS);
            CHECK_OK(held);
        }
        CHECK_OK(carom_process_start(waits_at_lock, &argument, 1, NULL, &processes[2]));
        flag_await(here, 1);
        for (int spin = rand_r(&seed) % 20000; spin > 0; spin--) __asm__ volatile("");
        CHECK_EQ(kill(facts.pid, SIGKILL), 0);
        for (int i = 0; i < 2; i++) CHECK_EQ(ended(processes[i]), 3);
        int32_t code = ended(processes[2]);
        CHECK(code == 3 || (code == 1 && round % 2 == 0)); /* it may have had the lock already */
        CHECK(is_lost(carom_dict_contains(dict, &key)));
        CHECK_STATUS(carom_dict_contains(dict, &key), CAROM_ECLOSED);
        CHECK_OK(carom_manager_join(manager, PATIENCE_MS));
        CHECK_OK(carom_manager_shutdown(manager, PATIENCE_MS));
        carom_lock_free(lock), carom_dict_free(dict);
        carom_manager_free(manager);
    }
}

/* A server that does not answer is as good as dead, after its time. */
static void servers_stop(void) {
    carom_manager_options options = {.size = sizeof options, .request_timeout_ms = 300};
    carom_argument key = KEY("a");
    CHECK_OK(carom_manager_new(&options, &manager));
    CHECK_OK(carom_manager_dict(manager, NULL, &dict));
    carom_manager_facts facts = {.size = sizeof facts};
    CHECK_OK(carom_manager_info(manager, &facts));
    CHECK_EQ(kill(facts.pid, SIGSTOP), 0);
    CHECK_STATUS(carom_dict_contains(dict, &key), CAROM_EBROKEN);
    CHECK_STATUS(carom_dict_contains(dict, &key), CAROM_ECLOSED);
    carom_dict_free(dict);
    CHECK_OK(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
}

/* Whatever becomes of its owner, the server ends: run_case_ waits for it. */
static void owners_die(void) {
    begin();
    carom_argument key = KEY("a");
    CHECK_EQ(carom_dict_contains(dict, &key), 0);
    pid_t pid = fork();
    if (pid == 0) {
        begin_case_();
        carom_attach();
        begin();
        raise(SIGKILL);
    }
    CHECK_EQ(wait_for(pid), -SIGKILL);
    /* Freed, and not shut down. */
    carom_lock_free(lock), carom_dict_free(dict);
    carom_manager_free(manager);
    /* It leaves no zombie. */
    int64_t until = now_ms() + PATIENCE_MS;
    while (carom_process_children(NULL, 0) > 0) CHECK(now_ms() < until);
}

int main(int argc, char **argv) {
    carom_init(argc, argv);
    CASE(clients_die);
    CASE(servers_die);
    CASE(servers_stop);
    CASE(owners_die);
    return 0;
}
