/* Count, sum, least and most of what three processes measure, reported by a fourth while they are at it.
 *
 * A value for the count and an array for the rest, under one lock: the count's own, given to the array when it is made.
 * Whoever holds it sees all of them at the same moment, so that the average of a report is one. The condition over that
 * lock tells the reporter when to look. */
/* test: */
#define _DEFAULT_SOURCE
#include "example.h"
#include <math.h>
#include <time.h>

enum { GENERATORS = 3, VALUES = 100, REPORTS = 5, STEP = GENERATORS * VALUES / REPORTS };
enum { SUM, LEAST, MOST, FIGURES };

typedef struct { carom_value *count; carom_array *figures; carom_condition *news; int64_t next; } statistics;

static statistics statistics_of(carom_call *call) {
    statistics it = {0};
    MUST(carom_call_value(call, 0, &it.count));
    MUST(carom_call_array(call, 1, &it.figures));
    MUST(carom_call_condition(call, 2, &it.news));
    return it;
}

static void update(statistics *it, double value) {
    int64_t *count = carom_value_data(it->count);
    double *figures = carom_array_data(it->figures);
    MUST(carom_value_lock(it->count, PATIENCE_MS));
    figures[SUM] += value;
    if (value < figures[LEAST]) figures[LEAST] = value;
    if (value > figures[MOST]) figures[MOST] = value;
    if (++*count % STEP == 0) MUST(carom_condition_notify_all(it->news));
    MUST(carom_value_unlock(it->count));
}

/* With the lock held. It is recursive, so that what takes it by itself works here too. */
static void report(statistics *it) {
    int64_t count;
    double figures[FIGURES];
    MUST(carom_value_get(it->count, &count, sizeof count, 0));
    MUST(carom_array_get(it->figures, 0, FIGURES, figures, sizeof figures, 0));
    double average = figures[SUM] / (double)count;
    printf("count %3" PRId64 ", average %6.2f, least %4.0f, most %4.0f\n", count, average, figures[LEAST], figures[MOST]);
    EXPECT(count >= it->next && figures[LEAST] <= average && average <= figures[MOST]);
}

static int32_t generate(carom_call *call) {
    statistics it = statistics_of(call);
    for (int i = 1; i <= VALUES; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);                  /* measures */
        update(&it, i % 2 ? i : -i);
    }
    return 0;
}

static int32_t is_time(void *ctx) {
    statistics *it = ctx;
    return *(int64_t *)carom_value_data(it->count) >= it->next;
}

static int32_t watch(carom_call *call) {
    statistics it = statistics_of(call);
    for (it.next = STEP; it.next <= REPORTS * STEP; it.next += STEP) {
        MUST(carom_condition_acquire(it.news, PATIENCE_MS));
        MUST(carom_condition_wait_for(it.news, is_time, &it, PATIENCE_MS));
        report(&it);
        MUST(carom_condition_release(it.news));
    }
    return 0;
}

int main(int argc, char **argv) {
    statistics it;
    carom_process *processes[GENERATORS + 1];
    carom_shared_options same_lock = {.size = sizeof same_lock};
    carom_init(argc, argv);
    MUST(carom_value_new(CAROM_I64, NULL, 0, NULL, &it.count));
    MUST(carom_value_get_lock(it.count, &same_lock.lock));
    MUST(carom_array_new(CAROM_F64, 0, FIGURES, (double[]){0, INFINITY, -INFINITY}, &same_lock, &it.figures));
    MUST(carom_condition_new(same_lock.lock, &it.news));

    for (int i = 0; i <= GENERATORS; i++)
        processes[i] = start(i < GENERATORS ? generate : watch, CAROM_HANDLE(it.count), CAROM_HANDLE(it.figures),
                             CAROM_HANDLE(it.news));
    finish(processes, GENERATORS + 1);
    double *figures = carom_array_data(it.figures);
    EXPECT(figures[SUM] == -GENERATORS * VALUES / 2.0 && figures[LEAST] == -VALUES && figures[MOST] == VALUES - 1);

    carom_condition_free(it.news);
    carom_array_free(it.figures);
    carom_value_free(it.count);
    carom_lock_free(same_lock.lock);
    return 0;
}
