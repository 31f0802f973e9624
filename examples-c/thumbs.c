/* Thumbnails of every PNG and JPEG under a directory, with stock libpng and libjpeg and a decoder that checks nothing.
 *
 *     thumbs [--damage] [--workers N] [--out FILE] [--capsules DIR [--replay PROGRAM]] [--quiet] [--noise] [--bench] [DIRECTORY]
 *
 * libpng ends the process at the first error (abort), libjpeg does too (exit), and the decoder's own mistakes do worse. First
 * the decoder runs in a plain loop, to show how far that gets, then in a pool of worker processes, where a bad file costs one
 * worker and one red cross on the contact sheet. --damage adds broken copies of the files to the good ones, and five files
 * from hell, of which one runs into the memory limit, one into the time limit, and one stops when the soft limit asks it to.
 * Nothing is written but the contact sheet (and one capsule, if --capsules says where), and workers end with their host: Ctrl-C
 * leaves nothing behind. */
/* build: decoder.c images.c inputs.c plain.c -lpng -ljpeg -lm */
/* test: --quiet --out /dev/null */
/* test: --damage --quiet --out /dev/null */
#include "decoder.h"
#include "images.h"
#include "inputs.h"
#include "plain.h"
#include <carom.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { SOFT_LIMIT_MS = 500, TIME_LIMIT_MS = 2000, MEMORY_LIMIT = 256 << 20, BENCH_WORKERS = 2, BENCH_ROUNDS = 3 };
enum { STOPPED = 2 };                                                /* what a task returns that heeded its soft limit */

/* Where the decoder was at the first of the files that crash it, and what it takes to run that once more. */
static struct { size_t item; char text[8192], capsule[1024]; } crash = { .item = SIZE_MAX };

static struct { bool damage, quiet, noise, bench; int workers; const char *out, *capsules, *replay, *directory; } options = {
    .out = "thumbs.png", .replay = "carom-replay" };

/* The task. What it calls is in decoder.c; the thumbnail is made where the host will read it. */
static int32_t thumbnail(carom_call *call) {
    static bool hushed;                                              /* once per worker; the pool's stderr is ours too */
    carom_argument input;
    void *pixels;
    if (!options.noise && !hushed) decoder_hush();                   /* the libraries print a line per bad file; we have a table */
    hushed = true;
    if (carom_call_argument(call, 0, &input) != CAROM_OK) return 1;
    if (carom_call_reserve(call, THUMB_BYTES, &pixels) != CAROM_OK) return 1;
    if (!thumbnail_of(&input, call, pixels)) return carom_call_fail(call, STOPPED, "stopped: too slow");
    return carom_call_commit(call, THUMB_BYTES);
}

/* ---- the pool ---- */

static void must(carom_status status, const char *what) {
    if (status == CAROM_OK) return;
    fprintf(stderr, "thumbs: %s: %s (%s)\n", what, carom_error_message(), carom_status_name(status));
    exit(2);
}

static const char *judge(const carom_verdict *verdict, fate *fate) {
    switch (verdict->status) {
    case CAROM_OK: *fate = FATE_OK; return "ok";
    case CAROM_ETIMELIMIT: *fate = FATE_TIMED_OUT; return "time limit";
    case CAROM_EMEMORYLIMIT: *fate = FATE_TOO_BIG; return "memory limit";
    case CAROM_EWORKERLOST:
        *fate = verdict->signal ? FATE_CRASHED : FATE_EXITED;
        return death_name(verdict->signal, verdict->exitcode);
    case CAROM_ETASKFAILED:
        if (verdict->code != STOPPED) break;
        *fate = FATE_STOPPED;
        return verdict->message;
    }
    *fate = FATE_LOST;
    return carom_status_name(verdict->status);                       /* a verdict, but not one about the file */
}

static void crash_note(const carom_verdict *verdict, size_t item) {
    if (item >= crash.item || !*verdict->backtrace) {
        if (*verdict->capsule) unlink(verdict->capsule);
        return;
    }
    if (*crash.capsule) unlink(crash.capsule);
    crash.item = item;
    snprintf(crash.text, sizeof crash.text, "%s", verdict->backtrace);
    snprintf(crash.capsule, sizeof crash.capsule, "%s", verdict->capsule);
}

/* A task is settled: its verdict, and its thumbnail if it has one. */
static void settle(carom_result *result, thumb *thumb, size_t item) {
    carom_verdict verdict = { .size = sizeof verdict };
    must(carom_result_verdict(result, &verdict), "verdict");
    snprintf(thumb->verdict, sizeof thumb->verdict, "%s", judge(&verdict, &thumb->fate));
    if (thumb->fate == FATE_OK) must(carom_result_get(result, thumb->pixels, THUMB_BYTES, NULL, 0), "thumbnail");
    crash_note(&verdict, item);
}

