using System.Text.Json;
using Npgsql;

namespace Gradus.Persistence;

/// <summary>
/// What a worker does with jobs: take one, and end attempts whose process is gone. A running job holds its devices until its attempt has been ended, here
/// or by itself (<see cref="JobLease"/>); an expired lease alone frees nothing, so that a late renewal and a claim can never both win: each is one
/// update of the job's row.
/// </summary>
public sealed class JobClaims(NpgsqlDataSource database)
{
    /// <summary>
    /// The next job that can run on the device, or null: the oldest queued one that asks for no other device (its option <c>device</c>, a device's name) and whose
    /// predecessors in its run have all succeeded, if no running job holds the device.
    /// </summary>
    public async Task<JobClaim?> ClaimAsync(string owner, string device, TimeSpan lease, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        // The device's row first, in a statement of its own: the claim's snapshot then sees every earlier claim of that device.
        await connection.Statement("select 1 from devices where id = $1 for update", device).ExecuteAsync(cancellationToken);
        var claims = await connection.Statement("""
            with next as (
                select id from jobs j
                where status = 'queued'
                    and coalesce(options ->> 'device' = (select name from devices where id = $2), true)
                    and not exists (select 1 from jobs before where before.run_id = j.run_id and before.position < j.position and before.status <> 'succeeded')
                    and not exists (select 1 from jobs other where other.status = 'running' and $2 = any (other.lease_devices))
                order by created_at, run_id, position
                limit 1
                for update of j skip locked),
            claimed as (
                update jobs j set status = 'running', attempt = attempt + 1, progressed = false, lease_owner = $1, lease_stamp = lease_stamp + 1,
                    lease_expires_at = now() + $3, lease_devices = array[$2], stop_requested = null, phase = 'start', error = null,
                    started_at = coalesce(started_at, now())
                from next where j.id = next.id returning j.id, j.attempt, j.lease_stamp),
            noted as (
                insert into job_events (job_id, attempt, level, message)
                select id, attempt, 'info', 'Attempt ' || attempt || ' was claimed by ' || $1 || ' on ' || $2 || '.' from claimed)
            select id, attempt, lease_stamp from claimed
            """, owner, device, lease).ListAsync(reader => new JobClaim(reader.GetString(0), reader.GetInt32(1), reader.GetInt64(2), device), cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return claims is [var claim] ? claim : null;
    }

    /// <summary>Ends the attempts whose lease has expired (by the database's clock): their process, or its host, is gone. They count as crashes.</summary>
    /// <param name="except">Jobs whose process the caller knows to be alive: it may still renew.</param>
    /// <param name="only">One job alone, or null for all.</param>
    public Task<IReadOnlyList<EndedAttempt>> EndExpiredAsync(IReadOnlyCollection<string> except, string? only, CancellationToken cancellationToken) =>
        EndAsync("lease_expires_at < now() and not (id = any ($1)) and ($2::text is null or id = $2)", [except.ToArray(), only], wait: false, counts: true,
            "its lease expired: the process or its host is gone", null, cancellationToken);

    /// <summary>Ends an attempt whose process has ended without an outcome. Null where the attempt had one, or was ended by somebody else.</summary>
    /// <param name="counts">Whether it is a crash; not when the worker ended the process itself (shutdown, pause).</param>
    /// <param name="phase">What it was doing; null: what its last renewal said.</param>
    public async Task<EndedAttempt?> EndAsync(string jobId, long stamp, bool counts, string reason, CancellationToken cancellationToken, string? phase = null) =>
        await EndAsync("id = $1 and lease_stamp = $2", [jobId, stamp], wait: true, counts, reason, phase, cancellationToken) is [var ended] ? ended : null;

    /// <summary>
    /// What the owner of a running attempt should know: <c>cancel</c> or <c>pause</c> where it was asked for, <c>expired</c> where its lease is, <c>lost</c> where the
    /// attempt is no longer the running one, null where all is well.
    /// </summary>
    public async Task<string?> WishAsync(string jobId, long stamp, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var found = await connection.Statement("""
            select coalesce(stop_requested, case when lease_expires_at < now() then 'expired' end) from jobs where id = $1 and lease_stamp = $2 and status = 'running'
            """, jobId, stamp).ListAsync(reader => reader.NullableString(0), cancellationToken);
        return found is [var wish] ? wish : "lost";
    }

    private async Task<IReadOnlyList<EndedAttempt>> EndAsync(string condition, object?[] values, bool wait, bool counts, string reason, string? phase, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var replaced = 0;
        return await connection.Statement($$"""
            with lost as (
                select id, case
                    when stop_requested = 'cancel' then 'cancelled'
                    when $3 and not progressed and crashes + 1 >= max_attempts then 'failed'
                    when stop_requested = 'pause' then 'paused'
                    else 'queued' end as verdict
                from jobs where status = 'running' and {{condition}} for update {{(wait ? "" : "skip locked")}}),
            ended as (
                update jobs j set status = verdict, phase = coalesce($5::text, phase, 'start'),
                    crashes = case when not $3 then crashes when progressed then 0 else crashes + 1 end,
                    error = case when verdict = 'failed' then jsonb_build_object('phase', coalesce($5::text, phase, 'start'), 'message', 'Attempt ' || attempt || ' ended: ' || $4) end,
                    finished_at = case when verdict in ('failed', 'cancelled') then now() end,
                    lease_stamp = lease_stamp + 1, lease_owner = null, lease_expires_at = null, lease_devices = '{}', stop_requested = null
                from lost where j.id = lost.id returning j.*),
            later as (
                update jobs j set status = 'cancelled', finished_at = now() from ended e
                where e.status in ('failed', 'cancelled') and j.run_id = e.run_id and j.position > e.position and j.status in ('queued', 'paused')),
            noted as (
                insert into job_events (job_id, attempt, level, message)
                select id, attempt, case when $3 then 'warning' else 'info' end,
                    'Attempt ' || attempt || ' ended in phase ' || phase || ': ' || $4 || '. The job is ' || status || '.' from ended)
            select id, run_id, attempt, status from ended
            """, [.. values, counts, PostgresText.Clean(reason, ref replaced), phase])
            .ListAsync(reader => new EndedAttempt(reader.GetString(0), reader.GetString(1), reader.GetInt32(2), reader.GetString(3)), cancellationToken);
    }
}

/// <summary>A job taken by a worker: the attempt may write while the job's stamp is this one.</summary>
public sealed record JobClaim(string JobId, int Attempt, long Stamp, string Device);

/// <param name="Status">What the job is now: queued, paused, cancelled or failed.</param>
public sealed record EndedAttempt(string JobId, string RunId, int Attempt, string Status);
