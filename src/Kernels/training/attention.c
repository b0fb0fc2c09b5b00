// Causal grouped-query attention of whole sequences with rotary positions, and its way back: softmax(q k^T / sqrt(width)) v for each head, q and k turned.
// Tokens lie one after the other in families. A family's first segment is seen by its others as far as each says ("shared": a prompt and its completions);
// beyond that a token sees the tokens of its own segment up to itself. What may not be seen is not computed, but for the corner of a block of rows.
// Backward, with p the softmax, per row:  dv = p^T dy,  dp = dy v^T,  ds = p (dp - sum(p dp)),  dq = ds k / sqrt(width),  dk = ds^T q / sqrt(width).
// All is fp32 within; one thread computes a family's key head with all query heads that share it.
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "vectors.h"

// Query rows computed together.
#define ROWS 36

typedef struct {
    const int64_t *families;   // [count + 1]: a family's first segment
    const int64_t *segments;   // [..][3]: first token, end, shared tokens
    const int32_t *positions;  // of each token
    const float *cos, *sin;    // [position][width]; the sines carry the signs of the turn
    const float *bias;         // [(heads + 2 keys) * width], added to the products, or null
    int64_t count, heads, keys, width;
    int32_t half;
} attention;

// c[rows][16 * vectors] = or += a b: a's element (r, k) at a[r * ar + k * ak], b's row k at b + k * bs.
INLINE void tile(const int rows, const int vectors, const float *a, int64_t ar, int64_t ak, const float *b, int64_t bs, float *c, int64_t cs, int64_t depth, int add)
{
    vector sums[6][4];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) sums[r][v] = add ? _mm512_loadu_ps(c + r * cs + 16 * v) : _mm512_setzero_ps();
    for (int64_t k = 0; k < depth; k++) {
        vector right[4];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) right[v] = _mm512_loadu_ps(b + k * bs + 16 * v);
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            const vector left = all(a[r * ar + k * ak]);
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++) sums[r][v] = fused(left, right[v], sums[r][v]);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) _mm512_storeu_ps(c + r * cs + 16 * v, sums[r][v]);
}

INLINE void strip(const int vectors, const float *a, int64_t ar, int64_t ak, const float *b, int64_t bs, float *c, int64_t cs, int64_t rows, int64_t depth, int add)
{
    int64_t r = 0;
    for (; r + 6 <= rows; r += 6) tile(6, vectors, a + r * ar, ar, ak, b, bs, c + r * cs, cs, depth, add);
    if (r + 3 <= rows) tile(3, vectors, a + r * ar, ar, ak, b, bs, c + r * cs, cs, depth, add), r += 3;
    for (; r < rows; r++) tile(1, vectors, a + r * ar, ar, ak, b, bs, c + r * cs, cs, depth, add);
}

// columns is a multiple of 16.
static void multiply(const float *a, int64_t ar, int64_t ak, const float *b, int64_t bs, float *c, int64_t cs, int64_t rows, int64_t columns, int64_t depth, int add)
{
    int64_t n = 0;
    for (; n + 64 <= columns; n += 64) strip(4, a, ar, ak, b + n, bs, c + n, cs, rows, depth, add);
    if (n + 32 <= columns) strip(2, a, ar, ak, b + n, bs, c + n, cs, rows, depth, add), n += 32;
    if (n < columns) strip(1, a, ar, ak, b + n, bs, c + n, cs, rows, depth, add);
}

