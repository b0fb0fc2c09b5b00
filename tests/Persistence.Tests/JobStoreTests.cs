using Gradus.Tests;
using Xunit;

namespace Gradus.Persistence.Tests;

public sealed class JobStoreTests(PostgresDatabase database) : IClassFixture<PostgresDatabase>, IAsyncLifetime
{
    private readonly JobStore store = new(database.Source);
    private readonly JobClaims claims = new(database.Source);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => await database.ClearAsync();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [Fact]
    public async Task A_queued_job_is_cancelled_at_once_with_those_after_it()
    {
        var jobs = await database.RunAsync(jobs: 3);
        Assert.Equal(new JobChange(true, true, "cancelled"), await store.CancelAsync(jobs[1], Cancellation));
        Assert.Equal(["queued", "cancelled", "cancelled"], [await database.StatusAsync(jobs[0]), await database.StatusAsync(jobs[1]), await database.StatusAsync(jobs[2])]);
        Assert.Equal(new JobChange(true, false, "cancelled"), await store.CancelAsync(jobs[1], Cancellation));
        Assert.False((await store.CancelAsync("job_none", Cancellation)).Found);
    }

    [Fact]
    public async Task A_running_job_is_asked_and_ends_cancelled()
    {
        var job = Assert.Single(await database.RunAsync());
        var claim = await claims.ClaimAsync("worker", await database.DeviceAsync(), JobSamples.Lease, Cancellation);
        Assert.Equal(new JobChange(true, true, "running"), await store.CancelAsync(job, Cancellation));
        Assert.Equal("cancel", await database.Sql("select stop_requested from jobs where id = $1", job));
        Assert.Equal(new JobChange(true, true, "running"), await store.PauseAsync(job, Cancellation));
        Assert.Equal(new JobChange(true, false, "running"), await store.ResumeAsync(job, Cancellation));
        Assert.Equal("cancelled", (await claims.EndAsync(job, claim!.Stamp, counts: false, "asked to stop", Cancellation))!.Status);
    }

    [Fact]
    public async Task A_running_job_whose_worker_is_gone_is_cancelled_at_once()
    {
        var job = Assert.Single(await database.RunAsync());
        await claims.ClaimAsync("worker", await database.DeviceAsync(), JobSamples.Lease, Cancellation);
        await database.ExpireAsync(job);
        await store.CancelAsync(job, Cancellation);
        Assert.Equal("cancelled", await database.StatusAsync(job));
    }

    [Fact]
    public async Task A_paused_job_is_not_claimed_until_it_is_resumed()
    {
        var job = Assert.Single(await database.RunAsync());
        var device = await database.DeviceAsync();
        Assert.Equal("paused", (await store.PauseAsync(job, Cancellation)).Status);
        Assert.Null(await claims.ClaimAsync("worker", device, JobSamples.Lease, Cancellation));
        Assert.Equal("queued", (await store.ResumeAsync(job, Cancellation)).Status);
        var claim = await claims.ClaimAsync("worker", device, JobSamples.Lease, Cancellation);
        await store.PauseAsync(job, Cancellation);
        Assert.Equal("paused", (await claims.EndAsync(job, claim!.Stamp, counts: false, "asked to stop", Cancellation))!.Status);
        Assert.Equal(0, await database.Sql("select crashes from jobs where id = $1", job));
    }

    [Fact]
    public async Task A_retry_starts_at_the_failed_stage()
    {
        var jobs = await database.RunAsync(jobs: 3);
        var run = (string)(await database.Sql("select run_id from jobs where id = $1", jobs[0]))!;
        var device = await database.DeviceAsync();
        var first = await claims.ClaimAsync("worker", device, JobSamples.Lease, Cancellation);
        await new JobLease(database.Source, jobs[0], first!.Stamp).SucceedAsync(null, null, "{}", Cancellation);
        var second = await claims.ClaimAsync("worker", device, JobSamples.Lease, Cancellation);
        Assert.True(await new JobLease(database.Source, jobs[1], second!.Stamp).FailAsync("reward", "accuracy threw", Cancellation));
        Assert.Equal(["succeeded", "failed", "cancelled"], [await database.StatusAsync(jobs[0]), await database.StatusAsync(jobs[1]), await database.StatusAsync(jobs[2])]);

        Assert.Equal(2, await store.RetryRunAsync(run, Cancellation));
        Assert.Null(await database.Sql("select error::text from jobs where id = $1", jobs[1]));
        Assert.Equal((jobs[1], 2), ((await claims.ClaimAsync("worker", device, JobSamples.Lease, Cancellation))!.JobId, await database.Sql("select attempt from jobs where id = $1", jobs[1])));
        Assert.Equal(0, await store.RetryRunAsync(run, Cancellation));
    }

    [Fact]
    public async Task Cancelling_a_run_ends_what_waits_and_asks_what_runs()
    {
        var jobs = await database.RunAsync(jobs: 2);
        var run = (string)(await database.Sql("select run_id from jobs where id = $1", jobs[0]))!;
        await claims.ClaimAsync("worker", await database.DeviceAsync(), JobSamples.Lease, Cancellation);
        Assert.True(await store.CancelRunAsync(run, Cancellation));
        Assert.Equal(("running", "cancelled"), (await database.StatusAsync(jobs[0]), await database.StatusAsync(jobs[1])));
        Assert.False(await store.CancelRunAsync("run_none", Cancellation));
    }
}
