using System.Text.Json;
using Xunit;

namespace Gradus.Api.Tests.Jobs;

/// <summary>Jobs and recipes are queued when they are right, and refused with the place when anything is wrong, before anything is written.</summary>
public sealed class SubmissionTests(ApiHost host)
{
    private const string Grpo = """{"stage":"grpo","options":{"model":"tiny","dataset":"running-sums-problems","rewards":[{"name":"accuracy"}]%}}""";

    [Fact]
    public async Task AJobIsQueuedAsARunOfOneAndAWorkerIsWoken()
    {
        var looks = host.Service.Dispatcher.Looks;
        using var response = await host.Client.PostAsync("/v1/jobs", Requests.Json("""{"stage":"pretrain","name":"base","seed":7,"max_attempts":5,"options":{"model":"tiny","dataset":"running-sums-documents","max_steps":3}}"""), Requests.Cancel);
        Assert.Equal(201, (int)response.StatusCode);
        var job = await response.OkAsync();
        Assert.Equal($"/v1/jobs/{job.Text("id")}", response.Headers.Location!.ToString());
        Assert.Equal(("job", "pretrain", "queued", 7, 5), (job.Text("object"), job.Text("stage"), job.Text("status"), job.GetProperty("seed").GetInt64(), job.GetProperty("max_attempts").GetInt32()));
        Assert.Equal(3, job.GetProperty("options").GetProperty("max_steps").GetInt32());
        Assert.True(host.Service.Dispatcher.Looks > looks);
        var run = await host.Client.GetOkAsync($"/v1/runs/{job.Text("run_id")}");
        Assert.Equal(("base", "queued", 1), (run.Text("name"), run.Text("status"), run.GetProperty("jobs").GetArrayLength()));
        Assert.InRange(job.GetProperty("created_at").GetInt64(), DateTimeOffset.Parse("2025-01-01Z").ToUnixTimeSeconds(), DateTimeOffset.Parse("2100-01-01Z").ToUnixTimeSeconds());
    }

    [Fact]
    public async Task AShippedRecipeIsQueuedStageByStage()
    {
        var run = await host.Client.PostOkAsync("/v1/runs", """{"recipe":"r1-zero-tiny","seed":3,"name":"three"}""");
        Assert.Equal(("run", "three", "queued", 3), (run.Text("object"), run.Text("name"), run.Text("status"), run.GetProperty("seed").GetInt64()));
        var jobs = run.GetProperty("jobs").EnumerateArray().ToArray();
        Assert.Equal(["pretrain", "evaluate", "grpo", "evaluate"], jobs.Select(job => job.Text("stage")));
        Assert.Equal("base", jobs[1].GetProperty("options").GetProperty("model").Text("from"));
        // Evaluation prompts never train: the recipe's sets are held out of its other stages.
        Assert.Contains("running-sums-held-out", jobs[0].GetProperty("options").GetProperty("held_out").EnumerateArray().Select(set => set.GetString()));
        Assert.Equal(4, jobs.Select(job => job.GetProperty("seed").GetInt64()).Append(3).Distinct().Count() - 1);
    }

    [Theory]
    [InlineData("""{"stage":"dream","options":{}}""", "stage", "unknown_value", "pretrain, sft, grpo")]
    [InlineData("""{"stage":"pretrain","options":{"model":"tiny","dataset":"running-sums-documents","max_step":3}}""", "options.max_step", "unknown_field", "max_steps")]
    [InlineData("""{"stage":"pretrain","options":{"model":"nobody","dataset":"running-sums-documents"}}""", "options.model", "invalid_reference", "nobody")]
    [InlineData("""{"stage":"pretrain","options":{"model":"tiny","dataset":"nothing"}}""", "options.dataset", "invalid_reference", "nothing")]
    [InlineData("""{"stage":"pretrain","options":{"model":"tiny","dataset":"running-sums-documents","learning_rate":-1}}""", "options.learning_rate", "out_of_range", "0 to 1")]
    [InlineData("""{"stage":"pretrain","options":{"model":"tiny","dataset":"running-sums-documents","max_steps":0}}""", "options.max_steps", "out_of_range", "1 to 1000000")]
    [InlineData("""{"stage":"pretrain","options":{"model":{"from":"base"},"dataset":"running-sums-documents"}}""", "options.model", "invalid_reference", "no other stages")]
    [InlineData("""{"stage":"pretrain","options":{"dataset":"running-sums-documents"}}""", "options.model", "missing", "model")]
    [InlineData("""{"stage":"pretrain","options":[]}""", "options", "invalid_value", "object")]
    [InlineData("""{"stage":"pretrain"}""", "options", "missing", "options")]
    [InlineData("""{"stage":3,"options":{}}""", "stage", "invalid_type", "a text")]
    [InlineData("""{"stage":"pretrain","options":{},"sede":3}""", "sede", "unknown_field", "stage, options, seed, name, max_attempts")]
    [InlineData("""{"stage":"generate","options":{"kind":"problems","count":5},"seed":-1}""", "seed", "out_of_range", "0 to 9007199254740992")]
    [InlineData("""{"stage":"generate","options":{"kind":"problems","count":5},"seed":1e3}""", "seed", "invalid_type", "integer")]
    [InlineData("""{"stage":"generate","options":{"kind":"problems","count":5},"max_attempts":0}""", "max_attempts", "out_of_range", "1 to 100")]
    [InlineData("""{"stage":"generate","options":{"kind":"problems","count":5},"name":" "}""", "name", "invalid_value", "1 to 200")]
    [InlineData("""{"stage":"generate","options":{"kind":"problems","kind":"problems","count":5}}""", null, "invalid_json", "kind")]
    [InlineData("""{"stage":"generate","options":{"kind":"\u0000","count":5}}""", "options.kind", "invalid_value", "U+0000")]
    [InlineData("""{"stage":"pretrain","options":{"model":"tiny","dataset":"running-sums-documents","config":{"hidden_size":1e308}}}""", "options.config.hidden_size", "out_of_range", "2 to 65536")]
    [InlineData("""{"stage":"pretrain","options":{"model":"tiny","dataset":"running-sums-documents","config":{"hiden_size":64}}}""", "options.config.hiden_size", "unknown_field", "hidden_size")]
    [InlineData("""{"stage":"sft","options":{"model":"tiny","dataset":"running-sums-problems"}}""", "options.dataset", "invalid_reference", "'completion'")]
    [InlineData("""{"stage":"grpo","options":{"model":"tiny","dataset":"running-sums-cold-start","rewards":[{"name":"accuracy"}]}}""", "options.dataset", "invalid_reference", "'answer'")]
    [InlineData("""[]""", null, "invalid_type", "object")]
    [InlineData("", null, "invalid_json", "empty")]
    public Task AWrongJobIsRefused(string body, string? param, string code, string said) => Refused("/v1/jobs", body, param, code, said);

