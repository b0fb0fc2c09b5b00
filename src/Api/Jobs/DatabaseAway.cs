using Npgsql;

namespace Gradus.Api.Jobs;

/// <summary>Tells a database that is away (it restarts, the network is down, it is full of connections) from one that refuses what was asked.</summary>
internal static class DatabaseAway
{
    public static bool Is(Exception problem) => problem switch
    {
        PostgresException refused => refused.IsTransient || refused.SqlState.StartsWith("57P", StringComparison.Ordinal) || refused.SqlState.StartsWith("08", StringComparison.Ordinal),
        NpgsqlException => true,
        TimeoutException => true,
        _ => false,
    };

    /// <summary>Does it until the database answers, a second apart.</summary>
    /// <param name="waiting">Told before each wait.</param>
    public static async Task<T> OutlastAsync<T>(Func<Task<T>> ask, Action<Exception> waiting, CancellationToken cancellationToken)
    {
        for (; ; )
        {
            try
            {
                return await ask();
            }
            catch (Exception problem) when (Is(problem))
            {
                waiting(problem);
                await Task.Delay(TimeSpan.FromSeconds(1), cancellationToken);
            }
        }
    }
}
