/* The library and the header are of one version, and statuses have names. */
#include "check.h"

int main(void) {
    CHECK_STR_EQ(carom_version(), CAROM_VERSION);

    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", CAROM_VERSION_MAJOR, CAROM_VERSION_MINOR, CAROM_VERSION_PATCH);
    CHECK_STR_EQ(version, CAROM_VERSION);

    CHECK_EQ(CAROM_OK, 0);
    CHECK(carom_status_name(CAROM_ETIMEDOUT) != NULL);
    CHECK(carom_status_name(12345) != NULL);
    check_no_leaks(0);
    return 0;
}
