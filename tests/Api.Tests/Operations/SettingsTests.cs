using System.Net;
using System.Net.Sockets;
using Gradus.Api.Jobs;
using Gradus.Api.Operations;
using Microsoft.Extensions.Configuration;
using Xunit;

namespace Gradus.Api.Tests.Operations;

/// <summary>Settings are checked before anything starts, and refused by name.</summary>
public sealed class SettingsTests(ApiHost host)
{
    [Theory]
    [InlineData("RequestsPerSecond", "0", "Gradus:RequestsPerSecond is 0; allowed is 1 to 100000")]
    [InlineData("RequestsPerSecond", "many", "'many'; expected is a number")]
    [InlineData("RequestsPerSecond", "NaN", "expected is a number")]
    [InlineData("ProgressSeconds", "NaN", "allowed is 0.05 to 60")]
    [InlineData("ChatCacheMb", "0", "allowed is 1 to 1048576")]
    [InlineData("ChatDtype", "fp8", "'fp8'; allowed are float32 and bf16")]
    [InlineData("MaxJsonBytes", "99999999999999999999", "expected is a number")]
    [InlineData("Roles", "api,boss", "'boss'; allowed are api and worker")]
    [InlineData("Roles", "", "empty")]
    [InlineData("Keys", "short", "at least 16")]
    [InlineData("Url", "http://0.0.0.0:5080", "others can reach")]
    [InlineData("Url", "http://*:5080", "others can reach")]
    [InlineData("Url", "5080", "expected is an address")]
    [InlineData("StateFoldr", "/tmp", "Gradus:StateFoldr is not a setting; there are Url, StateFolder")]
    public void AWrongSettingIsRefusedByName(string name, string value, string said) =>
        Assert.Contains(said, Assert.Throws<SettingsException>(() => Read((name, value))).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("rollotu=5", "names the phase 'rollotu'; there are start, load,")]
    [InlineData("rollout=5,rollout=6", "names the phase 'rollout' twice")]
    [InlineData("rollout=0", "expected is PHASE=SECONDS with 1 to 86400 seconds")]
    public void AWrongLimitOfAPhaseIsRefused(string limits, string said) =>
        Assert.Contains(said, Assert.Throws<SettingsException>(() => WorkerOptions.From(Read(("PhaseLimits", limits)), "")).Message, StringComparison.Ordinal);

    [Fact]
    public void EachPhaseMayHaveALimit()
    {
        var options = WorkerOptions.From(Read(("PhaseLimits", "rollout=5,journal=60"), ("PhaseLimitSeconds", "300")), "");
        var launch = new StageLaunch("", "", 20, options.PhaseLimit.TotalSeconds, options.PhaseLimits);
        Assert.Equal([5, 60, 300], new[] { "rollout", "journal", "forward" }.Select(phase => launch.Limit(phase).TotalSeconds));
    }

    [Fact]
    public void ListsAreReadInBothForms()
    {
        Assert.Equal(["a-key-of-some-length", "another-key-of-some-length"], Read(("Keys", "a-key-of-some-length, another-key-of-some-length")).Keys);
        Assert.Equal(["a-key-of-some-length", "another-key-of-some-length"], Read(("Keys:0", "a-key-of-some-length"), ("Keys:1", "another-key-of-some-length")).Keys);
        Assert.Equal("http://0.0.0.0:5080", Read(("Url", "http://0.0.0.0:5080"), ("Keys", "a-key-of-some-length")).Url);
        Assert.True(Read(("Roles", "worker")) is var settings && settings.HasRole("worker") && !settings.HasRole("api"));
    }

    [Fact]
    public async Task ATakenPortIsSaidWithTheSettingAndAnExitCode()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var (before, said) = (Console.Error, new StringWriter());
        Console.SetError(said);
        try
        {
            var code = await ServiceSetup.RunAsync([$"--Gradus:Url=http://127.0.0.1:{((IPEndPoint)taken.LocalEndpoint).Port}", "--Gradus:Roles=api",
                $"--ConnectionStrings:Gradus={host.Database.ConnectionString}", $"--Gradus:StateFolder={host.Service.StateFolder}", "--Logging:LogLevel:Default=None"]);
            Assert.Equal(3, code);
        }
        finally
        {
            Console.SetError(before);
        }
        Assert.Contains("Gradus:Url", said.ToString(), StringComparison.Ordinal);
    }

    private static GradusSettings Read(params (string Name, string Value)[] values) =>
        GradusSettings.Read(new ConfigurationBuilder().AddInMemoryCollection(values.Select(value => KeyValuePair.Create($"Gradus:{value.Name}", (string?)value.Value))).Build());
}
