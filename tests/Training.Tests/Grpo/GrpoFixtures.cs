using System.Text.Json;

namespace Gradus.Training.Tests.Grpo;

/// <summary>grpo/losses.json under every root.</summary>
internal static class GrpoFixtures
{
    public static IEnumerable<JsonElement> Files()
    {
        var roots = new List<string> { Path.Combine(AppContext.BaseDirectory, "fixtures") };
        roots.AddRange((Environment.GetEnvironmentVariable("GRADUS_FIXTURES") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries));
        foreach (var path in roots.SelectMany(r => Directory.Exists(Path.Combine(r, "grpo")) ? Directory.EnumerateFiles(Path.Combine(r, "grpo"), "*.json").Order() : Enumerable.Empty<string>()))
            yield return JsonDocument.Parse(File.ReadAllBytes(path)).RootElement;
    }

    public static double?[] Nullable(JsonElement list) => [.. list.EnumerateArray().Select(v => v.ValueKind == JsonValueKind.Null ? (double?)null : v.GetDouble())];
}
