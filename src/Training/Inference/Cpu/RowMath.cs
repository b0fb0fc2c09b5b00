using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Gradus.Training.Inference.Cpu;

/// <summary>What a decoder does between its products, on a token's row of features.</summary>
internal static unsafe class RowMath
{
    /// <summary>y = x / root mean square * weight; x and y may be the same row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void RmsNorm(float* x, float* weight, float* y, int features, float epsilon)
    {
        var sums = Vector512<float>.Zero;
        var i = 0;
        for (; i + 16 <= features; i += 16)
        {
            var value = Vector512.Load(x + i);
            sums = Vector512.FusedMultiplyAdd(value, value, sums);
        }
        var sum = Vector512.Sum(sums);
        for (; i < features; i++) sum += x[i] * x[i];
        var scale = 1 / MathF.Sqrt((sum / features) + epsilon);
        for (i = 0; i + 16 <= features; i += 16) (Vector512.Load(x + i) * Vector512.Create(scale) * Vector512.Load(weight + i)).Store(y + i);
        for (; i < features; i++) y[i] = x[i] * scale * weight[i];
    }

    /// <summary>Turns a head by its position's angles, cosines and then sines, [width]: feature j with feature j + half.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Turn(float* head, float* angles, int width)
    {
        var half = width / 2;
        float* cos = angles, sin = angles + half, other = head + half;
        var j = 0;
        for (; j + 16 <= half; j += 16)
        {
            Vector512<float> first = Vector512.Load(head + j), second = Vector512.Load(other + j), c = Vector512.Load(cos + j), s = Vector512.Load(sin + j);
            ((first * c) - (second * s)).Store(head + j);
            ((second * c) + (first * s)).Store(other + j);
        }
        for (; j < half; j++) (head[j], other[j]) = ((head[j] * cos[j]) - (other[j] * sin[j]), (other[j] * cos[j]) + (head[j] * sin[j]));
    }

    /// <summary>x = x + more.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Add(float* x, float* more, int features)
    {
        var i = 0;
        for (; i + 16 <= features; i += 16) (Vector512.Load(x + i) + Vector512.Load(more + i)).Store(x + i);
        for (; i < features; i++) x[i] += more[i];
    }

    /// <summary>x = x * factor.</summary>
    public static void Scale(float* x, float factor, int features)
    {
        for (var i = 0; i < features; i++) x[i] *= factor;
    }

    /// <summary>gate = silu(gate) * up, for whole vectors: rows have room for them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Gate(float* gate, float* up, int features)
    {
        for (var i = 0; i < features; i += 16)
        {
            var value = Vector512.Load(gate + i);
            (value / (Vector512.Create(1f) + Exp(-value)) * Vector512.Load(up + i)).Store(gate + i);
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
}
