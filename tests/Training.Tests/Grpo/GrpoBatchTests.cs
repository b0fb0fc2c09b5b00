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

    private static RolloutGroup Group(int prompt, params int[] lengths) =>
        new(default, new("", [.. Enumerable.Range(1, prompt)], ""), [.. lengths.Select((length, place) => new Rollout([.. Enumerable.Repeat(place, length)], new float[length], "", "stop", new([], null)))]);

    private static GrpoBatch Batch(int budget, RolloutGroup[] groups, double[] advantages)
    {
        var options = (GrpoOptions)StageOptions.Parse("grpo", JsonDocument.Parse($$"""{"model":"m","dataset":"d","rewards":[{"name":"format"}],"max_tokens_per_microbatch":{{budget}}}""").RootElement);
        return new(groups, advantages, options);
    }
}
