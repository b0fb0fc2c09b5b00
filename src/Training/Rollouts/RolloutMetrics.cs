using Gradus.Training.Rewards;
using Gradus.Training.Stages;

namespace Gradus.Training.Rollouts;

/// <summary>What is counted of completions, under TRL's names where it has one.</summary>
internal static class RolloutMetrics
{
    private static readonly LanguageConsistencyReward language = new();

    public static IEnumerable<Metric> Of(IReadOnlyList<RolloutGroup> groups, IReadOnlyList<PhraseList> phrases)
    {
        var all = groups.SelectMany(g => g.Rollouts.Select(r => (Group: g, Rollout: r))).ToArray();
        double[] lengths = [.. all.Select(a => (double)a.Rollout.Tokens.Length)];
        double[] ended = [.. all.Where(a => a.Rollout.FinishReason == "stop").Select(a => (double)a.Rollout.Tokens.Length)];
        yield return new("completions/mean_length", lengths.Average());
        yield return new("completions/min_length", lengths.Min());
        yield return new("completions/max_length", lengths.Max());
        yield return new("completions/clipped_ratio", 1 - (ended.Length / (double)lengths.Length));
        yield return new("completions/mean_terminated_length", ended.DefaultIfEmpty(0).Average());
        yield return new("completions/min_terminated_length", ended.DefaultIfEmpty(0).Min());
        yield return new("completions/max_terminated_length", ended.DefaultIfEmpty(0).Max());

        double[] languages = [.. all.Select(a => language.Score(ContextOf(a.Group, a.Rollout))).OfType<double>()];
        if (languages.Length > 0) yield return new("completions/language_share", languages.Average());
        yield return new("completions/reflections", all.Average(a => (double)ReflectiveWords.Count(a.Rollout.Text)));
        foreach (var list in phrases) yield return new($"completions/phrases/{list.Name}", all.Average(a => list.In(a.Rollout.Text) ? 1.0 : 0));

        for (var i = 0; i < all[0].Rollout.Score.Rewards.Count; i++)
        {
            var name = all[0].Rollout.Score.Rewards[i].Name;
            double?[] values = [.. all.Select(a => a.Rollout.Score.Rewards[i].Value)];
            if (values.All(v => v is null)) continue;
            var (mean, deviation) = Advantages.Spread(values);
            yield return new($"rewards/{name}/mean", mean);
            yield return new($"rewards/{name}/std", deviation);
            if (name == "accuracy") yield return new("pass_rate", values.OfType<double>().Average(v => v == 1 ? 1.0 : 0));
        }
    }

    public static RewardContext ContextOf(RolloutGroup group, Rollout rollout) => new(group.Prompt.Shown, rollout.Text, group.Row, rollout.FinishReason) { Tokens = rollout.Tokens.Length };

    /// <summary>The step's samples as they are kept; a group's are neighbours.</summary>
    public static IReadOnlyList<Sample> Samples(IReadOnlyList<RolloutGroup> groups, IReadOnlyList<double>? advantages, int policyVersion) =>
    [
        .. groups.SelectMany((g, place) => g.Rollouts.Select(r => (Group: g, Place: place, Rollout: r))).Select((a, i) => new Sample(
            i, a.Place, a.Group.Prompt.Shown, a.Rollout.Text, a.Rollout.Tokens.Length, a.Rollout.Score.Total, advantages?[i], a.Rollout.FinishReason, policyVersion, a.Rollout.Score.Rewards)),
    ];
}
