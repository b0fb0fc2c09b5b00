// y[outputs][lanes] = w[outputs][inputs] * x[inputs][lanes] for 16 or 64 lanes (sequences or tokens). A vector holds 16 lanes and each weight is
// broadcast, so the weights are read in place, row by row, and a lane's sum runs over its inputs in one order whatever stands in the other lanes.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Gradus.Training.Inference.Cpu;

internal static unsafe class LaneProduct
{
    /// <summary>The widest tile; its kernel keeps 24 sums in registers.</summary>
    public const int WideLanes = 64;

    public const int NarrowLanes = 16;

    /// <summary>Fewest outputs of a product: what a kernel computes at a time.</summary>
    public const int LeastOutputs = 12;

    public static void Multiply(float* x, float* w, float* y, int outputs, int inputs, int lanes)
    {
        if (lanes == WideLanes) Wide(x, w, y, outputs, inputs);
        else Narrow(x, w, y, outputs, inputs);
    }

    /// <summary>64 lanes, 6 outputs at a time.</summary>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Wide(float* x, float* w, float* y, int outputs, int inputs)
    {
        for (var block = 0; block < outputs; block += 6)
        {
            // The last block overlaps the one before: the same numbers are written again.
            var n = Math.Min(block, outputs - 6);
            float* w0 = w + ((long)(n + 0) * inputs), w1 = w + ((long)(n + 1) * inputs), w2 = w + ((long)(n + 2) * inputs), w3 = w + ((long)(n + 3) * inputs), w4 = w + ((long)(n + 4) * inputs), w5 = w + ((long)(n + 5) * inputs);
            Vector512<float> c00 = Vector512<float>.Zero, c10 = Vector512<float>.Zero, c20 = Vector512<float>.Zero, c30 = Vector512<float>.Zero, c40 = Vector512<float>.Zero, c50 = Vector512<float>.Zero;
            Vector512<float> c01 = Vector512<float>.Zero, c11 = Vector512<float>.Zero, c21 = Vector512<float>.Zero, c31 = Vector512<float>.Zero, c41 = Vector512<float>.Zero, c51 = Vector512<float>.Zero;
            Vector512<float> c02 = Vector512<float>.Zero, c12 = Vector512<float>.Zero, c22 = Vector512<float>.Zero, c32 = Vector512<float>.Zero, c42 = Vector512<float>.Zero, c52 = Vector512<float>.Zero;
            Vector512<float> c03 = Vector512<float>.Zero, c13 = Vector512<float>.Zero, c23 = Vector512<float>.Zero, c33 = Vector512<float>.Zero, c43 = Vector512<float>.Zero, c53 = Vector512<float>.Zero;
            var at = x;
            for (var k = 0; k < inputs; k++, at += 64)
            {
                Vector512<float> x0 = Vector512.Load(at + 0), x1 = Vector512.Load(at + 16), x2 = Vector512.Load(at + 32), x3 = Vector512.Load(at + 48);
                var s0 = Vector512.Create(w0[k]);
                c00 = Vector512.FusedMultiplyAdd(x0, s0, c00);
                c01 = Vector512.FusedMultiplyAdd(x1, s0, c01);
                c02 = Vector512.FusedMultiplyAdd(x2, s0, c02);
                c03 = Vector512.FusedMultiplyAdd(x3, s0, c03);
                var s1 = Vector512.Create(w1[k]);
                c10 = Vector512.FusedMultiplyAdd(x0, s1, c10);
                c11 = Vector512.FusedMultiplyAdd(x1, s1, c11);
                c12 = Vector512.FusedMultiplyAdd(x2, s1, c12);
                c13 = Vector512.FusedMultiplyAdd(x3, s1, c13);
                var s2 = Vector512.Create(w2[k]);
                c20 = Vector512.FusedMultiplyAdd(x0, s2, c20);
                c21 = Vector512.FusedMultiplyAdd(x1, s2, c21);
                c22 = Vector512.FusedMultiplyAdd(x2, s2, c22);
                c23 = Vector512.FusedMultiplyAdd(x3, s2, c23);
                var s3 = Vector512.Create(w3[k]);
                c30 = Vector512.FusedMultiplyAdd(x0, s3, c30);
                c31 = Vector512.FusedMultiplyAdd(x1, s3, c31);
                c32 = Vector512.FusedMultiplyAdd(x2, s3, c32);
                c33 = Vector512.FusedMultiplyAdd(x3, s3, c33);
                var s4 = Vector512.Create(w4[k]);
                c40 = Vector512.FusedMultiplyAdd(x0, s4, c40);
                c41 = Vector512.FusedMultiplyAdd(x1, s4, c41);
                c42 = Vector512.FusedMultiplyAdd(x2, s4, c42);
                c43 = Vector512.FusedMultiplyAdd(x3, s4, c43);
                var s5 = Vector512.Create(w5[k]);
                c50 = Vector512.FusedMultiplyAdd(x0, s5, c50);
                c51 = Vector512.FusedMultiplyAdd(x1, s5, c51);
                c52 = Vector512.FusedMultiplyAdd(x2, s5, c52);
                c53 = Vector512.FusedMultiplyAdd(x3, s5, c53);
            }
            var to = y + ((long)n * 64);
            c00.Store(to + 0);
            c01.Store(to + 16);
            c02.Store(to + 32);
            c03.Store(to + 48);
            c10.Store(to + 64);
            c11.Store(to + 80);
            c12.Store(to + 96);
            c13.Store(to + 112);
            c20.Store(to + 128);
            c21.Store(to + 144);
            c22.Store(to + 160);
            c23.Store(to + 176);
            c30.Store(to + 192);
            c31.Store(to + 208);
            c32.Store(to + 224);
            c33.Store(to + 240);
            c40.Store(to + 256);
            c41.Store(to + 272);
            c42.Store(to + 288);
            c43.Store(to + 304);
            c50.Store(to + 320);
            c51.Store(to + 336);
            c52.Store(to + 352);
            c53.Store(to + 368);
        }
    }

