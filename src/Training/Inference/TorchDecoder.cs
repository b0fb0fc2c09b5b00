using System.Runtime.InteropServices;
using Gradus.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Inference;

/// <summary>Decodes with libtorch on the model's own weights, on any device: what an optimizer step changes, the next token sees. The cache is one block, with a place for each slot.</summary>
/// <param name="ownsModel">Whether the model is disposed with it.</param>
// Shapes: B sequences, T tokens of the longest prompt, D width, V vocabulary.
public sealed class TorchDecoder(CausalLm model, bool ownsModel = false) : IDecoder
{
    private const int FirstSlots = 16, FirstCapacity = 128;

    /// <summary>Prompts are computed together up to this many tokens, padding included.</summary>
    private const int PrefillTokens = 8192;

    private readonly string device = model.Device.ToString();
    // Positions that each slot has room for; 0 where it is empty.
    private readonly List<int> rooms = [];
    private readonly Dictionary<int, int[]> begun = [];
    private KvCache? cache;

    public int VocabularySize => model.Config.VocabularySize;

    public int MaxPositions => model.Config.MaxPositions;

    public string Kernel => DecodeKernel.Torch;

    public long CacheBytes { get; set; } = long.MaxValue;

    public long PeakCacheBytes { get; private set; }

    public long BytesOf(int positions) => positions * KvCache.BytesOfPosition(model.Config);

    public long WeightsChanged() => 0;

    // Slots lie apart in one block, so that nothing is shared with other sequences but by CopyPrefix, which copies.
    public bool TryBegin(int slot, int[] tokens, bool share, out int cached)
    {
        cached = 0;
        while (rooms.Count <= slot) rooms.Add(0);
        if (!Fits(slot, tokens.Length)) return false;
        rooms[slot] = tokens.Length;
        begun[slot] = tokens;
        return true;
    }

    public void Prefill(IReadOnlyList<int> slots, Span<float> logits)
    {
        // Of like length together, so that little is padding.
        int[] rows = [.. Enumerable.Range(0, slots.Count).OrderBy(row => begun[slots[row]].Length)];
        for (int start = 0, end; start < rows.Length; start = end)
        {
            for (end = start + 1; end < rows.Length && (end + 1 - start) * begun[slots[rows[end]]].Length <= PrefillTokens;) end++;
            PrefillRows(slots, rows[start..end], logits);
        }
        foreach (var slot in slots) begun.Remove(slot);
    }

    public void CopyPrefix(int from, int to, int length)
    {
        begun.Remove(to);
        Room().Copy(from, to, length);
    }

    public bool TryExtend(int slot)
    {
        var length = cache!.Length(slot) + 1;
        if (rooms[slot] >= length) return true;
        if (!Fits(slot, length)) return false;
        rooms[slot] = length;
        return true;
    }

    public void Decode(ReadOnlySpan<int> tokens, Span<float> logits)
    {
        var ids = new long[tokens.Length];
        var slots = new int[tokens.Length];
        var counts = new int[tokens.Length];
        for (var slot = 0; slot < tokens.Length; slot++) (ids[slot], slots[slot], counts[slot]) = (tokens[slot], slot, 1);
        var room = Room();
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var hidden_B1D = model.Hidden(torch.tensor(ids, [tokens.Length, 1], device: model.Device), room.Begin(slots, counts));
        Read(model.Logits(hidden_B1D.view(tokens.Length, -1)), logits);
    }

    public void Release(int slot)
    {
        rooms[slot] = 0;
        begun.Remove(slot);
        if (cache is not null && slot < cache.Slots) cache.SetLength(slot, 0);
    }

    public void Move(int from, int to)
    {
        cache!.Copy(from, to, cache.Length(from));
        rooms[to] = rooms[from];
        Release(from);
    }

    public void Dispose()
    {
        cache?.Dispose();
        if (ownsModel) model.Dispose();
    }

    private void PrefillRows(IReadOnlyList<int> slots, int[] rows, Span<float> logits)
    {
        int[][] prompts = [.. rows.Select(row => begun[slots[row]])];
        var longest = prompts.Max(prompt => prompt.Length);
        var room = Room();
        var ids = new long[rows.Length * longest];
        var last = new long[rows.Length];
        for (var line = 0; line < rows.Length; line++)
        {
            for (var i = 0; i < prompts[line].Length; i++) ids[(line * longest) + i] = prompts[line][i];
            last[line] = (line * longest) + prompts[line].Length - 1;
        }
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var ids_BT = torch.tensor(ids, [rows.Length, longest], device: model.Device);
        var hidden_BTD = model.Hidden(ids_BT, room.Begin([.. rows.Select(row => slots[row])], [.. prompts.Select(prompt => prompt.Length)]));
        var hidden_BD = hidden_BTD.reshape(-1, model.Config.HiddenSize).index_select(0, torch.tensor(last, [last.Length], device: model.Device));
        var computed = new float[rows.Length * VocabularySize];
        Read(model.Logits(hidden_BD), computed);
        for (var line = 0; line < rows.Length; line++) computed.AsSpan(line * VocabularySize, VocabularySize).CopyTo(logits[(rows[line] * VocabularySize)..]);
    }

    /// <summary>Whether the block may be as large as it must be for a slot of so many positions beside the others.</summary>
    private bool Fits(int slot, int positions) => Math.Max(slot + 1, Used) * BytesOf(Math.Max(positions, rooms.Max())) <= CacheBytes;

    private int Used => rooms.FindLastIndex(room => room > 0) + 1;

    /// <summary>The cache, large enough for all slots. It grows in doubles, so that growing costs little over a sequence's length, but not beyond the bound.</summary>
    private KvCache Room()
    {
        int slots = Used, capacity = rooms.Max();
        if (cache is not null && cache.Slots >= slots && cache.Capacity >= capacity) return cache;
        int moreSlots = Doubled(cache?.Slots ?? FirstSlots, slots), more = Math.Min(MaxPositions, Doubled(cache?.Capacity ?? FirstCapacity, capacity));
        if (moreSlots * BytesOf(more) > CacheBytes) (moreSlots, more) = (slots, (int)Math.Clamp(CacheBytes / slots / BytesOf(1), capacity, more));
        if (cache is null) cache = new KvCache(model.Config, moreSlots, more, device);
        else cache.Resize(moreSlots, more);
        PeakCacheBytes = Math.Max(PeakCacheBytes, moreSlots * BytesOf(more));
        return cache;

        static int Doubled(int now, int needed) => needed > now ? Math.Max(needed, 2 * now) : now;
    }

    private static void Read(Tensor logits_BV, Span<float> target)
    {
        var values = logits_BV.device_type == DeviceType.CPU ? logits_BV.contiguous() : logits_BV.cpu().contiguous();
        MemoryMarshal.Cast<byte, float>(values.bytes).CopyTo(target);
    }
}
