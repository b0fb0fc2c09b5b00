using System.Text.Json;
using Gradus.Training.Evaluation;
using Gradus.Training.Rewards;
using Gradus.Training.Rollouts;
using Gradus.Training.Stages;
using Xunit;

namespace Gradus.Training.Tests.Evaluation;

public sealed class EvaluationScoreTests
{
    private static readonly EvaluationSet sums = new("sums", new("", Artifact.Dataset, "sums", null), false);

    [Fact]
    public void The_majority_counts_where_most_samples_are_wrong_or_shapeless()
    {
        var metrics = EvaluationScore.Of(sums, [Group("7", "<think>a b 一</think><answer>7</answer>", "<think>a</think><answer>7</answer>", "<think>b</think><answer>8</answer>", "7", "9"),
            Group("3", "<think>x y</think><answer>4</answer>", "<think></think><answer>3</answer>", "no", "no", "no")], [new("letters", ["x"])]).ToDictionary(m => m.Name, m => m.Value);
        Assert.Equal(3 / 10.0, metrics["sums/pass@1"], 1e-9);
        // The first: two of three well-formed say 7. The second: one each; the one that came first is wrong.
        Assert.Equal(0.5, metrics["sums/cons@5"], 1e-9);
        Assert.Equal(0.5, metrics["sums/format_rate"], 1e-9);
        Assert.Equal(0.1, metrics["sums/phrases/letters"], 1e-9);
        Assert.Equal((2 / 3.0 + 1 + 1 + 1) / 4, metrics["sums/language_share"], 1e-9);
    }

    [Fact]
    public void Exact_match_compares_to_the_letter()
    {
        var group = Group("<think></think><answer>one</answer>", "<think></think><answer>one</answer>", "<think></think><answer>two</answer>");
        Assert.Equal(0.5, EvaluationScore.Of(sums with { ExactMatch = true }, [group], []).Single(m => m.Name == "sums/exact_match").Value);
    }

    private static RolloutGroup Group(string answer, params string[] completions)
    {
        var row = JsonSerializer.SerializeToElement(new { prompt = "q", answer, language = "en" });
        var rubric = Rubric.FromOptions(JsonSerializer.SerializeToElement(new[] { new { name = "accuracy" } }));
        return new(row, new("q", [1], ""), [.. completions.Select(c => new Rollout([1, 2], [0, 0], c, "stop", rubric.Score(new("q", c, row, "stop"))))]);
    }
}
