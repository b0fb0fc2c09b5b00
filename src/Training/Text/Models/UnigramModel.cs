using System.Buffers;
using System.Text;
using System.Text.Json;

namespace Gradus.Training.Text.Models;

/// <summary>
/// Unigram (Kudo 2018): of all ways to write a piece in tokens the one whose scores add up to most (Viterbi). A character that no token covers costs the
/// lowest score less 10; a run of them is one unknown token, or the bytes of all of them where the model falls back to bytes and has them.
/// </summary>
internal sealed class UnigramModel : ITokenModel
{
    private const double UnknownPenalty = 10;

    /// <summary>A token is looked for from every place, so its length bounds the time.</summary>
    private const int LongestToken = 1024;

    private readonly CharacterTrie trie = new();
    private readonly PieceCache remembered = new();
    private readonly Dictionary<string, int> ids;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> lookup;
    private readonly List<double> scores;
    private readonly int[]? fallback;
    private readonly int unknown;
    private readonly double unknownScore;

    private UnigramModel(Dictionary<string, int> ids, List<double> scores, int unknown, bool byteFallback)
    {
        (this.ids, this.scores, this.unknown) = (ids, scores, unknown);
        foreach (var (token, id) in ids)
            if (token.Length > 0) trie.Add(token, id);
        lookup = ids.GetAlternateLookup<ReadOnlySpan<char>>();
        unknownScore = scores.Min() - UnknownPenalty;
        fallback = byteFallback ? ByteTokens.Ids(ids) : null;
    }

    public IReadOnlyDictionary<string, int> Vocabulary => ids;

    public static UnigramModel Read(JsonElement part)
    {
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        var scores = new List<double>();
        foreach (var (entry, where) in TokenizerJson.Items(part, "vocab", "model"))
        {
            if (entry.ValueKind != JsonValueKind.Array || entry.GetArrayLength() != 2 || entry[0].ValueKind != JsonValueKind.String
                || entry[1].ValueKind != JsonValueKind.Number || !entry[1].TryGetDouble(out var score) || Math.Abs(score) is not < 1e30)
                throw new InvalidInputException($"tokenizer.json: '{where}' must be [token, score], a text and a finite number.", "model.vocab");
            var token = entry[0].GetString()!;
            if (token.Length > LongestToken) throw new InvalidInputException($"tokenizer.json: '{where}' is a token of {token.Length} characters; allowed are {LongestToken}.", "model.vocab", "out_of_range");
            ids[token] = scores.Count; // the last one counts
            scores.Add(score);
            if (scores.Count > TokenizerJson.LargestId) throw new InvalidInputException($"tokenizer.json: 'model.vocab' may have {TokenizerJson.LargestId} tokens.", "model.vocab", "out_of_range");
        }

        if (!TokenizerJson.Has(part, "unk_id", out var field) || !TokenizerJson.IsId(field, out var unknown) || unknown >= scores.Count)
            throw new InvalidInputException($"tokenizer.json: 'model.unk_id' must be the id of one of the {scores.Count} tokens; it is {(field.ValueKind == JsonValueKind.Undefined ? "missing" : field)}.", "model.unk_id");
        return new UnigramModel(ids, scores, unknown, TokenizerJson.Flag(part, "byte_fallback", false));
    }

    public void Take(ReadOnlySpan<char> piece, bool first, List<int> result)
    {
        if (remembered.TryAdd(piece, result, out var place)) return;
        var start = result.Count;
        var (best, tokens, starts) = (ArrayPool<double>.Shared.Rent(piece.Length + 1), ArrayPool<int>.Shared.Rent(piece.Length + 1), ArrayPool<int>.Shared.Rent(piece.Length + 1));
        FindBest(piece, best, tokens, starts);
        Write(piece, tokens, starts, result);
        ArrayPool<double>.Shared.Return(best);
        ArrayPool<int>.Shared.Return(tokens);
        ArrayPool<int>.Shared.Return(starts);
        remembered.Keep(piece, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(result)[start..], place);
    }

    // Of the best way to write the text up to each place: its score, its last token, and where that begins (-1: no way ends there).
    private void FindBest(ReadOnlySpan<char> piece, double[] best, int[] tokens, int[] starts)
    {
        starts.AsSpan(0, piece.Length + 1).Fill(-1);
        best[0] = 0;
        for (int at = 0, width; at < piece.Length; at += width)
        {
            Rune.DecodeFromUtf16(piece[at..], out _, out width);
            var covered = false;
            var node = CharacterTrie.Root;
            for (var end = at; end < piece.Length && trie.Child(node, piece[end], out node); end++)
            {
                if (trie.Value(node) is not (>= 0 and var token)) continue;
                covered |= end + 1 - at == width;
                Offer(end + 1, token, scores[token]);
            }

            if (!covered) Offer(at + width, unknown, unknownScore);

            void Offer(int end, int token, double score)
            {
                score += best[at];
                if (starts[end] < 0 || score > best[end]) (best[end], tokens[end], starts[end]) = (score, token, at);
            }
        }
    }

    private void Write(ReadOnlySpan<char> piece, int[] tokens, int[] starts, List<int> result)
    {
        // From the end, as the links lead; unknown neighbours are one token.
        var pieces = new List<(int Start, int End, int Token)>();
        for (var end = piece.Length; end > 0; end = starts[end])
        {
            if (tokens[end] == unknown && pieces.Count > 0 && pieces[^1].Token == unknown) pieces[^1] = (starts[end], pieces[^1].End, unknown);
            else pieces.Add((starts[end], end, tokens[end]));
        }

        for (var i = pieces.Count - 1; i >= 0; i--)
        {
            var (start, end, token) = pieces[i];
            if (token != unknown || lookup.TryGetValue(piece[start..end], out token)) result.Add(token);
            else if (fallback is null || !WriteBytes(piece[start..end], result)) result.Add(unknown);
        }
    }

    private bool WriteBytes(ReadOnlySpan<char> text, List<int> result)
    {
        var before = result.Count;
        foreach (var value in Encoding.UTF8.GetBytes(text.ToString()))
        {
            if (fallback![value] < 0)
            {
                result.RemoveRange(before, result.Count - before);
                return false;
            }

            result.Add(fallback[value]);
        }

        return true;
    }
}
