using System.Text.Json.Nodes;
using Gradus.Api.Operations;
using Gradus.Persistence;
using Gradus.Training;
using Gradus.Training.Lora;
using Gradus.Training.Model;

namespace Gradus.Api.Models;

/// <summary>
/// Makes a model of files that others made. Nothing is listed before it is whole, has been loaded once and lies on the disk; a request that fails, is
/// cancelled or whose process dies leaves nothing behind (<see cref="ImportPlace"/>).
/// </summary>
internal sealed class ModelImport(ModelCatalog models, StateFolders folders, GradusSettings settings, ModelCheck check)
{
    /// <summary>Copies a folder, or a GGUF file, of this machine.</summary>
    public Task<Model> FolderAsync(ImportRequest request, CancellationToken cancel)
    {
        var path = request.Path.Length > 1 ? request.Path.TrimEnd('/') : request.Path;
        return RunAsync(request.Name ?? DefaultName(path), request.Base, async files =>
        {
            using var source = RootedFile.Open(path, settings.ModelRoots);
            if (source.IsFile) await TakeAsync(source, Path.GetFileName(path), files, cancel);
            else
            {
                foreach (var name in Names(source.RealPath))
                {
                    if (!ImportedFiles.IsKnown(name))
                    {
                        files.Skip(name);
                        continue;
                    }
                    using var file = RootedFile.Open(Path.Combine(source.RealPath, name), [.. settings.ModelRoots, source.RealPath]);
                    await TakeAsync(file, name, files, cancel);
                }
            }
            return new JsonObject { ["kind"] = "folder", ["path"] = path };
        }, cancel);
    }

    /// <summary>Fills a place, looks at what came, and lists it.</summary>
    /// <param name="fill">Takes the files; gives back where they came from.</param>
    /// <param name="laidOn">Of an adapter: its base's id or alias; null: the one its config names.</param>
    public async Task<Model> RunAsync(string name, string? laidOn, Func<ImportedFiles, Task<JsonObject>> fill, CancellationToken cancel)
    {
        Require(name);
        try
        {
            using var place = ImportPlace.Take(folders);
            var files = new ImportedFiles(place.Received, settings.MaxModelBytes);
            var source = await fill(files);
            var gguf = files.Gguf();
            source["format"] = gguf is null ? "huggingface" : "gguf";
            (source["files"], source["skipped"]) = (files.Count, files.Skipped);
            var isAdapter = gguf is null && files.IsAdapter();
            if (laidOn is not null && !isAdapter) throw new InvalidInputException("'base' is for adapters; what came is a whole model.", "base");
            if (gguf is null) Directory.Move(place.Received, place.Made);
            var parent = isAdapter ? await LayAsync(place.Made, laidOn, cancel) : null;
            var found = JsonObject.Create(await check.RunAsync(new StoredModel(place.Made, parent?.Folder), gguf, cancel))!;
            if (parent is not null) (found["base"], found["parent"]) = (parent.Id, parent.Id);
            found["source"] = source;
            place.Seal();
            var model = await models.AddAsync(place.Id, name, place.Folder, found.ToJsonString(), parent?.Id, CancellationToken.None)
                ?? throw new InvalidInputException($"The adapter's base {parent!.Id} was deleted meanwhile.", "base", "invalid_reference");
            place.Keep();
            return model;
        }
        catch (IOException full) when (full.HResult is 28 or unchecked((int)0x80070070))
        {
            throw new ApiException(StatusCodes.Status507InsufficientStorage, "The server's disk is full. Nothing was kept.", null, "disk_full");
        }
    }

    /// <summary>Finds the base of an adapter by what its adapter_config.json names, or the caller: an id, an alias, or the last part of a published name or a path; writes its id there.</summary>
    private async Task<Model> LayAsync(string folder, string? laidOn, CancellationToken cancel)
    {
        var named = laidOn ?? Adapter.ParentOf(folder);
        var last = named.TrimEnd('/')[(named.TrimEnd('/').LastIndexOf('/') + 1)..];
        var found = named.Any(char.IsControl) ? null : await models.FindAsync(named, cancel) ?? await models.FindAsync(last, cancel);
        if (found is null)
            throw new InvalidInputException($"The adapter is laid on '{named}' (base_model_name_or_path, unless 'base' names another), which is no model here; import that one first and name it '{last}'.", laidOn is null ? AdapterConfig.File : "base", "invalid_reference");
        if (found.Details.TryGetProperty("base", out _)) throw new InvalidInputException($"The adapter is laid on {found.Id}, which is an adapter itself; its base must be a whole model.", AdapterConfig.File, "invalid_reference");
        Adapter.SetParent(folder, found.Id);
        return found;
    }

    /// <summary>What stands in a folder; of a folder in it only a file that belongs to a model, if there is one.</summary>
    private static IEnumerable<string> Names(string folder) => Directory.EnumerateFileSystemEntries(folder).Select(entry => Path.GetFileName(entry))
        .Select(name => ImportedFiles.Nested.FirstOrDefault(nested => nested.StartsWith(name + "/", StringComparison.Ordinal) && File.Exists(Path.Combine(folder, nested))) ?? name).Order(StringComparer.Ordinal);

    private static async Task TakeAsync(RootedFile source, string name, ImportedFiles files, CancellationToken cancel)
    {
        if (!source.IsFile) throw new InvalidInputException($"'{name}' is not a file.", "path", "not_a_file");
        await using var content = source.Read();
        await files.TakeAsync(name, content.Length, content, cancel);
    }

    private static string DefaultName(string path) => Path.GetFileName(path) is { Length: > 0 } name ? name : "imported";

    private static void Require(string name)
    {
        if (name.Trim().Length == 0 || name.Length > 200 || name.Any(char.IsControl)) throw new InvalidInputException("'name' must be a text of 1 to 200 characters without control characters.", "name");
    }
}
