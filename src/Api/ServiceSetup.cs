using System.Net.Sockets;
using Gradus.Api.Chat;
using Gradus.Api.Datasets;
using Gradus.Api.Jobs;
using Gradus.Api.Models;
using Gradus.Api.Operations;
using Gradus.Api.Recipes;
using Gradus.Persistence;
using Npgsql;

namespace Gradus.Api;

/// <summary>Puts the service together by role: <c>api</c> answers HTTP, <c>worker</c> runs jobs; both by default. Health is answered by each.</summary>
internal static class ServiceSetup
{
    /// <summary>Runs the service until it is asked to stop.</summary>
    /// <returns>0 after an orderly stop; 2 when a setting is wrong; 3 when the address cannot be listened on. The reason is on standard error.</returns>
    public static async Task<int> RunAsync(string[] args)
    {
        GradusSettings? settings = null;
        try
        {
            await using var app = Create(args);
            settings = app.Services.GetRequiredService<GradusSettings>();
            await app.RunAsync();
            return 0;
        }
        catch (SettingsException wrong)
        {
            await Console.Error.WriteLineAsync(wrong.Message);
            return 2;
        }
        catch (IOException taken) when (taken.GetBaseException() is SocketException or Microsoft.AspNetCore.Connections.AddressInUseException)
        {
            await Console.Error.WriteLineAsync($"Gradus cannot listen on {settings?.Url} ({taken.GetBaseException().Message}). Give it another address: Gradus:Url "
                + "(in the environment: Gradus__Url=http://localhost:5081).");
            return 3;
        }
    }

    /// <summary>The service, built and not yet started. Tests change <paramref name="args"/> and <paramref name="configure"/>.</summary>
    public static WebApplication Create(string[] args, Action<WebApplicationBuilder>? configure = null)
    {
        var builder = WebApplication.CreateBuilder(args);
        var settings = GradusSettings.Read(builder.Configuration);
        var connection = Connection(builder.Configuration);
        AddLogs(builder.Logging);
        builder.WebHost.UseUrls(settings.Url);
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = settings.MaxJsonBytes;
        });
        builder.Services.AddSingleton(settings).AddSingleton(TimeProvider.System).AddPersistence(connection);
        builder.Services.ConfigureHttpJsonOptions(json => Wire.Configure(json.SerializerOptions));
        builder.Services.AddOperations().AddHostedService<Preparation>();
        if (settings.HasRole("api")) AddApi(builder.Services);
        builder.Services.AddJobs(settings, connection);
        configure?.Invoke(builder);

        var app = builder.Build();
        app.UseMiddleware<ErrorHandling>();
        app.UseMiddleware<RequestGuard>();
        app.UseRouting();
        app.UseMiddleware<QueryCheck>();
        app.MapHealth();
        if (settings.HasRole("api")) MapApi(app);
        return app;
    }

    private static string Connection(ConfigurationManager configuration)
    {
        var text = configuration.GetConnectionString("Gradus");
        if (string.IsNullOrWhiteSpace(text)) throw new SettingsException("ConnectionStrings:Gradus is missing: a Postgres connection string (in the environment: ConnectionStrings__Gradus).");
        try
        {
            return new NpgsqlConnectionStringBuilder(text).ConnectionString;
        }
        catch (Exception wrong) when (wrong is ArgumentException or FormatException)
        {
            throw new SettingsException($"ConnectionStrings:Gradus is no Postgres connection string: {wrong.Message}");
        }
    }

    private static void AddLogs(ILoggingBuilder logs) => logs
        .AddSimpleConsole(line => (line.SingleLine, line.TimestampFormat, line.UseUtcTimestamp) = (true, "yyyy-MM-ddTHH:mm:ssZ ", true))
        .AddFilter("Microsoft.AspNetCore", LogLevel.Warning)
        // It would say what is thrown anyway.
        .AddFilter("Microsoft.EntityFrameworkCore", LogLevel.Critical)
        .AddFilter("Quartz", LogLevel.Warning)
        // A failed start is said once, in our words.
        .AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.Critical);

    private static void AddApi(IServiceCollection services) => services.AddSwagger().AddChat().AddSingleton<DeviceFit>().AddSingleton<Submission>().AddSingleton<ProgressStream>().AddSingleton<DatasetUpload>().AddSingleton<ModelCheck>().AddSingleton<ModelImport>().AddSingleton<ModelUpload>();

    private static void MapApi(WebApplication app)
    {
        app.MapSwagger();
        app.MapJobs();
        app.MapJobSteps();
        app.MapCharts();
        app.MapRuns();
        app.MapProgress();
        app.MapRecipes();
        app.MapDatasets();
        app.MapModels();
        app.MapFiles();
        app.MapChat();
        app.MapJobEngine();
    }
}
