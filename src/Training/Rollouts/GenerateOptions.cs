using Gradus.Training.Stages;

namespace Gradus.Training.Rollouts;

/// <summary><c>generate</c>: makes a dataset from rows of a built-in task.</summary>
public sealed record GenerateOptions : StageOptions
{
    public override Artifact Makes => Artifact.Dataset;

    /// <summary><c>task</c>: the task's name (Tasks/); default running-sums.</summary>
    public required string Task { get; init; }

    /// <summary><c>kind</c>: which of the task's kinds of rows; needed.</summary>
    public required string Kind { get; init; }

    /// <summary><c>count</c>: rows to draw, 1 to 1,000,000; needed.</summary>
    public required int Count { get; init; }

    /// <summary><c>seed</c>: what the rows are drawn by, 0 to 2^53; default the job's seed.</summary>
    public required long? Seed { get; init; }

    /// <summary><c>held_out</c>: datasets whose prompts are left out of what is drawn; default none.</summary>
    public required IReadOnlyList<StageReference> HeldOut { get; init; }

    internal static GenerateOptions Read(OptionReader reader) => new()
    {
        Task = reader.Text("task", "running-sums", 64),
        Kind = reader.Text("kind", null, 64),
        Count = reader.Integer("count", null, 1, 1_000_000),
        Seed = reader.Has("seed") ? reader.Long("seed", 0, 0, 1L << 53) : null,
        HeldOut = [.. reader.Items("held_out", 16).Select(i => reader.ReferenceOf(i.Value, i.Path, Artifact.Dataset))],
    };
}
