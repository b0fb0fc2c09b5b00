using System.Globalization;
using System.Text;

namespace Gradus.Training.Text.Models;

/// <summary>SentencePiece's tokens of single bytes, <c>&lt;0x00&gt;</c> to <c>&lt;0xFF&gt;</c>: what stands for a character without a token.</summary>
internal static class ByteTokens
{
    /// <summary>The byte that a token stands for, or -1.</summary>
    public static int Byte(ReadOnlySpan<char> token) =>
        token.Length == 6 && token.StartsWith("<0x") && token[5] == '>' && byte.TryParse(token[3..5], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value) ? value : -1;

    /// <summary>The ids by byte; -1 where the vocabulary has none.</summary>
    public static int[] Ids(IReadOnlyDictionary<string, int> vocabulary) => [.. Enumerable.Range(0, 256).Select(b => vocabulary.GetValueOrDefault($"<0x{b:X2}>", -1))];

    /// <summary>Writes the ids of a character's UTF-8; 0 where one of its bytes has no token.</summary>
    /// <param name="utf8">Room for four bytes.</param>
    public static int Write(ReadOnlySpan<char> character, int[] ids, Span<byte> utf8, Span<int> target)
    {
        Rune.DecodeFromUtf16(character, out var rune, out _);
        var count = rune.EncodeToUtf8(utf8);
        for (var i = 0; i < count; i++)
        {
            if (ids[utf8[i]] < 0) return 0;
            target[i] = ids[utf8[i]];
        }

        return count;
    }
}
