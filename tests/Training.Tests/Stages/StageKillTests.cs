using System.Diagnostics;
using Xunit;

namespace Gradus.Training.Tests.Stages;

/// <summary>Each line "If we stop here" of the training loop, stopped there: a child is killed in a grpo stage, and a new attempt ends as an unbroken one.</summary>
public sealed class StageKillTests
{
    private const string Variable = "GRADUS_TEST_STAGE";

    private const string Options = """
        {"model":"base","dataset":"problems","max_steps":4,"prompts_per_step":2,"num_generations":3,"max_completion_length":10,"learning_rate":0.001,"save_steps":2,
         "rewards":[{"name":"language_consistency"},{"name":"format"}]}
        """;

    [Theory]
    [InlineData("step-updated", 3)]
    [InlineData("step-committed", 1)]
    [InlineData("step-committed", 3)]
    [InlineData("checkpoint-committed", 1)]
    [InlineData("model-written", 1)]
    public void Killed_there_the_next_attempt_ends_as_an_unbroken_one(string point, int count)
    {
        using var stages = new StageHarness().WithBase();
        var whole = new MemoryJournal();
        var unbroken = stages.Run("grpo", "whole", Options, whole);

        Directory.CreateDirectory(stages.Folder("killed"));
        using var child = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, ["-explicit", "only", "-method", $"{typeof(StageKillTests).FullName}.{nameof(Child)}"])
        {
            RedirectStandardOutput = true,
            Environment = { ["GRADUS_KILL"] = $"{point}:{count}", [Variable] = stages.Folder("") },
        })!;
        child.StandardOutput.ReadToEnd();
        child.WaitForExit();
        Assert.Equal(137, child.ExitCode);

        var journal = new FileJournal(stages.Folder("killed"));
        var resumed = stages.Run("grpo", "killed", Options, journal, journal.Checkpoints, stamp: 2);
        Assert.Equal(File.ReadAllBytes(Path.Combine(unbroken.ModelFolder!, "model.safetensors")), File.ReadAllBytes(Path.Combine(resumed.ModelFolder!, "model.safetensors")));
        Assert.Equal(whole.Everything(), MemoryJournal.Everything(journal.Steps));
    }

    /// <summary>What the child process runs.</summary>
    [Fact(Explicit = true)]
    public void Child()
    {
        using var stages = new StageHarness(Environment.GetEnvironmentVariable(Variable)!);
        var journal = new FileJournal(stages.Folder("killed"));
        stages.Run("grpo", "killed", Options, journal, journal.Checkpoints, stamp: 1);
    }
}
