// Queues, pipes, connections and carom_wait from C++: owners that free, std::thread at the ends, strings and structs as messages.
#include "pool.h"

#include <memory>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <vector>

namespace {

template <auto Free> struct freed {
    template <typename T> void operator()(T *it) const { Free(it); }
};
using queue_owner = std::unique_ptr<carom_queue, freed<carom_queue_free>>;
using connection_owner = std::unique_ptr<carom_connection, freed<carom_connection_free>>;
using listener_owner = std::unique_ptr<carom_listener, freed<carom_listener_free>>;

struct reading {
    int64_t number;
    double value;
};

std::string receive(carom_connection *end) {
    size_t len = 0;
    carom_status status = carom_connection_recv(end, nullptr, 0, &len, PATIENCE_MS);
    if (status == CAROM_OK) return "";
    CHECK_STATUS(status, CAROM_EMSGSIZE);
    std::string text(len, '\0');
    CHECK_OK(carom_connection_recv(end, &text[0], text.size(), &len, PATIENCE_MS));
    return text;
}

void send(carom_connection *end, const std::string &text) { CHECK_OK(carom_connection_send(end, text.data(), text.size(), PATIENCE_MS)); }

// Sums what it gets until nobody puts any more, and answers with a string and a queue.
int32_t sums(carom_call *call) {
    carom_queue *queue = nullptr;
    carom_connection *end = nullptr;
    CHECK_OK(carom_call_queue(call, 0, &queue));
    CHECK_OK(carom_call_connection(call, 1, &end));
    CHECK_OK(carom_queue_close(queue));
    reading one;
    double sum = 0;
    carom_status status;
    while ((status = carom_queue_get(queue, &one, sizeof one, nullptr, PATIENCE_MS)) == CAROM_OK) sum += one.value;
    CHECK_STATUS(status, CAROM_ECLOSED);
    send(end, "the sum is " + std::to_string(int64_t(sum)));
    carom_queue *made = nullptr;
    CHECK_OK(carom_queue_new(nullptr, &made));
    queue_owner owner(made);
    CHECK_OK(carom_queue_put(made, "queue", 5, 0));
    CHECK_OK(carom_connection_send_handle(end, made, PATIENCE_MS));
    return 0;
}

void between_processes() {
    carom_queue *queue = nullptr;
    carom_connection *near = nullptr, *far = nullptr;
    CHECK_OK(carom_queue_new(nullptr, &queue));
    CHECK_OK(carom_pipe_new(nullptr, &near, &far));
    queue_owner owned_queue(queue);
    connection_owner owned_near(near), owned_far(far);
    carom_argument arguments[] = {CAROM_HANDLE(queue), CAROM_HANDLE(far)};
    carom_process *process = nullptr;
    CHECK_OK(carom_process_start(sums, arguments, 2, nullptr, &process));
    owned_far.reset();

    std::vector<std::thread> threads;
    for (int t = 0; t < 3; t++)
        threads.emplace_back([queue, t] {
            std::vector<reading> batch(50);
            for (size_t i = 0; i < batch.size(); i++) batch[i] = {int64_t(i), double(t + 1)};
            CHECK_OK(carom_queue_put_many(queue, batch.data(), sizeof(reading), batch.size(), PATIENCE_MS));
        });
    for (auto &thread : threads) thread.join();
    CHECK_OK(carom_queue_close(queue));

    CHECK(receive(near) == "the sum is 300");
    void *handle = nullptr;
    CHECK_OK(carom_connection_recv_handle(near, &handle, PATIENCE_MS));
    queue_owner received(static_cast<carom_queue *>(handle));
    char text[5];
    CHECK_OK(carom_queue_get(received.get(), text, sizeof text, nullptr, 0));
    CHECK(std::string(text, sizeof text) == "queue");
    int32_t code = -1;
    CHECK_OK(carom_process_join(process, PATIENCE_MS));
    CHECK_OK(carom_process_exitcode(process, &code));
    CHECK_EQ(code, 0);
    carom_process_free(process);
}

// A server and its clients, each a thread, and one that waits for whoever has something.
void sockets() {
    enum { CLIENTS = 3 };
    carom_listener *listening = nullptr;
    carom_link_options options = {};
    options.size = sizeof options;
    options.authkey = "secret";
    options.authkey_len = 6;
    CHECK_OK(carom_listener_new(nullptr, &options, &listening));
    listener_owner listener(listening);
    std::vector<std::thread> threads;
    for (int t = 0; t < CLIENTS; t++)
        threads.emplace_back([&, t] {
            carom_connection *made = nullptr;
            CHECK_OK(carom_client_open(carom_listener_address(listening), &options, &made, PATIENCE_MS));
            connection_owner client(made);
            send(made, std::string(size_t(t) * 50000, char('a' + t)));
            CHECK(receive(made) == std::to_string(t * 50000));
        });
    std::vector<connection_owner> clients;
    int served = 0;
    while (served < CLIENTS) {
        std::vector<carom_waitable> items(1);
        items[0].handle = listening;
        for (auto &client : clients) {
            carom_waitable item = {};
            item.handle = client.get();
            items.push_back(item);
        }
        CHECK(carom_wait(items.data(), items.size(), PATIENCE_MS) > 0);
        if (items[0].ready) {
            carom_connection *made = nullptr;
            if (carom_listener_accept(listening, &made, 0) == CAROM_OK) clients.emplace_back(made);
        }
        for (size_t i = items.size() - 1; i > 0; i--) {
            if (!items[i].ready) continue;
            send(clients[i - 1].get(), std::to_string(receive(clients[i - 1].get()).size()));
            clients.erase(clients.begin() + long(i) - 1);
            served++;
        }
    }
    for (auto &thread : threads) thread.join();
}

}  // namespace

int main(int argc, char **argv) {
    CHECK_OK(carom_init(argc, argv));
    CASE(between_processes);
    CASE(sockets);
    return 0;
}
