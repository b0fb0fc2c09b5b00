using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using static TorchSharp.torch;

namespace Gradus.Training.Checkpoints;

/// <summary>What the bits of a result depend on beside the seed: a job that goes on under the same one is bit-equal, under another it is merely right.</summary>
internal static class ComputeEnvironment
{
    /// <summary>Names and values, in a fixed order.</summary>
    public static SortedDictionary<string, string> Current() => new(StringComparer.Ordinal)
    {
        ["blas_core"] = Environment.GetEnvironmentVariable("OPENBLAS_CORETYPE") ?? "by the processor",
        ["blas_threads"] = Environment.GetEnvironmentVariable("OPENBLAS_NUM_THREADS") ?? "default",
        ["torch_threads"] = $"{get_num_threads()}",
        ["torch"] = typeof(Tensor).Assembly.GetName().Version?.ToString() ?? "",
        ["kernels"] = "libtorch",
        ["vectors"] = Avx512F.IsSupported ? "avx512" : Avx2.IsSupported ? "avx2" : $"{RuntimeInformation.ProcessArchitecture}",
        ["runtime"] = RuntimeInformation.FrameworkDescription,
        ["program"] = typeof(ComputeEnvironment).Assembly.GetName().Version?.ToString() ?? "",
    };

    /// <summary>What is other now than it was, one sentence; null where nothing is.</summary>
    public static string? Difference(IReadOnlyDictionary<string, string> then)
    {
        var now = Current();
        var changed = now.Keys.Union(then.Keys).Order(StringComparer.Ordinal)
            .Where(name => now.GetValueOrDefault(name) != then.GetValueOrDefault(name))
            .Select(name => $"{name} was '{then.GetValueOrDefault(name)}', is '{now.GetValueOrDefault(name)}'").ToArray();
        return changed.Length == 0 ? null : $"The checkpoint was written under another environment, so the result is not bit-equal to an unbroken run: {string.Join("; ", changed)}.";
    }
}
