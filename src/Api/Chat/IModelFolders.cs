using Gradus.Persistence;

namespace Gradus.Api.Chat;

/// <summary>Where chat finds a model: the catalog, or a folder in a test.</summary>
internal interface IModelFolders
{
    /// <summary>The folder of a finished model by its id or alias; null where there is none.</summary>
    Task<string?> FindAsync(string idOrAlias, CancellationToken cancel);
}

internal sealed class CatalogModelFolders(ModelCatalog catalog) : IModelFolders
{
    public async Task<string?> FindAsync(string idOrAlias, CancellationToken cancel) => (await catalog.FindAsync(idOrAlias, cancel))?.Folder;
}
