using Gradus.Training.Inference;

namespace Gradus.Training.Tests.Inference;

/// <summary>Keeps each slot's tokens and derives logits from them all, so that a wrong copy, move or slot shows in what is drawn. Vocabulary 32.</summary>
internal sealed class CountingDecoder(int maxPositions = 64) : IDecoder
{
    private readonly Dictionary<int, List<int>> slots = [];

    public int VocabularySize => 32;

    public int MaxPositions { get; } = maxPositions;

    /// <summary>How many sequences each decode had.</summary>
    public List<int> Batches { get; } = [];

    public int Prompts { get; private set; }

    /// <summary>How often it was told of new weights.</summary>
    public int Refreshed { get; private set; }

    public bool Disposed { get; private set; }

    public void Prefill(IReadOnlyList<int> slots, IReadOnlyList<int[]> prompts, Span<float> logits)
    {
        for (var i = 0; i < slots.Count; i++)
        {
            this.slots[slots[i]] = [.. prompts[i]];
            Fill(prompts[i], logits.Slice(i * VocabularySize, VocabularySize));
            Prompts++;
        }
    }

    public void WeightsChanged() => Refreshed++;

    public void CopyPrefix(int from, int to, int length) => slots[to] = slots[from].GetRange(0, length);

    public void Move(int from, int to)
    {
        slots[to] = slots[from];
        slots.Remove(from);
    }

    public void Decode(ReadOnlySpan<int> tokens, Span<float> logits)
    {
        Batches.Add(tokens.Length);
        for (var i = 0; i < tokens.Length; i++)
        {
            slots[i].Add(tokens[i]);
            Fill(slots[i], logits.Slice(i * VocabularySize, VocabularySize));
        }
    }

    /// <summary>What follows these tokens.</summary>
    public static void Fill(IEnumerable<int> tokens, Span<float> logits)
    {
        var random = new DerivedRandom(tokens.Aggregate(17UL, (hash, token) => hash * 1000003 + (ulong)token));
        for (var i = 0; i < logits.Length; i++) logits[i] = (float)(2 * random.NextGaussian());
    }

    public void Dispose() => Disposed = true;
}
