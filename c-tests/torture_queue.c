/*
 * Queues under fire: producers and consumers get SIGKILL, stop and go on, at random. Every message whose put had returned is
 * accounted for: seen by a consumer, and twice only if it says so; nothing is left of the dead.
 *
 *     torture_queue [SECONDS [SEED]]      (4 seconds; the seed is printed)
 */
#include "chance.h"
#include "queue.h"

enum { PRODUCERS = 3, CONSUMERS = 3, PARTIES = PRODUCERS + CONSUMERS, IDS = 1 << 20, EPOCH_MS = 1000, BATCH = 8, LONG = 50000 };

/* Of each message, by its id. */
static struct shared {
    flag quit;
    _Atomic uint64_t next, redelivered;
    _Atomic uint8_t put[IDS], seen[IDS];
} *shared;
static int leases; /* consumers of this epoch lease; else they get */

/* ---- producers ---- */

static void is_put(uint64_t id, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) atomic_store(&shared->put[id + i], 1);
}

/* None: the epoch has had enough. */
static uint64_t ids(uint64_t count) {
    uint64_t id = atomic_fetch_add(&shared->next, count);
    return id + count <= IDS ? id : UINT64_MAX;
}

static int puts_some(carom_queue *queue) {
    static char text[LONG];
    uint64_t numbers[BATCH], how = below(8), count = how < 3 ? 1 + below(BATCH) : 1, id = ids(count);
    carom_status status;
    if (id == UINT64_MAX) return 0;
    for (uint64_t i = 0; i < count; i++) numbers[i] = id + i;
    if (how < 3) {
        status = carom_queue_put_many(queue, numbers, sizeof *numbers, count, PATIENCE_MS);
    } else if (how < 6) {
        size_t len = how == 5 && below(8) == 0 ? LONG : sizeof id + below(40);
        memcpy(text, &id, sizeof id);
        status = carom_queue_put(queue, text, len, PATIENCE_MS);
    } else {
        carom_message message = {.size = sizeof message};
        CHECK_OK(carom_queue_reserve(queue, sizeof id + below(3000), &message));
        if (below(20) == 0) return 1; /* and forgets it: it goes with this process */
        memcpy(message.data, &id, sizeof id);
        status = carom_queue_commit(queue, &message, message.len, PATIENCE_MS);
    }
    CHECK_OK(status);
    is_put(id, count);
    return 1;
}

static int32_t producer(carom_call *call) {
    carom_queue *queue = queue_of(call);
    CHECK_OK(carom_call_read(call, 1, &state, sizeof state));
    while (!atomic_load(&shared->quit) && puts_some(queue)) {
    }
    return 0;
}

/* ---- consumers ---- */

static void sees(uint64_t id, uint32_t deliveries) {
    CHECK(id < IDS);
    uint8_t before = atomic_fetch_add(&shared->seen[id], 1);
    /* Whoever was killed behind this line is told of: the next one finds it delivered before. */
    CHECK(before == 0 || deliveries > 1);
    if (deliveries > 1) atomic_fetch_add(&shared->redelivered, 1);
}

static carom_status leases_one(carom_queue *queue) {
    uint64_t id;
    carom_message message = {.size = sizeof message};
    carom_status status = carom_queue_peek(queue, &message, PATIENCE_MS);
    if (status != CAROM_OK) return status;
    if (below(50) == 0) return carom_queue_return(queue, &message);
    CHECK(message.len >= sizeof id);
    memcpy(&id, message.data, sizeof id);
    sees(id, message.deliveries);
    return carom_queue_consume(queue, &message);
}

static carom_status gets_some(carom_queue *queue) {
    static char data[2 * LONG];
    uint64_t id;
    size_t lens[2];
    int64_t got = carom_queue_get_many(queue, data, LONG, 2, lens, PATIENCE_MS);
    if (got < 0) return (carom_status)got;
    for (int64_t i = 0; i < got; i++) {
        CHECK(lens[i] >= sizeof id);
        memcpy(&id, data + i * LONG, sizeof id);
        sees(id, 1);
    }
    return CAROM_OK;
}

static int32_t consumer(carom_call *call) {
    carom_queue *queue = queue_of(call);
    CHECK_OK(carom_call_read(call, 1, &state, sizeof state));
    CHECK_OK(carom_queue_close(queue));
    carom_status status;
    while ((status = (leases ? leases_one : gets_some)(queue)) == CAROM_OK) {
    }
    CHECK_STATUS(status, CAROM_ECLOSED);
    return 0;
}

static int32_t nothing(carom_call *call) { (void)call; return 0; }

/* ---- the fire ---- */

static carom_process *party(carom_queue *queue, int index) {
    carom_process *process = NULL;
    uint64_t seed = below(UINT64_MAX);
    carom_argument arguments[] = {CAROM_HANDLE(queue), CAROM_BYTES(&seed, sizeof seed)};
    CHECK_OK(carom_process_start(index < PRODUCERS ? producer : consumer, arguments, 2, NULL, &process));
    return process;
}

