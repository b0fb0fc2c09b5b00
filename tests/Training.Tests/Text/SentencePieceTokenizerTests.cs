using System.Text;
using System.Text.Json;
using Gradus.Training.Text;
using Xunit;

namespace Gradus.Training.Tests.Text;

/// <summary>Small tokenizers built as Llama 2, Gemma, Mistral and T5 build theirs; what is expected is worked out by hand from the format's own code.</summary>
public sealed class SentencePieceTokenizerTests
{
    private const string Vocabulary =
        """{"<unk>":0,"<s>":1,"</s>":2,"<0xC3>":3,"<0xA9>":4,"▁":5,"a":6,"b":7,"▁a":8,"ab":9,"▁ab":10,"▁▁":11,"<0x0A>":12,"<0xF0>":13}""";
    private const string Added = """[{"id":0,"content":"<unk>","special":true,"normalized":false},{"id":1,"content":"<s>","special":true,"normalized":false},{"id":2,"content":"</s>","special":true,"normalized":false}]""";
    private const string Llama2Decoder =
        """{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}""";
    private const string Llama2Normalizer = """{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]}""";
    private const string Bos =
        """{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[],"special_tokens":{"<s>":{"id":"<s>","ids":[1],"tokens":["<s>"]}}}""";

    private static readonly Tokenizer llama2 = File(Bpe(), Llama2Decoder, normalizer: Llama2Normalizer, post: Bos);

    [Theory]
    [InlineData("ab é", new[] { 10, 5, 3, 4 })] // "a b" goes before "▁ ab", and é is its two bytes
    [InlineData("", new int[0])]
    [InlineData(" ab", new[] { 11, 9 })] // ▁ twice: "a b", then "▁ ▁" before "▁ ab"
    [InlineData("a</s>b", new[] { 8, 2, 5, 7 })] // each part between added tokens gets its own ▁
    [InlineData("a\nb", new[] { 8, 12, 7 })]
    [InlineData("a€€b", new[] { 8, 0, 7 })] // no bytes for it: unknown, fused
    [InlineData("€é", new[] { 5, 3, 4, 0 })] // the unknown one waits for the next that is known, past the bytes
    public void Llama_2_prepends_and_falls_back_to_bytes(string text, int[] expected)
    {
        Assert.Equal(expected, llama2.Encode(text));
        Assert.Equal([1, .. expected], llama2.Encode(text, addSpecialTokens: true));
    }

    [Theory]
    [InlineData(new[] { 1, 10, 5, 3, 4 }, "<s> ab é")]
    [InlineData(new[] { 10, 5, 3, 4 }, "ab é")]
    [InlineData(new[] { 5, 5, 7 }, " b")] // one space alone is stripped
    [InlineData(new[] { 3, 4, 3, 7, 4 }, "���b�")] // the run as a whole is no UTF-8, so none of it is
    [InlineData(new[] { 13, 3, 4 }, "���")]
    public void Llama_2_decodes_bytes_and_strips_one_space(int[] ids, string expected)
    {
        Assert.Equal(expected, llama2.Decode(ids));
        AssertStreams(llama2, ids);
    }

    [Fact]
    public void Unknown_characters_are_fused_only_where_the_file_says_so()
    {
        Assert.Equal([8, 0, 7], File(Bpe(fuse: true, bytes: false), Llama2Decoder, normalizer: Llama2Normalizer).Encode("aé€b"));
        Assert.Equal([8, 0, 0, 7], File(Bpe(fuse: false, bytes: false), Llama2Decoder, normalizer: Llama2Normalizer).Encode("aé€b"));
    }

    [Fact]
    public void Gemma_splits_after_spaces_that_are_none_any_more()
    {
        const string Split = """{"type":"Split","pattern":{"String":" "},"behavior":"MergedWithPrevious","invert":false}""";
        const string Decoder = """{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"}]}""";
        var gemma = File(Bpe(), Decoder, normalizer: """{"type":"Replace","pattern":{"String":" "},"content":"▁"}""", pre: Split);
        Assert.Equal([9, 10], gemma.Encode("ab ab"));
        Assert.Equal("ab ab", gemma.Decode([9, 10]));
        Assert.Equal(" ab", gemma.Decode([10]));
    }

    [Fact]
    public void Both_forms_of_merges_are_one_and_whole_pieces_may_pass_them()
    {
        const string Model = """{"type":"BPE","vocab":{"a":0,"b":1,"c":2,"ab":3,"abc":4},"merges":[["a","b"]],"ignore_merges":IGNORE}""";
        Assert.Equal([3, 2], File(Model.Replace("IGNORE", "false", StringComparison.Ordinal), Llama2Decoder).Encode("abc"));
        Assert.Equal([4], File(Model.Replace("IGNORE", "true", StringComparison.Ordinal), Llama2Decoder).Encode("abc"));
    }

