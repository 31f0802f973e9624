/* test_misuse.c: pools, results, iterators. */

ROW(carom_pool_new) {
    REFUSED(carom_pool_new(NULL, NULL), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_pool_options, options, status, 0, REFUSED_HANDLE(carom_pool, out, carom_pool_new(options, out), status));
    const int32_t workers[] = {-3, -4711, INT32_MIN, 1025, INT32_MAX};
    for (size_t i = 0; i < sizeof workers / sizeof *workers; i++) {
        carom_pool_options options = {.size = sizeof options, .workers = workers[i]};
        REFUSED_HANDLE(carom_pool, out, carom_pool_new(&options, out), CAROM_EINVAL);
    }
    carom_pool_options options = {.size = sizeof options, .workers = 1, .events = 2048};
    REFUSED_HANDLE(carom_pool, out, carom_pool_new(&options, out), CAROM_EINVAL);
    options = (carom_pool_options){.size = sizeof options, .workers = 1, .events = UINT32_MAX};
    REFUSED_HANDLE(carom_pool, out, carom_pool_new(&options, out), CAROM_EINVAL);
    options = (carom_pool_options){.size = sizeof options, .workers = 1, .time_limit_ms = -2};
    REFUSED_HANDLE(carom_pool, out, carom_pool_new(&options, out), CAROM_EINVAL);
    options.time_limit_ms = INT64_MIN;
    REFUSED_HANDLE(carom_pool, out, carom_pool_new(&options, out), CAROM_EINVAL);
    options = (carom_pool_options){.size = sizeof options, .workers = 1, .soft_time_limit_ms = -2};
    REFUSED_HANDLE(carom_pool, out, carom_pool_new(&options, out), CAROM_EINVAL);
    options = (carom_pool_options){.size = sizeof options, .workers = 1, .soft_time_limit_ms = 5, .time_limit_ms = 5};
    REFUSED_HANDLE(carom_pool, out, carom_pool_new(&options, out), CAROM_EINVAL);
    options = (carom_pool_options){.size = sizeof options, .workers = 1, .capture_stderr = 2};
    REFUSED_HANDLE(carom_pool, out, carom_pool_new(&options, out), CAROM_EINVAL);
    EACH_BAD(carom_context, CONTEXT, h, {
        options = (carom_pool_options){.size = sizeof options, .workers = 1, .context = h};
        if (h) REFUSED_HANDLE(carom_pool, out, carom_pool_new(&options, out), CAROM_EBADHANDLE);
    });
    EACH_BAD(carom_semaphore, SEMAPHORE, h, {
        options = (carom_pool_options){.size = sizeof options, .workers = 1, .semaphore = h};
        if (h) REFUSED_HANDLE(carom_pool, out, carom_pool_new(&options, out), CAROM_EBADHANDLE);
    });
    const carom_pool_options strange[] = {
        {.size = sizeof options, .workers = 1, .restartable = 2},
        {.size = sizeof options, .workers = 1, .host_forks = 2},
        {.size = sizeof options, .workers = 1, .host_forks = 1, .capture_stderr = 1},
        {.size = sizeof options, .workers = CAROM_INLINE, .host_forks = 1},
        {.size = sizeof options, .workers = 1, .acknowledge = 2},
        {.size = sizeof options, .workers = 1, .service_thread = UINT32_MAX},
        {.size = sizeof options, .workers = CAROM_INLINE, .acknowledge = 1},
        {.size = sizeof options, .workers = CAROM_INLINE, .service_thread = 1},
        {.size = sizeof options, .workers = 1, .max_restarts = -2},
        {.size = sizeof options, .workers = 1, .memory_limit = -2},
        {.size = sizeof options, .workers = 1, .max_restart_freq_s = -1},
        {.size = sizeof options, .workers = 1, .initializer_count = 1},
        {.size = sizeof options, .workers = 1, .initializer = works, .initializer_count = 1},
        {.size = sizeof options, .workers = 1, .finalizer = works, .finalizer_count = SIZE_MAX},
    };
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
        REFUSED_HANDLE(carom_pool, out, carom_pool_new(&strange[i], out), CAROM_EINVAL);
    EACH_STRANGE(f, {
        if (!f) continue;
        carom_pool_options hooks = {.size = sizeof hooks, .workers = 1, .initializer = f};
        REFUSED_HANDLE(carom_pool, out, carom_pool_new(&hooks, out), CAROM_EFUNCTION);
        hooks = (carom_pool_options){.size = sizeof hooks, .workers = 1, .finalizer = f};
        REFUSED_HANDLE(carom_pool, out, carom_pool_new(&hooks, out), CAROM_EFUNCTION);
    });
    options = (carom_pool_options){.size = sizeof options, .workers = 1, .capsules = "/no/such/directory"};
    REFUSED_HANDLE(carom_pool, out, carom_pool_new(&options, out), CAROM_ENOENT);
    options.capsules = "/proc/self/exe";
    REFUSED_HANDLE(carom_pool, out, carom_pool_new(&options, out), -ENOTDIR);
}

