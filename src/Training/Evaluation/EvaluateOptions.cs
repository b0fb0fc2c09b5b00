using System.Text.Json;
using Gradus.Training.Rollouts;
using Gradus.Training.Stages;

namespace Gradus.Training.Evaluation;

/// <summary><c>evaluate</c>: measures a model on named sets of held-out prompts, by the rewards or by exact match. It changes nothing and makes nothing.</summary>
public sealed record EvaluateOptions : StageOptions
{
    public override Artifact Makes => Artifact.None;

    public required StageReference Model { get; init; }

    /// <summary><c>sets</c>: a list of <c>{"name","dataset","measure"}</c>, 1 to 16, names apart. Prompts of these never train in the same recipe.</summary>
    public required IReadOnlyList<EvaluationSet> Sets { get; init; }

    /// <summary><c>num_generations</c> is k of cons@k; default 8 here as well.</summary>
    public required RolloutOptions Rollouts { get; init; }

    /// <summary><c>rewards</c>: what a completion is scored by; pass@1 is the mean of <c>accuracy</c>. Default accuracy and format.</summary>
    public required JsonElement Rewards { get; init; }

    /// <summary><c>phrases</c>: names with lists of texts, as in grpo.</summary>
    public required IReadOnlyList<PhraseList> Phrases { get; init; }

    internal static EvaluateOptions Read(OptionReader reader)
    {
        List<EvaluationSet> sets = [];
        foreach (var (value, path) in reader.Items("sets", 16))
        {
            var item = reader.Inside(value, path);
            var name = item.Text("name", null, 64);
            if (sets.Any(s => s.Name == name)) throw OptionReader.Invalid(item.At("name"), $"'{item.At("name")}' is '{name}' a second time.");
            sets.Add(new(name, item.Reference("dataset", Artifact.Dataset), item.Choice("measure", "rewards", "rewards", "exact_match") == "exact_match"));
            item.RefuseUnknown();
        }
        if (sets.Count == 0)
            throw new InvalidInputException($"'{reader.At("sets")}' is missing: a list of 1 to 16 {{\"name\",\"dataset\"}} is needed.", reader.At("sets"), "missing");
        return new()
        {
            Model = reader.Reference("model", Artifact.Model),
            Sets = sets,
            Rollouts = RolloutOptions.Read(reader, prompts: 32, fewestGenerations: 1, generations: 8, greedyAllowed: true),
            Rewards = reader.Has("rewards") ? RewardsField.Read(reader) : DefaultRewards,
            Phrases = PhraseList.Read(reader),
        };
    }

    private static readonly JsonElement DefaultRewards = JsonDocument.Parse("""[{"name":"accuracy"},{"name":"format"}]""").RootElement;
}

/// <summary>Prompts under a name; its metrics are <c>NAME/pass@1</c> and so on.</summary>
/// <param name="ExactMatch">
/// <c>measure</c>: rewards (default), or exact_match, where a completion must be the row's <c>completion</c> (or else its <c>answer</c>) to the letter.
/// </param>
public sealed record EvaluationSet(string Name, StageReference Dataset, bool ExactMatch);
