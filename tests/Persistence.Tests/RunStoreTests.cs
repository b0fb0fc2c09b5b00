using Gradus.Tests;
using Microsoft.EntityFrameworkCore;
using Xunit;

namespace Gradus.Persistence.Tests;

public sealed class RunStoreTests(PostgresDatabase database) : IClassFixture<PostgresDatabase>, IAsyncLifetime
{
    private readonly RunStore store = new(database.Source);
    private string job = "";
    private JobLease lease = null!;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        await database.ClearAsync();
        job = Assert.Single(await database.RunAsync());
        var claim = await new JobClaims(database.Source).ClaimAsync("worker", await database.DeviceAsync(), JobSamples.Lease, Cancellation);
        lease = new JobLease(database.Source, job, claim!.Stamp);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [Fact]
    public async Task A_step_done_again_replaces_what_stood_for_it()
    {
        await store.CommitStepAsync(job, lease.Stamp, 1, [Metric(1, "loss", 2), Metric(1, "kl", 1)], [Sample(1, 0, "old"), Sample(1, 1, "old")], Cancellation);
        await store.CommitStepAsync(job, lease.Stamp, 1, [Metric(1, "loss", double.NaN)], [Sample(1, 0, "new")], Cancellation);
        await using var db = database.Open();
        Assert.Equal(double.NaN, (await db.Metrics.SingleAsync(metric => metric.JobId == job, Cancellation)).Value);
        var sample = await db.Samples.Include(sample => sample.Rewards).SingleAsync(sample => sample.JobId == job, Cancellation);
        Assert.Equal(("new", 3, 0.5, null, "stop", 4), (sample.Completion, sample.TokenCount, sample.Reward, sample.Advantage, sample.FinishReason, sample.PolicyVersion));
        Assert.Equal([("accuracy", 1.0), ("language", null)], sample.Rewards.OrderBy(reward => reward.Name).Select(reward => (reward.Name, reward.Value)));
        Assert.Equal(1, (await db.Jobs.SingleAsync(row => row.Id == job, Cancellation)).Step);
    }

    [Fact]
    public async Task A_new_attempt_deletes_the_steps_after_its_checkpoint()
    {
        for (var step = 1; step <= 4; step++)
        {
            await store.CommitStepAsync(job, lease.Stamp, step, [Metric(step, "loss", step)], [Sample(step, 0, "text")], Cancellation);
            await store.CommitCheckpointAsync(job, lease.Stamp, step, "file:/" + step, 4, Cancellation);
        }

        Assert.True(await store.BeginAsync(job, lease.Stamp, 3, 10, Cancellation));
        Assert.Equal(2L, await database.Sql("select count(*) from metrics where job_id = $1", job));
        Assert.Equal(2L, await database.Sql("select count(*) from samples where job_id = $1", job));
        Assert.Equal(4L, await database.Sql("select count(*) from rewards where job_id = $1", job));
        Assert.Equal(2, await database.Sql("select max(step) from checkpoints where job_id = $1", job));
        Assert.Equal("2 of 10", await database.Sql("select step || ' of ' || total_steps from jobs where id = $1", job));
    }

    [Fact]
    public async Task Retention_keeps_the_newest_and_names_the_forgotten()
    {
        Assert.Empty((await store.CommitCheckpointAsync(job, lease.Stamp, 1, "file:/1", 2, Cancellation))!);
        Assert.Empty((await store.CommitCheckpointAsync(job, lease.Stamp, 2, "file:/2", 2, Cancellation))!);
        Assert.Equal(["file:/1"], await store.CommitCheckpointAsync(job, lease.Stamp, 3, "file:/3", 2, Cancellation));
        var description = await JobLease.DescribeAsync(database.Source, job, 1, Cancellation);
        Assert.Equal([(3, "file:/3"), (2, "file:/2")], description!.Checkpoints);
    }

    [Fact]
    public async Task A_warning_stands_once_and_other_events_as_often_as_they_are_said()
    {
        for (var attempt = 0; attempt < 2; attempt++)
            foreach (var level in new[] { "info", "warning" }) Assert.True(await lease.EventAsync(level, "Step 3: again", Cancellation));
        Assert.True(await lease.EventAsync("warning", "Step 4: another", Cancellation));
        Assert.Equal("info info warning warning", await database.Sql("select string_agg(level, ' ' order by level) from job_events where job_id = $1 and message like 'Step%'", job));
    }

