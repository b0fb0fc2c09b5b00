using System.Text.Json;
using Gradus.Training.Stages;
using Gradus.Training.Tasks;
using Xunit;

namespace Gradus.Training.Tests.Stages;

public sealed class StageTests
{
    [Fact]
    public void A_trained_model_is_a_whole_folder_and_learned_something()
    {
        using var stages = new StageHarness();
        var journal = new MemoryJournal();
        var result = stages.Run("pretrain", "p", StageHarness.Pretrain(20), journal);
        Assert.Superset(new HashSet<string> { "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json" }, Directory.GetFiles(result.ModelFolder!).Select(Path.GetFileName).ToHashSet()!);
        Assert.True(journal.Metric(20, "loss") < journal.Metric(1, "loss") - 0.3, $"{journal.Metric(1, "loss")} -> {journal.Metric(20, "loss")}");
        Assert.Equal(20, journal.TotalSteps);
        // What a process of .NET with libtorch has at least, and less than any machine.
        Assert.All(journal.Steps.Keys, step => Assert.InRange(journal.Metric(step, "memory/peak_bytes"), 5e7, 1e12));
    }

    [Fact]
    public void Packed_rows_do_not_see_each_other()
    {
        using var stages = new StageHarness().WithBase();
        var options = """{"model":"base","dataset":"documents","max_steps":2,"batch_size":8,"learning_rate":0.001,"max_tokens_per_microbatch":500,"packing":""";
        var (packed, padded) = (new MemoryJournal(), new MemoryJournal());
        stages.Run("sft", "packed", options + "true}", packed);
        stages.Run("sft", "padded", options + "false}", padded);
        Assert.Equal(padded.Metric(1, "loss"), packed.Metric(1, "loss"), 1e-5);
        Assert.Equal(padded.Metric(1, "grad_norm"), packed.Metric(1, "grad_norm"), 1e-4);
        Assert.Equal(padded.Metric(2, "loss"), packed.Metric(2, "loss"), 1e-3);
    }

    [Fact]
    public void Products_in_bf16_train_almost_as_those_in_fp32()
    {
        using var stages = new StageHarness().WithBase();
        var (full, halved, group) = (new MemoryJournal(), new MemoryJournal(), new MemoryJournal());
        var options = StageHarness.Pretrain(6)[..^1];
        stages.Run("pretrain", "full", options + "}", full);
        stages.Run("pretrain", "halved", options + ",\"dtype\":\"bf16\"}", halved);
        for (var step = 1; step <= 6; step++)
        {
            Assert.NotEqual(full.Metric(step, "loss"), halved.Metric(step, "loss"));
            Assert.Equal(full.Metric(step, "loss"), halved.Metric(step, "loss"), 0.01);
            Assert.Equal(full.Metric(step, "grad_norm"), halved.Metric(step, "grad_norm"), 0.02 * full.Metric(step, "grad_norm"));
        }
        stages.Run("grpo", "group", """
            {"model":"base","dataset":"problems","max_steps":1,"prompts_per_step":4,"num_generations":4,"max_completion_length":20,"beta":0.1,"dtype":"bf16","vllm_importance_sampling_correction":true,"rewards":[{"name":"language_consistency"}]}
            """, group);
        Assert.Equal(0, group.Metric(1, "kl"));
        // Rollouts are sampled in bf16, too, by kernels that round elsewhere.
        Assert.InRange(group.Metric(1, "sampling/sampling_logp_difference/max"), 1e-4, 0.1);
        Assert.Equal(Math.Exp(group.Metric(1, "sampling/sampling_logp_difference/max")), group.Metric(1, "sampling/importance_sampling_ratio/max"), 0.1);
        Assert.InRange(group.Metric(1, "sampling/importance_sampling_ratio/mean"), 0.95, 1.05);
        var refused = Assert.Throws<InvalidInputException>(() => stages.Run("pretrain", "wrong", options + ",\"dtype\":\"float16\"}", new()));
        Assert.Equal(("options.dtype", "unknown_value"), (refused.Parameter, refused.Code));
    }

