// Decodes by our own kernels on the CPU. In fp32 they compute on the model's weights in place: what an optimizer step changes, the next token sees. In bf16 on
// a packed copy, made anew when the engine is told of an update. Prompts are tokens like any other, only that a tile holds several positions of a slot, in order.
using System.Numerics;
using Gradus.Training.Model;
using TorchSharp;

namespace Gradus.Training.Inference.Cpu;

/// <summary>A decoder of our own for the CPU. What a sequence yields is the same, bit for bit, whatever else is in the batch and however many threads there are.</summary>
public sealed unsafe class VectorDecoder : IDecoder
{
    /// <summary>Tokens with which a member takes a tile of its own through the model, instead of sharing the loops of one.</summary>
    private const int Apart = 16;

    private readonly CausalLm model;
    private readonly bool ownsModel;
    private readonly PagePool pool;
    private readonly SlotPages pages;
    private readonly RotaryTable rotary;
    private readonly ComputeTeam team;
    private readonly ModelRows weights;
    private readonly ModelPass together;
    private readonly ModelPass[] apart;
    private long cacheBytes = long.MaxValue;

    /// <param name="threads">So many compute together.</param>
    /// <param name="ownsModel">Whether the model is disposed with it.</param>
    /// <param name="bfloat16">Products of bf16 weights and states with fp32 sums; needs <see cref="SupportsBFloat16"/>.</param>
    public VectorDecoder(CausalLm model, int threads, bool ownsModel = false, bool bfloat16 = false)
    {
        if (!Supports(model) || (bfloat16 && !SupportsBFloat16)) throw new NotSupportedException("This processor or this model is not one that the vector decoder computes.");
        (this.model, this.ownsModel, Kernel) = (model, ownsModel, bfloat16 ? DecodeKernel.BFloat16! : DecodeKernel.Float32);
        pool = new PagePool(new(model.Config.Layers, model.Config.KeyValueHeads, model.Config.HeadDim));
        pages = new SlotPages(pool);
        rotary = new RotaryTable(model.Config);
        team = new ComputeTeam(threads);
        weights = new ModelRows(model, bfloat16);
        together = new ModelPass(model.Config, weights, pages, rotary, team, bfloat16);
        apart = [.. Enumerable.Range(0, team.Members).Select(_ => new ModelPass(model.Config, weights, pages, rotary, new ComputeTeam(1), bfloat16))];
        WeightsChanged();
    }

    /// <summary>Whether products of bf16 are to be had: the processor has the instruction, and the library that uses it was built.</summary>
    public static bool SupportsBFloat16 => BFloat16Kernels.Supported;

    public int VocabularySize => model.Config.VocabularySize;

    public int MaxPositions => model.Config.MaxPositions;

    /// <summary>Whether the processor has vectors, the model lies in its memory, and it has neither latent attention nor experts: they have no kernels here.</summary>
    public static bool Supports(CausalLm model) =>
        Vector.IsHardwareAccelerated && model.Device.type == DeviceType.CPU && Decoders.SharesPages(model.Config);

    public string Kernel { get; }

    public long CacheBytes
    {
        get => cacheBytes;
        set => pool.Limit((cacheBytes = value) / pool.Shape.Bytes);
    }

    public long PeakCacheBytes => pool.Peak * pool.Shape.Bytes;

    public long BytesOf(int positions) => PageShape.Pages(positions) * pool.Shape.Bytes;

    public long WeightsChanged()
    {
        pool.Forget();
        return weights.Maps.Sum(map => map.Refresh(team));
    }

    public bool TryBegin(int slot, int[] tokens, bool share, out int cached)
    {
        var begun = pages.TryBegin(slot, tokens, share);
        cached = begun ? pages.Cached(slot) : 0;
        return begun;
    }

    public void Prefill(IReadOnlyList<int> slots, Span<float> logits)
    {
        rotary.Grow(slots.Max(slot => pages.Tokens(slot).Count));
        foreach (var round in Enumerable.Range(0, slots.Count).GroupBy(row => pages.Round(slots[row])).OrderBy(round => round.Key))
        {
            var places = new List<TokenPlace>();
            foreach (var row in round)
            {
                var (slot, tokens) = (slots[row], pages.Tokens(slots[row]));
                for (var i = pages.Cached(slot); i < tokens.Count; i++) places.Add(new TokenPlace(slot, i, tokens[i], i == tokens.Count - 1 ? row : -1));
            }
            Run(places, logits);
        }
        foreach (var slot in slots) pages.Settle(slot);
    }

    public void CopyPrefix(int from, int to, int length) => pages.Copy(from, to, length);

    public bool TryExtend(int slot) => pages.TryExtend(slot);

    public void Decode(ReadOnlySpan<int> tokens, Span<float> logits)
    {
        var places = new List<TokenPlace>(tokens.Length);
        for (var slot = 0; slot < tokens.Length; slot++)
        {
            var position = pages.Tokens(slot).Count;
            if (position >= MaxPositions) throw new InvalidOperationException($"Slot {slot} is full: the model has {MaxPositions} positions.");
            pages.Append(slot, tokens[slot]);
            rotary.Grow(position + 1);
            places.Add(new TokenPlace(slot, position, tokens[slot], slot));
        }
        Run(places, logits);
        for (var slot = 0; slot < tokens.Length; slot++) if (pages.Tokens(slot).Count % PageShape.Positions == 0) pages.Settle(slot);
    }

    public void Release(int slot) => pages.Release(slot);

    public void Move(int from, int to) => pages.Move(from, to);

    public void Dispose()
    {
        team.Dispose();
        together.Dispose();
        foreach (var pass in apart) pass.Dispose();
        weights.Dispose();
        pool.Dispose();
        if (ownsModel) model.Dispose();
    }

    private void Run(List<TokenPlace> places, Span<float> logits)
    {
        fixed (float* rows = logits)
        {
            var target = (nint)rows;
            var parts = Parts(places);
            if (parts is null) foreach (var tile in places.Chunk(ModelPass.MostTokens)) together.Run(tile, rows);
            else team.For(parts.Count, (part, member) =>
            {
                foreach (var tile in parts[part].Chunk(ModelPass.MostTokens)) apart[member].Run(tile, (float*)target);
            });
        }
        GC.KeepAlive(model);
    }

    /// <summary>Parts that a thread each can take through the model, where there are enough tokens; whole slots, since a position needs those before it.</summary>
    private List<List<TokenPlace>>? Parts(List<TokenPlace> places)
    {
        if (team.Members == 1 || places.Count < Apart * team.Members) return null;
        // A part is no more than a tile, but for a slot that is longer.
        var size = Math.Min(ModelPass.MostTokens, (places.Count + team.Members - 1) / team.Members);
        var parts = new List<List<TokenPlace>>();
        for (var from = 0; from < places.Count;)
        {
            var to = Math.Min(places.Count, from + size);
            while (to < places.Count && places[to].Slot == places[to - 1].Slot) to++;
            parts.Add(places.GetRange(from, to - from));
            from = to;
        }
        // A single long prompt is better computed together.
        return parts.Max(part => part.Count) * team.Members > places.Count + (places.Count / 2) ? null : parts;
    }
}
