using Gradus.Api.Operations;

namespace Gradus.Api.Jobs;

internal static class JobsSetup
{
    /// <summary>The job engine, and with the role worker the worker. Needs <c>AddPersistence</c>, logging and a <see cref="TimeProvider"/>.</summary>
    public static IServiceCollection AddJobs(this IServiceCollection services, GradusSettings settings, string connectionString)
    {
        services.AddSingleton<WorkerSignal>();
        services.AddJobEngine(connectionString, settings.HasRole("worker"));
        if (!settings.HasRole("worker")) return services;
        var options = WorkerOptions.From(settings, connectionString);
        services.AddSingleton(options);
        // The children need their time to save a checkpoint.
        services.Configure<HostOptions>(host => host.ShutdownTimeout = options.StopLimit + TimeSpan.FromSeconds(10));
        services.AddHostedService<JobWorker>();
        return services;
    }
}