// One head of one token as fp32 times a factor, turned to its position where there are angles; beyond the width zeros up to a multiple of 16.
static void read_head(const attention *at, const void *from, int64_t offset, const float *bias, const float *cos, const float *sin, float factor, float *to)
{
    const int64_t width = at->width, turn = width / 2;
    float plain[width + 16];
    float *target = cos ? plain : to;
    for (int64_t i = 0; i < width; i += 16) {
        const __mmask16 there = lanes(width - i);
        vector value = load(from, offset + i, there, at->half);
        if (bias) value = _mm512_add_ps(value, load(bias, i, there, 0));
        _mm512_storeu_ps(target + i, value);
    }
    if (!cos) return;
    const int64_t padded = (width + 15) / 16 * 16;
    if (padded != width) memset(to + width, 0, (padded - width) * sizeof(float));
    for (int64_t i = 0; i < turn; i += 16) {
        const __mmask16 there = lanes(turn - i);
        const vector low = load(plain, i, there, 0), high = load(plain, turn + i, there, 0);
        store(to, i, _mm512_mul_ps(all(factor), fused(high, load(sin, i, there, 0), _mm512_mul_ps(low, load(cos, i, there, 0)))), there, 0);
        store(to, turn + i, _mm512_mul_ps(all(factor), fused(low, load(sin, turn + i, there, 0), _mm512_mul_ps(high, load(cos, turn + i, there, 0)))), there, 0);
    }
}

// The way back of read_head: a gradient turned back, times the factor, into the gradient of the products.
static void write_back(const attention *at, const float *from, const float *cos, const float *sin, float factor, void *to, int64_t offset)
{
    const int64_t width = at->width, turn = width / 2;
    if (!cos) {
        for (int64_t i = 0; i < width; i += 16) store(to, offset + i, load(from, i, lanes(width - i), 0), lanes(width - i), at->half);
        return;
    }
    for (int64_t i = 0; i < turn; i += 16) {
        const __mmask16 there = lanes(turn - i);
        const vector low = load(from, i, there, 0), high = load(from, turn + i, there, 0);
        store(to, offset + i, _mm512_mul_ps(all(factor), fused(high, load(sin, turn + i, there, 0), _mm512_mul_ps(low, load(cos, i, there, 0)))), there, at->half);
        store(to, offset + turn + i, _mm512_mul_ps(all(factor), fused(low, load(sin, i, there, 0), _mm512_mul_ps(high, load(cos, turn + i, there, 0)))), there, at->half);
    }
}

// rows[count][across] transposed into columns[width][stride]; what lies behind the last of them is 0.
static void transpose(const float *rows, int64_t count, int64_t across, float *columns, int64_t width, int64_t stride)
{
    for (int64_t h = 0; h < width; h++) {
        float *column = columns + h * stride;
        for (int64_t t = 0; t < count; t++) column[t] = rows[t * across + h];
        memset(column + count, 0, (stride - count) * sizeof(float));
    }
}

// What a thread computes a family's key head in. Kept by the thread from call to call.
typedef struct { float *k, *kt, *v, *vt, *dk, *dv, *q, *dq, *dy, *p, *dp; int64_t padded, stride, scores; } room;

static room make_room(int64_t tokens, int64_t width, int back)
{
    static __thread float *memory;
    static __thread int64_t size;
    room in;
    in.padded = (width + 15) / 16 * 16;
    in.stride = (tokens + 15) / 16 * 16 + 64;
    // Shared and own columns each end on a whole vector.
    in.scores = in.stride;
    const int64_t rows = tokens * in.padded, columns = in.padded * in.stride, block = ROWS * in.padded;
    const int64_t needed = 4 * rows + 2 * columns + 3 * block + 2 * ROWS * in.scores;
    if (needed > size) {
        free(memory);
        memory = aligned_alloc(64, (needed * sizeof(float) + 63) / 64 * 64);
        if (!memory) abort();
        size = needed;
    }
    float *next = memory;
    in.k = next, next += rows;
    in.v = next, next += rows;
    in.dk = next, next += rows;
    in.dv = next, next += rows;
    in.kt = next, next += columns;
    in.vt = next, next += columns;
    in.q = next, next += block;
    in.dq = next, next += block;
    in.dy = next, next += block;
    in.p = next, next += ROWS * in.scores;
    in.dp = next;
    if (back) memset(in.dk, 0, 2 * rows * sizeof(float));
    return in;
}

