using Gradus.Training.Model;

namespace Gradus.Training.Tests.Model;

/// <summary>A model that costs nothing, and rows for it.</summary>
internal static class Tiny
{
    public static ModelConfig Config { get; } = new("qwen2", 50, 32, 2, 4, 2, 8, 48, 1e-6, 10_000, 256, TieEmbeddings: true, QkvBias: true, [2], 0, 1);

    /// <summary>Rows of lengths from <paramref name="shortest"/> up to below <paramref name="longest"/>, with targets from somewhere on.</summary>
    public static IReadOnlyList<TokenRow> Rows(int count, int shortest, int longest, long seed = 1) => [.. Enumerable.Range(0, count).Select(row =>
    {
        var random = DerivedRandom.For(seed, "rows", 0, row);
        var tokens = new int[random.Next(shortest, longest)];
        for (var i = 0; i < tokens.Length; i++) tokens[i] = random.Next(0, Config.VocabularySize);
        return new TokenRow(tokens, random.Next(1, tokens.Length));
    })];
}
