using Gradus.Training.Lora;
using Gradus.Training.Rewards;
using Gradus.Training.Rollouts;
using Gradus.Training.Stages;

namespace Gradus.Training.Grpo;

/// <summary>Puts a <see cref="GrpoStep"/> together and runs it to the end.</summary>
internal static class GrpoStage
{
    public static StageResult Run(GrpoOptions options, StageContext context)
    {
        var stored = context.Find(options.Model);
        var text = StageContext.Text(stored);
        var order = RowOrder.Open(options.Data, context);
        var rubric = Rubric.FromOptions(options.Rewards);
        using var loop = new TrainingLoop(context, options.Loop, () => AdapterStart.Load(options.Model, stored, options.Adapter, context));
        if (loop.Model.Adapter is { Config.Dropout: > 0 }) context.Journal.Event("info", "lora_dropout is off in grpo, as in TRL.");
        using var reference = options.Loss.Beta > 0 ? ReferencePolicy.Of(loop.Model, stored, context, loop.ResumedFrom) : null;
        loop.Beside = () => reference?.Files ?? [];
        using var collector = new RolloutCollector(loop.Model, text, options.Rollouts, rubric, context);
        var step = new GrpoStep(options, loop, reference, new(order, collector, options), context);
        return loop.Run(step.Run, step.Ends, stored.TextFolder);
    }
}
