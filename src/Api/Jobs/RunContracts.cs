using System.Text.Json;
using Gradus.Api.Operations;
using Gradus.Persistence;

namespace Gradus.Api.Jobs;

/// <summary>A recipe to run.</summary>
/// <param name="Recipe">The name of a shipped recipe (GET /v1/recipes), or a recipe itself.</param>
/// <param name="Seed">What every draw derives from, 0 to 2^53; default the recipe's.</param>
/// <param name="Name">What to call the run, up to 200 characters; default the recipe's name.</param>
internal sealed record RunRequest(JsonElement Recipe, long? Seed = null, string? Name = null);

/// <summary>One execution of a recipe.</summary>
/// <param name="Object">Always <c>run</c>.</param>
/// <param name="Status">
/// failed or cancelled as soon as one of its jobs is, succeeded when all are, paused while one is, queued before the first began, else running.
/// </param>
/// <param name="Recipe">The recipe as it runs.</param>
/// <param name="Model">The last model that its jobs have made so far.</param>
/// <param name="Jobs">In order; each starts when the one before has succeeded.</param>
internal sealed record RunContract(
    string Id, string Object, string Name, string Status, long Seed, JsonElement Recipe, string? Model, IReadOnlyList<JobContract> Jobs, long CreatedAt, long? StartedAt, long? FinishedAt)
{
    public static RunContract Of(Run run)
    {
        var status = StatusOf(run.Jobs);
        return new(
            run.Id, "run", run.Name, status, run.Seed, run.Recipe, run.Jobs.LastOrDefault(job => job.ModelId is not null)?.ModelId, [.. run.Jobs.Select(JobContract.Of)],
            Wire.Seconds(run.CreatedAt), Wire.Seconds(run.Jobs.Min(job => job.StartedAt)), HasEnded(status) ? Wire.Seconds(run.Jobs.Max(job => job.FinishedAt)) : null);
    }

    public static bool HasEnded(string status) => status is JobStatus.Succeeded or JobStatus.Failed or JobStatus.Cancelled;

    public static string StatusOf(IReadOnlyList<Job> jobs)
    {
        bool Any(string status) => jobs.Any(job => job.Status == status);
        if (Any(JobStatus.Running)) return JobStatus.Running;
        if (Any(JobStatus.Failed)) return JobStatus.Failed;
        if (Any(JobStatus.Cancelled)) return JobStatus.Cancelled;
        if (Any(JobStatus.Paused)) return JobStatus.Paused;
        if (jobs.All(job => job.Status == JobStatus.Succeeded)) return JobStatus.Succeeded;
        return Any(JobStatus.Succeeded) ? JobStatus.Running : JobStatus.Queued;
    }
}
