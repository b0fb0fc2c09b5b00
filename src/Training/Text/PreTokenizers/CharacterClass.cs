using System.Globalization;
using System.Text;

namespace Gradus.Training.Text.PreTokenizers;

internal enum CharacterKind : byte
{
    Other,
    Letter,
    Number,
    Space,
}

/// <summary>The four kinds that published split patterns know: \p{L}, \p{N}, \s (Unicode's White_Space), and the rest.</summary>
internal static class CharacterClass
{
    private static readonly CharacterKind[] latin = [.. Enumerable.Range(0, 256).Select(c => Look(new Rune(c)))];

    /// <summary>The kind of the code point that begins at a place, and its UTF-16 units; an unpaired surrogate is <see cref="CharacterKind.Other"/>.</summary>
    public static CharacterKind At(ReadOnlySpan<char> text, int at, out int width)
    {
        if (text[at] < latin.Length)
        {
            width = 1;
            return latin[text[at]];
        }

        Rune.DecodeFromUtf16(text[at..], out var rune, out width);
        return Look(rune);
    }

    private static CharacterKind Look(Rune rune) => Rune.IsWhiteSpace(rune)
        ? CharacterKind.Space
        : Rune.GetUnicodeCategory(rune) switch
        {
            UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter
                or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter => CharacterKind.Letter,
            UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => CharacterKind.Number,
            _ => CharacterKind.Other,
        };
}
