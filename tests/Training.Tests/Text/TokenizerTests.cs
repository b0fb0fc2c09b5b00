using System.Text;
using System.Text.Json;
using Gradus.Training.Text;
using Xunit;

namespace Gradus.Training.Tests.Text;

public sealed class TokenizerTests
{
    private const string Words = """{"type":"WordLevel","vocab":{"<unk>":0,"a":1,"b":2,"c d":3},"unk_token":"<unk>"}""";
    private const string Fuse = """{"type":"Fuse"}""";
    private const string Spaces = """{"type":"Split","pattern":{"String":" "},"behavior":"Removed"}""";

    [Theory]
    [InlineData("Hello world", "Hello| world")]
    [InlineData("it's  we'll'd 'x", "it|'s| | we|'ll|'d| '|x")]
    [InlineData("a\n\n b", "a|\n\n| b")]
    [InlineData("a \n", "a| \n")]
    [InlineData("  a", " | a")]
    [InlineData("a\tb", "a|\t|b")]
    [InlineData("x12²Ⅷ!?...", "x|12²Ⅷ|!?...")]
    [InlineData(" 你好，world", " 你好|，|world")]
    [InlineData("𝔸𝔹 😀", "𝔸𝔹| 😀")]
    [InlineData(" ", " ")]
    [InlineData("   ", "   ")]
    [InlineData("!'s", "!'|s")]
    [InlineData("\u00a0\u3000a", "\u00a0|\u3000|a")]
    [InlineData("\uD800a", "\uD800|a")]
    public void Byte_level_cuts_as_GPT_2_does(string text, string expected)
    {
        Assert.Equal(expected.Split('|'), PreTokenizerPieces.Of("""{"type":"ByteLevel","add_prefix_space":false}""", text));
    }

    [Theory]
    [InlineData("Removed", false, "a|b")]
    [InlineData("Isolated", false, "a| | |b")]
    [InlineData("MergedWithPrevious", false, "a | |b")]
    [InlineData("MergedWithNext", false, "a| | b")]
    [InlineData("Contiguous", false, "a|  |b")]
    [InlineData("Removed", true, " | ")]
    public void Split_does_with_its_matches_what_it_is_told(string behavior, bool invert, string expected)
    {
        var split = JsonSerializer.Serialize(new { type = "Split", pattern = new { String = " " }, behavior, invert });
        Assert.Equal(expected.Split('|'), PreTokenizerPieces.Of(split, "a  b"));
    }

    [Fact]
    public void Byte_level_bpe_merges_by_rank()
    {
        const string model = """{"type":"BPE","vocab":{"a":0,"b":1,"c":2,"ab":3,"bc":4,"abc":5,"Ġ":6,"Ġa":7},"merges":["b c","a b","ab c","Ġ a"]}""";
        var tokenizer = File(model, """{"type":"ByteLevel","add_prefix_space":false}""", """{"type":"ByteLevel"}""");
        Assert.Equal([0, 4], tokenizer.Encode("abc")); // b c first; then a and bc have no rule
        Assert.Equal([3, 3], tokenizer.Encode("abab"));
        Assert.Equal([7, 4], tokenizer.Encode(" abc"));
        Assert.Equal([0, 2], tokenizer.Encode("azc")); // no unknown token: a byte without a token is nothing
        Assert.Equal(" abc", tokenizer.Decode([7, 4]));
        Assert.Equal("abc", tokenizer.Decode([-1, 0, 99, 4, int.MaxValue, int.MinValue]));
    }

    [Fact]
    public void Added_tokens_are_found_first_and_the_longest_wins()
    {
        const string added = """
            [{"id":10,"content":"<a","special":false},{"id":11,"content":"<a>","special":true},{"id":12,"content":"[x]","lstrip":true,"rstrip":true,"special":false},
             {"id":2,"content":"b","single_word":true,"special":false}]
            """;
        var tokenizer = File(Words, Spaces, """{"type":"Fuse"}""", added);
        Assert.Equal([1, 11, 1], tokenizer.Encode("a<a>a"));
        Assert.Equal([1, 10, 0], tokenizer.Encode("a<ax")); // "x" is unknown
        Assert.Equal([1, 12, 1], tokenizer.Encode("a  [x] a"));
        Assert.Equal([2, 0, 2], tokenizer.Encode("b bb b"));
        Assert.Equal("a<a>", tokenizer.Decode([1, 11]));
        Assert.Equal("a", tokenizer.Decode([1, 11], skipSpecialTokens: true));
        Assert.Equal(13, tokenizer.VocabularySize);
        Assert.Equal((11, (int?)null), (tokenizer.TokenId("<a>")!.Value, tokenizer.TokenId("<b>")));
    }

    [Theory]
    [InlineData("""{"type":"WordPiece","vocab":{}}""", "null", Fuse, "WordPiece")]
    [InlineData("""{"type":"BPE","vocab":{"a":0},"merges":["a b"]}""", "null", Fuse, "'b'")]
    [InlineData("""{"type":"BPE","vocab":{"a":0},"merges":["a"]}""", "null", Fuse, "merges[0]")]
    [InlineData("""{"type":"BPE","vocab":{"a":0},"merges":[],"dropout":0.1}""", "null", Fuse, "dropout")]
    [InlineData("""{"type":"BPE","vocab":{"a":0,"b":0},"merges":[]}""", "null", Fuse, "'b'")]
    [InlineData("""{"type":"BPE","vocab":{"a":-1},"merges":[]}""", "null", Fuse, "'a'")]
    [InlineData("""{"type":"WordLevel","vocab":{"a":1},"unk_token":"<u>"}""", "null", Fuse, "<u>")]
    [InlineData(Words, """{"type":"BertPreTokenizer"}""", Fuse, "BertPreTokenizer")]
    [InlineData(Words, """{"type":"Split","pattern":{"Regex":"a(?!bc)"},"behavior":"Isolated"}""", Fuse, "pattern")]
    [InlineData(Words, """{"type":"Split","pattern":{"Regex":"("},"behavior":"Isolated"}""", Fuse, "pattern")]
    [InlineData(Words, """{"type":"Split","pattern":{"String":"a"},"behavior":"Torn"}""", Fuse, "Torn")]
    [InlineData(Words, "null", "null", "decoder")]
    [InlineData(Words, "null", """{"type":"WordPiece"}""", "WordPiece")]
    public void What_is_not_supported_is_refused_by_name(string model, string pre, string decoder, string named) =>
        Assert.Contains(named, Assert.Throws<InvalidInputException>(() => File(model, pre, decoder)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"model":{"type":"WordLevel","vocab":{"\ud800":0}}}""")]
    [InlineData("""{"normalizer":{"type":"NFX"},"decoder":{"type":"Fuse"},"model":{"type":"WordLevel","vocab":{"<unk>":0}}}""")]
    public void A_broken_file_is_refused(string json) => Assert.Throws<InvalidInputException>(() => Tokenizer.Parse(Encoding.UTF8.GetBytes(json)));

    private static Tokenizer File(string model, string pre, string decoder, string added = "[]") =>
        Tokenizer.Parse(Encoding.UTF8.GetBytes($$"""{"added_tokens":{{added}},"pre_tokenizer":{{pre}},"decoder":{{decoder}},"model":{{model}}}"""));
}
