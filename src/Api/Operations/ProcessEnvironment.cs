using System.Globalization;
using System.Runtime.Intrinsics.X86;

namespace Gradus.Api.Operations;

/// <summary>
/// The environment of a child process that computes. OpenBLAS, libgomp and malloc read theirs when they are loaded, before any code of
/// ours runs, so it is given from outside. scripts/torch-environment.sh sets the same for tests and benches; libtorch's own
/// number of threads is set inside the child (torch.set_num_threads).
/// </summary>
public static class ProcessEnvironment
{
    /// <summary>
    /// Variables to set over whatever the parent's are; null: to remove. Measured on two cores, training at 3M parameters goes from 3 to 10
    /// thousand tokens/s with them (docs/log.md).
    /// </summary>
    /// <param name="threads">Threads of a matrix product, 1 to 1024: the cores of the child's lease.</param>
    public static IReadOnlyDictionary<string, string?> For(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(threads);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(threads, 1024);
        string count = threads.ToString(CultureInfo.InvariantCulture);
        return new Dictionary<string, string?>
        {
            ["OMP_NUM_THREADS"] = count,
            ["OPENBLAS_NUM_THREADS"] = count,
            // libgomp's waiting workers would spin on the cores that OpenBLAS's own pool needs.
            ["OMP_WAIT_POLICY"] = "passive",
            // A shell may carry another machine's choice. A core type that the CPU has not would end in an illegal instruction.
            ["OPENBLAS_CORETYPE"] = BlasCore,
            ["OPENBLAS_L2_SIZE"] = null,
            ["OPENBLAS_VERBOSE"] = null,
            // Freed blocks stay in the process: with the defaults every large tensor is mapped, faulted in and unmapped again.
            ["MALLOC_MMAP_MAX_"] = "0",
            ["MALLOC_TRIM_THRESHOLD_"] = "4294967296",
            ["MALLOC_TOP_PAD_"] = "67108864",
            ["DOTNET_gcServer"] = "0",
        };
    }

    /// <summary>OpenBLAS's name for this CPU's kernels; null leaves the choice to OpenBLAS (other CPUs).</summary>
    private static string? BlasCore =>
        Avx512F.VL.IsSupported && Avx512BW.IsSupported && Avx512DQ.IsSupported && Avx512CD.IsSupported ? "SkylakeX"
        : Avx2.IsSupported && Fma.IsSupported ? "Haswell"
        : null;
}
