using Gradus.Training.Lora;
using Gradus.Training.Model;
using Gradus.Training.Tests.Stages;
using Xunit;

namespace Gradus.Training.Tests.Lora;

/// <summary>sft and grpo that train an adapter alone.</summary>
public sealed class AdapterStageTests
{
    private const string Sft = """{"model":"base","dataset":"documents","max_steps":5,"batch_size":8,"learning_rate":0.01,"save_steps":100,"max_tokens_per_microbatch":300,"adapter":{"r":4,"target_modules":"all-linear","lora_dropout":0.1}}""";

    private const string Grpo = """
        "dataset":"problems","max_steps":4,"prompts_per_step":3,"num_generations":4,"max_completion_length":12,"learning_rate":0.01,"save_steps":100,
        "max_tokens_per_microbatch":120,"beta":0.1,"rewards":[{"name":"accuracy"},{"name":"format"},{"name":"language_consistency"}]
        """;

    [Fact]
    public void An_sft_of_an_adapter_learns_and_makes_peft_s_folder()
    {
        using var stages = new StageHarness();
        stages.Keep("base", stages.Run("pretrain", "base", StageHarness.Pretrain(150), new()));
        stages.Datasets["few"] = [.. stages.Datasets["documents"].Take(4)];
        var before = File.ReadAllBytes(Path.Combine(stages.ModelFolder("base"), "model.safetensors"));
        var journal = new MemoryJournal();
        var result = stages.Run("sft", "s", Sft.Replace("\"max_steps\":5", "\"max_steps\":40").Replace("documents", "few"), journal);
        Assert.True(journal.Metric(40, "loss") < journal.Metric(1, "loss") - 0.3, $"{journal.Metric(1, "loss")} -> {journal.Metric(40, "loss")}");
        Assert.Equal(["adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "tokenizer_config.json"], Files(result.ModelFolder!));
        Assert.Equal(before, File.ReadAllBytes(Path.Combine(stages.ModelFolder("base"), "model.safetensors")));
        Assert.Equal(["adapter_config.json", "adapter_model.safetensors", "manifest.json", "optimizer.safetensors", "state.json"], Files(new Uri(journal.Checkpoints[0].Uri).LocalPath));
        Assert.Equal("base", Adapter.ParentOf(result.ModelFolder!));
        Assert.Contains(journal.Events, line => line.StartsWith("info: Trains an adapter on 14 linear maps", StringComparison.Ordinal));
    }

    [Fact]
    public void A_stopped_sft_with_dropout_ends_in_the_same_bytes_as_an_unbroken_one()
    {
        using var stages = new StageHarness().WithBase();
        var whole = new MemoryJournal();
        var unbroken = stages.Run("sft", "whole", Sft, whole);
        var (resumed, journal) = stages.RunBroken("sft", "broken", Sft, stopAfter: 2);
        Same(unbroken.ModelFolder!, resumed.ModelFolder!);
        Assert.Equal(whole.Everything(), journal.Everything());
        var (again, _) = stages.RunBroken("sft", "again", Sft.Replace("\"max_steps\"", "\"gradient_checkpointing\":true,\"max_steps\""), stopAfter: 3);
        Same(unbroken.ModelFolder!, again.ModelFolder!);
        var without = new MemoryJournal();
        stages.Run("sft", "without", Sft.Replace("0.1", "0"), without);
        // B is zero at first: what is dropped shows only from the second step on.
        Assert.Equal(whole.Metric(1, "loss"), without.Metric(1, "loss"));
        Assert.NotEqual(whole.Metric(3, "loss"), without.Metric(3, "loss"));
    }

    [Fact]
    public void A_stopped_grpo_of_a_new_adapter_ends_in_the_same_bytes_and_begins_at_its_reference()
    {
        using var stages = new StageHarness().WithBase();
        Check(stages, "{\"model\":\"base\",\"adapter\":{\"r\":4,\"lora_dropout\":0.5}," + Grpo + "}");
    }

    [Fact]
    public void A_stopped_grpo_of_a_trained_adapter_is_held_to_that_adapter()
    {
        using var stages = new StageHarness().WithBase();
        stages.Keep("adapter", stages.Run("sft", "s", Sft, new()));
        var (journal, folder) = Check(stages, "{\"model\":\"adapter\"," + Grpo + "}");
        Assert.Equal("base", Adapter.ParentOf(folder));
        Assert.Contains("lora_dropout is off", string.Concat(journal.Events));
    }

    [Fact]
    public void A_grpo_of_an_adapter_learns()
    {
        using var stages = new StageHarness();
        stages.Keep("base", stages.Run("pretrain", "base", StageHarness.Pretrain(150), new()));
        var journal = new MemoryJournal();
        stages.Run("grpo", "g", """
            {"model":"base","dataset":"problems","max_steps":25,"prompts_per_step":16,"num_generations":8,"max_completion_length":60,"learning_rate":0.003,"adapter":{"target_modules":"all-linear"},
             "max_tokens_per_microbatch":2000,"rewards":[{"name":"format"}]}
            """, journal);
        double Mean(int from) => Enumerable.Range(from, 5).Average(step => journal.Metric(step, "reward"));
        Assert.True(Mean(21) > Mean(1) + 0.15, string.Join(' ', Enumerable.Range(1, 25).Select(step => journal.Metric(step, "reward").ToString("0.00"))));
    }

    [Fact]
    public void An_adapter_is_evaluated_and_sampled_like_any_model()
    {
        using var stages = new StageHarness().WithBase();
        stages.Keep("adapter", stages.Run("sft", "s", Sft, new()));
        const string Evaluate = """{"model":"MODEL","num_generations":2,"max_completion_length":20,"sets":[{"name":"sums","dataset":"problems"}]}""";
        MemoryJournal of = new(), plain = new();
        stages.Run("evaluate", "e", Evaluate.Replace("MODEL", "adapter"), of);
        stages.Run("evaluate", "f", Evaluate.Replace("MODEL", "base"), plain);
        Assert.NotEqual(plain.Everything(), of.Everything());
        const string Sample = """{"model":"adapter","dataset":"problems","num_generations":4,"max_completion_length":40,"rewards":[{"name":"format"}],"accept":{"format":0}}""";
        Assert.NotEmpty(stages.Run("rejection-sampling", "r", Sample, new()).Rows!);
    }

    [Fact]
    public void An_adapter_on_an_adapter_is_refused_and_so_is_a_map_that_is_not_there()
    {
        using var stages = new StageHarness().WithBase();
        stages.Keep("adapter", stages.Run("sft", "s", Sft, new()));
        Assert.Equal("options.adapter", Assert.Throws<InvalidInputException>(() => stages.Run("sft", "t", Sft.Replace("\"model\":\"base\"", "\"model\":\"adapter\""), new())).Parameter);
        Assert.Contains("'c_attn'", Assert.Throws<InvalidInputException>(() => stages.Run("sft", "u", Sft.Replace("\"all-linear\"", "[\"c_attn\"]"), new())).Message);
    }

    private static (MemoryJournal Journal, string Folder) Check(StageHarness stages, string options)
    {
        var whole = new MemoryJournal();
        var unbroken = stages.Run("grpo", "whole", options, whole);
        var (resumed, journal) = stages.RunBroken("grpo", "broken", options, stopAfter: 2);
        Same(unbroken.ModelFolder!, resumed.ModelFolder!);
        Assert.Equal(whole.Everything(), journal.Everything());
        Assert.Equal(0, whole.Metric(1, "kl"), 1e-6);
        Assert.True(whole.Metric(4, "kl") > 1e-4, $"{whole.Metric(4, "kl")}");
        Assert.InRange(whole.Metric(4, "sampling/sampling_logp_difference/max"), 0, 1e-3);
        return (whole, unbroken.ModelFolder!);
    }

    private static string[] Files(string folder) => [.. Directory.GetFiles(folder).Select(file => Path.GetFileName(file)).Order(StringComparer.Ordinal)];

    private static void Same(string one, string other) =>
        Assert.Equal(File.ReadAllBytes(Path.Combine(one, Adapter.WeightsFile)), File.ReadAllBytes(Path.Combine(other, Adapter.WeightsFile)));
}
