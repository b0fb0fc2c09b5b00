using System.Text.Json;

namespace Gradus.Training.Model;

/// <summary>Reads config.json of the supported families and refuses, by name, what the decoder would compute wrongly.</summary>
internal static class ModelConfigReader
{
    private static readonly string[] families = ["llama", "qwen2"];

    public static ModelConfig Parse(JsonElement json)
    {
        if (json.ValueKind != JsonValueKind.Object) throw new InvalidInputException($"config.json must be a JSON object, not {Kind(json)}.", "config.json");
        var family = Text(json, "model_type") ?? throw new InvalidInputException("config.json has no model_type.", "model_type", "missing");
        if (!families.Contains(family)) throw Unsupported("model_type", family, string.Join(", ", families));
        Refuse(json, "hidden_act", "silu");
        foreach (var name in new[] { "attention_bias", "mlp_bias", "use_sliding_window" })
        {
            if (Flag(json, name) == true) throw Unsupported(name, "true", "false");
        }
        if (family == "llama" && Number(json, "sliding_window") is { } window) throw Unsupported("sliding_window", $"{window}", "null");
        if (Number(json, "pretraining_tp") is { } parallel && parallel != 1) throw Unsupported("pretraining_tp", $"{parallel}", "1");
        if (json.TryGetProperty("quantization_config", out var quantized) && quantized.ValueKind != JsonValueKind.Null) throw Unsupported("quantization_config", "set", "float weights");
        if (json.TryGetProperty("layer_types", out var layerTypes) && layerTypes.ValueKind == JsonValueKind.Array)
        {
            foreach (var type in layerTypes.EnumerateArray())
            {
                if (type.GetString() != "full_attention") throw Unsupported("layer_types", type.ToString(), "full_attention");
            }
        }

        var vocabulary = Integer(json, "vocab_size", null, 1, 10_000_000);
        var hidden = Integer(json, "hidden_size", null, 2, 65_536);
        var heads = Integer(json, "num_attention_heads", null, 1, 1_024);
        var keyValueHeads = Integer(json, "num_key_value_heads", heads, 1, 1_024);
        if (heads % keyValueHeads != 0) throw new InvalidInputException($"num_key_value_heads must divide num_attention_heads ({heads}), not be {keyValueHeads}.", "num_key_value_heads");
        if (Number(json, "head_dim") is null && hidden % heads != 0) throw new InvalidInputException($"hidden_size {hidden} must be a multiple of num_attention_heads {heads} where head_dim is absent.", "head_dim");
        var headDim = Integer(json, "head_dim", hidden / heads, 2, 4_096);
        if (headDim % 2 != 0) throw new InvalidInputException($"head_dim must be even (rotary positions turn pairs), not {headDim}.", "head_dim");
        return new ModelConfig(
            family, vocabulary, hidden, Integer(json, "num_hidden_layers", null, 1, 1_000), heads, keyValueHeads, headDim,
            Integer(json, "intermediate_size", null, 1, 1_000_000), Real(json, "rms_norm_eps", 1e-6, 0, 1), RopeTheta(json),
            Integer(json, "max_position_embeddings", 2_048, 1, 10_000_000), Flag(json, "tie_word_embeddings") ?? false, family == "qwen2",
            Tokens(json, "eos_token_id", vocabulary), Tokens(json, "pad_token_id", vocabulary) is [var pad, ..] ? pad : null,
            Tokens(json, "bos_token_id", vocabulary) is [var begin, ..] ? begin : null);
    }

    /// <summary>One token id or a list; ids outside the vocabulary (Llama writes -1 for "none") are left out.</summary>
    public static IReadOnlyList<int> Tokens(JsonElement json, string name, int vocabulary)
    {
        if (!json.TryGetProperty(name, out var value)) return [];
        var items = value.ValueKind == JsonValueKind.Array ? value.EnumerateArray().ToArray() : [value];
        return [.. items.Where(item => item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out var id) && id >= 0 && id < vocabulary).Select(item => item.GetInt32())];
    }

    /// <summary>rope_parameters (transformers 5), else rope_theta and rope_scaling (before); only unscaled positions.</summary>
    private static double RopeTheta(JsonElement json)
    {
        var theta = Real(json, "rope_theta", 10_000, 1, 1e12);
        foreach (var name in new[] { "rope_parameters", "rope_scaling" })
        {
            if (!json.TryGetProperty(name, out var rope) || rope.ValueKind == JsonValueKind.Null) continue;
            if (rope.ValueKind != JsonValueKind.Object) throw new InvalidInputException($"{name} must be an object or null, not {Kind(rope)}.", name);
            var type = Text(rope, "rope_type") ?? Text(rope, "type") ?? "default";
            if (type != "default") throw Unsupported($"{name}.rope_type", type, "default");
            theta = Real(rope, "rope_theta", theta, 1, 1e12);
            if (Number(rope, "partial_rotary_factor") is { } share && share != 1) throw Unsupported($"{name}.partial_rotary_factor", $"{share}", "1");
        }
        if (Number(json, "partial_rotary_factor") is { } factor && factor != 1) throw Unsupported("partial_rotary_factor", $"{factor}", "1");
        return theta;
    }

    private static void Refuse(JsonElement json, string name, string only)
    {
        if (Text(json, name) is { } value && value != only) throw Unsupported(name, value, only);
    }

    private static InvalidInputException Unsupported(string name, string value, string allowed) =>
        new($"config.json asks for {name} '{value}', which is not supported; supported: {allowed}.", name, "unknown_value");

    private static int Integer(JsonElement json, string name, int? absent, int low, int high)
    {
        var value = Number(json, name) ?? absent ?? throw new InvalidInputException($"config.json has no {name}.", name, "missing");
        if (value < low || value > high || value != Math.Floor(value)) throw new InvalidInputException($"{name} must be a whole number from {low} to {high}, not {value}.", name, "out_of_range");
        return (int)value;
    }

    private static double Real(JsonElement json, string name, double absent, double low, double high)
    {
        var value = Number(json, name) ?? absent;
        if (!(value >= low && value <= high)) throw new InvalidInputException($"{name} must be from {low} to {high}, not {value}.", name, "out_of_range");
        return value;
    }

    private static double? Number(JsonElement json, string name) => Find(json, name, JsonValueKind.Number)?.GetDouble();

    private static string? Text(JsonElement json, string name) => Find(json, name, JsonValueKind.String)?.GetString();

    private static bool? Flag(JsonElement json, string name) =>
        (Find(json, name, JsonValueKind.True, JsonValueKind.False) is { } value) ? value.GetBoolean() : null;

    private static JsonElement? Find(JsonElement json, string name, params ReadOnlySpan<JsonValueKind> kinds)
    {
        if (!json.TryGetProperty(name, out var value) || value.ValueKind == JsonValueKind.Null) return null;
        return kinds.Contains(value.ValueKind) ? value : throw new InvalidInputException($"{name} must not be {Kind(value)}.", name);
    }

    private static string Kind(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.String => "a string",
        JsonValueKind.Number => "a number",
        JsonValueKind.Null => "null",
        _ => "true or false",
    };
}
