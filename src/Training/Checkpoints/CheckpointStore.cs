using System.Text.Json;
using Gradus.Training.Model;
using Gradus.Training.Optimizer;
using Gradus.Training.Stages;

namespace Gradus.Training.Checkpoints;

/// <summary>
/// The checkpoints of one attempt: folders <c>checkpoints/STEP-STAMP</c> below the job's own, all or nothing. A folder is written aside and renamed, its
/// manifest comes last, and the row that makes it count comes after that and is not ours. The name carries the lease's stamp, so that an
/// attempt which lost its lease never writes into, nor deletes, what its successor made.
/// </summary>
/// <param name="keep">How many whole checkpoints stay, at least 1. TRL: save_total_limit. Two, because the newest may be torn by a failing disk.</param>
/// <param name="create">How a file is made; tests put a full disk here.</param>
public sealed class CheckpointStore(StageRequest request, int keep = 2, Func<string, Stream>? create = null)
{
    private const string Aside = ".aside";

    private readonly Func<string, Stream> create = create ?? (path => new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 20));
    private readonly List<CheckpointRecord> whole = [.. request.Checkpoints];
    private readonly string root = Path.Combine(request.Folder, "checkpoints");

    /// <summary>Writes a checkpoint. When this returns it is on the disk, but counts only with its row (<see cref="IRunJournal.CommitCheckpoint"/>).</summary>
    /// <param name="optimizer">Null where the stage has none.</param>
    /// <param name="state">Counters and data position, given back by <see cref="Load"/>.</param>
    /// <param name="beside">Files of the stage's own.</param>
    /// <exception cref="IOException">The disk is full or fails; earlier checkpoints are untouched and what was begun is removed.</exception>
    public CheckpointRecord Save(int step, CausalLm model, AdamW? optimizer, JsonElement state, IReadOnlyList<(string Name, Action<Stream> Write)>? beside = null)
    {
        var folder = Path.Combine(root, $"{step:D8}-{request.Stamp}");
        var aside = folder + Aside;
        Remove(folder);
        Remove(aside);
        Directory.CreateDirectory(aside);
        try
        {
            List<WrittenFile> files =
            [
                .. model.Files.Concat(beside ?? []).Select(file => Write(aside, file.Name, file.Write)),
                Write(aside, Checkpoint.StateFile, stream => JsonSerializer.Serialize(stream, state)),
            ];
            if (optimizer is not null) files.Add(Write(aside, Checkpoint.OptimizerFile, stream => Safetensors.Write(stream, optimizer.State)));
            // If we stop here: the folder aside is never looked at, and removed after the next checkpoint.
            KillPoint.Pass("checkpoint-files-written");
            DurableFile.SyncFolder(aside);
            Directory.Move(aside, folder);
            DurableFile.SyncFolder(root);
            // If we stop here: a folder without a manifest is not whole, and no row names it; the job goes on from the one before.
            KillPoint.Pass("checkpoint-renamed");
            var manifest = new CheckpointManifest(1, request.JobId, step, request.Stamp, optimizer?.Steps ?? 0, files, ComputeEnvironment.Current());
            Write(folder, CheckpointManifest.Name + Aside, manifest.Write);
            File.Move(Path.Combine(folder, CheckpointManifest.Name + Aside), Path.Combine(folder, CheckpointManifest.Name));
            DurableFile.SyncFolder(folder);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // A full disk must not stay full because of what could not be finished.
            Remove(aside);
            Remove(folder);
            throw;
        }
        // If we stop here: a whole checkpoint that no row names; the next attempt goes on from the one before and removes this one.
        KillPoint.Pass("checkpoint-manifest-written");
        var record = new CheckpointRecord(step, new Uri(folder).AbsoluteUri);
        whole.Insert(0, record);
        return record;
    }

    /// <summary>The newest whole one of the request's checkpoints, or null where there is none. A torn one is passed over for the one before.</summary>
    /// <param name="report">Told of each one passed over, and of an environment in which going on is not bit-equal.</param>
    public Checkpoint? Load(Action<string> report)
    {
        for (var i = 0; i < request.Checkpoints.Count; i++)
        {
            var record = request.Checkpoints[i];
            var uri = new Uri(record.Uri);
            var (manifest, torn) = uri.IsFile ? CheckpointManifest.Verify(uri.LocalPath) : (null, $"its address {record.Uri} is not a file's");
            if (manifest is null || manifest.Step != record.Step)
            {
                report($"The checkpoint of step {record.Step} is torn: {torn ?? $"it is of step {manifest!.Step}"}. Going on from an older one.");
                continue;
            }
            if (ComputeEnvironment.Difference(manifest.Environment) is { } difference) report(difference);
            whole.Clear();
            whole.AddRange(request.Checkpoints.Skip(i));
            return new Checkpoint(manifest.Step, uri.LocalPath, ModelFolder.ReadJson(Path.Combine(uri.LocalPath, Checkpoint.StateFile), 64 << 20), manifest.OptimizerSteps);
        }
        return null;
    }

    /// <summary>Removes what is older than the last <c>keep</c>, what is torn, and what was left half-written; call it when the newest one's row is written.</summary>
    public void RemoveOld()
    {
        if (whole.Count > keep) whole.RemoveRange(keep, whole.Count - keep);
        if (!Directory.Exists(root)) return;
        var kept = whole.Select(record => Path.TrimEndingDirectorySeparator(new Uri(record.Uri).LocalPath)).ToHashSet();
        foreach (var folder in Directory.GetDirectories(root))
        {
            // A later stamp is a later owner's: this attempt may have lost its lease since it wrote its row.
            if (!kept.Contains(folder) && StampOf(folder) <= request.Stamp) Remove(folder);
        }
    }

    private WrittenFile Write(string folder, string name, Action<Stream> write) => DurableFile.Write(Path.Combine(folder, name), create, write);

    private static long StampOf(string folder)
    {
        var name = Path.GetFileName(folder).Replace(Aside, "", StringComparison.Ordinal);
        return long.TryParse(name[(name.IndexOf('-') + 1)..], out var stamp) ? stamp : long.MaxValue;
    }

    /// <summary>The manifest goes first: a folder that is half removed is not whole.</summary>
    private static void Remove(string folder)
    {
        if (!Directory.Exists(folder)) return;
        File.Delete(Path.Combine(folder, CheckpointManifest.Name));
        Directory.Delete(folder, recursive: true);
    }
}
