using System.Text.Json;
using System.Text.Json.Nodes;

namespace Gradus.Training.Model;

/// <summary>Writes config.json so that transformers 4 and 5 read the same model: rotary parameters and the dtype stand in both forms, and what a family would default to is said.</summary>
internal static class ModelConfigWriter
{
    public static JsonElement Write(ModelConfig config)
    {
        var json = new JsonObject
        {
            ["architectures"] = new JsonArray(ModelFamily.Find(config.ModelType)!.Architecture),
            ["model_type"] = config.ModelType,
            ["vocab_size"] = config.VocabularySize,
            ["hidden_size"] = config.HiddenSize,
            ["num_hidden_layers"] = config.Layers,
            ["num_attention_heads"] = config.Heads,
            ["num_key_value_heads"] = config.KeyValueHeads,
            // DeepSeek's head_dim is, in transformers, the width that turns.
            ["head_dim"] = config.RotaryWidth,
            ["intermediate_size"] = config.FeedForwardSize,
            ["hidden_act"] = "silu",
            ["rms_norm_eps"] = config.NormEpsilon,
            ["rope_theta"] = config.RopeTheta,
            ["rope_scaling"] = config.Rope?.ToJson(),
            ["rope_parameters"] = Rotary(config),
            ["max_position_embeddings"] = config.MaxPositions,
            ["tie_word_embeddings"] = config.TieEmbeddings,
            ["attention_bias"] = config.OutputBias,
            ["mlp_bias"] = config.FeedForwardBias,
            ["torch_dtype"] = config.Dtype,
            ["dtype"] = config.Dtype,
            ["use_cache"] = true,
        };
        // Mistral's window is 4096 where nothing is said.
        if (config.ModelType == "mistral") json["sliding_window"] = null;
        if (config.ModelType is "qwen2" or "qwen3") json["use_sliding_window"] = false;
        if (config.Latent is { } latent) Add(json, latent);
        if (config.Experts is { } experts) Add(json, experts);
        json["eos_token_id"] = config.EndTokens.Count switch
        {
            0 => null,
            1 => config.EndTokens[0],
            _ => new JsonArray([.. config.EndTokens.Select(end => (JsonNode)end)]),
        };
        if (config.PadToken is { } pad) json["pad_token_id"] = pad;
        if (config.BeginToken is { } begin) json["bos_token_id"] = begin;
        return JsonSerializer.SerializeToElement(json);
    }

    private static JsonObject Rotary(ModelConfig config)
    {
        var json = config.Rope?.ToJson() ?? new JsonObject { ["rope_type"] = "default" };
        json.Remove("type");
        json["rope_theta"] = config.RopeTheta;
        return json;
    }

    private static void Add(JsonObject json, LatentShape latent)
    {
        json["q_lora_rank"] = latent.QueryRank;
        json["kv_lora_rank"] = latent.KeyValueRank;
        json["qk_nope_head_dim"] = latent.PlainWidth;
        json["qk_rope_head_dim"] = latent.RotaryWidth;
        json["v_head_dim"] = latent.ValueWidth;
        json["rope_interleave"] = latent.Interleaved;
    }

    private static void Add(JsonObject json, ExpertShape experts)
    {
        json["n_routed_experts"] = experts.Count;
        json["num_experts_per_tok"] = experts.PerToken;
        json["n_shared_experts"] = experts.Shared;
        json["moe_intermediate_size"] = experts.Width;
        json["n_group"] = experts.Groups;
        json["topk_group"] = experts.GroupsPerToken;
        json["routed_scaling_factor"] = experts.Scale;
        json["norm_topk_prob"] = experts.Normalised;
        json["first_k_dense_replace"] = experts.DenseLayers;
        json["scoring_func"] = "sigmoid";
        json["topk_method"] = "noaux_tc";
        json["moe_layer_freq"] = 1;
        // The layer behind the last, which predicts further tokens, is left out when a model is read.
        json["num_nextn_predict_layers"] = 0;
    }
}
