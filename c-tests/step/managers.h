/* Operations of managers: calls by a lane, and the calls with which it is made. */
#ifndef STEP_MANAGERS_H
#define STEP_MANAGERS_H

#include "harness.h"

/* Calls of a prelude after which a lane comes soon, and after which it is there; of a victim. */
enum { SOON = 8, LONG_AGO = 20, MANAGED_CALLS = 3 };
static carom_manager *served;
static carom_dict *served_dict;
static int64_t served_before;

static int64_t served_add(const char *name, int64_t by) {
    const carom_argument key = {.kind = CAROM_ARGUMENT_STRING, .data = name, .len = strlen(name)};
    int64_t sum = 0;
    carom_status status = carom_dict_increment(served_dict, &key, by, &sum);
    int is_lost = status == CAROM_ECLOSED || status == CAROM_EBROKEN || status == CAROM_EBADHANDLE;
    if (!(is_lost && point.script == FREED)) CHECK_OK(status);
    return sum;
}

static void served_make(void) {
    CHECK_OK(carom_manager_new(NULL, &served));
    CHECK_OK(carom_manager_dict(served, NULL, &served_dict));
    /* This process has its lane, whose slots are enough for what it says: there are no blocks. */
    for (int i = 0; i < LONG_AGO; i++) served_add("make", 1);
}
static void served_unmake(void) {
    carom_dict_free(served_dict);
    carom_manager_free(served);
}
static void served_note(void) { served_before = served_add("key", 0); }
static void served_soon(void) {
    for (int i = 0; i < SOON; i++) served_add("prelude", 1);
}
static void served_long_ago(void) {
    for (int i = 0; i < LONG_AGO; i++) served_add("prelude", 1);
}
static void served_victim(void) {
    stage(ACQUIRING);
    for (int i = 0; i < MANAGED_CALLS; i++) served_add("key", 1);
    stage(DONE);
}

/* Each call was done or not. That the lane goes with its client the objects tell. */
static void served_after(void) {
    int64_t done = served_add("key", 0) - served_before;
    if (point.script == SECOND_KILL) return;
    CHECK(done >= 0 && done <= MANAGED_CALLS);
    if (reached() == DONE || reached() == BEFORE) CHECK_EQ(done, reached() == DONE ? MANAGED_CALLS : 0);
}

#define MANAGER_OPERATIONS                                                                                                     \
    {.name = "manager, by lane", .make = served_make, .unmake = served_unmake, .before = served_note, .prelude = served_long_ago, \
     .victim = served_victim, .after = served_after},                                                                          \
    {.name = "manager, a lane", .in_heap = 1, .make = served_make, .unmake = served_unmake, .before = served_note,              \
     .prelude = served_soon, .victim = served_victim, .after = served_after}
#endif
