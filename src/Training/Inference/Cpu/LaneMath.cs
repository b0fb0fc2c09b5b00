using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Gradus.Training.Inference.Cpu;

/// <summary>What a decoder does between its products, on [feature][lane].</summary>
internal static unsafe class LaneMath
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void RmsNorm(float* x, float* weight, float* y, int features, int lanes, float epsilon)
    {
        for (var lane = 0; lane < lanes; lane += 16)
        {
            var sum = Vector512<float>.Zero;
            for (var i = 0; i < features; i++)
            {
                var value = Vector512.Load(x + ((long)i * lanes) + lane);
                sum = Vector512.FusedMultiplyAdd(value, value, sum);
            }
            var scale = Vector512.Create(1f) / Vector512.Sqrt((sum / Vector512.Create((float)features)) + Vector512.Create(epsilon));
            for (var i = 0; i < features; i++)
            {
                var at = ((long)i * lanes) + lane;
                (Vector512.Load(x + at) * scale * Vector512.Create(weight[i])).Store(y + at);
            }
        }
    }

    /// <summary>Turns heads of [heads * width][lanes] by the angles of each lane, [width / 2][lanes]: feature j with feature j + half.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Turn(float* x, float* cos, float* sin, int heads, int width, int lanes)
    {
        var half = width / 2 * lanes;
        for (var head = 0; head < heads; head++, x += 2 * half)
        {
            for (var at = 0; at < half; at += 16)
            {
                Vector512<float> first = Vector512.Load(x + at), second = Vector512.Load(x + half + at), c = Vector512.Load(cos + at), s = Vector512.Load(sin + at);
                ((first * c) - (second * s)).Store(x + at);
                ((second * c) + (first * s)).Store(x + half + at);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Add(float* x, float* more, long count)
    {
        for (long i = 0; i < count; i += 16) (Vector512.Load(x + i) + Vector512.Load(more + i)).Store(x + i);
    }

    /// <summary>Adds one number to each feature's lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AddBias(float* x, float* bias, int features, int lanes)
    {
        for (var i = 0; i < features; i++, x += lanes)
        {
            for (var lane = 0; lane < lanes; lane += 16) (Vector512.Load(x + lane) + Vector512.Create(bias[i])).Store(x + lane);
        }
    }

    /// <summary>
    /// e to the power of each, within 2e-7 of it, for -87 to 88; below and above, the end's. NaN stays NaN. (Cephes' polynomial; the framework's own is
    /// several times slower.)
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Exp(Vector512<float> x)
    {
        // The native minimum gives its second operand where one is NaN.
        x = Vector512.MinNative(Vector512.Create(88f), Vector512.MaxNative(Vector512.Create(-87f), x));
        // Adding 1.5 * 2^23 leaves the rounded number in the low bits.
        var shifted = Vector512.FusedMultiplyAdd(x, Vector512.Create(1.44269504f), Vector512.Create(12582912f));
        var power = shifted - Vector512.Create(12582912f);
        var rest = Vector512.FusedMultiplyAdd(power, Vector512.Create(-0.693359375f), x);
        rest = Vector512.FusedMultiplyAdd(power, Vector512.Create(2.12194440e-4f), rest);
        var sum = Vector512.Create(1.9875691500e-4f);
        sum = Vector512.FusedMultiplyAdd(sum, rest, Vector512.Create(1.3981999507e-3f));
        sum = Vector512.FusedMultiplyAdd(sum, rest, Vector512.Create(8.3334519073e-3f));
        sum = Vector512.FusedMultiplyAdd(sum, rest, Vector512.Create(4.1665795894e-2f));
        sum = Vector512.FusedMultiplyAdd(sum, rest, Vector512.Create(1.6666665459e-1f));
        sum = Vector512.FusedMultiplyAdd(sum, rest, Vector512.Create(5.0000001201e-1f));
        sum = Vector512.FusedMultiplyAdd(sum, rest * rest, rest + Vector512.Create(1f));
        return (sum.AsInt32() + (shifted.AsInt32() << 23)).AsSingle();
    }

    /// <summary>gate = silu(gate) * up.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Gate(float* gate, float* up, long count)
    {
        for (long i = 0; i < count; i += 16)
        {
            var value = Vector512.Load(gate + i);
            (value / (Vector512.Create(1f) + Exp(-value)) * Vector512.Load(up + i)).Store(gate + i);
        }
    }
}
