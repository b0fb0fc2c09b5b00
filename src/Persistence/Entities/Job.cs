using System.Text.Json;

namespace Gradus.Persistence;

/// <summary>One stage of a run, queued. Its lease says which attempt may write for it.</summary>
public sealed class Job
{
    public required string Id { get; init; }

    public required string RunId { get; init; }

    /// <summary>Place in its run, from 0.</summary>
    public required int Position { get; init; }

    /// <summary>The stage's name in the recipe.</summary>
    public required string Name { get; init; }

    public required string Stage { get; init; }

    /// <summary>As sent: references are unresolved.</summary>
    public required JsonElement Options { get; init; }

    public required long Seed { get; init; }

    /// <summary>One of <see cref="JobStatus"/>.</summary>
    public string Status { get; set; } = JobStatus.Queued;

    /// <summary>Tries so far, each going on from the last checkpoint.</summary>
    public int Attempt { get; set; }

    /// <summary>Attempts in a row that died without a new checkpoint; at <see cref="MaxAttempts"/> the job fails.</summary>
    public int Crashes { get; set; }

    /// <summary>The attempt that holds the lease has made a checkpoint.</summary>
    public bool Progressed { get; set; }

    public int MaxAttempts { get; init; } = 3;

    public string? LeaseOwner { get; set; }

    /// <summary>Grows with every claim; every write of an attempt presents it.</summary>
    public long LeaseStamp { get; set; }

    /// <summary>By the database's clock.</summary>
    public DateTimeOffset? LeaseExpiresAt { get; set; }

    public string[] LeaseDevices { get; set; } = [];

    /// <summary><c>cancel</c>, <c>pause</c> or null.</summary>
    public string? StopRequested { get; set; }

    public string? Phase { get; set; }

    public int Step { get; set; }

    public int? TotalSteps { get; set; }

    /// <summary>The model it made.</summary>
    public string? ModelId { get; set; }

    /// <summary>The dataset it made.</summary>
    public string? DatasetId { get; set; }

    /// <summary>The stage's closing figures by name.</summary>
    public JsonElement? Result { get; set; }

    /// <summary><c>{"phase","message"}</c> of a failed job.</summary>
    public JsonElement? Error { get; set; }

    /// <summary>What it was expected to need when it was sent: bytes by what holds them.</summary>
    public JsonElement? Estimate { get; init; }

    public DateTimeOffset CreatedAt { get; init; }

    public DateTimeOffset? StartedAt { get; set; }

    public DateTimeOffset? FinishedAt { get; set; }

    public Run? Run { get; init; }
}

/// <summary>A fact in a job's life, for people.</summary>
public sealed class JobEvent
{
    public long Id { get; init; }

    public required string JobId { get; init; }

    public required int Attempt { get; init; }

    /// <summary>info, warning, error.</summary>
    public required string Level { get; init; }

    public required string Message { get; init; }

    public DateTimeOffset CreatedAt { get; init; }
}

public static class JobStatus
{
    public const string Queued = "queued";
    public const string Running = "running";
    public const string Paused = "paused";
    public const string Succeeded = "succeeded";
    public const string Failed = "failed";
    public const string Cancelled = "cancelled";
}
