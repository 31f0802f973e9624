#include "work.h"

int main(int argc, char **argv) {
    carom_init(argc, argv);
    return work();
}
