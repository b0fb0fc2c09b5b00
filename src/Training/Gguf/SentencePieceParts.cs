using System.Text.Json.Nodes;

namespace Gradus.Training.Gguf;

/// <summary>
/// A SentencePiece BPE vocabulary as the parts of a tokenizer.json, as transformers' converter makes them (convert_slow_tokenizer.py): spaces become
/// U+2581, characters that are no token their bytes, and the merges follow from the scores.
/// </summary>
internal static class SentencePieceParts
{
    private const string Space = "\u2581";

    /// <summary>Bounds of the merges: the work for a token grows with its square; the published vocabularies come to some ten million characters at most.</summary>
    private const int LongestToken = 512, MostCharacters = 64 << 20;

    public static JsonObject Normalizer(bool addSpacePrefix)
    {
        var replace = new JsonObject { ["type"] = "Replace", ["pattern"] = new JsonObject { ["String"] = " " }, ["content"] = Space };
        return addSpacePrefix ? new JsonObject { ["type"] = "Sequence", ["normalizers"] = new JsonArray(new JsonObject { ["type"] = "Prepend", ["prepend"] = Space }, replace) } : replace;
    }

    public static JsonObject Decoder(bool addSpacePrefix)
    {
        var parts = new JsonArray(
            new JsonObject { ["type"] = "Replace", ["pattern"] = new JsonObject { ["String"] = Space }, ["content"] = " " },
            new JsonObject { ["type"] = "ByteFallback" },
            new JsonObject { ["type"] = "Fuse" });
        if (addSpacePrefix) parts.Add(new JsonObject { ["type"] = "Strip", ["content"] = " ", ["start"] = 1, ["stop"] = 0 });
        return new JsonObject { ["type"] = "Sequence", ["decoders"] = parts };
    }

    /// <summary>
    /// Each token from every two tokens that make it, those of the highest score first; of one score, the longer left part first. A token that is found in the
    /// text before (control, user defined) takes no part.
    /// </summary>
    public static IEnumerable<(string Left, string Right)> Merges(GgufVocabulary vocabulary)
    {
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var id = 0; id < vocabulary.Tokens.Length; id++)
        {
            if (vocabulary.Types[id] is GgufTokenType.Normal or GgufTokenType.Unused or GgufTokenType.Undefined) ids[vocabulary.Tokens[id]] = id;
        }
        var lookup = ids.GetAlternateLookup<ReadOnlySpan<char>>();
        var merges = new List<(string Left, string Right, float Score, int Order)>();
        var characters = 0;
        for (var id = 0; id < vocabulary.Tokens.Length; id++)
        {
            var token = vocabulary.Tokens[id];
            if (!ids.ContainsKey(token)) continue;
            if (token.Length > LongestToken) throw new InvalidInputException($"A token of a SentencePiece vocabulary may have {LongestToken} characters; token {id} has {token.Length}.", "tokenizer.ggml.tokens", "out_of_range");
            var splits = new List<(int At, int Left, int Right)>();
            for (var at = 1; at < token.Length; at++)
            {
                if (lookup.TryGetValue(token.AsSpan(0, at), out var left) && lookup.TryGetValue(token.AsSpan(at), out var right)) splits.Add((at, left, right));
            }
            if ((characters += splits.Count * token.Length) > MostCharacters) throw new InvalidInputException($"The merges of a SentencePiece vocabulary may have {MostCharacters} characters together; here they have more.", "tokenizer.ggml.tokens", "out_of_range");
            foreach (var (at, _, _) in splits.OrderBy(split => (split.Left, split.Right))) merges.Add((token[..at], token[at..], vocabulary.Scores[id], merges.Count));
        }
        return merges.OrderByDescending(merge => merge.Score).ThenByDescending(merge => Characters(merge.Left)).ThenByDescending(merge => Characters(merge.Right)).ThenBy(merge => merge.Order).Select(merge => (merge.Left, merge.Right));
    }

    /// <summary>Code points, as Python counts.</summary>
    private static int Characters(string text) => text.Length - text.Count(char.IsLowSurrogate);
}
