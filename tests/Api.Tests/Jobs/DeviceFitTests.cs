using System.Text.Json;
using Gradus.Tests;
using Xunit;

namespace Gradus.Api.Tests.Jobs;

/// <summary>What is said of devices and memory before anything is queued, on a database whose devices the tests know.</summary>
public sealed class DeviceFitTests : IAsyncLifetime
{
    private const string Rows = "\"model\":\"tiny\",\"dataset\":\"running-sums-documents\"";

    /// <summary>0.54 billion weights.</summary>
    private const string Large = "\"config\":{\"hidden_size\":2048,\"num_hidden_layers\":10,\"intermediate_size\":6144,\"num_attention_heads\":16,\"num_key_value_heads\":16,\"head_dim\":128}";

    private readonly PostgresDatabase database = new();
    private RunningService service = null!;

    public async ValueTask InitializeAsync()
    {
        await database.InitializeAsync();
        service = await RunningService.StartAsync(database.ConnectionString, null);
    }

    public async ValueTask DisposeAsync()
    {
        await service.DisposeAsync();
        await database.DisposeAsync();
    }

    [Fact]
    public async Task A_job_that_cannot_fit_is_refused_with_the_arithmetic_and_what_would_fit()
    {
        await DeviceAsync("small/cpu", 20_000_000_000, 15_000_000_000);
        var error = await service.Client.PostErrorAsync("/v1/jobs", Pretrain($"{Large},\"batch_size\":4000"));
        Assert.Equal(("options", "out_of_memory"), (error.Text("param"), error.Text("code")));
        foreach (var said in new[] { "weights ", "gradients ", "optimizer ", "activations ", "logits ", "cache ", "small/cpu has 20.0 GB, 15.0 of them free now", "would fit with max_tokens_per_microbatch ", "or with gradient_checkpointing (" })
            Assert.Contains(said, error.Text("message"), StringComparison.Ordinal);
        Assert.Equal(0L, await database.Sql("select count(*) from runs"));
        var budget = error.Text("message").Split("max_tokens_per_microbatch ")[1].Split(' ')[0];
        var job = await service.Client.PostOkAsync("/v1/jobs", Pretrain($"{Large},\"batch_size\":4000,\"max_tokens_per_microbatch\":{budget}"));
        var estimate = job.GetProperty("estimate");
        var parts = estimate.EnumerateObject().Where(part => part.Name is not ("total_bytes" or "row_tokens")).Sum(part => part.Value.GetInt64());
        Assert.Equal(estimate.GetProperty("total_bytes").GetInt64(), parts);
        Assert.InRange(parts, 10_000_000_000, 20_000_000_000);
        await service.Client.PostOkAsync("/v1/jobs", Pretrain($"{Large},\"batch_size\":4000,\"gradient_checkpointing\":true"));
    }

    [Fact]
    public async Task A_sequence_that_the_cache_could_never_hold_is_refused()
    {
        await DeviceAsync("small/cpu", 60_000_000_000, 50_000_000_000);
        // A position takes 163,840 bytes: whatever the prompt, 41 tokens are three pages of 16.
        string Stages(int cache) => $$"""
            {"recipe":{"name":"x","stages":[
                {"name":"a","stage":"pretrain","options":{"model":"tiny","dataset":"running-sums-documents",{{Large}},"batch_size":1} },
                {"name":"b","stage":"evaluate","options":{"model":{"from":"a"},"sets":[{"name":"s","dataset":"running-sums-problems"}],"max_completion_length":40,"cache_mb":{{cache}} } }]} }
            """;
        var error = await service.Client.PostErrorAsync("/v1/runs", Stages(7));
        Assert.Equal(("recipe.stages[1].options.cache_mb", "cache_too_small"), (error.Text("param"), error.Text("code")));
        Assert.Contains("is 7, and one sequence needs ", error.Text("message"), StringComparison.Ordinal);
        Assert.Equal(0L, await database.Sql("select count(*) from runs"));
        await service.Client.PostOkAsync("/v1/runs", Stages(100));
    }

