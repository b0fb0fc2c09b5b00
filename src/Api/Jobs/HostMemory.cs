using System.Globalization;

namespace Gradus.Api.Jobs;

/// <summary>The memory of a device, in bytes.</summary>
/// <param name="Total">What a process here can ever have.</param>
/// <param name="Free">What it could have now.</param>
internal sealed record HostMemory(long Total, long Free)
{
    /// <summary>Of this host as Linux tells it, or of the control groups around this process (of either version) where those allow less. 0 where neither says.</summary>
    /// <param name="root">Where <c>proc</c> and <c>sys</c> stand; tests have their own.</param>
    public static HostMemory Read(string root = "/")
    {
        var host = Numbers(Path.Combine(root, "proc/meminfo"), 1024);
        var memory = new HostMemory(host.GetValueOrDefault("MemTotal"), host.GetValueOrDefault("MemAvailable"));
        foreach (var line in Lines(Path.Combine(root, "proc/self/cgroup")))
        {
            // ID:CONTROLLERS:PATH; version 2 has ID 0 and no controllers.
            if (line.Split(':', 3) is not [_, var controllers, var path] || !(controllers.Length == 0 || controllers.Split(',').Contains("memory"))) continue;
            var (below, limit, usage, cache) = controllers.Length == 0
                ? ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")
                : ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file");
            // Every group above limits it, too; in a container the path is the host's and only its end, or nothing of it, is there.
            for (var part = path.Trim('/'); ; part = Path.GetDirectoryName(part) ?? "")
            {
                var folder = Path.Combine(root, below, part);
                if (Number(Path.Combine(folder, limit)) is { } most && most < memory.Total)
                {
                    var used = (Number(Path.Combine(folder, usage)) ?? 0) - Numbers(Path.Combine(folder, "memory.stat"), 1).GetValueOrDefault(cache);
                    memory = new(most, Math.Min(memory.Free, Math.Max(0, most - used)));
                }
                if (part.Length == 0) break;
            }
        }
        return memory;
    }

    private static IEnumerable<string> Lines(string file) => File.Exists(file) ? File.ReadLines(file) : [];

    /// <summary>Null where there is no such file, or no limit (<c>max</c>).</summary>
    private static long? Number(string file) => long.TryParse(Lines(file).FirstOrDefault(), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;

    private static Dictionary<string, long> Numbers(string file, long unit) => Lines(file).Select(line => line.Split([' ', ':', '\t'], StringSplitOptions.RemoveEmptyEntries))
        .Where(words => words.Length >= 2 && long.TryParse(words[1], NumberStyles.None, CultureInfo.InvariantCulture, out _))
        .DistinctBy(words => words[0]).ToDictionary(words => words[0], words => long.Parse(words[1], CultureInfo.InvariantCulture) * unit);
}
