using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;

namespace Gradus.Training.Text.Models;

/// <summary>
/// Byte-pair encoding (Sennrich et al. 2016): a piece begins as its characters, and the neighbouring pair of lowest rank is merged until none is
/// left. The pairs wait in a heap, so a piece of n characters costs O(n log n); short pieces are remembered.
/// </summary>
internal sealed class BpeModel : ITokenModel
{
    /// <summary>Pieces kept with their ids, and how long a piece may be to be kept: together some ten megabytes at most.</summary>
    private const int RememberedPieces = 1 << 16, RememberedLength = 48;

    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> lookup;
    private readonly Dictionary<long, (int Rank, int Merged)> merges;
    private readonly ConcurrentDictionary<string, int[]> remembered = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, int[]>.AlternateLookup<ReadOnlySpan<char>> rememberedLookup;
    private readonly int[] letters; // ids of the first characters of Unicode, the alphabet of bytes among them; -1 where there is none
    private readonly int? unknown;
    private readonly bool fuseUnknown, ignoreMerges;
    private int rememberedCount;

    private BpeModel(Dictionary<string, int> vocabulary, Dictionary<long, (int Rank, int Merged)> merges, int? unknown, bool fuseUnknown, bool ignoreMerges)
    {
        Vocabulary = vocabulary;
        (this.merges, this.unknown, this.fuseUnknown, this.ignoreMerges) = (merges, unknown, fuseUnknown, ignoreMerges);
        lookup = vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        rememberedLookup = remembered.GetAlternateLookup<ReadOnlySpan<char>>();
        letters = [.. Enumerable.Range(0, 0x200).Select(c => vocabulary.GetValueOrDefault(((char)c).ToString(), -1))];
    }

    public IReadOnlyDictionary<string, int> Vocabulary { get; }

    public static BpeModel Read(JsonElement part)
    {
        if (TokenizerJson.Has(part, "dropout", out var dropout) && !(dropout.ValueKind == JsonValueKind.Number && dropout.GetDouble() == 0))
            throw TokenizerJson.Unsupported("model.dropout", dropout.ToString(), "none");
        foreach (var affix in (string[])["continuing_subword_prefix", "end_of_word_suffix"])
            if (TokenizerJson.Text(part, affix) is { Length: > 0 } text) throw TokenizerJson.Unsupported($"model.{affix}", text, "none");
        if (TokenizerJson.Flag(part, "byte_fallback", false)) throw TokenizerJson.Unsupported("model.byte_fallback", "true", "false");
        var vocabulary = TokenizerJson.Vocabulary(part);
        int? unknown = null;
        if (TokenizerJson.Text(part, "unk_token") is { } token)
            unknown = vocabulary.TryGetValue(token, out var id) ? id : throw new InvalidInputException($"tokenizer.json: the unknown token '{token}' is not in the vocabulary.", "model.unk_token");
        return new BpeModel(vocabulary, BpeMerges.Read(part, vocabulary), unknown, TokenizerJson.Flag(part, "fuse_unk", false), TokenizerJson.Flag(part, "ignore_merges", false));
    }

    public void Encode(ReadOnlySpan<char> piece, List<int> ids)
    {
        if (rememberedLookup.TryGetValue(piece, out var known))
        {
            ids.AddRange(known);
            return;
        }

        var first = ids.Count;
        if (ignoreMerges && lookup.TryGetValue(piece, out var whole)) ids.Add(whole);
        else BpeWord.Merge(Symbols(piece), merges, ids);
        if (piece.Length > RememberedLength || Volatile.Read(ref rememberedCount) >= RememberedPieces) return;
        if (remembered.TryAdd(piece.ToString(), [.. ids[first..]])) Interlocked.Increment(ref rememberedCount);
    }

    /// <summary>The characters as ids; one that is not in the vocabulary is the unknown token, or nothing where there is none.</summary>
    private List<int> Symbols(ReadOnlySpan<char> piece)
    {
        var symbols = new List<int>(piece.Length);
        var lastUnknown = false;
        while (!piece.IsEmpty)
        {
            var width = 1;
            int id;
            if (piece[0] < letters.Length) id = letters[piece[0]];
            else
            {
                Rune.DecodeFromUtf16(piece, out _, out width);
                if (!lookup.TryGetValue(piece[..width], out id)) id = -1;
            }

            if (id >= 0)
            {
                symbols.Add(id);
                lastUnknown = false;
            }
            else if (unknown is { } stand && !(fuseUnknown && lastUnknown))
            {
                symbols.Add(stand);
                lastUnknown = true;
            }

            piece = piece[width..];
        }

        return symbols;
    }
}