    [Theory]
    [InlineData(""","num_generations":1""", "options.num_generations", "out_of_range", "2 to 1024")]
    [InlineData(""","num_generations":8,"generation_batch_size":60""", "options.generation_batch_size", "out_of_range", "multiple of num_generations (8)")]
    [InlineData(""","temperature":0""", "options.temperature", "out_of_range", "0.01 to 10")]
    public Task WrongGroupsAreRefused(string more, string param, string code, string said) => Refused("/v1/jobs", Grpo.Replace("%", more, StringComparison.Ordinal), param, code, said);

    [Theory]
    [InlineData("""{"recipe":"r2"}""", "recipe", "unknown_value", "r1-zero-tiny")]
    [InlineData("""{"recipe":3}""", "recipe", "invalid_value", "object")]
    [InlineData("""{"recipe":{"name":"x","stages":[],"seeed":1}}""", "recipe.stages", "missing", "1 to 64")]
    [InlineData("""{"recipe":{"name":"x","seeed":1,"stages":[{"name":"a","stage":"generate","options":{"kind":"problems","count":1}}]}}""", "recipe.seeed", "unknown_field", "seed")]
    [InlineData("""{"recipe":{"name":"x","stages":[{"name":"a","stage":"grpo","options":{"model":{"from":"b"},"dataset":"running-sums-problems","rewards":[{"name":"format"}]}},{"name":"b","stage":"pretrain","options":{"model":"tiny","dataset":"running-sums-documents"}}]}}""",
        "recipe.stages[0].options.model", "invalid_reference", "not an earlier stage")]
    [InlineData("""{"recipe":{"name":"x","stages":[{"name":"a","stage":"sft","options":{"model":"tiny","dataset":"lost"}}]}}""", "recipe.stages[0].options.dataset", "invalid_reference", "lost")]
    [InlineData("""{"recipe":{"name":"x","stages":[{"name":"a","stage":"sft","options":{"model":"tiny","dataset":"running-sums-documents","batch_size":0}}]}}""", "recipe.stages[0].options.batch_size", "out_of_range", "1 to 65536")]
    public Task AWrongRecipeIsRefused(string body, string param, string code, string said) => Refused("/v1/runs", body, param, code, said);

    [Fact]
    public async Task JsonThatDoesNotParseIsRefusedWithThePlace()
    {
        var error = await host.Client.PostErrorAsync("/v1/jobs", "{\n  \"stage\": \"sft\",\n  \"options\": {,}\n}");
        Assert.Contains("line 3, byte 15", error.Text("message"), StringComparison.Ordinal);
        Assert.Equal("invalid_json", error.Text("code"));
    }

    [Fact]
    public async Task AnAliasIsReplacedByTheModelItStandsForNow()
    {
        var model = await host.SucceededRunAsync("pinned-recipe");
        var job = await host.Client.PostOkAsync("/v1/jobs", """{"stage":"sft","options":{"model":"pinned-recipe","dataset":"running-sums-cold-start"}}""");
        Assert.Equal(model, job.GetProperty("options").Text("model"));
    }

    private async Task Refused(string path, string body, string? param, string code, string said)
    {
        var name = Guid.NewGuid().ToString("N");
        if (body.StartsWith("{\"stage", StringComparison.Ordinal) && !body.Contains("\"name\"", StringComparison.Ordinal)) body = $"{{\"name\":\"{name}\",{body[1..]}";
        var error = await host.Client.PostErrorAsync(path, body);
        Assert.Equal((param, code, "invalid_request_error"), (error.GetProperty("param").GetString(), error.Text("code"), error.Text("type")));
        Assert.Contains(said, error.Text("message"), StringComparison.Ordinal);
        Assert.Equal(0L, await host.Database.Sql("select count(*) from runs where name = $1", name));
    }
}
