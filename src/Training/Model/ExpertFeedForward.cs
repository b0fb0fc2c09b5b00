using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Model;

/// <summary>
/// A mixture of experts beside one feed-forward that all tokens share. The experts of a layer are one tensor each for gate, up and down. Tokens are sorted by their
/// experts, so that each expert computes its own in one product, and are put back in an order that is the same in every run.
/// </summary>
/// <param name="gate_EID">[experts, inner, width]; up alike, down [experts, width, inner].</param>
// Shapes: N tokens, D width, E experts, I inner width, K experts a token.
public sealed class ExpertFeedForward(ExpertShape shape, ExpertRouter router, Tensor gate_EID, Tensor up_EID, Tensor down_EDI, FeedForward shared) : IFeedForward
{
    public ExpertRouter Router { get; } = router;

    public FeedForward Shared { get; } = shared;

    public Tensor Forward(Tensor x_BTD)
    {
        var x_ND = x_BTD.reshape(-1, x_BTD.shape[^1]);
        var (experts_NK, weights_NK) = Router.Route(x_ND);
        var mixed_ND = Mix(x_ND, [.. experts_NK.cpu().contiguous().view(-1).data<long>()], weights_NK);
        return mixed_ND.view(x_BTD.shape) + Shared.Forward(x_BTD);
    }

    private Tensor Mix(Tensor x_ND, long[] experts, Tensor weights_NK)
    {
        // Places are (token, choice) pairs, token after token. The sort is stable: an expert sees its tokens in order.
        long[] order = [.. Enumerable.Range(0, experts.Length).OrderBy(place => experts[place]).Select(place => (long)place)];
        var back = new long[order.Length];
        for (var i = 0; i < order.Length; i++) back[order[i]] = i;
        var order_P = torch.tensor(order, device: x_ND.device);
        var sorted_PD = x_ND.index_select(0, torch.tensor(order.Select(place => place / shape.PerToken).ToArray(), device: x_ND.device));
        var counts = new long[shape.Count];
        foreach (var expert in experts) counts[expert]++;
        // Unbound at once, because each slice of its own would make a gradient of the whole.
        Tensor[] gates = Linear.Slices(gate_EID), ups = Linear.Slices(up_EID), downs = Linear.Slices(down_EDI);
        var outputs = new List<Tensor>();
        long start = 0;
        for (var expert = 0; expert < shape.Count; start += counts[expert++])
        {
            if (counts[expert] == 0) continue;
            var feedForward = new FeedForward(new Linear(gates[expert]), new Linear(ups[expert]), new Linear(downs[expert]));
            outputs.Add(feedForward.Forward(sorted_PD.narrow(0, start, counts[expert])));
        }
        var weighted_PD = cat(outputs) * weights_NK.reshape(-1).index_select(0, order_P).unsqueeze(-1);
        return weighted_PD.index_select(0, torch.tensor(back, device: x_ND.device)).view(-1, shape.PerToken, x_ND.shape[1]).sum(dim: 1);
    }
}
