/* Pipes: two ends in the arena, whoever has them, and whoever dies with one. */
#include "support.h"

#define LONGEST (3u << 20)
static unsigned char room[LONGEST + 1], other_room[LONGEST + 1];

static void fill(unsigned char *data, size_t len, unsigned seed) {
    for (size_t i = 0; i < len; i++) data[i] = (unsigned char)(seed + i * 31 + (i >> 8));
}

static void check_filled(const unsigned char *data, size_t len, unsigned seed) {
    for (size_t i = 0; i < len; i++)
        if (data[i] != (unsigned char)(seed + i * 31 + (i >> 8))) CHECK_EQ(i, -1);
}

static void make_pipe(carom_connection **left, carom_connection **right) { CHECK_OK(carom_pipe_new(NULL, left, right)); }

static carom_process *start_with(carom_function function, carom_connection *end) {
    carom_argument argument = CAROM_HANDLE(end);
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(function, &argument, 1, NULL, &process));
    return process;
}

static const size_t sizes[] = {0, 1, 8, 47, 48, 49, 100, 4096, 16384, 16385, 65536, 1 << 20, LONGEST};
#define SIZES (sizeof sizes / sizeof *sizes)

static void messages_of_every_size(void) {
    carom_connection *ends[2];
    make_pipe(&ends[0], &ends[1]);
    for (int round = 0; round < 100; round++)
        for (size_t i = 0; i < (round ? SIZES - 2 : SIZES); i++) {
            carom_connection *from = ends[round % 2], *to = ends[1 - round % 2];
            size_t len = 99;
            fill(room, sizes[i], (unsigned)(i + (unsigned)round));
            CHECK_EQ(carom_connection_poll(to, 0), 0);
            CHECK_OK(carom_connection_send(from, room, sizes[i], 0));
            CHECK_EQ(carom_connection_poll(to, 0), 1);
            if (sizes[i]) {
                CHECK_STATUS(carom_connection_recv(to, other_room, sizes[i] - 1, &len, 0), CAROM_EMSGSIZE);
                CHECK_EQ(len, sizes[i]);
                len = 99;
            }
            CHECK_OK(carom_connection_recv(to, other_room, sizes[i], &len, 0));
            CHECK_EQ(len, sizes[i]);
            check_filled(other_room, len, (unsigned)(i + (unsigned)round));
            CHECK_STATUS(carom_connection_recv(to, other_room, 1, &len, 0), CAROM_ETIMEDOUT);
        }
    CHECK_STATUS(carom_connection_recv(ends[0], room, 1, NULL, 20), CAROM_ETIMEDOUT);
    CHECK_EQ(carom_connection_poll(ends[0], 20), 0);
    CHECK_STATUS(carom_connection_send_fd(ends[0], 0, 0), CAROM_ENOTSUP);
    int fd;
    CHECK_STATUS(carom_connection_recv_fd(ends[0], &fd, 0), CAROM_ENOTSUP);
    for (int i = 0; i < 2; i++) carom_connection_free(ends[i]);
}

static void so_many_fit(void) {
    carom_connection *left, *right;
    make_pipe(&left, &right);
    for (int i = 0; i < 64; i++) CHECK_OK(carom_connection_send(left, &i, sizeof i, 0));
    CHECK_STATUS(carom_connection_send(left, room, 4, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_connection_send(left, room, 4, 20), CAROM_ETIMEDOUT);
    for (int i = 0, got; i < 64; i++) {
        CHECK_OK(carom_connection_recv(right, &got, sizeof got, NULL, 0));
        CHECK_EQ(got, i);
    }
    long before = arena_kb();
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 4; i++) CHECK_OK(carom_connection_send(left, room, 1 << 20, 0));
        CHECK_STATUS(carom_connection_send(left, room, 1 << 20, 0), CAROM_ETIMEDOUT);
        CHECK_OK(carom_connection_send(left, "x", 1, 0));
        for (int i = 0; i < 5; i++) CHECK_OK(carom_connection_recv(right, room, 1 << 20, NULL, 0));
    }
    CHECK(arena_kb() < before + 16 * 1024);
    CHECK_STATUS(carom_connection_send(left, room, (size_t)1 << 45, 0), CAROM_ENOMEM);
    CHECK_OK(carom_connection_send(left, "x", 1, 0));
    CHECK_OK(carom_connection_recv(right, room, 1, NULL, 0));
    carom_connection_free(left);
    carom_connection_free(right);
}

