using System.Text.Json;

namespace Gradus.Training.Text.Models;

/// <summary>The merge rules of a BPE model.</summary>
internal sealed class BpeMerges
{
    private readonly Dictionary<long, int> ranks;
    private readonly int[] merged;

    private BpeMerges(Dictionary<long, int> ranks, int[] merged) => (this.ranks, this.merged) = (ranks, merged);

    /// <summary>The rank of a pair of ids, the least is merged first; <see cref="int.MaxValue"/> for a pair without a rule.</summary>
    public int Rank(int left, int right) => ranks.TryGetValue(Key(left, right), out var rank) ? rank : int.MaxValue;

    /// <summary>The id that the rule of this rank makes.</summary>
    public int Merged(int rank) => merged[rank];

    /// <summary>
    /// Reads <c>["a b", ...]</c> and the newer <c>[["a", "b"], ...]</c>; every part and every result must be in the vocabulary. As each result is the text of both parts,
    /// no chain of rules comes back to where it was.
    /// </summary>
    public static BpeMerges Read(JsonElement model, Dictionary<string, int> vocabulary)
    {
        if (!TokenizerJson.Has(model, "merges", out var list) || list.ValueKind != JsonValueKind.Array)
            throw new InvalidInputException("tokenizer.json: 'model.merges' must be a list.", "model.merges", "missing");
        var ranks = new Dictionary<long, int>(list.GetArrayLength());
        var merged = new int[list.GetArrayLength()];
        var rank = 0;
        foreach (var entry in list.EnumerateArray())
        {
            var (left, right) = Parts(entry, rank);
            if (left.Length == 0 || right.Length == 0) throw Malformed(rank);
            ranks[Key(Id(left), Id(right))] = rank; // the last one counts, as in the format's own reader
            merged[rank] = Id(left + right);
            rank++;
        }

        return new BpeMerges(ranks, merged);

        int Id(string token) => vocabulary.TryGetValue(token, out var id)
            ? id
            : throw new InvalidInputException($"tokenizer.json: 'model.merges[{rank}]' needs the token '{TokenizerJson.Shortened(token)}', which is not in the vocabulary.", "model.merges");
    }

    // One to one. A long hashes as its upper half xor its lower one, so unmixed all pairs of a token with itself would lie in one place.
    private static long Key(int left, int right) => unchecked((((long)left << 32) | (uint)right) * (long)0x9E3779B97F4A7C15);

    private static (string Left, string Right) Parts(JsonElement entry, int rank)
    {
        if (entry.ValueKind == JsonValueKind.String && entry.GetString()!.Split(' ') is [var left, var right]) return (left, right);
        if (entry.ValueKind == JsonValueKind.Array && entry.GetArrayLength() == 2 && entry[0].ValueKind == JsonValueKind.String && entry[1].ValueKind == JsonValueKind.String)
            return (entry[0].GetString()!, entry[1].GetString()!);
        throw Malformed(rank);
    }

    private static InvalidInputException Malformed(int rank) =>
        new($"tokenizer.json: 'model.merges[{rank}]' must be \"left right\" or [\"left\", \"right\"], neither of them empty.", "model.merges");
}
