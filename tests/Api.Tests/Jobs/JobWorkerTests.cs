using System.Diagnostics;
using Gradus.Api.Jobs;
using Gradus.Tests;
using Xunit;

namespace Gradus.Api.Tests.Jobs;

public sealed class JobWorkerTests(PostgresDatabase database) : IClassFixture<PostgresDatabase>, IAsyncLifetime
{
    private readonly JobLab lab = new(database);

    public async ValueTask InitializeAsync() => await database.Sql("delete from runs");

    public ValueTask DisposeAsync() => lab.DisposeAsync();

    [Fact]
    public async Task A_run_goes_through_its_jobs_in_order()
    {
        var jobs = await lab.QueueAsync(new { steps = 3 }, new { steps = 4 });
        var worker = lab.Worker();
        await lab.UntilAsync(worker, jobs[1], "succeeded");
        Assert.Equal("succeeded", await lab.StatusAsync(jobs[0]));
        Assert.Equal("3 of 3, 4 of 4", await lab.TextAsync("select string_agg(step || ' of ' || total_steps, ', ' order by position) from jobs"));
        Assert.Equal("toys/stage-0", await lab.TextAsync("select m.name from models m join jobs j on j.model_id = m.id where j.id = $1", jobs[0]));
        Assert.Equal("1", await lab.TextAsync("select max(attempt) from jobs"));
        Assert.StartsWith("count\u2400to|step 1 \uFFFD", await lab.TextAsync("select prompt || '|' || completion from samples where job_id = $1 and step = 1", jobs[0]));
    }

    [Fact]
    public async Task A_wake_up_that_was_lost_costs_a_sweep_and_nothing_else()
    {
        var job = await lab.QueueOneAsync(new { steps = 1 });
        // Nobody told the worker.
        await lab.AttemptAsync(lab.Worker());
        Assert.Equal("succeeded", await lab.StatusAsync(job));
    }

    [Fact]
    public async Task A_killed_child_costs_one_attempt_and_the_job_ends_the_same()
    {
        var unbroken = await lab.QueueOneAsync(new { steps = 6 });
        var worker = lab.Worker();
        await lab.UntilAsync(worker, unbroken, "succeeded");

        var gate = lab.Gate();
        var job = await lab.QueueOneAsync(new { steps = 6, gate_at = 6, gate });
        await worker.SweepAsync(CancellationToken.None);
        await lab.StepAsync(job, 5);
        Posix.Send(Assert.Single(JobLab.Processes(job)), Posix.Kill);
        await lab.IdleAsync(worker);
        File.WriteAllText(gate, "");
        await lab.UntilAsync(worker, job, "succeeded");
        Assert.Equal(await lab.MadeAsync(unbroken), await lab.MadeAsync(job));
        Assert.Equal("2", await lab.TextAsync("select attempt from jobs where id = $1", job));
        Assert.Contains("ended by signal 9", await lab.TextAsync("select string_agg(message, ' ') from job_events where job_id = $1", job));
        Assert.Equal("1", await lab.TextAsync("select count(*) from job_events where job_id = $1 and message = 'Resumed after step 4.'", job));
    }

    [Fact]
    public async Task A_running_job_is_cancelled_within_five_seconds_even_if_it_does_not_listen()
    {
        foreach (var deaf in new[] { 0, 1 })
        {
            var jobs = await lab.QueueAsync(new { steps = 6, gate_at = 3, gate = lab.Gate(), deaf }, new { steps = 1 });
            var worker = lab.Worker();
            await worker.SweepAsync(CancellationToken.None);
            await lab.StepAsync(jobs[0], 2);
            var since = Stopwatch.StartNew();
            await lab.Store.CancelAsync(jobs[0], CancellationToken.None);
            await lab.UntilAsync(async () => await lab.StatusAsync(jobs[0]) == "cancelled", "the cancellation", jobs[0]);
            Assert.True(since.Elapsed < TimeSpan.FromSeconds(5), $"It took {since.Elapsed}.");
            Assert.Equal("cancelled", await lab.StatusAsync(jobs[1]));
            await lab.UntilAsync(() => Task.FromResult(JobLab.Processes(jobs[0]).Count == 0), "its process to be gone");
        }
    }

