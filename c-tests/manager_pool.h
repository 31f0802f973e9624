/* Pools of a manager: what their tests have in common. */
#ifndef MANAGER_POOL_H
#define MANAGER_POOL_H

#include "manager.h"

#define KEY(text) ((carom_argument){.kind = CAROM_ARGUMENT_STRING, .data = (text), .len = strlen(text)})
#define INT(number) ((carom_argument){.kind = CAROM_ARGUMENT_INTEGER, .integer = (number)})
#define HANDLE(it) ((carom_argument){.kind = CAROM_ARGUMENT_HANDLE, .handle = (it)})

static carom_pool *pool;
static flag *begun, *go;

static void begin(int workers) {
    carom_pool_options options = {.size = sizeof options, .workers = workers};
    begun = share(2 * sizeof *begun);
    go = begun + 1;
    CHECK_OK(carom_manager_new(NULL, &manager));
    CHECK_OK(carom_manager_pool(manager, &options, &pool));
}
static void end(void) {
    carom_pool_free(pool);
    CHECK_OK(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
}
static int32_t square(carom_call *call) {
    int64_t x;
    CHECK_OK(carom_call_read(call, 0, &x, sizeof x));
    x *= x;
    carom_call_reply(call, &x, sizeof x);
    return 0;
}
static int32_t odd_fails(carom_call *call) {
    int64_t x;
    CHECK_OK(carom_call_read(call, 0, &x, sizeof x));
    if (x % 2) return carom_call_fail(call, 7, "odd");
    carom_call_reply(call, &x, sizeof x);
    return 0;
}
static int32_t holds(carom_call *call) {
    int64_t pid = getpid();
    flag_add(begun, 1);
    flag_await(go, 1);
    carom_call_reply(call, &pid, sizeof pid);
    return 0;
}
static int32_t long_reply(carom_call *call) {
    int64_t len;
    void *data;
    CHECK_OK(carom_call_read(call, 0, &len, sizeof len));
    CHECK_OK(carom_call_reserve(call, len, &data));
    memset(data, 'r', len);
    CHECK_OK(carom_call_commit(call, len));
    return 0;
}

#endif
