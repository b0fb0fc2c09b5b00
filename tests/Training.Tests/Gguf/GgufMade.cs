using Gradus.Training.Gguf;

namespace Gradus.Training.Tests.Gguf;

/// <summary>GGUF files that a test makes: a llama of one layer, width 32, two heads, whose weights are zeros, and a vocabulary.</summary>
internal static class GgufMade
{
    /// <summary>As many tokens as <see cref="AddBytePairs"/> adds.</summary>
    public const int Tokens = 8;

    /// <param name="more">Adds the tokenizer and whatever else.</param>
    /// <param name="rows">Of the embedding.</param>
    /// <param name="change">Gets each tensor's name and shape before it is written; null leaves it out.</param>
    /// <param name="first">Gives the numbers of rope_freqs.weight, or null for none.</param>
    public static void Write(string path, Action<GgufWriter> more, int rows = Tokens, Func<string, long[], (string Name, GgufType Type, long[] Shape)?>? change = null, string architecture = "llama", Func<GgufWriter, float[]?>? first = null)
    {
        var writer = new GgufWriter();
        writer.Add("general.architecture", architecture);
        foreach (var (key, number) in new (string, uint)[] { ("block_count", 1), ("context_length", 64), ("embedding_length", 32), ("feed_forward_length", 32), ("attention.head_count", 2), ("attention.head_count_kv", 1) })
        {
            writer.Add($"{architecture}.{key}", number);
        }
        writer.Add($"{architecture}.attention.layer_norm_rms_epsilon", 1e-5f);
        more(writer);
        var shape = new GgufShape(rows, 32, 1, 2, 1, 16, 32, true);
        long bytes = 0;
        var factors = first?.Invoke(writer);
        if (factors is not null) writer.AddTensor(GgufFamily.RopeFactors, GgufType.F32, [factors.Length]);
        foreach (var weight in GgufFamily.Of(architecture, "").Weights(shape))
        {
            if ((change is null ? (weight.Name, GgufType.F32, weight.Shape) : change(weight.Name, weight.Shape)) is not var (name, type, sizes)) continue;
            writer.AddTensor(name, type, sizes);
            var (numbers, width) = type.Block();
            bytes += (sizes.Aggregate(1L, (product, size) => product * size) / numbers * width + 31) / 32 * 32;
        }
        using var stream = File.Create(path);
        writer.WriteHeader(stream);
        foreach (var factor in factors ?? []) stream.Write(BitConverter.GetBytes(factor));
        GgufWriter.Pad(stream, stream.Length);
        stream.SetLength(stream.Length + bytes);
    }

    public static void AddBytePairs(GgufWriter writer) => AddBytePairs(writer, "smollm");

    public static void AddBytePairs(GgufWriter writer, string pre)
    {
        writer.Add("tokenizer.ggml.model", "gpt2");
        writer.Add("tokenizer.ggml.pre", pre);
        writer.Add("tokenizer.ggml.tokens", (string[])["<a>", "<b>", "<c>", "h", "e", "l", "he", "hel"]);
        writer.Add("tokenizer.ggml.token_type", (int[])[3, 3, 4, 1, 1, 1, 1, 1]);
        writer.Add("tokenizer.ggml.merges", (string[])["h e", "he l"]);
        writer.Add("tokenizer.ggml.bos_token_id", 0u);
        writer.Add("tokenizer.ggml.eos_token_id", 1u);
    }

    public static void AddSentencePiece(GgufWriter writer, params (string Token, int Type, float Score)[] tokens)
    {
        writer.Add("tokenizer.ggml.model", "llama");
        writer.Add("tokenizer.ggml.tokens", tokens.Select(token => token.Token).ToArray());
        writer.Add("tokenizer.ggml.token_type", tokens.Select(token => token.Type).ToArray());
        writer.Add("tokenizer.ggml.scores", tokens.Select(token => token.Score).ToArray());
        writer.Add("tokenizer.ggml.bos_token_id", 1u);
        writer.Add("tokenizer.ggml.eos_token_id", 2u);
        writer.Add("tokenizer.ggml.unknown_token_id", 0u);
    }
}
