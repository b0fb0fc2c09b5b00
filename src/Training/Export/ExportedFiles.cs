using System.Text.Json;
using Gradus.Training.Checkpoints;
using Gradus.Training.Stages;

namespace Gradus.Training.Export;

/// <summary>The files that a job made for other tools: the folder <c>files</c> of the job's own, and beside it a manifest that comes last.</summary>
public sealed class ExportedFiles(string jobFolder)
{
    /// <summary>Where they are written until they are whole.</summary>
    internal string Aside { get; } = Path.Combine(jobFolder, "files.aside");

    public string Folder { get; } = Path.Combine(jobFolder, "files");

    private string Manifest => Path.Combine(jobFolder, "files.json");

    /// <summary>Names (with <c>/</c> where a file stands in a folder), sizes and hashes; null where there is no whole export.</summary>
    public IReadOnlyList<WrittenFile>? Read() => File.Exists(Manifest) ? JsonSerializer.Deserialize<WrittenFile[]>(File.ReadAllBytes(Manifest)) : null;

    /// <summary>Removes them all, the manifest first: what is half removed is not whole.</summary>
    public void Clear()
    {
        if (File.Exists(Manifest)) File.Delete(Manifest);
        foreach (var folder in new[] { Folder, Aside }.Where(Directory.Exists)) Directory.Delete(folder, recursive: true);
    }

    /// <summary>Hashes the files, brings them to the disk, gives the folder its name, and writes the manifest.</summary>
    /// <param name="alive">Called before each file.</param>
    internal IReadOnlyList<WrittenFile> Seal(Action alive)
    {
        List<WrittenFile> files = [];
        foreach (var path in Directory.EnumerateFiles(Aside, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
        {
            alive();
            files.Add(DurableFile.Read(path)!.Value with { Name = Path.GetRelativePath(Aside, path).Replace('\\', '/') });
            using var written = new FileStream(path, FileMode.Open, FileAccess.ReadWrite);
            written.Flush(flushToDisk: true);
        }
        foreach (var inner in Directory.EnumerateDirectories(Aside)) DurableFile.SyncFolder(inner);
        DurableFile.SyncFolder(Aside);
        Directory.Move(Aside, Folder);
        // If we stop here: a folder without a manifest is not whole; the next attempt removes it.
        KillPoint.Pass("export-renamed");
        DurableFile.Write(Manifest + ".aside", path => new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None), stream => JsonSerializer.Serialize(stream, files));
        File.Move(Manifest + ".aside", Manifest, overwrite: true);
        DurableFile.SyncFolder(jobFolder);
        return files;
    }
}
