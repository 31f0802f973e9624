// E. What two forked workers can do at most (rings and chunks written by hand, no deaths, no handles) and what plain C over pipes does.
#include "common.hpp"
#include <algorithm>
#include <vector>

struct Task { uint64_t id, x; };

// ---- two single-producer rings per worker; published every `batch` messages --------------------------------------------------
constexpr uint64_t kSlots = 4096, kSpinNs = 4000;
struct alignas(128) Ring {
  alignas(128) std::atomic<uint64_t> tail;
  alignas(128) std::atomic<uint64_t> head;
  alignas(128) std::atomic<uint32_t> sleeper;
  alignas(128) std::atomic<uint32_t> bell;
  alignas(128) Task slot[kSlots];
};

struct Producer {
  Ring* ring;
  uint64_t batch, next = 0, published = 0, head = 0;
  bool full() {
    if (next - head < kSlots) return false;
    head = ring->head.load(std::memory_order_acquire);
    return next - head >= kSlots;
  }
  void publish() {
    if (published == next) return;
    ring->tail.store(published = next, std::memory_order_release);
    std::atomic_thread_fence(std::memory_order_seq_cst);   // the sleeper announces itself, then looks at the tail once more
    if (ring->sleeper.load(std::memory_order_relaxed)) { ring->bell++; futex_wake(&ring->bell); }
  }
  void put(Task t) {
    ring->slot[next++ % kSlots] = t;
    if (next - published >= batch) publish();
  }
};

struct Consumer {
  Ring* ring;
  uint64_t next = 0, tail = 0;
  uint64_t available() {
    if (tail == next) tail = ring->tail.load(std::memory_order_acquire);
    return tail - next;
  }
  Task get() { return ring->slot[next++ % kSlots]; }
  void release() { ring->head.store(next, std::memory_order_release); }
  void wait() {
    for (uint64_t start = now_ns(); !available();) {
      if (now_ns() - start < kSpinNs) { cpu_relax(); continue; }
      uint32_t bell = ring->bell;
      ring->sleeper = 1;
      std::atomic_thread_fence(std::memory_order_seq_cst);
      if (!available()) futex_wait(&ring->bell, bell);
      ring->sleeper = 0;
    }
  }
};

static void ring_worker(Ring* in, Ring* out, uint64_t batch) {
  Consumer tasks{in};
  Producer answers{out, batch};
  for (;;) {
    tasks.wait();
    for (uint64_t n = tasks.available(); n > 0; n--) {
      Task t = tasks.get();
      if (t.id == ~0ull) return;
      while (answers.full()) { answers.publish(); sched_yield(); }
      answers.put({t.id, t.x + 1});
    }
    tasks.release();
    answers.publish();
  }
}

static void ring_pool(const char* peer, uint64_t batch) {
  const uint64_t count = 1000000;
  Ring* rings = shm<Ring>(4);
  pid_t worker[2];
  for (int k = 0; k < 2; k++) worker[k] = spawn(-1, [=] { ring_worker(&rings[k], &rings[2 + k], batch); });
  Producer tasks[2] = {{&rings[0], batch}, {&rings[1], batch}};
  Consumer answers[2] = {{&rings[2]}, {&rings[3]}};
  std::vector<uint64_t> result(count);
  uint64_t got = 0;
  auto drain = [&] {
    uint64_t before = got;
    for (auto& a : answers) {
      uint64_t n = a.available();
      for (uint64_t i = 0; i < n; i++) { Task t = a.get(); result[t.id] = t.x; }
      if (n) a.release();
      got += n;
    }
    return got > before;
  };
  usleep(20000);
  uint64_t start = now_ns();
  for (uint64_t sent = 0; sent < count; sent++) {
    int k = (sent / 64) & 1;
    while (tasks[k].full()) {
      tasks[k].publish();
      if (!tasks[k ^= 1].full()) break;
      tasks[k].publish();
      if (!drain()) sched_yield();
    }
    tasks[k].put({sent, sent});
    if ((sent & 255) == 0) drain();
  }
  for (auto& t : tasks) t.publish();
  while (got < count) if (!drain()) sched_yield();
  double seconds = double(now_ns() - start) / 1e9;
  for (uint64_t i = 0; i < count; i++) CHECK(result[i] == i + 1);
  for (int k = 0; k < 2; k++) { tasks[k].batch = 1; tasks[k].put({~0ull, 0}); join(worker[k]); }
  emit(peer, "E.pool_apply_async", count / seconds, "tasks/s");
  munmap(rings, 4 * sizeof(Ring));
}

