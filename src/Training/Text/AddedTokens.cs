using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Gradus.Training.Text;

/// <summary>A token that is found in the text before anything else is done with it.</summary>
/// <param name="Special">Left out of a decoded text on request.</param>
/// <param name="SingleWord">Counts only where no word character touches it.</param>
/// <param name="StripLeft">Takes the white space before it with it.</param>
/// <param name="StripRight">Takes the white space after it with it.</param>
internal sealed record AddedToken(int Id, string Content, bool Special, bool SingleWord, bool StripLeft, bool StripRight);

/// <summary>Finds the added tokens in a text: leftmost first, of those that begin there the longest.</summary>
internal sealed class AddedTokens
{
    private readonly Dictionary<char, AddedToken[]> byFirst;
    private readonly SearchValues<char> firsts;

    public AddedTokens(IReadOnlyList<AddedToken> tokens)
    {
        All = tokens;
        byFirst = tokens.GroupBy(t => t.Content[0]).ToDictionary(g => g.Key, g => g.OrderByDescending(t => t.Content.Length).ToArray());
        firsts = SearchValues.Create([.. byFirst.Keys]);
    }

    public IReadOnlyList<AddedToken> All { get; }

    public static AddedTokens Read(JsonElement file)
    {
        if (!TokenizerJson.Has(file, "added_tokens", out var list)) return new AddedTokens([]);
        var tokens = new List<AddedToken>();
        foreach (var entry in list.EnumerateArray())
        {
            var content = TokenizerJson.Text(entry, "content");
            if (string.IsNullOrEmpty(content) || !entry.TryGetProperty("id", out var idField) || !idField.TryGetInt32(out var id) || id is < 0 or > 0xFFFFFF)
                throw new InvalidInputException($"tokenizer.json: 'added_tokens[{tokens.Count}]' needs a 'content' and an 'id' from 0 to 16777215.", "added_tokens");
            tokens.Add(new AddedToken(
                id, content, TokenizerJson.Flag(entry, "special", false), TokenizerJson.Flag(entry, "single_word", false),
                TokenizerJson.Flag(entry, "lstrip", false), TokenizerJson.Flag(entry, "rstrip", false)));
        }

        return new AddedTokens(tokens);
    }

    /// <summary>The next added token at or after <paramref name="from"/>: where it begins and ends with the white space it takes; null where there is none.</summary>
    /// <param name="from">Nothing before it is looked at but by <c>single_word</c>.</param>
    public (int Start, int End, AddedToken Token)? Next(ReadOnlySpan<char> text, int from)
    {
        var at = from;
        while (at < text.Length)
        {
            var skip = text[at..].IndexOfAny(firsts);
            if (skip < 0) return null;
            at += skip;
            var rest = text[at..];
            AddedToken? found = null;
            foreach (var token in byFirst[rest[0]])
            {
                if (!rest.StartsWith(token.Content, StringComparison.Ordinal)) continue;
                found = token;
                break;
            }

            if (found is null)
            {
                at++;
                continue;
            }

            int start = at, end = at + found.Content.Length;
            at = end;
            if (found.SingleWord && ((start > 0 && IsWord(text[start - 1])) || (end < text.Length && IsWord(text[end])))) continue;
            while (found.StripLeft && start > from && char.IsWhiteSpace(text[start - 1])) start--;
            while (found.StripRight && end < text.Length && char.IsWhiteSpace(text[end])) end++;
            return (start, end, found);
        }

        return null;
    }

    private static bool IsWord(char c) => char.IsLetterOrDigit(c) || char.GetUnicodeCategory(c) is UnicodeCategory.ConnectorPunctuation or UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark;
}