    [Fact]
    public async Task A_stage_is_held_against_what_is_known_of_it()
    {
        await DeviceAsync("small/cpu", 20_000_000_000, 1_000_000_000);
        const string Stages = """
            {"recipe":{"name":"x","stages":[
                {"name":"rows","stage":"generate","options":{"kind":"documents","count":10}},
                {"name":"a","stage":"pretrain","options":{"model":"tiny","dataset":"running-sums-documents",LARGE,"batch_size":1}},
                {"name":"b","stage":"sft","options":{"model":{"from":"a"},"dataset":DATASET,"batch_size":4000}}]}}
            """;
        // The model is the parent's, whose rows are known or not.
        var error = await service.Client.PostErrorAsync("/v1/runs", Stages.Replace("LARGE", Large).Replace("DATASET", "\"running-sums-documents\""));
        Assert.Equal(("recipe.stages[2].options", "out_of_memory"), (error.Text("param"), error.Text("code")));
        var run = await service.Client.PostOkAsync("/v1/runs", Stages.Replace("LARGE", Large).Replace("DATASET", "{\"from\":\"rows\"}"));
        var jobs = run.GetProperty("jobs").EnumerateArray().ToArray();
        Assert.Equal(JsonValueKind.Null, jobs[0].GetProperty("estimate").ValueKind);
        Assert.Contains("free now", await WarningsAsync(jobs[1]), StringComparison.Ordinal);
        Assert.Contains("as long as the options allow", await WarningsAsync(jobs[2]), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_device_that_is_not_there_is_refused_with_those_that_are()
    {
        var none = await service.Client.PostErrorAsync("/v1/jobs", Pretrain("\"device\":\"cpu\""));
        Assert.Contains("no worker has started", none.Text("message"), StringComparison.Ordinal);
        await DeviceAsync("a/cpu", 0, 0);
        await DeviceAsync("a/cuda:0", 0, 0);
        var error = await service.Client.PostErrorAsync("/v1/jobs", Pretrain("\"device\":\"cuda:1\""));
        Assert.Equal(("options.device", "unknown_value"), (error.Text("param"), error.Text("code")));
        Assert.Contains("cpu, cuda:0", error.Text("message"), StringComparison.Ordinal);
        var job = await service.Client.PostOkAsync("/v1/jobs", Pretrain("\"device\":\"cuda:0\""));
        Assert.Equal("cuda:0", job.GetProperty("options").Text("device"));
        await service.Client.PostOkAsync("/v1/jobs", Pretrain("\"device\":null"));
        Assert.Equal("*", (await service.Client.GetOkAsync("/v1/devices")).Data().Select(device => device.GetProperty("memory_bytes").ValueKind == JsonValueKind.Null ? "*" : "known").Distinct().Single());
    }

    [Fact]
    public async Task Whoever_asks_for_bf16_hears_where_the_processor_has_none()
    {
        await DeviceAsync("old/cpu", 0, 0);
        Assert.Contains("no instructions for bf16", await WarningsAsync(await service.Client.PostOkAsync("/v1/jobs", Pretrain("\"dtype\":\"bf16\""))), StringComparison.Ordinal);
        Assert.Empty(await WarningsAsync(await service.Client.PostOkAsync("/v1/jobs", Pretrain("\"dtype\":\"float32\""))));
        await database.Sql("update devices set bfloat16 = true");
        Assert.Empty(await WarningsAsync(await service.Client.PostOkAsync("/v1/jobs", Pretrain("\"dtype\":\"bf16\""))));
    }

    private static string Pretrain(string more) => $"{{\"stage\":\"pretrain\",\"options\":{{{Rows},{more}}}}}";

    private async Task DeviceAsync(string id, long total, long free) =>
        await database.Sql("insert into devices (id, host, name, memory_bytes, free_bytes) values ($1, 'h', split_part($1, '/', 2), $2, $3)", id, total, free);

    private async Task<string> WarningsAsync(JsonElement job) =>
        string.Join('\n', (await service.Client.GetOkAsync($"/v1/jobs/{job.Text("id")}/events")).Data().Where(entry => entry.Text("level") == "warning").Select(entry => entry.Text("message")));
}
