using System.Diagnostics;
using Gradus.Api.Operations;
using Xunit;

namespace Gradus.Api.Tests.Operations;

public sealed class ProcessEnvironmentTests
{
    [Fact]
    public async Task AChildSeesItOverWhateverTheParentHas()
    {
        var start = new ProcessStartInfo("/usr/bin/env") { RedirectStandardOutput = true };
        start.Environment["OPENBLAS_CORETYPE"] = "Prescott";
        start.Environment["OPENBLAS_L2_SIZE"] = "512";
        start.Environment["OMP_WAIT_POLICY"] = "active";
        foreach (var (name, value) in ProcessEnvironment.For(3)) start.Environment[name] = value;
        using var child = Process.Start(start)!;
        string[] lines = (await child.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken)).Split('\n');
        await child.WaitForExitAsync(TestContext.Current.CancellationToken);

        Assert.Contains("OMP_NUM_THREADS=3", lines);
        Assert.Contains("OPENBLAS_NUM_THREADS=3", lines);
        Assert.Contains("OMP_WAIT_POLICY=passive", lines);
        Assert.DoesNotContain("OPENBLAS_CORETYPE=Prescott", lines);
        Assert.DoesNotContain(lines, l => l.StartsWith("OPENBLAS_L2_SIZE", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1025)]
    public void ThreadsHaveBounds(int threads) => Assert.Throws<ArgumentOutOfRangeException>(() => ProcessEnvironment.For(threads));

    /// <summary>The tests and benches run with what a child gets.</summary>
    [Fact]
    public async Task TheScriptForTestsSetsTheSame()
    {
        string root = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(root, "Service.sln"))) root = Path.GetDirectoryName(root) ?? throw new FileNotFoundException("Service.sln");
        var start = new ProcessStartInfo("bash") { RedirectStandardOutput = true, ArgumentList = { "-c", ". \"$0\"; env", Path.Combine(root, "scripts/torch-environment.sh") } };
        start.Environment["OPENBLAS_L2_SIZE"] = "512";
        using var child = Process.Start(start)!;
        var script = (await child.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken)).Split('\n').Where(l => l.Contains('=', StringComparison.Ordinal))
            .ToDictionary(l => l[..l.IndexOf('=', StringComparison.Ordinal)], l => l[(l.IndexOf('=', StringComparison.Ordinal) + 1)..]);
        await child.WaitForExitAsync(TestContext.Current.CancellationToken);

        foreach (var (name, value) in ProcessEnvironment.For(Environment.ProcessorCount).Where(v => !v.Key.StartsWith("DOTNET_", StringComparison.Ordinal)))
            Assert.Equal((name, value), (name, script.GetValueOrDefault(name)));
    }
}
