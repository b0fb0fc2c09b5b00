// Sums into fp32 gradients, in an order that does not depend on threads.
#include <string.h>
#include "vectors.h"

// Columns that one thread sums.
#define COLUMNS 32

// gradient = part where it is the first, else += part; part is bf16 where half is.
EXPORT void gradus_gradient(const void *part, float *gradient, int64_t count, int first, int half)
{
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < count; i += 16) {
        const __mmask16 there = lanes(count - i);
        const vector value = load(part, i, there, half);
        store(gradient, i, first ? value : _mm512_add_ps(value, load(gradient, i, there, 0)), there, 0);
    }
}

// gradient[places[row]] += rows[row] for all rows in their order; rows and gradient are [..][width], fp32.
EXPORT void gradus_rows_add(const float *rows, const int64_t *places, float *gradient, int64_t count, int64_t width)
{
#pragma omp parallel for schedule(static)
    for (int64_t column = 0; column < width; column += COLUMNS)
        for (int64_t row = 0; row < count; row++)
            for (int64_t i = column; i < width && i < column + COLUMNS; i += 16) {
                const __mmask16 there = lanes(width - i);
                store(gradient, places[row] * width + i, _mm512_add_ps(load(gradient, places[row] * width + i, there, 0), load(rows, row * width + i, there, 0)), there, 0);
            }
}

// gradient[i] = or += the sum of column i of [rows][across], i below width.
EXPORT void gradus_columns_add(const void *rows, int64_t offset, int64_t across, float *gradient, int64_t count, int64_t width, int first, int half)
{
    for (int64_t i = 0; i < width; i += 16) {
        const __mmask16 there = lanes(width - i);
        vector sum = first ? _mm512_setzero_ps() : load(gradient, i, there, 0);
        for (int64_t row = 0; row < count; row++) sum = _mm512_add_ps(sum, load(rows, row * across + offset + i, there, half));
        store(gradient, i, sum, there, 0);
    }
}
