using System.Diagnostics;
using Gradus.Persistence;
using Npgsql;

namespace Gradus.Api.Jobs;

/// <summary>
/// Renews the lease of one attempt, on a thread and a connection of its own, for as long as the training thread makes progress: a hung native call must not
/// look alive. When there was none within the phase's limit, or the lease is somebody else's, it ends the process: nothing else could.
/// </summary>
internal sealed class LeaseKeeper : IDisposable
{
    private readonly NpgsqlDataSource database;
    private readonly JobLease lease;
    private readonly StageLaunch launch;
    private readonly ManualResetEventSlim stopped = new();
    private readonly Thread thread;
    private long progress;
    private volatile string phase = "start";

    public LeaseKeeper(StageLaunch launch, string jobId, long stamp)
    {
        this.launch = launch;
        var connection = new NpgsqlConnectionStringBuilder(launch.Connection) { MaxPoolSize = 1, Timeout = 5, CommandTimeout = 5, ApplicationName = "gradus lease" };
        database = NpgsqlDataSource.Create(connection);
        lease = new JobLease(database, jobId, stamp);
        thread = new Thread(Keep) { IsBackground = true, Name = "lease" };
        thread.Start();
    }

    /// <summary>What the training thread does now; changing it is progress.</summary>
    public string Phase => phase;

    public void Progress(string current)
    {
        phase = current;
        Interlocked.Increment(ref progress);
    }

    /// <summary>Stops renewing, before the attempt's last word is written.</summary>
    public void Dispose()
    {
        stopped.Set();
        thread.Join();
        database.Dispose();
        stopped.Dispose();
    }

    private void Keep()
    {
        var interval = TimeSpan.FromSeconds(Math.Min(1, launch.LeaseSeconds / 4));
        var (seen, said, moved, renewed) = (-1L, "", Stopwatch.StartNew(), Stopwatch.StartNew());
        do
        {
            if (Interlocked.Read(ref progress) is var now && now != seen) (seen, moved) = (now, Stopwatch.StartNew());
            if (moved.Elapsed > launch.Limit(phase)) End($"there was no progress in phase '{phase}' for {moved.Elapsed.TotalSeconds:0} s, its limit is {launch.Limit(phase).TotalSeconds:0} s (settings Gradus:PhaseLimits and PhaseLimitSeconds)");
            var current = phase;
            // Every second while the phase changes, so that a crash can say where it was; else four times a lease.
            if (current == said && renewed.Elapsed.TotalSeconds < launch.LeaseSeconds / 4) continue;
            try
            {
                if (!lease.RenewAsync(TimeSpan.FromSeconds(launch.LeaseSeconds), current, CancellationToken.None).GetAwaiter().GetResult()) Lost();
                (said, renewed) = (current, Stopwatch.StartNew());
            }
            catch (Exception problem) when (DatabaseAway.Is(problem))
            {
                // Away: the training thread notices at its next write and waits. If nobody takes the job over, the next renewal holds it again.
            }
        }
        while (!stopped.Wait(interval));
    }

    private void End(string reason)
    {
        Console.Error.WriteLine("This process ends itself: " + reason + ".");
        try
        {
            new JobClaims(database).EndAsync(lease.JobId, lease.Stamp, counts: true, reason, CancellationToken.None, phase).GetAwaiter().GetResult();
        }
        catch (Exception problem) when (DatabaseAway.Is(problem))
        {
            // The worker sees a process that ended without a word, and counts it all the same.
        }

        StageProcess.Die();
    }

    private void Lost()
    {
        if (stopped.IsSet) return;
        Console.Error.WriteLine("This process ends itself: another attempt owns the job.");
        StageProcess.Die();
    }
}
