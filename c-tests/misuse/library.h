/* test_misuse.c: the library as such. */

/* Functions that cannot be misused: they take nothing, or whatever they are given. */
ROW(carom_version) { CHECK(*carom_version() != 0); }
ROW(carom_cpu_count) { CHECK(carom_cpu_count() >= 1); }
ROW(carom_attach) { CHECK_OK(carom_attach()); }
ROW(carom_error_message) {
    prime();
    CHECK_STR_EQ(carom_error_message(), PRIMED);
}
ROW(carom_status_name) {
    CHECK_STR_EQ(carom_status_name(-5010), "CAROM_ESOFTLIMIT");
    const carom_status strange[] = {1, 12345, -4096, -5000, -9999, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) CHECK_STR_EQ(carom_status_name(strange[i]), "unknown status");
}
ROW(carom_status_message) {
    const carom_status all[] = {0, 1, -1, -4096, -5009, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) CHECK(carom_status_message(all[i]) && *carom_status_message(all[i]));
}

ROW(carom_init) {
    REFUSED(carom_init(-1, NULL), CAROM_EINVAL);
    REFUSED(carom_init(INT_MIN, NULL), CAROM_EINVAL);
    CHECK_OK(carom_init(0, NULL));
}
ROW(carom_shutdown) { REFUSED(carom_shutdown(0), CAROM_ETIMEDOUT); /* one waits */ }
ROW(carom_last_error) {
    REFUSED(carom_last_error(NULL), CAROM_EINVAL);
    EACH_BAD_SIZE(carom_error, error, status, 1, REFUSED(carom_last_error(error), status));
    /* As much as there is room for, and no more. */
    struct {
        carom_error error;
        unsigned char tail[64];
    } larger;
    memset(&larger, 0xa5, sizeof larger);
    larger.error.size = sizeof larger;
    CHECK_OK(carom_last_error(&larger.error));
    CHECK_EQ(larger.error.size, sizeof larger);
    for (size_t i = 0; i < sizeof larger.tail; i++) CHECK_EQ(larger.tail[i], 0xa5);
}
ROW(carom_log_set) {
    REFUSED(carom_log_set(NULL, NULL, 5), CAROM_EINVAL);
    REFUSED(carom_log_set(NULL, NULL, UINT32_MAX), CAROM_EINVAL);
    CHECK_OK(carom_log_set(NULL, NULL, CAROM_LOG_OFF));
}

ROW(carom_function_register) {
    char name[80];
    memset(name, 'n', sizeof name);
    name[64] = 0;
    REFUSED(carom_function_register(NULL, works), CAROM_EINVAL);
    REFUSED(carom_function_register("", works), CAROM_EINVAL);
    REFUSED(carom_function_register(name, works), CAROM_EINVAL);
    REFUSED(carom_function_register("a\nb", works), CAROM_EINVAL);
    REFUSED(carom_function_register("\x7f", works), CAROM_EINVAL);
    REFUSED(carom_function_register("\xff\xfe", works), CAROM_EINVAL);
    REFUSED(carom_function_register("null", NULL), CAROM_EFUNCTION);
    CHECK_OK(carom_function_register("works", works));
    CHECK_OK(carom_function_register("works", works));
    REFUSED(carom_function_register("works", replies), CAROM_EEXIST);
}
ROW(carom_arena_check) {
    EACH_BAD_SIZE(carom_arena_info, info, status, 1, REFUSED(carom_arena_check(info), status));
    CHECK_OK(carom_arena_check(NULL));
}
