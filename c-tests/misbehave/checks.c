/* Fails in the way that its argument names: what check.h must see. */
#include "../check.h"
#include <fcntl.h>

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    if (strcmp(how, "eq") == 0) CHECK_EQ(-1, 0xffffffffu);
    if (strcmp(how, "status") == 0) CHECK_OK(CAROM_ETIMEDOUT);
    if (strcmp(how, "string") == 0) CHECK_STR_EQ("a", "b");
    if (strcmp(how, "descriptor") == 0) CHECK(open("/dev/null", O_RDONLY) >= 0);
    if (strcmp(how, "zombie") == 0 && fork() == 0) _exit(0);
    if (strcmp(how, "child") == 0 && fork() == 0) pause();
    if (strcmp(how, "child") == 0 || strcmp(how, "zombie") == 0) usleep(50000);
    check_no_leaks(0);
    return 0;
}
