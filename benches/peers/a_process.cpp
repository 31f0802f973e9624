// A. Other ways to run something elsewhere and wait for its end. (fork+_exit, the limit, is measured beside carom.)
#include "common.hpp"

static void thread() {
  pthread_t t;
  CHECK(pthread_create(&t, nullptr, [](void*) -> void* { return nullptr; }, nullptr) == 0);
  CHECK(pthread_join(t, nullptr) == 0);
}

static void vfork_exit() {
  pid_t pid = vfork();
  CHECK(pid >= 0);
  if (pid == 0) _exit(0);
  join(pid);
}

// A small server that forks for us: what a big parent would use, because its own fork copies its page tables.
static int request[2], reply[2];
static void forkserver() {
  char c = 1;
  CHECK(write(request[1], &c, 1) == 1 && read(reply[0], &c, 1) == 1);
}
static void serve() {
  char c;
  while (read(request[0], &c, 1) == 1) {
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    join(pid);
    if (write(reply[1], &c, 1) != 1) break;
  }
}

static void bench(const char* peer, void (*once)(), int n) {
  for (int i = 0; i < 3; i++) once();
  uint64_t start = now_ns();
  for (int i = 0; i < n; i++) once();
  emit(peer, "A.start_exit_join", double(now_ns() - start) / 1e3 / n, "us");
}

int main() {
  CHECK(pipe(request) == 0 && pipe(reply) == 0);
  pid_t server = spawn(-1, serve);
  bench("thread(pthread)", thread, 1000);
  bench("vfork+_exit", vfork_exit, 1000);
  bench("C-forkserver(pipe)", forkserver, 500);
  kill(server, SIGKILL);
  waitpid(server, nullptr, 0);
}
