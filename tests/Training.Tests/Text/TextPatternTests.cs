using System.Text;
using System.Text.RegularExpressions;
using Gradus.Training.Text.Patterns;
using Xunit;

namespace Gradus.Training.Tests.Text;

public sealed class TextPatternTests
{
    private const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
    private const string Llama3 = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string Qwen2 = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string DeepSeekV3 = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+";
    private const string O200k = @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string Tekken = @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    public static TheoryData<string> Published =>
        [Gpt2, Llama3, Qwen2, DeepSeekV3, O200k, Tekken, @"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", "[0-9][0-9][0-9]", "a+?b|a*?c|(?:ab|a)(?:bc|c)?", "x{2,3}y{0}z{1,}?|.(?=é)"];

    [Theory]
    [MemberData(nameof(Published))]
    public void It_cuts_within_the_first_plane_as_an_engine_that_backtracks(string pattern)
    {
        var mine = TextPattern.Parse(pattern, "here");
        var theirs = new Regex(pattern, RegexOptions.CultureInvariant);
        for (var index = 0; index < 2_000; index++)
        {
            var text = RandomText(index);
            var expected = theirs.Matches(text).Select(match => (match.Index, match.Index + match.Length));
            Assert.Equal(expected, Matches(mine, text));
        }
    }

    [Theory]
    [InlineData(Llama3, "I'LL 12345\n\n x", "I|'LL| |123|45|\n\n| x")]
    [InlineData(Llama3, "'ſ", "'ſ")] // the long s is an s to (?i), as in Oniguruma
    [InlineData(Llama3, "𝔸𝔹c 😀\u0301\r\n", "𝔸𝔹c| 😀\u0301\r\n")]
    [InlineData(Llama3, "𝟙𝟚𝟛𝟜", "𝟙𝟚𝟛|𝟜")]
    [InlineData(Qwen2, "a12 \t\tb", "a|1|2| \t|\tb")]
    [InlineData(O200k, "HelloWorld's/\n", "Hello|World's|/\n")]
    [InlineData(DeepSeekV3, ".NET é! 𝔸", ".NET| é|!| 𝔸")]
    [InlineData(Gpt2, "\uD800a", "\uD800|a")]
    public void It_sees_code_points(string pattern, string text, string expected) =>
        Assert.Equal(expected.Split('|'), Matches(TextPattern.Parse(pattern, "here"), text).Select(match => text[match.Start..match.End]));

    [Theory]
    [InlineData(@"(a", "without its ')'")]
    [InlineData(@"a)", "without its '('")]
    [InlineData(@"[a", "without its ']'")]
    [InlineData(@"*a", "nothing before")]
    [InlineData(@"(?<=a)b", "(?<")]
    [InlineData(@"(?!ab)c", "look-ahead")]
    [InlineData(@"(a)\1", "\\1")]
    [InlineData(@"\bfoo", "\\b")]
    [InlineData(@"^a", "anchor")]
    [InlineData(@"a?+b", "possessive")]
    [InlineData(@"\p{Han}", "Han")]
    [InlineData(@"[a[b]]", "class inside")]
    [InlineData(@"[\w&&[a]]", "&&")]
    [InlineData(@"a*", "empty text")]
    [InlineData(@"(((a{99}){99}){99})", "1000 steps")]
    [InlineData(@"((((){999}){999}){999})a", "1000 steps")]
    [InlineData(@"a{2,1}", "quantifier")]
    public void What_it_has_not_is_refused_by_name(string pattern, string named) =>
        Assert.Contains(named, Assert.Throws<InvalidInputException>(() => TextPattern.Parse(pattern, "here")).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("(a+)+b")]
    [InlineData("(a|a)*c")]
    [InlineData("(a|b)*a(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)x")]
    public void A_pattern_that_runs_away_is_stopped(string pattern)
    {
        // An engine that backtracks needs 2^n steps for the first two; reading on from every place still is n^2.
        var text = string.Concat(Enumerable.Range(0, 200_000).Select(i => pattern.Length > 20 && DerivedRandom.For(3, "ab", 0, i).Next(0, 2) == 0 ? 'b' : 'a'));
        Assert.Throws<InvalidInputException>(() => Matches(TextPattern.Parse(pattern, "here"), text));
    }

    private static List<(int Start, int End)> Matches(TextPattern pattern, string text)
    {
        var found = new List<(int, int)>();
        for (var matches = pattern.Matches(text); matches.MoveNext();) found.Add((matches.Start, matches.End));
        return found;
    }

    // What the patterns tell apart, but not what .NET's (?i) takes otherwise: the long s and the Kelvin sign.
    private static string RandomText(int index)
    {
        const string Alphabet = "abcxyzABZsStTrReEvVmMlLdD'''    \n\n\r\t\u000b\u0085\u00a0\u3000012379²½Ⅷ٣éÉßǅʰªא中一龥ぁヿ\u0301\u0300_-+$/<>^`~!\"#.,:;¿€←\u200b";
        var random = DerivedRandom.For(5, "pattern", 0, index);
        var text = new StringBuilder();
        for (var i = random.Next(0, 40); i > 0; i--) text.Append(Alphabet[random.Next(0, Alphabet.Length)]);
        return text.ToString();
    }
}
