using System.Text.Json;

namespace Gradus.Training.Text.PreTokenizers;

/// <summary>Cuts a text into the pieces that the model encodes one by one.</summary>
internal interface IPreTokenizer
{
    /// <summary>Adds the pieces of <paramref name="text"/>, in order.</summary>
    void Split(ReadOnlySpan<char> text, PieceList pieces);
}

internal static class PreTokenizer
{
    public static IPreTokenizer Read(JsonElement part, string where)
    {
        if (part.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined) return new SequencePreTokenizer([]);
        return TokenizerJson.TypeOf(part, where) switch
        {
            "ByteLevel" => new ByteLevelPreTokenizer(TokenizerJson.Flag(part, "add_prefix_space", true), TokenizerJson.Flag(part, "use_regex", true)),
            "Digits" => new DigitsPreTokenizer(TokenizerJson.Flag(part, "individual_digits", false)),
            "Split" => SplitPreTokenizer.Read(part, where),
            "Sequence" => SequencePreTokenizer.Read(part, where),
            var other => throw TokenizerJson.Unsupported(where, other, "ByteLevel, Digits, Split, Sequence"),
        };
    }
}
