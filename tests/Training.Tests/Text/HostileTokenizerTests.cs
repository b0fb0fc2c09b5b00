using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using Gradus.Training.Text;
using Xunit;

namespace Gradus.Training.Tests.Text;

/// <summary>Files that are torn, wrong or meant to do harm: each ends in one kind of error with a message, or works, within a bound of time and memory.</summary>
public sealed class HostileTokenizerTests
{
    private const long MostMemory = 128L << 20;

    private const string Whole = """
        {"version":"1.0","added_tokens":[{"id":9,"content":"<s>","special":true,"normalized":false},{"id":10,"content":"[X]","lstrip":true,"rstrip":true,"single_word":true,"normalized":true}],
         "normalizer":{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Lowercase"},{"type":"Replace","pattern":{"Regex":"q+"},"content":"a"},{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},
         "pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},{"type":"Split","pattern":{"Regex":"(?i:'s)|\\p{L}{1,3}|[^\\s\\p{L}]+|\\s+(?!\\S)|\\s+"},"behavior":"Isolated","invert":false},{"type":"Metaspace","replacement":"▁","prepend_scheme":"never","split":true},{"type":"Punctuation","behavior":"MergedWithNext"}]},
         "post_processor":{"type":"Sequence","processors":[{"type":"ByteLevel"},{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"special_tokens":{"<s>":{"id":"<s>","ids":[9],"tokens":["<s>"]}}}]},
         "decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":1}]},
         "model":{"type":"BPE","unk_token":"<unk>","fuse_unk":true,"byte_fallback":true,"ignore_merges":false,"dropout":null,"vocab":{"<unk>":0,"a":1,"b":2,"ab":3,"▁":4,"▁ab":5,"<0xC3>":6,"<0xA9>":7,"1":8},"merges":["a b",["▁","ab"]]}}
        """;

    private const string Unigram = """
        {"added_tokens":[],"normalizer":{"type":"NFC"},"pre_tokenizer":{"type":"Metaspace","replacement":"▁","add_prefix_space":true},"post_processor":null,"decoder":{"type":"Metaspace","replacement":"▁","prepend_scheme":"always"},
         "model":{"type":"Unigram","unk_id":0,"byte_fallback":false,"vocab":[["<unk>",0],["▁",-1.5],["a",-2],["▁a",-2.5],["ab",-3]]}}
        """;

    private const string Bytes = """
        {"added_tokens":[{"id":0,"content":"<e>"}],"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":true,"use_regex":true},"decoder":{"type":"ByteLevel"},
         "model":{"type":"BPE","vocab":{"a":1,"Ġ":2,"Ġa":3,"Ã":4,"©":5,"Ã©":6},"merges":["Ġ a","Ã ©"]}}
        """;

    private static readonly string[] oddities =
    [
        "0", "-1", "1.5", "1e308", "1e999", "4194303", "2147483648", "1152921504606846976", "99999999999999999999", "null", "true", "\"\"", "\"x\"", "\"HALF\"", "\"▁\"", "[]", "{}", "[null]", "[[[[1]]]]",
        "\"Sequence\"", "\"Unigram\"", "\"BPE\"", "\"WordLevel\"", "\"ByteLevel\"", "\"Replace\"", "\"(a*)*\"", "\"a{1000}\"", "{\"Regex\":\"(a|b)*a[ab]{40}\"}", "{\"String\":\"a\"}",
    ];

    [Fact]
    public void The_files_that_are_changed_below_work_as_they_are()
    {
        Assert.Equal([9, 4, 3, 8, 8, 6, 7], Parse(Whole).Encode("QB11é", addSpecialTokens: true));
        Assert.Equal([3, 0], Parse(Unigram).Encode("aé"));
        Assert.Equal([3, 6], Parse(Bytes).Encode("aé"));
    }

