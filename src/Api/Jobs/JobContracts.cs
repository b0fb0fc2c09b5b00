using System.Text.Json;
using System.Text.Json.Serialization;
using Gradus.Api.Operations;
using Gradus.Persistence;

namespace Gradus.Api.Jobs;

/// <summary>One stage to run by itself.</summary>
/// <param name="Stage">pretrain, sft, grpo, generate, select, rejection-sampling, evaluate or export.</param>
/// <param name="Options">The stage's options; names are TRL's where TRL has one. Models and datasets are ids (or a model's alias).</param>
/// <param name="Seed">What every draw derives from, 0 to 2^53; default 1. The same job with the same seed gives the same weights.</param>
/// <param name="Name">What to call its run, and the model or dataset it makes (NAME/STAGE), up to 200 characters; default the stage.</param>
/// <param name="MaxAttempts">Crashes in a row without a new checkpoint after which it has failed, 1 to 100; default 3.</param>
internal sealed record JobRequest(string Stage, JsonElement Options, long? Seed = null, string? Name = null, int? MaxAttempts = null);

/// <summary>One stage, queued, running or ended.</summary>
/// <param name="Object">Always <c>job</c>.</param>
/// <param name="RunId">The run it belongs to; a job made by POST /v1/jobs has one of its own.</param>
/// <param name="Name">The stage's name in its recipe.</param>
/// <param name="Options">As sent; <c>{"from":"STAGE"}</c> stands for what an earlier stage makes.</param>
/// <param name="Status">queued, running, paused, succeeded, failed or cancelled.</param>
/// <param name="StopRequested"><c>cancel</c> or <c>pause</c> while a running job has not yet stopped; else null.</param>
/// <param name="Attempt">Tries so far; each goes on from the last checkpoint.</param>
/// <param name="Crashes">Attempts in a row that died without a new checkpoint.</param>
/// <param name="Phase">What the attempt is doing or did last: rollout, forward, checkpoint, ...</param>
/// <param name="Step">Steps done.</param>
/// <param name="TotalSteps">Steps there will be; null before the first attempt knows.</param>
/// <param name="Devices">What it computes on while it runs.</param>
/// <param name="Model">The model it made; null before that, or where its stage makes none.</param>
/// <param name="Dataset">The dataset it made, likewise.</param>
/// <param name="Result">The closing figures by name.</param>
/// <param name="Error">Why it failed.</param>
/// <param name="Estimate">The memory it was expected to need at most, in bytes by what holds it, for rows of <c>row_tokens</c>; null where its model was not known when it was sent.</param>
internal sealed record JobContract(
    string Id, string Object, string RunId, string Name, string Stage, JsonElement Options, long Seed, string Status, string? StopRequested, int Attempt, int MaxAttempts, int Crashes,
    string? Phase, int Step, int? TotalSteps, IReadOnlyList<string> Devices, string? Model, string? Dataset, JsonElement? Result, JsonElement? Error, JsonElement? Estimate,
    long CreatedAt, long? StartedAt, long? FinishedAt)
{
    public static JobContract Of(Job job) => new(
        job.Id, "job", job.RunId, job.Name, job.Stage, job.Options, job.Seed, job.Status, job.StopRequested, job.Attempt, job.MaxAttempts, job.Crashes, job.Phase, job.Step, job.TotalSteps,
        job.LeaseDevices, job.ModelId, job.DatasetId, job.Result, job.Error, job.Estimate, Wire.Seconds(job.CreatedAt), Wire.Seconds(job.StartedAt), Wire.Seconds(job.FinishedAt));
}

/// <summary>A fact in a job's life.</summary>
/// <param name="Level">info, warning or error.</param>
internal sealed record JobEventContract(string Id, string Object, string JobId, int Attempt, string Level, string Message, long CreatedAt)
{
    public static JobEventContract Of(JobEvent entry) => new($"event_{entry.Id}", "job.event", entry.JobId, entry.Attempt, entry.Level, entry.Message, Wire.Seconds(entry.CreatedAt));
}

