namespace Gradus.Training.Model;

/// <summary>A family of models as Hugging Face names it, and what its config means where it is silent. Sizes of weights need no care: a wrong one does not fit the file.</summary>
/// <param name="Name">The model_type.</param>
/// <param name="Architecture">The class in transformers.</param>
/// <param name="MaxPositions">Where max_position_embeddings is absent.</param>
/// <param name="QkvBias">Queries, keys and values always have a bias.</param>
/// <param name="AttentionBias">Whether attention_bias is one of its fields: a bias of queries, keys, values and output.</param>
internal sealed record ModelFamily(string Name, string Architecture, int MaxPositions, bool QkvBias = false, bool AttentionBias = false)
{
    private static readonly ModelFamily[] all =
    [
        new("llama", "LlamaForCausalLM", 2_048, AttentionBias: true),
        new("mistral", "MistralForCausalLM", 131_072),
        new("qwen2", "Qwen2ForCausalLM", 32_768, QkvBias: true),
        new("qwen3", "Qwen3ForCausalLM", 32_768, AttentionBias: true),
        new("deepseek_v3", "DeepseekV3ForCausalLM", 4_096, AttentionBias: true),
    ];

    public static string Names => string.Join(", ", all.Select(family => family.Name));

    public static ModelFamily? Find(string name) => Array.Find(all, family => family.Name == name);
}
