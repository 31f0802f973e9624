/*
 * carom-worker [LIBRARY]: the program of processes that are started by spawn or forkserver from programs that cannot
 * begin in carom_init themselves: interpreters, virtual machines, plug-ins.
 *
 * It loads the very library that its parent uses, which passes its path, and begins there.
 */
#include <dlfcn.h>
#include <stdio.h>

typedef int (*init_function)(int argc, char **argv);

int main(int argc, char **argv) {
    void *library = dlopen(argc > 1 ? argv[1] : "libcarom.so.0", RTLD_NOW | RTLD_GLOBAL);
    init_function init = library ? (init_function)(void (*)(void))dlsym(library, "carom_init") : NULL;
    if (!init) {
        fprintf(stderr, "carom-worker: %s\n", dlerror());
        return 127;
    }
    /* Does not return in a process that carom started. */
    if (init(argc, argv) == 0) fprintf(stderr, "carom-worker is started by carom\n");
    return 126;
}
