using System.Text;
using Gradus.Training.Gguf;
using Xunit;

namespace Gradus.Training.Tests.Gguf;

/// <summary>Files whose header lies: refused with the reason, before memory is taken by what they say.</summary>
public sealed class GgufHostileTests : IDisposable
{
    private const long MostAllocated = 8 << 20;

    private readonly TemporaryFolder folder = new();

    public static TheoryData<string, byte[]> Files() => new()
    {
        { "too few for a header", [.. "GGUF"u8] },
        { "does not begin with 'GGUF'", Header(0, 0, body => body.Write("lmgg"u8), mark: "GGML") },
        { "version 1 of the format; supported: 2, 3", Header(0, 0, version: 1) },
        { "version 9 of the format", Header(0, 0, version: 9) },
        { "big endian; supported: little endian", Header(0, 0, version: 0x03000000) },
        { "the number of tensors is 1152921504606846976; at most 65536", Header(1UL << 60, 0) },
        { "the number of metadata values is 1152921504606846976; at most 65536", Header(0, 1UL << 60) },
        { "the length of metadata key 0 is 1152921504606846976; at most 65535", Header(0, 1, body => body.Write(1UL << 60)) },
        { "metadata key 0 reaches beyond its end", Header(0, 1, body => body.Write(60_000UL)) },
        { "metadata key 0 is not UTF-8", Header(0, 1, body => { body.Write(2UL); body.Write((ushort)0xFFFF); Value(body, 4, 0u); }) },
        { "metadata 'k' has the unknown type 13", Header(0, 1, body => { Text(body, "k"); body.Write(13u); }) },
        { "metadata 'k' must be 0 or 1", Header(0, 1, body => { Text(body, "k"); body.Write(7u); body.Write((byte)2); }) },
        { "the length of metadata 'k' is 104857600; at most 4194304", Header(0, 1, body => { Text(body, "k"); body.Write(8u); body.Write(100UL << 20); }) },
        { "metadata 'k' reaches beyond its end", Header(0, 1, body => { Text(body, "k"); body.Write(8u); body.Write(1_000_000UL); }) },
        { "the number of items of metadata 'k' is 1152921504606846976; at most 4194304", Header(0, 1, body => List(body, 4, 1UL << 60)) },
        { "metadata 'k' reaches beyond its end", Header(0, 1, body => List(body, 12, 4UL << 20)) },
        { "metadata 'k' reaches beyond its end", Header(0, 1, body => List(body, 8, 4UL << 20)) },
        { "metadata 'k' is a list of lists", Header(0, 1, body => { List(body, 9, 1); body.Write(9u); }) },
        { "metadata 'k' is a list of lists", Header(0, 1, body => { Text(body, "k"); body.Write(9u); for (var i = 0; i < 1_000_000; i++) { body.Write(9u); body.Write(1UL); } }) },
        { "metadata 'k' stands in it twice", Header(0, 2, body => { for (var i = 0; i < 2; i++) { Text(body, "k"); Value(body, 4, 0u); } }) },
        { "general.alignment must be a power of two from 8 to 65536, not 0", Header(0, 1, body => Alignment(body, 0)) },
        { "general.alignment must be a power of two from 8 to 65536, not 2147483648", Header(0, 1, body => Alignment(body, 1u << 31)) },
        { "general.alignment must be a power of two from 8 to 65536, not 24", Header(0, 1, body => Alignment(body, 24)) },
        { "general.alignment must be a UInt32", Header(0, 1, body => { Text(body, "general.alignment"); body.Write(10u); body.Write(32UL); }) },
        { "the length of the name of tensor 0 is 65; at most 64", Header(1, 0, body => Text(body, new string('n', 65))) },
        { "tensor 't' has 4294967295 sizes; allowed are 1 to 4", Header(1, 0, body => { Text(body, "t"); body.Write(uint.MaxValue); }) },
        { "tensor 't' has a size of 0", Header(1, 0, body => Tensor(body, "t", 0, 0, 4, 0)) },
        { "tensor 't' has a shape whose product overflows: [2147483648, 8589934592]", Header(1, 0, body => Tensor(body, "t", 0, 0, 1L << 33, 1L << 31)) },
        { "a size of tensor 't' is 18446744073709551615", Header(1, 0, body => Tensor(body, "t", 0, 0, -1)) },
        { "tensor 't' has the type Q8_K; supported: F32, F16", Header(1, 0, body => Tensor(body, "t", 15, 0, 256)) },
        { "tensor 't' has the type IQ2_XXS", Header(1, 0, body => Tensor(body, "t", 16, 0, 256)) },
        { "tensor 't' has the type number 99", Header(1, 0, body => Tensor(body, "t", 99, 0, 256)) },
        { "rows of 40 numbers; they must be a multiple of 32", Header(1, 0, body => Tensor(body, "t", 2, 0, 40)) },
        { "tensor 't' of 16 bytes at 1152921504606846976 reaches beyond", Header(1, 0, body => Tensor(body, "t", 0, 1L << 60, 4)) },
        { "tensor 't' of 4096 bytes at 0 reaches beyond the file's 64 bytes", Header(1, 0, body => Tensor(body, "t", 0, 0, 1024), weights: 64) },
        { "tensor 't' begins at 8, which is no multiple of the alignment 32", Header(1, 0, body => Tensor(body, "t", 0, 8, 4), weights: 64) },
        { "tensor 'u' overlaps", Header(2, 0, body => { Tensor(body, "t", 0, 0, 16); Tensor(body, "u", 0, 32, 8); }, weights: 64) },
        { "tensor 't' stands in it twice", Header(2, 0, body => { Tensor(body, "t", 0, 0, 8); Tensor(body, "t", 0, 32, 8); }, weights: 64) },
    };

