using System.Text.Json;
using Npgsql;

namespace Gradus.Persistence;

/// <summary>
/// One attempt's hold on its job. Everything here is written under the stamp: a method that returns false wrote nothing, because the job belongs to somebody
/// else now.
/// </summary>
/// <param name="database">Where; the renewing thread has a source of its own, so that a slow write never delays a renewal.</param>
public sealed class JobLease(NpgsqlDataSource database, string jobId, long stamp)
{
    public string JobId => jobId;

    public long Stamp => stamp;

    /// <summary>What the attempt has to do, or null where the job is not running in that attempt (any more).</summary>
    public static async Task<AttemptDescription?> DescribeAsync(NpgsqlDataSource database, string jobId, int attempt, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var found = await connection.Statement("""
            select j.run_id, r.name, j.name, j.stage, j.options, j.seed, j.lease_stamp, j.lease_devices
            from jobs j join runs r on r.id = j.run_id where j.id = $1 and j.attempt = $2 and j.status = 'running'
            """, jobId, attempt).ListAsync(reader => new AttemptDescription(
                jobId, attempt, reader.GetString(0), reader.GetString(1), reader.GetString(2), reader.GetString(3), JsonElement.Parse(reader.GetString(4)),
                reader.GetInt64(5), reader.GetInt64(6), reader.GetFieldValue<string[]>(7), [], []), cancellationToken);
        if (found is not [var description]) return null;
        var checkpoints = await connection.Statement("select step, uri from checkpoints where job_id = $1 order by step desc", jobId)
            .ListAsync(reader => (reader.GetInt32(0), reader.GetString(1)), cancellationToken);
        var made = await connection.Statement("""
            select name, model_id, dataset_id from jobs where run_id = $1 and status = 'succeeded' and position < (select position from jobs where id = $2)
            """, description.RunId, jobId).ListAsync(reader => new StageProduct(reader.GetString(0), reader.NullableString(1), reader.NullableString(2)), cancellationToken);
        return description with { Checkpoints = checkpoints, Products = made };
    }

    /// <summary>Holds the job for that long from now, by the database's clock.</summary>
    /// <param name="phase">What the attempt is doing, for people and for the reason of a crash.</param>
    public async Task<bool> RenewAsync(TimeSpan lease, string phase, CancellationToken cancellationToken) =>
        await WriteAsync("update jobs set lease_expires_at = now() + $3, phase = $4 where id = $1 and lease_stamp = $2 and status = 'running'", [lease, phase], cancellationToken);

    /// <summary>Writes a line into the job's events. A warning that stands there already is not written again: an attempt that does steps again warns again.</summary>
    public async Task<bool> EventAsync(string level, string message, CancellationToken cancellationToken)
    {
        var replaced = 0;
        return await WriteAsync("""
            with written as (
                insert into job_events (job_id, attempt, level, message)
                select id, attempt, $3, $4 from jobs where id = $1 and lease_stamp = $2 and status = 'running'
                    and ($3 <> 'warning' or not exists (select from job_events e where e.job_id = $1 and e.level = $3 and e.message = $4)))
            -- Whether or not a line was written, the row that is counted says whose job it is.
            update jobs set phase = phase where id = $1 and lease_stamp = $2 and status = 'running'
            """, [level, PostgresText.Clean(message, ref replaced)], cancellationToken);
    }

    /// <summary>The job has failed for good, whatever its attempts: trying again would end the same. Jobs after it in its run are cancelled.</summary>
    public async Task<bool> FailAsync(string phase, string message, CancellationToken cancellationToken)
    {
        var replaced = 0;
        return await WriteAsync("""
            with ended as (
                update jobs set status = 'failed', error = jsonb_build_object('phase', $3::text, 'message', $4::text), phase = $3, finished_at = now(),
                    lease_owner = null, lease_expires_at = null, lease_devices = '{}', stop_requested = null
                where id = $1 and lease_stamp = $2 and status = 'running' returning *),
            later as (
                update jobs j set status = 'cancelled', finished_at = now() from ended e
                where j.run_id = e.run_id and j.position > e.position and j.status in ('queued', 'paused'))
            insert into job_events (job_id, attempt, level, message)
            select id, attempt, 'error', 'Failed in phase ' || $3 || ': ' || $4 from ended
            """, [PostgresText.Clean(phase, ref replaced), PostgresText.Clean(message, ref replaced)], cancellationToken);
    }

