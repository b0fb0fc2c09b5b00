using System.Runtime.InteropServices;

namespace Gradus.Training.Inference.Cpu;

/// <summary>
/// Products with bf16 weights and fp32 sums by the processor's own instruction, which .NET does not offer: src/Kernels/products.c. Where the library or the
/// instruction is absent, <see cref="Supported"/> is false and fp32 is what there is.
/// </summary>
internal static unsafe partial class BFloat16Kernels
{
    /// <summary>Outputs of a block of packed weights.</summary>
    public const int Block = 16;

    private const string Library = "gradus_kernels";

    /// <summary>Whether the library is there.</summary>
    public static bool Loaded { get; } = NativeLibrary.TryLoad(Library, typeof(BFloat16Kernels).Assembly, null, out _);

    public static bool Supported { get; } = Loaded && IsSupported() != 0;

    public static int Blocks(int outputs) => (outputs + Block - 1) / Block;

    /// <summary>Bytes of packed weights.</summary>
    public static long PackedBytes(int outputs, int inputs) => (long)Blocks(outputs) * ((inputs + 1) / 2) * 2 * Block * sizeof(ushort);

    /// <summary>Rounds fp32 rows, [outputs, inputs], to packed blocks, from <paramref name="first"/> to before <paramref name="end"/>.</summary>
    [LibraryImport(Library, EntryPoint = "gradus_bf16_pack")]
    public static partial void Pack(float* rows, ushort* packed, long outputs, long inputs, long first, long end);

    [LibraryImport(Library, EntryPoint = "gradus_bf16_round")]
    public static partial void Round(float* x, ushort* y, long count);

    /// <summary>As <see cref="RowProduct.Multiply"/>, for the outputs of the blocks from <paramref name="first"/> to before <paramref name="end"/>.</summary>
    /// <param name="across">From one token's row of <paramref name="x"/> to the next; even.</param>
    [LibraryImport(Library, EntryPoint = "gradus_bf16_product")]
    public static partial void Multiply(ushort* packed, ushort* x, long across, long inputs, float* y, long stride, long tokens, long outputs, long first, long end, int add);

    [LibraryImport(Library, EntryPoint = "gradus_bf16_supported")]
    private static partial int IsSupported();
}
