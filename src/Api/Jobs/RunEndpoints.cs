using Gradus.Api.Operations;
using Gradus.Persistence;

namespace Gradus.Api.Jobs;

/// <summary>/v1/runs: a whole recipe, its metrics across its jobs; /v1/devices.</summary>
internal static class RunEndpoints
{
    private const string Example = """{"recipe": "r1-zero-tiny", "seed": 1, "name": "my first run"}""";

    public static void MapRuns(this WebApplication app)
    {
        app.MapPost("/v1/runs", CreateAsync)
            .Describe("Runs", "Run a recipe", "Checks it whole, queues a job for each of its stages and answers at once. `recipe` is a name of GET /v1/recipes or a recipe itself.")
            .Takes<RunRequest>(Example).Returns<RunContract>(201);
        app.MapGet("/v1/runs", ListAsync).Describe("Runs", "List runs", "Newest first, each with its jobs.").WithQuery(Paging.Limit, Paging.After).Returns<ListContract<RunContract>>(200);
        app.MapGet("/v1/runs/{id}", async (string id, RunQueries runs, CancellationToken cancel) => RunContract.Of(await runs.RequireRunAsync(id, cancel)))
            .Describe("Runs", "Look at a run", "Its status, recipe and jobs.").WithRunId().Returns<RunContract>(200);
        app.MapGet("/v1/runs/{id}/metrics", MetricsAsync)
            .Describe("Runs", "Read a run's metrics", "Across its jobs, in their order; each entry names its job. For the next page send `last_id` as `after`.")
            .WithRunId().WithQuery(JobStepEndpoints.Names, JobStepEndpoints.StepLimit, Paging.After).Returns<ListContract<MetricContract>>(200);
        app.MapDownload("/v1/runs/{id}/samples.jsonl", DownloadAsync)
            .Describe("Runs", "Download all sampled completions", "Of its jobs, in their order: one JSON object a line, as GET /v1/jobs/{id}/samples has them.")
            .WithRunId().Returns<string>(200, SampleDownload.ContentType);
        app.MapDownload("/v1/runs/{id}/samples.parquet", ParquetAsync)
            .Describe("Runs", "Download all sampled completions as Parquet", "The same rows as samples.jsonl, with a column `rewards/NAME` for each reward.")
            .WithRunId().Returns<string>(200, SampleParquet.ContentType);
        app.MapPost("/v1/runs/{id}/cancel", CancelAsync)
            .Describe("Runs", "Cancel a run", "Cancels each of its jobs that has not ended. Asking again changes nothing; 409 when it has succeeded or failed.").WithRunId().Returns<RunContract>(200);
        app.MapPost("/v1/runs/{id}/retry", RetryAsync)
            .Describe("Runs", "Retry a run", "Queues again what failed or was cancelled; what succeeded stays. 409 when there is nothing of that kind.").WithRunId().Returns<RunContract>(200);
        app.MapGet("/v1/devices", DevicesAsync)
            .Describe("Operations", "List devices", "What the workers compute on, and which job holds each.").WithQuery(Paging.Limit, Paging.After).Returns<ListContract<DeviceContract>>(200);
    }

    /// <exception cref="ApiException">404: there is no such run.</exception>
    public static async Task<Run> RequireRunAsync(this RunQueries runs, string id, CancellationToken cancel) =>
        await runs.RunAsync(id, cancel) ?? throw ApiException.NotFound("run", id);

    public static RouteHandlerBuilder WithRunId(this RouteHandlerBuilder route) => route.WithPath("id", "The run's id, or `latest` for the newest.", RunQueries.Latest);

    private static async Task<IResult> CreateAsync(HttpContext context, Submission submission, CancellationToken cancel)
    {
        var run = RunContract.Of(await submission.RunAsync(await JsonBody.ReadAsync<RunRequest>(context), cancel));
        return Results.Created($"/v1/runs/{run.Id}", run);
    }

    private static async Task<ListContract<RunContract>> ListAsync(HttpContext context, RunQueries runs, CancellationToken cancel)
    {
        var limit = Paging.Limit.Read(context);
        return ListContract<RunContract>.Of(await runs.RunsAsync(new PageRequest(limit, Paging.After.Read(context)), cancel), limit, RunContract.Of, run => run.Id);
    }

    private static async Task<ListContract<MetricContract>> MetricsAsync(string id, HttpContext context, RunQueries runs, StepQueries steps, CancellationToken cancel)
    {
        var (names, limit, text) = (JobStepEndpoints.ReadNames(context), JobStepEndpoints.StepLimit.Read(context), Paging.After.Read(context));
        var after = text is null ? (0, -1) : text.Split('.') is [var first, var second] && int.TryParse(first, out var position) && int.TryParse(second, out var step) ? (position, step) : throw new UnknownCursorException(text);
        var run = await runs.RequireRunAsync(id, cancel);
        var found = await steps.RunMetricsAsync(run.Id, names, after, limit, cancel);
        var page = found.Take(limit).ToList();
        return new("list", [.. page.SelectMany(MetricContract.Of)], found.Count > limit, Cursor(page.FirstOrDefault()), Cursor(page.LastOrDefault()));

        static string? Cursor(StepMetrics? step) => step is null ? null : $"{step.Position}.{step.Step}";
    }

    private static async Task<IResult> DownloadAsync(string id, HttpContext context, RunQueries runs, SampleTable table, CancellationToken cancel)
    {
        var run = await runs.RequireRunAsync(id, cancel);
        return await SampleDownload.OfAsync(context, run.Id, Jobs(run), table, cancel);
    }

    private static async Task<IResult> ParquetAsync(string id, RunQueries runs, SampleTable table, StateFolders folders, CancellationToken cancel)
    {
        var run = await runs.RequireRunAsync(id, cancel);
        return await SampleParquet.OfAsync(run.Id, Jobs(run), table, folders, cancel);
    }

    private static string[] Jobs(Run run) => [.. run.Jobs.OrderBy(job => job.Position).Select(job => job.Id)];

    private static async Task<RunContract> CancelAsync(string id, RunQueries runs, JobStore jobs, IJobDispatcher dispatcher, CancellationToken cancel)
    {
        var run = await runs.RequireRunAsync(id, cancel);
        if (!await jobs.CancelRunAsync(run.Id, cancel) && RunContract.StatusOf(run.Jobs) is not JobStatus.Cancelled and var status)
            throw ApiException.Conflict($"The run {run.Id} has {status}: there is nothing to cancel.");
        await dispatcher.LookAsync(CancellationToken.None);
        return RunContract.Of(await runs.RequireRunAsync(run.Id, cancel));
    }

    private static async Task<RunContract> RetryAsync(string id, RunQueries runs, JobStore jobs, IJobDispatcher dispatcher, CancellationToken cancel)
    {
        var run = await runs.RequireRunAsync(id, cancel);
        if (await jobs.RetryRunAsync(run.Id, cancel) == 0) throw ApiException.Conflict($"The run {run.Id} is {RunContract.StatusOf(run.Jobs)}: nothing in it failed or was cancelled.");
        await dispatcher.LookAsync(CancellationToken.None);
        return RunContract.Of(await runs.RequireRunAsync(run.Id, cancel));
    }

    private static async Task<ListContract<DeviceContract>> DevicesAsync(HttpContext context, RunQueries runs, CancellationToken cancel)
    {
        var limit = Paging.Limit.Read(context);
        return ListContract<DeviceContract>.Of(await runs.DevicesAsync(new PageRequest(limit, Paging.After.Read(context)), cancel), limit, DeviceContract.Of, row => row.Device.Id);
    }
}
