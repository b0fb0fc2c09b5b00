using System.Globalization;
using System.Text;

namespace Gradus.Training.Text.Patterns;

/// <summary>
/// Reads the part of Oniguruma's syntax that published tokenizers use: literals, classes, categories, groups, <c>(?i:)</c>, alternation, quantifiers, and
/// look-ahead at one character. Whatever else stands in a pattern is refused by its name.
/// </summary>
internal sealed class PatternParser
{
    private const int LargestDepth = 50, MostSets = 250, LargestRepeat = 1000;

    private readonly string pattern;
    private readonly string where;
    private readonly List<CharacterSet> sets = [];
    private readonly Dictionary<string, int> setIndex = new(StringComparer.Ordinal);
    private int at;

    private PatternParser(string pattern, string where) => (this.pattern, this.where) = (pattern, where);

    /// <param name="where">Where the pattern stands, for the refusal.</param>
    public static (PatternNode Root, IReadOnlyList<CharacterSet> Sets) Parse(string pattern, string where)
    {
        var parser = new PatternParser(pattern, where);
        var root = parser.Choice(false, 0);
        return parser.at == pattern.Length ? (root, parser.sets) : throw parser.Refused("a ')' without its '('");
    }

    /// <summary>The literal text.</summary>
    public static (PatternNode Root, IReadOnlyList<CharacterSet> Sets) Literal(string text, string where)
    {
        var parser = new PatternParser(text, where);
        return (new PatternNode.Sequence([.. text.EnumerateRunes().Select(rune => parser.Letter(rune.Value, false))]), parser.sets);
    }

    private bool End => at == pattern.Length;

    private PatternNode Choice(bool foldCase, int depth)
    {
        if (depth > LargestDepth) throw Refused($"more than {LargestDepth} groups in one another");
        var parts = new List<PatternNode> { Sequence(foldCase, depth) };
        while (Accept('|')) parts.Add(Sequence(foldCase, depth));
        return parts.Count == 1 ? parts[0] : new PatternNode.Choice(parts);
    }

    private PatternNode Sequence(bool foldCase, int depth)
    {
        var parts = new List<PatternNode>();
        while (!End && pattern[at] is not ('|' or ')')) parts.Add(Quantified(Atom(foldCase, depth)));
        return parts.Count == 1 ? parts[0] : new PatternNode.Sequence(parts);
    }

    private PatternNode Atom(bool foldCase, int depth)
    {
        var c = NextRune();
        switch (c)
        {
            case '(': return Group(foldCase, depth);
            case '[': return One(Class(foldCase), foldCase);
            case '\\': return Escape(inClass: false) is { } set ? One(set, foldCase) : Letter(escaped, foldCase);
            case '.': return One(new CharacterSet(Negated: true, Ranges: [('\n', '\n')]), foldCase);
            case '^' or '$': throw Refused($"the anchor '{(char)c}'");
            case '*' or '+' or '?' or '{': throw Refused($"a '{(char)c}' with nothing before it");
            default: return Letter(c, foldCase);
        }
    }

    private PatternNode Group(bool foldCase, int depth)
    {
        bool? ahead = null;
        if (Accept('?'))
        {
            if (Accept('i')) (foldCase, _) = (true, Accept(':') ? true : throw Refused("'(?i)' without ':'"));
            else if (Accept('!')) ahead = true;
            else if (Accept('=')) ahead = false;
            else if (!Accept(':')) throw Refused($"a group that begins with '(?{(End ? "" : pattern[at])}'");
        }

        var inner = Choice(foldCase, depth + 1);
        if (!Accept(')')) throw Refused("a '(' without its ')'");
        if (ahead is not { } negative) return inner;
        return inner is PatternNode.One one ? new PatternNode.Ahead(one.Set, negative) : throw Refused("look-ahead at more than one character");
    }

    private PatternNode Quantified(PatternNode part)
    {
        if (End) return part;
        (int Least, int? Most) range;
        switch (pattern[at])
        {
            case '?': range = (0, 1); break;
            case '*': range = (0, null); break;
            case '+': range = (1, null); break;
            case '{': range = Braces(); break;
            default: return part;
        }

        if (part is PatternNode.Ahead) throw Refused("a repeated look-ahead");
        at++;
        var lazy = Accept('?');
        if (!End && pattern[at] is '+' or '*' or '?' or '{') throw Refused($"the quantifier '{pattern[at - 1]}{pattern[at]}' (possessive, or one upon another)");
        return new PatternNode.Repeat(part, range.Least, range.Most, lazy);
    }

