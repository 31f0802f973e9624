/* Calls that wait: one task, one over an array, one over lists of arguments, one over ranges of a shared array. */
/* test: */
#include "example.h"

static int32_t add(carom_call *call) {
    int64_t sum = integer(call, 0) + integer(call, 1);
    return carom_call_reply(call, &sum, sizeof sum);
}

static int32_t square(carom_call *call) {
    int64_t x = integer(call, 0), y = x * x;
    return carom_call_reply(call, &y, sizeof y);
}

static int32_t multiply(carom_call *call) {
    int64_t product = integer(call, 0) * integer(call, 1);
    return carom_call_reply(call, &product, sizeof product);
}

/* In place: indexes from..to of the array are this call's. */
static int32_t negate(carom_call *call) {
    int64_t from = integer(call, 0), to = integer(call, 1);
    carom_array *array;
    MUST(carom_call_array(call, 2, &array));
    int64_t *numbers = carom_array_data(array);
    for (int64_t i = from; i < to; i++) numbers[i] = -numbers[i];
    return 0;
}

int main(void) {
    carom_pool_options options = {.size = sizeof options, .workers = 2};
    carom_pool *pool;
    MUST(carom_pool_new(&options, &pool));

    int64_t sum, numbers[] = {1, 2, 3, 4, 5}, squares[5], products[3];
    carom_argument five_and_three[] = {CAROM_INTEGER(5), CAROM_INTEGER(3)};
    MUST(carom_pool_apply(pool, add, five_and_three, 2, NULL, &sum, sizeof sum, NULL, PATIENCE_MS));
    printf("5 + 3 = %" PRId64 "\n", sum);
    EXPECT(sum == 8);

    MUST(carom_pool_map(pool, square, numbers, sizeof *numbers, 5, NULL, squares, sizeof *squares, PATIENCE_MS));
    printf("Squares: %" PRId64 " ... %" PRId64 "\n", squares[0], squares[4]);
    EXPECT(squares[4] == 25);

    carom_argument pairs[] = {CAROM_INTEGER(2), CAROM_INTEGER(3), CAROM_INTEGER(4), CAROM_INTEGER(5), CAROM_INTEGER(6), CAROM_INTEGER(7)};
    MUST(carom_pool_starmap(pool, multiply, pairs, 2, 3, NULL, products, sizeof *products, PATIENCE_MS));
    printf("Products: %" PRId64 " %" PRId64 " %" PRId64 "\n", products[0], products[1], products[2]);
    EXPECT(products[0] == 6 && products[1] == 20 && products[2] == 42);

    carom_array *array;
    MUST(carom_array_new(CAROM_I64, sizeof *numbers, 5, numbers, NULL, &array));
    carom_argument shared = CAROM_HANDLE(array);
    MUST(carom_pool_map_range(pool, negate, 0, 5, &shared, 1, NULL, PATIENCE_MS));
    int64_t *negated = carom_array_data(array);
    EXPECT(negated[0] == -1 && negated[4] == -5);
    carom_array_free(array);

    MUST(carom_pool_close(pool));
    MUST(carom_pool_join(pool, PATIENCE_MS));
    carom_pool_free(pool);
    return 0;
}
