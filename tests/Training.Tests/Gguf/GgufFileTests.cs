using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;
using Gradus.Training.Gguf;
using Gradus.Training.Model;
using Gradus.Training.Tests.Text;
using Xunit;

namespace Gradus.Training.Tests.Gguf;

public sealed class GgufFileTests
{
    /// <summary>All files of gguf/ beside the tests, below GRADUS_FIXTURES and in ../shared/fixtures, that expected-dequantized.json there knows.</summary>
    public static TheoryData<string> Files()
    {
        var lists = SharedFixtures.Found("gguf/expected-dequantized.json").Prepend(Path.Combine(AppContext.BaseDirectory, "fixtures", "gguf", "expected-dequantized.json"));
        return [.. lists.SelectMany(list => SharedFixtures.Json(list).EnumerateObject().Select(entry => Path.Combine(Path.GetDirectoryName(list)!, entry.Name))).Where(File.Exists)];
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void EveryTensorHasTheNumbersOfTheReference(string path)
    {
        var expected = SharedFixtures.Json(Path.Combine(Path.GetDirectoryName(path)!, "expected-dequantized.json")).GetProperty(Path.GetFileName(path));
        using var file = GgufFile.Open(path);
        Assert.Equal(expected.EnumerateObject().Select(entry => entry.Name).Order(StringComparer.Ordinal), file.Tensors.Keys.Order(StringComparer.Ordinal));
        foreach (var (name, tensor) in file.Tensors)
        {
            var wanted = expected.GetProperty(name);
            Assert.Equal(wanted.GetProperty("type").GetString(), tensor.Type.ToString());
            Assert.Equal(wanted.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64()), tensor.Shape);
            var numbers = new float[tensor.Elements];
            file.Read(tensor, 0, numbers);
            Assert.Equal((name, wanted.GetProperty("sha256_f32le").GetString()), (name, Hash(numbers)));
        }
    }

    [Fact]
    public void RowsAreReadOneByOne()
    {
        using var file = GgufFile.Open(Path.Combine(AppContext.BaseDirectory, "fixtures", "gguf", "tiny-q4_k_m.gguf"));
        var tensor = file.Tensors["blk.0.ffn_down.weight"];
        var all = new float[tensor.Elements];
        file.Read(tensor, 0, all);
        var row = new float[tensor.RowLength];
        file.Read(tensor, 17, row);
        Assert.Equal(all[(17 * row.Length)..(18 * row.Length)], row);
        Assert.Throws<ArgumentOutOfRangeException>(() => file.Read(tensor, tensor.Rows, row));
    }

    [Fact]
    public void MetadataIsReadByItsKind()
    {
        using var file = GgufFile.Open(Path.Combine(AppContext.BaseDirectory, "fixtures", "gguf", "tiny-q4_0.gguf"));
        var metadata = file.Metadata;
        Assert.Equal(3, file.Version);
        Assert.Equal("llama", metadata.Text("general.architecture"));
        Assert.Equal(256, metadata.Integer("llama.embedding_length"));
        Assert.Equal(1e-5, metadata.Number("llama.attention.layer_norm_rms_epsilon"));
        Assert.Equal(320, metadata.Texts("tokenizer.ggml.tokens")!.Length);
        Assert.Equal(["t h", "i n"], metadata.Texts("tokenizer.ggml.merges")![..2]);
        Assert.Equal([3, 3, 3, 1], metadata.Integers("tokenizer.ggml.token_type")![..4]);
        Assert.Null(metadata.Flag("tokenizer.ggml.add_bos_token"));
        Assert.Contains("must be a text, not UInt32", Assert.Throws<InvalidInputException>(() => metadata.Text("llama.embedding_length")).Message);
        Assert.Contains("not a list of 320 Text", Assert.Throws<InvalidInputException>(() => metadata.Integers("tokenizer.ggml.tokens")).Message);
        Assert.Contains("must be from 0 to 255, not 256", Assert.Throws<InvalidInputException>(() => metadata.Integer("llama.embedding_length", 0, 255)).Message);
    }

    /// <summary>A real model: names, shapes and numbers of its Hugging Face form, queries and keys put back in order.</summary>
    [Fact]
    public void SmolLm2BecomesItsHuggingFaceWeights()
    {
        var path = SharedFixtures.Files("../models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf")[0];
        var published = Path.GetDirectoryName(path)!;
        using var folder = new TemporaryFolder();
        GgufImport.Convert(path, folder["model"]);
        var expected = SharedFixtures.Json(Path.Combine(published, "expected-dequantized.json"));
        using var weights = Safetensors.Open(folder["model"]);
        Assert.Equal(expected.EnumerateObject().Select(entry => entry.Name).Order(StringComparer.Ordinal), weights.Names);
        foreach (var entry in expected.EnumerateObject())
        {
            using var tensor = weights.Read(entry.Name);
            Assert.Equal(entry.Value.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64()), tensor.shape);
            Assert.Equal((entry.Name, entry.Value.GetProperty("sha256_f32le").GetString()), (entry.Name, Hash(MemoryMarshal.Cast<byte, float>(tensor.bytes))));
        }
        Assert.Equal(ModelConfig.Read(published) with { Dtype = "float32" }, ModelConfig.Read(folder["model"]));
    }

    private static string Hash(ReadOnlySpan<float> numbers) => Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(numbers)));
}
