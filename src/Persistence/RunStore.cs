using Npgsql;
using NpgsqlTypes;

namespace Gradus.Persistence;

/// <summary>
/// What an attempt writes while it trains: steps, checkpoints. Each method is one transaction that locks the job's row by the stamp first; false (or null)
/// means that nothing was written, because the job belongs to somebody else now. Doing a step again replaces it.
/// </summary>
public sealed class RunStore(NpgsqlDataSource database)
{
    /// <summary>The attempt begins, or goes on, at a step: what stands for it and later ones is deleted.</summary>
    public async Task<bool> BeginAsync(string jobId, long stamp, int firstStep, int totalSteps, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        if (!await HoldAsync(connection, jobId, stamp, cancellationToken)) return false;
        await connection.Statement("delete from metrics where job_id = $1 and step >= $2", jobId, firstStep).ExecuteAsync(cancellationToken);
        await connection.Statement("delete from samples where job_id = $1 and step >= $2", jobId, firstStep).ExecuteAsync(cancellationToken);
        await connection.Statement("delete from checkpoints where job_id = $1 and step >= $2", jobId, firstStep).ExecuteAsync(cancellationToken);
        await connection.Statement("update jobs set step = $2, total_steps = $3 where id = $1", jobId, firstStep - 1, totalSteps).ExecuteAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return true;
    }

    /// <summary>One step's metrics and samples (with their rewards), all or nothing.</summary>
    /// <returns>How many characters the database cannot hold were replaced; null where the stamp is stale.</returns>
    public async Task<int?> CommitStepAsync(
        string jobId, long stamp, int step, IReadOnlyList<StepMetric> metrics, IReadOnlyList<StepSample> samples, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        if (!await HoldAsync(connection, jobId, stamp, cancellationToken)) return null;
        await connection.Statement("delete from metrics where job_id = $1 and step = $2", jobId, step).ExecuteAsync(cancellationToken);
        await connection.Statement("delete from samples where job_id = $1 and step = $2", jobId, step).ExecuteAsync(cancellationToken);
        var replaced = await SampleRows.CopyAsync(connection, samples, cancellationToken);
        await using (var copy = await connection.BeginBinaryImportAsync("copy metrics (job_id, step, name, value) from stdin (format binary)", cancellationToken))
        {
            foreach (var metric in metrics)
            {
                await copy.StartRowAsync(cancellationToken);
                await copy.WriteAsync(jobId, NpgsqlDbType.Text, cancellationToken);
                await copy.WriteAsync(step, NpgsqlDbType.Integer, cancellationToken);
                await copy.WriteAsync(metric.Name, NpgsqlDbType.Text, cancellationToken);
                await copy.WriteAsync(metric.Value, NpgsqlDbType.Double, cancellationToken);
            }

            await copy.CompleteAsync(cancellationToken);
        }

        await connection.Statement("update jobs set step = $2 where id = $1", jobId, step).ExecuteAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return replaced;
    }

    /// <summary>Makes a checkpoint that is complete on disk the one to resume from, and forgets those beyond the newest <paramref name="keep"/>.</summary>
    /// <returns>The URIs forgotten, whose folders may be deleted now; null where the stamp is stale.</returns>
    public async Task<IReadOnlyList<string>?> CommitCheckpointAsync(string jobId, long stamp, int step, string uri, int keep, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        if (!await HoldAsync(connection, jobId, stamp, cancellationToken)) return null;
        await connection.Statement("""
            insert into checkpoints (job_id, step, uri) values ($1, $2, $3) on conflict (job_id, step) do update set uri = excluded.uri, created_at = now()
            """, jobId, step, uri).ExecuteAsync(cancellationToken);
        var forgotten = await connection.Statement("""
            delete from checkpoints where job_id = $1 and step not in (select step from checkpoints where job_id = $1 order by step desc limit $2) returning uri
            """, jobId, keep).ListAsync(reader => reader.GetString(0), cancellationToken);
        await connection.Statement("update jobs set progressed = true, crashes = 0 where id = $1", jobId).ExecuteAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return forgotten;
    }

    /// <summary>A line in the job's events from outside its attempts (the worker's own): not under a stamp.</summary>
    public async Task EventAsync(string jobId, int attempt, string level, string message, CancellationToken cancellationToken)
    {
        var replaced = 0;
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await connection.Statement("insert into job_events (job_id, attempt, level, message) values ($1, $2, $3, $4)", jobId, attempt, level, PostgresText.Clean(message, ref replaced))
            .ExecuteAsync(cancellationToken);
    }

    private static async Task<bool> HoldAsync(NpgsqlConnection connection, string jobId, long stamp, CancellationToken cancellationToken) =>
        (await connection.Statement("select 1 from jobs where id = $1 and lease_stamp = $2 and status = 'running' for update", jobId, stamp)
            .ListAsync(reader => reader.GetInt32(0), cancellationToken)).Count == 1;
}
