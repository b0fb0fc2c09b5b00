using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using Npgsql;

namespace Gradus.Persistence;

/// <summary>
/// Brings a database to this version's schema: the numbered files of migrations/, in order, each in its own transaction, under an advisory lock so that
/// services that start together do it once. Forward only. A file that was applied and then changed is refused, and so is a database newer than this version.
/// </summary>
public sealed class Migrator(NpgsqlDataSource database)
{
    private const long LockKey = 0x6772616475730001; // "gradus", 1

    /// <returns>The names of the files applied now.</returns>
    /// <exception cref="InvalidOperationException">The database and the files of this version contradict each other; nothing was changed.</exception>
    public Task<IReadOnlyList<string>> ApplyAsync(CancellationToken cancellationToken) => ApplyAsync(Embedded(), cancellationToken);

    internal async Task<IReadOnlyList<string>> ApplyAsync(IReadOnlyList<MigrationFile> files, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        // Held by the session: it goes with the connection, however this process ends.
        await Execute(connection, $"select pg_advisory_lock({LockKey})", cancellationToken);
        try
        {
            await Execute(connection, "create table if not exists schema_migrations (name text primary key, hash text not null, applied_at timestamptz not null default now())", cancellationToken);
            var applied = await Applied(connection, cancellationToken);
            Check(files, applied);
            List<string> made = [];
            foreach (var file in files.Where(file => !applied.ContainsKey(file.Name)))
            {
                await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
                await Execute(connection, file.Sql, cancellationToken);
                await using var note = new NpgsqlCommand("insert into schema_migrations (name, hash) values ($1, $2)", connection)
                {
                    Parameters = { new() { Value = file.Name }, new() { Value = file.Hash } },
                };
                await note.ExecuteNonQueryAsync(cancellationToken);
                await transaction.CommitAsync(cancellationToken);
                made.Add(file.Name);
            }

            return made;
        }
        finally
        {
            await Execute(connection, $"select pg_advisory_unlock({LockKey})", CancellationToken.None);
        }
    }

    private static void Check(IReadOnlyList<MigrationFile> files, Dictionary<string, string> applied)
    {
        foreach (var (name, hash) in applied)
        {
            var file = files.FirstOrDefault(file => file.Name == name)
                ?? throw new InvalidOperationException($"The database has the migration {name}, which this version does not know: it was made by a newer version.");
            if (file.Hash != hash)
                throw new InvalidOperationException($"The migration {name} was changed after it was applied to this database (then {hash[..12]}, now {file.Hash[..12]}). Restore the file and put the change into a new one.");
        }

        var last = applied.Keys.Max(StringComparer.Ordinal);
        if (last is not null && files.FirstOrDefault(file => !applied.ContainsKey(file.Name) && string.CompareOrdinal(file.Name, last) < 0) is { } late)
            throw new InvalidOperationException($"The migration {late.Name} comes before {last}, which is already applied: give it a higher number.");
    }

    private static IReadOnlyList<MigrationFile> Embedded()
    {
        var assembly = Assembly.GetExecutingAssembly();
        return [.. assembly.GetManifestResourceNames().Where(name => name.StartsWith("migrations/", StringComparison.Ordinal)).Order(StringComparer.Ordinal).Select(name =>
        {
            using var reader = new StreamReader(assembly.GetManifestResourceStream(name)!, Encoding.UTF8);
            return new MigrationFile(name["migrations/".Length..], reader.ReadToEnd());
        })];
    }

    private static async Task<Dictionary<string, string>> Applied(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand("select name, hash from schema_migrations", connection);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        Dictionary<string, string> applied = [];
        while (await reader.ReadAsync(cancellationToken)) applied[reader.GetString(0)] = reader.GetString(1);
        return applied;
    }

    private static async Task Execute(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }
}

/// <param name="Name">File name, which is also the order.</param>
internal sealed record MigrationFile(string Name, string Sql)
{
    /// <summary>SHA-256 of the text with line feeds alone, in hexadecimal.</summary>
    public string Hash => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Sql.ReplaceLineEndings("\n"))));
}
