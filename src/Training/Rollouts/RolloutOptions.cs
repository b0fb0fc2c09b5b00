using Gradus.Training.Stages;

namespace Gradus.Training.Rollouts;

/// <summary>How completions are sampled: the same fields in grpo, rejection-sampling and evaluate.</summary>
public sealed record RolloutOptions
{
    /// <summary><c>num_generations</c>: completions of one prompt (G), at most 1,024; default 8 (TRL's). grpo needs 2 or more: one alone has no group to be compared with.</summary>
    public required int NumGenerations { get; init; }

    /// <summary>
    /// <c>prompts_per_step</c>: prompts of one step, 1 to 65,536, and with their completions at most 1,048,576; default 8 for grpo, else 32. In grpo <c>generation_batch_size</c> (prompts x
    /// num_generations) says the same.
    /// </summary>
    public required int PromptsPerStep { get; init; }

    /// <summary><c>max_completion_length</c>: tokens, the end token included, 1 to 131,072; default 256 (TRL's). Longer ones are cut and count in <c>completions/clipped_ratio</c>.</summary>
    public required int MaxCompletionLength { get; init; }

    /// <summary><c>temperature</c>: logits are divided by it, 0.01 to 10 (0 takes the likeliest token; not in grpo); default 1 (TRL's; the paper samples at 1).</summary>
    public required double Temperature { get; init; }

    /// <summary><c>top_p</c>: the likeliest tokens up to this mass are drawn from, 0.001 to 1; default 1 (all).</summary>
    public required double TopP { get; init; }

    /// <summary><c>top_k</c>: only the k likeliest tokens are drawn from, 0 to 1,000,000; default 0 (all).</summary>
    public required int TopK { get; init; }

    /// <summary><c>min_p</c>: only tokens of at least this share of the likeliest one's probability, 0 to 1; default 0 (all).</summary>
    public required double MinP { get; init; }

    /// <summary><c>max_sequences</c>: sequences decoded at once, 1 to 4,096; default 256. It changes no result beyond rounding.</summary>
    public required int MaxSequences { get; init; }

    /// <summary>
    /// <c>cache_mb</c>: the most memory that keys and values take, in MB (10^6 bytes), 1 to 1,048,576; default 4,096, or what one sequence needs where that is more. Sequences that do not fit wait, and
    /// no result changes beyond rounding. Less is taken where <c>max_sequences</c> sequences need less.
    /// </summary>
    public required int? CacheMb { get; init; }

    /// <summary>
    /// <c>dtype</c>: float32 (default) or bf16. bf16 samples with products of bf16 weights and states, on a copy of the weights, twice as fast or more where the processor has AVX512_BF16; elsewhere, on
    /// GPUs too, it samples in float32. How far the two are apart is in docs/log.md.
    /// </summary>
    public required bool BFloat16 { get; init; }

    /// <summary>Completions of a step: all lie in memory at once.</summary>
    private const int MostRollouts = 1_048_576;

    internal static RolloutOptions Read(OptionReader reader, int prompts, int fewestGenerations, int generations, bool greedyAllowed)
    {
        var num = reader.Integer("num_generations", generations, fewestGenerations, 1024);
        return new()
        {
            NumGenerations = num,
            PromptsPerStep = PromptsOf(reader, prompts, num),
            MaxCompletionLength = reader.Integer("max_completion_length", 256, 1, 131_072),
            Temperature = reader.Number("temperature", 1, greedyAllowed ? 0 : 0.01, 10),
            TopP = reader.Number("top_p", 1, 0.001, 1),
            TopK = reader.Integer("top_k", 0, 0, 1_000_000),
            MinP = reader.Number("min_p", 0, 0, 1),
            MaxSequences = reader.Integer("max_sequences", 256, 1, 4096),
            CacheMb = reader.OptionalInteger("cache_mb", 1, 1_048_576),
            BFloat16 = reader.Choice("dtype", "float32", "float32", "bf16") == "bf16",
        };
    }

    private static int PromptsOf(OptionReader reader, int prompts, int generations)
    {
        if (reader.OptionalInteger("generation_batch_size", 1, MostRollouts) is not { } batch)
        {
            var count = reader.Integer("prompts_per_step", prompts, 1, 65_536);
            return count * generations <= MostRollouts ? count : throw OptionReader.Invalid(
                reader.At("prompts_per_step"), $"'{reader.At("prompts_per_step")}' times num_generations is {count} x {generations}; at most {MostRollouts} completions are sampled in a step.", "out_of_range");
        }
        var path = reader.At("generation_batch_size");
        if (reader.Has("prompts_per_step")) throw OptionReader.Invalid(path, $"'{path}' and '{reader.At("prompts_per_step")}' say the same thing twice: give one.");
        if (batch % generations != 0)
            throw OptionReader.Invalid(path, $"'{path}' must be a multiple of num_generations ({generations}), so that every prompt has its whole group; {batch} is not.", "out_of_range");
        return batch / generations;
    }
}
