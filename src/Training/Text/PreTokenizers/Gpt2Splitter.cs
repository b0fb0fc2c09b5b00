namespace Gradus.Training.Text.PreTokenizers;

/// <summary>
/// GPT-2's split pattern by hand, over code points, in one pass without backtracking:
/// <c>'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+</c>.
/// The one look-ahead says: a run of white space leaves its last character to what follows it.
/// </summary>
internal static class Gpt2Splitter
{
    /// <summary>The length of the next piece, at least 1. <paramref name="text"/> is not empty; an unpaired surrogate counts as "the rest".</summary>
    public static int Next(ReadOnlySpan<char> text)
    {
        if (text[0] == '\'' && Contraction(text) is > 0 and var contraction) return contraction;
        var start = text[0] == ' ' && text.Length > 1 ? 1 : 0;
        var kind = CharacterClass.At(text, start, out var width);
        if (kind != CharacterKind.Space)
        {
            var end = start + width;
            while (end < text.Length && CharacterClass.At(text, end, out width) == kind) end += width;
            return end;
        }

        var stop = start + 1;
        while (stop < text.Length && CharacterClass.At(text, stop, out _) == CharacterKind.Space) stop++; // every white space is one UTF-16 unit
        return stop == text.Length || stop == 1 ? stop : stop - 1;
    }

    private static int Contraction(ReadOnlySpan<char> text)
    {
        if (text.Length < 2) return 0;
        if (text[1] is 's' or 't' or 'm' or 'd') return 2;
        return text.Length > 2 && (text[1], text[2]) is ('r', 'e') or ('v', 'e') or ('l', 'l') ? 3 : 0;
    }
}
