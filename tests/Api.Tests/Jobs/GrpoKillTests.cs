using System.Diagnostics;
using System.Security.Cryptography;
using Gradus.Api.Jobs;
using Gradus.Persistence;
using Gradus.Tests;
using Gradus.Training;
using Gradus.Training.Tasks;
using Xunit;

namespace Gradus.Api.Tests.Jobs;

/// <summary>
/// kill -9 at random moments of a small GRPO job: it ends in the weights, metrics, samples and warnings of a job that was left alone, bit for bit. Three moments;
/// <c>GRADUS_KILLS=20</c> (any number) makes it as many.
/// </summary>
public sealed class GrpoKillTests(PostgresDatabase database) : IClassFixture<PostgresDatabase>, IAsyncLifetime
{
    private readonly JobLab lab = new(database);

    public async ValueTask InitializeAsync() => await database.Sql("delete from runs; delete from models; delete from datasets");

    public ValueTask DisposeAsync() => lab.DisposeAsync();

    /// <summary>All weights, or an adapter alone on minibatches of the rollouts.</summary>
    [Theory, InlineData(false), InlineData(true)]
    public async Task Killed_at_random_moments_a_job_ends_in_the_same_weights_metrics_samples_and_warnings(bool adapter)
    {
        var kills = int.Parse(Environment.GetEnvironmentVariable("GRADUS_KILLS") ?? "3");
        var worker = lab.Worker();
        var grpo = await PrepareAsync(worker);
        if (adapter) (grpo["adapter"], grpo["steps_per_generation"], grpo["num_iterations"]) = (new { r = 4, lora_alpha = 8 }, 2, 1);
        var unbroken = await lab.QueueStageAsync("grpo", grpo);
        var clock = Stopwatch.StartNew();
        await lab.UntilAsync(worker, unbroken, "succeeded");
        var duration = clock.Elapsed;
        var made = await MadeAsync(unbroken);
        Assert.True(await lab.TextAsync("select max(value) > 0 from metrics where job_id = $1 and name = 'grad_norm'", unbroken) == "True", "It learned nothing: the weights would be the same whatever happened.");

        var random = DerivedRandom.For(1, "kills");
        for (var (done, attempts) = (0, 0); done < kills;)
        {
            var job = await lab.QueueStageAsync("grpo", grpo, maxAttempts: 100);
            while (done < kills && await lab.StatusAsync(job) != "succeeded")
            {
                await worker.SweepAsync(CancellationToken.None);
                attempts++;
                Assert.True(attempts < 10 * kills, "Few kills hit a running job.");
                await Task.Delay(random.NextDouble() * duration, TestContext.Current.CancellationToken);
                foreach (var process in JobLab.Processes(job))
                {
                    Posix.Send(process, Posix.Kill);
                    done++;
                }

                await lab.IdleAsync(worker);
            }

            await lab.UntilAsync(worker, job, "succeeded");
            Assert.Equal(made, await MadeAsync(job));
            TestContext.Current.SendDiagnosticMessage($"{done} kills; the job took {await lab.TextAsync("select attempt from jobs where id = $1", job)} attempts, from {await lab.TextAsync(
                "select string_agg(message, ' ') from job_events where job_id = $1 and message like 'Went on%'", job)}");
        }
    }

    /// <summary>Without a checkpoint between, all is done again: also the step that has warned.</summary>
    [Theory, InlineData("step-committed", 5, 2), InlineData("step-updated", 6, 1)]
    public async Task A_warning_comes_once_whether_the_process_dies_before_it_or_after(string point, int count, int attempt)
    {
        var worker = lab.Worker();
        var grpo = await PrepareAsync(worker);
        // No answer has room in two tokens: the fifth batch says that all rewards are alike.
        (grpo["max_completion_length"], grpo["save_steps"], grpo["max_steps"], grpo["num_iterations"], grpo["rewards"]) = (2, 100, 7, 1, new[] { new { name = "accuracy" } });
        lab.ChildEnvironment["GRADUS_KILL"] = $"{point}:{count}";
        var job = await lab.QueueStageAsync("grpo", grpo);
        await lab.AttemptAsync(worker);
        Assert.Equal("queued", await lab.StatusAsync(job));
        lab.ChildEnvironment.Clear();
        await lab.UntilAsync(worker, job, "succeeded");
        Assert.Equal($"{attempt} Step 5: The rewards have had no spread", await lab.TextAsync(
            "select string_agg(attempt || ' ' || left(message, 38), '; ' order by id) from job_events where job_id = $1 and level = 'warning' and message like '%no spread%'", job));
        Assert.Equal("2", await lab.TextAsync("select attempt from jobs where id = $1", job));
    }

    /// <summary>Datasets and a base that knows a little; returns the options of the job to be killed.</summary>
    private async Task<Dictionary<string, object>> PrepareAsync(JobWorker worker)
    {
        var tiny = Path.Combine(lab.Folder, "models", TinyModel.Id);
        TinyModel.Write(tiny);
        await database.Sql("insert into models (id, name, folder) values ('tiny', 'tiny', $1)", tiny);
        foreach (var dataset in BuiltIn.Datasets.Where(dataset => dataset.Id is "running-sums-documents" or "running-sums-problems"))
        {
            var rows = dataset.Rows().Take(500).Select(row => row.GetRawText()).ToArray();
            await database.Sql("insert into datasets (id, name, row_count) values ($1, $1, $2)", dataset.Id, rows.Length);
            await using var connection = await database.Source.OpenConnectionAsync();
            await DatasetRows.CopyAsync(connection, dataset.Id, rows, CancellationToken.None);
        }

        var pretrain = await lab.QueueStageAsync("pretrain", new { model = "tiny", dataset = "running-sums-documents", max_steps = 40, batch_size = 16, learning_rate = 2e-3 });
        await lab.UntilAsync(worker, pretrain, "succeeded");
        return new()
        {
            ["model"] = (await lab.TextAsync("select model_id from jobs where id = $1", pretrain))!, ["dataset"] = "running-sums-problems", ["max_steps"] = 12, ["prompts_per_step"] = 4,
            ["num_generations"] = 4, ["max_completion_length"] = 48, ["learning_rate"] = 1e-3, ["save_steps"] = 2, ["beta"] = 0.01, ["num_iterations"] = 2,
            ["rewards"] = new object[] { new { name = "language_consistency", weight = 1 }, new { name = "format", weight = 0.5 } },
        };
    }

    private async Task<string> MadeAsync(string jobId)
    {
        var rows = await lab.TextAsync("""
            select (select string_agg(concat_ws('|', step, name, value), E'\n' order by step, name) from metrics where job_id = $1 and name not in ('step_time', 'memory/peak_bytes') and name not like '%per_second' and name not like 'time/%')
                || (select string_agg(concat_ws('|', step, index, group_index, prompt, completion, token_count, reward, advantage, finish_reason, policy_version), E'\n' order by step, index) from samples where job_id = $1)
                || (select string_agg(concat_ws('|', step, index, name, value), E'\n' order by step, index, name) from rewards where job_id = $1)
                || coalesce((select string_agg(message, E'\n' order by message) from job_events where job_id = $1 and level = 'warning' and message like 'Step%'), 'no warnings')
            """, jobId);
        var folder = (await lab.TextAsync("select folder from models where job_id = $1", jobId))!;
        return string.Join('\n', Directory.EnumerateFiles(folder).Order().Select(file => Path.GetFileName(file) + " " + Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(file))))) + "\n" + rows;
    }
}
