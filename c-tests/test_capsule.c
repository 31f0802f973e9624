/* Tasks that died, saved and run again: by the library, by carom-replay, and what is no capsule. */
#include "pool.h"

#include <dlfcn.h>
#include <limits.h>

static char directory[64], replay[PATH_MAX];

enum end { DONE, FAIL, CRASH, KILL, LEAVE, SLOW };

/* Arguments: how it ends, a string, a list. Its environment counts too. */
static int32_t end_as_told(carom_call *call) {
    carom_argument text, list;
    const char *variable = getenv("CAROM_TEST_CAPSULE");
    if (carom_call_argument(call, 1, &text) != CAROM_OK || carom_call_argument(call, 2, &list) != CAROM_OK) return 20;
    if (text.len != 40 || memcmp(text.data, "forty bytes, which are more than sixteen", 40) != 0) return 21;
    if (list.kind != CAROM_ARGUMENT_LIST || list.len != 2) return 22;
    if (!variable || strcmp(variable, "as it was") != 0) return 23;
    char *room;
    if (carom_call_reserve(call, 1000, (void **)&room) != CAROM_OK || !room) return 24;
    memset(room, 1, 1000);
    dprintf(2, "this was written\n");
    switch (argument_of(call)) {
    case FAIL: return 7;
    case CRASH: abort();
    case KILL: kill(getpid(), SIGKILL); break;
    case LEAVE: exit(3);
    case SLOW: return for_ever(call);
    }
    return carom_call_commit(call, 1000);
}

static carom_result *submit_end(carom_pool *pool, enum end end) {
    const carom_argument two[] = {CAROM_INTEGER(1), CAROM_REAL(2.5)};
    const carom_argument arguments[] = {CAROM_INTEGER(end), CAROM_STRING("forty bytes, which are more than sixteen", 40),
                                        {.kind = CAROM_ARGUMENT_LIST, .data = two, .len = 2}};
    carom_result *result = NULL;
    CHECK_OK(carom_pool_apply_async(pool, end_as_told, arguments, 3, NULL, &result));
    return result;
}

static carom_pool *saving(int64_t limit_ms) {
    snprintf(directory, sizeof directory, "/tmp/carom capsules %d", (int)getpid());
    CHECK(mkdir(directory, 0700) == 0 || errno == EEXIST);
    setenv("CAROM_TEST_CAPSULE", "as it was", 1);
    carom_pool_options options = {.size = sizeof options, .workers = 2, .time_limit_ms = limit_ms, .capsules = directory};
    carom_pool *pool = NULL;
    CHECK_OK(carom_pool_new(&options, &pool));
    return pool;
}
static int capsules(void) {
    int count = 0;
    DIR *open = opendir(directory);
    for (struct dirent *entry; (entry = readdir(open));) count += entry->d_name[0] != '.';
    closedir(open);
    return count;
}
static void clean(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    CHECK_EQ(system(command), 0);
}

/* Runs the command that carom_verdict_print shows; what it prints, and its exit code. */
static char *replayed(const char *how, const char *capsule, int *code) {
    static char text[16384];
    char command[3 * PATH_MAX];
    snprintf(command, sizeof command, "env -i PATH=\"$PATH\" '%s' %s '%s' 2>&1", replay, how, capsule);
    FILE *out = popen(command, "re");
    text[fread(text, 1, sizeof text - 1, out)] = 0;
    int status = pclose(out);
    *code = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    return text;
}
static void has(const char *text, const char *part) {
    if (!strstr(text, part)) check_fail_(__FILE__, __LINE__, "is not there", text, part, "");
}

static void every_death_is_saved_and_runs_again(void) {
    static const struct {
        enum end end;
        int code;
        const char *says;
    } deaths[] = {{CRASH, 1, ", SIGABRT"}, {KILL, 1, ", SIGKILL"}, {LEAVE, 1, ", left with 3"}};
    carom_pool *pool = saving(0);
    for (size_t i = 0; i < COUNT_OF(deaths); i++) {
        carom_result *result = submit_end(pool, deaths[i].end);
        carom_verdict verdict = verdict_of(result);
        struct stat about;
        int code;
        CHECK_EQ(stat(verdict.capsule, &about), 0);
        CHECK_EQ(about.st_mode & 07777, 0600);
        CHECK_EQ(capsules(), i + 1);
        char pid[32];
        snprintf(pid, sizeof pid, ".%d.", (int)verdict.pid);
        has(verdict.capsule, pid);
        const char *text = replayed("", verdict.capsule, &code);
        has(text, "CAROM_EWORKERLOST: ");
        has(text, deaths[i].says);
        has(text, "this was written\n");
        CHECK_EQ(code, deaths[i].code);
        if (deaths[i].end == CRASH) has(text, " end_as_told");
        text = replayed("--show", verdict.capsule, &code);
        has(text, "/test_capsule+0x");
        has(text, "\n           CAROM_TEST_CAPSULE=as it was\n");
        CHECK_EQ(code, 0);
        text = replayed("--here", verdict.capsule, &code);
        has(text, "this was written\n");
        CHECK_EQ(code, deaths[i].end == CRASH ? 128 + SIGABRT : deaths[i].end == KILL ? 128 + SIGKILL : 3);
        carom_result_free(result);
    }
    works(pool);
    finish(pool);
    clean();
}

