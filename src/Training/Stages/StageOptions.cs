using System.Text.Json;
using Gradus.Training.Evaluation;
using Gradus.Training.Export;
using Gradus.Training.Grpo;
using Gradus.Training.Rollouts;
using Gradus.Training.Sft;

namespace Gradus.Training.Stages;

/// <summary>
/// What a stage is told: one sealed record per stage, every field with unit, default, range, effect and source in its comment. Names are TRL's
/// where TRL has one. Parsing is the only way to make one, so that each has been checked.
/// </summary>
public abstract record StageOptions
{
    /// <summary>The stages there are, as they are called in a recipe and in <c>POST /v1/jobs</c>.</summary>
    public static readonly IReadOnlyList<string> Stages = ["pretrain", "sft", "grpo", "generate", "select", "rejection-sampling", "evaluate", "export"];

    /// <summary>What the stage makes.</summary>
    public abstract Artifact Makes { get; }

    /// <summary><c>device</c>: what it computes on, a device's name (<c>cpu</c>, <c>cuda:0</c>), one of those there are; default whichever is free first.</summary>
    public string? Device { get; private init; }

    /// <summary>The models and datasets it reads, in the order in which they stand.</summary>
    public IReadOnlyList<StageReference> References { get; internal init; } = [];

    /// <summary>What the stage of this name would make; null where there is no such stage.</summary>
    public static Artifact? MadeBy(string stage) => stage switch
    {
        "pretrain" or "sft" or "grpo" => Artifact.Model,
        "generate" or "select" or "rejection-sampling" => Artifact.Dataset,
        "evaluate" or "export" => Artifact.None,
        _ => null,
    };

    /// <summary>Reads and checks the options of one stage.</summary>
    /// <param name="path">Where the options stand in the request, for messages.</param>
    /// <exception cref="InvalidInputException">The stage or a field is unknown, missing or out of its range.</exception>
    public static StageOptions Parse(string stage, JsonElement options, string path = "options")
    {
        if (MadeBy(stage) is null)
        {
            var parent = path.EndsWith("options", StringComparison.Ordinal) ? path[..^"options".Length] : "";
            throw new InvalidInputException($"There is no stage '{stage}'. The stages are {string.Join(", ", Stages)}.", parent + "stage", "unknown_value");
        }
        var reader = new OptionReader(options, path);
        StageOptions parsed = stage switch
        {
            "pretrain" => PretrainOptions.Read(reader),
            "sft" => SftOptions.Read(reader),
            "grpo" => GrpoOptions.Read(reader),
            "generate" => GenerateOptions.Read(reader),
            "select" => SelectOptions.Read(reader),
            "rejection-sampling" => RejectionSamplingOptions.Read(reader),
            "export" => ExportOptions.Read(reader),
            _ => EvaluateOptions.Read(reader),
        };
        var device = reader.Has("device") ? reader.Text("device", null, 64) : null;
        reader.RefuseUnknown();
        return parsed with { References = reader.References, Device = device };
    }
}
