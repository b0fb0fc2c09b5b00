using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Gradus.Training.Gguf;

/// <summary>
/// ggml's blocks of 256 numbers ("K-quants", ggml-common.h block_q2_K to block_q6_K): groups of 16 or 32 numbers with small whole scales of their own, and
/// one or two halves that scale those.
/// </summary>
internal static class SuperBlocks
{
    public static void Block(GgufType type, ReadOnlySpan<byte> block, Span<sbyte> unpacked, Span<float> destination)
    {
        switch (type)
        {
            case GgufType.Q2_K:
                Q2(block, unpacked, destination);
                break;
            case GgufType.Q3_K:
                Q3(block, unpacked, destination);
                break;
            case GgufType.Q4_K:
                Q4(block, unpacked, destination);
                break;
            case GgufType.Q5_K:
                Q5(block, unpacked, destination);
                break;
            case GgufType.Q6_K:
                Q6(block, unpacked, destination);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(type), type, null);
        }
    }

    /// <summary>16 bytes of scales (low half) and offsets (high half), 64 bytes of two bits each, two halves.</summary>
    private static void Q2(ReadOnlySpan<byte> block, Span<sbyte> unpacked, Span<float> destination)
    {
        Spread(block[16..80], 2, unpacked);
        float scale = Dequantizer.Half(block[80..]), offset = Dequantizer.Half(block[82..]);
        for (var group = 0; group < 16; group++)
        {
            var at = group * 16;
            Dequantizer.Scale(unpacked.Slice(at, 16), scale * (block[group] & 15), -(offset * (block[group] >> 4)), destination[at..]);
        }
    }

    /// <summary>32 bytes of third bits, 64 of two bits each, 12 of sixteen six-bit scales, a half.</summary>
    private static void Q3(ReadOnlySpan<byte> block, Span<sbyte> unpacked, Span<float> destination)
    {
        Spread(block[32..96], 2, unpacked);
        // A third bit that is not set means four less.
        for (var i = 0; i < 256; i++) unpacked[i] -= (sbyte)(4 - ((block[i % 32] >> (i / 32) & 1) << 2));
        var scale = Dequantizer.Half(block[108..]);
        var scales = block[96..108];
        for (var group = 0; group < 16; group++)
        {
            var low = group < 8 ? scales[group] & 15 : scales[group - 8] >> 4;
            var high = scales[8 + (group % 4)] >> (group / 4 * 2) & 3;
            Dequantizer.Scale(unpacked.Slice(group * 16, 16), scale * ((low | high << 4) - 32), destination[(group * 16)..]);
        }
    }

    /// <summary>Two halves, 12 bytes of eight six-bit scales and offsets, 128 bytes of four bits each.</summary>
    private static void Q4(ReadOnlySpan<byte> block, Span<sbyte> unpacked, Span<float> destination)
    {
        Spread(block[16..144], 4, unpacked);
        Groups(block, unpacked, destination);
    }

    /// <summary>As <see cref="Q4"/>, with 32 bytes of fifth bits before the rest.</summary>
    private static void Q5(ReadOnlySpan<byte> block, Span<sbyte> unpacked, Span<float> destination)
    {
        Spread(block[48..176], 4, unpacked);
        for (var group = 0; group < 8; group++) AddBits(block[16..48], group, 1, 4, unpacked[(group * 32)..]);
        Groups(block, unpacked, destination);
    }

    /// <summary>128 bytes of low four bits, 64 of high two bits, 16 signed scales, a half.</summary>
    private static void Q6(ReadOnlySpan<byte> block, Span<sbyte> unpacked, Span<float> destination)
    {
        for (var part = 0; part < 2; part++)
        {
            var low = block[(part * 64)..];
            var high = block[(128 + (part * 32))..];
            for (var group = 0; group < 4; group++)
            {
                var target = unpacked[((part * 128) + (group * 32))..];
                Shifted(low[(group % 2 * 32)..], group / 2 * 4, 15, target);
                AddBits(high, group * 2, 3, 4, target);
                Less32(target);
            }
        }
        var scale = Dequantizer.Half(block[208..]);
        var scales = MemoryMarshal.Cast<byte, sbyte>(block[192..208]);
        for (var group = 0; group < 16; group++) Dequantizer.Scale(unpacked.Slice(group * 16, 16), scale * scales[group], destination[(group * 16)..]);
    }

    private static void Groups(ReadOnlySpan<byte> block, Span<sbyte> unpacked, Span<float> destination)
    {
        float scale = Dequantizer.Half(block), offset = Dequantizer.Half(block[2..]);
        var packed = block[4..16];
        for (var group = 0; group < 8; group++)
        {
            var (s, o) = group < 4
                ? (packed[group] & 63, packed[group + 4] & 63)
                : ((packed[group + 4] & 15) | (packed[group - 4] >> 6 << 4), (packed[group + 4] >> 4) | (packed[group] >> 6 << 4));
            Dequantizer.Scale(unpacked.Slice(group * 32, 32), scale * s, -(offset * o), destination[(group * 32)..]);
        }
    }

    /// <summary>Each 32 bytes hold 8 / <paramref name="bits"/> groups of 32 numbers, the lowest bits first.</summary>
    private static void Spread(ReadOnlySpan<byte> packed, int bits, Span<sbyte> unpacked)
    {
        var at = 0;
        for (; !packed.IsEmpty; packed = packed[32..])
        {
            for (var shift = 0; shift < 8; shift += bits, at += 32) Shifted(packed, shift, (byte)((1 << bits) - 1), unpacked[at..]);
        }
    }

    private static void Shifted(ReadOnlySpan<byte> packed, int shift, byte mask, Span<sbyte> unpacked) =>
        ((Vector256.Create(packed) >>> shift) & Vector256.Create(mask)).AsSByte().CopyTo(unpacked);

    /// <summary>Adds bits of 32 bytes, moved up by <paramref name="up"/>, to 32 numbers.</summary>
    private static void AddBits(ReadOnlySpan<byte> packed, int shift, byte mask, int up, Span<sbyte> unpacked)
    {
        var bits = (((Vector256.Create(packed) >>> shift) & Vector256.Create(mask)) << up).AsSByte();
        (Vector256.Create<sbyte>(unpacked) + bits).CopyTo(unpacked);
    }

    private static void Less32(Span<sbyte> unpacked) => (Vector256.Create<sbyte>(unpacked) - Vector256.Create((sbyte)32)).CopyTo(unpacked);
}
