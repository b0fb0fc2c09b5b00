using System.Text.Json;
using Gradus.Training.Stages;

namespace Gradus.Training.Tests.Stages;

/// <summary>A journal that outlives its process: a file for each step, and one for each checkpoint.</summary>
internal sealed class FileJournal(string folder) : IRunJournal
{
    public bool StopRequested => false;

    public IEnumerable<StepRecord> Steps => Files("step").Select(file => JsonSerializer.Deserialize<StepRecord>(File.ReadAllText(file))!);

    public IReadOnlyList<CheckpointRecord> Checkpoints => [.. Files("checkpoint").Reverse().Select(file => JsonSerializer.Deserialize<CheckpointRecord>(File.ReadAllText(file))!)];

    public void Progress(string phase)
    {
    }

    public void Event(string level, string message) => File.AppendAllText(Path.Combine(folder, "events"), message + "\n");

    public void Begin(int firstStep, int totalSteps)
    {
        foreach (var file in Files("step").Where(file => int.Parse(Path.GetExtension(file)[1..]) >= firstStep).ToArray()) File.Delete(file);
    }

    public void CommitStep(StepRecord step) => File.WriteAllText(Path.Combine(folder, $"step.{step.Step:D4}"), JsonSerializer.Serialize(step));

    public void CommitCheckpoint(CheckpointRecord checkpoint) => File.WriteAllText(Path.Combine(folder, $"checkpoint.{checkpoint.Step:D4}"), JsonSerializer.Serialize(checkpoint));

    private IEnumerable<string> Files(string kind) => Directory.EnumerateFiles(folder, kind + ".*").Order(StringComparer.Ordinal);
}
