using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Model.Cpu;

/// <summary>
/// One layer of the Llama family, the same computation as <see cref="DecoderBlock"/>, forward and by hand backward: products by libtorch, all else by <see cref="TrainingKernels"/>.
/// The residual stream and its gradient are fp32; what flows between products is bf16 where they are.
/// </summary>
// Shapes: N tokens, D width.
internal sealed class KernelLayer
{
    private readonly ModelConfig config;
    private readonly RmsNorm attentionNorm, feedForwardNorm;
    private readonly JoinedMaps queriesKeysValues, output, gateUp, down;

    public KernelLayer(DecoderBlock block, ModelConfig config)
    {
        var (attention, feedForward) = (((Attention)block.Attention).Weights, (FeedForward)block.FeedForward);
        this.config = config;
        (attentionNorm, feedForwardNorm) = (block.AttentionNorm, block.FeedForwardNorm);
        queriesKeysValues = new(attention.Query, attention.Key, attention.Value);
        output = new(attention.Output);
        gateUp = new(feedForward.Gate, feedForward.Up);
        down = new(feedForward.Down);
    }

    /// <summary>Whether it computes all that the layers of such a model do: no experts, no latent attention, norms and biases nowhere but where Llama and Qwen2 have them.</summary>
    public static bool Supports(ModelConfig config) => config is { Experts: null, Latent: null, QueryKeyNorm: false, OutputBias: false, FeedForwardBias: false };

    /// <summary>From state to state, [N, D]; what <see cref="Backward"/> needs belongs to the current dispose scope.</summary>
    public (Tensor State_ND, Kept Kept) Forward(Tensor x_ND, AttentionPlan plan)
    {
        long tokens = x_ND.shape[0], queries = (long)config.Heads * config.HeadDim;
        var type = BFloat16Products.Current is null ? ScalarType.Float32 : ScalarType.BFloat16;
        Tensor normed = empty(x_ND.shape, type), scale_N = empty(tokens);
        TrainingKernels.Norm(x_ND, null, null, attentionNorm, normed, scale_N);
        var joined = queriesKeysValues.Forward(normed);
        var mixed = empty([tokens, queries], type);
        SetBias(plan);
        TrainingKernels.Attention(plan, joined, mixed);
        using var attended = output.Forward(mixed);
        Tensor middle_ND = empty(x_ND.shape), middleNormed = empty(x_ND.shape, type), middleScale_N = empty(tokens);
        TrainingKernels.Norm(x_ND, attended, middle_ND, feedForwardNorm, middleNormed, middleScale_N);
        var both = gateUp.Forward(middleNormed);
        var gated = empty([tokens, config.FeedForwardSize], type);
        TrainingKernels.Gate(both, gated);
        using var fed = down.Forward(gated);
        var y_ND = empty(x_ND.shape);
        TrainingKernels.Add(middle_ND, fed, y_ND);
        return (y_ND, new(x_ND, normed, scale_N, joined, mixed, middle_ND, middleNormed, middleScale_N, both, gated));
    }

    /// <summary>From the gradient of the state after the layer to that of the state before it, [N, D]; adds the weights' gradients and frees what was kept.</summary>
    public Tensor Backward(Tensor dy_ND, Kept kept, AttentionPlan plan)
    {
        var type = kept.Normed.dtype;
        var half = type == ScalarType.BFloat16;
        Tensor middle_ND = empty(dy_ND.shape), before_ND = empty(dy_ND.shape);
        using (NewDisposeScope())
        {
            var dfed = half ? dy_ND.to(type) : dy_ND;
            var dgated = down.Backward(dfed, kept.Gated);
            var dboth = empty(kept.Both.shape, type);
            TrainingKernels.GateBack(kept.Both, dgated, dboth);
            var dnormed = gateUp.Backward(dboth, kept.MiddleNormed);
            var narrow = half ? empty(dy_ND.shape, type) : null;
            TrainingKernels.NormBack(kept.Middle_ND, feedForwardNorm, kept.MiddleScale_N, dnormed, dy_ND, middle_ND, narrow);

            var dmixed = output.Backward(narrow ?? middle_ND, kept.Mixed);
            var djoined = empty(kept.Joined.shape, type);
            SetBias(plan);
            TrainingKernels.AttentionBack(plan, kept.Joined, dmixed, djoined);
            AddBias(djoined);
            TrainingKernels.NormBack(kept.X_ND, attentionNorm, kept.Scale_N, queriesKeysValues.Backward(djoined, kept.Normed), middle_ND, before_ND, null);
        }
        middle_ND.Dispose();
        kept.Dispose();
        return before_ND;
    }

    private void SetBias(AttentionPlan plan) => plan.Bias = queriesKeysValues.Maps[0].Bias is null ? null : cat([.. queriesKeysValues.Maps.Select(map => map.Bias!)]);

    private void AddBias(Tensor djoined)
    {
        long from = 0;
        foreach (var map in queriesKeysValues.Maps)
        {
            var end = from + map.Weight.shape[0];
            if (map.Bias is { requires_grad: true } bias) TrainingKernels.AddColumns(bias, djoined, from, end);
            from = end;
        }
    }

    /// <summary>What a layer keeps for its way back: its input, what each product read, and what the kernels read.</summary>
    internal sealed record Kept(Tensor X_ND, Tensor Normed, Tensor Scale_N, Tensor Joined, Tensor Mixed, Tensor Middle_ND, Tensor MiddleNormed, Tensor MiddleScale_N, Tensor Both, Tensor Gated) : IDisposable
    {
        public void Dispose()
        {
            foreach (var tensor in new[] { Normed, Scale_N, Joined, Mixed, Middle_ND, MiddleNormed, MiddleScale_N, Both, Gated }) tensor.Dispose();
        }
    }
}
