using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Gradus.Training.Inference;
using Gradus.Training.Model.Cpu;
using static TorchSharp.torch;

namespace Gradus.Training.Checkpoints;

/// <summary>What the bits of a result depend on beside the seed: a job that goes on under the same one is bit-equal, under another it is merely right.</summary>
internal static class ComputeEnvironment
{
    /// <summary>Names and values, in a fixed order.</summary>
    public static SortedDictionary<string, string> Current() => new(StringComparer.Ordinal)
    {
        ["blas_core"] = BlasCore() ?? Environment.GetEnvironmentVariable("OPENBLAS_CORETYPE") ?? "by the processor",
        ["blas_threads"] = Environment.GetEnvironmentVariable("OPENBLAS_NUM_THREADS") ?? "default",
        ["torch_threads"] = $"{get_num_threads()}",
        ["torch"] = __version__,
        ["decoder_fp32"] = DecodeKernel.Float32,
        ["decoder_bf16"] = DecodeKernel.BFloat16 ?? "none",
        ["training_kernels"] = TrainingKernels.Supported ? "native" : "none",
        ["instructions"] = Avx512F.IsSupported ? "avx512" : Avx2.IsSupported ? "avx2" : $"{RuntimeInformation.ProcessArchitecture}",
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

    /// <summary>The kernels that the loaded OpenBLAS chose for itself or was told to use; null where there is no OpenBLAS (the official package holds another).</summary>
    private static unsafe string? BlasCore()
    {
        if (!OperatingSystem.IsLinux()) return null;
        var file = File.ReadLines("/proc/self/maps").Select(line => line[(line.IndexOf('/') + 1)..]).FirstOrDefault(path => Path.GetFileName(path).StartsWith("libopenblas", StringComparison.Ordinal));
        if (file is null || !NativeLibrary.TryLoad("/" + file, out var library) || !NativeLibrary.TryGetExport(library, "openblas_get_corename", out var name)) return null;
        return Marshal.PtrToStringUTF8((nint)((delegate* unmanaged<byte*>)name)());
    }
}
