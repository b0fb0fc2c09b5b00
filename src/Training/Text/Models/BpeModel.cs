using System.Buffers;
using System.Text;
using System.Text.Json;

namespace Gradus.Training.Text.Models;

/// <summary>
/// Byte-pair encoding (Sennrich et al. 2016): a piece begins as its characters, and the neighbouring pair of lowest rank is merged until none is
/// left. Short pieces are remembered.
/// </summary>
internal sealed class BpeModel : ITokenModel
{
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> lookup;
    private readonly BpeMerges merges;
    private readonly PieceCache remembered = new();
    private readonly int[] letters; // ids of the first characters of Unicode, the alphabet of bytes among them; -1 where there is none
    private readonly int[]? fallback; // ids of <0x00> to <0xFF>; -1 where there is none
    private readonly int? unknown;
    private readonly bool bytes, fuseUnknown, ignoreMerges;

    private BpeModel(Dictionary<string, int> vocabulary, BpeMerges merges, int? unknown, JsonElement part, bool bytes)
    {
        Vocabulary = vocabulary;
        (this.merges, this.unknown, this.bytes) = (merges, unknown, bytes);
        fuseUnknown = TokenizerJson.Flag(part, "fuse_unk", false);
        ignoreMerges = TokenizerJson.Flag(part, "ignore_merges", false);
        lookup = vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        letters = [.. Enumerable.Range(0, 0x200).Select(c => vocabulary.GetValueOrDefault(((char)c).ToString(), -1))];
        if (TokenizerJson.Flag(part, "byte_fallback", false)) fallback = ByteTokens.Ids(vocabulary);
    }

    public IReadOnlyDictionary<string, int> Vocabulary { get; }

    /// <param name="bytes">Pieces come as they are and are written in the alphabet of bytes here, which remembered pieces do without.</param>
    public static BpeModel Read(JsonElement part, bool bytes)
    {
        if (TokenizerJson.Has(part, "dropout", out var dropout) && !(dropout.ValueKind == JsonValueKind.Number && dropout.GetDouble() == 0))
            throw TokenizerJson.Unsupported("model.dropout", dropout.ToString(), "none");
        foreach (var affix in (string[])["continuing_subword_prefix", "end_of_word_suffix"])
            if (TokenizerJson.Text(part, affix) is { Length: > 0 } text) throw TokenizerJson.Unsupported($"model.{affix}", text, "none");
        var vocabulary = TokenizerJson.Vocabulary(part);
        int? unknown = null;
        if (TokenizerJson.Text(part, "unk_token") is { } token)
            unknown = vocabulary.TryGetValue(token, out var id) ? id : throw new InvalidInputException($"tokenizer.json: the unknown token '{token}' is not in the vocabulary.", "model.unk_token");
        return new BpeModel(vocabulary, BpeMerges.Read(part, vocabulary), unknown, part, bytes);
    }

    public void Take(ReadOnlySpan<char> piece, bool first, List<int> ids)
    {
        if (remembered.TryAdd(piece, ids, out var place)) return;
        var start = ids.Count;
        if (bytes)
        {
            var written = ArrayPool<char>.Shared.Rent(checked(piece.Length * 3));
            Encode(written.AsSpan(0, ByteAlphabet.Write(piece, written)), ids);
            ArrayPool<char>.Shared.Return(written);
        }
        else
        {
            Encode(piece, ids);
        }

        remembered.Keep(piece, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(ids)[start..], place);
    }

    private void Encode(ReadOnlySpan<char> piece, List<int> ids)
    {
        if (ignoreMerges && lookup.TryGetValue(piece, out var whole))
        {
            ids.Add(whole);
            return;
        }

        var symbols = ArrayPool<int>.Shared.Rent(checked(piece.Length * (fallback is null ? 1 : 3))); // a UTF-16 unit may fall back to three bytes
        BpeWord.Merge(symbols.AsSpan(0, Symbols(piece, symbols)), merges, ids);
        ArrayPool<int>.Shared.Return(symbols);
    }

    /// <summary>
    /// The characters as ids; one that is not in the vocabulary is its bytes where the model falls back to them and has them all, or else the unknown
    /// token, or nothing where there is none.
    /// </summary>
    private int Symbols(ReadOnlySpan<char> piece, Span<int> symbols)
    {
        Span<byte> utf8 = stackalloc byte[4];
        var count = 0;
        var unknownWaits = false; // it is written before the next known character: bytes in between come before it, as in the format's own code
        for (var width = 1; !piece.IsEmpty; piece = piece[width..], width = 1)
        {
            int id;
            if (piece[0] < letters.Length)
            {
                id = letters[piece[0]];
            }
            else
            {
                Rune.DecodeFromUtf16(piece, out _, out width);
                if (!lookup.TryGetValue(piece[..width], out id)) id = -1;
            }

            if (id >= 0)
            {
                if (unknownWaits) symbols[count++] = unknown!.Value;
                unknownWaits = false;
                symbols[count++] = id;
            }
            else if (fallback is not null && ByteTokens.Write(piece[..width], fallback, utf8, symbols[count..]) is > 0 and var written)
            {
                count += written;
            }
            else if (unknown is { } stand)
            {
                if (unknownWaits && !fuseUnknown) symbols[count++] = stand;
                unknownWaits = true;
            }
        }

        if (unknownWaits) symbols[count++] = unknown!.Value;
        return count;
    }
}
