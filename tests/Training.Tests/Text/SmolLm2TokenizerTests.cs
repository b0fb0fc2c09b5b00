using System.Text;
using System.Text.Json;
using Gradus.Training.Text;
using Xunit;

namespace Gradus.Training.Tests.Text;

/// <summary>SmolLM2's published tokenizer against what Hugging Face's tokenizers says of the same texts.</summary>
public sealed class SmolLm2TokenizerTests
{
    private static readonly Lazy<Tokenizer> tokenizer = new(() => Tokenizer.Parse(SharedFixtures.Unzip(SharedFixtures.Files("tokenizers/smollm2/tokenizer.json.gz")[0])));

    [Fact]
    public void Every_text_has_the_ids_of_the_reference_and_comes_back()
    {
        var cases = 0;
        foreach (var file in SharedFixtures.Files("tokenizers/smollm2.json"))
        {
            foreach (var entry in SharedFixtures.Json(file).GetProperty("cases").EnumerateArray())
            {
                var text = entry.GetProperty("text").GetString()!;
                var ids = entry.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()).ToArray();
                Assert.Equal(ids, tokenizer.Value.Encode(text));
                Assert.Equal(entry.GetProperty("ids_with_special").EnumerateArray().Select(id => id.GetInt32()), tokenizer.Value.Encode(text, addSpecialTokens: true));
                Assert.Equal(entry.GetProperty("decoded").GetString(), tokenizer.Value.Decode(ids));
                Assert.Equal(entry.GetProperty("decoded_skip_special").GetString(), tokenizer.Value.Decode(ids, skipSpecialTokens: true));
                cases++;
            }
        }

        Assert.True(cases >= 356, $"Only {cases} cases.");
    }

    [Fact]
    public void Random_unicode_comes_back_and_streams_as_it_decodes()
    {
        for (var index = 0; index < 2_000; index++)
        {
            var text = RandomText(index);
            var ids = tokenizer.Value.Encode(text);
            Assert.Equal(text, tokenizer.Value.Decode(ids));
            var stream = new TokenTextStream(tokenizer.Value);
            var streamed = string.Concat(ids.Select(stream.Push)) + stream.Flush();
            Assert.Equal(text, streamed);
        }
    }

    [Fact]
    public void Any_ids_decode_and_a_stream_gives_the_same()
    {
        for (var index = 0; index < 500; index++)
        {
            var random = DerivedRandom.For(2, "ids", 0, index);
            var ids = new int[random.Next(0, 60)];
            for (var i = 0; i < ids.Length; i++) ids[i] = random.Next(0, 20) == 0 ? (int)random.NextUInt64() : random.Next(0, 400);
            var stream = new TokenTextStream(tokenizer.Value);
            Assert.Equal(tokenizer.Value.Decode(ids), string.Concat(ids.Select(stream.Push)) + stream.Flush());
        }
    }

    [Fact]
    public void A_stream_never_gives_half_a_character()
    {
        var stream = new TokenTextStream(tokenizer.Value);
        var pieces = tokenizer.Value.Encode("👍🏽 né 你好 שלום").Select(stream.Push).ToList();
        Assert.Contains("", pieces); // some characters take several tokens
        Assert.All(pieces, piece => Assert.DoesNotContain(piece, c => c == '\uFFFD'));
        Assert.All(pieces, piece => Assert.False(piece.Length > 0 && (char.IsLowSurrogate(piece[0]) || char.IsHighSurrogate(piece[^1]))));
        Assert.Equal("", stream.Flush());
    }

    [Fact]
    public void A_piece_of_many_characters_takes_near_linear_time()
    {
        // One piece of 200,000 letters: a quadratic merge loop would need minutes here.
        var ids = tokenizer.Value.Encode(string.Concat(Enumerable.Repeat("abcde", 40_000)));
        Assert.Equal(200_000, tokenizer.Value.Decode(ids).Length);
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
