using System.Buffers.Binary;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Gradus.Training.Gguf;

/// <summary>
/// ggml's blocks to fp32, bit for bit as ggml-quants.c's dequantize_row_* does (no fused multiply-add). A block is unpacked to small whole numbers, then
/// scaled; the blocks of 256 stand in <see cref="SuperBlocks"/>.
/// </summary>
internal static class Dequantizer
{
    /// <summary>IQ4_NL's sixteen levels (ggml-common.h, kvalues_iq4nl).</summary>
    private static readonly Vector128<sbyte> levels = Vector128.Create(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);

    /// <param name="source">Whole blocks.</param>
    /// <param name="destination">As many numbers as the blocks hold.</param>
    public static void ToSingle(GgufType type, ReadOnlySpan<byte> source, Span<float> destination)
    {
        var (numbers, bytes) = type.Block();
        if (source.Length / bytes * (long)numbers != destination.Length || source.Length % bytes != 0) throw new ArgumentException($"{source.Length} bytes of {type} are not {destination.Length} numbers.", nameof(destination));
        switch (type)
        {
            case GgufType.F32:
                MemoryMarshal.Cast<byte, float>(source).CopyTo(destination);
                return;
            case GgufType.F16:
                TensorPrimitives.ConvertToSingle(MemoryMarshal.Cast<byte, Half>(source), destination);
                return;
            case GgufType.BF16:
                var words = MemoryMarshal.Cast<byte, ushort>(source);
                var wide = MemoryMarshal.Cast<float, uint>(destination);
                TensorPrimitives.ConvertTruncating(words, wide);
                TensorPrimitives.ShiftLeft(wide, 16, wide);
                return;
        }
        Span<sbyte> unpacked = stackalloc sbyte[numbers];
        for (; !source.IsEmpty; source = source[bytes..], destination = destination[numbers..])
        {
            if (numbers == 32) Block(type, source[..bytes], unpacked, destination[..32]);
            else SuperBlocks.Block(type, source[..bytes], unpacked, destination[..256]);
        }
    }

    /// <summary><c>destination = scale * numbers</c>, a multiple of 16 of them. Apart from the next one because adding 0 would turn -0 into 0.</summary>
    public static void Scale(ReadOnlySpan<sbyte> numbers, float scale, Span<float> destination)
    {
        for (var i = 0; i < numbers.Length; i += 16)
        {
            var (low, high) = Widen(numbers[i..]);
            (low * scale).CopyTo(destination[i..]);
            (high * scale).CopyTo(destination[(i + 8)..]);
        }
    }

    /// <summary><c>destination = scale * numbers + offset</c>, a multiple of 16 of them.</summary>
    public static void Scale(ReadOnlySpan<sbyte> numbers, float scale, float offset, Span<float> destination)
    {
        var add = Vector256.Create(offset);
        for (var i = 0; i < numbers.Length; i += 16)
        {
            var (low, high) = Widen(numbers[i..]);
            ((low * scale) + add).CopyTo(destination[i..]);
            ((high * scale) + add).CopyTo(destination[(i + 8)..]);
        }
    }

    public static float Half(ReadOnlySpan<byte> at) => (float)BinaryPrimitives.ReadHalfLittleEndian(at);

    private static (Vector256<float> Low, Vector256<float> High) Widen(ReadOnlySpan<sbyte> sixteen)
    {
        var shorts = Vector256.WidenLower(Vector128.Create(sixteen).ToVector256Unsafe());
        var (low, high) = Vector256.Widen(shorts);
        return (Vector256.ConvertToSingle(low), Vector256.ConvertToSingle(high));
    }

    /// <summary>One block of 32: a half for the scale, perhaps one for the offset, perhaps the fifth bits, then the rest.</summary>
    private static void Block(GgufType type, ReadOnlySpan<byte> block, Span<sbyte> unpacked, Span<float> destination)
    {
        var scale = Half(block);
        switch (type)
        {
            case GgufType.Q8_0:
                Scale(MemoryMarshal.Cast<byte, sbyte>(block[2..]), scale, destination);
                return;
            case GgufType.Q4_0:
                Nibbles(block[2..], 8, unpacked);
                break;
            case GgufType.IQ4_NL:
                Nibbles(block[2..], 0, unpacked);
                for (var half = 0; half < 32; half += 16) Vector128.Shuffle(levels, Vector128.Create<sbyte>(unpacked[half..])).CopyTo(unpacked[half..]);
                break;
            case GgufType.Q4_1:
                Nibbles(block[4..], 0, unpacked);
                Scale(unpacked, scale, Half(block[2..]), destination);
                return;
            case GgufType.Q5_0:
                Nibbles(block[6..], 16, unpacked);
                FifthBits(block[2..], unpacked);
                break;
            case GgufType.Q5_1:
                Nibbles(block[8..], 0, unpacked);
                FifthBits(block[4..], unpacked);
                Scale(unpacked, scale, Half(block[2..]), destination);
                return;
        }
        Scale(unpacked, scale, destination);
    }

    /// <summary>Sixteen bytes: the low halves are the first sixteen numbers, the high halves the last.</summary>
    private static void Nibbles(ReadOnlySpan<byte> packed, sbyte less, Span<sbyte> unpacked)
    {
        var bytes = Vector128.Create(packed);
        var subtrahend = Vector128.Create(less);
        ((bytes & Vector128.Create((byte)15)).AsSByte() - subtrahend).CopyTo(unpacked);
        ((bytes >>> 4).AsSByte() - subtrahend).CopyTo(unpacked[16..]);
    }

    private static void FifthBits(ReadOnlySpan<byte> bits, Span<sbyte> unpacked)
    {
        var word = BinaryPrimitives.ReadUInt32LittleEndian(bits);
        for (var i = 0; i < 32; i++) unpacked[i] += (sbyte)((word >> i & 1) << 4);
    }
}
