using System.Text.Json;
using System.Text.Json.Nodes;
using Xunit;

namespace Gradus.Training.Tests.Stages;

/// <summary>
/// Ten steps of sft and of every loss of grpo on the small model, held to what they were when fixtures/golden/curves.json was written and looked through. A change of numbers that is meant is written anew: with
/// GRADUS_WRITE_GOLDEN naming the file, the first test writes it instead of comparing.
/// </summary>
public sealed class GoldenCurveTests
{
    private static readonly string[] curves = ["loss", "grad_norm", "entropy", "kl", "reward", "clip_ratio/region_mean", "cispo_clip_ratio"];

    private static readonly string file = Path.Combine(AppContext.BaseDirectory, "fixtures", "golden", "curves.json");

    public static TheoryData<string> Names => [.. Cases().Select(one => one["name"]!.GetValue<string>())];

    [Fact]
    public void The_curves_are_of_every_loss()
    {
        if (Environment.GetEnvironmentVariable("GRADUS_WRITE_GOLDEN") is { Length: > 0 } path) Write(path);
        foreach (var loss in new[] { "grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo" }) Assert.Contains(Cases(), one => one["options"]!["loss_type"]?.GetValue<string>() == loss);
        foreach (var one in Cases()) Assert.All(Numbers(one, "grad_norm"), norm => Assert.True(norm > 1e-3, $"{one["name"]}: a step learns nothing"));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Ten_steps_are_what_they_were(string name) => Compare(name, 8192, 1e-5);

    /// <summary>The whole update's normalisers: however a step is cut, it is the same one.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void Ten_steps_in_micro_batches_are_the_same(string name) => Compare(name, 64, 1e-5);

    private static void Compare(string name, int budget, double tolerance)
    {
        var one = Cases().Single(one => one["name"]!.GetValue<string>() == name);
        var journal = Run(one, budget);
        foreach (var curve in curves)
        {
            var expected = Numbers(one, curve);
            var actual = Curve(journal, curve);
            Assert.Equal(expected.Length, actual.Length);
            for (var step = 0; step < actual.Length; step++)
                Assert.True(Math.Abs(expected[step] - actual[step]) <= tolerance * Math.Max(0.1, Math.Abs(expected[step])), $"{name}, {curve}, place {step}: {actual[step]} is not {expected[step]}");
        }
    }

    private static MemoryJournal Run(JsonObject one, int budget)
    {
        using var stages = new StageHarness().WithBase();
        stages.Datasets["problems"] = [.. stages.Datasets["documents"].Select((row, i) => JsonSerializer.SerializeToElement(new { prompt = row.GetProperty("prompt").GetString(), language = i % 2 == 0 ? "en" : "zh" }))];
        var options = one["options"]!.DeepClone().AsObject();
        options["max_tokens_per_microbatch"] = budget;
        var journal = new MemoryJournal();
        stages.Run(one["stage"]!.GetValue<string>(), "golden", options.ToJsonString(), journal);
        return journal;
    }

    private static double[] Curve(MemoryJournal journal, string name) => [.. journal.Steps.Values.SelectMany(step => step.Metrics).Where(metric => metric.Name == name).Select(metric => metric.Value)];

    private static double[] Numbers(JsonObject one, string curve) => [.. (one[curve]?.AsArray() ?? []).Select(value => value!.GetValue<double>())];

    private static JsonObject[] Cases() => [.. JsonNode.Parse(File.ReadAllBytes(file))!["cases"]!.AsArray().Select(one => one!.AsObject())];

    private static void Write(string path)
    {
        var cases = Cases();
        foreach (var one in cases)
        {
            var journal = Run(one, 8192);
            foreach (var curve in curves)
            {
                one.Remove(curve);
                if (Curve(journal, curve) is { Length: > 0 } values) one[curve] = JsonSerializer.SerializeToNode(values.Select(value => Math.Round(value, 9)));
            }
        }
        File.WriteAllText(path, $"{{\"cases\":[\n{string.Join(",\n", cases.Select(one => one.ToJsonString()))}\n]}}\n");
    }
}
