/* Messages in place: reserved, committed, leased, consumed, returned; whose they are when somebody dies; dead letters. */
#include "queue.h"

struct shared {
    flag go, up, got;
    _Atomic uint64_t deaths;
};
static struct shared *shared;
static carom_queue *queue;

static carom_message reserved(carom_queue *in, size_t len) {
    carom_message message = {.size = sizeof message};
    CHECK_OK(carom_queue_reserve(in, len, &message));
    CHECK_EQ(message.len, len);
    CHECK_EQ(message.deliveries, 0);
    CHECK_EQ((uintptr_t)message.data % 16, 0);
    return message;
}
static carom_message peeked(carom_queue *in) {
    carom_message message = {.size = sizeof message};
    CHECK_OK(carom_queue_peek(in, &message, PATIENCE_MS));
    CHECK_EQ((uintptr_t)message.data % 16, 0);
    return message;
}
static carom_status try_peek(carom_queue *in) {
    carom_message message = {.size = sizeof message};
    return carom_queue_peek(in, &message, 0);
}
static void commit_number(carom_queue *to, int64_t number) {
    carom_message message = reserved(to, 64);
    memcpy(message.data, &number, sizeof number);
    CHECK_OK(carom_queue_commit(to, &message, sizeof number, PATIENCE_MS));
}
static int64_t number_in(const carom_message *message) {
    int64_t number;
    CHECK_EQ(message->len, sizeof number);
    memcpy(&number, message->data, sizeof number);
    return number;
}
static int64_t consume_number(carom_queue *from) {
    carom_message message = peeked(from);
    int64_t number = number_in(&message);
    CHECK_OK(carom_queue_consume(from, &message));
    return number;
}

/* ----------------------------------------------------------------------------------------------- one process, one thread */

/* However they are put and got, they come in order. */
static void in_place_and_copied(void) {
    CHECK_OK(carom_queue_new(NULL, &queue));
    carom_arena_info before = census();
    for (int64_t i = 0; i < 400; i++) (i % 3 ? commit_number : put_number)(queue, i);
    CHECK_EQ(carom_queue_size(queue), 400);
    for (int64_t i = 0; i < 400; i++) CHECK_EQ((i % 2 ? consume_number : get_number)(queue), i);
    CHECK_EQ(carom_queue_size(queue), 0);
    CHECK_STATUS(try_peek(queue), CAROM_ETIMEDOUT);
    carom_arena_info after = census();
    CHECK_EQ(after.objects, before.objects);
    /* A batch ends where one lies in place. */
    int64_t numbers[4] = {1, 2, 3, 4};
    size_t lens[4];
    CHECK_OK(carom_queue_put_many(queue, numbers, sizeof *numbers, 2, 0));
    commit_number(queue, 3);
    put_number(queue, 4);
    memset(numbers, 0, sizeof numbers);
    CHECK_EQ(carom_queue_get_many(queue, numbers, sizeof *numbers, 4, lens, 0), 2);
    CHECK_EQ(carom_queue_get_many(queue, numbers + 2, sizeof *numbers, 2, lens, 0), 1);
    CHECK_EQ(carom_queue_get_many(queue, numbers + 3, sizeof *numbers, 1, lens, 0), 1);
    for (int i = 0; i < 4; i++) CHECK_EQ(numbers[i], i + 1);
    carom_queue_free(queue);
}

static void of_any_length(void) {
    static const size_t lengths[] = {0, 1, 16, 48, 4096, 40000, 1 << 20, 9 << 20};
    CHECK_OK(carom_queue_new(NULL, &queue));
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            carom_message message = reserved(queue, lengths[i]);
            memset(message.data, (int)i + 1, lengths[i]);
            CHECK_OK(carom_queue_commit(queue, &message, lengths[i], 0));
        }
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            carom_message message = peeked(queue);
            CHECK_EQ(message.len, lengths[i]);
            CHECK_EQ(message.deliveries, 1);
            for (size_t at = 0; at < message.len; at += 511) CHECK_EQ(((char *)message.data)[at], i + 1);
            if (message.len) CHECK_EQ(((char *)message.data)[message.len - 1], i + 1);
            CHECK_OK(carom_queue_consume(queue, &message));
        }
    }
    arena_is_well();
    carom_queue_free(queue);
}

