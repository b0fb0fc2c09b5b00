namespace Gradus.Training.Gguf;

/// <summary>llama.cpp's kinds of tokens (llama.h, llama_token_type).</summary>
internal enum GgufTokenType
{
    Undefined = 0,
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

/// <summary>The <c>tokenizer.ggml.*</c> metadata of a GGUF file, checked.</summary>
/// <param name="Model">gpt2 (byte-level BPE, with <paramref name="Merges"/>) or llama (SentencePiece, with <paramref name="Scores"/>).</param>
/// <param name="Pre">How text is cut before BPE, by llama.cpp's word; null for llama.</param>
/// <param name="Special">Ids by llama.cpp's word: bos, eos, eot, eom, unknown, padding.</param>
/// <param name="AddSpacePrefix">A text gets a space before it (llama alone).</param>
internal sealed record GgufVocabulary(
    string Model, string? Pre, string[] Tokens, GgufTokenType[] Types, float[] Scores, (string Left, string Right)[] Merges,
    IReadOnlyDictionary<string, int> Special, bool AddBegin, bool AddEnd, bool AddSpacePrefix)
{
    public const string BytePairs = "gpt2", SentencePiece = "llama";

    private static readonly string[] words = ["bos", "eos", "eot", "eom", "unknown", "padding"];

    /// <summary>A special token's id by llama.cpp's word; null where it is absent.</summary>
    public static int? TokenId(GgufMetadata metadata, string word, int vocabulary) => (int?)metadata.Integer($"tokenizer.ggml.{word}_token_id", 0, vocabulary - 1);

    /// <param name="rows">Rows of the embedding: as many tokens must be there.</param>
    public static GgufVocabulary Read(GgufFile file, int rows)
    {
        var metadata = file.Metadata;
        const string tokensKey = "tokenizer.ggml.tokens", typesKey = "tokenizer.ggml.token_type", scoresKey = "tokenizer.ggml.scores", mergesKey = "tokenizer.ggml.merges";
        var model = metadata.Text("tokenizer.ggml.model") ?? throw metadata.Missing("tokenizer.ggml.model");
        if (model is not (BytePairs or SentencePiece)) throw new InvalidInputException($"{Path.GetFileName(file.Path)} is refused: its tokenizer is '{model}'; supported: {BytePairs}, {SentencePiece}.", "tokenizer.ggml.model", "unknown_value");
        var tokens = metadata.Texts(tokensKey) ?? throw metadata.Missing(tokensKey);
        Length(tokens.Length, rows, tokensKey, file);
        if (tokens.Length != tokens.Distinct(StringComparer.Ordinal).Count())
        {
            var twice = tokens.GroupBy(token => token, StringComparer.Ordinal).First(group => group.Count() > 1).Key;
            throw GgufHeader.Wrong(file.Path, $"the token '{twice}' stands in {tokensKey} twice");
        }
        var types = metadata.Integers(typesKey) ?? throw metadata.Missing(typesKey);
        Length(types.Length, rows, typesKey, file);
        if (types.FirstOrDefault(type => !Enum.IsDefined((GgufTokenType)type)) is not 0 and var strange) throw GgufHeader.Wrong(file.Path, $"{typesKey} must hold numbers from 0 to 6, not {strange}");
        var scores = metadata.Singles(scoresKey);
        if (scores is not null)
        {
            Length(scores.Length, rows, scoresKey, file);
            if (Array.FindIndex(scores, score => !float.IsFinite(score)) is >= 0 and var at) throw GgufHeader.Wrong(file.Path, $"{scoresKey} must hold finite numbers; number {at} is {scores[at]}");
        }
        else if (model == SentencePiece) throw metadata.Missing(scoresKey);
        var merges = metadata.Texts(mergesKey);
        if (merges is null && model == BytePairs) throw metadata.Missing(mergesKey);
        var pre = model == BytePairs ? metadata.Text("tokenizer.ggml.pre") ?? "default" : null;
        var special = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var word in words)
        {
            if (TokenId(metadata, word, rows) is { } id) special[word] = id;
        }
        var begin = metadata.Flag("tokenizer.ggml.add_bos_token") ?? (pre is null || GgufPreTokenizer.Of(pre).AddBegin);
        var end = metadata.Flag("tokenizer.ggml.add_eos_token") ?? false;
        if (begin && !special.ContainsKey("bos")) throw metadata.Missing("tokenizer.ggml.bos_token_id");
        if (end && !special.ContainsKey("eos")) throw metadata.Missing("tokenizer.ggml.eos_token_id");
        return new GgufVocabulary(
            model, pre, tokens, [.. types.Select(type => (GgufTokenType)type)], scores ?? [], [.. (merges ?? []).Select((merge, i) => Parts(merge, i, file))], special, begin, end,
            model == SentencePiece && (metadata.Flag("tokenizer.ggml.add_space_prefix") ?? true));
    }

    private static void Length(int length, int rows, string key, GgufFile file)
    {
        if (length != rows) throw GgufHeader.Wrong(file.Path, $"{key} has {length} items, but {GgufFamily.Embedding} has {rows} rows");
    }

    /// <summary>As llama.cpp: the first space after the first character parts them.</summary>
    private static (string Left, string Right) Parts(string merge, int index, GgufFile file) =>
        merge.Length > 2 && merge.IndexOf(' ', 1) is > 0 and var at && at < merge.Length - 1 ? (merge[..at], merge[(at + 1)..]) : throw GgufHeader.Wrong(file.Path, $"tokenizer.ggml.merges holds '{merge}' (number {index}), which is not two tokens");
}
