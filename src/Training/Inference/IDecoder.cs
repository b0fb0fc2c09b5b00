namespace Gradus.Training.Inference;

/// <summary>
/// A model with a cache of keys and values, cut into slots of one sequence each. It knows nothing of requests or sampling. Slots in use are
/// always 0 .. n-1; a slot is filled by <see cref="Prefill"/> or <see cref="CopyPrefix"/> and grows by one position with each <see cref="Decode"/>.
/// What a slot yields depends on its own tokens alone (up to rounding, 1e-4).
/// </summary>
public interface IDecoder : IDisposable
{
    int VocabularySize { get; }

    /// <summary>The longest sequence, prompt included.</summary>
    int MaxPositions { get; }

    /// <summary>Says that the model's weights are others now; what the cache holds belongs to the old ones.</summary>
    void WeightsChanged();

    /// <summary>Computes prompts into slots, one each, whatever stood there before.</summary>
    /// <param name="logits">[prompts, vocabulary]: what follows each prompt's last token.</param>
    void Prefill(IReadOnlyList<int> slots, IReadOnlyList<int[]> prompts, Span<float> logits);

    /// <summary>Makes slot <paramref name="to"/> hold the first <paramref name="length"/> positions of slot <paramref name="from"/>, and no more.</summary>
    void CopyPrefix(int from, int to, int length);

    /// <summary>Puts all of slot <paramref name="from"/> in the place of slot <paramref name="to"/>; <paramref name="from"/> is free after.</summary>
    void Move(int from, int to);

    /// <summary>Appends one token to each of the slots 0 .. tokens.Length-1.</summary>
    /// <param name="logits">[tokens, vocabulary]: what follows each.</param>
    void Decode(ReadOnlySpan<int> tokens, Span<float> logits);
}
