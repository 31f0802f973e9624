/* Pools: the host, the template and the worker, whichever is killed. */
#ifndef STEP_POOLS_H
#define STEP_POOLS_H

#include "harness.h"

enum { MAPPED = 6 };

static carom_pool *pool;
static carom_result *result;

static int32_t plus_one(carom_call *call) {
    int64_t number = 0;
    CHECK_OK(carom_call_read(call, 0, &number, sizeof number));
    number++;
    return carom_call_reply(call, &number, sizeof number) == CAROM_OK ? 0 : 1;
}
/* Large enough to stay where the worker wrote it. */
enum { HELD = 40000 };
static int32_t echoes_much(carom_call *call) {
    carom_argument it;
    CHECK_OK(carom_call_argument(call, 0, &it));
    return carom_call_reply(call, it.data, it.len) == CAROM_OK ? 0 : 1;
}
static int32_t never_ends(carom_call *call) {
    (void)call;
    for (;;) pause();
    return 0;
}
/* Too long for the slot, so that blocks are taken and given back. */
static int32_t echoes(carom_call *call) {
    char text[1000];
    CHECK_OK(carom_call_read(call, 0, text, sizeof text));
    return carom_call_reply(call, text, sizeof text) == CAROM_OK ? 0 : 1;
}

static void pool_make_(uint32_t events, int64_t limit_ms) {
    carom_pool_options options = {.size = sizeof options, .workers = 1, .events = events, .time_limit_ms = limit_ms};
    CHECK_OK(carom_pool_new(&options, &pool));
}
/* A worker that dies may take a task with it, one; also one that dies with its template, which may come after a first one. */
static void pool_survives(void) {
    int taken = 0;
    for (int i = 0; i < 3; i++) {
        int64_t reply = 0;
        carom_argument argument = CAROM_INTEGER(41);
        carom_status status = carom_pool_apply(pool, plus_one, &argument, 1, NULL, &reply, sizeof reply, NULL, PATIENCE_MS);
        if (status == CAROM_EWORKERLOST) taken++;
        else CHECK_STATUS(status, CAROM_OK);
    }
    CHECK(taken <= 1 + (point.script == SECOND_KILL && point.operation->descends));
}
static void pool_goes_on(void) {
    int64_t number = 41, reply = 0;
    carom_argument argument = CAROM_INTEGER(number);
    if (point.script == SECOND_KILL) pool_survives();
    CHECK_OK(carom_pool_apply(pool, plus_one, &argument, 1, NULL, &reply, sizeof reply, NULL, PATIENCE_MS));
    CHECK_EQ(reply, 42);
}
static void pool_make(void) {
    pool_make_(0, 0);
    pool_goes_on();
}
static void pool_unmake(void) {
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
}

/* ---- the worker, over a task ---- */

/* The one that waits for a task: another may be dying still, of its template's death. */
static pid_t the_worker(void) {
    enum { MOST = 8 };
    int64_t until = now_ms() + PATIENCE_MS;
    for (;;) {
        pid_t pids[MOST];
        int count = called("carom-worker", pids, MOST);
        for (int i = 0; i < count; i++) {
            char text[256];
            if (is_asleep_in(pids[i], pids[i], SYS_futex, SYS_futex_waitv, text)) return pids[i];
        }
        if (now_ms() > until) check_eq_(__FILE__, __LINE__, "workers that wait", 0, 1);
        sched_yield();
    }
}
static pid_t parent_of(pid_t pid) {
    char path[64], line[256];
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "PPid: %d", &parent) == 1) break;
    if (file) fclose(file);
    return parent;
}
/* Asleep, as its worker is. */
static pid_t template_of(pid_t worker) {
    pid_t pid = parent_of(worker);
    asleep_in_(__FILE__, __LINE__, pid, pid, SYS_epoll_wait, SYS_epoll_pwait);
    return pid;
}
static pid_t the_template(void) { return template_of(the_worker()); }

static void submits(void) {
    carom_argument argument = CAROM_INTEGER(1);
    CHECK_OK(carom_pool_apply_async(pool, plus_one, &argument, 1, NULL, &result));
}
/* A second thread that waits for it. */
static void awaits_result(void) { CHECK_OK(carom_result_wait(result, PATIENCE_MS)); }
static void waiter_is_through(void) {
    if (needs_partner(point.operation, point.script)) partner_ends();
}
/* A worker's template. It has sent its workers the signal before it counts as dead, and no later point sees one of them. */
static void template_dies_too(void) {
    pid_t pid = parent_of(tracee.pid);
    int fd = pid > 1 && pid != getpid() && pid != getppid() ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (fd < 0) return;
    syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
    readable(fd);
    close(fd);
}
/* Done, or lost, and said once and for all. */
static void task_is_settled(void) {
    int64_t reply = 0;
    waiter_is_through();
    carom_status status = carom_result_get(result, &reply, sizeof reply, NULL, PATIENCE_MS);
    if (status == CAROM_OK) CHECK_EQ(reply, 2);
    else CHECK_STATUS(status, CAROM_EWORKERLOST);
    CHECK_STATUS(carom_result_get(result, &reply, sizeof reply, NULL, 0), status);
    carom_result_free(result);
    pool_goes_on();
}
static char text[1000];
static void submits_long(void) {
    memset(text, 'x', sizeof text);
    carom_argument argument = CAROM_BYTES(text, sizeof text);
    CHECK_OK(carom_pool_apply_async(pool, echoes, &argument, 1, NULL, &result));
}
static void long_is_settled(void) {
    char reply[1000] = "";
    waiter_is_through();
    carom_status status = carom_result_get(result, reply, sizeof reply, NULL, PATIENCE_MS);
    if (status == CAROM_OK) CHECK(memcmp(reply, text, sizeof text) == 0);
    else CHECK_STATUS(status, CAROM_EWORKERLOST);
    carom_result_free(result);
    pool_goes_on();
}

