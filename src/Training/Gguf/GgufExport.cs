using System.Text.Json;
using Gradus.Training.Model;

namespace Gradus.Training.Gguf;

/// <summary>Writes a model folder in Hugging Face layout as one GGUF file with tokenizer and chat template, which llama.cpp and what is built on it (Ollama) run.</summary>
public static class GgufExport
{
    /// <summary>The types that can be asked for, with llama.cpp's number of the file's kind (llama.h, llama_ftype).</summary>
    private static readonly Dictionary<GgufType, uint> kinds = new() { [GgufType.F32] = 0, [GgufType.F16] = 1, [GgufType.BF16] = 32, [GgufType.Q8_0] = 7, [GgufType.Q4_0] = 2 };

    /// <summary>Numbers converted at a time.</summary>
    private const int Chunk = 1 << 18;

    /// <param name="file">Appears when it is whole; replaced where it exists.</param>
    /// <param name="name">What the file says the model is called; default the folder's name.</param>
    /// <param name="type">F32, F16, BF16, Q8_0 or Q4_0 for matrices; norms and biases stay fp32.</param>
    /// <exception cref="InvalidInputException">The family, the tokenizer or the type is none that GGUF and we both have; the message says which are.</exception>
    public static void Write(string modelFolder, string file, GgufType type, string? name = null)
    {
        if (!kinds.TryGetValue(type, out var kind)) throw new InvalidInputException($"A GGUF file of type {type} cannot be written; supported: {string.Join(", ", kinds.Keys)}.", "type", "unknown_value");
        var json = ModelFolder.ReadJson(Path.Combine(modelFolder, "config.json"));
        var family = GgufFamily.Of(ModelType(json), "model_type");
        var config = ModelConfig.Read(modelFolder);
        var shape = new GgufShape(config.VocabularySize, config.HiddenSize, config.Layers, config.Heads, config.KeyValueHeads, config.HeadDim, config.FeedForwardSize, config.TieEmbeddings);
        using var weights = Safetensors.Open(modelFolder);
        GgufWeight[] tensors = [.. family.Weights(shape)];
        Check(weights, tensors, config.TieEmbeddings);

        var writer = new GgufWriter();
        AddGeneral(writer, family, modelFolder, name, kind);
        AddShape(writer, family.Architecture, config, shape);
        var factors = GgufRope.Add(writer, json, family.Architecture, config);
        GgufTokenizerExport.Add(writer, modelFolder, config);
        if (factors is not null) writer.AddTensor(GgufFamily.RopeFactors, GgufType.F32, [factors.Length]);
        foreach (var tensor in tensors) writer.AddTensor(tensor.Name, TypeOf(tensor, type, config.TieEmbeddings), tensor.Shape);

        var part = file + ".part";
        try
        {
            using (var stream = File.Create(part, 1 << 20))
            {
                writer.WriteHeader(stream);
                if (factors is not null) WriteFactors(stream, factors);
                foreach (var tensor in tensors) Write(stream, weights, tensor, TypeOf(tensor, type, config.TieEmbeddings));
            }
            File.Move(part, file, overwrite: true);
        }
        catch
        {
            File.Delete(part);
            throw;
        }
    }

    /// <summary>
    /// The type of one tensor, as llama-quantize chooses it (llama-quant.cpp, llama_tensor_get_type): a Q4_0 file's head is Q6_K, or Q8_0 where its rows are no whole
    /// blocks of Q6_K; with tied embeddings the embedding is the head. Rows that are no whole blocks at all are F16.
    /// </summary>
    private static GgufType TypeOf(GgufWeight weight, GgufType type, bool tied)
    {
        if (weight.Shape.Length == 1) return GgufType.F32;
        var row = weight.Shape[1];
        if (type == GgufType.Q4_0 && weight.Name == (tied ? GgufFamily.Embedding : GgufFamily.Head)) type = row % 256 == 0 ? GgufType.Q6_K : GgufType.Q8_0;
        return row % type.Block().Numbers == 0 ? type : GgufType.F16;
    }

    /// <summary>Refuses a model of a family that GGUF and we do not both have.</summary>
    /// <exception cref="InvalidInputException">The message says which there are.</exception>
    internal static void Require(string modelFolder, string parameter) => _ = GgufFamily.Of(ModelType(ModelFolder.ReadJson(Path.Combine(modelFolder, "config.json"))), parameter);