// ---- one pipe to both workers, one back; 512 tasks in flight -------------------------------------------------------------------
static void pipe_pool() {
  const uint64_t count = 100000;
  int to[2], from[2];
  CHECK(pipe(to) == 0 && pipe(from) == 0);
  pid_t worker[2];
  for (auto& w : worker)
    w = spawn(-1, [=] {
      close(to[1]);
      for (Task t; read(to[0], &t, sizeof t) == sizeof t;) { t.x++; CHECK(write(from[1], &t, sizeof t) == sizeof t); }
    });
  uint64_t start = now_ns(), sent = 0, got = 0;
  while (got < count) {
    if (sent < count && sent - got < 512) {
      Task t{sent, sent};
      CHECK(write(to[1], &t, sizeof t) == sizeof t);
      sent++;
    } else {
      Task t;
      CHECK(read(from[0], &t, sizeof t) == sizeof t && t.x == t.id + 1);
      got++;
    }
  }
  emit("C-pipe-pool", "E.pool_apply_async", count / (double(now_ns() - start) / 1e9), "tasks/s");
  close(to[1]);
  for (pid_t w : worker) join(w);
}

// ---- map: chunks of a shared array, taken with fetch_add; workers sleep between maps --------------------------------------------
constexpr uint64_t kItems = 1000000, kChunk = kItems / 8;
struct Map {
  alignas(128) std::atomic<uint64_t> next;
  alignas(128) std::atomic<uint32_t> generation;
  alignas(128) std::atomic<uint32_t> done;
  double in[kItems], out[kItems];
};
// Through a pointer, as a library must call a user's function.
static double square(double x) { return x * x; }
static double (*volatile task)(double) = square;

static void map_worker(Map* m) {
  for (uint32_t generation = 0;; generation++) {
    while (m->generation == generation) futex_wait(&m->generation, generation);
    auto f = task;
    for (uint64_t begin; (begin = m->next.fetch_add(kChunk)) < kItems;)
      for (uint64_t i = begin; i < begin + kChunk; i++) m->out[i] = f(m->in[i]);
    if (m->done.fetch_add(1) == 1) futex_wake(&m->done);
  }
}

static void map_pool(const char* peer, bool copy) {
  Map* m = shm<Map>();
  pid_t worker[2];
  for (auto& w : worker) w = spawn(-1, [=] { map_worker(m); });
  std::vector<double> in(kItems), out(kItems);
  for (uint64_t i = 0; i < kItems; i++) m->in[i] = in[i] = double(i);
  const int maps = 20;
  std::vector<double> turns;
  for (int turn = -1; turn < maps; turn++) {   // the first one touches the workers' page tables
    uint64_t start = now_ns();
    if (copy) std::copy(in.begin(), in.end(), m->in);
    m->next = 0;
    m->done = 0;
    m->generation++;
    futex_wake(&m->generation, 2);
    for (uint32_t done; (done = m->done) < 2;) futex_wait(&m->done, done);
    if (copy) std::copy(m->out, m->out + kItems, out.begin());
    if (turn >= 0) turns.push_back(kItems / (double(now_ns() - start) / 1e9));
  }
  const double* result = copy ? out.data() : m->out;
  for (uint64_t i = 0; i < kItems; i++) CHECK(result[i] == in[i] * in[i]);
  std::nth_element(turns.begin(), turns.begin() + maps / 2, turns.end());
  emit(peer, "E.pool_map_1e6", turns[maps / 2], "tasks/s");
  for (pid_t w : worker) { kill(w, SIGKILL); waitpid(w, nullptr, 0); }
  munmap(m, sizeof *m);
}

int main() {
  ring_pool("shm-ring-pool", 1);
  ring_pool("shm-ring-pool(batch32)", 32);
  pipe_pool();
  map_pool("shm-chunk-map(in-place)", false);
  map_pool("shm-chunk-map(copy-in-out)", true);
}
