using System.Text;
using System.Text.Json;
using Gradus.Training.Text.Decoders;
using Gradus.Training.Text.Models;
using Gradus.Training.Text.PreTokenizers;

namespace Gradus.Training.Text;

/// <summary>
/// A Hugging Face tokenizer.json: added tokens are found first, what lies between them goes through the pre-tokenizer and the model, and the decoder
/// turns ids back into text. Any number of threads may use one. Parts it cannot do are refused by name when the file is read.
/// </summary>
public sealed class Tokenizer
{
    private const long LargestFile = 256L << 20;

    private readonly AddedTokens added;
    private readonly IPreTokenizer preTokenizer;
    private readonly ITokenModel model;
    private readonly Dictionary<string, int> ids;
    private readonly byte[]?[] bytes; // by id: what the token stands for in text; null where the id has no token
    private readonly HashSet<int> special;

    private Tokenizer(JsonElement file)
    {
        if (file.ValueKind != JsonValueKind.Object) throw new InvalidInputException("tokenizer.json must be an object.");
        if (TokenizerJson.Has(file, "normalizer", out var normalizer)) throw TokenizerJson.Unsupported("normalizer", TokenizerJson.TypeOf(normalizer, "normalizer"), "none");
        // ByteLevel as a post-processor moves offsets alone.
        if (TokenizerJson.Has(file, "post_processor", out var post) && TokenizerJson.TypeOf(post, "post_processor") is var kind and not "ByteLevel")
            throw TokenizerJson.Unsupported("post_processor", kind, "none, ByteLevel");
        if (!TokenizerJson.Has(file, "model", out var modelPart)) throw new InvalidInputException("tokenizer.json needs a 'model'.", "model", "missing");
        model = TokenModel.Read(modelPart);
        added = AddedTokens.Read(file);
        preTokenizer = PreTokenizer.Read(file.TryGetProperty("pre_tokenizer", out var pre) ? pre : default, "pre_tokenizer");
        var decoder = TokenDecoder.Read(file.TryGetProperty("decoder", out var dec) ? dec : default);
        ids = new Dictionary<string, int>(model.Vocabulary, StringComparer.Ordinal);
        foreach (var token in added.All) ids[token.Content] = token.Id;
        VocabularySize = ids.Count == 0 ? 0 : ids.Values.Max() + 1;
        bytes = new byte[]?[VocabularySize];
        foreach (var (token, id) in model.Vocabulary) bytes[id] = decoder.Bytes(token);
        foreach (var token in added.All) bytes[token.Id] = decoder.Bytes(token.Content);
        special = [.. added.All.Where(t => t.Special).Select(t => t.Id)];
    }

    /// <summary>One more than the largest id.</summary>
    public int VocabularySize { get; }

    /// <summary>Reads <c>tokenizer.json</c> (at most 256 MB) of a model's folder.</summary>
    /// <exception cref="InvalidInputException">There is none, it does not parse, or it needs what is not supported; the message names it.</exception>
    public static Tokenizer Load(string folder)
    {
        var path = Path.Combine(folder, "tokenizer.json");
        var file = new FileInfo(path);
        if (!file.Exists) throw new InvalidInputException($"There is no tokenizer.json in '{Path.GetFileName(Path.TrimEndingDirectorySeparator(folder))}'.", "tokenizer.json", "missing");
        if (file.Length > LargestFile) throw new InvalidInputException($"tokenizer.json may have 268435456 bytes; it has {file.Length}.", "tokenizer.json", "out_of_range");
        return Parse(File.ReadAllBytes(path));
    }

    /// <summary>The same from the file's bytes (UTF-8).</summary>
    public static Tokenizer Parse(ReadOnlyMemory<byte> json)
    {
        try
        {
            using var document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 32 });
            return new Tokenizer(document.RootElement);
        }
        catch (Exception problem) when (problem is JsonException or InvalidOperationException or FormatException)
        {
            throw new InvalidInputException($"tokenizer.json does not parse: {problem.Message}", "tokenizer.json");
        }
    }

    /// <summary>The id of a token (its form in the vocabulary, or an added token's text); null where there is none.</summary>
    public int? TokenId(string token) => ids.TryGetValue(token, out var id) ? id : null;

    /// <summary>Whether a token is left out of a text decoded without special tokens.</summary>
    public bool IsSpecial(int id) => special.Contains(id);

    /// <summary>The ids of a text. An unpaired surrogate counts as U+FFFD.</summary>
    /// <param name="addSpecialTokens">Also what the file's post-processor puts around a text; none of those supported today puts any.</param>
    public int[] Encode(string text, bool addSpecialTokens = false)
    {
        ArgumentNullException.ThrowIfNull(text);
        _ = addSpecialTokens;
        var result = new List<int>((text.Length / 3) + 8);
        var pieces = new PieceList();
        var at = 0;
        while (at < text.Length)
        {
            var next = added.Next(text, at);
            EncodePlain(text.AsSpan(at, (next?.Start ?? text.Length) - at), pieces, result);
            if (next is not { } hit) break;
            result.Add(hit.Token.Id);
            at = hit.End;
        }

        return [.. result];
    }

    /// <summary>The text of the ids. Ids without a token are left out; bytes that are no UTF-8 become U+FFFD. It never throws.</summary>
    public string Decode(ReadOnlySpan<int> tokens, bool skipSpecialTokens = false)
    {
        var text = new MemoryStream(tokens.Length * 4);
        foreach (var token in tokens) text.Write(BytesOf(token, skipSpecialTokens));
        return Encoding.UTF8.GetString(text.GetBuffer(), 0, (int)text.Length);
    }

    /// <summary>What one token adds to a text, in UTF-8; empty for an id without a token.</summary>
    internal ReadOnlySpan<byte> BytesOf(int token, bool skipSpecialTokens) =>
        (uint)token >= (uint)bytes.Length || (skipSpecialTokens && special.Contains(token)) ? default : bytes[token];

    private void EncodePlain(ReadOnlySpan<char> text, PieceList pieces, List<int> result)
    {
        if (text.IsEmpty) return;
        pieces.Clear();
        preTokenizer.Split(text, pieces);
        for (var i = 0; i < pieces.Count; i++) model.Encode(pieces[i], result);
    }
}