/// <summary>One number of one step.</summary>
/// <param name="Value">Null where it is not a finite number.</param>
internal sealed record MetricContract(string Object, string JobId, int Step, string Name, double? Value)
{
    public static IEnumerable<MetricContract> Of(StepMetrics step) =>
        step.Values.OrderBy(metric => metric.Key, StringComparer.Ordinal).Select(metric => new MetricContract("metric", step.JobId, step.Step, metric.Key, Finite(metric.Value)));

    public static double? Finite(double? value) => value is { } number && double.IsFinite(number) ? number : null;
}

/// <summary>One sampled completion.</summary>
/// <param name="Index">Its place in its step, from 0; the completions of a group are neighbours.</param>
/// <param name="Group">The place of its group in its step, from 0. Two groups of a step may have the same prompt.</param>
/// <param name="TokenCount">Tokens of the completion, the end token included.</param>
/// <param name="FinishReason"><c>stop</c> or <c>length</c>.</param>
/// <param name="Reward">The weighted sum of those that apply; null where none does.</param>
/// <param name="Advantage">The reward against its group; null outside of grpo.</param>
/// <param name="Rewards">Each raw reward by name; null where it does not apply.</param>
/// <param name="PolicyVersion">How many updates the weights had seen that wrote it.</param>
internal sealed record SampleContract(
    string Object, string JobId, int Step, int Index, int Group, string Prompt, string Completion, int TokenCount, string FinishReason, double? Reward, double? Advantage,
    IReadOnlyDictionary<string, double?> Rewards, int PolicyVersion)
{
    public static SampleContract Of(StepSample sample) => new(
        "sample", sample.JobId, sample.Step, sample.Index, sample.GroupIndex, sample.Prompt, sample.Completion, sample.TokenCount, sample.FinishReason, MetricContract.Finite(sample.Reward),
        MetricContract.Finite(sample.Advantage), sample.Rewards.ToDictionary(reward => reward.Name, reward => MetricContract.Finite(reward.Value)), sample.PolicyVersion);
}

/// <summary>A state that a job can be resumed from.</summary>
/// <param name="Id">The step, as the route to delete it takes it.</param>
/// <param name="Uri">Where it lies.</param>
internal sealed record CheckpointContract(string Id, string Object, string JobId, int Step, string Uri, long CreatedAt)
{
    public static CheckpointContract Of(Checkpoint checkpoint) =>
        new($"{checkpoint.Step}", "checkpoint", checkpoint.JobId, checkpoint.Step, checkpoint.Uri, Wire.Seconds(checkpoint.CreatedAt));
}

/// <summary>What a worker computes on.</summary>
/// <param name="Name">What a stage asks for in its option <c>device</c>: <c>cpu</c>, <c>cuda:0</c>, ...</param>
/// <param name="MemoryBytes">What a process there can ever have; null where unknown.</param>
/// <param name="FreeBytes">What it could have had at the last heartbeat; null where unknown.</param>
/// <param name="Bfloat16">Whether it multiplies bf16 by instructions of its own.</param>
/// <param name="JobId">The job that holds it; null while it is free.</param>
/// <param name="HeartbeatAt">When its worker last said that it is there.</param>
internal sealed record DeviceContract(string Id, string Object, string Host, string Name, long? MemoryBytes, long? FreeBytes, bool Bfloat16, string? JobId, long HeartbeatAt)
{
    public static DeviceContract Of((Device Device, string? JobId) row) =>
        new(row.Device.Id, "device", row.Device.Host, row.Device.Name, Known(row.Device.MemoryBytes), Known(row.Device.FreeBytes), row.Device.Bfloat16, row.JobId, Wire.Seconds(row.Device.HeartbeatAt));

    private static long? Known(long bytes) => bytes == 0 ? null : bytes;
}

/// <summary>Something was deleted.</summary>
internal sealed record DeletedContract(string Id, string Object, [property: JsonPropertyOrder(1)] bool Deleted = true);
