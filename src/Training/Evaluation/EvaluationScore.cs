using System.Text.Json;
using Gradus.Training.Rewards;
using Gradus.Training.Rollouts;
using Gradus.Training.Stages;

namespace Gradus.Training.Evaluation;

/// <summary>Completions of one set's prompts -> its metrics.</summary>
internal static class EvaluationScore
{
    private static readonly LanguageConsistencyReward language = new();

    public static IReadOnlyList<Metric> Of(EvaluationSet set, IReadOnlyList<RolloutGroup> groups, IReadOnlyList<PhraseList> phrases)
    {
        var all = groups.SelectMany(g => g.Rollouts.Select(r => (Group: g, Rollout: r))).ToArray();
        List<Metric> metrics = [];
        if (set.ExactMatch) Add("exact_match", all.Average(a => a.Rollout.Text.Trim() == Expected(a.Group.Row) ? 1.0 : 0));
        else
        {
            // The mean over k samples of a prompt is the unbiased estimate of pass@1 (Nature, Methods, "Evaluation").
            Add("pass@1", all.Select(a => Accuracy(a.Rollout)).OfType<double>().DefaultIfEmpty(0).Average(v => v == 1 ? 1.0 : 0));
            Add($"cons@{groups[0].Rollouts.Count}", groups.Average(g => Majority(g) is { } chosen && Accuracy(chosen) == 1 ? 1.0 : 0));
        }
        Add("format_rate", all.Average(a => ReasoningText.Split(a.Rollout.Text).WellFormed ? 1.0 : 0));
        Add("mean_length", all.Average(a => (double)a.Rollout.Tokens.Length));
        double[] shares = [.. all.Select(a => language.Score(RolloutMetrics.ContextOf(a.Group, a.Rollout))).OfType<double>()];
        if (shares.Length > 0) Add("language_share", shares.Average());
        if (!set.ExactMatch)
            foreach (var list in phrases) Add($"phrases/{list.Name}", all.Average(a => list.In(a.Rollout.Text) ? 1.0 : 0));
        return metrics;

        void Add(string name, double value) => metrics.Add(new($"{set.Name}/{name}", value));
    }

    /// <summary>The first rollout with the answer that most of the well-formed ones give; of equally many the one that came first. Null where none is well-formed.</summary>
    internal static Rollout? Majority(RolloutGroup group) => group.Rollouts
        .Select(r => (Rollout: r, Parts: ReasoningText.Split(r.Text))).Where(r => r.Parts.WellFormed)
        .GroupBy(r => r.Parts.Answer, StringComparer.Ordinal).OrderByDescending(g => g.Count()).FirstOrDefault()?.First().Rollout;

    private static double? Accuracy(Rollout rollout)
    {
        foreach (var reward in rollout.Score.Rewards)
            if (reward.Name == "accuracy") return reward.Value;
        return null;
    }

    private static string Expected(JsonElement row)
    {
        if ((row.TryGetProperty("completion", out var text) || row.TryGetProperty("answer", out text)) && text.ValueKind == JsonValueKind.String) return text.GetString()!.Trim();
        throw new InvalidInputException("A row of an exact_match set needs a completion or an answer, a string.", "sets", "missing");
    }
}