/* More than 4 GiB, of which few pages are touched. */
static void beyond_four_gibibytes(void) {
    CHECK_OK(carom_queue_new(NULL, &queue));
    size_t len = ((size_t)4 << 30) + 12345;
    carom_message message = {.size = sizeof message};
    carom_status status = carom_queue_reserve(queue, len, &message);
    if (status == CAROM_OK) {
        ((char *)message.data)[0] = 'a';
        ((char *)message.data)[len - 1] = 'z';
        CHECK_OK(carom_queue_commit(queue, &message, len, 0));
        CHECK_EQ(carom_queue_size(queue), 1);
        message = peeked(queue);
        CHECK_EQ(message.len, len);
        CHECK_EQ(((char *)message.data)[0], 'a');
        CHECK_EQ(((char *)message.data)[len - 1], 'z');
        CHECK_OK(carom_queue_consume(queue, &message));
    } else {
        CHECK_STATUS(status, CAROM_ENOMEM); /* a small arena */
    }
    arena_is_well();
    carom_queue_free(queue);
}

static void returned(void) {
    CHECK_OK(carom_queue_new(NULL, &queue));
    carom_arena_info before = census();
    carom_message dropped = reserved(queue, 100);
    CHECK_EQ(carom_queue_size(queue), 0);
    CHECK_OK(carom_queue_return(queue, &dropped));
    CHECK_STATUS(carom_queue_return(queue, &dropped), CAROM_EBADHANDLE);
    CHECK_STATUS(carom_queue_commit(queue, &dropped, 1, 0), CAROM_EBADHANDLE);
    CHECK_EQ(census().objects, before.objects);
    for (int64_t i = 1; i <= 4; i++) (i % 2 ? commit_number : put_number)(queue, i);
    carom_message first = peeked(queue), second = peeked(queue), third = peeked(queue);
    CHECK_EQ(carom_queue_size(queue), 1);
    CHECK_OK(carom_queue_return(queue, &second));
    CHECK_EQ(carom_queue_size(queue), 2);
    CHECK_OK(carom_queue_return(queue, &first));
    CHECK_EQ(carom_queue_size(queue), 3);
    CHECK_EQ(carom_queue_empty(queue), 0);
    /* The oldest first, and all before what is newer. */
    carom_message again = peeked(queue);
    CHECK_EQ(number_in(&again), 1);
    CHECK_EQ(again.deliveries, 2);
    CHECK_OK(carom_queue_consume(queue, &again));
    CHECK_STATUS(carom_queue_consume(queue, &again), CAROM_EBADHANDLE);
    CHECK_STATUS(carom_queue_return(queue, &again), CAROM_EBADHANDLE);
    CHECK_EQ(get_number(queue), 2);
    CHECK_EQ(get_number(queue), 4);
    CHECK_EQ(carom_queue_size(queue), 0);
    CHECK_STATUS(try_peek(queue), CAROM_ETIMEDOUT);
    CHECK_OK(carom_queue_return(queue, &third));
    /* Too long: it stays. */
    size_t len = 0;
    char little;
    CHECK_STATUS(carom_queue_get(queue, &little, 1, &len, 0), CAROM_EMSGSIZE);
    CHECK_EQ(len, sizeof(int64_t));
    CHECK_EQ(get_number(queue), 3);
    CHECK_STATUS(try_get(queue), CAROM_ETIMEDOUT);
    CHECK_EQ(census().objects, before.objects);
    carom_queue_free(queue);
}

