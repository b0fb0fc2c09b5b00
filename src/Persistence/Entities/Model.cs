using System.Text.Json;

namespace Gradus.Persistence;

/// <summary>A folder in Hugging Face layout, and where it came from.</summary>
public sealed class Model
{
    public required string Id { get; init; }

    public required string Name { get; set; }

    /// <summary>Absolute path of the folder.</summary>
    public required string Folder { get; set; }

    /// <summary>The job that made it; null for built-in and imported ones.</summary>
    public string? JobId { get; set; }

    /// <summary>A JSON object: family, parameters, run, stage, ...</summary>
    public JsonElement Details { get; set; } = JsonElement.Parse("{}");

    public bool BuiltIn { get; set; }

    public DateTimeOffset CreatedAt { get; init; }
}
