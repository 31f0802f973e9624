/* What the tests of limits have in common: the table in the header, and descriptors enough to get to its end. */
#ifndef HEADER_TABLE_H
#define HEADER_TABLE_H

#include "pool.h"

/* What stands in the header's table behind a label: number and status. */
static inline void check_row(const char *label, long long measured, carom_status status) {
    const char *path = getenv("CAROM_HEADER") ? getenv("CAROM_HEADER") : "include/carom.h";
    static char text[1 << 20];
    FILE *file = fopen(path, "re");
    CHECK(file != NULL);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    char start[128], name[64] = "";
    snprintf(start, sizeof start, "| %s ", label);
    const char *row = strstr(text, start);
    if (!row) check_fail_(__FILE__, __LINE__, "there is no such row", label, "", "");
    long long number = strtoll(strchr(row + strlen(start) - 1, '|') + 1, NULL, 10);
    sscanf(strchr(strchr(row + strlen(start) - 1, '|') + 1, '|') + 1, " %63[A-Z_]", name);
    fprintf(stderr, "%-45s %lld %s\n", label, measured, carom_status_name(status));
    check_eq_(__FILE__, __LINE__, label, measured, number);
    CHECK_STR_EQ(carom_status_name(status), name);
}

static inline void more_descriptors(void) {
    struct rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

#endif
