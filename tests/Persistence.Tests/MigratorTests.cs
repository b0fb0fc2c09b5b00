using Gradus.Persistence;
using Gradus.Tests;
using Microsoft.EntityFrameworkCore;
using Xunit;

namespace Gradus.Persistence.Tests;

public sealed class MigratorTests(PostgresDatabase database) : IClassFixture<PostgresDatabase>
{
    private static readonly MigrationFile first = new("0001_first.sql", "create table first_things (id integer)");

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Applied_files_are_not_applied_again()
    {
        Assert.Empty(await new Migrator(database.Source).ApplyAsync(Cancellation));
        Assert.NotNull(await database.Sql("select hash from schema_migrations where name = '0001_initial.sql'"));
    }

    [Fact]
    public async Task Services_that_start_together_apply_each_file_once()
    {
        await using var empty = new PostgresDatabase();
        await empty.InitializeAsync();
        await empty.Sql("drop schema public cascade; create schema public");
        var made = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => new Migrator(empty.Source).ApplyAsync([first], Cancellation)));
        Assert.Equal(["0001_first.sql"], made.SelectMany(names => names));
    }

    [Fact]
    public async Task A_changed_file_an_unknown_one_and_a_late_one_are_refused()
    {
        await using var empty = new PostgresDatabase();
        await empty.InitializeAsync();
        await empty.Sql("drop schema public cascade; create schema public");
        var migrator = new Migrator(empty.Source);
        await migrator.ApplyAsync([first, new("0003_third.sql", "select 1")], Cancellation);

        var changed = await Assert.ThrowsAsync<InvalidOperationException>(() => migrator.ApplyAsync([first with { Sql = "select 2" }, new("0003_third.sql", "select 1")], Cancellation));
        Assert.Contains("0001_first.sql was changed", changed.Message);
        var newer = await Assert.ThrowsAsync<InvalidOperationException>(() => migrator.ApplyAsync([first], Cancellation));
        Assert.Contains("newer version", newer.Message);
        var late = await Assert.ThrowsAsync<InvalidOperationException>(() => migrator.ApplyAsync([first, new("0002_second.sql", "select 1"), new("0003_third.sql", "select 1")], Cancellation));
        Assert.Contains("0002_second.sql comes before 0003_third.sql", late.Message);
    }

    [Fact]
    public async Task A_file_that_fails_leaves_nothing_of_itself()
    {
        await using var empty = new PostgresDatabase();
        await empty.InitializeAsync();
        await empty.Sql("drop schema public cascade; create schema public");
        var broken = new MigrationFile("0002_broken.sql", "create table half (id integer); select no_such_function()");
        await Assert.ThrowsAsync<Npgsql.PostgresException>(() => new Migrator(empty.Source).ApplyAsync([first, broken], Cancellation));
        Assert.Null(await empty.Sql("select to_regclass('half')::text"));
    }

    [Fact]
    public async Task Every_entity_reads_from_its_table()
    {
        await using var db = database.Open();
        Assert.Empty(await db.Models.ToListAsync(Cancellation));
        Assert.Empty(await db.Datasets.ToListAsync(Cancellation));
        Assert.Empty(await db.DatasetRows.ToListAsync(Cancellation));
        Assert.Empty(await db.Devices.ToListAsync(Cancellation));
        Assert.Empty(await db.Runs.Include(run => run.Jobs).ToListAsync(Cancellation));
        Assert.Empty(await db.JobEvents.ToListAsync(Cancellation));
        Assert.Empty(await db.Metrics.ToListAsync(Cancellation));
        Assert.Empty(await db.Samples.Include(sample => sample.Rewards).ToListAsync(Cancellation));
        Assert.Empty(await db.Checkpoints.ToListAsync(Cancellation));
    }
}
