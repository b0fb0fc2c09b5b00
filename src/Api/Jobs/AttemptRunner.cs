using System.Diagnostics;
using Gradus.Persistence;

namespace Gradus.Api.Jobs;

/// <summary>
/// One attempt from the worker's side: starts its process, passes on what is asked of the job (cancel, pause, shutdown) as signals with a limit, and when it has
/// ended reads in the database what became of it. A process that ended without an outcome there was a crash.
/// </summary>
internal sealed class AttemptRunner(JobClaims claims, RunStore runs, WorkerOptions options, ILogger log)
{
    private static readonly TimeSpan poll = TimeSpan.FromMilliseconds(500);

    /// <summary>Runs the attempt to its end. Never throws.</summary>
    /// <param name="stopping">The worker is to end: the child saves a checkpoint and leaves.</param>
    public async Task RunAsync(JobClaim claim, CancellationToken stopping)
    {
        try
        {
            var launch = new StageLaunch(options.Connection, options.StateFolder, options.Lease.TotalSeconds, options.PhaseLimit.TotalSeconds, options.PhaseLimits);
            using var child = StageChild.Start(claim.JobId, claim.Attempt, launch, options.ChildEnvironment, line => log.LogDebug("{Job}: {Line}", claim.JobId, line));
            log.LogInformation("Started attempt {Attempt} of {Job} on {Device} as process {Process}", claim.Attempt, claim.JobId, claim.Device, child.Id);
            var asked = await WatchAsync(claim, child, stopping);
            await SettleAsync(claim, counts: asked is null, asked ?? child.Ending, child.LastLines(), stopping);
        }
        catch (Exception problem)
        {
            log.LogError(problem, "Attempt {Attempt} of {Job} could not be run", claim.Attempt, claim.JobId);
            await SettleAsync(claim, counts: true, "its process could not be started or watched: " + problem.Message, "", stopping);
        }
    }

    /// <summary>Waits for the child's end.</summary>
    /// <returns>What the worker asked of it, or null where it ended by itself.</returns>
    private async Task<string?> WatchAsync(JobClaim claim, StageChild child, CancellationToken stopping)
    {
        var ended = child.EndedAsync(CancellationToken.None);
        (string Reason, TimeSpan Limit, Stopwatch Since)? asked = null;
        Stopwatch? expired = null;
        while (!ended.IsCompleted)
        {
            var wish = await WishAsync(claim);
            if (wish is "expired") expired ??= Stopwatch.StartNew();
            else if (wish is not "away") expired = null;
            var next = wish switch
            {
                "lost" => ("the job belongs to somebody else", WorkerOptions.CancelLimit),
                "cancel" => ("it was cancelled", WorkerOptions.CancelLimit),
                // It renews by itself unless it hangs; after an absence of the database it needs a moment for that.
                "expired" when expired!.Elapsed > options.Lease => ("it stopped renewing its lease", TimeSpan.Zero),
                "pause" => ("it was paused", options.StopLimit),
                _ when stopping.IsCancellationRequested => ("its worker stopped", options.StopLimit),
                _ => default((string Reason, TimeSpan Limit)?),
            };
            if (next is { } order && (asked is null || order.Limit < asked.Value.Limit))
            {
                asked = (order.Reason, order.Limit, Stopwatch.StartNew());
                child.Signal(Posix.Terminate);
            }

            if (asked is { } limit && limit.Since.Elapsed >= limit.Limit) child.Signal(Posix.Kill);
            var remaining = asked is { } some && some.Limit - some.Since.Elapsed is var left && left < poll ? (left > TimeSpan.FromMilliseconds(10) ? left : TimeSpan.FromMilliseconds(10)) : poll;
            // A worker that is asked to stop must not sleep through it.
            using var wake = CancellationTokenSource.CreateLinkedTokenSource(asked is null ? stopping : CancellationToken.None);
            await Task.WhenAny(ended, Task.Delay(remaining, wake.Token));
        }

        await ended;
        return asked is null || asked.Value.Limit == TimeSpan.Zero ? null : asked.Value.Reason;
    }

    private async Task<string?> WishAsync(JobClaim claim)
    {
        try
        {
            return await claims.WishAsync(claim.JobId, claim.Stamp, CancellationToken.None);
        }
        catch (Exception problem) when (DatabaseAway.Is(problem))
        {
            return "away";
        }
    }

    /// <summary>Ends the attempt in the database if it did not end itself there. A worker that stops while the database is away leaves that to the lease.</summary>
    private async Task SettleAsync(JobClaim claim, bool counts, string reason, string lines, CancellationToken stopping)
    {
        try
        {
            var ended = await DatabaseAway.OutlastAsync(() => claims.EndAsync(claim.JobId, claim.Stamp, counts, reason, CancellationToken.None),
                problem => log.LogWarning("The database is away; waiting for it: {Message}", problem.Message), stopping);
            if (ended is null) log.LogInformation("Attempt {Attempt} of {Job} ended with an outcome", claim.Attempt, claim.JobId);
            else log.LogInformation("Attempt {Attempt} of {Job} ended: {Reason}; the job is {Status}", claim.Attempt, claim.JobId, reason, ended.Status);
            if (ended is not null && counts && lines.Length > 0) await runs.EventAsync(claim.JobId, claim.Attempt, "warning", "The last lines of its process:\n" + lines, CancellationToken.None);
        }
        catch (Exception problem)
        {
            log.LogError(problem, "The end of attempt {Attempt} of {Job} could not be written; its lease will expire", claim.Attempt, claim.JobId);
        }
    }
}
