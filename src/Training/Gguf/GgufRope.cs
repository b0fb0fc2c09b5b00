using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Model;

namespace Gradus.Training.Gguf;

/// <summary>
/// Rotary scaling between the two formats. GGUF keeps linear and YaRN as metadata, and Llama 3's as the factors it comes to (<c>rope_freqs.weight</c>, by which
/// each frequency is divided); Hugging Face keeps the formula's parameters in <c>rope_scaling</c>.
/// </summary>
internal static class GgufRope
{
    private static readonly string[] names = ["rope_parameters", "rope_scaling"];

    /// <summary><c>rope_scaling</c> of a file; null where positions are not scaled.</summary>
    public static JsonObject? Read(GgufFile file, string architecture, int headDim, int positions)
    {
        var metadata = file.Metadata;
        string Key(string name) => $"{architecture}.rope.scaling.{name}";
        var factors = Factors(file, headDim);
        var type = metadata.Text(Key("type")) ?? (metadata.Contains($"{architecture}.rope.scale_linear") ? "linear" : "none");
        var factor = metadata.Number(Key("factor")) ?? metadata.Number($"{architecture}.rope.scale_linear") ?? 1;
        if (factors is not null)
        {
            if (type != "none" && factor != 1) throw GgufHeader.Wrong(file.Path, $"it has both {GgufFamily.RopeFactors} and {Key("type")} '{type}'");
            return FromFactors(factors, (float)(metadata.Number($"{architecture}.rope.freq_base") ?? 10_000), headDim, positions);
        }
        if (factor < 1 || factor > 1_000_000) throw GgufHeader.Wrong(file.Path, $"{Key("factor")} must be from 1 to 1000000, not {factor}");
        switch (type)
        {
            case "none":
                return null;
            case "linear":
                return factor == 1 ? null : new JsonObject { ["rope_type"] = "linear", ["factor"] = factor };
            case "yarn":
                var json = new JsonObject { ["rope_type"] = "yarn", ["factor"] = factor, ["original_max_position_embeddings"] = metadata.Integer(Key("original_context_length"), 1, 10_000_000) ?? positions };
                // llama.cpp multiplies its own 0.1 ln(factor) + 1 by this; Hugging Face's attention_factor is the product.
                var attention = metadata.Number(Key("attn_factor")) ?? metadata.Number(Key("yarn_attn_factor")) ?? 1;
                if (attention != 1) json["attention_factor"] = attention * ((0.1 * Math.Log(factor)) + 1);
                if (metadata.Number(Key("yarn_beta_fast")) is { } fast) json["beta_fast"] = fast;
                if (metadata.Number(Key("yarn_beta_slow")) is { } slow) json["beta_slow"] = slow;
                if (metadata.Number(Key("yarn_ext_factor")) is { } share && share != 1) throw GgufHeader.Wrong(file.Path, $"{Key("yarn_ext_factor")} is {share}; supported: 1");
                return json;
            default:
                throw GgufHeader.Wrong(file.Path, $"{Key("type")} is '{type}'; supported: none, linear, yarn");
        }
    }