// Keys and values of a family's key head.
static void read_keys(const attention *at, const void *qkv, int64_t start, int64_t tokens, int64_t key, const room *in, int back)
{
    const int64_t across = (at->heads + 2 * at->keys) * at->width, k = (at->heads + key) * at->width, v = k + at->keys * at->width;
    for (int64_t t = 0; t < tokens; t++) {
        const int64_t row = (start + t) * across, angle = at->positions[start + t] * at->width;
        read_head(at, qkv, row + k, at->bias ? at->bias + k : 0, at->cos + angle, at->sin + angle, 1, in->k + t * in->padded);
        read_head(at, qkv, row + v, at->bias ? at->bias + v : 0, 0, 0, 1, in->v + t * in->padded);
    }
    transpose(in->k, tokens, in->padded, in->kt, at->width, in->stride);
    if (back) transpose(in->v, tokens, in->padded, in->vt, at->width, in->stride);
}

// softmax of a block's scores. Row r sees `shared` columns, and of those from `own` on (a multiple of 16) its first seen + r + 1; all others become 0, up to `end`.
static void softmax(float *p, int64_t stride, int64_t rows, int64_t shared, int64_t own, int64_t seen, int64_t end)
{
    for (int64_t r = 0; r < rows; r++) {
        float *row = p + r * stride;
        const int64_t last = own + seen + r + 1;
        for (int64_t i = shared; i < own; i++) row[i] = -INFINITY;
        for (int64_t i = last; i < end; i++) row[i] = -INFINITY;
        vector highest = all(-INFINITY), sums = _mm512_setzero_ps();
        for (int64_t i = 0; i < end; i += 16) highest = _mm512_max_ps(highest, _mm512_loadu_ps(row + i));
        const vector top = all(_mm512_reduce_max_ps(highest));
        for (int64_t i = 0; i < end; i += 16) {
            const vector score = _mm512_loadu_ps(row + i);
            // NaN compares as above, and stays: only what may not be seen is 0.
            const vector e = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(score, all(-INFINITY), _CMP_NEQ_UQ), exponential(_mm512_sub_ps(score, top)));
            sums = _mm512_add_ps(sums, e);
            _mm512_storeu_ps(row + i, e);
        }
        const vector factor = all(1 / _mm512_reduce_add_ps(sums));
        for (int64_t i = 0; i < end; i += 16) _mm512_storeu_ps(row + i, _mm512_mul_ps(_mm512_loadu_ps(row + i), factor));
    }
}

