// The mode of the machine: the round trip of a cache line between the first two CPUs. A virtual machine's CPUs may sit on one
// core complex (about 115 ns) or on two (300 to 500 ns), and move; every row that uses shared memory moves with them.
// The best of many short runs, because other work on the machine can only slow a run down.
#include "common.hpp"
#include <algorithm>

struct Lines {
  alignas(128) std::atomic<uint32_t> there;
  alignas(128) std::atomic<uint32_t> back;
};

int main() {
  if (CPU_COUNT(&kCpus) < 2) return 0;   // one CPU has one mode
  const uint32_t trips = 5000, runs = 40;
  auto* lines = shm<Lines>();
  pin(0);
  pid_t echo = spawn(1, [=] {
    for (uint32_t n = 1; n <= trips * runs; n++) {
      while (lines->there.load(std::memory_order_acquire) != n) {}
      lines->back.store(n, std::memory_order_release);
    }
  });
  double best = 1e18;
  uint32_t n = 0;
  for (uint32_t run = 0; run < runs; run++) {
    uint64_t start = now_ns();
    for (uint32_t i = 0; i < trips; i++) {
      lines->there.store(++n, std::memory_order_release);
      while (lines->back.load(std::memory_order_acquire) != n) {}
    }
    best = std::min(best, double(now_ns() - start) / trips);
  }
  join(echo);
  emit("probe", "cacheline_roundtrip", best, "ns");
}
