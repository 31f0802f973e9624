/* Pictures that are written and read where they lie, and one that kills whoever reads it: messages in place, and dead letters.
 *
 * One process puts and one gets, so the queue needs no lock. A reader that dies has lost nothing: the next one gets its picture again, and
 * what has cost two lives goes to a queue of its own, with the number of times that it was delivered. */
/* test: */
#include "example.h"
#include <signal.h>
#include <string.h>

enum { PICTURES = 6, BYTES = 1 << 20, DAMAGED = 3, LIVES = 2 };

static carom_queue *queue_of(carom_call *call) {
    carom_queue *pictures;
    MUST(carom_call_queue(call, 0, &pictures));
    return pictures;
}

static int32_t paint(carom_call *call) {
    carom_queue *pictures = queue_of(call);
    for (int n = 0; n < PICTURES; n++) {
        carom_message picture = {.size = sizeof picture};
        MUST(carom_queue_reserve(pictures, BYTES, &picture));
        memset(picture.data, n, BYTES); /* in the memory that the other one reads */
        MUST(carom_queue_commit(pictures, &picture, BYTES, PATIENCE_MS));
    }
    return 0;
}

static int32_t look(carom_call *call) {
    carom_queue *pictures = queue_of(call);
    carom_message picture = {.size = sizeof picture};
    carom_status status;
    MUST(carom_queue_close(pictures)); /* puts nothing: the end comes when nobody is left who could */
    while ((status = carom_queue_peek(pictures, &picture, PATIENCE_MS)) == CAROM_OK) {
        const char *pixels = picture.data;
        if (pixels[0] == DAMAGED) raise(SIGKILL);
        EXPECT(pixels[BYTES - 1] == pixels[0]);
        MUST(carom_queue_consume(pictures, &picture));
    }
    EXPECT(status == CAROM_ECLOSED);
    return 0;
}

/* How often a reader died. */
static int lives_lost(carom_queue *pictures) {
    for (int lost = 0;; lost++) {
        carom_process *reader = start(look, CAROM_HANDLE(pictures));
        int32_t code;
        MUST(carom_process_join(reader, PATIENCE_MS));
        MUST(carom_process_exitcode(reader, &code));
        carom_process_free(reader);
        if (code == 0) return lost;
        EXPECT(code == -SIGKILL);
    }
}

int main(int argc, char **argv) {
    carom_queue *pictures, *damaged;
    carom_init(argc, argv);
    MUST(carom_queue_new(NULL, &damaged));
    carom_queue_options options = {.size = sizeof options, .single_producer = 1, .single_consumer = 1,
                                   .max_deliveries = LIVES, .dead_letters = damaged};
    MUST(carom_queue_new(&options, &pictures));

    carom_process *painter = start(paint, CAROM_HANDLE(pictures));
    MUST(carom_queue_close(pictures)); /* nor do we put anything */
    int lost = lives_lost(pictures);
    finish(&painter, 1);

    carom_message letter = {.size = sizeof letter};
    MUST(carom_queue_peek(damaged, &letter, PATIENCE_MS));
    printf("%d readers died of picture %d, which is delivered for the %" PRIu32 ". time\n", lost, ((char *)letter.data)[0],
           letter.deliveries);
    EXPECT(lost == LIVES && ((char *)letter.data)[0] == DAMAGED && letter.deliveries == LIVES + 1);
    MUST(carom_queue_consume(damaged, &letter));
    EXPECT(carom_queue_size(damaged) == 0);
    carom_queue_free(pictures);
    carom_queue_free(damaged);
    return 0;
}
