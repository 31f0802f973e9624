/* A bounded semaphore refuses a unit too many; a plain one takes it, and with it the mistake. */
/* test: */
#include "example.h"

int main(int argc, char **argv) {
    carom_semaphore *bounded, *plain;
    carom_init(argc, argv);
    MUST(carom_bounded_semaphore_new(2, NULL, &bounded));
    MUST(carom_semaphore_new(2, NULL, &plain));

    for (int i = 0; i < 2; i++) MUST(carom_semaphore_acquire(bounded, PATIENCE_MS));
    printf("acquired twice: %" PRId64 " left\n", carom_semaphore_value(bounded));
    EXPECT(carom_semaphore_acquire(bounded, 0) == CAROM_ETIMEDOUT);
    for (int i = 0; i < 2; i++) MUST(carom_semaphore_release(bounded));
    printf("released twice: %" PRId64 " left\n", carom_semaphore_value(bounded));

    carom_status status = carom_semaphore_release(bounded);
    printf("released again: %s, %s\n", carom_status_name(status), carom_error_message());
    EXPECT(status == CAROM_EPERM && carom_semaphore_value(bounded) == 2);

    MUST(carom_semaphore_release(plain));
    printf("a plain one:    %" PRId64 " left\n", carom_semaphore_value(plain));
    EXPECT(carom_semaphore_value(plain) == 3);

    carom_semaphore_free(plain);
    carom_semaphore_free(bounded);
    return 0;
}
