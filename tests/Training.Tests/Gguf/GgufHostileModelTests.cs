using Gradus.Training.Gguf;
using Xunit;

namespace Gradus.Training.Tests.Gguf;

/// <summary>Files that are well formed and hold no model, or another one than they say: refused with the reason, and nothing is left behind.</summary>
public sealed class GgufHostileModelTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public static TheoryData<string, string> Changes() => new()
    {
        { "split.count", "one of 7 parts" },
        { "llama.expert_count", "it has 7 experts" },
        { "llama.attention.sliding_window", "sliding_window is 7; supported: none" },
        { "llama.rope.dimension_count", "rope.dimension_count is 7; supported: the width of a head, 16" },
        { "llama.attention.value_length", "attention.value_length is 7" },
        { "llama.vocab_size", "llama.vocab_size is 7, but token_embd.weight has 8 rows" },
        { "llama.rope.scaling.factor", "" },
        { "tokenizer.chat_template", "'tokenizer.chat_template' must be a text, not UInt32" },
        { "tokenizer.ggml.padding_token_id", "" },
    };

    /// <summary>Each of them set to 7.</summary>
    [Theory]
    [MemberData(nameof(Changes))]
    public void ASettingThatWouldBeComputedWronglyIsRefused(string key, string why)
    {
        GgufMade.Write(folder["m.gguf"], writer =>
        {
            GgufMade.AddBytePairs(writer);
            writer.Add(key, 7u);
        });
        if (why.Length == 0) GgufImport.Convert(folder["m.gguf"], folder["model"]);
        else Refused(why);
    }

    [Theory]
    [InlineData("tokenizer.ggml.model", "has no metadata 'tokenizer.ggml.model'")]
    [InlineData("tokenizer.ggml.tokens", "has no metadata 'tokenizer.ggml.tokens'")]
    [InlineData("tokenizer.ggml.token_type", "has no metadata 'tokenizer.ggml.token_type'")]
    [InlineData("tokenizer.ggml.merges", "has no metadata 'tokenizer.ggml.merges'")]
    public void AVocabularyWithoutAPartIsRefused(string without, string why)
    {
        GgufMade.Write(folder["m.gguf"], writer => Vocabulary(writer, without));
        Refused(why);
    }

    [Fact]
    public void VocabulariesThatContradictThemselvesAreRefused()
    {
        string[] tokens = ["<a>", "<b>", "<c>", "h", "e", "l", "he", "hel"];
        int[] types = [3, 3, 4, 1, 1, 1, 1, 1];
        void Made(Action<GgufWriter> more) => GgufMade.Write(folder["m.gguf"], more);

        Made(writer => Vocabulary(writer, tokens: [.. tokens, "more"], types: [.. types, 1]));
        Refused("tokenizer.ggml.tokens has 9 items, but token_embd.weight has 8 rows");
        Made(writer => Vocabulary(writer, types: types[1..]));
        Refused("tokenizer.ggml.token_type has 7 items, but token_embd.weight has 8 rows");
        Made(writer => Vocabulary(writer, types: [9, .. types[1..]]));
        Refused("tokenizer.ggml.token_type must hold numbers from 0 to 6, not 9");
        Made(writer => Vocabulary(writer, tokens: ["<b>", .. tokens[1..]]));
        Refused("the token '<b>' stands in tokenizer.ggml.tokens twice");
        Made(writer => Vocabulary(writer, merges: ["h x"]));
        Refused("'h x', of which the parts or the result are no tokens");
        Made(writer => Vocabulary(writer, merges: ["hel"]));
        Refused("'hel' (number 0), which is not two tokens");
        Made(writer => Vocabulary(writer, begin: 8));
        Refused("'tokenizer.ggml.bos_token_id' must be from 0 to 7, not 8");
        Made(writer => Vocabulary(writer, begin: uint.MaxValue));
        Refused("'tokenizer.ggml.bos_token_id' must be from 0 to 7, not 4294967295");
        Made(writer => Vocabulary(writer, pre: "viking"));
        Refused("The pre-tokenizer 'viking' of a GGUF file is not supported; supported: smollm,");
        Made(writer => Vocabulary(writer, model: "bert"));
        Refused("its tokenizer is 'bert'; supported: gpt2, llama");
    }

    [Fact]
    public void ScoresMustBeNumbersAndOneForEachToken()
    {
        (string, int, float)[] tokens = [("<unk>", 2, 0), ("<s>", 3, 0), ("</s>", 3, 0), ("a", 1, float.NaN)];
        GgufMade.Write(folder["m.gguf"], writer => GgufMade.AddSentencePiece(writer, tokens), rows: 4);
        Refused("tokenizer.ggml.scores must hold finite numbers; number 3 is NaN");
        GgufMade.Write(folder["m.gguf"], writer =>
        {
            Vocabulary(writer);
            writer.Add("tokenizer.ggml.scores", (float[])[1, 2]);
        });
        Refused("tokenizer.ggml.scores has 2 items");
    }

    /// <summary>Each token made of the letter a: the merges would be the cube of their number.</summary>
    [Fact]
    public void MergesAreBounded()
    {
        (string, int, float)[] tokens = [("<unk>", 2, 0), ("<s>", 3, 0), ("</s>", 3, 0), .. Enumerable.Range(1, 600).Select(length => (new string('a', length), 1, -1f))];
        GgufMade.Write(folder["m.gguf"], writer => GgufMade.AddSentencePiece(writer, tokens), rows: 603);
        Refused("may have 512 characters; token 515 has 513");
    }

    [Fact]
    public void RotaryFactorsMustFitTheHead()
    {
        foreach (var (factors, why) in new (float[], string)[] { ([1, 2], "rope_freqs.weight must be F32 of the shape [8], not F32 of [2]"), ([1, 1, 1, 1, 1, 1, 1, float.NaN], "must hold positive numbers"), ([1, 1, 1, 1, 1, 1, 1, -1], "must hold positive numbers") })
        {
            GgufMade.Write(folder["m.gguf"], GgufMade.AddBytePairs, first: _ => factors);
            Refused(why);
        }
    }

    [Fact]
    public void TensorsMustBeThoseOfTheModel()
    {
        GgufMade.Write(folder["m.gguf"], GgufMade.AddBytePairs, change: (name, shape) => name == "output_norm.weight" ? null : (name, GgufType.F32, shape));
        Refused("it has no tensor 'output_norm.weight'");
        GgufMade.Write(folder["m.gguf"], GgufMade.AddBytePairs, change: (name, shape) => (name == "blk.0.ffn_up.weight" ? "blk.0.ffn_down.bias" : name, GgufType.F32, shape));
        Refused("it has no tensor 'blk.0.ffn_up.weight'");
        GgufMade.Write(folder["m.gguf"], GgufMade.AddBytePairs, change: (name, shape) => (name, GgufType.F32, name == "blk.0.attn_k.weight" ? [32, 32] : shape));
        Refused("tensor 'blk.0.attn_k.weight' must have the shape [16, 32], not [32, 32]");
    }

    [Fact]
    public void OtherArchitecturesAreRefusedByName()
    {
        var writer = new GgufWriter();
        writer.Add("general.architecture", "deepseek2");
        using (var stream = File.Create(folder["m.gguf"])) writer.WriteHeader(stream);
        Refused("The architecture 'deepseek2' is not supported in GGUF files; supported: llama, qwen2, qwen3.");
        using (var stream = File.Create(folder["m.gguf"])) new GgufWriter().WriteHeader(stream);
        Refused("has no metadata 'general.architecture'");
    }

    [Fact]
    public void AFolderThatIsNotEmptyIsLeftAsItIs()
    {
        GgufMade.Write(folder["m.gguf"], GgufMade.AddBytePairs);
        Directory.CreateDirectory(folder["model"]);
        File.WriteAllText(Path.Combine(folder["model"], "mine"), "x");
        Assert.Contains("is not empty", Assert.Throws<InvalidInputException>(() => GgufImport.Convert(folder["m.gguf"], folder["model"])).Message);
        Assert.Equal(["mine"], Directory.GetFiles(folder["model"]).Select(Path.GetFileName));
    }

    public void Dispose() => folder.Dispose();

    private static void Vocabulary(
        GgufWriter writer, string without = "", string[]? tokens = null, int[]? types = null, string[]? merges = null, uint begin = 0, string pre = "smollm", string model = "gpt2")
    {
        if (without != "tokenizer.ggml.model") writer.Add("tokenizer.ggml.model", model);
        writer.Add("tokenizer.ggml.pre", pre);
        if (without != "tokenizer.ggml.tokens") writer.Add("tokenizer.ggml.tokens", tokens ?? ["<a>", "<b>", "<c>", "h", "e", "l", "he", "hel"]);
        if (without != "tokenizer.ggml.token_type") writer.Add("tokenizer.ggml.token_type", types ?? [3, 3, 4, 1, 1, 1, 1, 1]);
        if (without != "tokenizer.ggml.merges") writer.Add("tokenizer.ggml.merges", merges ?? ["h e", "he l"]);
        writer.Add("tokenizer.ggml.bos_token_id", begin);
    }

    private void Refused(string why)
    {
        Assert.Contains(why, Assert.Throws<InvalidInputException>(() => GgufImport.Convert(folder["m.gguf"], folder["model"])).Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(folder["model"]));
    }
}
