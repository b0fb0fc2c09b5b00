using System.Text;

namespace Gradus.Api.Demo;

/// <summary>Text in columns of a terminal. A Han character is two cells wide.</summary>
internal static class Columns
{
    public static int Width(Rune rune) => rune.Value is (>= 0x1100 and <= 0x115F) or (>= 0x2E80 and <= 0xA4CF) or (>= 0xAC00 and <= 0xD7A3)
        or (>= 0xF900 and <= 0xFAFF) or (>= 0xFE30 and <= 0xFE6F) or (>= 0xFF00 and <= 0xFF60) or (>= 0xFFE0 and <= 0xFFE6) or (>= 0x1F300 and <= 0x1FAFF) or (>= 0x20000 and <= 0x3FFFD) ? 2 : 1;

    public static int Width(string text) => text.EnumerateRunes().Sum(Width);

    public static string Pad(string text, int width) => text + new string(' ', Math.Max(0, width - Width(text)));

    public static string PadLeft(string text, int width) => new string(' ', Math.Max(0, width - Width(text))) + text;

    /// <summary>Lines of at most <paramref name="width"/> cells, broken after a space where there is one. Control characters are shown as dots.</summary>
    public static IReadOnlyList<string> Wrap(string text, int width)
    {
        var lines = new List<string>();
        foreach (var paragraph in text.ReplaceLineEndings("\n").Split('\n'))
        {
            var line = new StringBuilder();
            foreach (var word in Words(paragraph))
            {
                if (line.Length > 0 && Width(line.ToString()) + Width(word.TrimEnd()) > width)
                {
                    lines.Add(line.ToString().TrimEnd());
                    line.Clear();
                }
                line.Append(word);
            }
            lines.Add(line.ToString().TrimEnd());
        }
        return lines;
    }

    /// <summary>Rows of two texts beside each other.</summary>
    public static IEnumerable<string> SideBySide(string left, string right, int width)
    {
        var (leftLines, rightLines) = (Wrap(left, width), Wrap(right, width));
        for (var i = 0; i < Math.Max(leftLines.Count, rightLines.Count); i++)
            yield return $"{Pad(i < leftLines.Count ? leftLines[i] : "", width)} | {(i < rightLines.Count ? rightLines[i] : "")}".TrimEnd();
    }

    // A word with the spaces after it; a wide character is a word of its own, as it may be followed by a break.
    private static IEnumerable<string> Words(string text)
    {
        var word = new StringBuilder();
        Rune? before = null;
        foreach (var raw in text.EnumerateRunes())
        {
            var rune = Rune.IsControl(raw) ? new Rune('·') : raw;
            var breaks = before is { } last && (Width(last) == 2 || Width(rune) == 2 || (last.Value == ' ' && rune.Value != ' '));
            if (word.Length > 0 && (breaks || word.Length >= 24))
            {
                yield return word.ToString();
                word.Clear();
            }
            word.Append(rune.ToString());
            before = rune;
        }
        if (word.Length > 0) yield return word.ToString();
    }
}
