using System.Text.Json;

namespace Gradus.Training.Tasks;

/// <summary>A built-in source of rows, for the stage <c>generate</c>.</summary>
public interface ITask
{
    /// <summary>The name by which options call it.</summary>
    string Name { get; }

    /// <summary>What it can generate; the first is the default.</summary>
    IReadOnlyList<string> Kinds { get; }

    /// <summary>
    /// Rows 0 to <paramref name="count"/> - 1 of a kind. A row depends on (seed, kind, its index) alone, so a longer list begins with the shorter one.
    /// </summary>
    /// <exception cref="InvalidInputException">There is no such kind, or the count is not from 1 to 1,000,000.</exception>
    IEnumerable<JsonElement> Generate(string kind, int count, long seed);
}

/// <summary>A dataset that is there before any run.</summary>
/// <param name="Id">Fixed.</param>
/// <param name="Rows">Makes the rows, one JSON object each; the same at every call.</param>
public sealed record BuiltInDataset(string Id, string Name, string Description, Func<IEnumerable<JsonElement>> Rows);
