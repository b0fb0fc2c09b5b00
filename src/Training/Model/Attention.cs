using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace Gradus.Training.Model;

/// <summary>The linear maps of one layer's attention.</summary>
/// <param name="QueryNorm">Normalises each query head before it turns (qwen3), or null; <paramref name="KeyNorm"/> alike.</param>
public sealed record AttentionWeights(Linear Query, Linear Key, Linear Value, Linear Output, RmsNorm? QueryNorm = null, RmsNorm? KeyNorm = null);

/// <summary>
/// Grouped-query attention (Ainslie et al. 2023): the G query heads that share a key head become G times as many rows of one product, so keys and values are
/// never repeated. The product goes through scaled_dot_product_attention, which keeps its fast path on CUDA.
/// </summary>
// Shapes: B lines, T new tokens, S tokens seen, D width, K key heads, G query heads a key head, H width of a head.
public sealed class Attention(ModelConfig config, int layer, AttentionWeights weights) : IAttention
{
    private readonly int group = config.Heads / config.KeyValueHeads;

    public AttentionWeights Weights { get; } = weights;

    /// <summary>Attention of a normalised x_BTD, before the residual is added.</summary>
    public Tensor Forward(Tensor x_BTD, ForwardContext context)
    {
        long lines = x_BTD.shape[0], length = x_BTD.shape[1];
        var (queries, keys, values) = Project(x_BTD, context);
        if (context.Store is { } store) (keys, values) = store.Append(layer, keys, values);
        var mixed = F.scaled_dot_product_attention(queries, keys, values, context.Mask);
        var joined = mixed.view(lines, config.KeyValueHeads, group, length, config.HeadDim).permute(0, 3, 1, 2, 4).reshape(lines, length, -1);
        return Weights.Output.Forward(joined);
    }

    /// <summary>Queries [B, K, G*T, H], keys and values [B, K, T, H]; queries and keys turned to their positions.</summary>
    public (Tensor Queries, Tensor Keys, Tensor Values) Project(Tensor x_BTD, ForwardContext context)
    {
        long lines = x_BTD.shape[0], length = x_BTD.shape[1], keyHeads = config.KeyValueHeads, width = config.HeadDim;
        var queries = Weights.Query.Forward(x_BTD).view(lines, length, config.Heads, width);
        var keys = Weights.Key.Forward(x_BTD).view(lines, length, keyHeads, width);
        var values = Weights.Value.Forward(x_BTD).view(lines, length, keyHeads, width);
        if (Weights.QueryNorm is { } queryNorm) queries = queryNorm.Forward(queries);
        if (Weights.KeyNorm is { } keyNorm) keys = keyNorm.Forward(keys);
        queries = RotaryEmbedding.Turn(queries, context.Cos, context.Sin).view(lines, length, keyHeads, group, width);
        keys = RotaryEmbedding.Turn(keys, context.Cos, context.Sin);
        return (queries.permute(0, 2, 3, 1, 4).reshape(lines, keyHeads, group * length, width), keys.transpose(1, 2), values.transpose(1, 2));
    }
}
