using System.Text.Json;
using Gradus.Training.Grpo;
using Gradus.Training.Rollouts;
using Gradus.Training.Stages;
using Xunit;

namespace Gradus.Training.Tests.Grpo;

public sealed class GrpoBatchTests
{
    [Fact]
    public void A_groups_rollouts_share_lines_and_come_back_in_their_order()
    {
        // Groups of three, prompts of 20 and 30 tokens; the second of the first group has no advantage.
        var batch = Batch(1000, [Group(20, 5, 6, 7), Group(30, 4, 9, 2)], [1, 0, -1, 1, -1, 1]);
        Assert.Equal([4, 3, 5, 2, 0], Assert.Single(batch.MicroBatches));
        Assert.Equal((6, 1, 33, 33 + 60 + 90), (batch.Rollouts, batch.Skipped, batch.CompletionTokens, batch.AllTokens));
        using var tokens = batch.Tokens(batch.MicroBatches[0], "cpu");
        Assert.Equal([2, 45], tokens.Ids_BT.shape);
        Assert.Equal(15 + 12, tokens.Targets_N.numel());
    }

    [Theory]
    [InlineData(1000, 30, 8, 1)]
    [InlineData(1000, 400, 3, 3)]
    [InlineData(45, 30, 8, 2)]
    public void Lines_stay_within_the_budget_and_below_what_attention_makes_costly(int budget, int prompt, int rollouts, int lines)
    {
        var length = prompt == 400 ? 900 : budget == 45 ? 3 : 10;
        var batch = Batch(budget, [Group(prompt, [.. Enumerable.Repeat(length, rollouts)])], [.. Enumerable.Range(0, rollouts).Select(i => i % 2 == 0 ? 1.0 : -1)]);
        Assert.Equal(lines, batch.MicroBatches.Sum(micro =>
        {
            using var tokens = batch.Tokens(micro, "cpu");
            return tokens.Ids_BT.shape[0];
        }));
    }

    [Fact]
    public void Completions_that_were_cut_off_teach_nothing_where_they_are_masked()
    {
        var group = Group(10, 4, 6, 8);
        group = group with { Rollouts = [group.Rollouts[0], group.Rollouts[1] with { FinishReason = "length" }, group.Rollouts[2]] };
        var batch = Batch(1000, [group], [1, -1, 1], ",\"mask_truncated_completions\":true,\"loss_type\":\"bnpo\",\"beta\":0.1");
        Assert.Equal([0, 2], Assert.Single(batch.MicroBatches).Order());
        Assert.Equal((3, 1, 12, 48), (batch.Rollouts, batch.Skipped, batch.CompletionTokens, batch.AllTokens));
        // bnpo: the mean over the tokens that count; dapo, as TRL, over all.
        using var scope = TorchSharp.torch.NewDisposeScope();
        float Weight(GrpoBatch of) => of.Input(of.MicroBatches[0], TorchSharp.torch.zeros(12), null, true).Weights_N.data<float>()[0];
        Assert.Equal(1f / 12, Weight(batch), 1e-7f);
        Assert.Equal(1f / 18, Weight(Batch(1000, [group], [1, -1, 1], ",\"mask_truncated_completions\":true")), 1e-7f);
    }

    [Fact]
    public void A_minibatch_counts_its_own_rollouts()
    {
        var options = (GrpoOptions)StageOptions.Parse("grpo", JsonDocument.Parse("""{"model":"m","dataset":"d","rewards":[{"name":"format"}],"max_tokens_per_microbatch":1000}""").RootElement);
        var batch = new GrpoBatch([Group(20, 5, 6, 7), Group(30, 4, 9, 2)], [1, 0, -1, 1, -1, 2], options, [5, 0, 4]);
        Assert.Equal((3, 0, 2 + 5 + 9, 32 + 25 + 39), (batch.Rollouts, batch.Skipped, batch.CompletionTokens, batch.AllTokens));
        using var tokens = batch.Tokens(batch.MicroBatches[0], "cpu");
        Assert.Equal(16, tokens.Targets_N.numel());
    }

    [Theory]
    [InlineData(6, 4, 3)] // two groups each
    [InlineData(6, 4, 12)] // half a group each
    [InlineData(6, 4, 8)] // three quarters: every other minibatch has parts of two
    public void Minibatches_hold_each_rollout_once_and_cut_as_few_groups_as_can_be(int groups, int size, int count)
    {
        var parts = GrpoStep.Minibatches(groups, size, count, DerivedRandom.For(1, "minibatches")).ToArray();
        Assert.Equal(Enumerable.Range(0, groups * size), parts.SelectMany(part => part).Order());
        Assert.All(parts, part => Assert.Equal(groups * size / count, part.Length));
        Assert.NotEqual(Enumerable.Range(0, groups * size), parts.SelectMany(part => part));
        // A part of another group begins only where one has ended.
        Assert.Equal(count == 8 ? 12 : Math.Max(groups, count), parts.Sum(part => part.Select(place => place / size).Distinct().Count()));
    }

    [Fact]
    public void No_token_is_computed_that_carries_no_gradient()
    {
        // Three groups: one whose second rollout was cut off and is masked, one without spread, one of uneven lengths. A prompt is computed once for its group.
        var cut = Group(10, 4, 50, 8);
        cut = cut with { Rollouts = [cut.Rollouts[0], cut.Rollouts[1] with { FinishReason = "length" }, cut.Rollouts[2]] };
        var batch = Batch(1000, [cut, Group(300, 60, 60, 60), Group(30, 3, 70, 9)], [1, -2, 1, 0, 0, 0, 1, 1, -2], ",\"mask_truncated_completions\":true");
        var computed = batch.MicroBatches.Sum(micro =>
        {
            using var tokens = batch.Tokens(micro, "cpu");
            return tokens.Sequence.Ids.Length;
        });
        Assert.Equal((10 + 4 + 8) + (30 + 3 + 70 + 9), computed);
        Assert.Equal(4, batch.Skipped);
        Assert.Empty(Batch(1000, [Group(300, 60, 60, 60)], [0, 0, 0]).MicroBatches);
        // With a divergence from a reference every rollout that is not masked is computed.
        Assert.Equal(8, Batch(1000, [cut, Group(300, 60, 60, 60), Group(30, 3, 70, 9)], [1, -2, 1, 0, 0, 0, 1, 1, -2], ",\"mask_truncated_completions\":true,\"beta\":0.1").MicroBatches.Sum(micro => micro.Length));
    }

    private static RolloutGroup Group(int prompt, params int[] lengths) =>
        new(default, new("", [.. Enumerable.Range(1, prompt)], ""), [.. lengths.Select((length, place) => new Rollout([.. Enumerable.Repeat(place, length)], new float[length], "", "stop", new([], null)))]);

    private static GrpoBatch Batch(int budget, RolloutGroup[] groups, double[] advantages, string more = "")
    {
        var options = (GrpoOptions)StageOptions.Parse("grpo", JsonDocument.Parse($$"""{"model":"m","dataset":"d","rewards":[{"name":"format"}],"max_tokens_per_microbatch":{{budget}}{{more}} }""").RootElement);
        return new(groups, advantages, options);
    }
}
