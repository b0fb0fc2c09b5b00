using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Model;

/// <summary>
/// The pass of any model on any device. Either autograd keeps what every layer computed, or (TRL's gradient_checkpointing; Chen et al. 2016) only
/// each layer's input is kept and the backward computes layer by layer again: a third more work, and of the layers' activations only one layer's at a time.
/// The operations are the same in both, and so are the gradients, bit for bit; but tied embeddings under several micro-batches add up in another order.
/// </summary>
internal sealed class AutogradPass : TrainingPass
{
    private readonly CausalLm model;
    private readonly TokenBatch batch;
    private readonly Func<Tensor> embed;
    private readonly IReadOnlyList<Func<Tensor, Tensor>> layers;
    private readonly List<Tensor> inputs_BTD = [];
    private readonly Tensor? last_BTD;

    /// <param name="embed">The embeddings, [B, T, D].</param>
    /// <param name="layers">Each from state to state; called again where it is recomputed, it must do the same.</param>
    /// <param name="norm">The final norm.</param>
    /// <param name="recompute">Whether layers are computed again on the way back.</param>
    public AutogradPass(CausalLm model, TokenBatch batch, Func<Tensor> embed, IReadOnlyList<Func<Tensor, Tensor>> layers, Func<Tensor, Tensor> norm, bool recompute)
    {
        (this.model, this.batch, this.embed, this.layers) = (model, batch, embed, layers);
        if (!recompute)
        {
            Hidden_BTD = norm(layers.Aggregate(embed(), (x_BTD, layer) => layer(x_BTD)));
            return;
        }
        using (no_grad())
        {
            inputs_BTD.Add(embed());
            foreach (var layer in layers)
            {
                using var scope = NewDisposeScope();
                inputs_BTD.Add(layer(inputs_BTD[^1]).MoveToOuterDisposeScope());
            }
        }
        last_BTD = inputs_BTD[^1].requires_grad_(true);
        Hidden_BTD = norm(last_BTD);
    }

    public override Tensor Hidden_BTD { get; }

    public override (Tensor LogProbs_N, Tensor Entropy_N) LogProbs(double temperature = 1) => Model.LogProbs.Of(model, Hidden_BTD, batch, temperature);

    public override void Backward(Tensor loss)
    {
        loss.backward();
        if (last_BTD is null) return;
        var gradient_BTD = last_BTD.grad;
        for (var layer = layers.Count - 1; layer >= 0 && gradient_BTD is not null; layer--)
        {
            using var scope = NewDisposeScope();
            var input_BTD = inputs_BTD[layer].requires_grad_(true);
            layers[layer](input_BTD).backward([gradient_BTD]);
            gradient_BTD = input_BTD.grad!.MoveToOuterDisposeScope();
            inputs_BTD[layer + 1].Dispose();
        }
        var embedded_BTD = embed();
        // Frozen embeddings, as under an adapter, end the way back.
        if (embedded_BTD.requires_grad && gradient_BTD is not null) embedded_BTD.backward([gradient_BTD]);
    }
}
