using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Gradus.Training.Inference.Cpu;
using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Model.Cpu;

/// <summary>
/// The kernels of src/Kernels/training: everything of a training step on the processor that is not a product of matrices, each in one pass over memory. Formulas stand
/// in the C files. Tensors are contiguous; what flows between products is bf16 or fp32 ("half" is whether it is bf16), all else fp32.
/// </summary>
internal static unsafe partial class TrainingKernels
{
    private const string Library = "gradus_kernels";

    /// <summary>Rows whose part of a norm's gradient is summed at a time.</summary>
    private const int NormPart = 32;

    /// <summary>Whether the library is there, and the processor has what it was compiled for.</summary>
    public static bool Supported { get; } = BFloat16Kernels.Loaded && Avx512F.VL.IsSupported && Avx512BW.VL.IsSupported && Avx512DQ.VL.IsSupported;

    /// <summary>The first element, in place, while the tensor lives.</summary>
    public static void* Pointer(Tensor tensor)
    {
        if (!tensor.is_contiguous() || tensor.device_type != DeviceType.CPU) throw new InvalidOperationException("A kernel needs contiguous tensors in the processor's memory.");
        if (tensor.numel() == 0) return null;
        // A span holds at most 2 GiB. Neither view may outlive this: it would hold the memory of a tensor that is disposed.
        using var flat = tensor.view(-1);
        using var first = flat.narrow(0, 0, 1);
        return Unsafe.AsPointer(ref MemoryMarshal.GetReference(first.bytes));
    }

    /// <summary>The norm of x + <paramref name="add"/>, [N, D].</summary>
    /// <param name="sum">Takes x + add; null where there is nothing to add.</param>
    /// <param name="scale_N">Takes what each row was multiplied by, for the way back.</param>
    public static void Norm(Tensor x, Tensor? add, Tensor? sum, RmsNorm norm, Tensor normed, Tensor scale_N) => Norm(
        (float*)Pointer(x), add is null ? null : Pointer(add), sum is null ? null : (float*)Pointer(sum), (float*)Pointer(norm.Weight), Pointer(normed), (float*)Pointer(scale_N),
        x.shape[0], x.shape[1], (float)norm.Epsilon, Half(normed));

    /// <summary>dx = <paramref name="residual"/> + the norm's way back of <paramref name="dy"/>; adds the weight's gradient.</summary>
    /// <param name="narrow">Takes dx once more in bf16, or null.</param>
    public static void NormBack(Tensor x, RmsNorm norm, Tensor scale_N, Tensor dy, Tensor? residual, Tensor dx, Tensor? narrow)
    {
        using var parts = empty([(x.shape[0] + NormPart - 1) / NormPart, x.shape[1]]);
        var (gradient, first) = norm.Weight.requires_grad ? GradientOf(norm.Weight) : (null, false);
        NormBack(
            (float*)Pointer(x), (float*)Pointer(norm.Weight), (float*)Pointer(scale_N), Pointer(dy), residual is null ? null : (float*)Pointer(residual), (float*)Pointer(dx),
            narrow is null ? null : Pointer(narrow), (float*)Pointer(parts), gradient is null ? null : (float*)Pointer(gradient), first ? 1 : 0, x.shape[0], x.shape[1], Half(dy));
        gradient?.Dispose();
    }

    /// <summary>x + <paramref name="add"/>, fp32.</summary>
    public static void Add(Tensor x, Tensor add, Tensor sum) => Add((float*)Pointer(x), Pointer(add), (float*)Pointer(sum), x.numel(), Half(add));

    /// <summary>[N, 2 F], gates before ups, to [N, F].</summary>
    public static void Gate(Tensor both, Tensor y) => Gate(Pointer(both), Pointer(y), y.shape[0], y.shape[1], Half(both));

    public static void GateBack(Tensor both, Tensor dy, Tensor dboth) => GateBack(Pointer(both), Pointer(dy), Pointer(dboth), dy.shape[0], dy.shape[1], Half(both));

    /// <summary>Log-probabilities of the targets (of logits * scale), entropies, and the logarithms of the sums, [N] each.</summary>
    public static void Vocabulary(Tensor logits_NV, Tensor targets_N, double scale, Tensor logProbs_N, Tensor entropies_N, Tensor logs_N) => Vocabulary(
        Pointer(logits_NV), (long*)Pointer(targets_N), (float)scale, (float*)Pointer(logProbs_N), (float*)Pointer(entropies_N), (float*)Pointer(logs_N), logits_NV.shape[0], logits_NV.shape[1], Half(logits_NV));

    /// <summary>Puts the gradients of the logits in their place.</summary>
    public static void VocabularyBack(Tensor logits_NV, Tensor targets_N, double scale, Tensor gradients_N, Tensor logs_N) => VocabularyBack(
        Pointer(logits_NV), (long*)Pointer(targets_N), (float)scale, (float*)Pointer(gradients_N), (float*)Pointer(logs_N), logits_NV.shape[0], logits_NV.shape[1], Half(logits_NV));

