/* A matrix in a shared array, row by row, each row filled by a process of its own.
 *
 * The array has no lock, and needs none: no two processes touch the same row, and nobody reads before all have ended. That
 * is what the rows' owners agreed on; the array does not watch over it. */
/* test: */
#include "example.h"

enum { ROWS = 3, COLUMNS = 4 };

static int32_t fill_row(carom_call *call) {
    carom_array *array;
    MUST(carom_call_array(call, 0, &array));
    int64_t row = integer(call, 1);
    int32_t(*matrix)[COLUMNS] = carom_array_data(array);
    for (int column = 0; column < COLUMNS; column++) matrix[row][column] = (int32_t)(row * COLUMNS + column + 1);
    return 0;
}

int main(int argc, char **argv) {
    carom_array *array;
    carom_process *workers[ROWS];
    carom_shared_options raw = {.size = sizeof raw, .no_lock = 1};
    carom_init(argc, argv);

    MUST(carom_array_new(CAROM_I32, 0, ROWS * COLUMNS, NULL, &raw, &array));
    for (int row = 0; row < ROWS; row++) workers[row] = start(fill_row, CAROM_HANDLE(array), CAROM_INTEGER(row));
    finish(workers, ROWS);

    int32_t(*matrix)[COLUMNS] = carom_array_data(array);
    for (int row = 0; row < ROWS; row++) {
        for (int column = 0; column < COLUMNS; column++) {
            printf("%4" PRId32, matrix[row][column]);
            EXPECT(matrix[row][column] == row * COLUMNS + column + 1);
        }
        printf("\n");
    }
    carom_array_free(array);
    return 0;
}
