/* Two programs, which may be on two machines: one serves a queue of tasks and a dict of results at a TCP address, behind a key; the
 * other one, started with that address, finds them in the manager's directory by their names, and does the work.
 *
 * The key comes by standard input here: an argument or the environment would show it to everybody on the machine.
 *
 *     remote_queue                   both
 *     remote_queue serve ADDRESS     the first one: it waits for whoever does the work
 *     remote_queue ADDRESS           the second one
 */
/* test: */
#include "example.h"
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TASKS = 20, KEY = 32 };

static carom_argument text(const char *it) { return CAROM_STRING(it, strlen(it)); }

static void *find(carom_dict *directory, const char *name) {
    const carom_argument key = text(name);
    carom_argument found;
    uint64_t version = 0;
    EXPECT(MUST(carom_dict_wait(directory, &key, &version, &found, NULL, 0, NULL, PATIENCE_MS)) == 1);
    EXPECT(found.kind == CAROM_ARGUMENT_HANDLE);
    return found.handle;
}

static void read_key(char *key) { EXPECT(read(STDIN_FILENO, key, KEY) == KEY); }

/* The second program. */
static int work(const char *address) {
    char key[KEY];
    carom_manager *manager;
    carom_dict *directory;
    read_key(key);
    const carom_manager_options options = {.size = sizeof options, .address = address, .authkey = key, .authkey_len = sizeof key};
    MUST(carom_manager_open(&options, &manager, PATIENCE_MS));
    MUST(carom_manager_directory(manager, &directory));
    carom_queue *tasks = find(directory, "tasks");
    carom_dict *results = find(directory, "results");
    int64_t task;
    carom_status status;
    while ((status = carom_queue_get(tasks, &task, sizeof task, NULL, PATIENCE_MS)) == CAROM_OK)
        MUST(carom_dict_set(results, &CAROM_INTEGER(task), &CAROM_INTEGER(task * task)));
    EXPECT(status == CAROM_ECLOSED); /* that was all */
    MUST(carom_dict_set(directory, &CAROM_STRING("done", 4), &CAROM_INTEGER(1)));
    carom_dict_free(results);
    carom_queue_free(tasks);
    carom_dict_free(directory);
    carom_manager_free(manager);
    return 0;
}

static pid_t second_program(const char *address, const char *key) {
    int ends[2];
    EXPECT(pipe(ends) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[0], STDIN_FILENO);
        close(ends[0]), close(ends[1]);
        execl("/proc/self/exe", "remote_queue", address, (char *)NULL);
        _exit(127);
    }
    EXPECT(pid > 0 && write(ends[1], key, KEY) == KEY);
    close(ends[0]), close(ends[1]);
    return pid;
}

/* The first program; NULL: it starts the second one itself. */
static int serve(const char *here) {
    char key[KEY], address[128];
    carom_manager *manager;
    carom_dict *directory, *results;
    carom_queue *tasks;
    if (here) read_key(key);
    else EXPECT(getentropy(key, sizeof key) == 0);
    const carom_manager_options options = {.size = sizeof options, .address = here ? here : "127.0.0.1:0", .authkey = key, .authkey_len = sizeof key};
    MUST(carom_manager_new(&options, &manager));
    MUST(carom_manager_address(manager, address, sizeof address, NULL));
    MUST(carom_manager_directory(manager, &directory));
    MUST(carom_manager_queue(manager, NULL, &tasks));
    MUST(carom_manager_dict(manager, NULL, &results));
    MUST(carom_dict_set(directory, &CAROM_STRING("tasks", 5), &CAROM_HANDLE(tasks)));
    MUST(carom_dict_set(directory, &CAROM_STRING("results", 7), &CAROM_HANDLE(results)));
    pid_t pid = here ? 0 : second_program(address, key);
    for (int64_t i = 0; i < TASKS; i++) MUST(carom_queue_put(tasks, &i, sizeof i, PATIENCE_MS));
    MUST(carom_queue_shutdown(tasks));
    if (pid == 0) {
        carom_argument done;
        uint64_t version = 0;
        EXPECT(MUST(carom_dict_wait(directory, &CAROM_STRING("done", 4), &version, &done, NULL, 0, NULL, PATIENCE_MS)) == 1);
    } else {
        int status;
        EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
    }
    printf("%" PRId64 " results from the program at %s\n", MUST(carom_dict_len(results)), address);
    EXPECT(carom_dict_len(results) == TASKS);
    carom_dict_free(results);
    carom_queue_free(tasks);
    carom_dict_free(directory);
    MUST(carom_manager_shutdown(manager, PATIENCE_MS));
    carom_manager_free(manager);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "serve") == 0) return serve(argv[2]);
    return argc == 2 ? work(argv[1]) : serve(NULL);
}