    [Fact]
    public async Task A_paused_job_saves_leaves_and_goes_on_to_the_same_end()
    {
        var unbroken = await lab.QueueOneAsync(new { steps = 6, save_steps = 100 });
        var worker = lab.Worker();
        await lab.UntilAsync(worker, unbroken, "succeeded");

        var job = await lab.QueueOneAsync(new { steps = 6, save_steps = 100, gate_at = 3, gate = lab.Gate() });
        await worker.SweepAsync(CancellationToken.None);
        await lab.StepAsync(job, 2);
        await lab.Store.PauseAsync(job, CancellationToken.None);
        await lab.UntilAsync(async () => await lab.StatusAsync(job) == "paused", "the pause", job);
        Assert.Equal("3", await lab.TextAsync("select max(step) from checkpoints where job_id = $1", job));
        await lab.IdleAsync(worker);
        await lab.AttemptAsync(worker);
        Assert.Equal("paused", await lab.StatusAsync(job));

        await lab.Store.ResumeAsync(job, CancellationToken.None);
        await lab.UntilAsync(worker, job, "succeeded");
        Assert.Equal(await lab.MadeAsync(unbroken), await lab.MadeAsync(job));
        Assert.Equal("0 crashes, 2 attempts", await lab.TextAsync("select crashes || ' crashes, ' || attempt || ' attempts' from jobs where id = $1", job));
    }

    [Fact]
    public async Task A_worker_that_stops_has_its_jobs_saved_and_queued_again_uncounted()
    {
        var job = await lab.QueueOneAsync(new { steps = 6, save_steps = 100, gate_at = 3, gate = lab.Gate() });
        var worker = lab.Worker();
        await worker.SweepAsync(CancellationToken.None);
        await lab.StepAsync(job, 2);
        await worker.StopAsync(CancellationToken.None);
        Assert.Equal("queued 0 3", await lab.TextAsync("select status || ' ' || crashes || ' ' || (select max(step) from checkpoints where job_id = $1) from jobs where id = $1", job));
        await lab.UntilAsync(lab.Worker(), job, "succeeded");
    }

    [Fact]
    public async Task A_second_job_waits_for_the_device()
    {
        var gate = lab.Gate();
        var first = await lab.QueueOneAsync(new { steps = 3, gate_at = 2, gate });
        var second = await lab.QueueOneAsync(new { steps = 3 });
        var worker = lab.Worker();
        await worker.SweepAsync(CancellationToken.None);
        await lab.StepAsync(first, 1);
        await worker.SweepAsync(CancellationToken.None);
        Assert.Equal("queued", await lab.StatusAsync(second));
        File.WriteAllText(gate, "");
        await lab.UntilAsync(worker, second, "succeeded");
        Assert.Equal("succeeded", await lab.StatusAsync(first));
    }

    [Fact]
    public async Task A_hung_stage_is_noticed_and_costs_one_attempt()
    {
        var job = await lab.QueueOneAsync(new { steps = 4, hang_at = 3 });
        await lab.AttemptAsync(lab.Worker(phaseSeconds: 1));
        Assert.Equal("queued", await lab.StatusAsync(job));
        Assert.Contains("there was no progress in phase 'count'", await lab.TextAsync("select string_agg(message, ' ') from job_events where job_id = $1", job));
        Assert.Empty(JobLab.Processes(job));
    }

    [Theory, InlineData("rollout"), InlineData("optimizer")]
    public async Task A_phase_has_a_limit_of_its_own_and_a_hang_names_it(string phase)
    {
        var job = await lab.QueueOneAsync(new { steps = 4, hang_at = 3, hang_in = phase });
        await lab.AttemptAsync(lab.Worker(phaseLimits: new() { [phase] = 1 }));
        Assert.Equal("queued", await lab.StatusAsync(job));
        Assert.Matches($"there was no progress in phase '{phase}' for [0-9]+ s, its limit is 1 s", (string)(await lab.TextAsync("select string_agg(message, ' ') from job_events where job_id = $1", job))!);
    }

    [Fact]
    public async Task A_frozen_child_is_ended_by_its_own_worker_and_costs_one_attempt()
    {
        var job = await lab.QueueOneAsync(new { steps = 4, gate_at = 3, gate = lab.Gate() });
        var worker = lab.Worker(leaseSeconds: 2);
        await worker.SweepAsync(CancellationToken.None);
        await lab.StepAsync(job, 2);
        Posix.Send(Assert.Single(JobLab.Processes(job)), 19);
        await lab.IdleAsync(worker);
        Assert.Equal("queued", await lab.StatusAsync(job));
        Assert.Contains("it stopped renewing its lease", await lab.TextAsync("select string_agg(message, ' ') from job_events where job_id = $1", job));
    }

