/* Operations of values and arrays, and of the memory that they are in. */
#ifndef STEP_VALUES_H
#define STEP_VALUES_H

#include "harness.h"

enum { ITEMS = 60 };

static carom_value *value;
static carom_array *array;

static void value_make(void) { CHECK_OK(carom_value_new(CAROM_I64, NULL, 0, NULL, &value)); }
static void value_unmake(void) { carom_value_free(value); }
static void array_make(void) { CHECK_OK(carom_array_new(CAROM_I64, 8, ITEMS, NULL, NULL, &array)); }
static void array_unmake(void) { carom_array_free(array); }

static int value_taken(void) {
    return ACQUIRED(carom_value_lock(value, PATIENCE_MS), carom_value_recover(value, PATIENCE_MS));
}
static void value_victim(void) {
    stage(ACQUIRING);
    int recovered = value_taken();
    stage(HOLDS);
    enter(recovered);
    *(int64_t *)carom_value_data(value) += 1;
    leave();
    stage(RELEASING);
    CHECK_OK(carom_value_unlock(value));
    stage(DONE);
}
static void value_use(void) {
    enter(value_taken());
    *(int64_t *)carom_value_data(value) += 1;
    leave();
    CHECK_OK(carom_value_unlock(value));
}
static void value_after(void) {
    value_use();
    if (needs_partner(point.operation, point.script)) partner_ends();
    deaths_are_right();
}
static int value_barge(void) {
    carom_status status = carom_value_lock(value, 0);
    if (status != CAROM_OK) CHECK_STATUS(status, CAROM_ETIMEDOUT);
    return status == CAROM_OK;
}
static void value_unbarge(void) { CHECK_OK(carom_value_unlock(value)); }
static void value_timed(void) {
    carom_status status = carom_value_lock(value, 1);
    if (status == CAROM_OK) CHECK_OK(carom_value_unlock(value));
    else CHECK_STATUS(status, CAROM_ETIMEDOUT);
}

/* An addition has happened or not, and has if it has returned. */
static int64_t sum;
static void add_before(void) { CHECK_OK(carom_value_load(value, &sum)); }
static void add_victim(void) {
    stage(ACQUIRING);
    CHECK_OK(carom_value_add(value, 1, NULL));
    stage(DONE);
}
static void add_partner(void) { CHECK_OK(carom_value_add(value, 1000, NULL)); }
static void add_after(void) {
    int64_t now = -1;
    if (needs_partner(point.operation, point.script)) partner_ends();
    CHECK_OK(carom_value_load(value, &now));
    int64_t added = (now - sum) % 1000;
    CHECK(added >= (reached() == DONE) && added <= 1 + (point.script == SECOND_KILL));
    if (reached() == BEFORE && point.script != SECOND_KILL) CHECK_EQ(added, 0);
}

/* What is set is all there, or its lock says that somebody died over it. */
static int64_t items[ITEMS];
static void filled(int64_t with) {
    for (int i = 0; i < ITEMS; i++) items[i] = with;
}
static void array_victim(void) {
    int64_t mine[ITEMS];
    for (int i = 0; i < ITEMS; i++) mine[i] = 7;
    stage(ACQUIRING);
    CHECK_OK(carom_array_set(array, 0, mine, sizeof mine, PATIENCE_MS));
    stage(DONE);
}
static void array_before(void) {
    filled(3);
    CHECK_OK(carom_array_set(array, 0, items, sizeof items, PATIENCE_MS));
}
static void array_after(void) {
    int64_t seen[ITEMS];
    carom_status status = carom_array_get(array, 0, ITEMS, seen, sizeof seen, PATIENCE_MS);
    if (status == CAROM_EOWNERDEAD) {
        CHECK(reached() == ACQUIRING || point.script == SECOND_KILL);
        CHECK_OK(carom_array_recover(array, PATIENCE_MS));
        CHECK_OK(carom_array_unlock(array));
    } else {
        CHECK_OK(status);
        for (int i = 0; i < ITEMS; i++) CHECK_EQ(seen[i], seen[0]);
        if (reached() == DONE && point.operation->victim == array_victim) CHECK_EQ(seen[0], 7);
        if (reached() == BEFORE && point.script != SECOND_KILL) CHECK_EQ(seen[0], 3);
    }
    array_before();
}
static void array_read(void) {
    int64_t seen[ITEMS];
    stage(ACQUIRING);
    CHECK_OK(carom_array_get(array, 0, ITEMS, seen, sizeof seen, PATIENCE_MS));
    stage(DONE);
    for (int i = 0; i < ITEMS; i++) CHECK_EQ(seen[i], 3);
}

static void memory_victim(void) {
    static const char zeros[3000];
    carom_value *fresh = NULL;
    CHECK_OK(carom_value_new(CAROM_RAW, zeros, sizeof zeros, NULL, &fresh));
    carom_value_free(fresh);
}
static void memory_large_victim(void) {
    carom_array *fresh = NULL;
    CHECK_OK(carom_array_new(CAROM_I64, 8, 1000, NULL, NULL, &fresh));
    carom_array_free(fresh);
}

/* A raw value gets a lock: its own, a given one; and is copied. */
static void synchronize_victim(void) {
    carom_shared_options raw = {.size = sizeof raw, .no_lock = 1};
    carom_value *fresh = NULL, *copy = NULL;
    carom_lock *given = NULL;
    CHECK_OK(carom_value_new(CAROM_I64, NULL, 0, &raw, &fresh));
    CHECK_OK(carom_value_synchronize(fresh, NULL));
    CHECK_OK(carom_value_get_lock(fresh, &given));
    CHECK_OK(carom_value_copy(fresh, &copy, PATIENCE_MS));
    CHECK_OK(carom_value_synchronize(copy, given));
    CHECK_OK(carom_value_lock(copy, 0));
    carom_value_free(fresh);
    CHECK_OK(carom_value_unlock(copy));
    carom_lock_free(given);
    carom_value_free(copy);
}

#define VALUE_OPERATIONS                                                                                                   \
    {.name = "value", .make = value_make, .unmake = value_unmake, .victim = value_victim, .after = value_after,            \
     .barge = value_barge, .unbarge = value_unbarge, .wait = value_use, .timed = value_timed},                             \
    {.name = "value, add", .make = value_make, .unmake = value_unmake, .before = add_before, .victim = add_victim,         \
     .after = add_after, .wait = add_partner},                                                                             \
    {.name = "array, set", .make = array_make, .unmake = array_unmake, .before = array_before, .victim = array_victim,     \
     .after = array_after},                                                                                                \
    {.name = "array, get", .make = array_make, .unmake = array_unmake, .before = array_before, .victim = array_read,       \
     .after = array_after, .single = 1},                                                                                   \
    {.name = "value, synchronized", .victim = synchronize_victim, .after = nothing_after,                          \
     .wait = synchronize_victim},                                                                                          \
    {.name = "memory, 3000 bytes", .victim = memory_victim, .after = nothing_after, .wait = memory_victim},                \
    {.name = "memory, zero", .victim = memory_large_victim, .after = nothing_after, .wait = memory_large_victim}
#endif