static void what_lives_is_not_saved(void) {
    carom_pool *pool = saving(0);
    carom_result *done = submit_end(pool, DONE), *failed = submit_end(pool, FAIL), *slow = submit_end(pool, SLOW);
    CHECK_STATUS(verdict_of(done).status, CAROM_OK);
    CHECK_STATUS(verdict_of(failed).status, CAROM_ETASKFAILED);
    CHECK_EQ(verdict_of(failed).code, 7);
    CHECK_STR_EQ(verdict_of(done).capsule, "");
    CHECK_STR_EQ(verdict_of(failed).capsule, "");
    CHECK_OK(carom_pool_terminate(pool));
    CHECK_STR_EQ(verdict_of(slow).capsule, "");
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
    CHECK_EQ(capsules(), 0);
    carom_result_free(done);
    carom_result_free(failed);
    carom_result_free(slow);
    clean();
}

static int32_t crash_at_seven(carom_call *call) {
    int64_t number = argument_of(call);
    if (number == 7) abort();
    return reply_number(call, number);
}

static void in_the_library(void) {
    carom_pool *pool = saving(100);
    int64_t items[20];
    for (int i = 0; i < 20; i++) items[i] = i;
    carom_verdict verdict = {.size = sizeof verdict};
    carom_task_options options = {.size = sizeof options, .verdict = &verdict};
    int64_t replies[20];
    CHECK_STATUS(carom_pool_map(pool, crash_at_seven, items, 8, 20, &options, replies, 8, PATIENCE_MS), CAROM_EWORKERLOST);
    carom_capsule *capsule = NULL;
    CHECK_OK(carom_capsule_open(verdict.capsule, &capsule));
    carom_capsule_description info = {.size = sizeof info};
    CHECK_OK(carom_capsule_info(capsule, &info));
    CHECK_EQ(info.item, 7);
    CHECK_EQ(info.pid, verdict.pid);
    CHECK_EQ(info.signal, SIGABRT);
    CHECK_EQ(info.flags, CAROM_CAPSULE_IN_PROGRAM | CAROM_CAPSULE_HAS_INIT);
    /* In a pool. */
    carom_result *result = NULL;
    CHECK_OK(carom_capsule_apply_async(capsule, pool, NULL, &result));
    carom_verdict again = verdict_of(result);
    CHECK_EQ(again.signal, SIGABRT);
    CHECK(strcmp(again.capsule, verdict.capsule) != 0);
    carom_result_free(result);
    carom_capsule_free(capsule);
    /* Out of time; and in this very process, where it is another function's affair what happens. */
    carom_result *slow = submit_end(pool, SLOW);
    verdict = verdict_of(slow);
    CHECK_STATUS(verdict.status, CAROM_ETIMELIMIT);
    CHECK_OK(carom_capsule_open(verdict.capsule, &capsule));
    unsetenv("CAROM_TEST_CAPSULE");
    for (int i = 0; i < 3; i++) {
        int32_t code = 0;
        CHECK_OK(carom_capsule_apply(capsule, &code));
        CHECK_EQ(code, 23);
    }
    carom_result_free(slow);
    carom_capsule_free(capsule);
    finish(pool);
    clean();
}

/* A template that dies leaves no half of a capsule, and the next one goes on saving, wherever the program is by then. */
static void templates_and_directories(void) {
    carom_pool *pool = saving(0);
    CHECK_EQ(chdir("/"), 0);
    for (int i = 0; i < 3; i++) {
        end(template_of(pool));
        carom_result *result = submit_end(pool, CRASH);
        carom_verdict verdict = verdict_of(result);
        CHECK(access(verdict.capsule, R_OK) == 0);
        carom_result_free(result);
    }
    /* Gone: no capsules then, and nothing else. */
    clean();
    carom_result *result = submit_end(pool, CRASH);
    CHECK_STR_EQ(verdict_of(result).capsule, "");
    carom_result_free(result);
    end(template_of(pool));
    works(pool);
    finish(pool);
}

