using System.Text.Json;
using Gradus.Training.Stages;
using Gradus.Training.Tasks;

namespace Gradus.Training.Tests.Stages;

/// <summary>Runs stages in memory, on a folder that is removed at the end: a model of two layers, width 64, with the built-in tokenizer.</summary>
internal sealed class StageHarness : ICatalog, IDisposable
{
    private readonly string root;
    private readonly Dictionary<string, string> models = [];

    /// <param name="root">A folder of another harness, whose models are there already.</param>
    public StageHarness(string? root = null)
    {
        this.root = root ?? Directory.CreateTempSubdirectory("gradus-stage-").FullName;
        models["tiny"] = Path.Combine(this.root, "tiny");
        models["base"] = Path.Combine(this.root, "base", "model");
        if (root is null) TinyModel.Write(models["tiny"]);
    }

    public const string SmallConfig = """{"hidden_size":64,"num_hidden_layers":2,"intermediate_size":96,"num_attention_heads":2,"num_key_value_heads":2,"head_dim":32}""";

    public Dictionary<string, IReadOnlyList<JsonElement>> Datasets { get; } = new()
    {
        ["documents"] = [.. BuiltIn.Task("running-sums").Generate("documents", 100, 1)],
        ["problems"] = [.. BuiltIn.Task("running-sums").Generate("problems", 40, 1)],
    };

    public string Folder(string job) => Path.Combine(root, job);

    public string ModelFolder(string id) => models[id];

    public IReadOnlyList<JsonElement> Rows(string id) => Datasets[id];

    public static JsonElement Json(string text) => JsonDocument.Parse(text).RootElement;

    /// <summary>Makes what a stage made a model of the catalog.</summary>
    public void Keep(string id, StageResult result) => models[id] = result.ModelFolder!;

    /// <summary>A model that has seen a few documents, under the id "base".</summary>
    public StageHarness WithBase()
    {
        Xunit.Assert.Equal(models["base"], Run("pretrain", "base", Pretrain(4), new()).ModelFolder);
        return this;
    }

    public static string Pretrain(int steps) =>
        $$"""{"model":"tiny","config":{{SmallConfig}},"dataset":"documents","max_steps":{{steps}},"batch_size":8,"learning_rate":0.002,"save_steps":100,"max_tokens_per_microbatch":300}""";

    public StageResult Run(string stage, string job, string options, MemoryJournal journal, long stamp = 1) => Run(stage, job, options, journal, journal.Checkpoints, stamp);

    public StageResult Run(string stage, string job, string options, IRunJournal journal, IReadOnlyList<CheckpointRecord> checkpoints, long stamp) => StageRunner.Run(
        new(job, stage, Json(options), 7, Folder(job), stamp, checkpoints, "cpu"), journal, this, CancellationToken.None);

    /// <summary>Runs to the end, stopping and resuming once after the step.</summary>
    public (StageResult Result, MemoryJournal Journal) RunBroken(string stage, string job, string options, int stopAfter)
    {
        var journal = new MemoryJournal { StopAfter = stopAfter };
        Xunit.Assert.Throws<StageStoppedException>(() => Run(stage, job, options, journal));
        journal.StopAfter = null;
        return (Run(stage, job, options, journal, stamp: 2), journal);
    }

    public void Dispose() => Directory.Delete(root, recursive: true);
}
