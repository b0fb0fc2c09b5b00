using System.Text.Json;

namespace Gradus.Training.Text.PreTokenizers;

/// <summary>Pre-tokenizers one after the other, each on the pieces of the one before; none leaves the text whole.</summary>
internal sealed class SequencePreTokenizer(IReadOnlyList<IPreTokenizer> parts) : IPreTokenizer
{
    public static SequencePreTokenizer Read(JsonElement part, string where)
    {
        if (!TokenizerJson.Has(part, "pretokenizers", out var list) || list.ValueKind != JsonValueKind.Array)
            throw new InvalidInputException($"tokenizer.json: '{where}.pretokenizers' must be a list.", where, "missing");
        return new SequencePreTokenizer([.. list.EnumerateArray().Select((item, i) => PreTokenizer.Read(item, $"{where}.pretokenizers[{i}]"))]);
    }

    public void Split(ReadOnlySpan<char> text, PieceList pieces)
    {
        if (parts.Count == 0)
        {
            pieces.Add(text);
            return;
        }

        if (parts.Count == 1)
        {
            parts[0].Split(text, pieces);
            return;
        }

        PieceList before = new(), after = new();
        parts[0].Split(text, before);
        for (var p = 1; p < parts.Count; p++)
        {
            var target = p == parts.Count - 1 ? pieces : after;
            for (var i = 0; i < before.Count; i++) parts[p].Split(before[i], target);
            (before, after) = (after, before);
            after.Clear();
        }
    }
}
