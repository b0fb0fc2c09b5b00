using System.Text;
using System.Text.Json;

namespace Gradus.Training.Text.Decoders;

/// <summary>
/// Turns tokens back into text. Each token has bytes of its own, whatever stands around it, and the text is the UTF-8 of all of them: that is what
/// makes streaming exact (<see cref="TokenTextStream"/>).
/// </summary>
internal interface ITokenDecoder
{
    /// <summary>The bytes that a token stands for.</summary>
    byte[] Bytes(string token);
}

internal static class TokenDecoder
{
    private const string Known = "ByteLevel, Fuse, Sequence";

    public static ITokenDecoder Read(JsonElement part, string where = "decoder")
    {
        if (part.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined) throw TokenizerJson.Unsupported(where, "null", Known);
        switch (TokenizerJson.TypeOf(part, where))
        {
            case "ByteLevel": return new ByteLevelDecoder();
            case "Fuse": return new FuseDecoder();
            case "Sequence":
                if (!TokenizerJson.Has(part, "decoders", out var list) || list.ValueKind != JsonValueKind.Array)
                    throw new InvalidInputException($"tokenizer.json: '{where}.decoders' must be a list.", where, "missing");
                var decoders = list.EnumerateArray().Select((item, i) => Read(item, $"{where}.decoders[{i}]")).ToList();
                // What a part before or after adds is joining alone, which both parts do already: at most one may change bytes.
                return decoders.Count(d => d is ByteLevelDecoder) > 1
                    ? throw TokenizerJson.Unsupported(where, "Sequence of two ByteLevel", Known)
                    : decoders.Find(d => d is ByteLevelDecoder) ?? new FuseDecoder();
            case var other: throw TokenizerJson.Unsupported(where, other, Known);
        }
    }
}

/// <summary>A token is its own text.</summary>
internal sealed class FuseDecoder : ITokenDecoder
{
    public byte[] Bytes(string token) => Encoding.UTF8.GetBytes(token);
}

/// <summary>A token written in the alphabet of bytes stands for those bytes, any other for its own text.</summary>
internal sealed class ByteLevelDecoder : ITokenDecoder
{
    public byte[] Bytes(string token) => token.All(c => ByteAlphabet.Byte(c) >= 0) ? [.. token.Select(c => (byte)ByteAlphabet.Byte(c))] : Encoding.UTF8.GetBytes(token);
}
