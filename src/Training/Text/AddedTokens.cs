using System.Text.Json;
using Gradus.Training.Text.Normalizers;

namespace Gradus.Training.Text;

/// <summary>A token that is found in the text before the model sees it.</summary>
/// <param name="Content">As the file has it.</param>
/// <param name="Form">What is looked for in the text, and what decoding starts from: the content, normalized where the token is.</param>
/// <param name="Special">Left out of a decoded text on request.</param>
/// <param name="SingleWord">Counts only where no word character touches it.</param>
/// <param name="StripLeft">Takes the white space before it with it.</param>
/// <param name="StripRight">Takes the white space after it with it.</param>
/// <param name="Normalized">Looked for in the normalized text, otherwise in the text as it came.</param>
internal sealed record AddedToken(int Id, string Content, string Form, bool Special, bool SingleWord, bool StripLeft, bool StripRight, bool Normalized)
{
    /// <summary>The list of a file, checked against the vocabulary of its model: a token of both has one id, an id one token.</summary>
    public static List<AddedToken> Read(JsonElement file, TextNormalizer normalizer, IReadOnlyDictionary<string, int> vocabulary)
    {
        var tokens = new List<AddedToken>();
        if (!TokenizerJson.Has(file, "added_tokens", out var list)) return tokens;
        if (list.ValueKind != JsonValueKind.Array) throw new InvalidInputException("tokenizer.json: 'added_tokens' must be a list.", "added_tokens");
        var known = new Dictionary<int, string>();
        foreach (var (token, id) in vocabulary) known[id] = token;
        var idOf = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var entry in list.EnumerateArray())
        {
            var where = $"added_tokens[{tokens.Count}]";
            if (entry.ValueKind != JsonValueKind.Object || TokenizerJson.Text(entry, "content") is not { Length: > 0 } content || !entry.TryGetProperty("id", out var idField) || !TokenizerJson.IsId(idField, out var id))
                throw new InvalidInputException($"tokenizer.json: '{where}' needs a 'content', not empty, and an 'id' from 0 to {TokenizerJson.LargestId}.", "added_tokens");
            if ((vocabulary.TryGetValue(content, out var other) || idOf.TryGetValue(content, out other)) && other != id)
                throw new InvalidInputException($"tokenizer.json: the token '{TokenizerJson.Shortened(content)}' of '{where}' has the id {id} there and {other} elsewhere.", "added_tokens");
            if (known.TryGetValue(id, out var taken) && taken != content)
                throw new InvalidInputException($"tokenizer.json: the id {id} of '{where}' belongs to the token '{TokenizerJson.Shortened(taken)}'.", "added_tokens");
            (known[id], idOf[content]) = (content, id);
            var special = TokenizerJson.Flag(entry, "special", false);
            var normalized = TokenizerJson.Flag(entry, "normalized", !special);
            var form = normalized ? normalizer.Normalize(content) : content;
            if (form.Length == 0) throw new InvalidInputException($"tokenizer.json: '{where}' is nothing once it is normalized.", "added_tokens");
            tokens.Add(new AddedToken(
                id, content, form, special, TokenizerJson.Flag(entry, "single_word", false), TokenizerJson.Flag(entry, "lstrip", false),
                TokenizerJson.Flag(entry, "rstrip", false), normalized));
        }

        return tokens;
    }
}