    // {n}, {n,} and {n,m}; leaves the place at the closing brace.
    private (int, int?) Braces()
    {
        var close = pattern.IndexOf('}', at);
        var parts = close < 0 ? [] : pattern[(at + 1)..close].Split(',');
        if (parts.Length is 0 or > 2 || !Number(parts[0], out var least)) throw Refused("a '{' that begins no quantifier");
        int? most = parts.Length == 1 ? least : null;
        if (parts.Length == 2 && parts[1].Length > 0) most = Number(parts[1], out var number) && number >= least ? number : throw Refused("a '{' that begins no quantifier");
        at = close;
        return (least, most);

        static bool Number(string text, out int number) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number) && number <= LargestRepeat;
    }

    private CharacterSet Class(bool foldCase)
    {
        var negated = Accept('^');
        var ranges = new List<(int, int)>();
        var parts = new List<CharacterSet>();
        for (var first = true; first || !Accept(']'); first = false)
        {
            if (End) throw Refused("a '[' without its ']'");
            var low = NextRune();
            if (low == '[') throw Refused("a class inside a class");
            if (low == ']' && first) throw Refused("an empty class");
            if (low == '&' && !End && pattern[at] == '&') throw Refused("an intersection of classes ('&&')");
            if (low == '\\')
            {
                if (Escape(inClass: true) is { } part)
                {
                    parts.Add(part);
                    continue;
                }

                low = escaped;
            }

            var high = low;
            if (at + 1 < pattern.Length && pattern[at] == '-' && pattern[at + 1] != ']')
            {
                at++;
                high = NextRune();
                if (high == '\\') high = Escape(inClass: true) is null ? escaped : throw Refused("a range that ends in a class");
                if (high == '[' || high < low) throw Refused("a range of characters that ends before it begins");
            }

            ranges.Add((low, high));
        }

        return new CharacterSet(FoldCase: foldCase, Negated: negated, Ranges: ranges, Parts: parts);
    }

    private int escaped; // the character of the last escape that was no class

    /// <summary>The set of an escape after its backslash; null where it is one character, then in <see cref="escaped"/>.</summary>
    private CharacterSet? Escape(bool inClass)
    {
        if (End) throw Refused("a '\\' at its end");
        var c = NextRune();
        switch (c)
        {
            case 's' or 'S': return new CharacterSet(Space: true, Negated: c == 'S');
            case 'd' or 'D': return new CharacterSet(1 << (int)UnicodeCategory.DecimalDigitNumber, Negated: c == 'D');
            case 'w' or 'W': return CharacterSet.Word with { Negated = c == 'W' };
            case 'p' or 'P': return Category(c == 'P');
            case 'u' or 'x': escaped = Code(c == 'u'); return null;
        }

        escaped = c switch { 'n' => '\n', 'r' => '\r', 't' => '\t', 'f' => '\f', 'v' => '\v', 'a' => '\a', 'e' => '\u001b', _ => c };
        if (escaped == c && c < 0x80 && char.IsAsciiLetterOrDigit((char)c)) throw Refused($"'\\{(char)c}'{(inClass ? " in a class" : "")}");
        return null;
    }

    private CharacterSet Category(bool negated)
    {
        var close = End || pattern[at] != '{' ? -1 : pattern.IndexOf('}', at);
        if (close < 0) throw Refused("'\\p' without a name in braces");
        var name = pattern[(at + 1)..close];
        at = close + 1;
        if (name.StartsWith('^')) (name, negated) = (name[1..], !negated);
        return CharacterSet.CategoriesOf(name) is > 0 and var categories ? new CharacterSet(categories, Negated: negated) : throw Refused($"'\\p{{{name}}}'");
    }

    // \uHHHH, \xHH and \x{H...}.
    private int Code(bool four)
    {
        string digits;
        if (!four && Accept('{'))
        {
            var close = pattern.IndexOf('}', at);
            digits = close < 0 ? "" : pattern[at..close];
            at = close < 0 ? at : close + 1;
        }
        else
        {
            var length = Math.Min(four ? 4 : 2, pattern.Length - at);
            digits = pattern.Substring(at, length);
            at += length;
        }

        return digits.Length <= 6 && int.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var code) && Rune.IsValid(code) ? code : throw Refused("the code of no character");
    }

    private PatternNode.One Letter(int codePoint, bool foldCase) => One(new CharacterSet(FoldCase: foldCase, Ranges: [(codePoint, codePoint)]), foldCase);

    private PatternNode.One One(CharacterSet set, bool foldCase)
    {
        if (foldCase) set = set with { FoldCase = true };
        var key = Key(set);
        if (!setIndex.TryGetValue(key, out var index))
        {
            if (sets.Count == MostSets) throw Refused($"more than {MostSets} different characters and classes");
            setIndex[key] = index = sets.Count;
            sets.Add(set);
        }

        return new PatternNode.One(index);
    }

    private static string Key(CharacterSet set) =>
        $"{set.Categories} {set.Space} {set.FoldCase} {set.Negated} [{string.Join(' ', set.Ranges ?? [])}] [{string.Join(' ', set.Parts?.Select(Key) ?? [])}]";

    private int NextRune()
    {
        Rune.DecodeFromUtf16(pattern.AsSpan(at), out var rune, out var width);
        at += width;
        return rune.Value;
    }

    private bool Accept(char c)
    {
        if (End || pattern[at] != c) return false;
        at++;
        return true;
    }

    private InvalidInputException Refused(string what) =>
        new($"tokenizer.json: the pattern of {where} has {what} (at {at}), which is not supported; supported: literals, classes, categories, groups, (?i:), |, quantifiers, look-ahead at one character.", where, "unknown_value");
}