    /// <summary>
    /// The job has succeeded: its model and its dataset become rows in the same transaction. Asking again after it was done says true, so that a caller
    /// whose connection broke at the commit can ask until it knows.
    /// </summary>
    /// <param name="model">The folder of the model it made and what is known of it, or null.</param>
    /// <param name="rows">The rows of the dataset it made, each the text of one JSON object, or null.</param>
    /// <param name="result">The closing figures, a JSON object.</param>
    public async Task<bool> SucceedAsync(MadeModel? model, IReadOnlyList<string>? rows, string result, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        var held = await connection.Statement("""
            select j.status, r.name || '/' || j.name, j.attempt from jobs j join runs r on r.id = j.run_id where j.id = $1 and j.lease_stamp = $2 for update of j
            """, jobId, stamp).ListAsync(reader => (Status: reader.GetString(0), Name: reader.GetString(1), Attempt: reader.GetInt32(2)), cancellationToken);
        if (held is not [var job] || job.Status is not (JobStatus.Running or JobStatus.Succeeded)) return false;
        if (job.Status == JobStatus.Succeeded) return true;
        string? modelId = null, datasetId = null;
        var replaced = 0;
        if (model is not null)
        {
            modelId = Identifier.New("model");
            await connection.Statement("insert into models (id, name, folder, job_id, details) values ($1, $2, $3, $4, $5::jsonb)",
                modelId, job.Name, model.Folder, jobId, PostgresText.CleanJson(model.Details, ref replaced)).ExecuteAsync(cancellationToken);
        }

        if (rows is not null)
        {
            datasetId = Identifier.New("file");
            await connection.Statement("insert into datasets (id, name, row_count, job_id) values ($1, $2, $3, $4)", datasetId, job.Name, rows.Count, jobId).ExecuteAsync(cancellationToken);
            replaced += await DatasetRows.CopyAsync(connection, datasetId, rows, cancellationToken);
        }

        await connection.Statement("""
            update jobs set status = 'succeeded', model_id = $3, dataset_id = $4, result = $5::jsonb, finished_at = now(), step = coalesce(total_steps, step), crashes = 0,
                lease_owner = null, lease_expires_at = null, lease_devices = '{}', stop_requested = null
            where id = $1 and lease_stamp = $2
            """, jobId, stamp, modelId, datasetId, PostgresText.CleanJson(result, ref replaced)).ExecuteAsync(cancellationToken);
        await connection.Statement("insert into job_events (job_id, attempt, level, message) values ($1, $2, 'info', $3)", jobId, job.Attempt,
            "Succeeded." + (replaced == 0 ? "" : $" {replaced} characters that the database cannot hold were replaced.")).ExecuteAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return true;
    }

    private async Task<bool> WriteAsync(string statement, object?[] values, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        return await connection.Statement(statement, [jobId, stamp, .. values]).ExecuteAsync(cancellationToken) > 0;
    }
}

/// <summary>One attempt of one job as its process needs it.</summary>
/// <param name="Checkpoints">Newest first.</param>
/// <param name="Products">What the earlier jobs of its run made.</param>
public sealed record AttemptDescription(
    string JobId, int Attempt, string RunId, string RunName, string Name, string Stage, JsonElement Options, long Seed, long Stamp, IReadOnlyList<string> Devices,
    IReadOnlyList<(int Step, string Uri)> Checkpoints, IReadOnlyList<StageProduct> Products);

/// <param name="Name">The stage's name in the recipe.</param>
public sealed record StageProduct(string Name, string? ModelId, string? DatasetId);

/// <param name="Details">A JSON object.</param>
public sealed record MadeModel(string Folder, string Details);
