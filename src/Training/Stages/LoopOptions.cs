namespace Gradus.Training.Stages;

/// <summary>What every training stage has: how many steps, when to save, and the optimizer. Every default is written out, none is the library's.</summary>
public sealed record LoopOptions
{
    /// <summary><c>max_steps</c>: optimizer updates, 1 to 1,000,000; default 100 (ours).</summary>
    public required int MaxSteps { get; init; }

    /// <summary><c>save_steps</c>: steps between checkpoints, 1 to 1,000,000; default 50 (ours; TRL 500). A death costs at most this many.</summary>
    public required int SaveSteps { get; init; }

    /// <summary><c>save_total_limit</c>: checkpoints kept, 1 to 100; default 2 (the newest may be torn).</summary>
    public required int SaveTotalLimit { get; init; }

    /// <summary><c>learning_rate</c>: AdamW's peak rate, 0 to 1; default 2e-5 for sft and pretrain, 1e-6 for grpo (TRL's).</summary>
    public required double LearningRate { get; init; }

    /// <summary><c>lr_scheduler_type</c>: constant, linear or cosine, after the warm-up; default constant for grpo, else linear (TRL's is linear).</summary>
    public required string Scheduler { get; init; }

    /// <summary><c>min_lr_ratio</c>: where cosine ends, as a share of the peak, 0 to 1; default 0 (linear ends at 0).</summary>
    public required double MinLearningRateRatio { get; init; }

    /// <summary><c>warmup_steps</c>: steps in which the rate rises from 0 to the peak, 0 to 1,000,000; default 0. The first of them changes nothing, as in TRL.</summary>
    public required int WarmupSteps { get; init; }

    /// <summary><c>adam_beta1</c>: decay of the mean gradient, 0 to 0.9999; default 0.9.</summary>
    public required double Beta1 { get; init; }

    /// <summary><c>adam_beta2</c>: decay of the mean squared gradient, 0 to 0.99999; default 0.999.</summary>
    public required double Beta2 { get; init; }

    /// <summary><c>adam_epsilon</c>: added to the root of the mean square, 1e-12 to 1; default 1e-8.</summary>
    public required double Epsilon { get; init; }

    /// <summary><c>weight_decay</c>: decoupled decay a step, times the rate, 0 to 10; default 0 (TRL's; PyTorch's AdamW has 0.01).</summary>
    public required double WeightDecay { get; init; }

    /// <summary><c>max_grad_norm</c>: the gradient is scaled down to this norm, 0 to 1,000; default 1; 0 leaves it as it is.</summary>
    public required double MaxGradNorm { get; init; }

    /// <summary>
    /// <c>max_tokens_per_microbatch</c>: tokens, padding included, that go through the model at once, 16 to 1,048,576; default 8,192. It bounds the memory;
    /// a single longer row goes alone. Another value sums gradients in another order: equal but for rounding.
    /// </summary>
    public required int MaxTokensPerMicrobatch { get; init; }

    /// <summary>
    /// <c>dtype</c>: float32 (default) or bf16. bf16 multiplies in bf16 over fp32 weights (<see cref="Model.BFloat16Products"/>), near twice as fast where the processor has
    /// instructions for it and slower where not. grpo samples by kernels in bf16, too (the difference is the metric <c>sampling/sampling_logp_difference</c>); evaluate and rejection-sampling have the same option. What it does to the loss is in docs/log.md.
    /// </summary>
    public required bool BFloat16 { get; init; }

    /// <summary>
    /// <c>gradient_checkpointing</c>: keep each layer's input alone and compute the layer again on the way back (<see cref="Model.TrainingPass"/>); default false (TRL's is
    /// true). The same gradients for a third more time and far less memory.
    /// </summary>
    public required bool GradientCheckpointing { get; init; }

    internal static LoopOptions Read(OptionReader reader, double learningRate, string scheduler)
    {
        var options = All(reader, learningRate, scheduler);
        return options.Scheduler == "cosine" || !reader.Has("min_lr_ratio") ? options : throw OptionReader.Invalid(
            reader.At("min_lr_ratio"), $"'{reader.At("min_lr_ratio")}' has no meaning with lr_scheduler_type {options.Scheduler}: leave it out, or set that to cosine.");
    }

    private static LoopOptions All(OptionReader reader, double learningRate, string scheduler) => new()
    {
        MaxSteps = reader.Integer("max_steps", 100, 1, 1_000_000),
        SaveSteps = reader.Integer("save_steps", 50, 1, 1_000_000),
        SaveTotalLimit = reader.Integer("save_total_limit", 2, 1, 100),
        LearningRate = reader.Number("learning_rate", learningRate, 0, 1),
        Scheduler = reader.Choice("lr_scheduler_type", scheduler, "constant", "linear", "cosine"),
        MinLearningRateRatio = reader.Number("min_lr_ratio", 0, 0, 1),
        WarmupSteps = reader.Integer("warmup_steps", 0, 0, 1_000_000),
        Beta1 = reader.Number("adam_beta1", 0.9, 0, 0.9999),
        Beta2 = reader.Number("adam_beta2", 0.999, 0, 0.99999),
        Epsilon = reader.Number("adam_epsilon", 1e-8, 1e-12, 1),
        WeightDecay = reader.Number("weight_decay", 0, 0, 10),
        MaxGradNorm = reader.Number("max_grad_norm", 1, 0, 1000),
        MaxTokensPerMicrobatch = reader.Integer("max_tokens_per_microbatch", 8192, 16, 1_048_576),
        GradientCheckpointing = reader.Flag("gradient_checkpointing", false),
        BFloat16 = reader.Choice("dtype", "float32", "float32", "bf16") == "bf16",
    };
}
