// Batched generation: sequences of any request share each step, join at any step and leave as soon as they end.
// It knows no model (IDecoder does) and no text. Not for two threads at once: the caller's thread is the model's.
using System.Runtime.ExceptionServices;

namespace Gradus.Training.Inference;

/// <param name="decoder">Owned: disposed with the engine.</param>
/// <param name="maxSequences">How many run at once, at least 1; the others wait.</param>
/// <param name="sharePrefix">Whether a request's prompt is computed once and copied to its other sequences; off only to compare.</param>
public sealed class Engine(IDecoder decoder, int maxSequences, bool sharePrefix = true) : IDisposable
{
    /// <summary>Prompts are computed together up to this many tokens, padding included.</summary>
    private const int PrefillTokens = 8192;

    /// <summary>Logits from which on several threads draw: some hundred microseconds of work.</summary>
    private const long WorthThreads = 1L << 18;

    private readonly Scheduler scheduler = new(maxSequences >= 1
        ? maxSequences
        : throw new ArgumentOutOfRangeException(nameof(maxSequences), maxSequences, "At least one sequence must be able to run."));
    // One for each thread that draws.
    private readonly Sampler[] samplers = [.. Enumerable.Range(0, Math.Clamp(Environment.ProcessorCount, 1, 8)).Select(_ => new Sampler(decoder.VocabularySize))];
    private float[] logits = [];
    private int[] lastTokens = [];

    public int MaxPositions => decoder.MaxPositions;

    public int VocabularySize => decoder.VocabularySize;

    public int Running => scheduler.Running.Count;

    public int Waiting => scheduler.Waiting;

    /// <summary>Whether a step would do nothing.</summary>
    public bool Idle => Running == 0 && Waiting == 0;

    /// <summary>Tokens sampled since the engine was made.</summary>
    public long SampledTokens { get; private set; }

    /// <summary>Prompt tokens computed since the engine was made; a shared prompt counts once.</summary>
    public long PrefilledTokens { get; private set; }

    /// <summary>The most sequences that ran in one step.</summary>
    public int PeakRunning { get; private set; }

    /// <summary>Puts one sequence per key in line; they get a slot in the next steps, as slots are free.</summary>
    /// <exception cref="InvalidInputException">The model cannot generate that.</exception>
    public IReadOnlyList<Sequence> Add(GenerationRequest request)
    {
        request.Validate(decoder.VocabularySize, decoder.MaxPositions);
        var sequences = new Sequence[request.Keys.Count];
        for (var i = 0; i < sequences.Length; i++) scheduler.Enqueue(sequences[i] = new Sequence(request, i));
        return sequences;
    }

    /// <summary>Says that the model's weights are others now. No sequence may be running: its cache would be the old weights'.</summary>
    public void WeightsChanged()
    {
        if (Running > 0) throw new InvalidOperationException($"{Running} sequences run on the old weights.");
        decoder.WeightsChanged();
    }

    /// <summary>Every running sequence gets its next token; then free slots go to those who wait, and these get their first.</summary>
    public void Step()
    {
        DecodeRunning();
        Admit();
    }

    /// <summary>Takes a sequence out at once; its finish reason stays as it is. Nothing happens where it has left already.</summary>
    public void Remove(Sequence sequence)
    {
        if (scheduler.Remove(sequence) is { } move) decoder.Move(move.From, move.To);
    }

    public void Dispose() => decoder.Dispose();

    private void DecodeRunning()
    {
        var running = scheduler.Running;
        var count = running.Count;
        if (count == 0) return;
        PeakRunning = Math.Max(PeakRunning, count);
        if (lastTokens.Length < count) lastTokens = new int[maxSequences];
        for (var slot = 0; slot < count; slot++) lastTokens[slot] = running[slot].TokenSpan[^1];
        var rows = Rows(count);
        decoder.Decode(lastTokens.AsSpan(0, count), rows);
        SampleAll(running, count);
        RemoveFinished();
    }

