using System.Text.Json;

namespace Gradus.Api.Demo;

/// <summary>The newest figures of one job, gathered from its metrics as they come.</summary>
internal sealed class StageFigures
{
    /// <summary>Asked of the service, by their names in docs/metrics.md.</summary>
    public const string Names = "reward,pass_rate,completions/mean_length,loss,step_time,num_tokens,rollout_tokens_per_second";

    /// <summary>Speed and time left are means over this many of the newest steps.</summary>
    public const int Window = 20;

    private readonly Dictionary<string, double> newest = [];
    private readonly Queue<(double Seconds, double Tokens)> recent = [];

    /// <summary>The last step whose metrics were read; the next question asks for those after it.</summary>
    public int LastStep { get; private set; } = -1;

    public double? this[string name] => newest.TryGetValue(name, out var value) ? value : null;

    /// <summary>Of the whole step where it trains (rollouts and update together), of sampling where it only samples.</summary>
    public double? TokensPerSecond =>
        recent.Count > 1 && recent.Last().Tokens > recent.Peek().Tokens ? (recent.Last().Tokens - recent.Peek().Tokens) / recent.Skip(1).Sum(step => step.Seconds)
        : newest.ContainsKey("num_tokens") ? null : this["rollout_tokens_per_second"];

    /// <summary>Seconds until the last step at the present pace; null while it is not known.</summary>
    public double? SecondsLeft(JobView job) =>
        job.TotalSteps is { } total && recent.Count > 0 && newest.ContainsKey("step_time") ? Math.Max(0, total - job.Step) * recent.Average(step => step.Seconds) : null;

    /// <param name="rows">Entries of <c>/v1/jobs/{id}/metrics</c>: step, name, value; ascending by step.</param>
    public void Add(IEnumerable<JsonElement> rows)
    {
        foreach (var step in rows.GroupBy(row => row.GetProperty("step").GetInt32()))
        {
            foreach (var row in step)
            {
                if (row.GetProperty("value").ValueKind == JsonValueKind.Number) newest[row.GetProperty("name").GetString()!] = row.GetProperty("value").GetDouble();
            }
            recent.Enqueue((this["step_time"] ?? 0, this["num_tokens"] ?? 0));
            if (recent.Count > Window) recent.Dequeue();
            LastStep = step.Key;
        }
    }
}