static void one_way(void) {
    carom_pipe_options options = {.size = sizeof options, .one_way = 1};
    carom_connection *left, *right;
    CHECK_OK(carom_pipe_new(&options, &left, &right));
    CHECK_EQ(carom_connection_readable(left), 1);
    CHECK_EQ(carom_connection_writable(left), 0);
    CHECK_EQ(carom_connection_readable(right), 0);
    CHECK_EQ(carom_connection_writable(right), 1);
    CHECK_STATUS(carom_connection_send(left, "x", 1, 0), CAROM_EPERM);
    CHECK_STATUS(carom_connection_recv(right, room, 1, NULL, 0), CAROM_EPERM);
    CHECK_STATUS(carom_connection_poll(right, 0), CAROM_EPERM);
    CHECK_OK(carom_connection_send(right, "x", 1, 0));
    CHECK_OK(carom_connection_recv(left, room, 1, NULL, 0));
    CHECK_OK(carom_connection_close(left));
    CHECK_EQ(carom_connection_readable(left), 0);
    carom_connection_free(left);
    carom_connection_free(right);
}

static void ends(void) {
    for (int how = 0; how < 2; how++) {
        carom_connection *left, *right;
        make_pipe(&left, &right);
        CHECK_OK(carom_connection_send(left, "one", 3, 0));
        CHECK_OK(carom_connection_send(left, "two", 3, 0));
        if (how) CHECK_OK(carom_connection_close(left));
        else carom_connection_free(left);
        for (int i = 0; i < 2; i++) CHECK_OK(carom_connection_recv(right, room, 3, NULL, CAROM_FOREVER));
        CHECK_EQ(carom_connection_poll(right, CAROM_FOREVER), 1);
        CHECK_STATUS(carom_connection_recv(right, room, 3, NULL, CAROM_FOREVER), CAROM_ECLOSED);
        CHECK_STATUS(carom_connection_send(right, room, 3, CAROM_FOREVER), CAROM_ECLOSED);
        if (how) {
            CHECK_STATUS(carom_connection_send(left, room, 3, 0), CAROM_ECLOSED);
            CHECK_STATUS(carom_connection_recv(left, room, 3, NULL, 0), CAROM_ECLOSED);
            CHECK_EQ(carom_connection_closed(left), 1);
            CHECK_OK(carom_connection_close(left));
            carom_connection_free(left);
        }
        carom_connection_free(right);
    }
}

static int32_t echo(carom_call *call) {
    static unsigned char data[LONGEST];
    carom_connection *end = NULL;
    size_t len;
    carom_status status;
    CHECK_OK(carom_call_connection(call, 0, &end));
    while ((status = carom_connection_recv(end, data, sizeof data, &len, CAROM_FOREVER)) == CAROM_OK)
        CHECK_OK(carom_connection_send(end, data, len, CAROM_FOREVER));
    CHECK_STATUS(status, CAROM_ECLOSED);
    return 5;
}

