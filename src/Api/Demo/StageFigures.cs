using System.Text.Json;

namespace Gradus.Api.Demo;

/// <summary>The newest figures of one job, gathered from its metrics as they come.</summary>
internal sealed class StageFigures
{
    /// <summary>Asked of the service, by their names in docs/metrics.md.</summary>
    public const string Names = "reward,rewards/accuracy/mean,completions/mean_length,loss,step_time,step_tokens";

    /// <summary>Speed and time left are means over this many of the newest steps.</summary>
    private const int Window = 20;

    private readonly Dictionary<string, double> newest = [];
    private readonly Queue<(double Seconds, double Tokens)> recent = [];

    /// <summary>The last step whose metrics were read; the next question asks for those after it.</summary>
    public int LastStep { get; private set; }

    public double? this[string name] => newest.TryGetValue(name, out var value) ? value : null;

    public double? TokensPerSecond => Seconds > 0 && Tokens > 0 ? Tokens / Seconds : null;

    private double Seconds => recent.Sum(step => step.Seconds);

    private double Tokens => recent.Sum(step => step.Tokens);

    /// <summary>Seconds until the last step at the present pace; null before the first.</summary>
    public double? SecondsLeft(JobView job) =>
        job.TotalSteps is { } total && recent.Count > 0 ? Math.Max(0, total - job.Step) * Seconds / recent.Count : null;

    /// <param name="rows">Entries of <c>/v1/jobs/{id}/metrics</c>: step, name, value; ascending by step.</param>
    public void Add(IEnumerable<JsonElement> rows)
    {
        foreach (var step in rows.GroupBy(row => row.GetProperty("step").GetInt32()))
        {
            var values = step.ToDictionary(row => row.GetProperty("name").GetString()!, row => row.GetProperty("value").GetDouble());
            foreach (var (name, value) in values) newest[name] = value;
            recent.Enqueue((values.GetValueOrDefault("step_time"), values.GetValueOrDefault("step_tokens")));
            if (recent.Count > Window) recent.Dequeue();
            LastStep = step.Key;
        }
    }
}