    /// <summary>Adds a model's rotary scaling; gives the factors that <c>rope_freqs.weight</c> holds, null where there is no such tensor.</summary>
    /// <param name="json">config.json, in the form of transformers 5 or before.</param>
    public static float[]? Add(GgufWriter writer, JsonElement json, string architecture, ModelConfig config)
    {
        var rope = names.Select(name => json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Object ? value : default).FirstOrDefault(value => value.ValueKind == JsonValueKind.Object && Type(value) != "default");
        if (rope.ValueKind != JsonValueKind.Object) return null;
        void Scaling(string key, float number) => writer.Add($"{architecture}.rope.scaling.{key}", number);
        switch (Type(rope))
        {
            case "linear":
                writer.Add($"{architecture}.rope.scaling.type", "linear");
                Scaling("factor", (float)(Number(rope, "factor") ?? throw Missing("factor")));
                return null;
            case "yarn":
                var factor = Number(rope, "factor") ?? throw Missing("factor");
                writer.Add($"{architecture}.rope.scaling.type", "yarn");
                Scaling("factor", (float)factor);
                writer.Add($"{architecture}.rope.scaling.original_context_length", (uint)(Number(rope, "original_max_position_embeddings") ?? config.MaxPositions));
                if (Number(rope, "attention_factor") is { } attention) Scaling("attn_factor", (float)(attention / ((0.1 * Math.Log(factor)) + 1)));
                if (Number(rope, "beta_fast") is { } fast) Scaling("yarn_beta_fast", (float)fast);
                if (Number(rope, "beta_slow") is { } slow) Scaling("yarn_beta_slow", (float)slow);
                return null;
            case "llama3" when architecture == "llama":
                return Llama3Factors(
                    config.RopeTheta, config.HeadDim, Number(rope, "factor") ?? throw Missing("factor"), Number(rope, "low_freq_factor") ?? 1, Number(rope, "high_freq_factor") ?? 4,
                    Number(rope, "original_max_position_embeddings") ?? throw Missing("original_max_position_embeddings"));
            case "longrope" when architecture == "llama" && (Number(rope, "attention_factor") ?? 0) == 1 && List(rope, "short_factor") is { } factors && factors.Length == config.HeadDim / 2 && List(rope, "long_factor") is { } same && factors.SequenceEqual(same):
                return factors;
            default:
                throw new InvalidInputException($"Rotary scaling of the type '{Type(rope)}' cannot be written to a GGUF file of the architecture {architecture}; supported: default, linear, yarn, and for llama llama3 and longrope with equal factors and attention_factor 1.", "rope_scaling", "unknown_value");
        }

        static string Type(JsonElement rope) => (rope.TryGetProperty("rope_type", out var type) || rope.TryGetProperty("type", out type)) && type.ValueKind == JsonValueKind.String ? type.GetString()! : "default";
        static double? Number(JsonElement rope, string name) => rope.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;
        static float[]? List(JsonElement rope, string name) => rope.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(item => item.ValueKind == JsonValueKind.Number) ? [.. value.EnumerateArray().Select(item => item.GetSingle())] : null;
        static InvalidInputException Missing(string name) => new($"config.json has no rope_scaling.{name}.", $"rope_scaling.{name}", "missing");
    }

    /// <summary>
    /// What <c>rope_type: llama3</c> divides each frequency by (transformers' _compute_llama3_parameters, llama.cpp's convert_hf_to_gguf.py): nothing for waves
    /// short beside the original length, <paramref name="factor"/> for long ones, and a mixture between. In fp32, as stored.
    /// </summary>
    public static float[] Llama3Factors(double theta, int headDim, double factor, double lowFactor, double highFactor, double original)
    {
        var factors = new float[headDim / 2];
        for (var j = 0; j < factors.Length; j++)
        {
            var frequency = 1f / (float)Math.Pow(theta, 2f * j / headDim);
            var wave = 2 * Math.PI / frequency;
            var smooth = ((original / wave) - lowFactor) / (highFactor - lowFactor);
            factors[j] = wave < original / highFactor ? 1 : wave > original / lowFactor ? (float)factor : (float)(1 / (((1 - smooth) / factor) + smooth));
        }
        return factors;
    }

    /// <summary>Llama 3's parameters where they give these factors, otherwise the factors themselves as a <c>longrope</c> without attention factor.</summary>
    private static JsonObject FromFactors(float[] factors, float theta, int headDim, int positions)
    {
        var factor = factors[^1];
        foreach (var original in (ReadOnlySpan<int>)[8_192, 4_096, 16_384, 32_768, positions])
        {
            var formula = Llama3Factors(theta, headDim, factor, 1, 4, original);
            if (!formula.Zip(factors).All(pair => Math.Abs(pair.First - pair.Second) <= 1e-5f * pair.Second)) continue;
            return new JsonObject { ["rope_type"] = "llama3", ["factor"] = GgufMetadata.Shortest(factor), ["low_freq_factor"] = 1.0, ["high_freq_factor"] = 4.0, ["original_max_position_embeddings"] = original };
        }
        JsonArray List() => [.. factors.Select(value => (JsonNode)GgufMetadata.Shortest(value))];
        return new JsonObject { ["rope_type"] = "longrope", ["short_factor"] = List(), ["long_factor"] = List(), ["factor"] = 1.0, ["attention_factor"] = 1.0, ["original_max_position_embeddings"] = positions };
    }

    private static float[]? Factors(GgufFile file, int headDim)
    {
        if (!file.Tensors.TryGetValue(GgufFamily.RopeFactors, out var tensor)) return null;
        if (tensor.Type != GgufType.F32 || tensor.Shape.Count != 1 || tensor.Elements != headDim / 2)
        {
            throw GgufHeader.Wrong(file.Path, $"{GgufFamily.RopeFactors} must be F32 of the shape [{headDim / 2}], not {tensor.Type} of [{string.Join(", ", tensor.Shape)}]");
        }
        var factors = new float[headDim / 2];
        file.Read(tensor, 0, factors);
        return factors.All(value => float.IsFinite(value) && value >= 1e-3f) ? factors : throw GgufHeader.Wrong(file.Path, $"{GgufFamily.RopeFactors} must hold positive numbers");
    }
}