    [Fact]
    public void Rollouts_in_bf16_are_sampled_by_the_weights_of_their_step()
    {
        using var stages = new StageHarness().WithBase();
        var group = new MemoryJournal();
        stages.Run("grpo", "group", """
            {"model":"base","dataset":"problems","max_steps":4,"prompts_per_step":4,"num_generations":4,"max_completion_length":20,"beta":0.1,"learning_rate":0.01,"dtype":"bf16","rewards":[{"name":"language_consistency"}]}
            """, group);
        // The policy has gone far from where it began, and the sampler went with it.
        Assert.InRange(group.Metric(4, "kl"), 0.05, double.PositiveInfinity);
        for (var step = 1; step <= 4; step++) Assert.InRange(group.Metric(step, "sampling/sampling_logp_difference/max"), 0, 0.1);
    }

    [Theory, InlineData(true), InlineData(false)]
    public void Micro_batches_change_no_step_and_a_row_beyond_them_goes_alone(bool packing)
    {
        using var stages = new StageHarness().WithBase();
        MemoryJournal Run(int budget)
        {
            var journal = new MemoryJournal();
            stages.Run("sft", $"budget{budget}", $$"""{"model":"base","dataset":"documents","max_steps":3,"batch_size":8,"learning_rate":0.001,"max_tokens_per_microbatch":{{budget}},"packing":{{(packing ? "true" : "false")}}}""", journal);
            return journal;
        }
        var whole = Run(8192);
        Assert.DoesNotContain(whole.Events, said => said.Contains("goes alone", StringComparison.Ordinal));
        foreach (var budget in new[] { 150, 16 })
        {
            var cut = Run(budget);
            for (var step = 1; step <= 3; step++)
            {
                Assert.Equal(whole.Metric(step, "loss"), cut.Metric(step, "loss"), 1e-5);
                Assert.Equal(whole.Metric(step, "grad_norm"), cut.Metric(step, "grad_norm"), 1e-4);
            }
            if (budget == 16) Assert.Single(cut.Events, said => said.Contains("longer than max_tokens_per_microbatch (16): it goes alone", StringComparison.Ordinal));
        }
    }

    [Theory, InlineData("float32", 4096), InlineData("bf16", 200)]
    public void Layers_computed_again_train_the_same_model(string dtype, int budget)
    {
        using var stages = new StageHarness().WithBase();
        string Supervised(bool again) => $$"""{"model":"base","dataset":"documents","max_steps":3,"batch_size":8,"learning_rate":0.001,"max_tokens_per_microbatch":{{budget}},"dtype":"{{dtype}}","gradient_checkpointing":{{(again ? "true" : "false")}}}""";
        string Group(bool again) => $$"""
            {"model":"base","dataset":"problems","max_steps":2,"prompts_per_step":2,"num_generations":4,"max_completion_length":20,"learning_rate":0.001,"num_iterations":2,"dtype":"{{dtype}}",
             "gradient_checkpointing":{{(again ? "true" : "false")}},"rewards":[{"name":"language_consistency"}]}
            """;
        string Adapted(bool again) => Supervised(again)[..^1] + ",\"adapter\":{\"r\":4,\"lora_dropout\":0.3}}";
        foreach (var (name, stage, options) in new (string, string, Func<bool, string>)[] { ("whole", "sft", Supervised), ("adapted", "sft", Adapted), ("group", "grpo", Group) })
        {
            var (plain, again) = (new MemoryJournal(), new MemoryJournal());
            stages.Run(stage, name + "plain", options(false), plain);
            stages.Run(stage, name + "again", options(true), again);
            var last = plain.TotalSteps;
            Assert.Equal(plain.Metric(last, "loss"), again.Metric(last, "loss"), 1e-6);
            Assert.Equal(plain.Metric(last, "grad_norm"), again.Metric(last, "grad_norm"), 1e-5);
        }
    }

    [Fact]
    public void Held_out_prompts_are_left_out_and_counted()
    {
        using var stages = new StageHarness().WithBase();
        stages.Datasets["held-out"] = [.. stages.Datasets["documents"].Take(10)];
        var prompts = stages.Datasets["held-out"].Select(r => r.GetProperty("prompt").GetString()).ToHashSet();
        var expected = stages.Datasets["documents"].Count(r => prompts.Contains(r.GetProperty("prompt").GetString()));
        var journal = new MemoryJournal();
        stages.Run("sft", "s", """{"model":"base","dataset":"documents","max_steps":1,"held_out":["held-out"]}""", journal);
        Assert.Contains(journal.Events, e => e.StartsWith($"warning: Left out {expected} of 100 rows", StringComparison.Ordinal));
        var error = Assert.Throws<InvalidInputException>(() => stages.Run("sft", "t", """{"model":"base","dataset":"held-out","max_steps":1,"held_out":["held-out"]}""", new()));
        Assert.Contains("no row", error.Message);
    }