static carom_iterator *iterator;
static int64_t numbers[MAPPED];
static int done, lost;
static void maps(void) {
    done = lost = 0;
    for (int i = 0; i < MAPPED; i++) numbers[i] = i;
    carom_items items = {.size = sizeof items, .data = numbers, .item_size = 8, .count = MAPPED};
    CHECK_OK(carom_pool_imap_unordered(pool, plus_one, &items, NULL, &iterator));
}
/* Each item once: done, or lost. */
static void awaits_map(void) {
    carom_result *one = NULL;
    uint32_t seen = 0;
    carom_status status;
    while ((status = carom_iterator_next(iterator, &one, PATIENCE_MS)) == CAROM_OK) {
        int64_t reply = -1;
        status = carom_result_get(one, &reply, sizeof reply, NULL, 0);
        if (status == CAROM_OK) {
            CHECK(reply >= 1 && reply <= MAPPED && !(seen >> reply & 1));
            seen |= 1u << reply;
            done++;
        } else {
            CHECK_STATUS(status, CAROM_EWORKERLOST);
            lost++;
        }
        carom_result_free(one);
    }
    CHECK_STATUS(status, CAROM_EEND);
}
/* Only one is lost with a worker; a template that dies may take another worker along. */
static void map_is_settled(void) {
    waiter_is_through();
    if (done + lost == 0) awaits_map(); /* there was no waiter */
    CHECK_EQ(done + lost, MAPPED);
    CHECK(lost <= 1 + (point.script == SECOND_KILL));
    carom_iterator_free(iterator);
    pool_goes_on();
}

/* ---- third parties: another task, a wait that ends, the pool freed ---- */

static carom_result *another;
static int submits_another(void) {
    carom_argument argument = CAROM_INTEGER(1);
    CHECK_OK(carom_pool_apply_async(pool, plus_one, &argument, 1, NULL, &another));
    return 1;
}
static void another_is_settled(void) {
    int64_t reply = 0;
    carom_status status = carom_result_get(another, &reply, sizeof reply, NULL, PATIENCE_MS);
    if (status == CAROM_OK) CHECK_EQ(reply, 2);
    else CHECK_STATUS(status, CAROM_EWORKERLOST);
    carom_result_free(another);
}
static void waits_briefly(void) {
    carom_status status = carom_result_wait(result, 1);
    if (status != CAROM_OK) CHECK_STATUS(status, CAROM_ETIMEDOUT);
}
static void looks_for_news(void) { CHECK(carom_pool_dispatch(pool, 1) >= 0); }
/* Whatever it was about to be, it is settled now. */
static void pool_is_freed(void) {
    carom_pool_free(pool);
    CHECK_OK(carom_result_wait(result, 0));
    carom_result_free(result);
}
static void pool_of_map_is_freed(void) {
    carom_pool_free(pool);
    carom_iterator_free(iterator);
}

/* ---- the template, over a worker's death or a limit ---- */

static void worker_dies(void) { kill((pid_t)shared->told, SIGKILL); }
static void something_runs(void) {
    shared->told = the_worker();
    CHECK_OK(carom_pool_apply_async(pool, never_ends, NULL, 0, NULL, &result));
    pid_t pid = (pid_t)shared->told;
    asleep_in(pid, pid, SYS_pause);
}
static pid_t the_template_now(void) { return template_of((pid_t)shared->told); }
static void worker_was_lost(void) {
    waiter_is_through();
    CHECK_OK(carom_result_wait(result, PATIENCE_MS));
    CHECK_STATUS(carom_result_get(result, NULL, 0, NULL, 0), CAROM_EWORKERLOST);
    carom_result_free(result);
    pool_goes_on();
}
static void submits_limited(void) {
    carom_task_options options = {.size = sizeof options, .time_limit_ms = 1};
    CHECK_OK(carom_pool_apply_async(pool, never_ends, NULL, 0, &options, &result));
}
/* Killed with its template, the worker was lost; else its time was up. */
static void time_was_up(void) {
    waiter_is_through();
    CHECK_OK(carom_result_wait(result, PATIENCE_MS));
    carom_status status = carom_result_get(result, NULL, 0, NULL, 0);
    if (status != CAROM_EWORKERLOST) CHECK_STATUS(status, CAROM_ETIMELIMIT);
    carom_result_free(result);
    pool_goes_on();
}

