using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Gradus.Training.Model;

namespace Gradus.Training.Inference.Cpu;

/// <summary>A token on its way through the model: it stands at a position of a slot.</summary>
/// <param name="Row">The row of logits it is to fill, or -1.</param>
internal readonly record struct Lane(int Slot, int Position, int Token, int Row);

/// <summary>
/// The room that one thread needs to take up to 64 lanes through the whole model, [feature][lane]. Lanes of one slot see each other and what its pages
/// hold; nothing else passes between lanes, so a token's numbers are the same, bit for bit, in whatever company it goes.
/// </summary>
internal sealed unsafe class LaneTile : IDisposable
{
    private readonly ModelConfig config;
    private readonly PagePool pages;
    private readonly RotaryTable rotary;
    private readonly List<nint> owned = [];
    private readonly int queries;
    private readonly int keys;
    private readonly float* x, h, q, k, v, mixed, more, gate, up, logits, cos, sin, query, output;
    private float* scores;
    private int scoreRoom;

    public LaneTile(ModelConfig config, PagePool pages, RotaryTable rotary)
    {
        (this.config, this.pages, this.rotary) = (config, pages, rotary);
        (queries, keys) = (config.Heads * config.HeadDim, config.KeyValueHeads * config.HeadDim);
        x = Lanes(config.HiddenSize);
        h = Lanes(config.HiddenSize);
        more = Lanes(config.HiddenSize);
        q = Lanes(queries);
        mixed = Lanes(queries);
        k = Lanes(keys);
        v = Lanes(keys);
        gate = Lanes(config.FeedForwardSize);
        up = Lanes(config.FeedForwardSize);
        logits = Lanes(config.VocabularySize);
        cos = Lanes(config.HeadDim / 2);
        sin = Lanes(config.HeadDim / 2);
        query = Take(pages.Width);
        output = Take(pages.Width);
    }

    /// <summary>Appends the lanes to their slots' pages, which must have room, and fills the rows of logits that are asked for.</summary>
    public void Run(WeightPointers weights, ReadOnlySpan<Lane> lanes, float* rows)
    {
        var width = lanes.Length > LaneProduct.NarrowLanes ? LaneProduct.WideLanes : LaneProduct.NarrowLanes;
        Embed(weights.Embedding, lanes, width);
        for (var layer = 0; layer < weights.Layers.Length; layer++)
        {
            var w = weights.Layers[layer];
            LaneMath.RmsNorm(x, w.AttentionNorm, h, config.HiddenSize, width, (float)config.NormEpsilon);
            Map(h, w.Query, w.QueryBias, q, queries, config.HiddenSize, width);
            Map(h, w.Key, w.KeyBias, k, keys, config.HiddenSize, width);
            Map(h, w.Value, w.ValueBias, v, keys, config.HiddenSize, width);
            NormHeads(q, w.QueryNorm, config.Heads, width);
            NormHeads(k, w.KeyNorm, config.KeyValueHeads, width);
            LaneMath.Turn(q, cos, sin, config.Heads, config.HeadDim, width);
            LaneMath.Turn(k, cos, sin, config.KeyValueHeads, config.HeadDim, width);
            Store(layer, lanes, width);
            Attend(layer, lanes, width);
            Map(mixed, w.Output, w.OutputBias, more, config.HiddenSize, queries, width);
            LaneMath.Add(x, more, (long)config.HiddenSize * width);
            LaneMath.RmsNorm(x, w.FeedForwardNorm, h, config.HiddenSize, width, (float)config.NormEpsilon);
            Map(h, w.Gate, w.GateBias, gate, config.FeedForwardSize, config.HiddenSize, width);
            Map(h, w.Up, w.UpBias, up, config.FeedForwardSize, config.HiddenSize, width);
            LaneMath.Gate(gate, up, (long)config.FeedForwardSize * width);
            Map(gate, w.Down, w.DownBias, more, config.HiddenSize, config.FeedForwardSize, width);
            LaneMath.Add(x, more, (long)config.HiddenSize * width);
        }
        Score(weights, lanes, width, rows);
    }

    public void Dispose()
    {
        foreach (var room in owned) NativeMemory.AlignedFree((void*)room);
        NativeMemory.AlignedFree(scores);
        owned.Clear();
        scores = null;
    }

