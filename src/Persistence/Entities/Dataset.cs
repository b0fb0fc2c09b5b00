using System.Text.Json;

namespace Gradus.Persistence;

/// <summary>Rows in a fixed order; they never change once the dataset exists.</summary>
public sealed class Dataset
{
    public required string Id { get; init; }

    public required string Name { get; set; }

    public required int RowCount { get; set; }

    /// <summary>How long the upload was, in bytes, which are kept as they came; null where it was none.</summary>
    public long? ByteCount { get; set; }

    public string? JobId { get; set; }

    public bool BuiltIn { get; set; }

    public DateTimeOffset CreatedAt { get; init; }
}

public sealed class DatasetRow
{
    public required string DatasetId { get; init; }

    /// <summary>Place in the dataset, from 0.</summary>
    public required int Index { get; init; }

    public required JsonElement Content { get; init; }
}
