using System.Text.Json;
using Gradus.Persistence;
using Gradus.Training;
using Gradus.Training.Stages;
using Npgsql;

namespace Gradus.Api.Jobs;

/// <summary>Models and datasets as a stage finds them. Read before the first step; a database that is away is waited for.</summary>
internal sealed class PostgresCatalog(NpgsqlDataSource database, Action<Exception> waiting) : ICatalog
{
    public string ModelFolder(string id) => Outlast(async () =>
    {
        await using var command = database.CreateCommand("select folder from models where id = $1");
        command.Parameters.Add(new() { Value = id });
        return (string?)await command.ExecuteScalarAsync();
    }) ?? throw new InvalidInputException($"There is no model '{id}'.", "model", "unknown_value");

    public IReadOnlyList<JsonElement> Rows(string id) => Outlast(async () =>
    {
        await using var connection = await database.OpenConnectionAsync();
        await using var known = new NpgsqlCommand("select row_count from datasets where id = $1", connection) { Parameters = { new() { Value = id } } };
        if (await known.ExecuteScalarAsync() is not int count) return null;
        List<JsonElement> rows = new(count);
        await using var command = new NpgsqlCommand("select content from dataset_rows where dataset_id = $1 order by index", connection) { Parameters = { new() { Value = id } } };
        await using var reader = await command.ExecuteReaderAsync();
        while (await reader.ReadAsync()) rows.Add(JsonElement.Parse(reader.GetString(0)));
        return rows;
    }) ?? throw new InvalidInputException($"There is no dataset '{id}'.", "dataset", "unknown_value");

    public ModelOrigin? Origin(string id)
    {
        var lineage = Outlast(async () => await Lineage.ReadAsync(database, id, CancellationToken.None));
        static JsonElement? Field(JsonElement details, string name) => details.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
        if (lineage.Count == 0) return null;
        return new(lineage[0].Name, lineage.Select(one => Field(one.Details, "license")?.ToString()).FirstOrDefault(license => license is not null),
            [.. lineage.Select(one => new OriginStep(one.ModelId, one.Name, one.Stage, one.Recipe, one.RunId, one.Seed, one.Options, one.Result, Field(one.Details, "source")))]);
    }

    private T Outlast<T>(Func<Task<T>> read) => DatabaseAway.OutlastAsync(read, waiting, CancellationToken.None).GetAwaiter().GetResult();
}
