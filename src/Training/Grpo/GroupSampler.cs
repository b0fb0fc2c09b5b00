// The groups of one sampling, and dynamic sampling (DAPO 2025, section 3.2): a group whose rewards are all equal teaches nothing, and another prompt takes its place, up to a bound.
// Differs from DAPO: it draws on until the batch is full; here what is flat after the last round stays. Further prompts come from an order of their own, so that which
// they are follows from the step, the round and the place, and there is no position to save.
using Gradus.Training.Rollouts;
using Gradus.Training.Stages;

namespace Gradus.Training.Grpo;

internal sealed class GroupSampler(RowOrder order, RolloutCollector collector, GrpoOptions options)
{
    private readonly RowOrder further = order.Apart("resample");

    /// <summary>One group for each prompt of the step, in order.</summary>
    /// <param name="step">The first update on them.</param>
    /// <param name="metrics">Takes what is counted of the sampling.</param>
    public IReadOnlyList<RolloutGroup> Sample(int step, List<Metric> metrics)
    {
        var (sampling, prompts) = ((step - 1) / options.UpdatesPerBatch, options.Rollouts.PromptsPerStep);
        metrics.Add(new("weights/copied_bytes", collector.WeightsChanged()));
        RolloutGroup[] groups = [.. collector.Collect(order.Batch(sampling + 1, prompts), "rollout", step)];
        if (options.MaxResamples == 0) return Counted();
        metrics.Add(new("sampled_reward", Advantages.Spread([.. groups.SelectMany(Totals)]).Mean));
        var resampled = 0;
        for (var round = 0; round < options.MaxResamples; round++)
        {
            int[] flat = [.. Enumerable.Range(0, prompts).Where(i => Advantages.Spread([.. Totals(groups[i])]).Deviation < Advantages.NoSpread)];
            if (flat.Length == 0) break;
            var rows = further.Batch((sampling * options.MaxResamples) + round + 1, prompts);
            var drawn = collector.Collect([.. rows.Take(flat.Length)], "resample", step, round * prompts);
            for (var i = 0; i < flat.Length; i++) groups[flat[i]] = drawn[i];
            resampled += flat.Length;
        }
        metrics.Add(new("resampled_groups", resampled));
        return Counted();

        RolloutGroup[] Counted()
        {
            metrics.AddRange(collector.Take());
            return groups;
        }
    }

    private static IEnumerable<double?> Totals(RolloutGroup group) => group.Rollouts.Select(rollout => rollout.Score.Total);
}