    [Theory]
    [InlineData("always", "a <x>a b", "▁a|▁|<x>|▁a|▁b")]
    [InlineData("first", "a <x>a b", "▁a|▁|<x>|a|▁b")]
    [InlineData("never", "a <x>a b", "a|▁|<x>|a|▁b")]
    [InlineData("first", "  a", "▁|▁a")] // it begins with one already
    [InlineData("first", "<x>a", "<x>|a")]
    public void Metaspace_prepends_as_its_scheme_says(string scheme, string text, string expected)
    {
        var tokens = expected.Split('|').Concat(["<unk>", "<x>"]).Distinct().ToList();
        var model = JsonSerializer.Serialize(new { type = "WordLevel", vocab = tokens.Select((token, id) => (token, id)).ToDictionary(pair => pair.token, pair => pair.id), unk_token = "<unk>" });
        var added = $$"""[{"id":{{tokens.IndexOf("<x>")}},"content":"<x>","special":true}]""";
        var metaspace = $$"""{"type":"Metaspace","replacement":"▁","prepend_scheme":"{{scheme}}","split":true}""";
        var tokenizer = File(model, metaspace, added: added, pre: metaspace);
        var ids = tokenizer.Encode(text);
        Assert.Equal(expected.Split('|'), ids.Select(id => tokens[id]));
        Assert.Equal(scheme == "always" ? text.Replace(">a", "> a", StringComparison.Ordinal) : text.StartsWith(' ') ? " a" : text, tokenizer.Decode(ids));
        AssertStreams(tokenizer, ids);
    }

    [Fact]
    public void Unigram_takes_the_best_sum_and_joins_what_it_does_not_know()
    {
        var unigram = File("""{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0],["a",0],["b",0],["c",0],["d",0],["cd",1],["ab",2],["abc",5],["abcd",10]]}""", Llama2Decoder);
        Assert.Equal([8, 1, 5, 0], unigram.Encode("abcdacdxx"));
        Assert.Equal([0, 2, 0], unigram.Encode("😀b€"));
        Assert.Equal([7, 7], unigram.Encode("abcabc"));
    }

    [Fact]
    public void Unigram_falls_back_to_the_bytes_of_all_that_it_does_not_know()
    {
        const string Vocabulary = """[["<unk>",0],["▁",-2],["▁a",-1.5],["a",-1],["<0xC3>",-9],["<0xA9>",-9]]""";
        var unigram = File($$"""{"type":"Unigram","unk_id":0,"byte_fallback":true,"vocab":{{Vocabulary}}}""", Llama2Decoder, pre: """{"type":"Metaspace","replacement":"▁","prepend_scheme":"always"}""");
        Assert.Equal([2, 4, 5, 4, 5], unigram.Encode("aéé"));
        Assert.Equal([2, 0, 2], unigram.Encode("aé€ a")); // not all of them have a token: one unknown
        Assert.Equal([2, 1, 2], unigram.Encode("a  a"));
    }

    [Fact]
    public void Normalized_added_tokens_are_found_in_the_normalized_text()
    {
        const string Model = """{"type":"WordLevel","vocab":{"<unk>":0,"x":1},"unk_token":"<unk>"}""";
        var tokenizer = File(Model, """{"type":"Fuse"}""", normalizer: """{"type":"Lowercase"}""", added: """[{"id":2,"content":"Day","normalized":true},{"id":3,"content":"NIGHT","normalized":false}]""");
        Assert.Equal([2, 1, 2], tokenizer.Encode("DAYXday"));
        Assert.Equal([3, 0], tokenizer.Encode("NIGHTnight"));
        Assert.Equal("dayNIGHT", tokenizer.Decode([2, 3])); // decoding starts from the normalized form
    }

    [Theory]
    [InlineData("""{"type":"NFC"}""", "e\u0301\u0323 \u1100\u1161\u11a8 \u0958", "\u1eb9\u0301 \uac01 \u0915\u093c")]
    [InlineData("""{"type":"NFD"}""", "\u1eb9\u0301\uac01ﬁ", "e\u0323\u0301\u1100\u1161\u11a8ﬁ")]
    [InlineData("""{"type":"NFKC"}""", "ﬁ①Å\u2126ｱ\u3099ﷺ", "fi1ÅΩア\u3099صلى الله عليه وسلم")]
    [InlineData("""{"type":"NFKD"}""", "①Å½", "1A\u030a1\u20442")]
    [InlineData("""{"type":"Lowercase"}""", "ÀΣİ𐐀", "àσi\u0307𐐨")]
    [InlineData("""{"type":"Strip","strip_left":true,"strip_right":false}""", " \u3000a ", "a ")]
    [InlineData("""{"type":"Sequence","normalizers":[{"type":"NFD"},{"type":"StripAccents"}]}""", "né\u0928\u093f", "ne\u0928")]
    [InlineData("""{"type":"Replace","pattern":{"Regex":" {2,}"},"content":"$0"}""", "a   b c", "a$0b c")]
    public void Normalizers_write_what_Unicode_says(string normalizer, string text, string expected)
    {
        using var file = JsonDocument.Parse($$"""{"normalizer":{{normalizer}}}""");
        Assert.Equal(expected, Gradus.Training.Text.Normalizers.TextNormalizer.Read(file.RootElement).Normalize(text));
    }

