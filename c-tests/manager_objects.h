/* For tests of a manager with a dict and a list. */
#ifndef MANAGER_OBJECTS_H
#define MANAGER_OBJECTS_H

#include "manager.h"

static carom_dict *dict;
static carom_list *list;

static void begin(void) {
    CHECK_OK(carom_manager_new(NULL, &manager));
    CHECK_OK(carom_manager_dict(manager, NULL, &dict));
    CHECK_OK(carom_manager_list(manager, NULL, 0, &list));
}

static void end(void) {
    carom_list_free(list);
    carom_dict_free(dict);
    CHECK_OK(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
}

#endif
