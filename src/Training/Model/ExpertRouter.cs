using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace Gradus.Training.Model;

/// <summary>
/// Which experts a token goes through, and how much each counts (DeepSeek-V3, section 2.1.2): by the sigmoid of its scores. A correction that balances the experts' load
/// takes part in the choice, not in the weights, and has no gradient. It computes in fp32 whatever the products do: a close choice must not turn over.
/// </summary>
/// <param name="weight_ED">One row an expert.</param>
/// <param name="correction_E">Added to the scores for the choice.</param>
// Shapes: N tokens, D width, E experts, G groups, K experts a token.
public sealed class ExpertRouter(ExpertShape shape, Tensor weight_ED, Tensor correction_E)
{
    /// <summary>The experts of each token, int64, and their weights; gradient flows through the weights.</summary>
    public (Tensor Experts_NK, Tensor Weights_NK) Route(Tensor x_ND)
    {
        var scores_NE = F.linear(x_ND, weight_ED).sigmoid();
        var experts_NK = Choose(scores_NE);
        var weights_NK = scores_NE.gather(1, experts_NK);
        if (shape.Normalised) weights_NK = weights_NK / (weights_NK.sum(-1, true) + 1e-20);
        return (experts_NK, weights_NK * shape.Scale);
    }

    /// <summary>The best experts of the best groups; a group is as good as its two best experts together.</summary>
    private Tensor Choose(Tensor scores_NE)
    {
        using var noGradient = no_grad();
        var choice_NE = scores_NE + correction_E;
        if (shape.GroupsPerToken < shape.Groups)
        {
            long tokens = choice_NE.shape[0], members = shape.Count / shape.Groups;
            var groups_NGM = choice_NE.view(tokens, shape.Groups, members);
            var best = groups_NGM.topk(2).Item1.sum(-1).topk(shape.GroupsPerToken).Item2;
            var closed_NG = ones([tokens, shape.Groups], device: choice_NE.device).scatter_(1, best, zeros_like(best).to(ScalarType.Float32)).to(ScalarType.Bool);
            choice_NE = groups_NGM.masked_fill(closed_NG.unsqueeze(-1), float.NegativeInfinity).view(tokens, shape.Count);
        }
        return choice_NE.topk(shape.PerToken).Item2;
    }
}
