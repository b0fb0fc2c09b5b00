namespace Gradus.Persistence;

/// <summary>What a job computes on. Its id is HOST/cpu or HOST/cuda:N.</summary>
public sealed class Device
{
    public required string Id { get; init; }

    public required string Host { get; set; }

    public required string Name { get; set; }

    /// <summary>What a process there can ever have; 0 where unknown.</summary>
    public required long MemoryBytes { get; set; }

    /// <summary>What it could have had at the last heartbeat; 0 where unknown.</summary>
    public required long FreeBytes { get; set; }

    /// <summary>Whether it multiplies bf16 by instructions of its own.</summary>
    public required bool Bfloat16 { get; set; }

    public DateTimeOffset HeartbeatAt { get; set; }
}
