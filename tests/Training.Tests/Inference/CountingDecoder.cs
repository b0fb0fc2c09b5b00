using Gradus.Training.Inference;
using Xunit;

namespace Gradus.Training.Tests.Inference;

/// <summary>Keeps each slot's tokens and derives logits from them all, so that a wrong copy, move or slot shows in what is drawn. Vocabulary 32.</summary>
internal sealed class CountingDecoder(int maxPositions = 64) : IDecoder
{
    private readonly Dictionary<int, List<int>> slots = [];
    private readonly Dictionary<int, int> rooms = [];

    public int VocabularySize => 32;

    public int MaxPositions { get; } = maxPositions;

    /// <summary>How many sequences each decode had.</summary>
    public List<int> Batches { get; } = [];

    public int Prompts { get; private set; }

    /// <summary>How often it was told of new weights.</summary>
    public int Refreshed { get; private set; }

    public bool Disposed { get; private set; }

    public string Kernel => "counting";

    /// <summary>One position is one byte, so that this is how many all slots may have together.</summary>
    public long CacheBytes { get; set; } = 1L << 40;

    public long PeakCacheBytes { get; private set; }

    public long BytesOf(int positions) => positions;

    public bool TryBegin(int slot, int[] tokens, bool share, out int cached)
    {
        cached = 0;
        Assert.Equal(slots.Count, slot);
        if (Taken + tokens.Length > CacheBytes) return false;
        slots[slot] = [.. tokens];
        rooms[slot] = tokens.Length;
        PeakCacheBytes = Math.Max(PeakCacheBytes, Taken);
        return true;
    }

    public void Prefill(IReadOnlyList<int> slots, Span<float> logits)
    {
        for (var i = 0; i < slots.Count; i++) Fill(this.slots[slots[i]], logits.Slice(i * VocabularySize, VocabularySize));
        Prompts += slots.Count;
    }

    public long WeightsChanged() => Refreshed++;

    public void CopyPrefix(int from, int to, int length) => slots[to] = slots[from].GetRange(0, length);

    public bool TryExtend(int slot)
    {
        if (rooms[slot] > slots[slot].Count) return true;
        if (Taken + 1 > CacheBytes) return false;
        rooms[slot]++;
        PeakCacheBytes = Math.Max(PeakCacheBytes, Taken);
        return true;
    }

    public void Release(int slot)
    {
        slots.Remove(slot);
        rooms.Remove(slot);
    }

    public void Move(int from, int to)
    {
        Assert.DoesNotContain(to, slots.Keys);
        (slots[to], rooms[to]) = (slots[from], rooms[from]);
        Release(from);
    }

    public void Decode(ReadOnlySpan<int> tokens, Span<float> logits)
    {
        Batches.Add(tokens.Length);
        for (var i = 0; i < tokens.Length; i++)
        {
            slots[i].Add(tokens[i]);
            Assert.InRange(slots[i].Count, 1, rooms[i]);
            Fill(slots[i], logits.Slice(i * VocabularySize, VocabularySize));
        }
    }

    private long Taken => rooms.Values.Sum();

    /// <summary>What follows these tokens.</summary>
    public static void Fill(IEnumerable<int> tokens, Span<float> logits)
    {
        var random = new DerivedRandom(tokens.Aggregate(17UL, (hash, token) => hash * 1000003 + (ulong)token));
        for (var i = 0; i < logits.Length; i++) logits[i] = (float)(2 * random.NextGaussian());
    }

    public void Dispose() => Disposed = true;
}
