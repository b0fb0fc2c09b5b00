using System.Text.Json;
using System.Text.RegularExpressions;

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

/// <summary>
/// Cuts by a pattern: a string, or a regular expression that works without backtracking (linear in the text; look-around and back references are
/// refused when the file is read).
/// </summary>
/// <param name="invert">What lies between the matches counts as matched, and the matches as the rest.</param>
internal sealed class SplitPreTokenizer(Regex pattern, SplitBehavior behavior, bool invert) : IPreTokenizer
{
    public static SplitPreTokenizer Read(JsonElement part, string where)
    {
        if (!TokenizerJson.Has(part, "pattern", out var pattern) || pattern.ValueKind != JsonValueKind.Object)
            throw new InvalidInputException($"tokenizer.json: '{where}.pattern' must be an object with 'String' or 'Regex'.", where, "missing");
        var text = TokenizerJson.Text(pattern, "String") is { } literal ? Regex.Escape(literal) : TokenizerJson.Text(pattern, "Regex");
        if (string.IsNullOrEmpty(text)) throw new InvalidInputException($"tokenizer.json: '{where}.pattern' must hold a non-empty 'String' or 'Regex'.", where, "missing");
        var name = TokenizerJson.Text(part, "behavior") ?? "Isolated";
        if (!Enum.TryParse<SplitBehavior>(name, out var behavior) || !Enum.IsDefined(behavior))
            throw TokenizerJson.Unsupported($"{where}.behavior", name, string.Join(", ", Enum.GetNames<SplitBehavior>()));
        try
        {
            return new SplitPreTokenizer(new Regex(text, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant), behavior, TokenizerJson.Flag(part, "invert", false));
        }
        catch (Exception problem) when (problem is ArgumentException or NotSupportedException)
        {
            throw new InvalidInputException($"tokenizer.json: the pattern of '{where}' is not supported: {problem.Message}", where);
        }
    }

    public void Split(ReadOnlySpan<char> text, PieceList pieces)
    {
        var parts = new List<(int Start, int End, bool Matched)>();
        var at = 0;
        foreach (var match in pattern.EnumerateMatches(text))
        {
            if (match.Length == 0) continue;
            if (match.Index > at) parts.Add((at, match.Index, invert));
            parts.Add((match.Index, match.Index + match.Length, !invert));
            at = match.Index + match.Length;
        }

        if (at < text.Length) parts.Add((at, text.Length, invert));
        for (var i = 0; i < parts.Count; i++)
        {
            var (start, end, matched) = parts[i];
            switch (behavior)
            {
                case SplitBehavior.Removed when matched:
                    continue;
                case SplitBehavior.Contiguous:
                    while (i + 1 < parts.Count && parts[i + 1].Matched == matched) end = parts[++i].End;
                    break;
                case SplitBehavior.MergedWithPrevious when !matched && i + 1 < parts.Count && parts[i + 1].Matched:
                case SplitBehavior.MergedWithNext when matched && i + 1 < parts.Count && !parts[i + 1].Matched:
                    end = parts[++i].End;
                    break;
            }

            pieces.Add(text[start..end]);
        }
    }
}
