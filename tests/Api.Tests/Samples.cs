using Gradus.Persistence;

namespace Gradus.Api.Tests;

/// <summary>Rows as a worker would leave them.</summary>
internal static class Samples
{
    /// <summary>A run of one job, straight into the tables.</summary>
    public static async Task<string> JobAsync(this ApiHost host, string status = "queued", string stage = "sft", int? totalSteps = null)
    {
        var (run, job) = (Identifier.New("run"), Identifier.New("job"));
        await host.Database.Sql("insert into runs (id, name, recipe, seed) values ($1, 'sample', '{}', 1)", run);
        await host.Database.Sql("insert into jobs (id, run_id, position, name, stage, options, seed, status, total_steps) values ($1, $2, 0, $3, $3, '{}', 1, $4, nullif($5, 0))", job, run, stage, status, totalSteps ?? 0);
        return job;
    }

    public static Task StepAsync(this ApiHost host, string job, int step, params (string Name, double Value)[] metrics) => Task.WhenAll(
        metrics.Select(metric => host.Database.Sql("insert into metrics (job_id, step, name, value) values ($1, $2, $3, $4)", job, step, metric.Name, metric.Value))
            .Append(host.Database.Sql("update jobs set step = greatest(step, $2) where id = $1", job, step)));

    public static Task StatusAsync(this ApiHost host, string job, string status) => host.Database.Sql("update jobs set status = $2 where id = $1", job, status);

    /// <summary>A run of a recipe of that name, all succeeded, whose first and last job made a model.</summary>
    /// <returns>The last model's id.</returns>
    public static async Task<string> SucceededRunAsync(this ApiHost host, string recipe)
    {
        var run = Identifier.New("run");
        await host.Database.Sql("insert into runs (id, name, recipe, seed) values ($1, $2, jsonb_build_object('name', $2::text), 1)", run, recipe);
        var last = "";
        for (var position = 0; position < 3; position++)
        {
            var job = Identifier.New("job");
            await host.Database.Sql("insert into jobs (id, run_id, position, name, stage, options, seed, status) values ($1, $2, $3, 'a' || $3, 'sft', '{}', 1, 'succeeded')", job, run, position);
            if (position == 2) break;
            last = await host.ModelAsync(job);
        }
        return last;
    }

    /// <summary>A model made by a job, with a folder.</summary>
    public static async Task<string> ModelAsync(this ApiHost host, string? job = null)
    {
        var id = Identifier.New("model");
        var folder = Path.Combine(host.Service.StateFolder, "models", id);
        Directory.CreateDirectory(folder);
        await File.WriteAllTextAsync(Path.Combine(folder, "config.json"), "{}");
        await host.Database.Sql("insert into models (id, name, folder, job_id) values ($1, $1, $2, nullif($3, ''))", id, folder, job ?? "");
        if (job is not null) await host.Database.Sql("update jobs set model_id = $2 where id = $1", job, id);
        return id;
    }
}
