using System.Text.Json;
using Gradus.Training.Stages;

namespace Gradus.Recipes;

/// <summary>What a stage made, as a file in its folder, so that a second run with other options of later stages begins there.</summary>
internal sealed record Finished(bool HasModel, IReadOnlyList<JsonElement>? Rows, IReadOnlyList<Metric> Summary, double Seconds)
{
    public static Finished? Read(string folder) =>
        File.Exists(Path.Combine(folder, "finished.json")) ? JsonSerializer.Deserialize<Finished>(File.ReadAllText(Path.Combine(folder, "finished.json"))) : null;

    public static Finished Write(string folder, StageResult result, double seconds)
    {
        var finished = new Finished(result.ModelFolder is not null, result.Rows, result.Summary, seconds);
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "finished.json"), JsonSerializer.Serialize(finished));
        return finished;
    }
}
