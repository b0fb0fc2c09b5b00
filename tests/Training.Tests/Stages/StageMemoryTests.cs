using Gradus.Training.Model;
using Gradus.Training.Stages;
using Xunit;

namespace Gradus.Training.Tests.Stages;

/// <summary>The arithmetic on SmolLM2-135M's shape; what it is worth against real processes is in EstimateTests.</summary>
public sealed class StageMemoryTests
{
    private const long Weights = 134_515_008, Embedding = 49_152 * 576;

    private static readonly StageMaterial material = new(ModelConfig.Parse(StageHarness.Json("""
        {"model_type":"llama","hidden_act":"silu","vocab_size":49152,"hidden_size":576,"intermediate_size":1536,"num_hidden_layers":30,"num_attention_heads":9,"num_key_value_heads":3,
         "max_position_embeddings":8192,"rms_norm_eps":1e-5,"rope_theta":100000,"tie_word_embeddings":true,"eos_token_id":2}
        """)), null, new(128, 128));

    [Fact]
    public void Every_weight_has_a_gradient_and_two_means()
    {
        var estimate = Of("sft", "\"batch_size\":8,\"packing\":false,\"max_tokens_per_microbatch\":1024");
        Assert.Equal((4 * Weights, 4 * Weights, (8 * Weights) + (4 * Embedding)), (estimate.Weights, estimate.Gradients, estimate.Optimizer));
        // Measured by bench/Workload for 8 x 128 tokens: 4.01 GB.
        Assert.InRange(estimate.Total / 4.01e9, 1, 1.15);
    }

    [Fact]
    public void Rows_of_many_lengths_leave_holes()
    {
        // GSM8K's rows with SmolLM2's tokenizer, micro-batches of 1,024 tokens: 4.57 GB measured in full training, 5.10 GB with an adapter of rank 16 and batches of 8.
        var uneven = material with { Rows = new(506, 202) };
        Assert.InRange(StageMemory.Of(Parse("sft", "\"batch_size\":16,\"max_tokens_per_microbatch\":1024"), uneven)!.Total / 4.57e9, 0.95, 1.3);
        Assert.InRange(StageMemory.Of(Parse("sft", "\"batch_size\":8,\"max_tokens_per_microbatch\":1024,\"adapter\":{\"r\":16}"), uneven)!.Total / 5.10e9, 0.95, 1.3);
        Assert.Equal(0, Of("sft", "\"batch_size\":8").Holes);
    }

    [Fact]
    public void Options_change_the_parts_they_concern()
    {
        const string Plain = "\"batch_size\":8,\"packing\":false,\"max_tokens_per_microbatch\":1024";
        var plain = Of("sft", Plain);
        var again = Of("sft", Plain + ",\"gradient_checkpointing\":true");
        Assert.Equal(plain with { Activations = again.Activations }, again);
        Assert.InRange(again.Activations / (double)plain.Activations, 0.05, 0.15);
        Assert.Equal(plain.Weights + (2 * Weights), Of("sft", Plain + ",\"dtype\":\"bf16\"").Weights);
        // Rank 8 on queries and values of 30 layers: 8 * (576 + 576) and 8 * (576 + 192) each.
        const long Adapter = 30 * 8 * (576 + 576 + 576 + 192);
        var adapted = Of("sft", Plain + ",\"adapter\":{}");
        Assert.Equal((plain.Weights, 4 * Adapter, 8 * Adapter), (adapted.Weights, adapted.Gradients, adapted.Optimizer));
        Assert.Equal(Adapter, StageMemory.AdapterWeights(Parse("sft", Plain + ",\"adapter\":{}"), material.Config));
        const string Group = "\"rewards\":[{\"name\":\"format\"}],\"prompts_per_step\":2,\"num_generations\":4,\"max_completion_length\":100";
        var group = Of("grpo", Group);
        Assert.Equal(group.Weights * 2, Of("grpo", Group + ",\"beta\":0.1").Weights);
        Assert.Equal(group.Weights, Of("grpo", Group + ",\"beta\":0.1,\"adapter\":{}").Weights);
        // Keys and values of 3 heads of 64 in 30 layers, for 8 completions and 2 prompts; two rows of logits for each sequence.
        const long Page = 16 * 30 * 3 * 2 * 64 * 4, Logits = 2 * 8 * 49_152 * 4;
        Assert.Equal((((8 * 8) + (2 * 8)) * Page) + Logits, group.Cache);
        // Bounded, and what samples alone in bf16 has a copy of the weights.
        Assert.Equal(20_000_000 + Logits, Of("grpo", Group + ",\"cache_mb\":20").Cache);
        const string Evaluated = "\"sets\":[{\"name\":\"a\",\"dataset\":\"d\"}],\"num_generations\":4";
        Assert.Equal((4 * Weights, 6 * Weights), (Evaluate("").Weights, Evaluate(",\"dtype\":\"bf16\"").Weights));
        Assert.Equal(4_096_000_000 + (2L * 128 * 49_152 * 4), Evaluate(",\"prompts_per_step\":256,\"max_completion_length\":8000,\"max_sequences\":128").Cache);

        MemoryEstimate Evaluate(string more) => StageMemory.Of(StageOptions.Parse("evaluate", StageHarness.Json($"{{\"model\":\"m\",{Evaluated}{more}}}")), material)!;
    }

