namespace Gradus.Persistence;

/// <summary>What a job computes on. Its id is HOST/cpu or HOST/cuda:N.</summary>
public sealed class Device
{
    public required string Id { get; init; }

    public required string Host { get; set; }

    public required string Name { get; set; }

    public required long MemoryBytes { get; set; }

    public DateTimeOffset HeartbeatAt { get; set; }
}
