using System.Text;
using System.Text.Json;
using Gradus.Training.Text.Patterns;

namespace Gradus.Training.Text.Normalizers;

/// <summary>Rewrites a text before it is cut: the normalizer of a tokenizer.json, a chain of steps.</summary>
internal sealed class TextNormalizer
{
    private const string Known = "Lowercase, NFC, NFD, NFKC, NFKD, Nmt, Prepend, Replace, Sequence, Strip, StripAccents";

    private readonly List<Func<string, string>> steps = [];

    private TextNormalizer()
    {
    }

    /// <summary>A text comes out as it went in.</summary>
    public bool IsEmpty => steps.Count == 0;

    public static TextNormalizer Read(JsonElement file)
    {
        var result = new TextNormalizer();
        if (TokenizerJson.Has(file, "normalizer", out var part)) result.Add(part, "normalizer");
        return result;
    }

    /// <summary>The same text where nothing changes. An empty text stays so.</summary>
    public string Normalize(string text)
    {
        // Steps that insert can feed one another; compatibility forms alone make 18 characters of one.
        var longest = 65_536 + (64L * text.Length);
        foreach (var step in steps)
        {
            text = step(text);
            if (text.Length > longest) throw new InvalidInputException($"The tokenizer's normalizer makes more than {longest} characters of this text.", "normalizer", "out_of_range");
        }

        return text;
    }

    private void Add(JsonElement part, string where)
    {
        var type = TokenizerJson.TypeOf(part, where);
        switch (type)
        {
            case "Sequence":
                foreach (var (item, place) in TokenizerJson.Items(part, "normalizers", where)) Add(item, place);
                return;
            case "NFC": steps.Add(text => UnicodeForms.Of(text, compatible: false, compose: true)); break;
            case "NFD": steps.Add(text => UnicodeForms.Of(text, compatible: false, compose: false)); break;
            case "NFKC": steps.Add(text => UnicodeForms.Of(text, compatible: true, compose: true)); break;
            case "NFKD": steps.Add(text => UnicodeForms.Of(text, compatible: true, compose: false)); break;
            case "Lowercase": steps.Add(Lowercase); break;
            case "Nmt": steps.Add(text => string.Concat(text.Select(Nmt))); break;
            case "StripAccents": steps.Add(StripAccents); break;
            case "Strip":
                bool left = TokenizerJson.Flag(part, "strip_left", true), right = TokenizerJson.Flag(part, "strip_right", true);
                steps.Add(text => left && right ? text.Trim() : left ? text.TrimStart() : right ? text.TrimEnd() : text);
                break;
            case "Prepend":
                var prefix = TokenizerJson.Insertion(part, "prepend", where);
                steps.Add(text => text.Length == 0 ? text : prefix + text);
                break;
            case "Replace":
                var pattern = TokenizerJson.Pattern(part, where);
                var content = TokenizerJson.Insertion(part, "content", where);
                steps.Add(text => Replace(text, pattern, content));
                break;
            default: throw TokenizerJson.Unsupported(where, type, Known);
        }

        if (steps.Count > TokenizerJson.MostSteps) throw TokenizerJson.TooMany(where);
    }

    /// <summary>Each match replaced by the content, which is taken as it is.</summary>
    public static string Replace(string text, TextPattern pattern, string content)
    {
        var matches = pattern.Matches(text);
        if (!matches.MoveNext()) return text;
        var result = new StringBuilder(text.Length + content.Length);
        var at = 0;
        do
        {
            result.Append(text, at, matches.Start - at).Append(content);
            at = matches.End;
        }
        while (matches.MoveNext());
        return result.Append(text, at, text.Length - at).ToString();
    }

    // Unicode's full mapping, one character at a time (so sigma does not know that it ends a word); one character alone becomes two.
    private static string Lowercase(string text) => text.Replace("\u0130", "i\u0307", StringComparison.Ordinal).ToLowerInvariant();

    private static string StripAccents(string text)
    {
        var result = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
            if ((CharacterSet.Marks >> (int)Rune.GetUnicodeCategory(rune) & 1) == 0) result.Append(rune);
        return result.Length == text.Length ? text : result.ToString();
    }

    // SentencePiece's rules for control characters and what looks like a space.
    private static string Nmt(char c) => c switch
    {
        (>= '\u0001' and <= '\u0008') or '\u000B' or (>= '\u000E' and <= '\u001F') or '\u007F' or '\u008F' or '\u009F' => "",
        '\t' or '\n' or '\f' or '\r' or '\u1680' or (>= '\u200B' and <= '\u200F') or '\u2028' or '\u2029' or '\u2581' or '\uFEFF' or '\uFFFD' => " ",
        _ => c.ToString(),
    };
}
