namespace Gradus.Training.Model;

/// <summary>The fields of deepseek_v3 that no other family has. Where a config is silent, transformers' defaults (the published DeepSeek-V3) hold.</summary>
internal static class DeepSeekReader
{
    /// <summary>The published DeepSeek-V3 has 15,616; each has three tensors with names.</summary>
    private const int MostExperts = 65_536;

    public static LatentShape Latent(ConfigFields fields, int heads, int keyValueHeads)
    {
        if (keyValueHeads != heads) throw fields.Unsupported("num_key_value_heads", $"{keyValueHeads}", $"num_attention_heads ({heads}): latent attention has keys for every head");
        var squeezed = fields.Number("q_lora_rank") is not null || !fields.Has("q_lora_rank");
        var rotary = fields.Integer("qk_rope_head_dim", 64, 2, 4_096);
        if (rotary % 2 != 0) throw new InvalidInputException($"qk_rope_head_dim must be even (rotary positions turn pairs), not {rotary}.", "qk_rope_head_dim");
        fields.Only("head_dim", rotary);
        var plain = fields.Integer("qk_nope_head_dim", 128, 1, 4_096);
        fields.Only("qk_head_dim", plain + rotary);
        return new LatentShape(
            squeezed ? fields.Integer("q_lora_rank", 1_536, 1, 65_536) : null, fields.Integer("kv_lora_rank", 512, 1, 65_536), plain, rotary, fields.Integer("v_head_dim", 128, 1, 4_096), fields.Flag("rope_interleave") ?? true);
    }

    public static ExpertShape Experts(ConfigFields fields, int layers)
    {
        fields.Only("scoring_func", "sigmoid");
        fields.Only("topk_method", "noaux_tc");
        fields.Only("moe_layer_freq", 1);
        var count = fields.Integer(fields.Has("n_routed_experts") ? "n_routed_experts" : "num_local_experts", 256, 1, 4_096);
        if ((long)count * layers > MostExperts) throw new InvalidInputException($"n_routed_experts {count} in {layers} layers are more than the {MostExperts} that are supported.", "n_routed_experts", "out_of_range");
        var groups = fields.Integer("n_group", 8, 1, count);
        if (count % groups != 0) throw new InvalidInputException($"n_group must divide n_routed_experts ({count}), not be {groups}.", "n_group");
        var chosen = fields.Integer("topk_group", 4, 1, groups);
        if (chosen < groups && count / groups < 2) throw new InvalidInputException($"n_group must leave at least two of the {count} routed experts in a group, not be {groups}.", "n_group");
        return new ExpertShape(
            count, fields.Integer("num_experts_per_tok", 8, 1, count / groups * chosen), fields.Integer("n_shared_experts", 1, 1, 1_024), fields.Integer("moe_intermediate_size", 2_048, 1, 1_000_000),
            groups, chosen, fields.Real("routed_scaling_factor", 2.5, 0, 1e6), fields.Flag("norm_topk_prob") ?? true, fields.Integer("first_k_dense_replace", 3, 0, layers));
    }
}
