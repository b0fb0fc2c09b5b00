// Log-probabilities of targets and entropies from logits, each row of the vocabulary's width read once from memory, and the way back in the logits' place.
// With z = logits * scale (one over the temperature) and l = log sum exp z:  log-probability z_t - l,  entropy l - sum exp(z - l) z.
// Backward, from the log-probability alone:  dlogits = g scale (1 at the target, 0 elsewhere, minus exp(z - l)).
#include <math.h>
#include "vectors.h"

EXPORT void gradus_vocabulary(const void *logits, const int64_t *targets, float scale, float *log_probs, float *entropies, float *logs, int64_t rows, int64_t width, int half)
{
#pragma omp parallel for schedule(dynamic, 8)
    for (int64_t row = 0; row < rows; row++) {
        const int64_t at = row * width;
        const vector s = all(scale);
        vector highest = all(-INFINITY);
        for (int64_t i = 0; i < width; i += 16) {
            const __mmask16 there = lanes(width - i);
            highest = _mm512_mask_max_ps(highest, there, highest, _mm512_mul_ps(load(logits, at + i, there, half), s));
        }
        const float top = _mm512_reduce_max_ps(highest);
        vector sums = _mm512_setzero_ps(), products = _mm512_setzero_ps();
        for (int64_t i = 0; i < width; i += 16) {
            const __mmask16 there = lanes(width - i);
            const vector z = _mm512_sub_ps(_mm512_mul_ps(load(logits, at + i, there, half), s), all(top)), e = _mm512_maskz_mov_ps(there, exponential(z));
            sums = _mm512_add_ps(sums, e);
            products = fused(e, z, products);
        }
        const float sum = _mm512_reduce_add_ps(sums), rest = logf(sum);
        const float target = _mm512_cvtss_f32(load(logits, at + targets[row], 1, half));
        log_probs[row] = target * scale - top - rest;
        entropies[row] = rest - _mm512_reduce_add_ps(products) / sum;
        logs[row] = top + rest;
    }
}

EXPORT void gradus_vocabulary_back(void *logits, const int64_t *targets, float scale, const float *gradients, const float *logs, int64_t rows, int64_t width, int half)
{
#pragma omp parallel for schedule(dynamic, 8)
    for (int64_t row = 0; row < rows; row++) {
        const int64_t at = row * width, target = at + targets[row];
        const float g = gradients[row] * scale, z = _mm512_cvtss_f32(load(logits, target, 1, half)) * scale;
        const vector s = all(scale), l = all(logs[row]), minus = all(-g);
        for (int64_t i = 0; i < width; i += 16) {
            const __mmask16 there = lanes(width - i);
            store(logits, at + i, _mm512_mul_ps(minus, exponential(fused(load(logits, at + i, there, half), s, _mm512_sub_ps(_mm512_setzero_ps(), l)))), there, half);
        }
        store(logits, target, all(g - g * expf(z - logs[row])), 1, half);
    }
}
