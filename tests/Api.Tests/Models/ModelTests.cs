using System.Text.Json;
using Gradus.Persistence;
using Gradus.Training.Tasks;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace Gradus.Api.Tests.Models;

/// <summary>What is built in is there once; results have aliases; a model in use stays.</summary>
public sealed class ModelTests(ApiHost host)
{
    [Fact]
    public async Task WhatIsBuiltInIsThereOnceHoweverManyServicesStart()
    {
        await host.Database.Sql("delete from datasets where id in ('running-sums-cold-start', 'running-sums-general')");
        var services = await Task.WhenAll(host.StartAsync(), host.StartAsync());
        foreach (var service in services) await service.DisposeAsync();
        foreach (var dataset in BuiltIn.Datasets)
        {
            var stored = await host.Client.GetOkAsync($"/v1/datasets/{dataset.Id}");
            Assert.True(stored.GetProperty("built_in").GetBoolean());
            Assert.Equal((long)stored.GetProperty("row_count").GetInt32(), await host.Database.Sql("select count(*) from dataset_rows where dataset_id = $1", dataset.Id));
        }
        Assert.Equal(200, (await host.Client.GetOkAsync("/v1/datasets/running-sums-cold-start")).GetProperty("row_count").GetInt32());
        var first = BuiltIn.Datasets.Single(dataset => dataset.Id == "running-sums-problems").Rows().First();
        Assert.Equal(first.Text("prompt"), (await host.Client.GetOkAsync("/v1/datasets/running-sums-problems/rows?limit=1")).Data()[0].GetProperty("content").Text("prompt"));
        var tiny = await host.Service.Services.GetRequiredService<ModelCatalog>().FindAsync("tiny", Requests.Cancel);
        Assert.True(tiny!.BuiltIn && File.Exists(Path.Combine(tiny.Folder, "tokenizer.json")) && File.Exists(Path.Combine(tiny.Folder, "config.json")));
        Assert.Equal(["grpo-times-tables", "gsm8k-smollm2", "r1-tiny", "r1-zero", "r1-zero-tiny"], (await host.Client.GetOkAsync("/v1/recipes")).Data().Select(recipe => recipe.Text("id")));
    }

    [Fact]
    public async Task ARecipesNameStandsForItsNewestResult()
    {
        await host.Client.GetErrorAsync("/v1/models/alias-test", 404);
        var older = await host.SucceededRunAsync("alias-test");
        var newer = await host.SucceededRunAsync("alias-test");
        Assert.Equal(newer, (await host.Client.GetOkAsync("/v1/models/alias-test")).Text("id"));
        // A run that is still going on does not count.
        var open = await host.SucceededRunAsync("alias-test");
        await host.Database.Sql("update jobs set status = 'running' where position = 2 and run_id = (select run_id from jobs where model_id = $1)", open);
        Assert.Equal(newer, (await host.Client.GetOkAsync("/v1/models/alias-test")).Text("id"));
        var listed = (await host.Client.GetOkAsync("/v1/models?limit=100")).Data().ToDictionary(model => model.Text("id"), model => model.GetProperty("alias").GetString());
        Assert.Equal(("alias-test", null, null), (listed[newer], listed[older], listed[open]));
        await host.Database.Sql("update jobs set status = 'failed' where status = 'running' and position = 2");
    }

    [Fact]
    public async Task AnImportedModelsNameStandsForTheNewestOfThatName()
    {
        async Task<string> ImportAsync(string name)
        {
            var id = await host.ModelAsync();
            await host.Database.Sql("update models set name = $2 where id = $1", id, name);
            return id;
        }
        var older = await ImportAsync("by-name");
        var newer = await ImportAsync("by-name");
        Assert.Equal((newer, "by-name"), ((await host.Client.GetOkAsync("/v1/models/by-name")).Text("id"), (await host.Client.GetOkAsync("/v1/models/by-name")).Text("alias")));
        // An id comes before a name, and so does a recipe.
        await ImportAsync("tiny");
        await ImportAsync(older);
        Assert.Equal(("tiny", older), ((await host.Client.GetOkAsync("/v1/models/tiny")).Text("id"), (await host.Client.GetOkAsync($"/v1/models/{older}")).Text("id")));
        var result = await host.SucceededRunAsync("by-name");
        Assert.Equal(result, (await host.Client.GetOkAsync("/v1/models/by-name")).Text("id"));
        Assert.Equal(JsonValueKind.Null, (await host.Client.GetOkAsync($"/v1/models/{newer}")).GetProperty("alias").ValueKind);
    }

    [Fact]
    public async Task AModelInUseStaysAndAFreeOneGoesWithItsFolder()
    {
        var model = await host.ModelAsync();
        var folder = Path.Combine(host.Service.StateFolder, "models", model);
        var job = await host.Client.PostOkAsync("/v1/jobs", $$$"""{"stage":"sft","options":{"model":"{{{model}}}","dataset":"running-sums-cold-start"}}""");
        using (var kept = await host.Client.DeleteAsync($"/v1/models/{model}", Requests.Cancel)) Assert.Equal("in_use", (await kept.ErrorAsync(409)).Text("code"));
        await host.Client.PostOkAsync($"/v1/jobs/{job.Text("id")}/cancel", "");
        using (var deleted = await host.Client.DeleteAsync($"/v1/models/{model}", Requests.Cancel)) Assert.True((await deleted.OkAsync()).GetProperty("deleted").GetBoolean());
        Assert.False(Directory.Exists(folder));
        await host.Client.GetErrorAsync($"/v1/models/{model}", 404);
    }

    [Fact]
    public async Task AModelThatALaterStageOfItsRunNeedsStays()
    {
        var model = await host.SucceededRunAsync("needed-later");
        await host.Database.Sql("update jobs set status = 'paused' where position = 2 and run_id = (select run_id from jobs where model_id = $1)", model);
        using (var kept = await host.Client.DeleteAsync($"/v1/models/{model}", Requests.Cancel)) await kept.ErrorAsync(409);
        await host.Database.Sql("update jobs set status = 'succeeded' where position = 2 and run_id = (select run_id from jobs where model_id = $1)", model);
        using var deleted = await host.Client.DeleteAsync($"/v1/models/{model}", Requests.Cancel);
        await deleted.OkAsync();
    }
}
