/* Queues from C++: objects written and read in place, std::thread beside processes, options by name. */
#include "check.h"
#include <atomic>
#include <new>
#include <string>
#include <thread>
#include <vector>

struct job {
    int64_t number;
    char name[48];
};

/* What is leased, until the end of its scope. */
class lease {
    carom_queue *queue;
    carom_message message{};

  public:
    explicit lease(carom_queue *from) : queue(from) { message.size = sizeof message; }
    lease(const lease &) = delete;
    lease &operator=(const lease &) = delete;
    ~lease() {
        if (message.data) CHECK_OK(carom_queue_consume(queue, &message));
    }
    carom_status next() { return carom_queue_peek(queue, &message, CAROM_FOREVER); }
    const job &operator*() const { return *static_cast<const job *>(message.data); }
};

static int32_t works(carom_call *call) {
    carom_queue *jobs = nullptr, *sums = nullptr;
    CHECK_OK(carom_call_queue(call, 0, &jobs));
    CHECK_OK(carom_call_queue(call, 1, &sums));
    CHECK_OK(carom_queue_close(jobs));
    int64_t sum = 0;
    for (;;) {
        lease found(jobs);
        carom_status status = found.next();
        if (status == CAROM_ECLOSED) break;
        CHECK_OK(status);
        CHECK(std::string((*found).name) == "job " + std::to_string((*found).number));
        sum += (*found).number;
    }
    CHECK_OK(carom_queue_put(sums, &sum, sizeof sum, CAROM_FOREVER));
    return 0;
}

int main(int argc, char **argv) {
    CHECK_OK(carom_init(argc, argv));
    carom_queue *jobs = nullptr, *sums = nullptr;
    carom_queue_options options = {};
    options.size = sizeof options;
    options.max_items = 16;
    CHECK_OK(carom_queue_new(&options, &jobs));
    CHECK_OK(carom_queue_new(nullptr, &sums));
    const int processes = 2, threads = 2, each = 500;
    std::vector<carom_process *> children(processes);
    carom_argument arguments[2] = {CAROM_HANDLE(jobs), CAROM_HANDLE(sums)};
    for (auto &process : children) CHECK_OK(carom_process_start(works, arguments, 2, nullptr, &process));
    std::atomic<int64_t> next{0};
    std::vector<std::thread> producers;
    for (int i = 0; i < threads; i++)
        producers.emplace_back([&] {
            for (int n = 0; n < each; n++) {
                carom_message message = {};
                message.size = sizeof message;
                CHECK_OK(carom_queue_reserve(jobs, sizeof(job), &message));
                job *made = new (message.data) job();
                made->number = next++;
                snprintf(made->name, sizeof made->name, "job %lld", static_cast<long long>(made->number));
                CHECK_OK(carom_queue_commit(jobs, &message, sizeof(job), CAROM_FOREVER));
            }
        });
    for (auto &thread : producers) thread.join();
    CHECK_OK(carom_queue_close(jobs));
    int64_t total = 0;
    for (int i = 0; i < processes; i++) {
        int64_t sum = 0;
        CHECK_OK(carom_queue_get(sums, &sum, sizeof sum, nullptr, CAROM_FOREVER));
        total += sum;
    }
    const int64_t all = threads * each;
    CHECK_EQ(total, all * (all - 1) / 2);
    for (auto process : children) {
        CHECK_OK(carom_process_join(process, CAROM_FOREVER));
        carom_process_free(process);
    }
    carom_queue_free(jobs);
    carom_queue_free(sums);
    check_no_leaks(2);
    return 0;
}
