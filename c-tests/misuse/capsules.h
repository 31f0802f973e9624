/* test_misuse.c: capsules. */

ROW(carom_capsule_open) {
    REFUSED(carom_capsule_open("/dev/null", NULL), CAROM_EINVAL);
    REFUSED_HANDLE(carom_capsule, out, carom_capsule_open(NULL, out), CAROM_EINVAL);
    REFUSED_HANDLE(carom_capsule, out, carom_capsule_open("", out), CAROM_ENOENT);
    REFUSED_HANDLE(carom_capsule, out, carom_capsule_open("/no/such/file", out), CAROM_ENOENT);
    REFUSED_HANDLE(carom_capsule, out, carom_capsule_open("/", out), CAROM_EBROKEN);
    REFUSED_HANDLE(carom_capsule, out, carom_capsule_open("/dev/zero", out), CAROM_EBROKEN);
    REFUSED_HANDLE(carom_capsule, out, carom_capsule_open("/proc/self/exe", out), CAROM_EBROKEN);
}

ROW(carom_capsule_info) {
    EACH_BAD(carom_capsule, CAPSULE, h, {
        carom_capsule_description info = {.size = sizeof info};
        REFUSED(carom_capsule_info(h, &info), CAROM_EBADHANDLE);
        REFUSED(carom_capsule_info(h, NULL), CAROM_EBADHANDLE);
    });
}

ROW(carom_capsule_apply) {
    EACH_BAD(carom_capsule, CAPSULE, h, {
        UNTOUCHED(int32_t, code, carom_capsule_apply(h, code), CAROM_EBADHANDLE);
        REFUSED(carom_capsule_apply(h, NULL), CAROM_EINVAL);
    });
}

ROW(carom_capsule_apply_async) {
    EACH_BAD(carom_capsule, CAPSULE, h, {
        REFUSED_HANDLE(carom_result, out, carom_capsule_apply_async(h, pool, NULL, out), CAROM_EBADHANDLE);
        REFUSED(carom_capsule_apply_async(h, pool, NULL, NULL), CAROM_EINVAL);
    });
}

ROW(carom_capsule_free) { EACH_BAD(carom_capsule, CAPSULE, h, carom_capsule_free(h)); }
