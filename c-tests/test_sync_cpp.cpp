/* Synchronization from C++: lambdas as predicates and actions, std::thread beside processes. */
#include "check.h"
#include <atomic>
#include <thread>
#include <vector>

static carom_semaphore *semaphore;
static carom_condition *condition;
static carom_event *event;
static carom_barrier *barrier;
static carom_array *array;

static int32_t child(carom_call *) {
    CHECK(carom_barrier_wait(barrier, CAROM_FOREVER) >= 0);
    CHECK_OK(carom_condition_acquire(condition, CAROM_FOREVER));
    static_cast<int64_t *>(carom_array_data(array))[0] += 1;
    CHECK_OK(carom_condition_notify_all(condition));
    CHECK_OK(carom_condition_release(condition));
    CHECK_OK(carom_event_wait(event, CAROM_FOREVER));
    CHECK_OK(carom_semaphore_release(semaphore));
    return 0;
}

int main(int argc, char **argv) {
    CHECK_OK(carom_init(argc, argv));
    carom_barrier_options options = {};
    options.size = sizeof options;
    options.action = [](carom_call *) -> int32_t {
        static_cast<int64_t *>(carom_array_data(array))[1] += 1;
        return 0;
    };
    const int threads = 3, processes = 2;
    CHECK_OK(carom_semaphore_new(0, nullptr, &semaphore));
    CHECK_OK(carom_condition_new(nullptr, &condition));
    CHECK_OK(carom_event_new(&event));
    CHECK_OK(carom_array_new(CAROM_I64, 0, 2, nullptr, nullptr, &array));
    CHECK_OK(carom_barrier_new(threads + processes, &options, &barrier));
    std::vector<carom_process *> children(processes);
    for (auto &process : children) CHECK_OK(carom_process_start(child, nullptr, 0, nullptr, &process));
    std::atomic<int64_t> indices{0};
    std::vector<std::thread> party;
    for (int i = 0; i < threads; i++)
        party.emplace_back([&indices] {
            int64_t index = carom_barrier_wait(barrier, CAROM_FOREVER);
            CHECK(index >= 0);
            indices += index;
            int64_t *items = static_cast<int64_t *>(carom_array_data(array));
            CHECK_EQ(items[1], 1);
            CHECK_OK(carom_condition_acquire(condition, CAROM_FOREVER));
            auto all_came = [](void *ctx) -> int32_t { return *static_cast<int64_t *>(ctx) == processes; };
            CHECK_OK(carom_condition_wait_for(condition, all_came, items, CAROM_FOREVER));
            CHECK_OK(carom_condition_release(condition));
        });
    for (auto &thread : party) thread.join();
    CHECK(indices <= 2 + 3 + 4);
    CHECK_OK(carom_event_set(event));
    for (int i = 0; i < processes; i++) CHECK_OK(carom_semaphore_acquire(semaphore, CAROM_FOREVER));
    for (auto process : children) {
        CHECK_OK(carom_process_join(process, CAROM_FOREVER));
        carom_process_free(process);
    }
    carom_barrier_free(barrier);
    carom_array_free(array);
    carom_event_free(event);
    carom_condition_free(condition);
    carom_semaphore_free(semaphore);
    check_no_leaks(2);
    return 0;
}
