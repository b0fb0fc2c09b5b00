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
            var order = await WatchAsync(claim, child, stopping);
            await SettleAsync(claim, order?.Counts ?? true, order?.Reason ?? child.Ending, child.LastLines(), stopping);
        }
        catch (Exception problem)
        {
            log.LogError(problem, "Attempt {Attempt} of {Job} could not be run", claim.Attempt, claim.JobId);
            await SettleAsync(claim, counts: true, "its process could not be started or watched: " + problem.Message, "", stopping);
        }
    }

    /// <summary>Waits for the child's end.</summary>
    /// <returns>What the worker asked of it last, or null where it ended by itself.</returns>
    private async Task<Order?> WatchAsync(JobClaim claim, StageChild child, CancellationToken stopping)
    {
        var ended = child.EndedAsync(CancellationToken.None);
        Order? asked = null;
        var since = Stopwatch.StartNew();
        Stopwatch? expired = null;
        while (!ended.IsCompleted)
        {
            var wish = await WishAsync(claim);
            if (wish is "expired") expired ??= Stopwatch.StartNew();
            else if (wish is not "away") expired = null;
            var next = wish switch
            {
                "lost" => new Order("the job belongs to somebody else", WorkerOptions.CancelLimit),
                "cancel" => new Order("it was cancelled", WorkerOptions.CancelLimit),
                // It renews by itself unless it hangs; after an absence of the database it needs a moment for that.
                "expired" when expired!.Elapsed > options.Lease => new Order("it stopped renewing its lease", TimeSpan.Zero, Counts: true),
                "pause" => new Order("it was paused", options.StopLimit),
                _ when stopping.IsCancellationRequested => new Order("its worker stopped", options.StopLimit),
                _ => null,
            };
            if (next is not null && (asked is null || next.Limit < asked.Limit))
            {
                (asked, since) = (next, Stopwatch.StartNew());
                child.Signal(Posix.Terminate);
            }

            var left = asked is null ? poll : asked.Limit - since.Elapsed;
            if (left <= TimeSpan.Zero) child.Signal(Posix.Kill);
            var pause = TimeSpan.FromMilliseconds(Math.Clamp(left.TotalMilliseconds, 10, poll.TotalMilliseconds));
            // A worker that is asked to stop must not sleep through it.
            using var wake = CancellationTokenSource.CreateLinkedTokenSource(asked is null ? stopping : CancellationToken.None);
            await Task.WhenAny(ended, Task.Delay(pause, wake.Token));
        }

        await ended;
        return asked;
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

    /// <summary>Why a child is to leave, how long it may take, and whether its end counts as a crash.</summary>
    private sealed record Order(string Reason, TimeSpan Limit, bool Counts = false);
}
