using Gradus.Training.Model;

namespace Gradus.Training.Inference.Cpu;

/// <summary>The linear maps and norms of one layer; a norm is null where the family has none.</summary>
internal sealed unsafe class LayerRows
{
    public LayerRows(DecoderBlock block, bool bfloat16)
    {
        var (attention, feedForward) = (((Attention)block.Attention).Weights, (FeedForward)block.FeedForward);
        AttentionNorm = LinearRows.Of(block.AttentionNorm.Weight);
        (Query, Key, Value, Output) = (Map(attention.Query), Map(attention.Key), Map(attention.Value), Map(attention.Output));
        QueryNorm = attention.QueryNorm is { } queryNorm ? LinearRows.Of(queryNorm.Weight) : null;
        KeyNorm = attention.KeyNorm is { } keyNorm ? LinearRows.Of(keyNorm.Weight) : null;
        FeedForwardNorm = LinearRows.Of(block.FeedForwardNorm.Weight);
        (Gate, Up, Down) = (Map(feedForward.Gate), Map(feedForward.Up), Map(feedForward.Down));
        LinearRows Map(Linear map) => new(map, bfloat16);
    }

    public float* AttentionNorm { get; }

    public LinearRows Query { get; }

    public LinearRows Key { get; }

    public LinearRows Value { get; }

    public LinearRows Output { get; }

    /// <summary>Of each query head before it turns, [head width].</summary>
    public float* QueryNorm { get; }

    public float* KeyNorm { get; }

    public float* FeedForwardNorm { get; }

    public LinearRows Gate { get; }

    public LinearRows Up { get; }

    public LinearRows Down { get; }

    public IEnumerable<LinearRows> Maps => [Query, Key, Value, Output, Gate, Up, Down];
}

/// <summary>A model's weights as the decoder computes with them: all of them in place, or the matrices as bf16 copies.</summary>
internal sealed unsafe class ModelRows : IDisposable
{
    /// <param name="bfloat16">Whether products are of bf16.</param>
    public ModelRows(CausalLm model, bool bfloat16)
    {
        Embedding = LinearRows.Of(model[WeightNames.Embedding]);
        FinalNorm = LinearRows.Of(model[WeightNames.FinalNorm]);
        Head = new LinearRows(model.Head, bfloat16);
        MostRank = Math.Max(1, model.Adapter?.Maps.Max(map => map.Value.Rank) ?? 0);
        Layers = [.. model.Blocks.Select(block => new LayerRows(block, bfloat16))];
    }

    /// <summary>[vocabulary][width], fp32, in place.</summary>
    public float* Embedding { get; }

    public float* FinalNorm { get; }

    public LinearRows Head { get; }

    public LayerRows[] Layers { get; }

    /// <summary>The largest rank of the model's adapter; at least 1.</summary>
    public int MostRank { get; }

    public IEnumerable<LinearRows> Maps => Layers.SelectMany(layer => layer.Maps).Append(Head);

    public void Dispose()
    {
        foreach (var map in Maps) map.Dispose();
    }
}
