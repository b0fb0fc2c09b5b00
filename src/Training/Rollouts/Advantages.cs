namespace Gradus.Training.Rollouts;

/// <summary>
/// Rewards of whole groups -> advantages (Nature eq. 3: the reward less the group's mean, over the group's deviation). A rollout without a reward has
/// no part in its group's mean and deviation, and advantage 0. Deviations are those of a sample (n - 1), as TRL's.
/// </summary>
public static class Advantages
{
    /// <summary>Added to a deviation before dividing by it (TRL).</summary>
    public const double Epsilon = 1e-4;

    /// <summary>Below it a deviation is none: rounding of equal rewards (TRL: isclose to 0).</summary>
    public const double NoSpread = 1e-8;

    /// <param name="totals">The weighted rewards, group after group; null for a rollout that nothing scored.</param>
    /// <param name="scale">group, batch or none.</param>
    public static AdvantageSet Of(IReadOnlyList<double?> totals, int groupSize, string scale)
    {
        if (groupSize < 2 || totals.Count % groupSize != 0) throw new ArgumentException($"{totals.Count} rewards are not whole groups of {groupSize}.");
        var (mean, deviation) = Spread(totals);
        var advantages = new double[totals.Count];
        var flatGroups = 0;
        for (var first = 0; first < totals.Count; first += groupSize)
        {
            var group = totals.Skip(first).Take(groupSize).ToArray();
            var (groupMean, groupDeviation) = Spread(group);
            if (groupDeviation < NoSpread)
            {
                flatGroups++;
                continue;
            }
            var divisor = scale switch
            {
                "group" => groupDeviation + Epsilon,
                "batch" => deviation + Epsilon,
                "none" => 1,
                _ => throw new ArgumentException($"scale_rewards is group, batch or none, not '{scale}'."),
            };
            for (var i = 0; i < groupSize; i++)
                if (group[i] is { } reward) advantages[first + i] = (reward - groupMean) / divisor;
        }
        var groups = totals.Count / groupSize;
        var fraction = scale == "batch" ? (deviation < NoSpread ? 1.0 : 0.0) : flatGroups / (double)groups;
        return new(advantages, mean, deviation, fraction);
    }

    /// <summary>Mean and sample deviation of what is there; 0 where there is too little.</summary>
    public static (double Mean, double Deviation) Spread(IReadOnlyList<double?> values)
    {
        var present = values.Where(v => v is not null).Select(v => v!.Value).ToArray();
        if (present.Length == 0) return (0, 0);
        var mean = present.Average();
        return (mean, present.Length < 2 ? 0 : Math.Sqrt(present.Sum(v => (v - mean) * (v - mean)) / (present.Length - 1)));
    }
}

/// <param name="Values">One for each rollout; exactly 0 in a group without spread.</param>
/// <param name="Reward">Mean reward of the batch.</param>
/// <param name="RewardStd">Deviation over the whole batch, whatever the scaling (TRL's <c>reward_std</c>).</param>
/// <param name="FracRewardZeroStd">Share of groups without spread; with scale batch, 1 where the whole batch has none.</param>
public sealed record AdvantageSet(double[] Values, double Reward, double RewardStd, double FracRewardZeroStd);
