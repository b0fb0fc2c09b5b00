namespace Gradus.Api.Operations;

/// <summary>The folders below <see cref="GradusSettings.StateFolder"/>. What a row names outside of it is left alone.</summary>
internal sealed class StateFolders(GradusSettings settings, ILogger<StateFolders> log)
{
    public string Models => Path.Combine(settings.StateFolder, "models");

    /// <summary>Where models are put to be imported, unless <see cref="GradusSettings.ModelRoots"/> names other folders.</summary>
    public string Imports => Path.Combine(settings.StateFolder, "imports");

    /// <summary>A job's own folder: checkpoints, its finished model, what an export made.</summary>
    public string Job(string id) => Path.Combine(settings.StateFolder, "jobs", id);

    /// <summary>Where uploads wait for their last line.</summary>
    public string Uploads => Path.Combine(settings.StateFolder, "uploads");

    /// <summary>Deletes a folder that is ours; that it is gone already is fine, and what cannot be deleted is said in the log.</summary>
    public void Delete(string folder)
    {
        var whole = Path.GetFullPath(folder);
        if (!whole.StartsWith(settings.StateFolder + Path.DirectorySeparatorChar, StringComparison.Ordinal))
        {
            log.LogWarning("The folder {Folder} lies outside of {StateFolder} and was left alone", whole, settings.StateFolder);
            return;
        }
        try
        {
            if (Directory.Exists(whole)) Directory.Delete(whole, recursive: true);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            log.LogWarning("The folder {Folder} could not be deleted: {Reason}", whole, problem.Message);
        }
    }
}
