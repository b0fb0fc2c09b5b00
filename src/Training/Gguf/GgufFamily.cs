namespace Gradus.Training.Gguf;

/// <summary>
/// An architecture of GGUF files and the Hugging Face family that it is: names of tensors on both sides, and how the rows of queries and keys are stored.
/// </summary>
/// <param name="Architecture">GGUF's word; the same as Hugging Face's <c>model_type</c> for all of these (Mistral's files say <c>llama</c>).</param>
/// <param name="Class">transformers' class, for <c>architectures</c>.</param>
/// <param name="TurnedPairs">
/// Feature 2j of a head of queries or keys turns with 2j + 1 (llama.cpp's layout for this architecture); in Hugging Face's j turns with j + half.
/// </param>
/// <param name="QkvBias">Queries, keys and values have a bias.</param>
/// <param name="HeadNorms">Queries and keys are normed, head by head.</param>
internal sealed record GgufFamily(string Architecture, string Class, bool TurnedPairs, bool QkvBias, bool HeadNorms)
{
    public const string Embedding = "token_embd.weight", FinalNorm = "output_norm.weight", Head = "output.weight", RopeFactors = "rope_freqs.weight";

    private static readonly GgufFamily[] all =
    [
        new("llama", "LlamaForCausalLM", true, false, false),
        new("qwen2", "Qwen2ForCausalLM", false, true, false),
        new("qwen3", "Qwen3ForCausalLM", false, false, true),
    ];

    /// <exception cref="InvalidInputException">The family is another one; the message says which are known.</exception>
    public static GgufFamily Of(string name, string parameter) => all.FirstOrDefault(family => family.Architecture == name)
        ?? throw new InvalidInputException($"The architecture '{name}' is not supported in GGUF files; supported: {string.Join(", ", all.Select(family => family.Architecture))}.", parameter, "unknown_value");

    /// <summary>All tensors of a model in the order of Hugging Face, with both names and their shape.</summary>
    public IEnumerable<GgufWeight> Weights(GgufShape shape)
    {
        long width = shape.HiddenSize, queries = (long)shape.Heads * shape.HeadDim, keys = (long)shape.KeyValueHeads * shape.HeadDim, inner = shape.FeedForwardSize;
        yield return new(Embedding, "model.embed_tokens.weight", [shape.VocabularySize, width]);
        for (var layer = 0; layer < shape.Layers; layer++)
        {
            GgufWeight Weight(string file, string face, int turned, params long[] sizes) => new($"blk.{layer}.{file}", $"model.layers.{layer}.{face}", sizes, TurnedPairs ? turned : 0);
            yield return Weight("attn_norm.weight", "input_layernorm.weight", 0, width);
            foreach (var (part, size, heads) in new[] { ("q", queries, shape.Heads), ("k", keys, shape.KeyValueHeads), ("v", keys, 0) })
            {
                yield return Weight($"attn_{part}.weight", $"self_attn.{part}_proj.weight", heads, size, width);
                if (QkvBias) yield return Weight($"attn_{part}.bias", $"self_attn.{part}_proj.bias", 0, size);
                if (HeadNorms && part != "v") yield return Weight($"attn_{part}_norm.weight", $"self_attn.{part}_norm.weight", 0, shape.HeadDim);
            }
            yield return Weight("attn_output.weight", "self_attn.o_proj.weight", 0, width, queries);
            yield return Weight("ffn_norm.weight", "post_attention_layernorm.weight", 0, width);
            yield return Weight("ffn_gate.weight", "mlp.gate_proj.weight", 0, inner, width);
            yield return Weight("ffn_up.weight", "mlp.up_proj.weight", 0, inner, width);
            yield return Weight("ffn_down.weight", "mlp.down_proj.weight", 0, width, inner);
        }
        yield return new(FinalNorm, "model.norm.weight", [width]);
        if (!shape.TieEmbeddings) yield return new(Head, "lm_head.weight", [shape.VocabularySize, width]);
    }
}

/// <summary>The sizes that the tensors of a model follow from.</summary>
internal sealed record GgufShape(int VocabularySize, int HiddenSize, int Layers, int Heads, int KeyValueHeads, int HeadDim, int FeedForwardSize, bool TieEmbeddings);

/// <summary>One tensor under both names.</summary>
/// <param name="TurnedHeads">Heads whose rows stand in pairs in the GGUF file; 0 where rows stand alike.</param>
internal sealed record GgufWeight(string Name, string FaceName, long[] Shape, int TurnedHeads = 0)
{
    /// <summary>The row of the GGUF file that holds a row of Hugging Face's tensor.</summary>
    public long FileRow(long row)
    {
        if (TurnedHeads == 0) return row;
        var width = Shape[0] / TurnedHeads;
        var (head, within) = (row / width, row % width);
        return (head * width) + (within % (width / 2) * 2) + (within / (width / 2));
    }

    /// <summary>The other way round: the row of Hugging Face's tensor for a row of the file.</summary>
    public long FaceRow(long row)
    {
        if (TurnedHeads == 0) return row;
        var width = Shape[0] / TurnedHeads;
        var (head, within) = (row / width, row % width);
        return (head * width) + (within % 2 * (width / 2)) + (within / 2);
    }
}
