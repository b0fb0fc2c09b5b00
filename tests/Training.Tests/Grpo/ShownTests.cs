using Gradus.Training.Inference;
using Gradus.Training.Model;
using Gradus.Training.Tests.Stages;
using Xunit;

namespace Gradus.Training.Tests.Grpo;

/// <summary>What a step of grpo says about itself.</summary>
public sealed class ShownTests
{
    [Fact]
    public void A_step_says_where_its_time_went_whose_samples_it_has_and_what_was_scored()
    {
        using var stages = new StageHarness().WithBase();
        var journal = new MemoryJournal();
        // accuracy finds no answer in these rows, so that it applies nowhere.
        stages.Datasets["bare"] = [.. stages.Datasets["problems"].Select(row => StageHarness.Json($$"""{"prompt":{{row.GetProperty("prompt").GetRawText()}}}"""))];
        stages.Run("grpo", "g", """
            {"model":"base","dataset":"bare","max_steps":4,"save_steps":2,"prompts_per_step":2,"num_generations":2,"max_completion_length":4,"beta":0.1,"num_iterations":2,"rewards":[{"name":"accuracy"}]}
            """, journal);
        Assert.Equal([0, 0, 2, 2], journal.Steps.Keys.Select(step => journal.Metric(step, "policy_version")));
        Assert.Equal([(0, 0), (1, 0), (2, 1), (3, 1)], journal.Steps[3].Samples.Select(sample => (sample.Index, sample.Group)));
        Assert.Equal(1, journal.Metric(1, "frac_unscored"));
        Assert.True(journal.Metric(1, "completions/reflections") >= 0);
        string[] sampling = ["weights", "rollout", "reward"], training = ["reference", "forward", "backward", "optimizer"];
        Assert.Equal([.. sampling, .. training], Times(1));
        Assert.Equal([.. training, "journal"], Times(2));
        Assert.Equal([.. sampling, .. training, "checkpoint", "journal"], Times(3));

        // Of each prompt, one of two computes it, but for what an earlier one began with, too.
        Assert.InRange(journal.Metric(3, "cache/reused_tokens"), journal.Metric(3, "cache/computed_tokens"), 20 * journal.Metric(3, "cache/computed_tokens"));
        Assert.Equal((0, 0), (journal.Metric(1, "weights/copied_bytes"), journal.Metric(1, "cache/put_back")));
        Assert.DoesNotContain(journal.Steps[2].Metrics, metric => metric.Name.StartsWith("cache/", StringComparison.Ordinal) || metric.Name.StartsWith("weights/", StringComparison.Ordinal));
        Assert.Single(journal.Events, said => said == $"info: Samples by {DecodeKernel.Float32}.");

        var step = journal.Steps[3].Metrics;
        var inside = step.Where(metric => metric.Name.StartsWith("time/", StringComparison.Ordinal) && metric.Name is not ("time/checkpoint" or "time/journal")).Sum(metric => metric.Value);
        Assert.InRange(inside, 0.5 * journal.Metric(3, "step_time"), 1.001 * journal.Metric(3, "step_time"));

        IEnumerable<string> Times(int number) => journal.Steps[number].Metrics.Where(metric => metric.Name.StartsWith("time/", StringComparison.Ordinal)).Select(metric => metric.Name["time/".Length..]);
    }

    [Theory]
    [InlineData("grpo", """{"model":"base","dataset":"problems","max_steps":2,"prompts_per_step":2,"num_generations":2,"max_completion_length":4,"dtype":"bf16","rewards":[{"name":"accuracy"}]}""")]
    [InlineData("evaluate", """{"model":"base","sets":[{"name":"a","dataset":"problems"}],"prompts_per_step":2,"num_generations":2,"max_completion_length":4,"dtype":"bf16"}""")]
    public void Stages_that_sample_in_bf16_say_so_and_count_their_copies(string stage, string options)
    {
        Assert.SkipUnless(DecodeKernel.BFloat16 is not null, "This processor has no bf16 instructions, or the kernels were not built.");
        using var stages = new StageHarness().WithBase();
        var journal = new MemoryJournal();
        stages.Run(stage, "g", options, journal);
        Assert.Single(journal.Events, said => said == $"info: Samples by {DecodeKernel.BFloat16}.");
        Assert.True(journal.Metric(2, "cache/peak_bytes") > 0);
        if (stage == "evaluate") return;
        // Two bytes for each number of each matrix, rows filled up to blocks of 16.
        using var model = CausalLm.Load(stages.ModelFolder("base"));
        var bytes = model.Stored.Select(weight => weight.Value).Where(weight => weight.dim() == 2).Sum(weight => (weight.shape[0] + 15) / 16 * 16 * weight.shape[1] * 2);
        Assert.Equal((bytes, bytes), ((long)journal.Metric(1, "weights/copied_bytes"), (long)journal.Metric(2, "weights/copied_bytes")));
        Assert.Contains(journal.Steps[2].Metrics, metric => metric.Name == "time/weights");
    }
}
