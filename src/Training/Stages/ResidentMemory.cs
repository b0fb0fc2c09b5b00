using System.Globalization;

namespace Gradus.Training.Stages;

/// <summary>The memory of this process that lies in RAM, as Linux counts it. Elsewhere nothing is known.</summary>
public static class ResidentMemory
{
    private const string Status = "/proc/self/status", ClearRefs = "/proc/self/clear_refs";

    /// <summary>The most bytes since the process began or since <see cref="ResetPeak"/>; null where the system does not say.</summary>
    public static long? PeakBytes()
    {
        if (!File.Exists(Status)) return null;
        var line = File.ReadLines(Status).FirstOrDefault(line => line.StartsWith("VmHWM:", StringComparison.Ordinal));
        return line?.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries) is [_, var number, "kB"] ? long.Parse(number, CultureInfo.InvariantCulture) * 1024 : null;
    }

    /// <summary>Lets the peak begin anew at what is resident now. Where the system refuses, the peak stays that of the process.</summary>
    public static void ResetPeak()
    {
        try
        {
            // proc(5): 5 resets the peak resident set size.
            if (File.Exists(ClearRefs)) File.WriteAllText(ClearRefs, "5");
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
        }
    }
}
