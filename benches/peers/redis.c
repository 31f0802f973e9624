/* G. The nearest that many use: redis, by hiredis over a unix socket, with a server of its own that ends with it. */
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TRIPS = 3000, CLIENTS = 16 };

static char directory[] = "/tmp/carom-redis-XXXXXX", address[64];

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void check(int truth, const char *what) {
    if (truth) return;
    fprintf(stderr, "redis: %s\n", what);
    exit(1);
}

static pid_t serve(void) {
    check(mkdtemp(directory) != NULL, "no directory");
    snprintf(address, sizeof address, "%s/socket", directory);
    pid_t pid = fork();
    check(pid >= 0, "no process");
    if (pid > 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!freopen("/dev/null", "w", stdout)) _exit(1);
    execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", address, "--save", "", "--appendonly", "no", "--dir", directory, (char *)NULL);
    _exit(127);
}

static redisContext *reach(void) {
    int64_t until = now_ns() + INT64_C(10000000000);
    for (;;) {
        redisContext *context = redisConnectUnix(address);
        check(context != NULL, "no memory");
        if (!context->err) return context;
        redisFree(context);
        check(now_ns() < until, "its server does not begin");
        usleep(1000);
    }
}

static double gets(redisContext *context) {
    int64_t before = now_ns();
    for (int i = 0; i < TRIPS; i++) {
        redisReply *reply = redisCommand(context, "GET key");
        check(reply && reply->type == REDIS_REPLY_STRING && strcmp(reply->str, "7") == 0, "a wrong value");
        freeReplyObject(reply);
    }
    return TRIPS * 1e9 / (double)(now_ns() - before);
}

static double sets(redisContext *context) {
    int64_t before = now_ns();
    for (int i = 0; i < TRIPS; i++) {
        redisReply *reply = redisCommand(context, "SET key 7");
        check(reply && reply->type == REDIS_REPLY_STATUS, "a value was not set");
        freeReplyObject(reply);
    }
    return TRIPS * 1e9 / (double)(now_ns() - before);
}

static double crowd(void) {
    int status;
    int64_t before = now_ns();
    for (int i = 0; i < CLIENTS; i++) {
        pid_t pid = fork();
        check(pid >= 0, "no process");
        if (pid == 0) {
            redisContext *context = reach();
            gets(context);
            redisFree(context);
            _exit(0);
        }
    }
    for (int i = 0; i < CLIENTS; i++) check(wait(&status) > 0 && status == 0, "a client failed");
    return CLIENTS * (double)TRIPS * 1e9 / (double)(now_ns() - before);
}

int main(void) {
    pid_t server = serve();
    redisContext *context = reach();
    sets(context);
    double get = gets(context), set = sets(context), many = crowd();
    redisFree(context);
    kill(server, SIGTERM);
    waitpid(server, NULL, 0);
    unlink(address);
    rmdir(directory);
    printf("redis G.get_rtt %.0f ops/s\nredis G.set_rtt %.0f ops/s\nredis G.get_%d_clients %.0f ops/s\n", get, set, CLIENTS, many);
    return 0;
}