    [Theory]
    [InlineData("\"loss_type\":\"grpo\",\"beta\":0.01")]
    [InlineData("\"loss_type\":\"cispo\",\"top_entropy_quantile\":0.5")]
    [InlineData("\"loss_type\":\"sapo\",\"mask_truncated_completions\":true")]
    [InlineData("\"loss_type\":\"luspo\",\"importance_sampling_level\":\"sequence\"")]
    public void Rollouts_are_split_into_minibatches_and_passed_over_again_and_resuming_changes_nothing(string loss)
    {
        using var stages = new StageHarness().WithBase();
        var options = $$"""
            {"model":"base","dataset":"problems","max_steps":8,"prompts_per_step":4,"num_generations":4,"max_completion_length":24,"learning_rate":0.003,"save_steps":4,
             "steps_per_generation":2,"num_iterations":2,"rewards":[{"name":"language_consistency"},{"name":"format"}],{{loss}}}
            """;
        stages.Datasets["problems"] = [.. stages.Datasets["documents"].Select((row, i) => JsonSerializer.SerializeToElement(new { prompt = row.GetProperty("prompt").GetString(), language = i % 2 == 0 ? "en" : "zh" }))];
        var journal = new MemoryJournal();
        stages.Run("grpo", "whole", options, journal);
        Assert.Equal([16, 0, 0, 0, 16, 0, 0, 0], journal.Steps.Values.Select(step => step.Samples.Count));
        Assert.All(journal.Steps.Values, step => Assert.True(double.IsFinite(step.Metrics.Single(m => m.Name == "loss").Value)));
        Assert.InRange(journal.Metric(1, "sampling/sampling_logp_difference/max"), 0, 1e-3);
        var broken = stages.RunBroken("grpo", "broken", options, 4).Journal;
        Assert.Equal(journal.Everything(), broken.Everything());
    }

    [Fact]
    public void Groups_without_spread_cost_nothing_and_the_step_is_still_one()
    {
        using var stages = new StageHarness().WithBase();
        var journal = new MemoryJournal();
        // Two tokens are never well-formed: every reward is 0.
        stages.Run("grpo", "g", """{"model":"base","dataset":"problems","max_steps":2,"prompts_per_step":2,"num_generations":2,"max_completion_length":2,"rewards":[{"name":"format"}]}""", journal);
        Assert.Equal((1, 0, 0), (journal.Metric(1, "frac_reward_zero_std"), journal.Metric(1, "grad_norm"), journal.Metric(1, "loss")));
        Assert.DoesNotContain(journal.Steps[1].Metrics, m => m.Name == "entropy");
        Assert.Equal(1, journal.Metric(2, "completions/clipped_ratio"));
        Assert.Equal(4, journal.Steps[2].Samples.Count);
    }

    [Fact]
    public void Lengths_in_tokens_reach_the_reward()
    {
        using var stages = new StageHarness().WithBase();
        var journal = new MemoryJournal();
        stages.Run("grpo", "g", """{"model":"base","dataset":"problems","max_steps":1,"prompts_per_step":4,"num_generations":4,"max_completion_length":20,"rewards":[{"name":"soft_overlong","max_completion_len":20,"soft_punish_cache":20}]}""", journal);
        Assert.Equal(16, journal.Steps[1].Samples.Count);
        Assert.All(journal.Steps[1].Samples, sample => Assert.Equal(-sample.TokenCount / 20.0, sample.Reward!.Value, 1e-12));
    }

    [Fact]
    public void The_policy_begins_at_its_reference_and_the_engine_agrees_with_the_trainer()
    {
        using var stages = new StageHarness().WithBase();
        var journal = new MemoryJournal();
        stages.Run("grpo", "g", """
            {"model":"base","dataset":"problems","max_steps":2,"prompts_per_step":4,"num_generations":4,"max_completion_length":20,"beta":0.1,"learning_rate":0.01,"temperature":0.7,
             "rewards":[{"name":"language_consistency"}]}
            """, journal);
        Assert.Equal(0, journal.Metric(1, "kl"), 1e-6);
        Assert.True(journal.Metric(2, "kl") > 1e-4, $"{journal.Metric(2, "kl")}");
        Assert.InRange(journal.Metric(1, "sampling/sampling_logp_difference/max"), 0, 1e-3);
    }

