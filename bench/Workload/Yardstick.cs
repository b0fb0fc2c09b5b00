using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace Gradus.Workload;

/// <summary>
/// What this machine gives at this moment: fp32 matrix products and memory reads, both with all the threads of the run. Rates of the
/// product are read against it, since a shared machine is not equally fast twice.
/// </summary>
/// <param name="MatmulBest">GF/s of the fastest product of two 2048 x 2048 fp32 matrices (2 x 2048^3 operations).</param>
/// <param name="MatmulMedian">GF/s of the median product.</param>
/// <param name="ReadBest">GB/s (10^9 bytes) of the fastest pass over 512 MiB.</param>
public sealed record Yardstick(int Threads, double MatmulBest, double MatmulMedian, double ReadBest)
{
    private const int Size = 2048;

    /// <summary>Takes about two seconds on two cores.</summary>
    public static Yardstick Measure(int threads)
    {
        var (best, median) = Matmul();
        return new Yardstick(threads, best, median, Read(threads));
    }

    public override string ToString() =>
        FormattableString.Invariant($"yardstick ({Threads} threads): fp32 {Size}^3 product best {MatmulBest:F0}, median {MatmulMedian:F0} GF/s; memory read {ReadBest:F1} GB/s");

    private static (double Best, double Median) Matmul()
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        Tensor a = randn(Size, Size), b = randn(Size, Size);
        var rates = new double[20];
        for (int k = -2; k < rates.Length; k++)
        {
            long start = Stopwatch.GetTimestamp();
            a.matmul(b).Dispose();
            if (k >= 0) rates[k] = 2.0 * Size * Size * Size / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e9;
        }
        Array.Sort(rates);
        return (rates[^1], rates[rates.Length / 2]);
    }

    private static double Read(int threads)
    {
        const int PerPass = 1 << 29;
        int floats = PerPass / sizeof(float) / threads;
        float[][] parts = Enumerable.Range(0, threads).Select(_ => GC.AllocateArray<float>(floats, pinned: true)).ToArray();
        foreach (var part in parts) part.AsSpan().Fill(1);
        double best = 0;
        float sink = 0;
        for (int k = 0; k < 7; k++)
        {
            long start = Stopwatch.GetTimestamp();
            var sums = new float[threads];
            var workers = Enumerable.Range(0, threads).Select(t => new Thread(() => sums[t] = Sum(parts[t]))).ToArray();
            foreach (var w in workers) w.Start();
            foreach (var w in workers) w.Join();
            best = Math.Max(best, (double)floats * threads * sizeof(float) / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e9);
            sink += sums[0];
        }
        GC.KeepAlive(sink);
        return best;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Sum(float[] values)
    {
        int width = Vector<float>.Count;
        Vector<float> a = default, b = default, c = default, d = default;
        for (int k = 0; k + 4 * width <= values.Length; k += 4 * width)
        {
            a += new Vector<float>(values, k);
            b += new Vector<float>(values, k + width);
            c += new Vector<float>(values, k + 2 * width);
            d += new Vector<float>(values, k + 3 * width);
        }
        return Vector.Sum(a + b + c + d);
    }
}