/* Limits count what is in the queue: what is reserved is not there yet, what is leased no more. */
static void limits_hold(void) {
    queue = queue_with(2, 100);
    carom_message messages[3];
    for (int i = 0; i < 3; i++) messages[i] = reserved(queue, 200);
    CHECK_STATUS(carom_queue_commit(queue, &messages[0], 101, CAROM_FOREVER), CAROM_EMSGSIZE);
    CHECK_STATUS(carom_queue_commit(queue, &messages[0], 201, CAROM_FOREVER), CAROM_EMSGSIZE);
    CHECK_OK(carom_queue_commit(queue, &messages[0], 60, 0));
    CHECK_STATUS(carom_queue_commit(queue, &messages[1], 60, 0), CAROM_ETIMEDOUT);
    CHECK_STATUS(carom_queue_commit(queue, &messages[1], 60, 10), CAROM_ETIMEDOUT);
    CHECK_OK(carom_queue_commit(queue, &messages[1], 40, 0));
    CHECK_STATUS(carom_queue_commit(queue, &messages[2], 0, 0), CAROM_ETIMEDOUT);
    carom_message leased = peeked(queue);
    CHECK_EQ(leased.len, 60);
    CHECK_OK(carom_queue_commit(queue, &messages[2], 0, 0));
    CHECK_OK(carom_queue_return(queue, &leased));
    CHECK_EQ(carom_queue_size(queue), 3);
    carom_queue_free(queue); /* with all that is in it */
    arena_is_well();
}

static void freed_with_messages_in_it(void) {
    carom_arena_info before = census();
    CHECK_OK(carom_queue_new(NULL, &queue));
    for (int64_t i = 0; i < 5; i++) commit_number(queue, i);
    carom_message leased = peeked(queue), mine = reserved(queue, 10), back = peeked(queue);
    CHECK_OK(carom_queue_return(queue, &back));
    carom_queue *other = queue_with(0, 0);
    CHECK_STATUS(carom_queue_consume(other, &leased), CAROM_EBADHANDLE);
    CHECK_STATUS(carom_queue_commit(other, &mine, 1, 0), CAROM_EBADHANDLE);
    carom_queue_free(other);
    ((char *)leased.data)[0] = 1; /* still there */
    CHECK_OK(carom_queue_consume(queue, &leased));
    CHECK_OK(carom_queue_return(queue, &mine));
    carom_queue_free(queue);
    CHECK_EQ(census().objects, before.objects);
    CHECK_EQ(census().blocks, before.blocks);
}

static void shut_down(void) {
    CHECK_OK(carom_queue_new(NULL, &queue));
    commit_number(queue, 1);
    carom_message mine = reserved(queue, 8), none = {.size = sizeof none};
    CHECK_OK(carom_queue_shutdown(queue));
    CHECK_STATUS(carom_queue_commit(queue, &mine, 8, CAROM_FOREVER), CAROM_ECLOSED);
    CHECK_OK(carom_queue_return(queue, &mine));
    CHECK_STATUS(carom_queue_reserve(queue, 8, &none), CAROM_ECLOSED);
    carom_message leased = peeked(queue);
    CHECK_STATUS(carom_queue_peek(queue, &none, CAROM_FOREVER), CAROM_ECLOSED); /* its own lease is no reason to wait */
    CHECK_OK(carom_queue_return(queue, &leased));
    CHECK_EQ(consume_number(queue), 1);
    CHECK_STATUS(carom_queue_peek(queue, &none, CAROM_FOREVER), CAROM_ECLOSED);
    carom_queue_free(queue);
}

/* Who polls hears of what is committed, and of what comes back. */
static void by_descriptor(void) {
    CHECK_OK(carom_queue_new(NULL, &queue));
    int fd = carom_queue_fd(queue);
    CHECK(fd >= 0);
    while (try_peek(queue) != CAROM_ETIMEDOUT || is_readable(fd)) CHECK_STATUS(try_peek(queue), CAROM_ETIMEDOUT);
    commit_number(queue, 1);
    readable(fd);
    carom_message leased = peeked(queue);
    CHECK_STATUS(try_peek(queue), CAROM_ETIMEDOUT);
    CHECK_OK(carom_queue_return(queue, &leased));
    readable(fd);
    CHECK_EQ(consume_number(queue), 1);
    carom_queue_free(queue);
}

/* ---------------------------------------------------------------------------------------------------------------- deaths */

