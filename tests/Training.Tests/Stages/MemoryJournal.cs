using System.Text.Json;
using Gradus.Training.Stages;

namespace Gradus.Training.Tests.Stages;

internal sealed class MemoryJournal : IRunJournal
{
    private static readonly HashSet<string> times = ["step_time", "train_tokens_per_second", "rollout_tokens_per_second", "memory/peak_bytes", "cache/peak_bytes"];

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
    public string Everything() => Everything(Steps.Values);

    public static string Everything(IEnumerable<StepRecord> steps) => JsonSerializer.Serialize(steps.Select(s => new { s.Step, Metrics = s.Metrics.Where(m => !times.Contains(m.Name) && !m.Name.StartsWith("time/", StringComparison.Ordinal)), s.Samples }));
}
