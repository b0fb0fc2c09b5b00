namespace Gradus.Training.Model;

/// <summary>The Hugging Face names and shapes of a model's weights, in the order in which they are kept.</summary>
internal static class WeightNames
{
    public const string Embedding = "model.embed_tokens.weight", FinalNorm = "model.norm.weight", Head = "lm_head.weight";

    public static string Layer(int layer, string part) => $"model.layers.{layer}.{part}";

    public static IEnumerable<(string Name, long[] Shape)> Of(ModelConfig config)
    {
        long width = config.HiddenSize, queries = config.Heads * config.HeadDim, keys = config.KeyValueHeads * config.HeadDim, inner = config.FeedForwardSize;
        yield return (Embedding, [config.VocabularySize, width]);
        for (var layer = 0; layer < config.Layers; layer++)
        {
            yield return (Layer(layer, "input_layernorm.weight"), [width]);
            foreach (var (part, size) in new[] { ("q_proj", queries), ("k_proj", keys), ("v_proj", keys) })
            {
                yield return (Layer(layer, $"self_attn.{part}.weight"), [size, width]);
                if (config.QkvBias) yield return (Layer(layer, $"self_attn.{part}.bias"), [size]);
            }
            yield return (Layer(layer, "self_attn.o_proj.weight"), [width, queries]);
            yield return (Layer(layer, "post_attention_layernorm.weight"), [width]);
            yield return (Layer(layer, "mlp.gate_proj.weight"), [inner, width]);
            yield return (Layer(layer, "mlp.up_proj.weight"), [inner, width]);
            yield return (Layer(layer, "mlp.down_proj.weight"), [width, inner]);
        }
        yield return (FinalNorm, [width]);
        if (!config.TieEmbeddings) yield return (Head, [config.VocabularySize, width]);
    }
}
