using System.Text.Json;

namespace Gradus.Training.Text.Models;

/// <summary>The merge rules of a BPE model: pair of ids to (rank, id of the merged token).</summary>
internal static class BpeMerges
{
    public static long Pair(int left, int right) => ((long)left << 32) | (uint)right;

    /// <summary>Reads <c>["a b", ...]</c> and the newer <c>[["a", "b"], ...]</c>; every part and every result must be in the vocabulary.</summary>
    public static Dictionary<long, (int Rank, int Merged)> Read(JsonElement model, Dictionary<string, int> vocabulary)
    {
        if (!TokenizerJson.Has(model, "merges", out var list) || list.ValueKind != JsonValueKind.Array)
            throw new InvalidInputException("tokenizer.json: 'model.merges' must be a list.", "model.merges", "missing");
        var merges = new Dictionary<long, (int, int)>(list.GetArrayLength());
        var rank = 0;
        foreach (var entry in list.EnumerateArray())
        {
            var (left, right) = Parts(entry, rank);
            merges[Pair(Id(left), Id(right))] = (rank, Id(left + right)); // the last one counts, as in the format's own reader
            rank++;
        }

        return merges;

        int Id(string token) => vocabulary.TryGetValue(token, out var id)
            ? id
            : throw new InvalidInputException($"tokenizer.json: 'model.merges[{rank}]' needs the token '{token}', which is not in the vocabulary.", "model.merges");
    }

    private static (string Left, string Right) Parts(JsonElement entry, int rank)
    {
        if (entry.ValueKind == JsonValueKind.String && entry.GetString()!.Split(' ') is [var left, var right]) return (left, right);
        if (entry.ValueKind == JsonValueKind.Array && entry.GetArrayLength() == 2 && entry.EnumerateArray().All(part => part.ValueKind == JsonValueKind.String))
            return (entry[0].GetString()!, entry[1].GetString()!);
        throw new InvalidInputException($"tokenizer.json: 'model.merges[{rank}]' must be \"left right\" or [\"left\", \"right\"].", "model.merges");
    }
}
