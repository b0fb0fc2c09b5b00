using System.Linq.Expressions;
using Gradus.Api.Operations;
using Gradus.Persistence;
using Gradus.Training.Stages;

namespace Gradus.Api.Jobs;

/// <summary>/v1/jobs: queue a stage, look at it, cancel, pause, resume. What its steps left is in <see cref="JobStepEndpoints"/>.</summary>
internal static class JobEndpoints
{
    private const string Example = """
        {"stage": "pretrain", "name": "a small base", "seed": 1, "options": {"model": "tiny", "dataset": "running-sums-documents", "max_steps": 20, "batch_size": 32, "learning_rate": 0.002}}
        """;

    private static readonly ChoiceQuery status = new("status", null,
        [JobStatus.Queued, JobStatus.Running, JobStatus.Paused, JobStatus.Succeeded, JobStatus.Failed, JobStatus.Cancelled], "Only jobs with this status.");

    private static readonly ChoiceQuery stage = new("stage", null, [.. StageOptions.Stages], "Only jobs of this stage.");

    private static readonly TextQuery run = new("run_id", 100, "Only the jobs of this run.");

    public static void MapJobs(this WebApplication app)
    {
        app.MapPost("/v1/jobs", CreateAsync)
            .Describe("Jobs", "Queue one stage", "Checks the options whole, makes a run of one job and answers with it at once; a worker takes it when its device is free. "
                + "Stages: pretrain, sft, grpo, generate, select, rejection-sampling, evaluate, export.")
            .Takes<JobRequest>(Example).Returns<JobContract>(201);
        app.MapGet("/v1/jobs", ListAsync)
            .Describe("Jobs", "List jobs", "Newest first; inside a run the last stage first.")
            .WithQuery(Paging.Limit, Paging.After, status, stage, run).Returns<ListContract<JobContract>>(200);
        app.MapGet("/v1/jobs/{id}", async (string id, RunQueries runs, CancellationToken cancel) => JobContract.Of(await runs.RequireJobAsync(id, cancel)))
            .Describe("Jobs", "Look at a job", "Its status, step, phase, result or error.").WithJobId().Returns<JobContract>(200);
        Map("cancel", "Cancel a job", "Queued or paused: at once. Running: its process is ended within seconds. Jobs after it in its run are cancelled too.", (jobs, id, cancel) => jobs.CancelAsync(id, cancel));
        Map("pause", "Pause a job", "Queued: at once. Running: it saves a checkpoint after its step and frees its device.", (jobs, id, cancel) => jobs.PauseAsync(id, cancel));
        Map("resume", "Resume a job", "Queues a paused job again; it goes on from its checkpoint as if it had not stopped.", (jobs, id, cancel) => jobs.ResumeAsync(id, cancel));

        void Map(string verb, string summary, string description, Func<JobStore, string, CancellationToken, Task<JobChange>> change) =>
            app.MapPost($"/v1/jobs/{{id}}/{verb}", async (string id, RunQueries runs, JobStore jobs, IJobDispatcher dispatcher, CancellationToken cancel) =>
            {
                var job = await runs.RequireJobAsync(id, cancel);
                var done = await change(jobs, job.Id, cancel);
                if (!done.Allowed) throw ApiException.Conflict($"The job {job.Id} is {done.Status}: there is nothing to {verb}.");
                await dispatcher.LookAsync(CancellationToken.None);
                return JobContract.Of(await runs.RequireJobAsync(job.Id, cancel));
            }).Describe("Jobs", summary, description + " Asking again changes nothing; 409 when it has ended.").WithJobId().Returns<JobContract>(200);
    }

    /// <exception cref="ApiException">404: there is no such job.</exception>
    public static async Task<Job> RequireJobAsync(this RunQueries runs, string id, CancellationToken cancel) =>
        await runs.JobAsync(id, cancel) ?? throw ApiException.NotFound("job", id);

    public static RouteHandlerBuilder WithJobId(this RouteHandlerBuilder route) => route.WithPath("id", "The job's id, or `latest` for the newest.", RunQueries.Latest);

    private static async Task<IResult> CreateAsync(HttpContext context, Submission submission, CancellationToken cancel)
    {
        var made = await submission.JobAsync(await JsonBody.ReadAsync<JobRequest>(context), cancel);
        var job = JobContract.Of(made.Jobs[0]);
        return Results.Created($"/v1/jobs/{job.Id}", job);
    }

    private static async Task<ListContract<JobContract>> ListAsync(HttpContext context, RunQueries runs, CancellationToken cancel)
    {
        var (limit, onlyStatus, onlyStage, onlyRun) = (Paging.Limit.Read(context), status.Read(context), stage.Read(context), run.Read(context));
        Expression<Func<Job, bool>> wanted = job => (onlyStatus == null || job.Status == onlyStatus) && (onlyStage == null || job.Stage == onlyStage) && (onlyRun == null || job.RunId == onlyRun);
        return ListContract<JobContract>.Of(await runs.JobsAsync(wanted, new PageRequest(limit, Paging.After.Read(context)), cancel), limit, JobContract.Of, job => job.Id);
    }
}
