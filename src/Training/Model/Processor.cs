namespace Gradus.Training.Model;

/// <summary>What this machine's processor can do, as Linux tells it.</summary>
public static class Processor
{
    private static readonly string[] bfloat16 = ["avx512_bf16", "amx_bf16", "bf16"];

    /// <summary>Whether it multiplies bf16 by instructions of its own (x86's AVX512_BF16 or AMX, Arm's BF16); without them such products are slower than fp32's.</summary>
    public static bool HasBFloat16 { get; } = File.Exists("/proc/cpuinfo") && ToldIn(File.ReadLines("/proc/cpuinfo"));

    internal static bool ToldIn(IEnumerable<string> lines) => lines.Where(line => line.StartsWith("flags", StringComparison.Ordinal) || line.StartsWith("Features", StringComparison.Ordinal))
        .Any(line => line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Intersect(bfloat16).Any());
}
