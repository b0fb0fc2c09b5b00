// Decodes in 512-bit vectors on the model's weights in place: what an optimizer step changes, the next token sees. A tile of up to 64 tokens goes through the
// whole model on one thread; prompts are tokens like any other, only that a tile holds several positions of a slot, in order.
using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Gradus.Training.Model;
using TorchSharp;

namespace Gradus.Training.Inference.Cpu;

/// <summary>A decoder of our own for the CPU. What a sequence yields is the same, bit for bit, whatever else is in the batch and however many threads there are.</summary>
public sealed unsafe class VectorDecoder : IDecoder
{
    private readonly CausalLm model;
    private readonly bool ownsModel;
    private readonly PagePool pages;
    private readonly RotaryTable rotary;
    private readonly ConcurrentBag<LaneTile> tiles = [];
    private readonly List<int> lengths = [];
    private readonly ParallelOptions parallel;

    /// <param name="threads">At most so many compute at once.</param>
    /// <param name="ownsModel">Whether the model is disposed with it.</param>
    public VectorDecoder(CausalLm model, int threads, bool ownsModel = false)
    {
        if (!Supports(model)) throw new NotSupportedException("This processor or this model is not one that the vector decoder computes.");
        (this.model, this.ownsModel) = (model, ownsModel);
        pages = new PagePool(model.Config.Layers, model.Config.KeyValueHeads, model.Config.HeadDim);
        rotary = new RotaryTable(model.Config);
        parallel = new ParallelOptions { MaxDegreeOfParallelism = Math.Max(1, threads) };
    }

    public int VocabularySize => model.Config.VocabularySize;

    public int MaxPositions => model.Config.MaxPositions;

    /// <summary>
    /// Whether the processor has the vectors, the model lies in its memory, it has neither latent attention nor experts (they have no kernels here), and no product has
    /// fewer outputs than a kernel computes at a time.
    /// </summary>
    public static bool Supports(CausalLm model)
    {
        var config = model.Config;
        return config.Latent is null && config.Experts is null && Vector512.IsHardwareAccelerated && model.Device.type == DeviceType.CPU && model.Adapter is null
            && new[] { config.HiddenSize, config.VocabularySize, config.FeedForwardSize, config.KeyValueHeads * config.HeadDim }.Min() >= LaneProduct.LeastOutputs;
    }

    public void Prefill(IReadOnlyList<int> slots, IReadOnlyList<int[]> prompts, Span<float> logits)
    {
        // Short prompts share tiles; the tiles of one group go in order, because a position needs those before it.
        var groups = new List<List<Lane>> { new() };
        for (var row = 0; row < prompts.Count; row++)
        {
            var (slot, prompt) = (slots[row], prompts[row]);
            pages.Release(slot);
            pages.Reserve(slot, prompt.Length);
            SetLength(slot, prompt.Length);
            if (groups[^1].Count > 0 && groups[^1].Count + prompt.Length > LaneProduct.WideLanes) groups.Add([]);
            for (var i = 0; i < prompt.Length; i++) groups[^1].Add(new Lane(slot, i, prompt[i], i == prompt.Length - 1 ? row : -1));
        }
        rotary.Grow(prompts.Max(prompt => prompt.Length));
        Run(groups, logits);
    }

    public void CopyPrefix(int from, int to, int length)
    {
        pages.Copy(from, to, length);
        SetLength(to, length);
    }

    public void Move(int from, int to)
    {
        pages.Move(from, to);
        SetLength(to, lengths[from]);
        SetLength(from, 0);
    }

    public void Decode(ReadOnlySpan<int> tokens, Span<float> logits)
    {
        var groups = new List<List<Lane>>();
        // The last tile of a batch is often narrow: up to 16 lanes each there.
        for (var slot = 0; slot < tokens.Length; slot++)
        {
            var position = lengths[slot];
            if (position >= MaxPositions) throw new InvalidOperationException($"Slot {slot} is full: the model has {MaxPositions} positions.");
            pages.Reserve(slot, position + 1);
            rotary.Grow(position + 1);
            lengths[slot] = position + 1;
            var wide = slot < tokens.Length / LaneProduct.WideLanes * LaneProduct.WideLanes;
            if (groups.Count == 0 || groups[^1].Count == (wide ? LaneProduct.WideLanes : LaneProduct.NarrowLanes)) groups.Add([]);
            groups[^1].Add(new Lane(slot, position, tokens[slot], slot));
        }
        Run(groups, logits);
    }

    public void Dispose()
    {
        pages.Dispose();
        foreach (var tile in tiles) tile.Dispose();
        tiles.Clear();
        if (ownsModel) model.Dispose();
    }

    private void Run(List<List<Lane>> groups, Span<float> logits)
    {
        var weights = new WeightPointers(model);
        fixed (float* rows = logits)
        {
            // A lambda cannot hold a pointer's fixed local.
            var target = (nint)rows;
            if (groups.Count == 1) RunGroup(groups[0]);
            else Parallel.For(0, groups.Count, parallel, group => RunGroup(groups[group]));

            void RunGroup(List<Lane> lanes)
            {
                if (!tiles.TryTake(out var tile)) tile = new LaneTile(model.Config, pages, rotary);
                var all = CollectionsMarshal.AsSpan(lanes);
                for (var start = 0; start < all.Length; start += LaneProduct.WideLanes)
                    tile.Run(weights, all.Slice(start, Math.Min(LaneProduct.WideLanes, all.Length - start)), (float*)target);
                tiles.Add(tile);
            }
        }
        GC.KeepAlive(model);
    }

    private void SetLength(int slot, int length)
    {
        while (lengths.Count <= slot) lengths.Add(0);
        lengths[slot] = length;
    }
}
