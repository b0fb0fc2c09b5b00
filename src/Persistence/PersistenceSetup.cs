using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Gradus.Persistence;

public static class PersistenceSetup
{
    /// <summary>The data source, a factory of <see cref="GradusDb"/>, the migrator and the stores, all singletons.</summary>
    public static IServiceCollection AddPersistence(this IServiceCollection services, string connectionString)
    {
        services.AddSingleton(_ => NpgsqlDataSource.Create(connectionString));
        services.AddDbContextFactory<GradusDb>((provider, options) => options.UseNpgsql(provider.GetRequiredService<NpgsqlDataSource>()));
        services.AddSingleton<Migrator>();
        services.AddSingleton<JobStore>();
        services.AddSingleton<JobClaims>();
        services.AddSingleton<RunStore>();
        services.AddSingleton<DeviceStore>();
        services.AddSingleton<RunQueries>();
        services.AddSingleton<StepQueries>();
        services.AddSingleton<SampleTable>();
        services.AddSingleton<DatasetStore>();
        services.AddSingleton<ModelCatalog>();
        return services;
    }
}
