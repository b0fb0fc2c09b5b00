// Matrix products with bf16 weights and fp32 sums: what .NET has no instruction for (VDPBF16PS). It owns the layout of the packed weights and knows no
// model. Weights are packed in blocks of 16 outputs, [outputs / 16][inputs / 2][16][2], so that a vector holds a pair of inputs for 16 outputs; the last
// block and the last pair are filled up with zeros. One sum runs over its inputs in one order, whatever stands beside it: a token's numbers are the same,
// bit for bit, in whatever company it goes.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define OUTPUTS 16

// Whether this processor and this system have the instructions.
EXPORT int gradus_bf16_supported(void) { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16"); }

// fp32 rows [outputs][inputs] to packed blocks first .. end - 1; rounded to the nearest, ties to even.
EXPORT BF16 void gradus_bf16_pack(const float *rows, uint16_t *packed, int64_t outputs, int64_t inputs, int64_t first, int64_t end)
{
    const int64_t pairs = (inputs + 1) / 2;
    uint16_t *row = __builtin_alloca(2 * pairs * sizeof(uint16_t));
    for (int64_t block = first; block < end; block++) {
        uint16_t *to = packed + block * pairs * 2 * OUTPUTS;
        for (int64_t n = 0; n < OUTPUTS; n++) {
            const int64_t output = block * OUTPUTS + n;
            memset(row, 0, 2 * pairs * sizeof(uint16_t));
            for (int64_t k = 0; output < outputs && k < inputs; k += 16) {
                const __mmask16 rest = inputs - k < 16 ? (1u << (inputs - k)) - 1 : 0xFFFF;
                const __m512 values = _mm512_maskz_loadu_ps(rest, rows + output * inputs + k);
                _mm256_mask_storeu_epi16(row + k, rest, (__m256i)_mm512_cvtneps_pbh(values));
            }
            for (int64_t pair = 0; pair < pairs; pair++) memcpy(to + (pair * OUTPUTS + n) * 2, row + 2 * pair, 2 * sizeof(uint16_t));
        }
    }
}

// fp32 to bf16, for the tokens' side of a product.
EXPORT BF16 void gradus_bf16_round(const float *x, uint16_t *y, int64_t count)
{
    for (int64_t i = 0; i < count; i += 16) {
        const __mmask16 rest = count - i < 16 ? (1u << (count - i)) - 1 : 0xFFFF;
        _mm256_mask_storeu_epi16(y + i, rest, (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(rest, x + i)));
    }
}

// One tile: `tokens` rows of x against `blocks` blocks of weights, both known to the compiler, so that all sums stay in registers.
static inline __attribute__((always_inline)) BF16 void tile(
    const int tokens, const int blocks, const uint16_t *packed, const int32_t *x, int64_t across, int64_t pairs, float *y, int64_t stride, __mmask16 last, int add, int fetch)
{
    __m512 sums[8][3];
#pragma GCC unroll 8
    for (int t = 0; t < tokens; t++)
#pragma GCC unroll 3
        for (int b = 0; b < blocks; b++) sums[t][b] = _mm512_setzero_ps();
    const int64_t size = pairs * 2 * OUTPUTS;
    for (int64_t pair = 0; pair < pairs; pair++) {
        __m512bh weights[3];
#pragma GCC unroll 3
        for (int b = 0; b < blocks; b++) {
            const uint16_t *at = packed + b * size + pair * 2 * OUTPUTS;
            weights[b] = (__m512bh)_mm512_loadu_si512(at);
            // The blocks that come after these: the weights of a model are larger than the processor's caches.
            if (fetch) _mm_prefetch((const char *)(at + blocks * size), _MM_HINT_T0);
        }
#pragma GCC unroll 8
        for (int t = 0; t < tokens; t++) {
            const __m512bh value = (__m512bh)_mm512_set1_epi32(x[t * across + pair]);
#pragma GCC unroll 3
            for (int b = 0; b < blocks; b++) sums[t][b] = _mm512_dpbf16_ps(sums[t][b], weights[b], value);
        }
    }
#pragma GCC unroll 8
    for (int t = 0; t < tokens; t++)
#pragma GCC unroll 3
        for (int b = 0; b < blocks; b++) {
            float *to = y + t * stride + b * OUTPUTS;
            const __mmask16 mask = b == blocks - 1 ? last : 0xFFFF;
            __m512 sum = sums[t][b];
            if (add) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, to));
            _mm512_mask_storeu_ps(to, mask, sum);
        }
}

static inline __attribute__((always_inline)) BF16 void tokens_of(
    const int blocks, const uint16_t *packed, const int32_t *x, int64_t across, int64_t pairs, float *y, int64_t stride, int64_t tokens, __mmask16 last, int add)
{
    int64_t t = 0;
    for (; t + 8 <= tokens; t += 8) tile(8, blocks, packed, x + t * across, across, pairs, y + t * stride, stride, last, add, t == 0);
    if (t + 4 <= tokens) tile(4, blocks, packed, x + t * across, across, pairs, y + t * stride, stride, last, add, t == 0), t += 4;
    if (t + 2 <= tokens) tile(2, blocks, packed, x + t * across, across, pairs, y + t * stride, stride, last, add, t == 0), t += 2;
    if (t < tokens) tile(1, blocks, packed, x + t * across, across, pairs, y + t * stride, stride, last, add, t == 0);
}

// y[tokens][stride] = or += x[tokens][across] times the transposed weights, for the outputs of blocks first .. end - 1. `across` is even; what stands in
// a row of x behind an odd number of inputs is multiplied by zero and must be finite.
EXPORT BF16 void gradus_bf16_product(
    const uint16_t *packed, const uint16_t *x, int64_t across, int64_t inputs, float *y, int64_t stride, int64_t tokens, int64_t outputs, int64_t first, int64_t end, int add)
{
    const int64_t pairs = (inputs + 1) / 2, size = pairs * 2 * OUTPUTS;
    const int32_t *values = (const int32_t *)x;
    for (int64_t block = first; block < end;) {
        const int64_t blocks = end - block >= 3 ? 3 : 1, beyond = (block + blocks) * OUTPUTS - outputs;
        const __mmask16 last = beyond > 0 ? 0xFFFF >> beyond : 0xFFFF;
        if (blocks == 3) tokens_of(3, packed + block * size, values, across / 2, pairs, y + block * OUTPUTS, stride, tokens, last, add);
        else tokens_of(1, packed + block * size, values, across / 2, pairs, y + block * OUTPUTS, stride, tokens, last, add);
        block += blocks;
    }
}
