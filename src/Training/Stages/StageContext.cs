using Gradus.Training.Text;

namespace Gradus.Training.Stages;

/// <summary>What every stage works with.</summary>
internal sealed record StageContext(StageRequest Request, IRunJournal Journal, ICatalog Catalog, CancellationToken CancellationToken)
{
    public long Seed => Request.Seed;

    /// <summary>The folder of the finished model.</summary>
    public string ModelFolder => Path.Combine(Request.Folder, "model");

    public string FolderOf(StageReference model) => Catalog.ModelFolder(model.Resolved);

    /// <summary>Says that the stage lives, and leaves where it is cancelled.</summary>
    public void Progress(string phase)
    {
        CancellationToken.ThrowIfCancellationRequested();
        Journal.Progress(phase);
    }

    public void Warn(string message) => Journal.Event("warning", message);

    /// <summary>The text side of a model's folder.</summary>
    public static TextEncoder Text(string folder) => new(PromptEncoder.Load(folder), Model.ModelConfig.Read(folder).EndTokens);
}

/// <summary>Text to tokens and back, as one model does it.</summary>
internal sealed record TextEncoder(PromptEncoder Prompts, IReadOnlyList<int> EndTokens);