struct tally {
    uint64_t messages, kills, stops, redelivered, in_hand;
};

static void fires(carom_queue *queue, carom_process **parties, struct tally *tally, uint64_t *consumers_killed) {
    int64_t until = now_ms() + EPOCH_MS;
    while (now_ms() < until && atomic_load(&shared->next) < IDS) {
        int victim = (int)below(PARTIES);
        pid_t pid = (pid_t)carom_process_pid(parties[victim]);
        usleep((useconds_t)below(8000));
        if (below(2)) {
            CHECK_EQ(kill(pid, SIGSTOP), 0);
            tally->stops++;
            usleep((useconds_t)below(8000));
        }
        if (below(2)) {
            int32_t code;
            CHECK_OK(carom_process_kill(parties[victim]));
            code = ended(parties[victim]);
            CHECK(code == -SIGKILL || (code == 0 && victim < PRODUCERS)); /* it may have put all there are */
            tally->kills++;
            *consumers_killed += victim >= PRODUCERS;
            parties[victim] = party(queue, victim);
        } else {
            kill(pid, SIGCONT);
        }
    }
}

/* At once, or when whoever was at the queue as it was freed has let go of it: he takes apart what is left then. */
static void everything_is_back(const carom_arena_info *before) {
    int64_t until = now_ms() + PATIENCE_MS;
    carom_arena_info now = {.size = sizeof now};
    for (;;) {
        CHECK_OK(carom_arena_check(&now));
        if (now.objects <= before->objects && now.blocks <= before->blocks) return;
        if (now_ms() > until) {
            fprintf(stderr, "objects %llu, %llu before; blocks %llu, %llu before\n", (unsigned long long)now.objects,
                    (unsigned long long)before->objects, (unsigned long long)now.blocks, (unsigned long long)before->blocks);
            CHECK(!"something is left of the dead");
        }
        sched_yield();
    }
}

static void epoch(struct tally *tally) {
    /* Not without limit: to find what came back among a million objects takes longer than anybody waits here. */
    carom_queue_options options = {.size = sizeof options, .max_items = below(2) ? 40 : 2000};
    carom_queue *queue = NULL;
    carom_process *parties[PARTIES];
    uint64_t consumers_killed = 0, lost = 0;
    carom_arena_info before = {.size = sizeof before};
    memset(shared, 0, sizeof *shared);
    leases = !leases;
    CHECK_OK(carom_arena_check(&before));
    CHECK_OK(carom_queue_new(&options, &queue));
    for (int i = 0; i < PARTIES; i++) parties[i] = party(queue, i);
    fires(queue, parties, tally, &consumers_killed);
    flag_add(&shared->quit, 1);
    CHECK_OK(carom_queue_close(queue));
    for (int i = 0; i < PARTIES; i++) CHECK_EQ(ended(parties[i]), 0);
    CHECK_EQ(carom_queue_size(queue), 0);
    CHECK_OK(carom_arena_check(NULL));
    carom_queue_free(queue);
    for (uint64_t id = 0; id < IDS; id++) {
        tally->messages += atomic_load(&shared->put[id]);
        lost += atomic_load(&shared->put[id]) && !atomic_load(&shared->seen[id]);
    }
    /* What a consumer had got is its own. What it had leased is not. */
    if (lost > (leases ? 0 : 2 * consumers_killed)) check_eq_(__FILE__, __LINE__, "messages lost", (int64_t)lost, 0);
    tally->in_hand += lost;
    tally->redelivered += atomic_load(&shared->redelivered);
    everything_is_back(&before);
}

static void soak(int64_t seconds) {
    struct tally tally = {0};
    int64_t until = now_ms() + seconds * 1000, epochs = 0;
    carom_event *never = NULL;
    CHECK_OK(carom_event_new(&never)); /* the family is there before the first count */
    CHECK_EQ(outcome_of(nothing, NULL, 0), 0);
    for (; now_ms() < until || epochs < 2; epochs++) epoch(&tally);
    carom_event_free(never);
    printf("queues: %llu messages, %llu kills, %llu stops, %llu delivered again, %llu gone with who had got them; %lld epochs\n",
           (unsigned long long)tally.messages, (unsigned long long)tally.kills, (unsigned long long)tally.stops,
           (unsigned long long)tally.redelivered, (unsigned long long)tally.in_hand, (long long)epochs);
}

int main(int argc, char **argv) {
    int64_t seconds = argc > 1 ? atoll(argv[1]) : 4;
    state = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)now_ms() * 1000 + (uint64_t)getpid();
    printf("queues: seed %llu\n", (unsigned long long)state);
    fflush(stdout);
    shared = share(sizeof *shared);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t pid = fork();
    if (pid == 0) {
        begin_case_();
        soak(seconds);
        fflush(stdout);
        CHECK_OK(carom_shutdown(PATIENCE_MS));
        _exit(0);
    }
    return wait_for(pid);
}
