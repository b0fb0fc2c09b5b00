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

    public int MaxPositions { get; } = engine.MaxPositions;

    public int VocabularySize { get; } = engine.VocabularySize;

    internal Engine Engine { get; } = engine;

    internal List<Generation> Generations { get; } = [];

    internal int Uses { get; set; }

    internal long Steps { get; set; }

    internal ModelStatus Status() => new(Folder, Engine.Running, Engine.Waiting, Engine.PeakRunning, Steps, Engine.PrefilledTokens, Engine.SampledTokens);

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
public sealed record ModelStatus(string Folder, int Running, int Waiting, int PeakRunning, long Steps, long PrefilledTokens, long SampledTokens);
