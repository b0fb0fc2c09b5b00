using System.Net.Http.Headers;
using Gradus.Api.Operations;
using Xunit;

namespace Gradus.Api.Tests.Operations;

/// <summary>Who may call and how often.</summary>
public sealed class RequestGuardTests(ApiHost host)
{
    private const string Key = "a-key-of-some-length";

    [Theory]
    [InlineData("evil.example", null, 403)]
    [InlineData("evil.example:80", null, 403)]
    [InlineData("localhost.evil.example", null, 403)]
    [InlineData("10.0.0.1", null, 403)]
    [InlineData("localhost:5080", null, 200)]
    [InlineData("127.0.0.1", null, 200)]
    [InlineData("[::1]:5080", null, 200)]
    [InlineData("localhost:5080", "http://localhost:5080", 200)]
    [InlineData("localhost:5080", "http://evil.example", 403)]
    [InlineData("localhost:5080", "http://localhost:3000", 403)]
    [InlineData("localhost:5080", "null", 403)]
    public async Task WithoutKeysOnlyThisMachineIsServed(string hostHeader, string? origin, int status)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/recipes");
        request.Headers.Host = hostHeader;
        if (origin is not null) request.Headers.Add("Origin", origin);
        using var response = await host.Client.SendAsync(request, Requests.Cancel);
        if (status == 200) await response.OkAsync();
        else Assert.Equal("permission_error", (await response.ErrorAsync(status)).Text("type"));
    }

    [Theory]
    [InlineData(null, 401)]
    [InlineData("Bearer wrong-key-of-some-length", 401)]
    [InlineData("Bearer a-key-of-some-lengt", 401)]
    [InlineData("Basic " + Key, 401)]
    [InlineData(Key, 401)]
    [InlineData("Bearer " + Key, 200)]
    [InlineData("bearer another-key-of-some-length", 200)]
    public async Task WithKeysACallNeedsOne(string? authorization, int status)
    {
        await using var service = await host.StartAsync($"--Gradus:Keys={Key},another-key-of-some-length");
        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/recipes");
        // Behind a proxy the host is another one; the key is what counts.
        request.Headers.Host = "gradus.example";
        if (authorization is not null) request.Headers.TryAddWithoutValidation("Authorization", authorization);
        using var response = await service.Client.SendAsync(request, Requests.Cancel);
        if (status == 200)
        {
            await response.OkAsync();
            return;
        }
        Assert.Equal("authentication_error", (await response.ErrorAsync(status)).Text("type"));
        Assert.Equal("Bearer", response.Headers.WwwAuthenticate.ToString());
        Assert.Equal("live", (await service.Client.GetOkAsync("/healthz/live")).Text("status"));
    }

    [Fact]
    public async Task BeyondTheRateACallerWaitsAndOthersDoNot()
    {
        var time = new StoppedTime();
        await using var service = await host.StartAsync(services => services.Add(new(typeof(TimeProvider), time)),
            "--Gradus:RequestsPerSecond=3", $"--Gradus:Keys={Key},another-key-of-some-length");
        for (var i = 0; i < 3; i++) Assert.Equal(200, await StatusAsync(Key));
        using (var refused = await SendAsync(Key))
        {
            Assert.Equal("rate_limit_error", (await refused.ErrorAsync(429)).Text("type"));
            Assert.Equal("1", refused.Headers.RetryAfter!.ToString());
        }
        Assert.Equal(200, await StatusAsync("another-key-of-some-length"));
        Assert.Equal(401, await StatusAsync("wrong-key-of-some-length"));
        Assert.Equal("live", (await service.Client.GetOkAsync("/healthz/live")).Text("status"));
        time.Pass(TimeSpan.FromSeconds(0.34));
        Assert.Equal(200, await StatusAsync(Key));
        Assert.Equal(429, await StatusAsync(Key));
        time.Pass(TimeSpan.FromHours(1));
        for (var i = 0; i < 3; i++) Assert.Equal(200, await StatusAsync(Key));
        Assert.Equal(429, await StatusAsync(Key));

        async Task<int> StatusAsync(string key)
        {
            using var response = await SendAsync(key);
            return (int)response.StatusCode;
        }

        Task<HttpResponseMessage> SendAsync(string key)
        {
            var request = new HttpRequestMessage(HttpMethod.Get, "/v1/recipes");
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
            return service.Client.SendAsync(request, Requests.Cancel);
        }
    }

    /// <summary>A clock that a test moves; what waits for time goes by the real one.</summary>
    private sealed class StoppedTime : TimeProvider
    {
        private long ticks = 1;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Interlocked.Read(ref ticks);

        public void Pass(TimeSpan time) => Interlocked.Add(ref ticks, time.Ticks);
    }
}
