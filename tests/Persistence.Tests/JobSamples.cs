using System.Text.Json;
using Gradus.Tests;

namespace Gradus.Persistence.Tests;

/// <summary>Runs and devices for the tests of this project.</summary>
internal static class JobSamples
{
    public static readonly TimeSpan Lease = TimeSpan.FromMinutes(5);

    /// <summary>A run of that many jobs.</summary>
    public static async Task<IReadOnlyList<string>> RunAsync(this PostgresDatabase database, int jobs = 1, int maxAttempts = 3)
    {
        var empty = JsonElement.Parse("{}");
        var made = await new JobStore(database.Source).CreateAsync(
            new NewRun("numbers", empty, 7, [.. Enumerable.Range(0, jobs).Select(place => new NewJob("stage-" + place, "sft", empty, 7, maxAttempts))]), CancellationToken.None);
        return made.JobIds;
    }

    /// <summary>A device nobody else uses.</summary>
    public static async Task<string> DeviceAsync(this PostgresDatabase database, string name = "cpu")
    {
        var id = $"{Guid.NewGuid():N}/{name}";
        await new DeviceStore(database.Source).BeatAsync(new() { Id = id, Host = "test", Name = name, MemoryBytes = 1, FreeBytes = 1, Bfloat16 = false }, CancellationToken.None);
        return id;
    }

    public static async Task<string?> StatusAsync(this PostgresDatabase database, string jobId) => (string?)await database.Sql("select status from jobs where id = $1", jobId);

    public static Task ExpireAsync(this PostgresDatabase database, string jobId) =>
        database.Sql("update jobs set lease_expires_at = now() - interval '1 second' where id = $1", jobId);

    /// <summary>Takes everything else out of the way, so that a claim finds only what the test makes.</summary>
    public static Task ClearAsync(this PostgresDatabase database) => database.Sql("delete from runs");
}