static int32_t reserves_and_dies(carom_call *call) {
    carom_queue *given = queue_of(call);
    for (int i = 0; i < 10; i++) reserved(given, 5000);
    commit_number(given, 7);
    reserved(given, 100000);
    raise(SIGKILL);
    return 0;
}
static void a_reservation_of_the_dead(void) {
    CHECK_OK(carom_queue_new(NULL, &queue));
    put_number(queue, 6);
    carom_process *process = start_with(reserves_and_dies, queue);
    CHECK_EQ(ended(process), -SIGKILL);
    CHECK_EQ(consume_number(queue), 6);
    CHECK_EQ(consume_number(queue), 7);
    CHECK_STATUS(try_peek(queue), CAROM_ETIMEDOUT);
    carom_queue_free(queue);
    carom_arena_info none = census();
    CHECK_OK(carom_queue_new(NULL, &queue));
    process = start_with(reserves_and_dies, queue);
    CHECK_EQ(ended(process), -SIGKILL);
    carom_queue_free(queue);
    nothing_more_than(none);
}

static int32_t leases_and_dies(carom_call *call) {
    carom_queue *given = queue_of(call);
    CHECK_OK(carom_queue_close(given));
    peeked(given);
    carom_message second = peeked(given);
    CHECK_OK(carom_queue_consume(given, &second));
    flag_add(&shared->up, 1);
    flag_await(&shared->go, 1);
    raise(SIGKILL);
    return 0;
}
static void *gets_for_ever(void *status) {
    int64_t number = 0;
    *(carom_status *)status = carom_queue_get(queue, &number, sizeof number, NULL, CAROM_FOREVER);
    CHECK_EQ(number, 1);
    return NULL;
}
/* Who waits at the end of a closed queue waits for what is leased, and gets it. */
static void a_lease_of_the_dead(void) {
    CHECK_OK(carom_queue_new(NULL, &queue));
    for (int64_t i = 1; i <= 2; i++) put_number(queue, i);
    CHECK_OK(carom_queue_close(queue));
    carom_process *process = start_with(leases_and_dies, queue);
    flag_await(&shared->up, 1);
    CHECK_EQ(carom_queue_size(queue), 0);
    CHECK_STATUS(try_peek(queue), CAROM_ETIMEDOUT); /* not ECLOSED */
    pthread_t thread;
    carom_status status;
    asleep(gets_for_ever, &status, &thread);
    flag_add(&shared->go, 1);
    pthread_join(thread, NULL);
    CHECK_OK(status);
    CHECK_EQ(ended(process), -SIGKILL);
    CHECK_STATUS(try_peek(queue), CAROM_ECLOSED);
    arena_is_well();
    carom_queue_free(queue);
}

static int32_t leases_and_consumes(carom_call *call) {
    carom_queue *given = queue_of(call);
    CHECK_OK(carom_queue_close(given));
    carom_message message = peeked(given);
    flag_add(&shared->up, 1);
    flag_await(&shared->go, 1);
    CHECK_OK(carom_queue_consume(given, &message));
    flag_await(&shared->go, 2);
    return 0;
}
static void *gets_the_end(void *status) {
    int64_t number = 0;
    *(carom_status *)status = carom_queue_get(queue, &number, sizeof number, NULL, CAROM_FOREVER);
    return NULL;
}
static void the_last_lease_is_consumed(void) {
    CHECK_OK(carom_queue_new(NULL, &queue));
    put_number(queue, 1);
    CHECK_OK(carom_queue_close(queue));
    carom_process *process = start_with(leases_and_consumes, queue);
    flag_await(&shared->up, 1);
    pthread_t thread;
    carom_status status;
    asleep(gets_the_end, &status, &thread);
    flag_add(&shared->go, 1);
    pthread_join(thread, NULL);
    CHECK_STATUS(status, CAROM_ECLOSED);
    flag_add(&shared->go, 1);
    CHECK_EQ(ended(process), 0);
    carom_queue_free(queue);
}

