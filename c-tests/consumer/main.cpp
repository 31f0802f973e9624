#include <carom.h>
#include <string>

int main() { return std::string(carom_version()) != CAROM_VERSION; }
