using System.Text.Json;
using Npgsql;

namespace Gradus.Persistence;

/// <summary>
/// Runs and jobs as their owners see them: made, cancelled, paused, resumed, retried. Each change is one transaction and looks at the job's status again
/// where it writes, so it may race with claims (<see cref="JobClaims"/>) and with the attempt that runs (<see cref="JobLease"/>).
/// </summary>
public sealed class JobStore(NpgsqlDataSource database)
{
    /// <summary>A run with its jobs, queued, in one transaction.</summary>
    /// <returns>The run's id and its jobs' ids in order.</returns>
    public async Task<(string RunId, IReadOnlyList<string> JobIds)> CreateAsync(NewRun run, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        var replaced = 0;
        var runId = Identifier.New("run");
        await connection.Statement("insert into runs (id, name, recipe, seed) values ($1, $2, $3::jsonb, $4)",
            runId, PostgresText.Clean(run.Name, ref replaced), PostgresText.CleanJson(run.Recipe.GetRawText(), ref replaced), run.Seed).ExecuteAsync(cancellationToken);
        List<string> jobIds = [];
        foreach (var job in run.Jobs)
        {
            var jobId = Identifier.New("job");
            await connection.Statement("""
                insert into jobs (id, run_id, position, name, stage, options, seed, max_attempts, estimate) values ($1, $2, $3, $4, $5, $6::jsonb, $7, $8, $9::jsonb)
                """, jobId, runId, jobIds.Count, PostgresText.Clean(job.Name, ref replaced), job.Stage, PostgresText.CleanJson(job.Options.GetRawText(), ref replaced),
                job.Seed, job.MaxAttempts, job.Estimate?.GetRawText()).ExecuteAsync(cancellationToken);
            foreach (var warning in job.Warnings)
            {
                await connection.Statement("insert into job_events (job_id, attempt, level, message) values ($1, 0, 'warning', $2)", jobId, PostgresText.Clean(warning, ref replaced))
                    .ExecuteAsync(cancellationToken);
            }
            jobIds.Add(jobId);
        }

        await transaction.CommitAsync(cancellationToken);
        return (runId, jobIds);
    }

    /// <summary>Queued or paused: cancelled at once, with the jobs after it in its run. Running: its worker is asked to end it.</summary>
    public async Task<JobChange> CancelAsync(string jobId, CancellationToken cancellationToken)
    {
        var change = await ChangeAsync(jobId, """
            update jobs set status = case when status = 'running' then status else 'cancelled' end,
                stop_requested = case when status = 'running' then 'cancel' end,
                finished_at = case when status = 'running' then finished_at else now() end
            where id = $1 and status in ('queued', 'paused', 'running')
            """, cancellationToken);
        // A worker that is gone cannot end it.
        await new JobClaims(database).EndExpiredAsync([], jobId, cancellationToken);
        return change;
    }

    /// <summary>Queued: paused at once. Running: its worker asks it to save a checkpoint and leave.</summary>
    public Task<JobChange> PauseAsync(string jobId, CancellationToken cancellationToken) => ChangeAsync(jobId, """
        update jobs set status = case when status = 'queued' then 'paused' else status end,
            stop_requested = case when status = 'running' then coalesce(stop_requested, 'pause') end
        where id = $1 and status in ('queued', 'paused', 'running')
        """, cancellationToken);

    /// <summary>Paused: queued again, to go on from its last checkpoint. Asked to pause but not yet left: the wish is withdrawn.</summary>
    public Task<JobChange> ResumeAsync(string jobId, CancellationToken cancellationToken) => ChangeAsync(jobId, """
        update jobs set status = case when status = 'paused' then 'queued' else status end, stop_requested = null
        where id = $1 and (status in ('paused', 'queued') or (status = 'running' and stop_requested is distinct from 'cancel'))
        """, cancellationToken);

    /// <summary>Cancels every job of the run that has not ended.</summary>
    /// <returns>False where there is no such run or nothing was left to cancel.</returns>
    public async Task<bool> CancelRunAsync(string runId, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var open = await connection.Statement("select id from jobs where run_id = $1 and status in ('queued', 'paused', 'running') order by position desc", runId)
            .ListAsync(reader => reader.GetString(0), cancellationToken);
        foreach (var jobId in open) await CancelAsync(jobId, cancellationToken);
        return open.Count > 0;
    }

    /// <summary>Queues again what failed or was cancelled in the run; a job goes on from its last checkpoint. What succeeded stays.</summary>
    /// <returns>How many jobs were queued; 0 where there is no such run or nothing failed.</returns>
    public async Task<int> RetryRunAsync(string runId, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        return await connection.Statement("""
            with again as (
                update jobs set status = 'queued', crashes = 0, progressed = false, error = null, finished_at = null, stop_requested = null, phase = null
                where run_id = $1 and status in ('failed', 'cancelled') returning id, attempt)
            insert into job_events (job_id, attempt, level, message) select id, attempt, 'info', 'Queued again.' from again
            """, runId).ExecuteAsync(cancellationToken);
    }

    private async Task<JobChange> ChangeAsync(string jobId, string update, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        var before = await connection.Statement("select status, run_id, position from jobs where id = $1 for update", jobId)
            .ListAsync(reader => (Status: reader.GetString(0), Run: reader.GetString(1), Position: reader.GetInt32(2)), cancellationToken);
        if (before is not [var job]) return new JobChange(false, false, null);
        var status = await connection.Statement(update + " returning status", jobId).ListAsync(reader => reader.GetString(0), cancellationToken);
        if (status is not [var now]) return new JobChange(true, false, job.Status);
        if (now == JobStatus.Cancelled)
        {
            await connection.Statement("update jobs set status = 'cancelled', finished_at = now() where run_id = $1 and position > $2 and status in ('queued', 'paused')", job.Run, job.Position)
                .ExecuteAsync(cancellationToken);
        }

        await transaction.CommitAsync(cancellationToken);
        return new JobChange(true, true, now);
    }
}

/// <summary>A run to be made: its jobs start in this order, each when the one before succeeded.</summary>
public sealed record NewRun(string Name, JsonElement Recipe, long Seed, IReadOnlyList<NewJob> Jobs);

/// <param name="Name">The stage's name in the recipe, unique in its run.</param>
public sealed record NewJob(string Name, string Stage, JsonElement Options, long Seed, int MaxAttempts = 3)
{
    /// <summary>See <see cref="Job.Estimate"/>.</summary>
    public JsonElement? Estimate { get; init; }

    /// <summary>What its owner should know from the start; events of attempt 0.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];
}

/// <summary>What became of a wish.</summary>
/// <param name="Allowed">False where the job's status does not allow it (it has ended); nothing changed then.</param>
/// <param name="Status">The status after it; null where there is no such job.</param>
public readonly record struct JobChange(bool Found, bool Allowed, string? Status);
