using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace Gradus.Persistence;

/// <summary>The metrics of one step.</summary>
public sealed record StepMetrics(string JobId, int Position, int Step, IReadOnlyDictionary<string, double> Values);

/// <summary>Reads what the steps of jobs left behind: metrics, samples, events.</summary>
public sealed class StepQueries(IDbContextFactory<GradusDb> databases, NpgsqlDataSource source)
{
    /// <summary>A job's metrics step by step, the first step first.</summary>
    /// <param name="names">Only these metrics (steps without any are left out); empty for all.</param>
    public Task<IReadOnlyList<StepMetrics>> MetricsAsync(string jobId, IReadOnlyList<string> names, int afterStep, int limit, CancellationToken cancellationToken) =>
        MetricsAsync("j.id = $1 and $3 >= 0 and m.step > $4", jobId, names, (0, afterStep), limit, cancellationToken);

    /// <summary>The same across the jobs of a run, in the run's order.</summary>
    /// <param name="after">Position of the job and step; (0, -1) for all.</param>
    public Task<IReadOnlyList<StepMetrics>> RunMetricsAsync(string runId, IReadOnlyList<string> names, (int Position, int Step) after, int limit, CancellationToken cancellationToken) =>
        MetricsAsync("j.run_id = $1 and (j.position > $3 or (j.position = $3 and m.step > $4))", runId, names, after, limit, cancellationToken);

    /// <summary>The metrics of a job's newest step; null before the first.</summary>
    public async Task<StepMetrics?> LastMetricsAsync(string jobId, CancellationToken cancellationToken)
    {
        await using var database = await databases.CreateDbContextAsync(cancellationToken);
        var rows = await database.Metrics.AsNoTracking().Where(metric => metric.JobId == jobId && metric.Step == database.Metrics.Where(m => m.JobId == jobId).Max(m => m.Step)).ToListAsync(cancellationToken);
        return rows.Count == 0 ? null : new StepMetrics(jobId, 0, rows[0].Step, rows.ToDictionary(metric => metric.Name, metric => metric.Value));
    }

    /// <summary>The mean of a metric over a job's newest steps; null before the first.</summary>
    public async Task<double?> MeanAsync(string jobId, string name, int steps, CancellationToken cancellationToken)
    {
        await using var database = await databases.CreateDbContextAsync(cancellationToken);
        var values = await database.Metrics.Where(metric => metric.JobId == jobId && metric.Name == name).OrderByDescending(metric => metric.Step).Take(steps).Select(metric => metric.Value).ToListAsync(cancellationToken);
        return values.Count == 0 ? null : values.Average();
    }

    /// <summary>Curves of a job's metrics, by name and step: the mean step and the mean value of each so many steps, of those whose value is finite.</summary>
    /// <param name="wild">Whether a % in a name stands for any text.</param>
    public async Task<IReadOnlyList<(string Name, double Step, double Value)>> CurvesAsync(string jobId, IReadOnlyList<string> names, bool wild, int stepsOfAPoint, CancellationToken cancellationToken)
    {
        await using var connection = await source.OpenConnectionAsync(cancellationToken);
        return await connection.Statement($"""
            select name, avg(step)::double precision, avg(value) from metrics
            where job_id = $1 and name {(wild ? "like" : "=")} any ($2) and value not in ('NaN', 'Infinity', '-Infinity')
            group by name, (step - 1) / $3 order by name, 2
            """, jobId, names.ToArray(), stepsOfAPoint)
            .ListAsync(reader => (reader.GetString(0), reader.GetDouble(1), reader.GetDouble(2)), cancellationToken);
    }

