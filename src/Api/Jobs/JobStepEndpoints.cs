using Gradus.Api.Operations;
using Gradus.Persistence;
using Gradus.Training;

namespace Gradus.Api.Jobs;

/// <summary>What a job's steps left, readable while it runs: metrics, samples, events, checkpoints.</summary>
internal static class JobStepEndpoints
{
    /// <summary>Metrics are small and charts want many: a page may be longer than elsewhere.</summary>
    public static readonly IntegerQuery StepLimit = new("limit", 100, 1, 1000, "How many steps at most; each comes whole.");

    public static readonly TextQuery Names = new("names", 2000, "Only these metrics, comma separated: `reward,kl`. Default all (docs/metrics.md).");

    private static readonly IntegerQuery afterStep = new("after_step", -1, -1, int.MaxValue, "Only steps after this one.");

    private static readonly IntegerQuery onlyStep = new("step", null, 0, int.MaxValue, "Only the samples of this step. With several updates on one sampling (num_iterations, steps_per_generation) its first step has them.");

    private static readonly ChoiceQuery sampleOrder = new("order", null, ["newest", "index", "reward", "advantage", "group"],
        "newest (default): newest step first, inside it by index. index: by the place in the step. reward, advantage: the highest first, those without one last. "
        + "group: of one step (default the newest that has samples), each group's best and worst first, then the others.");

    private static readonly ChoiceQuery eventOrder = new("order", "desc", ["asc", "desc"], "desc: newest first. asc: oldest first, as a log reads.");

    public static void MapJobSteps(this WebApplication app)
    {
        app.MapGet("/v1/jobs/{id}/metrics", MetricsAsync)
            .Describe("Jobs", "Read a job's metrics", "One entry for each number of each step, the first step first. For the next page send the last `step` as `after_step`.")
            .WithJobId().WithQuery(Names, afterStep, StepLimit).Returns<ListContract<MetricContract>>(200);
        app.MapGet("/v1/jobs/{id}/samples", SamplesAsync)
            .Describe("Jobs", "Read sampled completions", "With prompt, completion, rewards by name, advantage, finish reason and policy version.")
            .WithJobId().WithQuery(onlyStep, sampleOrder, Paging.Limit, Paging.After).Returns<ListContract<SampleContract>>(200);
        app.MapDownload("/v1/jobs/{id}/samples.jsonl", DownloadAsync)
            .Describe("Jobs", "Download all sampled completions", "One JSON object a line, as GET /v1/jobs/{id}/samples has them, the first step first; of a running job those so far.")
            .WithJobId().Returns<string>(200, SampleDownload.ContentType);
        app.MapDownload("/v1/jobs/{id}/samples.parquet", ParquetAsync)
            .Describe("Jobs", "Download all sampled completions as Parquet", "The same rows as samples.jsonl, with a column `rewards/NAME` for each reward.")
            .WithJobId().Returns<string>(200, SampleParquet.ContentType);
        app.MapGet("/v1/jobs/{id}/events", EventsAsync)
            .Describe("Jobs", "Read a job's log", "What happened to it: attempts, checkpoints, warnings, why it failed.")
            .WithJobId().WithQuery(eventOrder, Paging.Limit, Paging.After).Returns<ListContract<JobEventContract>>(200);
        app.MapGet("/v1/jobs/{id}/checkpoints", CheckpointsAsync)
            .Describe("Jobs", "List a job's checkpoints", "Newest first. How many are kept is the option save_total_limit.")
            .WithJobId().WithQuery(Paging.Limit, Paging.After).Returns<ListContract<CheckpointContract>>(200);
        app.MapDelete("/v1/jobs/{id}/checkpoints/{step}", DeleteAsync)
            .Describe("Jobs", "Delete a checkpoint", "The job, resumed or retried, goes on from an older one, or from the start. 409 while it runs.")
            .WithPath("id", "The job's id.", "").WithPath("step", "The checkpoint's step.", "").Returns<DeletedContract>(200);
    }

