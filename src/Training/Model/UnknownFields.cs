using System.Text.Json;

namespace Gradus.Training.Model;

/// <summary>
/// What becomes of a config.json's fields that the decoder does not read. Published configs are full of fields that change nothing: how a model was trained or sampled from, what some
/// tool wrote down. To refuse them all would refuse most models; to ignore them all would compute a model with soft-capped logits as one without. So: a field passes where it
/// says nothing (null, false, 0, empty), where it is known to be harmless, or where no word of its name speaks of the mathematics. All others are refused by name.
/// </summary>
internal static class UnknownFields
{
    /// <summary>Read by transformers or others, without a say in what a forward pass computes.</summary>
    private static readonly HashSet<string> harmless =
    [
        "attention_dropout", "attention_probs_dropout_prob", "attn_dropout", "attn_pdrop", "embd_pdrop", "embedding_dropout", "hidden_dropout", "hidden_dropout_prob", "resid_pdrop", "residual_dropout",
        "_attn_implementation", "_attn_implementation_autoset", "_attn_implementation_internal", "attn_implementation", "use_flash_attention", "use_flash_attention_2", "_flash_attn_2_enabled", "use_flash_attn",
        "aux_loss_alpha", "ep_size", "output_router_logits", "router_aux_loss_coef", "router_jitter_noise", "seq_aux",
        "base_model_pp_plan", "base_model_tp_plan", "chunk_size_feed_forward", "max_window_layers", "output_attentions", "output_hidden_states", "pretraining_tp", "use_cache",
    ];

    /// <summary>Words, or their beginnings, by which names of fields speak of the mathematics.</summary>
    private static readonly string[] words =
    [
        "act", "activation", "adapter", "alibi", "altup", "attention", "attn", "bias", "block", "cap", "capping", "clip", "compression", "conv", "cross", "dim", "embedding", "embeddings", "expert", "experts",
        "ffn", "gate", "gating", "group", "head", "heads", "hidden", "interleave", "kv", "laurel", "layer", "layers", "layernorm", "ln", "logit", "logits", "lora", "mamba", "mask", "mlp", "moe",
        "mrope", "multiplier", "mup", "mscale", "norm", "normalization", "normalize", "nope", "ntk", "parallel", "pattern", "pooling", "position", "positional", "positions", "post", "pre", "proj", "projection", "quant", "quantization",
        "qk", "qkv", "query", "key", "value", "rank", "residual", "rope", "rotary", "router", "routing", "scalar", "scale", "scaling", "shared", "shortcut", "sink", "sinks", "skip", "sliding",
        "smolgen", "softcap", "softcapping", "softmax", "ssm", "sparse", "theta", "tie", "tied", "topk", "window", "width", "yarn",
    ];

    /// <exception cref="InvalidInputException">A field that may change what is computed.</exception>
    public static void Refuse(IEnumerable<JsonProperty> fields)
    {
        foreach (var field in fields)
        {
            if (SaysNothing(field.Value) || harmless.Contains(field.Name)) continue;
            if (!field.Name.ToLowerInvariant().Split('_', '.', '-').Any(word => words.Contains(word))) continue;
            throw new InvalidInputException(
                $"config.json has {field.Name} '{Short(field.Value)}', which this decoder does not compute and whose name says that it may change the result; supported: no such field, null or false.", field.Name, "unknown_value");
        }
    }

    private static bool SaysNothing(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null or JsonValueKind.False => true,
        JsonValueKind.Number => value.TryGetDouble(out var number) && number == 0,
        JsonValueKind.String => value.GetString()!.Length == 0,
        JsonValueKind.Array => value.GetArrayLength() == 0,
        JsonValueKind.Object => !value.EnumerateObject().Any(),
        _ => false,
    };

    private static string Short(JsonElement value) => value.GetRawText() is { Length: > 60 } text ? text[..60] + "..." : value.ToString();
}