    [Theory]
    [InlineData("""{"type":"Punctuation"}""", "a,b!!$c", "a|,|b|!|!|$|c")]
    [InlineData("""{"type":"Punctuation","behavior":"Contiguous"}""", "a,b!!c", "a|,|b|!!|c")]
    [InlineData("""{"type":"Whitespace"}""", "it's 1\u0301½ ok", "it|'|s|1\u0301|½|ok")]
    [InlineData("""{"type":"WhitespaceSplit"}""", "a,  b\u3000c", "a,|b|c")]
    [InlineData("""{"type":"Digits","individual_digits":false}""", "a12²b", "a|12²|b")]
    [InlineData("""{"type":"Digits","individual_digits":true}""", "a12²b", "a|1|2|²|b")]
    [InlineData("""{"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Metaspace","replacement":"▁","prepend_scheme":"first"}]}""", "a b", "▁a|b")]
    [InlineData("""{"type":"Sequence","pretokenizers":[{"type":"Punctuation","behavior":"Contiguous"},{"type":"ByteLevel","add_prefix_space":false},{"type":"Digits"},{"type":"Split","pattern":{"Regex":"[0-9][0-9][0-9]"},"behavior":"Isolated"}]}""", "x 12345!?", "x|Ġ|123|45|!?")] // Falcon
    public void Pre_tokenizers_cut_as_their_names_say(string pre, string text, string expected) => Assert.Equal(expected.Split('|'), PreTokenizerPieces.Of(pre, text));

    [Theory]
    [InlineData("""{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"Strip","content":" ","start":2,"stop":2}]}""", "  a|  | |b | ", "a   b")]
    [InlineData("""{"type":"Sequence","decoders":[{"type":"Strip","content":"_","start":1,"stop":1}]}""", "__a_|_|b__", "_ab_")]
    [InlineData("""{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"Replace","pattern":{"String":"aab"},"content":"X"}]}""", "a|a|a|b|aa", "aXaa")]
    [InlineData("""{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"Replace","pattern":{"Regex":"a+b"},"content":"X"}]}""", "a|a|b|c|a", "Xca")]
    [InlineData("""{"type":"Metaspace","replacement":"▁","prepend_scheme":"never"}""", "▁a|▁b", " a b")]
    [InlineData("""{"type":"Metaspace","replacement":"▁","add_prefix_space":true}""", "▁a▁|▁b", "a b")]
    public void Decoders_stream_what_they_write_in_one(string decoder, string tokens, string expected)
    {
        var vocab = tokens.Split('|').Append("<unk>").Distinct().Select((token, id) => (token, id)).ToDictionary(pair => pair.token, pair => pair.id);
        var tokenizer = File(JsonSerializer.Serialize(new { type = "WordLevel", vocab, unk_token = "<unk>" }), decoder, added: "[]");
        int[] ids = [.. tokens.Split('|').Select(token => vocab[token])];
        Assert.Equal(expected, tokenizer.Decode(ids));
        AssertStreams(tokenizer, ids);
    }

    [Theory]
    [InlineData("""{"type":"Precompiled","precompiled_charsmap":"AAAA"}""", "Precompiled")]
    [InlineData("""{"type":"BertNormalizer"}""", "BertNormalizer")]
    public void Normalizers_that_are_not_here_are_refused_by_name(string normalizer, string named) =>
        Assert.Contains(named, Assert.Throws<InvalidInputException>(() => File(Bpe(), Llama2Decoder, normalizer: normalizer)).Message, StringComparison.Ordinal);

    private static void AssertStreams(Tokenizer tokenizer, int[] ids)
    {
        var whole = tokenizer.Decode(ids);
        var stream = new TokenTextStream(tokenizer);
        var given = "";
        foreach (var id in ids)
        {
            given += stream.Push(id);
            Assert.StartsWith(given, whole, StringComparison.Ordinal);
        }

        Assert.Equal(whole, given + stream.Flush());
    }

    private static string Bpe(bool fuse = true, bool bytes = true) =>
        $$"""{"type":"BPE","vocab":{{Vocabulary}},"merges":["a b","▁ ▁","▁ ab","▁ a"],"unk_token":"<unk>","fuse_unk":{{(fuse ? "true" : "false")}},"byte_fallback":{{(bytes ? "true" : "false")}}}""";

    private static Tokenizer File(string model, string decoder, string normalizer = "null", string pre = "null", string post = "null", string? added = null) => Tokenizer.Parse(Encoding.UTF8.GetBytes(
        $$"""{"added_tokens":{{added ?? (model.StartsWith("""{"type":"BPE","vocab":{"<unk>""", StringComparison.Ordinal) ? Added : "[]")}},"normalizer":{{normalizer}},"pre_tokenizer":{{pre}},"post_processor":{{post}},"decoder":{{decoder}},"model":{{model}}}"""));
}
