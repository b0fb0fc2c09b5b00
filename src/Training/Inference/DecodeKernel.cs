using System.Numerics;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Gradus.Training.Inference.Cpu;

namespace Gradus.Training.Inference;

/// <summary>What decoding computes by, as jobs, checkpoints and chat name it. It is chosen when a model is loaded, by what the processor has.</summary>
public static class DecodeKernel
{
    /// <summary>Models that our kernels do not compute, and GPUs.</summary>
    public const string Torch = "libtorch";

    /// <summary>fp32, on the weights in place.</summary>
    public static string Float32 { get; } = Vector512.IsHardwareAccelerated ? "AVX-512 fp32" : Avx2.IsSupported ? "AVX2 fp32" : Vector.IsHardwareAccelerated ? "portable fp32" : Torch;

    /// <summary>bf16, on a copy of the weights; null where the processor has no instruction for it, or src/Kernels was not built.</summary>
    public static string? BFloat16 { get; } = BFloat16Kernels.Supported ? "AVX512_BF16" : null;
}
