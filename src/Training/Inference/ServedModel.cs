using Gradus.Training.Text;

namespace Gradus.Training.Inference;

/// <summary>A model that answers chats: its engine belongs to the <see cref="ModelThread"/>; tokenizer and template may be read from any thread.</summary>
/// <param name="Template">Null where the folder has none: such a model cannot chat.</param>
public sealed class ServedModel(string folder, Engine engine, Tokenizer tokenizer, ChatTemplate? template, IReadOnlyList<int> endTokens)
{
    public string Folder { get; } = folder;

    public Tokenizer Tokenizer { get; } = tokenizer;

    public ChatTemplate? Template { get; } = template;

    public IReadOnlyList<int> EndTokens { get; } = endTokens;

    /// <summary>The most tokens of a chat: what the model, and the cache's bound, have room for.</summary>
    public int MaxPositions { get; } = engine.MaxPositions;

    /// <summary>What bounds a chat's tokens, in words.</summary>
    public string Bound { get; } = engine.MaxPositions == engine.ModelPositions
        ? $"the model's context is {engine.MaxPositions}"
        : $"the cache's bound of {engine.CacheBytes / 1_000_000} MB (Gradus:ChatCacheMb) has room for {engine.MaxPositions} of the {engine.ModelPositions} tokens of the model's context";

    public int VocabularySize { get; } = engine.VocabularySize;

    internal Engine Engine { get; } = engine;

    internal List<Generation> Generations { get; } = [];

    internal int Uses { get; set; }

    internal long Steps { get; set; }

    internal ModelStatus Status() => new(Folder, Engine.Running, Engine.Waiting, Engine.PeakRunning, Steps, Engine.PrefilledTokens, Engine.SampledTokens)
    {
        Kernel = Engine.Kernel, CachedTokens = Engine.CachedTokens, PutBack = Engine.PutBack, CacheBytes = Engine.CacheBytes, PeakCacheBytes = Engine.PeakCacheBytes,
    };

    /// <summary>Tells every request of this model that it ends here, and frees the model.</summary>
    internal void Fail(Exception problem)
    {
        foreach (var generation in Generations) generation.Channel.Writer.TryComplete(problem);
        Generations.Clear();
        Engine.Dispose();
    }
}

/// <param name="Running">Sequences that have a place in the batch.</param>
/// <param name="Waiting">Sequences in line for one.</param>
/// <param name="PeakRunning">The most that shared a step since the model was loaded.</param>
/// <param name="Steps">Steps of the batch since then.</param>
public sealed record ModelStatus(string Folder, int Running, int Waiting, int PeakRunning, long Steps, long PrefilledTokens, long SampledTokens)
{
    /// <summary>See <see cref="Engine.Kernel"/>.</summary>
    public string Kernel { get; init; } = "";

    /// <summary>See <see cref="Engine.CachedTokens"/>.</summary>
    public long CachedTokens { get; init; }

    /// <summary>See <see cref="Engine.PutBack"/>.</summary>
    public long PutBack { get; init; }

    /// <summary>See <see cref="Engine.CacheBytes"/>.</summary>
    public long CacheBytes { get; init; }

    /// <summary>See <see cref="Engine.PeakCacheBytes"/>.</summary>
    public long PeakCacheBytes { get; init; }
}
