using System.Runtime.InteropServices;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Gradus.Training.Model;

/// <summary>fp32 numbers as the bytes of a safetensors type: the nearest, ties to even.</summary>
internal static class FloatBytes
{
    /// <summary>What rounds to a number and not to infinity in fp16 lies below this.</summary>
    private const float BeyondHalf = 65_520;

    /// <returns>Bytes written.</returns>
    /// <exception cref="InvalidInputException">A number is beyond the type's range.</exception>
    public static int Write(ReadOnlySpan<float> numbers, string type, Span<byte> bytes, string name)
    {
        switch (type)
        {
            case "F32":
                MemoryMarshal.AsBytes(numbers).CopyTo(bytes);
                return 4 * numbers.Length;
            case "F16":
                if (numbers.Length > 0 && TensorPrimitives.MaxMagnitude(numbers) is var largest && (largest >= BeyondHalf || largest <= -BeyondHalf) && float.IsFinite(largest))
                    throw new InvalidInputException($"The tensor '{name}' holds {largest}, beyond float16's 65504: export it as bfloat16 or float32.", "dtype", "out_of_range");
                TensorPrimitives.ConvertToHalf(numbers, MemoryMarshal.Cast<byte, Half>(bytes));
                return 2 * numbers.Length;
            case "BF16":
                var words = MemoryMarshal.Cast<float, uint>(numbers);
                var brains = MemoryMarshal.Cast<byte, ushort>(bytes);
                for (var i = 0; i < words.Length; i++) brains[i] = Brain(words[i]);
                return 2 * numbers.Length;
            default:
                throw new ArgumentException($"Floats are not written as {type}.", nameof(type));
        }
    }

    /// <summary>The upper half, rounded; a NaN stays one.</summary>
    private static ushort Brain(uint word) => (word & 0x7FFFFFFF) > 0x7F800000 ? (ushort)((word >> 16) | 0x40) : (ushort)((word + 0x7FFF + ((word >> 16) & 1)) >> 16);
}
