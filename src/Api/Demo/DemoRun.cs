using System.Text.Json;

namespace Gradus.Api.Demo;

/// <summary>The demo's run: found or begun, then followed to its end. A service that goes away for a while (a restart) is waited for.</summary>
/// <param name="pause">Waits until the next look.</param>
internal sealed class DemoRun(GradusClient client, ProgressView view, TimeProvider time, Func<CancellationToken, Task> pause)
{
    public const string Recipe = "r1-zero-tiny";

    /// <summary>How the demo finds its own runs again.</summary>
    public const string Name = "demo";

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    /// <summary>The newest run of the demo that is under way or succeeded; null where there is none.</summary>
    public async Task<JsonElement?> FindAsync(CancellationToken cancel)
    {
        foreach (var run in await client.ListAsync("v1/runs?limit=100", cancel))
        {
            if (run.GetProperty("name").GetString() == Name && run.GetProperty("status").GetString() is "queued" or "running" or "paused" or "succeeded") return run;
        }
        return null;
    }

    public Task<JsonElement> BeginAsync(CancellationToken cancel) => client.PostAsync("v1/runs", new { recipe = Recipe, name = Name }, cancel);

    /// <summary>A demo that somebody paused goes on.</summary>
    public async Task ResumeAsync(IReadOnlyList<JobView> jobs, CancellationToken cancel)
    {
        foreach (var job in jobs.Where(job => job.Status == "paused")) await client.PostAsync($"v1/jobs/{job.Id}/resume", new { }, cancel);
    }

    /// <summary>Shows progress until every job has ended.</summary>
    /// <returns>The jobs as they ended.</returns>
    public async Task<IReadOnlyList<JobView>> FollowAsync(string id, CancellationToken cancel)
    {
        var figures = new Dictionary<string, StageFigures>();
        var lastAnswer = time.GetTimestamp();
        while (true)
        {
            try
            {
                var jobs = JobView.ReadAll(await client.GetAsync($"v1/runs/{id}", cancel));
                foreach (var job in jobs) await ReadMetricsAsync(job, figures, cancel);
                view.Show(jobs, figures);
                lastAnswer = time.GetTimestamp();
                if (jobs.All(job => job.Ended)) return jobs;
            }
            catch (HttpRequestException) when (time.GetElapsedTime(lastAnswer) < Patience)
            {
                // The service is away; its jobs go on when it is back.
            }
            await pause(cancel);
        }
    }

    private async Task ReadMetricsAsync(JobView job, Dictionary<string, StageFigures> figures, CancellationToken cancel)
    {
        if (!figures.TryGetValue(job.Id, out var known)) figures[job.Id] = known = new StageFigures();
        if (job.Step <= Math.Max(known.LastStep, 0)) return;
        // Who comes late needs no more than the speed is a mean of.
        var after = Math.Max(known.LastStep, job.Step - StageFigures.Window);
        known.Add(await client.ListAsync($"v1/jobs/{job.Id}/metrics?names={Uri.EscapeDataString(StageFigures.Names)}&after_step={after}&limit=1000", cancel));
    }
}
