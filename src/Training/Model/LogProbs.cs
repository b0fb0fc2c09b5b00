using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Model;

/// <summary>Log-probabilities of targets under a model: logits only where there is a target, and one kept tensor of the vocabulary's width.</summary>
public static class LogProbs
{
    /// <summary>Elements of logits held at a time beside what is kept for the gradient.</summary>
    private const long Part = 1L << 24;

    /// <summary>
    /// Of each target (of logits / temperature) and the entropy of the distribution it came from, in nats. Gradient flows through the first alone.
    /// </summary>
    // Shapes: N targets, V vocabulary, D width.
    public static (Tensor logProbs_N, Tensor entropy_N) Of(CausalLm model, Tensor hidden_BTD, TokenBatch batch, double temperature = 1)
    {
        var hidden_ND = hidden_BTD.reshape(-1, model.Config.HiddenSize).index_select(0, batch.SourceIndex_N);
        if (temperature != 1) hidden_ND = hidden_ND * (1 / temperature);
        long count = batch.TargetRow.Count, rows = Math.Max(1, Part / model.Config.VocabularySize);
        if (count <= rows) return Of(model, hidden_ND, batch.Targets_N);
        List<Tensor> logProbs = [], entropies = [];
        for (long start = 0; start < count; start += rows)
        {
            var length = Math.Min(rows, count - start);
            var (part, entropy) = Of(model, hidden_ND.narrow(0, start, length), batch.Targets_N.narrow(0, start, length));
            logProbs.Add(part);
            entropies.Add(entropy);
        }
        return (cat(logProbs), cat(entropies));
    }

    private static (Tensor logProbs_N, Tensor entropy_N) Of(CausalLm model, Tensor hidden_ND, Tensor targets_N)
    {
        Tensor all_NV;
        using (var logits_NV = model.Logits(hidden_ND)) all_NV = logits_NV.log_softmax(-1);
        return (all_NV.gather(-1, targets_N.unsqueeze(-1)).squeeze(-1), Entropy(all_NV));
    }

    private static Tensor Entropy(Tensor logProbs_NV)
    {
        using var noGradient = no_grad();
        using var terms_NV = logProbs_NV.exp().mul_(logProbs_NV);
        return terms_NV.sum(-1).neg_();
    }
}
