/* For tests with one manager: what it knows of itself. */
#ifndef MANAGER_H
#define MANAGER_H

#include "support.h"

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

#endif
