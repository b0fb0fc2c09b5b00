using Gradus.Training.Stages;

namespace Gradus.Training.Rollouts;

/// <summary><c>select</c>: makes a dataset of a part of another's rows, in their order; what a recipe evaluates on, cut from what it trains on.</summary>
public sealed record SelectOptions : StageOptions
{
    public override Artifact Makes => Artifact.Dataset;

    /// <summary><c>dataset</c>: whose rows are taken.</summary>
    public required StageReference Dataset { get; init; }

    /// <summary><c>skip</c>: rows passed over at the beginning, 0 to 100,000,000; default 0.</summary>
    public required int Skip { get; init; }

    /// <summary><c>count</c>: rows taken at most, 1 to 100,000,000; default all that follow.</summary>
    public required int? Count { get; init; }

    /// <summary><c>held_out</c>: datasets whose prompts are left out of what is taken; default none.</summary>
    public required IReadOnlyList<StageReference> HeldOut { get; init; }

    internal static SelectOptions Read(OptionReader reader) => new()
    {
        Dataset = reader.Reference("dataset", Artifact.Dataset),
        Skip = reader.Integer("skip", 0, 0, 100_000_000),
        Count = reader.OptionalInteger("count", 1, 100_000_000),
        HeldOut = [.. reader.Items("held_out", 16).Select(i => reader.ReferenceOf(i.Value, i.Path, Artifact.Dataset))],
    };
}
