// The clipped surrogate of GRPO on flat lists of tokens: pure, tensors in, loss and sums for the metrics out. It knows no model, no groups and no padding.
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
public sealed record GrpoLossInput(
    Tensor LogProbs_N, Tensor? OldLogProbs_N, Tensor? ReferenceLogProbs_N, Tensor Advantages_N, Tensor Weights_N, Tensor Mask_N, Tensor Row_N, int Rows);

/// <summary>Loss and gradient path, and what the metrics need of this micro-batch.</summary>
/// <param name="Loss">A scalar with gradient; the step's loss is the sum over micro-batches.</param>
/// <param name="Clipped">Clipped below, above: sums over tokens (or over rollouts where the ratio is a sequence's).</param>
/// <param name="LowMin">Smallest share of a rollout's tokens that is clipped below.</param>
/// <param name="HighMax">Largest share that is clipped above.</param>
/// <param name="KlSum">Sum of the divergence over counted tokens; 0 without a reference.</param>
public sealed record GrpoLossOutput(Tensor Loss, (double Low, double High) Clipped, double LowMin, double HighMax, double KlSum);

public static class GrpoLoss
{
    /// <summary>The weight of each token of a rollout of that length: grpo is the mean over its tokens, then over rollouts; dapo the mean over all tokens.</summary>
    /// <param name="rollouts">All of the step's, those in groups without spread included; likewise <paramref name="tokens"/>.</param>
    public static double TokenWeight(string lossType, int length, long rollouts, long tokens) => lossType switch
    {
        "grpo" => 1.0 / (Math.Max(1, length) * (double)rollouts),
        "dapo" => 1.0 / Math.Max(1, tokens),
        _ => throw new ArgumentException($"loss_type is grpo or dapo, not '{lossType}'."),
    };

    /// <summary>Tensors it makes belong to the caller's dispose scope.</summary>
    public static GrpoLossOutput Of(GrpoLossInput input, GrpoLossOptions options)
    {
        var lengths_R = SumByRow(input.Mask_N, input).clamp_min(1);
        var logRatio_N = (input.LogProbs_N - (input.OldLogProbs_N ?? input.LogProbs_N.detach())) * input.Mask_N;
        // GSPO: the geometric mean of a rollout's ratios, the same for each of its tokens.
        if (options.SequenceLevel) logRatio_N = (SumByRow(logRatio_N, input) / lengths_R).index_select(0, input.Row_N);
        var ratio_N = logRatio_N.exp();
        var clipped_N = ratio_N.clamp(1 - options.Epsilon, 1 + options.EpsilonHigh);
        var bounded_N = options.Delta is { } delta ? ratio_N.clamp_max(delta) : ratio_N;
        var loss_N = -(bounded_N * input.Advantages_N).minimum(clipped_N * input.Advantages_N);

        Tensor? divergence_N = null;
        if (options.Beta > 0)
        {
            var reference_N = input.ReferenceLogProbs_N ?? throw new ArgumentException("beta is above 0 and there is no reference.");
            var difference_N = (reference_N - input.LogProbs_N) * input.Mask_N;
            divergence_N = ((difference_N.exp() - difference_N) - 1) * ratio_N;
            loss_N = loss_N + (divergence_N * options.Beta);
        }
        return Measured((loss_N * (input.Weights_N * input.Mask_N)).sum(), ratio_N, divergence_N, lengths_R, input, options);
    }

    private static GrpoLossOutput Measured(Tensor loss, Tensor ratio_N, Tensor? divergence_N, Tensor lengths_R, GrpoLossInput input, GrpoLossOptions options)
    {
        using var noGradient = no_grad();
        var divergence = divergence_N is null ? 0 : (divergence_N.detach() * input.Mask_N).sum().item<float>();
        // On the policy nothing is clipped, and no time is spent on finding that out.
        if (input.OldLogProbs_N is null) return new(loss, (0, 0), 0, 0, divergence);
        var low_N = ratio_N.lt(1 - options.Epsilon).logical_and(input.Advantages_N.lt(0)).to(ScalarType.Float32) * input.Mask_N;
        var high_N = ratio_N.gt(1 + options.EpsilonHigh).logical_and(input.Advantages_N.gt(0)).to(ScalarType.Float32) * input.Mask_N;
        var lowShare_R = SumByRow(low_N, input) / lengths_R;
        var highShare_R = SumByRow(high_N, input) / lengths_R;
        var clipped = options.SequenceLevel ? (lowShare_R.sum().item<float>(), highShare_R.sum().item<float>()) : (low_N.sum().item<float>(), high_N.sum().item<float>());
        return new(loss, clipped, lowShare_R.min().item<float>(), highShare_R.max().item<float>(), divergence);
    }

    private static Tensor SumByRow(Tensor values_N, GrpoLossInput input) =>
        zeros(input.Rows, device: values_N.device).index_add(0, input.Row_N, values_N, 1);
}
