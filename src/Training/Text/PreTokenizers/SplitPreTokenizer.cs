using System.Text.Json;
using Gradus.Training.Text.Patterns;

namespace Gradus.Training.Text.PreTokenizers;

/// <summary>What becomes of the text that a pattern matches.</summary>
internal enum SplitBehavior
{
    Removed,
    Isolated,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

/// <summary>Cuts by a pattern. All pre-tokenizers that cut and change nothing are this one.</summary>
/// <param name="invert">What lies between the matches counts as matched, and the matches as the rest.</param>
internal sealed class SplitPreTokenizer(TextPattern pattern, SplitBehavior behavior, bool invert, IPieceStep next) : IPieceStep
{
    public static SplitBehavior Behavior(JsonElement part, string where)
    {
        var name = TokenizerJson.Text(part, "behavior") ?? "Isolated";
        return Enum.TryParse<SplitBehavior>(name, out var behavior) && Enum.IsDefined(behavior) && !char.IsAsciiDigit(name[0])
            ? behavior
            : throw TokenizerJson.Unsupported($"{where}.behavior", name, string.Join(", ", Enum.GetNames<SplitBehavior>()));
    }

    public void Take(ReadOnlySpan<char> piece, bool first, List<int> ids)
    {
        var matches = pattern.Matches(piece);
        int start = 0, end = 0; // the piece that is not given away yet
        var matched = false; // its last part was a match
        while (matches.MoveNext())
        {
            if (matches.Start > end) Part(piece, matches.Start, invert);
            Part(piece, matches.End, !invert);
        }

        if (piece.Length > end) Part(piece, piece.Length, invert);
        Give(piece);

        void Part(ReadOnlySpan<char> piece, int partEnd, bool match)
        {
            var joined = behavior switch
            {
                SplitBehavior.Contiguous => match == matched,
                SplitBehavior.MergedWithPrevious => match && !matched,
                SplitBehavior.MergedWithNext => !match && matched,
                _ => false,
            };
            if (!joined) Give(piece);
            (end, matched) = (partEnd, match);
        }

        void Give(ReadOnlySpan<char> piece)
        {
            if (end > start && !(behavior == SplitBehavior.Removed && matched)) next.Take(piece[start..end], first && start == 0, ids);
            start = end;
        }
    }
}
