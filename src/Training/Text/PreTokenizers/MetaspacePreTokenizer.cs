using System.Buffers;
using System.Text.Json;

namespace Gradus.Training.Text.PreTokenizers;

/// <summary>Which pieces get the replacement before them, where they do not begin with it.</summary>
internal enum PrependScheme
{
    /// <summary>Only the one that the text begins with.</summary>
    First,
    Never,
    Always,
}

/// <summary>SentencePiece's writing: a space becomes a visible character, which also stands before the text, and words are cut before it.</summary>
internal sealed class MetaspacePreTokenizer(char replacement, PrependScheme scheme, bool split, IPieceStep next) : IPieceStep
{
    /// <summary>What the pre-tokenizer and the decoder of this name have in common.</summary>
    public static (char Replacement, PrependScheme Scheme) Read(JsonElement part, string where)
    {
        var replacement = TokenizerJson.Character(part, "replacement", where);
        var name = TokenizerJson.Text(part, "prepend_scheme") ?? "always";
        PrependScheme? scheme = name switch { "first" => PrependScheme.First, "never" => PrependScheme.Never, "always" => PrependScheme.Always, _ => null };
        if (scheme is not { } known) throw TokenizerJson.Unsupported($"{where}.prepend_scheme", name, "first, never, always");
        // The older form; beside it only 'never' says the same.
        if (!TokenizerJson.Flag(part, "add_prefix_space", true))
        {
            if (TokenizerJson.Has(part, "prepend_scheme", out _) && known != PrependScheme.Never)
                throw new InvalidInputException($"tokenizer.json: '{where}.add_prefix_space' is false, so '{where}.prepend_scheme' must be 'never'; it is '{name}'.", where);
            known = PrependScheme.Never;
        }

        return (replacement, known);
    }

    public void Take(ReadOnlySpan<char> piece, bool first, List<int> ids)
    {
        var prepend = piece[0] != ' ' && piece[0] != replacement && (scheme == PrependScheme.Always || (scheme == PrependScheme.First && first));
        var rented = ArrayPool<char>.Shared.Rent(piece.Length + 1);
        rented[0] = replacement;
        var written = rented.AsSpan(0, piece.Length + (prepend ? 1 : 0));
        piece.Replace(written[(prepend ? 1 : 0)..], ' ', replacement);
        while (!written.IsEmpty)
        {
            var length = split && written[1..].IndexOf(replacement) is >= 0 and var at ? at + 1 : written.Length;
            next.Take(written[..length], first, ids);
            written = written[length..];
            first = false;
        }

        ArrayPool<char>.Shared.Return(rented);
    }
}
