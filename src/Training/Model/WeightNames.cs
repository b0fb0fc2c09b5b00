namespace Gradus.Training.Model;

/// <summary>The Hugging Face names and shapes of a model's weights, in the order in which they are kept.</summary>
internal static class WeightNames
{
    public const string Embedding = "model.embed_tokens.weight", FinalNorm = "model.norm.weight", Head = "lm_head.weight", Correction = "mlp.gate.e_score_correction_bias";

    private const string Experts = ".mlp.experts.";

    public static string Layer(int layer, string part) => $"model.layers.{layer}.{part}";

    /// <summary>What is trained. The experts of a layer are one tensor, [experts, out, in], under a name without their number.</summary>
    public static IEnumerable<(string Name, long[] Shape)> Of(ModelConfig config)
    {
        yield return (Embedding, [config.VocabularySize, config.HiddenSize]);
        for (var layer = 0; layer < config.Layers; layer++)
        {
            foreach (var (part, shape) in LayerParts(config, layer)) yield return (Layer(layer, part), shape);
        }
        yield return (FinalNorm, [config.HiddenSize]);
        if (!config.TieEmbeddings) yield return (Head, [config.VocabularySize, config.HiddenSize]);
    }

    /// <summary>What stands in the file, too, but is not trained.</summary>
    public static IEnumerable<(string Name, long[] Shape)> Fixed(ModelConfig config) => config.Experts is not { } experts
        ? []
        : Enumerable.Range(0, config.Layers).Where(config.HasExperts).Select(layer => (Layer(layer, Correction), new long[] { experts.Count }));

    /// <summary>The names of a tensor's parts in a file: each expert has its own there, everything else is one.</summary>
    public static IReadOnlyList<string> Stored(string name, long[] shape) =>
        shape.Length < 3 ? [name] : [.. Enumerable.Range(0, (int)shape[0]).Select(expert => name.Replace(Experts, $"{Experts}{expert}.", StringComparison.Ordinal))];

    private static IEnumerable<(string Part, long[] Shape)> LayerParts(ModelConfig config, int layer)
    {
        yield return ("input_layernorm.weight", [config.HiddenSize]);
        foreach (var part in config.Latent is { } latent ? LatentParts(config, latent) : AttentionParts(config)) yield return part;
        yield return ("post_attention_layernorm.weight", [config.HiddenSize]);
        foreach (var part in config.HasExperts(layer) ? ExpertParts(config, config.Experts!) : FeedForwardParts("mlp", config.HiddenSize, config.FeedForwardSize, config.FeedForwardBias))
        {
            yield return part;
        }
    }

    private static IEnumerable<(string, long[])> AttentionParts(ModelConfig config)
    {
        long width = config.HiddenSize, queries = config.Heads * config.HeadDim, keys = config.KeyValueHeads * config.HeadDim;
        foreach (var part in Map("self_attn.q_proj", width, queries, config.QkvBias)) yield return part;
        foreach (var part in Map("self_attn.k_proj", width, keys, config.QkvBias)) yield return part;
        foreach (var part in Map("self_attn.v_proj", width, keys, config.QkvBias)) yield return part;
        foreach (var part in Map("self_attn.o_proj", queries, width, config.OutputBias)) yield return part;
        if (!config.QueryKeyNorm) yield break;
        yield return ("self_attn.q_norm.weight", [config.HeadDim]);
        yield return ("self_attn.k_norm.weight", [config.HeadDim]);
    }

    private static IEnumerable<(string, long[])> LatentParts(ModelConfig config, LatentShape latent)
    {
        long width = config.HiddenSize, queries = config.Heads * config.HeadDim;
        if (latent.QueryRank is { } rank)
        {
            foreach (var part in Map("self_attn.q_a_proj", width, rank, config.QkvBias)) yield return part;
            yield return ("self_attn.q_a_layernorm.weight", [rank]);
            yield return ("self_attn.q_b_proj.weight", [queries, rank]);
        }
        else yield return ("self_attn.q_proj.weight", [queries, width]);
        foreach (var part in Map("self_attn.kv_a_proj_with_mqa", width, latent.KeyValueRank + latent.RotaryWidth, config.QkvBias)) yield return part;
        yield return ("self_attn.kv_a_layernorm.weight", [latent.KeyValueRank]);
        yield return ("self_attn.kv_b_proj.weight", [config.Heads * (latent.PlainWidth + latent.ValueWidth), latent.KeyValueRank]);
        foreach (var part in Map("self_attn.o_proj", config.Heads * latent.ValueWidth, width, config.OutputBias)) yield return part;
    }

    private static IEnumerable<(string, long[])> ExpertParts(ModelConfig config, ExpertShape experts)
    {
        yield return ("mlp.gate.weight", [experts.Count, config.HiddenSize]);
        yield return ("mlp.experts.gate_proj.weight", [experts.Count, experts.Width, config.HiddenSize]);
        yield return ("mlp.experts.up_proj.weight", [experts.Count, experts.Width, config.HiddenSize]);
        yield return ("mlp.experts.down_proj.weight", [experts.Count, config.HiddenSize, experts.Width]);
        foreach (var part in FeedForwardParts("mlp.shared_experts", config.HiddenSize, experts.Width * experts.Shared, bias: false)) yield return part;
    }

    private static IEnumerable<(string, long[])> FeedForwardParts(string name, long width, long inner, bool bias) =>
        [.. Map(name + ".gate_proj", width, inner, bias), .. Map(name + ".up_proj", width, inner, bias), .. Map(name + ".down_proj", inner, width, bias)];

    private static IEnumerable<(string, long[])> Map(string name, long inputs, long outputs, bool bias)
    {
        yield return (name + ".weight", [outputs, inputs]);
        if (bias) yield return (name + ".bias", [outputs]);
    }
}
