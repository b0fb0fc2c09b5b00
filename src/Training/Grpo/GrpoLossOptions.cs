using Gradus.Training.Stages;

namespace Gradus.Training.Grpo;

/// <summary>The loss's own numbers.</summary>
public sealed record GrpoLossOptions
{
    /// <summary>
    /// <c>loss_type</c>: what is minimised, and over what it is a mean; default dapo (TRL's). With the clipped surrogate: grpo (over a completion's tokens, then over completions; Nature
    /// eq. 1), dapo (over all tokens; DAPO eq. 8), bnpo (the same, without those of masked completions), dr_grpo (over completions x max_completion_length; Dr. GRPO), luspo (the sum over a
    /// completion, over completions; needs the sequence's ratio). cispo: the gradient of log-probabilities times a capped ratio (MiniMax-M1, eq. 4), over all
    /// tokens. sapo: a sigmoid gate in place of the clip (SAPO, eq. 5 and 6), over a completion's tokens, then over completions.
    /// </summary>
    public string LossType { get; init; } = "dapo";

    /// <summary><c>beta</c>: weight of the k3 estimate of the divergence from the reference (Nature eq. 2), 0 to 10; default 0 (TRL's), which needs no reference.</summary>
    public double Beta { get; init; }

    /// <summary><c>epsilon</c>: the ratio is clipped below at 1 - epsilon, 0 to 10; default 0.2 (TRL's; the paper's is 10). Not for cispo and sapo.</summary>
    public double Epsilon { get; init; } = 0.2;

    /// <summary>
    /// <c>epsilon_high</c>: the ratio is clipped above at 1 + epsilon_high, 0 to 10; default epsilon (DAPO: 0.28). For cispo it is the cap itself, 1 to 1,000; default 5 (ScaleRL; TRL would
    /// take epsilon, which caps at a fifth). Not for sapo.
    /// </summary>
    public double EpsilonHigh { get; init; } = 0.2;

    /// <summary><c>delta</c>: an upper bound on the unclipped ratio too (INTELLECT-2), 1 to 1,000; default none. Not for cispo and sapo.</summary>
    public double? Delta { get; init; }

    /// <summary><c>importance_sampling_level</c>: the ratio of each token, or of the whole sequence (GSPO: its geometric mean); token (default) or sequence.</summary>
    public bool SequenceLevel { get; init; }

    /// <summary><c>sapo_temperature_pos</c>: how sharply sapo's gate closes where the advantage is above 0, 0.01 to 100; default 1 (SAPO's).</summary>
    public double SapoTemperaturePos { get; init; } = 1;

    /// <summary><c>sapo_temperature_neg</c>: the same where it is not; default 1.05.</summary>
    public double SapoTemperatureNeg { get; init; } = 1.05;

    /// <summary><c>mask_truncated_completions</c>: completions that were cut off teach nothing (DAPO, 3.4); their rewards count in their groups; default false.</summary>
    public bool MaskTruncated { get; init; }

    /// <summary><c>top_entropy_quantile</c>: only this share of the tokens, those with the highest entropy, carries the surrogate (the divergence stays on all), 0.001 to 1; default 1, all.
    /// Below 1 each update is computed forward twice.</summary>
    public double TopEntropyQuantile { get; init; } = 1;

    /// <summary>
    /// <c>vllm_importance_sampling_correction</c>: each token's surrogate times exp(the trainer's log-probability - the sampler's), for a sampler that rounds otherwise (dtype bf16); default
    /// false (TRL's is true, for vLLM; its mode is token_truncate here). <c>vllm_importance_sampling_cap</c>: that ratio's upper bound, 1 to 1,000; default 3. Null: no correction.
    /// </summary>
    public double? ImportanceCap { get; init; }

    internal static GrpoLossOptions Read(OptionReader reader)
    {
        var type = reader.Choice("loss_type", "dapo", "grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo");
        var epsilon = reader.Number("epsilon", 0.2, 0, 10);
        var options = new GrpoLossOptions
        {
            LossType = type,
            Beta = reader.Number("beta", 0, 0, 10),
            Epsilon = epsilon,
            EpsilonHigh = type == "cispo" ? reader.Number("epsilon_high", 5, 1, 1_000) : reader.Number("epsilon_high", epsilon, 0, 10),
            Delta = reader.OptionalNumber("delta", 1, 1000),
            SequenceLevel = reader.Choice("importance_sampling_level", "token", "token", "sequence") == "sequence",
            SapoTemperaturePos = reader.Number("sapo_temperature_pos", 1, 0.01, 100),
            SapoTemperatureNeg = reader.Number("sapo_temperature_neg", 1.05, 0.01, 100),
            MaskTruncated = reader.Flag("mask_truncated_completions", false),
            ImportanceCap = Cap(reader),
            TopEntropyQuantile = reader.Number("top_entropy_quantile", 1, 0.001, 1),
        };
        string[] meaningless = type switch
        {
            "cispo" => ["epsilon", "delta", "sapo_temperature_pos", "sapo_temperature_neg"],
            "sapo" => ["epsilon", "epsilon_high", "delta"],
            _ => ["sapo_temperature_pos", "sapo_temperature_neg"],
        };
        foreach (var name in meaningless)
            if (reader.Has(name)) throw OptionReader.Invalid(reader.At(name), $"'{reader.At(name)}' has no meaning with loss_type {type}: leave it out.");
        if (type == "luspo" && !options.SequenceLevel)
            throw OptionReader.Invalid(reader.At("importance_sampling_level"), $"'{reader.At("importance_sampling_level")}' must be sequence with loss_type luspo, whose ratio is a sequence's.");
        return options;
    }

    private static double? Cap(OptionReader reader)
    {
        const string name = "vllm_importance_sampling_cap";
        if (reader.Flag("vllm_importance_sampling_correction", false)) return reader.Number(name, 3, 1, 1_000);
        return reader.Has(name) ? throw OptionReader.Invalid(reader.At(name), $"'{reader.At(name)}' has no meaning without vllm_importance_sampling_correction: leave it out, or set that to true.") : null;
    }
}