ROW(carom_pool_grow) {
    EACH_BAD(carom_pool, POOL, h, REFUSED(carom_pool_grow(h, 1), CAROM_EBADHANDLE));
    REFUSED(carom_pool_grow(pool, 1025), CAROM_ENOMEM);
    REFUSED(carom_pool_grow(pool, UINT32_MAX), CAROM_ENOMEM);
}
ROW(carom_pool_shrink) {
    EACH_BAD(carom_pool, POOL, h, REFUSED(carom_pool_shrink(h, 1), CAROM_EBADHANDLE));
    REFUSED(carom_pool_shrink(pool, 1025), CAROM_EINVAL);
    REFUSED(carom_pool_shrink(pool, UINT32_MAX), CAROM_EINVAL);
}
ROW(carom_pool_prepare) {
    EACH_BAD(carom_pool, POOL, h, REFUSED_HANDLE(carom_process, out, carom_pool_prepare(h, out), CAROM_EBADHANDLE));
    REFUSED_HANDLE(carom_process, out, carom_pool_prepare(pool, out), CAROM_EPERM);
    REFUSED(carom_pool_prepare(pool, NULL), CAROM_EINVAL);
}
ROW(carom_pool_restart) {
    EACH_BAD(carom_pool, POOL, h, REFUSED(carom_pool_restart(h), CAROM_EBADHANDLE));
    REFUSED(carom_pool_restart(pool), CAROM_EPERM);
}
ROW(carom_pool_worker) {
    EACH_BAD(carom_pool, POOL, h, {
        carom_worker_info info = {.size = sizeof info, .pid = 4711};
        REFUSED(carom_pool_worker(h, 0, &info), CAROM_EBADHANDLE);
        CHECK_EQ(info.pid, 4711);
    });
    REFUSED(carom_pool_worker(pool, 0, NULL), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_worker_info, info, status, 1, REFUSED(carom_pool_worker(pool, 0, info), status));
    carom_worker_info info = {.size = sizeof info};
    REFUSED(carom_pool_worker(pool, SIZE_MAX, &info), CAROM_ENOENT);
}
ROW(carom_pool_sentinel) {
    EACH_BAD(carom_pool, POOL, h, REFUSED(carom_pool_sentinel(h, getpid()), CAROM_EBADHANDLE));
    const int32_t pids[] = {0, -1, 1, getpid(), INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof pids / sizeof *pids; i++) REFUSED(carom_pool_sentinel(pool, pids[i]), CAROM_ENOENT);
}
ROW(carom_pool_info) {
    EACH_BAD(carom_pool, POOL, h, {
        carom_pool_statistics info = {.size = sizeof info, .workers = 4711};
        REFUSED(carom_pool_info(h, &info), CAROM_EBADHANDLE);
        CHECK_EQ(info.workers, 4711);
    });
    REFUSED(carom_pool_info(pool, NULL), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_pool_statistics, info, status, 1, REFUSED(carom_pool_info(pool, info), status));
}
ROW(carom_pool_terminate_job) {
    EACH_BAD(carom_pool, POOL, h, REFUSED(carom_pool_terminate_job(h, getpid(), 0), CAROM_EBADHANDLE));
    const int32_t pids[] = {0, -1, 1, getpid(), INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof pids / sizeof *pids; i++) REFUSED(carom_pool_terminate_job(pool, pids[i], 9), CAROM_ENOENT);
    REFUSED(carom_pool_terminate_job(pool, 1, 65), CAROM_EINVAL);
    REFUSED(carom_pool_terminate_job(pool, 1, -9), CAROM_EINVAL);
}
ROW(carom_pool_maintain) { EACH_BAD(carom_pool, POOL, h, REFUSED(carom_pool_maintain(h), CAROM_EBADHANDLE)); }
ROW(carom_pool_capabilities) { EACH_BAD(carom_pool, POOL, h, REFUSED(carom_pool_capabilities(h), CAROM_EBADHANDLE)); }
ROW(carom_result_accept) { EACH_BAD(carom_result, RESULT, h, REFUSED(carom_result_accept(h), CAROM_EBADHANDLE)); }
ROW(carom_result_discard) { EACH_BAD(carom_result, RESULT, h, REFUSED(carom_result_discard(h), CAROM_EBADHANDLE)); }
ROW(carom_result_correlation_id) {
    EACH_BAD(carom_result, RESULT, h, {
        prime();
        CHECK_STR_EQ(carom_result_correlation_id(h), "");
        CHECK(strcmp(carom_error_message(), PRIMED) != 0);
    });
}
ROW(carom_pool_did_start_ok) { EACH_BAD(carom_pool, POOL, h, REFUSED(carom_pool_did_start_ok(h), CAROM_EBADHANDLE)); }

