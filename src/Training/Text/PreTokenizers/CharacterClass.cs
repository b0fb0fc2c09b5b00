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

    public static CharacterKind Of(Rune rune) => rune.Value < 256 ? latin[rune.Value] : Look(rune);

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
