using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Gradus.Api.Tests.Jobs;
using Gradus.Tests;
using Gradus.Training.Tasks;
using Xunit;

namespace Gradus.Api.Tests.Models;

/// <summary>One test for each "If we stop here" line of an import: the service is killed there, and its next start removes what no row stands for.</summary>
public sealed class ImportKillTests(PostgresDatabase database) : IClassFixture<PostgresDatabase>, IDisposable
{
    private readonly string state = Directory.CreateTempSubdirectory("gradus-import-").FullName;

    public void Dispose() => Directory.Delete(state, recursive: true);

    [Theory]
    [InlineData("import-written", 0)]
    [InlineData("import-renamed", 0)]
    [InlineData("import-listed", 1)]
    public async Task Killed(string point, int listed)
    {
        await database.Sql("delete from models");
        TinyModel.Write(Path.Combine(state, "imports", "mine"));
        var url = $"http://127.0.0.1:{FreePort()}";
        using (var service = ServiceProcess.Start(database, state, ("GRADUS_KILL", point + ":1"), ("Gradus__Url", url)))
        {
            using var client = new HttpClient { BaseAddress = new Uri(url) };
            await ReadyAsync(client);
            await Assert.ThrowsAsync<HttpRequestException>(() => client.PostAsync("/v1/models", Requests.Json("""{"path": "mine"}"""), Requests.Cancel));
            await service.EndedAsync();
        }
        Assert.NotEmpty(Directory.GetFiles(Models, "*.import"));

        using var next = ServiceProcess.Start(database, state, ("Gradus__Url", url));
        using var again = new HttpClient { BaseAddress = new Uri(url) };
        await ReadyAsync(again);
        var models = (await again.GetOkAsync("/v1/models")).Data().Where(model => model.Text("origin") == "import").Select(model => model.Text("id")).ToArray();
        Assert.Equal(listed, models.Length);
        Assert.Equal(["tiny", .. models], Directory.GetFileSystemEntries(Models).Select(Path.GetFileName).OrderByDescending(name => name, StringComparer.Ordinal));
    }

    private string Models => Path.Combine(state, "models");

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static async Task ReadyAsync(HttpClient client)
    {
        while (true)
        {
            try
            {
                if ((await client.GetAsync("/healthz/ready", Requests.Cancel)).IsSuccessStatusCode) return;
            }
            catch (HttpRequestException)
            {
                await Task.Delay(50, Requests.Cancel);
            }
        }
    }
}