/* ---- the host; or what it makes, and then it gets on ---- */

static void host_works(void) {
    int64_t in[MAPPED], out[MAPPED];
    carom_status statuses[MAPPED];
    pool_make_(CAROM_POOL_WORKER_UP | CAROM_POOL_WORKER_DOWN, 0);
    submits();
    int64_t reply = 0;
    carom_status status = carom_result_get(result, &reply, sizeof reply, NULL, PATIENCE_MS);
    if (status != CAROM_EWORKERLOST) CHECK_STATUS(status, CAROM_OK);
    carom_result_free(result);
    static char much[HELD], back[HELD];
    memset(much, 'm', sizeof much);
    carom_argument argument = CAROM_BYTES(much, sizeof much);
    status = carom_pool_apply(pool, echoes_much, &argument, 1, NULL, back, sizeof back, NULL, PATIENCE_MS);
    if (status == CAROM_OK) CHECK(memcmp(back, much, sizeof much) == 0);
    else CHECK_STATUS(status, CAROM_EWORKERLOST);
    for (int i = 0; i < MAPPED; i++) in[i] = i;
    carom_task_options options = {.size = sizeof options, .statuses = statuses};
    status = carom_pool_map(pool, plus_one, in, 8, MAPPED, &options, out, 8, PATIENCE_MS);
    if (status != CAROM_EWORKERLOST) CHECK_STATUS(status, CAROM_OK);
    for (int i = 0; i < MAPPED; i++) CHECK(statuses[i] != CAROM_OK || out[i] == i + 1);
    pool_unmake();
}
static void host_makes_and_frees(void) {
    pool_make_(0, 0);
    carom_pool_free(pool);
}
static void host_makes_and_closes(void) {
    pool_make_(0, 0);
    pool_survives();
    pool_unmake();
}
static void pool_of_another(void) {
    pool_make_(0, 0);
    pool_goes_on();
    pool_unmake();
}
/* Whoever makes the pool, while its template is on its way. */
static void host_dies_too(void) { kill(carom_process_pid(victim_process), SIGKILL); }
static void not_always(void) {
    if (point.k % 16 == 0) pool_of_another();
}

#define POOL_OPERATIONS                                                                                                \
    {.name = "worker, task", .make = pool_make, .unmake = pool_unmake, .target = the_worker, .begin = submits,         \
     .after = task_is_settled, .barge = submits_another, .unbarge = another_is_settled, .timed = waits_briefly,        \
     .abandon = pool_is_freed, .wait = awaits_result, .threaded = 1,                                                   \
     .second = template_dies_too},                                                                                     \
    {.name = "worker, long task", .make = pool_make, .unmake = pool_unmake, .target = the_worker, .begin = submits_long, \
     .after = long_is_settled, .barge = submits_another, .unbarge = another_is_settled, .timed = waits_briefly,        \
     .abandon = pool_is_freed, .wait = awaits_result, .threaded = 1,                                                   \
     .second = template_dies_too},                                                                                     \
    {.name = "worker, map", .make = pool_make, .unmake = pool_unmake, .target = the_worker, .begin = maps,             \
     .after = map_is_settled, .barge = submits_another, .unbarge = another_is_settled, .timed = looks_for_news,        \
     .abandon = pool_of_map_is_freed, .wait = awaits_map, .threaded = 1, .second = template_dies_too},                                                     \
    {.name = "template, worker died", .make = pool_make, .unmake = pool_unmake, .before = something_runs,              \
     .target = the_template_now, .begin = worker_dies, .after = worker_was_lost,                                       \
     .barge = submits_another, .unbarge = another_is_settled, .timed = waits_briefly, .abandon = pool_is_freed, .wait = awaits_result, .threaded = 1}, \
    {.name = "template, time limit", .make = pool_make, .unmake = pool_unmake, .target = the_template,                 \
     .begin = submits_limited, .after = time_was_up, .barge = submits_another, .unbarge = another_is_settled,          \
     .timed = waits_briefly, .abandon = pool_is_freed, .wait = awaits_result, .threaded = 1},                          \
    {.name = "pool, freed at once", .victim = host_makes_and_frees, .after = not_always},                              \
    {.name = "pool, its host", .victim = host_works, .after = not_always},                                             \
    {.name = "template, half born", .victim = host_makes_and_closes, .after = not_always, .descends = 1,               \
     .second = host_dies_too},                                                                                         \
    {.name = "template, born", .victim = host_makes_and_closes, .after = not_always, .descends = 2,                    \
     .second = host_dies_too},                                                                                         \
    {.name = "worker, born", .victim = host_makes_and_closes, .after = not_always, .descends = 3,                      \
     .second = template_dies_too}
#endif
