using Gradus.Training.Rollouts;
using Xunit;

namespace Gradus.Training.Tests.Grpo;

public sealed class AdvantagesTests
{
    [Fact]
    public void Advantages_and_their_metrics_are_the_reference_s()
    {
        var cases = 0;
        foreach (var file in GrpoFixtures.Files())
        {
            foreach (var one in file.GetProperty("advantage_cases").EnumerateArray())
            {
                var weights = GrpoFixtures.Nullable(one.GetProperty("weights"));
                var totals = one.GetProperty("rewards").EnumerateArray().Select(GrpoFixtures.Nullable).Select(r => r.All(v => v is null) ? (double?)null : r.Zip(weights).Sum(p => p.First * p.Second ?? 0)).ToArray();
                Assert.All(GrpoFixtures.Nullable(one.GetProperty("total")).Zip(totals), p => Assert.Equal(p.First ?? -99, p.Second ?? -99, 1e-6));
                var set = Advantages.Of(totals, file.GetProperty("group_size").GetInt32(), one.GetProperty("scale_rewards").GetString()!);
                Assert.All(GrpoFixtures.Nullable(one.GetProperty("advantages")).Zip(set.Values), p => Assert.Equal(p.First!.Value, p.Second, 1e-5));
                var metrics = one.GetProperty("metrics");
                Assert.Equal(metrics.GetProperty("reward").GetDouble(), set.Reward, 1e-6);
                Assert.Equal(metrics.GetProperty("reward_std").GetDouble(), set.RewardStd, 1e-6);
                Assert.Equal(metrics.GetProperty("frac_reward_zero_std").GetDouble(), set.FracRewardZeroStd, 1e-6);
                cases++;
            }
        }
        Assert.True(cases >= 3);
    }

    [Fact]
    public void Rounding_of_equal_rewards_is_no_spread()
    {
        var set = Advantages.Of([.. Enumerable.Repeat<double?>(0.1 + 0.2, 7), 0.3], 8, "group");
        Assert.All(set.Values, v => Assert.Equal(0, v));
        Assert.Equal(1, set.FracRewardZeroStd);
    }
}
