using Npgsql;
using Quartz;

namespace Gradus.Api.Jobs;

/// <summary>Quartz as the job engine: one durable job, "look", in a clustered Postgres store; a node with a worker fires it.</summary>
internal sealed class QuartzDispatcher(ISchedulerFactory schedulers, ILogger<QuartzDispatcher> log) : IJobDispatcher
{
    public async Task LookAsync(CancellationToken cancellationToken)
    {
        try
        {
            var scheduler = await schedulers.GetScheduler(cancellationToken);
            await scheduler.TriggerJob(JobEngine.Look, cancellationToken: cancellationToken);
        }
        catch (Exception problem) when (problem is not OperationCanceledException)
        {
            log.LogWarning(problem, "The wake-up was lost; the next sweep finds the job");
        }
    }
}

/// <summary>The registration that every engine's file offers under this name.</summary>
internal static class JobEngine
{
    internal static readonly JobKey Look = new("look");

    /// <param name="worker">Whether this process runs jobs; without it the engine only takes wishes.</param>
    public static void AddJobEngine(this IServiceCollection services, string connectionString, bool worker)
    {
        services.AddQuartz(quartz =>
        {
            quartz.UseDefaultThreadPool(1);
            // A wish of another process is seen at the next look into the store, which is 30 s away by default.
            quartz.ConfigureScheduler(scheduler => scheduler.IdleWaitTime = TimeSpan.FromSeconds(2));
            quartz.UsePersistentStore(store =>
            {
                store.UsePostgres(NpgsqlFactory.Instance, connectionString);
                store.UseClustering(cluster => cluster.CheckinInterval = TimeSpan.FromSeconds(5));
                store.ProvisionSchema();
            });
            quartz.AddJob<LookJob>(job => job.WithIdentity(Look).StoreDurably());
        });
        if (worker) services.AddQuartzHostedService(options => options.WaitForJobsToComplete = true);
        services.AddSingleton<IJobDispatcher, QuartzDispatcher>();
    }

    /// <summary>Quartz has no page of its own.</summary>
    public static void MapJobEngine(this IEndpointRouteBuilder routes)
    {
    }

    [DisallowConcurrentExecution]
    private sealed class LookJob(WorkerSignal signal) : IJob
    {
        public ValueTask Execute(IJobExecutionContext context, CancellationToken cancellationToken = default)
        {
            signal.Set();
            return ValueTask.CompletedTask;
        }
    }
}