ROW(carom_pool_apply) {
    uint32_t before = atomic_load(ran);
    int64_t data[2];
    EACH_BAD(carom_pool, POOL, h, {
        UNTOUCHED(size_t, len, carom_pool_apply(h, works, NULL, 0, NULL, data, 8, len, 0), CAROM_EBADHANDLE);
    });
    EACH_STRANGE(f, UNTOUCHED(size_t, len, carom_pool_apply(pool, f, NULL, 0, NULL, data, 8, len, PATIENCE_MS), CAROM_EFUNCTION));
    EACH_STRANGE_ARGUMENT(a, status, UNTOUCHED(size_t, len, carom_pool_apply(pool, works, a, 1, NULL, data, 8, len, PATIENCE_MS), status));
    REFUSED(carom_pool_apply(pool, works, NULL, 1, NULL, NULL, 0, NULL, PATIENCE_MS), CAROM_EINVAL);
    REFUSED(carom_pool_apply(pool, works, NULL, SIZE_MAX, NULL, NULL, 0, NULL, PATIENCE_MS), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_task_options, options, status, 0,
                  REFUSED(carom_pool_apply(pool, works, NULL, 0, options, NULL, 0, NULL, PATIENCE_MS), status));
    carom_task_options options = {.size = sizeof options, .time_limit_ms = -2};
    REFUSED(carom_pool_apply(pool, works, NULL, 0, &options, NULL, 0, NULL, PATIENCE_MS), CAROM_EINVAL);
    const carom_task_options strange[] = {
        {.size = sizeof options, .cpu_time_limit_ms = -2}, {.size = sizeof options, .memory_limit = -2},
        {.size = sizeof options, .expires_ms = -2},        {.size = sizeof options, .retry_on = 8},
        {.size = sizeof options, .retry_on = UINT32_MAX},   {.size = sizeof options, .submit_ms = -2},
    };
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
        REFUSED(carom_pool_apply(pool, works, NULL, 0, &strange[i], NULL, 0, NULL, PATIENCE_MS), CAROM_EINVAL);
    options = (carom_task_options){.size = sizeof options, .soft_time_limit_ms = INT64_MIN};
    REFUSED(carom_pool_apply(pool, works, NULL, 0, &options, NULL, 0, NULL, PATIENCE_MS), CAROM_EINVAL);
    options = (carom_task_options){.size = sizeof options, .soft_time_limit_ms = INT64_MAX, .time_limit_ms = 5};
    REFUSED(carom_pool_apply(pool, works, NULL, 0, &options, NULL, 0, NULL, PATIENCE_MS), CAROM_EINVAL);
    UNTOUCHED(size_t, len, carom_pool_apply(pool, replies, NULL, 0, NULL, NULL, 8, len, PATIENCE_MS), CAROM_EINVAL);
    UNTOUCHED(size_t, len, carom_pool_apply(pool, replies, NULL, 0, NULL, data, SIZE_MAX, len, PATIENCE_MS), CAROM_EINVAL);
    /* A verdict that cannot be shown is noticed before the task runs, not after. */
    EACH_BAD_SIZE(carom_verdict, verdict, status, 1, {
        carom_task_options with = {.size = sizeof with, .verdict = verdict};
        REFUSED(carom_pool_apply(pool, works, NULL, 0, &with, NULL, 0, NULL, PATIENCE_MS), status);
    });
    CHECK_EQ(atomic_load(ran), before);
    UNTOUCHED(int64_t, out, carom_pool_apply(pool, replies, NULL, 0, NULL, out, 7, NULL, PATIENCE_MS), CAROM_EMSGSIZE);
}

ROW(carom_pool_apply_async) {
    uint32_t before = atomic_load(ran);
    EACH_BAD(carom_pool, POOL, h, {
        REFUSED_HANDLE(carom_result, out, carom_pool_apply_async(h, works, NULL, 0, NULL, out), CAROM_EBADHANDLE);
        REFUSED(carom_pool_apply_async(h, works, NULL, 0, NULL, NULL), CAROM_EBADHANDLE);
    });
    EACH_STRANGE(f, REFUSED_HANDLE(carom_result, out, carom_pool_apply_async(pool, f, NULL, 0, NULL, out), CAROM_EFUNCTION));
    EACH_STRANGE_ARGUMENT(a, status, REFUSED_HANDLE(carom_result, out, carom_pool_apply_async(pool, works, a, 1, NULL, out), status));
    REFUSED_HANDLE(carom_result, out, carom_pool_apply_async(pool, works, NULL, 1, NULL, out), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_task_options, options, status, 0,
                  REFUSED_HANDLE(carom_result, out, carom_pool_apply_async(pool, works, NULL, 0, options, out), status));
    REFUSED(carom_pool_apply_async(pool, works, NULL, 0, NULL, (carom_result **)(uintptr_t)7), CAROM_EINVAL);
    CHECK_EQ(atomic_load(ran), before);
}

