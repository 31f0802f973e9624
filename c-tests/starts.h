/* What the tests of starting have in common: the method, and a look at who is there. */
#ifndef STARTS_H
#define STARTS_H

#include "ends.h"

static const char *method;

/* The i-th start method is that of what follows; 0 behind the last. A forkserver is a descriptor more. */
static inline int by_method(int i) {
    static const char *const methods[] = {"fork", "spawn", "forkserver"};
    if (i == sizeof methods / sizeof *methods) return 0;
    method = methods[i];
    more_fds = i == 2;
    fprintf(stderr, "by %s:\n", method);
    return 1;
}

static inline carom_process_options some(void) {
    carom_process_options options = {.size = sizeof options};
    CHECK_OK(carom_context_new(method, &options.context));
    return options;
}

/* A living process of a session. */
struct one {
    pid_t pid, parent;
    char name[32];
};

/* Those of a session, but this one; `visit` may stop at one. How many were seen. */
static inline int living(pid_t session, int (*visit)(const struct one *it, void *ctx), void *ctx) {
    int count = 0;
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    while (proc && (entry = readdir(proc))) {
        struct one it = {.pid = atoi(entry->d_name)};
        if (it.pid <= 0 || it.pid == getpid() || getsid(it.pid) != session) continue;
        char path[64], text[512] = "", state = 0;
        snprintf(path, sizeof path, "/proc/%d/stat", (int)it.pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        if (fd >= 0) close(fd);
        text[len > 0 ? len : 0] = 0;
        char *from = strchr(text, '('), *to = strrchr(text, ')');
        if (!from || !to || sscanf(to + 1, " %c %d", &state, &it.parent) != 2 || state == 'Z' || state == 'X') continue;
        snprintf(it.name, sizeof it.name, "%.*s", (int)(to - from - 1), from + 1);
        count++;
        if (visit && visit(&it, ctx)) break;
    }
    if (proc) closedir(proc);
    return count;
}

static inline void nap_us(unsigned us) { nanosleep(&(struct timespec){0, (long)us * 1000}, NULL); }

#endif
