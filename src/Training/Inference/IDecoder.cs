namespace Gradus.Training.Inference;

/// <summary>
/// A model with a cache of keys and values, cut into slots of one sequence each. It knows nothing of requests or sampling. Slots in use are always 0 .. n-1; a slot
/// begins empty (<see cref="TryBegin"/>), is computed (<see cref="Prefill"/>), and grows by one position with each <see cref="Decode"/>.
/// What a slot yields depends on its own tokens alone (up to rounding, 1e-4).
/// </summary>
public interface IDecoder : IDisposable
{
    int VocabularySize { get; }

    /// <summary>The longest sequence, prompt included.</summary>
    int MaxPositions { get; }

    /// <summary>One of <see cref="DecodeKernel"/>.</summary>
    string Kernel { get; }

    /// <summary>The most bytes that keys and values may take; what is lowered takes hold as slots are released.</summary>
    long CacheBytes { get; set; }

    /// <summary>The most bytes that they took.</summary>
    long PeakCacheBytes { get; }

    /// <summary>What one sequence of so many positions takes.</summary>
    long BytesOf(int positions);

    /// <summary>Says that the model's weights are others now; what the cache holds belongs to the old ones. No slot may be in use.</summary>
    /// <returns>Bytes of weights that were converted; 0 where it computes on the model's own.</returns>
    long WeightsChanged();

    /// <summary>Gives the next slot room for these tokens, which the next <see cref="Prefill"/> computes, but for those that stand in the cache from other sequences.</summary>
    /// <param name="share">Whether tokens may be taken from other sequences, and others may take these.</param>
    /// <param name="cached">How many, from the first on, need not be computed; fewer than there are.</param>
    /// <returns>False where the cache has no room; nothing has changed then.</returns>
    bool TryBegin(int slot, int[] tokens, bool share, out int cached);

    /// <summary>Computes slots that have begun, in the order in which they began.</summary>
    /// <param name="logits">[slots, vocabulary]: what follows each slot's last token.</param>
    void Prefill(IReadOnlyList<int> slots, Span<float> logits);

    /// <summary>Makes slot <paramref name="to"/>, which has begun with the same <paramref name="length"/> tokens, hold those positions of slot <paramref name="from"/>; it need not be computed then.</summary>
    void CopyPrefix(int from, int to, int length);

    /// <summary>Gives a slot room for one more position.</summary>
    /// <returns>False where the cache has none; nothing has changed then.</returns>
    bool TryExtend(int slot);

    /// <summary>Appends one token to each of the slots 0 .. tokens.Length-1, which must have room.</summary>
    /// <param name="logits">[tokens, vocabulary]: what follows each.</param>
    void Decode(ReadOnlySpan<int> tokens, Span<float> logits);

    /// <summary>Empties a slot.</summary>
    void Release(int slot);

    /// <summary>Puts all of slot <paramref name="from"/> in the place of slot <paramref name="to"/>, which is empty; <paramref name="from"/> is empty after.</summary>
    void Move(int from, int to);
}
