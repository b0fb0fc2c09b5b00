using Hangfire;
using Hangfire.PostgreSql;

namespace Gradus.Api.Jobs;

/// <summary>Hangfire as the job engine: one job, "look", in its Postgres storage; a server in a process with a worker runs it.</summary>
internal sealed class HangfireDispatcher(IBackgroundJobClient client, ILogger<HangfireDispatcher> log) : IJobDispatcher
{
    public Task LookAsync(CancellationToken cancellationToken)
    {
        try
        {
            client.Enqueue<LookJob>(job => job.Look());
        }
        catch (Exception problem)
        {
            log.LogWarning(problem, "The wake-up was lost; the next sweep finds the job");
        }

        return Task.CompletedTask;
    }
}

/// <summary>The registration that every engine's file offers under this name.</summary>
internal static class JobEngine
{
    /// <param name="worker">Whether this process runs jobs; without it the engine only takes wishes.</param>
    public static void AddJobEngine(this IServiceCollection services, string connectionString, bool worker)
    {
        services.AddSingleton<JobStorage>(_ =>
        {
            GlobalConfiguration.Configuration.UseRecommendedSerializerSettings().UsePostgreSqlStorage(
                postgres => postgres.UseNpgsqlConnection(connectionString),
                new PostgreSqlStorageOptions
                {
                    // A wake-up is over in milliseconds; what it wakes has a lease of its own.
                    UseSlidingInvisibilityTimeout = true,
                    InvisibilityTimeout = TimeSpan.FromMinutes(2),
                    EnableLongPolling = true,
                    PrepareSchemaIfNecessary = true,
                });
            return JobStorage.Current;
        });
        services.AddSingleton<IBackgroundJobClient>(provider => new BackgroundJobClient(provider.GetRequiredService<JobStorage>()));
        services.AddTransient<LookJob>();
        if (worker) services.AddHostedService<Server>();
        services.AddSingleton<IJobDispatcher, HangfireDispatcher>();
    }

    /// <summary>Hangfire's own page, /hangfire: for requests from this machine alone.</summary>
    public static void MapJobEngine(this IEndpointRouteBuilder routes) => routes.MapHangfireDashboard(
        "/hangfire", new DashboardOptions { DisplayStorageConnectionString = false, IsReadOnlyFunc = _ => true }, routes.ServiceProvider.GetRequiredService<JobStorage>());

    private sealed class Server(JobStorage storage, IServiceProvider services) : IHostedService
    {
        private BackgroundJobServer? server;

        public Task StartAsync(CancellationToken cancellationToken)
        {
            server = new BackgroundJobServer(
                new BackgroundJobServerOptions { WorkerCount = 1, Activator = new Activator(services), ShutdownTimeout = TimeSpan.FromSeconds(5) }, storage);
            return Task.CompletedTask;
        }

        public Task StopAsync(CancellationToken cancellationToken)
        {
            server?.Dispose();
            return Task.CompletedTask;
        }
    }

    private sealed class Activator(IServiceProvider services) : JobActivator
    {
        public override object ActivateJob(Type jobType) => services.GetRequiredService(jobType);
    }
}

/// <summary>What Hangfire runs. Attempts are counted by us: a wake-up is never repeated.</summary>
[AutomaticRetry(Attempts = 0, OnAttemptsExceeded = AttemptsExceededAction.Delete)]
internal sealed class LookJob(WorkerSignal signal)
{
    public void Look() => signal.Set();
}