static int32_t dies_of_it(carom_call *call) {
    carom_queue *given = queue_of(call);
    CHECK_OK(carom_queue_close(given));
    carom_message message = {.size = sizeof message};
    while (carom_queue_peek(given, &message, CAROM_FOREVER) == CAROM_OK) {
        if (number_in(&message) == 13) {
            atomic_fetch_add(&shared->deaths, 1);
            raise(SIGKILL);
        }
        CHECK_OK(carom_queue_consume(given, &message));
    }
    return 0;
}
/* A message that kills whoever reads it goes to the dead letters, and the others go on. */
static void dead_letters(void) {
    carom_queue *letters = queue_with(1, 1); /* its limits do not count */
    carom_queue_options options = {.size = sizeof options, .max_deliveries = 3, .dead_letters = letters};
    CHECK_OK(carom_joinable_queue_new(&options, &queue));
    carom_queue_free(queue);
    CHECK_OK(carom_queue_new(&options, &queue));
    for (int64_t i = 11; i <= 15; i++) (i % 2 ? put_number : commit_number)(queue, i);
    CHECK_OK(carom_queue_close(queue));
    int deaths = 0;
    for (;;) {
        carom_process *process = start_with(dies_of_it, queue);
        int32_t code = ended(process);
        if (code == 0) break;
        CHECK_EQ(code, -SIGKILL);
        deaths++;
    }
    CHECK_EQ(deaths, 3);
    CHECK_EQ(atomic_load(&shared->deaths), 3);
    CHECK_EQ(carom_queue_size(queue), 0);
    CHECK_EQ(carom_queue_size(letters), 1);
    carom_queue_free(queue);
    carom_message message = peeked(letters);
    CHECK_EQ(number_in(&message), 13);
    CHECK_EQ(message.deliveries, 4);
    CHECK_OK(carom_queue_return(letters, &message));
    CHECK_EQ(get_number(letters), 13);
    arena_is_well();
    carom_queue_free(letters);
}

/* It stays as long as the queue whose dead letters it gets, and is open that long. */
static void the_queue_of_the_dead_letters_stays(void) {
    carom_arena_info before = census();
    carom_queue *letters = queue_with(0, 0);
    carom_queue_options options = {.size = sizeof options, .max_deliveries = 1, .dead_letters = letters};
    CHECK_OK(carom_queue_new(&options, &queue));
    CHECK_OK(carom_queue_close(letters));
    CHECK_STATUS(try_peek(letters), CAROM_ETIMEDOUT);
    put_number(queue, 1);
    carom_message message = peeked(queue);
    CHECK_OK(carom_queue_return(queue, &message));
    CHECK_STATUS(try_peek(queue), CAROM_ETIMEDOUT);
    CHECK_EQ(consume_number(letters), 1);
    put_number(queue, 2);
    message = peeked(queue);
    CHECK_OK(carom_queue_return(queue, &message));
    carom_queue_free(letters);
    CHECK_STATUS(try_peek(queue), CAROM_ETIMEDOUT);
    carom_queue_free(queue);
    nothing_more_than(before);
}

/* What is leased is not lost for whoever joins, nor what came back; what went to the dead letters is done. */
static int32_t dies_with_a_lease(carom_call *call) {
    peeked(queue_of(call));
    raise(SIGKILL);
    return 0;
}
static void tasks_in_place(void) {
    carom_queue *letters = queue_with(0, 0);
    carom_queue_options options = {.size = sizeof options, .max_deliveries = 2, .dead_letters = letters};
    CHECK_OK(carom_joinable_queue_new(&options, &queue));
    commit_number(queue, 1);
    put_number(queue, 2);
    carom_message message = peeked(queue);
    CHECK_STATUS(carom_queue_join(queue, 0), CAROM_ETIMEDOUT);
    CHECK_EQ(consume_number(queue), 2);
    CHECK_STATUS(carom_queue_join(queue, 10), CAROM_ETIMEDOUT);
    CHECK_OK(carom_queue_task_done(queue));
    CHECK_STATUS(carom_queue_join(queue, 10), CAROM_ETIMEDOUT); /* one is leased */
    CHECK_OK(carom_queue_return(queue, &message));
    CHECK_STATUS(carom_queue_join(queue, 10), CAROM_ETIMEDOUT); /* one came back */
    carom_process *process = start_with(dies_with_a_lease, queue);
    CHECK_EQ(ended(process), -SIGKILL);
    CHECK_STATUS(carom_queue_join(queue, 10), CAROM_ETIMEDOUT);
    CHECK_STATUS(try_peek(queue), CAROM_ETIMEDOUT);
    CHECK_EQ(carom_queue_size(letters), 1);
    CHECK_OK(carom_queue_join(queue, PATIENCE_MS));
    CHECK_STATUS(carom_queue_task_done(queue), CAROM_EPERM);
    commit_number(queue, 3);
    CHECK_EQ(consume_number(queue), 3);
    CHECK_OK(carom_queue_task_done(queue));
    CHECK_OK(carom_queue_join(queue, PATIENCE_MS));
    carom_queue_free(queue);
    carom_queue_free(letters);
}

