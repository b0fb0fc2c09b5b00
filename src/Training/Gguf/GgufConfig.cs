using System.Text.Json;
using System.Text.Json.Nodes;

namespace Gradus.Training.Gguf;

/// <summary>The <c>config.json</c> that a GGUF file's metadata tells, and the shape its tensors must have.</summary>
internal sealed record GgufConfig(GgufFamily Family, GgufShape Shape, JsonObject Json)
{
    /// <exception cref="InvalidInputException">Metadata is missing or out of range, a tensor is missing, unknown or of another shape, or the model is none of ours.</exception>
    public static GgufConfig Read(GgufFile file)
    {
        var metadata = file.Metadata;
        if (metadata.Integer("split.count") is > 1 and var parts) throw GgufHeader.Wrong(file.Path, $"it is one of {parts} parts; join them first (llama-gguf-split --merge)");
        var architecture = metadata.Text("general.architecture") ?? throw metadata.Missing("general.architecture");
        var family = GgufFamily.Of(architecture, "general.architecture");
        int Size(string key, long most, long? absent = null) =>
            (int)(metadata.Integer($"{architecture}.{key}", 1, most) ?? absent ?? throw metadata.Missing($"{architecture}.{key}"));

        if (metadata.Integer($"{architecture}.expert_count") is > 0 and var experts) throw GgufHeader.Wrong(file.Path, $"it has {experts} experts; supported for {architecture}: none");
        int hidden = Size("embedding_length", 65_536), heads = Size("attention.head_count", 1_024), keyValueHeads = Size("attention.head_count_kv", 1_024, heads);
        if (!metadata.Contains($"{architecture}.attention.key_length") && hidden % heads != 0) throw GgufHeader.Wrong(file.Path, $"embedding_length {hidden} is no multiple of head_count {heads}, and there is no key_length");
        var headDim = Size("attention.key_length", 4_096, hidden / heads);
        foreach (var key in (string[])["attention.value_length", "rope.dimension_count"])
        {
            if (Size(key, 4_096, headDim) is var size && size != headDim) throw GgufHeader.Wrong(file.Path, $"{architecture}.{key} is {size}; supported: the width of a head, {headDim}");
        }
        if (metadata.Integer($"{architecture}.attention.sliding_window") is > 0 and var window) throw GgufHeader.Wrong(file.Path, $"{architecture}.attention.sliding_window is {window}; supported: none");
        var embedding = file.Tensors.GetValueOrDefault(GgufFamily.Embedding) ?? throw GgufHeader.Wrong(file.Path, $"it has no tensor '{GgufFamily.Embedding}'");
        var vocabulary = (int)Math.Min(embedding.Rows, int.MaxValue);
        if (metadata.Integer($"{architecture}.vocab_size") is { } said && said != vocabulary) throw GgufHeader.Wrong(file.Path, $"{architecture}.vocab_size is {said}, but {GgufFamily.Embedding} has {vocabulary} rows");
        var shape = new GgufShape(vocabulary, hidden, Size("block_count", 1_000), heads, keyValueHeads, headDim, Size("feed_forward_length", 1_000_000), !file.Tensors.ContainsKey(GgufFamily.Head));
        CheckTensors(file, family, shape);
        return new GgufConfig(family, shape, Write(file, family, shape, Size("context_length", 10_000_000), embedding.Type));
    }

    private static JsonObject Write(GgufFile file, GgufFamily family, GgufShape shape, int positions, GgufType type)
    {
        var metadata = file.Metadata;
        var json = new JsonObject
        {
            ["architectures"] = new JsonArray(family.Class),
            ["model_type"] = family.Architecture,
            ["vocab_size"] = shape.VocabularySize,
            ["hidden_size"] = shape.HiddenSize,
            ["intermediate_size"] = shape.FeedForwardSize,
            ["num_hidden_layers"] = shape.Layers,
            ["num_attention_heads"] = shape.Heads,
            ["num_key_value_heads"] = shape.KeyValueHeads,
            ["head_dim"] = shape.HeadDim,
            ["hidden_act"] = "silu",
            ["max_position_embeddings"] = positions,
            ["rms_norm_eps"] = metadata.Number($"{family.Architecture}.attention.layer_norm_rms_epsilon") ?? throw metadata.Missing($"{family.Architecture}.attention.layer_norm_rms_epsilon"),
            ["rope_theta"] = metadata.Number($"{family.Architecture}.rope.freq_base") ?? 10_000,
            ["rope_scaling"] = GgufRope.Read(file, family.Architecture, shape.HeadDim, positions),
            ["tie_word_embeddings"] = shape.TieEmbeddings,
            ["attention_bias"] = false,
            ["mlp_bias"] = false,
            ["torch_dtype"] = type switch { GgufType.F16 => "float16", GgufType.BF16 => "bfloat16", _ => "float32" },
            ["use_cache"] = true,
        };
        foreach (var (name, key) in new[] { ("bos_token_id", "bos"), ("eos_token_id", "eos"), ("pad_token_id", "padding") })
        {
            if (GgufVocabulary.TokenId(metadata, key, shape.VocabularySize) is { } id) json[name] = id;
        }
        return json;
    }

    /// <summary>Each tensor that the model needs is there with its shape, and there is no other: one that is passed over would be a model computed wrongly.</summary>
    private static void CheckTensors(GgufFile file, GgufFamily family, GgufShape shape)
    {
        // Before any list is made by a number from the file: each layer has at least nine tensors.
        if (shape.Layers * 9L > file.Tensors.Count) throw GgufHeader.Wrong(file.Path, $"block_count is {shape.Layers}, but there are only {file.Tensors.Count} tensors");
        var known = new HashSet<string>(StringComparer.Ordinal) { GgufFamily.RopeFactors };
        foreach (var weight in family.Weights(shape))
        {
            known.Add(weight.Name);
            if (!file.Tensors.TryGetValue(weight.Name, out var tensor)) throw GgufHeader.Wrong(file.Path, $"it has no tensor '{weight.Name}'");
            if (!tensor.Shape.SequenceEqual(weight.Shape)) throw GgufHeader.Wrong(file.Path, $"tensor '{weight.Name}' must have the shape [{string.Join(", ", weight.Shape)}], not [{string.Join(", ", tensor.Shape)}]");
        }
        if (file.Tensors.Keys.FirstOrDefault(name => !known.Contains(name)) is { } unknown) throw GgufHeader.Wrong(file.Path, $"tensor '{unknown}' is not known for architecture '{family.Architecture}'");
    }
}
