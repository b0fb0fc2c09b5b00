using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Stages;
using Gradus.Training.Tasks;

namespace Gradus.Training.Tests.Stages;

/// <summary>Runs stages in memory, on a folder that is removed at the end: a model of two layers, width 64, with the built-in tokenizer.</summary>
internal sealed class StageHarness : ICatalog, IDisposable
{
    private readonly string root = Directory.CreateTempSubdirectory("gradus-stage-").FullName;
    private readonly Dictionary<string, string> models = [];

    public StageHarness() => TinyModel.Write(models["tiny"] = Path.Combine(root, "tiny"));

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

    /// <summary>A model that has seen a few documents, under the id "base".</summary>
    public StageHarness WithBase()
    {
        models["base"] = Run("pretrain", "base", Pretrain(4), new()).ModelFolder!;
        return this;
    }

    public static string Pretrain(int steps) =>
        $$"""{"model":"tiny","config":{{SmallConfig}},"dataset":"documents","max_steps":{{steps}},"batch_size":8,"learning_rate":0.002,"save_steps":100,"max_tokens_per_microbatch":300}""";

    public StageResult Run(string stage, string job, string options, MemoryJournal journal, long stamp = 1) => StageRunner.Run(
        new(job, stage, Json(options), 7, Folder(job), stamp, journal.Checkpoints, "cpu"), journal, this, CancellationToken.None);

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

internal sealed class MemoryJournal : IRunJournal
{
    private static readonly HashSet<string> times = ["step_time", "train_tokens_per_second", "rollout_tokens_per_second"];

    public int? StopAfter { get; set; }

    public SortedDictionary<int, StepRecord> Steps { get; } = [];

    public List<CheckpointRecord> Checkpoints { get; } = [];

    public List<string> Events { get; } = [];

    public List<int> Begins { get; } = [];

    public int TotalSteps { get; private set; }

    public bool StopRequested => StopAfter is { } step && Steps.Count > 0 && Steps.Keys.Max() >= step;

    public void Progress(string phase)
    {
    }

    public void Event(string level, string message) => Events.Add($"{level}: {message}");

    public void Begin(int firstStep, int totalSteps)
    {
        Begins.Add(firstStep);
        TotalSteps = totalSteps;
        foreach (var step in Steps.Keys.Where(s => s >= firstStep).ToArray()) Steps.Remove(step);
    }

    public void CommitStep(StepRecord step) => Steps[step.Step] = step;

    public void CommitCheckpoint(CheckpointRecord checkpoint) => Checkpoints.Insert(0, checkpoint);

    public double Metric(int step, string name) => Steps[step].Metrics.Single(m => m.Name == name).Value;

    /// <summary>All that must be the same in every run of the same job: everything but times.</summary>
    public string Everything() => JsonSerializer.Serialize(Steps.Values.Select(s => new { s.Step, Metrics = s.Metrics.Where(m => !times.Contains(m.Name)), s.Samples }));
}
