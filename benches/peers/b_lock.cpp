// B. Other locks. (The futex mutex, glibc's robust mutex and sem_t, which the goals name, are measured beside carom.)
#include "common.hpp"
#include <algorithm>
#if __has_include(<boost/interprocess/sync/interprocess_mutex.hpp>)
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#define HAVE_BOOST 1
#endif

struct NoLock {   // one locked instruction: below this no lock can go
  std::atomic<uint64_t> count;
  void init() {}
  void lock() { count.fetch_add(1, std::memory_order_relaxed); }
  void unlock() {}
};
struct SpinLock {
  std::atomic<uint32_t> word;
  void init() {}
  void lock() { while (word.exchange(1, std::memory_order_acquire)) while (word.load(std::memory_order_relaxed)) cpu_relax(); }
  void unlock() { word.store(0, std::memory_order_release); }
};
struct Pthread {
  pthread_mutex_t mutex;
  void init() {
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    CHECK(pthread_mutex_init(&mutex, &a) == 0);
  }
  void lock() { pthread_mutex_lock(&mutex); }
  void unlock() { pthread_mutex_unlock(&mutex); }
};
#ifdef HAVE_BOOST
struct Boost {
  boost::interprocess::interprocess_mutex mutex;
  void init() { new (&mutex) boost::interprocess::interprocess_mutex; }
  void lock() { mutex.lock(); }
  void unlock() { mutex.unlock(); }
};
#endif

template <class L> struct Shared {
  alignas(128) L lock;
  alignas(128) volatile uint64_t counter;
  alignas(128) std::atomic<uint32_t> ready;
  std::atomic<uint32_t> go;
  std::atomic<uint64_t> finished_ns[2];
};

template <class L> static void hold(Shared<L>* s, uint64_t rounds) {
  for (uint64_t i = 0; i < rounds; i++) {
    s->lock.lock();
    s->counter = s->counter + 1;
    s->lock.unlock();
  }
}

template <class L> static void bench(const char* peer, bool excludes = true) {
  const uint64_t alone = 2000000, contended = 500000;
  auto* s = shm<Shared<L>>();
  s->lock.init();
  hold(s, alone / 10);
  uint64_t start = now_ns();
  hold(s, alone);
  emit(peer, "B.lock_uncontended", double(now_ns() - start) / alone, "ns");

  s->counter = 0;
  pid_t child[2];
  for (int k = 0; k < 2; k++)
    child[k] = spawn(k, [=] {
      s->ready++;
      while (!s->go) sched_yield();
      hold(s, contended);
      s->finished_ns[k] = now_ns();
    });
  while (s->ready < 2) sched_yield();
  start = now_ns();
  s->go = 1;
  for (pid_t c : child) join(c);
  if (excludes) CHECK(s->counter == 2 * contended);
  double seconds = double(std::max(s->finished_ns[0].load(), s->finished_ns[1].load()) - start) / 1e9;
  emit(peer, "B.lock_contended_2p", 2 * contended / seconds, "ops/s");
  munmap(s, sizeof *s);
}

int main() {
  pin(0);
  bench<NoLock>("atomic-fetch_add(no-lock)", false);
  bench<SpinLock>("spinlock");
  bench<Pthread>("glibc-mutex-pshared");
#ifdef HAVE_BOOST
  bench<Boost>("boost-interprocess_mutex");
#endif
}
