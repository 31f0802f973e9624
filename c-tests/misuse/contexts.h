/* test_misuse.c: start methods and contexts. */

ROW(carom_context_new) {
    REFUSED(carom_context_new("fork", NULL), CAROM_EINVAL);
    REFUSED(carom_context_new("fork", (carom_context **)(uintptr_t)5), CAROM_EINVAL);
    const char *const strange[] = {"", "Fork", "vfork", "spawn ", "\xff", "forkserver\n"};
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
        REFUSED_HANDLE(carom_context, out, carom_context_new(strange[i], out), CAROM_EINVAL);
}
ROW(carom_context_name) {
    EACH_BAD(carom_context, CONTEXT, h, REFUSED(*carom_context_name(h) == 0 ? CAROM_EBADHANDLE : 0, CAROM_EBADHANDLE));
    CHECK_STR_EQ(carom_context_name(context), "fork");
}
ROW(carom_context_free) { EACH_BAD(carom_context, CONTEXT, h, carom_context_free(h)); }
ROW(carom_start_method_set) {
    CHECK_OK(carom_start_method_set("fork", 1));
    REFUSED(carom_start_method_set("fork", 0), CAROM_EALREADY);
    REFUSED(carom_start_method_set("thread", 0), CAROM_EINVAL);
    REFUSED(carom_start_method_set("", 1), CAROM_EINVAL);
    REFUSED(carom_start_method_set(NULL, 0), CAROM_EINVAL);
}
ROW(carom_start_method_get) {
    REFUSED(carom_start_method_get(0, NULL), CAROM_EINVAL);
    CHECK_OK(carom_start_method_set(NULL, 1));
    const char *name = "as it was";
    REFUSED(carom_start_method_get(1, &name), CAROM_ENOENT);
    CHECK_STR_EQ(name, "as it was");
    CHECK_OK(carom_start_method_set("fork", 0));
}
ROW(carom_start_method_list) {
    REFUSED(carom_start_method_list(NULL, 1), CAROM_EINVAL);
    REFUSED(carom_start_method_list((const char **)(uintptr_t)1, SIZE_MAX), CAROM_EINVAL);
    CHECK(carom_start_method_list(NULL, 0) > 1);
}
ROW(carom_set_executable) {
    REFUSED(carom_set_executable("", NULL), CAROM_EINVAL);
    REFUSED(carom_set_executable("/bin/true", (const char *const *)(uintptr_t)5), CAROM_EINVAL);
}
ROW(carom_forkserver_start) { CHECK_OK(carom_forkserver_start()); }
ROW(carom_forkserver_preload) {
    EACH_STRANGE(f, REFUSED(carom_forkserver_preload(f, NULL, 0), CAROM_EFUNCTION));
    REFUSED(carom_forkserver_preload(works, NULL, 1), CAROM_EINVAL);
    EACH_STRANGE_ARGUMENT(a, status, REFUSED(carom_forkserver_preload(works, a, 1), status));
}
