using System.Diagnostics;
using System.Text.Json;
using Gradus.Training.Stages;

namespace Gradus.Recipes;

/// <summary>Prints every few steps, and the first sample of the first and of the last; writes all metrics of every step into a file, a line of JSON each.</summary>
/// <param name="file">Holds seconds since the start as <c>wall</c>, the step, and the metrics by name.</param>
internal sealed class ConsoleJournal(string stage, int every, string file) : IRunJournal
{
    private static readonly string[] shown =
    [
        "loss", "reward", "pass_rate", "rewards/format/mean", "frac_reward_zero_std", "completions/mean_length", "completions/phrases/checks", "completions/language_share",
        "completions/clipped_ratio", "entropy", "grad_norm", "accepted", "train_tokens_per_second", "rollout_tokens_per_second", "memory/peak_bytes", "sampling/sampling_logp_difference/max", "step_time",
    ];

    private readonly Stopwatch clock = Stopwatch.StartNew();
    private int total;

    public bool StopRequested => false;

    public void Progress(string phase)
    {
    }

    public void Event(string level, string message) => Console.WriteLine($"{stage}: {level}: {message}");

    public void Begin(int firstStep, int totalSteps)
    {
        total = totalSteps;
        if (firstStep == 1) File.Delete(file);
    }

    public void CommitStep(StepRecord step)
    {
        var all = step.Metrics.Select(m => (m.Name, m.Value)).Prepend(("step", step.Step)).Prepend(("wall", clock.Elapsed.TotalSeconds));
        File.AppendAllText(file, JsonSerializer.Serialize(all.ToDictionary(m => m.Item1, m => m.Item2)) + "\n");
        if (step.Step != 1 && step.Step != total && step.Step % every != 0) return;
        var values = step.Metrics.Where(m => shown.Contains(m.Name) || m.Name.StartsWith("time/", StringComparison.Ordinal)).Select(m => $"{m.Name.Split('/')[^1]} {m.Value:0.###}");
        Console.WriteLine($"{stage} {step.Step}/{total} {clock.Elapsed.TotalSeconds:F1} s  {string.Join("  ", values)}");
        if (step.Samples.Count > 0 && (step.Step == 1 || step.Step == total)) Console.WriteLine($"    {step.Samples[0].Prompt}{step.Samples[0].Completion}   [{step.Samples[0].Reward}]");
    }

    public void CommitCheckpoint(CheckpointRecord checkpoint)
    {
    }
}
