using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Model.Cpu;

/// <summary>
/// A pass of a Llama-like model on the processor, by hand forward and backward (<see cref="KernelLayer"/>, <see cref="KernelHead"/>), on real tokens alone: no padding, and nothing
/// computed that a mask would hide. Where there is no gradient to be had (no_grad), nothing is kept.
/// </summary>
// Shapes: N tokens, D width; B lines of T positions, as autograd's pass has them.
internal sealed class KernelPass : TrainingPass
{
    private readonly CausalLm model;
    private readonly TokenBatch batch;
    private readonly TokenSequence tokens;
    private readonly RmsNorm norm;
    private readonly AttentionPlan plan;
    private readonly KernelLayer[] layers;
    private readonly List<(Tensor Input_ND, KernelLayer.Kept? Kept)> passed = [];
    private readonly Tensor last_ND;
    private readonly bool learns = is_grad_enabled();
    private Tensor? hidden_BTD, logProbs_N;
    private KernelHead? head;

    /// <param name="layers">Those of the model.</param>
    /// <param name="recompute">Whether a layer keeps its input alone.</param>
    public KernelPass(CausalLm model, TokenBatch batch, RmsNorm norm, KernelLayer[] layers, AttentionPlan plan, bool recompute)
    {
        (this.model, this.batch, this.norm, this.layers, this.plan) = (model, batch, norm, layers, plan);
        tokens = batch.Sequence;
        using var noGradient = no_grad();
        var x_ND = model[WeightNames.Embedding].index_select(0, tensor(tokens.Ids));
        foreach (var layer in layers)
        {
            if (learns && !recompute)
            {
                var (state_ND, kept) = layer.Forward(x_ND, plan);
                passed.Add((x_ND, kept));
                x_ND = state_ND;
                continue;
            }
            using var scope = NewDisposeScope();
            var next_ND = layer.Forward(x_ND, plan).State_ND.MoveToOuterDisposeScope();
            if (learns) passed.Add((x_ND, null));
            else x_ND.Dispose();
            x_ND = next_ND;
        }
        last_ND = x_ND;
    }

    /// <summary>Whether there are kernels on this machine for all layers of such a model.</summary>
    public static bool Supports(ModelConfig config) => TrainingKernels.Supported && KernelLayer.Supports(config);

    /// <summary>Adapters go by autograd, as does all that is not on the processor.</summary>
    public static bool Supports(CausalLm model) => Supports(model.Config) && model.Device.type == DeviceType.CPU && model.Linears.Values.All(map => map.Adapter is null);

    /// <summary>Padded, with zeros; who takes it computes the head by autograd.</summary>
    public override Tensor Hidden_BTD => hidden_BTD ??= Padded();

    public override (Tensor LogProbs_N, Tensor Entropy_N) LogProbs(double temperature = 1)
    {
        if (logProbs_N is not null) throw new InvalidOperationException("A pass gives its log-probabilities once.");
        using var noGradient = no_grad();
        head = new(norm, model.Head, temperature);
        var (logProbs, entropy_N) = head.Forward(last_ND.index_select(0, tensor(tokens.Sources)), batch.Targets_N);
        logProbs_N = logProbs.requires_grad_(learns);
        return (logProbs_N, entropy_N);
    }

    public override void Backward(Tensor loss)
    {
        loss.backward();
        using var noGradient = no_grad();
        var dx_ND = zeros_like(last_ND);
        using (NewDisposeScope())
        {
            if (logProbs_N?.grad is { } gradients_N) TrainingKernels.AddRows(head!.Backward(gradients_N.contiguous()), tokens.Sources, dx_ND);
            if (hidden_BTD?.grad is { } dhidden_BTD) AddHidden(dhidden_BTD, dx_ND);
        }
        for (var layer = layers.Length - 1; layer >= 0; layer--)
        {
            using var scope = NewDisposeScope();
            var (input_ND, kept) = passed[layer];
            kept ??= layers[layer].Forward(input_ND, plan).Kept;
            var before_ND = layers[layer].Backward(dx_ND, kept, plan).MoveToOuterDisposeScope();
            dx_ND.Dispose();
            if (layer > 0) input_ND.Dispose();
            dx_ND = before_ND;
        }
        var embedding_VD = model[WeightNames.Embedding];
        if (!embedding_VD.requires_grad) return;
        var (gradient_VD, first) = TrainingKernels.GradientOf(embedding_VD);
        if (first) gradient_VD.zero_();
        TrainingKernels.AddRows(dx_ND, tokens.Ids, gradient_VD);
        gradient_VD.Dispose();
    }

    private Tensor Padded()
    {
        using var noGradient = no_grad();
        Tensor normed_ND = empty_like(last_ND), scale_N = empty(last_ND.shape[0]);
        TrainingKernels.Norm(last_ND, null, null, norm, normed_ND, scale_N);
        var padded = zeros(batch.Ids_BT.numel(), last_ND.shape[1]);
        TrainingKernels.AddRows(normed_ND, tokens.Places, padded);
        return padded.view(batch.Ids_BT.shape[0], batch.Ids_BT.shape[1], -1).requires_grad_(learns);
    }

    private void AddHidden(Tensor dhidden_BTD, Tensor dx_ND)
    {
        Tensor scale_N = empty(last_ND.shape[0]), normed_ND = empty_like(last_ND), dlast_ND = empty_like(last_ND);
        TrainingKernels.Norm(last_ND, null, null, norm, normed_ND, scale_N);
        var dnormed_ND = dhidden_BTD.reshape(-1, last_ND.shape[1]).index_select(0, tensor(tokens.Places));
        TrainingKernels.NormBack(last_ND, norm, scale_N, dnormed_ND, null, dlast_ND, null);
        dx_ND.add_(dlast_ND);
    }
}
