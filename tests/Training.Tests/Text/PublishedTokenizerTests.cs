using System.Text;
using Gradus.Training.Text;
using Xunit;

namespace Gradus.Training.Tests.Text;

/// <summary>Published tokenizers against what Hugging Face's tokenizers says of the same texts.</summary>
public sealed class PublishedTokenizerTests
{
    public static TheoryData<string> Names => [.. SharedFixtures.Tokenizers.Keys.DefaultIfEmpty("none")];

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_text_has_the_ids_of_the_reference_and_comes_back(string name)
    {
        var tokenizer = SharedFixtures.Tokenizer(name);
        var cases = 0;
        foreach (var entry in SharedFixtures.Cases(name))
        {
            var text = entry.GetProperty("text").GetString()!;
            var ids = entry.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()).ToArray();
            Assert.Equal(ids, tokenizer.Encode(text));
            Assert.Equal(entry.GetProperty("ids_with_special").EnumerateArray().Select(id => id.GetInt32()), tokenizer.Encode(text, addSpecialTokens: true));
            Assert.Equal(entry.GetProperty("decoded").GetString(), tokenizer.Decode(ids));
            Assert.Equal(entry.GetProperty("decoded_skip_special").GetString(), tokenizer.Decode(ids, skipSpecialTokens: true));
            cases++;
        }

        Assert.NotEqual(0, cases);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_stream_gives_the_whole_text_and_never_takes_back(string name)
    {
        var tokenizer = SharedFixtures.Tokenizer(name);
        foreach (var entry in SharedFixtures.Cases(name))
        {
            int[] ids = [.. entry.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())];
            foreach (var skip in (bool[])[false, true]) AssertStreams(tokenizer, ids, skip);
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Any_ids_decode_and_a_stream_gives_the_same(string name)
    {
        var tokenizer = SharedFixtures.Tokenizer(name);
        for (var index = 0; index < 500; index++)
        {
            var random = DerivedRandom.For(2, "ids", 0, index);
            var ids = new int[random.Next(0, 60)];
            for (var i = 0; i < ids.Length; i++) ids[i] = random.Next(0, 20) == 0 ? (int)random.NextUInt64() : random.Next(0, index % 2 == 0 ? 400 : tokenizer.VocabularySize);
            AssertStreams(tokenizer, ids, skip: false);
        }
    }

    [Fact]
    public void Random_unicode_comes_back()
    {
        var tokenizer = SharedFixtures.Tokenizer("smollm2"); // the others write it in form C, or have tokens for parts of it
        for (var index = 0; index < 2_000; index++)
        {
            var text = RandomText(index);
            Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text)));
        }
    }

    [Fact]
    public void A_stream_never_gives_half_a_character()
    {
        var tokenizer = SharedFixtures.Tokenizer("smollm2");
        var stream = new TokenTextStream(tokenizer);
        var pieces = tokenizer.Encode("👍🏽 né 你好 שלום").Select(stream.Push).ToList();
        Assert.Contains("", pieces); // some characters take several tokens
        Assert.All(pieces, piece => Assert.DoesNotContain(piece, c => c == '\uFFFD'));
        Assert.All(pieces, piece => Assert.False(piece.Length > 0 && (char.IsLowSurrogate(piece[0]) || char.IsHighSurrogate(piece[^1]))));
        Assert.Equal("", stream.Flush());
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_megabyte_of_the_same_takes_near_linear_time(string name)
    {
        // A quadratic step would need minutes for each of these.
        var tokenizer = SharedFixtures.Tokenizer(name);
        foreach (var unit in (string[])["a", "7", " ", "\n", "😀", "a ", "é", "e\u0301", "\u0301", "'", "<", "中", "\t \n"])
        {
            var text = string.Concat(Enumerable.Repeat(unit, 1_000_000 / Encoding.UTF8.GetByteCount(unit)));
            var decoded = tokenizer.Decode(tokenizer.Encode(text));
            Assert.True(decoded == text || (name == "qwen3" && decoded == text.Replace("e\u0301", "é", StringComparison.Ordinal)), $"{name} changed {unit}");
        }
    }

    private static void AssertStreams(Tokenizer tokenizer, int[] ids, bool skip)
    {
        var whole = tokenizer.Decode(ids, skip);
        var stream = new TokenTextStream(tokenizer, skip);
        var given = new StringBuilder();
        foreach (var id in ids)
        {
            given.Append(stream.Push(id));
            Assert.True(whole.AsSpan().StartsWith(given.ToString()), $"'{given}' is no beginning of '{whole}'");
            Assert.False(given.Length > 0 && char.IsHighSurrogate(given[^1]));
        }

        Assert.Equal(whole, given + stream.Flush());
    }

    /// <summary>All of Unicode but what the published vocabulary has no bytes for: six control characters and the empty planes.</summary>
    private static string RandomText(int index)
    {
        var random = DerivedRandom.For(1, "text", 0, index);
        var text = new StringBuilder();
        var length = random.Next(1, 80);
        for (var i = 0; i < length; i++)
        {
            var value = random.Next(0, 8) switch
            {
                0 => "\0\u0001\u0002\u0003\u0005\a\b\t\n\v\f\r\u000e\u000f\u0010\u0011\u0012\u0015\u0017\u001b\u007f"[random.Next(0, 21)],
                1 or 2 => random.Next(0x20, 0x7F),
                3 => random.Next(0x80, 0x800),
                4 => random.Next(0x800, 0xD800),
                5 => random.Next(0xE000, 0x10000),
                6 => random.Next(0x10000, 0x40000),
                _ => " '\n\t  s0"[random.Next(0, 8)],
            };
            text.Append(char.ConvertFromUtf32(value));
        }

        return text.ToString();
    }
}
