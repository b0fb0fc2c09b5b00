using System.Text.Json;
using Gradus.Training.Model;
using Gradus.Training.Rewards;
using Gradus.Training.Rollouts;
using Gradus.Training.Stages;
using Gradus.Training.Tests.Stages;
using Gradus.Training.Tests.Text;
using Gradus.Training.Text;
using Xunit;

namespace Gradus.Training.Tests.Rollouts;

/// <summary>A template that opens the reasoning itself: its tag belongs to the completion wherever a completion is looked at.</summary>
public sealed class OpenedReasoningTests : IDisposable
{
    private const string Sampling = "\"num_generations\":2,\"max_completion_length\":12,\"prompts_per_step\":4";

    private readonly StageHarness stages = new();

    public OpenedReasoningTests()
    {
        File.WriteAllText(Path.Combine(stages.ModelFolder("tiny"), "chat_template.jinja"), ThinkingTemplate.Text);
        stages.Datasets["chats"] = [.. Enumerable.Range(1, 4).Select(i => Row(new[] { new { role = "user", content = $"What is {i} + 5?" } }, i))];
        stages.Datasets["texts"] = [.. Enumerable.Range(1, 4).Select(i => Row($"User: What is {i} + 5?\nAssistant:<think>\n", i))];
    }

    public void Dispose() => stages.Dispose();

    [Theory]
    [InlineData("chats")]
    [InlineData("texts")]
    public void A_reward_sees_the_completion_with_its_tag_and_the_prompt_without(string rows)
    {
        var folder = stages.ModelFolder("tiny");
        using var model = CausalLm.Load(folder);
        var (seen, reward) = (new List<RewardContext>(), new Recording());
        reward.Seen = seen;
        var options = new RolloutOptions { NumGenerations = 2, PromptsPerStep = 4, MaxCompletionLength = 8, Temperature = 1, TopP = 1, TopK = 0, MinP = 0, CacheMb = null, BFloat16 = false, MaxSequences = 16 };
        var context = new StageContext(new("job", "grpo", default, 7, stages.Folder("job"), 1, [], "cpu"), new MemoryJournal(), stages, CancellationToken.None);
        using var collector = new RolloutCollector(model, StageContext.Text(new StoredModel(folder, null)), options, new Rubric([(reward, 1)]), context);
        var groups = collector.Collect(stages.Datasets[rows], "rollout", 1);

        Assert.Equal(8, seen.Count);
        Assert.All(seen, one =>
        {
            Assert.StartsWith("<think>\n", one.Completion, StringComparison.Ordinal);
            Assert.EndsWith("Assistant:", one.Prompt, StringComparison.Ordinal);
        });
        var tokenizer = Tokenizer.Load(folder);
        foreach (var group in groups)
        {
            // What the model reads and writes stays as it was: the tag stands in the prompt's tokens.
            Assert.Equal(group.Prompt.Shown + "<think>\n", tokenizer.Decode(group.Prompt.Tokens));
            Assert.All(group.Rollouts, r => Assert.Equal(r.Text, "<think>\n" + tokenizer.Decode(r.Tokens, skipSpecialTokens: true)));
        }
    }

    [Theory]
    [InlineData("grpo", "\"dataset\":\"chats\",\"max_steps\":1,\"learning_rate\":0.001,\"rewards\":[{\"name\":\"format\"}]")]
    [InlineData("evaluate", "\"sets\":[{\"name\":\"s\",\"dataset\":\"chats\"}]")]
    public void Samples_hold_the_tag_in_the_completion(string stage, string more)
    {
        var journal = new MemoryJournal();
        stages.Run(stage, "j", $$"""{"model":"tiny",{{Sampling}},{{more}}}""", journal);
        var samples = journal.Steps[1].Samples;
        Assert.Equal(8, samples.Count);
        Assert.All(samples, sample => Assert.True(sample.Completion.StartsWith("<think>\n", StringComparison.Ordinal) && sample.Prompt.EndsWith("Assistant:", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("chats")]
    [InlineData("texts")]
    public void Accepted_rows_are_learned_as_they_were_sampled(string rows)
    {
        // The bare model rarely ends by itself; a short text is enough for one that does.
        var journal = new MemoryJournal();
        var options = $$$"""{"model":"tiny","dataset":"{{{rows}}}","num_generations":32,"max_completion_length":60,"prompts_per_step":4,"rewards":[{"name":"format"}],"accept":{"format":0}}""";
        var accepted = stages.Run("rejection-sampling", "r", options, journal).Rows!;
        Assert.NotEmpty(accepted);
        var encoder = PromptEncoder.Load(stages.ModelFolder("tiny"));
        var sampled = journal.Steps[1].Samples.Select(sample => sample.Prompt + sample.Completion + "<eos>").ToHashSet();
        foreach (var row in accepted)
        {
            var example = encoder.EncodeExample(row);
            Assert.Contains(encoder.Tokenizer.Decode(example.Tokens), sampled);
            Assert.EndsWith("Assistant:<think>\n", encoder.Tokenizer.Decode(example.Tokens.AsSpan(0, example.FirstTarget)), StringComparison.Ordinal);
        }
    }

    private static JsonElement Row<T>(T prompt, int i) => JsonSerializer.SerializeToElement(new { prompt, answer = $"{i + 5}" });

    private sealed class Recording : IReward
    {
        public List<RewardContext> Seen { get; set; } = [];

        public string Name => "recording";

        public double? Score(RewardContext context)
        {
            lock (Seen) Seen.Add(context);
            return 0;
        }
    }
}
