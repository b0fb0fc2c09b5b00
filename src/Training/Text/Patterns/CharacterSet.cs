using System.Globalization;
using System.Text;

namespace Gradus.Training.Text.Patterns;

/// <summary>
/// A set of code points as a pattern names it: general categories, white space, ranges, other sets; perhaps turned around. An unpaired surrogate is
/// asked for as U+FFFD.
/// </summary>
/// <param name="Categories">One bit for each <see cref="UnicodeCategory"/>.</param>
/// <param name="FoldCase">A code point belongs too where one that differs in case alone belongs (Oniguruma's <c>(?i)</c>, one to one).</param>
internal sealed record CharacterSet(
    uint Categories = 0, bool Space = false, bool FoldCase = false, bool Negated = false, IReadOnlyList<(int From, int To)>? Ranges = null, IReadOnlyList<CharacterSet>? Parts = null)
{
    public const uint Letters = (1 << (int)UnicodeCategory.UppercaseLetter) | (1 << (int)UnicodeCategory.LowercaseLetter) | (1 << (int)UnicodeCategory.TitlecaseLetter)
        | (1 << (int)UnicodeCategory.ModifierLetter) | (1 << (int)UnicodeCategory.OtherLetter);
    public const uint Marks = (1 << (int)UnicodeCategory.NonSpacingMark) | (1 << (int)UnicodeCategory.SpacingCombiningMark) | (1 << (int)UnicodeCategory.EnclosingMark);
    public const uint Numbers = (1 << (int)UnicodeCategory.DecimalDigitNumber) | (1 << (int)UnicodeCategory.LetterNumber) | (1 << (int)UnicodeCategory.OtherNumber);

    /// <summary>UTS 18's word characters: Alphabetic, marks, decimal digits, connectors, and the two joiners.</summary>
    public static CharacterSet Word { get; } = new(
        Letters | Marks | (1 << (int)UnicodeCategory.DecimalDigitNumber) | (1 << (int)UnicodeCategory.LetterNumber) | (1 << (int)UnicodeCategory.ConnectorPunctuation),
        Ranges: [(0x200C, 0x200D), (0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189)]);

    public bool Contains(int codePoint) => (Holds(codePoint) || (FoldCase && OtherCases(codePoint))) != Negated;

    /// <summary>The categories of a name as in <c>\p{L}</c> and <c>\p{Lu}</c>; 0 where there is no such.</summary>
    public static uint CategoriesOf(string name) => name switch
    {
        "L" => Letters,
        "M" => Marks,
        "N" => Numbers,
        "P" => Of("Pc") | Of("Pd") | Of("Ps") | Of("Pe") | Of("Pi") | Of("Pf") | Of("Po"),
        "S" => Of("Sm") | Of("Sc") | Of("Sk") | Of("So"),
        "Z" => Of("Zs") | Of("Zl") | Of("Zp"),
        "C" => Of("Cc") | Of("Cf") | Of("Cs") | Of("Co") | Of("Cn"),
        _ => Of(name),
    };

    // In the order of UnicodeCategory.
    private static readonly string[] names =
    [
        "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Cn",
    ];

    private static uint Of(string name) => Array.IndexOf(names, name) is >= 0 and var category ? 1u << category : 0;

    private bool Holds(int codePoint)
    {
        if (Categories != 0 && (Categories >> (int)CharUnicodeInfo.GetUnicodeCategory(codePoint) & 1) != 0) return true;
        if (Space && Rune.IsWhiteSpace(new Rune(codePoint))) return true;
        if (Ranges is not null)
        {
            foreach (var (from, to) in Ranges)
                if (codePoint >= from && codePoint <= to) return true;
        }

        return Parts is not null && Parts.Any(part => part.Contains(codePoint));
    }

    private bool OtherCases(int codePoint)
    {
        var rune = new Rune(codePoint);
        if (Holds(Rune.ToLowerInvariant(rune).Value) || Holds(Rune.ToUpperInvariant(rune).Value)) return true;
        // Two letters beyond ASCII fold to letters of ASCII: the long s and the Kelvin sign.
        return codePoint switch { 0x17F => Holds('s'), 0x212A => Holds('k'), 's' or 'S' => Holds(0x17F), 'k' or 'K' => Holds(0x212A), _ => false };
    }
}
