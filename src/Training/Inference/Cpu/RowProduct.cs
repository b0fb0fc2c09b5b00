// y[tokens][outputs] = or += x[tokens][inputs] * w[outputs][inputs]^T in fp32, on the weights in place, row by row. A sum runs over its inputs in one order,
// whatever tile it stands in: a token's numbers are the same, bit for bit, in whatever company it goes.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Gradus.Training.Inference.Cpu;

internal static unsafe class RowProduct
{
    /// <summary>Tokens that pass by all outputs together: their rows stay in the nearest cache, and a part's weights in the next.</summary>
    private const int TokensInCache = 12;

    /// <summary>For the outputs <paramref name="first"/> to <paramref name="end"/> - 1.</summary>
    /// <param name="across">From one token's row of <paramref name="x"/> to the next.</param>
    /// <param name="stride">From one token's row of <paramref name="y"/> to the next.</param>
    public static void Multiply(float* x, long across, float* w, int inputs, float* y, long stride, int tokens, int first, int end, bool add)
    {
        if (Vector512.IsHardwareAccelerated) Wide(x, across, w, inputs, y, stride, tokens, first, end, add);
        else Narrow(x, across, w, inputs, y, stride, tokens, first, end, add);
    }

    /// <summary>512-bit vectors (AVX-512).</summary>
    internal static void Wide(float* x, long across, float* w, int inputs, float* y, long stride, int tokens, int first, int end, bool add)
    {
        for (var block = 0; block < tokens; block += TokensInCache)
        {
            int stop = Math.Min(tokens, block + TokensInCache), n = first;
            for (; n + 4 <= end; n += 4)
            {
                var t = block;
                for (; t + 6 <= stop; t += 6) Wide46(x + (t * across), across, w + ((long)n * inputs), inputs, y + (t * stride) + n, stride, add);
                for (; t < stop; t++) Wide41(x + (t * across), across, w + ((long)n * inputs), inputs, y + (t * stride) + n, stride, add);
            }
            for (; n < end; n++)
                for (var t = block; t < stop; t++) Wide11(x + (t * across), across, w + ((long)n * inputs), inputs, y + (t * stride) + n, stride, add);
        }
    }

    /// <summary>256-bit vectors (AVX2), or whatever the processor has in their place.</summary>
    internal static void Narrow(float* x, long across, float* w, int inputs, float* y, long stride, int tokens, int first, int end, bool add)
    {
        var n = first;
        for (; n + 3 <= end; n += 3)
        {
            var t = 0;
            for (; t + 4 <= tokens; t += 4) Narrow34(x + (t * across), across, w + ((long)n * inputs), inputs, y + (t * stride) + n, stride, add);
            for (; t < tokens; t++) Narrow31(x + (t * across), across, w + ((long)n * inputs), inputs, y + (t * stride) + n, stride, add);
        }
        for (; n < end; n++)
            for (var t = 0; t < tokens; t++) Narrow11(x + (t * across), across, w + ((long)n * inputs), inputs, y + (t * stride) + n, stride, add);
    }

    // What is left of the inputs after whole vectors comes last, one by one.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* to, float sum, float* x, float* w, int whole, int inputs, bool add)
    {
        for (var k = whole; k < inputs; k++) sum += w[k] * x[k];
        *to = add ? *to + sum : sum;
    }

