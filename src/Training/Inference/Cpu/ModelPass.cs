using System.Runtime.InteropServices;
using Gradus.Training.Model;

namespace Gradus.Training.Inference.Cpu;

/// <summary>A token on its way through the model: it stands at a position of a slot.</summary>
/// <param name="Row">The row of logits it is to fill, or -1.</param>
internal readonly record struct TokenPlace(int Slot, int Position, int Token, int Row);

/// <summary>
/// Takes a tile of up to 64 tokens through the whole model. A team shares each of its loops: over a product's outputs, over tokens, or over heads. Tokens of one
/// slot see each other and what its pages hold; nothing else passes between tokens, so a token's numbers are the same, bit for bit, in whatever company it goes
/// and however many members the team has.
/// </summary>
internal sealed unsafe class ModelPass : IDisposable
{
    /// <summary>Tokens of a tile: their features stay in a core's cache while the weights pass by.</summary>
    public const int MostTokens = 64;

    /// <summary>Tokens whose norms are one iteration of a loop.</summary>
    private const int TokensOfPart = 8;

    private readonly ModelConfig config;
    private readonly ModelRows weights;
    private readonly SlotPages pages;
    private readonly PageShape shape;
    private readonly RotaryTable rotary;
    private readonly ComputeTeam team;
    private readonly int group;
    private readonly RowBuffer x, normed, queries, keys, values, mixed, gate, up, low, lowUp;
    private readonly nint[] scratch;
    private readonly int[] scratchRoom;
    private TokenPlace[] places = [];
    private bool alone;

    public ModelPass(ModelConfig config, ModelRows weights, SlotPages pages, RotaryTable rotary, ComputeTeam team, bool bfloat16)
    {
        (this.config, this.weights, this.pages, this.rotary, this.team, shape) = (config, weights, pages, rotary, team, pages.Shape);
        group = config.Heads / config.KeyValueHeads;
        x = new(MostTokens, config.HiddenSize, false);
        normed = new(MostTokens, config.HiddenSize, bfloat16);
        queries = new(MostTokens, config.Heads * config.HeadDim, false);
        keys = new(MostTokens, config.KeyValueHeads * config.HeadDim, false);
        values = new(MostTokens, config.KeyValueHeads * config.HeadDim, false);
        mixed = new(MostTokens, config.Heads * config.HeadDim, bfloat16);
        gate = new(MostTokens, config.FeedForwardSize, bfloat16);
        up = new(MostTokens, config.FeedForwardSize, false);
        low = new(MostTokens, weights.MostRank, false);
        lowUp = new(MostTokens, weights.MostRank, false);
        (scratch, scratchRoom) = (new nint[team.Members], new int[team.Members]);
    }

    /// <summary>Appends the tokens to their slots' pages, which must have room, and fills the rows of logits that are asked for.</summary>
    public void Run(TokenPlace[] tile, float* logits)
    {
        places = tile;
        // Whether no token of the tile looks at another one of it: then nobody has to wait until all keys are stored.
        alone = tile.Select(place => place.Slot).Distinct().Count() == tile.Length;
        for (var token = 0; token < tile.Length; token++)
            new ReadOnlySpan<float>(weights.Embedding + ((long)tile[token].Token * config.HiddenSize), config.HiddenSize).CopyTo(new Span<float>(x.Row(token), config.HiddenSize));
        for (var layer = 0; layer < weights.Layers.Length; layer++) Layer(layer, weights.Layers[layer]);

        var asked = Enumerable.Range(0, tile.Length).Where(token => tile[token].Row >= 0).ToArray();
        for (int first = 0, count; first < asked.Length; first += count)
        {
            // Rows that follow one another are one product.
            for (count = 0; first + count < asked.Length && tile[asked[first + count]].Row == tile[asked[first]].Row + count; count++) Norm(asked[first + count], weights.FinalNorm, count);
            Multiply(weights.Head, normed, logits + ((long)tile[asked[first]].Row * config.VocabularySize), config.VocabularySize, count);
        }
    }

    public void Dispose()
    {
        foreach (var buffer in new[] { x, normed, queries, keys, values, mixed, gate, up, low, lowUp }) buffer.Dispose();
        foreach (var room in scratch) NativeMemory.AlignedFree((void*)room);
    }

    private void Layer(int layer, LayerRows maps)
    {
        var tokens = places.Length;
        Norms(maps.AttentionNorm);
        Multiply(maps.Query, normed, queries.Values, queries.Across, tokens);
        Multiply(maps.Key, normed, keys.Values, keys.Across, tokens);
        Multiply(maps.Value, normed, values.Values, values.Across, tokens);
        Attend(layer);
        Multiply(maps.Output, mixed, x.Values, x.Across, tokens, add: true);
        Norms(maps.FeedForwardNorm);
        FeedForward(maps, tokens);
        Multiply(maps.Down, gate, x.Values, x.Across, tokens, add: true);
    }

    private void Multiply(LinearRows map, RowBuffer from, float* to, long stride, int tokens, bool add = false)
    {
        Lower(map, from, low, tokens);
        var parts = map.Parts(tokens);
        team.For(parts, (part, _) => map.Multiply(from, low, to, stride, tokens, map.Part(part, parts), add));
    }

