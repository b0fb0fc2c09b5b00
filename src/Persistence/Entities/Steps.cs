namespace Gradus.Persistence;

/// <summary>One number of one step of a job.</summary>
public sealed class StepMetric
{
    public required string JobId { get; init; }

    public required int Step { get; init; }

    public required string Name { get; init; }

    public required double Value { get; init; }
}

/// <summary>One sampled completion of one step of a job.</summary>
public sealed class StepSample
{
    public required string JobId { get; init; }

    public required int Step { get; init; }

    /// <summary>Place in its step, from 0.</summary>
    public required int Index { get; init; }

    /// <summary>Place of its group in its step, from 0.</summary>
    public required int GroupIndex { get; init; }

    public required string Prompt { get; init; }

    public required string Completion { get; init; }

    public required int TokenCount { get; init; }

    public double? Reward { get; init; }

    public double? Advantage { get; init; }

    public required string FinishReason { get; init; }

    public required int PolicyVersion { get; init; }

    /// <summary>By name.</summary>
    public List<StepReward> Rewards { get; init; } = [];
}

/// <summary>One raw reward of one sample; null where it does not apply.</summary>
public sealed class StepReward
{
    public required string JobId { get; init; }

    public required int Step { get; init; }

    public required int Index { get; init; }

    public required string Name { get; init; }

    public double? Value { get; init; }
}

/// <summary>A resumable state of a job: everything up to and with <see cref="Step"/> is in it.</summary>
public sealed class Checkpoint
{
    public required string JobId { get; init; }

    public required int Step { get; init; }

    public required string Uri { get; init; }

    public DateTimeOffset CreatedAt { get; init; }
}
