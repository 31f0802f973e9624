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
    EACH_STRANGE_ARGUMENT(a, status, REFUSED_HANDLE(carom_process, out, carom_process_start(works, a, 1, NULL, out), status));
    EACH_BAD_SIZE(carom_process_options, options, status, 0,
                  REFUSED_HANDLE(carom_process, out, carom_process_start(works, NULL, 0, options, out), status));
    carom_process_options options = {.size = sizeof options, .name = "\xff"};
    REFUSED_HANDLE(carom_process, out, carom_process_start(works, NULL, 0, &options, out), CAROM_EINVAL);
    options = (carom_process_options){.size = sizeof options, .reserved = 1};
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