    public static TheoryData<string, string, string> Changes => new()
    {
        { "merges of an unknown token", "\"a b\"", "\"a z\"" },
        { "a merge whose result is unknown", "\"a b\"", "\"b a\"" },
        { "a merge of nothing, so that one token would become itself for ever", "\"a b\"", "[\"ab\",\"\"]" },
        { "a merge of one part", "\"a b\"", "\"ab\"" },
        { "a merge of three parts", "\"a b\"", "[\"a\",\"b\",\"a\"]" },
        { "a merge that is a number", "\"a b\"", "7" },
        { "merges that are an object", "[\"a b\",[\"▁\",\"ab\"]]", "{\"a\":\"b\"}" },
        { "an id of 2^31", "\"ab\":3", "\"ab\":2147483648" },
        { "an id of 2^60", "\"ab\":3", "\"ab\":1152921504606846976" },
        { "an id that would take gigabytes", "\"ab\":3", "\"ab\":2147483647" },
        { "a negative id", "\"ab\":3", "\"ab\":-3" },
        { "half an id", "\"ab\":3", "\"ab\":3.5" },
        { "an id twice", "\"ab\":3", "\"ab\":2" },
        { "an id that is a text", "\"ab\":3", "\"ab\":\"3\"" },
        { "a vocabulary of lists", "\"ab\":3", "\"ab\":[3]" },
        { "a vocabulary that is a list", "{\"<unk>\":0,\"a\":1,\"b\":2,\"ab\":3,\"▁\":4,\"▁ab\":5,\"<0xC3>\":6,\"<0xA9>\":7,\"1\":8}", "[[\"a\",1]]" },
        { "an unknown token that is unknown", "\"unk_token\":\"<unk>\"", "\"unk_token\":\"<none>\"" },
        { "a flag that is a text", "\"fuse_unk\":true", "\"fuse_unk\":\"yes\"" },
        { "dropout", "\"dropout\":null", "\"dropout\":0.1" },
        { "half a surrogate pair", "\"ab\":3", "\"\\ud800\":3" },
        { "an added token of nothing", "\"content\":\"<s>\"", "\"content\":\"\"" },
        { "an added token with another's id", "\"id\":9,\"content\"", "\"id\":3,\"content\"" },
        { "an added token with two ids", "\"id\":10,\"content\":\"[X]\"", "\"id\":10,\"content\":\"ab\"" },
        { "an added token with an id of 2^31", "\"id\":10", "\"id\":2147483648" },
        { "an added token that is a text", "{\"id\":10", "\"x\",{\"id\":10" },
        { "a template with an unknown token", "{\"SpecialToken\":{\"id\":\"<s>\"", "{\"SpecialToken\":{\"id\":\"<t>\"" },
        { "a template with an id that no token has", "\"ids\":[9]", "\"ids\":[99]" },
        { "a template with a second text", "\"id\":\"A\"", "\"id\":\"B\"" },
        { "a template of a thousand texts", "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}", string.Join(',', Enumerable.Repeat("{\"Sequence\":{\"id\":\"A\"}}", 1000)) },
        { "a pattern that does not close", "\\\\p{L}{1,3}", "(\\\\p{L}" },
        { "a pattern of a million steps", "\\\\p{L}{1,3}", "((a{100}){100}){100}" },
        { "a pattern that looks behind", "\\\\p{L}{1,3}", "(?<=a)b" },
        { "a prefix of a megabyte", "\"prepend\":\"▁\"", $"\"prepend\":\"{new string('a', 1 << 20)}\"" },
        { "a replacement of two characters", "\"replacement\":\"▁\"", "\"replacement\":\"ab\"" },
        { "a strip of 2^60", "\"start\":1", "\"start\":1152921504606846976" },
        { "more steps than anybody needs", "{\"type\":\"NFKC\"}", string.Join(',', Enumerable.Repeat("{\"type\":\"NFKC\"}", 1000)) },
        { "Sequences in one another", "{\"type\":\"NFKC\"}", string.Concat(Enumerable.Repeat("{\"type\":\"Sequence\",\"normalizers\":[", 100)) + "{\"type\":\"NFC\"}" + string.Concat(Enumerable.Repeat("]}", 100)) },
        { "a normalizer that is a number", "{\"type\":\"NFKC\"}", "7" },
        { "no model", "\"model\":", "\"modem\":" },
        { "a comment", "{\"version\"", "/* */{\"version\"" },
    };

    [Theory]
    [MemberData(nameof(Changes))]
    public void A_hostile_file_is_refused(string what, string from, string to)
    {
        Assert.Contains(from, Whole, StringComparison.Ordinal);
        var message = Refused(Encoding.UTF8.GetBytes(Whole.Replace(from, to, StringComparison.Ordinal)));
        Assert.True(message.Length is > 20 and < 600, $"{what}: {message}");
    }

    [Theory]
    [InlineData("[\"a\",-2]", "[\"a\",NaN]")]
    [InlineData("[\"a\",-2]", "[\"a\",1e999]")]
    [InlineData("[\"a\",-2]", "[\"a\",\"-2\"]")]
    [InlineData("[\"a\",-2]", "[\"a\"]")]
    [InlineData("[\"a\",-2]", "[-2,\"a\"]")]
    [InlineData("\"unk_id\":0", "\"unk_id\":5")]
    [InlineData("\"unk_id\":0", "\"unk_id\":null")]
    public void A_hostile_Unigram_is_refused(string from, string to) => Refused(Encoding.UTF8.GetBytes(Unigram.Replace(from, to, StringComparison.Ordinal)));

