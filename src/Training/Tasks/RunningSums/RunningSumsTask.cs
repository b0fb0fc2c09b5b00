using System.Text.Json;
using System.Text.Json.Nodes;

namespace Gradus.Training.Tasks.RunningSums;

/// <summary>
/// Running sums, a world small enough that reasoning is learned in minutes: "What is 47 + 8 - 5 + 9?", asked and answered in English and Chinese. Which
/// texts it makes is set here and nowhere else.
/// </summary>
internal sealed class RunningSumsTask : ITask
{
    private const int LargestCount = 1_000_000;

    public string Name => "running-sums";

    public IReadOnlyList<string> Kinds { get; } = ["problems", "documents", "cold-start", "general", "held-out", "general-held-out"];

    public IEnumerable<JsonElement> Generate(string kind, int count, long seed)
    {
        if (!Kinds.Contains(kind)) throw new InvalidInputException($"The task {Name} has no kind '{kind}'; it has: {string.Join(", ", Kinds)}.", "kind", "unknown_value");
        var largest = kind switch { "held-out" => HeldOut.ProblemCount, "general-held-out" => HeldOut.GeneralCount, _ => LargestCount };
        if (count < 1 || count > largest) throw new InvalidInputException($"'count' must be from 1 to {largest} for the kind '{kind}'; it is {count}.", "count", "out_of_range");
        return Enumerable.Range(0, count).Select(index => Row(kind, seed, index));
    }

    private JsonElement Row(string kind, long seed, int index)
    {
        if (kind == "held-out") return Row(HeldOut.Problems[index]);
        if (kind == "general-held-out") return Row(HeldOut.Translations[index], "answer");
        var random = DerivedRandom.For(seed, $"{Name}-{kind}", 0, index);
        return kind switch
        {
            "documents" => Row(Documents.Base(ref random), "completion"),
            "cold-start" => Row(Documents.ColdStart(ref random), "completion"),
            "general" => Row(Documents.Translation(ref random), "completion"),
            _ => Row(HeldOut.DrawTraining(ref random)),
        };
    }

    private static JsonElement Row((string Prompt, string Completion) document, string field) =>
        JsonSerializer.SerializeToElement(new JsonObject { ["prompt"] = document.Prompt, [field] = document.Completion });

    private static JsonElement Row(Problem problem) =>
        JsonSerializer.SerializeToElement(new JsonObject { ["prompt"] = problem.Prompt, ["answer"] = $"{problem.Sum}", ["language"] = problem.Language.Code });
}