    // Lanes that stand empty compute the first token: finite numbers that nobody reads.
    private void Embed(float* embedding, ReadOnlySpan<Lane> lanes, int width)
    {
        var half = config.HeadDim / 2;
        for (var lane = 0; lane < width; lane++)
        {
            var (token, position) = lane < lanes.Length ? (lanes[lane].Token, lanes[lane].Position) : (0, 0);
            var row = embedding + ((long)token * config.HiddenSize);
            for (var i = 0; i < config.HiddenSize; i++) x[((long)i * width) + lane] = row[i];
            var angles = rotary.At(position);
            for (var j = 0; j < half; j++) (cos[(j * width) + lane], sin[(j * width) + lane]) = (angles[j], angles[half + j]);
        }
    }

    private static void Map(float* from, float* weight, float* bias, float* y, int outputs, int inputs, int width)
    {
        LaneProduct.Multiply(from, weight, y, outputs, inputs, width);
        if (bias is not null) LaneMath.AddBias(y, bias, outputs, width);
    }

    private void NormHeads(float* heads, float* weight, int count, int width)
    {
        if (weight is null) return;
        for (var head = 0; head < count; head++, heads += config.HeadDim * width) LaneMath.RmsNorm(heads, weight, heads, config.HeadDim, width, (float)config.NormEpsilon);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Store(int layer, ReadOnlySpan<Lane> lanes, int width)
    {
        var headDim = config.HeadDim;
        for (var head = 0; head < config.KeyValueHeads; head++)
        {
            float* fromKeys = k + ((long)head * headDim * width), fromValues = v + ((long)head * headDim * width);
            for (var lane = 0; lane < lanes.Length; lane++)
            {
                var page = (float*)pages.Pages(lanes[lane].Slot)[lanes[lane].Position / PagePool.Positions] + (layer * pages.LayerFloats) + (head * pages.HeadFloats);
                var place = lanes[lane].Position % PagePool.Positions;
                float* toKeys = page + place, toValues = page + pages.ValuesFrom + (place * pages.Width);
                for (var j = 0; j < headDim; j++)
                {
                    toKeys[j * PagePool.Positions] = fromKeys[(j * width) + lane];
                    toValues[j] = fromValues[(j * width) + lane];
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Attend(int layer, ReadOnlySpan<Lane> lanes, int width)
    {
        var (headDim, group, scale) = (config.HeadDim, config.Heads / config.KeyValueHeads, (float)(1 / Math.Sqrt(config.HeadDim)));
        for (var lane = 0; lane < lanes.Length; lane++)
        {
            var seen = lanes[lane].Position + 1;
            Grow(seen);
            ReadOnlySpan<nint> own = pages.Pages(lanes[lane].Slot), next = lane + 1 < lanes.Length ? pages.Pages(lanes[lane + 1].Slot) : own;
            for (var head = 0; head < config.Heads; head++)
            {
                var from = (layer * pages.LayerFloats) + (head / group * pages.HeadFloats);
                float* queryRow = q + ((long)head * headDim * width) + lane, mixedRow = mixed + ((long)head * headDim * width) + lane;
                for (var j = 0; j < headDim; j++) query[j] = queryRow[j * width] * scale;
                LaneAttention.Attend(query, own, next, from, from + pages.ValuesFrom, pages.Width, seen, scores, output);
                for (var j = 0; j < headDim; j++) mixedRow[j * width] = output[j];
            }
        }
    }

    private void Score(WeightPointers weights, ReadOnlySpan<Lane> lanes, int width, float* rows)
    {
        var asked = false;
        foreach (var lane in lanes) asked |= lane.Row >= 0;
        if (!asked) return;
        LaneMath.RmsNorm(x, weights.FinalNorm, h, config.HiddenSize, width, (float)config.NormEpsilon);
        LaneProduct.Multiply(h, weights.Head, logits, config.VocabularySize, config.HiddenSize, width);
        for (var lane = 0; lane < lanes.Length; lane++)
        {
            if (lanes[lane].Row < 0) continue;
            var row = rows + ((long)lanes[lane].Row * config.VocabularySize);
            for (var i = 0; i < config.VocabularySize; i++) row[i] = logits[((long)i * width) + lane];
        }
    }

    private void Grow(int positions)
    {
        if (positions <= scoreRoom) return;
        NativeMemory.AlignedFree(scores);
        scoreRoom = (Math.Max(positions, 2 * scoreRoom) + 63) / 64 * 64;
        scores = (float*)NativeMemory.AlignedAlloc((nuint)scoreRoom * sizeof(float), 64);
    }

    private float* Lanes(int features) => Take((long)features * LaneProduct.WideLanes);

    private float* Take(long floats)
    {
        var room = NativeMemory.AlignedAlloc((nuint)(floats * sizeof(float)), 64);
        NativeMemory.Clear(room, (nuint)(floats * sizeof(float)));
        owned.Add((nint)room);
        return (float*)room;
    }
}