    /// <summary>Adds rows <paramref name="from"/> to before <paramref name="end"/> of <paramref name="part"/> to the gradient of a weight that has as many rows.</summary>
    public static void AddGradient(Tensor weight, Tensor part, long from, long end)
    {
        var (gradient, first) = GradientOf(weight);
        using (gradient)
        using (var rows = part.narrow(0, from, end - from)) Gradient(Pointer(rows), (float*)Pointer(gradient), gradient.numel(), first ? 1 : 0, Half(part));
    }

    /// <summary>Adds the sums of columns <paramref name="from"/> to before <paramref name="end"/> of all rows to a bias's gradient.</summary>
    public static void AddColumns(Tensor bias, Tensor rows, long from, long end)
    {
        var (gradient, first) = GradientOf(bias);
        using (gradient) ColumnsAdd(Pointer(rows), from, rows.shape[1], (float*)Pointer(gradient), rows.shape[0], end - from, first ? 1 : 0, Half(rows));
    }

    /// <summary>to[places[n]] += rows[n], in order.</summary>
    public static void AddRows(Tensor rows_ND, long[] places, Tensor to)
    {
        fixed (long* first = places) RowsAdd((float*)Pointer(rows_ND), first, (float*)Pointer(to), rows_ND.shape[0], rows_ND.shape[1]);
    }

    public static void Attention(AttentionPlan plan, Tensor qkv, Tensor y)
    {
        var shape = plan.Shape(Half(qkv));
        Attention(&shape, Pointer(qkv), Pointer(y));
        GC.KeepAlive(plan);
    }

    public static void AttentionBack(AttentionPlan plan, Tensor qkv, Tensor dy, Tensor dqkv)
    {
        var shape = plan.Shape(Half(qkv));
        AttentionBack(&shape, Pointer(qkv), Pointer(dy), Pointer(dqkv));
        GC.KeepAlive(plan);
    }

    /// <summary>A weight's gradient; made where there is none, and then its elements are whatever lay there: the first sum replaces them.</summary>
    public static (Tensor Gradient, bool First) GradientOf(Tensor weight)
    {
        if (weight.grad is { } gradient)
        {
            if (gradient.is_contiguous()) return (gradient, false);
            weight.grad = gradient = gradient.contiguous();
            return (gradient, false);
        }
        weight.grad = gradient = empty(weight.shape);
        return (gradient, true);
    }

    private static int Half(Tensor tensor) => tensor.dtype == ScalarType.BFloat16 ? 1 : 0;

    [LibraryImport(Library, EntryPoint = "gradus_norm")]
    private static partial void Norm(float* x, void* add, float* sum, float* weight, void* normed, float* scale, long rows, long width, float epsilon, int half);

    [LibraryImport(Library, EntryPoint = "gradus_norm_back")]
    private static partial void NormBack(
        float* x, float* weight, float* scale, void* dy, float* residual, float* dx, void* narrow, float* parts, float* gradient, int first, long rows, long width, int half);

    [LibraryImport(Library, EntryPoint = "gradus_add")]
    private static partial void Add(float* x, void* add, float* sum, long count, int half);

    [LibraryImport(Library, EntryPoint = "gradus_gate")]
    private static partial void Gate(void* both, void* y, long rows, long width, int half);

    [LibraryImport(Library, EntryPoint = "gradus_gate_back")]
    private static partial void GateBack(void* both, void* dy, void* dboth, long rows, long width, int half);

    [LibraryImport(Library, EntryPoint = "gradus_vocabulary")]
    private static partial void Vocabulary(void* logits, long* targets, float scale, float* logProbs, float* entropies, float* logs, long rows, long width, int half);

    [LibraryImport(Library, EntryPoint = "gradus_vocabulary_back")]
    private static partial void VocabularyBack(void* logits, long* targets, float scale, float* gradients, float* logs, long rows, long width, int half);

    [LibraryImport(Library, EntryPoint = "gradus_gradient")]
    private static partial void Gradient(void* part, float* gradient, long count, int first, int half);

    [LibraryImport(Library, EntryPoint = "gradus_columns_add")]
    private static partial void ColumnsAdd(void* rows, long offset, long across, float* gradient, long count, long width, int first, int half);

    [LibraryImport(Library, EntryPoint = "gradus_rows_add")]
    private static partial void RowsAdd(float* rows, long* places, float* gradient, long count, long width);

    [LibraryImport(Library, EntryPoint = "gradus_attention")]
    private static partial void Attention(AttentionShape* shape, void* qkv, void* y);

    [LibraryImport(Library, EntryPoint = "gradus_attention_back")]
    private static partial void AttentionBack(AttentionShape* shape, void* qkv, void* dy, void* dqkv);
}