static void by_every_method(void) {
    const char *methods[] = {"fork", "spawn"};
    for (int m = 0; m < 2; m++) {
        carom_connection *left, *right;
        carom_context *context = NULL;
        carom_process *process = NULL;
        CHECK_OK(carom_context_new(methods[m], &context));
        carom_process_options options = {.size = sizeof options, .context = context};
        make_pipe(&left, &right);
        carom_argument argument = CAROM_HANDLE(right);
        CHECK_OK(carom_process_start(echo, &argument, 1, &options, &process));
        carom_connection_free(right);
        for (size_t i = 0; i < SIZES; i++) {
            size_t len;
            fill(room, sizes[i], (unsigned)i);
            CHECK_OK(carom_connection_send(left, room, sizes[i], CAROM_FOREVER));
            CHECK_OK(carom_connection_recv(left, other_room, LONGEST, &len, PATIENCE_MS));
            CHECK_EQ(len, sizes[i]);
            check_filled(other_room, len, (unsigned)i);
        }
        carom_connection_free(left); /* that is how the child hears of its end */
        CHECK_EQ(ended(process), 5);
        carom_context_free(context);
    }
}

static int32_t never_opens(carom_call *call) {
    for (;;) (void)call, pause();
    return 0;
}
static int32_t sends_and_waits(carom_call *call) {
    carom_connection *end = NULL;
    CHECK_OK(carom_call_connection(call, 0, &end));
    CHECK_OK(carom_connection_send(end, "hello", 5, CAROM_FOREVER));
    return never_opens(call);
}
static int32_t closes_and_waits(carom_call *call) {
    carom_connection *end = NULL;
    CHECK_OK(carom_call_connection(call, 0, &end));
    CHECK_OK(carom_connection_close(end));
    return never_opens(call);
}

/* An end goes with the last who has it, and those who only inherited it have it not. */
static void deaths(void) {
    const carom_function functions[] = {never_opens, sends_and_waits, closes_and_waits};
    for (int f = 0; f < 3; f++) {
        carom_connection *left, *right;
        make_pipe(&left, &right);
        carom_process *process = start_with(functions[f], right), *bystander = start_with(never_opens, left);
        carom_process *heir = NULL;
        carom_connection_free(right);
        CHECK_OK(carom_process_start(never_opens, NULL, 0, NULL, &heir));
        if (f == 1) CHECK_OK(carom_connection_recv(left, room, 5, NULL, PATIENCE_MS));
        if (f != 2) CHECK_STATUS(carom_connection_recv(left, room, 5, NULL, 20), CAROM_ETIMEDOUT);
        if (f != 2) CHECK_OK(carom_process_kill(process));
        CHECK_STATUS(carom_connection_recv(left, room, 5, NULL, PATIENCE_MS), CAROM_ECLOSED);
        CHECK_STATUS(carom_connection_send(left, room, 5, PATIENCE_MS), CAROM_ECLOSED);
        if (f == 2) CHECK_OK(carom_process_kill(process));
        CHECK_EQ(ended(process), -SIGKILL);
        CHECK_OK(carom_process_kill(bystander));
        CHECK_EQ(ended(bystander), -SIGKILL);
        CHECK_OK(carom_process_kill(heir));
        CHECK_EQ(ended(heir), -SIGKILL);
        carom_connection_free(left);
    }
}

/* A sender that has no room, and whose receiver dies. */
static void a_full_pipe_ends(void) {
    carom_connection *left, *right;
    make_pipe(&left, &right);
    carom_process *process = start_with(never_opens, right);
    carom_connection_free(right);
    for (int i = 0; i < 64; i++) CHECK_OK(carom_connection_send(left, "x", 1, 0));
    pid_t victim = carom_process_pid(process), killer = fork();
    if (killer == 0) {
        asleep_on_futex(getppid());
        kill(victim, SIGKILL);
        _exit(0);
    }
    CHECK_STATUS(carom_connection_send(left, "x", 1, PATIENCE_MS), CAROM_ECLOSED);
    CHECK_EQ(wait_for(killer), 0);
    CHECK_EQ(ended(process), -SIGKILL);
    carom_connection_free(left);
}

