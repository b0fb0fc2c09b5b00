using System.Text.Json;
using Gradus.Training.Stages;
using Gradus.Training.Tasks;

namespace Gradus.Training.Rollouts;

/// <summary>Draws rows of a built-in task until there are as many as asked whose prompts are not held out.</summary>
internal static class GenerateStage
{
    public static StageResult Run(GenerateOptions options, StageContext context)
    {
        var task = BuiltIn.Task(options.Task);
        var heldOut = RowOrder.HeldOut(options.HeldOut, context);
        context.Journal.Begin(1, 1);
        context.Progress("generate");
        var seed = options.Seed ?? context.Seed;
        List<JsonElement> rows = [.. task.Generate(options.Kind, options.Count, seed)];
        var dropped = 0;
        if (heldOut.Count > 0)
        {
            // A longer list begins with the shorter one: draw on until enough is left, or nothing new comes.
            var drawn = options.Count;
            for (dropped = rows.RemoveAll(IsHeldOut); rows.Count < options.Count && drawn < 4 * options.Count; dropped += rows.RemoveAll(IsHeldOut))
            {
                var more = options.Count - rows.Count;
                rows.AddRange(task.Generate(options.Kind, drawn + more, seed).Skip(drawn));
                drawn += more;
            }
            if (dropped > 0) context.Warn($"Left out {dropped} rows: their prompts are held out for evaluation.");
        }
        Metric[] summary = [new("rows", rows.Count)];
        context.Journal.CommitStep(new(1, summary, []));
        return new(null, rows, summary);

        bool IsHeldOut(JsonElement row) => heldOut.Contains(PromptKey.Of(row));
    }
}