/* Many of both kinds, in many processes, of whom one after the other is killed: each number is consumed. */
enum { NUMBERS = 600, PARTIES = 3 };
struct log {
    flag seen[NUMBERS];
};
static struct log *counts;
static int32_t consumes_and_dies_sometimes(carom_call *call) {
    carom_queue *given = queue_of(call);
    CHECK_OK(carom_queue_close(given));
    carom_message message = {.size = sizeof message};
    carom_status status;
    while ((status = carom_queue_peek(given, &message, CAROM_FOREVER)) == CAROM_OK) {
        int64_t number = number_in(&message);
        if (number % 50 == 7 && message.deliveries == 1) raise(SIGKILL);
        atomic_fetch_add(&counts->seen[number], 1);
        CHECK_OK(carom_queue_consume(given, &message));
    }
    CHECK_STATUS(status, CAROM_ECLOSED);
    return 0;
}
static void every_message_is_consumed(void) {
    counts = share(sizeof *counts);
    CHECK_OK(carom_queue_new(NULL, &queue));
    carom_process *parties[PARTIES];
    for (int i = 0; i < PARTIES; i++) parties[i] = start_with(consumes_and_dies_sometimes, queue);
    for (int64_t i = 0; i < NUMBERS; i++) (i % 2 ? put_number : commit_number)(queue, i);
    CHECK_OK(carom_queue_close(queue));
    int deaths = 0;
    for (int i = 0; i < PARTIES;) {
        int32_t code = ended(parties[i]);
        if (code == 0) {
            i++;
            continue;
        }
        CHECK_EQ(code, -SIGKILL);
        deaths++;
        parties[i] = start_with(consumes_and_dies_sometimes, queue);
    }
    CHECK_EQ(deaths, NUMBERS / 50);
    for (int i = 0; i < NUMBERS; i++) CHECK_EQ(atomic_load(&counts->seen[i]), 1);
    arena_is_well();
    carom_queue_free(queue);
}

/* A child has no part in what its parent reserved or leased. */
static void foreign_fork(void) {
    CHECK_OK(carom_queue_new(NULL, &queue));
    put_number(queue, 4);
    carom_message leased = peeked(queue), mine = reserved(queue, 8);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_STATUS(try_peek(queue), CAROM_EFORKED);
        CHECK_STATUS(carom_queue_consume(queue, &leased), CAROM_EFORKED);
        CHECK_OK(carom_attach());
        CHECK_STATUS(carom_queue_consume(queue, &leased), CAROM_EBADHANDLE);
        CHECK_STATUS(carom_queue_commit(queue, &mine, 8, 0), CAROM_EBADHANDLE);
        CHECK_STATUS(carom_queue_return(queue, &mine), CAROM_EBADHANDLE);
        _exit(0);
    }
    CHECK_EQ(wait_for(pid), 0);
    CHECK_OK(carom_queue_consume(queue, &leased));
    CHECK_OK(carom_queue_commit(queue, &mine, 8, 0));
    carom_queue_free(queue);
}

#define RUN(body) (shared = share(sizeof *shared), CASE(body))

int main(void) {
    RUN(in_place_and_copied);
    RUN(of_any_length);
    RUN(beyond_four_gibibytes);
    RUN(returned);
    RUN(limits_hold);
    RUN(freed_with_messages_in_it);
    RUN(shut_down);
    RUN(by_descriptor);
    RUN(a_reservation_of_the_dead);
    RUN(a_lease_of_the_dead);
    RUN(the_last_lease_is_consumed);
    RUN(dead_letters);
    RUN(the_queue_of_the_dead_letters_stays);
    RUN(tasks_in_place);
    RUN(every_message_is_consumed);
    RUN(foreign_fork);
    return 0;
}
