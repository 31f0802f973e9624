/* The same with libuv: a pool is one uv_poll_t, beside whatever else the loop has. */
/* build: -luv */
/* test: */
#include "example.h"
#include <signal.h>
#include <uv.h>

enum { REQUESTS = 6 };
static int answered, ticks;
static carom_pool *pool;
static uv_poll_t poll_handle;
static uv_timer_t timer;

static int32_t cube(carom_call *call) {
    int64_t x = integer(call, 0), y = x * x * x;
    if (x == 3) raise(SIGSEGV);
    return carom_call_reply(call, &y, sizeof y);
}

static void answer(carom_result *result, void *ctx) {
    int64_t y, x = (intptr_t)ctx;
    carom_status status = carom_result_get(result, &y, sizeof y, NULL, 0);
    printf("%" PRId64 " -> %s\n", x, carom_status_name(status));
    EXPECT(x == 3 ? status == CAROM_EWORKERLOST : status == CAROM_OK && y == x * x * x);
    if (++answered == REQUESTS) {
        uv_close((uv_handle_t *)&poll_handle, NULL);
        uv_close((uv_handle_t *)&timer, NULL);
    }
}

static void on_pool(uv_poll_t *handle, int status, int events) {
    (void)handle, (void)events;
    EXPECT(status == 0);
    MUST(carom_pool_dispatch(pool, 0));
}

/* Something else that the loop does: a request every millisecond. */
static void on_tick(uv_timer_t *handle) {
    (void)handle;
    if (ticks == REQUESTS) return;
    carom_argument x = CAROM_INTEGER(ticks);
    carom_task_options task = {.size = sizeof task, .on_result = answer, .on_error = answer, .ctx = (void *)(intptr_t)ticks};
    MUST(carom_pool_apply_async(pool, cube, &x, 1, &task, NULL));
    ticks++;
}

int main(void) {
    carom_pool_options options = {.size = sizeof options, .workers = 2};
    MUST(carom_pool_new(&options, &pool));
    EXPECT(uv_poll_init(uv_default_loop(), &poll_handle, (int)MUST(carom_pool_fd(pool))) == 0);
    EXPECT(uv_poll_start(&poll_handle, UV_READABLE, on_pool) == 0);
    EXPECT(uv_timer_init(uv_default_loop(), &timer) == 0 && uv_timer_start(&timer, on_tick, 1, 1) == 0);
    EXPECT(uv_run(uv_default_loop(), UV_RUN_DEFAULT) == 0);
    EXPECT(uv_loop_close(uv_default_loop()) == 0);
    MUST(carom_pool_close(pool));
    MUST(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
    return 0;
}
