using Npgsql;

namespace Gradus.Persistence;

/// <summary>What became of the wish to delete a model or a dataset.</summary>
/// <param name="BuiltIn">It belongs to the service and stays.</param>
/// <param name="UsedBy">A job that has not ended and names it, or follows in the run that made it; it stays.</param>
/// <param name="BaseOf">An adapter that is laid on it; it stays.</param>
/// <param name="Folder">A deleted model's folder, to be deleted now.</param>
public sealed record Deletion(bool Found, bool BuiltIn, string? UsedBy, string? BaseOf, string? Folder)
{
    /// <param name="table">models or datasets.</param>
    /// <param name="product">The column of jobs that says what a job made: model_id or dataset_id.</param>
    /// <param name="names">By what options may name it.</param>
    internal static async Task<Deletion> RunAsync(NpgsqlConnection connection, string table, string product, string id, string[] names, CancellationToken cancellationToken)
    {
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        var folder = table == "models" ? "folder" : "''";
        var found = await connection.Statement($"select built_in, {folder} from {table} where id = $1 for update", id)
            .ListAsync(reader => (BuiltIn: reader.GetBoolean(0), Folder: reader.GetString(1)), cancellationToken);
        if (found is not [var row]) return new Deletion(false, false, null, null, null);
        if (row.BuiltIn) return new Deletion(true, true, null, null, null);
        // A later stage refers to what its run made by {"from":...}, everything else by a JSON string with the name.
        var users = await connection.Statement($"""
            select j.id from jobs j where j.status in ('queued', 'running', 'paused')
                and (exists (select 1 from unnest($2::text[]) name where strpos(j.options::text, to_json(name)::text) > 0)
                    or exists (select 1 from jobs maker where maker.run_id = j.run_id and maker.{product} = $1))
            limit 1
            """, id, names).ListAsync(reader => reader.GetString(0), cancellationToken);
        if (users is [var user]) return new Deletion(true, false, user, null, null);
        // After the jobs: one that ends meanwhile is either seen running there, or what it made is seen here.
        var adapters = table == "models" ? await connection.Statement("select id from models where details ->> 'base' = $1 limit 1", id).ListAsync(reader => reader.GetString(0), cancellationToken) : [];
        if (adapters is [var adapter]) return new Deletion(true, false, null, adapter, null);
        await connection.Statement($"delete from {table} where id = $1", id).ExecuteAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return new Deletion(true, false, null, null, row.Folder);
    }
}

/// <summary>Held until the transaction ends, so that processes that start together make what is built in once.</summary>
internal static class BuiltInLock
{
    private const long Key = 0x6772616475730002; // "gradus", 2

    public static Task TakeAsync(NpgsqlConnection connection, CancellationToken cancellationToken) => connection.Statement("select pg_advisory_xact_lock($1)", Key).ExecuteAsync(cancellationToken);
}