ROW(carom_pool_map) {
    uint32_t before = atomic_load(ran);
    int64_t in[4] = {1, 2, 3, 4};
    typedef struct {
        int64_t items[4];
    } four;
    EACH_BAD(carom_pool, POOL, h, UNTOUCHED(four, out, carom_pool_map(h, works, in, 8, 4, NULL, out, 8, 0), CAROM_EBADHANDLE));
    EACH_STRANGE(f, UNTOUCHED(four, out, carom_pool_map(pool, f, in, 8, 4, NULL, out, 8, PATIENCE_MS), CAROM_EFUNCTION));
    UNTOUCHED(four, out, carom_pool_map(pool, works, NULL, 8, 4, NULL, out, 8, PATIENCE_MS), CAROM_EINVAL);
    REFUSED(carom_pool_map(pool, works, in, 8, 4, NULL, NULL, 8, PATIENCE_MS), CAROM_EINVAL);
    UNTOUCHED(four, out, carom_pool_map(pool, works, in, 8, SIZE_MAX, NULL, out, 8, PATIENCE_MS), CAROM_EINVAL);
    UNTOUCHED(four, out, carom_pool_map(pool, works, in, SIZE_MAX, 4, NULL, out, 8, PATIENCE_MS), CAROM_EINVAL);
    UNTOUCHED(four, out, carom_pool_map(pool, works, in, SIZE_MAX / 2 + 1, 2, NULL, out, 8, PATIENCE_MS), CAROM_EINVAL);
    UNTOUCHED(four, out, carom_pool_map(pool, works, in, 8, 4, NULL, out, SIZE_MAX, PATIENCE_MS), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_task_options, options, status, 0,
                  UNTOUCHED(four, out, carom_pool_map(pool, works, in, 8, 4, options, out, 8, PATIENCE_MS), status));
    carom_task_options crooked = {.size = sizeof crooked, .statuses = (carom_status *)(uintptr_t)0x1001};
    UNTOUCHED(four, out, carom_pool_map(pool, works, in, 8, 4, &crooked, out, 8, PATIENCE_MS), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_verdict, verdict, status, 1, {
        carom_task_options with = {.size = sizeof with, .verdict = verdict};
        UNTOUCHED(four, out, carom_pool_map(pool, works, in, 8, 4, &with, out, 8, PATIENCE_MS), status);
    });
    CHECK_EQ(atomic_load(ran), before);
    carom_task_options one_by_one = {.size = sizeof one_by_one, .chunk_size = 1};
    REFUSED(carom_pool_map(pool, works, NULL, 0, SIZE_MAX, NULL, NULL, 0, PATIENCE_MS), CAROM_ENOMEM);
    REFUSED(carom_pool_map(pool, works, NULL, 0, (size_t)1 << 45, &one_by_one, NULL, 0, PATIENCE_MS), CAROM_ENOMEM);
    CHECK_OK(carom_pool_map(pool, works, NULL, 8, 0, NULL, NULL, 8, PATIENCE_MS)); /* none is none */
}

