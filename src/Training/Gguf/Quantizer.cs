using System.Buffers.Binary;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace Gradus.Training.Gguf;

/// <summary>fp32 to ggml's types as llama.cpp's reference rounds (ggml-quants.c, quantize_row_*_ref): the same bytes as llama-quantize without an importance matrix.</summary>
internal static class Quantizer
{
    private const float Nothing = 1e-15f;

    public static bool Writes(GgufType type) => type is GgufType.F32 or GgufType.F16 or GgufType.BF16 or GgufType.Q8_0 or GgufType.Q4_0 or GgufType.Q6_K;

    /// <param name="numbers">Whole blocks.</param>
    /// <param name="destination">As many bytes as the blocks take.</param>
    public static void FromSingle(GgufType type, ReadOnlySpan<float> numbers, Span<byte> destination)
    {
        var (block, bytes) = type.Block();
        if (numbers.Length % block != 0 || destination.Length != (long)numbers.Length / block * bytes) throw new ArgumentException($"{numbers.Length} numbers are not {destination.Length} bytes of {type}.", nameof(destination));
        switch (type)
        {
            case GgufType.F32:
                MemoryMarshal.AsBytes(numbers).CopyTo(destination);
                return;
            case GgufType.F16:
                TensorPrimitives.ConvertToHalf(numbers, MemoryMarshal.Cast<byte, Half>(destination));
                return;
            case GgufType.BF16:
                Brain(numbers, MemoryMarshal.Cast<byte, ushort>(destination));
                return;
        }
        for (; !numbers.IsEmpty; numbers = numbers[block..], destination = destination[bytes..])
        {
            switch (type)
            {
                case GgufType.Q8_0:
                    Q8(numbers[..32], destination);
                    break;
                case GgufType.Q4_0:
                    Q4(numbers[..32], destination);
                    break;
                case GgufType.Q6_K:
                    Q6(numbers[..256], destination);
                    break;
                default:
                    throw new ArgumentOutOfRangeException(nameof(type), type, "Not a type that is written.");
            }
        }
    }

    /// <summary>To the nearest, ties to even; a NaN stays one.</summary>
    private static void Brain(ReadOnlySpan<float> numbers, Span<ushort> destination)
    {
        var words = MemoryMarshal.Cast<float, uint>(numbers);
        for (var i = 0; i < words.Length; i++)
        {
            var word = words[i];
            destination[i] = (word & 0x7FFFFFFF) > 0x7F800000 ? (ushort)((word >> 16) | 64) : (ushort)((word + (0x7FFF + ((word >> 16) & 1))) >> 16);
        }
    }

    private static void Q8(ReadOnlySpan<float> numbers, Span<byte> block)
    {
        var scale = TensorPrimitives.MaxMagnitude(numbers) is var most && most < 0 ? -most / 127 : most / 127;
        var inverse = scale == 0 ? 0 : 1 / scale;
        BinaryPrimitives.WriteHalfLittleEndian(block, (Half)scale);
        for (var i = 0; i < 32; i++) block[2 + i] = (byte)(sbyte)MathF.Round(numbers[i] * inverse, MidpointRounding.AwayFromZero);
    }

    private static void Q4(ReadOnlySpan<float> numbers, Span<byte> block)
    {
        var scale = Largest(numbers) / -8;
        var inverse = scale == 0 ? 0 : 1 / scale;
        BinaryPrimitives.WriteHalfLittleEndian(block, (Half)scale);
        for (var i = 0; i < 16; i++)
        {
            int low = Math.Min(15, (int)((numbers[i] * inverse) + 8.5f)), high = Math.Min(15, (int)((numbers[i + 16] * inverse) + 8.5f));
            block[2 + i] = (byte)(low | high << 4);
        }
    }

    /// <summary>The number of largest size, the first of equal ones, with its sign.</summary>
    private static float Largest(ReadOnlySpan<float> numbers)
    {
        float most = 0, signed = 0;
        foreach (var number in numbers)
        {
            if (MathF.Abs(number) <= most) continue;
            (most, signed) = (MathF.Abs(number), number);
        }
        return signed;
    }

    private static void Q6(ReadOnlySpan<float> numbers, Span<byte> block)
    {
        Span<sbyte> levels = stackalloc sbyte[256];
        Span<float> scales = stackalloc float[16];
        float most = 0, signed = 0;
        for (var group = 0; group < 16; group++)
        {
            scales[group] = BestScale(numbers.Slice(group * 16, 16), levels.Slice(group * 16, 16));
            if (MathF.Abs(scales[group]) > most) (most, signed) = (MathF.Abs(scales[group]), scales[group]);
        }
        block[..210].Clear();
        if (most < Nothing) return;
        var inverse = -128f / signed;
        var whole = (Half)(1 / inverse);
        BinaryPrimitives.WriteHalfLittleEndian(block[208..], whole);
        for (var group = 0; group < 16; group++)
        {
            var scale = (sbyte)Math.Min(127, Nearest(inverse * scales[group]));
            block[192 + group] = (byte)scale;
            var step = (float)whole * scale;
            if (step == 0) continue;
            for (var i = group * 16; i < (group * 16) + 16; i++) levels[i] = (sbyte)(Math.Clamp(Nearest(numbers[i] / step), -32, 31) + 32);
        }
        for (var half = 0; half < 2; half++)
        {
            var at = levels[(half * 128)..];
            for (var i = 0; i < 32; i++)
            {
                block[(half * 64) + i] = (byte)((at[i] & 15) | (at[i + 64] & 15) << 4);
                block[(half * 64) + i + 32] = (byte)((at[i + 32] & 15) | (at[i + 96] & 15) << 4);
                block[128 + (half * 32) + i] = (byte)((at[i] >> 4) | (at[i + 32] >> 4) << 2 | (at[i + 64] >> 4) << 4 | (at[i + 96] >> 4) << 6);
            }
        }
    }

    /// <summary>The scale for levels -32 to 31 that leaves the smallest error, large numbers counting more (make_qx_quants); the levels are given plus 32.</summary>
    private static float BestScale(ReadOnlySpan<float> numbers, Span<sbyte> levels)
    {
        var largest = Largest(numbers);
        if (MathF.Abs(largest) < Nothing)
        {
            levels.Clear();
            return 0;
        }
        var (products, squares) = Fit(numbers, -32 / largest, levels);
        var scale = squares > 0 ? products / squares : 0;
        var best = scale * products;
        Span<sbyte> tried = stackalloc sbyte[16];
        for (var step = -9; step <= 9; step++)
        {
            if (step == 0) continue;
            (products, squares) = Fit(numbers, -(32 + (.1f * step)) / largest, tried);
            if (!(squares > 0 && products * products > best * squares)) continue;
            tried.CopyTo(levels);
            scale = products / squares;
            best = scale * products;
        }
        return scale;
    }

    private static (float Products, float Squares) Fit(ReadOnlySpan<float> numbers, float inverse, Span<sbyte> levels)
    {
        float products = 0, squares = 0;
        for (var i = 0; i < numbers.Length; i++)
        {
            var level = Math.Clamp(Nearest(inverse * numbers[i]), -32, 31);
            levels[i] = (sbyte)(level + 32);
            var weight = numbers[i] * numbers[i];
            products += weight * numbers[i] * level;
            squares += weight * level * level;
        }
        return (products, squares);
    }

    private static int Nearest(float number) => (int)MathF.Round(number);
}
