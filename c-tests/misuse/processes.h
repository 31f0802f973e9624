/* test_misuse.c: processes. */

ROW(carom_process_start) {
    uint32_t before = atomic_load(ran);
    int64_t children = carom_process_children(NULL, 0);
    carom_argument argument = CAROM_INTEGER(1);
    EACH_STRANGE(f, REFUSED_HANDLE(carom_process, out, carom_process_start(f, NULL, 0, NULL, out), CAROM_EFUNCTION));
    REFUSED(carom_process_start(works, NULL, 0, NULL, NULL), CAROM_EINVAL);
    REFUSED(carom_process_start(works, NULL, 0, NULL, (carom_process **)(uintptr_t)5), CAROM_EINVAL);
    REFUSED_HANDLE(carom_process, out, carom_process_start(works, NULL, 1, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_process, out, carom_process_start(works, &argument, SIZE_MAX, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_process, out, carom_process_start(works, &argument, SIZE_MAX / sizeof argument, NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_process, out, carom_process_start(works, (carom_argument *)(void *)((char *)&argument + 1), 1, NULL, out),
                   CAROM_EINVAL);
    /* (Descriptors are arguments of processes, if of nothing else.) */
    EACH_STRANGE_ARGUMENT(a, status, if (status != CAROM_ENOTSUP)
                          REFUSED_HANDLE(carom_process, out, carom_process_start(works, a, 1, NULL, out), status));
    const carom_argument no_fds[] = {{.kind = CAROM_ARGUMENT_FD, .integer = -1}, {.kind = CAROM_ARGUMENT_FD, .integer = 1000000},
                                     {.kind = CAROM_ARGUMENT_FD, .integer = INT64_MAX}};
    for (int i = 0; i < 3; i++) REFUSED_HANDLE(carom_process, out, carom_process_start(works, &no_fds[i], 1, NULL, out), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_process_options, options, status, 0,
                  REFUSED_HANDLE(carom_process, out, carom_process_start(works, NULL, 0, options, out), status));
    carom_process_options options = {.size = sizeof options, .name = "\xff"};
    REFUSED_HANDLE(carom_process, out, carom_process_start(works, NULL, 0, &options, out), CAROM_EINVAL);
    options = (carom_process_options){.size = sizeof options, .reserved = 1};
    REFUSED_HANDLE(carom_process, out, carom_process_start(works, NULL, 0, &options, out), CAROM_E2BIG);
    static const carom_process_limit reserved = {0, 1, 0, 0};
    const carom_process_options strange[] = {
        {.size = sizeof options, .stdin_fd = -2},  {.size = sizeof options, .stdout_fd = 1000000}, {.size = sizeof options, .process_group = -2},
        {.size = sizeof options, .limit_count = 1}, {.size = sizeof options, .limit_count = SIZE_MAX, .limits = &reserved},
        {.size = sizeof options, .parent_death_signal = 65}, {.size = sizeof options, .parent_death_signal = -2},
        {.size = sizeof options, .environment = (const char *const *)(uintptr_t)5},
    };
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
        REFUSED_HANDLE(carom_process, out, carom_process_start(works, NULL, 0, &strange[i], out), CAROM_EINVAL);
    options = (carom_process_options){.size = sizeof options, .limit_count = 1, .limits = &reserved};
    REFUSED_HANDLE(carom_process, out, carom_process_start(works, NULL, 0, &options, out), CAROM_E2BIG);
    options = (carom_process_options){.size = sizeof options, .reserved2 = 1};
    REFUSED_HANDLE(carom_process, out, carom_process_start(works, NULL, 0, &options, out), CAROM_E2BIG);
    EACH_BAD(carom_context, CONTEXT, h, {
        options = (carom_process_options){.size = sizeof options, .context = h};
        if (h) REFUSED_HANDLE(carom_process, out, carom_process_start(works, NULL, 0, &options, out), CAROM_EBADHANDLE);
    });
    /* Nothing was started. */
    CHECK_EQ(carom_process_children(NULL, 0), children);
    CHECK_EQ(atomic_load(ran), before);
}
ROW(carom_process_join) {
    EACH_BAD(carom_process, PROCESS, h, REFUSED(carom_process_join(h, 0), CAROM_EBADHANDLE));
    EACH_BAD(carom_process, PROCESS, h, REFUSED(carom_process_join(h, CAROM_FOREVER), CAROM_EBADHANDLE));
    REFUSED(carom_process_join(process, 0), CAROM_ETIMEDOUT);
}
ROW(carom_process_is_alive) { EACH_BAD(carom_process, PROCESS, h, REFUSED(carom_process_is_alive(h), CAROM_EBADHANDLE)); }
ROW(carom_process_exitcode) {
    EACH_BAD(carom_process, PROCESS, h, UNTOUCHED(int32_t, out, carom_process_exitcode(h, out), CAROM_EBADHANDLE));
    UNTOUCHED(int32_t, out, carom_process_exitcode(process, out), CAROM_EAGAIN);
    carom_process *over = NULL;
    CHECK_OK(carom_process_start(works, NULL, 0, NULL, &over));
    CHECK_OK(carom_process_join(over, PATIENCE_MS));
    REFUSED(carom_process_exitcode(over, NULL), CAROM_EINVAL);
    carom_process_free(over);
}
ROW(carom_process_terminate) { EACH_BAD(carom_process, PROCESS, h, REFUSED(carom_process_terminate(h), CAROM_EBADHANDLE)); }
ROW(carom_process_kill) { EACH_BAD(carom_process, PROCESS, h, REFUSED(carom_process_kill(h), CAROM_EBADHANDLE)); }
ROW(carom_process_interrupt) { EACH_BAD(carom_process, PROCESS, h, REFUSED(carom_process_interrupt(h), CAROM_EBADHANDLE)); }
ROW(carom_process_close) {
    EACH_BAD(carom_process, PROCESS, h, REFUSED(carom_process_close(h), CAROM_EBADHANDLE));
    REFUSED(carom_process_close(process), CAROM_EAGAIN);
}
ROW(carom_authkey_get) {
    char key[32];
    size_t len = 0;
    REFUSED(carom_authkey_get(NULL, 32, &len), CAROM_EINVAL);
    REFUSED(carom_authkey_get(key, 0, NULL), CAROM_EMSGSIZE);
    REFUSED(carom_authkey_get(key, 31, (size_t *)(uintptr_t)5), CAROM_EMSGSIZE);
}
ROW(carom_authkey_set) {
    static char long_key[4097];
    REFUSED(carom_authkey_set(NULL, 1), CAROM_EINVAL);
    REFUSED(carom_authkey_set("k", 0), CAROM_EINVAL);
    REFUSED(carom_authkey_set(long_key, sizeof long_key), CAROM_EINVAL);
    REFUSED(carom_authkey_set("k", SIZE_MAX), CAROM_EINVAL);
}
ROW(carom_fork_prepare) {
    carom_process_options options = {.size = sizeof options, .name = "\xff"};
    EACH_STRANGE(f, REFUSED_HANDLE(carom_process, out, carom_fork_prepare(f, NULL, 0, NULL, out), CAROM_EFUNCTION));
    EACH_BAD_SIZE(carom_process_options, bad, status, 0,
                  REFUSED_HANDLE(carom_process, out, carom_fork_prepare(works, NULL, 0, bad, out), status));
    EACH_STRANGE_ARGUMENT(a, status, if (status != CAROM_ENOTSUP)
                          REFUSED_HANDLE(carom_process, out, carom_fork_prepare(works, a, 1, NULL, out), status));
    REFUSED_HANDLE(carom_process, out, carom_fork_prepare(works, NULL, 0, &options, out), CAROM_EINVAL);
    REFUSED(carom_fork_prepare(works, NULL, 0, NULL, NULL), CAROM_EINVAL);
}
ROW(carom_fork_parent) {
    EACH_BAD(carom_process, PROCESS, h, REFUSED(carom_fork_parent(h, getpid()), CAROM_EBADHANDLE));
    REFUSED(carom_fork_parent(process, 0), CAROM_EINVAL);
    REFUSED(carom_fork_parent(process, -1), CAROM_EINVAL);
    REFUSED(carom_fork_parent(process, getpid()), CAROM_EINVAL);
    REFUSED(carom_fork_parent(process, carom_process_pid(process)), CAROM_EPERM);
}
ROW(carom_fork_child) {
    EACH_BAD(carom_process, PROCESS, h, REFUSED(carom_fork_child(h), CAROM_EBADHANDLE));
    REFUSED(carom_fork_child(process), CAROM_EPERM);
}
ROW(carom_exit_register) { REFUSED(carom_exit_register(NULL, NULL), CAROM_EINVAL); }
ROW(carom_process_pid) { EACH_BAD(carom_process, PROCESS, h, REFUSED(carom_process_pid(h), CAROM_EBADHANDLE)); }
ROW(carom_process_name) {
    EACH_BAD(carom_process, PROCESS, h, REFUSED(*carom_process_name(h) == 0 ? CAROM_EBADHANDLE : 0, CAROM_EBADHANDLE));
}
ROW(carom_process_daemon) { EACH_BAD(carom_process, PROCESS, h, REFUSED(carom_process_daemon(h), CAROM_EBADHANDLE)); }
ROW(carom_process_fd) { EACH_BAD(carom_process, PROCESS, h, REFUSED(carom_process_fd(h), CAROM_EBADHANDLE)); }
ROW(carom_process_free) { EACH_BAD(carom_process, PROCESS, h, carom_process_free(h)); }
ROW(carom_process_current) { CHECK_OK(carom_process_current(NULL, NULL)); }
ROW(carom_process_parent) {
    UNTOUCHED(int32_t, out, carom_process_parent(out, out + 1), CAROM_ENOENT);
    REFUSED(carom_process_parent(NULL, NULL), CAROM_ENOENT);
}
ROW(carom_process_children) {
    int fds = fd_count();
    REFUSED(carom_process_children(NULL, 1), CAROM_EINVAL); /* there is one */
    REFUSED(carom_process_children(NULL, SIZE_MAX), CAROM_EINVAL);
    REFUSED(carom_process_children((carom_process **)(uintptr_t)1, 1), CAROM_EINVAL);
    CHECK_EQ(fd_count(), fds);
}