    [Fact]
    public void Torn_and_endless_files_are_refused()
    {
        var whole = Encoding.UTF8.GetBytes(Whole);
        for (var length = 0; length < whole.Length; length += 7) Refused(whole[..length]);
        Refused(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("{\"model\":", 1_000_000))));
        Refused(Encoding.UTF8.GetBytes(new string('[', 1_000_000)));
        Refused([0xFF, 0xFE, 0, 0]);
        Refused(Encoding.UTF8.GetBytes(Unigram.Replace("\"ab\"", $"\"{new string('a', 100_000)}\"", StringComparison.Ordinal)));
    }

    [Fact]
    public void A_file_that_is_too_large_is_refused_before_it_is_read()
    {
        using var folder = new TemporaryFolder();
        using (var file = File.Create(folder["tokenizer.json"])) file.SetLength(300L << 20); // takes no room on the disk
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Contains("268435456", Assert.Throws<InvalidInputException>(() => Tokenizer.Load(folder.Path)).Message, StringComparison.Ordinal);
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 1 << 20);
    }

    [Fact]
    public void Normalizers_that_feed_one_another_are_stopped()
    {
        var doubling = string.Join(',', Enumerable.Repeat("""{"type":"Replace","pattern":{"String":"a"},"content":"aa"}""", 60));
        var tokenizer = Parse(Whole.Replace("""{"type":"NFKC"}""", doubling, StringComparison.Ordinal).Replace("""{"type":"Lowercase"},""", "", StringComparison.Ordinal));
        Assert.Contains("normalizer", Assert.Throws<InvalidInputException>(() => tokenizer.Encode("a")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_pattern_that_runs_away_is_stopped_in_the_text()
    {
        var tokenizer = Parse(Whole.Replace("\\\\p{L}{1,3}", "(b+)+c", StringComparison.Ordinal));
        Assert.Throws<InvalidInputException>(() => tokenizer.Encode(new string('b', 100_000)));
    }

    [Theory]
    [InlineData(Whole)]
    [InlineData(Unigram)]
    [InlineData(Bytes)]
    public void A_changed_file_works_or_is_refused(string whole)
    {
        Prop.ForAll(Arb.From(Mutations), mutations =>
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                var tokenizer = Tokenizer.Parse(mutations[0].Kind % 3 == 0 ? Torn(whole, mutations) : Encoding.UTF8.GetBytes(Restructured(whole, mutations)));
                foreach (var text in (string[])["", "ab q11 É's\n\t [X] <s>aé€😀", "\uD800▁▁ab", new string('a', 300)])
                {
                    var ids = tokenizer.Encode(text, addSpecialTokens: true);
                    var stream = new TokenTextStream(tokenizer);
                    if (tokenizer.Decode(ids) != string.Concat(ids.Select(stream.Push)) + stream.Flush()) return false;
                }

                tokenizer.Decode([.. Enumerable.Range(-1, 14)], skipSpecialTokens: true);
            }
            catch (InvalidInputException)
            {
            }

            return GC.GetAllocatedBytesForCurrentThread() - before < MostMemory;
        }).Check(FsCheck.Config.QuickThrowOnFailure.WithMaxTest(2_000));
    }

    private static Gen<(uint At, byte Kind, uint Value)[]> Mutations { get; } =
        Gen.NonEmptyListOf(from at in ArbMap.Default.GeneratorFor<uint>() from kind in ArbMap.Default.GeneratorFor<byte>() from value in ArbMap.Default.GeneratorFor<uint>() select (at * 2654435761, kind, value * 2654435761))
            .Select(list => list.Take(5).ToArray());

    private static byte[] Torn(string whole, (uint At, byte Kind, uint Value)[] mutations)
    {
        var bytes = Encoding.UTF8.GetBytes(whole).ToList();
        foreach (var (at, kind, value) in mutations)
        {
            var place = (int)(at % (uint)bytes.Count);
            var length = (int)Math.Min(value % 40, (uint)(bytes.Count - place));
            switch (kind % 4)
            {
                case 0: bytes[place] = (byte)value; break;
                case 1: bytes.RemoveRange(place, Math.Min(length, bytes.Count - 1)); break;
                case 2: bytes.InsertRange(place, bytes.GetRange(place, length)); break;
                default: bytes.Insert(place, "{}[]\",:0-\\"u8[(int)(value % 10)]); break;
            }
        }

        return [.. bytes];
    }

    /// <summary>The same tree with some values replaced by odd ones or by one another.</summary>
    private static string Restructured(string whole, (uint At, byte Kind, uint Value)[] mutations)
    {
        var root = JsonNode.Parse(whole)!;
        foreach (var (at, kind, value) in mutations)
        {
            var nodes = new List<JsonNode>();
            Collect(root, nodes);
            if (nodes.Count == 0) break;
            var node = nodes[(int)(at % (uint)nodes.Count)];
            var other = nodes[(int)(value % (uint)nodes.Count)];
            node.ReplaceWith(kind % 2 == 0 ? JsonNode.Parse(oddities[value % (uint)oddities.Length]) : other.DeepClone());
        }

        return root.ToJsonString().Replace("HALF", "\\ud800", StringComparison.Ordinal); // no tree holds half a pair

        static void Collect(JsonNode? node, List<JsonNode> nodes)
        {
            if (node?.Parent is not null) nodes.Add(node);
            IEnumerable<JsonNode?> children = node switch { JsonObject o => o.Select(pair => pair.Value), JsonArray a => a, _ => [] };
            foreach (var child in children) Collect(child, nodes);
        }
    }

    private static string Refused(byte[] file)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        var problem = Assert.Throws<InvalidInputException>(() => Tokenizer.Parse(file));
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < MostMemory);
        return problem.Message;
    }

    private static Tokenizer Parse(string json) => Tokenizer.Parse(Encoding.UTF8.GetBytes(json));
}
