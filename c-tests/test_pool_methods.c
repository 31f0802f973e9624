/* Pools by every start method: their workers are forked by a template that has nothing of the host, or all of it. */
#include "starts.h"

static int variable = 1;

static int32_t adds(carom_call *call) {
    int64_t number;
    CHECK_OK(carom_call_read(call, 0, &number, sizeof number));
    number += variable;
    return carom_call_reply(call, &number, sizeof number) == CAROM_OK ? 0 : 1;
}

static int32_t sets_variable(carom_call *call) {
    int64_t number;
    CHECK_OK(carom_call_read(call, 0, &number, sizeof number));
    variable = (int)number;
    return 0;
}

static int32_t crashes(carom_call *call) {
    (void)call;
    raise(SIGKILL);
    return 0;
}

static int32_t tells_template(carom_call *call) {
    int64_t pid = getppid();
    return carom_call_reply(call, &pid, sizeof pid) == CAROM_OK ? 0 : 1;
}

static int32_t sets(carom_call *call) {
    carom_event *event = NULL;
    CHECK_OK(carom_call_event(call, 0, &event));
    CHECK_OK(carom_event_set(event));
    return 0;
}

static carom_pool *pool_of(carom_pool_options options) {
    carom_pool *pool = NULL;
    options.size = sizeof options, options.workers = 2;
    CHECK_OK(carom_context_new(method, &options.context));
    CHECK_OK(carom_pool_new(&options, &pool));
    carom_context_free(options.context);
    return pool;
}

static void end(carom_pool *pool) {
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
}

static void maps(void) {
    int64_t in[200], out[200];
    variable = 5; /* what a copy of this program has */
    carom_pool *pool = pool_of((carom_pool_options){.workers = 0});
    for (int i = 0; i < 200; i++) in[i] = i;
    CHECK_OK(carom_pool_map(pool, adds, in, sizeof *in, 200, NULL, out, sizeof *out, PATIENCE_MS));
    for (int i = 0; i < 200; i++) CHECK_EQ(out[i], i + (strcmp(method, "fork") == 0 ? 5 : 1));
    end(pool);
    CHECK_OK(carom_arena_check(NULL));
}

static void initializes(void) {
    carom_argument nine = CAROM_INTEGER(9);
    carom_pool *pool = pool_of((carom_pool_options){.initializer = sets_variable, .initializer_arguments = &nine, .initializer_count = 1});
    int64_t in = 1, out = 0;
    CHECK_OK(carom_pool_map(pool, adds, &in, sizeof in, 1, NULL, &out, sizeof out, PATIENCE_MS));
    CHECK_EQ(out, 10);
    end(pool);
}

static void handles(void) {
    carom_pool *pool = pool_of((carom_pool_options){.workers = 0});
    carom_event *event = NULL;
    CHECK_OK(carom_event_new(&event)); /* after the workers */
    carom_argument argument = CAROM_HANDLE(event);
    CHECK_OK(carom_pool_apply(pool, sets, &argument, 1, NULL, NULL, 0, NULL, PATIENCE_MS));
    CHECK_EQ(carom_event_is_set(event), 1);
    carom_event_free(event);
    end(pool);
}

static void workers_die(void) {
    carom_pool *pool = pool_of((carom_pool_options){.workers = 0});
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(carom_pool_apply(pool, crashes, NULL, 0, NULL, NULL, 0, NULL, PATIENCE_MS), CAROM_EWORKERLOST);
        int64_t in = 1, out = 0;
        CHECK_OK(carom_pool_map(pool, adds, &in, sizeof in, 1, NULL, &out, sizeof out, PATIENCE_MS));
        CHECK_EQ(out, 2);
    }
    end(pool);
}

/* Workers die with their template, but not at the same instant: each of the two may take a task along. */
static void template_dies(void) {
    carom_pool *pool = pool_of((carom_pool_options){.workers = 0});
    int lost = 0;
    for (int i = 0; i < 3; i++) {
        int64_t pid = 0, in = 1, out = 0;
        carom_status status;
        while ((status = carom_pool_apply(pool, tells_template, NULL, 0, NULL, &pid, sizeof pid, NULL, PATIENCE_MS)) == CAROM_EWORKERLOST) lost++;
        CHECK_OK(status);
        /* Until it is dead a worker of its may tell of it. */
        int fd = pidfd_of((pid_t)pid);
        CHECK_EQ(kill((pid_t)pid, SIGKILL), 0);
        readable(fd);
        close(fd);
        while ((status = carom_pool_map(pool, adds, &in, sizeof in, 1, NULL, &out, sizeof out, PATIENCE_MS)) == CAROM_EWORKERLOST) lost++;
        CHECK_OK(status);
        CHECK_EQ(out, 2);
        CHECK(lost <= 2 * (i + 1));
    }
    end(pool);
}

static void host_dies(void) {
    int *pid = share(sizeof *pid);
    pid_t host = fork();
    if (host == 0) {
        int64_t template = 0;
        CHECK_OK(carom_attach());
        carom_pool *pool = pool_of((carom_pool_options){.workers = 0});
        CHECK_OK(carom_pool_apply(pool, tells_template, NULL, 0, NULL, &template, sizeof template, NULL, PATIENCE_MS));
        *pid = (int)template;
        raise(SIGKILL);
    }
    CHECK_EQ(wait_for(host), -SIGKILL);
    int fd = (int)syscall(SYS_pidfd_open, *pid, 0);
    if (fd >= 0) readable(fd);
    if (fd >= 0) close(fd);
}

/* A function that the template's program does not have is the task's failure, not the pool's. */
static void the_worker(void) {
    carom_pool *pool = NULL;
    carom_pool_options options = {.size = sizeof options, .workers = 1};
    CHECK_OK(carom_set_executable(NULL, NULL));
    CHECK_OK(carom_context_new("spawn", &options.context));
    CHECK_OK(carom_pool_new(&options, &pool));
    int64_t in = 1, out = 0;
    CHECK(carom_pool_map(pool, adds, &in, sizeof in, 1, NULL, &out, sizeof out, PATIENCE_MS) != CAROM_OK);
    carom_argument three[] = {CAROM_NIL, CAROM_NIL, CAROM_NIL};
    /* A function of a shared library, which returns how many arguments it has: so it fails, by that code. */
    carom_verdict verdict = {.size = sizeof verdict};
    carom_task_options task = {.size = sizeof task, .verdict = &verdict};
    CHECK_STATUS(carom_pool_apply(pool, (carom_function)(void (*)(void))carom_call_count, three, 3, &task, NULL, 0, NULL, PATIENCE_MS),
                 CAROM_ETASKFAILED);
    CHECK_EQ(verdict.code, 3);
    end(pool);
    carom_context_free(options.context);
}

static void programs_that_do_not_begin(void) {
    carom_pool *pool = NULL;
    carom_pool_options options = {.size = sizeof options, .workers = 1};
    CHECK_OK(carom_set_executable("/bin/true", NULL));
    CHECK_OK(carom_context_new("spawn", &options.context));
    CHECK_STATUS(carom_pool_new(&options, &pool), CAROM_EBROKEN);
    CHECK(pool == NULL);
    CHECK_OK(carom_arena_check(NULL));
    carom_context_free(options.context);
}

int main(int argc, char **argv) {
    CHECK_OK(carom_init(argc, argv));
    for (int i = 0; by_method(i); i++) {
        CASE(maps);
        CASE(initializes);
        CASE(handles);
        CASE(workers_die);
        CASE(template_dies);
        CASE(host_dies);
    }
    more_fds = 0;
    CASE(the_worker);
    CASE(programs_that_do_not_begin);
    return 0;
}
