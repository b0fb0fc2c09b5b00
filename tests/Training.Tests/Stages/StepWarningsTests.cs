using System.Text.Json;
using Gradus.Training.Stages;
using Xunit;

namespace Gradus.Training.Tests.Stages;

public sealed class StepWarningsTests
{
    [Theory]
    [InlineData("frac_unscored", 1, 0.99, 1, "No reward applied")]
    [InlineData("frac_reward_zero_std", 0.96, 0.94, 5, "(96 % of the groups are all alike")]
    [InlineData("completions/clipped_ratio", 1, 0.9, 3, "(100 % of them)")]
    [InlineData("kl", 1.5, 1, 3, "1.5 nats a token")]
    [InlineData("sampling/sampling_logp_difference/max", 0.002, 0.0005, 1, "up to 0.002 nats")]
    [InlineData("grad_norm", double.NaN, 1e9, 1, "skipped_updates")]
    public void A_trouble_is_said_once_when_it_has_lasted_and_again_after_it_cleared(string metric, double wrong, double right, int steps, string expected)
    {
        var warnings = new StepWarnings(false, null);
        for (var round = 0; round < 2; round++)
        {
            var first = round * 20;
            for (var step = 1; step < steps; step++) Assert.Empty(warnings.Of(first + step, [new(metric, wrong)]));
            var said = Assert.Single(warnings.Of(first + steps, [new(metric, wrong)]));
            Assert.StartsWith($"Step {first + steps}: ", said, StringComparison.Ordinal);
            Assert.Contains(expected, said, StringComparison.Ordinal);
            // A step without the figure neither ends the trouble nor says it again.
            foreach (var figures in new Metric[][] { [], [new(metric, wrong)], [new(metric, wrong)], [new(metric, right)] }) Assert.Empty(warnings.Of(first + 9, figures));
        }
    }

    [Fact]
    public void Entropy_is_held_against_the_first_steps_and_only_where_the_policy_samples()
    {
        var (sampling, reading) = (new StepWarnings(false, null), new StepWarnings(false, null));
        double[] entropies = [3, 1, 2, 2, 2, 0.21, 0.19, 0.21, 0.19, 0.18, 0.17, 0.16];
        var said = entropies.SelectMany((entropy, step) => sampling.Of(step + 1, [new("entropy", entropy), new("policy_version", step)])).ToArray();
        Assert.StartsWith("Step 11: The entropy has fallen to 0.17 nats, below a tenth of what it was (2)", Assert.Single(said), StringComparison.Ordinal);
        Assert.Empty(entropies.SelectMany((entropy, step) => reading.Of(step + 1, [new("entropy", entropy)])));
    }

    [Fact]
    public void Bf16_has_bounds_of_its_own_and_a_correction_to_offer()
    {
        static IReadOnlyList<string> Of(double max, double mean) =>
            new StepWarnings(true, null).Of(1, [new("sampling/sampling_logp_difference/mean", mean), new("sampling/sampling_logp_difference/max", max)]);
        Assert.Empty(Of(0.5, 0.05));
        Assert.Contains("vllm_importance_sampling_correction", Assert.Single(Of(0.51, 0.01)), StringComparison.Ordinal);
        Assert.Single(Of(0.1, 0.06));
    }

    [Fact]
    public void A_resumed_job_warns_as_an_unbroken_one()
    {
        var random = new Random(3);
        Metric[][] steps = [.. Enumerable.Range(0, 60).Select(_ => new Metric[]
        {
            new("frac_reward_zero_std", random.NextDouble() < 0.8 ? 1 : 0), new("kl", random.NextDouble() * 4), new("entropy", random.NextDouble() * 0.5), new("policy_version", 0),
        })];
        var whole = new StepWarnings(false, null);
        var unbroken = steps.SelectMany((metrics, step) => whole.Of(step, metrics)).ToArray();
        var part = new StepWarnings(false, null);
        List<string> broken = [];
        foreach (var (step, metrics) in steps.Index())
        {
            part = new(false, JsonSerializer.SerializeToElement(part.State));
            broken.AddRange(part.Of(step, metrics));
        }
        Assert.True(unbroken.Length > 3, $"{unbroken.Length}");
        Assert.Equal(unbroken, broken);
    }
}