/* A function of a library is run without its program; one with a handle is not run. */
static int32_t with_handle(carom_call *call) {
    (void)call;
    abort();
}
static void libraries_and_handles(void) {
    char library[64], command[256];
    int code;
    snprintf(library, sizeof library, "/tmp/carom-capsule-%d.so", (int)getpid());
    snprintf(command, sizeof command, "cc -shared -fPIC -g -Iinclude -x c - -o %s", library);
    FILE *cc = popen(command, "we");
    fputs("#include <carom.h>\n#include <stdlib.h>\n"
          "int32_t of_the_library(carom_call *call) {\n"
          "    if (carom_call_count(call) != 1) return 1;\n"
          "    abort();\n}\n", cc);
    CHECK_EQ(pclose(cc), 0);
    void *module = dlopen(library, RTLD_NOW);
    CHECK(module != NULL);
    carom_function function;
    *(void **)&function = dlsym(module, "of_the_library");
    carom_pool *pool = saving(0);
    carom_result *result = submit(pool, function, 5);
    carom_verdict verdict = verdict_of(result);
    has(replayed("", verdict.capsule, &code), " of_the_library");
    CHECK_EQ(code, 1);
    snprintf(command, sizeof command, "cp --remove-destination /bin/true %s", library);
    CHECK_EQ(system(command), 0);
    has(replayed("", verdict.capsule, &code), "CAROM_EFUNCTION");
    CHECK_EQ(code, 2);
    unlink(library);
    carom_result_free(result);

    carom_lock *lock = NULL;
    CHECK_OK(carom_lock_new(NULL, &lock));
    carom_argument argument = CAROM_HANDLE(lock);
    CHECK_OK(carom_pool_apply_async(pool, with_handle, &argument, 1, NULL, &result));
    verdict = verdict_of(result);
    carom_capsule *capsule = NULL;
    carom_capsule_description info = {.size = sizeof info};
    CHECK_OK(carom_capsule_open(verdict.capsule, &capsule));
    CHECK_OK(carom_capsule_info(capsule, &info));
    CHECK_EQ(info.flags, CAROM_CAPSULE_IN_PROGRAM | CAROM_CAPSULE_HAS_INIT | CAROM_CAPSULE_HAS_HANDLES);
    CHECK_STATUS(carom_capsule_apply(capsule, &code), CAROM_ENOTSUP);
    carom_result *none = NULL;
    CHECK_STATUS(carom_capsule_apply_async(capsule, pool, NULL, &none), CAROM_ENOTSUP);
    carom_capsule_free(capsule);
    has(replayed("", verdict.capsule, &code), "CAROM_ENOTSUP");
    CHECK_EQ(code, 2);
    carom_result_free(result);
    carom_lock_free(lock);
    finish(pool);
    clean();
}

/* Whatever is in the file: a status. */
static void hostile_files(void) {
    carom_pool *pool = saving(0);
    carom_result *result = submit_end(pool, CRASH);
    static char good[1 << 20], bad[1 << 20];
    char path[128];
    FILE *file = fopen(verdict_of(result).capsule, "re");
    size_t len = fread(good, 1, sizeof good, file);
    fclose(file);
    snprintf(path, sizeof path, "%s/x", directory);
    unsigned random = 1;
    int opened = 0;
    for (int i = 0; i < 1000; i++) {
        memcpy(bad, good, len);
        size_t cut = i % 3 == 0 ? (size_t)rand_r(&random) % len : len;
        for (int flips = i % 3 == 1 ? 1 : i % 7; flips > 0; flips--)
            bad[(size_t)rand_r(&random) % (i % 2 ? 64 + 600 : len)] = (char)rand_r(&random);
        file = fopen(path, "we");
        fwrite(bad, 1, cut, file);
        fclose(file);
        carom_capsule *capsule = NULL;
        carom_status status = carom_capsule_open(path, &capsule);
        CHECK(status == CAROM_OK || status == CAROM_EBROKEN || status == CAROM_EINVAL || status == CAROM_ENOMEM);
        CHECK((status == CAROM_OK) == (capsule != NULL));
        CHECK(cut == len || status != CAROM_OK);
        if (capsule) {
            carom_capsule_description info = {.size = sizeof info};
            CHECK_OK(carom_capsule_info(capsule, &info));
            opened++;
        }
        carom_capsule_free(capsule);
    }
    CHECK(opened > 0 && opened < 950);
    static const char *const others[] = {"/dev/zero", "/", "/bin/true", "/dev/null", "/no/such/file", "/proc/self/mem"};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        carom_capsule *capsule = NULL;
        carom_status status = carom_capsule_open(others[i], &capsule);
        CHECK(status == CAROM_EBROKEN || status == CAROM_ENOENT || status == -EIO);
        CHECK(capsule == NULL);
    }
    CHECK_EQ(mkfifo(path, 0600) == 0 || (unlink(path) == 0 && mkfifo(path, 0600) == 0), 1);
    carom_capsule *capsule = NULL;
    CHECK_STATUS(carom_capsule_open(path, &capsule), CAROM_EBROKEN);
    carom_result_free(result);
    finish(pool);
    clean();
}

int main(int argc, char **argv) {
    /* Started again by carom-replay, it ends here. Else nothing of carom begins here: each case is a process of its own. */
    carom_init(argc, argv);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    CHECK(realpath("build/bin/carom-replay", replay) != NULL);
    CASE(every_death_is_saved_and_runs_again);
    CASE(what_lives_is_not_saved);
    CASE(in_the_library);
    CASE(templates_and_directories);
    CASE(libraries_and_handles);
    CASE(hostile_files);
    return 0;
}
