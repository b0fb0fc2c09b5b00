using System.Text.Json;
using Gradus.Api.Operations;
using Gradus.Persistence;

namespace Gradus.Api.Datasets;

/// <summary>A dataset sent as JSON; larger ones are uploaded as JSONL.</summary>
/// <param name="Name">What to call it, 1 to 200 characters.</param>
/// <param name="Rows">One object each: <c>{"prompt","answer"}</c>, <c>{"prompt","completion"}</c>, <c>{"messages":[...]}</c> or <c>{"text"}</c>; all of one form.</param>
/// <param name="Map">For rows of another form: a row as it should be, with <c>{"field":"NAME"}</c> where a field's text belongs.</param>
internal sealed record DatasetRequest(string Name, JsonElement Rows, JsonElement? Map = null);

/// <summary>Rows in a fixed order; they never change.</summary>
/// <param name="Object">Always <c>dataset</c>.</param>
/// <param name="ByteCount">The upload's size, whose bytes are kept (GET /v1/datasets/{id}/content); null where it was none.</param>
/// <param name="JobId">The job that made it; null for built-in and uploaded ones.</param>
internal sealed record DatasetContract(string Id, string Object, string Name, int RowCount, long? ByteCount, string? JobId, bool BuiltIn, long CreatedAt)
{
    public static DatasetContract Of(Dataset dataset) =>
        new(dataset.Id, "dataset", dataset.Name, dataset.RowCount, dataset.ByteCount, dataset.JobId, dataset.BuiltIn, Wire.Seconds(dataset.CreatedAt));
}

/// <summary>One row.</summary>
/// <param name="Index">Its place, from 0.</param>
/// <param name="Content">The object as it was sent.</param>
internal sealed record DatasetRowContract(string Object, int Index, JsonElement Content)
{
    public static DatasetRowContract Of(DatasetRow row) => new("dataset.row", row.Index, row.Content);
}
