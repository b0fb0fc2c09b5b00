using System.Text.Json;
using Gradus.Training.Stages;

namespace Gradus.Training.Rollouts;

/// <summary>Takes a part of a dataset's rows.</summary>
internal static class SelectStage
{
    public static StageResult Run(SelectOptions options, StageContext context)
    {
        var heldOut = RowOrder.HeldOut(options.HeldOut, context);
        context.Journal.Begin(1, 1);
        context.Progress("select");
        var all = context.Catalog.Rows(options.Dataset.Resolved);
        JsonElement[] taken = [.. all.Skip(options.Skip).Take(options.Count ?? int.MaxValue)];
        JsonElement[] rows = heldOut.Count == 0 ? taken : [.. taken.Where(row => !heldOut.Contains(PromptKey.Of(row)))];
        if (rows.Length < taken.Length) context.Warn($"Left out {taken.Length - rows.Length} rows: their prompts are held out for evaluation.");
        if (rows.Length == 0) throw new InvalidInputException($"No row is left: the dataset has {all.Count}, of which {options.Skip} are passed over.", "options.skip");
        Metric[] summary = [new("rows", rows.Length)];
        context.Journal.CommitStep(new(1, summary, []));
        return new(null, rows, summary);
    }
}
