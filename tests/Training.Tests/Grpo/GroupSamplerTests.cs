using System.Text.Json;
using Gradus.Training.Stages;
using Gradus.Training.Tests.Stages;
using Xunit;

namespace Gradus.Training.Tests.Grpo;

public sealed class GroupSamplerTests
{
    [Fact]
    public void Groups_without_spread_make_room_for_others_and_the_rest_stays()
    {
        using var stages = Stages();
        var plain = Run(stages, "plain", 0);
        var again = Run(stages, "again", 3);
        Assert.DoesNotContain(plain.Steps[1].Metrics, metric => metric.Name is "resampled_groups" or "sampled_reward");
        Assert.Equal(plain.Metric(1, "reward"), again.Metric(1, "sampled_reward"));
        var flat = plain.Metric(1, "frac_reward_zero_std") * 6;
        Assert.InRange(flat, 2, 5);
        Assert.True(again.Metric(1, "frac_reward_zero_std") * 6 < flat);
        Assert.InRange(again.Metric(1, "resampled_groups"), flat, 3 * flat);
        Assert.Equal(24, again.Steps[1].Samples.Count);
        var (before, after) = (Groups(plain.Steps[1]), Groups(again.Steps[1]));
        for (var i = 0; i < 6; i++)
        {
            var spread = before[i].Rewards.OfType<double>().Distinct().Count() > 1;
            Assert.Equal(spread, before[i].Texts.SequenceEqual(after[i].Texts));
        }
    }

    [Fact]
    public void What_never_has_spread_is_drawn_as_often_as_allowed_and_stays()
    {
        using var stages = Stages();
        // No completion of two tokens is well-formed.
        var journal = Run(stages, "never", 2, """ "max_completion_length":2,"rewards":[{"name":"format"}]""");
        Assert.Equal((12, 1, 0), (journal.Metric(1, "resampled_groups"), journal.Metric(1, "frac_reward_zero_std"), journal.Metric(1, "grad_norm")));
        Assert.NotEqual(Groups(journal.Steps[1]).Select(group => group.Texts[0]), Groups(Run(stages, "plain", 0, """ "max_completion_length":2,"rewards":[{"name":"format"}]""").Steps[1]).Select(group => group.Texts[0]));
    }

    [Fact]
    public void A_stopped_run_draws_the_same_ones_again()
    {
        using var stages = Stages();
        var whole = Run(stages, "whole", 2);
        var broken = stages.RunBroken("grpo", "broken", Options(2, Words), 1).Journal;
        Assert.Equal(whole.Everything(), broken.Everything());
        Assert.True(whole.Metric(2, "resampled_groups") > 0);
    }

    private const string Words = """ "max_completion_length":20,"rewards":[{"name":"language_consistency"}]""";

    private static StageHarness Stages()
    {
        var stages = new StageHarness().WithBase();
        stages.Datasets["problems"] = [.. stages.Datasets["documents"].Select((row, i) => JsonSerializer.SerializeToElement(new { prompt = row.GetProperty("prompt").GetString(), language = i % 2 == 0 ? "en" : "zh" }))];
        return stages;
    }

    private static string Options(int resamples, string more) => $$"""
        {"model":"base","dataset":"problems","max_steps":2,"prompts_per_step":6,"num_generations":4,"learning_rate":0.001,"max_resamples":{{resamples}},{{more}}}
        """;

    private static MemoryJournal Run(StageHarness stages, string job, int resamples, string more = Words)
    {
        var journal = new MemoryJournal();
        stages.Run("grpo", job, Options(resamples, more), journal);
        return journal;
    }

    private static (string[] Texts, double?[] Rewards)[] Groups(StepRecord step) =>
        [.. step.Samples.Chunk(4).Select(group => (group.Select(sample => sample.Prompt + sample.Completion).ToArray(), group.Select(sample => sample.Reward).ToArray()))];
}
