using System.Text.Json;
using Gradus.Training.Model;
using Gradus.Training.Stages;
using Gradus.Training.Tasks;
using Gradus.Training.Tests.Model;
using Xunit;

namespace Gradus.Training.Tests.Stages;

public sealed class ResumeTests
{
    private const string Grpo = """
        {"model":"base","dataset":"problems","max_steps":4,"prompts_per_step":3,"num_generations":4,"max_completion_length":12,"learning_rate":0.001,"save_steps":100,
         "max_tokens_per_microbatch":120,"beta":0.01,"rewards":[{"name":"accuracy"},{"name":"format"},{"name":"language_consistency"}],"phrases":{"digits":["1"]}
        """;

    [Fact]
    public void A_stopped_pretrain_ends_in_the_same_bytes_as_an_unbroken_one()
    {
        using var stages = new StageHarness();
        var whole = new MemoryJournal();
        var unbroken = stages.Run("pretrain", "whole", StageHarness.Pretrain(5), whole);
        var (resumed, journal) = stages.RunBroken("pretrain", "broken", StageHarness.Pretrain(5), stopAfter: 2);
        Same(unbroken.ModelFolder!, resumed.ModelFolder!);
        Assert.Equal(whole.Everything(), journal.Everything());
        Assert.Equal([1, 3], journal.Begins);
    }

    [Fact]
    public void A_stopped_grpo_ends_in_the_same_bytes_metrics_and_samples_as_an_unbroken_one()
    {
        using var stages = new StageHarness().WithBase();
        var whole = new MemoryJournal();
        var unbroken = stages.Run("grpo", "whole", Grpo + "}", whole);
        var (resumed, journal) = stages.RunBroken("grpo", "broken", Grpo + "}", stopAfter: 2);
        Same(unbroken.ModelFolder!, resumed.ModelFolder!);
        Assert.Equal(whole.Everything(), journal.Everything());
        Assert.Equal(12, journal.Steps[4].Samples.Count);
        Assert.Equal(3, journal.Steps[4].Samples[0].PolicyVersion);
    }

    /// <summary>Experts are one tensor in training and many in the file; what balances them is loaded, kept and never trained.</summary>
    [Fact]
    public void Experts_and_latent_attention_are_trained_and_resumed_like_anything_else()
    {
        using var stages = new StageHarness();
        var folder = stages.Folder("deepseek");
        TinyModel.WriteWithoutWeights(folder);
        using (var model = CausalLm.Create(Families.DeepSeek with { VocabularySize = TinyModel.Vocabulary.Count, MaxPositions = 256 }, 3)) model.Save(folder);
        stages.Keep("base", new StageResult(folder, null, []));
        var whole = new MemoryJournal();
        var unbroken = stages.Run("grpo", "whole", Grpo + "}", whole);
        var (resumed, journal) = stages.RunBroken("grpo", "broken", Grpo + "}", stopAfter: 2);
        Same(unbroken.ModelFolder!, resumed.ModelFolder!);
        Assert.Equal(whole.Everything(), journal.Everything());
        Assert.Equal(0, whole.Metric(1, "sampling/sampling_logp_difference/max"), 1e-4);
    }

    [Fact]
    public void With_several_updates_on_a_batch_the_checkpoint_waits_for_the_last_of_them()
    {
        using var stages = new StageHarness().WithBase();
        var whole = new MemoryJournal();
        var options = Grpo + ",\"num_iterations\":2,\"epsilon\":0.0001}";
        var unbroken = stages.Run("grpo", "whole", options, whole);
        var (resumed, journal) = stages.RunBroken("grpo", "broken", options, stopAfter: 1);
        Assert.Equal([1, 3], journal.Begins);
        Same(unbroken.ModelFolder!, resumed.ModelFolder!);
        Assert.Equal(whole.Everything(), journal.Everything());
        Assert.Empty(whole.Steps[2].Samples);
        Assert.Equal(0, whole.Metric(1, "clip_ratio/region_mean"));
    }

    [Theory]
    [InlineData("", 1), InlineData("", 2), InlineData("", 3)]
    [InlineData(",\"adapter\":{\"r\":4}", 1), InlineData(",\"adapter\":{\"r\":4}", 3)]
    public void The_reference_that_was_replaced_is_the_same_after_a_stop(string adapter, int stopAfter)
    {
        using var stages = new StageHarness().WithBase();
        stages.Datasets["problems"] = [.. stages.Datasets["documents"].Select((row, i) => JsonSerializer.SerializeToElement(new { prompt = row.GetProperty("prompt").GetString(), language = i % 2 == 0 ? "en" : "zh" }))];
        var options = $$"""
            {"model":"base","dataset":"problems","max_steps":5,"prompts_per_step":4,"num_generations":4,"max_completion_length":24,"learning_rate":0.005,"save_steps":100,"max_tokens_per_microbatch":120,
             "beta":0.1,"sync_ref_model":true,"ref_model_sync_steps":2,"rewards":[{"name":"language_consistency"}]{{adapter}}}
            """;
        var whole = new MemoryJournal();
        var unbroken = stages.Run("grpo", "whole", options, whole);
        foreach (var held in new[] { 1, 3, 5 }) Assert.InRange(whole.Metric(held, "kl"), -1e-7, 1e-7);
        foreach (var away in new[] { 2, 4 }) Assert.True(whole.Metric(away, "kl") > 1e-5, $"{away}: {whole.Metric(away, "kl")}");
        var (resumed, journal) = stages.RunBroken("grpo", "broken", options, stopAfter);
        Same(unbroken.ModelFolder!, resumed.ModelFolder!, adapter.Length > 0 ? "adapter_model.safetensors" : "model.safetensors");
        Assert.Equal(whole.Everything(), journal.Everything());
    }

    private static void Same(string one, string other, string file = "model.safetensors") =>
        Assert.Equal(File.ReadAllBytes(Path.Combine(one, file)), File.ReadAllBytes(Path.Combine(other, file)));
}
