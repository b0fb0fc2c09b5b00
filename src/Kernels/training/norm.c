// Root mean square normalisation of rows, y = x s w with s = 1 / sqrt(mean(x^2) + epsilon), with the residual sum before it; and its way back.
// Backward, with u = x s:  dx = residual's gradient + s (w dy - u mean(w dy u)),  dw = the sum over rows of dy u.
#include <math.h>
#include <string.h>
#include "vectors.h"

// Rows whose part of dw is summed at a time; then the parts, in their order.
#define PART 32

// sum = x + add (both [rows][width]; add is null or in the precision of normed), normed = norm(sum), scale[rows] = s. Where add is null, sum is not written.
EXPORT void gradus_norm(const float *x, const void *add, float *sum, const float *weight, void *normed, float *scale, int64_t rows, int64_t width, float epsilon, int half)
{
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; row++) {
        const int64_t at = row * width;
        vector squares = _mm512_setzero_ps();
        for (int64_t i = 0; i < width; i += 16) {
            const __mmask16 there = lanes(width - i);
            vector value = load(x, at + i, there, 0);
            if (add) {
                value = _mm512_add_ps(value, load(add, at + i, there, half));
                store(sum, at + i, value, there, 0);
            }
            squares = fused(value, value, squares);
        }
        const float s = 1 / sqrtf(_mm512_reduce_add_ps(squares) / (float)width + epsilon);
        const float *from = add ? sum : x;
        scale[row] = s;
        for (int64_t i = 0; i < width; i += 16) {
            const __mmask16 there = lanes(width - i);
            store(normed, at + i, _mm512_mul_ps(_mm512_mul_ps(load(from, at + i, there, 0), all(s)), load(weight, i, there, 0)), there, half);
        }
    }
}

// dx = residual (null: 0) + the norm's way back; narrow, if not null, is dx once more in bf16. parts is room for [(rows + 31) / 32][width], dw's sums.
EXPORT void gradus_norm_back(
    const float *x, const float *weight, const float *scale, const void *dy, const float *residual, float *dx, void *narrow, float *parts, float *dw, int first, int64_t rows, int64_t width, int half)
{
    const int64_t count = (rows + PART - 1) / PART;
#pragma omp parallel for schedule(static)
    for (int64_t part = 0; part < count; part++) {
        float *own = parts + part * width;
        memset(own, 0, width * sizeof(float));
        for (int64_t row = part * PART; row < rows && row < (part + 1) * PART; row++) {
            const int64_t at = row * width;
            const vector s = all(scale[row]);
            vector product = _mm512_setzero_ps();
            for (int64_t i = 0; i < width; i += 16) {
                const __mmask16 there = lanes(width - i);
                const vector u = _mm512_mul_ps(load(x, at + i, there, 0), s), d = load(dy, at + i, there, half);
                product = fused(_mm512_mul_ps(load(weight, i, there, 0), d), u, product);
                store(own, i, fused(d, u, load(own, i, there, 0)), there, 0);
            }
            const vector mean = all(_mm512_reduce_add_ps(product) / (float)width);
            for (int64_t i = 0; i < width; i += 16) {
                const __mmask16 there = lanes(width - i);
                const vector u = _mm512_mul_ps(load(x, at + i, there, 0), s), d = _mm512_mul_ps(load(weight, i, there, 0), load(dy, at + i, there, half));
                vector gradient = _mm512_mul_ps(s, _mm512_sub_ps(d, _mm512_mul_ps(u, mean)));
                if (residual) gradient = _mm512_add_ps(gradient, load(residual, at + i, there, 0));
                store(dx, at + i, gradient, there, 0);
                if (narrow) store(narrow, at + i, gradient, there, 1);
            }
        }
    }
    if (!dw) return;
    for (int64_t i = 0; i < width; i += 16) {
        const __mmask16 there = lanes(width - i);
        vector sum = first ? _mm512_setzero_ps() : load(dw, i, there, 0);
        for (int64_t part = 0; part < count; part++) sum = _mm512_add_ps(sum, load(parts, part * width + i, there, 0));
        store(dw, i, sum, there, 0);
    }
}

// sum = x + add, element by element; add is in bf16 where half is.
EXPORT void gradus_add(const float *x, const void *add, float *sum, int64_t count, int half)
{
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < count; i += 16) {
        const __mmask16 there = lanes(count - i);
        store(sum, i, _mm512_add_ps(load(x, i, there, 0), load(add, i, there, half)), there, 0);
    }
}
