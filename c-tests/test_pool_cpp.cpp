// A pool from C++: functions of every kind, objects as items, an exception that must not leave a task.
#include "pool.h"

#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct point {
    double x, y;
};

extern "C" int32_t norm(carom_call *call) {
    point p;
    if (carom_call_read(call, 0, &p, sizeof p) != CAROM_OK) return 1;
    double square = p.x * p.x + p.y * p.y;
    return carom_call_reply(call, &square, sizeof square) == CAROM_OK ? 0 : 2;
}

template <typename T> int32_t twice(carom_call *call) {
    T value;
    if (carom_call_read(call, 0, &value, sizeof value) != CAROM_OK) return 1;
    value += value;
    return carom_call_reply(call, &value, sizeof value) == CAROM_OK ? 0 : 2;
}

int32_t catches(carom_call *call) {
    try {
        throw std::runtime_error("thrown and caught");
    } catch (const std::exception &error) {
        return carom_call_fail(call, 5, error.what());
    }
}

int32_t throws(carom_call *) { throw std::runtime_error("leaves the task"); }

struct global {
    ~global() {
        if (write(1, "[destroyed]", 11) < 0) _exit(1);
    }
} static_object;

void everything() {
    carom_pool *pool = pool_of(2, 0, 0);

    std::vector<point> points(1000);
    std::vector<double> squares(points.size());
    for (size_t i = 0; i < points.size(); i++) points[i] = {double(i), 2};
    CHECK_OK(carom_pool_map(pool, norm, points.data(), sizeof(point), points.size(), nullptr, squares.data(),
                            sizeof(double), PATIENCE_MS));
    for (size_t i = 0; i < points.size(); i++) CHECK(squares[i] == double(i) * double(i) + 4);

    // Instances of a template, and a lambda without captures.
    float single = 1.5f;
    carom_argument argument = CAROM_BYTES(&single, sizeof single);
    CHECK_OK(carom_pool_apply(pool, twice<float>, &argument, 1, nullptr, &single, sizeof single, nullptr, PATIENCE_MS));
    CHECK(single == 3.0f);
    carom_function lambda = [](carom_call *call) -> int32_t { return int32_t(carom_call_count(call)) + 40; };
    carom_argument arguments[] = {CAROM_INTEGER(1), CAROM_REAL(2.5)};
    carom_result *result = nullptr;
    CHECK_OK(carom_pool_apply_async(pool, lambda, arguments, 2, nullptr, &result));
    CHECK_EQ(verdict_of(result).code, 42);
    carom_result_free(result);

    // An exception ends the worker that it escapes in, and nothing else.
    CHECK_OK(carom_pool_apply_async(pool, catches, nullptr, 0, nullptr, &result));
    carom_verdict verdict = verdict_of(result);
    CHECK_EQ(verdict.code, 5);
    CHECK_STR_EQ(verdict.message, "thrown and caught");
    carom_result_free(result);
    CHECK_OK(carom_pool_apply_async(pool, throws, nullptr, 0, nullptr, &result));
    verdict = verdict_of(result);
    CHECK_STATUS(verdict.status, CAROM_EWORKERLOST);
    CHECK_EQ(verdict.signal, SIGABRT);
    carom_result_free(result);

    works(pool);
    finish(pool);
}

// Workers run no destructor of a static object of the program.
void destructors() {
    FILE *file = tmpfile();
    char text[64] = "";
    CHECK(file && dup2(fileno(file), 1) == 1);
    carom_pool *pool = pool_of(2, 0, 0);
    works(pool);
    carom_result *result = submit(pool, [](carom_call *) -> int32_t { exit(3); }, 0);
    CHECK_EQ(verdict_of(result).exitcode, 3);
    carom_result_free(result);
    finish(pool);
    CHECK_EQ(pread(fileno(file), text, sizeof text - 1, 0), 0);
    fclose(file);
    dup2(2, 1);
}

}  // namespace

int main(int argc, char **argv) {
    CASE(everything);
    CASE(destructors);
    return 0;
}
