using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Gguf;
using Gradus.Training.Model;
using Gradus.Training.Tests.Text;
using Xunit;

namespace Gradus.Training.Tests.Gguf;

public sealed class GgufExportTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private static string Fixtures => Path.Combine(AppContext.BaseDirectory, "fixtures");

    /// <summary>llama.cpp's own quantisation of the same fp32 weights, byte for byte: head and embedding, every layer's matrices, and norms in fp32.</summary>
    [Theory]
    [InlineData(GgufType.Q8_0, "tiny-q8_0.gguf")]
    [InlineData(GgufType.Q4_0, "tiny-q4_0.gguf")]
    [InlineData(GgufType.F16, "tiny-f16.gguf")]
    [InlineData(GgufType.BF16, "tiny-bf16.gguf")]
    [InlineData(GgufType.F32, "tiny-f32.gguf")]
    public void BytesAreThoseOfLlamaCpp(GgufType type, string reference)
    {
        GgufImport.Convert(SharedFixtures.Files("gguf/tiny-f32.gguf")[0], folder["model"]);
        GgufExport.Write(folder["model"], folder["out.gguf"], type);
        using var ours = GgufFile.Open(folder["out.gguf"]);
        using var theirs = GgufFile.Open(SharedFixtures.Files($"gguf/{reference}")[0]);
        Assert.Equal(theirs.Tensors.Keys.Order(StringComparer.Ordinal), ours.Tensors.Keys.Order(StringComparer.Ordinal));
        foreach (var (name, wanted) in theirs.Tensors)
        {
            var tensor = ours.Tensors[name];
            Assert.Equal((name, wanted.Type), (name, tensor.Type));
            Assert.Equal(wanted.Shape, tensor.Shape);
            Assert.True(theirs.Rows(wanted, 0, wanted.Rows).SequenceEqual(ours.Rows(tensor, 0, tensor.Rows)), $"{name} has other bytes");
        }
        Assert.Equal(theirs.Metadata.Integer("general.file_type"), ours.Metadata.Integer("general.file_type"));
        foreach (var key in (string[])["tokenizer.ggml.tokens", "tokenizer.ggml.merges"]) Assert.Equal(theirs.Metadata.Texts(key), ours.Metadata.Texts(key));
        Assert.Equal(theirs.Metadata.Integers("tokenizer.ggml.token_type"), ours.Metadata.Integers("tokenizer.ggml.token_type"));
        foreach (var key in (string[])["tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.chat_template"]) Assert.Equal(theirs.Metadata.Text(key), ours.Metadata.Text(key));
        foreach (var key in theirs.Metadata.Keys.Where(key => key.StartsWith("llama.", StringComparison.Ordinal))) Assert.Equal((key, theirs.Metadata.Number(key)), (key, ours.Metadata.Number(key)));
    }

    [Theory]
    [InlineData("llama")]
    [InlineData("qwen2")]
    public void AFolderComesBackBitForBit(string fixture)
    {
        var source = Path.Combine(Fixtures, "models", fixture);
        var tokens = ModelConfig.Read(source).VocabularySize;
        foreach (var name in (string[])["config.json", "model.safetensors"]) CopyTo(source, name);
        WriteTokenizer(tokens);
        GgufExport.Write(folder["model"], folder["out.gguf"], GgufType.F32);
        GgufImport.Convert(folder["out.gguf"], folder["back"]);
        using var before = Safetensors.Open(source);
        using var after = Safetensors.Open(folder["back"]);
        Assert.Equal(before.Names, after.Names);
        foreach (var name in before.Names)
        {
            using var a = before.Read(name);
            using var b = after.Read(name);
            Assert.True(a.bytes.SequenceEqual(b.bytes), $"{name} has other bytes");
        }
        // The vocabulary file here says its own end token; the rest is the fixture's.
        var config = ModelConfig.Read(source);
        Assert.Equal(config with { EndTokens = [2], BeginToken = 1, PadToken = config.PadToken }, ModelConfig.Read(folder["back"]));
        foreach (var name in (string[])["tokenizer.json", "tokenizer_config.json"])
        {
            var (wanted, back) = (JsonNode.Parse(File.ReadAllBytes(Path.Combine(folder["model"], name)))!.AsObject(), JsonNode.Parse(File.ReadAllBytes(Path.Combine(folder["back"], name)))!.AsObject());
            back.Remove("pad_token"); // config.json has one, the tokenizer's files have not
            Assert.True(JsonNode.DeepEquals(wanted, back), name);
        }
        Assert.Contains("license: apache-2.0", File.ReadAllText(Path.Combine(folder["back"], "README.md")));
    }

    [Fact]
    public void AQwen3ComesBackBitForBit()
    {
        var config = ModelConfig.Parse(JsonDocument.Parse("""
            {"model_type":"qwen3","vocab_size":320,"hidden_size":64,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":32,"intermediate_size":96,
             "hidden_act":"silu","rms_norm_eps":1e-6,"rope_theta":1000000,"max_position_embeddings":256,"tie_word_embeddings":true,"eos_token_id":2}
            """).RootElement);
        using var model = CausalLm.Create(config, 5);
        model.Save(folder["model"]);
        WriteTokenizer(320);
        GgufExport.Write(folder["model"], folder["out.gguf"], GgufType.F32);
        GgufImport.Convert(folder["out.gguf"], folder["back"]);
        using var back = CausalLm.Load(folder["back"]);
        foreach (var (name, weights) in model.Parameters) Assert.True(weights.detach().bytes.SequenceEqual(back[name].detach().bytes), $"{name} has other bytes");
        Assert.Equal(config with { BeginToken = 1 }, back.Config);
    }

    [Theory]
    [InlineData("""{"rope_type":"linear","factor":4}""", """{"rope_type":"linear","factor":4}""")]
    [InlineData("""{"type":"yarn","factor":8,"original_max_position_embeddings":64,"beta_fast":16,"beta_slow":2}""", """{"rope_type":"yarn","factor":8,"original_max_position_embeddings":64,"beta_fast":16,"beta_slow":2}""")]
    [InlineData("""{"rope_type":"llama3","factor":32,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":8192}""", """{"rope_type":"llama3","factor":32,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":8192}""")]
    [InlineData("""{"rope_type":"longrope","short_factor":[1,1,1.25,1.5,2,2.5,3,3.5],"long_factor":[1,1,1.25,1.5,2,2.5,3,3.5],"attention_factor":1}""", """{"rope_type":"longrope","short_factor":[1,1,1.25,1.5,2,2.5,3,3.5],"long_factor":[1,1,1.25,1.5,2,2.5,3,3.5],"factor":1,"attention_factor":1,"original_max_position_embeddings":512}""")]
    public void RotaryScalingComesBack(string scaling, string expected)
    {
        var json = JsonNode.Parse(File.ReadAllBytes(Path.Combine(Fixtures, "models", "llama", "config.json")))!.AsObject();
        var config = ModelConfig.Parse(JsonSerializer.SerializeToElement(json));
        json.Remove("rope_parameters");
        json["rope_scaling"] = JsonNode.Parse(scaling);
        float[]? factors = null;
        GgufMade.Write(folder["out.gguf"], writer =>
        {
            GgufMade.AddBytePairs(writer);
            factors = GgufRope.Add(writer, JsonSerializer.SerializeToElement(json), "llama", config);
        }, first: writer => factors);
        using var file = GgufFile.Open(folder["out.gguf"]);
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(expected), GgufRope.Read(file, "llama", 16, 512)), GgufRope.Read(file, "llama", 16, 512)!.ToJsonString());
    }

    [Fact]
    public void WhatGgufHasNotIsRefusedByName()
    {
        CopyTo(Path.Combine(Fixtures, "models", "llama"), "config.json");
        Assert.Contains("type Q5_1 cannot be written; supported: F32, F16, BF16, Q8_0, Q4_0", Assert.Throws<InvalidInputException>(() => GgufExport.Write(folder["model"], folder["o"], GgufType.Q5_1)).Message);
        File.WriteAllText(Path.Combine(folder["model"], "config.json"), """{"model_type":"deepseek_v3"}""");
        Assert.Contains("'deepseek_v3' is not supported in GGUF files; supported: llama, qwen2, qwen3", Assert.Throws<InvalidInputException>(() => GgufExport.Write(folder["model"], folder["o"], GgufType.F32)).Message);
        Assert.False(File.Exists(folder["o"]));
    }

    public void Dispose() => folder.Dispose();

    private void CopyTo(string source, string name)
    {
        Directory.CreateDirectory(folder["model"]);
        File.Copy(Path.Combine(source, name), Path.Combine(folder["model"], name));
    }

    /// <summary>The tokenizer of the GGUF fixtures, cut to a number of tokens (or filled up).</summary>
    private void WriteTokenizer(int rows)
    {
        using (var file = GgufFile.Open(Path.Combine(Fixtures, "gguf", "tiny-q2_k.gguf"))) GgufTokenizerImport.Write(file, 320, folder["model"]);
        File.WriteAllText(Path.Combine(folder["model"], "README.md"), "---\nlanguage: en\nlicense: apache-2.0\n---\n# Tiny\n");
        Assert.Equal(320, rows);
    }
}
