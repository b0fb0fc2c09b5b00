using Xunit;

namespace Gradus.Api.Tests.Jobs;

/// <summary>Cancel, pause, resume, retry and checkpoints over HTTP.</summary>
public sealed class SteeringTests(ApiHost host)
{
    [Fact]
    public async Task AQueuedJobIsPausedResumedAndCancelledAtOnce()
    {
        var job = await host.JobAsync();
        Assert.Equal("paused", (await PostAsync(job, "pause")).Text("status"));
        Assert.Equal("paused", (await PostAsync(job, "pause")).Text("status"));
        var looks = host.Service.Dispatcher.Looks;
        Assert.Equal("queued", (await PostAsync(job, "resume")).Text("status"));
        Assert.True(host.Service.Dispatcher.Looks > looks);
        Assert.Equal("cancelled", (await PostAsync(job, "cancel")).Text("status"));
        Assert.Contains("cancelled", (await host.Client.PostErrorAsync($"/v1/jobs/{job}/resume", "", 409)).Text("message"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task ARunningJobIsAskedToStop()
    {
        var job = await host.JobAsync("running");
        await host.Database.Sql("update jobs set lease_expires_at = now() + interval '1 hour' where id = $1", job);
        var asked = await PostAsync(job, "pause");
        Assert.Equal(("running", "pause"), (asked.Text("status"), asked.Text("stop_requested")));
    }

    [Fact]
    public async Task ARunIsCancelledAndRetried()
    {
        var run = (await host.Client.PostOkAsync("/v1/runs", """{"recipe":"r1-zero-tiny"}""")).Text("id");
        Assert.Contains("queued", (await host.Client.PostErrorAsync($"/v1/runs/{run}/retry", "", 409)).Text("message"), StringComparison.Ordinal);
        var cancelled = await host.Client.PostOkAsync($"/v1/runs/{run}/cancel", "");
        Assert.Equal("cancelled", cancelled.Text("status"));
        Assert.All(cancelled.GetProperty("jobs").EnumerateArray(), job => Assert.Equal("cancelled", job.Text("status")));
        Assert.Equal("cancelled", (await host.Client.PostOkAsync($"/v1/runs/{run}/cancel", "")).Text("status"));
        Assert.Equal("queued", (await host.Client.PostOkAsync($"/v1/runs/{run}/retry", "")).Text("status"));
    }

    [Theory]
    [InlineData("queued", "queued,queued")]
    [InlineData("running", "running,queued")]
    [InlineData("running", "succeeded,queued")]
    [InlineData("paused", "succeeded,paused")]
    [InlineData("failed", "failed,cancelled")]
    [InlineData("cancelled", "succeeded,cancelled")]
    [InlineData("succeeded", "succeeded,succeeded")]
    public async Task ARunsStatusComesFromItsJobs(string expected, string statuses)
    {
        var run = (await host.Client.PostOkAsync("/v1/runs", """
            {"recipe":{"name":"two","stages":[{"name":"a","stage":"generate","options":{"kind":"problems","count":1}},{"name":"b","stage":"generate","options":{"kind":"problems","count":1}}]}}
            """)).Text("id");
        foreach (var (status, position) in statuses.Split(',').Select((status, position) => (status, position)))
            await host.Database.Sql("update jobs set status = $3 where run_id = $1 and position = $2", run, position, status);
        Assert.Equal(expected, (await host.Client.GetOkAsync($"/v1/runs/{run}")).Text("status"));
        // Nothing of it may be taken by a worker of another test.
        await host.Database.Sql("delete from runs where id = $1", run);
    }

    [Fact]
    public async Task ACheckpointIsDeletedWithItsFolderUnlessTheJobRuns()
    {
        var job = await host.JobAsync("running");
        var folder = Path.Combine(host.Service.StateFolder, "jobs", job, "checkpoints", "step-5");
        Directory.CreateDirectory(folder);
        await host.Database.Sql("insert into checkpoints (job_id, step, uri) values ($1, 5, $2), ($1, 9, 'file:///etc')", job, new Uri(folder).AbsoluteUri);
        Assert.Equal(["9", "5"], (await host.Client.GetOkAsync($"/v1/jobs/{job}/checkpoints")).Data().Select(checkpoint => checkpoint.Text("id")));
        using (var running = await host.Client.DeleteAsync($"/v1/jobs/{job}/checkpoints/5", Requests.Cancel)) await running.ErrorAsync(409);
        await host.StatusAsync(job, "failed");
        using (var deleted = await host.Client.DeleteAsync($"/v1/jobs/{job}/checkpoints/5", Requests.Cancel)) Assert.True((await deleted.OkAsync()).GetProperty("deleted").GetBoolean());
        Assert.False(Directory.Exists(folder));
        using (var again = await host.Client.DeleteAsync($"/v1/jobs/{job}/checkpoints/5", Requests.Cancel)) await again.ErrorAsync(404);
        // A row that names a folder outside of ours is forgotten, the folder left alone.
        using (var outside = await host.Client.DeleteAsync($"/v1/jobs/{job}/checkpoints/9", Requests.Cancel)) await outside.OkAsync();
        Assert.True(Directory.Exists("/etc"));
    }

    [Fact]
    public async Task DevicesNameTheJobThatHoldsThem()
    {
        var job = await host.JobAsync("running");
        await host.Database.Sql("insert into devices (id, host, name, memory_bytes) values ($1, 'h', 'cpu', 5000000000000)", $"{job}/cpu");
        await host.Database.Sql("update jobs set lease_devices = array[$1 || '/cpu'] where id = $1", job);
        var device = (await host.Client.GetOkAsync("/v1/devices?limit=100")).Data().Single(device => device.Text("id") == $"{job}/cpu");
        Assert.Equal((job, 5_000_000_000_000), (device.Text("job_id"), device.GetProperty("memory_bytes").GetInt64()));
    }

    private Task<System.Text.Json.JsonElement> PostAsync(string job, string verb) => host.Client.PostOkAsync($"/v1/jobs/{job}/{verb}", "");
}
