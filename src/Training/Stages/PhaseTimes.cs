using System.Diagnostics;

namespace Gradus.Training.Stages;

/// <summary>How long each phase of a step took, told by the same calls that say the stage lives. On a GPU a phase ends where its work is queued, and who waits for it pays.</summary>
internal sealed class PhaseTimes
{
    /// <summary>The phases that are metrics. A phase without time in a step has none there.</summary>
    private static readonly string[] shown = ["weights", "rollout", "reward", "reference", "forward", "backward", "optimizer", "checkpoint", "journal"];

    private readonly Dictionary<string, TimeSpan> spent = [];
    private long since = Stopwatch.GetTimestamp();
    private string phase = "start";

    /// <summary>Ends the phase before.</summary>
    public void Enter(string next)
    {
        var now = Stopwatch.GetTimestamp();
        spent[phase] = spent.GetValueOrDefault(phase) + Stopwatch.GetElapsedTime(since, now);
        (phase, since) = (next, now);
    }

    /// <summary>Seconds by phase since the last call.</summary>
    public IReadOnlyList<Metric> Take()
    {
        Enter(phase);
        Metric[] metrics = [.. shown.Where(spent.ContainsKey).Select(name => new Metric($"time/{name}", spent[name].TotalSeconds))];
        spent.Clear();
        return metrics;
    }
}