static carom_connection *inherited;
static int32_t uses_what_it_inherited(carom_call *call) {
    (void)call;
    CHECK_OK(carom_connection_send(inherited, "mine", 4, CAROM_FOREVER));
    carom_connection_free(inherited);
    return 3;
}

static void inheritance(void) {
    carom_connection *left, *right;
    make_pipe(&left, &right);
    inherited = right;
    CHECK_EQ(outcome_of(uses_what_it_inherited, NULL, 0), 3);
    CHECK_OK(carom_connection_recv(left, room, 4, NULL, 0));
    CHECK_STATUS(carom_connection_recv(left, room, 4, NULL, 0), CAROM_ETIMEDOUT); /* it is ours still */
    pid_t pid = fork(); /* without carom */
    if (pid == 0) {
        CHECK_STATUS(carom_connection_send(right, "x", 1, 0), CAROM_EFORKED);
        CHECK_OK(carom_attach());
        CHECK_OK(carom_connection_send(right, "mine", 4, 0));
        carom_connection_free(right);
        carom_connection_free(left);
        _exit(0);
    }
    CHECK_EQ(wait_for(pid), 0);
    CHECK_OK(carom_connection_recv(left, room, 4, NULL, PATIENCE_MS));
    carom_connection_free(right);
    CHECK_STATUS(carom_connection_recv(left, room, 4, NULL, PATIENCE_MS), CAROM_ECLOSED);
    carom_connection_free(left);
}

static int32_t task(carom_call *call) {
    carom_connection *end = NULL;
    CHECK_OK(carom_call_connection(call, 1, &end));
    int64_t number;
    CHECK_OK(carom_call_read(call, 0, &number, sizeof number));
    CHECK_OK(carom_connection_send(end, &number, sizeof number, CAROM_FOREVER));
    return 0;
}

static void pools(void) {
    carom_pool_options options = {.size = sizeof options, .workers = 2};
    carom_pool *pool = NULL;
    carom_connection *left, *right;
    CHECK_OK(carom_pool_new(&options, &pool)); /* older than the pipe */
    make_pipe(&left, &right);
    enum { TASKS = 60 }; /* as many as go into the lanes: nobody moves the pool on meanwhile */
    carom_result *results[TASKS];
    pid_t pid = fork(); /* inherits, which counts for nothing */
    if (pid == 0) for (;;) pause();
    for (int i = 0; i < TASKS; i++) {
        carom_argument arguments[] = {CAROM_INTEGER(i), CAROM_HANDLE(right)};
        CHECK_OK(carom_pool_apply_async(pool, task, arguments, 2, NULL, &results[i]));
    }
    carom_connection_free(right);
    int64_t sum = 0, number;
    for (int i = 0; i < TASKS; i++) {
        CHECK_OK(carom_connection_recv(left, &number, sizeof number, NULL, PATIENCE_MS));
        sum += number;
    }
    CHECK_EQ(sum, TASKS * (TASKS - 1) / 2);
    for (int i = 0; i < TASKS; i++) {
        CHECK_OK(carom_result_wait(results[i], PATIENCE_MS));
        CHECK_EQ(carom_result_successful(results[i]), 1);
        carom_result_free(results[i]);
    }
    CHECK_STATUS(carom_connection_recv(left, &number, sizeof number, NULL, PATIENCE_MS), CAROM_ECLOSED);
    kill(pid, SIGKILL);
    wait_for(pid);
    carom_connection_free(left);
    carom_pool_free(pool);
}

enum { EACH = 2000 };
static int32_t sends_many(carom_call *call) {
    static unsigned char data[30000];
    carom_connection *end = NULL;
    int64_t who;
    CHECK_OK(carom_call_connection(call, 0, &end));
    CHECK_OK(carom_call_read(call, 1, &who, sizeof who));
    for (int64_t i = 0; i < EACH; i++) {
        size_t len = 16 + (size_t)((i * 7919 + who) % (i % 50 ? 200 : 25000));
        memcpy(data, &who, 8);
        memcpy(data + 8, &i, 8);
        fill(data + 16, len - 16, (unsigned)(who + i));
        CHECK_OK(carom_connection_send(end, data, len, CAROM_FOREVER));
    }
    return 0;
}

