using System.Diagnostics;
using Gradus.Training.Export;
using Gradus.Training.Model;
using Gradus.Training.Stages;
using Gradus.Training.Tests.Stages;
using Xunit;

namespace Gradus.Training.Tests.Export;

/// <summary>What goes out is what was there: bit for bit where the type stays, rounded to the nearest where it changes; adapters by themselves or merged.</summary>
public sealed class ExportStageTests
{
    private const string Variable = "GRADUS_TEST_EXPORT";

    [Fact]
    public void Shards_hold_the_same_bytes_and_the_index_says_where()
    {
        using var stages = new StageHarness();
        var result = stages.Run("export", "out", """{"model":"tiny","max_shard_size":"1MB"}""", new());
        var folder = Path.Combine(stages.Folder("out"), "files");
        var shards = Directory.GetFiles(folder, "model-*.safetensors");
        Assert.Equal(4, shards.Length);
        Assert.All(shards, shard => Assert.InRange(new FileInfo(shard).Length, 1, 1_010_000));
        var index = ModelFolder.ReadJson(Path.Combine(folder, "model.safetensors.index.json"));
        Same(stages.ModelFolder("tiny"), folder);
        using (var weights = Safetensors.Open(folder))
        {
            Assert.Equal(weights.Names.Sum(name => 4 * weights.Shape(name).Aggregate(1L, (product, size) => product * size)), index.GetProperty("metadata").GetProperty("total_size").GetInt64());
            Assert.Equal(weights.Names, index.GetProperty("weight_map").EnumerateObject().Select(entry => entry.Name));
        }
        foreach (var name in new[] { "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json" })
            Assert.Equal(File.ReadAllBytes(Path.Combine(stages.ModelFolder("tiny"), name)), File.ReadAllBytes(Path.Combine(folder, name)));
        var files = new ExportedFiles(stages.Folder("out")).Read()!;
        Assert.Equal(files.Count, result.Summary.Single(metric => metric.Name == "files").Value);
        Assert.Equal(files.Select(file => file.Name), Directory.GetFiles(folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("bfloat16", "BF16", 1f / 256)]
    [InlineData("float16", "F16", 1f / 2048)]
    public void Another_type_is_the_nearest_number_and_stays_as_it_is_from_then_on(string dtype, string stored, float relative)
    {
        using var stages = new StageHarness();
        stages.Run("export", "half", $$"""{"model":"tiny","dtype":"{{dtype}}"}""", new());
        var half = Path.Combine(stages.Folder("half"), "files");
        Assert.Equal(dtype, ModelFolder.ReadJson(Path.Combine(half, "config.json")).GetProperty("torch_dtype").GetString());
        using (Safetensors before = Safetensors.Open(stages.ModelFolder("tiny")), after = Safetensors.Open(half))
        {
            foreach (var name in before.Names)
            {
                Assert.Equal(stored, after.TypeOf(name));
                using TorchSharp.torch.Tensor one = before.Read(name), two = after.Read(name);
                using var wanted = one.to(stored == "BF16" ? TorchSharp.torch.ScalarType.BFloat16 : TorchSharp.torch.ScalarType.Float16).to(TorchSharp.torch.ScalarType.Float32);
                Assert.True(wanted.bytes.SequenceEqual(two.bytes), name);
                Assert.InRange((one - two).abs().max().item<float>(), 0, relative * one.abs().max().item<float>());
            }
        }
        // In again and out as it is stored.
        stages.Keep("again", new StageResult(half, null, []));
        stages.Run("export", "again", """{"model":"again"}""", new());
        Assert.Equal(File.ReadAllBytes(Path.Combine(half, "model.safetensors")), File.ReadAllBytes(Path.Combine(stages.Folder("again"), "files", "model.safetensors")));
    }

    [Fact]
    public void Weights_beyond_fp16_are_refused_and_not_made_infinite()
    {
        using var stages = new StageHarness();
        var file = Path.Combine(stages.ModelFolder("tiny"), "model.safetensors");
        using (var stream = new FileStream(file, FileMode.Open))
        {
            stream.Position = stream.Length - 4;
            stream.Write(BitConverter.GetBytes(70_000f));
        }
        Assert.Contains("bfloat16", Assert.Throws<InvalidInputException>(() => stages.Run("export", "out", """{"model":"tiny","dtype":"float16"}""", new())).Message, StringComparison.Ordinal);
        Assert.Null(new ExportedFiles(stages.Folder("out")).Read());
    }

    [Fact]
    public void An_exported_adapter_names_its_base_as_others_know_it()
    {
        OriginStep Step(string model, string name, string? stage) => new(model, name, stage, null, null, null, null, null, null);
        var origin = new ModelOrigin("run/sft", null, [Step("model_2", "run/sft", "sft"), Step("model_1", "smollm2-135m-instruct", null)]);
        Assert.Equal("smollm2-135m-instruct", ExportStage.BaseName(origin, "model_1"));
        // What a stage made has no name outside.
        Assert.Equal("model_2", ExportStage.BaseName(origin, "model_2"));
        Assert.Equal("model_3", ExportStage.BaseName(origin, "model_3"));
    }

    [Fact]
    public void An_adapter_goes_out_by_itself_and_merged()
    {
        using var stages = new StageHarness().WithBase();
        var trained = stages.Run("sft", "adapter", """{"model":"base","dataset":"documents","max_steps":2,"batch_size":4,"learning_rate":0.01,"adapter":{"r":2}}""", new());
        stages.Keep("adapter", trained);
        stages.Run("export", "peft", """{"model":"adapter","format":"peft"}""", new());
        var peft = Path.Combine(stages.Folder("peft"), "files");
        Same(Path.Combine(trained.ModelFolder!, "adapter_model.safetensors"), Path.Combine(peft, "adapter_model.safetensors"));
        Assert.False(File.Exists(Path.Combine(peft, "config.json")));
        stages.Run("export", "merged", """{"model":"adapter"}""", new());
        var merged = Path.Combine(stages.Folder("merged"), "files");
        using var expected = StoredModel.At(trained.ModelFolder!, stages.ModelFolder).Load("cpu");
        expected.MergeAdapter();
        using var weights = Safetensors.Open(merged);
        foreach (var (name, tensor) in expected.Weights)
        {
            using var found = weights.Read(name);
            Assert.True(tensor.detach().bytes.SequenceEqual(found.bytes), name);
        }
        Assert.False(File.Exists(Path.Combine(merged, "adapter_config.json")));
        Assert.False(Directory.Exists(Path.Combine(stages.Folder("merged"), "merged.aside")));
        Assert.Throws<InvalidInputException>(() => stages.Run("export", "no", """{"model":"base","format":"peft"}""", new()));
    }

    [Fact]
    public void What_a_gguf_file_cannot_hold_is_refused()
    {
        using var stages = new StageHarness();
        // Its tokenizer is none that GGUF has a word for.
        Assert.Throws<InvalidInputException>(() => stages.Run("export", "out", """{"model":"tiny","format":"gguf"}""", new()));
        Assert.Null(new ExportedFiles(stages.Folder("out")).Read());
    }

    [Fact]
    public void The_card_says_what_made_it_and_nothing_in_a_name_is_markup()
    {
        var origin = new ModelOrigin("my run/grpo", "apache-2.0", [
            new("model_2", "my run/grpo", "grpo", "r1-tiny", "run_1", 7, StageHarness.Json("""{"dataset":"gsm8k","learning_rate":1e-6}"""), StageHarness.Json("""{"reward":0.75}"""), null),
            new("model_1", "Smol<script>|`Lm", null, null, null, null, null, null, StageHarness.Json("""{"kind":"upload"}""")),
        ]);
        var card = ExportedCard.Text(origin, (ExportOptions)StageOptions.Parse("export", StageHarness.Json("""{"model":"model_2"}""")));
        Assert.StartsWith("---\nlicense: \"apache-2.0\"\nbase_model: ", card, StringComparison.Ordinal);
        foreach (var said in new[] { "library_name: transformers", "- grpo", "seed 7", "recipe r1-tiny", "run run_1", "Data: gsm8k", "\"learning_rate\": 1e-6", "| reward | 0.75 |", "- torch: ", "### Smol script   Lm (model_1)" })
            Assert.Contains(said, card, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("export-written")]
    [InlineData("export-renamed")]
    public void Killed_there_the_next_attempt_makes_the_same_files(string point)
    {
        using var stages = new StageHarness();
        using var child = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, ["-explicit", "only", "-method", $"{typeof(ExportStageTests).FullName}.{nameof(Child)}"])
        {
            RedirectStandardOutput = true,
            Environment = { ["GRADUS_KILL"] = $"{point}:1", [Variable] = stages.Folder("") },
        })!;
        child.StandardOutput.ReadToEnd();
        child.WaitForExit();
        Assert.Equal(137, child.ExitCode);
        Assert.Null(new ExportedFiles(stages.Folder("killed")).Read());
        stages.Run("export", "killed", """{"model":"tiny"}""", new());
        stages.Run("export", "whole", """{"model":"tiny"}""", new());
        Assert.Equal(new ExportedFiles(stages.Folder("whole")).Read(), new ExportedFiles(stages.Folder("killed")).Read());
        Assert.Equal(["files", "files.json"], Directory.GetFileSystemEntries(stages.Folder("killed")).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    /// <summary>What the child process runs.</summary>
    [Fact(Explicit = true)]
    public void Child()
    {
        using var stages = new StageHarness(Environment.GetEnvironmentVariable(Variable)!);
        stages.Run("export", "killed", """{"model":"tiny"}""", new());
    }

    private static void Same(string first, string second)
    {
        using Safetensors before = Safetensors.Open(first), after = Safetensors.Open(second);
        Assert.Equal(before.Names, after.Names);
        foreach (var name in before.Names)
        {
            Assert.Equal(before.TypeOf(name), after.TypeOf(name));
            using TorchSharp.torch.Tensor one = before.Read(name), two = after.Read(name);
            Assert.True(one.bytes.SequenceEqual(two.bytes), name);
        }
    }
}
