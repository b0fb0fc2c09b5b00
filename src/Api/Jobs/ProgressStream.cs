using System.Text;
using System.Text.Json;
using Gradus.Api.Operations;
using Gradus.Persistence;
using Gradus.Training;

namespace Gradus.Api.Jobs;

/// <summary>Writes one stream. The truth is read from Postgres, so any process can serve it, whichever runs the job.</summary>
internal sealed class ProgressStream(RunQueries runs, StepQueries steps, GradusSettings settings, TimeProvider time, IHostApplicationLifetime lifetime)
{
    private const int StepsAtOnce = 200;

    /// <summary>The time left is told from the mean of this many of the newest steps.</summary>
    private const int PaceSteps = 20;

    private static readonly TimeSpan silence = TimeSpan.FromSeconds(15);

    /// <param name="jobId">Only this job of the run; null for all of them.</param>
    public async Task WriteAsync(HttpContext context, string runId, string? jobId)
    {
        using var ends = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, lifetime.ApplicationStopping);
        var header = context.Request.Headers["Last-Event-ID"].ToString();
        var place = header.Length == 0 ? null : ProgressPlace.Parse(header) ?? throw new InvalidInputException("The header Last-Event-ID is not the id of an event of this stream.", "Last-Event-ID", "invalid_cursor");
        var run = (await runs.RunAsync(runId, ends.Token))!;
        if (place is not null && Last(run, jobId) is var (final, ended) && ended && place == new ProgressPlace(final.Position, place.Step, final.Status) && place.Step >= final.Step)
        {
            context.Response.StatusCode = StatusCodes.Status204NoContent;
            return;
        }
        context.Response.ContentType = "text/event-stream";
        context.Response.Headers.CacheControl = "no-store";
        // A stream without Last-Event-ID begins at the present.
        place ??= Present(run, jobId);
        string? shown = null;
        var spoke = time.GetTimestamp();
        try
        {
            while (true)
            {
                var (done, next) = await AdvanceAsync(context, run, jobId, place, shown, ends.Token);
                if (done) return;
                if ((place, shown) != next) spoke = time.GetTimestamp();
                (place, shown) = next;
                if (time.GetElapsedTime(spoke) > silence)
                {
                    // Keeps proxies from closing it, and tells us of a client that is gone.
                    await context.Response.WriteAsync(": still here\n\n", ends.Token);
                    await context.Response.Body.FlushAsync(ends.Token);
                    spoke = time.GetTimestamp();
                }
                await Task.Delay(TimeSpan.FromSeconds(settings.ProgressSeconds), time, ends.Token);
                run = (await runs.RunAsync(runId, ends.Token))!;
            }
        }
        catch (OperationCanceledException) when (lifetime.ApplicationStopping.IsCancellationRequested && !context.RequestAborted.IsCancellationRequested)
        {
            // The service stops; the client comes back with Last-Event-ID.
        }
    }

    /// <summary>Sends what is new since a place: first whole steps, then the state of the job that is on.</summary>
    private async Task<(bool Done, (ProgressPlace Place, string? Shown) Next)> AdvanceAsync(HttpContext context, Run run, string? jobId, ProgressPlace place, string? shown, CancellationToken cancel)
    {
        var (current, ended) = Last(run, jobId);
        foreach (var job in run.Jobs.Where(job => (jobId is null || job.Id == jobId) && job.Position >= place.Position && job.Position <= current.Position))
        {
            var step = job.Position == place.Position ? place.Step : 0;
            while (true)
            {
                var page = await steps.MetricsAsync(job.Id, [], step, StepsAtOnce, cancel);
                var pace = page.Count == 0 ? null : await steps.MeanAsync(job.Id, "step_time", PaceSteps, cancel);
                foreach (var metrics in page.Take(StepsAtOnce))
                {
                    step = metrics.Step;
                    place = new ProgressPlace(job.Position, step, JobStatus.Running);
                    await SendAsync(context, "progress", place, ProgressContract.Of(run, job, metrics, SecondsLeft(job, metrics, pace)), cancel);
                }
                if (page.Count <= StepsAtOnce) break;
            }
            if (job.Position > place.Position) place = new ProgressPlace(job.Position, step, JobStatus.Running);
        }
        var state = $"{current.Id} {current.Status} {current.StopRequested} {current.Attempt} {RunContract.StatusOf(run.Jobs)}";
        if (ended || state != shown)
        {
            place = place with { Status = current.Status };
            var metrics = await steps.LastMetricsAsync(current.Id, cancel);
            await SendAsync(context, ended ? "done" : "progress", place, ProgressContract.Of(run, current, metrics, ended ? null : SecondsLeft(current, metrics, await steps.MeanAsync(current.Id, "step_time", PaceSteps, cancel))), cancel);
        }
        return (ended, (place, state));
    }

    /// <summary>The job a stream is about now, and whether nothing more will come.</summary>
    private static (Job Job, bool Ended) Last(Run run, string? jobId)
    {
        if (jobId is not null) return run.Jobs.First(job => job.Id == jobId) is var one ? (one, RunContract.HasEnded(one.Status)) : default;
        var open = run.Jobs.FirstOrDefault(job => !RunContract.HasEnded(job.Status));
        // What comes after a failed or cancelled job was cancelled with it: the news is the first of them.
        return open is not null ? (open, false) : (run.Jobs.FirstOrDefault(job => job.Status != JobStatus.Succeeded) ?? run.Jobs[^1], true);
    }

    private static ProgressPlace Present(Run run, string? jobId) => Last(run, jobId).Job is var job ? new ProgressPlace(job.Position, job.Step, job.Status) : throw new InvalidOperationException();

    private static double? SecondsLeft(Job job, StepMetrics? metrics, double? pace) =>
        job.Status == JobStatus.Running && job.TotalSteps is { } total && metrics is not null ? MetricContract.Finite(Math.Max(0, total - metrics.Step) * pace) : null;

    private static async Task SendAsync(HttpContext context, string name, ProgressPlace id, ProgressContract progress, CancellationToken cancel)
    {
        var json = JsonSerializer.Serialize(progress, Wire.Options);
        await context.Response.Body.WriteAsync(Encoding.UTF8.GetBytes($"id: {id}\nevent: {name}\ndata: {json}\n\n"), cancel);
        await context.Response.Body.FlushAsync(cancel);
    }
}
