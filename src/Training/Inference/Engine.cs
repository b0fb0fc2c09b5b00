// Batched generation: sequences of any request share each step, join at any step and leave as soon as they end.
// It knows no model (IDecoder does) and no text. Not for two threads at once: the caller's thread is the model's.
using System.Runtime.ExceptionServices;

namespace Gradus.Training.Inference;

/// <param name="decoder">Owned: disposed with the engine.</param>
/// <param name="maxSequences">How many run at once, at least 1; the others wait.</param>
/// <param name="sharePrefix">Whether what sequences begin with alike is computed once; off only to compare.</param>
public sealed class Engine(IDecoder decoder, int maxSequences, bool sharePrefix = true) : IDisposable
{
    /// <summary>Prompts are computed together up to this many tokens.</summary>
    private const int PrefillTokens = 8192;

    /// <summary>Positions by which the cache's room is counted in <see cref="MaxPositions"/>.</summary>
    private const int Chunk = 16;

    /// <summary>Logits from which on several threads draw: some hundred microseconds of work.</summary>
    private const long WorthThreads = 1L << 18;

    private readonly Scheduler scheduler = new(maxSequences >= 1
        ? maxSequences
        : throw new ArgumentOutOfRangeException(nameof(maxSequences), maxSequences, "At least one sequence must be able to run."));
    // One for each thread that draws.
    private readonly Sampler[] samplers = [.. Enumerable.Range(0, Math.Clamp(Environment.ProcessorCount, 1, 8)).Select(_ => new Sampler(decoder.VocabularySize))];
    private float[] logits = [];
    private int[] lastTokens = [];

    /// <summary>The most positions of a sequence, prompt included, that the model and the cache have room for.</summary>
    public int MaxPositions => (int)Math.Min(decoder.MaxPositions, decoder.CacheBytes / decoder.BytesOf(Chunk) * Chunk);

    /// <summary>The model's context.</summary>
    public int ModelPositions => decoder.MaxPositions;

    /// <summary>The most bytes of keys and values, those kept for later requests included. Whoever does not fit waits; where those who run no longer fit, the newest waits and is computed again later.</summary>
    public long CacheBytes
    {
        get => decoder.CacheBytes;
        set => decoder.CacheBytes = value;
    }

    /// <summary>The most bytes that keys and values took.</summary>
    public long PeakCacheBytes => decoder.PeakCacheBytes;

    public int VocabularySize => decoder.VocabularySize;

    /// <summary>What it computes by, one of <see cref="DecodeKernel"/>.</summary>
    public string Kernel => decoder.Kernel;

    public int Running => scheduler.Running.Count;

    public int Waiting => scheduler.Waiting;

    /// <summary>Whether a step would do nothing.</summary>
    public bool Idle => Running == 0 && Waiting == 0;

    /// <summary>Tokens sampled since the engine was made.</summary>
    public long SampledTokens { get; private set; }

    /// <summary>Tokens of prompts (and of sequences that were put back) computed since the engine was made; what is shared counts once.</summary>
    public long PrefilledTokens { get; private set; }

    /// <summary>Tokens that would have been computed so, but stood in the cache.</summary>
    public long CachedTokens { get; private set; }

    /// <summary>How often a running sequence had to wait again, as the cache was full.</summary>
    public long PutBack { get; private set; }

    /// <summary>The most sequences that ran in one step.</summary>
    public int PeakRunning { get; private set; }

    /// <summary>Puts one sequence per key in line; they get a slot in the next steps, as slots are free.</summary>
    /// <exception cref="InvalidInputException">The model cannot generate that.</exception>
    public IReadOnlyList<Sequence> Add(GenerationRequest request)
    {
        request.Validate(decoder.VocabularySize, decoder.MaxPositions);
        CheckRoom(request.Prompt.Length + request.MaxNewTokens);
        var sequences = new Sequence[request.Keys.Count];
        for (var i = 0; i < sequences.Length; i++) scheduler.Enqueue(sequences[i] = new Sequence(request, i));
        return sequences;
    }

    /// <summary>Says that the model's weights are others now. No sequence may be running: its cache would be the old weights'.</summary>
    /// <returns>Bytes of weights that were converted; 0 where the decoder computes on the model's own.</returns>
    public long WeightsChanged()
    {
        if (Running > 0) throw new InvalidOperationException($"{Running} sequences run on the old weights.");
        return decoder.WeightsChanged();
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
        var slot = sequence.Slot;
        Empty(slot, scheduler.Remove(sequence));
    }

