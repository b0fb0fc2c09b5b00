using Gradus.Api.Jobs;
using Gradus.Api.Operations;
using Gradus.Persistence;
using Gradus.Training;
using Gradus.Training.Checkpoints;
using Gradus.Training.Export;
using Microsoft.Net.Http.Headers;

namespace Gradus.Api.Models;

/// <summary>A file that an export made.</summary>
/// <param name="Id">Its name, as the route to download it takes it.</param>
/// <param name="Object">Always <c>job.file</c>.</param>
/// <param name="Bytes">Its size.</param>
/// <param name="Sha256">In lower-case hexadecimal; the download's ETag, too.</param>
internal sealed record JobFileContract(string Id, string Object, string JobId, long Bytes, string Sha256)
{
    public static JobFileContract Of(string job, WrittenFile file) => new(file.Name, "job.file", job, file.Bytes, file.Sha256);
}

/// <summary>/v1/jobs/{id}/files: what the stage export made, whole or in ranges.</summary>
internal static class FileEndpoints
{
    public static void MapFiles(this WebApplication app)
    {
        app.MapGet("/v1/jobs/{id}/files", ListAsync)
            .Describe("Jobs", "List a job's files", "What a job of the stage export made, with sizes and SHA-256; none for other jobs and before it has succeeded.").WithJobId().Returns<ListContract<JobFileContract>>(200);
        app.MapDownload("/v1/jobs/{id}/files/{*name}", DownloadAsync)
            .Describe("Jobs", "Download a file", "Whole, or a part of it: the header Range is honoured, the ETag is the SHA-256. `curl -C - -O` goes on with a download that broke off.")
            .WithPath("id", "The job's id.", "").WithPath("name", "The file's name, as the list has it.", "").Returns<string>(200, "application/octet-stream");
        app.MapDelete("/v1/jobs/{id}/files", DeleteAsync)
            .Describe("Jobs", "Delete a job's files", "All of them, to free the disk; the job can be queued anew. 409 while it runs.").WithPath("id", "The job's id.", "").Returns<DeletedContract>(200);
    }

    private static async Task<ListContract<JobFileContract>> ListAsync(string id, RunQueries runs, StateFolders folders, CancellationToken cancel)
    {
        var job = await runs.RequireJobAsync(id, cancel);
        var files = Files(job, folders)?.Read() ?? [];
        return ListContract<JobFileContract>.Of([.. files], Math.Max(1, files.Count), file => JobFileContract.Of(job.Id, file), file => file.Name);
    }

    private static async Task<IResult> DownloadAsync(string id, string name, RunQueries runs, StateFolders folders, CancellationToken cancel)
    {
        var job = await runs.RequireJobAsync(id, cancel);
        var place = Files(job, folders);
        // Only what the manifest names is ever opened.
        if (place?.Read()?.Cast<WrittenFile?>().FirstOrDefault(file => file!.Value.Name == name) is not { } found) throw ApiException.NotFound($"file of the job {job.Id}", name);
        return Results.File(Path.Combine(place.Folder, found.Name), "application/octet-stream", Path.GetFileName(found.Name), entityTag: new EntityTagHeaderValue($"\"{found.Sha256}\""), enableRangeProcessing: true);
    }

    private static async Task<DeletedContract> DeleteAsync(string id, RunQueries runs, StateFolders folders, CancellationToken cancel)
    {
        var job = await runs.RequireJobAsync(id, cancel);
        if (job.Status == JobStatus.Running) throw ApiException.Conflict($"The job {job.Id} is running: cancel it first.");
        new ExportedFiles(folders.Job(job.Id)).Clear();
        return new DeletedContract(job.Id, "job.files");
    }

    /// <summary>Null before the job has succeeded: only then are they what it made.</summary>
    private static ExportedFiles? Files(Job job, StateFolders folders) => job.Status == JobStatus.Succeeded ? new ExportedFiles(folders.Job(job.Id)) : null;
}
