using System.Runtime.InteropServices;
using Gradus.Training.Model;

namespace Gradus.Training.Gguf;

/// <summary>Writes the tensors of a GGUF file as safetensors, a few rows at a time.</summary>
internal static class GgufWeightsImport
{
    /// <summary>Numbers converted at a time.</summary>
    private const int Chunk = 1 << 18;

    public static void Write(GgufFile source, IReadOnlyList<GgufWeight> weights, string folder, long shardBytes = 5_000_000_000) => SafetensorsShards.Write(
        folder, [.. weights.Select(weight => new ShardTensor(weight.FaceName, TypeOf(source.Tensors[weight.Name]), weight.Shape, stream => Write(source, weight, stream)))], shardBytes);

    private static string TypeOf(GgufTensor tensor) => tensor.Type.IsFloat() ? tensor.Type.ToString() : "F32";

    private static void Write(GgufFile source, GgufWeight weight, Stream stream)
    {
        var tensor = source.Tensors[weight.Name];
        var rows = (int)Math.Clamp(Chunk / tensor.RowLength, 1, tensor.Rows);
        var singles = tensor.Type.IsFloat() ? [] : new float[rows * tensor.RowLength];
        for (long first = 0; first < tensor.Rows; first += rows)
        {
            var count = (int)Math.Min(rows, tensor.Rows - first);
            for (var row = 0; row < count; row++)
            {
                if (singles.Length == 0) stream.Write(source.Rows(tensor, weight.FileRow(first + row), 1));
                else source.Read(tensor, weight.FileRow(first + row), singles.AsSpan((int)(row * tensor.RowLength), (int)tensor.RowLength));
            }
            if (singles.Length > 0) stream.Write(MemoryMarshal.AsBytes(singles.AsSpan(0, (int)(count * tensor.RowLength))));
        }
    }
}
