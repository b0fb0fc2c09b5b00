using Gradus.Api.Operations;
using Gradus.Persistence;
using Gradus.Training.Checkpoints;
using Gradus.Training.Stages;

namespace Gradus.Api.Models;

/// <summary>
/// Where one import takes shape, all or nothing: a folder aside, renamed when it is whole, and a mark (<c>models/ID.import</c>) that is locked by the
/// process that imports. A mark that nobody holds is what a killed import left; what it names is removed unless a row stands for it.
/// </summary>
internal sealed class ImportPlace : IDisposable
{
    private const string Mark = ".import", Beside = ".aside";

    private readonly FileStream mark;
    private readonly string aside;
    private bool listed;

    private ImportPlace(string models)
    {
        Id = Identifier.New("model");
        Folder = Path.Combine(models, Id);
        aside = Folder + Beside;
        (Received, Made) = (Path.Combine(aside, "received"), Path.Combine(aside, "made"));
        mark = new FileStream(Folder + Mark, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None);
        Directory.CreateDirectory(Received);
    }

    /// <summary>The model's id to be.</summary>
    public string Id { get; }

    /// <summary>Where files are written as they come.</summary>
    public string Received { get; }

    /// <summary>Where the model is made of them.</summary>
    public string Made { get; }

    /// <summary>Where it will stand.</summary>
    public string Folder { get; }

    public static ImportPlace Take(StateFolders folders) => new(folders.Models);

    /// <summary>Brings every file to the disk and gives the folder its name.</summary>
    public void Seal()
    {
        foreach (var file in Directory.EnumerateFiles(Made, "*", SearchOption.AllDirectories))
        {
            using var written = new FileStream(file, FileMode.Open, FileAccess.ReadWrite);
            written.Flush(flushToDisk: true);
        }
        foreach (var inner in Directory.EnumerateDirectories(Made)) DurableFile.SyncFolder(inner);
        DurableFile.SyncFolder(Made);
        // If we stop here: the mark names a folder aside; the next start removes both.
        KillPoint.Pass("import-written");
        Directory.Move(Made, Folder);
        DurableFile.SyncFolder(Path.GetDirectoryName(Folder)!);
        // If we stop here: the folder is whole and no row names it; the next start finds its mark and removes both.
        KillPoint.Pass("import-renamed");
    }

    /// <summary>The row stands: the folder stays.</summary>
    public void Keep()
    {
        listed = true;
        // If we stop here: the model is listed and its mark is still there; the next start removes the mark alone.
        KillPoint.Pass("import-listed");
    }

    /// <summary>Removes whatever does not stay.</summary>
    public void Dispose()
    {
        Remove(aside);
        if (!listed) Remove(Folder);
        File.Delete(mark.Name);
        mark.Dispose();
    }

    /// <summary>Removes what killed imports left, at the start of a service. Imports that are going on, in this process or another, hold their marks.</summary>
    /// <param name="isListed">Whether a row has that id.</param>
    public static async Task SweepAsync(StateFolders folders, Func<string, Task<bool>> isListed)
    {
        foreach (var path in Directory.EnumerateFiles(folders.Models, "*" + Mark))
        {
            try
            {
                using var left = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
                var folder = path[..^Mark.Length];
                Remove(folder + Beside);
                if (!await isListed(Path.GetFileName(folder))) Remove(folder);
                File.Delete(path);
            }
            catch (Exception held) when (held is IOException or UnauthorizedAccessException)
            {
                // Somebody imports there, or swept it just now.
            }
        }
    }

    private static void Remove(string folder)
    {
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
    }
}
