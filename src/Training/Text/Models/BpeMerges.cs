using System.Buffers.Binary;
using System.Numerics;
using System.Security.Cryptography;
using System.Text.Json;

namespace Gradus.Training.Text.Models;

/// <summary>The merge rules of a BPE model.</summary>
internal sealed class BpeMerges
{
    /// <summary>Another in each process: nobody can write a file whose pairs all ask for one place.</summary>
    private static readonly ulong multiplier = BinaryPrimitives.ReadUInt64LittleEndian(RandomNumberGenerator.GetBytes(8)) | 1;

    private readonly (ulong Pair, int Rank)[] places; // a pair lies at the place its hash says or the next free one; 0 is a free place
    private readonly int[] merged;

    private BpeMerges(int count)
    {
        merged = new int[count];
        places = new (ulong, int)[(int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(count, 8)) * 2];
    }

    /// <summary>The rank of a pair of ids, the least is merged first; <see cref="int.MaxValue"/> for a pair without a rule.</summary>
    public int Rank(int left, int right)
    {
        ref readonly var place = ref places[Place(left, right)];
        return place.Pair == 0 ? int.MaxValue : place.Rank;
    }

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
        var merges = new BpeMerges(list.GetArrayLength());
        var rank = 0;
        foreach (var entry in list.EnumerateArray())
        {
            var (left, right) = Parts(entry, rank);
            if (left.Length == 0 || right.Length == 0) throw Malformed(rank);
            merges.Add(Id(left), Id(right), rank, Id(left + right));
            rank++;
        }

        return merges;

        int Id(string token) => vocabulary.TryGetValue(token, out var id)
            ? id
            : throw new InvalidInputException($"tokenizer.json: 'model.merges[{rank}]' needs the token '{TokenizerJson.Shortened(token)}', which is not in the vocabulary.", "model.merges");
    }

    // Of a pair twice the last one counts, as in the format's own reader.
    private void Add(int left, int right, int rank, int result)
    {
        places[Place(left, right)] = (Pair(left, right), rank);
        merged[rank] = result;
    }

    // Less than half of the places are taken, so the walk is short.
    private int Place(int left, int right)
    {
        var pair = Pair(left, right);
        var place = (int)((pair * multiplier) >> (64 - BitOperations.Log2((uint)places.Length)));
        while (places[place].Pair != pair && places[place].Pair != 0) place = (place + 1) & (places.Length - 1);
        return place;
    }

    private static ulong Pair(int left, int right) => ((ulong)(left + 1) << 32) | (uint)right;

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
