// What the training kernels share: vectors of 16 numbers that are computed in fp32 and lie in memory as fp32 or bf16. All of it needs AVX-512 (F, BW, VL, DQ).
// Nothing here depends on alignment or on how many threads there are, so that a result is the same, bit for bit, wherever its numbers lie.
#pragma once
#include <immintrin.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))
#define INLINE static inline __attribute__((always_inline))

typedef __m512 vector;

// Which of 16 lanes there are where `left` numbers are left.
INLINE __mmask16 lanes(int64_t left) { return left >= 16 ? 0xFFFF : (__mmask16)((1u << left) - 1); }

// 16 numbers from place i on; lanes that are not there are 0.
INLINE vector load(const void *from, int64_t i, __mmask16 there, int half)
{
    if (!half) return _mm512_maskz_loadu_ps(there, (const float *)from + i);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(there, (const uint16_t *)from + i)), 16));
}

// bf16 is rounded to the nearest, ties to even; NaN stays NaN.
INLINE void store(void *to, int64_t i, vector value, __mmask16 there, int half)
{
    if (!half) {
        _mm512_mask_storeu_ps((float *)to + i, there, value);
        return;
    }
    const __m512i bits = _mm512_castps_si512(value), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF))), 16);
    rounded = _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q), _mm512_set1_epi32(0x7FC0));
    _mm256_mask_storeu_epi16((uint16_t *)to + i, there, _mm512_cvtepi32_epi16(rounded));
}

INLINE vector all(float value) { return _mm512_set1_ps(value); }

// a * b + c.
INLINE vector fused(vector a, vector b, vector c) { return _mm512_fmadd_ps(a, b, c); }

// exp within 2 units of the last place: 2^n times a polynomial of what is left (Cephes); 0 below -104, infinity above 89.
INLINE vector exponential(vector x)
{
    x = _mm512_max_ps(all(-110), _mm512_min_ps(all(110), x));
    const vector n = _mm512_roundscale_ps(_mm512_mul_ps(x, all(1.44269504088896341f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const vector r = fused(n, all(2.12194440e-4f), fused(n, all(-0.693359375f), x));
    vector p = fused(all(1.9875691500e-4f), r, all(1.3981999507e-3f));
    p = fused(p, r, all(8.3334519073e-3f));
    p = fused(p, r, all(4.1665795894e-2f));
    p = fused(p, r, all(1.6666665459e-1f));
    p = fused(p, r, all(5.0000001201e-1f));
    p = fused(p, _mm512_mul_ps(r, r), _mm512_add_ps(r, all(1)));
    return _mm512_scalef_ps(p, n);
}

// 1 / (1 + exp(-x)).
INLINE vector sigmoid(vector x) { return _mm512_div_ps(all(1), _mm512_add_ps(all(1), exponential(_mm512_sub_ps(_mm512_setzero_ps(), x)))); }
