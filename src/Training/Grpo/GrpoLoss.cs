// The surrogates of GRPO and its relatives on flat lists of tokens: pure, tensors in, loss and sums for the metrics out. It knows no model, no groups and no padding.
// Differs from Nature eq. 1 and 2 as TRL does: the divergence is multiplied by the ratio, which makes its gradient unbiased off the policy (at ratio 1 its
// value is k3), and the mean over tokens is the caller's, by a weight for each.
// N: tokens of the micro-batch, R: its rollouts.
using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Grpo;

/// <summary>What the loss is computed from. Each tensor is [N] fp32 but where said.</summary>
/// <param name="LogProbs_N">Of the sampled tokens under the policy, with gradient.</param>
/// <param name="OldLogProbs_N">Under the policy that sampled them; null says it is this very policy: the ratio is 1 and carries the gradient.</param>
/// <param name="ReferenceLogProbs_N">Under the reference; needed where beta is above 0.</param>
/// <param name="Advantages_N">The advantage of each token's rollout.</param>
/// <param name="Weights_N">The normaliser: each token's share in the loss (<see cref="GrpoLoss.TokenWeight"/>).</param>
/// <param name="Mask_N">1 where a token counts, 0 where it does not.</param>
/// <param name="Row_N">int64: the rollout of each token, 0 to R - 1.</param>
/// <param name="Rows">R.</param>
/// <param name="Chosen_N">1 where the surrogate counts (<see cref="GrpoLossOptions.TopEntropyQuantile"/>), 0 where only the divergence does; null for all.</param>
/// <param name="Sampled_N">As the sampler computed them when it drew; needed where there is an importance correction.</param>
public sealed record GrpoLossInput(
    Tensor LogProbs_N, Tensor? OldLogProbs_N, Tensor? ReferenceLogProbs_N, Tensor Advantages_N, Tensor Weights_N, Tensor Mask_N, Tensor Row_N, int Rows, Tensor? Chosen_N = null, Tensor? Sampled_N = null);

/// <summary>Loss and gradient path, and what the metrics need of this micro-batch.</summary>
/// <param name="Loss">A scalar with gradient; the step's loss is the sum over micro-batches.</param>
/// <param name="Clipped">Clipped below, above: sums over tokens (or over rollouts where the ratio is a sequence's).</param>
/// <param name="LowMin">Smallest share of a rollout's tokens that is clipped below.</param>
/// <param name="HighMax">Largest share that is clipped above.</param>
/// <param name="KlSum">Sum of the divergence over counted tokens; 0 without a reference.</param>
public sealed record GrpoLossOutput(Tensor Loss, (double Low, double High) Clipped, double LowMin, double HighMax, double KlSum)
{
    /// <summary>Of the importance correction's ratios, after the cap: sum over counted tokens, and the largest. 0 where there is none.</summary>
    public (double Sum, double Max) Importance { get; init; }
}

public static class GrpoLoss
{
    /// <summary>The weight of each token of a rollout of that length, by <see cref="GrpoLossOptions.LossType"/>.</summary>
    /// <param name="rollouts">All of the update's, those in groups without spread and masked ones included.</param>
    /// <param name="tokens">Likewise.</param>
    /// <param name="counted">Those of rollouts that are not masked.</param>
    /// <param name="longest">max_completion_length.</param>
    public static double TokenWeight(string lossType, int length, long rollouts, long tokens, long counted, int longest) => lossType switch
    {
        "grpo" or "sapo" => 1.0 / (Math.Max(1, length) * (double)rollouts),
        "dapo" or "cispo" => 1.0 / Math.Max(1, tokens),
        "bnpo" => 1.0 / Math.Max(1, counted),
        "dr_grpo" => 1.0 / ((double)rollouts * longest),
        "luspo" => 1.0 / rollouts,
        _ => throw new ArgumentException($"There is no loss_type '{lossType}'."),
    };

    /// <summary>The entropy from which on a token is among the top share of all: torch.quantile's, linear between neighbours.</summary>
    public static float EntropyThreshold(IReadOnlyCollection<float> entropies, double share)
    {
        float[] sorted = [.. entropies.Order()];
        if (sorted.Length == 0) return float.NegativeInfinity;
        var place = (1 - share) * (sorted.Length - 1);
        var below = (int)Math.Floor(place);
        return below + 1 < sorted.Length ? (float)(sorted[below] + ((place - below) * (sorted[below + 1] - sorted[below]))) : sorted[below];
    }

