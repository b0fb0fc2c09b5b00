namespace Gradus.Api.Jobs;

/// <summary>Deletes checkpoints that no row names any more.</summary>
internal static class CheckpointFolders
{
    /// <summary>Deletes the folder of a <c>file:</c> URI if it lies below the job's own; anything else is left alone, and so is a folder that cannot be deleted.</summary>
    public static void Delete(string jobFolder, string uri)
    {
        if (!Uri.TryCreate(uri, UriKind.Absolute, out var place) || !place.IsFile) return;
        var folder = Path.GetFullPath(place.LocalPath);
        if (!folder.StartsWith(Path.GetFullPath(jobFolder) + Path.DirectorySeparatorChar, StringComparison.Ordinal) || !Directory.Exists(folder)) return;
        try
        {
            Directory.Delete(folder, recursive: true);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            // It costs space and nothing else; the job's deletion takes it along.
        }
    }
}
