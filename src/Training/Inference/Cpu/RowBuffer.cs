using System.Runtime.InteropServices;

namespace Gradus.Training.Inference.Cpu;

/// <summary>Rows of features of the tokens on their way, [tokens][across], padded with zeros to whole vectors; beside them, where a product wants it, the same in bf16.</summary>
internal sealed unsafe class RowBuffer : IDisposable
{
    /// <param name="bfloat16">Whether <see cref="Round"/> will be called.</param>
    public RowBuffer(int tokens, int features, bool bfloat16)
    {
        Features = features;
        Across = (features + 15) / 16 * 16;
        Values = (float*)Room((long)tokens * Across * sizeof(float));
        Rounded = bfloat16 ? (ushort*)Room((long)tokens * Across * sizeof(ushort)) : null;
    }

    public int Features { get; }

    /// <summary>From one token's row to the next.</summary>
    public int Across { get; }

    public float* Values { get; }

    public ushort* Rounded { get; }

    public float* Row(int token) => Values + ((long)token * Across);

    /// <summary>Makes the bf16 of part of a token's row, if there is to be one.</summary>
    public void Round(int token, int first, int count)
    {
        if (Rounded is not null) BFloat16Kernels.Round(Row(token) + first, Rounded + ((long)token * Across) + first, count);
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(Values);
        NativeMemory.AlignedFree(Rounded);
    }

    private static void* Room(long bytes)
    {
        var room = NativeMemory.AlignedAlloc((nuint)bytes, 64);
        NativeMemory.Clear(room, (nuint)bytes);
        return room;
    }
}
