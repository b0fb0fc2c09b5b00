using Gradus.Training.Model;
using Gradus.Training.Text;

namespace Gradus.Training.Stages;

/// <summary>What every stage works with.</summary>
internal sealed record StageContext(StageRequest Request, IRunJournal Journal, ICatalog Catalog, CancellationToken CancellationToken)
{
    public long Seed => Request.Seed;

    /// <summary>Where the stage's time went.</summary>
    public PhaseTimes Times { get; } = new();

    /// <summary>The folder of the finished model.</summary>
    public string ModelFolder => Path.Combine(Request.Folder, "model");

    /// <summary>Where a model lies.</summary>
    public StoredModel Find(StageReference model) => StoredModel.At(Catalog.ModelFolder(model.Resolved), Catalog.ModelFolder);

    /// <summary>Says that the stage lives, and leaves where it is cancelled.</summary>
    public void Progress(string phase)
    {
        CancellationToken.ThrowIfCancellationRequested();
        Times.Enter(phase);
        Journal.Progress(phase);
    }

    public void Warn(string message) => Journal.Event("warning", message);

    /// <summary>The text side of a model.</summary>
    public static TextEncoder Text(StoredModel model) => new(PromptEncoder.Load(model.TextFolder), model.Config().EndTokens);
}

/// <summary>Text to tokens and back, as one model does it.</summary>
internal sealed record TextEncoder(PromptEncoder Prompts, IReadOnlyList<int> EndTokens);
