#include <carom.h>
#include <string.h>

int main(void) { return strcmp(carom_version(), CAROM_VERSION) != 0; }
