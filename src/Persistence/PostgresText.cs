using System.Globalization;
using System.Text;

namespace Gradus.Persistence;

/// <summary>
/// Text that Postgres takes. A model's text may hold U+0000, which neither text nor jsonb can, and halves of surrogate pairs, which UTF-8 cannot: the first
/// becomes U+2400 (the sign for it), the second U+FFFD. Everything else stays as it is.
/// </summary>
public static class PostgresText
{
    /// <summary>Plain text.</summary>
    /// <param name="replaced">Grows by the number of characters replaced.</param>
    public static string Clean(string text, ref int replaced)
    {
        StringBuilder? clean = null;
        for (var i = 0; i < text.Length; i++)
        {
            var letter = text[i];
            if (char.IsHighSurrogate(letter) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1]))
            {
                clean?.Append(letter).Append(text[i + 1]);
                i++;
                continue;
            }

            if (letter != '\0' && !char.IsSurrogate(letter))
            {
                clean?.Append(letter);
                continue;
            }

            clean ??= new StringBuilder(text, 0, i, text.Length);
            clean.Append(letter == '\0' ? '\u2400' : '\uFFFD');
            replaced++;
        }

        return clean?.ToString() ?? text;
    }

    /// <summary>The text of a valid JSON value: the same for its characters and for its <c>\uXXXX</c> escapes.</summary>
    public static string CleanJson(string json, ref int replaced)
    {
        json = Clean(json, ref replaced);
        if (!json.Contains("\\u", StringComparison.Ordinal)) return json;
        var clean = new StringBuilder(json.Length);
        for (var i = 0; i < json.Length; i++)
        {
            if (json[i] != '\\')
            {
                clean.Append(json[i]);
                continue;
            }

            if (Escaped(json, i) is not { } code)
            {
                clean.Append(json[i]).Append(json[++i]);
                continue;
            }

            if (char.IsHighSurrogate(code) && Escaped(json, i + 6) is { } second && char.IsLowSurrogate(second))
            {
                clean.Append(json, i, 12);
                i += 11;
                continue;
            }

            if (code == '\0' || char.IsSurrogate(code))
            {
                clean.Append(code == '\0' ? "\\u2400" : "\\ufffd");
                replaced++;
            }
            else clean.Append(json, i, 6);
            i += 5;
        }

        return clean.ToString();
    }

    private static char? Escaped(string json, int at) =>
        at + 5 < json.Length && json[at] == '\\' && json[at + 1] == 'u'
        && ushort.TryParse(json.AsSpan(at + 2, 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var code) ? (char)code : null;
}
