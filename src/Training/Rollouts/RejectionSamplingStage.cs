// Rejection sampling: what the rewards accept becomes rows to train on. It keeps no checkpoint: every draw derives from the seed, so that a new attempt,
// which begins at the first step, makes the same rows.
using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Rewards;
using Gradus.Training.Stages;

namespace Gradus.Training.Rollouts;

internal static class RejectionSamplingStage
{
    public static StageResult Run(RejectionSamplingOptions options, StageContext context)
    {
        var stored = context.Find(options.Model);
        var rubric = Rubric.FromOptions(options.Rewards);
        if (options.Accept.Keys.Except(rubric.Names).FirstOrDefault() is { } unknown)
            throw new InvalidInputException($"'options.accept.{unknown}' is none of the rewards here: {string.Join(", ", rubric.Names)}.", $"options.accept.{unknown}", "unknown_field");
        var prompts = RowOrder.Read(options.Data, context).SelectMany(p => p.Rows).ToArray();
        if (prompts.Length == 0) throw new InvalidInputException("The dataset holds no prompt to sample from.", "options.dataset");
        using var model = stored.Load(context.Request.Device);
        using var collector = new RolloutCollector(model, StageContext.Text(stored), options.Rollouts, rubric, context);

        var perStep = options.Rollouts.PromptsPerStep;
        var steps = (prompts.Length + perStep - 1) / perStep;
        context.Journal.Begin(1, steps);
        List<JsonElement> rows = [];
        long sampled = 0;
        for (var step = 1; step <= steps && !(rows.Count >= options.MaxRows); step++)
        {
            if (context.Journal.StopRequested) throw new StageStoppedException();
            var groups = collector.Collect([.. prompts.Skip((step - 1) * perStep).Take(perStep)], "rejection", step);
            foreach (var group in groups)
            {
                rows.AddRange(group.Rollouts.Where(r => Accepted(r, options)).DistinctBy(r => r.Text).Take(options.MaxRowsPerPrompt ?? int.MaxValue).Select(r => RowOf(group, r)));
                sampled += group.Rollouts.Count;
            }
            context.Journal.CommitStep(new(step,
            [
                .. RolloutMetrics.Of(groups, []), new("accepted", rows.Count), new("accepted_ratio", rows.Count / (double)sampled), .. collector.Take(),
            ], RolloutMetrics.Samples(groups, null, 0)));
        }
        if (options.MaxRows is { } most && rows.Count > most) rows.RemoveRange(most, rows.Count - most);
        if (rows.Count == 0) throw new InvalidInputException($"None of {sampled} completions was accepted: there is nothing to train on.", "options.accept");
        return new(null, rows, [new("rows", rows.Count), new("sampled", sampled), new("accepted_ratio", rows.Count / (double)sampled)]);
    }

    private static bool Accepted(Rollout rollout, RejectionSamplingOptions options) =>
        rollout.FinishReason == "stop" && rollout.Score.Rewards.All(r => r.Value is not { } value || value >= options.Accept.GetValueOrDefault(r.Name, 1));

    /// <summary>The prompt's own row with the completion, in the prompt's shape.</summary>
    private static JsonElement RowOf(RolloutGroup group, Rollout rollout)
    {
        var row = JsonSerializer.SerializeToNode(group.Row)!.AsObject();
        row["completion"] = group.Row.GetProperty("prompt").ValueKind == JsonValueKind.Array
            ? new JsonArray(new JsonObject { ["role"] = "assistant", ["content"] = rollout.Text })
            : JsonValue.Create(rollout.Text[group.Prompt.Opened.Length..]); // the row's own prompt ends with the rest
        return JsonSerializer.SerializeToElement(row);
    }
}
