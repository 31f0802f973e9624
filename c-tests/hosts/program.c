/* A program that begins as it should. */
#include <carom.h>

int plugin_run(void);

int main(int argc, char **argv) {
    if (carom_init(argc, argv) != CAROM_OK) return 1;
    return plugin_run();
}
