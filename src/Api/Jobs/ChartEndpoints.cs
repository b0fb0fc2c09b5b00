using System.Text;
using Gradus.Api.Operations;
using Gradus.Persistence;
using Gradus.Training;

namespace Gradus.Api.Jobs;

/// <summary>A job's and a run's metrics as a picture: /v1/jobs/{id}/metrics.svg, /v1/runs/{id}/metrics.svg.</summary>
internal static class ChartEndpoints
{
    /// <summary>Points of a line, about; where there are more steps each is a mean of some.</summary>
    private const int Points = 400;

    private const int MostNames = 24;

    private const string Description = "Reward, evaluation, lengths, shares, entropy, loss, time by phase, tokens/s and memory over the steps, for a browser or an `<img>`; `names` draws each of these metrics alone. "
        + "Of more than 400 steps each point is the mean of some. While it runs a browser asks again every 10 seconds.";

    /// <summary>What is shown where no names are asked for; a name's end may be %.</summary>
    private static readonly (string Title, string[] Names)[] standard =
    [
        ("Reward", ["reward", "sampled_reward", "reward_std", "rewards/%/mean"]),
        ("Evaluation", ["%/pass@1", "%/exact_match", "%/format_rate"]),
        ("Tokens of a completion", ["completions/mean_length", "completions/min_length", "completions/max_length", "completions/mean_terminated_length"]),
        ("Shares", ["pass_rate", "completions/clipped_ratio", "frac_reward_zero_std", "frac_unscored", "completions/language_share", "clip_ratio/region_mean", "cispo_clip_ratio", "accepted_ratio"]),
        ("Entropy and divergence (nats)", ["entropy", "kl"]),
        ("Loss", ["loss"]),
        ("Gradient norm", ["grad_norm"]),
        ("Seconds of a step", ["step_time", "time/%"]),
        ("Tokens/s", ["rollout_tokens_per_second", "train_tokens_per_second"]),
        ("Memory (bytes)", ["memory/peak_bytes"]),
    ];

    private static readonly TextQuery names = new("names", 2000, "Draw these metrics, comma separated, each alone: `reward,kl`; at most 24. Default what is usually looked at.");

    public static void MapCharts(this WebApplication app)
    {
        app.MapGet("/v1/jobs/{id}/metrics.svg", async (string id, HttpContext context, RunQueries runs, StepQueries steps, CancellationToken cancel) =>
            {
                var job = await runs.RequireJobAsync(id, cancel);
                return await DrawAsync(context, $"{job.Run!.Name} / {job.Name}", [job], steps, cancel);
            })
            .Describe("Jobs", "See a job's metrics", Description).WithJobId().WithQuery(names).Returns<string>(200, MetricsChart.ContentType);
        app.MapGet("/v1/runs/{id}/metrics.svg", async (string id, HttpContext context, RunQueries runs, StepQueries steps, CancellationToken cancel) =>
            {
                var run = await runs.RequireRunAsync(id, cancel);
                return await DrawAsync(context, run.Name, [.. run.Jobs.OrderBy(job => job.Position)], steps, cancel);
            })
            .Describe("Runs", "See a run's metrics", "Its jobs one after another. " + Description).WithRunId().WithQuery(names).Returns<string>(200, MetricsChart.ContentType);
    }

    private static async Task<IResult> DrawAsync(HttpContext context, string title, Job[] jobs, StepQueries steps, CancellationToken cancel)
    {
        string[] asked = [.. (names.Read(context)?.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) ?? []).Distinct()];
        if (asked.Length > MostNames) throw new InvalidInputException($"'names' has {asked.Length} metrics; at most {MostNames} are drawn at once.", "names", "out_of_range");
        var panels = asked.Length == 0 ? standard : [.. asked.Select(name => (name, new[] { name }))];
        var total = jobs.Sum(job => (long)job.Step);
        var width = (int)Math.Max(1, (total + Points - 1) / Points);
        Dictionary<string, List<(double Step, double Value)>> curves = [];
        List<(double Step, string Name)> stages = [];
        var before = 0L;
        foreach (var job in jobs)
        {
            if (jobs.Length > 1 && job.Step > 0) stages.Add((before + 0.5, job.Name));
            foreach (var (name, step, value) in await steps.CurvesAsync(job.Id, [.. panels.SelectMany(panel => panel.Names)], wild: asked.Length == 0, width, cancel))
            {
                if (!curves.TryGetValue(name, out var curve)) curves[name] = curve = [];
                curve.Add((before + step, value));
            }
            before += job.Step;
        }
        ChartPanel[] drawn = [.. panels.Select(panel => new ChartPanel(panel.Title, [.. panel.Names.SelectMany(Found).Select(name => new ChartSeries(name, curves[name]))])).Where(panel => panel.Series.Count > 0)];
        var status = RunContract.StatusOf(jobs);
        if (!RunContract.HasEnded(status)) context.Response.Headers["Refresh"] = "10";
        context.Response.Headers.CacheControl = "no-store";
        // A picture: nothing in it runs or loads anything.
        context.Response.Headers.ContentSecurityPolicy = "default-src 'none'; style-src 'unsafe-inline'";
        var note = $"{status}, {total:N0} steps" + (width == 1 ? "" : $"; each point is the mean of {width}");
        return Results.Text(MetricsChart.Draw(title, note, drawn, stages), MetricsChart.ContentType, Encoding.UTF8);

        IEnumerable<string> Found(string name) => asked.Length == 0 && name.Split('%') is [var start, var end]
            ? curves.Keys.Where(key => key.StartsWith(start, StringComparison.Ordinal) && key.EndsWith(end, StringComparison.Ordinal)).Order(StringComparer.Ordinal) : curves.Keys.Where(key => key == name);
    }
}