    /// <summary>4 outputs of 6 tokens at a time, all sums in registers.</summary>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Wide46(float* x, long across, float* w, int inputs, float* y, long stride, bool add)
    {
        float* w0 = w, w1 = w + ((long)1 * inputs), w2 = w + ((long)2 * inputs), w3 = w + ((long)3 * inputs);
        float* x0 = x, x1 = x + (1 * across), x2 = x + (2 * across), x3 = x + (3 * across), x4 = x + (4 * across), x5 = x + (5 * across);
        Vector512<float> s00 = Vector512<float>.Zero, s01 = Vector512<float>.Zero, s02 = Vector512<float>.Zero, s03 = Vector512<float>.Zero;
        Vector512<float> s10 = Vector512<float>.Zero, s11 = Vector512<float>.Zero, s12 = Vector512<float>.Zero, s13 = Vector512<float>.Zero;
        Vector512<float> s20 = Vector512<float>.Zero, s21 = Vector512<float>.Zero, s22 = Vector512<float>.Zero, s23 = Vector512<float>.Zero;
        Vector512<float> s30 = Vector512<float>.Zero, s31 = Vector512<float>.Zero, s32 = Vector512<float>.Zero, s33 = Vector512<float>.Zero;
        Vector512<float> s40 = Vector512<float>.Zero, s41 = Vector512<float>.Zero, s42 = Vector512<float>.Zero, s43 = Vector512<float>.Zero;
        Vector512<float> s50 = Vector512<float>.Zero, s51 = Vector512<float>.Zero, s52 = Vector512<float>.Zero, s53 = Vector512<float>.Zero;
        var whole = inputs / 16 * 16;
        for (var k = 0; k < whole; k += 16)
        {
            Vector512<float> a0 = Vector512.Load(w0 + k), a1 = Vector512.Load(w1 + k), a2 = Vector512.Load(w2 + k), a3 = Vector512.Load(w3 + k);
            var b0 = Vector512.Load(x0 + k);
            s00 = Vector512.FusedMultiplyAdd(a0, b0, s00);
            s01 = Vector512.FusedMultiplyAdd(a1, b0, s01);
            s02 = Vector512.FusedMultiplyAdd(a2, b0, s02);
            s03 = Vector512.FusedMultiplyAdd(a3, b0, s03);
            var b1 = Vector512.Load(x1 + k);
            s10 = Vector512.FusedMultiplyAdd(a0, b1, s10);
            s11 = Vector512.FusedMultiplyAdd(a1, b1, s11);
            s12 = Vector512.FusedMultiplyAdd(a2, b1, s12);
            s13 = Vector512.FusedMultiplyAdd(a3, b1, s13);
            var b2 = Vector512.Load(x2 + k);
            s20 = Vector512.FusedMultiplyAdd(a0, b2, s20);
            s21 = Vector512.FusedMultiplyAdd(a1, b2, s21);
            s22 = Vector512.FusedMultiplyAdd(a2, b2, s22);
            s23 = Vector512.FusedMultiplyAdd(a3, b2, s23);
            var b3 = Vector512.Load(x3 + k);
            s30 = Vector512.FusedMultiplyAdd(a0, b3, s30);
            s31 = Vector512.FusedMultiplyAdd(a1, b3, s31);
            s32 = Vector512.FusedMultiplyAdd(a2, b3, s32);
            s33 = Vector512.FusedMultiplyAdd(a3, b3, s33);
            var b4 = Vector512.Load(x4 + k);
            s40 = Vector512.FusedMultiplyAdd(a0, b4, s40);
            s41 = Vector512.FusedMultiplyAdd(a1, b4, s41);
            s42 = Vector512.FusedMultiplyAdd(a2, b4, s42);
            s43 = Vector512.FusedMultiplyAdd(a3, b4, s43);
            var b5 = Vector512.Load(x5 + k);
            s50 = Vector512.FusedMultiplyAdd(a0, b5, s50);
            s51 = Vector512.FusedMultiplyAdd(a1, b5, s51);
            s52 = Vector512.FusedMultiplyAdd(a2, b5, s52);
            s53 = Vector512.FusedMultiplyAdd(a3, b5, s53);
        }
        Store(y, Vector512.Sum(s00), x0, w0, whole, inputs, add);
        Store(y + 1, Vector512.Sum(s01), x0, w1, whole, inputs, add);
        Store(y + 2, Vector512.Sum(s02), x0, w2, whole, inputs, add);
        Store(y + 3, Vector512.Sum(s03), x0, w3, whole, inputs, add);
        Store(y + (1 * stride) + 0, Vector512.Sum(s10), x1, w0, whole, inputs, add);
        Store(y + (1 * stride) + 1, Vector512.Sum(s11), x1, w1, whole, inputs, add);
        Store(y + (1 * stride) + 2, Vector512.Sum(s12), x1, w2, whole, inputs, add);
        Store(y + (1 * stride) + 3, Vector512.Sum(s13), x1, w3, whole, inputs, add);
        Store(y + (2 * stride) + 0, Vector512.Sum(s20), x2, w0, whole, inputs, add);
        Store(y + (2 * stride) + 1, Vector512.Sum(s21), x2, w1, whole, inputs, add);
        Store(y + (2 * stride) + 2, Vector512.Sum(s22), x2, w2, whole, inputs, add);
        Store(y + (2 * stride) + 3, Vector512.Sum(s23), x2, w3, whole, inputs, add);
        Store(y + (3 * stride) + 0, Vector512.Sum(s30), x3, w0, whole, inputs, add);
        Store(y + (3 * stride) + 1, Vector512.Sum(s31), x3, w1, whole, inputs, add);
        Store(y + (3 * stride) + 2, Vector512.Sum(s32), x3, w2, whole, inputs, add);
        Store(y + (3 * stride) + 3, Vector512.Sum(s33), x3, w3, whole, inputs, add);
        Store(y + (4 * stride) + 0, Vector512.Sum(s40), x4, w0, whole, inputs, add);
        Store(y + (4 * stride) + 1, Vector512.Sum(s41), x4, w1, whole, inputs, add);
        Store(y + (4 * stride) + 2, Vector512.Sum(s42), x4, w2, whole, inputs, add);
        Store(y + (4 * stride) + 3, Vector512.Sum(s43), x4, w3, whole, inputs, add);
        Store(y + (5 * stride) + 0, Vector512.Sum(s50), x5, w0, whole, inputs, add);
        Store(y + (5 * stride) + 1, Vector512.Sum(s51), x5, w1, whole, inputs, add);
        Store(y + (5 * stride) + 2, Vector512.Sum(s52), x5, w2, whole, inputs, add);
        Store(y + (5 * stride) + 3, Vector512.Sum(s53), x5, w3, whole, inputs, add);
    }

