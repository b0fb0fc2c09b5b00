using System.Text.Json;

namespace Gradus.Persistence;

/// <summary>One execution of a recipe: jobs in order.</summary>
public sealed class Run
{
    public required string Id { get; init; }

    public required string Name { get; set; }

    public required JsonElement Recipe { get; init; }

    public required long Seed { get; init; }

    public DateTimeOffset CreatedAt { get; init; }

    public List<Job> Jobs { get; init; } = [];
}
