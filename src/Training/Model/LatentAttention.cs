using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace Gradus.Training.Model;

/// <summary>The parts of one layer's latent attention.</summary>
/// <param name="QueryDown">Null where queries are not squeezed; then <paramref name="Query"/> reads the state itself.</param>
public sealed record LatentWeights(Linear? QueryDown, RmsNorm? QueryNorm, Linear Query, Linear Down, RmsNorm DownNorm, Linear Up, Linear Output);

/// <summary>
/// Multi-head latent attention (DeepSeek-V2, section 2.1): keys and values of all heads come out of one narrow state, and a key's position stands in a part of its own
/// that all heads share. Keys and values are kept unfolded, head by head, and differ in width.
/// </summary>
// Shapes: B lines, T new tokens, S tokens seen, D width, N heads, R rank of keys and values, P plain and H turning features of a head, V its value's.
public sealed class LatentAttention(ModelConfig config, LatentShape shape, int layer, LatentWeights weights) : IAttention
{
    private readonly double scale = config.Rope?.ScoreScale ?? 1;

    public LatentWeights Weights { get; } = weights;

    public Tensor Forward(Tensor x_BTD, ForwardContext context)
    {
        long lines = x_BTD.shape[0], length = x_BTD.shape[1], heads = config.Heads;
        var narrow = Weights.QueryDown is { } down ? Weights.QueryNorm!.Forward(down.Forward(x_BTD)) : x_BTD;
        var queries_BTNQ = Weights.Query.Forward(narrow).view(lines, length, heads, config.HeadDim);
        var turned_BTNH = Turn(queries_BTNQ.narrow(-1, shape.PlainWidth, shape.RotaryWidth), context);
        queries_BTNQ = cat([queries_BTNQ.narrow(-1, 0, shape.PlainWidth), turned_BTNH], -1);
        // The scores' own scale, 1 over the root of the width, is the product's.
        if (scale != 1) queries_BTNQ = queries_BTNQ * scale;

        var squeezed = Weights.Down.Forward(x_BTD);
        var shared_BT1H = Turn(squeezed.narrow(-1, shape.KeyValueRank, shape.RotaryWidth).view(lines, length, 1, -1), context);
        var latent_BTR = Weights.DownNorm.Forward(squeezed.narrow(-1, 0, shape.KeyValueRank));
        var unfolded = Weights.Up.Forward(latent_BTR).view(lines, length, heads, shape.PlainWidth + shape.ValueWidth);
        var keys = cat([unfolded.narrow(-1, 0, shape.PlainWidth), shared_BT1H.expand(lines, length, heads, -1)], -1).transpose(1, 2);
        var values = unfolded.narrow(-1, shape.PlainWidth, shape.ValueWidth).transpose(1, 2);
        if (context.Store is { } store) (keys, values) = store.Append(layer, keys, values);
        var mixed_BNTV = F.scaled_dot_product_attention(queries_BTNQ.transpose(1, 2), keys, values, context.Mask);
        return Weights.Output.Forward(mixed_BNTV.transpose(1, 2).reshape(lines, length, -1));
    }

    private Tensor Turn(Tensor heads, ForwardContext context)
    {
        // Pairs side by side become halves apart. The order stays so: scores are the same whatever the order, if queries and keys share it.
        if (shape.Interleaved)
        {
            var size = heads.shape;
            heads = heads.reshape(size[0], size[1], size[2], shape.RotaryWidth / 2, 2).transpose(-1, -2).reshape(size);
        }
        return RotaryEmbedding.Turn(heads, context.Cos, context.Sin);
    }
}