    /// <summary>Tensors it makes belong to the caller's dispose scope.</summary>
    public static GrpoLossOutput Of(GrpoLossInput input, GrpoLossOptions options)
    {
        var lengths_R = SumByRow(input.Mask_N, input).clamp_min(1);
        var logRatio_N = (input.LogProbs_N - (input.OldLogProbs_N ?? input.LogProbs_N.detach())) * input.Mask_N;
        // GSPO: the geometric mean of a rollout's ratios, the same for each of its tokens.
        if (options.SequenceLevel) logRatio_N = (SumByRow(logRatio_N, input) / lengths_R).index_select(0, input.Row_N);
        var ratio_N = logRatio_N.exp();
        var loss_N = -Surrogate(ratio_N, input, options);
        if (input.Chosen_N is { } chosen_N) loss_N = loss_N * chosen_N;
        Tensor? importance_N = null;
        if (options.ImportanceCap is { } cap)
        {
            var sampled_N = input.Sampled_N ?? throw new ArgumentException("There is an importance correction, and the sampler's log-probabilities are missing.");
            importance_N = (((input.OldLogProbs_N ?? input.LogProbs_N.detach()) - sampled_N) * input.Mask_N).exp().clamp_max(cap) * input.Mask_N;
            loss_N = loss_N * importance_N;
        }

        Tensor? divergence_N = null;
        if (options.Beta > 0)
        {
            var reference_N = input.ReferenceLogProbs_N ?? throw new ArgumentException("beta is above 0 and there is no reference.");
            var difference_N = (reference_N - input.LogProbs_N) * input.Mask_N;
            divergence_N = ((difference_N.exp() - difference_N) - 1) * ratio_N;
            loss_N = loss_N + (divergence_N * options.Beta);
        }
        var output = Measured((loss_N * (input.Weights_N * input.Mask_N)).sum(), ratio_N, divergence_N, lengths_R, input, options);
        return importance_N is null ? output : output with { Importance = (importance_N.sum().item<float>(), importance_N.max().item<float>()) };
    }

    private static Tensor Surrogate(Tensor ratio_N, GrpoLossInput input, GrpoLossOptions options)
    {
        if (options.LossType == "cispo") return ratio_N.detach().clamp_max(options.EpsilonHigh) * input.Advantages_N * (input.LogProbs_N * input.Mask_N);
        if (options.LossType == "sapo")
        {
            // The ratio is above 0, so that the power stays small on that side; far above 1 the gate is flat.
            var temperature_N = (input.Advantages_N.gt(0).to(ScalarType.Float32) * (options.SapoTemperaturePos - options.SapoTemperatureNeg)) + options.SapoTemperatureNeg;
            return (((ratio_N - 1) * temperature_N).sigmoid() * 4 / temperature_N) * input.Advantages_N;
        }

        var bounded_N = options.Delta is { } delta ? ratio_N.clamp_max(delta) : ratio_N;
        return (bounded_N * input.Advantages_N).minimum(ratio_N.clamp(1 - options.Epsilon, 1 + options.EpsilonHigh) * input.Advantages_N);
    }

    private static GrpoLossOutput Measured(Tensor loss, Tensor ratio_N, Tensor? divergence_N, Tensor lengths_R, GrpoLossInput input, GrpoLossOptions options)
    {
        using var noGradient = no_grad();
        var divergence = divergence_N is null ? 0 : (divergence_N.detach() * input.Mask_N).sum().item<float>();
        // On the policy nothing is clipped, and no time is spent on finding that out.
        if (input.OldLogProbs_N is null || options.LossType == "sapo") return new(loss, (0, 0), 0, 0, divergence);
        var (lowest, highest) = options.LossType == "cispo" ? (double.NegativeInfinity, options.EpsilonHigh) : (1 - options.Epsilon, 1 + options.EpsilonHigh);
        var low_N = ratio_N.lt(lowest).logical_and(input.Advantages_N.lt(0)).to(ScalarType.Float32) * input.Mask_N;
        var high_N = ratio_N.gt(highest).logical_and(input.Advantages_N.gt(0)).to(ScalarType.Float32) * input.Mask_N;
        var lowShare_R = SumByRow(low_N, input) / lengths_R;
        var highShare_R = SumByRow(high_N, input) / lengths_R;
        var clipped = options.SequenceLevel ? (lowShare_R.sum().item<float>(), highShare_R.sum().item<float>()) : (low_N.sum().item<float>(), high_N.sum().item<float>());
        return new(loss, clipped, lowShare_R.min().item<float>(), highShare_R.max().item<float>(), divergence);
    }

    private static Tensor SumByRow(Tensor values_N, GrpoLossInput input) =>
        zeros(input.Rows, device: values_N.device).index_add(0, input.Row_N, values_N, 1);
}
