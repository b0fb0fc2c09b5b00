using System.Buffers.Binary;
using FsCheck;
using FsCheck.Fluent;
using Gradus.Training.Gguf;
using Xunit;

namespace Gradus.Training.Tests.Gguf;

/// <summary>
/// A whole file, changed in up to eight places of its header: it becomes a folder, or an <see cref="InvalidInputException"/> that leaves none; nothing else, and in little
/// memory. A failure names the seed to replay it with.
/// </summary>
public sealed class GgufFuzzTests : IDisposable
{
    private const int Runs = 1_000;
    private const long MostAllocated = 64 << 20;

    private readonly TemporaryFolder folder = new();

    [Theory]
    [InlineData("llama")]
    [InlineData("qwen3")]
    public void AChangedFileIsReadOrRefused(string architecture)
    {
        GgufMade.Write(folder["whole.gguf"], GgufMade.AddBytePairs, architecture: architecture);
        var whole = File.ReadAllBytes(folder["whole.gguf"]);
        var header = whole.AsSpan().IndexOf(new byte[256]); // the weights are zeros
        GgufImport.Convert(folder["whole.gguf"], folder["model"]);
        Directory.Delete(folder["model"], recursive: true);
        var refused = 0;
        var changes = Gen.NonEmptyListOf(from at in ArbMap.Default.GeneratorFor<uint>() from kind in ArbMap.Default.GeneratorFor<byte>() from value in ArbMap.Default.GeneratorFor<uint>() select (at, kind, value));
        Prop.ForAll(changes.Select(list => list.Take(8).ToArray()).ToArbitrary(), places =>
        {
            File.WriteAllBytes(folder["changed.gguf"], Changed(whole, header, places));
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                GgufImport.Convert(folder["changed.gguf"], folder["model"]);
                Directory.Delete(folder["model"], recursive: true);
            }
            catch (InvalidInputException)
            {
                refused++;
                Assert.False(Directory.Exists(folder["model"]));
            }
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, MostAllocated);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(Runs));
        Assert.InRange(refused, Runs / 2, Runs); // most changes are seen; whether any of so many is harmless is chance
    }

    public void Dispose() => folder.Dispose();

    private static byte[] Changed(byte[] whole, int header, (uint At, byte Kind, uint Value)[] places)
    {
        byte[] bytes = [.. whole];
        foreach (var (place, kind, number) in places)
        {
            // The generator's numbers are small: spread them.
            var (where, value) = (place * 2_654_435_761, kind % 2 == 0 ? number : number * 2_654_435_761);
            var at = (int)(where % (uint)Math.Min(header, bytes.Length - 16));
            switch (kind % 6)
            {
                case 0:
                    bytes[at] = (byte)value;
                    break;
                case 1:
                    bytes[at] ^= (byte)(1 << (int)(value % 8));
                    break;
                case 2:
                    BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at), value);
                    break;
                case 3:
                    BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(at), 1UL << (int)(value % 64));
                    break;
                case 4:
                    bytes = [.. bytes[..at], .. bytes[(at + 1)..]];
                    break;
                default:
                    bytes[at] = (byte)"\0 09AZaz{}[]\"\u007F"[(int)(value % 14)];
                    break;
            }
        }
        return bytes;
    }
}
