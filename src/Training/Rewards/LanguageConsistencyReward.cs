using System.Text;

namespace Gradus.Training.Rewards;

/// <summary>
/// The share of target-language words in the reasoning (paper: language consistency reward). A Latin word or a Han character counts one, numbers none;
/// the target is the row's <c>language</c>: <c>en</c> or <c>zh</c>. Null for a row without a language and for reasoning without words.
/// </summary>
public sealed class LanguageConsistencyReward : IReward
{
    public string Name => "language_consistency";

    public double? Score(RewardContext context)
    {
        if (context.Field("language") is not { } language) return null;
        var (latin, han) = Count(context.Parts.Reasoning);
        if (latin + han == 0) return null;
        return language switch
        {
            "en" => (double)latin / (latin + han),
            "zh" => (double)han / (latin + han),
            _ => throw new InvalidInputException($"A row's language must be en or zh; it is '{language}'.", "language", "unknown_value"),
        };
    }

    /// <summary>Latin words (runs of Latin letters with their marks and apostrophes) and Han characters.</summary>
    internal static (int Latin, int Han) Count(string text)
    {
        int latin = 0, han = 0;
        var inWord = false;
        foreach (var rune in text.EnumerateRunes())
        {
            if (IsLatin(rune.Value))
            {
                if (!inWord) latin++;
                inWord = true;
                continue;
            }

            if (IsHan(rune.Value)) han++;
            inWord = inWord && (rune.Value is '\'' or '’' or (>= 0x300 and <= 0x36F));
        }

        return (latin, han);
    }

    private static bool IsLatin(int c) => c is (>= 'A' and <= 'Z') or (>= 'a' and <= 'z') or 0xAA or 0xBA or (>= 0xC0 and <= 0x24F and not (0xD7 or 0xF7))
        or (>= 0x250 and <= 0x2AF) or (>= 0x1E00 and <= 0x1EFF) or (>= 0x2C60 and <= 0x2C7F) or (>= 0xA722 and <= 0xA7FF) or (>= 0xFF21 and <= 0xFF3A) or (>= 0xFF41 and <= 0xFF5A);

    internal static bool IsHan(int c) => c is 0x3005 or 0x3007 or (>= 0x3400 and <= 0x4DBF) or (>= 0x4E00 and <= 0x9FFF) or (>= 0xF900 and <= 0xFAFF) or (>= 0x20000 and <= 0x3FFFF);
}
