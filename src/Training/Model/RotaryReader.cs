using System.Text.Json;

namespace Gradus.Training.Model;

/// <summary>Rotary positions of a config.json: rope_parameters (transformers 5), or rope_theta and rope_scaling (before), which count where both stand, as in transformers.</summary>
internal static class RotaryReader
{
    private const string Types = "default, linear, llama3, yarn, longrope";

    /// <param name="width">Features that turn.</param>
    public static (double Theta, RotaryScaling? Scaling) Read(ConfigFields fields, int positions, int width)
    {
        fields.Only("partial_rotary_factor", 1);
        var theta = fields.Real("rope_theta", 10_000, 1, 1e12);
        var original = fields.Number("original_max_position_embeddings") is null ? (int?)null : fields.Integer("original_max_position_embeddings", null, 1, 10_000_000);
        var old = fields.Object("rope_scaling");
        var name = old is { } scaled && scaled.EnumerateObject().Any() ? "rope_scaling" : "rope_parameters";
        if (fields.Object("rope_parameters") is { } parameters && name == "rope_scaling")
        {
            theta = new ConfigFields(parameters, "rope_parameters").Real("rope_theta", theta, 1, 1e12);
        }
        if (fields.Object(name) is not { } json) return (theta, null);
        var rope = new ConfigFields(json, name);
        theta = rope.Real("rope_theta", theta, 1, 1e12);
        rope.Only("partial_rotary_factor", 1);
        var (type, older) = (rope.Text("rope_type"), rope.Text("type"));
        var scaling = Scaling(rope, type ?? older ?? "default", positions, original, width);
        foreach (var field in rope.Rest.Where(field => field.Value.ValueKind != JsonValueKind.Null)) throw rope.Unsupported(field.Name, field.Value.ToString(), "no such field");
        return (theta, scaling);
    }

    private static RotaryScaling? Scaling(ConfigFields rope, string type, int positions, int? original, int width)
    {
        // All fields of all types are known here, for a type may stand beside another's fields, which then say nothing.
        var first = rope.Number("original_max_position_embeddings") is null ? positions : rope.Integer("original_max_position_embeddings", null, 1, 10_000_000);
        var told = original is not null || first != positions;
        first = original ?? first;
        var attention = rope.Number("attention_factor") is null ? (double?)null : rope.Real("attention_factor", null, 0, 1_000);
        var (fast, slow) = (rope.Real("beta_fast", 32, 0, 1e6), rope.Real("beta_slow", 1, 0, 1e6));
        var (mscale, all, truncate) = (rope.Real("mscale", 0, 0, 1_000), rope.Real("mscale_all_dim", 0, 0, 1_000), rope.Flag("truncate") ?? true);
        var (low, high) = (rope.Number("low_freq_factor"), rope.Number("high_freq_factor"));
        var (shorter, longer) = (rope.List("short_factor"), rope.List("long_factor"));
        double? factor = rope.Number("factor") is null ? null : rope.Real("factor", null, 1, 1e6);
        switch (type)
        {
            case "default":
                return null;
            case "linear":
                return new(type, rope.Real("factor", null, 1, 1e6));
            case "llama3":
                var (lowest, highest) = (rope.Real("low_freq_factor", null, 1e-6, 1e6), rope.Real("high_freq_factor", null, 1e-6, 1e6));
                if (highest <= lowest) throw new InvalidInputException($"high_freq_factor must be above low_freq_factor ({low}), not {high}.", "high_freq_factor", "out_of_range");
                return new(type, rope.Real("factor", null, 1, 1e6)) { OriginalPositions = first, LowFrequencyFactor = lowest, HighFrequencyFactor = highest };
            case "yarn":
                return new(type, factor ?? Stretch())
                {
                    OriginalPositions = first, AttentionFactor = attention, Mscale = mscale, MscaleAllDim = all, Truncate = truncate,
                    BetaFast = fast == 0 ? 32 : fast, BetaSlow = slow == 0 ? 1 : slow,
                };
            case "longrope":
                return new(type, factor ?? Stretch()) { OriginalPositions = first, AttentionFactor = attention, Factors = Factors(rope, shorter, longer, width) };
            default:
                throw rope.Unsupported("rope_type", type, Types);
        }

        double Stretch() => told ? Math.Max(1, (double)positions / first) : rope.Real("factor", null, 1, 1e6);
    }

    /// <summary>Other factors for long texts than for short ones would make a token's state depend on the text's length; that is not supported.</summary>
    private static double[] Factors(ConfigFields rope, JsonElement? shorter, JsonElement? longer, int width)
    {
        double[] Numbers(JsonElement? list, string name)
        {
            var items = list?.EnumerateArray().ToArray() ?? throw new InvalidInputException($"longrope needs {name}.", name, "missing");
            if (items.Length != width / 2 || items.Any(item => item.ValueKind != JsonValueKind.Number || !(item.GetDouble() is > 0 and < 1e6)))
            {
                throw new InvalidInputException($"{name} must be {width / 2} numbers above 0, one for each pair of features, not {items.Length}.", name, "out_of_range");
            }
            return [.. items.Select(item => item.GetDouble())];
        }

        var factors = Numbers(shorter, "short_factor");
        if (!factors.SequenceEqual(Numbers(longer, "long_factor"))) throw rope.Unsupported("rope_type", "longrope", "longrope where short_factor equals long_factor; otherwise default, linear, llama3, yarn");
        return factors;
    }
}