ROW(carom_pool_map_async) {
    uint32_t before = atomic_load(ran);
    int64_t in[4] = {1, 2, 3, 4};
    EACH_BAD(carom_pool, POOL, h, REFUSED_HANDLE(carom_result, out, carom_pool_map_async(h, works, in, 8, 4, NULL, out), CAROM_EBADHANDLE));
    EACH_STRANGE(f, REFUSED_HANDLE(carom_result, out, carom_pool_map_async(pool, f, in, 8, 4, NULL, out), CAROM_EFUNCTION));
    REFUSED_HANDLE(carom_result, out, carom_pool_map_async(pool, works, NULL, 8, 4, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_result, out, carom_pool_map_async(pool, works, in, 8, SIZE_MAX, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_result, out, carom_pool_map_async(pool, works, in, SIZE_MAX, 4, NULL, out), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_task_options, options, status, 0,
                  REFUSED_HANDLE(carom_result, out, carom_pool_map_async(pool, works, in, 8, 4, options, out), status));
    carom_task_options options = {.size = sizeof options, .fail_fast = 2};
    REFUSED(carom_pool_map_async(pool, works, in, 8, 4, &options, NULL), CAROM_EINVAL);
    REFUSED(carom_pool_map_async(pool, works, in, 8, 4, NULL, (carom_result **)(uintptr_t)7), CAROM_EINVAL);
    CHECK_EQ(atomic_load(ran), before);
}
ROW(carom_pool_starmap_async) {
    uint32_t before = atomic_load(ran);
    carom_argument lists[2] = {CAROM_INTEGER(1), CAROM_INTEGER(2)};
    EACH_BAD(carom_pool, POOL, h, REFUSED_HANDLE(carom_result, out, carom_pool_starmap_async(h, works, lists, 1, 2, NULL, out), CAROM_EBADHANDLE));
    EACH_STRANGE(f, REFUSED_HANDLE(carom_result, out, carom_pool_starmap_async(pool, f, lists, 1, 2, NULL, out), CAROM_EFUNCTION));
    REFUSED_HANDLE(carom_result, out, carom_pool_starmap_async(pool, works, NULL, 1, 2, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_result, out, carom_pool_starmap_async(pool, works, lists, SIZE_MAX, 2, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_result, out, carom_pool_starmap_async(pool, works, lists, 2, SIZE_MAX / 8, NULL, out), CAROM_EINVAL);
    EACH_STRANGE_ARGUMENT(a, status, REFUSED_HANDLE(carom_result, out, carom_pool_starmap_async(pool, works, a, 1, 1, NULL, out), status));
    CHECK_EQ(atomic_load(ran), before);
}
ROW(carom_pool_starmap) {
    uint32_t before = atomic_load(ran);
    carom_argument lists[2] = {CAROM_INTEGER(1), CAROM_INTEGER(2)};
    typedef struct {
        int64_t items[2];
    } two;
    EACH_BAD(carom_pool, POOL, h, UNTOUCHED(two, out, carom_pool_starmap(h, works, lists, 1, 2, NULL, out, 8, 0), CAROM_EBADHANDLE));
    EACH_STRANGE(f, UNTOUCHED(two, out, carom_pool_starmap(pool, f, lists, 1, 2, NULL, out, 8, PATIENCE_MS), CAROM_EFUNCTION));
    UNTOUCHED(two, out, carom_pool_starmap(pool, works, NULL, 1, 2, NULL, out, 8, PATIENCE_MS), CAROM_EINVAL);
    UNTOUCHED(two, out, carom_pool_starmap(pool, works, lists, 1, SIZE_MAX, NULL, out, 8, PATIENCE_MS), CAROM_EINVAL);
    REFUSED(carom_pool_starmap(pool, works, lists, 1, 2, NULL, NULL, 8, PATIENCE_MS), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_task_options, options, status, 0,
                  UNTOUCHED(two, out, carom_pool_starmap(pool, works, lists, 1, 2, options, out, 8, PATIENCE_MS), status));
    CHECK_EQ(atomic_load(ran), before);
}
ROW(carom_pool_map_range) {
    uint32_t before = atomic_load(ran);
    EACH_BAD(carom_pool, POOL, h, REFUSED(carom_pool_map_range(h, works, 0, 4, NULL, 0, NULL, 0), CAROM_EBADHANDLE));
    EACH_STRANGE(f, REFUSED(carom_pool_map_range(pool, f, 0, 4, NULL, 0, NULL, PATIENCE_MS), CAROM_EFUNCTION));
    EACH_STRANGE_ARGUMENT(a, status, REFUSED(carom_pool_map_range(pool, works, 0, 4, a, 1, NULL, PATIENCE_MS), status));
    REFUSED(carom_pool_map_range(pool, works, 0, 4, NULL, 1, NULL, PATIENCE_MS), CAROM_EINVAL);
    REFUSED(carom_pool_map_range(pool, works, 4, 0, NULL, 0, NULL, PATIENCE_MS), CAROM_EINVAL);
    REFUSED(carom_pool_map_range(pool, works, INT64_MIN, INT64_MAX, NULL, 0, NULL, PATIENCE_MS), CAROM_EINVAL);
    CHECK_EQ(atomic_load(ran), before);
}
ROW(carom_result_count) { EACH_BAD(carom_result, RESULT, h, REFUSED(carom_result_count(h), CAROM_EBADHANDLE)); }
ROW(carom_result_item) {
    EACH_BAD(carom_result, RESULT, h, REFUSED_HANDLE(carom_result, out, carom_result_item(h, 0, out), CAROM_EBADHANDLE));
    REFUSED_HANDLE(carom_result, out, carom_result_item(result, 0, out), CAROM_ENOENT);
    REFUSED_HANDLE(carom_result, out, carom_result_item(result, SIZE_MAX, out), CAROM_ENOENT);
    REFUSED(carom_result_item(result, 0, NULL), CAROM_EINVAL);
}

static int64_t no_source(void *ctx, carom_argument *arguments, size_t max) {
    (void)arguments, (void)max;
    return *(int64_t *)ctx;
}

ROW(carom_pool_imap_unordered) {
    uint32_t before = atomic_load(ran);
    int64_t in[2] = {1, 2};
    carom_argument argument = CAROM_INTEGER(1);
    carom_items items = {.size = sizeof items, .data = in, .item_size = 8, .count = 2};
    EACH_BAD(carom_pool, POOL, h,
             REFUSED_HANDLE(carom_iterator, out, carom_pool_imap_unordered(h, works, &items, NULL, out), CAROM_EBADHANDLE));
    EACH_STRANGE(f, REFUSED_HANDLE(carom_iterator, out, carom_pool_imap_unordered(pool, f, &items, NULL, out), CAROM_EFUNCTION));
    REFUSED(carom_pool_imap_unordered(pool, works, &items, NULL, NULL), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_items, bad, status, 0,
                  REFUSED_HANDLE(carom_iterator, out, carom_pool_imap_unordered(pool, works, bad, NULL, out), status));
    EACH_BAD_SIZE(carom_task_options, options, status, 0,
                  REFUSED_HANDLE(carom_iterator, out, carom_pool_imap_unordered(pool, works, &items, options, out), status));
    const carom_items strange[] = {
        {.size = sizeof items, .data = in, .item_size = 8, .count = 2, .arguments = &argument, .per_item = 1},
        {.size = sizeof items, .data = in, .item_size = 8, .count = 2, .source = no_source},
        {.size = sizeof items, .arguments = &argument, .per_item = 1, .count = 1, .source = no_source},
        {.size = sizeof items, .count = 2, .item_size = 8},
        {.size = sizeof items, .data = in, .item_size = SIZE_MAX, .count = 2},
        {.size = sizeof items, .data = in, .item_size = 8, .count = SIZE_MAX},
        {.size = sizeof items, .arguments = &argument, .per_item = SIZE_MAX, .count = 2},
        {.size = sizeof items, .arguments = &argument, .per_item = 1, .count = SIZE_MAX / 8},
        {.size = sizeof items, .arguments = &argument, .per_item = 0, .count = SIZE_MAX},
    };
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
        REFUSED_HANDLE(carom_iterator, out, carom_pool_imap_unordered(pool, works, &strange[i], NULL, out), CAROM_EINVAL);
    EACH_STRANGE_ARGUMENT(a, status, {
        carom_items lists = {.size = sizeof lists, .arguments = a, .per_item = 1, .count = 1};
        REFUSED_HANDLE(carom_iterator, out, carom_pool_imap_unordered(pool, works, &lists, NULL, out), status);
    });
    CHECK_EQ(atomic_load(ran), before);
}

ROW(carom_pool_imap) {
    carom_items items = {.size = sizeof items};
    EACH_BAD(carom_pool, POOL, h, REFUSED_HANDLE(carom_iterator, out, carom_pool_imap(h, works, &items, NULL, out), CAROM_EBADHANDLE));
    EACH_STRANGE(f, REFUSED_HANDLE(carom_iterator, out, carom_pool_imap(pool, f, &items, NULL, out), CAROM_EFUNCTION));
    REFUSED(carom_pool_imap(pool, works, &items, NULL, NULL), CAROM_EINVAL);
    items.count = 2;
    REFUSED_HANDLE(carom_iterator, out, carom_pool_imap(pool, works, &items, NULL, out), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_items, bad, status, 0, REFUSED_HANDLE(carom_iterator, out, carom_pool_imap(pool, works, bad, NULL, out), status));
}
ROW(carom_iterator_next) {
    EACH_BAD(carom_iterator, ITERATOR, h, REFUSED_HANDLE(carom_result, out, carom_iterator_next(h, out, 0), CAROM_EBADHANDLE));
    EACH_BAD(carom_iterator, ITERATOR, h, REFUSED_HANDLE(carom_result, out, carom_iterator_next(h, out, CAROM_FOREVER), CAROM_EBADHANDLE));
    /* A source that returns nonsense, or says why it cannot go on. */
    const struct {
        int64_t says;
        carom_status status;
    } sources[] = {{-5, -5}, {65, CAROM_EINVAL}, {INT64_MAX, CAROM_EINVAL}, {INT64_MIN, CAROM_EINVAL}, {-6000, CAROM_EINVAL}};
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        int64_t says = sources[i].says;
        carom_items items = {.size = sizeof items, .source = no_source, .ctx = &says};
        carom_iterator *broken = NULL;
        CHECK_OK(carom_pool_imap_unordered(pool, works, &items, NULL, &broken));
        REFUSED_HANDLE(carom_result, out, carom_iterator_next(broken, out, PATIENCE_MS), sources[i].status);
        carom_iterator_free(broken);
    }
    /* No place for the result: it is not lost by that. */
    int64_t in = 1;
    carom_items items = {.size = sizeof items, .data = &in, .item_size = 8, .count = 1};
    carom_iterator *one = NULL;
    carom_result *it = NULL;
    CHECK_OK(carom_pool_imap_unordered(pool, works, &items, NULL, &one));
    REFUSED(carom_iterator_next(one, NULL, PATIENCE_MS), CAROM_EINVAL);
    CHECK_OK(carom_iterator_next(one, &it, PATIENCE_MS));
    carom_result_free(it);
    REFUSED_HANDLE(carom_result, out, carom_iterator_next(one, out, 0), CAROM_EEND);
    REFUSED_HANDLE(carom_result, out, carom_iterator_next(one, out, CAROM_FOREVER), CAROM_EEND);
    carom_iterator_free(one);
}
ROW(carom_iterator_free) { EACH_BAD(carom_iterator, ITERATOR, h, carom_iterator_free(h)); }
ROW(carom_pool_fd) { EACH_BAD(carom_pool, POOL, h, REFUSED(carom_pool_fd(h), CAROM_EBADHANDLE)); }
ROW(carom_pool_dispatch) { EACH_BAD(carom_pool, POOL, h, REFUSED(carom_pool_dispatch(h, 0), CAROM_EBADHANDLE)); }
ROW(carom_pool_next_deadline) { EACH_BAD(carom_pool, POOL, h, REFUSED(carom_pool_next_deadline(h), CAROM_EBADHANDLE)); }
ROW(carom_pool_next_event) {
    EACH_BAD(carom_pool, POOL, h, {
        carom_pool_event event = {.size = sizeof event, .kind = 4711};
        REFUSED(carom_pool_next_event(h, &event, 0), CAROM_EBADHANDLE);
        CHECK_EQ(event.kind, 4711);
    });
    REFUSED(carom_pool_next_event(pool, NULL, 0), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_pool_event, event, status, 1, REFUSED(carom_pool_next_event(pool, event, 0), status));
    carom_pool_event event = {.size = sizeof event, .kind = 4711};
    REFUSED(carom_pool_next_event(pool, &event, 0), CAROM_ETIMEDOUT);
    CHECK_EQ(event.kind, 4711);
}
ROW(carom_pool_close) { EACH_BAD(carom_pool, POOL, h, REFUSED(carom_pool_close(h), CAROM_EBADHANDLE)); }
ROW(carom_pool_terminate) { EACH_BAD(carom_pool, POOL, h, REFUSED(carom_pool_terminate(h), CAROM_EBADHANDLE)); }
ROW(carom_pool_join) {
    EACH_BAD(carom_pool, POOL, h, REFUSED(carom_pool_join(h, 0), CAROM_EBADHANDLE));
    REFUSED(carom_pool_join(pool, 0), CAROM_EPERM);
    REFUSED(carom_pool_join(pool, CAROM_FOREVER), CAROM_EPERM);
}
ROW(carom_pool_free) { EACH_BAD(carom_pool, POOL, h, carom_pool_free(h)); }

/* A pool that is closed, ended or broken takes nothing, in no form, and loses nothing by being asked. */
static void takes_nothing(carom_pool *over, carom_status status) {
    int64_t in = 1;
    carom_argument argument = CAROM_INTEGER(1);
    carom_items items = {.size = sizeof items, .data = &in, .item_size = 8, .count = 1};
    REFUSED_HANDLE(carom_result, out, carom_pool_apply_async(over, works, NULL, 0, NULL, out), status);
    REFUSED_HANDLE(carom_result, out, carom_pool_map_async(over, works, &in, 8, 1, NULL, out), status);
    REFUSED_HANDLE(carom_result, out, carom_pool_starmap_async(over, works, &argument, 1, 1, NULL, out), status);
    REFUSED(carom_pool_apply_async(over, works, NULL, 0, NULL, NULL), status);
    REFUSED(carom_pool_apply(over, works, NULL, 0, NULL, NULL, 0, NULL, PATIENCE_MS), status);
    REFUSED(carom_pool_map(over, works, &in, 8, 1, NULL, NULL, 0, PATIENCE_MS), status);
    REFUSED(carom_pool_starmap(over, works, &argument, 1, 1, NULL, NULL, 0, PATIENCE_MS), status);
    REFUSED(carom_pool_map_range(over, works, 0, 4, NULL, 0, NULL, PATIENCE_MS), status);
    REFUSED_HANDLE(carom_iterator, out, carom_pool_imap(over, works, &items, NULL, out), status);
    REFUSED_HANDLE(carom_iterator, out, carom_pool_imap_unordered(over, works, &items, NULL, out), status);
    REFUSED(carom_pool_grow(over, 1), status);
    REFUSED(carom_pool_shrink(over, 1), status);
    REFUSED(carom_pool_restart(over), status);
}

/* What may still be asked of a result once its pool is freed: everything, and it says what it said before. */
static void outlives(carom_result *it, carom_status status) {
    carom_verdict verdict = {.size = sizeof verdict};
    CHECK_EQ(carom_result_ready(it), 1);
    CHECK_EQ(carom_result_successful(it), status == CAROM_OK);
    CHECK_OK(carom_result_wait(it, CAROM_FOREVER));
    CHECK_OK(carom_result_verdict(it, &verdict));
    CHECK_EQ(verdict.status, status);
    CHECK_OK(carom_result_cancel(it, 0));
    CHECK_OK(carom_result_terminate(it, 0));
    CHECK_OK(carom_result_accept(it));
    CHECK_OK(carom_result_discard(it));
    CHECK_EQ(carom_result_wait_any(&it, 1, CAROM_FOREVER), 0);
    CHECK_EQ(carom_result_count(it), 1);
    CHECK_OK(carom_result_verdict(it, &verdict));
    CHECK_EQ(verdict.status, status);
    if (status) REFUSED(carom_result_get(it, NULL, 0, NULL, CAROM_FOREVER), status);
    carom_result_free(it);
}

static void closed_pools(void) {
    carom_pool_options options = {.size = sizeof options, .workers = 1, .restartable = 1};
    for (int terminated = 0; terminated < 2; terminated++) {
        carom_pool *over = NULL;
        carom_result *before = NULL;
        CHECK_OK(carom_pool_new(&options, &over));
        CHECK_OK(carom_pool_apply_async(over, works, NULL, 0, NULL, &before));
        if (!terminated) CHECK_OK(carom_result_wait(before, PATIENCE_MS));
        carom_status status = terminated ? carom_pool_terminate(over) : carom_pool_close(over);
        CHECK_OK(status);
        carom_verdict verdict = {.size = sizeof verdict};
        CHECK_OK(carom_result_wait(before, PATIENCE_MS));
        CHECK_OK(carom_result_verdict(before, &verdict));
        for (int joined = 0; joined < 2; joined++) {
            takes_nothing(over, CAROM_ECLOSED);
            CHECK_OK(carom_pool_join(over, PATIENCE_MS));
        }
        carom_pool_free(over);
        outlives(before, verdict.status);
        REFUSED(carom_pool_join(over, 0), CAROM_EBADHANDLE);
    }
}

/* One whose workers cannot begin. */
static void broken_pools(void) {
    carom_pool_options options = {.size = sizeof options, .workers = 1, .initializer = fails, .max_restarts = 2, .restartable = 1};
    carom_pool *over = NULL;
    carom_result *before = NULL;
    CHECK_OK(carom_pool_new(&options, &over));
    CHECK_OK(carom_pool_apply_async(over, works, NULL, 0, NULL, &before));
    CHECK_OK(carom_result_wait(before, PATIENCE_MS));
    takes_nothing(over, CAROM_EBROKEN);
    carom_pool_free(over);
    outlives(before, CAROM_EBROKEN);
}

ROW(carom_result_wait) { EACH_BAD(carom_result, RESULT, h, REFUSED(carom_result_wait(h, CAROM_FOREVER), CAROM_EBADHANDLE)); }
ROW(carom_result_ready) { EACH_BAD(carom_result, RESULT, h, REFUSED(carom_result_ready(h), CAROM_EBADHANDLE)); }
ROW(carom_result_successful) { EACH_BAD(carom_result, RESULT, h, REFUSED(carom_result_successful(h), CAROM_EBADHANDLE)); }
ROW(carom_result_accepted) { EACH_BAD(carom_result, RESULT, h, REFUSED(carom_result_accepted(h), CAROM_EBADHANDLE)); }
ROW(carom_result_pid) { EACH_BAD(carom_result, RESULT, h, REFUSED(carom_result_pid(h), CAROM_EBADHANDLE)); }
ROW(carom_result_cancel) {
    EACH_BAD(carom_result, RESULT, h, REFUSED(carom_result_cancel(h, 0), CAROM_EBADHANDLE));
    REFUSED(carom_result_cancel(result, -2), CAROM_EINVAL);
    REFUSED(carom_result_cancel(result, INT64_MIN), CAROM_EINVAL);
}
ROW(carom_result_terminate) {
    EACH_BAD(carom_result, RESULT, h, REFUSED(carom_result_terminate(h, 9), CAROM_EBADHANDLE));
    const int32_t signals[] = {-1, 65, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) REFUSED(carom_result_terminate(result, signals[i]), CAROM_EINVAL);
}
ROW(carom_result_wait_any) {
    EACH_BAD(carom_result, RESULT, h, {
        carom_result *two[2] = {result, h};
        REFUSED(carom_result_wait_any(two, 2, CAROM_FOREVER), CAROM_EBADHANDLE);
    });
    REFUSED(carom_result_wait_any(NULL, 0, 0), CAROM_EINVAL);
    REFUSED(carom_result_wait_any(NULL, 1, 0), CAROM_EINVAL);
    REFUSED(carom_result_wait_any(&result, SIZE_MAX, 0), CAROM_EINVAL);
}
ROW(carom_job_id_text) {
    char text[33] = "as it was";
    carom_job_id id = {1, 2};
    REFUSED(carom_job_id_text(NULL, text, sizeof text), CAROM_EINVAL);
    REFUSED(carom_job_id_text(&id, NULL, sizeof text), CAROM_EINVAL);
    REFUSED(carom_job_id_text(&id, text, 32), CAROM_EMSGSIZE);
    REFUSED(carom_job_id_text(&id, text, 0), CAROM_EMSGSIZE);
    CHECK_STR_EQ(text, "as it was");
}
ROW(carom_result_get) {
    int64_t data = 4711;
    EACH_BAD(carom_result, RESULT, h, UNTOUCHED(size_t, len, carom_result_get(h, &data, 8, len, 0), CAROM_EBADHANDLE));
    size_t len = 0;
    REFUSED(carom_result_get(result, &data, 7, &len, PATIENCE_MS), CAROM_EMSGSIZE);
    CHECK_EQ(len, 8);
    CHECK_EQ(data, 4711);
    REFUSED(carom_result_get(result, NULL, 0, NULL, PATIENCE_MS), CAROM_EMSGSIZE);
    UNTOUCHED(size_t, out, carom_result_get(result, NULL, 8, out, PATIENCE_MS), CAROM_EINVAL);
    CHECK_OK(carom_result_get(result, &data, 8, NULL, PATIENCE_MS)); /* it stayed */
    CHECK_EQ(data, 8);
}
ROW(carom_result_verdict) {
    EACH_BAD(carom_result, RESULT, h, {
        carom_verdict verdict = {.size = sizeof verdict, .code = 4711};
        REFUSED(carom_result_verdict(h, &verdict), CAROM_EBADHANDLE);
        CHECK_EQ(verdict.code, 4711);
    });
    REFUSED(carom_result_verdict(result, NULL), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_verdict, verdict, status, 1, REFUSED(carom_result_verdict(result, verdict), status));
}
ROW(carom_verdict_print) {
    int fds[2];
    char byte;
    CHECK_EQ(pipe(fds), 0);
    REFUSED(carom_verdict_print(NULL, fds[1]), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_verdict, verdict, status, 0, REFUSED(carom_verdict_print(verdict, fds[1]), status));
    carom_verdict verdict = {.size = sizeof verdict}; /* all zero, its texts too */
    REFUSED(carom_verdict_print(&verdict, -1), -EBADF);
    REFUSED(carom_verdict_print(&verdict, fds[0]), -EBADF);
    close(fds[1]);
    CHECK_EQ(read(fds[0], &byte, 1), 0); /* nothing was written */
    close(fds[0]);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    REFUSED(carom_verdict_print(&verdict, full), -ENOSPC);
    CHECK_OK(carom_verdict_print(&verdict, null));
    close(full);
    close(null);
}
ROW(carom_result_free) { EACH_BAD(carom_result, RESULT, h, carom_result_free(h)); }