    /// <summary>4 outputs of 1 tokens at a time, all sums in registers.</summary>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Wide41(float* x, long across, float* w, int inputs, float* y, long stride, bool add)
    {
        float* w0 = w, w1 = w + ((long)1 * inputs), w2 = w + ((long)2 * inputs), w3 = w + ((long)3 * inputs);
        float* x0 = x;
        Vector512<float> s00 = Vector512<float>.Zero, s01 = Vector512<float>.Zero, s02 = Vector512<float>.Zero, s03 = Vector512<float>.Zero;
        var whole = inputs / 16 * 16;
        for (var k = 0; k < whole; k += 16)
        {
            Vector512<float> a0 = Vector512.Load(w0 + k), a1 = Vector512.Load(w1 + k), a2 = Vector512.Load(w2 + k), a3 = Vector512.Load(w3 + k);
            var b0 = Vector512.Load(x0 + k);
            s00 = Vector512.FusedMultiplyAdd(a0, b0, s00);
            s01 = Vector512.FusedMultiplyAdd(a1, b0, s01);
            s02 = Vector512.FusedMultiplyAdd(a2, b0, s02);
            s03 = Vector512.FusedMultiplyAdd(a3, b0, s03);
        }
        Store(y, Vector512.Sum(s00), x0, w0, whole, inputs, add);
        Store(y + 1, Vector512.Sum(s01), x0, w1, whole, inputs, add);
        Store(y + 2, Vector512.Sum(s02), x0, w2, whole, inputs, add);
        Store(y + 3, Vector512.Sum(s03), x0, w3, whole, inputs, add);
    }

    /// <summary>1 outputs of 1 tokens at a time, all sums in registers.</summary>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Wide11(float* x, long across, float* w, int inputs, float* y, long stride, bool add)
    {
        float* w0 = w;
        float* x0 = x;
        Vector512<float> s00 = Vector512<float>.Zero;
        var whole = inputs / 16 * 16;
        for (var k = 0; k < whole; k += 16)
        {
            Vector512<float> a0 = Vector512.Load(w0 + k);
            var b0 = Vector512.Load(x0 + k);
            s00 = Vector512.FusedMultiplyAdd(a0, b0, s00);
        }
        Store(y, Vector512.Sum(s00), x0, w0, whole, inputs, add);
    }

