using System.Text.Json;

namespace Gradus.Training.Model;

/// <summary>
/// The shape of a decoder-only transformer, as a Hugging Face <c>config.json</c> tells it. One decoder serves every family here; a family only
/// chooses its parts. What is not supported is refused by name when the file is read (<see cref="ModelConfigReader"/>), never computed wrongly.
/// </summary>
/// <param name="ModelType">The family's name in Hugging Face, one of <see cref="ModelFamily.Names"/>.</param>
/// <param name="VocabularySize">Rows of the embedding; token ids are below it.</param>
/// <param name="HiddenSize">Width of the residual stream.</param>
/// <param name="Layers">Decoder blocks.</param>
/// <param name="Heads">Query heads of a layer.</param>
/// <param name="KeyValueHeads">Key and value heads of a layer; divides <paramref name="Heads"/>.</param>
/// <param name="HeadDim">Width of one query or key head, even (rotary positions turn pairs).</param>
/// <param name="FeedForwardSize">Inner width of the feed-forward.</param>
/// <param name="NormEpsilon">Added to the mean square in RMSNorm.</param>
/// <param name="RopeTheta">Base of the rotary frequencies.</param>
/// <param name="MaxPositions">Positions the model was made for; longer input is refused.</param>
/// <param name="TieEmbeddings">The head is the embedding, transposed.</param>
/// <param name="QkvBias">Queries, keys and values have a bias (qwen2; others by attention_bias).</param>
/// <param name="EndTokens">Tokens that end a completion; generation_config.json's list where there is one.</param>
public sealed record ModelConfig(
    string ModelType, int VocabularySize, int HiddenSize, int Layers, int Heads, int KeyValueHeads, int HeadDim, int FeedForwardSize,
    double NormEpsilon, double RopeTheta, int MaxPositions, bool TieEmbeddings, bool QkvBias,
    IReadOnlyList<int> EndTokens, int? PadToken, int? BeginToken)
{
    /// <summary>How rotary frequencies are stretched; null where they are not.</summary>
    public RotaryScaling? Rope { get; init; }

    /// <summary>The map behind the attention has a bias.</summary>
    public bool OutputBias { get; init; }

    /// <summary>The maps of the feed-forward have a bias (llama's mlp_bias).</summary>
    public bool FeedForwardBias { get; init; }

    /// <summary>Each query and key head is normalised before it turns (qwen3).</summary>
    public bool QueryKeyNorm { get; init; }

    /// <summary>Multi-head latent attention instead of grouped queries (deepseek_v3).</summary>
    public LatentShape? Latent { get; init; }

    /// <summary>A mixture of experts instead of one feed-forward (deepseek_v3).</summary>
    public ExpertShape? Experts { get; init; }

    /// <summary>Layers behind the last that a file may hold and that are left out (num_nextn_predict_layers).</summary>
    public int NextTokenLayers { get; init; }

    /// <summary>What the weights are stored in: <c>float32</c>, <c>float16</c> or <c>bfloat16</c>. They are computed with in fp32 whatever it is.</summary>
    public string Dtype { get; init; } = "float32";

    /// <summary>Features of a head that turn with the position.</summary>
    public int RotaryWidth => Latent?.RotaryWidth ?? HeadDim;

    /// <summary>Features of a value head.</summary>
    public int ValueWidth => Latent?.ValueWidth ?? HeadDim;

    /// <summary>Whether a layer has experts instead of one feed-forward.</summary>
    public bool HasExperts(int layer) => Experts is { } experts && layer >= experts.DenseLayers;

    /// <summary>Reads <c>config.json</c> of a folder, and the end tokens of its <c>generation_config.json</c> where there is one.</summary>
    /// <exception cref="InvalidInputException">A file is missing or not JSON, a field is missing or out of range, or something is asked for that is not supported.</exception>
    public static ModelConfig Read(string folder)
    {
        var config = Parse(ModelFolder.ReadJson(Path.Combine(folder, "config.json")));
        var generation = Path.Combine(folder, "generation_config.json");
        if (!File.Exists(generation)) return config;
        var json = ModelFolder.ReadJson(generation);
        if (json.ValueKind != JsonValueKind.Object) throw new InvalidInputException("generation_config.json must be a JSON object.", "generation_config.json");
        var ends = ModelConfigReader.Tokens(json, "eos_token_id", config.VocabularySize);
        return ends.Count == 0 ? config : config with { EndTokens = ends };
    }

    /// <summary>The same from the parsed <c>config.json</c>, in the form of transformers 5 (<c>rope_parameters</c>, <c>dtype</c>) or before (<c>rope_theta</c>, <c>rope_scaling</c>, <c>torch_dtype</c>).</summary>
    /// <exception cref="InvalidInputException">As <see cref="Read"/>.</exception>
    public static ModelConfig Parse(JsonElement json) => ModelFile.Checked("config.json", () => ModelConfigReader.Parse(json));

    /// <summary>The <c>config.json</c> of this shape, readable by transformers 4 and 5: rotary parameters stand in both forms.</summary>
    public JsonElement ToJson() => ModelConfigWriter.Write(this);

    /// <summary>Number of weights that are trained.</summary>
    public long ParameterCount => WeightNames.Of(this).Sum(weight => weight.Shape.Aggregate(1L, (product, size) => product * size));

    /// <summary>Equal when every number is; the end tokens by their values.</summary>
    public bool Equals(ModelConfig? other) => other is not null && ToJson().GetRawText() == other.ToJson().GetRawText();

    public override int GetHashCode() => ToJson().GetRawText().GetHashCode(StringComparison.Ordinal);
}