/* Several processes at one end; some of them are killed. Each message is whole, and of those who live all come, in order. */
static void processes_do_not_mix(void) {
    enum { SENDERS = 4 };
    carom_connection *left, *right;
    make_pipe(&left, &right);
    carom_process *processes[SENDERS];
    for (int i = 0; i < SENDERS; i++) {
        carom_argument arguments[] = {CAROM_HANDLE(right), CAROM_INTEGER(i)};
        CHECK_OK(carom_process_start(sends_many, arguments, 2, NULL, &processes[i]));
    }
    carom_connection_free(right);
    int64_t next[SENDERS] = {0};
    size_t len;
    carom_status status;
    while ((status = carom_connection_recv(left, room, sizeof room, &len, PATIENCE_MS)) == CAROM_OK) {
        int64_t who, number;
        memcpy(&who, room, 8);
        memcpy(&number, room + 8, 8);
        CHECK(who >= 0 && who < SENDERS);
        CHECK_EQ(number, next[who]++);
        CHECK_EQ(len, 16 + (size_t)((number * 7919 + who) % (number % 50 ? 200 : 25000)));
        check_filled(room + 16, len - 16, (unsigned)(who + number));
        if (who < 2 && number == 100 * (who + 3)) CHECK_OK(carom_process_kill(processes[who]));
    }
    CHECK_STATUS(status, CAROM_ECLOSED);
    for (int i = 0; i < SENDERS; i++) {
        CHECK_EQ(ended(processes[i]), i < 2 ? -SIGKILL : 0);
        CHECK(i < 2 || next[i] == EACH);
    }
    carom_connection_free(left);
}

static int32_t sends_for_ever(carom_call *call) {
    static unsigned char data[40000];
    carom_connection *end = NULL;
    CHECK_OK(carom_call_connection(call, 0, &end));
    for (unsigned n = 0;; n++) {
        size_t len = 4 + (n * 7919) % 40000 / (n % 3 ? 1 : 1000);
        memcpy(data, &n, 4);
        fill(data + 4, len - 4, n);
        if (carom_connection_send(end, data, len, CAROM_FOREVER) != CAROM_OK) return 0;
    }
}
static int32_t receives_for_ever(carom_call *call) {
    static unsigned char data[40000];
    carom_connection *end = NULL;
    CHECK_OK(carom_call_connection(call, 0, &end));
    while (carom_connection_recv(end, data, sizeof data, NULL, CAROM_FOREVER) == CAROM_OK) {}
    return 0;
}

/* Senders, and receivers at the same end as ours, are killed at whatever they are at. */
static void killed_at_random(void) {
    carom_connection *left, *right;
    long arena = 0;
    for (int i = 0; i < 60; i++) {
        make_pipe(&left, &right);
        carom_process *sender = start_with(sends_for_ever, right);
        carom_process *rival = i % 2 ? start_with(receives_for_ever, left) : NULL;
        carom_connection_free(right);
        unsigned n = 0, next = 0, count = 0;
        size_t len;
        carom_status status;
        while ((status = carom_connection_recv(left, other_room, sizeof other_room, &len, PATIENCE_MS)) == CAROM_OK) {
            memcpy(&n, other_room, 4);
            CHECK(rival ? n >= next : n == next);
            CHECK_EQ(len, 4 + (n * 7919) % 40000 / (n % 3 ? 1 : 1000));
            check_filled(other_room + 4, len - 4, n);
            next = n + 1;
            if (++count == 20 && rival) CHECK_OK(carom_process_kill(rival));
            if (count == 40 + (unsigned)i) CHECK_OK(carom_process_kill(sender));
        }
        CHECK_STATUS(status, CAROM_ECLOSED);
        CHECK(count >= 40);
        CHECK_EQ(ended(sender), -SIGKILL);
        if (rival) CHECK_EQ(ended(rival), -SIGKILL);
        carom_connection_free(left);
        if (i == 10) arena = arena_kb();
    }
    CHECK_OK(carom_arena_check(NULL));
    CHECK(arena_kb() <= arena + 1024); /* nothing is lost, however they die */
}

