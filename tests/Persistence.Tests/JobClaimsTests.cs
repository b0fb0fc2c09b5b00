using Gradus.Tests;
using Xunit;

namespace Gradus.Persistence.Tests;

public sealed class JobClaimsTests(PostgresDatabase database) : IClassFixture<PostgresDatabase>, IAsyncLifetime
{
    private readonly JobClaims claims = new(database.Source);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => await database.ClearAsync();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [Fact]
    public async Task Concurrent_claimers_of_different_devices_each_get_another_job()
    {
        HashSet<string> made = [];
        for (var i = 0; i < 6; i++) made.UnionWith(await database.RunAsync());
        var devices = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => database.DeviceAsync()));
        var claimed = await Task.WhenAll(devices.Select(device => claims.ClaimAsync("worker", device, JobSamples.Lease, Cancellation)));
        Assert.Equal(6, claimed.Count(claim => claim is not null));
        Assert.True(made.SetEquals(claimed.OfType<JobClaim>().Select(claim => claim.JobId)));
        Assert.All(claimed.OfType<JobClaim>(), claim => Assert.Equal((1, 1L), (claim.Attempt, claim.Stamp)));
    }

    [Fact]
    public async Task Concurrent_claimers_of_one_device_get_one_job()
    {
        for (var i = 0; i < 8; i++) await database.RunAsync();
        var device = await database.DeviceAsync();
        var claimed = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => claims.ClaimAsync("worker", device, JobSamples.Lease, Cancellation)));
        Assert.Single(claimed, claim => claim is not null);
    }

    [Fact]
    public async Task A_claim_does_not_wait_for_a_job_that_somebody_holds()
    {
        var held = Assert.Single(await database.RunAsync());
        var free = Assert.Single(await database.RunAsync());
        await using var connection = await database.Source.OpenConnectionAsync(Cancellation);
        await using var transaction = await connection.BeginTransactionAsync(Cancellation);
        await using var hold = new Npgsql.NpgsqlCommand($"select 1 from jobs where id = '{held}' for update", connection);
        await hold.ExecuteNonQueryAsync(Cancellation);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        limit.CancelAfter(TimeSpan.FromSeconds(20));
        Assert.Equal(free, (await claims.ClaimAsync("worker", await database.DeviceAsync(), JobSamples.Lease, limit.Token))!.JobId);
    }

    [Fact]
    public async Task A_device_takes_only_jobs_that_ask_for_it_or_for_none()
    {
        string[] wanted = ["""{"device":"cuda:0"}""", """{"device":null}""", """{"device":"cpu"}"""];
        List<string> jobs = [];
        foreach (var options in wanted)
        {
            jobs.AddRange(await database.RunAsync());
            await database.Sql("update jobs set options = $2::jsonb where id = $1", jobs[^1], options);
        }
        Assert.Equal(jobs[1], (await claims.ClaimAsync("worker", await database.DeviceAsync(), JobSamples.Lease, Cancellation))!.JobId);
        Assert.Equal(jobs[2], (await claims.ClaimAsync("worker", await database.DeviceAsync(), JobSamples.Lease, Cancellation))!.JobId);
        Assert.Null(await claims.ClaimAsync("worker", await database.DeviceAsync(), JobSamples.Lease, Cancellation));
        Assert.Equal(jobs[0], (await claims.ClaimAsync("worker", await database.DeviceAsync("cuda:0"), JobSamples.Lease, Cancellation))!.JobId);
    }

    [Fact]
    public async Task A_job_waits_for_those_before_it_in_its_run()
    {
        var jobs = await database.RunAsync(jobs: 2);
        var device = await database.DeviceAsync();
        var other = await database.DeviceAsync();
        var first = await claims.ClaimAsync("worker", device, JobSamples.Lease, Cancellation);
        Assert.Equal(jobs[0], first!.JobId);
        Assert.Null(await claims.ClaimAsync("worker", other, JobSamples.Lease, Cancellation));
        Assert.True(await new JobLease(database.Source, first.JobId, first.Stamp).SucceedAsync(null, null, "{}", Cancellation));
        Assert.Equal(jobs[1], (await claims.ClaimAsync("worker", other, JobSamples.Lease, Cancellation))!.JobId);
    }

    [Fact]
    public async Task An_expired_lease_is_ended_and_its_job_claimed_again_with_a_higher_stamp()
    {
        var job = Assert.Single(await database.RunAsync());
        var device = await database.DeviceAsync();
        var first = await claims.ClaimAsync("worker", device, JobSamples.Lease, Cancellation);
        Assert.Empty(await claims.EndExpiredAsync([], null, Cancellation));
        await database.ExpireAsync(job);
        Assert.Empty(await claims.EndExpiredAsync([job], null, Cancellation));
        var ended = Assert.Single(await claims.EndExpiredAsync([], null, Cancellation));
        Assert.Equal((job, 1, "queued"), (ended.JobId, ended.Attempt, ended.Status));
        Assert.Equal(1, await database.Sql("select crashes from jobs where id = $1", job));

        var second = await claims.ClaimAsync("worker", device, JobSamples.Lease, Cancellation);
        Assert.Equal(2, second!.Attempt);
        Assert.True(second.Stamp > first!.Stamp);
        Assert.False(await new JobLease(database.Source, job, first.Stamp).RenewAsync(JobSamples.Lease, "rollout", Cancellation));
        Assert.True(await new JobLease(database.Source, job, second.Stamp).RenewAsync(JobSamples.Lease, "rollout", Cancellation));
    }

    [Fact]
    public async Task An_expired_lease_that_nobody_took_can_be_renewed()
    {
        var job = Assert.Single(await database.RunAsync());
        var claim = await claims.ClaimAsync("worker", await database.DeviceAsync(), JobSamples.Lease, Cancellation);
        await database.ExpireAsync(job);
        Assert.True(await new JobLease(database.Source, job, claim!.Stamp).RenewAsync(JobSamples.Lease, "rollout", Cancellation));
        Assert.Empty(await claims.EndExpiredAsync([], null, Cancellation));
    }

    [Fact]
    public async Task Crashes_without_a_new_checkpoint_fail_the_job_and_cancel_those_after_it()
    {
        var jobs = await database.RunAsync(jobs: 2, maxAttempts: 3);
        var device = await database.DeviceAsync();
        for (var attempt = 1; attempt <= 3; attempt++)
        {
            var claim = await claims.ClaimAsync("worker", device, JobSamples.Lease, Cancellation);
            await new JobLease(database.Source, claim!.JobId, claim.Stamp).RenewAsync(JobSamples.Lease, "rollout", Cancellation);
            var ended = await claims.EndAsync(claim.JobId, claim.Stamp, counts: true, "signal 9", Cancellation);
            Assert.Equal(attempt == 3 ? "failed" : "queued", ended!.Status);
        }

        Assert.Equal("rollout", await database.Sql("select error ->> 'phase' from jobs where id = $1", jobs[0]));
        Assert.Equal("Attempt 3 ended: signal 9", await database.Sql("select error ->> 'message' from jobs where id = $1", jobs[0]));
        Assert.Equal("cancelled", await database.StatusAsync(jobs[1]));
    }

    [Fact]
    public async Task A_crash_after_a_new_checkpoint_and_an_end_on_purpose_do_not_count()
    {
        var job = Assert.Single(await database.RunAsync(maxAttempts: 1));
        var device = await database.DeviceAsync();
        var claim = await claims.ClaimAsync("worker", device, JobSamples.Lease, Cancellation);
        await new RunStore(database.Source).CommitCheckpointAsync(job, claim!.Stamp, 5, "file:/a", 2, Cancellation);
        Assert.Equal("queued", (await claims.EndAsync(job, claim.Stamp, counts: true, "signal 9", Cancellation))!.Status);
        Assert.Equal(0, await database.Sql("select crashes from jobs where id = $1", job));

        claim = await claims.ClaimAsync("worker", device, JobSamples.Lease, Cancellation);
        Assert.Equal("queued", (await claims.EndAsync(job, claim!.Stamp, counts: false, "shutdown", Cancellation))!.Status);

        claim = await claims.ClaimAsync("worker", device, JobSamples.Lease, Cancellation);
        Assert.Equal("failed", (await claims.EndAsync(job, claim!.Stamp, counts: true, "signal 9", Cancellation))!.Status);
    }

    [Fact]
    public async Task An_attempt_is_ended_once()
    {
        var job = Assert.Single(await database.RunAsync());
        var claim = await claims.ClaimAsync("worker", await database.DeviceAsync(), JobSamples.Lease, Cancellation);
        var ended = await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => claims.EndAsync(job, claim!.Stamp, counts: true, "signal 9", Cancellation)));
        Assert.Single(ended, end => end is not null);
        Assert.Equal(1, await database.Sql("select crashes from jobs where id = $1", job));
    }
}
