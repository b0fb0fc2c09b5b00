using Gradus.Tests;
using Xunit;

namespace Gradus.Api.Tests.Jobs;

/// <summary>One test for each "If we stop here" line of the jobs: the process is killed there, and the job ends the same as one that was left alone.</summary>
public sealed class KillPointTests(PostgresDatabase database) : IClassFixture<PostgresDatabase>, IAsyncLifetime
{
    private readonly JobLab lab = new(database);

    public async ValueTask InitializeAsync() => await database.Sql("delete from runs");

    public ValueTask DisposeAsync() => lab.DisposeAsync();

    [Theory]
    [InlineData("attempt-before-begin", 1)]
    [InlineData("step-before-commit", 3)]
    [InlineData("step-after-commit", 3)]
    [InlineData("checkpoint-before-row", 2)]
    [InlineData("checkpoint-before-delete", 3)]
    [InlineData("outcome-before-row", 1)]
    [InlineData("outcome-after-row", 1)]
    public async Task Killed_in_the_child(string point, int count)
    {
        var unbroken = await lab.QueueOneAsync(new { steps = 7 });
        var worker = lab.Worker();
        await lab.UntilAsync(worker, unbroken, "succeeded");

        lab.ChildEnvironment["GRADUS_KILL"] = $"{point}:{count}";
        var job = await lab.QueueOneAsync(new { steps = 7 });
        await lab.AttemptAsync(worker);
        Assert.Equal(point == "outcome-after-row" ? "succeeded" : "queued", await lab.StatusAsync(job));
        lab.ChildEnvironment.Clear();
        await lab.UntilAsync(worker, job, "succeeded");
        Assert.Equal(await lab.MadeAsync(unbroken), await lab.MadeAsync(job));
        Assert.Equal(point == "outcome-after-row" ? "1" : "2", await lab.TextAsync("select attempt from jobs where id = $1", job));
    }

    [Fact]
    public async Task Killed_in_the_worker_at_claim_before_start()
    {
        var job = await lab.QueueOneAsync(new { steps = 3 });
        using var service = ServiceProcess.Start(database, lab.Folder, ("GRADUS_KILL", "claim-before-start:1"));
        await service.EndedAsync();
        Assert.Equal("running", await lab.StatusAsync(job));
        await database.Sql("update jobs set lease_expires_at = now() - interval '1 second' where id = $1", job);
        await lab.UntilAsync(lab.Worker(), job, "succeeded");
        Assert.Equal("2", await lab.TextAsync("select attempt from jobs where id = $1", job));
    }

    [Fact]
    public async Task Killed_worker_takes_its_children_along_and_the_job_ends_the_same()
    {
        var unbroken = await lab.QueueOneAsync(new { steps = 6 });
        var worker = lab.Worker();
        await lab.UntilAsync(worker, unbroken, "succeeded");

        var gate = lab.Gate();
        var job = await lab.QueueOneAsync(new { steps = 6, gate_at = 4, gate });
        using var service = ServiceProcess.Start(database, lab.Folder);
        await lab.StepAsync(job, 3);
        Assert.Single(JobLab.Processes(job));
        service.Kill();
        await lab.UntilAsync(() => Task.FromResult(JobLab.Processes(job).Count == 0), "the child to follow its worker");
        Assert.Equal("running", await lab.StatusAsync(job));
        await database.Sql("update jobs set lease_expires_at = now() - interval '1 second' where id = $1", job);
        File.WriteAllText(gate, "");
        await lab.UntilAsync(worker, job, "succeeded");
        Assert.Equal(await lab.MadeAsync(unbroken), await lab.MadeAsync(job));
    }

    [Fact]
    public async Task A_service_that_is_asked_to_stop_saves_its_jobs()
    {
        var job = await lab.QueueOneAsync(new { steps = 6, save_steps = 100, gate_at = 4, gate = lab.Gate() });
        using var service = ServiceProcess.Start(database, lab.Folder);
        await lab.StepAsync(job, 3);
        service.Stop();
        await service.EndedAsync();
        Assert.Equal("queued 0 4", await lab.TextAsync("select status || ' ' || crashes || ' ' || (select max(step) from checkpoints where job_id = $1) from jobs where id = $1", job));
    }
}
