using System.Text.Json;
using Gradus.Persistence;
using Gradus.Training.Model;

namespace Gradus.Api.Chat;

/// <summary>Where chat finds a model: the catalog, or a folder in a test.</summary>
internal interface IModelFolders
{
    /// <summary>Where a finished model lies, by its id or alias; null where there is none.</summary>
    Task<StoredModel?> FindAsync(string idOrAlias, CancellationToken cancel);
}

internal sealed class CatalogModelFolders(ModelCatalog catalog) : IModelFolders
{
    public async Task<StoredModel?> FindAsync(string idOrAlias, CancellationToken cancel) =>
        await catalog.FindAsync(idOrAlias, cancel) is { } model ? new(model.Folder, await BaseAsync(model, catalog, cancel)) : null;

    /// <summary>The folder of an adapter's base; null where the model is whole. A base stays as long as its adapters do.</summary>
    public static async Task<string?> BaseAsync(Model model, ModelCatalog catalog, CancellationToken cancel) =>
        model.Details.TryGetProperty("base", out var id) && id.ValueKind == JsonValueKind.String ? (await catalog.FindAsync(id.GetString()!, cancel))?.Folder : null;
}
