// What the C++ peers share. A program prints lines `peer metric value unit`; a wrong answer is a message and exit code 2.
#pragma once
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(x) do { if (!(x)) { fprintf(stderr, "%s:%d: %s failed: %s\n", __FILE__, __LINE__, #x, strerror(errno)); exit(2); } } while (0)

static inline uint64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return uint64_t(t.tv_sec) * 1000000000ull + t.tv_nsec;
}

static inline void cpu_relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// The CPUs that the program was started with: a child of a pinned parent may leave the parent's.
static const cpu_set_t kCpus = [] { cpu_set_t s; CHECK(sched_getaffinity(0, sizeof s, &s) == 0); return s; }();
static inline void pin(int nth) {
  int cpu = 0;
  for (int left = nth % CPU_COUNT(&kCpus);; cpu++) if (CPU_ISSET(cpu, &kCpus) && left-- == 0) break;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
}

// Shared anonymous memory, touched: the first write to a page costs 2 us.
template <class T> static inline T* shm(size_t count = 1) {
  void* p = mmap(nullptr, sizeof(T) * count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(p != MAP_FAILED);
  memset(p, 0, sizeof(T) * count);
  return static_cast<T*>(p);
}

static inline long futex(std::atomic<uint32_t>* word, int op, uint32_t value, const timespec* timeout = nullptr) {
  return syscall(SYS_futex, reinterpret_cast<uint32_t*>(word), op, value, timeout, nullptr, 0);
}
static inline void futex_wait(std::atomic<uint32_t>* word, uint32_t value) { futex(word, FUTEX_WAIT, value); }
static inline void futex_wake(std::atomic<uint32_t>* word, int count = 1) { futex(word, FUTEX_WAKE, count); }

static inline void emit(const char* peer, const char* metric, double value, const char* unit) {
  printf("%s %s %.6g %s\n", peer, metric, value, unit);
  fflush(stdout);
}

// A child, pinned to the nth CPU unless that is -1, that runs f and exits. It dies with its parent.
static inline pid_t spawn(int nth, const std::function<void()>& f) {
  fflush(stdout);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (nth >= 0) pin(nth);
    f();
    _exit(0);
  }
  return pid;
}
static inline void join(pid_t pid) {
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