static _Atomic pid_t thread_id;
static void *receive_one(void *end) {
    thread_id = (pid_t)syscall(SYS_gettid);
    carom_status status = carom_connection_recv(end, room, 1, NULL, CAROM_FOREVER);
    CHECK(status == CAROM_ECLOSED || status == CAROM_EBADHANDLE);
    return NULL;
}

static void a_close_wakes_other_threads(void) {
    for (int by_free = 0; by_free < 2; by_free++) {
        carom_connection *left, *right;
        make_pipe(&left, &right);
        pthread_t thread;
        thread_id = 0;
        pthread_create(&thread, NULL, receive_one, left);
        while (!thread_id) sched_yield();
        asleep_in_(__FILE__, __LINE__, getpid(), thread_id, SYS_futex, SYS_futex_waitv);
        if (by_free) carom_connection_free(left);
        else CHECK_OK(carom_connection_close(left));
        pthread_join(thread, NULL);
        CHECK_STATUS(carom_connection_recv(right, room, 1, NULL, PATIENCE_MS), CAROM_ECLOSED);
        if (!by_free) carom_connection_free(left);
        carom_connection_free(right);
    }
}

static int32_t polls(carom_call *call) {
    carom_connection *end = NULL;
    int64_t sum = 0;
    CHECK_OK(carom_call_connection(call, 0, &end));
    int fd = carom_connection_fd(end);
    CHECK(fd > 2);
    for (int got = 0; got < 1000;) {
        int number;
        carom_status status = carom_connection_recv(end, &number, sizeof number, NULL, 0);
        if (status == CAROM_ETIMEDOUT) readable(fd);
        else {
            CHECK_OK(status);
            CHECK_EQ(number, got++);
            sum += number;
        }
    }
    CHECK_OK(carom_connection_send(end, &sum, sizeof sum, 0));
    return 0;
}

/* The descriptor is never silent: for messages, for room, for the end, also when whoever it comes from is killed. */
static void descriptors(void) {
    carom_connection *left, *right;
    make_pipe(&left, &right);
    int fd = carom_connection_fd(left);
    CHECK(fd > 2 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK_EQ(carom_connection_fd(left), fd);
    CHECK(!is_readable(fd));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3; i++) CHECK_OK(carom_connection_send(right, "x", 1, 0));
        readable(fd);
        for (int i = 0; i < 3; i++) CHECK_OK(carom_connection_recv(left, room, 1, NULL, 0));
        CHECK_STATUS(carom_connection_recv(left, room, 1, NULL, 0), CAROM_ETIMEDOUT);
        CHECK(!is_readable(fd));
        CHECK_EQ(carom_connection_poll(left, 0), 0);
    }
    while (carom_connection_send(left, "x", 1, 0) == CAROM_OK) {}
    CHECK(!is_readable(fd));
    CHECK_OK(carom_connection_recv(right, room, 1, NULL, 0));
    readable(fd);
    carom_connection_free(right);
    CHECK_STATUS(carom_connection_recv(left, room, 1, NULL, 0), CAROM_ECLOSED);
    carom_connection_free(left);
    CHECK_EQ(fcntl(fd, F_GETFD), -1);

    make_pipe(&left, &right);
    carom_process *process = start_with(polls, right);
    carom_connection_free(right);
    for (int i = 0; i < 1000; i++) CHECK_OK(carom_connection_send(left, &i, sizeof i, PATIENCE_MS));
    int64_t sum = 0;
    readable(carom_connection_fd(left));
    CHECK_OK(carom_connection_recv(left, &sum, sizeof sum, NULL, PATIENCE_MS));
    CHECK_EQ(sum, 999 * 500);
    CHECK_EQ(ended(process), 0);
    carom_connection_free(left);

    for (int i = 0; i < 20; i++) { /* nobody in the family sleeps but in poll */
        make_pipe(&left, &right);
        fd = carom_connection_fd(left);
        process = start_with(i % 2 ? sends_for_ever : never_opens, right);
        carom_connection_free(right);
        carom_status status = CAROM_OK;
        for (int got = 0; status != CAROM_ECLOSED;) {
            if ((status = carom_connection_recv(left, room, sizeof room, NULL, 0)) == CAROM_ETIMEDOUT) {
                if (i % 2 == 0) CHECK_OK(carom_process_kill(process));
                readable(fd);
            } else if (status == CAROM_OK && ++got == 5 + i) {
                CHECK_OK(carom_process_kill(process));
            }
        }
        CHECK_EQ(ended(process), -SIGKILL);
        carom_connection_free(left);
    }
}