    /// <summary>16 lanes, 12 outputs at a time.</summary>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Narrow(float* x, float* w, float* y, int outputs, int inputs)
    {
        for (var block = 0; block < outputs; block += 12)
        {
            // The last block overlaps the one before: the same numbers are written again.
            var n = Math.Min(block, outputs - 12);
            float* w0 = w + ((long)(n + 0) * inputs), w1 = w + ((long)(n + 1) * inputs), w2 = w + ((long)(n + 2) * inputs), w3 = w + ((long)(n + 3) * inputs), w4 = w + ((long)(n + 4) * inputs), w5 = w + ((long)(n + 5) * inputs), w6 = w + ((long)(n + 6) * inputs), w7 = w + ((long)(n + 7) * inputs), w8 = w + ((long)(n + 8) * inputs), w9 = w + ((long)(n + 9) * inputs), w10 = w + ((long)(n + 10) * inputs), w11 = w + ((long)(n + 11) * inputs);
            Vector512<float> c00 = Vector512<float>.Zero, c10 = Vector512<float>.Zero, c20 = Vector512<float>.Zero, c30 = Vector512<float>.Zero, c40 = Vector512<float>.Zero, c50 = Vector512<float>.Zero, c60 = Vector512<float>.Zero, c70 = Vector512<float>.Zero, c80 = Vector512<float>.Zero, c90 = Vector512<float>.Zero, c100 = Vector512<float>.Zero, c110 = Vector512<float>.Zero;
            var at = x;
            for (var k = 0; k < inputs; k++, at += 16)
            {
                Vector512<float> x0 = Vector512.Load(at + 0);
                c00 = Vector512.FusedMultiplyAdd(x0, Vector512.Create(w0[k]), c00);
                c10 = Vector512.FusedMultiplyAdd(x0, Vector512.Create(w1[k]), c10);
                c20 = Vector512.FusedMultiplyAdd(x0, Vector512.Create(w2[k]), c20);
                c30 = Vector512.FusedMultiplyAdd(x0, Vector512.Create(w3[k]), c30);
                c40 = Vector512.FusedMultiplyAdd(x0, Vector512.Create(w4[k]), c40);
                c50 = Vector512.FusedMultiplyAdd(x0, Vector512.Create(w5[k]), c50);
                c60 = Vector512.FusedMultiplyAdd(x0, Vector512.Create(w6[k]), c60);
                c70 = Vector512.FusedMultiplyAdd(x0, Vector512.Create(w7[k]), c70);
                c80 = Vector512.FusedMultiplyAdd(x0, Vector512.Create(w8[k]), c80);
                c90 = Vector512.FusedMultiplyAdd(x0, Vector512.Create(w9[k]), c90);
                c100 = Vector512.FusedMultiplyAdd(x0, Vector512.Create(w10[k]), c100);
                c110 = Vector512.FusedMultiplyAdd(x0, Vector512.Create(w11[k]), c110);
            }
            var to = y + ((long)n * 16);
            c00.Store(to + 0);
            c10.Store(to + 16);
            c20.Store(to + 32);
            c30.Store(to + 48);
            c40.Store(to + 64);
            c50.Store(to + 80);
            c60.Store(to + 96);
            c70.Store(to + 112);
            c80.Store(to + 128);
            c90.Store(to + 144);
            c100.Store(to + 160);
            c110.Store(to + 176);
        }
    }
}
