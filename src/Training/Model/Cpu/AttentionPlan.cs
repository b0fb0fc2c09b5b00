using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Gradus.Training.Model.Cpu;

/// <summary>What src/Kernels/training/attention.c is told, field by field.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct AttentionShape
{
    public long* Families, Segments;
    public int* Positions;
    public float* Cos, Sin, Bias;
    public long Count, Heads, Keys, Width;
    public int Half;
}

/// <summary>Who sees whom, and where each token stands: the same for all layers of a pass.</summary>
/// <param name="cos">[positions, width of a head]; <paramref name="sin"/> alike, signed.</param>
internal sealed unsafe class AttentionPlan(ModelConfig config, TokenSequence tokens, Tensor cos, Tensor sin)
{
    private readonly long[] families = Pinned(tokens.Families), segments = Pinned(tokens.Segments);
    private readonly int[] positions = Pinned(tokens.Positions);

    /// <summary>Added to queries, keys and values of the layer that computes now, [(heads + 2 key heads) * width], or null.</summary>
    public Tensor? Bias { get; set; }

    /// <summary>With pointers that hold while the plan lives.</summary>
    public AttentionShape Shape(int half) => new()
    {
        Families = First(families),
        Segments = First(segments),
        Positions = (int*)Marshal.UnsafeAddrOfPinnedArrayElement(positions, 0),
        Cos = (float*)TrainingKernels.Pointer(cos),
        Sin = (float*)TrainingKernels.Pointer(sin),
        Bias = Bias is null ? null : (float*)TrainingKernels.Pointer(Bias),
        Count = families.Length - 1,
        Heads = config.Heads,
        Keys = config.KeyValueHeads,
        Width = config.HeadDim,
        Half = half,
    };

    private static long* First(long[] pinned) => (long*)Marshal.UnsafeAddrOfPinnedArrayElement(pinned, 0);

    private static T[] Pinned<T>(T[] values)
    {
        var pinned = GC.AllocateUninitializedArray<T>(values.Length, pinned: true);
        values.CopyTo(pinned, 0);
        return pinned;
    }
}
