using System.Net;
using System.Net.Http.Headers;
using System.Text;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using Xunit;

namespace Gradus.Api.Tests.Operations;

/// <summary>Every failure comes in the one envelope, with the right status.</summary>
public sealed class ErrorTests(ApiHost host)
{
    [Theory]
    [InlineData("GET", "/v1/nothing", 404, "unknown_route")]
    [InlineData("GET", "/nothing", 404, "unknown_route")]
    [InlineData("PUT", "/v1/jobs", 405, "method_not_allowed")]
    [InlineData("GET", "/v1/jobs/job_x", 404, "not_found")]
    [InlineData("GET", "/v1/jobs/job_x/metrics", 404, "not_found")]
    [InlineData("GET", "/v1/jobs/job_x/samples", 404, "not_found")]
    [InlineData("GET", "/v1/jobs/job_x/events", 404, "not_found")]
    [InlineData("GET", "/v1/jobs/job_x/checkpoints", 404, "not_found")]
    [InlineData("GET", "/v1/jobs/job_x/progress", 404, "not_found")]
    [InlineData("POST", "/v1/jobs/job_x/cancel", 404, "not_found")]
    [InlineData("GET", "/v1/runs/run_x", 404, "not_found")]
    [InlineData("GET", "/v1/runs/run_x/metrics", 404, "not_found")]
    [InlineData("POST", "/v1/runs/run_x/retry", 404, "not_found")]
    [InlineData("GET", "/v1/datasets/file_x", 404, "not_found")]
    [InlineData("GET", "/v1/datasets/file_x/rows", 404, "not_found")]
    [InlineData("GET", "/v1/datasets/running-sums-general/content", 404, "not_found")]
    [InlineData("DELETE", "/v1/datasets/file_x", 404, "not_found")]
    [InlineData("GET", "/v1/models/model_x", 404, "not_found")]
    [InlineData("DELETE", "/v1/models/model_x", 404, "not_found")]
    [InlineData("GET", "/v1/recipes/r9", 404, "not_found")]
    [InlineData("DELETE", "/v1/models/tiny", 409, "built_in")]
    [InlineData("DELETE", "/v1/datasets/running-sums-general", 409, "built_in")]
    [InlineData("GET", "/v1/jobs?limit=0", 400, "out_of_range")]
    [InlineData("GET", "/v1/jobs?limit=101", 400, "out_of_range")]
    [InlineData("GET", "/v1/jobs?limit=two", 400, "out_of_range")]
    [InlineData("GET", "/v1/jobs?limit=2&limit=3", 400, "invalid_value")]
    [InlineData("GET", "/v1/jobs?limt=2", 400, "unknown_parameter")]
    [InlineData("GET", "/v1/jobs?status=done", 400, "unknown_value")]
    [InlineData("GET", "/v1/jobs?after=job_x", 400, "invalid_cursor")]
    [InlineData("GET", "/v1/runs?after=%00", 400, "invalid_value")]
    [InlineData("GET", "/v1/models?after=x", 400, "invalid_cursor")]
    [InlineData("GET", "/v1/datasets?after=x", 400, "invalid_cursor")]
    [InlineData("GET", "/v1/datasets/running-sums-general/rows?after=x", 400, "invalid_cursor")]
    public async Task AWrongRequestIsRefused(string method, string path, int status, string code)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        using var response = await host.Client.SendAsync(request, Requests.Cancel);
        var error = await response.ErrorAsync(status);
        Assert.Equal((code, "invalid_request_error"), (error.Text("code"), error.Text("type")));
    }

    [Theory]
    [InlineData("text/plain")]
    [InlineData("application/x-www-form-urlencoded")]
    [InlineData(null)]
    public async Task ABodyOfAnotherTypeIsRefused(string? type)
    {
        using var content = new ByteArrayContent(Encoding.UTF8.GetBytes("""{"recipe":"r1-zero-tiny"}"""));
        content.Headers.ContentType = type is null ? null : new MediaTypeHeaderValue(type);
        using var response = await host.Client.PostAsync("/v1/runs", content, Requests.Cancel);
        Assert.Contains("application/json", (await response.ErrorAsync(415)).Text("message"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task ABodyBeyondTheLimitIsRefused()
    {
        await using var service = await host.StartAsync("--Gradus:MaxJsonBytes=1024");
        var error = await service.Client.PostErrorAsync("/v1/runs", $$"""{"recipe":"{{new string('x', 2000)}}"}""", 413);
        Assert.Contains("1,024 bytes", error.Text("message"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task AFailureInsideTellsNothingOfIt()
    {
        await using var broken = await host.StartAsync(services =>
            services.Add(new(typeof(Gradus.Api.Jobs.IJobDispatcher), new BrokenDispatcher())));
        var error = await broken.Client.PostErrorAsync("/v1/runs", """{"recipe":"r1-zero-tiny"}""", 500);
        Assert.Equal("server_error", error.Text("type"));
        Assert.DoesNotContain("secret", error.GetRawText(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task ADatabaseThatIsAwayIsSaid()
    {
        await using var service = await host.StartAsync(services =>
        {
            services.Remove(services.Single(known => known.ImplementationType == typeof(Gradus.Api.Operations.Preparation)));
            services.AddSingleton(NpgsqlDataSource.Create("Host=127.0.0.1;Port=1"));
        });
        foreach (var path in new[] { "/v1/jobs", "/v1/devices", "/v1/jobs/latest/metrics", "/v1/models", "/healthz/ready" })
            Assert.Equal(("database_unavailable", "server_error"), await service.Client.GetErrorAsync(path, 503) is var error ? (error.Text("code"), error.Text("type")) : default);
        Assert.Equal("database_unavailable", (await service.Client.PostErrorAsync("/v1/runs", """{"recipe":"r1-zero-tiny"}""", 503)).Text("code"));
    }

    [Fact]
    public async Task DeeplyNestedJsonIsRefused()
    {
        var deep = string.Concat(Enumerable.Repeat("[", 100_000));
        Assert.Equal("invalid_json", (await host.Client.PostErrorAsync("/v1/runs", $$"""{"recipe":{{deep}}""")).Text("code"));
    }

    [Fact]
    public async Task ReadinessNeedsOurTables()
    {
        Assert.Equal("ready", (await host.Client.GetOkAsync("/healthz/ready")).Text("status"));
        Assert.Equal("live", (await host.Client.GetOkAsync("/healthz/live")).Text("status"));
        await using var service = await host.StartAsync();

        try
        {
            await host.Database.Sql("alter table jobs rename to jobs_away");
            Assert.Equal("not_migrated", (await service.Client.GetErrorAsync("/healthz/ready", 503)).Text("code"));
        }
        finally
        {
            await host.Database.Sql("alter table if exists jobs_away rename to jobs");
        }
    }

    private sealed class BrokenDispatcher : Gradus.Api.Jobs.IJobDispatcher
    {
        public Task LookAsync(CancellationToken cancellationToken) => throw new InvalidOperationException("a secret of the inside");
    }
}