    [Fact]
    public async Task Nothing_is_written_under_a_stale_stamp()
    {
        var stale = lease.Stamp - 1;
        Assert.Null(await store.CommitStepAsync(job, stale, 1, [Metric(1, "loss", 2)], [], Cancellation));
        Assert.False(await store.BeginAsync(job, stale, 1, 2, Cancellation));
        Assert.Null(await store.CommitCheckpointAsync(job, stale, 1, "file:/1", 2, Cancellation));
        var late = new JobLease(database.Source, job, stale);
        Assert.False(await late.RenewAsync(JobSamples.Lease, "rollout", Cancellation));
        Assert.False(await late.EventAsync("info", "late", Cancellation));
        Assert.False(await late.FailAsync("rollout", "late", Cancellation));
        Assert.False(await late.SucceedAsync(new MadeModel("/late", "{}"), ["{}"], "{}", Cancellation));
        Assert.Equal(0L, await database.Sql("select (select count(*) from metrics where job_id = $1) + (select count(*) from checkpoints where job_id = $1) + (select count(*) from models where job_id = $1) + (select count(*) from datasets where job_id = $1) + (select count(*) from job_events where job_id = $1 and message = 'late')", job));
        Assert.Equal("running", await database.StatusAsync(job));
    }

    [Fact]
    public async Task Success_registers_model_and_dataset_once()
    {
        Assert.True(await lease.SucceedAsync(new MadeModel("/models/a", """{"family":"llama"}"""), ["""{"prompt":"a\u0000\ud800\ud83d\ude00"}""", """{"b":1}"""], """{"reward":1}""", Cancellation));
        Assert.True(await lease.SucceedAsync(new MadeModel("/models/a", "{}"), ["{}"], "{}", Cancellation));
        await using var db = database.Open();
        var made = await db.Jobs.SingleAsync(row => row.Id == job, Cancellation);
        Assert.Equal("succeeded", made.Status);
        var model = await db.Models.SingleAsync(row => row.JobId == job, Cancellation);
        Assert.Equal((made.ModelId, "numbers/stage-0", "/models/a", "llama"), (model.Id, model.Name, model.Folder, model.Details.GetProperty("family").GetString()));
        var dataset = await db.Datasets.SingleAsync(row => row.JobId == job, Cancellation);
        Assert.Equal((made.DatasetId, 2), (dataset.Id, dataset.RowCount));
        var rows = await db.DatasetRows.Where(row => row.DatasetId == dataset.Id).OrderBy(row => row.Index).ToListAsync(Cancellation);
        Assert.Equal("a\u2400\uFFFD\U0001F600", rows[0].Content.GetProperty("prompt").GetString());
        Assert.Equal(1, made.Result!.Value.GetProperty("reward").GetInt32());
        Assert.False(await lease.RenewAsync(JobSamples.Lease, "late", Cancellation));
    }

    [Fact]
    public async Task Text_that_Postgres_refuses_is_replaced_and_counted()
    {
        var replaced = await store.CommitStepAsync(job, lease.Stamp, 1, [], [Sample(1, 0, "a\0b\uD83D\uDE00\uD83D"), Sample(1, 1, "\uDE00\uD83D|")], Cancellation);
        Assert.Equal(4, replaced);
        Assert.Equal("a\u2400b\U0001F600\uFFFD", await database.Sql("select completion from samples where job_id = $1 and index = 0", job));
        Assert.Equal("\uFFFD\uFFFD|", await database.Sql("select completion from samples where job_id = $1 and index = 1", job));
    }

    private StepMetric Metric(int step, string name, double value) => new() { JobId = job, Step = step, Name = name, Value = value };

    private StepSample Sample(int step, int index, string completion) => new()
    {
        JobId = job, Step = step, Index = index, GroupIndex = 0, Prompt = "prompt", Completion = completion, TokenCount = 3, Reward = 0.5, Advantage = null, FinishReason = "stop", PolicyVersion = 4,
        Rewards =
        [
            new() { JobId = job, Step = step, Index = index, Name = "accuracy", Value = 1 },
            new() { JobId = job, Step = step, Index = index, Name = "language", Value = null },
        ],
    };
}
