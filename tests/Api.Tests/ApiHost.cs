using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Gradus.Api.Jobs;
using Gradus.Api.Operations;
using Gradus.Persistence;
using Gradus.Tests;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Xunit;

[assembly: AssemblyFixture(typeof(Gradus.Api.Tests.ApiHost))]

namespace Gradus.Api.Tests;

/// <summary>
/// The service itself, role api, on a free port and a database of its own, shared by the tests of this assembly. No worker takes its jobs; tests write what a worker would.
/// </summary>
public sealed class ApiHost : IAsyncLifetime
{
    public PostgresDatabase Database { get; } = new();

    internal RunningService Service { get; private set; } = null!;

    public HttpClient Client => Service.Client;

    public async ValueTask InitializeAsync()
    {
        await Database.InitializeAsync();
        Service = await RunningService.StartAsync(Database.ConnectionString, null);
    }

    public async ValueTask DisposeAsync()
    {
        if (Service is not null) await Service.DisposeAsync();
        await Database.DisposeAsync();
    }

    /// <summary>Another service on the same database, with other settings.</summary>
    internal Task<RunningService> StartAsync(params string[] settings) => StartAsync(_ => { }, settings);

    /// <summary>The same with other services. It shares the state folder, as processes on one database do.</summary>
    internal Task<RunningService> StartAsync(Action<IServiceCollection> configure, params string[] settings) =>
        RunningService.StartAsync(Database.ConnectionString, configure, [$"--Gradus:StateFolder={Service.StateFolder}", .. settings]);
}

/// <summary>One running service; what it made is deleted with it.</summary>
internal sealed class RunningService : IAsyncDisposable
{
    private readonly WebApplication app;
    private readonly string folder;

    private RunningService(WebApplication app, string folder)
    {
        (this.app, this.folder) = (app, folder);
        Address = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        Client = new HttpClient { BaseAddress = new Uri(Address) };
    }

    public string Address { get; }

    public HttpClient Client { get; }

    public IServiceProvider Services => app.Services;

    public SilentDispatcher Dispatcher => (SilentDispatcher)app.Services.GetRequiredService<IJobDispatcher>();

    public string StateFolder => app.Services.GetRequiredService<GradusSettings>().StateFolder;

    public static async Task<RunningService> StartAsync(string connection, Action<IServiceCollection>? configure, params string[] settings)
    {
        var folder = Directory.CreateTempSubdirectory("gradus-test").FullName;
        string[] args = ["--Gradus:Url=http://127.0.0.1:0", $"--Gradus:StateFolder={folder}", "--Gradus:Roles=api", "--Gradus:RequestsPerSecond=100000", $"--ConnectionStrings:Gradus={connection}", .. settings];
        var app = ServiceSetup.Create(args, builder =>
        {
            builder.Logging.SetMinimumLevel(LogLevel.Critical);
            builder.Services.RemoveAll<IJobDispatcher>();
            builder.Services.AddSingleton<IJobDispatcher, SilentDispatcher>();
            configure?.Invoke(builder.Services);
        });
        await app.StartAsync();
        return new RunningService(app, folder);
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await app.StopAsync();
        await app.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }
}

/// <summary>Counts the calls; no worker is woken.</summary>
internal sealed class SilentDispatcher : IJobDispatcher
{
    private int looks;

    public int Looks => looks;

    public Task LookAsync(CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref looks);
        return Task.CompletedTask;
    }
}

/// <summary>Short forms for requests.</summary>
internal static class Requests
{
    public static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static async Task<JsonElement> GetOkAsync(this HttpClient client, string path)
    {
        using var response = await client.GetAsync(path, Cancel);
        return await response.OkAsync();
    }

    public static async Task<JsonElement> PostOkAsync(this HttpClient client, string path, string json)
    {
        using var response = await client.PostAsync(path, Json(json), Cancel);
        return await response.OkAsync();
    }

    public static async Task<JsonElement> OkAsync(this HttpResponseMessage response)
    {
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.IsSuccessStatusCode, $"{(int)response.StatusCode} {text}");
        return JsonElement.Parse(text);
    }

    /// <summary>The error of a refused request; asserts the status and that the body is the envelope and nothing else.</summary>
    public static async Task<JsonElement> ErrorAsync(this HttpResponseMessage response, int status)
    {
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(status == (int)response.StatusCode, $"{(int)response.StatusCode} instead of {status}: {text}");
        var body = JsonElement.Parse(text);
        Assert.Equal(["error"], body.EnumerateObject().Select(field => field.Name));
        var error = body.GetProperty("error");
        Assert.Equal(["message", "type", "param", "code"], error.EnumerateObject().Select(field => field.Name).Take(4));
        Assert.NotEmpty(error.GetProperty("message").GetString()!);
        return error;
    }

    public static async Task<JsonElement> PostErrorAsync(this HttpClient client, string path, string json, int status = 400)
    {
        using var response = await client.PostAsync(path, Json(json), Cancel);
        return await response.ErrorAsync(status);
    }

    public static async Task<JsonElement> GetErrorAsync(this HttpClient client, string path, int status)
    {
        using var response = await client.GetAsync(path, Cancel);
        return await response.ErrorAsync(status);
    }

    public static StringContent Json(string json) => new(json, Encoding.UTF8, "application/json");

    public static string Text(this JsonElement element, string name) => element.GetProperty(name).GetString()!;

    public static JsonElement[] Data(this JsonElement list) => [.. list.GetProperty("data").EnumerateArray()];
}
