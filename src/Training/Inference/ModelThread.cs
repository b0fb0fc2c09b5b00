// The one thread that owns the models of a serving process. Others hand it work and read tokens from channels; it alone touches engines.
using System.Collections.Concurrent;
using System.Threading.Channels;
using Gradus.Training.Model;

namespace Gradus.Training.Inference;

/// <summary>Loads models on first use, keeps the last few, and steps every engine that has work; requests of one model share its batch.</summary>
public sealed class ModelThread : IDisposable
{
    private readonly Func<StoredModel, ServedModel> load;
    private readonly int keep;
    private readonly BlockingCollection<Action> work = [];
    private readonly List<ServedModel> models = [];
    private readonly Thread thread;

    /// <param name="load">Loads a model; called on the thread.</param>
    /// <param name="keep">How many models without work stay loaded.</param>
    public ModelThread(Func<StoredModel, ServedModel> load, int keep)
    {
        (this.load, this.keep) = (load, keep);
        thread = new Thread(Run) { IsBackground = true, Name = "model" };
        thread.Start();
    }

    /// <summary>A model, loaded if it is not; it stays at least until it is closed as often as it was opened. An adapter is a model of its own, with its base.</summary>
    /// <exception cref="InvalidInputException">The folder holds no model that can be served.</exception>
    public Task<ServedModel> Open(StoredModel stored) => Post(() =>
    {
        var model = models.Find(one => one.Folder == stored.Folder);
        if (model is null) models.Add(model = load(stored));
        model.Uses++;
        models.Remove(model);
        models.Add(model);
        Evict();
        return model;
    });

    public Task Close(ServedModel model) => Post(() =>
    {
        model.Uses--;
        Evict();
        return true;
    });

    /// <summary>Begins to generate. The tokens arrive in the generation's channel, which ends when all its sequences have, or with the error that stopped them.</summary>
    /// <exception cref="InvalidInputException">The model cannot generate that.</exception>
    public Task<Generation> Start(ServedModel model, GenerationRequest request) => Post(() =>
    {
        var generation = new Generation(model.Engine.Add(request));
        model.Generations.Add(generation);
        return generation;
    });

    /// <summary>Takes one sequence out of the batch, or all (index null); nothing where they have ended.</summary>
    public Task Cancel(ServedModel model, Generation generation, int? index = null) => Post(() =>
    {
        foreach (var sequence in generation.Sequences) if (index is null || sequence.Index == index) model.Engine.Remove(sequence);
        if (index is { } one) generation.Cancelled.Add(one);
        else generation.Channel.Writer.TryComplete();
        Publish(model);
        return true;
    });

    /// <summary>What the loaded models do just now.</summary>
    public Task<IReadOnlyList<ModelStatus>> Status() => Post<IReadOnlyList<ModelStatus>>(() => [.. models.Select(model => model.Status())]);

    /// <summary>Ends the thread after the step it is in, and frees all models.</summary>
    public void Dispose()
    {
        work.CompleteAdding();
        thread.Join();
        work.Dispose();
    }

    private Task<T> Post<T>(Func<T> action)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        work.Add(() =>
        {
            try
            {
                done.SetResult(action());
            }
            catch (Exception problem)
            {
                done.SetException(problem);
            }
        });
        return done.Task;
    }

    private void Run()
    {
        while (!work.IsAddingCompleted)
        {
            var idle = models.TrueForAll(model => model.Engine.Idle);
            while (work.TryTake(out var action, idle ? Timeout.Infinite : 0))
            {
                action();
                idle = false;
            }
            foreach (var model in models.ToArray()) if (!model.Engine.Idle) Step(model);
        }
        foreach (var model in models) model.Fail(new ObjectDisposedException(nameof(ModelThread)));
    }

    private void Step(ServedModel model)
    {
        try
        {
            model.Engine.Step();
            model.Steps++;
            Publish(model);
        }
        catch (Exception problem)
        {
            // What the cache holds is unknown now: the model goes, its requests are told, the next one loads it anew.
            models.Remove(model);
            model.Fail(problem);
        }
    }

    private static void Publish(ServedModel model)
    {
        foreach (var generation in model.Generations) generation.Publish();
        model.Generations.RemoveAll(generation => generation.Channel.Reader.Completion.IsCompleted || generation.Ended);
    }

    private void Evict()
    {
        var idle = models.Where(model => model.Uses == 0).ToArray();
        foreach (var model in idle.Take(Math.Max(0, models.Count - keep)))
        {
            models.Remove(model);
            model.Engine.Dispose();
        }
    }
}

/// <summary>The tokens of one request as they come. Read by one task.</summary>
public sealed class Generation
{
    private readonly int[] published;

    internal Generation(IReadOnlyList<Sequence> sequences) => (Sequences, published) = (sequences, new int[sequences.Count]);

    public ChannelReader<GeneratedToken> Tokens => Channel.Reader;

    internal Channel<GeneratedToken> Channel { get; } =
        System.Threading.Channels.Channel.CreateUnbounded<GeneratedToken>(new UnboundedChannelOptions { SingleReader = true, SingleWriter = true });

    internal IReadOnlyList<Sequence> Sequences { get; }

    internal HashSet<int> Cancelled { get; } = [];

    internal bool Ended { get; private set; }

    /// <summary>Tokens of the prompt that stood in the cache; known once its first token has been read.</summary>
    public int CachedTokens => Sequences[0].CachedTokens;

    internal void Publish()
    {
        foreach (var sequence in Sequences)
        {
            for (ref var next = ref published[sequence.Index]; next < sequence.Tokens.Count; next++)
            {
                var last = next == sequence.Tokens.Count - 1;
                Channel.Writer.TryWrite(new GeneratedToken(
                    sequence.Index, sequence.Tokens[next], sequence.LogProbs[next], sequence.Top.Count > 0 ? sequence.Top[next] : [], last ? sequence.FinishReason : null));
            }
        }
        Ended = Sequences.All(sequence => sequence.FinishReason is not null || Cancelled.Contains(sequence.Index));
        if (Ended) Channel.Writer.TryComplete();
    }
}

/// <param name="Index">Which sequence of the request.</param>
/// <param name="Top">The likeliest tokens, where they were asked for.</param>
/// <param name="FinishReason">Set with a sequence's last token.</param>
public readonly record struct GeneratedToken(int Index, int Token, float LogProb, IReadOnlyList<TokenLogProb> Top, string? FinishReason);