    public void Dispose() => decoder.Dispose();

    private void CheckRoom(int positions)
    {
        if (positions <= MaxPositions) return;
        throw new InvalidInputException(FormattableString.Invariant(
            $"A sequence of {positions} tokens needs {decoder.BytesOf(positions) / 1e6:0.###} MB of keys and values, and the cache is bounded to {CacheBytes / 1e6:0.###} MB, which is {MaxPositions} tokens: let fewer tokens follow, or raise the bound."),
            "max_tokens", "cache_too_small");
    }

    private void Empty(int slot, (int From, int To)? move)
    {
        if (slot < 0) return;
        decoder.Release(slot);
        if (move is { } other) decoder.Move(other.From, other.To);
    }

    /// <summary>Gives every running sequence room for one more position. Where there is none, those who came last wait: the oldest always goes on, and alone it fits.</summary>
    private void MakeRoom()
    {
        foreach (var sequence in scheduler.Running.ToArray())
        {
            while (sequence.Slot >= 0 && !decoder.TryExtend(sequence.Slot))
            {
                var newest = scheduler.Newest;
                var slot = newest.Slot;
                Empty(slot, scheduler.PutBack(newest));
                PutBack++;
            }
        }
    }

    private void DecodeRunning()
    {
        MakeRoom();
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
        // A sequence computes its prompt, or takes it from the first of its request that runs or is about to.
        var holders = new Dictionary<GenerationRequest, Sequence>(ReferenceEqualityComparer.Instance);
        foreach (var sequence in scheduler.Running) if (sequence.PromptLogits is not null) holders.TryAdd(sequence.Request, sequence);
        List<(Sequence Sequence, int Count)> computed = [];
        List<(Sequence Sequence, Sequence Holder)> copied = [];
        while (scheduler.Next is { } next)
        {
            var tokens = next.TokenSpan.Length == 0 ? next.Request.Prompt : [.. next.Request.Prompt, .. next.TokenSpan];
            if (!decoder.TryBegin(Running, tokens, sharePrefix, out var cached))
            {
                if (Running == 0) throw new InvalidOperationException($"The cache of {CacheBytes} bytes has no room for {tokens.Length} tokens.");
                break;
            }
            scheduler.Start();
            var holder = next.TokenSpan.Length == 0 && sharePrefix ? holders.GetValueOrDefault(next.Request) : null;
            if (holder is not null)
            {
                copied.Add((next, holder));
                cached = tokens.Length;
            }
            else
            {
                computed.Add((next, tokens.Length - cached));
                if (next.TokenSpan.Length == 0) holders.TryAdd(next.Request, next);
            }
            if (next.TokenSpan.Length == 0) next.CachedTokens = cached;
            CachedTokens += cached;
        }
        if (computed.Count == 0 && copied.Count == 0) return;
        PeakRunning = Math.Max(PeakRunning, Running);
        Prefill(computed);
        foreach (var (sequence, holder) in copied)
        {
            decoder.CopyPrefix(holder.Slot, sequence.Slot, sequence.Request.Prompt.Length);
            sequence.PromptLogits = holder.PromptLogits;
            Sample(sequence, sequence.PromptLogits, samplers[0]);
        }
        SampledTokens += computed.Count + copied.Count;
        RemoveFinished();
    }

    /// <summary>Computes what is not cached of those who have begun, in the order in which they did, and draws their next token.</summary>
    private void Prefill(List<(Sequence Sequence, int Count)> begun)
    {
        for (int start = 0, end; start < begun.Count; start = end)
        {
            var tokens = begun[start].Count;
            for (end = start + 1; end < begun.Count && tokens + begun[end].Count <= PrefillTokens; end++) tokens += begun[end].Count;
            var batch = begun[start..end];
            var rows = Rows(batch.Count);
            decoder.Prefill(batch.ConvertAll(one => one.Sequence.Slot), rows);
            for (var i = 0; i < batch.Count; i++)
            {
                var sequence = batch[i].Sequence;
                var row = rows.Slice(i * VocabularySize, VocabularySize);
                if (sequence.TokenSpan.Length == 0 && sequence.Request.Keys.Count > 1) sequence.PromptLogits = row.ToArray();
                Sample(sequence, row, samplers[0]);
            }
            PrefilledTokens += tokens;
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
