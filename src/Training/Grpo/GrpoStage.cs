using Gradus.Training.Model;
using Gradus.Training.Rewards;
using Gradus.Training.Rollouts;
using Gradus.Training.Stages;

namespace Gradus.Training.Grpo;

/// <summary>Puts a <see cref="GrpoStep"/> together and runs it to the end.</summary>
internal static class GrpoStage
{
    public static StageResult Run(GrpoOptions options, StageContext context)
    {
        var folder = context.FolderOf(options.Model);
        var text = StageContext.Text(folder);
        var order = RowOrder.Open(options.Data, context);
        var rubric = Rubric.FromOptions(options.Rewards);
        using var loop = new TrainingLoop(context, options.Loop, () => CausalLm.Load(folder, context.Request.Device));
        using var reference = options.Loss.Beta > 0 ? CausalLm.Load(folder, context.Request.Device) : null;
        using var collector = new RolloutCollector(loop.Model, text, options.Rollouts, rubric, context);
        var step = new GrpoStep(options, loop, reference, order, collector, context);
        return loop.Run(step.Run, step.Ends, folder);
    }
}
