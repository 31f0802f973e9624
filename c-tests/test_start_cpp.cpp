/* A C++ program with threads, which starts processes and has pools by every start method: functions of namespaces and
 * classes, lambdas, exceptions, streams, static objects. */
#include "common.h"

#include <atomic>
#include <cstdint>
#include <iostream>
#include <memory>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>

static const char *method;
static std::mutex mutex;
static std::vector<std::string> words; /* made before main in every process, filled by nobody but the host */

struct Free {
    void operator()(carom_context *it) const { carom_context_free(it); }
    void operator()(carom_process *it) const { carom_process_free(it); }
    void operator()(carom_pool *it) const { carom_pool_free(it); }
};
template <typename T> using Owner = std::unique_ptr<T, Free>;

static Owner<carom_context> context() {
    carom_context *it = nullptr;
    CHECK_OK(carom_context_new(method, &it));
    return Owner<carom_context>(it);
}

static int32_t outcome(carom_function function, int64_t number, int out = 0) {
    auto owner = context();
    carom_process_options options{};
    options.size = sizeof options;
    options.context = owner.get();
    options.stdout_fd = out;
    carom_argument argument = CAROM_INTEGER(number);
    carom_process *process = nullptr;
    int32_t code = INT32_MIN;
    CHECK_OK(carom_process_start(function, &argument, 1, &options, &process));
    Owner<carom_process> kept(process);
    CHECK_OK(carom_process_join(process, PATIENCE_MS));
    CHECK_OK(carom_process_exitcode(process, &code));
    return code;
}

static int64_t number_of(carom_call *call) {
    int64_t number = 0;
    CHECK_OK(carom_call_read(call, 0, &number, sizeof number));
    return number;
}

namespace tasks {
struct Square {
    static int32_t run(carom_call *call) noexcept {
        int64_t number = number_of(call), square = number * number;
        return carom_call_reply(call, &square, sizeof square) == CAROM_OK ? 0 : 1;
    }
    static int32_t code(carom_call *call) noexcept { return (int32_t)number_of(call) + 1; }
};

/* No exception leaves a function that C calls. */
static int32_t throws(carom_call *call) noexcept {
    try {
        std::vector<std::unique_ptr<std::string>> many;
        for (int64_t i = 0; i < number_of(call); i++) many.push_back(std::make_unique<std::string>(1000, 'x'));
        throw std::runtime_error(*many.back());
    } catch (const std::exception &error) {
        return std::string(error.what()).size() == 1000 ? 3 : 4;
    }
}

static int32_t has_statics(carom_call *call) noexcept {
    words.push_back("child");
    return (int32_t)words.size() == number_of(call) ? 0 : 1;
}

static int32_t prints(carom_call *call) noexcept {
    std::cout << "out " << number_of(call); /* goes out at the end */
    return 0;
}

static int32_t has_threads(carom_call *call) noexcept {
    std::atomic<int> sum{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < (int)number_of(call); i++) threads.emplace_back([&sum] { sum += 2; });
    for (auto &thread : threads) thread.join();
    return sum;
}
} // namespace tasks

static void processes() {
    words = {"host"};
    CHECK_EQ(outcome(tasks::Square::code, 20), 21);
    CHECK_EQ(outcome([](carom_call *call) { return (int32_t)number_of(call) * 2; }, 21), 42);
    CHECK_EQ(outcome(tasks::throws, 9), 3);
    CHECK_EQ(outcome(tasks::has_statics, std::string(method) == "fork" ? 2 : 1), 0);
    CHECK_EQ(outcome(tasks::has_threads, 4), 8);
    CHECK_EQ(words.size(), 1);
    int pipes[2];
    CHECK_EQ(pipe2(pipes, O_CLOEXEC), 0);
    std::cout << "before "; /* the host's, which the child does not write */
    CHECK_EQ(outcome(tasks::prints, 5, pipes[1]), 0);
    std::cout << std::endl;
    close(pipes[1]);
    char text[64] = "";
    CHECK_EQ(read(pipes[0], text, sizeof text - 1), 5);
    CHECK_STR_EQ(text, "out 5");
    close(pipes[0]);
}

static void pools() {
    auto owner = context();
    carom_pool_options options{};
    options.size = sizeof options;
    options.workers = 2;
    options.context = owner.get();
    carom_pool *pool = nullptr;
    CHECK_OK(carom_pool_new(&options, &pool));
    Owner<carom_pool> kept(pool);
    for (int64_t i = 0; i < 20; i++) {
        int64_t square = 0;
        carom_argument argument = CAROM_INTEGER(i);
        CHECK_OK(carom_pool_apply(pool, tasks::Square::run, &argument, 1, nullptr, &square, sizeof square, nullptr, PATIENCE_MS));
        CHECK_EQ(square, i * i);
    }
    CHECK_OK(carom_pool_close(pool));
    CHECK_OK(carom_pool_join(pool, PATIENCE_MS));
}

/* Other threads hold locks and allocate all the while: no business of a process that is not a copy. Of a fork's neither, as
 * long as it takes no lock of theirs; glibc's allocator is in order there. */
static void among_threads() {
    std::atomic<bool> over{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; i++)
        threads.emplace_back([&over] {
            while (!over) {
                std::lock_guard<std::mutex> guard(mutex);
                std::ostringstream text;
                for (int n = 0; n < 100; n++) text << n;
            }
        });
    for (int i = 0; i < 10; i++) CHECK_EQ(outcome(tasks::throws, 9), 3);
    over = true;
    for (auto &thread : threads) thread.join();
}

int main(int argc, char **argv) {
    CHECK_OK(carom_init(argc, argv));
    for (const char *each : {"fork", "spawn", "forkserver"}) {
        method = each;
        more_fds = std::string(method) == "forkserver";
        fprintf(stderr, "by %s:\n", method);
        run_case_("processes", processes);
        run_case_("pools", pools);
        run_case_("among_threads", among_threads);
    }
    return 0;
}