    [Theory]
    [MemberData(nameof(Files))]
    public void IsRefusedWithTheReason(string why, byte[] file)
    {
        File.WriteAllBytes(folder["h.gguf"], file);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var error = Assert.Throws<InvalidInputException>(() => GgufImport.Convert(folder["h.gguf"], folder["model"]));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, MostAllocated);
        Assert.Contains(why, error.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(folder["model"]));
    }

    [Fact]
    public void AHeaderWithoutEndIsNotReadToTheEndOfALargeFile()
    {
        using (var file = new FileStream(folder["h.gguf"], FileMode.Create))
        {
            file.Write(Header(0, 40_000, body => { for (var i = 0; i < 40; i++) { Text(body, $"k{i}"); body.Write(9u); body.Write(0u); body.Write(4UL << 20); body.Write(new byte[4 << 20]); } }));
            file.SetLength(1L << 32);
        }
        Assert.Contains("does not end within 67108864 bytes", Assert.Throws<InvalidInputException>(() => GgufFile.Open(folder["h.gguf"])).Message);
    }

    [Fact]
    public void EveryBeginningOfAFileIsRefused()
    {
        GgufMade.Write(folder["whole.gguf"], GgufMade.AddBytePairs);
        var whole = File.ReadAllBytes(folder["whole.gguf"]);
        GgufFile.Open(folder["whole.gguf"]).Dispose();
        for (var length = 0; length < whole.Length; length += length < 4_000 ? 1 : 997)
        {
            File.WriteAllBytes(folder["h.gguf"], whole[..length]);
            Assert.Throws<InvalidInputException>(() => GgufFile.Open(folder["h.gguf"]).Dispose());
        }
    }

    public void Dispose() => folder.Dispose();

    private static byte[] Header(ulong tensors, ulong values, Action<BinaryWriter>? body = null, uint version = 3, string mark = "GGUF", int weights = 0)
    {
        var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        writer.Write(Encoding.ASCII.GetBytes(mark));
        writer.Write(version);
        writer.Write(tensors);
        writer.Write(values);
        body?.Invoke(writer);
        if (weights > 0) writer.Write(new byte[((32 - (stream.Length % 32)) % 32) + weights]);
        return stream.ToArray();
    }

    private static void Text(BinaryWriter body, string text)
    {
        body.Write((ulong)text.Length);
        body.Write(Encoding.ASCII.GetBytes(text));
    }

    private static void Value(BinaryWriter body, uint type, uint number)
    {
        body.Write(type);
        body.Write(number);
    }

    private static void List(BinaryWriter body, uint type, ulong count)
    {
        Text(body, "k");
        body.Write(9u);
        body.Write(type);
        body.Write(count);
    }

    private static void Alignment(BinaryWriter body, uint alignment)
    {
        Text(body, "general.alignment");
        Value(body, 4, alignment);
    }

    private static void Tensor(BinaryWriter body, string name, uint type, long offset, params long[] sizes)
    {
        Text(body, name);
        body.Write(sizes.Length);
        foreach (var size in sizes) body.Write(size);
        body.Write(type);
        body.Write(offset);
    }
}