// A family's key head with the query heads that share it. dy and dqkv are null on the way there, y on the way back.
static void key_head(const attention *at, const void *qkv, void *y, const void *dy, void *dqkv, int64_t family, int64_t key)
{
    const int64_t *segments = at->segments + 3 * at->families[family], *last = at->segments + 3 * (at->families[family + 1] - 1);
    const int64_t start = segments[0], tokens = last[1] - start, width = at->width, group = at->heads / at->keys;
    const int64_t across = (at->heads + 2 * at->keys) * width, wide = at->heads * width;
    const float scale = 1 / sqrtf((float)width);
    const room in = make_room(tokens, width, dy != 0);
    read_keys(at, qkv, start, tokens, key, &in, dy != 0);
    for (const int64_t *segment = segments; segment <= last; segment += 3)
        for (int64_t head = key * group; head < (key + 1) * group; head++)
            for (int64_t first = segment[0]; first < segment[1]; first += ROWS) {
                const int64_t rows = segment[1] - first < ROWS ? segment[1] - first : ROWS, shared = segment[2];
                const int64_t own = (shared + 15) / 16 * 16, from = segment[0] - start, seen = first - segment[0], count = seen + rows, end = own + (count + 15) / 16 * 16;
                for (int64_t r = 0; r < rows; r++) {
                    const int64_t angle = at->positions[first + r] * width, offset = (first + r) * across + head * width;
                    read_head(at, qkv, offset, at->bias ? at->bias + head * width : 0, at->cos + angle, at->sin + angle, scale, in.q + r * in.padded);
                }
                if (shared) multiply(in.q, in.padded, 1, in.kt, in.stride, in.p, in.scores, rows, own, width, 0);
                multiply(in.q, in.padded, 1, in.kt + from, in.stride, in.p + own, in.scores, rows, end - own, width, 0);
                softmax(in.p, in.scores, rows, shared, own, seen, end);
                if (!dy) {
                    multiply(in.p + own, in.scores, 1, in.v + from * in.padded, in.padded, in.dq, in.padded, rows, in.padded, count, 0);
                    if (shared) multiply(in.p, in.scores, 1, in.v, in.padded, in.dq, in.padded, rows, in.padded, shared, 1);
                    for (int64_t r = 0; r < rows; r++) write_back(at, in.dq + r * in.padded, 0, 0, 1, y, (first + r) * wide + head * width);
                    continue;
                }
                for (int64_t r = 0; r < rows; r++) read_head(at, dy, (first + r) * wide + head * width, 0, 0, 0, 1, in.dy + r * in.padded);
                if (shared) multiply(in.dy, in.padded, 1, in.vt, in.stride, in.dp, in.scores, rows, own, width, 0);
                multiply(in.dy, in.padded, 1, in.vt + from, in.stride, in.dp + own, in.scores, rows, end - own, width, 0);
                if (shared) multiply(in.p, 1, in.scores, in.dy, in.padded, in.dv, in.padded, shared, in.padded, rows, 1);
                multiply(in.p + own, 1, in.scores, in.dy, in.padded, in.dv + from * in.padded, in.padded, count, in.padded, rows, 1);
                for (int64_t r = 0; r < rows; r++) {
                    float *p = in.p + r * in.scores, *dp = in.dp + r * in.scores;
                    vector sums = _mm512_setzero_ps();
                    for (int64_t i = 0; i < end; i += 16) sums = fused(_mm512_loadu_ps(p + i), _mm512_loadu_ps(dp + i), sums);
                    const vector sum = all(_mm512_reduce_add_ps(sums));
                    for (int64_t i = 0; i < end; i += 16) _mm512_storeu_ps(dp + i, _mm512_mul_ps(_mm512_loadu_ps(p + i), _mm512_sub_ps(_mm512_loadu_ps(dp + i), sum)));
                }
                multiply(in.dp + own, in.scores, 1, in.k + from * in.padded, in.padded, in.dq, in.padded, rows, in.padded, count, 0);
                if (shared) multiply(in.dp, in.scores, 1, in.k, in.padded, in.dq, in.padded, rows, in.padded, shared, 1);
                if (shared) multiply(in.dp, 1, in.scores, in.q, in.padded, in.dk, in.padded, shared, in.padded, rows, 1);
                multiply(in.dp + own, 1, in.scores, in.q, in.padded, in.dk + from * in.padded, in.padded, count, in.padded, rows, 1);
                for (int64_t r = 0; r < rows; r++) {
                    const int64_t angle = at->positions[first + r] * width;
                    write_back(at, in.dq + r * in.padded, at->cos + angle, at->sin + angle, scale, dqkv, (first + r) * across + head * width);
                }
            }
    if (!dy) return;
    for (int64_t t = 0; t < tokens; t++) {
        const int64_t angle = at->positions[start + t] * width, k = (start + t) * across + (at->heads + key) * width;
        write_back(at, in.dk + t * in.padded, at->cos + angle, at->sin + angle, 1, dqkv, k);
        write_back(at, in.dv + t * in.padded, 0, 0, 1, dqkv, k + at->keys * width);
    }
}

// qkv[tokens][(heads + 2 keys) * width]: queries, keys, values; y[tokens][heads * width].
EXPORT void gradus_attention(const attention *at, const void *qkv, void *y)
{
#pragma omp parallel for schedule(dynamic, 1)
    for (int64_t item = 0; item < at->count * at->keys; item++) key_head(at, qkv, y, 0, 0, item / at->keys, item % at->keys);
}

EXPORT void gradus_attention_back(const attention *at, const void *qkv, const void *dy, void *dqkv)
{
#pragma omp parallel for schedule(dynamic, 1)
    for (int64_t item = 0; item < at->count * at->keys; item++) key_head(at, qkv, 0, dy, dqkv, item / at->keys, item % at->keys);
}
