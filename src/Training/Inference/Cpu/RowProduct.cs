// y[tokens][outputs] = or += x[tokens][inputs] * w[outputs][inputs]^T in fp32, on the weights in place, row by row. A sum runs over its inputs in one order,
// whatever tile it stands in: a token's numbers are the same, bit for bit, in whatever company it goes.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

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
                for (; t + 2 < stop; t += 6) Wide46(x + (t * across), across, w + ((long)n * inputs), inputs, y + (t * stride) + n, stride, Math.Min(6, stop - t), add);
                for (; t < stop; t++) Wide41(x + (t * across), w + ((long)n * inputs), inputs, y + (t * stride) + n, add);
            }
            for (; n < end; n++)
                for (var t = block; t < stop; t++) Wide11(x + (t * across), w + ((long)n * inputs), inputs, y + (t * stride) + n, add);
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

    // Four sums of four vectors at once: a sum over 16 places alone takes as long as 12 products. What is left of the inputs after whole vectors comes last.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Sums(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d, float* x, float* w, int inputs)
    {
        var ab = (Avx512F.UnpackLow(a, b) + Avx512F.UnpackHigh(a, b)).AsDouble();
        var cd = (Avx512F.UnpackLow(c, d) + Avx512F.UnpackHigh(c, d)).AsDouble();
        var quarters = Avx512F.UnpackLow(ab, cd).AsSingle() + Avx512F.UnpackHigh(ab, cd).AsSingle();
        var halves = quarters.GetLower() + quarters.GetUpper();
        var sums = halves.GetLower() + halves.GetUpper();
        for (var k = inputs / 16 * 16; k < inputs; k++) sums += Vector128.Create(w[k], w[inputs + k], w[(2L * inputs) + k], w[(3L * inputs) + k]) * x[k];
        return sums;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* to, Vector128<float> sums, bool add) => (add ? Vector128.Load(to) + sums : sums).Store(to);

    /// <summary>4 outputs of up to 6 tokens at a time, all sums in registers; with fewer tokens the last one is computed again instead.</summary>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Wide46(float* x, long across, float* w, int inputs, float* y, long stride, int count, bool add)
    {
        float* w0 = w, w1 = w + ((long)1 * inputs), w2 = w + ((long)2 * inputs), w3 = w + ((long)3 * inputs);
        float* x0 = x, x1 = x + (Math.Min(1, count - 1) * across), x2 = x + (Math.Min(2, count - 1) * across), x3 = x + (Math.Min(3, count - 1) * across), x4 = x + (Math.Min(4, count - 1) * across), x5 = x + (Math.Min(5, count - 1) * across);
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
        Store(y + (0 * stride), Sums(s00, s01, s02, s03, x0, w, inputs), add);
        if (count > 1) Store(y + (1 * stride), Sums(s10, s11, s12, s13, x1, w, inputs), add);
        if (count > 2) Store(y + (2 * stride), Sums(s20, s21, s22, s23, x2, w, inputs), add);
        if (count > 3) Store(y + (3 * stride), Sums(s30, s31, s32, s33, x3, w, inputs), add);
        if (count > 4) Store(y + (4 * stride), Sums(s40, s41, s42, s43, x4, w, inputs), add);
        if (count > 5) Store(y + (5 * stride), Sums(s50, s51, s52, s53, x5, w, inputs), add);
    }

    /// <summary>4 outputs of a token.</summary>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Wide41(float* x, float* w, int inputs, float* y, bool add)
    {
        float* w1 = w + inputs, w2 = w1 + inputs, w3 = w2 + inputs;
        Vector512<float> s0 = Vector512<float>.Zero, s1 = s0, s2 = s0, s3 = s0;
        var whole = inputs / 16 * 16;
        for (var k = 0; k < whole; k += 16)
        {
            var b = Vector512.Load(x + k);
            s0 = Vector512.FusedMultiplyAdd(Vector512.Load(w + k), b, s0);
            s1 = Vector512.FusedMultiplyAdd(Vector512.Load(w1 + k), b, s1);
            s2 = Vector512.FusedMultiplyAdd(Vector512.Load(w2 + k), b, s2);
            s3 = Vector512.FusedMultiplyAdd(Vector512.Load(w3 + k), b, s3);
        }
        Store(y, Sums(s0, s1, s2, s3, x, w, inputs), add);
    }

    /// <summary>One of the outputs that are left over.</summary>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Wide11(float* x, float* w, int inputs, float* y, bool add)
    {
        var sum = Vector512<float>.Zero;
        var whole = inputs / 16 * 16;
        for (var k = 0; k < whole; k += 16) sum = Vector512.FusedMultiplyAdd(Vector512.Load(w + k), Vector512.Load(x + k), sum);
        Store(y, Vector512.Sum(sum), x, w, whole, inputs, add);
    }

    // What is left of the inputs after whole vectors comes last, one by one.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* to, float sum, float* x, float* w, int whole, int inputs, bool add)
    {
        for (var k = whole; k < inputs; k++) sum += w[k] * x[k];
        *to = add ? *to + sum : sum;
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
