namespace Gradus.Training.Gguf;

/// <summary>The <c>tokenizer.ggml.*</c> metadata of a GGUF file.</summary>
internal static class GgufVocabulary
{
    /// <summary>A special token's id by llama.cpp's word (bos, eos, eot, unknown, padding, ...); null where it is absent.</summary>
    public static int? TokenId(GgufMetadata metadata, string word, int vocabulary) => (int?)metadata.Integer($"tokenizer.ggml.{word}_token_id", 0, vocabulary - 1);
}
