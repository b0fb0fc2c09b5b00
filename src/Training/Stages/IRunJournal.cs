namespace Gradus.Training.Stages;

/// <summary>
/// What a stage tells the world while it runs: the border to Postgres (src/Api) and to memory (tests, benches). Calls come from the training
/// thread, in order. A call that cannot be written because the job belongs to somebody else now throws <see cref="LeaseLostException"/>.
/// </summary>
public interface IRunJournal
{
    /// <summary>Says that the training thread is alive and in which phase; called often, costs nothing. A phase: rollout, reward, forward, checkpoint, ...</summary>
    void Progress(string phase);

    /// <summary>A fact worth a line in the job's events. Level: info, warning, error.</summary>
    void Event(string level, string message);

    /// <summary>The stage begins, or goes on, at a step: what stands for later steps is deleted. <paramref name="totalSteps"/> is for "step of steps".</summary>
    void Begin(int firstStep, int totalSteps);

    /// <summary>One step's metrics and samples, all or nothing; doing it again replaces them.</summary>
    void CommitStep(StepRecord step);

    /// <summary>A checkpoint folder is complete on disk; this makes it the one to resume from and forgets those beyond the retention (their folders may be deleted after).</summary>
    void CommitCheckpoint(CheckpointRecord checkpoint);

    /// <summary>Set when the stage should save a checkpoint at the next step's end and leave by <see cref="StageStoppedException"/> (pause, shutdown).</summary>
    bool StopRequested { get; }
}

/// <summary>Steps count from 1. A step of evaluate or generate is one batch; its final metrics stand at its last step.</summary>
public sealed record StepRecord(int Step, IReadOnlyList<Metric> Metrics, IReadOnlyList<Sample> Samples);

/// <summary>One number of one step; names are TRL's where TRL has one (docs/metrics.md).</summary>
public readonly record struct Metric(string Name, double Value);

/// <summary>One sampled completion as it is kept.</summary>
/// <param name="Index">Place in its step, from 0; a group's rollouts are neighbours.</param>
/// <param name="Group">Place of its group in its step, from 0. Two groups may have one prompt.</param>
/// <param name="FinishReason"><c>stop</c> (an end token or a stop text) or <c>length</c>.</param>
/// <param name="Rewards">Raw rewards by name; null where a reward does not apply.</param>
/// <param name="Reward">The weighted sum of those that apply; null where none does (unscored).</param>
public sealed record Sample(
    int Index, int Group, string Prompt, string Completion, int TokenCount, double? Reward, double? Advantage, string FinishReason, int PolicyVersion,
    IReadOnlyList<SampleReward> Rewards);

public readonly record struct SampleReward(string Name, double? Value);

/// <summary>A resumable state on disk: everything up to and with <paramref name="Step"/> is in it.</summary>
public sealed record CheckpointRecord(int Step, string Uri);

/// <summary>The stage left after a checkpoint because it was asked to; the job is not done and not failed.</summary>
public sealed class StageStoppedException() : Exception("The stage stopped after a checkpoint, as asked.");

/// <summary>Another attempt owns the job: this one must write nothing more.</summary>
public sealed class LeaseLostException(string jobId) : Exception($"The lease of {jobId} is lost: another attempt owns the job.");
