using System.Buffers.Binary;
using System.Text;
using Gradus.Training.Model;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Model;

public sealed class SafetensorsTests : IDisposable
{
    private const string Four = """{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}""";

    private readonly TemporaryFolder folder = new();
    private readonly DisposeScope scope = NewDisposeScope();

    [Fact]
    public void WhatIsWrittenIsRead()
    {
        var weights = arange(12, dtype: ScalarType.Float32).view(3, 4);
        Safetensors.Write(folder["w.safetensors"], [new("w", weights), new("turned", weights.t()), new("ids", tensor(new long[] { 1, -2 })), new("none", zeros(0, 3))]);
        using var file = Safetensors.Open(folder["w.safetensors"]);
        Assert.Equal(["ids", "none", "turned", "w"], file.Names);
        Close.Elements(weights, file.Read("w"), "w", 0);
        Close.Elements(weights.t(), file.Read("turned"), "turned", 0);
        Assert.Equal([1, -2], file.Read("ids").data<long>().ToArray());
        Assert.Equal([0, 3], file.Shape("none"));
        Assert.Equal(0, file.Read("none").numel());
    }

    [Fact]
    public void TheHeaderIsAlignedAndSaysWhereItComesFrom()
    {
        Safetensors.Write(folder["w.safetensors"], [new("w", ones(3))]);
        var bytes = File.ReadAllBytes(folder["w.safetensors"]);
        var length = (int)BinaryPrimitives.ReadInt64LittleEndian(bytes);
        Assert.Equal(0, length % 8);
        Assert.StartsWith("""{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}""", Encoding.UTF8.GetString(bytes, 8, length));
        Assert.Equal(8 + length + 12, bytes.Length);
    }

    [Fact]
    public void HalvesBecomeSingles()
    {
        // More than one vector's worth, and an odd rest.
        float[] values = [.. Enumerable.Range(-20, 41).Select(i => i * .5f)];
        var halves = values.SelectMany(value => BitConverter.GetBytes((Half)value)).ToArray();
        var brains = values.SelectMany(value => BitConverter.GetBytes((ushort)(BitConverter.SingleToUInt32Bits(value) >> 16))).ToArray();
        var path = Write("""{"h":{"dtype":"F16","shape":[41],"data_offsets":[0,82]},"b":{"dtype":"BF16","shape":[41],"data_offsets":[82,164]}}""", [.. halves, .. brains]);
        using var file = Safetensors.Open(path);
        Assert.Equal(values, file.Read("h").data<float>().ToArray());
        Assert.Equal(values, file.Read("b").data<float>().ToArray());
    }

    [Fact]
    public void ShardsAreFoundByTheirIndex()
    {
        Safetensors.Write(folder["model-1.safetensors"], [new("a", ones(2))]);
        Safetensors.Write(folder["model-2.safetensors"], [new("b", zeros(3))]);
        Index("""{"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}}""");
        using var file = Safetensors.Open(folder.Path);
        Assert.Equal(["a", "b"], file.Names);
        Assert.Equal([1, 1], file.Read("a").data<float>().ToArray());
    }

    [Theory]
    [InlineData("""{"weight_map":{"a":"../model-1.safetensors"}}""", "not a file beside it")]
    [InlineData("""{"weight_map":{"a":"model-9.safetensors"}}""", "There is no model-9.safetensors")]
    [InlineData("""{"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}}""", "'a' stands in another shard, too")]
    [InlineData("""{}""", "has no weight_map")]
    [InlineData("""{"weight""", "is not JSON")]
    public void AWrongIndexIsRefused(string index, string why)
    {
        Safetensors.Write(folder["model-1.safetensors"], [new("a", ones(2))]);
        Safetensors.Write(folder["model-2.safetensors"], [new("a", ones(2))]);
        Index(index);
        Assert.Contains(why, Assert.Throws<InvalidInputException>(() => Safetensors.Open(folder.Path)).Message);
    }

