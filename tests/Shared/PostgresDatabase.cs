using Gradus.Persistence;
using Microsoft.EntityFrameworkCore;
using Npgsql;
using Xunit;

namespace Gradus.Tests;

/// <summary>
/// A database of its own for a test class (<c>IClassFixture&lt;PostgresDatabase&gt;</c>), with all migrations, on the server that GRADUS_TEST_POSTGRES names
/// (a connection string whose user may create databases). It is dropped at the end.
/// </summary>
public sealed class PostgresDatabase : IAsyncLifetime
{
    private readonly string name = "gradus_test_" + Guid.NewGuid().ToString("N");

    public static string Server => Environment.GetEnvironmentVariable("GRADUS_TEST_POSTGRES")
        ?? throw new InvalidOperationException("GRADUS_TEST_POSTGRES is not set. These tests need a Postgres whose user may create databases; test.sh starts one.");

    public string ConnectionString => new NpgsqlConnectionStringBuilder(Server) { Database = name, MaxPoolSize = 20, IncludeErrorDetail = true }.ConnectionString;

    public NpgsqlDataSource Source { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        await OnServer($"create database {name}");
        Source = NpgsqlDataSource.Create(ConnectionString);
        await new Migrator(Source).ApplyAsync(CancellationToken.None);
    }

    public async ValueTask DisposeAsync()
    {
        if (Source is not null) await Source.DisposeAsync();
        await OnServer($"drop database if exists {name} with (force)");
    }

    public GradusDb Open() => new(new DbContextOptionsBuilder<GradusDb>().UseNpgsql(Source).Options);

    /// <summary>Runs SQL with positional arguments; the value of the first column of the first row, or null.</summary>
    public async Task<object?> Sql(string sql, params object[] values)
    {
        await using var command = Source.CreateCommand(sql);
        foreach (var value in values) command.Parameters.Add(new NpgsqlParameter { Value = value });
        return await command.ExecuteScalarAsync() is var found && found is DBNull ? null : found;
    }

    private static async Task OnServer(string sql)
    {
        await using var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(Server) { Pooling = false }.ConnectionString);
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }
}
