using Gradus.Api.Jobs;
using Gradus.Tests;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Xunit;

namespace Gradus.Api.Tests.Jobs;

/// <summary>The job engine of this build, whichever it is, on a real database.</summary>
public sealed class JobEngineTests(PostgresDatabase database) : IClassFixture<PostgresDatabase>
{
    [Fact]
    public async Task Look_wakes_a_worker_in_this_process_and_in_another()
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(JobLab.Limit);
        using var worker = Host(worker: true);
        await worker.StartAsync(limit.Token);
        var signal = worker.Services.GetRequiredService<WorkerSignal>();
        await worker.Services.GetRequiredService<IJobDispatcher>().LookAsync(limit.Token);
        await signal.WaitAsync(limit.Token);

        // A process with the role api alone takes the wish; the worker's process does it.
        using var api = Host(worker: false);
        await api.StartAsync(limit.Token);
        await api.Services.GetRequiredService<IJobDispatcher>().LookAsync(limit.Token);
        await signal.WaitAsync(limit.Token);
        await api.StopAsync(limit.Token);
        await worker.StopAsync(limit.Token);
    }

    [Fact]
    public async Task An_engine_that_cannot_be_reached_loses_the_wish_and_nothing_else()
    {
        using var api = Host(worker: false, "Host=127.0.0.1;Port=1;Username=nobody;Database=none;Timeout=2");
        await api.Services.GetRequiredService<IJobDispatcher>().LookAsync(TestContext.Current.CancellationToken);
    }

    private IHost Host(bool worker, string? connection = null)
    {
        var builder = Microsoft.Extensions.Hosting.Host.CreateApplicationBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddSingleton<WorkerSignal>();
        builder.Services.AddJobEngine(connection ?? database.ConnectionString, worker);
        return builder.Build();
    }
}
