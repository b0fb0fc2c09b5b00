using System.Text.Json;

namespace Gradus.Training.Model;

/// <summary>Reads config.json of the supported families and refuses, by name, what the decoder would compute wrongly.</summary>
internal static class ModelConfigReader
{
    public static ModelConfig Parse(JsonElement json)
    {
        if (json.ValueKind != JsonValueKind.Object) throw new InvalidInputException($"config.json must be a JSON object, not {ConfigFields.Kind(json)}.", "config.json");
        var fields = new ConfigFields(json, "config.json");
        var name = fields.Text("model_type") ?? throw new InvalidInputException("config.json has no model_type.", "model_type", "missing");
        var family = ModelFamily.Find(name) ?? throw fields.Unsupported("model_type", name, ModelFamily.Names);
        if (fields.Any("quantization_config") is { } quantized)
        {
            var method = quantized.ValueKind == JsonValueKind.Object && quantized.TryGetProperty("quant_method", out var known) ? known.ToString() : "set";
            throw fields.Unsupported("quantization_config", method, "weights in fp32, fp16 or bf16");
        }
        foreach (var activation in new[] { "hidden_act", "hidden_activation" }) fields.Only(activation, "silu");
        if (!family.AttentionBias) fields.NotTrue("attention_bias");
        if (name != "llama") fields.NotTrue("mlp_bias");

        var vocabulary = fields.Integer("vocab_size", null, 1, 10_000_000);
        var hidden = fields.Integer("hidden_size", null, 2, 65_536);
        var heads = fields.Integer("num_attention_heads", null, 1, 1_024);
        var keyValueHeads = fields.Integer("num_key_value_heads", heads, 1, 1_024);
        if (heads % keyValueHeads != 0) throw new InvalidInputException($"num_key_value_heads must divide num_attention_heads ({heads}), not be {keyValueHeads}.", "num_key_value_heads");
        var layers = fields.Integer("num_hidden_layers", null, 1, 1_000);
        var positions = fields.Integer("max_position_embeddings", family.MaxPositions, 1, 10_000_000);
        WindowReader.Refuse(fields, name, positions);
        var latent = name == "deepseek_v3" ? DeepSeekReader.Latent(fields, heads, keyValueHeads) : null;
        var headDim = latent is null ? HeadDim(fields, name, hidden, heads) : latent.PlainWidth + latent.RotaryWidth;
        var (theta, rope) = RotaryReader.Read(fields, positions, latent?.RotaryWidth ?? headDim);
        var bias = fields.Flag("attention_bias") ?? false;
        var config = new ModelConfig(
            name, vocabulary, hidden, layers, heads, keyValueHeads, headDim, fields.Integer("intermediate_size", null, 1, 1_000_000), fields.Real("rms_norm_eps", 1e-6, 0, 1), theta,
            positions, fields.Flag("tie_word_embeddings") ?? false, family.QkvBias || bias, Tokens(json, "eos_token_id", vocabulary),
            Tokens(json, "pad_token_id", vocabulary) is [var pad, ..] ? pad : null, Tokens(json, "bos_token_id", vocabulary) is [var begin, ..] ? begin : null)
        {
            Rope = rope,
            OutputBias = bias,
            FeedForwardBias = fields.Flag("mlp_bias") ?? false,
            QueryKeyNorm = name == "qwen3",
            Latent = latent,
            Experts = latent is null ? null : DeepSeekReader.Experts(fields, layers),
            NextTokenLayers = latent is null ? 0 : fields.Integer("num_nextn_predict_layers", 0, 0, 16),
            Dtype = Dtype(fields),
        };
        UnknownFields.Refuse(fields.Rest);
        return config;
    }

    /// <summary>One token id or a list; ids outside the vocabulary (Llama writes -1 for "none") are left out.</summary>
    public static IReadOnlyList<int> Tokens(JsonElement json, string name, int vocabulary)
    {
        if (!json.TryGetProperty(name, out var value)) return [];
        var items = value.ValueKind == JsonValueKind.Array ? value.EnumerateArray().ToArray() : [value];
        return [.. items.Where(item => item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out var id) && id >= 0 && id < vocabulary).Select(item => item.GetInt32())];
    }

    /// <summary>What is said of the dtype is what transformers would load with; what the file holds decides. Eight bits need scales beside them, and are refused.</summary>
    private static string Dtype(ConfigFields fields)
    {
        var (current, old) = (fields.Text("dtype"), fields.Text("torch_dtype"));
        var dtype = current ?? old ?? "float32";
        if (dtype.StartsWith("float8", StringComparison.Ordinal)) throw fields.Unsupported(current is null ? "torch_dtype" : "dtype", dtype, "float32, float16, bfloat16");
        return dtype is "float16" or "bfloat16" ? dtype : "float32";
    }

    /// <summary>qwen3's heads are 128 wide where nothing is said, whatever the model's width.</summary>
    private static int HeadDim(ConfigFields fields, string family, int hidden, int heads)
    {
        var absent = hidden / heads;
        if (family == "qwen3" && !fields.Has("head_dim")) absent = 128;
        else if (fields.Number("head_dim") is null && hidden % heads != 0) throw new InvalidInputException($"hidden_size {hidden} must be a multiple of num_attention_heads {heads} where head_dim is absent.", "head_dim");
        var width = fields.Integer("head_dim", absent, 2, 4_096);
        return width % 2 == 0 ? width : throw new InvalidInputException($"head_dim must be even (rotary positions turn pairs), not {width}.", "head_dim");
    }
}
