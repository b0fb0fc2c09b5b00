using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Model;

namespace Gradus.Training.Tasks;

/// <summary>
/// The untrained weights of a small model as a safetensors file, drawn as <see cref="CausalLm.Create"/> draws them but without libtorch: the service writes
/// the built-in model, and no tensor lives in its process.
/// </summary>
internal static class TinyWeights
{
    public static void Write(ModelConfig config, long seed, string file)
    {
        var header = new JsonObject { ["__metadata__"] = new JsonObject { ["format"] = "pt" } };
        long offset = 0;
        foreach (var (name, shape) in WeightNames.Of(config))
        {
            var end = offset + (sizeof(float) * Count(shape));
            header[name] = new JsonObject { ["dtype"] = "F32", ["shape"] = Numbers(shape), ["data_offsets"] = Numbers([offset, end]) };
            offset = end;
        }

        var text = JsonSerializer.Serialize(header);
        var bytes = Encoding.UTF8.GetBytes(text.PadRight((text.Length + 7) / 8 * 8)); // aligned, for readers that map the file
        using var stream = File.Create(file);
        stream.Write(BitConverter.GetBytes((long)bytes.Length));
        stream.Write(bytes);
        foreach (var (name, shape) in WeightNames.Of(config)) stream.Write(MemoryMarshal.AsBytes(Draw(name, shape, seed).AsSpan()));
    }

    private static float[] Draw(string name, long[] shape, long seed)
    {
        var weights = new float[Count(shape)];
        if (name.EndsWith("bias", StringComparison.Ordinal)) return weights;
        if (shape.Length == 1)
        {
            Array.Fill(weights, 1f);
            return weights;
        }

        var deviation = name == WeightNames.Embedding ? .02 : .7 / Math.Sqrt(shape[1]);
        var random = DerivedRandom.For(seed, "weights/" + name);
        foreach (ref var weight in weights.AsSpan()) weight = (float)(deviation * random.NextGaussian());
        return weights;
    }

    private static long Count(long[] shape) => shape.Aggregate(1L, (product, size) => product * size);

    private static JsonArray Numbers(long[] values) => [.. values.Select(value => (JsonNode)value)];
}
