using Npgsql;

namespace Gradus.Persistence;

/// <summary>The devices that workers offer.</summary>
public sealed class DeviceStore(NpgsqlDataSource database)
{
    /// <summary>Registers a device, or says that it is still there.</summary>
    public async Task BeatAsync(string id, string host, string name, long memoryBytes, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await connection.Statement("""
            insert into devices (id, host, name, memory_bytes) values ($1, $2, $3, $4)
            on conflict (id) do update set host = excluded.host, name = excluded.name, memory_bytes = excluded.memory_bytes, heartbeat_at = now()
            """, id, host, name, memoryBytes).ExecuteAsync(cancellationToken);
    }
}
