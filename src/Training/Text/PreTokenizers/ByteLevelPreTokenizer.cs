using System.Text;

namespace Gradus.Training.Text.PreTokenizers;

/// <summary>GPT-2's pieces, each written in the alphabet of bytes. An unpaired surrogate is written as U+FFFD: UTF-8 has no other way.</summary>
/// <param name="addPrefixSpace">A text that does not begin with a space gets one.</param>
/// <param name="useRegex">Cut by GPT-2's pattern; otherwise only the writing changes.</param>
internal sealed class ByteLevelPreTokenizer(bool addPrefixSpace, bool useRegex) : IPreTokenizer
{
    public void Split(ReadOnlySpan<char> text, PieceList pieces)
    {
        if (text.IsEmpty) return;
        if (addPrefixSpace && text[0] != ' ') text = string.Concat(" ", text);
        while (!text.IsEmpty)
        {
            var length = useRegex ? Gpt2Splitter.Next(text) : text.Length;
            Write(text[..length], pieces);
            text = text[length..];
        }
    }

    private static void Write(ReadOnlySpan<char> piece, PieceList pieces)
    {
        Span<byte> utf8 = stackalloc byte[4];
        while (!piece.IsEmpty)
        {
            if (piece[0] < 0x80)
            {
                pieces.Reserve(1)[0] = ByteAlphabet.Letter((byte)piece[0]);
                piece = piece[1..];
                continue;
            }

            Rune.DecodeFromUtf16(piece, out var rune, out var width);
            var count = rune.EncodeToUtf8(utf8);
            var room = pieces.Reserve(count);
            for (var i = 0; i < count; i++) room[i] = ByteAlphabet.Letter(utf8[i]);
            piece = piece[width..];
        }

        pieces.Close();
    }
}
