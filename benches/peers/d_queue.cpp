// D. Boost's message_queue, the classical peer: a lock and two conditions in shared memory.
#include "common.hpp"

#if __has_include(<boost/interprocess/ipc/message_queue.hpp>)
#include <boost/interprocess/ipc/message_queue.hpp>
#include <memory>

struct Gate { std::atomic<uint32_t> ready, go; };

static void bench(const char* metric, int pairs, size_t size, size_t depth, uint64_t messages) {
  using namespace boost::interprocess;
  const std::string name = "carom-bench-" + std::to_string(getpid());
  message_queue::remove(name.c_str());
  std::unique_ptr<message_queue> queue(new message_queue(create_only, name.c_str(), depth, size));
  message_queue::remove(name.c_str());
  Gate* gate = shm<Gate>();
  auto enter = [&] { gate->ready++; while (!gate->go) sched_yield(); };
  pid_t children[4];
  for (int i = 0; i < 2 * pairs; i++)
    children[i] = spawn(pairs == 1 ? i : -1, [&, i] {
      std::string data(size, 'x');
      unsigned priority;
      size_t len;
      enter();
      for (uint64_t n = 0; n < messages; n++) {
        if (i % 2 == 0) queue->send(data.data(), size, 0);
        else { queue->receive(&data[0], size, len, priority); CHECK(len == size); }
      }
    });
  while (gate->ready < unsigned(2 * pairs)) sched_yield();
  uint64_t begin = now_ns();
  gate->go = 1;
  for (int i = 0; i < 2 * pairs; i++) join(children[i]);
  emit("boost-message_queue", metric, messages * pairs / (double(now_ns() - begin) / 1e9), "msg/s");
}

int main() {
  bench("D.queue_1p1c_64B", 1, 64, 2048, 300000);
  bench("D.queue_2p2c_64B", 2, 64, 2048, 150000);
  bench("D.queue_1p1c_1KiB", 1, 1024, 2048, 200000);
  bench("D.queue_1p1c_64KiB", 1, 65536, 128, 20000);
  bench("D.queue_1p1c_1MiB", 1, 1 << 20, 8, 2000);
}
#else
int main() { fprintf(stderr, "no Boost: its rows are missing\n"); }
#endif
