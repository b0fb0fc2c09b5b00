using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using Gradus.Training.Model;

namespace Gradus.Training.Gguf;

/// <summary>Writes the tensors of a GGUF file as safetensors, a few rows at a time.</summary>
internal static class GgufWeightsImport
{
    /// <summary>Numbers converted at a time.</summary>
    private const int Chunk = 1 << 18;

    public static void Write(GgufFile source, IReadOnlyList<GgufWeight> weights, string folder, long shardBytes = 5_000_000_000)
    {
        var shards = Shards(source, weights, shardBytes);
        if (shards.Count == 1)
        {
            WriteShard(source, shards[0], Path.Combine(folder, "model.safetensors"));
            return;
        }
        var map = new SortedDictionary<string, string>(StringComparer.Ordinal);
        for (var i = 0; i < shards.Count; i++)
        {
            var name = string.Create(CultureInfo.InvariantCulture, $"model-{i + 1:D5}-of-{shards.Count:D5}.safetensors");
            WriteShard(source, shards[i], Path.Combine(folder, name));
            foreach (var weight in shards[i]) map[weight.FaceName] = name;
        }
        var total = weights.Sum(weight => Bytes(source, weight));
        ModelFolder.WriteJson(Path.Combine(folder, "model.safetensors.index.json"), JsonSerializer.SerializeToElement(new { metadata = new { total_size = total }, weight_map = map }));
    }

    private static List<List<GgufWeight>> Shards(GgufFile source, IReadOnlyList<GgufWeight> weights, long shardBytes)
    {
        var shards = new List<List<GgufWeight>> { new() };
        long size = 0;
        foreach (var weight in weights)
        {
            var bytes = Bytes(source, weight);
            if (size > 0 && size + bytes > shardBytes)
            {
                shards.Add([]);
                size = 0;
            }
            shards[^1].Add(weight);
            size += bytes;
        }
        return shards;
    }

    private static long Bytes(GgufFile source, GgufWeight weight) => source.Tensors[weight.Name] is var tensor && tensor.Type.IsFloat() ? tensor.Length : tensor.Elements * 4;

    private static void WriteShard(GgufFile source, List<GgufWeight> weights, string path)
    {
        using var stream = File.Create(path, 1 << 20);
        SafetensorsWriter.WriteHeader(stream, weights.Select(weight => (weight.FaceName, source.Tensors[weight.Name].Type is var type && type.IsFloat() ? type.ToString() : "F32", weight.Shape)));
        foreach (var weight in weights) Write(source, weight, stream);
    }

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
