/* For tests with one manager: values for it, and what it knows of itself. */
#ifndef MANAGER_H
#define MANAGER_H

#include "support.h"

#define KEY(text) ((carom_argument){.kind = CAROM_ARGUMENT_STRING, .data = (text), .len = strlen(text)})
#define INT(number) ((carom_argument){.kind = CAROM_ARGUMENT_INTEGER, .integer = (number)})
#define NIL ((carom_argument){.kind = CAROM_ARGUMENT_NIL})
#define HANDLE(it) ((carom_argument){.kind = CAROM_ARGUMENT_HANDLE, .handle = (it)})

static carom_manager *manager;

static inline carom_manager_facts facts(void) {
    carom_manager_facts info = {.size = sizeof info};
    CHECK_OK(carom_manager_info(manager, &info));
    return info;
}
static inline void await_objects(uint64_t wanted) {
    int64_t until = now_ms() + PATIENCE_MS;
    while (facts().objects != wanted) CHECK(now_ms() < until);
}
static inline int64_t get_integer(carom_dict *from, const char *key) {
    carom_argument name = KEY(key), found;
    CHECK_OK(carom_dict_get(from, &name, &found, NULL, 0, NULL));
    CHECK_EQ(found.kind, CAROM_ARGUMENT_INTEGER);
    return found.integer;
}
static inline void set_integer(carom_dict *to, const char *key, int64_t number) {
    carom_argument name = KEY(key), value = INT(number);
    CHECK_OK(carom_dict_set(to, &name, &value));
}

#endif
