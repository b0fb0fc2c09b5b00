using System.Diagnostics;
using System.Text.Json;
using Gradus.Training.Checkpoints;
using Gradus.Training.Model;
using Gradus.Training.Optimizer;
using Gradus.Training.Stages;
using Gradus.Training.Tests.Model;
using Xunit;

namespace Gradus.Training.Tests.Checkpoints;

/// <summary>Each line "If we stop here" of <see cref="CheckpointStore"/>, stopped there: a child is killed while it writes its second checkpoint.</summary>
public sealed class CheckpointKillTests : IDisposable
{
    private const string Variable = "GRADUS_TEST_CHECKPOINTS";

    private readonly TemporaryFolder folder = new();

    [Theory]
    [InlineData("checkpoint-files-written", "00000002-1.aside")]
    [InlineData("checkpoint-renamed", "00000002-1")]
    [InlineData("checkpoint-manifest-written", "00000002-1")]
    public void StoppedThereTheOneBeforeIsWholeAndTheRestIsRemoved(string point, string left)
    {
        using var child = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, ["-explicit", "only", "-method", $"{typeof(CheckpointKillTests).FullName}.{nameof(Child)}"])
        {
            RedirectStandardOutput = true,
            Environment = { ["GRADUS_KILL"] = point + ":2", [Variable] = folder.Path },
        })!;
        child.StandardOutput.ReadToEnd();
        child.WaitForExit();
        Assert.Equal(137, child.ExitCode);
        Assert.Equal(["00000001-1", left], Directory.GetDirectories(folder["checkpoints"]).Select(Path.GetFileName).Order());

        var record = new CheckpointRecord(1, new Uri(folder["checkpoints/00000001-1"]).AbsoluteUri);
        var store = new CheckpointStore(Request(folder.Path) with { Stamp = 2, Checkpoints = [record] });
        var checkpoint = store.Load(report => Assert.Fail(report))!;
        Assert.Equal(1, checkpoint.Step);
        using var model = checkpoint.LoadModel("cpu", _ => throw new InvalidOperationException());
        store.RemoveOld();
        Assert.Equal(["00000001-1"], Directory.GetDirectories(folder["checkpoints"]).Select(Path.GetFileName));
    }

    /// <summary>What the child process runs.</summary>
    [Fact(Explicit = true)]
    public void Child()
    {
        var root = Environment.GetEnvironmentVariable(Variable)!;
        using var model = CausalLm.Create(Tiny.Config, 5);
        using var optimizer = new AdamW(model.Parameters, new AdamWOptions());
        var store = new CheckpointStore(Request(root));
        store.Save(1, model, optimizer, JsonSerializer.SerializeToElement(1));
        store.Save(2, model, optimizer, JsonSerializer.SerializeToElement(2));
    }

    public void Dispose() => folder.Dispose();

    private static StageRequest Request(string root) => new("job_1", "sft", JsonSerializer.SerializeToElement(0), 1, root, 1, [], "cpu");
}
