#include "work.h"
#include <string>

int main(int argc, char **argv) {
    carom_init(argc, argv);
    return std::string(carom_version()) == CAROM_VERSION ? work() : 20;
}
