using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Gradus.Api.Jobs;
using Gradus.Persistence;
using Gradus.Tests;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gradus.Api.Tests.Jobs;

/// <summary>
/// Workers and toy jobs in a database: everything is real (Postgres, child processes, signals), and nothing waits for a clock but for a condition, with a
/// limit. Workers here look only when a test tells them to.
/// </summary>
internal sealed class JobLab(PostgresDatabase database) : IAsyncDisposable
{
    private readonly List<JobWorker> workers = [];
    private readonly List<IDisposable> things = [];

    public static TimeSpan Limit { get; } = TimeSpan.FromSeconds(60);

    public string Folder { get; } = Directory.CreateTempSubdirectory("gradus-jobs-").FullName;

    public PostgresDatabase Database => database;

    public JobStore Store { get; } = new(database.Source);

    public JobClaims Claims { get; } = new(database.Source);

    /// <summary>What the next children find in their environment.</summary>
    public Dictionary<string, string?> ChildEnvironment { get; } = [];

    public async ValueTask DisposeAsync()
    {
        foreach (var worker in workers)
        {
            await worker.StopAsync(CancellationToken.None);
            worker.Dispose();
        }

        foreach (var thing in things) thing.Dispose();
        Directory.Delete(Folder, recursive: true);
    }

    /// <summary>A worker of a host of its own, with one device.</summary>
    public JobWorker Worker(string? connection = null, double leaseSeconds = 300, double phaseSeconds = 300, double stopSeconds = 30, Dictionary<string, double>? phaseLimits = null)
    {
        var options = new WorkerOptions(
            connection ?? database.ConnectionString, Folder, "host-" + Guid.NewGuid().ToString("N"), ["cpu"], TimeSpan.FromSeconds(leaseSeconds),
            TimeSpan.FromSeconds(stopSeconds), TimeSpan.FromSeconds(phaseSeconds), phaseLimits ?? []) { ChildEnvironment = ChildEnvironment };
        var signal = new WorkerSignal();
        things.Add(signal);
        var source = connection is null ? database.Source : Npgsql.NpgsqlDataSource.Create(connection);
        if (connection is not null) things.Add(source);
        var worker = new JobWorker(
            new JobClaims(source), new RunStore(source), new DeviceStore(source), options, signal, TimeProvider.System, NullLogger<JobWorker>.Instance);
        workers.Add(worker);
        return worker;
    }

    /// <summary>A run of toy jobs, one for each of the options.</summary>
    public async Task<IReadOnlyList<string>> QueueAsync(params object[] options) =>
        (await Store.CreateAsync(new NewRun("toys", JsonElement.Parse("{}"), 11, [.. options.Select((option, place) =>
            new NewJob("stage-" + place, ToyStage.Name, JsonSerializer.SerializeToElement(option), 11))]), CancellationToken.None)).JobIds;

    public async Task<string> QueueOneAsync(object options) => Assert.Single(await QueueAsync(options));

    /// <summary>A job of a real stage.</summary>
    public async Task<string> QueueStageAsync(string stage, object options, int maxAttempts = 3) =>
        Assert.Single((await Store.CreateAsync(new NewRun("small", JsonElement.Parse("{}"), 11, [new NewJob(stage, stage, JsonSerializer.SerializeToElement(options), 11, maxAttempts)]), CancellationToken.None)).JobIds);

    public string Gate() => Path.Combine(Folder, "gate-" + Guid.NewGuid().ToString("N"));

    public Task<string?> StatusAsync(string jobId) => TextAsync("select status from jobs where id = $1", jobId);

    public async Task<string?> TextAsync(string sql, params object[] values) => Convert.ToString(await database.Sql(sql, values), CultureInfo.InvariantCulture);

    /// <summary>Lets the worker look until the job has that status and its process is gone.</summary>
    public async Task UntilAsync(JobWorker worker, string jobId, string status)
    {
        await UntilAsync(async () =>
        {
            if (await StatusAsync(jobId) == status) return true;
            await worker.SweepAsync(CancellationToken.None);
            return false;
        }, $"{jobId} to be {status}", jobId);
        await IdleAsync(worker);
    }

    public Task IdleAsync(JobWorker worker) => UntilAsync(() => Task.FromResult(worker.Children == 0), "the worker's devices to be free");

    /// <summary>Lets the worker look once, and waits until the attempt it started has ended.</summary>
    public async Task AttemptAsync(JobWorker worker)
    {
        await worker.SweepAsync(CancellationToken.None);
        await IdleAsync(worker);
    }

    public Task StepAsync(string jobId, int step) => UntilAsync(async () => (int)(await database.Sql("select step from jobs where id = $1", jobId))! >= step, $"step {step} of {jobId}", jobId);

    public async Task UntilAsync(Func<Task<bool>> condition, string what, string? jobId = null)
    {
        var since = Stopwatch.StartNew();
        while (!await condition())
        {
            if (since.Elapsed > Limit)
            {
                Assert.Fail($"Waited {Limit.TotalSeconds} s for {what}. " + (jobId is null ? "" : await TextAsync(
                    "select status || ' ' || attempt || ' ' || coalesce(error::text, '') || (select string_agg(message, E'\\n' order by id) from job_events where job_id = $1) from jobs where id = $1", jobId)));
            }

            await Task.Delay(25);
        }
    }

    /// <summary>All a job made, times aside: steps with their values, samples with their rewards, the model's file, the dataset's row, the closing figures.</summary>
    public async Task<string> MadeAsync(string jobId)
    {
        var rows = await TextAsync("""
            select (select string_agg(concat_ws('|', step, name, value), E'\n' order by step, name) from metrics where job_id = $1)
                || (select string_agg(concat_ws('|', s.step, s.index, prompt, completion, token_count, reward, advantage, finish_reason, policy_version, r.name, r.value), E'\n' order by s.step, s.index, r.name)
                    from samples s join rewards r on r.job_id = s.job_id and r.step = s.step and r.index = s.index where s.job_id = $1)
                || (select string_agg(content::text, E'\n' order by index) from dataset_rows d join jobs j on j.dataset_id = d.dataset_id where j.id = $1)
                || (select result::text || step || '/' || total_steps from jobs where id = $1)
            """, jobId);
        return rows + File.ReadAllText(Path.Combine((await TextAsync("select folder from models m join jobs j on j.model_id = m.id where j.id = $1", jobId))!, "checksum.txt"));
    }

    /// <summary>The process ids of a job's children.</summary>
    public static IReadOnlyList<int> Processes(string jobId) => [.. Directory.EnumerateDirectories("/proc").Select(Path.GetFileName).OfType<string>().Where(name => int.TryParse(name, out _)).Where(name =>
    {
        try
        {
            return File.ReadAllText($"/proc/{name}/cmdline").Contains(jobId, StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false;
        }
    }).Select(int.Parse)];
}
