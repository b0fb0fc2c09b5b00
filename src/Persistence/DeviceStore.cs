using Npgsql;

namespace Gradus.Persistence;

/// <summary>The devices that workers offer.</summary>
public sealed class DeviceStore(NpgsqlDataSource database)
{
    /// <summary>Registers a device, or says that it is still there.</summary>
    public async Task BeatAsync(Device device, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await connection.Statement("""
            insert into devices (id, host, name, memory_bytes, free_bytes, bfloat16) values ($1, $2, $3, $4, $5, $6)
            on conflict (id) do update set host = excluded.host, name = excluded.name, memory_bytes = excluded.memory_bytes, free_bytes = excluded.free_bytes,
                bfloat16 = excluded.bfloat16, heartbeat_at = now()
            """, device.Id, device.Host, device.Name, device.MemoryBytes, device.FreeBytes, device.Bfloat16).ExecuteAsync(cancellationToken);
    }

    /// <summary>All there are, by id.</summary>
    public async Task<IReadOnlyList<Device>> AllAsync(CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        return await connection.Statement("select id, host, name, memory_bytes, free_bytes, bfloat16, heartbeat_at from devices order by id").ListAsync(reader => new Device
        {
            Id = reader.GetString(0), Host = reader.GetString(1), Name = reader.GetString(2), MemoryBytes = reader.GetInt64(3), FreeBytes = reader.GetInt64(4), Bfloat16 = reader.GetBoolean(5),
            HeartbeatAt = reader.GetFieldValue<DateTimeOffset>(6),
        }, cancellationToken);
    }
}