/* Every file is a task, every task gets a verdict, and events say when. Returns how many were not ok. */
static size_t pool_run(const input_list *inputs, int workers, thumb *thumbs) {
    carom_pool *pool = NULL;
    carom_pool_options pool_options = { .size = sizeof pool_options, .workers = workers, .soft_time_limit_ms = SOFT_LIMIT_MS,
        .time_limit_ms = TIME_LIMIT_MS, .memory_limit = MEMORY_LIMIT, .capsules = options.capsules,
        .events = CAROM_POOL_DONE | CAROM_POOL_WORKER_DOWN | CAROM_POOL_DRAINED };
    must(carom_pool_new(&pool_options, &pool), "new pool");
    for (size_t i = 0; i < inputs->count; i++) {
        carom_task_options task = { .size = sizeof task, .ctx = &thumbs[i] };
        must(carom_pool_apply_async(pool, thumbnail, &inputs->items[i].argument, 1, &task, NULL), "apply");
    }
    must(carom_pool_close(pool), "close");

    bool progress = isatty(STDERR_FILENO) && !options.quiet && !options.bench;
    size_t done = 0, bad = 0, replaced = 0;
    carom_pool_event event = { .size = sizeof event };
    while (event.kind != CAROM_POOL_DRAINED) {
        must(carom_pool_next_event(pool, &event, CAROM_FOREVER), "next event");
        if (event.kind == CAROM_POOL_WORKER_DOWN) replaced++;
        if (event.kind != CAROM_POOL_DONE) continue;
        thumb *thumb = event.ctx;
        settle(event.result, thumb, (size_t)(thumb - thumbs));
        bad += thumb->fate != FATE_OK;
        if (++done % 50 == 0 && progress)
            fprintf(stderr, "\r%zu of %zu files, %zu bad, %zu workers replaced ", done, inputs->count, bad, replaced);
    }
    if (progress) fputs("\r\033[K", stderr);
    must(carom_pool_join(pool, CAROM_FOREVER), "join");
    carom_pool_free(pool);
    return bad + inputs->count - done;
}

/* ---- what is said about it ---- */

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* One row per verdict, with the first file that got it. */
static void table_print(const input_list *inputs, const thumb *thumbs) {
    struct { const char *verdict, *example; size_t count; } rows[24];
    size_t used = 0;
    for (size_t i = 0; i < inputs->count; i++) {
        const input *input = &inputs->items[i];
        const char *verdict = thumbs[i].fate == FATE_OK && input->damaged ? "ok, though damaged" : thumbs[i].verdict;
        size_t row = 0;
        while (row < used && strcmp(rows[row].verdict, verdict) != 0) row++;
        if (row == sizeof rows / sizeof *rows) row--;                /* a zoo: the last row takes the rest */
        if (row == used) {
            rows[used].verdict = verdict;
            rows[used].example = input->name;
            rows[used++].count = 0;
        }
        rows[row].count++;
    }
    printf("\n  %-18s  %6s  %s\n", "verdict", "files", "for example");
    for (size_t row = 0; row < used; row++) printf("  %-18s  %6zu  %s\n", rows[row].verdict, rows[row].count, rows[row].example);
}

/* One crash in full: which call of ours it was, and what became of it. */
static void crash_print(const input_list *inputs, const thumb *thumbs) {
    if (crash.item >= inputs->count) return;
    printf("\n%s: %s\n", inputs->items[crash.item].name, thumbs[crash.item].verdict);
    for (char *line = strtok(crash.text, "\n"); line; line = strtok(NULL, "\n")) printf("  %s\n", line);
    if (*crash.capsule) printf("once more: %s %s\n", options.replay, crash.capsule);
}

/* Undamaged files of which loop and pool do not say the same. Where the loop died at one, the pool must not have got past it. */
static size_t differences(const plain *plain, const thumb *thumbs, const input_list *inputs, size_t *undamaged) {
    size_t differ = 0;
    *undamaged = 0;
    for (size_t i = 0; i < inputs->count; i++) {
        if (inputs->items[i].damaged) continue;
        ++*undamaged;
        bool plain_ok = plain->thumbs[i].fate == FATE_OK, pool_ok = thumbs[i].fate == FATE_OK;
        differ += plain_ok != pool_ok || (pool_ok && memcmp(plain->thumbs[i].pixels, thumbs[i].pixels, THUMB_BYTES) != 0);
    }
    return differ;
}