    [Fact]
    public void A_sequence_that_can_never_fit_is_refused_before_it_is_queued()
    {
        const string Group = "\"rewards\":[{\"name\":\"format\"}],\"max_completion_length\":500,\"cache_mb\":";
        // 128 + 500 tokens are 40 pages of 737,280 bytes.
        StageMemory.CheckCache(Parse("grpo", Group + "30"), material, "options");
        var refused = Assert.Throws<InvalidInputException>(() => StageMemory.CheckCache(Parse("grpo", Group + "29"), material, "options"));
        Assert.Equal(("options.cache_mb", "cache_too_small"), (refused.Parameter, refused.Code));
        Assert.Equal("'options.cache_mb' is 29, and one sequence needs 30 MB: 128 tokens of prompt and max_completion_length (500). Raise it to at least that, or lower max_completion_length.", refused.Message);
        // Without rows a prompt may be short.
        StageMemory.CheckCache(Parse("grpo", Group + "29"), material with { Rows = null }, "options");
        Assert.Throws<InvalidInputException>(() => StageMemory.CheckCache(Parse("grpo", Group + "20"), material with { Rows = null }, "options"));
        Assert.Equal("options.cache_mb", Assert.Throws<InvalidInputException>(() => Parse("grpo", Group + "0")).Parameter);
        Assert.Equal("options.cache_mb", Assert.Throws<InvalidInputException>(() => Parse("grpo", Group + "1048577")).Parameter);
        StageMemory.CheckCache(Parse("sft", "\"batch_size\":8"), material, "options");
    }

    [Fact]
    public void What_would_fit_fits()
    {
        var options = Parse("sft", "\"batch_size\":512");
        const long Room = 7_200_000_000;
        Assert.True(StageMemory.Of(options, material)!.Total > Room);
        var fitting = StageMemory.Fitting(options, material, Room);
        Assert.Equal(["max_tokens_per_microbatch 2048", "gradient_checkpointing"], fitting.Select(change => change.Change));
        Assert.All(fitting, change => Assert.InRange(change.Estimate.Total, 1, Room));
        // In less room it takes more changes at once, and at last none helps.
        Assert.Contains(StageMemory.Fitting(options, material, 1_500_000_000), change => change.Change.Contains("adapter", StringComparison.Ordinal));
        Assert.Empty(StageMemory.Fitting(options, material, 500_000_000));
    }

    private static StageOptions Parse(string stage, string options) => StageOptions.Parse(stage, StageHarness.Json($"{{\"model\":\"m\",\"dataset\":\"d\",{options}}}"));

    private static MemoryEstimate Of(string stage, string options) => StageMemory.Of(Parse(stage, options), material)!;
}
