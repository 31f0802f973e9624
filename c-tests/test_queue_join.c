/* Queues of tasks: done, joined, lost. */
#include "queue.h"

struct shared {
    flag go, up;
    _Atomic uint64_t sum;
};
static struct shared *shared;
static carom_queue *queue;

static int32_t works(carom_call *call) {
    carom_queue *given = queue_of(call);
    CHECK_OK(carom_queue_close(given));
    int64_t task;
    while (carom_queue_get(given, &task, sizeof task, NULL, CAROM_FOREVER) == CAROM_OK) {
        atomic_fetch_add(&shared->sum, (uint64_t)task);
        CHECK_OK(carom_queue_task_done(given));
    }
    return 0;
}

static void joined(void) {
    carom_process *workers[2];
    CHECK_OK(carom_joinable_queue_new(NULL, &queue));
    CHECK_OK(carom_queue_join(queue, 0)); /* nothing is to be done */
    CHECK_STATUS(carom_queue_task_done(queue), CAROM_EPERM);
    put_number(queue, 1);
    CHECK_STATUS(carom_queue_task_done(queue), CAROM_EPERM); /* nobody has got it */
    CHECK_STATUS(carom_queue_join(queue, 0), CAROM_ETIMEDOUT);
    CHECK_EQ(get_number(queue), 1);
    CHECK_STATUS(carom_queue_join(queue, 20), CAROM_ETIMEDOUT); /* got is not done */
    CHECK_OK(carom_queue_task_done(queue));
    CHECK_OK(carom_queue_join(queue, 0));
    CHECK_STATUS(carom_queue_task_done(queue), CAROM_EPERM);
    for (int i = 0; i < 2; i++) workers[i] = start_with(works, queue);
    for (int round = 1; round <= 3; round++) {
        for (int64_t i = 1; i <= 100; i++) put_number(queue, i);
        CHECK_OK(carom_queue_join(queue, CAROM_FOREVER));
        CHECK_EQ(atomic_load(&shared->sum), 5050 * round);
    }
    CHECK_OK(carom_queue_close(queue));
    for (int i = 0; i < 2; i++) CHECK_EQ(ended(workers[i]), 0);
    arena_is_well();
    carom_queue_free(queue);
    CHECK_OK(carom_simple_queue_new(&queue));
    CHECK_STATUS(carom_queue_join(queue, 0), CAROM_EPERM);
    CHECK_STATUS(carom_queue_task_done(queue), CAROM_EPERM);
    carom_queue_free(queue);
}

/* Nothing of a queue is left to the next one in its place. */
static void one_after_the_other(void) {
    for (int round = 0; round < 20; round++) {
        CHECK_OK(carom_joinable_queue_new(NULL, &queue));
        CHECK_OK(carom_queue_join(queue, 0));
        for (int i = 0; i <= round; i++) put_number(queue, i);
        for (int i = 0; i <= round; i++) {
            CHECK_STATUS(carom_queue_join(queue, 0), CAROM_ETIMEDOUT);
            CHECK_EQ(get_number(queue), i);
            CHECK_OK(carom_queue_task_done(queue));
        }
        CHECK_OK(carom_queue_join(queue, 0));
        carom_queue_free(queue);
    }
}

static int32_t gets_two_does_one(carom_call *call) {
    carom_queue *given = queue_of(call);
    get_number(given);
    get_number(given);
    CHECK_OK(carom_queue_task_done(given));
    flag_add(&shared->up, 1);
    for (;;) pause();
    return 0;
}

/* Told of, and not waited for; and who knows better can say that it is done. */
static void a_worker_dies_of_its_task(void) {
    CHECK_OK(carom_joinable_queue_new(NULL, &queue));
    for (int64_t i = 0; i < 3; i++) put_number(queue, i);
    carom_process *process = start_with(gets_two_does_one, queue);
    flag_await(&shared->up, 1);
    CHECK_STATUS(carom_queue_join(queue, 20), CAROM_ETIMEDOUT); /* it lives, and may do it */
    CHECK_OK(carom_process_kill(process));
    CHECK_STATUS(carom_queue_join(queue, 50), CAROM_ETIMEDOUT); /* one is in the queue */
    CHECK_EQ(get_number(queue), 2);
    CHECK_STATUS(carom_queue_join(queue, 20), CAROM_ETIMEDOUT); /* and now is here */
    CHECK_OK(carom_queue_task_done(queue));
    CHECK_STATUS(carom_queue_join(queue, CAROM_FOREVER), CAROM_EWORKERLOST);
    CHECK_STATUS(carom_queue_join(queue, 0), CAROM_EWORKERLOST);
    CHECK_OK(carom_queue_task_done(queue)); /* in its place */
    CHECK_OK(carom_queue_join(queue, 0));
    CHECK_EQ(ended(process), -SIGKILL);
    carom_queue_free(queue);
}

static int32_t dies_with_it(carom_call *call) {
    get_number(queue_of(call));
    flag_add(&shared->up, 1);
    flag_await(&shared->go, 1);
    raise(SIGKILL);
    return 0;
}
static void *joins(void *status) {
    *(carom_status *)status = carom_queue_join(queue, CAROM_FOREVER);
    return NULL;
}
static void a_joiner_sleeps_meanwhile(void) {
    pthread_t thread;
    carom_status status;
    CHECK_OK(carom_joinable_queue_new(NULL, &queue));
    put_number(queue, 1);
    carom_process *process = start_with(dies_with_it, queue);
    flag_await(&shared->up, 1);
    asleep(joins, &status, &thread);
    flag_add(&shared->go, 1);
    pthread_join(thread, NULL);
    CHECK_STATUS(status, CAROM_EWORKERLOST);
    CHECK_EQ(ended(process), -SIGKILL);
    asleep(joins, &status, &thread);
    pthread_join(thread, NULL);
    CHECK_STATUS(status, CAROM_EWORKERLOST);
    carom_queue_free(queue);
}

#define RUN(body) (shared = share(sizeof *shared), CASE(body))

int main(void) {
    RUN(joined);
    RUN(one_after_the_other);
    RUN(a_worker_dies_of_its_task);
    RUN(a_joiner_sleeps_meanwhile);
    return 0;
}