    /// <summary>Draws for the slots from their rows of logits; each draw depends on its own sequence alone, so any thread may make it.</summary>
    private void SampleAll(IReadOnlyList<Sequence> running, int count)
    {
        var parts = (long)count * VocabularySize < WorthThreads ? 1 : Math.Min(count, samplers.Length);
        if (parts == 1) Part(0);
        else
        {
            try
            {
                Parallel.For(0, parts, Part);
            }
            catch (AggregateException all)
            {
                ExceptionDispatchInfo.Throw(all.InnerExceptions[0]);
            }
        }
        SampledTokens += count;

        void Part(int part)
        {
            for (var slot = count * part / parts; slot < count * (part + 1) / parts; slot++) Sample(running[slot], logits.AsSpan(slot * VocabularySize, VocabularySize), samplers[part]);
        }
    }

    private void Admit()
    {
        var admitted = scheduler.Admit();
        if (admitted.Count == 0) return;
        // A sequence computes its prompt, or takes it from the first of its request that runs or is about to.
        var holders = new Dictionary<GenerationRequest, Sequence>(ReferenceEqualityComparer.Instance);
        foreach (var sequence in scheduler.Running) holders.TryAdd(sequence.Request, sequence);
        var computed = admitted.Where(sequence => !sharePrefix || holders[sequence.Request] == sequence).ToList();
        Prefill(computed);
        foreach (var sequence in admitted)
        {
            var holder = holders[sequence.Request];
            if (sharePrefix && holder != sequence)
            {
                decoder.CopyPrefix(holder.Slot, sequence.Slot, sequence.Request.Prompt.Length);
                sequence.PromptLogits = holder.PromptLogits;
            }
            Sample(sequence, sequence.PromptLogits, samplers[0]);
            SampledTokens++;
        }
        PeakRunning = Math.Max(PeakRunning, Running);
        RemoveFinished();
    }

    private void Prefill(List<Sequence> sequences)
    {
        // Prompts of like length together, so that little is padding.
        sequences.Sort((a, b) => a.Request.Prompt.Length != b.Request.Prompt.Length ? a.Request.Prompt.Length.CompareTo(b.Request.Prompt.Length) : a.Slot.CompareTo(b.Slot));
        for (var start = 0; start < sequences.Count;)
        {
            var end = start + 1;
            while (end < sequences.Count && (end + 1 - start) * sequences[end].Request.Prompt.Length <= PrefillTokens) end++;
            var batch = sequences.GetRange(start, end - start);
            var rows = Rows(batch.Count);
            decoder.Prefill(batch.Select(sequence => sequence.Slot).ToArray(), batch.Select(sequence => sequence.Request.Prompt).ToArray(), rows);
            for (var i = 0; i < batch.Count; i++) batch[i].PromptLogits = rows.Slice(i * VocabularySize, VocabularySize).ToArray();
            PrefilledTokens += batch.Sum(sequence => (long)sequence.Request.Prompt.Length);
            start = end;
        }
    }

    private static void Sample(Sequence sequence, ReadOnlySpan<float> row, Sampler sampler)
    {
        var request = sequence.Request;
        var draw = DerivedRandom.At(sequence.Key, sequence.TokenSpan.Length);
        sequence.Append(sampler.Sample(row, request.Sampling, request.Prompt, sequence.TokenSpan, draw, request.TopLogProbs));
    }

    private void RemoveFinished()
    {
        for (var slot = Running - 1; slot >= 0; slot--)
        {
            var sequence = scheduler.Running[slot];
            if (sequence.FinishReason is not null) Remove(sequence);
        }
    }

    private Span<float> Rows(int count)
    {
        if (logits.Length < count * VocabularySize) logits = new float[count * VocabularySize];
        return logits.AsSpan(0, count * VocabularySize);
    }
}
