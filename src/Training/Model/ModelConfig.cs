using System.Text.Json;
using System.Text.Json.Nodes;

namespace Gradus.Training.Model;

/// <summary>
/// The shape of a decoder-only transformer, as a Hugging Face <c>config.json</c> tells it. One decoder serves every family here; a family only
/// chooses its parts. What is not supported is refused by name when the file is read (<see cref="ModelConfigReader"/>), never computed wrongly.
/// </summary>
/// <param name="ModelType">The family's name in Hugging Face: <c>llama</c> or <c>qwen2</c>.</param>
/// <param name="VocabularySize">Rows of the embedding; token ids are below it.</param>
/// <param name="HiddenSize">Width of the residual stream.</param>
/// <param name="Layers">Decoder blocks.</param>
/// <param name="Heads">Query heads of a layer.</param>
/// <param name="KeyValueHeads">Key and value heads of a layer; divides <paramref name="Heads"/>.</param>
/// <param name="HeadDim">Width of one head, even (rotary positions turn pairs).</param>
/// <param name="FeedForwardSize">Inner width of the feed-forward.</param>
/// <param name="NormEpsilon">Added to the mean square in RMSNorm.</param>
/// <param name="RopeTheta">Base of the rotary frequencies.</param>
/// <param name="MaxPositions">Positions the model was made for; longer input is refused.</param>
/// <param name="TieEmbeddings">The head is the embedding, transposed.</param>
/// <param name="QkvBias">Queries, keys and values have a bias (qwen2).</param>
/// <param name="EndTokens">Tokens that end a completion; generation_config.json's list where there is one.</param>
public sealed record ModelConfig(
    string ModelType, int VocabularySize, int HiddenSize, int Layers, int Heads, int KeyValueHeads, int HeadDim, int FeedForwardSize,
    double NormEpsilon, double RopeTheta, int MaxPositions, bool TieEmbeddings, bool QkvBias,
    IReadOnlyList<int> EndTokens, int? PadToken, int? BeginToken)
{
    /// <summary>Reads <c>config.json</c> of a folder, and the end tokens of its <c>generation_config.json</c> where there is one.</summary>
    /// <exception cref="InvalidInputException">A file is missing or not JSON, a field is missing or out of range, or something is asked for that is not supported.</exception>
    public static ModelConfig Read(string folder)
    {
        var config = Parse(ModelFolder.ReadJson(Path.Combine(folder, "config.json")));
        var generation = Path.Combine(folder, "generation_config.json");
        if (!File.Exists(generation)) return config;
        var ends = ModelConfigReader.Tokens(ModelFolder.ReadJson(generation), "eos_token_id", config.VocabularySize);
        return ends.Count == 0 ? config : config with { EndTokens = ends };
    }

    /// <summary>The same from the parsed <c>config.json</c>, in the form of transformers 5 (<c>rope_parameters</c>, <c>dtype</c>) or before (<c>rope_theta</c>, <c>rope_scaling</c>, <c>torch_dtype</c>).</summary>
    /// <exception cref="InvalidInputException">As <see cref="Read"/>.</exception>
    public static ModelConfig Parse(JsonElement json) => ModelConfigReader.Parse(json);

    /// <summary>The <c>config.json</c> of this shape, readable by transformers 4 and 5: rotary parameters stand in both forms.</summary>
    public JsonElement ToJson()
    {
        var json = new JsonObject
        {
            ["architectures"] = new JsonArray(ModelType == "qwen2" ? "Qwen2ForCausalLM" : "LlamaForCausalLM"),
            ["model_type"] = ModelType,
            ["vocab_size"] = VocabularySize,
            ["hidden_size"] = HiddenSize,
            ["num_hidden_layers"] = Layers,
            ["num_attention_heads"] = Heads,
            ["num_key_value_heads"] = KeyValueHeads,
            ["head_dim"] = HeadDim,
            ["intermediate_size"] = FeedForwardSize,
            ["hidden_act"] = "silu",
            ["rms_norm_eps"] = NormEpsilon,
            ["rope_theta"] = RopeTheta,
            ["rope_parameters"] = new JsonObject { ["rope_type"] = "default", ["rope_theta"] = RopeTheta },
            ["max_position_embeddings"] = MaxPositions,
            ["tie_word_embeddings"] = TieEmbeddings,
            ["attention_bias"] = false,
            ["mlp_bias"] = false,
            ["torch_dtype"] = "float32",
            ["dtype"] = "float32",
            ["use_cache"] = true,
        };
        json["eos_token_id"] = EndTokens.Count switch
        {
            0 => null,
            1 => EndTokens[0],
            _ => new JsonArray([.. EndTokens.Select(end => (JsonNode)end)]),
        };
        if (PadToken is { } pad) json["pad_token_id"] = pad;
        if (BeginToken is { } begin) json["bos_token_id"] = begin;
        return JsonSerializer.SerializeToElement(json);
    }

    /// <summary>Number of weights.</summary>
    public long ParameterCount
    {
        get
        {
            long queries = (long)Heads * HeadDim, keys = (long)KeyValueHeads * HeadDim;
            var layer = (2 * queries + 2 * keys) * HiddenSize + (QkvBias ? queries + 2 * keys : 0) + 3L * HiddenSize * FeedForwardSize + 2L * HiddenSize;
            return Layers * layer + HiddenSize + (TieEmbeddings ? 1L : 2L) * VocabularySize * HiddenSize;
        }
    }

    /// <summary>Equal when every number is; the end tokens by their values.</summary>
    public bool Equals(ModelConfig? other) => other is not null && ToJson().GetRawText() == other.ToJson().GetRawText();

    public override int GetHashCode() => ToJson().GetRawText().GetHashCode(StringComparison.Ordinal);
}
