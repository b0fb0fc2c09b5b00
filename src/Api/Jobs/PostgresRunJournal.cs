using System.Text.Json;
using Gradus.Persistence;
using Gradus.Training.Stages;

namespace Gradus.Api.Jobs;

/// <summary>
/// The journal of one attempt in Postgres. Every write goes under the attempt's stamp; one that finds the stamp stale ends the attempt. A database that is
/// away stops the training thread here until it answers again.
/// </summary>
internal sealed class PostgresRunJournal(RunStore store, JobLease lease, LeaseKeeper keeper, StageRequest request) : IRunJournal
{
    private volatile bool stopRequested;

    public bool StopRequested => stopRequested;

    public void RequestStop() => stopRequested = true;

    public void Progress(string phase) => keeper.Progress(phase);

    public void Event(string level, string message) => Held(Outlast(() => lease.EventAsync(level, message, CancellationToken.None)));

    public void Begin(int firstStep, int totalSteps) =>
        Held(Outlast(() => store.BeginAsync(lease.JobId, lease.Stamp, firstStep, totalSteps, CancellationToken.None)));

    public void CommitStep(StepRecord step)
    {
        keeper.Progress(keeper.Phase);
        var metrics = step.Metrics.Select(metric => new StepMetric { JobId = lease.JobId, Step = step.Step, Name = metric.Name, Value = metric.Value }).ToArray();
        var samples = step.Samples.Select(sample => Row(step.Step, sample)).ToArray();
        // If we stop here: the step is lost; the next attempt goes back to its checkpoint and does the step again, to the same rows.
        KillPoint.Pass("step-before-commit");
        var replaced = Outlast(() => store.CommitStepAsync(lease.JobId, lease.Stamp, step.Step, metrics, samples, CancellationToken.None)) ?? throw new LeaseLostException(lease.JobId);
        // If we stop here: the step stands without its checkpoint; the next attempt deletes the steps after its checkpoint and does them again.
        KillPoint.Pass("step-after-commit");
        if (replaced > 0) Event("warning", $"Step {step.Step}: {replaced} characters of the samples were replaced, because the database cannot hold them (U+0000 and halves of surrogate pairs).");
    }

    public void CommitCheckpoint(CheckpointRecord checkpoint)
    {
        keeper.Progress("checkpoint");
        // If we stop here: the folder is whole but no row names it; the next attempt goes on from the checkpoint before it.
        KillPoint.Pass("checkpoint-before-row");
        var forgotten = Outlast(() => store.CommitCheckpointAsync(lease.JobId, lease.Stamp, checkpoint.Step, checkpoint.Uri, Keep(request.Options), CancellationToken.None))
            ?? throw new LeaseLostException(lease.JobId);
        // If we stop here: folders that no row names stay on disk; they cost space and nothing else.
        KillPoint.Pass("checkpoint-before-delete");
        foreach (var uri in forgotten) CheckpointFolders.Delete(request.Folder, uri);
    }

    private static int Keep(JsonElement options) =>
        options.ValueKind == JsonValueKind.Object && options.TryGetProperty("save_total_limit", out var limit) && limit.TryGetInt32(out var keep) ? Math.Max(1, keep) : 2;

    private StepSample Row(int step, Sample sample) => new()
    {
        JobId = lease.JobId, Step = step, Index = sample.Index, GroupIndex = sample.Group, Prompt = sample.Prompt, Completion = sample.Completion, TokenCount = sample.TokenCount, Reward = sample.Reward,
        Advantage = sample.Advantage, FinishReason = sample.FinishReason, PolicyVersion = sample.PolicyVersion,
        Rewards = [.. sample.Rewards.Select(reward => new StepReward { JobId = lease.JobId, Step = step, Index = sample.Index, Name = reward.Name, Value = reward.Value })],
    };

    private void Held(bool written)
    {
        if (!written) throw new LeaseLostException(lease.JobId);
    }

    /// <summary>On the training thread, which has nothing else to do meanwhile; waiting for the database is no hang.</summary>
    private T Outlast<T>(Func<Task<T>> write)
    {
        var phase = keeper.Phase;
        var result = DatabaseAway.OutlastAsync(write, problem =>
        {
            if (keeper.Phase != "database") Console.Error.WriteLine("The database is away; waiting for it: " + problem.Message);
            keeper.Progress("database");
        }, CancellationToken.None).GetAwaiter().GetResult();
        keeper.Progress(phase);
        return result;
    }
}