    // Thin enough for one thread.
    private static void Lower(LinearRows map, RowBuffer from, RowBuffer to, int tokens)
    {
        if (map.Rank > 0) map.Lower(from, to, tokens);
    }

    private void Norms(float* weight)
    {
        var parts = (places.Length + TokensOfPart - 1) / TokensOfPart;
        team.For(parts, (part, _) =>
        {
            for (var token = part * TokensOfPart; token < Math.Min(places.Length, (part + 1) * TokensOfPart); token++) Norm(token, weight, token);
        });
    }

    private void Norm(int token, float* weight, int to)
    {
        RowMath.RmsNorm(x.Row(token), weight, normed.Row(to), config.HiddenSize, (float)config.NormEpsilon);
        normed.Round(to, 0, normed.Across);
    }

    private void FeedForward(LayerRows maps, int tokens)
    {
        Lower(maps.Gate, normed, low, tokens);
        Lower(maps.Up, normed, lowUp, tokens);
        var parts = maps.Gate.Parts(tokens);
        team.For(parts, (part, _) =>
        {
            var share = maps.Gate.Part(part, parts);
            maps.Gate.Multiply(normed, low, gate.Values, gate.Across, tokens, share);
            maps.Up.Multiply(normed, lowUp, up.Values, up.Across, tokens, share);
            for (var token = 0; token < tokens; token++)
            {
                RowMath.Gate(gate.Row(token) + share.First, up.Row(token) + share.First, share.End - share.First);
                gate.Round(token, share.First, share.End - share.First);
            }
        });
    }

    /// <summary>Each (token, key head) pair: turns, stores, and mixes the values for the query heads that share the key head.</summary>
    private void Attend(int layer)
    {
        var (heads, pairs) = (config.KeyValueHeads, places.Length * config.KeyValueHeads);
        team.For(pairs, (pair, member) =>
        {
            Store(layer, pair / heads, pair % heads);
            if (alone) Mix(layer, member, pair / heads, pair % heads);
        });
        if (!alone) team.For(pairs, (pair, member) => Mix(layer, member, pair / heads, pair % heads));
    }

    private void Store(int layer, int token, int head)
    {
        var (slot, position) = (places[token].Slot, places[token].Position);
        float* key = keys.Row(token) + ((long)head * config.HeadDim), value = values.Row(token) + ((long)head * config.HeadDim);
        var maps = weights.Layers[layer];
        fixed (float* angles = rotary.At(position))
        {
            Turn(key, maps.KeyNorm, angles);
            for (var query = head * group; query < (head + 1) * group; query++) Turn(queries.Row(token) + ((long)query * config.HeadDim), maps.QueryNorm, angles);
        }
        var page = (float*)pages.Pages(slot)[position / PageShape.Positions] + ((long)layer * shape.LayerFloats) + ((long)head * shape.HeadFloats);
        var place = position % PageShape.Positions;
        float* toKeys = page + place, toValues = page + shape.ValuesFrom + ((long)place * shape.Width);
        for (int j = 0, features = config.HeadDim; j < features; j++)
        {
            toKeys[j * PageShape.Positions] = key[j];
            toValues[j] = value[j];
        }
    }

    private void Turn(float* head, float* norm, float* angles)
    {
        if (norm is not null) RowMath.RmsNorm(head, norm, head, config.HeadDim, (float)config.NormEpsilon);
        RowMath.Turn(head, angles, config.HeadDim);
    }

    private void Mix(int layer, int member, int token, int head)
    {
        var (slot, position) = (places[token].Slot, places[token].Position);
        var scale = (float)(1 / Math.Sqrt(config.HeadDim));
        int width = shape.Width, features = config.HeadDim;
        ReadOnlySpan<nint> own = pages.Pages(slot), next = token + 1 < places.Length ? pages.Pages(places[token + 1].Slot) : own;
        var from = (layer * shape.LayerFloats) + (head * shape.HeadFloats);
        // Query and output padded to whole vectors, then the scores.
        var query = Scratch(member, (2 * width) + ((position / PageShape.Positions) + 1) * PageShape.Positions);
        float* output = query + width, scores = output + width;
        for (var h = head * group; h < (head + 1) * group; h++)
        {
            float* row = queries.Row(token) + ((long)h * config.HeadDim), to = mixed.Row(token) + ((long)h * config.HeadDim);
            for (var j = 0; j < width; j++) query[j] = j < features ? row[j] * scale : 0;
            PageAttention.Attend(query, own, next, from, from + shape.ValuesFrom, width, position + 1, scores, output);
            new ReadOnlySpan<float>(output, config.HeadDim).CopyTo(new Span<float>(to, config.HeadDim));
        }
        mixed.Round(token, head * group * config.HeadDim, group * config.HeadDim);
    }

    private float* Scratch(int member, int floats)
    {
        if (scratchRoom[member] < floats)
        {
            NativeMemory.AlignedFree((void*)scratch[member]);
            scratchRoom[member] = Math.Max(floats, 2 * scratchRoom[member]);
            scratch[member] = (nint)NativeMemory.AlignedAlloc((nuint)scratchRoom[member] * sizeof(float), 64);
        }
        return (float*)scratch[member];
    }
}