    /// <summary>A job's samples with their rewards.</summary>
    /// <param name="step">Only of that step; null for all.</param>
    public async Task<IReadOnlyList<StepSample>> SamplesAsync(string jobId, SampleOrder order, int? step, SampleCursor? after, int limit, CancellationToken cancellationToken)
    {
        await using var database = await databases.CreateDbContextAsync(cancellationToken);
        var samples = database.Samples.AsNoTracking().Include(sample => sample.Rewards.OrderBy(reward => reward.Name)).Where(sample => sample.JobId == jobId);
        if (step is not null) samples = samples.Where(sample => sample.Step == step);
        if (after is not null)
        {
            var (lastStep, lastIndex, value) = (after.Step, after.Index, after.Value);
            samples = order switch
            {
                SampleOrder.Newest => samples.Where(s => s.Step < lastStep || (s.Step == lastStep && s.Index > lastIndex)),
                SampleOrder.Index => samples.Where(s => s.Index > lastIndex || (s.Index == lastIndex && s.Step < lastStep)),
                SampleOrder.Reward => samples.Where(s => (s.Reward ?? double.NegativeInfinity) < value
                    || ((s.Reward ?? double.NegativeInfinity) == value && (s.Step < lastStep || (s.Step == lastStep && s.Index > lastIndex)))),
                _ => samples.Where(s => (s.Advantage ?? double.NegativeInfinity) < value
                    || ((s.Advantage ?? double.NegativeInfinity) == value && (s.Step < lastStep || (s.Step == lastStep && s.Index > lastIndex)))),
            };
        }
        var sorted = order switch
        {
            SampleOrder.Newest => samples.OrderByDescending(s => s.Step).ThenBy(s => s.Index),
            SampleOrder.Index => samples.OrderBy(s => s.Index).ThenByDescending(s => s.Step),
            SampleOrder.Reward => samples.OrderByDescending(s => s.Reward ?? double.NegativeInfinity).ThenByDescending(s => s.Step).ThenBy(s => s.Index),
            _ => samples.OrderByDescending(s => s.Advantage ?? double.NegativeInfinity).ThenByDescending(s => s.Step).ThenBy(s => s.Index),
        };
        return await sorted.Take(limit + 1).ToListAsync(cancellationToken);
    }

    /// <summary>A job's events, by id.</summary>
    /// <param name="after">The id of the event to go on after; null for the first page.</param>
    public async Task<IReadOnlyList<JobEvent>> EventsAsync(string jobId, bool oldestFirst, long? after, int limit, CancellationToken cancellationToken)
    {
        await using var database = await databases.CreateDbContextAsync(cancellationToken);
        var events = database.JobEvents.AsNoTracking().Where(entry => entry.JobId == jobId);
        if (after is not null) events = oldestFirst ? events.Where(entry => entry.Id > after) : events.Where(entry => entry.Id < after);
        return await (oldestFirst ? events.OrderBy(entry => entry.Id) : events.OrderByDescending(entry => entry.Id)).Take(limit + 1).ToListAsync(cancellationToken);
    }

    private async Task<IReadOnlyList<StepMetrics>> MetricsAsync(
        string which, string id, IReadOnlyList<string> names, (int Position, int Step) after, int limit, CancellationToken cancellationToken)
    {
        await using var connection = await source.OpenConnectionAsync(cancellationToken);
        var rows = await connection.Statement($"""
            with steps as (
                select distinct j.id, j.position, m.step from metrics m join jobs j on j.id = m.job_id
                where {which} and (cardinality($2) = 0 or m.name = any ($2))
                order by j.position, m.step limit $5)
            select s.id, s.position, s.step, m.name, m.value from steps s join metrics m on m.job_id = s.id and m.step = s.step
            where cardinality($2) = 0 or m.name = any ($2)
            order by s.position, s.step, m.name
            """, id, names.ToArray(), after.Position, after.Step, limit + 1)
            .ListAsync(reader => (Job: reader.GetString(0), Position: reader.GetInt32(1), Step: reader.GetInt32(2), Name: reader.GetString(3), Value: reader.GetDouble(4)), cancellationToken);
        return [.. rows.GroupBy(row => (row.Job, row.Position, row.Step))
            .Select(step => new StepMetrics(step.Key.Job, step.Key.Position, step.Key.Step, step.ToDictionary(row => row.Name, row => row.Value)))];
    }
}
