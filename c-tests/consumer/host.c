/* host PLUGIN: two copies of carom in one process, that of this program (shared) and that of the plug-in (static). */
#include "work.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

static int (*plugin_works)(void), (*plugin_is_foreign)(void);
static const void *(*plugin_copy)(void);

static void *works_there(void *result) {
    for (int i = 0; i < 10 && !*(int *)result; i++) *(int *)result = plugin_works();
    return NULL;
}

/* A process of this copy is for the other one a fork that it did not make. */
static int32_t in_process(carom_call *call) {
    (void)call;
    int result = plugin_is_foreign();
    return result ? result : work();
}

int main(int argc, char **argv) {
    carom_process *process = NULL;
    pthread_t thread;
    int there = 0, here = 0;
    int32_t code = -1;
    carom_init(argc, argv);
    void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
    if (!plugin) return fprintf(stderr, "%s\n", dlerror()), 30;
    *(void **)&plugin_works = dlsym(plugin, "plugin_works");
    *(void **)&plugin_is_foreign = dlsym(plugin, "plugin_is_foreign");
    *(void **)&plugin_copy = dlsym(plugin, "plugin_copy");
    if (plugin_copy() == (const void *)carom_version()) return 31;
    if (dlsym(plugin, "carom_version")) return 32; /* it shows nobody its own */
    if (work() || plugin_works()) return 33;
    pthread_create(&thread, NULL, works_there, &there);
    for (int i = 0; i < 10 && !here; i++) here = work();
    pthread_join(thread, NULL);
    if (here || there) return fprintf(stderr, "%d %d\n", here, there), 34;
    if (carom_process_start(in_process, NULL, 0, NULL, &process) != CAROM_OK) return 35;
    if (carom_process_join(process, CAROM_FOREVER) != CAROM_OK || carom_process_exitcode(process, &code) != CAROM_OK) return 36;
    carom_process_free(process);
    if (code != 0) return fprintf(stderr, "in the process: %d\n", code), 37;
    return work() + plugin_works();
}
