using System.Text.Json;
using Gradus.Tests;
using Gradus.Training.Tasks;
using Xunit;

namespace Gradus.Api.Tests.Jobs;

/// <summary>An adapter over HTTP: trained on a base, looked at, talked to, trained further; its base stays as long as it does.</summary>
public sealed class AdapterJobTests(PostgresDatabase database) : IClassFixture<PostgresDatabase>, IAsyncLifetime
{
    private readonly JobLab lab = new(database);
    private RunningService service = null!;

    public async ValueTask InitializeAsync() => service = await RunningService.StartAsync(database.ConnectionString, null, $"--Gradus:StateFolder={lab.Folder}");

    public async ValueTask DisposeAsync()
    {
        await service.DisposeAsync();
        await lab.DisposeAsync();
    }

    [Fact]
    public async Task A_trained_adapter_is_a_model_like_any_other_and_keeps_its_base()
    {
        var folder = Path.Combine(lab.Folder, "models", "mine");
        TinyModel.Write(folder);
        await database.Sql("insert into models (id, name, folder) values ('mine', 'mine', $1)", folder);
        var adapter = await TrainAsync("""
            {"stage":"sft","options":{"model":"mine","dataset":"running-sums-cold-start","max_steps":3,"batch_size":4,"max_length":48,"learning_rate":0.05,"lr_scheduler_type":"constant",
             "adapter":{"r":4,"lora_alpha":32,"lora_dropout":0.1,"target_modules":"all-linear"}}}
            """);

        var model = await service.Client.GetOkAsync($"/v1/models/{adapter}");
        var details = model.GetProperty("details");
        Assert.Equal(("mine", "mine", "llama", "LORA"), (model.Text("parent"), details.Text("base"), model.Text("family"), details.GetProperty("config").Text("peft_type")));
        Assert.Equal(["adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "tokenizer_config.json"], Directory.GetFiles((await lab.TextAsync("select folder from models where id = $1", adapter))!)
            .Select(Path.GetFileName).Order(StringComparer.Ordinal));

        Assert.NotEqual(await ChatAsync("mine"), await ChatAsync(adapter));

        var refused = await service.Client.PostErrorAsync("/v1/jobs", $$$"""{"stage":"sft","options":{"model":"{{{adapter}}}","dataset":"running-sums-cold-start","adapter":{} } }""");
        Assert.Equal("options.adapter", refused.Text("param"));

        var further = await TrainAsync($$$"""
            {"stage":"grpo","options":{"model":"{{{adapter}}}","dataset":"running-sums-problems","max_steps":1,"prompts_per_step":2,"num_generations":2,"max_completion_length":8,"beta":0.1,
             "rewards":[{"name":"language_consistency"}]}}
            """);
        details = (await service.Client.GetOkAsync($"/v1/models/{further}")).GetProperty("details");
        Assert.Equal((adapter, "mine"), (details.Text("parent"), details.Text("base")));

        foreach (var gone in new[] { adapter, further })
        {
            using (var kept = await service.Client.DeleteAsync("/v1/models/mine", Requests.Cancel)) Assert.Equal("in_use", (await kept.ErrorAsync(409)).Text("code"));
            using var deleted = await service.Client.DeleteAsync($"/v1/models/{gone}", Requests.Cancel);
            await deleted.OkAsync();
        }
        using var free = await service.Client.DeleteAsync("/v1/models/mine", Requests.Cancel);
        await free.OkAsync();
        Assert.False(Directory.Exists(folder));
    }

    private async Task<string> TrainAsync(string job)
    {
        var id = (await service.Client.PostOkAsync("/v1/jobs", job)).Text("id");
        await lab.UntilAsync(lab.Worker(), id, "succeeded");
        return (await lab.TextAsync("select model_id from jobs where id = $1", id))!;
    }

    private async Task<string> ChatAsync(string model) => (await service.Client.PostOkAsync("/v1/chat/completions", JsonSerializer.Serialize(new
    {
        model, messages = new[] { new { role = "user", content = "What is 1?" } }, temperature = 0, max_tokens = 12, logprobs = true,
    }))).GetProperty("choices")[0].GetRawText();
}
