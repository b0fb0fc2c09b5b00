using System.Linq.Expressions;
using Microsoft.EntityFrameworkCore;

namespace Gradus.Persistence;

/// <summary>Reads runs, jobs, checkpoints and devices. Lists are newest first; pages hold still while new rows come.</summary>
public sealed class RunQueries(IDbContextFactory<GradusDb> databases)
{
    /// <summary>The id that stands for the newest job or run.</summary>
    public const string Latest = "latest";

    public async Task<Job?> JobAsync(string id, CancellationToken cancellationToken)
    {
        await using var database = await databases.CreateDbContextAsync(cancellationToken);
        var jobs = Newest(database.Jobs.AsNoTracking().Include(job => job.Run));
        return await (id == Latest ? jobs : jobs.Where(job => job.Id == id)).FirstOrDefaultAsync(cancellationToken);
    }

    /// <summary>A run with its jobs in order.</summary>
    public async Task<Run?> RunAsync(string id, CancellationToken cancellationToken)
    {
        await using var database = await databases.CreateDbContextAsync(cancellationToken);
        var runs = Newest(database.Runs.AsNoTracking()).Include(run => run.Jobs.OrderBy(job => job.Position));
        return await (id == Latest ? runs : runs.Where(run => run.Id == id)).FirstOrDefaultAsync(cancellationToken);
    }

    /// <param name="wanted">A filter, or null for all.</param>
    /// <exception cref="UnknownCursorException"/>
    public async Task<IReadOnlyList<Job>> JobsAsync(Expression<Func<Job, bool>>? wanted, PageRequest page, CancellationToken cancellationToken)
    {
        await using var database = await databases.CreateDbContextAsync(cancellationToken);
        var jobs = database.Jobs.AsNoTracking().Include(job => job.Run).AsQueryable();
        if (wanted is not null) jobs = jobs.Where(wanted);
        if (page.After is { } after)
        {
            var last = await database.Jobs.Where(job => job.Id == after).Select(job => new { job.CreatedAt, job.RunId, job.Position }).FirstOrDefaultAsync(cancellationToken)
                ?? throw new UnknownCursorException(after);
            jobs = jobs.Where(job => job.CreatedAt < last.CreatedAt || (job.CreatedAt == last.CreatedAt
                && (string.Compare(job.RunId, last.RunId) < 0 || (job.RunId == last.RunId && job.Position < last.Position))));
        }
        return await Newest(jobs).Take(page.Limit + 1).ToListAsync(cancellationToken);
    }

    /// <exception cref="UnknownCursorException"/>
    public async Task<IReadOnlyList<Run>> RunsAsync(PageRequest page, CancellationToken cancellationToken)
    {
        await using var database = await databases.CreateDbContextAsync(cancellationToken);
        var runs = database.Runs.AsNoTracking().AsQueryable();
        if (page.After is { } after)
        {
            var last = await runs.Where(run => run.Id == after).Select(run => new { run.CreatedAt }).FirstOrDefaultAsync(cancellationToken) ?? throw new UnknownCursorException(after);
            runs = runs.Where(run => run.CreatedAt < last.CreatedAt || (run.CreatedAt == last.CreatedAt && string.Compare(run.Id, after) < 0));
        }
        return await Newest(runs).Take(page.Limit + 1).Include(run => run.Jobs.OrderBy(job => job.Position)).ToListAsync(cancellationToken);
    }

    /// <summary>What a job can be resumed from, newest first.</summary>
    public async Task<IReadOnlyList<Checkpoint>> CheckpointsAsync(string jobId, PageRequest page, CancellationToken cancellationToken)
    {
        await using var database = await databases.CreateDbContextAsync(cancellationToken);
        var checkpoints = database.Checkpoints.AsNoTracking().Where(checkpoint => checkpoint.JobId == jobId);
        if (page.After is { } after)
        {
            if (!int.TryParse(after, out var step)) throw new UnknownCursorException(after);
            checkpoints = checkpoints.Where(checkpoint => checkpoint.Step < step);
        }
        return await checkpoints.OrderByDescending(checkpoint => checkpoint.Step).Take(page.Limit + 1).ToListAsync(cancellationToken);
    }

    /// <summary>Forgets a checkpoint of a job that is not running.</summary>
    /// <returns>Its URI, whose folder may be deleted now; null where there was none or the job runs.</returns>
    public async Task<string?> ForgetCheckpointAsync(string jobId, int step, CancellationToken cancellationToken)
    {
        await using var database = await databases.CreateDbContextAsync(cancellationToken);
        return (await database.Database.SqlQuery<string>($"""
            with idle as (select id from jobs where id = {jobId} and status <> 'running' for update)
            delete from checkpoints c using idle where c.job_id = idle.id and c.step = {step} returning c.uri as "Value"
            """).ToListAsync(cancellationToken)).FirstOrDefault();
    }

    /// <summary>The devices, by id, each with the job that holds it.</summary>
    public async Task<IReadOnlyList<(Device Device, string? JobId)>> DevicesAsync(PageRequest page, CancellationToken cancellationToken)
    {
        await using var database = await databases.CreateDbContextAsync(cancellationToken);
        var rows = await database.Devices.AsNoTracking().Where(device => page.After == null || string.Compare(device.Id, page.After) > 0).OrderBy(device => device.Id).Take(page.Limit + 1)
            .Select(device => new { Device = device, JobId = database.Jobs.Where(job => job.Status == JobStatus.Running && job.LeaseDevices.Contains(device.Id)).Select(job => job.Id).FirstOrDefault() })
            .ToListAsync(cancellationToken);
        return [.. rows.Select(row => (row.Device, row.JobId))];
    }

    private static IQueryable<Job> Newest(IQueryable<Job> jobs) => jobs.OrderByDescending(job => job.CreatedAt).ThenByDescending(job => job.RunId).ThenByDescending(job => job.Position);

    private static IQueryable<Run> Newest(IQueryable<Run> runs) => runs.OrderByDescending(run => run.CreatedAt).ThenByDescending(run => run.Id);
}
