using System.Text.Json.Nodes;

namespace Gradus.Training.Model;

/// <summary>How rotary frequencies are stretched beyond the length a model was first trained with, under transformers' names (its modeling_rope_utils.py).</summary>
/// <param name="Type"><c>linear</c>, <c>llama3</c>, <c>yarn</c> (Peng et al. 2023) or <c>longrope</c> with one list of factors; unscaled positions have no scaling.</param>
/// <param name="Factor">At least 1: how many times longer.</param>
public sealed record RotaryScaling(string Type, double Factor)
{
    /// <summary>Positions before the stretch; all but linear need it.</summary>
    public int OriginalPositions { get; init; }

    /// <summary>llama3: waves longer than the original positions over this are stretched whole.</summary>
    public double LowFrequencyFactor { get; init; }

    /// <summary>llama3: waves shorter than the original positions over this are left alone.</summary>
    public double HighFrequencyFactor { get; init; }

    /// <summary>yarn and longrope: what cosines and sines are multiplied with; null for the type's own formula.</summary>
    public double? AttentionFactor { get; init; }

    /// <summary>yarn: features with more turns than this over the original positions are left alone.</summary>
    public double BetaFast { get; init; } = 32;

    /// <summary>yarn: features with fewer turns than this are stretched whole.</summary>
    public double BetaSlow { get; init; } = 1;

    /// <summary>yarn: 0 where the config has none.</summary>
    public double Mscale { get; init; }

    /// <summary>yarn: 0 where the config has none.</summary>
    public double MscaleAllDim { get; init; }

    /// <summary>yarn: whether the ends of the ramp are whole features.</summary>
    public bool Truncate { get; init; } = true;

    /// <summary>longrope: what each pair's wave is stretched by.</summary>
    public IReadOnlyList<double> Factors { get; init; } = [];

    /// <summary>What multi-head latent attention multiplies its scores with beside 1 over the root of the width (DeepSeek-V3).</summary>
    public double ScoreScale => MscaleAllDim == 0 ? 1 : Math.Pow(Warmth(Factor, MscaleAllDim), 2);

    /// <summary>What cosines and sines are multiplied with.</summary>
    public double Amplitude => Type switch
    {
        "yarn" => AttentionFactor ?? (Mscale != 0 && MscaleAllDim != 0 ? Warmth(Factor, Mscale) / Warmth(Factor, MscaleAllDim) : Warmth(Factor, 1)),
        "longrope" => AttentionFactor ?? (Factor <= 1 ? 1 : Math.Sqrt(1 + (Math.Log(Factor) / Math.Log(OriginalPositions)))),
        _ => 1,
    };

    /// <summary>The object of a config.json, without the base; types read it under <c>rope_type</c>, transformers before 4.43 under <c>type</c>.</summary>
    public JsonObject ToJson()
    {
        var json = new JsonObject { ["rope_type"] = Type, ["type"] = Type, ["factor"] = Factor };
        if (Type != "linear") json["original_max_position_embeddings"] = OriginalPositions;
        switch (Type)
        {
            case "llama3":
                (json["low_freq_factor"], json["high_freq_factor"]) = (LowFrequencyFactor, HighFrequencyFactor);
                break;
            case "yarn":
                (json["beta_fast"], json["beta_slow"]) = (BetaFast, BetaSlow);
                if (Mscale != 0) json["mscale"] = Mscale;
                if (MscaleAllDim != 0) json["mscale_all_dim"] = MscaleAllDim;
                if (!Truncate) json["truncate"] = false;
                break;
            case "longrope":
                json["short_factor"] = new JsonArray([.. Factors.Select(factor => (JsonNode)factor)]);
                json["long_factor"] = new JsonArray([.. Factors.Select(factor => (JsonNode)factor)]);
                break;
            default:
                break;
        }
        if (AttentionFactor is { } attention) json["attention_factor"] = attention;
        return json;
    }

    private static double Warmth(double scale, double mscale) => scale <= 1 ? 1 : (0.1 * mscale * Math.Log(scale)) + 1;
}
