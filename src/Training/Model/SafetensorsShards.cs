using System.Globalization;
using System.Text.Json;

namespace Gradus.Training.Model;

/// <summary>A tensor that is to be written.</summary>
/// <param name="Type">The format's word: F32, F16, BF16, ...</param>
/// <param name="Write">Writes its numbers back to back.</param>
internal sealed record ShardTensor(string Name, string Type, long[] Shape, Action<Stream> Write)
{
    public long Bytes => Shape.Aggregate(1L, (product, size) => product * size) * SafetensorsHeader.Width(Type);
}

/// <summary>Weights as one file, or as several of a size with the index that says which tensor is where, named as Hugging Face names them.</summary>
internal static class SafetensorsShards
{
    /// <param name="mostBytes">Of a file's weights; a tensor that is larger stands alone.</param>
    public static void Write(string folder, IReadOnlyList<ShardTensor> tensors, long mostBytes)
    {
        var shards = Divide(tensors, mostBytes);
        if (shards.Count == 1)
        {
            Write(Path.Combine(folder, "model.safetensors"), shards[0]);
            return;
        }
        var map = new SortedDictionary<string, string>(StringComparer.Ordinal);
        for (var i = 0; i < shards.Count; i++)
        {
            var name = string.Create(CultureInfo.InvariantCulture, $"model-{i + 1:D5}-of-{shards.Count:D5}.safetensors");
            Write(Path.Combine(folder, name), shards[i]);
            foreach (var tensor in shards[i]) map[tensor.Name] = name;
        }
        ModelFolder.WriteJson(Path.Combine(folder, "model.safetensors.index.json"), JsonSerializer.SerializeToElement(new { metadata = new { total_size = tensors.Sum(tensor => tensor.Bytes) }, weight_map = map }));
    }

    public static void Write(string file, IReadOnlyList<ShardTensor> tensors)
    {
        using var stream = File.Create(file, 1 << 20);
        SafetensorsWriter.WriteHeader(stream, tensors.Select(tensor => (tensor.Name, tensor.Type, tensor.Shape)));
        foreach (var tensor in tensors) tensor.Write(stream);
    }

    private static List<List<ShardTensor>> Divide(IReadOnlyList<ShardTensor> tensors, long mostBytes)
    {
        List<List<ShardTensor>> shards = [[]];
        long size = 0;
        foreach (var tensor in tensors)
        {
            if (size > 0 && size + tensor.Bytes > mostBytes)
            {
                shards.Add([]);
                size = 0;
            }
            shards[^1].Add(tensor);
            size += tensor.Bytes;
        }
        return shards;
    }
}