static void waiting_for_pipes(void) {
    carom_connection *ends[3][2];
    carom_waitable items[3];
    for (int i = 0; i < 3; i++) {
        make_pipe(&ends[i][0], &ends[i][1]);
        items[i] = (carom_waitable){.handle = ends[i][0], .ready = 7};
    }
    CHECK_EQ(carom_wait(items, 3, 20), CAROM_ETIMEDOUT);
    CHECK_EQ(items[0].ready, 7);
    carom_process *process = start_with(sends_and_waits, ends[1][1]);
    carom_connection_free(ends[1][1]);
    CHECK_EQ(carom_wait(items, 3, PATIENCE_MS), 1);
    CHECK(items[1].ready && !items[0].ready && !items[2].ready);
    CHECK_OK(carom_connection_recv(ends[1][0], room, 5, NULL, 0));
    CHECK_EQ(carom_wait(items, 3, 0), CAROM_ETIMEDOUT);
    CHECK_OK(carom_process_kill(process));
    CHECK_EQ(carom_wait(items, 3, PATIENCE_MS), 1);
    CHECK_EQ(items[1].ready, 1);
    CHECK_EQ(ended(process), -SIGKILL);
    for (int i = 0; i < 3; i++) {
        carom_connection_free(ends[i][0]);
        if (i != 1) carom_connection_free(ends[i][1]);
    }
}

static void many_pipes(void) {
    int fds = fd_count();
    long before = 0;
    for (int round = 0; round < 3; round++) {
        enum { PIPES = 300 };
        static carom_connection *all[PIPES][2];
        for (int i = 0; i < PIPES; i++) {
            make_pipe(&all[i][0], &all[i][1]);
            CHECK_OK(carom_connection_send(all[i][0], room, 100, 0));
        }
        CHECK(fd_count() <= fds + OWN_FDS);
        for (int i = 0; i < PIPES; i++)
            for (int e = 0; e < 2; e++) carom_connection_free(all[i][e]);
        if (round == 0) before = arena_kb();
    }
    CHECK(arena_kb() <= before + 64);
}

int main(int argc, char **argv) {
    CHECK_OK(carom_init(argc, argv)); /* children of other methods begin here */
    CASE(messages_of_every_size);
    CASE(so_many_fit);
    CASE(one_way);
    CASE(ends);
    CASE(by_every_method);
    CASE(deaths);
    CASE(a_full_pipe_ends);
    CASE(inheritance);
    CASE(pools);
    CASE(processes_do_not_mix);
    CASE(killed_at_random);
    CASE(a_close_wakes_other_threads);
    CASE(descriptors);
    CASE(waiting_for_pipes);
    CASE(many_pipes);
    return 0;
}
