using Gradus.Training.Model;
using Gradus.Training.Stages;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Stages;

public sealed class SkippedUpdateTests
{
    private readonly MemoryJournal journal = new();

    [Fact]
    public void A_gradient_that_is_not_finite_changes_nothing_is_counted_and_the_third_in_a_row_ends_the_job()
    {
        using var stages = new StageHarness().WithBase();
        using var loop = Loop(stages, "skip", 1);
        var before = Weights(loop);
        var result = loop.Run(step => Step(loop, step, bad: step is 2 or 3 or 5), _ => true, stages.ModelFolder("base"));
        Assert.Equal([0, 1, 2, 2, 3, 3], journal.Steps.Keys.Select(step => journal.Metric(step, "skipped_updates")));
        Assert.NotEqual(before, Weights(loop));
        Assert.All(Weights(loop), weight => Assert.True(float.IsFinite(weight)));
        string[] warned = [.. journal.Events.Where(text => text.StartsWith("warning: ", StringComparison.Ordinal)).Select(text => text["warning: ".Length..][..7])];
        Assert.Equal(["Step 2:", "Step 5:"], warned);

        using var lost = Loop(stages, "lost", 1);
        var problem = Assert.Throws<TrainingDivergedException>(() => lost.Run(step => Step(lost, step, bad: step >= 2), _ => true, stages.ModelFolder("base")));
        Assert.Equal("The gradients of steps 2 to 4 were not finite: training has diverged. Lower learning_rate or max_grad_norm.", problem.Message);
    }

    [Fact]
    public void The_count_goes_on_over_attempts()
    {
        using var stages = new StageHarness().WithBase();
        journal.StopAfter = 3;
        using (var first = Loop(stages, "broken", 1)) Assert.Throws<StageStoppedException>(() => first.Run(step => Step(first, step, bad: step >= 2), _ => true, stages.ModelFolder("base")));
        journal.StopAfter = null;
        using var second = Loop(stages, "broken", 2);
        Assert.Throws<TrainingDivergedException>(() => second.Run(step => Step(second, step, bad: true), _ => true, stages.ModelFolder("base")));
        Assert.Equal(2, journal.Metric(3, "skipped_updates"));
        Assert.Single(journal.Events, text => text.StartsWith("warning: ", StringComparison.Ordinal));
    }

    private TrainingLoop Loop(StageHarness stages, string job, long stamp)
    {
        var options = StageHarness.Json("""{"max_steps":6,"save_steps":100,"learning_rate":0.01}""");
        var context = new StageContext(new(job, "sft", options, 7, stages.Folder(job), stamp, stamp == 1 ? [] : journal.Checkpoints, "cpu"), journal, stages, CancellationToken.None);
        Directory.CreateDirectory(stages.Folder(job));
        return new(context, LoopOptions.Read(new OptionReader(options, "options"), 0.01, "constant"), () => CausalLm.Load(stages.ModelFolder("base"), "cpu"));
    }

    private static StepRecord Step(TrainingLoop loop, int step, bool bad)
    {
        foreach (var (_, parameter) in loop.Model.Parameters) parameter.grad = full_like(parameter, 0.01);
        if (bad) loop.Model.Parameters[0].Value.grad!.fill_(float.NaN);
        return new(step, [new("grad_norm", loop.Update(step).GradNorm)], []);
    }

    private static float[] Weights(TrainingLoop loop) => loop.Model.Parameters[0].Value.data<float>().ToArray();
}
