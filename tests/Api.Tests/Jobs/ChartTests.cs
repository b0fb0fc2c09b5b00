using System.Globalization;
using System.Xml.Linq;
using Xunit;

namespace Gradus.Api.Tests.Jobs;

/// <summary>A job's and a run's metrics as a picture.</summary>
public sealed class ChartTests(ApiHost host)
{
    [Fact]
    public async Task AJobsMetricsAreDrawnByKindWithoutThoseThatAreNotFinite()
    {
        var job = await host.JobAsync("running");
        await MetricAsync(job, "reward", (1, 0.1), (2, 0.3), (3, 0.2));
        await MetricAsync(job, "rewards/format/mean", (1, 0.5), (2, double.NaN), (3, 1));
        await MetricAsync(job, "entropy", (1, double.PositiveInfinity));
        await MetricAsync(job, "time/rollout", (2, 1.5));
        await MetricAsync(job, "rewards/format/std", (1, 9));
        using var response = await host.Client.GetAsync($"/v1/jobs/{job}/metrics.svg", Requests.Cancel);
        Assert.Equal(("image/svg+xml", "10"), (response.Content.Headers.ContentType!.MediaType, Assert.Single(response.Headers.GetValues("Refresh"))));
        var picture = XElement.Parse(await response.Content.ReadAsStringAsync(Requests.Cancel));
        Assert.Equal(["Reward", "Seconds of a step"], Texts(picture, "title")[1..]);
        Assert.All(["step", "reward", "rewards/format/mean", "time/rollout", "running, 3 steps"], text => Assert.Contains(text, Texts(picture)));
        Assert.DoesNotContain("rewards/format/std", Texts(picture));
        // Three lines, of three points, two and one; the highest value at the top of its chart, at equal distances.
        double[][] lines = [.. Lines(picture).Select(line => line.SelectMany(point => point).ToArray())];
        Assert.Equal([6, 4, 2], lines.Select(line => line.Length));
        Assert.Equal(lines[0][2] - lines[0][0], lines[0][4] - lines[0][2], 0.2);
        Assert.True(lines[0][1] > lines[0][5] && lines[0][5] > lines[0][3], "the reward's line has another shape");
        Assert.Equal((lines[0][4], 34), (lines[1][2], lines[1][3]));
    }

    [Fact]
    public async Task NamesAreDrawnAloneAndWhatIsUnknownIsEmpty()
    {
        var job = await host.JobAsync("running");
        await MetricAsync(job, "kl", (1, 5));
        await MetricAsync(job, "reward", (1, 5));
        Assert.Equal(["kl"], Texts(await PictureAsync($"/v1/jobs/{job}/metrics.svg?names=kl,nothing,k%25"), "title")[1..]);
        Assert.Contains("No step of these metrics yet.", Texts(await PictureAsync($"/v1/jobs/{job}/metrics.svg?names=nothing")));
        var many = await host.Client.GetErrorAsync($"/v1/jobs/{job}/metrics.svg?names={string.Join(',', Enumerable.Range(0, 25))}", 400);
        Assert.Equal("names", many.Text("param"));
        await host.Client.GetErrorAsync("/v1/jobs/job_x/metrics.svg", 404);
        await host.Client.GetErrorAsync("/v1/runs/run_x/metrics.svg", 404);
    }

    [Fact]
    public async Task ARunsJobsStandOneAfterAnotherWithBoundedPointsAndHostileNamesAreText()
    {
        var run = await host.Client.PostOkAsync("/v1/runs", """
            {"name":"<script>alert('x')</script> & ]]>","recipe":{"name":"two","stages":[{"name":"a","stage":"generate","options":{"kind":"problems","count":1}},{"name":"b","stage":"generate","options":{"kind":"problems","count":1}}]}}
            """);
        var jobs = run.GetProperty("jobs").EnumerateArray().Select(job => job.Text("id")).ToArray();
        foreach (var job in jobs)
        {
            await host.Database.Sql("insert into metrics (job_id, step, name, value) select $1, step, 'reward', step % 2 from generate_series(1, 5000) step", job);
            await host.Database.Sql("update jobs set step = 5000, status = 'succeeded' where id = $1", job);
        }
        await host.Database.Sql("insert into metrics (job_id, step, name, value) values ($1, 1, $2, 1)", jobs[0], "rewards/\u0001<b>\"/mean");
        using var response = await host.Client.GetAsync($"/v1/runs/{run.Text("id")}/metrics.svg", Requests.Cancel);
        Assert.False(response.Headers.Contains("Refresh"));
        Assert.StartsWith("default-src 'none'", Assert.Single(response.Headers.GetValues("Content-Security-Policy")), StringComparison.Ordinal);
        var picture = XElement.Parse(await response.Content.ReadAsStringAsync(Requests.Cancel));
        Assert.DoesNotContain(picture.Descendants(), element => element.Name.LocalName is "script" or "b");
        Assert.Contains("<script>alert('x')</script> & ]]>", Texts(picture));
        Assert.Contains("rewards/\uFFFD<b>\"/mean", Texts(picture));
        Assert.Contains("succeeded, 10,000 steps; each point is the mean of 25", Texts(picture));
        // 200 points of each job, of 25 steps; the second's line begins where the first's ended.
        var lines = Lines(picture)[..2];
        Assert.Equal([200, 200], lines.Select(line => line.Length));
        double[] steps = [.. lines.SelectMany(line => line).Select(point => point[0])];
        Assert.Equal(steps.Order(), steps);
        Assert.Contains("b", Texts(picture));
        await host.Database.Sql("delete from runs where id = $1", run.Text("id"));
    }

    private async Task<XElement> PictureAsync(string path) => XElement.Parse(await host.Client.GetStringAsync(path, Requests.Cancel));

    private async Task MetricAsync(string job, string name, params (int Step, double Value)[] values)
    {
        foreach (var (step, value) in values)
        {
            await host.Database.Sql("insert into metrics (job_id, step, name, value) values ($1, $2, $3, $4)", job, step, name, value);
            await host.Database.Sql("update jobs set step = greatest(step, $2) where id = $1", job, step);
        }
    }

    private static string[] Texts(XElement picture, string? kind = null) =>
        [.. picture.Descendants().Where(element => element.Name.LocalName == "text" && (kind is null || element.Attribute("class")?.Value == kind)).Select(element => element.Value)];

    /// <summary>Of each line its points, x and y.</summary>
    private static double[][][] Lines(XElement picture) => [.. picture.Descendants().Where(element => element.Name.LocalName == "polyline").Select(line =>
        line.Attribute("points")!.Value.Split(' ').Select(point => point.Split(',').Select(number => double.Parse(number, CultureInfo.InvariantCulture)).ToArray()).ToArray())];
}
