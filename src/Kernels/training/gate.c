// The gate of SwiGLU (Shazeer 2020) and its way back: y = silu(g) u, silu(g) = g p, p = 1 / (1 + exp(-g)).
// Backward:  dg = dy u p (1 + g (1 - p)),  du = dy silu(g).
#include "vectors.h"

// both[rows][2 * width]: g, then u; y[rows][width].
EXPORT void gradus_gate(const void *both, void *y, int64_t rows, int64_t width, int half)
{
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0, at = row * 2 * width; i < width; i += 16) {
            const __mmask16 there = lanes(width - i);
            const vector g = load(both, at + i, there, half), u = load(both, at + width + i, there, half);
            store(y, row * width + i, _mm512_mul_ps(_mm512_mul_ps(g, sigmoid(g)), u), there, half);
        }
}

EXPORT void gradus_gate_back(const void *both, const void *dy, void *dboth, int64_t rows, int64_t width, int half)
{
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0, at = row * 2 * width; i < width; i += 16) {
            const __mmask16 there = lanes(width - i);
            const vector g = load(both, at + i, there, half), u = load(both, at + width + i, there, half), d = load(dy, row * width + i, there, half);
            const vector p = sigmoid(g), slope = _mm512_mul_ps(p, fused(g, _mm512_sub_ps(all(1), p), all(1)));
            store(dboth, at + i, _mm512_mul_ps(_mm512_mul_ps(d, u), slope), there, half);
            store(dboth, at + width + i, _mm512_mul_ps(d, _mm512_mul_ps(g, p)), there, half);
        }
}
