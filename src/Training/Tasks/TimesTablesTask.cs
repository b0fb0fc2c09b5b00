using System.Text.Json;
using System.Text.Json.Nodes;

namespace Gradus.Training.Tasks;

/// <summary>
/// "What is 7 * 8?" for both factors from 2 to 12, as one user message: what a small instruct model half knows, and learns by reinforcement in minutes.
/// </summary>
internal sealed class TimesTablesTask : ITask
{
    /// <summary>All pairs there are.</summary>
    public const int PairCount = Factors * Factors;

    private const int Smallest = 2, Factors = 11;

    public string Name => "times-tables";

    public IReadOnlyList<string> Kinds { get; } = ["problems"];

    public IEnumerable<JsonElement> Generate(string kind, int count, long seed)
    {
        if (!Kinds.Contains(kind)) throw new InvalidInputException($"The task {Name} has no kind '{kind}'; it has: {string.Join(", ", Kinds)}.", "kind", "unknown_value");
        if (count < 1 || count > PairCount) throw new InvalidInputException($"'count' must be from 1 to {PairCount} for the kind '{kind}'; it is {count}.", "count", "out_of_range");
        int[] order = [.. Enumerable.Range(0, PairCount)];
        DerivedRandom.For(seed, Name).Shuffle(order.AsSpan());
        return order.Take(count).Select(Row);
    }

    private static JsonElement Row(int pair)
    {
        var (first, second) = (Smallest + (pair / Factors), Smallest + (pair % Factors));
        return JsonSerializer.SerializeToElement(new JsonObject
        {
            ["prompt"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = $"What is {first} * {second}?" }),
            ["answer"] = $"{first * second}",
        });
    }
}
