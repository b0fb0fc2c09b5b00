using Gradus.Persistence;

namespace Gradus.Api.Jobs;

/// <summary>How far a job is, as the progress streams send it.</summary>
/// <param name="Object">Always <c>progress</c>.</param>
/// <param name="JobId">The job this is about; in a run's stream the one that runs, or the last that ended.</param>
/// <param name="Status">The job's status.</param>
/// <param name="RunStatus">The run's status.</param>
/// <param name="Position">The job's place in its run, from 0.</param>
/// <param name="Stages">How many jobs the run has.</param>
/// <param name="Metrics">The numbers of the step, by name.</param>
/// <param name="SecondsLeft">Until the job's last step, by the mean of its newest steps' step_time; null where nothing is known yet or it does not run.</param>
/// <param name="Error">Why it failed.</param>
internal sealed record ProgressContract(
    string Object, string RunId, string JobId, string Name, string Stage, string Status, string RunStatus, int Position, int Stages, string? Phase, int Step, int? TotalSteps,
    IReadOnlyDictionary<string, double?> Metrics, double? SecondsLeft, System.Text.Json.JsonElement? Error)
{
    public static ProgressContract Of(Run run, Job job, StepMetrics? metrics, double? secondsLeft) => new(
        "progress", run.Id, job.Id, job.Name, job.Stage, job.Status, RunContract.StatusOf(run.Jobs), job.Position, run.Jobs.Count, job.Phase, metrics?.Step ?? job.Step, job.TotalSteps,
        metrics?.Values.ToDictionary(metric => metric.Key, metric => MetricContract.Finite(metric.Value)) ?? [], secondsLeft, job.Error);
}

/// <summary>
/// Where a stream is: job's place, last step sent, its status and what else it shows. It is the event's id, and what Last-Event-ID brings back.
/// </summary>
internal sealed record ProgressPlace(int Position, int Step, string Status)
{
    public override string ToString() => $"{Position}-{Step}-{Status}";

    public static ProgressPlace? Parse(string text) =>
        text.Split('-') is [var position, var step, var status] && int.TryParse(position, out var place) && int.TryParse(step, out var number) && status.Length is > 0 and < 20
            ? new ProgressPlace(place, number, status) : null;
}