    /// <summary>Mistral's checkpoints are llamas there.</summary>
    private static string ModelType(JsonElement config) => config.ValueKind == JsonValueKind.Object && config.TryGetProperty("model_type", out var type) && type.ValueKind == JsonValueKind.String
        ? type.GetString() is var name && name == "mistral" ? "llama" : name!
        : throw new InvalidInputException("config.json has no model_type.", "model_type", "missing");

    private static string Stored(Safetensors weights, GgufWeight weight, bool tied) =>
        tied && weight.Name == GgufFamily.Embedding && !weights.Contains(weight.FaceName) && weights.Contains(WeightNames.Head) ? WeightNames.Head : weight.FaceName;

    private static void Check(Safetensors weights, GgufWeight[] tensors, bool tied)
    {
        var known = new HashSet<string>(StringComparer.Ordinal);
        if (tied) known.Add(WeightNames.Head);
        foreach (var tensor in tensors)
        {
            var name = Stored(weights, tensor, tied);
            known.Add(name);
            if (!weights.Shape(name).AsSpan().SequenceEqual(tensor.Shape)) throw new InvalidInputException($"Tensor '{name}' must have the shape [{string.Join(", ", tensor.Shape)}], not [{string.Join(", ", weights.Shape(name))}].", name);
        }
        if (weights.Names.FirstOrDefault(name => !known.Contains(name) && !name.EndsWith("rotary_emb.inv_freq", StringComparison.Ordinal)) is { } unknown)
        {
            throw new InvalidInputException($"Tensor '{unknown}' has no place in a GGUF file of this family.", unknown, "unknown_value");
        }
    }

    private static void AddGeneral(GgufWriter writer, GgufFamily family, string folder, string? name, uint kind)
    {
        writer.Add("general.architecture", family.Architecture);
        writer.Add("general.type", "model");
        writer.Add("general.name", name ?? Path.GetFileName(Path.TrimEndingDirectorySeparator(folder)));
        if (ModelLicense.Of(folder) is { } license) writer.Add("general.license", license);
        writer.Add("general.file_type", kind);
        writer.Add("general.quantization_version", 2u);
    }

    private static void AddShape(GgufWriter writer, string architecture, ModelConfig config, GgufShape shape)
    {
        void Add(string key, int number) => writer.Add($"{architecture}.{key}", (uint)number);
        Add("block_count", shape.Layers);
        Add("context_length", config.MaxPositions);
        Add("embedding_length", shape.HiddenSize);
        Add("feed_forward_length", shape.FeedForwardSize);
        Add("attention.head_count", shape.Heads);
        Add("attention.head_count_kv", shape.KeyValueHeads);
        Add("attention.key_length", shape.HeadDim);
        Add("attention.value_length", shape.HeadDim);
        Add("rope.dimension_count", shape.HeadDim);
        Add("vocab_size", shape.VocabularySize);
        writer.Add($"{architecture}.attention.layer_norm_rms_epsilon", (float)config.NormEpsilon);
        writer.Add($"{architecture}.rope.freq_base", (float)config.RopeTheta);
    }

    private static void WriteFactors(Stream stream, float[] factors)
    {
        var bytes = new byte[factors.Length * 4];
        Quantizer.FromSingle(GgufType.F32, factors, bytes);
        stream.Write(bytes);
        GgufWriter.Pad(stream, bytes.Length);
    }

    private static void Write(Stream stream, Safetensors weights, GgufWeight weight, GgufType type)
    {
        var stored = weights.Contains(weight.FaceName) ? weight.FaceName : WeightNames.Head;
        var width = weight.Shape[^1];
        var count = weight.Shape.Length == 1 ? 1 : weight.Shape[0];
        var rows = (int)Math.Clamp(Chunk / width, 1, count);
        var (block, bytes) = type.Block();
        var numbers = new float[rows * width];
        var packed = new byte[numbers.Length / block * bytes];
        for (long first = 0; first < count; first += rows)
        {
            var here = (int)Math.Min(rows, count - first);
            for (var row = 0; row < here; row++) weights.Read(stored, weight.FaceRow(first + row) * width, numbers.AsSpan((int)(row * width), (int)width));
            var length = (int)(here * width / block * bytes);
            Quantizer.FromSingle(type, numbers.AsSpan(0, (int)(here * width)), packed.AsSpan(0, length));
            stream.Write(packed, 0, length);
        }
        GgufWriter.Pad(stream, count * (width / block) * bytes);
    }
}