    [Theory]
    [InlineData("throw_at", "failed", 1, "InvalidOperationException: the reward 'toy' threw")]
    [InlineData("diverge_at", "failed", 1, "The toy has diverged.")]
    [InlineData("full_at", "failed", 4, "Attempt 4 ended: IOException: No space left on device")]
    [InlineData("overflow_at", "failed", 4, "Attempt 4 ended: its process was ended by signal 6")]
    [InlineData("exit_at", "failed", 4, "Attempt 4 ended: its process ended with exit code 0 and without an outcome")]
    public async Task A_poison_job_fails_alone_with_phase_and_reason(string poison, string status, int attempts, string reason)
    {
        // The checkpoint of step 2 makes the first attempt one that does not count.
        var jobs = await lab.QueueAsync(new Dictionary<string, int> { ["steps"] = 4, [poison] = 3 }, new { steps = 1 });
        var other = await lab.QueueOneAsync(new { steps = 2 });
        var worker = lab.Worker();
        await lab.UntilAsync(worker, jobs[0], status);
        Assert.Equal($"{reason}|{attempts}", await lab.TextAsync("select concat_ws('|', error ->> 'message', attempt) from jobs where id = $1", jobs[0]));
        // Where it broke is for those who mend it; what a caller can change is said in a sentence.
        if (attempts == 1) Assert.Equal(poison == "throw_at", (await lab.TextAsync("select string_agg(message, ' ') from job_events where job_id = $1", jobs[0]))!.Contains(" at Gradus.", StringComparison.Ordinal));
        // Who dies without a word leaves the phase of its last renewal.
        var phase = await lab.TextAsync("select error ->> 'phase' from jobs where id = $1", jobs[0]);
        Assert.True(phase == "count" || (phase == "start" && poison is "overflow_at" or "exit_at"), phase);
        Assert.Equal("cancelled", await lab.StatusAsync(jobs[1]));
        await lab.UntilAsync(worker, other, "succeeded");
    }

    [Fact]
    public async Task A_failed_run_goes_on_at_the_failed_stage()
    {
        var gate = lab.Gate();
        var jobs = await lab.QueueAsync(new { steps = 2 }, new { steps = 4, throw_at = 3 }, new { steps = 1 });
        var worker = lab.Worker();
        await lab.UntilAsync(worker, jobs[1], "failed");
        await database.Sql("update jobs set options = options - 'throw_at' where id = $1", jobs[1]);
        Assert.Equal(2, await lab.Store.RetryRunAsync((await lab.TextAsync("select run_id from jobs where id = $1", jobs[0]))!, CancellationToken.None));
        await lab.UntilAsync(worker, jobs[2], "succeeded");
        Assert.Equal("1 2 1", await lab.TextAsync("select string_agg(attempt::text, ' ' order by position) from jobs"));
    }

    [Fact]
    public async Task Retention_keeps_two_folders_or_as_many_as_asked()
    {
        var job = await lab.QueueOneAsync(new { steps = 8 });
        var more = await lab.QueueOneAsync(new { steps = 8, save_total_limit = 3 });
        var worker = lab.Worker();
        await lab.UntilAsync(worker, more, "succeeded");
        Assert.Equal(["000006-1", "000008-1"], Folders(job));
        Assert.Equal(["000004-1", "000006-1", "000008-1"], Folders(more));
        Assert.Equal("6 8", await lab.TextAsync("select string_agg(step::text, ' ' order by step) from checkpoints where job_id = $1", job));

        IEnumerable<string?> Folders(string id) => Directory.EnumerateDirectories(Path.Combine(lab.Folder, "jobs", id, "checkpoints")).Select(Path.GetFileName).Order();
    }

    [Fact]
    public async Task A_frozen_child_that_thaws_after_its_job_was_taken_over_writes_nothing()
    {
        var gate = lab.Gate();
        var job = await lab.QueueOneAsync(new { steps = 6, gate_at = 4, gate });
        var worker = lab.Worker();
        await worker.SweepAsync(CancellationToken.None);
        await lab.StepAsync(job, 3);
        var frozen = Assert.Single(JobLab.Processes(job));
        Posix.Send(frozen, 19);
        await database.Sql("update jobs set lease_expires_at = now() - interval '1 second' where id = $1", job);
        File.WriteAllText(gate, "");
        var other = lab.Worker();
        await lab.UntilAsync(other, job, "succeeded");
        var made = await lab.MadeAsync(job);
        Posix.Send(frozen, 18);
        await lab.IdleAsync(worker);
        Assert.Equal(made, await lab.MadeAsync(job));
        Assert.Equal("succeeded", await lab.StatusAsync(job));
        Assert.Equal("2", await lab.TextAsync("select attempt from jobs where id = $1", job));
    }
}
