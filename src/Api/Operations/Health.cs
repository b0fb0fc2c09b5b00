using Npgsql;

namespace Gradus.Api.Operations;

/// <summary>Whether the process lives (always, while it answers) and whether it is ready (the database answers and holds our tables).</summary>
internal static class Health
{
    public static IServiceCollection AddOperations(this IServiceCollection services) => services.AddSingleton<RateLimit>().AddSingleton<StateFolders>();

    public static void MapHealth(this WebApplication app)
    {
        app.MapGet("/healthz/live", () => new HealthContract("live"))
            .Describe("Operations", "The process is alive", "Answers as long as the process does.").Returns<HealthContract>(200);
        app.MapGet("/healthz/ready", ReadyAsync)
            .Describe("Operations", "The service is ready", "The database is reachable and its tables are there; otherwise 503.").Returns<HealthContract>(200);
    }

    private static async Task<HealthContract> ReadyAsync(NpgsqlDataSource database, ILogger<HealthContract> log, CancellationToken cancel)
    {
        try
        {
            await using var command = database.CreateCommand("select to_regclass('jobs') is not null");
            command.CommandTimeout = 5;
            if (await command.ExecuteScalarAsync(cancel) is true) return new HealthContract("ready");
        }
        catch (Exception problem) when (problem is NpgsqlException or TimeoutException)
        {
            log.LogWarning("The database did not answer: {Reason}", problem.Message);
            throw new ApiException(503, "Not ready: the database cannot be reached.", null, "database_unavailable");
        }
        throw new ApiException(503, "Not ready: the database has no tables of ours yet.", null, "not_migrated");
    }
}

/// <param name="Status"><c>live</c> or <c>ready</c>.</param>
internal sealed record HealthContract(string Status);
