using System.Text.Json;
using Gradus.Training;
using Gradus.Training.Stages;
using Gradus.Training.Tasks;

namespace Gradus.Recipes;

/// <summary>The built-in model and datasets, and what this run made.</summary>
internal sealed class MemoryCatalog : ICatalog
{
    private readonly Dictionary<string, string> models = [];
    private readonly Dictionary<string, IReadOnlyList<JsonElement>> datasets = [];

    public MemoryCatalog(string folder)
    {
        TinyModel.Write(Path.Combine(folder, TinyModel.Id));
        models[TinyModel.Id] = Path.Combine(folder, TinyModel.Id);
    }

    public string AddModel(string id, string folder)
    {
        models[id] = folder;
        return id;
    }

    public string AddRows(string id, IReadOnlyList<JsonElement> rows)
    {
        datasets[id] = rows;
        return id;
    }

    public string ModelFolder(string id) => models.TryGetValue(id, out var folder) ? folder : throw new InvalidInputException($"There is no model '{id}'.");

    public IReadOnlyList<JsonElement> Rows(string id)
    {
        if (datasets.TryGetValue(id, out var rows)) return rows;
        var builtIn = BuiltIn.Datasets.FirstOrDefault(d => d.Id == id) ?? throw new InvalidInputException($"There is no dataset '{id}'.");
        return datasets[id] = [.. builtIn.Rows()];
    }
}
