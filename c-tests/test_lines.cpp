/* Where a crash was in the sources: names as in C++, inlined functions, lines, also from a file of debug information. */
#include "common.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <string>
#include <vector>

static volatile int sink;

namespace balls {
template <typename T> struct Table {
    std::vector<T> balls;
    __attribute__((noinline, noipa)) void strike(T *ball) const;
};
template <typename T> __attribute__((always_inline)) inline T touch(volatile T *ball) {
    return *ball; /* line of touch */
}
template <typename T> void Table<T>::strike(T *ball) const {
    sink = touch(ball); /* line of strike */
    sink = 1;
}
} // namespace balls

static int32_t crash(carom_call *) {
    balls::Table<int> table;
    table.strike(nullptr); /* line of crash */
    return 7;
}

/* `file.cpp:line` of the comment in this source. */
static std::string place_of(const char *comment) {
    FILE *file = fopen(__FILE__, "re");
    CHECK(file != nullptr);
    char line[512];
    std::string wanted = std::string("/* line of ") + comment + " */";
    int number = 1;
    while (fgets(line, sizeof line, file) && !strstr(line, wanted.c_str())) number++;
    fclose(file);
    return std::string("c-tests/test_lines.cpp:") + std::to_string(number);
}

static carom_verdict verdict_of(carom_function function, carom_result **result) {
    carom_pool_options options{};
    options.size = sizeof options;
    options.workers = 1;
    carom_pool *pool = nullptr;
    CHECK_OK(carom_pool_new(&options, &pool));
    CHECK_OK(carom_pool_apply_async(pool, function, nullptr, 0, nullptr, result));
    CHECK_OK(carom_result_wait(*result, PATIENCE_MS));
    carom_verdict verdict{};
    verdict.size = sizeof verdict;
    CHECK_OK(carom_result_verdict(*result, &verdict));
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
    fputs(verdict.backtrace, stderr);
    return verdict;
}
static void has(const carom_verdict &verdict, const std::string &part) {
    if (!strstr(verdict.backtrace, part.c_str())) check_fail_(__FILE__, __LINE__, "backtrace", verdict.backtrace, part.c_str(), "");
}

static void names_and_lines() {
    carom_result *result = nullptr;
    carom_verdict verdict = verdict_of(crash, &result);
    has(verdict, "#0 int balls::touch<int>(int volatile*) (test_lines) at ");
    has(verdict, place_of("touch") + ", inlined\n#1 balls::Table<int>::strike(int*) const+0x");
    has(verdict, " (test_lines) at ");
    has(verdict, place_of("strike") + "\n#2 crash");
    has(verdict, place_of("crash") + "\n");
    carom_result_free(result);
}

static void run(const std::string &command) { CHECK_EQ(system(("set -e; " + command).c_str()), 0); }

/* A stripped library, and its debug information where distributions install it: in /usr/lib/debug, by the build-id. What it has
 * to say about a crash in that. */
static void separate(const std::string &packing, const std::string &damage, bool is_found) {
    if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("test", "/usr/lib/debug", "tmpfs", 0, nullptr) != 0) {
        fputs("no private /usr/lib/debug here\n", stderr);
        return;
    }
    const std::string library = "/tmp/carom-lines-" + std::to_string(getpid()), object = library + ".so";
    run("(echo '#include <stdlib.h>'; echo 'int hit(void *call) {'; echo 'abort();'; echo '}') >" + library + ".c; cc -g -gz=" + packing +
        " -shared -fPIC -Wl,--build-id " + library + ".c -o " + object + "; id=$(readelf -n " + object +
        " | sed -n 's/.*Build ID: //p'); cd /usr/lib/debug; mkdir -p .build-id/$(echo $id | cut -c1-2); "
        "debug=.build-id/$(echo $id | cut -c1-2)/$(echo $id | cut -c3-).debug; objcopy --only-keep-debug " + object + " $debug; strip " +
        object + "; " + damage);
    void *module = dlopen(object.c_str(), RTLD_NOW);
    CHECK(module != nullptr);
    carom_function function;
    *(void **)&function = dlsym(module, "hit");
    carom_result *result = nullptr;
    carom_verdict verdict = verdict_of(function, &result);
    has(verdict, " hit+0x");
    CHECK_EQ(strstr(verdict.backtrace, (library + ".c:3\n").c_str()) != nullptr, is_found);
    carom_result_free(result);
    dlclose(module);
    run("rm " + library + ".*");
    CHECK_EQ(umount("/usr/lib/debug"), 0);
}
static void separate_debug_information() { separate("none", "", true); }
static void packed_debug_information() { separate("zlib", "", true); }
static void debug_information_of_another_build() {
    separate("none", "objcopy --remove-section .note.gnu.build-id $debug", false);
}

int main() {
    rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    run_case_("names_and_lines", names_and_lines);
    run_case_("separate_debug_information", separate_debug_information);
    run_case_("packed_debug_information", packed_debug_information);
    run_case_("debug_information_of_another_build", debug_information_of_another_build);
    return 0;
}
