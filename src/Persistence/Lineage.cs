using System.Text.Json;
using Npgsql;

namespace Gradus.Persistence;

/// <summary>Where a model comes from: what it was made of, by which jobs.</summary>
public static class Lineage
{
    /// <summary>The model and those it was made of, one after the other, as far back as their rows are there; at most 64.</summary>
    public static async Task<IReadOnlyList<Ancestor>> ReadAsync(NpgsqlDataSource source, string id, CancellationToken cancellationToken)
    {
        await using var connection = await source.OpenConnectionAsync(cancellationToken);
        return await connection.Statement("""
            with recursive chain as (
                select id, 0 as depth from models where id = $1
                union all
                select p.id, c.depth + 1 from chain c join models m on m.id = c.id join models p on p.id = m.details ->> 'parent' and p.id <> m.id where c.depth < 63)
            select m.id, m.name, m.details, j.id, j.stage, j.seed, j.options, j.result, r.id, r.name, r.recipe ->> 'name'
            from chain c join models m on m.id = c.id left join jobs j on j.id = m.job_id left join runs r on r.id = j.run_id order by c.depth
            """, id).ListAsync(reader => new Ancestor(
                reader.GetString(0), reader.GetString(1), JsonElement.Parse(reader.GetString(2)), reader.NullableString(3), reader.NullableString(4), reader.IsDBNull(5) ? null : reader.GetInt64(5),
                Json(reader, 6), Json(reader, 7), reader.NullableString(8), reader.NullableString(9), reader.NullableString(10)), cancellationToken);

        static JsonElement? Json(NpgsqlDataReader reader, int column) => reader.NullableString(column) is { } text ? JsonElement.Parse(text) : null;
    }
}

/// <summary>One model of a lineage, and the job that made it.</summary>
/// <param name="JobId">Null for built-in and imported ones, and so are the job's fields.</param>
/// <param name="Options">The stage's options as they were queued.</param>
/// <param name="Result">The job's closing figures.</param>
/// <param name="Recipe">The name of the recipe; null for a job by itself.</param>
public sealed record Ancestor(
    string ModelId, string Name, JsonElement Details, string? JobId, string? Stage, long? Seed, JsonElement? Options, JsonElement? Result, string? RunId, string? RunName, string? Recipe);