/* The best of some rounds each: files cached and memory touched for both, from the first fork to the last thumbnail. */
static int bench(const input_list *inputs, plain *plain, thumb *thumbs) {
    int workers = options.workers ? options.workers : BENCH_WORKERS;
    double plain_best = 1e9, pool_best = 1e9;
    for (int round = 0; round < BENCH_ROUNDS; round++) {
        double start = seconds_now();
        int status = plain_run(plain, inputs, 0, false);
        double middle = seconds_now();
        size_t bad = pool_run(inputs, workers, thumbs);
        double end = seconds_now();
        if (status != 0 || bad > 0) {
            fputs("thumbs: there are bad files among these, so there is nothing to compare\n", stderr);
            return 1;
        }
        if (middle - start < plain_best) plain_best = middle - start;
        if (end - middle < pool_best) pool_best = end - middle;
    }
    printf("plain-loop thumbs.seconds %.4f s\ncarom-pool(%d) thumbs.seconds %.4f s\n", plain_best, workers, pool_best);
    return 0;
}

static int run(const input_list *inputs, plain *plain, thumb *thumbs) {
    double start = seconds_now();
    int status = plain_run(plain, inputs, 0, false);
    if (!options.quiet) plain_report(plain, status, inputs, seconds_now() - start);
    for (size_t at = plain->at + 1; at < inputs->count; at = plain->at + 1)   /* from beyond the grave: what to compare with */
        plain_run(plain, inputs, at, true);

    start = seconds_now();
    pool_run(inputs, options.workers, thumbs);
    double seconds = seconds_now() - start;

    size_t fates[FATES] = { 0 }, undamaged, differ = differences(plain, thumbs, inputs, &undamaged);
    for (size_t i = 0; i < inputs->count; i++) fates[thumbs[i].fate]++;
    if (!options.quiet) {
        printf("carom pool: %zu files in %.2f s\n", inputs->count, seconds);
        table_print(inputs, thumbs);
        crash_print(inputs, thumbs);
        if (differ > 0) printf("\nundamaged files: %zu of %zu DIFFER from the plain loop's\n", differ, undamaged);
        else printf("\nundamaged files: all %zu byte for byte as in a plain loop\n", undamaged);
    }
    bool written = sheet_write(options.out, thumbs, inputs->count);
    if (!written) fprintf(stderr, "thumbs: cannot write %s\n", options.out);
    else if (!options.quiet) printf("contact sheet: %s\n", options.out);
    printf("thumbs: %zu files, %zu ok, %zu crashed, %zu exited, %zu timed out, %zu stopped, %zu too big, %zu lost, "
           "%.2f s\n", inputs->count, fates[FATE_OK], fates[FATE_CRASHED], fates[FATE_EXITED], fates[FATE_TIMED_OUT],
           fates[FATE_STOPPED], fates[FATE_TOO_BIG], fates[FATE_LOST], seconds);
    return fates[FATE_LOST] == 0 && differ == 0 && written ? 0 : 1;
}

static void options_parse(int argc, char **argv) {
    static const struct option names[] = { { "damage", no_argument, NULL, 'd' }, { "workers", required_argument, NULL, 'w' },
        { "out", required_argument, NULL, 'o' }, { "bench", no_argument, NULL, 'b' }, { "quiet", no_argument, NULL, 'q' },
        { "noise", no_argument, NULL, 'n' }, { "capsules", required_argument, NULL, 'c' },
        { "replay", required_argument, NULL, 'r' }, { NULL, 0, NULL, 0 } };
    bool understood = true;
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) switch (option) {
        case 'd': options.damage = true; break;
        case 'w': options.workers = atoi(optarg); break;
        case 'o': options.out = optarg; break;
        case 'b': options.bench = true; break;
        case 'q': options.quiet = true; break;
        case 'n': options.noise = true; break;
        case 'c': options.capsules = optarg; break;
        case 'r': options.replay = optarg; break;
        default: understood = false;
    }
    options.directory = argv[optind];
    if (understood && options.workers >= 0 && argc - optind <= 1) return;
    fprintf(stderr, "usage: %s [--damage] [--workers N] [--out FILE] [--capsules DIR [--replay PROGRAM]] [--quiet] [--noise] [--bench] "
          "[DIRECTORY]\n", argv[0]);
    exit(2);
}

int main(int argc, char **argv) {
    carom_init(argc, argv);
    options_parse(argc, argv);
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });                /* we expect crashes: no core files, please */
    input_list inputs = inputs_gather(options.directory, options.damage && !options.bench);
    if (inputs.count == 0) {
        fprintf(stderr, "thumbs: no PNG and no JPEG under %s\n", options.directory);
        return 2;
    }
    plain *plain = plain_new(inputs.count, options.noise);
    thumb *thumbs = must_alloc(calloc(inputs.count, sizeof *thumbs));
    int code = options.bench ? bench(&inputs, plain, thumbs) : run(&inputs, plain, thumbs);
    free(thumbs);
    plain_free(plain, inputs.count);
    inputs_free(&inputs);
    return code;
}
