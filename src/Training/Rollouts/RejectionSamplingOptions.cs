using System.Text.Json;
using Gradus.Training.Stages;

namespace Gradus.Training.Rollouts;

/// <summary>
/// <c>rejection-sampling</c>: samples completions of each prompt and keeps those that every reward accepts, as rows of <c>prompt</c> and <c>completion</c>
/// (Nature, "Rejection sampling": "retain only the correct ones").
/// </summary>
public sealed record RejectionSamplingOptions : StageOptions
{
    public override Artifact Makes => Artifact.Dataset;

    public required StageReference Model { get; init; }

    public required DatasetOptions Data { get; init; }

    public required RolloutOptions Rollouts { get; init; }

    /// <summary><c>rewards</c>: a list of <c>{"name","weight",...}</c>; the weights count for nothing here.</summary>
    public required JsonElement Rewards { get; init; }

    /// <summary><c>accept</c>: the least value of each reward by its name, 0 to 1; a reward without one must be 1. A reward that does not apply (null) accepts.</summary>
    public required IReadOnlyDictionary<string, double> Accept { get; init; }

    /// <summary><c>max_rows</c>: the stage ends when it has so many, 1 to 1,000,000; default no bound: every prompt is asked once.</summary>
    public required int? MaxRows { get; init; }

    /// <summary><c>max_rows_per_prompt</c>: accepted completions kept of one prompt, 1 to 1,024; default all, but never two that are the same.</summary>
    public required int? MaxRowsPerPrompt { get; init; }

    internal static RejectionSamplingOptions Read(OptionReader reader)
    {
        Dictionary<string, double> accept = [];
        if (reader.Element("accept") is { } element)
        {
            var inner = reader.Inside(element, reader.At("accept"));
            foreach (var field in element.EnumerateObject()) accept[field.Name] = inner.Number(field.Name, null, 0, 1);
        }
        return new()
        {
            Model = reader.Reference("model", Artifact.Model),
            Data = DatasetOptions.Read(reader),
            Rollouts = RolloutOptions.Read(reader, prompts: 32, fewestGenerations: 1, generations: 8, greedyAllowed: true),
            Rewards = RewardsField.Read(reader),
            Accept = accept,
            MaxRows = reader.OptionalInteger("max_rows", 1, 1_000_000),
            MaxRowsPerPrompt = reader.OptionalInteger("max_rows_per_prompt", 1, 1024),
        };
    }
}