    /// <summary>3 outputs of 4 tokens at a time, all sums in registers.</summary>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Narrow34(float* x, long across, float* w, int inputs, float* y, long stride, bool add)
    {
        float* w0 = w, w1 = w + ((long)1 * inputs), w2 = w + ((long)2 * inputs);
        float* x0 = x, x1 = x + (1 * across), x2 = x + (2 * across), x3 = x + (3 * across);
        Vector256<float> s00 = Vector256<float>.Zero, s01 = Vector256<float>.Zero, s02 = Vector256<float>.Zero;
        Vector256<float> s10 = Vector256<float>.Zero, s11 = Vector256<float>.Zero, s12 = Vector256<float>.Zero;
        Vector256<float> s20 = Vector256<float>.Zero, s21 = Vector256<float>.Zero, s22 = Vector256<float>.Zero;
        Vector256<float> s30 = Vector256<float>.Zero, s31 = Vector256<float>.Zero, s32 = Vector256<float>.Zero;
        var whole = inputs / 8 * 8;
        for (var k = 0; k < whole; k += 8)
        {
            Vector256<float> a0 = Vector256.Load(w0 + k), a1 = Vector256.Load(w1 + k), a2 = Vector256.Load(w2 + k);
            var b0 = Vector256.Load(x0 + k);
            s00 = Vector256.FusedMultiplyAdd(a0, b0, s00);
            s01 = Vector256.FusedMultiplyAdd(a1, b0, s01);
            s02 = Vector256.FusedMultiplyAdd(a2, b0, s02);
            var b1 = Vector256.Load(x1 + k);
            s10 = Vector256.FusedMultiplyAdd(a0, b1, s10);
            s11 = Vector256.FusedMultiplyAdd(a1, b1, s11);
            s12 = Vector256.FusedMultiplyAdd(a2, b1, s12);
            var b2 = Vector256.Load(x2 + k);
            s20 = Vector256.FusedMultiplyAdd(a0, b2, s20);
            s21 = Vector256.FusedMultiplyAdd(a1, b2, s21);
            s22 = Vector256.FusedMultiplyAdd(a2, b2, s22);
            var b3 = Vector256.Load(x3 + k);
            s30 = Vector256.FusedMultiplyAdd(a0, b3, s30);
            s31 = Vector256.FusedMultiplyAdd(a1, b3, s31);
            s32 = Vector256.FusedMultiplyAdd(a2, b3, s32);
        }
        Store(y, Vector256.Sum(s00), x0, w0, whole, inputs, add);
        Store(y + 1, Vector256.Sum(s01), x0, w1, whole, inputs, add);
        Store(y + 2, Vector256.Sum(s02), x0, w2, whole, inputs, add);
        Store(y + (1 * stride) + 0, Vector256.Sum(s10), x1, w0, whole, inputs, add);
        Store(y + (1 * stride) + 1, Vector256.Sum(s11), x1, w1, whole, inputs, add);
        Store(y + (1 * stride) + 2, Vector256.Sum(s12), x1, w2, whole, inputs, add);
        Store(y + (2 * stride) + 0, Vector256.Sum(s20), x2, w0, whole, inputs, add);
        Store(y + (2 * stride) + 1, Vector256.Sum(s21), x2, w1, whole, inputs, add);
        Store(y + (2 * stride) + 2, Vector256.Sum(s22), x2, w2, whole, inputs, add);
        Store(y + (3 * stride) + 0, Vector256.Sum(s30), x3, w0, whole, inputs, add);
        Store(y + (3 * stride) + 1, Vector256.Sum(s31), x3, w1, whole, inputs, add);
        Store(y + (3 * stride) + 2, Vector256.Sum(s32), x3, w2, whole, inputs, add);
    }

    /// <summary>3 outputs of 1 tokens at a time, all sums in registers.</summary>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Narrow31(float* x, long across, float* w, int inputs, float* y, long stride, bool add)
    {
        float* w0 = w, w1 = w + ((long)1 * inputs), w2 = w + ((long)2 * inputs);
        float* x0 = x;
        Vector256<float> s00 = Vector256<float>.Zero, s01 = Vector256<float>.Zero, s02 = Vector256<float>.Zero;
        var whole = inputs / 8 * 8;
        for (var k = 0; k < whole; k += 8)
        {
            Vector256<float> a0 = Vector256.Load(w0 + k), a1 = Vector256.Load(w1 + k), a2 = Vector256.Load(w2 + k);
            var b0 = Vector256.Load(x0 + k);
            s00 = Vector256.FusedMultiplyAdd(a0, b0, s00);
            s01 = Vector256.FusedMultiplyAdd(a1, b0, s01);
            s02 = Vector256.FusedMultiplyAdd(a2, b0, s02);
        }
        Store(y, Vector256.Sum(s00), x0, w0, whole, inputs, add);
        Store(y + 1, Vector256.Sum(s01), x0, w1, whole, inputs, add);
        Store(y + 2, Vector256.Sum(s02), x0, w2, whole, inputs, add);
    }

    /// <summary>1 outputs of 1 tokens at a time, all sums in registers.</summary>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Narrow11(float* x, long across, float* w, int inputs, float* y, long stride, bool add)
    {
        float* w0 = w;
        float* x0 = x;
        Vector256<float> s00 = Vector256<float>.Zero;
        var whole = inputs / 8 * 8;
        for (var k = 0; k < whole; k += 8)
        {
            Vector256<float> a0 = Vector256.Load(w0 + k);
            var b0 = Vector256.Load(x0 + k);
            s00 = Vector256.FusedMultiplyAdd(a0, b0, s00);
        }
        Store(y, Vector256.Sum(s00), x0, w0, whole, inputs, add);
    }
}
