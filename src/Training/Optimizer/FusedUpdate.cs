using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Optimizer;

/// <summary>The numbers of one AdamW update, rounded as PyTorch rounds its scalars.</summary>
/// <param name="Decay">What weights are multiplied by, 1 - rate * decay; 1 leaves them.</param>
/// <param name="Rate">Minus the learning rate over the mean's correction.</param>
/// <param name="Clip">What gradients are multiplied by first.</param>
internal readonly record struct UpdateFactors(float Decay, float Beta1, float RestOfBeta1, float Beta2, float RestOfBeta2, float SquareCorrection, float Epsilon, float Rate, float Clip);

/// <summary>
/// AdamW's update of fp32 tensors in the processor's memory in one pass instead of eight: it is bound by memory. Element by element the operations and
/// roundings are those of PyTorch's tensor operations, fused multiply-adds included, so that the weights are the same bits.
/// </summary>
internal static unsafe class FusedUpdate
{
    /// <summary>Elements that one thread updates at a time.</summary>
    private const int Part = 1 << 15;

    /// <summary>Elements of a tensor that one span can hold.</summary>
    private const long Slice = 1L << 28;

    public static bool Supports(Tensor tensor) => tensor.device_type == DeviceType.CPU && tensor.dtype == ScalarType.Float32 && tensor.is_contiguous();

    /// <param name="gradient">Null counts as zeros.</param>
    public static void Run(Tensor weights, Tensor? gradient, Tensor mean, Tensor square, UpdateFactors factors)
    {
        using var scope = NewDisposeScope();
        float* w = Pointer(weights), g = gradient is null ? null : Pointer(gradient), m = Pointer(mean), v = Pointer(square);
        var count = weights.numel();
        var parts = (int)((count + Part - 1) / Part);
        if (parts == 1) One(0);
        else Parallel.For(0, parts, new ParallelOptions { MaxDegreeOfParallelism = Math.Max(1, get_num_threads()) }, One);
        GC.KeepAlive((weights, gradient, mean, square));

        void One(int part)
        {
            var start = (long)part * Part;
            Update(w + start, g is null ? null : g + start, m + start, v + start, (int)Math.Min(Part, count - start), factors);
        }
    }

    private static float* Pointer(Tensor tensor) =>
        (float*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(tensor.numel() <= Slice ? tensor.bytes : tensor.view(-1).narrow(0, 0, 1).bytes));

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Update(float* w, float* g, float* m, float* v, int count, UpdateFactors f)
    {
        var i = 0;
        for (; i + 8 <= count; i += 8)
        {
            var gradient = g is null ? Vector256<float>.Zero : Vector256.Load(g + i) * f.Clip;
            var mean = Vector256.Load(m + i) * f.Beta1;
            var square = Vector256.Load(v + i) * f.Beta2;
            if (g is not null)
            {
                mean = Vector256.FusedMultiplyAdd(gradient, Vector256.Create(f.RestOfBeta1), mean);
                square = Vector256.FusedMultiplyAdd(gradient * f.RestOfBeta2, gradient, square);
            }
            mean.Store(m + i);
            square.Store(v + i);
            var divisor = (Vector256.Sqrt(square) / Vector256.Create(f.SquareCorrection)) + Vector256.Create(f.Epsilon);
            ((Vector256.Load(w + i) * f.Decay) + (mean * f.Rate / divisor)).Store(w + i);
        }
        for (; i < count; i++)
        {
            var mean = m[i] * f.Beta1;
            var square = v[i] * f.Beta2;
            if (g is not null)
            {
                var gradient = g[i] * f.Clip;
                mean = MathF.FusedMultiplyAdd(gradient, f.RestOfBeta1, mean);
                square = MathF.FusedMultiplyAdd(gradient * f.RestOfBeta2, gradient, square);
            }
            (m[i], v[i]) = (mean, square);
            w[i] = (w[i] * f.Decay) + (mean * f.Rate / ((MathF.Sqrt(square) / f.SquareCorrection) + f.Epsilon));
        }
    }
}
