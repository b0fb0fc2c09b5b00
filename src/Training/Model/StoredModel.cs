using Gradus.Training.Lora;

namespace Gradus.Training.Model;

/// <summary>A model on disk: a folder with all its weights, or an adapter's folder and that of its base.</summary>
/// <param name="Base">The folder of the base; null where the model is whole.</param>
public sealed record StoredModel(string Folder, string? Base)
{
    /// <summary>Where config and weights are: an adapter's are its base's.</summary>
    public string WeightsFolder => Base ?? Folder;

    /// <summary>Where the tokenizer is: an adapter may have its own.</summary>
    public string TextFolder => File.Exists(Path.Combine(Folder, "tokenizer.json")) ? Folder : WeightsFolder;

    public bool IsAdapter => Base is not null;

    /// <param name="folderOf">The folder of a model by its id.</param>
    /// <exception cref="InvalidInputException">An adapter's config is damaged, or its base is missing or an adapter itself.</exception>
    public static StoredModel At(string folder, Func<string, string> folderOf)
    {
        if (!Adapter.IsIn(folder)) return new(folder, null);
        var parent = folderOf(Adapter.ParentOf(folder));
        return Adapter.IsIn(parent) ? throw new InvalidInputException("The base of the adapter is an adapter itself; it must be a whole model.", AdapterConfig.File) : new(folder, parent);
    }

    public ModelConfig Config() => ModelConfig.Read(WeightsFolder);

    /// <summary>The model, with its adapter laid on.</summary>
    /// <exception cref="InvalidInputException">Something is missing, damaged, of another shape, or not supported; the message says what.</exception>
    public CausalLm Load(string device)
    {
        var model = CausalLm.Load(WeightsFolder, device);
        if (!IsAdapter) return model;
        try
        {
            model.Attach(Adapter.Load(Folder, model));
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }
}
