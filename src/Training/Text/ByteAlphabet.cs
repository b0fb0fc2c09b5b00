using System.Text;

namespace Gradus.Training.Text;

/// <summary>
/// GPT-2's printable alphabet of bytes: printable Latin-1 stands for itself, the other 68 bytes for U+0100 on, in order. Vocabularies of byte-level
/// BPE are written in it.
/// </summary>
internal static class ByteAlphabet
{
    private static readonly char[] letters = Letters();
    private static readonly short[] bytes = Bytes();

    /// <summary>The byte of a letter, or -1 where the character is no letter of the alphabet.</summary>
    public static int Byte(char letter) => letter < bytes.Length ? bytes[letter] : -1;

    /// <summary>Writes a text's UTF-8 in letters, at most three for each UTF-16 unit; how many. An unpaired surrogate is written as U+FFFD: UTF-8 has no other way.</summary>
    public static int Write(ReadOnlySpan<char> text, Span<char> target)
    {
        Span<byte> utf8 = stackalloc byte[4];
        int written = 0, at = 0;
        while (at < text.Length)
        {
            if (text[at] < 0x80)
            {
                target[written++] = letters[text[at++]];
                continue;
            }

            Rune.DecodeFromUtf16(text[at..], out var rune, out var width);
            var count = rune.EncodeToUtf8(utf8);
            for (var i = 0; i < count; i++) target[written++] = letters[utf8[i]];
            at += width;
        }

        return written;
    }

    private static char[] Letters()
    {
        var result = new char[256];
        var next = 256;
        for (var b = 0; b < 256; b++) result[b] = b is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or >= 0xAE ? (char)b : (char)next++;
        return result;
    }

    private static short[] Bytes()
    {
        var result = new short[256 + 68];
        Array.Fill(result, (short)-1);
        for (var b = 0; b < 256; b++) result[letters[b]] = (short)b;
        return result;
    }
}
