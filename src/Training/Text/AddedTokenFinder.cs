using System.Buffers;
using System.Text;
using Gradus.Training.Text.Patterns;

namespace Gradus.Training.Text;

/// <summary>Finds added tokens in a text: leftmost first, of those that begin there the longest.</summary>
internal sealed class AddedTokenFinder
{
    private readonly CharacterTrie trie = new();
    private readonly SearchValues<char> firsts;
    private readonly IReadOnlyList<AddedToken> tokens;

    public AddedTokenFinder(IReadOnlyList<AddedToken> tokens)
    {
        this.tokens = tokens;
        firsts = SearchValues.Create([.. tokens.Select(token => token.Form[0]).Distinct()]);
        for (var i = tokens.Count - 1; i >= 0; i--) trie.Add(tokens[i].Form, i); // of two with one form the first counts
    }

    /// <summary>
    /// The text in parts, in order: what is plain (null), and tokens with the white space they take. Null where there is no token. White space that one token
    /// takes on its right may be another token: then that one comes too, as in the format's own code.
    /// </summary>
    public List<(int Start, int End, AddedToken? Token)>? Find(ReadOnlySpan<char> text)
    {
        List<(int, int, AddedToken?)>? parts = null;
        var plain = 0; // where the text begins that no part has yet
        for (var at = 0; at < text.Length;)
        {
            var skip = text[at..].IndexOfAny(firsts);
            if (skip < 0) break;
            at += skip;
            var (length, index) = trie.Longest(text[at..]);
            if (length == 0)
            {
                at++;
                continue;
            }

            int start = at, end = at + length;
            at = end;
            var token = tokens[index];
            if (token.SingleWord && (EndsInWord(text[..start]) || BeginsWithWord(text[end..]))) continue;
            while (token.StripLeft && start > plain && char.IsWhiteSpace(text[start - 1])) start--;
            while (token.StripRight && end < text.Length && char.IsWhiteSpace(text[end])) end++;
            parts ??= [];
            if (plain < start) parts.Add((plain, start, null));
            parts.Add((start, end, token));
            plain = end;
        }

        if (parts is not null && plain != text.Length) parts.Add((plain, text.Length, null));
        return parts;
    }

    private static bool EndsInWord(ReadOnlySpan<char> text) => !text.IsEmpty && Rune.DecodeLastFromUtf16(text, out var rune, out _) == OperationStatus.Done && CharacterSet.Word.Contains(rune.Value);

    private static bool BeginsWithWord(ReadOnlySpan<char> text) => !text.IsEmpty && Rune.DecodeFromUtf16(text, out var rune, out _) == OperationStatus.Done && CharacterSet.Word.Contains(rune.Value);
}