    public static string[] ReadNames(HttpContext context) => Names.Read(context)?.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) ?? [];

    private static async Task<ListContract<MetricContract>> MetricsAsync(string id, HttpContext context, RunQueries runs, StepQueries steps, CancellationToken cancel)
    {
        var (names, after, limit) = (ReadNames(context), afterStep.Read(context), StepLimit.Read(context));
        var job = await runs.RequireJobAsync(id, cancel);
        var found = await steps.MetricsAsync(job.Id, names, after, limit, cancel);
        var page = found.Take(limit).ToList();
        return new("list", [.. page.SelectMany(MetricContract.Of)], found.Count > limit, page.FirstOrDefault()?.Step.ToString(), page.LastOrDefault()?.Step.ToString());
    }

    private static async Task<ListContract<SampleContract>> SamplesAsync(string id, HttpContext context, RunQueries runs, StepQueries steps, SampleTable table, CancellationToken cancel)
    {
        var (step, asked, limit) = (onlyStep.ReadOrNull(context), sampleOrder.Read(context), Paging.Limit.Read(context));
        var after = Paging.After.Read(context) is { } text ? SampleCursor.Decode(text) : null;
        SampleOrder? named = asked is null ? null : Enum.Parse<SampleOrder>(asked, ignoreCase: true);
        if (after is not null && ((named is not null && named != after.Order) || (step is not null && step != after.OnlyStep)))
            throw new InvalidInputException("'after' comes from a list in another order or of another step: leave 'order' and 'step' as they were, or out.", "after", "invalid_cursor");
        var (order, only) = after is null ? (named ?? SampleOrder.Newest, step) : (after.Order, after.OnlyStep);
        var job = await runs.RequireJobAsync(id, cancel);
        if (order == SampleOrder.Group) only ??= await table.NewestStepAsync(job.Id, cancel) ?? 0;
        var found = order == SampleOrder.Group ? await table.ByGroupAsync(job.Id, only!.Value, after?.Index, limit, cancel) : await steps.SamplesAsync(job.Id, order, only, after, limit, cancel);
        return ListContract<SampleContract>.Of(found, limit, SampleContract.Of, sample =>
            new SampleCursor(order, only, BitConverter.DoubleToInt64Bits((order == SampleOrder.Reward ? sample.Reward : sample.Advantage) ?? double.NegativeInfinity), sample.Step, sample.Index).Encode());
    }

    private static async Task<IResult> DownloadAsync(string id, HttpContext context, RunQueries runs, SampleTable table, CancellationToken cancel)
    {
        var job = await runs.RequireJobAsync(id, cancel);
        return await SampleDownload.OfAsync(context, job.Id, [job.Id], table, cancel);
    }

    private static async Task<IResult> ParquetAsync(string id, RunQueries runs, SampleTable table, StateFolders folders, CancellationToken cancel)
    {
        var job = await runs.RequireJobAsync(id, cancel);
        return await SampleParquet.OfAsync(job.Id, [job.Id], table, folders, cancel);
    }

    private static async Task<ListContract<JobEventContract>> EventsAsync(string id, HttpContext context, RunQueries runs, StepQueries steps, CancellationToken cancel)
    {
        var (oldestFirst, limit, text) = (eventOrder.Read(context) == "asc", Paging.Limit.Read(context), Paging.After.Read(context));
        long? after = text is null ? null : text.StartsWith("event_", StringComparison.Ordinal) && long.TryParse(text["event_".Length..], out var number) ? number : throw new UnknownCursorException(text);
        var job = await runs.RequireJobAsync(id, cancel);
        return ListContract<JobEventContract>.Of(await steps.EventsAsync(job.Id, oldestFirst, after, limit, cancel), limit, JobEventContract.Of, entry => $"event_{entry.Id}");
    }

    private static async Task<ListContract<CheckpointContract>> CheckpointsAsync(string id, HttpContext context, RunQueries runs, CancellationToken cancel)
    {
        var limit = Paging.Limit.Read(context);
        var page = new PageRequest(limit, Paging.After.Read(context));
        var job = await runs.RequireJobAsync(id, cancel);
        return ListContract<CheckpointContract>.Of(await runs.CheckpointsAsync(job.Id, page, cancel), limit, CheckpointContract.Of, checkpoint => $"{checkpoint.Step}");
    }

    private static async Task<DeletedContract> DeleteAsync(string id, string step, RunQueries runs, StateFolders folders, CancellationToken cancel)
    {
        var job = await runs.RequireJobAsync(id, cancel);
        if (job.Status == JobStatus.Running) throw ApiException.Conflict($"The job {job.Id} is running and may need its checkpoints: pause or cancel it first.");
        var uri = int.TryParse(step, out var number) ? await runs.ForgetCheckpointAsync(job.Id, number, cancel) : null;
        if (uri is null) throw ApiException.NotFound($"checkpoint of {job.Id} at step", step);
        // If we stop here the folder stays behind; nothing refers to it.
        folders.Delete(new Uri(uri).LocalPath);
        return new DeletedContract(step, "checkpoint");
    }
}
