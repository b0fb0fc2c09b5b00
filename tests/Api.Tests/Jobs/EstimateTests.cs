using System.Text.Json;
using Gradus.Api.Jobs;
using Gradus.Tests;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Xunit;

namespace Gradus.Api.Tests.Jobs;

/// <summary>What a job was expected to need against what its process came to hold.</summary>
public sealed class EstimateTests : IAsyncLifetime
{
    /// <summary>25 million weights: large beside the process, small beside a minute.</summary>
    private const string Medium = "\"model\":\"tiny\",\"dataset\":\"running-sums-documents\",\"max_steps\":2,\"batch_size\":40,"
        + "\"config\":{\"hidden_size\":512,\"num_hidden_layers\":8,\"intermediate_size\":1536,\"num_attention_heads\":8,\"num_key_value_heads\":4,\"head_dim\":64}";

    private readonly PostgresDatabase database = new();
    private RunningService service = null!;

    public async ValueTask InitializeAsync()
    {
        await database.InitializeAsync();
        service = await RunningService.StartAsync(database.ConnectionString, null, "--Gradus:Roles=api,worker");
    }

    public async ValueTask DisposeAsync()
    {
        await service.DisposeAsync();
        await database.DisposeAsync();
    }

    [Theory]
    [InlineData("\"model\":\"tiny\",\"dataset\":\"running-sums-documents\",\"max_steps\":2")]
    [InlineData(Medium)]
    [InlineData(Medium + ",\"gradient_checkpointing\":true")]
    [InlineData(Medium + ",\"dtype\":\"bf16\",\"packing\":false,\"max_tokens_per_microbatch\":1024")]
    public async Task A_job_needs_about_what_was_estimated(string options)
    {
        var job = (await service.Client.PostOkAsync("/v1/jobs", $"{{\"stage\":\"pretrain\",\"options\":{{{options}}}}}")).Text("id");
        var worker = service.Services.GetServices<IHostedService>().OfType<JobWorker>().Single();
        JsonElement look;
        do
        {
            await worker.SweepAsync(Requests.Cancel);
            await Task.Delay(50, Requests.Cancel);
            look = await service.Client.GetOkAsync($"/v1/jobs/{job}");
        }
        while (look.Text("status") is "queued" or "running");
        Assert.True(look.Text("status") == "succeeded", look.GetRawText());
        var peak = (await service.Client.GetOkAsync($"/v1/jobs/{job}/metrics?names=memory/peak_bytes")).Data().Max(metric => metric.GetProperty("value").GetDouble());
        var ratio = look.GetProperty("estimate").GetProperty("total_bytes").GetInt64() / peak;
        TestContext.Current.TestOutputHelper!.WriteLine($"{ratio:F2}: {peak / 1e6:F0} MB, {look.GetProperty("estimate").GetRawText()}");
        Assert.InRange(ratio, 0.95, 1.3);
    }
}
