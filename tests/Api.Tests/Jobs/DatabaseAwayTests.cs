using Gradus.Tests;
using Npgsql;
using Xunit;

namespace Gradus.Api.Tests.Jobs;

public sealed class DatabaseAwayTests(PostgresDatabase database) : IClassFixture<PostgresDatabase>, IAsyncLifetime
{
    private readonly JobLab lab = new(database);
    private readonly PostgresProxy way = new(database);

    public async ValueTask InitializeAsync() => await database.Sql("delete from runs");

    public async ValueTask DisposeAsync()
    {
        await lab.DisposeAsync();
        way.Dispose();
    }

    [Fact]
    public async Task A_job_waits_for_its_database_and_goes_on_in_the_same_attempt()
    {
        var unbroken = await lab.QueueOneAsync(new { steps = 6 });
        var worker = lab.Worker(way.ConnectionString);
        await lab.UntilAsync(worker, unbroken, "succeeded");

        var gate = lab.Gate();
        var job = await lab.QueueOneAsync(new { steps = 6, gate_at = 4, gate });
        await worker.SweepAsync(CancellationToken.None);
        await lab.StepAsync(job, 3);
        way.Cut();
        File.WriteAllText(gate, "");
        var before = way.Refused;
        await lab.UntilAsync(() => Task.FromResult(way.Refused > before + 6), "the child and its worker to ask in vain");
        await Assert.ThrowsAnyAsync<NpgsqlException>(() => worker.SweepAsync(CancellationToken.None));
        // Away for longer than the lease, and nobody took the job over.
        await database.Sql("update jobs set lease_expires_at = now() - interval '1 second' where id = $1", job);
        way.Restore();
        await lab.UntilAsync(worker, job, "succeeded");
        Assert.Equal("1", await lab.TextAsync("select attempt from jobs where id = $1", job));
        Assert.Equal(await lab.MadeAsync(unbroken), await lab.MadeAsync(job));
    }

    [Fact]
    public async Task A_job_that_was_taken_over_while_its_database_was_away_is_let_go()
    {
        var gate = lab.Gate();
        var job = await lab.QueueOneAsync(new { steps = 6, gate_at = 4, gate });
        var worker = lab.Worker(way.ConnectionString);
        await worker.SweepAsync(CancellationToken.None);
        await lab.StepAsync(job, 3);
        way.Cut();
        await database.Sql("update jobs set lease_expires_at = now() - interval '1 second' where id = $1", job);
        File.WriteAllText(gate, "");
        await lab.UntilAsync(lab.Worker(), job, "succeeded");
        var made = await lab.MadeAsync(job);
        way.Restore();
        await lab.IdleAsync(worker);
        Assert.Equal("2 succeeded", await lab.TextAsync("select attempt || ' ' || status from jobs where id = $1", job));
        Assert.Equal(made, await lab.MadeAsync(job));
    }
}
