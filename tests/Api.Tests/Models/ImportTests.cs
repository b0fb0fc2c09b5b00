using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Lora;
using Gradus.Training.Model;
using Gradus.Training.Sft;
using Gradus.Training.Stages;
using Gradus.Training.Tasks;
using Xunit;

namespace Gradus.Api.Tests.Models;

/// <summary>A folder becomes a model when it is whole and was loaded once; whatever is wrong with it is a clear 4xx and leaves nothing.</summary>
public sealed class ImportTests(ApiHost host) : IDisposable
{
    private readonly string folder = Path.Combine(host.Service.StateFolder, "imports", "case-" + Guid.NewGuid().ToString("N"));

    public void Dispose()
    {
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task AFolderBecomesAModelThatIsDescribedListedAndDeleted()
    {
        Write();
        await File.WriteAllTextAsync(Path.Combine(folder, "README.md"), "---\nlicense: apache-2.0\n---\n# A model", Requests.Cancel);
        await File.WriteAllTextAsync(Path.Combine(folder, "training_args.bin"), "never read", Requests.Cancel);
        await File.WriteAllTextAsync(Path.Combine(folder, "evil.sh"), "exit 1", Requests.Cancel);
        Directory.CreateDirectory(Path.Combine(folder, "onnx"));
        var made = await host.Client.PostOkAsync("/v1/models", Body(new { path = folder, name = "mine" }));
        Assert.Equal(("mine", "import", "llama", "float32", "tokenizer_config.json", "apache-2.0"),
            (made.Text("name"), made.Text("origin"), made.Text("family"), made.Text("dtype"), made.Text("chat_template"), made.Text("license")));
        Assert.Equal((256, JsonValueKind.Null), (made.GetProperty("context_length").GetInt32(), made.GetProperty("job_id").ValueKind));
        Assert.InRange(made.GetProperty("parameters").GetInt64(), 700_000, 900_000);
        var kept = Path.Combine(host.Service.StateFolder, "models", made.Text("id"));
        Assert.Equal(["README.md", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"], Directory.GetFileSystemEntries(kept).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.Equal(await File.ReadAllBytesAsync(Path.Combine(folder, "model.safetensors"), Requests.Cancel), await File.ReadAllBytesAsync(Path.Combine(kept, "model.safetensors"), Requests.Cancel));
        Assert.Equal(new DirectoryInfo(kept).EnumerateFiles().Sum(file => file.Length), made.GetProperty("bytes").GetInt64());
        var source = made.GetProperty("details").GetProperty("source");
        Assert.Equal(("folder", folder, "huggingface", 6, 3), (source.Text("kind"), source.Text("path"), source.Text("format"), source.GetProperty("files").GetInt32(), source.GetProperty("skipped").GetInt32()));
        Assert.Contains((await host.Client.GetOkAsync("/v1/models")).Data(), model => model.Text("id") == made.Text("id"));
        using var deleted = await host.Client.DeleteAsync($"/v1/models/{made.Text("id")}", Requests.Cancel);
        await deleted.OkAsync();
        Assert.False(Directory.Exists(kept));
    }

    [Fact]
    public async Task AnAdapterIsLaidOnTheBaseThatItNamesAndKeepsIt()
    {
        Write();
        var name = "base-" + Guid.NewGuid().ToString("N");
        var whole = (await host.Client.PostOkAsync("/v1/models", Body(new { path = folder, name }))).Text("id");
        using (var model = CausalLm.Load(folder))
        {
            var options = (SftOptions)StageOptions.Parse("sft", JsonElement.Parse("""{"model":"m","dataset":"d","adapter":{"r":2}}"""));
            model.Attach(Adapter.Create(options.Adapter!, model, "somebody/" + name, 1));
            Directory.Delete(folder, recursive: true);
            model.Save(folder);
        }
        var made = await host.Client.PostOkAsync("/v1/models", Body(new { path = folder, name = "adapter" }));
        var kept = Path.Combine(host.Service.StateFolder, "models", made.Text("id"));
        Assert.Equal((whole, whole, "llama", whole), (made.Text("parent"), made.GetProperty("details").Text("base"), made.Text("family"), Adapter.ParentOf(kept)));
        using (var used = await host.Client.DeleteAsync($"/v1/models/{whole}", Requests.Cancel)) Assert.Equal("in_use", (await used.ErrorAsync(409)).Text("code"));
        Adapter.SetParent(folder, "somebody/else");
        Assert.Equal(("adapter_config.json", "invalid_reference"), ((await RefusedAsync(folder)).Text("param"), (await RefusedAsync(folder)).Text("code")));
        Adapter.SetParent(folder, made.Text("id"));
        Assert.Equal("invalid_reference", (await RefusedAsync(folder)).Text("code"));
    }

    [Fact]
    public async Task ALineageNamesEachModelAndJobAndLendsItsLicence()
    {
        Write();
        await File.WriteAllTextAsync(Path.Combine(folder, "LICENSE"), "MIT License\n\nPermission is hereby granted", Requests.Cancel);
        var parent = (await host.Client.PostOkAsync("/v1/models", Body(new { path = folder }))).Text("id");
        var job = await host.JobAsync("succeeded", "grpo");
        await host.Database.Sql("update jobs set result = '{\"reward\": 0.5}' where id = $1", job);
        var child = await host.ModelAsync(job);
        await host.Database.Sql("update models set details = jsonb_build_object('parent', $2::text) where id = $1", child, parent);
        var found = await host.Client.GetOkAsync($"/v1/models/{child}");
        Assert.Equal(("stage", "mit", parent, job), (found.Text("origin"), found.Text("license"), found.Text("parent"), found.Text("job_id")));
        var lineage = found.GetProperty("lineage").EnumerateArray().ToArray();
        Assert.Equal([child, parent], lineage.Select(one => one.Text("model")));
        Assert.Equal(("grpo", 1, 0.5), (lineage[0].Text("stage"), lineage[0].GetProperty("seed").GetInt64(), lineage[0].GetProperty("result").GetProperty("reward").GetDouble()));
        Assert.Equal(JsonValueKind.Null, lineage[1].GetProperty("job_id").ValueKind);
    }

    [Fact]
    public async Task APathOutsideOfTheRootsIsRefusedAndNotEvenSaidToExist()
    {
        foreach (var path in new[] { "/etc", "/there/is/nothing", folder + "/../../models/tiny", "../models/tiny", host.Service.StateFolder + "/imports", host.Service.StateFolder + "/imports-of-others/x" })
            Assert.Equal("outside_roots", (await RefusedAsync(path)).Text("code"));
        Assert.Equal("missing", (await RefusedAsync(folder)).Text("code"));
    }

    [Fact]
    public async Task ASymlinkOutIsRefusedForTheFolderAndForAFileAndOneInsideIsFollowed()
    {
        var tiny = Path.Combine(host.Service.StateFolder, "models", "tiny");
        Directory.CreateSymbolicLink(folder, tiny);
        Assert.Equal("outside_roots", (await RefusedAsync(folder)).Text("code"));
        Directory.Delete(folder);
        Write();
        var weights = Path.Combine(folder, "model.safetensors");
        File.Delete(weights);
        File.CreateSymbolicLink(weights, Path.Combine(tiny, "model.safetensors"));
        Assert.Equal("outside_roots", (await RefusedAsync(folder)).Text("code"));
        // As Hugging Face's cache does it.
        File.Delete(weights);
        Directory.CreateDirectory(Path.Combine(folder, "blobs"));
        File.Copy(Path.Combine(tiny, "model.safetensors"), Path.Combine(folder, "blobs", "abc"));
        File.CreateSymbolicLink(weights, "blobs/abc");
        await host.Client.PostOkAsync("/v1/models", Body(new { path = folder }));
    }

    [Fact]
    public async Task APipeIsRefusedWithoutWaitingForItsWriter()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(folder)!);
        MakePipe(folder);
        Assert.Equal("not_a_file", (await RefusedAsync(folder)).Text("code"));
        File.Delete(folder);
        Write();
        File.Delete(Path.Combine(folder, "config.json"));
        MakePipe(Path.Combine(folder, "config.json"));
        Assert.Equal("not_a_file", (await RefusedAsync(folder)).Text("code"));
    }

    [Theory]
    [InlineData("empty", 400, "missing", "no weights")]
    [InlineData("no-config", 400, "missing", "no config.json")]
    [InlineData("pickle", 400, "pickle_refused", "can run programs")]
    [InlineData("torn-weights", 422, "invalid_value", "cut short")]
    [InlineData("no-tokenizer", 422, "missing", "no tokenizer.json")]
    [InlineData("unknown-family", 422, "unknown_value", "model_type")]
    [InlineData("lying-config", 422, null, "")]
    [InlineData("not-a-number", 422, "invalid_value", "not finite")]
    [InlineData("other-vocabulary", 422, "invalid_value", "do not belong together")]
    [InlineData("bad-template", 422, null, "")]
    [InlineData("endless-template", 422, null, "")]
    [InlineData("missing-shard", 422, "missing", "model-00002-of-00002.safetensors")]
    [InlineData("shard-outside", 422, null, "not a file beside it")]
    public async Task AFolderThatCannotBeUsedIsRefused(string what, int status, string? code, string said)
    {
        Write();
        string At(string name) => Path.Combine(folder, name);
        void Edit(string name, Action<JsonObject> edit)
        {
            var json = JsonNode.Parse(File.ReadAllText(At(name)))!.AsObject();
            edit(json);
            File.WriteAllText(At(name), json.ToJsonString());
        }

        switch (what)
        {
            case "empty":
                Directory.Delete(folder, recursive: true);
                Directory.CreateDirectory(folder);
                break;
            case "no-config":
                File.Delete(At("config.json"));
                break;
            case "pickle":
                File.Move(At("model.safetensors"), At("pytorch_model.bin"));
                break;
            case "torn-weights":
                using (var file = new FileStream(At("model.safetensors"), FileMode.Open)) file.SetLength(file.Length / 2);
                break;
            case "no-tokenizer":
                File.Delete(At("tokenizer.json"));
                break;
            case "unknown-family":
                Edit("config.json", json => json["model_type"] = "unheard-of");
                break;
            case "lying-config":
                Edit("config.json", json => json["num_hidden_layers"] = 900);
                break;
            case "not-a-number":
                using (var file = new FileStream(At("model.safetensors"), FileMode.Open))
                {
                    file.Position = file.Length - 4;
                    file.Write(BitConverter.GetBytes(float.NaN));
                }
                break;
            case "other-vocabulary":
                Edit("tokenizer.json", json =>
                {
                    foreach (var token in json["model"]!["vocab"]!.AsObject().ToArray()) json["model"]!["vocab"]![token.Key] = token.Value!.GetValue<int>() + 100_000;
                    json["added_tokens"] = new JsonArray();
                });
                break;
            case "bad-template":
                Edit("tokenizer_config.json", json => json["chat_template"] = "{% for %}");
                break;
            case "endless-template":
                Edit("tokenizer_config.json", json => json["chat_template"] = "{% for a in range(100000) %}{% for b in range(100000) %}{% for c in range(100000) %}x{% endfor %}{% endfor %}{% endfor %}");
                break;
            default:
                File.Move(At("model.safetensors"), At("model-00001-of-00002.safetensors"));
                var second = what == "missing-shard" ? "model-00002-of-00002.safetensors" : "../tiny/model.safetensors";
                File.WriteAllText(At("model.safetensors.index.json"), $$"""{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "{{second}}"} }""");
                break;
        }
        var error = await RefusedAsync(folder, status);
        if (code is not null) Assert.Equal(code, error.Text("code"));
        Assert.Contains(said, error.Text("message"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task AnAdapterIsLaidOnTheModelThatTheCallerNames()
    {
        Write();
        var whole = (await host.Client.PostOkAsync("/v1/models", Body(new { path = folder, name = "the base" }))).Text("id");
        WriteAdapter("someone/else");
        Assert.Equal(("adapter_config.json", "invalid_reference"), await RefusedAsync(folder) is var lost ? (lost.Text("param"), lost.Text("code")) : default);
        var made = await host.Client.PostOkAsync("/v1/models", Body(new { path = folder, name = "an adapter", @base = "the base" }));
        Assert.Equal(("llama", whole, 256), (made.Text("family"), made.Text("parent"), made.GetProperty("context_length").GetInt32()));
        Assert.Equal([made.Text("id"), whole], made.GetProperty("lineage").EnumerateArray().Select(one => one.Text("model")));
        var config = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(host.Service.StateFolder, "models", made.Text("id"), "adapter_config.json"), Requests.Cancel))!;
        Assert.Equal(whole, (string?)config["base_model_name_or_path"]);
        using (var kept = await host.Client.DeleteAsync($"/v1/models/{whole}", Requests.Cancel)) Assert.Equal("in_use", (await kept.ErrorAsync(409)).Text("code"));
        // Never on another adapter.
        WriteAdapter(made.Text("id"));
        Assert.Equal("invalid_reference", (await RefusedAsync(folder)).Text("code"));
        WriteAdapter(whole, width: 64);
        await RefusedAsync(folder, 422);
        Directory.Delete(folder, recursive: true);
        Write();
        Assert.Equal("base", (await host.Client.PostErrorAsync("/v1/models", Body(new { path = folder, @base = "tiny" }))).Text("param"));
    }

    [Fact]
    public async Task AModelBeyondTheLimitIsRefused()
    {
        Write();
        await using var service = await host.StartAsync("--Gradus:MaxModelBytes=1000000");
        Assert.Equal("too_large", (await service.Client.PostErrorAsync("/v1/models", Body(new { path = folder }), 413)).Text("code"));
        Assert.Empty(Leftovers());
    }

    [Theory]
    [InlineData("""{"path": 3}""", "path")]
    [InlineData("""{"name": "x"}""", "path")]
    [InlineData("""{"path": ""}""", "path")]
    [InlineData("""{"path": "x", "name": ""}""", "name")]
    [InlineData("""{"path": "x", "trust_remote_code": true}""", "trust_remote_code")]
    public async Task AWrongFieldIsNamed(string body, string field) => Assert.Equal(field, (await host.Client.PostErrorAsync("/v1/models", body)).Text("param"));

    private async Task<JsonElement> RefusedAsync(string path, int status = 400)
    {
        var error = await host.Client.PostErrorAsync("/v1/models", Body(new { path }), status);
        Assert.Empty(Leftovers());
        return error;
    }

    /// <summary>What no row stands for.</summary>
    private IEnumerable<string> Leftovers() => Directory.GetFileSystemEntries(Path.Combine(host.Service.StateFolder, "models"))
        .Where(path => path.EndsWith(".import", StringComparison.Ordinal) || path.EndsWith(".aside", StringComparison.Ordinal) || (long)host.Database.Sql("select count(*) from models where folder = $1", path).GetAwaiter().GetResult()! == 0);

    /// <summary>An adapter of rank 2 on the first layer's queries of the built-in model, whose width is 128.</summary>
    private void WriteAdapter(string laidOn, int width = 128)
    {
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "adapter_config.json"), $$"""{"peft_type": "LORA", "base_model_name_or_path": "{{laidOn}}", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}""");
        const string Map = "base_model.model.model.layers.0.self_attn.q_proj.";
        Gradus.Training.Model.Safetensors.Write(Path.Combine(folder, "adapter_model.safetensors"), [
            new(Map + "lora_A.weight", TorchSharp.torch.ones(2, width)), new(Map + "lora_B.weight", TorchSharp.torch.ones(128, 2))]);
    }

    private void Write() => TinyModel.Write(folder);

    private static string Body(object body) => JsonSerializer.Serialize(body);

    private static void MakePipe(string path)
    {
        using var made = System.Diagnostics.Process.Start("mkfifo", path);
        made.WaitForExit();
        Assert.Equal(0, made.ExitCode);
    }
}
