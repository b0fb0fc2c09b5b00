using System.Text;
using System.Text.Json;
using Gradus.Training.Text.Decoders;
using Gradus.Training.Text.Models;
using Gradus.Training.Text.Normalizers;
using Gradus.Training.Text.PreTokenizers;

namespace Gradus.Training.Text;

/// <summary>
/// A Hugging Face tokenizer.json: added tokens are found first, what lies between them is normalized, cut by the pre-tokenizer and encoded by the model, and
/// the decoder turns ids back into text. Any number of threads may use one. Parts it cannot do are refused by name when the file is read; truncation
/// and padding, which are a caller's wish and no part of a text's meaning, are passed over, as transformers does.
/// </summary>
public sealed class Tokenizer
{
    private const long LargestFile = 256L << 20;

    private readonly AddedTokenFinder? raw, normalized; // null where there is none to find
    private readonly TextNormalizer normalizer;
    private readonly IPieceStep first;
    private readonly TokenDecoder decoder;
    private readonly PostProcessor postProcessor;
    private readonly Dictionary<string, int> ids;
    private readonly string?[] tokens; // by id: what decoding starts from; null where the id has no token
    private readonly HashSet<int> special;

    private Tokenizer(JsonElement file)
    {
        if (file.ValueKind != JsonValueKind.Object) throw new InvalidInputException("tokenizer.json must be an object.");
        if (!TokenizerJson.Has(file, "model", out var modelPart)) throw new InvalidInputException("tokenizer.json needs a 'model'.", "model", "missing");
        normalizer = TextNormalizer.Read(file);
        var preTokenizer = PreTokenizer.Read(file);
        decoder = TokenDecoder.Read(file);
        var model = TokenModel.Read(modelPart, preTokenizer.EndsInBytes);
        first = preTokenizer.Before(model, modelWritesBytes: model is BpeModel);
        var added = AddedToken.Read(file, normalizer, model.Vocabulary);
        raw = added.Exists(token => !token.Normalized) ? new(added.FindAll(token => !token.Normalized)) : null;
        normalized = added.Exists(token => token.Normalized) ? new(added.FindAll(token => token.Normalized)) : null;
        special = [.. added.Where(token => token.Special).Select(token => token.Id)];
        ids = new Dictionary<string, int>(model.Vocabulary, StringComparer.Ordinal);
        foreach (var token in added) ids[token.Content] = token.Id;
        VocabularySize = ids.Count == 0 ? 0 : ids.Values.Max() + 1;
        tokens = new string?[VocabularySize];
        foreach (var (token, id) in model.Vocabulary) tokens[id] = token;
        foreach (var token in added) tokens[token.Id] = token.Form;
        postProcessor = PostProcessor.Read(file, id => id < VocabularySize && tokens[id] is not null);
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
        if (file.Length > LargestFile) throw new InvalidInputException($"tokenizer.json may have {LargestFile} bytes; it has {file.Length}.", "tokenizer.json", "out_of_range");
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
    /// <param name="addSpecialTokens">Also what the file's post-processor puts around a text.</param>
    /// <exception cref="InvalidInputException">The file's own patterns or normalizer run away on this text; no published one's do.</exception>
    public int[] Encode(string text, bool addSpecialTokens = false)
    {
        ArgumentNullException.ThrowIfNull(text);
        var result = new List<int>((text.Length / 3) + 8);
        if (raw?.Find(text) is { } parts)
        {
            foreach (var (start, end, token) in parts)
            {
                if (token is not null) result.Add(token.Id);
                else EncodePlain(text.AsSpan(start, end - start), start == 0, result);
            }
        }
        else
        {
            EncodePlain(text, true, result);
        }

        return postProcessor.Apply(result, addSpecialTokens);
    }

    /// <summary>The text of the ids. Ids without a token are left out; bytes that are no UTF-8 become U+FFFD.</summary>
    /// <exception cref="InvalidInputException">The file's own patterns run away on this text; no published one's do.</exception>
    public string Decode(ReadOnlySpan<int> tokens, bool skipSpecialTokens = false)
    {
        var text = new StringBuilder(tokens.Length * 4);
        var step = OpenDecoder(text);
        foreach (var token in tokens)
        {
            if (TokenOf(token, skipSpecialTokens) is not { } form) continue;
            step.Part(form);
            step.EndToken();
        }

        step.End();
        return text.ToString();
    }

    /// <summary>A chain of decoders for one sequence, which writes to <paramref name="text"/>.</summary>
    internal DecodeStep OpenDecoder(StringBuilder text) => decoder.Open(text);

    /// <summary>What decoding starts from; null for an id without a token, or a special one that is to be left out.</summary>
    internal string? TokenOf(int id, bool skipSpecialTokens) =>
        (uint)id >= (uint)tokens.Length || (skipSpecialTokens && special.Contains(id)) ? null : tokens[id];

    private void EncodePlain(ReadOnlySpan<char> text, bool atStart, List<int> result)
    {
        if (!normalizer.IsEmpty) text = normalizer.Normalize(text.ToString());
        if (normalized?.Find(text) is { } parts)
        {
            foreach (var (start, end, token) in parts)
            {
                if (token is not null) result.Add(token.Id);
                else first.Take(text[start..end], atStart && start == 0, result);
            }
        }
        else if (!text.IsEmpty)
        {
            first.Take(text, atStart, result);
        }
    }
}