    [Fact]
    public void Selected_rows_are_a_part_in_order_without_those_held_out()
    {
        using var stages = new StageHarness();
        var all = BuiltIn.Task("times-tables").Generate("problems", 30, 5).ToArray();
        stages.Datasets["all"] = all;
        stages.Datasets["set"] = all[12..14];
        Assert.Equal(Texts(all[10..15]), Texts(stages.Run("select", "a", """{"dataset":"all","skip":10,"count":5}""", new()).Rows!));
        Assert.Equal(Texts(all[25..]), Texts(stages.Run("select", "b", """{"dataset":"all","skip":25}""", new()).Rows!));
        var journal = new MemoryJournal();
        Assert.Equal(Texts([.. all[10..12], all[14]]), Texts(stages.Run("select", "c", """{"dataset":"all","skip":10,"count":5,"held_out":["set"]}""", journal).Rows!));
        Assert.Contains(journal.Events, e => e.StartsWith("warning: Left out 2 rows", StringComparison.Ordinal));
        Assert.Equal(3, journal.Metric(1, "rows"));
        Assert.Contains("has 30", Assert.Throws<InvalidInputException>(() => stages.Run("select", "d", """{"dataset":"all","skip":30}""", new())).Message);

        static IEnumerable<string> Texts(IEnumerable<JsonElement> rows) => rows.Select(row => row.GetRawText());
    }

    [Fact]
    public void Generated_rows_are_as_many_as_asked_and_none_is_held_out()
    {
        using var stages = new StageHarness();
        var all = BuiltIn.Task("running-sums").Generate("problems", 30, 5).ToArray();
        stages.Datasets["set"] = all[..10];
        var rows = stages.Run("generate", "g", """{"kind":"problems","count":20,"seed":5,"held_out":["set"]}""", new()).Rows!;
        Assert.Equal(20, rows.Count);
        Assert.Empty(rows.Select(r => r.GetProperty("prompt").GetString()).Intersect(all[..10].Select(r => r.GetProperty("prompt").GetString())));
    }

    [Fact]
    public void Rejection_sampling_keeps_what_is_accepted_with_its_row()
    {
        using var stages = new StageHarness().WithBase();
        const string Options = """{"model":"base","dataset":"problems","num_generations":4,"max_completion_length":40,"prompts_per_step":20,"rewards":[{"name":"format"}],"max_rows":30,"max_rows_per_prompt":2""";
        var journal = new MemoryJournal();
        var rows = stages.Run("rejection-sampling", "r", Options + ",\"accept\":{\"format\":0}}", journal).Rows!;
        Assert.NotEmpty(rows);
        Assert.All(rows.GroupBy(r => r.GetProperty("prompt").GetString()), g => Assert.InRange(g.Count(), 1, 2));
        Assert.All(rows, r => Assert.True(r.TryGetProperty("completion", out _) && r.TryGetProperty("answer", out _)));
        Assert.Equal(80, journal.Steps[1].Samples.Count);
        Assert.Throws<InvalidInputException>(() => stages.Run("rejection-sampling", "none", Options + "}", new()));
    }

    [Fact]
    public void Evaluation_measures_each_set_and_does_not_depend_on_the_size_of_a_step()
    {
        using var stages = new StageHarness().WithBase();
        stages.Datasets["exact"] = [.. stages.Datasets["documents"].Take(3)];
        string Options(int prompts) => $$"""
            {"model":"base","num_generations":2,"max_completion_length":20,"prompts_per_step":{{prompts}},"phrases":{"checks":["Wait"]},
             "sets":[{"name":"sums","dataset":"problems"},{"name":"words","dataset":"exact","measure":"exact_match"}]}
            """;
        var journal = new MemoryJournal();
        var result = stages.Run("evaluate", "e", Options(16), journal);
        Assert.Equal(["sums/pass@1", "sums/cons@2", "sums/format_rate", "sums/mean_length"], result.Summary.Take(4).Select(m => m.Name));
        Assert.Contains(result.Summary, m => m.Name == "words/exact_match");
        Assert.Equal((4, (40 + 3) * 2), (journal.TotalSteps, journal.Steps.Values.Sum(s => s.Samples.Count)));
        Assert.Equal(JsonSerializer.Serialize(result.Summary), JsonSerializer.Serialize(stages.Run("evaluate", "f", Options(7), new()).Summary));
    }
}
