// Samples k completions of each held-out prompt and measures them. No checkpoint: every draw derives from the seed, a new attempt measures the same.
using Gradus.Training.Rewards;
using Gradus.Training.Rollouts;
using Gradus.Training.Stages;

namespace Gradus.Training.Evaluation;

internal static class EvaluateStage
{
    public static StageResult Run(EvaluateOptions options, StageContext context)
    {
        var stored = context.Find(options.Model);
        var rubric = Rubric.FromOptions(options.Rewards);
        var sets = options.Sets.Select(set => (Set: set, Rows: context.Catalog.Rows(set.Dataset.Resolved))).ToArray();
        if (sets.FirstOrDefault(s => s.Rows.Count == 0).Set is { } empty) throw new InvalidInputException($"The evaluation set '{empty.Name}' holds no row.", "options.sets");
        using var model = stored.Load(context.Request.Device);
        using var collector = new RolloutCollector(model, StageContext.Text(stored), options.Rollouts, rubric, context);

        var perStep = options.Rollouts.PromptsPerStep;
        context.Journal.Begin(1, sets.Sum(s => (s.Rows.Count + perStep - 1) / perStep));
        List<Metric> summary = [];
        var step = 0;
        foreach (var (set, rows) in sets)
        {
            List<RolloutGroup> groups = [];
            for (var first = 0; first < rows.Count; first += perStep)
            {
                if (context.Journal.StopRequested) throw new StageStoppedException();
                step++;
                // Keyed by the set and the place of the row in it: the size of a step changes no draw.
                var batch = collector.Collect([.. rows.Skip(first).Take(perStep)], $"evaluate {set.Name}", 0, first);
                groups.AddRange(batch);
                List<Metric> metrics = [.. collector.Take()];
                if (groups.Count == rows.Count)
                {
                    var score = EvaluationScore.Of(set, groups, options.Phrases);
                    metrics.AddRange(score);
                    summary.AddRange(score);
                }
                context.Journal.CommitStep(new(step, metrics, RolloutMetrics.Samples(batch, null, 0)));
            }
        }
        return new(null, null, summary);
    }
}
