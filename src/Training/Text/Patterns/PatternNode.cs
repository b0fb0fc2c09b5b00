namespace Gradus.Training.Text.Patterns;

/// <summary>A pattern as it was written, once read.</summary>
internal abstract record PatternNode
{
    /// <summary>One code point of the set (by its index in the pattern's list of sets).</summary>
    public sealed record One(int Set) : PatternNode;

    /// <summary>Nothing, where the next code point is in the set, or is not (the end of the text is in no set).</summary>
    public sealed record Ahead(int Set, bool Negative) : PatternNode;

    public sealed record Sequence(IReadOnlyList<PatternNode> Parts) : PatternNode;

    /// <summary>The first that matches, as in every engine that backtracks.</summary>
    public sealed record Choice(IReadOnlyList<PatternNode> Parts) : PatternNode;

    /// <param name="Most">null for as often as can be.</param>
    public sealed record Repeat(PatternNode Part, int Least, int? Most, bool Lazy) : PatternNode;
}