    [Theory]
    [InlineData("not json", 16, "not the JSON of this format")]
    [InlineData("[]", 0, "not a JSON object")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}""", 16, "not the JSON of this format")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}} x""", 16, "not the JSON of this format")]
    [InlineData("""{"a":{"dtype":"F32","shape":[[[[[[[[[4]]]]]]]]],"data_offsets":[0,16]}}""", 16, "must hold numbers")]
    [InlineData("""{"__metadata__":[[[[[[[[[[1]]]]]]]]]]}""", 0, "not the JSON of this format")]
    [InlineData("""{"a":{"dtype":"F32","shape":[5],"data_offsets":[0,16]}}""", 16, "needs 20 bytes, its offsets give 16")]
    [InlineData("""{"a":{"dtype":"Q4","shape":[4],"data_offsets":[0,16]}}""", 16, "unknown type 'Q4'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16],"more":1}}""", 16, "unknown field 'more'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}}""", 16, "whole numbers from 0")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4.5],"data_offsets":[0,16]}}""", 16, "whole numbers from 0")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}}""", 16, "lies at 16 to 0")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4],"data_offsets":[0]}}""", 16, "two data_offsets")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4]}}""", 16, "two data_offsets")]
    [InlineData("""{"a":7}""", 16, "not described by an object")]
    [InlineData("""{"a":{"dtype":"F32","shape":[8589934592,2147483648],"data_offsets":[0,16]}}""", 16, "product overflows")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,16]}}""", 16, "product overflows")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"a":{"dtype":"F32","shape":[4],"data_offsets":[16,32]}}""", 32, "stands in it twice")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[12,28]}}""", 28, "'b' overlaps")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[20,36]}}""", 36, "gap of 4 bytes before tensor 'b'")]
    [InlineData(Four, 20, "4 bytes after the last tensor")]
    [InlineData(Four, 12, "cut short")]
    public void ALyingHeaderIsRefusedWithTheReason(string header, int bytes, string why)
    {
        var path = Write(header, new byte[bytes]);
        Assert.Contains(why, Assert.Throws<InvalidInputException>(() => Safetensors.Open(path)).Message);
    }

    [Theory]
    [InlineData(1_000, "reaches beyond its end")]
    [InlineData(100_000_001, "at most 100000000 are allowed")]
    [InlineData(ulong.MaxValue, "at most 100000000 are allowed")]
    public void ALyingHeaderLengthIsRefused(ulong length, string why)
    {
        var bytes = new byte[100];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, length);
        File.WriteAllBytes(folder["w.safetensors"], bytes);
        Assert.Contains(why, Assert.Throws<InvalidInputException>(() => Safetensors.Open(folder["w.safetensors"])).Message);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    public void AFileTooShortForAHeaderIsRefused(int bytes)
    {
        File.WriteAllBytes(folder["w.safetensors"], new byte[bytes]);
        Assert.Contains("too few for a header", Assert.Throws<InvalidInputException>(() => Safetensors.Open(folder["w.safetensors"])).Message);
    }

    [Fact]
    public void AMissingTensorOrAnotherShapeIsRefused()
    {
        using var file = Safetensors.Open(Write(Four, new byte[16]));
        Assert.Contains("has no tensor 'b'", Assert.Throws<InvalidInputException>(() => file.Read("b")).Message);
        Assert.Contains("must have the shape [2, 2], not [4]", Assert.Throws<InvalidInputException>(() => file.CopyTo("a", zeros(2, 2))).Message);
    }

    [Fact]
    public void ATypeThatIsNoWeightsIsRefusedWhenRead()
    {
        using var file = Safetensors.Open(Write("""{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", new byte[4]));
        Assert.Contains("has the type U8", Assert.Throws<InvalidInputException>(() => file.Read("a")).Message);
    }

    [Fact]
    public void AModelSurvivesItsFolder()
    {
        using var model = CausalLm.Create(Tiny.Config, 3);
        model.Save(folder["saved"]);
        using var loaded = CausalLm.Load(folder["saved"]);
        Assert.Equal(model.Config, loaded.Config);
        Assert.Equal(model.Parameters.Select(parameter => parameter.Key), loaded.Parameters.Select(parameter => parameter.Key));
        foreach (var (name, weights) in model.Parameters) Close.Elements(weights.detach(), loaded[name].detach(), name, 0);
    }

    public void Dispose()
    {
        scope.Dispose();
        folder.Dispose();
    }

    private string Write(string header, byte[] weights)
    {
        var json = Encoding.UTF8.GetBytes(header);
        var start = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(start, json.Length);
        var path = folder["made.safetensors"];
        File.WriteAllBytes(path, [.. start, .. json, .. weights]);
        return path;
    }

    private void Index(string json) => File.WriteAllText(folder["model.safetensors.index.json"], json);
}
